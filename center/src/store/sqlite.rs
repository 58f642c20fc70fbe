//! The store in one SQLite file, `center.db`: for a centre of one process. Other programs of the same computer, such as
//! `licenceedit code`, may open it beside. Decisions that come close together share one commit and stay independent: each runs
//! in a savepoint of its own, and none is answered before that commit. The commit waits a few milliseconds for those who have made
//! a decision and sign its licence.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use licence::error::{Code, Error, Result};
use licence::host::volume::network_file_system;
use parking_lot::{Condvar, Mutex};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Savepoint, ToSql, TransactionBehavior};

use super::database::{Database, Decision, Job, LOCKED, Row, Transaction, Value};

/// Name of the store in the centre's folder.
pub const FILE: &str = "center.db";
/// Version of the layout, in `user_version`.
pub const SCHEMA: i32 = 1;
/// `application_id` of our stores: `SLKC`.
const APPLICATION: i32 = 0x534C_4B43;
/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a transaction stays open for those who come back to it. They sign meanwhile, which takes about a millisecond.
const LINGER: Duration = Duration::from_millis(5);
/// Statements that stay prepared.
const STATEMENTS: usize = 64;
/// Most memory for pages of the store, in KiB.
const CACHE: i64 = 32 * 1024;
/// Pages of the log after which they are written into the store: pages that many activations touch are written there once.
const CHECKPOINT: i64 = 4000;

/// The open file.
pub struct Sqlite {
    turn: Mutex<Turn>,
    /// Callers that wait for their turn. Who has it commits if there is none and nobody is [`Batch::away`], and else leaves that to
    /// the next.
    waiting: AtomicUsize,
    path: PathBuf,
}

/// What the caller whose turn it is works with.
struct Turn {
    connection: Connection,
    /// The open transaction. A caller waits for its end, so it never grows beyond a decision of each thread and what follows it.
    batch: Option<Arc<Batch>>,
}

/// A shared transaction, and how it has ended.
#[derive(Default)]
struct Batch {
    /// Callers that have more to write as soon as they have signed: they share its commit if they come back in time.
    away: AtomicUsize,
    outcome: Mutex<Option<Result<()>>>,
    ended: Condvar,
}

/// A caller with a decision in a transaction, who has not come back to it yet.
struct Away<'a> {
    sqlite: &'a Sqlite,
    batch: Option<Arc<Batch>>,
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
        let damaged = |e: rusqlite::Error| Error::new(Code::StoreDamaged).with(&place).with(e);
        let mut connection = Connection::open(&path).map_err(damaged)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(damaged)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(damaged)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(damaged)?;
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
            (APPLICATION, SCHEMA) => {}
            (APPLICATION, newer) if newer > SCHEMA => {
                return Err(Error::new(Code::StoreVersion).with(&place).with(newer));
            }
            _ => return Err(Error::new(Code::StoreDamaged).with(&place).with("not a store of licencecenter")),
        }
        transaction.commit().map_err(failed)?;
        Ok(Sqlite { turn: Mutex::new(Turn { connection, batch: None }), waiting: AtomicUsize::new(0), path })
    }
}

impl Sqlite {
    /// Runs a job in the open transaction, which ends here if nobody is about to join it or to come back to it. A panic of the
    /// job is handed on: it must not leave those without an answer who share the transaction.
    fn take_turn(&self, job: Job<'_>, comes_back: bool) -> Result<(thread::Result<Result<()>>, Arc<Batch>)> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut turn = self.turn.lock();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let batch = turn.join()?;
        let mut done = Ok(Ok(()));
        let usable = turn.apart(&mut |transaction| {
            done = catch_unwind(AssertUnwindSafe(|| job(transaction)));
            matches!(done, Ok(Ok(())))
        });
        if comes_back && matches!(done, Ok(Ok(()))) {
            batch.away.fetch_add(1, Ordering::SeqCst);
        }
        let expected = self.waiting.load(Ordering::SeqCst) + batch.away.load(Ordering::SeqCst);
        if usable.is_err() || expected == 0 {
            turn.end(usable);
        }
        Ok((done, batch))
    }

    /// Waits until a transaction has ended; whoever has waited long enough for the others ends it.
    fn wait(&self, batch: &Arc<Batch>) -> Result<()> {
        loop {
            if let Some(outcome) = batch.wait() {
                return outcome;
            }
            let mut turn = self.turn.lock();
            if turn.batch.as_ref().is_some_and(|open| Arc::ptr_eq(open, batch)) {
                turn.end(Ok(()));
            }
        }
    }
}

impl Database for Sqlite {
    fn transact(&self, job: Job<'_>) -> Result<()> {
        let (done, batch) = self.take_turn(job, false)?;
        // What a refusal was founded on is on the disk before it is told, too.
        let kept = self.wait(&batch);
        done.unwrap_or_else(|panic| resume_unwind(panic)).and(kept)
    }

