//! `/api/settings`: what `licenceserver.conf` says and what it may say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Lang;
use crate::settings::{Effect, Remark, ServerSettings, Setting};

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SettingInfo {
    /// Section of the file.
    pub section: String,
    /// Key in it.
    pub key: String,
    /// Value in force; null for what is not shown.
    pub value: Option<String>,
    /// Allowed values.
    pub allowed: String,
    /// What it means.
    pub about: String,
    /// Whether the value is never shown, and set by `PUT /api/password` or a command.
    pub secret: bool,
    /// Whether it is changed in the file only.
    pub file_only: bool,
    /// Whether a change takes effect after a restart only.
    pub after_restart: bool,
    /// Whether it has any effect here; `false` for a line of the file that no setting belongs to.
    pub used: bool,
    /// Why what the file says is not in force, when it is not.
    pub problem: Option<String>,
}

impl SettingInfo {
    /// A setting with its value in force, and what `remarks` say of its line in the file.
    pub fn of(setting: &Setting, settings: &ServerSettings, remarks: &[Remark], lang: Lang) -> SettingInfo {
        let problem = remarks.iter().find(|one| one.section == setting.section && one.key == setting.key);
        SettingInfo {
            section: setting.section.to_owned(),
            key: setting.key.to_owned(),
            value: (!setting.secret).then(|| setting.value(settings)),
            allowed: lang.pick(setting.allowed[0], setting.allowed[1]).to_owned(),
            about: setting.about.join(" "),
            secret: setting.secret,
            file_only: setting.file_only,
            after_restart: setting.effect == Effect::AfterRestart,
            used: true,
            problem: problem.map(|remark| remark.error.message(lang)),
        }
    }

    /// A line of the file that is no setting, or a wrong account or access code. Its value may be a secret that is misspelt.
    pub fn of_line(remark: &Remark, lang: Lang) -> SettingInfo {
        SettingInfo {
            section: remark.section.clone(),
            key: remark.key.clone(),
            value: None,
            allowed: String::new(),
            about: String::new(),
            secret: false,
            file_only: true,
            after_restart: false,
            used: false,
            problem: Some(remark.error.message(lang)),
        }
    }
}

/// Body of `PUT /api/settings`: all changes are made, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeSettings {
    /// The changes; what is not named stays as it is.
    pub settings: Vec<SettingChange>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SettingChange {
    /// Section of the file.
    pub section: String,
    /// Key in it.
    pub key: String,
    /// The new value; null or empty: the default.
    #[serde(default)]
    pub value: Option<String>,
}

/// Answer of `PUT /api/settings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ChangedSettings {
    /// The settings that were named, with the values in force now.
    pub settings: Vec<SettingInfo>,
}
