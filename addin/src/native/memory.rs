//! Memory that the host will own: everything handed out through the interface comes from its manager.
//! Never frees: what is handed over belongs to the host, and nothing is allocated that is not handed over.

use std::ffi::{c_char, c_ulong};
use std::ptr::{self, NonNull};

use super::abi::{Bytes, MemoryManager, Unit, Wide};

/// The host's memory manager.
#[derive(Clone, Copy)]
pub struct Memory(NonNull<MemoryManager>);

impl Memory {
    /// Wraps the manager that the host gave; `None` for NULL.
    ///
    /// # Safety
    /// The manager stays valid as long as the value or a copy of it is used.
    pub unsafe fn new(manager: *mut MemoryManager) -> Option<Self> {
        NonNull::new(manager).map(Self)
    }

    /// A block that holds `content`, and at least one byte; `None` when the host has no memory.
    fn block(self, content: &[u8]) -> Option<NonNull<u8>> {
        let size = c_ulong::try_from(content.len().max(1)).ok()?;
        let mut block = ptr::null_mut();
        // SAFETY: `new` promises a valid manager, and `block` outlives the call.
        let given = unsafe { ((*(*self.0.as_ptr()).table).alloc_memory)(self.0.as_ptr(), &mut block, size) };
        let block = NonNull::new(block.cast::<u8>()).filter(|_| given != 0)?;
        // SAFETY: the manager gave at least `content.len()` bytes that nobody else uses yet.
        unsafe { ptr::copy_nonoverlapping(content.as_ptr(), block.as_ptr(), content.len()) };
        Some(block)
    }

    /// A text with a NUL after it that `len` does not count.
    pub fn text(self, text: &str) -> Option<Wide> {
        let units: Vec<u8> = text.encode_utf16().chain([0]).flat_map(Unit::to_ne_bytes).collect();
        let len = u32::try_from(units.len() / size_of::<Unit>() - 1).ok()?;
        Some(Wide { ptr: self.block(&units)?.as_ptr().cast::<Unit>(), len })
    }

    /// Bytes. Empty ones get a pointer too, as not every host checks the length first.
    pub fn bytes(self, bytes: &[u8]) -> Option<Bytes> {
        let len = u32::try_from(bytes.len()).ok()?;
        Some(Bytes { ptr: self.block(bytes)?.as_ptr().cast::<c_char>(), len })
    }
}
