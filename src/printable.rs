//! Texts as a terminal or a log may get them: names of files, words of strangers and messages of other programs must not steer a
//! terminal, hide or reorder what is shown, or begin lines of their own.
//!
//! What is not printable is shown as its escape (`\u{1b}`), so that somebody who looks for such a file finds it.

use std::borrow::Cow;

/// Whether a terminal may do something other than to show a character: controls (C0, DEL, C1), line and paragraph separators, and
/// marks that change the direction of what follows.
fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// A text of several lines, whose line feeds and tabs are our own.
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, &['\n', '\t'], |out, c| out.extend(c.escape_default()))
}

/// A text of one line: a line feed in it is somebody else's. Tabs stay.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, &['\t'], |out, c| out.extend(c.escape_default()))
}

/// A text of these lines.
pub fn lines<'a>(lines: impl IntoIterator<Item = &'a String>) -> String {
    lines.into_iter().map(|one| line(one)).collect::<Vec<_>>().join("\n")
}

/// JSON, which has escaped its controls below U+0020 by itself; what else steers a terminal is in its texts only.
pub fn json(json: &str) -> Cow<'_, str> {
    escaped(json, &['\n', '\t', '\r'], |out, c| out.push_str(&format!("\\u{:04x}", u32::from(c))))
}

fn escaped<'a>(text: &'a str, own: &[char], escape: impl Fn(&mut String, char)) -> Cow<'a, str> {
    let steers = |c: char| is_steering(c) && !own.contains(&c);
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) { escape(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_as_its_escape() {
        assert_eq!(line("\u{1b}]0;x\u{7}.licence"), "\\u{1b}]0;x\\u{7}.licence");
        assert_eq!(line("a\u{9b}31m\u{7f}\u{202e}b"), "a\\u{9b}31m\\u{7f}\\u{202e}b");
        assert_eq!((line("a\r\nb\tc").as_ref(), text("a\r\nb\tc").as_ref()), ("a\\r\\nb\tc", "a\\r\nb\tc"));
        assert!(matches!(line("Анна \"ёжик\" 你好 🦔 e\u{301}"), Cow::Borrowed(_)));
        assert_eq!(lines(&["a\nb".to_owned(), "c".to_owned()]), "a\\nb\nc");
    }

    proptest! {
        #[test]
        fn json_says_the_same_and_steers_nothing(value in "\\PC{0,4}[\u{0}-\u{20}\u{7f}-\u{9f}\u{2028}-\u{202e}\u{2066}]{0,6}\\PC{0,4}") {
            let written = serde_json::to_string_pretty(&serde_json::json!({ "a": value })).unwrap();
            let printed = json(&written);
            prop_assert!(!printed.chars().any(|c| is_steering(c) && c != '\n'));
            let read: serde_json::Value = serde_json::from_str(&printed).unwrap();
            prop_assert_eq!(read["a"].as_str(), Some(value.as_str()));
        }
    }
}
