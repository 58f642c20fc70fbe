//! The last good settings of a server: what it goes on with when its settings file is gone, empty or cut, as a full disk leaves
//! files. Without them such a file would open what an administrator has closed.
//!
//! A file counts as cut when it has lost a restriction together with a section's header, or with the end of its last line: whoever
//! edits a file on purpose leaves those. What such a file still says is in force.

use serde::{Deserialize, Serialize};

use super::edit;
use super::server::{ServerSettings, USERS};
use super::table::{self, FREE_SECTIONS, Restricts, settings};
use super::{Ini, with_value};
use crate::error::{Code, Error, Result};

const KIND: &str = "SLK-SETTINGS";
const VERSION: u32 = 1;

/// Settings as they are remembered. Passwords in it are hashes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct LastGood {
    #[serde(rename = "Type")]
    kind: String,
    version: u32,
    /// Sections whose headers the file had.
    sections: Vec<String>,
    /// Whether its last line had an end.
    whole_lines: bool,
    values: Vec<Line>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Line {
    section: String,
    key: String,
    value: String,
}

/// None: a file that says nothing gives defaults.
impl Default for LastGood {
    fn default() -> LastGood {
        LastGood { kind: KIND.into(), version: VERSION, sections: Vec::new(), whole_lines: true, values: Vec::new() }
    }
}

impl LastGood {
    /// What to remember of a file that was read whole. `read` is what was read of it, with hashes in place of passwords; the
    /// default password needs no remembering.
    pub fn of(text: &str, ini: &Ini, read: &ServerSettings) -> LastGood {
        let defaults = ServerSettings::default();
        let mut last = LastGood { whole_lines: text.ends_with('\n'), ..LastGood::default() };
        last.sections = edit::headers(text).map(|(_, name)| name.to_owned()).collect();
        for setting in settings().iter().filter(|setting| ini.get(setting.section, setting.key).is_some()) {
            let value = setting.value(read);
            let is_default_password = setting.secret && value == setting.value(&defaults);
            if !value.is_empty() && !is_default_password {
                last.put(setting.section, setting.key, value);
            }
        }
        for (name, user) in &read.users {
            last.put(USERS, name, format!("{} {}", user.role, user.password));
        }
        for (section, ..) in FREE_SECTIONS.iter().filter(|(section, ..)| *section != USERS) {
            ini.entries(section).for_each(|(key, value)| last.put(section, key, value.to_owned()));
        }
        last
    }

    /// What is in force when nobody can tell what was: console and API for this computer, and a password that is none:
    /// `hash` fits nothing.
    pub fn closed(hash: &str) -> LastGood {
        let mut closed = LastGood { whole_lines: false, ..LastGood::default() };
        for setting in settings() {
            // The API asks for a password by itself, and an administrator sets things right there.
            if let Some(value) = setting.closed.filter(|_| setting.restricts != Restricts::Use) {
                closed.put(setting.section, setting.key, value.to_owned());
            } else if setting.secret {
                closed.put(setting.section, setting.key, hash.to_owned());
            }
        }
        closed
    }

    fn put(&mut self, section: &str, key: &str, value: String) {
        self.values.push(Line { section: section.to_owned(), key: key.to_owned(), value });
    }

    /// Reads the text of the file `place`.
    ///
    /// # Errors
    /// [`Code::DocumentDamaged`], [`Code::DocumentVersion`]; nothing of the text is quoted.
    pub fn parse(place: &str, text: &str) -> Result<LastGood> {
        let damaged = |e: serde_json::Error| {
            Error::new(Code::DocumentDamaged).with(place).with(format_args!("line {}", e.line()))
        };
        let last: LastGood = serde_json::from_str(text).map_err(damaged)?;
        if last.kind == KIND && last.version == VERSION {
            Ok(last)
        } else {
            Err(Error::new(Code::DocumentVersion).with(place).with(last.version))
        }
    }

