//! `/api/settings`: what `licenceserver.conf` says and what it may say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Lang;
use crate::settings::{Effect, ServerSettings, Setting};

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
}

impl SettingInfo {
    /// A setting with its value.
    pub fn of(setting: &Setting, settings: &ServerSettings, lang: Lang) -> SettingInfo {
        SettingInfo {
            section: setting.section.to_owned(),
            key: setting.key.to_owned(),
            value: (!setting.secret).then(|| setting.value(settings)),
            allowed: lang.pick(setting.allowed[0], setting.allowed[1]).to_owned(),
            about: setting.about.join(" "),
            secret: setting.secret,
            file_only: setting.file_only,
            after_restart: setting.effect == Effect::AfterRestart,
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
