//! `licenceserver keys`: the keys of this server and why any of them can't be used.

use licence::error::{Lang, Result};
use licence::host::paths::Paths;
use licence::printable;
use licence::settings::ServerSettings;
use serde_json::Value;

use crate::Outcome;
use crate::arguments::Shown;
use crate::desk::{self, Desk};
use crate::say;

/// Lists them: as the running server has them, else as they lie in the data folder.
pub fn run(paths: &Paths, settings: &ServerSettings, options: &Shown, lang: Lang) -> Result<Outcome> {
    let list = match desk::keys_at_rest(paths, settings, lang)? {
        Some(list) => list,
        None => Desk::open(paths, settings, lang)?.json("GET", "/api/licences", None)?,
    };
    say(options, &list, || {
        let keys = list["Licences"].as_array().map(Vec::as_slice).unwrap_or_default();
        if keys.is_empty() {
            return lang.pick("Ключей нет.", "There are no keys.").to_owned();
        }
        keys.iter().map(|key| line(key, lang)).collect::<Vec<_>>().join("\n")
    });
    Ok(Outcome::Done)
}

/// One key in a line: number, kind, licences, end, state.
pub fn line(key: &Value, lang: Lang) -> String {
    let text = |name: &str| match &key[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    if key["KeyNo"].is_null() {
        return printable::line(&format!("{}: {}", text("FileName"), text("OpenError"))).into_owned();
    }
    let kind = match key["KeyType"].as_u64() {
        Some(3) => lang.pick("основной", "main"),
        Some(4) => lang.pick("дополнительный", "additional"),
        _ => lang.pick("демонстрационный", "demo"),
    };
    let end = match key["ExpireDate"].as_str().and_then(|date| date.get(..10)) {
        Some(date) => format!("{} {date}", lang.pick("до", "until")),
        None => lang.pick("бессрочно", "no end").to_owned(),
    };
    let state = match key["OpenError"].as_str() {
        Some(error) => error.split_once(") ").map_or(error, |(_, text)| text),
        None => lang.pick("доступен", "available"),
    };
    let line = format!(
        "{}.{}  {kind}, {} {}, {end}: {state}",
        text("KeyID"),
        text("KeyNo"),
        lang.pick("лицензий", "licences"),
        text("LicenceCount")
    );
    printable::line(&line).into_owned()
}
