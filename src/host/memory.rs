//! What the system is told of memory that is about to be filled. Advice only: never changes what the memory holds.

use std::mem::MaybeUninit;

/// Blocks below this size, in bytes, are not worth a call.
const LARGE: usize = 4 * 1024 * 1024;
/// A multiple of every page size.
#[cfg(target_os = "linux")]
const ALIGNMENT: usize = 64 * 1024;

/// All of `memory` will be written now. New memory comes a page at a time, and each page is a fault that costs more than filling
/// it: for a large block the system is asked for large pages, and for all of them at once.
pub fn will_be_filled(memory: &mut [MaybeUninit<u8>]) {
    if memory.len() >= LARGE {
        advise(memory);
    }
}

#[cfg(target_os = "linux")]
fn advise(memory: &mut [MaybeUninit<u8>]) {
    let skipped = memory.as_ptr().align_offset(ALIGNMENT);
    let Some(inner) = memory.get_mut(skipped..) else { return };
    let length = inner.len() / ALIGNMENT * ALIGNMENT;
    for advice in [libc::MADV_HUGEPAGE, libc::MADV_POPULATE_WRITE] {
        // SAFETY: whole pages inside the caller's block; these kinds of advice leave what is in them as it is. A system that does
        // not know one refuses it, which costs nothing but time.
        unsafe { libc::madvise(inner.as_mut_ptr().cast(), length, advice) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: &mut [MaybeUninit<u8>]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_leaves_what_memory_holds_as_it_is() {
        for (length, start) in [(0, 0), (LARGE - 1, 0), (LARGE + 4097, 1), (3 * LARGE, 4095)] {
            let mut memory = vec![MaybeUninit::new(7_u8); start + length];
            will_be_filled(&mut memory[start..]);
            // SAFETY: all were initialised.
            assert!(memory.iter().all(|byte| unsafe { byte.assume_init() } == 7), "{length} bytes");
        }
    }
}
