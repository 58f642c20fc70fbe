//! `licenceserver reserve`: gives a key up for a reserve code.

use licence::error::{Lang, Result};
use licence::printable;
use serde_json::json;

use crate::arguments::{ReserveOrder, Shown};
use crate::desk::Desk;
use crate::{Outcome, say};

/// Asks for the code.
pub fn run(desk: &Desk, options: &ReserveOrder, shown: &Shown, lang: Lang) -> Result<Outcome> {
    let series = options.series.map(|series| format!("?KeyID={series}")).unwrap_or_default();
    let path = format!("/api/licences/{}/reserve{series}", options.key_no);
    let why = json!({ "Reason": options.reason, "Comment": options.comment });
    let given = desk.json("POST", &path, Some(&why))?;
    say(shown, &given, || told(&given, lang));
    Ok(Outcome::Done)
}

/// The code in words.
pub fn told(given: &serde_json::Value, lang: Lang) -> String {
    format!(
        "{} {}\n{}",
        lang.pick("Резервный код:", "Reserve code:"),
        printable::line(given["ReserveCode"].as_str().unwrap_or_default()),
        lang.pick(
            "Ключ здесь больше не действует. Установите код на этом или другом компьютере.",
            "The key counts no more here. Install the code on this or another computer.",
        )
    )
}
