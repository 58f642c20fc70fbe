//! Identifiers. Each is parsed once, at the edge, and can't hold a wrong value afterwards.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text that is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// Number of a series: 4 hex digits, one per protected configuration. Written in capitals (`672B`), read in any case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u16);

impl FromStr for KeyId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<KeyId, Malformed> {
        let text = text.trim();
        if text.len() != 4 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Malformed("a series: 4 hex digits are expected"));
        }
        u16::from_str_radix(text, 16).map(KeyId).map_err(|_| Malformed("a series"))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Serial number of a key, unique within its series (`KeyNo` of the guide), or of a blank carrier. From 1.
pub type KeyNo = u32;

/// Upper-case hex of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = vec![0; bytes.len() * 2];
    write_hex(bytes, &mut digits);
    String::from_utf8(digits).expect("digits are ASCII")
}

/// The same, written where there is room for twice as many digits.
fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    let digit = |value: u8| value + if value < 10 { b'0' } else { b'A' - 10 };
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

/// The bytes of exactly `N * 2` hex digits in any case.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |d: u8| (d as char).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl FromStr for $name {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<$name, Malformed> {
                unhex(text).map($name).ok_or(Malformed($what))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut digits = [0; $len * 2];
                write_hex(&self.0, &mut digits);
                f.write_str(std::str::from_utf8(&digits).expect("digits are ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        text_serde!($name);
    };
}

/// Reads a text and makes a value of it where it lies, without a copy.
pub(crate) fn from_text<'de, D: Deserializer<'de>, T, E: fmt::Display>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    struct Text<F>(F);

    impl<T, E: fmt::Display, F: FnOnce(&str) -> Result<T, E>> de::Visitor<'_> for Text<F> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<X: de::Error>(self, text: &str) -> Result<T, X> {
            self.0(text).map_err(X::custom)
        }
    }

    deserializer.deserialize_str(Text(parse))
}

/// Serialises a type by its `Display` and reads it by its `FromStr`; in JSON it is a text, of this format if one is named.
macro_rules! text_serde {
    ($name:ident $(, $format:literal)?) => {
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" $(, "format": $format)? })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                crate::id::from_text(deserializer, str::parse)
            }
        }
    };
}
pub(crate) use text_serde;

text_serde!(KeyId);

hex_id!(
    /// Identifier of a session: 128 random bits, 32 hex digits.
    SessionId,
    16,
    "a session identifier: 32 hex digits are expected"
);
hex_id!(
    /// Identifier of a connection: 128 random bits, 32 hex digits.
    ConnectionId,
    16,
    "a connection identifier: 32 hex digits are expected"
);
hex_id!(
    /// SHA-256 of a series' root public key (its SPKI DER): the short form of a trust anchor.
    RootHash,
    32,
    "the hash of a root key: 64 hex digits are expected"
);
hex_id!(
    /// Identifier of a computer's hardware: 40 hex digits (`ComputerID` of the guide), stable across reboots.
    ComputerId,
    20,
    "a computer identifier: 40 hex digits are expected"
);
hex_id!(
    /// Identifier of a server's store of sessions: 128 random bits, 32 hex digits.
    StoreId,
    16,
    "a store identifier: 32 hex digits are expected"
);
hex_id!(
    /// 32 bytes that are no secret: public keys, hashes, nonces.
    Bytes32,
    32,
    "32 bytes: 64 hex digits are expected"
);

/// What identifies a series: two vendors may pick the same `KeyID`, so the root key belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SeriesId {
    /// The 4 hex digits.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// Hash of the root public key.
    #[serde(rename = "Root")]
    pub root: RootHash,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_four_hex_digits_in_any_case() {
        assert_eq!("672b".parse::<KeyId>().unwrap().to_string(), "672B");
        assert_eq!(" 00FF ".parse::<KeyId>().unwrap(), KeyId(0xFF));
        for text in ["", "672", "672BB", "67 2B", "+72B", "г72B"] {
            assert!(text.parse::<KeyId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_identifier_is_written_in_capitals_and_read_in_any_case() {
        let id: SessionId = "db4ac14978fa4b5815a813550a031424".parse().unwrap();
        assert_eq!(id.to_string(), "DB4AC14978FA4B5815A813550A031424");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"DB4AC14978FA4B5815A813550A031424\"");
        assert!("DB4AC14978FA4B5815A813550A03142G".parse::<SessionId>().is_err());
    }
}
