//! Memory that the host will own: everything handed out through the interface comes from its manager.
//! What turns out not to be handed over is wiped and given back; what was handed over is never touched again.

use std::ffi::{c_char, c_ulong};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::slice;

use zeroize::Zeroize;

use super::abi::{Bytes, MemoryManager, Unit, Wide};

/// The host's memory manager.
#[derive(Clone, Copy)]
pub struct Memory(NonNull<MemoryManager>);

impl Memory {
    /// Wraps the manager that the host gave; `None` for NULL.
    ///
    /// # Safety
    /// The manager stays valid as long as the value, a copy of it or a block of it is used.
    pub unsafe fn new(manager: *mut MemoryManager) -> Option<Self> {
        NonNull::new(manager).map(Self)
    }

    /// An empty block with room for `room` bytes, and for one at least; `None` when the host has no memory.
    pub fn block(self, room: usize) -> Option<Block> {
        let size = c_ulong::try_from(room.max(1)).ok()?;
        let mut start = ptr::null_mut();
        // SAFETY: `new` promises a valid manager, and `start` outlives the call.
        let given = unsafe { ((*(*self.0.as_ptr()).table).alloc_memory)(self.0.as_ptr(), &mut start, size) };
        let start = NonNull::new(start.cast::<u8>()).filter(|_| given != 0)?;
        Some(Block { memory: self, start, room, filled: 0 })
    }

    /// A text with a NUL after it that `len` does not count.
    pub fn text(self, text: &str) -> Option<Wide> {
        let units: Vec<u8> = text.encode_utf16().chain([0]).flat_map(Unit::to_ne_bytes).collect();
        let len = u32::try_from(units.len() / size_of::<Unit>() - 1).ok()?;
        let mut block = self.block(units.len())?;
        block.push(&units)?;
        Some(Wide { ptr: block.hand_over().cast(), len })
    }

    /// Bytes. Empty ones get a pointer too, as not every host checks the length first.
    pub fn bytes(self, bytes: &[u8]) -> Option<Bytes> {
        let mut block = self.block(bytes.len())?;
        block.push(bytes)?;
        block.into_bytes(bytes.len())
    }
}

/// Memory of the host that is still ours. It is filled from its start on; unless it is handed over it is wiped and given back.
pub struct Block {
    memory: Memory,
    start: NonNull<u8>,
    room: usize,
    filled: usize,
}

impl Block {
    /// Copies bytes behind those that are there; `None`, and nothing is copied, if there is no room.
    pub fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.filled.checked_add(bytes.len()).filter(|end| *end <= self.room)?;
        // SAFETY: the manager gave `room` bytes that nobody else uses, and `end` is not beyond them.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr().add(self.filled), bytes.len()) };
        self.filled = end;
        Some(())
    }

    /// The bytes that are there.
    pub fn filled(&mut self) -> &mut [u8] {
        // SAFETY: so many bytes were written from the start on, and they are ours until the block is handed over.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.filled) }
    }

    /// Hands the first `len` bytes to the host, which frees the whole block; `None` if so many are not there.
    pub fn into_bytes(self, len: usize) -> Option<Bytes> {
        let len = u32::try_from(len).ok().filter(|_| len <= self.filled)?;
        Some(Bytes { ptr: self.hand_over().cast::<c_char>(), len })
    }

    fn hand_over(self) -> *mut u8 {
        ManuallyDrop::new(self).start.as_ptr()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.filled().zeroize();
        let manager = self.memory.0.as_ptr();
        let mut start = self.start.as_ptr().cast();
        // SAFETY: `new` promises a valid manager; the block is one of its own, and nobody has it.
        unsafe { ((*(*manager).table).free_memory)(manager, &mut start) };
    }
}