    /// Its text.
    pub fn write(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|e| Error::new(Code::Internal).with(e))
    }

    /// The settings of a file: what it says, and, where it is gone (`None`) or cut, the last good settings for all that it
    /// does not say; then with [`Code::SettingsIncomplete`]. `place` names the file.
    ///
    /// # Errors
    /// [`Code::SettingsWrong`] for a text that is no ini file and was not cut either.
    pub fn complete(&self, place: &str, text: Option<&str>) -> Result<(Ini, Option<Error>)> {
        let whole = text.unwrap_or_default();
        let Some(cause) = self.cut(place, text)? else { return Ok((Ini::parse(place, whole)?, None)) };
        let said = self.said(whole);
        // Lines are counted in the file, what precedes is only remembered.
        let ini = Ini { text: whole.to_owned(), ..Ini::parse(place, &format!("{}\n{said}", self.text()))? };
        Ok((ini, Some(Error::new(Code::SettingsIncomplete).with(place).with_text(&cause[0], &cause[1]))))
    }

    /// The text of a cut file made whole again, for who is going to change it. What can't be read of it is left out.
    pub fn mended(&self, text: &str) -> String {
        let mut mended = self.text();
        if let Ok(said) = Ini::parse("", self.said(text)) {
            for (section, key) in said.names() {
                let value = said.get(section, key).unwrap_or_default();
                mended = with_value(&mended, section, key, value).unwrap_or(mended);
            }
        }
        mended
    }

    /// The remembered settings as a file with every section and all comments.
    fn text(&self) -> String {
        let write =
            |text: String, line: &Line| with_value(&text, &line.section, &line.key, &line.value).unwrap_or(text);
        self.values.iter().fold(table::example(), write)
    }

    /// What can be relied on in a cut file: from its first header to the end of its last whole line.
    fn said<'a>(&self, text: &'a str) -> &'a str {
        let end = if self.is_unfinished(text) { text.rfind('\n').map_or(0, |at| at + 1) } else { text.len() };
        let text = &text[..end];
        edit::headers(text).next().map_or("", |(at, _)| &text[at..])
    }

    /// Whether a file has lost a restriction. Of who gets in always; of what is served only where the rest of the file is as it
    /// was, for switching a part of the server on again is an everyday change.
    fn is_opened_by(&self, ini: &Ini) -> bool {
        let read = ServerSettings::read(ini).0;
        let is_as_it_was = |line: &Line| match table::setting(&line.section, &line.key) {
            Some(setting) if !setting.secret => !line.is_in(ini) || setting.value(&read) == line.value,
            _ => true,
        };
        self.values.iter().filter(|line| !line.is_in(ini)).any(|line| match line.restricts() {
            Restricts::Access => true,
            Restricts::Use => self.values.iter().all(is_as_it_was),
            Restricts::Nothing => false,
        })
    }

    fn is_unfinished(&self, text: &str) -> bool {
        self.whole_lines && !text.ends_with('\n')
    }

    /// Why a file counts as cut, in Russian and English; `None` for one that says what somebody meant.
    fn cut(&self, place: &str, text: Option<&str>) -> Result<Option<[String; 2]>> {
        let words = |russian: &str, english: &str| Ok(Some([russian.to_owned(), english.to_owned()]));
        if self.values.is_empty() {
            return Ok(None);
        }
        let Some(text) = text else { return words("файла настроек нет", "the settings file is gone") };
        if text.trim_matches(|c: char| c.is_whitespace() || c == '\0').is_empty() {
            return words("файл настроек пуст", "the settings file is empty");
        }
        let headers: Vec<&str> = edit::headers(text).map(|(_, name)| name).collect();
        if headers.is_empty() {
            return words("в файле настроек нет ни одного раздела", "the settings file has no section");
        }
        let unfinished = self.is_unfinished(text);
        let ini = match Ini::parse(place, text) {
            Err(error) if !unfinished || Ini::parse(place, self.said(text)).is_err() => return Err(error),
            parsed => parsed.ok(),
        };
        let missing: Vec<String> = (self.sections.iter())
            .filter(|name| !headers.iter().any(|header| header.eq_ignore_ascii_case(name)))
            .map(|name| format!("[{name}]"))
            .collect();
        let loses = ini.as_ref().is_none_or(|ini| self.is_opened_by(ini));
        if loses && !missing.is_empty() {
            let missing = missing.join(", ");
            return words(
                &format!("файл настроек обрезан, пропали разделы {missing}"),
                &format!("the settings file is cut, sections {missing} are missing"),
            );
        }
        if unfinished && (loses || self.values.iter().any(|line| line.is_cut_by(text))) {
            return words(
                "файл настроек обрезан, последняя строка не закончена",
                "the settings file is cut, its last line has no end",
            );
        }
        Ok(None)
    }
}

impl Line {
    /// What this line closes and the default would open.
    fn restricts(&self) -> Restricts {
        let setting = table::setting(&self.section, &self.key);
        let differs = setting.filter(|one| one.value(&ServerSettings::default()) != self.value);
        differs.map_or(Restricts::Nothing, |one| one.restricts)
    }

    fn is_in(&self, ini: &Ini) -> bool {
        ini.get(&self.section, &self.key).is_some()
    }

