//! What of `licenceserver.conf` is not in force as it stands there: wrong values, and names that no setting has. It never shows a
//! value that could be a secret.

use super::table::{FREE_SECTIONS, UNUSED, setting};
use super::{Ini, edit};
use crate::error::{Code, Error};

/// One line of the file that is not in force as it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Section, as the file has it.
    pub section: String,
    /// Key, as the file has it; empty where it may be a secret.
    pub key: String,
    /// [`Code::SettingsWrong`], [`Code::SettingUnknown`] or [`Code::SettingUnused`], with place and what is in force.
    pub error: Error,
}

impl Remark {
    /// Something about the file as a whole.
    pub fn of_file(error: Error) -> Remark {
        Remark { section: String::new(), key: String::new(), error }
    }

    /// Whether it is about the file as a whole.
    pub fn is_of_file(&self) -> bool {
        self.section.is_empty() && self.key.is_empty()
    }

    /// Whether the administrator should do something: a setting of the original server that has no meaning here needs nothing.
    pub fn matters(&self) -> bool {
        self.error.code != Code::SettingUnused
    }

    /// `[Console] AllowedAddresses`.
    pub fn name(&self) -> String {
        format!("[{}] {}", self.section, self.key).trim_end().to_owned()
    }
}

/// Names in the file that no setting has: those of the original server that mean nothing here, and unknown ones, which may be
/// misspelt.
pub fn unknown(ini: &Ini) -> Vec<Remark> {
    let mut found: Vec<Remark> = Vec::new();
    for (section, key) in ini.names() {
        let is_free = FREE_SECTIONS.iter().any(|(name, ..)| name.eq_ignore_ascii_case(section));
        let told =
            found.iter().any(|one| one.section.eq_ignore_ascii_case(section) && one.key.eq_ignore_ascii_case(key));
        if is_free || told || setting(section, key).is_some() {
            continue;
        }
        let of_original = UNUSED
            .iter()
            .find(|(known, name, _)| known.eq_ignore_ascii_case(section) && name.eq_ignore_ascii_case(key));
        let code = if of_original.is_some() { Code::SettingUnused } else { Code::SettingUnknown };
        let line = edit::line_of(&ini.text, section, key);
        let error = Error::new(code).with(&ini.place).with(line).with(format_args!("[{section}] {key}"));
        let error = match of_original {
            Some((.., reason)) => error.with_text(reason[0], reason[1]),
            None => error,
        };
        found.push(Remark { section: section.to_owned(), key: key.to_owned(), error });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::ini;
    use super::*;
    use crate::error::Lang;

    #[test]
    fn a_misspelt_name_is_told_and_its_value_is_not() {
        let remarks = unknown(&ini("[Console]\nPasword=my secret\nPASSWORD=x\n[Consol]\nUserName=a\n"));
        let names: Vec<String> = remarks.iter().map(Remark::name).collect();
        assert_eq!(names, ["[Console] Pasword", "[Consol] UserName"]);
        assert!(remarks.iter().all(|remark| remark.matters() && remark.error.code == Code::SettingUnknown));
        let text = remarks[0].error.cause(Lang::English);
        assert!(text.contains("test.conf, line 2") && text.contains("[Console] Pasword"), "{text}");
        assert!(!format!("{remarks:?}").contains("my secret"));
    }

    #[test]
    fn settings_of_the_original_server_are_told_with_the_reason_and_need_nothing() {
        let text = "[Common]\nSeriesFile=x\n[UPKey]\nEnabled=1\n[Console]\nHideFullStorages=0\n[LicenceUpdate]\nLastUpdate=1\n";
        let remarks = unknown(&ini(text));
        assert_eq!(remarks.len(), UNUSED.len());
        for remark in remarks {
            assert!(remark.error.code == Code::SettingUnused && !remark.matters(), "{remark:?}");
            assert!(!remark.error.cause(Lang::Russian).ends_with(": ."), "{remark:?}");
        }
    }

    #[test]
    fn names_of_the_administrator_s_choice_are_no_settings() {
        assert_eq!(unknown(&ini("[users]\nanna=viewer x\n[AccessCodes]\ncode=1\n[Console]\nusername=a\n")), []);
    }
}
