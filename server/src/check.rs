//! `licenceserver check`: looks at the store of this installation while no server uses it, and puts a damaged one aside when it
//! is told to. It never repairs anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use licence::error::{Code, Error, Lang, Result};
use licence::host::paths::Paths;
use licence::host::{files, output};
use licence::key::Key;
use licence::printable;
use licence::time::Clock;
use licence::{KeyNo, SeriesId};
use serde_json::json;
use service::ledger::check::{self, Report};

use crate::arguments::Check;
use crate::{CRYPTO, Outcome};

/// Largest licence file that is read, in bytes.
const MAX_LICENCE: u64 = 1024 * 1024;

/// Looks, tells, and puts the store aside if that is asked for and there is a reason.
pub fn run(paths: &Paths, lang: Lang, options: &Check) -> Result<Outcome> {
    let mut report = match check::inspect(&paths.data) {
        Ok(report) => report,
        Err(error) if error.code == Code::StoreOwned => {
            let text = lang.pick(
                "Сервер СЛК работает, хранилище проверяют после его остановки. Состояние сервера: licenceserver status.",
                "The licence server runs; its store is checked while it is stopped. State of the server: licenceserver status.",
            );
            say(options, &json!({ "InUse": true }), text);
            return Ok(Outcome::InUse);
        }
        Err(error) => return Err(error),
    };
    report.compare(&licences(&paths.data));
    let aside = match options.set_aside {
        true => set_aside(paths, &report)?,
        false => Vec::new(),
    };
    let mut json = serde_json::to_value(&report).map_err(|e| Error::new(Code::Internal).with(e))?;
    json["Good"] = report.problems.is_empty().into();
    json["SetAside"] = json!(aside);
    say(options, &json, &text(&report, &aside, lang));
    let good = report.problems.is_empty() || !aside.is_empty();
    Ok(if good { Outcome::Done } else { Outcome::Unhealthy })
}

fn say(options: &Check, json: &serde_json::Value, text: &str) {
    if options.json { output::print_json(json) } else { output::print(text) }
}

/// A good store is not given up: its sessions would be forgotten for nothing.
fn set_aside(paths: &Paths, report: &Report) -> Result<Vec<String>> {
    if report.problems.is_empty() {
        let error = Error::new(Code::BadRequest);
        return Err(error.with_text(
            "хранилище исправно, откладывать его незачем",
            "the store is good, there is no reason to set it aside",
        ));
    }
    let moved = check::set_aside(&paths.data, licence::host::clock::SystemClock.now().wall)?;
    Ok(moved.iter().map(|path| path.display().to_string()).collect())
}

/// Seats that the genuine licences in the data folder give. What can't be read gives none: the server tells why.
fn licences(folder: &Path) -> BTreeMap<(SeriesId, KeyNo), u32> {
    let mut seats: BTreeMap<(SeriesId, KeyNo), (u32, u32)> = BTreeMap::new();
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    for path in files.filter(|path| path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("licence"))) {
        let place = path.display().to_string();
        let key = files::read_text(&path, MAX_LICENCE).and_then(|text| Key::read(CRYPTO, &place, &text));
        let Ok(Key { licence, series, .. }) = key else { continue };
        let found = (licence.issue, licence.licence_count);
        let known = seats.entry((series, licence.key_no)).or_insert(found);
        *known = found.max(*known);
    }
    seats.into_iter().map(|(key, (_, seats))| (key, seats)).collect()
}

fn text(report: &Report, aside: &[String], lang: Lang) -> String {
    let mut lines = vec![format!("{} {}", lang.pick("Хранилище:", "Store:"), report.file.display())];
    let Some(size) = report.size else {
        lines.push(
            lang.pick(
                "Его ещё нет: сервер создаст его при запуске.",
                "There is none yet: the server makes it when it starts.",
            )
            .into(),
        );
        return printable::lines(&lines);
    };
    let unknown = || "?".to_owned();
    lines.push(format!(
        "{} {size}, {} {}, {} {}",
        lang.pick("Байт:", "Bytes:"),
        lang.pick("схема:", "schema:"),
        report.schema.map_or_else(unknown, |schema| schema.to_string()),
        lang.pick("запись №", "commit:"),
        report.sequence.map_or_else(unknown, |sequence| sequence.to_string()),
    ));
    lines.push(format!(
        "{} {}, {} {}",
        lang.pick("Сеансов:", "Sessions:"),
        report.sessions,
        lang.pick("записей о прошлом:", "records of the past:"),
        report.notes,
    ));
    for key in &report.keys {
        lines.push(format!(
            "  {} {} ({}): {} {}",
            lang.pick("ключ", "key"),
            key.key_no,
            key.series.key_id,
            lang.pick("занято мест:", "seats held:"),
            key.seats
        ));
    }
    if report.problems.is_empty() {
        lines.push(lang.pick("Ошибок нет.", "No problems.").into());
    } else {
        lines.push(lang.pick("Ошибки:", "Problems:").into());
        lines.extend(report.problems.iter().map(|problem| format!("  - {}", problem.text(lang))));
    }
    if !aside.is_empty() {
        lines.push(lang.pick("Отложено:", "Set aside:").into());
        lines.extend(aside.iter().map(|path| format!("  {path}")));
        lines.push(
            lang.pick(
                "Прежние сеансы забыты. Сервер заметит это при запуске: работавшие сеансы вернутся на свои места, а новые лицензии 15 минут не выдаются.",
                "Former sessions are forgotten. The server notices it when it starts: sessions at work get their seats again, and no new licence is given for 15 minutes.",
            )
            .into(),
        );
    } else if !report.problems.is_empty() {
        lines.push(
            lang.pick(
                "Восстановите файл из копии; если её нет: licenceserver check --set-aside отложит его, и сервер начнёт новый.",
                "Restore the file from a copy; if there is none, licenceserver check --set-aside puts it aside and the server begins a new one.",
            )
            .into(),
        );
    }
    printable::lines(&lines)
}
