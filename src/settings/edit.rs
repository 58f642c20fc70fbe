//! Changes of an ini text, line by line: comments, order, line ends and a byte-order mark stay as they are.
//! It knows sections and keys only; what a value means is the table's.

use super::Ini;
use crate::error::{Code, Error, Result};

const BOM: char = '\u{feff}';

/// The text with one key set. A key that is there several times is set where it counts, the last one; a new one stands behind
/// its commented example, else at the end of its section.
///
/// # Errors
/// [`Code::BadRequest`] for a section, key or value that an ini file can't hold.
pub fn with_value(text: &str, section: &str, key: &str, value: &str) -> Result<String> {
    let refused = || {
        Error::new(Code::BadRequest).with_text(
            format_args!("{key}: такое значение не записать в файл настроек"),
            format_args!("{key}: a settings file can't hold this value"),
        )
    };
    let line = format!("{key}={value}");
    if value.is_empty() || [section, key, value].iter().any(|part| part.chars().any(char::is_control)) {
        return Err(refused());
    }
    let mut lines = Lines::of(text);
    if let Some(at) = lines.assignments(section, key).last() {
        lines.lines[at] = line;
    } else {
        let place = lines.place(section, key);
        lines.lines.insert(place, line);
    }
    let new = lines.text();
    // Quotes, brackets and the like: whatever the parser would read in another way is refused.
    match Ini::parse("", &new) {
        Ok(ini) if ini.get(section, key) == Some(value) => Ok(new),
        _ => Err(refused()),
    }
}

/// The text without a key, so that its default is in force.
pub fn without_value(text: &str, section: &str, key: &str) -> String {
    let mut lines = Lines::of(text);
    let found: Vec<usize> = lines.assignments(section, key).collect();
    for at in found.into_iter().rev() {
        lines.lines.remove(at);
    }
    lines.text()
}

/// Number of the line, from 1, that sets a key; 0 when none does.
pub(super) fn line_of(text: &str, section: &str, key: &str) -> usize {
    let lines = Lines::of(text);
    let set = |at: &usize| lines.lines[*at].split_once(['=', ':']).is_some_and(|(_, value)| !value.trim().is_empty());
    lines.assignments(section, key).filter(set).last().map_or(0, |at| at + 1)
}

/// Headers of sections, with the places where their lines begin, in bytes.
pub(super) fn headers(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let skipped = if text.starts_with(BOM) { BOM.len_utf8() } else { 0 };
    let mut at = skipped;
    text[skipped..].split_inclusive('\n').filter_map(move |line| {
        let start = at;
        at += line.len();
        header(line).map(|name| (start, name))
    })
}

/// An ini text as lines.
struct Lines {
    bom: bool,
    newline: &'static str,
    lines: Vec<String>,
}

impl Lines {
    fn of(text: &str) -> Lines {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let body = text.strip_prefix(BOM).unwrap_or(text);
        Lines { bom: body.len() < text.len(), newline, lines: body.lines().map(str::to_owned).collect() }
    }

    fn text(&self) -> String {
        let mut text = if self.bom { String::from(BOM) } else { String::new() };
        for line in &self.lines {
            text.push_str(line);
            text.push_str(self.newline);
        }
        text
    }

    /// Numbers of the lines in sections of that name, headers left out.
    fn inside(&self, section: &str) -> impl Iterator<Item = usize> {
        let mut inside = false;
        self.lines.iter().enumerate().filter_map(move |(at, line)| match header(line) {
            Some(name) => {
                inside = name.eq_ignore_ascii_case(section);
                None
            }
            None => inside.then_some(at),
        })
    }

    /// Numbers of the lines that set a key.
    fn assignments(&self, section: &str, key: &str) -> impl Iterator<Item = usize> {
        self.inside(section).filter(|at| sets(&self.lines[*at], key))
    }

