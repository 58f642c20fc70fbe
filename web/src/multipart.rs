//! Forms with files in them (`multipart/form-data`, RFC 7578), as browsers send them: each field and each file is a name with a
//! text. What is not a text, or is put together in another way, is no form.

/// The fields of a body whose content type is `content_type`, in their order; a file is a field whose text is that of the file.
/// `None` when the body is malformed.
pub(crate) fn decode(content_type: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let boundary = parameter(content_type, "boundary").filter(|boundary| (1..=70).contains(&boundary.len()))?;
    let body = std::str::from_utf8(body).ok()?;
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter has its line break before the body; what stands behind the last one means nothing.
    let mut rest = body.strip_prefix(delimiter.get(2..)?)?;
    let mut fields = Vec::new();
    while !rest.starts_with("--") {
        let (part, behind) = rest.strip_prefix("\r\n")?.split_once(&delimiter)?;
        let (head, text) = part.split_once("\r\n\r\n")?;
        let disposition = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-disposition").then_some(value)
        })?;
        fields.push((parameter(disposition, "name")?.to_owned(), text.to_owned()));
        rest = behind;
    }
    Some(fields)
}

/// A parameter of a header's value, with or without quotes around it. Names of our fields have no quotes in them.
fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let pairs = value.split(';').skip(1).filter_map(|pair| pair.trim().split_once('='));
    let (_, text) = pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(text.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIND: &str = "multipart/form-data; boundary=----WebKitFormBoundaryAaB03x";

    fn decoded(body: &str) -> Option<Vec<(String, String)>> {
        decode(KIND, body.as_bytes())
    }

    fn part(head: &str, text: &str) -> String {
        format!("------WebKitFormBoundaryAaB03x\r\n{head}\r\n\r\n{text}\r\n")
    }

    #[test]
    fn fields_and_files_are_read_as_browsers_send_them() {
        let file =
            "Content-Disposition: form-data; name=\"file\"; filename=\"ответ; 1.answer\"\r\nContent-Type: text/plain";
        let body = part("Content-Disposition: form-data; name=\"text\"", "")
            + &part(file, "SLK-ANSWER 1\n{\n}\r\n--x\n")
            + "------WebKitFormBoundaryAaB03x--\r\n";
        let fields = decoded(&body).unwrap();
        assert_eq!(fields, [("text", ""), ("file", "SLK-ANSWER 1\n{\n}\r\n--x\n")].map(|(a, b)| (a.into(), b.into())));
        assert_eq!(decoded("------WebKitFormBoundaryAaB03x--\r\n"), Some(Vec::new()));
        let quoted = decode("multipart/form-data; boundary=\"x\"", b"--x--").unwrap();
        assert!(quoted.is_empty());
    }

    #[test]
    fn what_is_cut_or_no_text_is_no_form() {
        let whole = part("Content-Disposition: form-data; name=\"a\"", "b") + "------WebKitFormBoundaryAaB03x--";
        assert!(decoded(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(decoded(&whole[..length]), None, "{length}");
        }
        assert_eq!(decode("multipart/form-data", whole.as_bytes()), None);
        assert_eq!(decode("multipart/form-data; boundary=", b"----"), None);
        assert_eq!(
            decode(KIND, &whole.bytes().map(|byte| if byte == b'b' { 0xFF } else { byte }).collect::<Vec<_>>()),
            None
        );
        assert_eq!(decoded(&whole.replace("; name=\"a\"", "")), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(kind in ".{0,60}", body in prop::collection::vec(any::<u8>(), 0..300)) {
            decode(&format!("multipart/form-data; {kind}"), &body);
            decode(KIND, &[b"------WebKitFormBoundaryAaB03x\r\n".as_slice(), &body].concat());
        }
    }
}
