//! `licenceserver backup` and `licenceserver restore`: the data folder as one file.

use licence::error::{Code, Error, Lang, Result};
use licence::host::clock::SystemClock;
use licence::host::output;
use licence::host::paths::Paths;
use licence::host::{machine, os};
use licence::printable;
use licence::time::Clock;
use serde_json::json;
use service::backup::{self, Computer, Scene, Summary};

use crate::arguments::{Backup, Restore, Shown};
use crate::desk::Desk;
use crate::{CRYPTO, Outcome, say};

/// Packs the data folder. Works beside a running server: each of its files is replaced whole, and the ledger gives a copy of itself.
pub fn pack(desk: &Desk, paths: &Paths, options: &Backup, lang: Lang) -> Result<Outcome> {
    let ledger = desk.ask("POST", "/api/backup", Some(&json!({})))?;
    let computer = computer();
    let summary = backup::pack(&paths.data, &ledger, &options.file, scene(&computer), &mut progress(lang))?;
    tell(&options.shown, &summary, || {
        format!(
            "{} {}: {} {}, {} {}.\n{}",
            lang.pick("Резервная копия:", "Backup:"),
            printable::line(&options.file.display().to_string()),
            lang.pick("файлов", "files"),
            summary.files,
            lang.pick("байт", "bytes"),
            summary.bytes,
            lang.pick(
                "В ней закрытые ключи сервера: храните её как пароль.",
                "It holds the server's private keys: keep it like a password.",
            )
        )
    })
}

/// Restores the data folder. The server must be stopped.
pub fn restore(paths: &Paths, options: &Restore, lang: Lang) -> Result<Outcome> {
    let computer = computer();
    let (force, scene) = (options.force, scene(&computer));
    let summary = backup::restore(&paths.data, &options.file, force, scene, &mut progress(lang))?;
    tell(&options.shown, &summary, || {
        let mut text = format!(
            "{} {}. {}",
            lang.pick("Восстановлено состояние на", "Restored as of"),
            summary.created,
            lang.pick(
                "Сервер заметит при запуске, что учёт сеансов стал старше: работавшие сеансы вернутся на свои места, а новые лицензии 15 минут не выдаются.",
                "When it starts the server notices that the record of sessions is older: sessions at work get their seats again, and no new licence is given for 15 minutes.",
            )
        );
        if let Some(aside) = &summary.aside {
            text += &format!(
                "\n{} {}",
                lang.pick("Прежние файлы отложены:", "Former files were put aside:"),
                printable::line(&aside.display().to_string())
            );
        }
        text
    })
}

fn computer() -> Computer {
    Computer { name: os::computer_name(), id: machine::read().computer_id(CRYPTO) }
}

fn scene(computer: &Computer) -> Scene<'_> {
    Scene { crypto: CRYPTO, now: SystemClock.now().wall, computer }
}

fn tell(shown: &Shown, summary: &Summary, text: impl FnOnce() -> String) -> Result<Outcome> {
    let json = serde_json::to_value(summary).map_err(|e| Error::new(Code::Internal).with(e))?;
    say(shown, &json, text);
    Ok(Outcome::Done)
}

/// Counts files for somebody at a terminal; scripts see nothing of it.
fn progress(lang: Lang) -> impl FnMut(usize, usize) {
    let shown = output::has_onlooker();
    move |done, total| {
        if shown {
            output::progress(&format!("{} {done}/{total}", lang.pick("Файлы:", "Files:")), done == total);
        }
    }
}
