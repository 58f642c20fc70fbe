//! Texts that people write or save: bytes in, a text or an error that says what to do. Editors put a byte-order mark in front, and
//! some save in another encoding than UTF-8; nobody should have to guess that from the number of a byte.

use crate::error::{Code, Error, Result};

/// The mark that some editors begin a text in UTF-8 with.
pub const MARK: char = '\u{feff}';

/// The text of the file `place`, without a byte-order mark.
///
/// # Errors
/// Those of [`with_mark`].
pub fn read(place: &str, bytes: Vec<u8>) -> Result<String> {
    let mut text = with_mark(place, bytes)?;
    if text.starts_with(MARK) {
        text.drain(..MARK.len_utf8());
    }
    Ok(text)
}

/// The same for a text that is going to be written back: its mark stays.
///
/// # Errors
/// [`Code::TextEncoding`] for a text in another encoding, with the line, from 1; [`Code::NotText`] for what is no text at all.
pub fn with_mark(place: &str, bytes: Vec<u8>) -> Result<String> {
    refuse_utf16(place, &bytes)?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        refusal(place, &e.into_bytes(), at)
    })
}

/// [`Code::TextEncoding`] for a text in UTF-16, which is no UTF-8 and begins with nothing that a format could know.
///
/// # Errors
/// The one above.
pub fn refuse_utf16(place: &str, bytes: &[u8]) -> Result<()> {
    let is_marked = bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]);
    // Without a mark: the first characters of our formats and settings are ASCII, so every other byte is zero.
    let is_bare = matches!(bytes, [a, 0, b, 0, ..] | [0, a, 0, b, ..] if *a != 0 && *b != 0);
    if is_marked || is_bare { Err(encoding(place, "UTF-16", "UTF-16")) } else { Ok(()) }
}

/// What a person may have put between the characters of a code without seeing it: soft hyphens, zero-width characters, marks of
/// direction, byte-order marks.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | MARK)
}

fn refusal(place: &str, bytes: &[u8], at: usize) -> Error {
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1a);
    if bytes.iter().any(is_control) {
        return Error::new(Code::NotText).with(place);
    }
    let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    let high = bytes.iter().filter(|byte| **byte >= 0x80).count();
    let cyrillic = bytes.iter().filter(|byte| matches!(byte, 0xC0..=0xFF | 0xA8 | 0xB8)).count();
    match cyrillic * 10 >= high * 8 {
        true => encoding(
            place,
            &format!("Windows-1251 (ANSI), строка {line}"),
            &format!("Windows-1251 (ANSI), line {line}"),
        ),
        false => {
            encoding(place, &format!("другая кодировка, строка {line}"), &format!("another encoding, line {line}"))
        }
    }
}

fn encoding(place: &str, russian: &str, english: &str) -> Error {
    Error::new(Code::TextEncoding).with(place).with_text(russian, english)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Lang;

    const TEXT: &str = "[Common]\r\n; Порт\r\nServerPort=9099\r\n";

    fn cp1251(text: &str) -> Vec<u8> {
        let byte = |c: char| match c {
            'А'..='я' => u8::try_from(u32::from(c) - 0x410 + 0xC0).unwrap(),
            c => u8::try_from(c).unwrap(),
        };
        text.chars().map(byte).collect()
    }

    #[test]
    fn a_mark_is_forgiven_and_stays_where_the_text_is_written_back() {
        let marked = format!("{MARK}{TEXT}").into_bytes();
        assert_eq!(read("x", marked.clone()).unwrap(), TEXT);
        assert_eq!(with_mark("x", marked).unwrap(), format!("{MARK}{TEXT}"));
        assert_eq!((read("x", Vec::new()).unwrap(), read("x", vec![b'a']).unwrap()), (String::new(), "a".into()));
    }

    #[test]
    fn another_encoding_is_named_with_what_to_do() {
        let little: Vec<u8> = TEXT.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = TEXT.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let cases = [
            ([b"\xFF\xFE".as_slice(), &little].concat(), "UTF-16"),
            ([b"\xFE\xFF".as_slice(), &big].concat(), "UTF-16"),
            (little, "UTF-16"),
            (big, "UTF-16"),
            (cp1251(TEXT), "Windows-1251 (ANSI), line 2"),
            (b"a=\x93b\x94\n".to_vec(), "another encoding, line 1"),
        ];
        for (bytes, expected) in cases {
            let error = read("a.conf", bytes).unwrap_err();
            let text = error.cause(Lang::English);
            assert!(error.code == Code::TextEncoding && text.contains(expected) && text.contains("a.conf"), "{text}");
            assert!(error.remedy(Lang::English).contains("UTF-8"), "{error}");
        }
        assert_eq!(read("x", b"PK\x03\x04\xFF".to_vec()).unwrap_err().code, Code::NotText);
    }

    proptest! {
        #[test]
        fn a_text_in_utf_8_is_read_as_it_is(text in "[^\u{0}\u{feff}].{0,60}") {
            prop_assert_eq!(read("x", text.clone().into_bytes()).unwrap(), text);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = read("x", bytes);
        }
    }
}
