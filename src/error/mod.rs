//! Errors and refusals: a code of the catalogue with the particulars of one occurrence, told in Russian or English.

mod catalogue;
mod plain;

pub use catalogue::Code;
pub use plain::plain;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::printable;

/// Language of a text for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Lang {
    /// Russian, the default.
    #[default]
    #[serde(rename = "ru")]
    Russian,
    /// English.
    #[serde(rename = "en")]
    English,
}

impl Lang {
    /// Russian for `ru`, `ru_RU`, `rus_RUS` and the like and for an empty text; English for everything else.
    pub fn of_locale(locale: &str) -> Lang {
        if locale.is_empty() || locale.to_ascii_lowercase().starts_with("ru") { Lang::Russian } else { Lang::English }
    }

    /// The one of two texts that is in this language.
    pub fn pick<'a>(self, russian: &'a str, english: &'a str) -> &'a str {
        match self {
            Lang::Russian => russian,
            Lang::English => english,
        }
    }
}

/// Longest particular of an error, in characters of each language.
pub const MAX_PARTICULAR: usize = 1_000;
/// Most particulars that are taken from an error that another program sent; no text has more places.
const MAX_PARTICULARS: usize = 8;

/// An error or a refusal: a code and the particulars of this occurrence. Never holds a secret. One that another program sent holds
/// [`plain`] particulars only, whatever it sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Error {
    /// What happened.
    #[serde(rename = "code", deserialize_with = "known_code")]
    #[schemars(with = "String")]
    pub code: Code,
    /// What stands for `{0}`, `{1}` … in the texts.
    #[serde(rename = "args", default, skip_serializing_if = "Vec::is_empty", deserialize_with = "plain_particulars")]
    pub args: Vec<String>,
}

/// A code as it was sent; one that only a newer program knows is a refusal all the same.
fn known_code<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Code, D::Error> {
    let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    let name = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(&name);
    Ok(Code::deserialize(name).unwrap_or(Code::NewerRefusal))
}

/// Particulars as they may be shown: whoever sent them may be anybody.
fn plain_particulars<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<String>, D::Error> {
    let sent = Vec::<String>::deserialize(deserializer)?;
    let particular = |sent: &String| match sent.split_once(LANGUAGES) {
        Some((russian, english)) => {
            format!("{}{LANGUAGES}{}", plain(russian, MAX_PARTICULAR), plain(english, MAX_PARTICULAR))
        }
        None => plain(sent, MAX_PARTICULAR),
    };
    Ok(sent.iter().take(MAX_PARTICULARS).map(particular).collect())
}

/// Result with the catalogue's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How long whoever finds a full queue should wait, in seconds.
const BUSY_WAIT: u64 = 5;
/// Stands between the Russian and the English form of one particular.
const LANGUAGES: char = '\u{1F}';

impl Error {
    /// An error without particulars.
    pub fn new(code: Code) -> Error {
        Error { code, args: Vec::new() }
    }

    /// Adds the next particular.
    #[must_use]
    pub fn with(mut self, arg: impl fmt::Display) -> Error {
        self.args.push(arg.to_string());
        self
    }

    /// Adds a particular that is itself a text for people, in both languages.
    #[must_use]
    pub fn with_text(self, russian: impl fmt::Display, english: impl fmt::Display) -> Error {
        self.with(format_args!("{russian}{LANGUAGES}{english}"))
    }

    /// The cause in words, without class or remedy.
    pub fn cause(&self, lang: Lang) -> String {
        self.fill(lang.pick(self.code.entry().russian[0], self.code.entry().english[0]), lang)
    }

    /// What to do about it.
    pub fn remedy(&self, lang: Lang) -> String {
        self.fill(lang.pick(self.code.entry().russian[1], self.code.entry().english[1]), lang)
    }

    /// After how many seconds the same request may fare better, as HTTP's `Retry-After` tells it; `None` when waiting helps nothing.
    pub fn retry_after(&self) -> Option<u64> {
        match self.code {
            Code::TooManyAttempts => Some(self.args.first().and_then(|wait| wait.parse().ok()).unwrap_or(1).max(1)),
            Code::Busy => Some(BUSY_WAIT),
            _ => None,
        }
    }

    /// Class in brackets, cause, remedy: the form that 1C code and the API's `Message` expect.
    pub fn message(&self, lang: Lang) -> String {
        format!("({}) {} {}", self.code.class(), self.cause(lang), self.remedy(lang))
    }

