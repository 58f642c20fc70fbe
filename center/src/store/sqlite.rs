//! The store in one SQLite file, `center.db`: for a centre of one process. Other programs of the same computer, such as
//! `licenceedit code`, may open it beside. What comes together shares one transaction, and whoever must know first that it is on
//! the disk commits it for all. The disk is waited for outside of anybody's turn: SQLite only writes its log, and the log is
//! synchronised here before a commit counts as kept.

use std::cell::Cell;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use licence::error::{Code, Error, Result};
use licence::host::files;
use licence::host::volume::network_file_system;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, TransactionBehavior};

use super::database::{Commit, Database, Fate, Job, LOCKED, Row, Transaction, Value, no_such_record};
use super::new_file::NewFile;
use super::{SCHEMA, upgrades};

/// Name of the store in the centre's folder.
pub const FILE: &str = "center.db";
/// `application_id` of our stores: `SLKC`.
const APPLICATION: i32 = 0x534C_4B43;
/// How long one program waits for another one …
const PATIENCE: Duration = Duration::from_secs(10);
/// … and how often it looks: a busy centre begins the next transaction as soon as one has ended.
const LOOK: Duration = Duration::from_micros(200);
/// Each time the log was written back a busy centre begins none for so long, that others get their turn.
const GAP: Duration = Duration::from_millis(1);
/// Statements that stay prepared.
const STATEMENTS: usize = 64;
/// Most memory for pages of the store, in KiB.
const CACHE: i64 = 32 * 1024;
/// Commits after which the log is written back into the store: pages that many of them touch are written there once.
const WRITTEN_BACK: Commit = 128;
/// Pages of the log after which SQLite does so itself in somebody's turn, should it come to that.
const CHECKPOINT: i64 = 40_000;

/// The open file.
pub struct Sqlite {
    turn: Mutex<Turn>,
    log: Mutex<Log>,
    base: Mutex<Base>,
    path: PathBuf,
}

/// The file that the log is written back into.
struct Base {
    connection: Connection,
    /// It has all commits up to this one.
    commit: Commit,
}

/// The log that commits are written to.
struct Log {
    file: File,
    /// What is on the disk: this commit and all before it. `None` when that has failed once: the system takes pages for written then
    /// that are not, and only a new start, which reads the log again, can tell.
    kept: Option<Commit>,
}

/// What the caller whose turn it is works with.
struct Turn {
    connection: Connection,
    /// The latest commit that has written something …
    commits: Commit,
    /// … and the rows that had been written by then.
    changes: u64,
    /// That of the open transaction, if there is one. Who shares it settles it before anything is answered, so it never grows
    /// beyond what all threads have begun.
    open: Option<Fate>,
}

impl Sqlite {
    /// Opens the store in the centre's folder, or makes it.
    pub fn open(folder: &Path) -> Result<Sqlite> {
        let path = folder.join(FILE);
        let place = path.display().to_string();
        if let Ok(Some(kind)) = network_file_system(folder) {
            return Err(Error::new(Code::NetworkStore).with(&place).with(kind));
        }
        create_private(&path).map_err(|e| Error::new(Code::FileFailed).with(&place).with(e))?;
        let damaged = |e: rusqlite::Error| match e.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => failed(e),
            _ => Error::new(Code::StoreDamaged).with(&place).with(e),
        };
        let mut connection = Connection::open(&path).map_err(damaged)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.busy_handler(Some(looks_again)).map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(damaged)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(damaged)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(damaged)?;
        // What a savepoint keeps to undo a job needs no file.
        connection.pragma_update(None, "temp_store", "MEMORY").map_err(damaged)?;
        connection.pragma_update(None, "cache_size", -CACHE).map_err(damaged)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT).map_err(damaged)?;
        // A query is planned once, not for each value.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(damaged)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(damaged)?;
        let number = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(damaged);
        let tables: i64 =
            transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(damaged)?;
        match (number("application_id")?, number("user_version")?) {
            (0, 0) if tables == 0 => {
                let schema = super::SCHEMA_SQL.replace(super::SERIAL, "INTEGER PRIMARY KEY AUTOINCREMENT");
                transaction.execute_batch(&schema).map_err(failed)?;
                transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
                transaction.pragma_update(None, "user_version", SCHEMA).map_err(failed)?;
            }
            (APPLICATION, version) if version > 0 => {
                let newer = || Error::new(Code::StoreVersion).with(&place).with(version);
                let lacking = upgrades(version).ok_or_else(newer)?;
                for (next, upgrade) in (version + 1..).zip(lacking) {
                    let itn = "CASE WHEN json_valid(terms) THEN json_extract(terms, '$.ITN') END";
                    transaction.execute_batch(&upgrade.replace(super::ITN_OF_TERMS, itn)).map_err(failed)?;
                    transaction.pragma_update(None, "user_version", next).map_err(failed)?;
                }
            }
            _ => return Err(Error::new(Code::StoreDamaged).with(&place).with("not a store of licencecenter")),
        }
        transaction.commit().map_err(failed)?;
        let log = path.with_file_name(format!("{FILE}-wal"));
        let opened = File::options().write(true).open(&log).and_then(|file| file.sync_all().map(|()| file));
        let file = opened.map_err(|e| Error::new(Code::FileFailed).with(log.display()).with(e))?;
        let turn = Turn { changes: connection.total_changes(), connection, commits: 0, open: None };
        let base = Base { connection: Connection::open(&path).map_err(damaged)?, commit: 0 };
        let log = Log { file, kept: Some(0) };
        Ok(Sqlite { turn: Mutex::new(turn), log: Mutex::new(log), base: Mutex::new(base), path })
    }
}

