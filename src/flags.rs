//! Functionality flags of a licence: 51 of them, written as 51 characters `0` or `1`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{Malformed, text_serde};

/// How many flags a licence has (length of `Flags` in the guide).
pub const COUNT: u8 = 51;

/// The flags of a licence. Flag 1 is the leftmost character, flag 51 the rightmost.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(u64);

impl Flags {
    /// Flags with exactly these numbers (1 to 51) set; `None` if a number is out of range.
    pub fn of(numbers: &[u8]) -> Option<Flags> {
        numbers.iter().try_fold(Flags(0), |flags, &number| {
            (1..=COUNT).contains(&number).then(|| Flags(flags.0 | 1 << (number - 1)))
        })
    }

    /// Whether flag `number` (1 to 51) is set.
    pub fn has(self, number: u8) -> bool {
        (1..=COUNT).contains(&number) && self.0 & 1 << (number - 1) != 0
    }

    /// Numbers of the flags that are set, ascending.
    pub fn numbers(self) -> impl Iterator<Item = u8> {
        (1..=COUNT).filter(move |&number| self.has(number))
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = (1..=COUNT).map(|number| if self.has(number) { '1' } else { '0' }).collect();
        f.write_str(&text)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Flags {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Flags, Malformed> {
        if text.len() != usize::from(COUNT) || !text.bytes().all(|b| b == b'0' || b == b'1') {
            return Err(Malformed("flags: 51 characters 0 or 1 are expected"));
        }
        Ok(Flags(text.bytes().enumerate().fold(0, |bits, (at, b)| bits | u64::from(b - b'0') << at)))
    }
}

text_serde!(Flags);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_fifty_one_characters_counted_from_the_left() {
        let flags = Flags::of(&[1, 3, 51]).unwrap();
        let text = flags.to_string();
        assert_eq!(text.len(), 51);
        assert!(text.starts_with("1010") && text.ends_with("01"));
        assert_eq!(text.parse::<Flags>().unwrap(), flags);
        assert_eq!(flags.numbers().collect::<Vec<_>>(), [1, 3, 51]);
        assert!(!flags.has(0) && !flags.has(52) && !flags.has(2));
    }

    #[test]
    fn wrong_flags_are_refused() {
        assert!(Flags::of(&[0]).is_none() && Flags::of(&[52]).is_none());
        assert!("0".repeat(50).parse::<Flags>().is_err());
        assert!("2".repeat(51).parse::<Flags>().is_err());
    }
}