    fn fill(&self, template: &str, lang: Lang) -> String {
        let mut text = String::with_capacity(template.len() + 32);
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            text.push_str(&rest[..at]);
            let Some(end) = rest[at..].find('}') else { break };
            let arg = rest[at + 1..at + end].parse::<usize>().ok().and_then(|index| self.args.get(index));
            let arg = arg.map_or("", String::as_str);
            let arg = arg.split_once(LANGUAGES).map_or(arg, |(russian, english)| lang.pick(russian, english));
            // A particular may be anybody's word, and is a part of one line.
            text.push_str(&printable::line(arg));
            rest = &rest[at + end + 1..];
        }
        text.push_str(rest);
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(Lang::English))
    }
}

impl std::error::Error for Error {}

impl From<Code> for Error {
    fn from(code: Code) -> Error {
        Error::new(code)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn who_has_to_wait_is_told_how_long() {
        let wait = |error: Error| (error.code.status(), error.retry_after());
        assert_eq!(wait(Error::new(Code::TooManyAttempts).with(17)), (429, Some(17)));
        assert_eq!(wait(Error::new(Code::TooManyAttempts).with(0)), (429, Some(1)));
        assert_eq!(wait(Code::Busy.into()), (503, Some(BUSY_WAIT)));
        assert_eq!(wait(Code::ApiDisabled.into()), (503, None), "waiting does not enable it");
    }

    #[test]
    fn every_code_has_its_row_its_own_number_and_texts_in_both_languages() {
        let mut numbers = HashSet::new();
        for code in Code::all() {
            assert_eq!(code.entry().code, code);
            assert!(numbers.insert(code.number()), "{code:?} repeats a number");
            assert!((400..=599).contains(&code.status()), "{code:?}");
            for text in code.entry().russian.iter().chain(&code.entry().english) {
                assert!(text.len() > 5 && !text.ends_with(' '), "{code:?}: {text}");
            }
            let has_cyrillic = |text: &str| text.chars().any(|c| ('а'..='я').contains(&c));
            assert!(code.entry().russian.iter().any(|text| has_cyrillic(text)), "{code:?}");
            assert!(!code.entry().english.iter().any(|text| has_cyrillic(text)), "{code:?}");
        }
    }

    #[test]
    fn both_languages_name_the_same_particulars() {
        let places = |texts: &[&str; 2]| -> HashSet<char> {
            texts.iter().flat_map(|t| t.split('{').skip(1)).filter_map(|rest| rest.chars().next()).collect()
        };
        for code in Code::all() {
            assert_eq!(places(&code.entry().russian), places(&code.entry().english), "{code:?}");
        }
    }

    #[test]
    fn a_message_begins_with_the_class_in_brackets() {
        let error = Error::new(Code::AllTaken).with("672B").with(5).with(5);
        assert!(error.message(Lang::Russian).starts_with("(EServerResult.ELicenceNotFound) Все лицензии серии 672B"));
        assert!(error.message(Lang::English).contains("5 of 5"));
    }

    #[test]
    fn a_code_of_a_newer_program_is_still_a_refusal() {
        let error = |text| serde_json::from_str::<Error>(text).map(|error| error.code).ok();
        assert_eq!(error(r#"{"code":"AllTaken","args":["1"],"since":7}"#), Some(Code::AllTaken));
        assert_eq!(error(r#"{"code":"MoonInTheWrongPhase"}"#), Some(Code::NewerRefusal));
        assert_eq!(error(r#"{"code":7}"#), None);
    }

    #[test]
    fn what_another_program_sends_is_shown_plain_and_bounded() {
        let read = |args: &[String]| {
            let text = serde_json::json!({ "code": "ServerNotFound", "args": args }).to_string();
            serde_json::from_str::<Error>(&text).unwrap()
        };
        let error = read(&["\u{1B}[2J10.0.0.1\n2026-12-01 forged".into(), "x".repeat(100_000)]);
        assert_eq!(error.args[0], "10.0.0.1 2026-12-01 forged");
        assert_eq!(error.args[1].chars().count(), MAX_PARTICULAR);
        assert_eq!(read(&vec!["x".into(); 10_000]).args.len(), MAX_PARTICULARS);
        let places = Code::all().flat_map(|code| code.entry().english).flat_map(|text| text.split('{').skip(1));
        assert!(places.filter_map(|rest| rest.split('}').next()?.parse::<usize>().ok()).all(|at| at < MAX_PARTICULARS));

        let both = Error::new(Code::BadSession).with_text("ру\u{7}с\u{1F}ский", "eng\u{1B}[1mlish");
        let both = read(&both.args);
        assert_eq!(both.args, ["рус\u{1F}скийenglish"], "one separator of languages is one of a text in two");
    }

    #[test]
    fn particulars_that_look_like_places_are_left_alone() {
        let error = Error::new(Code::NotFound).with("/{0}{1}{");
        assert!(error.cause(Lang::English).contains("/{0}{1}{"));
    }
}