    /// Whether the last line of a text is the beginning of this one.
    fn is_cut_by(&self, text: &str) -> bool {
        let last = text.rsplit('\n').next().unwrap_or_default();
        last.split_once('=').is_some_and(|(key, value)| {
            let value = value.trim();
            key.trim().eq_ignore_ascii_case(&self.key)
                && value.len() < self.value.len()
                && self.value.starts_with(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Authorization;
    use super::*;
    use crate::error::Lang;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$MDAwMDAwMDAwMDAwMDAwMA$AAAA";

    fn file() -> String {
        format!(
            "[Common]\nServerPort=7\nLang=en\n[Console]\nUserName=root\nPassword={HASH}\nLocalAccessOnly=1\nAuthorization=1\n\
             [API]\nEnabled=0\n[Users]\nanna=viewer {HASH}\n[AccessCodes]\ncode=5\n"
        )
    }

    fn last(text: &str) -> LastGood {
        let ini = Ini::parse("x", text).unwrap();
        LastGood::of(text, &ini, &ServerSettings::read(&ini).0)
    }

    /// What is in force by a file after [`file`], and whether it counts as cut.
    fn read(text: Option<&str>) -> (ServerSettings, bool) {
        let (ini, cut) = last(&file()).complete("x", text).unwrap();
        (ServerSettings::read(&ini).0, cut.is_some())
    }

    #[test]
    fn a_file_that_is_gone_or_says_nothing_leaves_all_as_it_was() {
        let whole = ServerSettings::read(&Ini::parse("x", &file()).unwrap()).0;
        for text in [
            None,
            Some(""),
            Some(" \r\n\t\n"),
            Some("\0\0\0\0"),
            Some("; only a comment\n"),
            Some("LocalAccessOnly=0\n"),
        ] {
            assert_eq!(read(text), (whole.clone(), true), "{text:?}");
        }
        assert_eq!(read(Some(&file())), (whole, false));
        let none = LastGood::default().complete("x", None).unwrap();
        assert_eq!((ServerSettings::read(&none.0).0, none.1), (ServerSettings::default(), None), "a new server");
        assert!(LastGood::default().complete("x", Some("nonsense")).is_err());
    }

    #[test]
    fn wherever_a_file_is_cut_no_restriction_goes() {
        let text = file();
        let whole = read(Some(&text)).0;
        for end in 0..text.len() {
            let (read, cut) = read(Some(&text[..end]));
            let restrictions =
                |s: &ServerSettings| (s.local_only, s.authorization, s.user.clone(), s.password.clone(), s.api);
            // Where it was cut behind the last restriction nobody can tell, and nothing opens.
            assert_eq!(restrictions(&read), restrictions(&whole), "{end}: {:?}", &text[..end]);
            assert!(cut || text[..end].contains("Enabled=0"), "{end}");
        }
    }

    #[test]
    fn what_somebody_has_changed_on_purpose_is_in_force() {
        let without = |line: &str| file().replace(line, "");
        let (open, cut) = read(Some(&without("LocalAccessOnly=1\n")));
        assert!(!open.local_only && open.authorization == Authorization::Always && !cut);
        let (read_again, cut) = read(Some(&without(&format!("anna=viewer {HASH}\n"))));
        assert!(read_again.users.is_empty() && !cut, "an account that was removed");
        let (open, cut) = read(Some(&file().replace("[Users]\n", "").replace(&format!("anna=viewer {HASH}\n"), "")));
        assert!(open.users.is_empty() && !cut, "a section without restrictions may go");
        let end = file().find("[API]").unwrap();
        let (_, cut) = read(Some(&file()[..end]));
        let (open, changed) = read(Some(&file()[..end].replace("Lang=en", "Lang=ru")));
        assert!(cut && open.api && !changed, "who changes the rest as well means it");
        assert_eq!(
            read(Some(&table::example())),
            (ServerSettings::default(), false),
            "all headers: the defaults are meant"
        );
    }

    #[test]
    fn what_a_cut_file_still_says_counts() {
        let (reset, cut) = read(Some("[Console]\nPassword=admin\n"));
        assert!(cut && reset.password == "admin" && reset.user == "root" && reset.local_only && reset.port == 7);
        let (named, cut) = read(Some("[Console]\nLocalAccessOnly=0\n[Users]\nbob=viewer x\n"));
        assert!(cut && !named.local_only && named.users.len() == 2, "the rest of the restrictions stays");
    }

    #[test]
    fn a_cut_file_is_made_whole_before_it_is_changed() {
        let last = last(&file());
        let mended = last.mended("[Console]\nPassword=new password\nLocalAcc");
        let (ini, cut) = last.complete("x", Some(&mended)).unwrap();
        let read = ServerSettings::read(&ini).0;
        assert!(cut.is_none() && read.password == "new password" && read.local_only && read.users.contains_key("anna"));
        assert_eq!(read.port, 7);
    }

    #[test]
    fn it_is_written_and_read_without_plain_passwords() {
        let last = last(&file());
        assert!(LastGood::parse("x", &last.write().unwrap()).unwrap() == last);
        let error = LastGood::parse("x", &last.write().unwrap().replace("[", "{")).err().unwrap();
        assert!(error.code == Code::DocumentDamaged && !error.cause(Lang::English).contains("argon2"));
        assert!(
            !super::LastGood::of("", &Ini::default(), &ServerSettings::default()).write().unwrap().contains("admin")
        );
        let (ini, cut) = LastGood::closed(HASH).complete("x", None).unwrap();
        let closed = ServerSettings::read(&ini).0;
        assert!(cut.is_some() && closed.local_only && closed.password == HASH);
        assert_eq!((closed.authorization, closed.tls.required), (Authorization::Always, true));
        let (_, cut) = LastGood::closed(HASH).complete("x", Some("[Common]\nLang=en")).unwrap();
        assert!(cut.is_none(), "a file that says something is believed");
    }
}
