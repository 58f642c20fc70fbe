//! Brace notation, the text form of metadata: `{1,"name",{…}}`. Reads it into a tree without recursion, so that
//! depth of nesting can't exhaust the stack; quotes inside strings are doubled.

/// A value: a list, or a plain word or string without its quotes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value {
    List(Vec<Value>),
    Word(String),
}

/// Nesting in real files stays below 30; a tree this deep can still be dropped recursively.
const MAX_DEPTH: usize = 200;

impl Value {
    /// The tree of one list; None if `text` is not exactly that.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut open: Vec<Vec<Value>> = Vec::new();
        let mut rest = text.trim();
        loop {
            rest = rest.trim_start();
            let value = if let Some(after) = rest.strip_prefix('{') {
                if open.len() == MAX_DEPTH {
                    return None;
                }
                open.push(Vec::new());
                rest = after;
                continue;
            } else if let Some(after) = rest.strip_prefix('"') {
                let (string, after) = string(after)?;
                rest = after;
                Value::Word(string)
            } else {
                let end = rest.find([',', '{', '}', '"'])?;
                let (word, after) = rest.split_at(end);
                rest = after;
                Value::Word(word.trim_end().to_owned())
            };
            open.last_mut()?.push(value);
            rest = rest.trim_start();
            while let Some(after) = rest.strip_prefix('}') {
                rest = after.trim_start();
                let list = Value::List(open.pop()?);
                match open.last_mut() {
                    Some(outer) => outer.push(list),
                    None => return rest.is_empty().then_some(list),
                }
            }
            rest = rest.strip_prefix(',')?;
        }
    }

    /// The word found by going down through lists by number.
    pub(crate) fn word(&self, path: &[usize]) -> Option<&str> {
        let mut value = self;
        for &number in path {
            match value {
                Value::List(list) => value = list.get(number)?,
                Value::Word(_) => return None,
            }
        }
        match value {
            Value::Word(word) => Some(word),
            Value::List(_) => None,
        }
    }
}

/// The string up to its closing quote and the text behind it.
fn string(text: &str) -> Option<(String, &str)> {
    let mut from = 0;
    loop {
        let quote = from + text.get(from..)?.find('"')?;
        let after = text.get(quote + 1..)?;
        if !after.starts_with('"') {
            return Some((text.get(..quote)?.replace("\"\"", "\""), after));
        }
        from = quote + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_words_and_strings_are_told_apart() {
        let value = Value::parse("{2,\r\n{1,\"a, \"\"b\"\" }\",},\r\n{0}\r\n}").unwrap();
        assert_eq!(value.word(&[0]), Some("2"));
        assert_eq!(value.word(&[1, 1]), Some("a, \"b\" }"));
        assert_eq!(value.word(&[1, 2]), Some(""));
        assert_eq!(value.word(&[2, 0]), Some("0"));
        assert_eq!(value.word(&[2]), None);
        assert_eq!(value.word(&[3]), None);
    }

    #[test]
    fn damaged_text_has_no_tree() {
        for text in ["", "{", "}", "{1", "{1}}", "{1} 2", "1", "{\"a}", "{1{2}}", "{\"a\"b}"] {
            assert_eq!(Value::parse(text), None, "{text}");
        }
        assert_eq!(Value::parse(&"{".repeat(1_000_000)), None);
    }
}
