//! `licenceserver update`: asks the centre for news about the keys of this server.

use licence::error::{Lang, Result};
use serde_json::{Value, json};

use crate::arguments::{Shown, UpdateOrder};
use crate::desk::Desk;
use crate::{Outcome, say};

/// Asks.
pub fn run(desk: &Desk, options: &UpdateOrder, shown: &Shown, lang: Lang) -> Result<Outcome> {
    let order = json!({ "KeyID": options.series.map(|series| series.to_string()) });
    let news = desk.json("POST", "/api/updates", Some(&order))?;
    say(shown, &news, || {
        let updates = news["Updates"].as_array().map(Vec::as_slice).unwrap_or_default();
        if updates.is_empty() {
            return lang.pick("Ключей нет.", "There are no keys.").to_owned();
        }
        updates.iter().map(|update| told(update, lang)).collect::<Vec<_>>().join("\n")
    });
    Ok(Outcome::Done)
}

/// News of one series in words.
pub fn told(update: &Value, lang: Lang) -> String {
    let numbers = |name: &str| {
        let numbers = update[name].as_array().map(Vec::as_slice).unwrap_or_default();
        numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let kinds = [
        ("Updated", lang.pick("обновлены ключи", "updated keys")),
        ("Retired", lang.pick("деактивированы", "retired")),
        ("Revoked", lang.pick("отозваны", "revoked")),
    ];
    let mut parts: Vec<String> = Vec::new();
    for (name, words) in kinds {
        let numbers = numbers(name);
        if !numbers.is_empty() {
            parts.push(format!("{words}: {numbers}"));
        }
    }
    let news =
        if parts.is_empty() { lang.pick("нового нет", "nothing new").to_owned() } else { parts.join("; ") };
    format!("{}: {news}", update["KeyID"].as_str().unwrap_or_default())
}
