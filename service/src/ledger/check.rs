//! Looking at a store that no server uses: whether it can be read, makes sense and fits the licences. Changes nothing, but for
//! [`set_aside`], which an administrator asks for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use licence::accounting::{Asker, Seat, SessionRecord};
use licence::error::{Code, Error, Lang, Result};
use licence::{KeyNo, SeriesId, SessionId, Time};
use rusqlite::{Connection, OpenFlags, Row};
use serde::{Serialize, Serializer};

use super::notes;
use super::origin;
use super::parameters;
use super::schema::{self, APPLICATION, MIGRATIONS};
use super::store::{self, FILE, failed};

/// How many problems are told at most.
const MAX_PROBLEMS: usize = 100;

/// Something that is wrong, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    russian: String,
    english: String,
}

impl Problem {
    /// A problem in both languages.
    pub fn new(russian: impl Display, english: impl Display) -> Problem {
        Problem { russian: russian.to_string(), english: english.to_string() }
    }

    /// Its text.
    pub fn text(&self, lang: Lang) -> &str {
        lang.pick(&self.russian, &self.english)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([("ru", &self.russian), ("en", &self.english)])
    }
}

/// Seats that the store has on one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeySeats {
    /// Series of the key.
    #[serde(flatten)]
    pub series: SeriesId,
    /// Its number.
    pub key_no: KeyNo,
    /// Seats held.
    pub seats: u64,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes, its journal included; `None` when there is no store yet.
    pub size: Option<u64>,
    /// Version of its schema.
    pub schema: Option<i64>,
    /// Number of its last commit.
    pub sequence: Option<u64>,
    /// Sessions that can be read.
    pub sessions: u64,
    /// Their seats, by keys.
    pub keys: Vec<KeySeats>,
    /// Records of refusals, usage and acts.
    pub notes: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Report {
    fn tell(&mut self, russian: impl Display, english: impl Display) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem::new(russian, english));
        }
    }

    /// Compares seats with what the licences in the data folder give: `licences` has every genuine key with its seats.
    pub fn compare(&mut self, licences: &BTreeMap<(SeriesId, KeyNo), u32>) {
        for KeySeats { series, key_no, seats } in self.keys.clone() {
            let (key_id, given) = (series.key_id, licences.get(&(series, key_no)).copied());
            match given {
                None => self.tell(
                    format_args!("мест {seats} числится за ключом {key_no} серии {key_id}, лицензии на который в папке данных нет"),
                    format_args!("{seats} seats are on key {key_no} of series {key_id}, of which the data folder has no licence"),
                ),
                Some(given) if seats > u64::from(given) => self.tell(
                    format_args!("за ключом {key_no} серии {key_id} числится мест: {seats}, лицензия даёт {given}"),
                    format_args!("{seats} seats are on key {key_no} of series {key_id}, its licence gives {given}"),
                ),
                Some(_) => {}
            }
        }
    }
}

/// Looks at the store of `folder`, whose owner this process becomes meanwhile.
///
/// Errors: [`Code::StoreOwned`] while a server uses it, [`Code::NetworkStore`], [`Code::FileFailed`]. What is wrong with the store itself
/// is in the report.
pub fn inspect(folder: &Path) -> Result<Report> {
    let path = folder.join(FILE);
    let mut report = Report { file: path.clone(), ..Report::default() };
    // Looking at a folder that isn't there must not make one.
    if !exists(folder)? {
        return Ok(report);
    }
    let _owner = store::own(folder)?;
    let journal = journal(&path);
    if !exists(&path)? {
        if exists(&journal)? {
            report.size = Some(size(&journal));
            report.tell(
                format_args!("файла хранилища нет, остался только его журнал {}", journal.display()),
                format_args!("the store's file is gone, only its journal {} is left", journal.display()),
            );
        }
        return Ok(report);
    }
    report.size = Some(size(&path) + size(&journal));
    if let Err(error) = look(&path, &mut report) {
        // The cause stands in the error beside the path, which the report has already.
        let cause = |lang| match error.code {
            Code::StoreDamaged | Code::StoreFailed => error.args.last().cloned().unwrap_or_default(),
            _ => error.cause(lang),
        };
        let (russian, english) = (cause(Lang::Russian), cause(Lang::English));
        let (russian, english) = (russian.split(';').next(), english.split(';').next());
        report.tell(
            format_args!("файл не читается: {}", russian.unwrap_or_default()),
            format_args!("the file can't be read: {}", english.unwrap_or_default()),
        );
    }
    Ok(report)
}