impl Sqlite {
    /// Writes the log back into the store when it is time: most of it while others go on, the rest in a turn, so that the log begins
    /// anew.
    fn write_back(&self, latest: Commit) {
        let Some(mut base) = self.base.try_lock() else { return };
        if latest.saturating_sub(base.commit) < WRITTEN_BACK {
            return;
        }
        let write = |connection: &Connection| connection.query_row("PRAGMA wal_checkpoint", [], |_| Ok(()));
        let mut written = write(&base.connection);
        let mut turn = self.turn.lock();
        turn.end(Ok(()));
        written = written.and_then(|()| write(&turn.connection));
        base.commit = turn.commits;
        thread::sleep(GAP);
        if let Err(error) = written {
            log::warn!("{}", failed(error));
        }
    }
}

impl Database for Sqlite {
    fn transact(&self, job: Job<'_>) -> Result<()> {
        let mut turn = self.turn.lock();
        let fate = turn.fate()?;
        let done = turn.apart(job);
        // Those who wait come first, and share the commit.
        MutexGuard::unlock_fair(turn);
        // What a refusal was founded on is on the disk before it is told, too.
        let kept = self.settle(&fate);
        done.unwrap_or_else(|panic| resume_unwind(panic)).and(kept)
    }

    fn join(&self, job: Job<'_>, after: Option<&Fate>) -> Result<Fate> {
        let mut turn = self.turn.lock();
        if let Some(Err(lost)) = after.and_then(Fate::outcome) {
            return Err(lost);
        }
        let fate = turn.fate()?;
        let done = turn.among(job);
        drop(turn);
        if matches!(done, Ok(Ok(()))) {
            return Ok(fate);
        }
        let kept = self.settle(&fate);
        done.unwrap_or_else(|panic| resume_unwind(panic)).and(kept).map(|()| fate)
    }

    fn settle(&self, fate: &Fate) -> Result<()> {
        if fate.outcome().is_none() {
            let mut turn = self.turn.lock();
            if turn.open.as_ref().is_some_and(|open| open.is(fate)) {
                turn.end(Ok(()));
            }
        }
        let commit = fate.outcome().unwrap_or_else(|| Err(lost(("его нет", "there is none"))))?;
        let mut log = self.log.lock();
        if log.kept.is_none_or(|kept| kept < commit) {
            log.synchronise(|| self.turn.lock().commits)?;
        }
        drop(log);
        self.write_back(commit);
        Ok(())
    }

    /// They take turns: each processor has one to sign, while one waits for the disk and one for its turn.
    fn callers(&self) -> usize {
        thread::available_parallelism().map_or(1, usize::from) + 2
    }

    fn backup(&self, to: &Path) -> Result<()> {
        let copy = NewFile::create(to)?;
        // A connection of its own reads one state of the store while the others go on.
        let connection = Connection::open(&self.path).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map(drop).map_err(failed)?;
        copy.keep()
    }
}

impl Turn {
    /// That of the open transaction, or of a new one.
    fn fate(&mut self) -> Result<Fate> {
        if let Some(open) = &self.open {
            return Ok(open.clone());
        }
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        Ok(self.open.insert(Fate::default()).clone())
    }

