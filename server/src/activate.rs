//! `licenceserver activate`: exchanges a code for a licence of this server, or asks for a demo licence.

use licence::error::{Code, Error, Lang, Result};
use serde_json::{Value, json};

use crate::arguments::{ActivateOrder, Shown};
use crate::desk::{self, Desk};
use crate::{Outcome, keys, say};

/// Activates.
pub fn run(desk: &Desk, options: &ActivateOrder, shown: &Shown, lang: Lang) -> Result<Outcome> {
    let key = desk.json("POST", "/api/licences", Some(&order(options)?))?;
    say(shown, &key, || {
        format!("{}\n{}", lang.pick("Лицензия установлена.", "The licence is installed."), keys::line(&key, lang))
    });
    Ok(Outcome::Done)
}

/// The wish as the API takes it. A code may come from standard input: a command line can be read by every user of the computer.
pub fn order(options: &ActivateOrder) -> Result<Value> {
    let code = match (options.code.as_deref(), options.demo) {
        (Some("-"), false) => desk::input("-".as_ref())?.lines().next().unwrap_or_default().to_owned(),
        (Some(code), false) => code.to_owned(),
        (None, true) if options.series.is_some() => String::new(),
        _ => {
            return Err(Error::new(Code::BadRequest).with_text(
                "укажите код активации, либо --demo и --series",
                "give an activation code, or --demo with --series",
            ));
        }
    };
    Ok(json!({
        "ActivationCodeString": code,
        "ITN": options.itn,
        "IEC": options.iec,
        "BlankKeyNo": options.blank,
        "KeyID": options.series.map(|series| series.to_string()),
    }))
}
