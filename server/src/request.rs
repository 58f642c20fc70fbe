//! `licenceserver request` and `licenceserver respond`: the same as activate, reserve and update, by files, for a server that the internet
//! does not reach.

use licence::error::{Code, Error, Lang, Result};
use licence::host::files::{self, Access};
use licence::host::output;
use licence::printable;
use serde_json::{Value, json};

use crate::arguments::{Request, Respond, Wish};
use crate::desk::{self, Desk};
use crate::{Outcome, activate, keys, reserve, say, update};

/// Makes a request file.
pub fn run(desk: &Desk, options: &Request, lang: Lang) -> Result<Outcome> {
    let mut order = match &options.wish {
        Wish::Activate(wish) => activate::order(wish)?,
        Wish::Reserve(wish) => json!({
            "KeyNo": wish.key_no,
            "KeyID": wish.series.map(|series| series.to_string()),
            "Reason": wish.reason,
            "Comment": wish.comment,
        }),
        Wish::Update(wish) => json!({ "KeyID": wish.series.map(|series| series.to_string()) }),
    };
    order["Purpose"] = match &options.wish {
        Wish::Activate(_) => "Activate",
        Wish::Reserve(_) => "Reserve",
        Wish::Update(_) => "Update",
    }
    .into();
    let made = desk.json("POST", "/api/requests", Some(&order))?;
    let text = made["Text"].as_str().unwrap_or_default();
    if let Some(path) = &options.out {
        // It may hold an activation code.
        files::write_atomically(path, text.as_bytes(), Access::Private)?;
    } else if !options.shown.json {
        output::print_whole(text).map_err(|e| Error::new(Code::OutputFailed).with(e))?;
        return Ok(Outcome::Done);
    }
    say(&options.shown, &made, || {
        let told = lang.pick(
            "Передайте файл поставщику или загрузите его на странице центра; ответ установит licenceserver respond. Файл:",
            "Give the file to the vendor or upload it at the centre's page; licenceserver respond installs the answer. File:",
        );
        let place = options.out.as_deref().unwrap_or("-".as_ref()).display().to_string();
        format!("{told} {}", printable::line(&place))
    });
    Ok(Outcome::Done)
}

/// Installs an answer.
pub fn respond(desk: &Desk, options: &Respond, lang: Lang) -> Result<Outcome> {
    let text = desk::input(&options.file)?;
    let brought = desk.json("POST", "/api/responses", Some(&json!({ "Text": text })))?;
    say(&options.shown, &brought, || told(&brought, lang));
    Ok(Outcome::Done)
}

fn told(brought: &Value, lang: Lang) -> String {
    match (&brought["Licence"], &brought["Reserve"], &brought["Update"]) {
        (key @ Value::Object(_), ..) => {
            format!("{}\n{}", lang.pick("Лицензия установлена.", "The licence is installed."), keys::line(key, lang))
        }
        (_, given @ Value::Object(_), _) => reserve::told(given, lang),
        (.., news @ Value::Object(_)) => update::told(news, lang),
        _ => format!("{brought:#}"),
    }
}