    fn decide(&self, job: Job<'_>) -> Result<Box<dyn Decision + '_>> {
        let (done, batch) = self.take_turn(job, true)?;
        if !matches!(done, Ok(Ok(()))) {
            self.wait(&batch)?;
        }
        done.unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok(Box::new(Away { sqlite: self, batch: Some(batch) }))
    }

    fn backup(&self, to: &Path) -> Result<()> {
        let wrong = |e: std::io::Error| Error::new(Code::FileFailed).with(to.display()).with(e);
        if std::fs::symlink_metadata(to).is_ok() {
            return Err(wrong(std::io::ErrorKind::AlreadyExists.into()));
        }
        create_private(to).map_err(wrong)?;
        // A connection of its own reads one state of the store while the others go on.
        let connection = Connection::open(&self.path).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map(drop).map_err(failed)?;
        std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(wrong)
    }
}

impl Decision for Away<'_> {
    fn finish(mut self: Box<Self>, job: Job<'_>) -> Result<()> {
        let batch = self.come_back();
        let done = self.sqlite.transact(job);
        // It has ended with that of the job, if not before.
        batch.map_or(Ok(()), |batch| self.sqlite.wait(&batch)).and(done)
    }
}

impl Away<'_> {
    fn come_back(&mut self) -> Option<Arc<Batch>> {
        let batch = self.batch.take()?;
        batch.away.fetch_sub(1, Ordering::SeqCst);
        Some(batch)
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        if let Some(batch) = self.come_back()
            && let Err(error) = self.sqlite.wait(&batch)
        {
            log::error!("{error}");
        }
    }
}

impl Turn {
    /// The open transaction, or a new one.
    fn join(&mut self) -> Result<Arc<Batch>> {
        if let Some(batch) = &self.batch {
            return Ok(batch.clone());
        }
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        Ok(self.batch.insert(Arc::default()).clone())
    }

    /// Runs a job in a savepoint; what it has done stays if it says so. With an error the whole transaction is lost: that of a
    /// job's own statement is not among them unless the database has given up all of it, as it does when the disk is full.
    fn apart(&mut self, job: &mut dyn FnMut(&mut Savepoint<'_>) -> bool) -> Result<()> {
        let mut savepoint = self.connection.savepoint().map_err(failed)?;
        if !job(&mut savepoint) {
            savepoint.rollback().map_err(failed)?;
        }
        savepoint.commit().map_err(failed)
    }

    /// Commits the open transaction if it is `usable`, and tells those who wait for it.
    fn end(&mut self, usable: Result<()>) {
        let Some(batch) = self.batch.take() else { return };
        let outcome = usable.and_then(|()| self.connection.execute_batch("COMMIT").map_err(failed));
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            log::error!("{}", failed(error));
        }
        batch.end(outcome);
    }
}

impl Batch {
    fn end(&self, outcome: Result<()>) {
        *self.outcome.lock() = Some(outcome);
        self.ended.notify_all();
    }

    /// How it has ended, if it has within [`LINGER`].
    fn wait(&self) -> Option<Result<()>> {
        let mut outcome = self.outcome.lock();
        if outcome.is_none() {
            self.ended.wait_for(&mut outcome, LINGER);
        }
        outcome.clone()
    }
}

impl Transaction for Savepoint<'_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        let mut statement = self.prepare_cached(&in_dialect(sql)).map_err(failed)?;
        statement.execute(rusqlite::params_from_iter(values)).map(|rows| rows as u64).map_err(failed)
    }

    fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
        let mut statement = self.prepare_cached(&in_dialect(sql)).map_err(failed)?;
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

/// SQLite counts its parameters as `?1`, and has no locks of rows.
fn in_dialect(sql: &str) -> String {
    sql.trim_end_matches(LOCKED).replace('$', "?")
}

fn failed(cause: rusqlite::Error) -> Error {
    Error::new(Code::StoreFailed).with(cause)
}