fn look(path: &Path, report: &mut Report) -> Result<()> {
    licence::host::files::open(path).map_err(|e| licence::host::files::failed(path, &e))?;
    let failed = |e| failed(path, e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    // The journal stays as it is, and so does the file.
    store::keep_journal(&connection, true).map_err(failed)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(failed)?;
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
    if number("application_id")? != APPLICATION {
        report.tell("это не хранилище сервера лицензий", "it is not a store of the licence server");
        return Ok(());
    }
    let version = number("user_version")?;
    report.schema = Some(version);
    let Some(steps) = usize::try_from(version).ok().and_then(|version| MIGRATIONS.get(..version)) else {
        let error = Error::new(Code::StoreVersion).with(path.display()).with(version);
        report.tell(error.cause(Lang::Russian), error.cause(Lang::English));
        return Ok(());
    };
    for verdict in verdicts(&connection).map_err(failed)? {
        report.tell(format_args!("проверка файла: {verdict}"), format_args!("check of the file: {verdict}"));
    }
    compare_schema(&connection, steps, report).map_err(failed)?;
    let sequence = "SELECT value FROM counter WHERE name = 'sequence'";
    report.sequence =
        Some(connection.query_row(sequence, [], |row| row.get::<_, i64>(0)).map_err(failed)?.cast_unsigned());
    look_at_sessions(&connection, version, report).map_err(failed)?;
    if version >= 2 {
        read_all(&connection, "denial", "SELECT * FROM denial", |row| notes::denial_of(row).map(drop), report)
            .map_err(failed)?;
        read_all(&connection, "history", "SELECT * FROM history", |row| notes::interval_of(row).map(drop), report)
            .map_err(failed)?;
        let acts = "SELECT at, user, address, act, object, status, error FROM audit";
        read_all(&connection, "audit", acts, |row| notes::act_of(row).map(drop), report).map_err(failed)?;
    }
    if version >= 3 {
        let all = "SELECT key_id, root, name, value FROM parameter";
        read_all(&connection, "parameter", all, |row| parameters::assignment_of(row).map(drop), report)
            .map_err(failed)?;
    }
    if version >= 4 {
        origin::read(&connection).map_err(failed)?;
        let all = "SELECT base, found, finding FROM rollback";
        let mut notes = Report::default();
        read_all(&connection, "rollback", all, |row| origin::rollback_of(row).map(drop), &mut notes).map_err(failed)?;
        report.problems.append(&mut notes.problems);
    }
    Ok(())
}

fn verdicts(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({MAX_PROBLEMS})"))?;
    let verdicts = statement.query_map([], |row| row.get::<_, String>(0))?;
    verdicts.filter(|verdict| verdict.as_ref().map_or(true, |text| text != "ok")).collect()
}

/// Tables, indexes, triggers and views must be those that our own steps make.
fn compare_schema(connection: &Connection, steps: &[&str], report: &mut Report) -> rusqlite::Result<()> {
    let model = Connection::open_in_memory()?;
    for step in steps {
        model.execute_batch(step)?;
    }
    let (ours, found) = (objects(&model)?, objects(connection)?);
    for (name, text) in &found {
        if ours.get(name) != Some(text) {
            report.tell(format_args!("чужое содержимое: {name}"), format_args!("foreign content: {name}"));
        }
    }
    for name in ours.keys().filter(|name| !found.contains_key(*name)) {
        report.tell(format_args!("нет таблицы или индекса {name}"), format_args!("table or index {name} is missing"));
    }
    Ok(())
}

/// Everything that the schema of a database has, with the text that made it; white space doesn't count.
fn objects(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema")?;
    let object = |row: &Row<'_>| {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        let text: Option<String> = row.get(2)?;
        let words: Vec<&str> = text.as_deref().unwrap_or_default().split_whitespace().collect();
        Ok((format!("{kind} {name}"), words.join(" ")))
    };
    statement.query_map([], object)?.collect()
}

fn look_at_sessions(connection: &Connection, version: i64, report: &mut Report) -> rusqlite::Result<()> {
    // Displaced ones hold no seat.
    let held = if version >= 4 { "WHERE displaced = 0" } else { "" };
    let query = format!("SELECT {} FROM session {held} ORDER BY ordinal, id", store::COLUMNS);
    let mut statement = connection.prepare(&query)?;
    let mut rows = statement.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        match store::record(row) {
            Ok(record) => records.push(record),
            Err(error) => {
                let id = row.get::<_, [u8; 16]>(0).map(|id| SessionId(id).to_string()).unwrap_or_default();
                report.tell(
                    format_args!("запись сеанса {id} не читается: {error}"),
                    format_args!("the record of session {id} can't be read: {error}"),
                );
            }
        }
    }
    report.sessions = records.len() as u64;
    compare_sessions(&records, report);
    Ok(())
}

