//! Settings: the table of everything that `licenceserver.conf` and `licenceaddin.conf` may say, and the order in which the
//! component's sources of parameters win. Text in, values out; files are read elsewhere.

mod component;
mod edit;
mod last_good;
mod network;
mod remark;
mod server;
mod table;

use crate::error::{Code, Error, Result};

pub use component::{Connect, Endpoint, component_parameters};
pub use edit::{with_value, without_value};
pub use last_good::LastGood;
pub use network::Network;
pub use remark::Remark;
pub use server::{Authorization, Limits, Role, ServerSettings, Tls, USERS, User};
pub use table::{Effect, Restricts, Setting, example, setting, settings};

/// The standard port of a server.
pub const DEFAULT_PORT: u16 = 9099;
/// Largest settings file that is read, in bytes.
pub const MAX_FILE: u64 = 1024 * 1024;

/// An ini file as read: sections and their keys, found without regard to case.
#[derive(Debug, Clone, Default)]
pub struct Ini {
    place: String,
    ini: ini::Ini,
    text: String,
}

/// Whether a line is neither empty nor a header, a comment, or one that sets a key.
fn says_nothing(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with([';', '#', '[']) && !line.contains(['=', ':', '"'])
}

/// Whether a value goes on with a comment: that stands on a line of its own, as values may hold its sign.
fn has_comment(value: &str) -> bool {
    value.split([' ', '\t']).skip(1).any(|word| word.starts_with([';', '#']))
}

/// What is told of such a value, in Russian and English.
const COMMENT: [&str; 2] = ["; комментарий пишите отдельной строкой", "; a comment stands on a line of its own"];

impl Ini {
    /// Parses an ini text in UTF-8 (a byte-order mark is skipped). `place` names the file in errors.
    pub fn parse(place: &str, text: &str) -> Result<Ini> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // Windows paths hold backslashes, so they are no escapes here.
        let options = ini::ParseOption { enabled_escape: false, ..ini::ParseOption::default() };
        let wrong = |line: usize| {
            Error::new(Code::SettingsWrong)
                .with(place)
                .with(line)
                .with_text("ожидается [раздел] или ключ=значение", "[section] or key=value is expected")
        };
        // The parser would look for the bracket or the sign on later lines and swallow what stands there.
        let is_open = |line: &str| line.trim_start().starts_with('[') && !line.contains(']');
        if let Some(at) = text.lines().position(|line| is_open(line) || says_nothing(line)) {
            return Err(wrong(at + 1));
        }
        let ini = ini::Ini::load_from_str_opt(text, options).map_err(|e| wrong(e.line))?;
        Ok(Ini { place: place.to_owned(), ini, text: text.to_owned() })
    }

    /// The value of a key, trimmed; an empty one counts as absent.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        let same = |name: Option<&str>| name.is_some_and(|name| name.trim().eq_ignore_ascii_case(section));
        self.ini
            .iter()
            .filter(|(name, _)| same(*name))
            .flat_map(|(_, properties)| properties.iter())
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case(key))
            .map(|(_, value)| value.trim())
            .rfind(|value| !value.is_empty())
    }

    /// All names and values of a section, trimmed, in the order of the file.
    fn entries(&self, section: &str) -> impl Iterator<Item = (&str, &str)> {
        let same = move |name: Option<&str>| name.is_some_and(|name| name.trim().eq_ignore_ascii_case(section));
        let sections = self.ini.iter().filter(move |(name, _)| same(*name));
        sections.flat_map(|(_, properties)| properties.iter()).map(|(name, value)| (name.trim(), value.trim()))
    }

    /// All sections and their keys, trimmed, in the order of the file; keys before any section have none.
    fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        let sections = self.ini.iter().map(|(section, keys)| (section.unwrap_or_default().trim(), keys));
        sections.flat_map(|(section, keys)| keys.iter().map(move |(key, _)| (section, key.trim())))
    }

    /// Whether the section is there.
    pub fn has_section(&self, section: &str) -> bool {
        self.ini.sections().flatten().any(|name| name.trim().eq_ignore_ascii_case(section))
    }

    /// Number of the line, from 1, that sets a key; 0 when none does.
    fn line_of(&self, section: &str, key: &str) -> usize {
        edit::line_of(&self.text, section, key)
    }

    fn read<T>(&self, section: &str, key: &str, default: T, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let Some(value) = self.get(section, key) else { return Ok(default) };
        parse(value).ok_or_else(|| {
            let line = self.line_of(section, key);
            let [russian, english] = if has_comment(value) { COMMENT } else { ["", ""] };
            Error::new(Code::SettingsWrong).with(&self.place).with(line).with_text(
                format_args!("[{section}] {key}={value}{russian}"),
                format_args!("[{section}] {key}={value}{english}"),
            )
        })
    }
}

/// Yes or no as administrators write it.
pub fn flag(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "да" | "истина" => Some(true),
        "0" | "false" | "no" | "off" | "нет" | "ложь" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn ini(text: &str) -> Ini {
        Ini::parse("test.conf", text).unwrap()
    }

    #[test]
    fn a_backslash_in_a_value_is_itself() {
        assert_eq!(ini("[Common]\nSeriesFile=C:\\new\\table").get("Common", "SeriesFile"), Some("C:\\new\\table"));
    }

    #[test]
    fn lines_are_counted_from_one_and_one_that_says_nothing_swallows_no_other() {
        let error = Ini::parse("a.conf", "[Common]\r\nLang=en\r\n[Console\r\nUserName=a\r\n").unwrap_err();
        assert!(error.args[1] == "3" && !error.to_string().contains("Some("), "{error}");
        let error = Ini::parse("a.conf", "\u{feff}[Console]\r\nLocalAccessOnly 1\r\nPassword=x\r\n").unwrap_err();
        assert_eq!((error.code, error.args[1].as_str()), (Code::SettingsWrong, "2"), "{error}");
        assert!(has_comment("1 ; yes") && has_comment("a\t#b") && !has_comment("a;b, #c".trim_end_matches("#c")));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).{0,200}") {
            if let Ok(ini) = Ini::parse("x", &text) {
                let _ = ServerSettings::read(&ini);
                let _ = component_parameters(Some(&ini), crate::id::KeyId(0x672B), &Connect::default());
            }
            let _ = Connect::parse(&text).map(|connect| connect.endpoints());
            let _ = with_value(&text, "Console", "Password", "x");
        }
    }
}
