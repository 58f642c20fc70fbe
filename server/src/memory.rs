//! `licenceserver memory`: what closes the memory of a key, and taking its passwords away.

use licence::error::{Lang, Result};
use serde_json::Value;

use crate::arguments::{MemoryOrder, Shown};
use crate::desk::Desk;
use crate::{Outcome, say};

/// Tells of the memory, or takes its passwords away first.
pub fn run(desk: &Desk, options: &MemoryOrder, shown: &Shown, lang: Lang) -> Result<Outcome> {
    let series = options.series.map(|series| format!("?KeyID={series}")).unwrap_or_default();
    let (method, act) = if options.reset_passwords { ("DELETE", "/passwords") } else { ("GET", "") };
    let path = format!("/api/licences/{}/memory{act}{series}", options.key_no);
    let memory = desk.json(method, &path, None)?;
    say(shown, &memory, || told(&memory, options.reset_passwords, lang));
    Ok(Outcome::Done)
}

fn told(memory: &Value, was_reset: bool, lang: Lang) -> String {
    let set = |name: &str| match memory[name].as_bool() {
        Some(true) => lang.pick("задан", "set"),
        _ => lang.pick("нет", "none"),
    };
    let state = format!(
        "{} {}, {}: {}, {}: {}",
        lang.pick("Записано знаков:", "Characters written:"),
        memory["Length"],
        lang.pick("пароль на чтение", "password for reading"),
        set("ReadPassword"),
        lang.pick("пароль на запись", "password for writing"),
        set("WritePassword"),
    );
    match was_reset {
        true => format!("{}\n{state}", lang.pick("Пароли памяти сброшены.", "The memory has no passwords any more.")),
        false => state,
    }
}