/// One seat, one key, one place in the order; one session, one record.
fn compare_sessions(records: &[SessionRecord], report: &mut Report) {
    let mut seats: HashMap<(SeriesId, &Seat), &SessionRecord> = HashMap::new();
    let mut places: HashMap<(SeriesId, u64), &Seat> = HashMap::new();
    let mut sessions: HashMap<String, SessionId> = HashMap::new();
    let mut keys: BTreeMap<(SeriesId, KeyNo), u64> = BTreeMap::new();
    let mut ids = HashSet::new();
    for record in records {
        if !ids.insert(record.id) {
            report.tell(
                format_args!("сеанс {} записан дважды", record.id),
                format_args!("session {} is there twice", record.id),
            );
        }
        let (id, series, seat) = (record.id, record.series, &record.seat);
        match seats.get(&(series, seat)) {
            None => {
                seats.insert((series, seat), record);
                *keys.entry((series, record.key_no)).or_default() += 1;
                if let Some(other) = places.insert((series, record.ordinal), seat) {
                    report.tell(
                        format_args!("два места с одним порядковым номером {}: {other} и {seat}", record.ordinal),
                        format_args!("two seats have the place {} in the order: {other} and {seat}", record.ordinal),
                    );
                }
            }
            Some(first) if (first.key_no, first.ordinal) != (record.key_no, record.ordinal) => report.tell(
                format_args!("сеансы {} и {id} одного места {seat} числятся за разными ключами", first.id),
                format_args!("sessions {} and {id} of one seat {seat} are on different keys", first.id),
            ),
            Some(_) => {}
        }
        let external = record.asker == Asker::External;
        if external != record.connection.is_none() || external && *seat != Seat::Session(id) {
            report.tell(
                format_args!("сеанс {id} противоречив: {seat}"),
                format_args!("session {id} contradicts itself: {seat}"),
            );
        }
        let identity = serde_json::to_string(&(series, seat, &record.identity)).unwrap_or_default();
        // A session's own seat has its own name, so only those that share one can be told to be the same.
        if let Some(other) = sessions.insert(identity, id) {
            report.tell(
                format_args!("сеансы {other} и {id} совпадают"),
                format_args!("sessions {other} and {id} are the same one"),
            );
        }
    }
    report.keys = keys.into_iter().map(|((series, key_no), seats)| KeySeats { series, key_no, seats }).collect();
}

fn read_all(
    connection: &Connection,
    table: &str,
    query: &str,
    read: fn(&Row<'_>) -> rusqlite::Result<()>,
    report: &mut Report,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(()) => report.notes += 1,
            Err(error) => report.tell(
                format_args!("запись таблицы {table} не читается: {error}"),
                format_args!("a record of table {table} can't be read: {error}"),
            ),
        }
    }
    Ok(())
}

/// Moves the store of `folder` aside, so that the next start makes an empty one; gives the names that its files have now. All
/// sessions that it held are forgotten: until their leases are over, more may work than there are licences.
///
/// Errors: those of [`inspect`]; [`Code::RecordNotFound`] when there is no store.
pub fn set_aside(folder: &Path, now: Time) -> Result<Vec<PathBuf>> {
    let path = folder.join(FILE);
    let missing = || Error::new(Code::RecordNotFound).with(path.display());
    if !exists(folder)? {
        return Err(missing());
    }
    let _owner = store::own(folder)?;
    let aside = schema::beside(&path, "aside", now);
    // The file goes first: a file without its journal would look whole and lack the last commits.
    let files = [(path.clone(), aside.clone()), (journal(&path), journal(&aside))];
    let mut moved = Vec::new();
    for (from, to) in files {
        if exists(&from)? {
            fs::rename(&from, &to).map_err(|e| licence::host::files::failed(&from, &e))?;
            moved.push(to);
        }
    }
    if moved.is_empty() {
        return Err(missing());
    }
    schema::sync(folder).map_err(|e| licence::host::files::failed(folder, &e))?;
    Ok(moved)
}

fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|e| licence::host::files::failed(path, &e))
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |facts| facts.len())
}

/// The journal that SQLite keeps beside a store.
fn journal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}