    /// Runs a job in a savepoint of its own: what others have done stays whatever becomes of it. A panic of the job is handed on:
    /// it must not leave those without an answer who share the transaction.
    fn apart(&mut self, job: Job<'_>) -> thread::Result<Result<()>> {
        let mut done = Ok(Ok(()));
        let mut run = || {
            let mut savepoint = self.connection.savepoint().map_err(failed)?;
            done = catch_unwind(AssertUnwindSafe(|| job(&mut &*savepoint)));
            if !matches!(done, Ok(Ok(()))) {
                savepoint.rollback().map_err(failed)?;
            }
            savepoint.commit().map_err(failed)
        };
        // The database may have given up the whole transaction, as it does when the disk is full.
        if let Err(error) = run() {
            self.end(Err(error));
        }
        done
    }

    /// Runs a job without one, which costs half as much: what it writes before it fails is lost with all that others have written.
    fn among(&mut self, job: Job<'_>) -> thread::Result<Result<()>> {
        let before = self.connection.total_changes();
        let done = catch_unwind(AssertUnwindSafe(|| job(&mut &self.connection)));
        if self.connection.is_autocommit() {
            self.end(Err(lost(("база данных от неё отказалась", "the database has given it up"))));
        } else if !matches!(done, Ok(Ok(()))) && self.connection.total_changes() != before {
            self.end(Err(lost(("общее с ней действие не удалось", "something that shared it has failed"))));
        }
        done
    }

    /// Commits the open transaction if it is `usable`, and tells those who share it.
    fn end(&mut self, usable: Result<()>) {
        let Some(fate) = self.open.take() else { return };
        let outcome = usable.and_then(|()| self.connection.execute_batch("COMMIT").map_err(failed)).map(|()| {
            let changes = self.connection.total_changes();
            self.commits += u64::from(changes != self.changes);
            self.changes = changes;
            self.commits
        });
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            log::error!("{}", failed(error));
        }
        fate.tell(outcome);
    }
}

impl Log {
    /// Puts on the disk what is in the log: `latest` tells which commit was the last before.
    fn synchronise(&mut self, latest: impl FnOnce() -> Commit) -> Result<()> {
        self.kept.ok_or_else(|| {
            let (russian, english) = (
                "диск отказал; когда исправите, перезапустите",
                "the disk has failed; start again when it is in order",
            );
            Error::new(Code::StoreFailed).with_text(russian, english)
        })?;
        let latest = latest();
        let done = self.file.sync_data();
        self.kept = done.is_ok().then_some(latest);
        done.map_err(|e| Error::new(Code::StoreFailed).with(e))
    }
}

impl Transaction for &Connection {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        let mut statement = self.prepare_cached(in_dialect(sql)).map_err(failed)?;
        statement.execute(rusqlite::params_from_iter(values)).map(|rows| rows as u64).map_err(failed)
    }

    fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
        let mut statement = self.prepare_cached(in_dialect(sql)).map_err(failed)?;
        let columns = statement.column_count();
        let read = |row: &rusqlite::Row<'_>| {
            let value = |at| {
                Ok(match row.get_ref(at)? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(number) => Value::Number(number),
                    other => Value::Text(other.as_str()?.to_owned()),
                })
            };
            (0..columns).map(value).collect::<rusqlite::Result<_>>().map(Row)
        };
        let rows = statement.query_map(rusqlite::params_from_iter(values), read).map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Number(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// SQLite has no locks of rows.
fn in_dialect(sql: &str) -> &str {
    sql.strip_suffix(LOCKED).unwrap_or(sql)
}

fn lost((russian, english): (&str, &str)) -> Error {
    let (russian, english) =
        (format!("транзакция потеряна: {russian}"), format!("the transaction was lost: {english}"));
    Error::new(Code::StoreFailed).with_text(russian, english)
}

fn failed(cause: rusqlite::Error) -> Error {
    if cause.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY) {
        return no_such_record();
    }
    Error::new(Code::StoreFailed).with(cause)
}

/// Whether somebody who has looked so often for another program's end looks again. SQLite's own waits grow to a tenth of a second,
/// and would find a busy centre busy each time.
fn looks_again(looked: i32) -> bool {
    thread_local!(static SINCE: Cell<Option<Instant>> = const { Cell::new(None) });
    if looked == 0 {
        SINCE.set(Some(Instant::now()));
    }
    thread::sleep(LOOK);
    SINCE.get().is_some_and(|since| since.elapsed() < PATIENCE)
}

