//! Strings of the API: UTF-16 in both directions. Owns no memory of the host.

use super::abi::Unit;

/// No name or locale is longer; a text without an end is never read beyond this.
const LONGEST: usize = 1024;

/// Reads a NUL-terminated text of at most 1024 units; `None` for NULL and for a longer one. Halves of surrogate pairs
/// become U+FFFD.
///
/// # Safety
/// `text` is NULL or points to units that stay readable up to a NUL or [`LONGEST`] of them, during this call.
pub unsafe fn terminated(text: *const Unit) -> Option<String> {
    if text.is_null() {
        return None;
    }
    let mut units = Vec::new();
    for place in 0..LONGEST {
        // SAFETY: no NUL came before `place`, so the contract covers this unit; no alignment is asked of the host.
        let unit = unsafe { text.add(place).read_unaligned() };
        if unit == 0 {
            return Some(String::from_utf16_lossy(&units));
        }
        units.push(unit);
    }
    None
}

/// The units of `text` with a NUL at the end. A NUL inside would cut the text, so it becomes a space.
pub fn with_nul(text: &str) -> Vec<Unit> {
    text.encode_utf16().map(|unit| if unit == 0 { 0x20 } else { unit }).chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_as_it_went() {
        for text in ["", "Запуск", "a\u{1F512}b"] {
            // SAFETY: `with_nul` ends its units with a NUL.
            assert_eq!(unsafe { terminated(with_nul(text).as_ptr()) }.as_deref(), Some(text));
        }
    }

    #[test]
    fn null_and_endless_texts_are_none() {
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { terminated(std::ptr::null()) }, None);
        // SAFETY: as many units as may be read.
        assert_eq!(unsafe { terminated([0x41; LONGEST].as_ptr()) }, None);
    }

    #[test]
    fn a_nul_inside_does_not_cut_an_error_text() {
        assert_eq!(with_nul("a\0b"), [0x61, 0x20, 0x62, 0]);
    }
}