    /// Where a new line of a key belongs; makes the section if there is none.
    fn place(&mut self, section: &str, key: &str) -> usize {
        let example = self.inside(section).filter(|at| {
            let line = self.lines[*at].trim_start();
            line.strip_prefix([';', '#']).is_some_and(|line| sets(line, key))
        });
        if let Some(at) = example.last() {
            return at + 1;
        }
        let is_header = |line: &String| header(line).is_some_and(|name| name.eq_ignore_ascii_case(section));
        let Some(start) = self.lines.iter().rposition(is_header) else {
            if self.lines.last().is_some_and(|line| !line.trim().is_empty()) {
                self.lines.push(String::new());
            }
            self.lines.push(format!("[{section}]"));
            return self.lines.len();
        };
        let rest = &self.lines[start + 1..];
        let end = rest.iter().position(|line| header(line).is_some()).unwrap_or(rest.len());
        // Comments at the end may belong to the next section.
        let last =
            rest[..end].iter().rposition(|line| !line.trim().is_empty() && !line.trim_start().starts_with([';', '#']));
        start + 1 + last.map_or(0, |at| at + 1)
    }
}

fn header(line: &str) -> Option<&str> {
    let (name, _) = line.trim().strip_prefix('[')?.split_once(']')?;
    Some(name.trim())
}

fn sets(line: &str, key: &str) -> bool {
    line.split_once(['=', ':']).is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str, section: &str, key: &str, value: &str) -> String {
        with_value(text, section, key, value).unwrap()
    }

    #[test]
    fn one_value_is_set_and_the_rest_stays() {
        let text =
            "\u{feff}; head\r\n[Console]\r\n; the name\r\nUserName=admin\r\nPassword=admin\r\n[API]\r\nEnabled=1\r\n";
        assert_eq!(set(text, "console", "Password", "x=y"), text.replace("Password=admin", "Password=x=y"));
        assert_eq!(set("", "Console", "Password", "p"), "[Console]\nPassword=p\n");
        assert_eq!(set("[A]\nx=1\n\n; of B\n[B]\n", "A", "y", "2"), "[A]\nx=1\ny=2\n\n; of B\n[B]\n");
    }

    #[test]
    fn a_new_value_stands_behind_its_example() {
        let text = "[Console]\n; how\n;Authorization=0\n; name\n;UserName=admin\n";
        assert_eq!(set(text, "Console", "Authorization", "1"), text.replace("=0\n", "=0\nAuthorization=1\n"));
    }

    #[test]
    fn of_several_sections_and_lines_the_last_one_counts() {
        let text = "[A]\nx=1\n[B]\nx=5\n[a]\nX=2\nx=3\n";
        let new = set(text, "A", "x", "4");
        assert_eq!(new, "[A]\nx=1\n[B]\nx=5\n[a]\nX=2\nx=4\n");
        assert_eq!(without_value(&new, "A", "x"), "[A]\n[B]\nx=5\n[a]\n");
        assert_eq!((line_of(text, "b", "X"), line_of(text, "A", "x"), line_of(text, "C", "x")), (4, 7, 0));
    }

    #[test]
    fn nothing_can_be_smuggled_into_the_file() {
        for value in ["1\n[Users]\nevil=administrator x", "1\rPassword=x", "", " 1", "\"1", "1\0"] {
            assert_eq!(with_value("[A]\n", "A", "x", value).unwrap_err().code, Code::BadRequest, "{value:?}");
        }
        for key in ["a=b", "", "[B]", "; x"] {
            assert!(with_value("[A]\n", "A", key, "1").is_err(), "{key:?}");
        }
    }

    proptest! {
        #[test]
        fn an_edit_changes_its_own_key_only(
            entries in proptest::collection::vec(("[a-c]", "[x-z]", "[0-9]{1,3}"), 0..12),
            section in "[a-c]", key in "[x-z]", value in "[a-z$,. =;#]{0,12}[a-z]",
        ) {
            let text: String = entries.iter().map(|(section, key, value)| format!("[{section}]\n; note\n{key} = {value}\n")).collect();
            let Ok(new) = with_value(&text, &section, &key, &value) else { return Ok(()) };
            let (before, after) = (Ini::parse("", &text).unwrap(), Ini::parse("", &new).unwrap());
            for other in ["a", "b", "c"] {
                for name in ["x", "y", "z"] {
                    let expected = if other == section && name == key { Some(value.as_str()) } else { before.get(other, name) };
                    prop_assert_eq!(after.get(other, name), expected);
                }
            }
            let without = Ini::parse("", &without_value(&new, &section, &key)).unwrap();
            prop_assert_eq!(without.get(&section, &key), None);
        }
    }
}