/// Codes are worth money: a store that we make is for its owner only. SQLite gives its other files the same rights.
fn create_private(path: &Path) -> std::io::Result<()> {
    match files::create_new(path, 0o600) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => files::open(path).map(drop),
        made => made.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::store::tests::{Folder, On};

    fn store() -> (Folder, Sqlite) {
        let folder = Folder::new(On::Sqlite);
        let sqlite = Sqlite::open(&folder.0).unwrap();
        (folder, sqlite)
    }

    /// Notes in the audit, as another program sees them.
    fn kept(folder: &Folder) -> Vec<String> {
        let connection = Connection::open(folder.0.join(FILE)).unwrap();
        let mut statement = connection.prepare("SELECT details FROM events ORDER BY details").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    fn note(transaction: &mut dyn Transaction, details: &str) -> Result<()> {
        let sql = "INSERT INTO events (at, actor, kind, details) VALUES (0, '', 'allowed', ?1)";
        transaction.execute(sql, &[details.into()]).map(drop)
    }

    fn join(sqlite: &Sqlite, details: &str) -> Fate {
        sqlite.join(&mut |transaction| note(transaction, details), None).unwrap()
    }

    /// As the database does by itself when it gives up, of a full disk for one.
    fn give_up(transaction: &mut dyn Transaction) -> Result<()> {
        transaction.execute("ROLLBACK", &[]).map(drop)
    }

    #[test]
    fn whoever_settles_first_commits_for_all() {
        let (folder, sqlite) = store();
        let fates = ["a", "b", "c"].map(|details| join(&sqlite, details));
        assert!(kept(&folder).is_empty());
        sqlite.settle(&fates[1]).unwrap();
        assert_eq!(kept(&folder), ["a", "b", "c"]);
        assert!(fates.iter().all(|fate| fate.outcome() == Some(Ok(1))));
        let later = join(&sqlite, "d");
        assert!(fates.iter().all(|fate| sqlite.settle(fate).is_ok()));
        assert_eq!(kept(&folder).len(), 3, "what came later is not theirs");
        sqlite.settle(&later).unwrap();
        assert_eq!(kept(&folder).len(), 4);
    }

    #[test]
    fn jobs_that_come_together_stay_independent() {
        let (folder, sqlite) = store();
        let (kept, sqlite) = (|| kept(&folder), &sqlite);
        let turn = sqlite.turn.lock();
        let begun = Barrier::new(4);
        thread::scope(|scope| {
            let decide = |details: &'static str, outcome: fn() -> Result<()>| {
                let begun = &begun;
                scope.spawn(move || {
                    begun.wait();
                    sqlite.transact(&mut |transaction| note(transaction, details).and_then(|()| outcome()))
                })
            };
            let good = decide("good", || Ok(()));
            let refused = decide("refused", || Err(Code::CodeUsed.into()));
            let broken = decide("broken", || panic!("a job that panics"));
            begun.wait();
            MutexGuard::unlock_fair(turn);
            assert_eq!(good.join().unwrap(), Ok(()));
            assert_eq!(refused.join().unwrap().unwrap_err().code, Code::CodeUsed);
            assert!(broken.join().is_err());
        });
        assert_eq!(kept(), ["good"]);
    }

    #[test]
    fn a_refusal_is_told_when_what_it_was_founded_on_is_kept() {
        let (folder, sqlite) = store();
        let decided = join(&sqlite, "decided");
        let refused = sqlite.join(&mut |_| Err(Code::CodeUsed.into()), None).unwrap_err();
        assert_eq!((refused.code, decided.outcome()), (Code::CodeUsed, Some(Ok(1))));
        assert_eq!(kept(&folder), ["decided"]);
    }

    #[test]
    fn a_job_in_a_savepoint_fails_alone() {
        let (folder, sqlite) = store();
        let decided = join(&sqlite, "decided");
        let failed = sqlite.transact(&mut |transaction| note(transaction, "lost").and(Err(Code::Busy.into())));
        assert_eq!(failed.unwrap_err().code, Code::Busy);
        sqlite.settle(&decided).unwrap();
        assert_eq!(kept(&folder), ["decided"]);
    }

    #[test]
    fn a_job_without_one_that_fails_after_writing_takes_what_it_shares_along() {
        for panics in [false, true] {
            let (folder, sqlite) = store();
            let decided = join(&sqlite, "decided");
            let failed = catch_unwind(AssertUnwindSafe(|| {
                let job = &mut |transaction: &mut dyn Transaction| {
                    note(transaction, "lost")?;
                    assert!(!panics, "a job that panics");
                    Err(Code::Busy.into())
                };
                sqlite.join(job, None).unwrap_err().code
            }));
            assert_eq!(failed.ok(), (!panics).then_some(Code::Busy));
            assert_eq!(sqlite.settle(&decided).unwrap_err().code, Code::StoreFailed);
            sqlite.transact(&mut |transaction| note(transaction, "later")).unwrap();
            assert_eq!(kept(&folder), ["later"]);
        }
    }

    #[test]
    fn another_program_gets_its_turn_beside_a_busy_centre() {
        let (folder, sqlite) = store();
        let other = Sqlite::open(&folder.0).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            // As busy as a centre can be: each transaction is followed by the next one until the log is written back.
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let mut turn = sqlite.turn.lock();
                    for _ in 0..WRITTEN_BACK {
                        turn.fate().unwrap();
                        turn.among(&mut |transaction| note(transaction, "busy")).unwrap().unwrap();
                        thread::sleep(LOOK * 10);
                        turn.end(Ok(()));
                    }
                    let latest = turn.commits;
                    drop(turn);
                    sqlite.write_back(latest);
                }
            });
            while kept(&folder).is_empty() {
                thread::yield_now();
            }
            let noted = (0..2).try_for_each(|_| other.transact(&mut |transaction| note(transaction, "other")));
            done.store(true, Ordering::SeqCst);
            noted.unwrap();
        });
        assert_eq!(kept(&folder).iter().filter(|note| *note == "other").count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn after_the_disk_has_failed_nothing_counts_as_kept() {
        let (_folder, sqlite) = store();
        let kept = join(&sqlite, "kept");
        sqlite.settle(&kept).unwrap();
        // What can't be synchronised.
        let broken = std::mem::replace(&mut sqlite.log.lock().file, File::open("/dev/null").unwrap());
        let lost = join(&sqlite, "lost");
        assert_eq!(sqlite.settle(&lost).unwrap_err().code, Code::StoreFailed);
        // Whatever the disk says of it later.
        sqlite.log.lock().file = broken;
        assert_eq!(sqlite.settle(&lost).unwrap_err().code, Code::StoreFailed);
        assert_eq!(sqlite.transact(&mut |_| Ok(())).unwrap_err().code, Code::StoreFailed);
    }

    #[test]
    fn the_log_is_written_back_while_others_have_more_to_write() {
        let (folder, sqlite) = store();
        for number in 0..3 * WRITTEN_BACK {
            let settled = join(&sqlite, &number.to_string());
            sqlite.settle(&settled).unwrap();
            if number % 10 == 9 {
                join(&sqlite, "open");
            }
        }
        let log = std::fs::metadata(folder.0.join(format!("{FILE}-wal"))).unwrap().len();
        let pages = log / 4096;
        assert!(pages < 2 * WRITTEN_BACK * 4, "{pages} pages: it never began anew");
        assert!(sqlite.base.lock().commit >= 2 * WRITTEN_BACK);
        assert_eq!(kept(&folder).iter().filter(|note| *note != "open").count() as u64, 3 * WRITTEN_BACK);
    }

    #[test]
    fn nothing_is_built_upon_what_was_lost() {
        let (folder, sqlite) = store();
        let decided = join(&sqlite, "decided");
        assert!(sqlite.transact(&mut give_up).is_err());
        let follows = |transaction: &mut dyn Transaction| note(transaction, "signed");
        assert_eq!(sqlite.join(&mut { follows }, Some(&decided)).unwrap_err().code, Code::StoreFailed);
        let decided = join(&sqlite, "again");
        let signed = sqlite.join(&mut { follows }, Some(&decided)).unwrap();
        assert!(signed.is(&decided));
        sqlite.settle(&signed).unwrap();
        let signed = sqlite.join(&mut { follows }, Some(&decided)).unwrap();
        sqlite.settle(&signed).unwrap();
        assert_eq!(kept(&folder), ["again", "signed", "signed"]);
    }

    #[test]
    fn nobody_is_told_of_what_was_lost_with_a_shared_transaction() {
        for apart in [true, false] {
            let (folder, sqlite) = store();
            let decided = join(&sqlite, "decided");
            let given_up =
                if apart { sqlite.transact(&mut give_up) } else { sqlite.join(&mut give_up, None).map(drop) };
            if apart {
                assert_eq!(given_up.unwrap_err().code, Code::StoreFailed);
            } else {
                let fate = sqlite.join(&mut |_| Ok(()), None);
                assert!(fate.is_ok(), "the next transaction is a new one");
            }
            assert_eq!(sqlite.settle(&decided).unwrap_err().code, Code::StoreFailed);
            assert!(kept(&folder).is_empty());
            sqlite.transact(&mut |transaction| note(transaction, "later")).unwrap();
            assert_eq!(kept(&folder), ["later"]);
        }
    }
}