/// Codes are worth money: a store that we make is for its owner only. SQLite gives its other files the same rights.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::store::tests::{Folder, On};

    /// Notes in the audit, as another program sees them.
    fn kept(folder: &Folder) -> Vec<String> {
        let connection = Connection::open(folder.0.join(FILE)).unwrap();
        let mut statement = connection.prepare("SELECT details FROM events ORDER BY details").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    fn note(transaction: &mut dyn Transaction, details: &str) -> Result<()> {
        let sql = "INSERT INTO events (at, actor, kind, details) VALUES (0, '', 'allowed', $1)";
        transaction.execute(sql, &[details.into()]).map(drop)
    }

    /// Has its turn until so many others wait for theirs.
    fn first(sqlite: &Sqlite, others: usize) -> Result<()> {
        sqlite.transact(&mut |transaction| {
            note(transaction, "first")?;
            while sqlite.waiting.load(Ordering::SeqCst) < others {
                thread::yield_now();
            }
            Ok(())
        })
    }

    #[test]
    fn decisions_that_come_together_share_a_commit_and_stay_independent() {
        let folder = Folder::new(On::Sqlite);
        let sqlite = Sqlite::open(&folder.0).unwrap();
        let (kept, sqlite) = (|| kept(&folder), &sqlite);
        let decide = |details, outcome: fn() -> Result<()>| {
            sqlite.transact(&mut |transaction| {
                assert!(kept().is_empty(), "the first is not committed yet");
                note(transaction, details)?;
                outcome()
            })
        };
        thread::scope(|scope| {
            let begun = scope.spawn(|| first(sqlite, 3));
            while sqlite.turn.try_lock().is_some() {
                thread::yield_now();
            }
            let good = scope.spawn(|| decide("good", || Ok(())));
            let refused = scope.spawn(|| decide("refused", || Err(Code::CodeUsed.into())));
            let broken = scope.spawn(|| decide("broken", || panic!("a job that panics")));
            assert_eq!((begun.join().unwrap(), good.join().unwrap()), (Ok(()), Ok(())));
            assert_eq!(refused.join().unwrap().unwrap_err().code, Code::CodeUsed);
            assert!(broken.join().is_err());
        });
        assert_eq!(kept(), ["first", "good"]);
    }

    #[test]
    fn a_decision_is_committed_with_what_follows_it() {
        let folder = Folder::new(On::Sqlite);
        let sqlite = Sqlite::open(&folder.0).unwrap();
        let decision = sqlite.decide(&mut |transaction| note(transaction, "decided")).unwrap();
        assert!(kept(&folder).is_empty(), "its licence is not signed yet");
        let events =
            |transaction: &mut dyn Transaction| transaction.rows("SELECT 1 FROM events", &[]).map(|rows| rows.len());
        // Others see it, and are not answered before it is on the disk.
        let others = || sqlite.transact(&mut |transaction| events(transaction).map(|seen| assert_eq!(seen, 1)));
        thread::scope(|scope| {
            let other = scope.spawn(others);
            while sqlite.turn.lock().batch.as_ref().is_some_and(|batch| Arc::strong_count(batch) < 3) {
                thread::yield_now();
            }
            decision.finish(&mut |transaction| note(transaction, "signed")).unwrap();
            other.join().unwrap().unwrap();
        });
        assert_eq!(kept(&folder), ["decided", "signed"]);
        let refused = sqlite.decide(&mut |_| Err(Code::CodeUsed.into())).err().unwrap();
        assert_eq!(refused.code, Code::CodeUsed);
        let decision = sqlite.decide(&mut |transaction| note(transaction, "kept")).unwrap();
        let failed = decision.finish(&mut |transaction| note(transaction, "lost").and(Err(Code::Busy.into())));
        assert_eq!(failed.unwrap_err().code, Code::Busy);
        assert_eq!(kept(&folder), ["decided", "kept", "signed"]);
    }

    #[test]
    fn a_decision_that_is_never_finished_holds_nobody_up() {
        let folder = Folder::new(On::Sqlite);
        let sqlite = Sqlite::open(&folder.0).unwrap();
        let away = sqlite.decide(&mut |transaction| note(transaction, "slow")).unwrap();
        sqlite.transact(&mut |transaction| note(transaction, "other")).unwrap();
        assert_eq!(kept(&folder), ["other", "slow"]);
        drop(away);
        drop(sqlite.decide(&mut |transaction| note(transaction, "dropped")).unwrap());
        assert_eq!(kept(&folder), ["dropped", "other", "slow"]);
    }

    #[test]
    fn who_finishes_a_lost_decision_is_told() {
        let folder = Folder::new(On::Sqlite);
        let sqlite = Sqlite::open(&folder.0).unwrap();
        let decision = sqlite.decide(&mut |transaction| note(transaction, "decided")).unwrap();
        // As the database does by itself when it gives up, of a full disk for one.
        assert!(sqlite.transact(&mut |transaction| transaction.execute("ROLLBACK", &[]).map(drop)).is_err());
        let finished = decision.finish(&mut |transaction| note(transaction, "signed"));
        assert_eq!(finished.unwrap_err().code, Code::StoreFailed);
    }

    #[test]
    fn nobody_is_told_of_what_was_lost_with_a_shared_transaction() {
        let folder = Folder::new(On::Sqlite);
        let sqlite = Sqlite::open(&folder.0).unwrap();
        thread::scope(|scope| {
            let begun = scope.spawn(|| first(&sqlite, 1));
            while sqlite.turn.try_lock().is_some() {
                thread::yield_now();
            }
            // As the database does by itself when it gives up, of a full disk for one.
            let giving_up = sqlite.transact(&mut |transaction| transaction.execute("ROLLBACK", &[]).map(drop));
            assert_eq!(giving_up.unwrap_err().code, Code::StoreFailed);
            assert_eq!(begun.join().unwrap().unwrap_err().code, Code::StoreFailed);
        });
        assert!(kept(&folder).is_empty());
        first(&sqlite, 0).unwrap();
        assert_eq!(kept(&folder), ["first"]);
    }
}
