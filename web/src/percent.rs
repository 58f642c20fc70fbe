//! Percent-encoding (RFC 3986, section 2.1), strict: it owns decoding exactly once.
//! It must never guess: a malformed escape or a text that is not UTF-8 is an error, not a replacement character.

/// Decodes `text` once. `plus` turns `+` into a space, as forms and query strings need. `None` when an escape is
/// malformed or the result is not UTF-8.
pub(crate) fn decode(text: &str, plus: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// Encodes `text` for use as one path segment or one query value: everything but unreserved characters is escaped.
pub fn encode(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => {
                out.push('%');
                out.push(DIGITS[usize::from(byte >> 4)] as char);
                out.push(DIGITS[usize::from(byte & 15)] as char);
            }
        }
    }
    out
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn malformed_escapes_and_broken_utf8_are_refused() {
        for bad in ["%", "%4", "%zz", "%ff", "a%c3", "%+1"] {
            assert_eq!(decode(bad, false), None, "{bad}");
        }
    }

    #[test]
    fn an_escape_is_decoded_once() {
        assert_eq!(decode("%252e+", false).as_deref(), Some("%2e+"));
        assert_eq!(decode("a+b%2B", true).as_deref(), Some("a b+"));
    }

    proptest! {
        #[test]
        fn any_text_survives_encoding(text in ".*") {
            prop_assert_eq!(decode(&encode(&text), false), Some(text.clone()));
            prop_assert_eq!(decode(&encode(&text), true), Some(text));
        }
    }
}
