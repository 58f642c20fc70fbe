//! Activation and reserve codes: 20 digits in 5 groups of 4, exchanged once for a licence.
//!
//! 18 digits are payload, the last 2 are check digits of ISO/IEC 7064 MOD 97-10, which catches every single wrong digit
//! and every swap of two neighbours (97 is prime and no power of 10 below 10^20 makes 10^i - 10^(i+1) divisible by it).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::crypto::Crypto;
use crate::error::{Code, Error, Result};
use crate::id::text_serde;
use crate::text::is_invisible;

/// Digits of a code.
pub const DIGITS: usize = 20;
const PAYLOAD_LIMIT: u64 = 10u64.pow(18);

/// A code whose check digits are right. Shows itself in groups: `4345-9320-2035-7421-5361`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActivationCode(u64);

impl ActivationCode {
    /// A fresh random code: one of 10^18, drawn evenly.
    pub fn random(crypto: &dyn Crypto) -> Result<ActivationCode> {
        loop {
            let mut bytes = [0; 8];
            crypto.random(&mut bytes)?;
            // 60 bits, so that nearly nine draws in ten are accepted.
            let drawn = u64::from_le_bytes(bytes) >> 4;
            if drawn < PAYLOAD_LIMIT {
                return Ok(ActivationCode(drawn));
            }
        }
    }

    fn check(payload: u64) -> u64 {
        98 - (payload % 97 * 100) % 97
    }

    /// The 20 digits without groups.
    pub fn digits(&self) -> String {
        format!("{:018}{:02}", self.0, Self::check(self.0))
    }

    /// The first group and dots: enough to recognise a code in a log, too little to use it.
    pub fn masked(&self) -> String {
        format!("{}-…", &self.digits()[..4])
    }
}

impl fmt::Display for ActivationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        for (group, start) in (0..DIGITS).step_by(4).enumerate() {
            if group > 0 {
                f.write_str("-")?;
            }
            f.write_str(&digits[start..start + 4])?;
        }
        Ok(())
    }
}

impl fmt::Debug for ActivationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl FromStr for ActivationCode {
    type Err = Error;

    /// Reads a code as people type or paste it: spaces, dashes of any kind, dots, underscores and characters that nobody sees are
    /// forgiven between digits, and letters that look like digits are read as them (`O`, `О` as 0; `l`, `I`, `І` as 1; `З` as 3).
    fn from_str(text: &str) -> Result<ActivationCode> {
        let wrong = |russian: String, english: String| Err(Error::new(Code::CodeMalformed).with_text(russian, english));
        let mut digits = String::with_capacity(DIGITS);
        for c in text.chars() {
            match c {
                '0'..='9' => digits.push(c),
                'o' | 'O' | 'о' | 'О' => digits.push('0'),
                'l' | 'I' | 'i' | '|' | 'І' | 'і' => digits.push('1'),
                'З' | 'з' => digits.push('3'),
                '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '.' | '_' => {}
                c if c.is_whitespace() || is_invisible(c) => {}
                c if c.is_control() => {
                    let number = u32::from(c);
                    return wrong(
                        format!("лишний знак U+{number:04X}"),
                        format!("U+{number:04X} does not belong into it"),
                    );
                }
                c => return wrong(format!("лишний знак \"{c}\""), format!("\"{c}\" does not belong into it")),
            }
            if digits.len() > DIGITS {
                return wrong(format!("больше {DIGITS} цифр"), format!("more than {DIGITS} digits"));
            }
        }
        if digits.len() != DIGITS {
            let count = digits.len();
            return wrong(format!("цифр {count} вместо {DIGITS}"), format!("{count} digits instead of {DIGITS}"));
        }
        let (payload, check) = digits.split_at(18);
        let payload: u64 = payload.parse().map_err(|e| Error::new(Code::CodeMalformed).with(e))?;
        if check.parse() == Ok(Self::check(payload)) {
            Ok(ActivationCode(payload))
        } else {
            Err(Error::new(Code::CodeMalformed)
                .with_text("контрольные цифры не сходятся", "the check digits do not match"))
        }
    }
}

text_serde!(ActivationCode);

use serde::{Deserializer, Serializer};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::ring::PROVIDER;

    #[test]
    fn a_code_is_five_groups_of_four_digits() {
        let code = ActivationCode(123_456_789_012_345_678);
        let text = code.to_string();
        assert_eq!(text.len(), 24);
        assert!(text.starts_with("1234-5678-9012-3456-78"), "{text}");
        assert_eq!(text.parse::<ActivationCode>().unwrap(), code);
    }

    #[test]
    fn spaces_dashes_and_look_alikes_are_forgiven() {
        let code = ActivationCode(100_000_000_000_000_300);
        let plain = code.digits();
        for typed in [
            plain.clone(),
            format!(" {}  {} ", &plain[..7], &plain[7..]),
            code.to_string().replace('-', " – "),
            plain.replace('0', "О").replace('1', "l"),
            format!("{plain}\r\n"),
            format!("\u{feff}{}\u{ad}\u{200e}{}\u{2060}\u{200d}", &plain[..4], &plain[4..]),
        ] {
            assert_eq!(typed.parse::<ActivationCode>().unwrap(), code, "{typed}");
        }
        for (typed, shown) in [("12'3", "\"'\""), ("12\u{1b}", "U+001B"), ("ё", "\"ё\"")] {
            let error = typed.parse::<ActivationCode>().unwrap_err().to_string();
            assert!(error.contains(shown) && !error.contains("u{"), "{error}");
        }
    }

    #[test]
    fn a_code_shows_nothing_usable_in_a_log() {
        let code = ActivationCode::random(&PROVIDER).unwrap();
        assert_eq!(format!("{code:?}").chars().count(), 6);
    }

    proptest! {
        #[test]
        fn any_single_wrong_digit_is_caught(payload in 0..PAYLOAD_LIMIT, at in 0..DIGITS, by in 1u8..10) {
            let mut digits = ActivationCode(payload).digits().into_bytes();
            digits[at] = b'0' + (digits[at] - b'0' + by) % 10;
            let text = String::from_utf8(digits).unwrap();
            prop_assert!(text.parse::<ActivationCode>().is_err(), "{}", text);
        }

        #[test]
        fn any_swap_of_neighbours_is_caught(payload in 0..PAYLOAD_LIMIT, at in 0..DIGITS - 1) {
            let mut digits = ActivationCode(payload).digits().into_bytes();
            prop_assume!(digits[at] != digits[at + 1]);
            digits.swap(at, at + 1);
            let text = String::from_utf8(digits).unwrap();
            prop_assert!(text.parse::<ActivationCode>().is_err(), "{}", text);
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,60}") {
            let _ = text.parse::<ActivationCode>();
        }
    }
}
