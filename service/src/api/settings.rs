//! `/api/settings`: reads and changes `licenceserver.conf` by the one table of settings. It never shows or sets a
//! password, and never sets whom the server trusts or which files it opens.

use licence::api::{ChangeSettings, ChangedSettings, SettingInfo};
use licence::error::{Code, Error, Result};
use licence::settings::{self, ServerSettings, Setting};

use super::Call;
use crate::settings::edit;

/// `GET /api/settings`, in the order of the example file; then the lines of the file that no setting belongs to.
pub fn list(call: &Call) -> Result<Vec<SettingInfo>> {
    let (current, remarks) = (call.core.settings.get(), call.core.settings.remarks());
    let known = settings::settings().iter().map(|setting| SettingInfo::of(setting, &current, &remarks, call.lang));
    let lines = remarks.iter().filter(|remark| settings::setting(&remark.section, &remark.key).is_none());
    Ok(known.chain(lines.map(|remark| SettingInfo::of_line(remark, call.lang))).collect())
}

/// `PUT /api/settings`: all changes or none; comments and order of the file stay. No change at all has the file read again at once,
/// as commands do that have changed it.
pub fn change(call: &Call, asked: ChangeSettings) -> Result<ChangedSettings> {
    let mut checked = ServerSettings::default();
    let mut changes: Vec<(&Setting, Option<String>)> = Vec::new();
    for change in asked.settings {
        let setting = find(&change.section, &change.key)?;
        let value = change.value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        if let Some(value) = &value
            && !setting.set(&mut checked, value)
        {
            let allowed = setting.allowed;
            return Err(Error::new(Code::WrongValue).with(setting.key).with(value).with_text(allowed[0], allowed[1]));
        }
        changes.push((setting, value));
    }
    if !changes.is_empty() {
        edit(&call.core.paths, |text| {
            changes.iter().try_fold(text, |text, (setting, value)| match value {
                Some(value) => settings::with_value(&text, setting.section, setting.key, value),
                None => Ok(settings::without_value(&text, setting.section, setting.key)),
            })
        })?;
    }
    call.core.look_around();
    let (current, remarks) = (call.core.settings.get(), call.core.settings.remarks());
    let told = changes.iter().map(|(setting, _)| SettingInfo::of(setting, &current, &remarks, call.lang));
    Ok(ChangedSettings { settings: told.collect() })
}

fn find(section: &str, key: &str) -> Result<&'static Setting> {
    let name = |setting: &Setting| format!("[{}] {}", setting.section, setting.key);
    match settings::setting(section, key) {
        Some(setting) if setting.file_only => Err(Error::new(Code::SettingOfFile).with(name(setting))),
        Some(setting) if !setting.secret => Ok(setting),
        Some(setting) => Err(Error::new(Code::BadRequest).with_text(
            format_args!("{} меняется через PUT /api/password", name(setting)),
            format_args!("{} is changed by PUT /api/password", name(setting)),
        )),
        None => {
            let known: Vec<String> = settings::settings().iter().filter(|one| !one.secret).map(name).collect();
            Err(Error::new(Code::UnknownName).with(format_args!("[{section}] {key}")).with(known.join(", ")))
        }
    }
}
