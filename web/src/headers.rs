//! Header fields: an ordered list with case-insensitive names.
//! By construction no name or value holds a control character, so that nobody can inject a line.

/// An ordered list of header fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    fields: Vec<(String, String)>,
}

/// A header name or value that can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHeader;

impl std::fmt::Display for BadHeader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a header name must be a token and its value printable ASCII")
    }
}

impl std::error::Error for BadHeader {}

impl Headers {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first value of the field `name`, whatever the case of its letters.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// All values of the field `name`, in their order.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether the field `name` is present.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All fields in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets `name` to `value` in place of all earlier values of that name.
    ///
    /// # Errors
    /// [`BadHeader`] when the name is no token (RFC 9110, 5.6.2) or the value is not printable ASCII; the list is
    /// left as it was.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), BadHeader> {
        check(name, value)?;
        self.remove(name);
        self.fields.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Adds one more field beside those of the same name (for example `Set-Cookie`).
    ///
    /// # Errors
    /// As [`Headers::set`].
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), BadHeader> {
        check(name, value)?;
        self.fields.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Removes every field of that name.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
    }

    /// Adds a field as received by a front. Bytes that are not ASCII become U+FFFD: nothing here relies on them, and
    /// a foreign cookie of the same host must not make the console unusable.
    ///
    /// # Errors
    /// [`BadHeader`] when the name is no token or the value holds a control character other than a tab.
    pub fn receive(&mut self, name: &str, value: &[u8]) -> Result<(), BadHeader> {
        if !is_token(name) || value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(BadHeader);
        }
        let value = value
            .iter()
            .map(|byte| match byte {
                b'\t' => ' ',
                byte if byte.is_ascii() => *byte as char,
                _ => char::REPLACEMENT_CHARACTER,
            })
            .collect::<String>();
        self.fields.push((name.to_owned(), value.trim().to_owned()));
        Ok(())
    }
}

fn check(name: &str, value: &str) -> Result<(), BadHeader> {
    match is_token(name) && value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        true => Ok(()),
        false => Err(BadHeader),
    }
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_refused_in_names_and_values() {
        let mut headers = Headers::new();
        for (name, value) in
            [("a", "x\r\nSet-Cookie: y"), ("a", "\0"), ("a\n", "x"), ("", "x"), ("a b", "x"), ("a", "é")]
        {
            assert_eq!(headers.set(name, value), Err(BadHeader), "{name:?} {value:?}");
            assert_eq!(headers.add(name, value), Err(BadHeader), "{name:?} {value:?}");
        }
        assert_eq!(headers.receive("a", b"x\r\ny"), Err(BadHeader));
        assert_eq!(headers.iter().count(), 0);
    }

    #[test]
    fn names_are_compared_without_case() {
        let mut headers = Headers::new();
        headers.add("X-One", "1").unwrap();
        headers.add("x-one", "2").unwrap();
        assert_eq!(headers.get_all("X-ONE").collect::<Vec<_>>(), ["1", "2"]);
        headers.set("X-oNE", "3").unwrap();
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("X-oNE", "3")]);
    }

    #[test]
    fn received_bytes_beyond_ascii_are_made_harmless() {
        let mut headers = Headers::new();
        headers.receive("Cookie", "\tя=1 ".as_bytes()).unwrap();
        assert_eq!(headers.get("cookie"), Some("\u{FFFD}\u{FFFD}=1"));
    }
}
