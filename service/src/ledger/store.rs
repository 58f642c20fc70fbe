//! The ledger's file: one SQLite database that one process opens, and one thread writes.
//!
//! A damaged or newer file is refused and left as it is. Nothing here retries: after a failed commit the store is closed and
//! opened anew, for nobody can know what the system kept of a write whose sync failed.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use licence::accounting::book::EndCause;
use licence::accounting::{Change, SessionRecord};
use licence::host::lock::Lock;
use licence::id::{ConnectionId, KeyId, RootHash, SeriesId, SessionId, StoreId};
use licence::{Code, Error, Moment, Tick, Time};
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params};

use super::notes::{self, Notes};
use super::origin::{self, Rollback};
use super::parameters::{self, Assignment, Parameters};
use super::schema::{self, APPLICATION, MIGRATIONS};
use super::watch::Watch;

/// Name of the store in the data folder.
pub const FILE: &str = "ledger.db";
/// Name of the copy that a backup is made of, while it is made.
pub const COPY: &str = "ledger.copy";
/// Name of the file whose lock makes a process the owner of the folder.
pub const OWNER: &str = "owner.lock";
/// Largest store that is copied, in bytes.
const MAX_COPY: u64 = 1 << 30;
/// Pages in the journal from which on it is written back into the file, as SQLite itself would.
const MAX_JOURNAL: u64 = 1000;
/// Bytes of the journal before its first page, and before each page.
const JOURNAL_HEAD: u64 = 32;
const PAGE_HEAD: u64 = 24;
/// Columns of a session, in the order in which [`record`] reads them.
pub const COLUMNS: &str = "id, key_id, root, key_no, seat, ordinal, generation, secret_hash, granted, connection, \
    access_code, asker, identity";

/// Called right before each commit, with the number of changes in it; an error fails the commit.
pub type CommitHook = Arc<dyn Fn(usize) -> Result<(), Error> + Send + Sync>;

/// Makes this process the owner of `folder`; [`Code::StoreOwned`] while another one is.
pub fn own(folder: &Path) -> Result<Lock, Error> {
    licence::host::files::create_folder(folder)?;
    match licence::host::volume::network_file_system(folder) {
        Ok(None) => {}
        Ok(Some(kind)) => return Err(Error::new(Code::NetworkStore).with(folder.display()).with(kind)),
        Err(e) => log::warn!("{}: the kind of file system is not known: {e}", folder.display()),
    }
    let path = folder.join(OWNER);
    let file = licence::host::files::open_private(&path);
    let file = file.map_err(|e| licence::host::files::failed(&path, &e))?;
    let lock = Lock::take(file).map_err(|e| licence::host::files::failed(&path, &e))?;
    lock.map_err(|_| Error::new(Code::StoreOwned).with(folder.display()))
}

/// Whether a journal with something in it lies beside the store of `folder`.
pub fn has_journal(folder: &Path) -> bool {
    fs::metadata(folder.join(format!("{FILE}-wal"))).is_ok_and(|facts| facts.len() > 0)
}

/// The open store.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    hook: Option<CommitHook>,
    /// Rows of the sessions, and the number of the next row.
    rows: HashMap<SessionId, i64>,
    next: i64,
    /// Rows with this number and later ones are of a commit that isn't done.
    committed: i64,
    /// When old notes were removed last.
    trimmed: Option<Tick>,
    /// What its files must be like, once it serves.
    pub watch: Option<Watch>,
    /// Size of a page in bytes, and pages in the journal after the last commit.
    page: u64,
    journal: Arc<AtomicU64>,
}

impl Store {
    /// Opens the store of `folder`, makes it when there is none, brings an older one up to date after a copy of it was made whose
    /// name tells `now`. One that has no identifier gets `id`. The folder must be owned.
    pub fn open(folder: &Path, hook: Option<CommitHook>, id: StoreId, now: Time) -> Result<Store, Error> {
        let path = folder.join(FILE);
        if !path.try_exists().map_err(|e| licence::host::files::failed(&path, &e))? {
            schema::create(folder, &path, id)?;
        }
        Store::open_existing(folder, hook, id, now)
    }

    /// The same for a store that must be there.
    pub fn open_existing(folder: &Path, hook: Option<CommitHook>, id: StoreId, now: Time) -> Result<Store, Error> {
        let path = folder.join(FILE);
        licence::host::files::open(&path).map_err(|e| licence::host::files::failed(&path, &e))?;
        let failed = |e| failed(&path, e);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        // Until all is known to be good, closing must not write the journal into the file: a damaged store stays as it is.
        keep_journal(&connection, true).map_err(failed)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(failed)?;
        let number =
            |connection: &Connection, name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if number(&connection, "application_id").map_err(failed)? != APPLICATION {
            return Err(damaged(&path, "not a ledger"));
        }
        let version = number(&connection, "user_version").map_err(failed)?;
        let Some(steps) = usize::try_from(version).ok().and_then(|version| MIGRATIONS.get(version..)) else {
            return Err(Error::new(Code::StoreVersion).with(path.display()).with(version));
        };
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
        if mode != "wal" {
            return Err(Error::new(Code::StoreFailed).with(format_args!("{}: journal mode {mode}", path.display())));
        }
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if verdict != "ok" {
            return Err(damaged(&path, verdict));
        }
        schema::upgrade(&mut connection, &path, (version, steps), id, now)?;
        keep_journal(&connection, false).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(32);
        let page = number(&connection, "page_size").map_err(failed)?.unsigned_abs();
        let journal = Arc::new(AtomicU64::new(0));
        let pages_of = journal.clone();
        // In place of SQLite's own hook, which writes the journal back without telling.
        let note = move |_: &mut Wal, pages: i32| {
            pages_of.store(pages.unsigned_abs().into(), Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(note)).map_err(failed)?;
        Ok(Store {
            connection,
            path,
            hook,
            rows: HashMap::new(),
            next: 1,
            committed: 1,
            trimmed: None,
            watch: None,
            page,
            journal,
        })
    }

    /// Whether a commit that is done has this session.
    pub fn has(&self, id: SessionId) -> bool {
        self.rows.get(&id).is_some_and(|row| *row < self.committed)
    }

    /// Whether its files are as its last commit has left them.
    pub fn look(&self) -> Result<(), Error> {
        self.watch.as_ref().map_or(Ok(()), Watch::look)
    }

    /// Closes a store whose commit failed, without touching its files again. Gives what they must be like from now on.
    pub fn abandon(mut self) -> Option<Watch> {
        let mut watch = self.watch.take();
        self.leave_journal();
        drop(self);
        watch.iter_mut().for_each(Watch::renew);
        watch
    }

    fn leave_journal(&self) {
        if let Err(error) = keep_journal(&self.connection, true) {
            log::warn!("{}: {error}", self.path.display());
        }
    }

    /// All sessions, in the order in which their seats were granted. Must be called before changes are written.
    pub fn load(&mut self) -> Result<Vec<SessionRecord>, Error> {
        let failed = |e| failed(&self.path, e);
        let query = format!("SELECT {COLUMNS}, n, displaced FROM session");
        let mut statement = self.connection.prepare(&query).map_err(failed)?;
        let mut found = statement.query([]).map_err(failed)?;
        let mut records = Vec::new();
        self.rows.clear();
        while let Some(row) = found.next().map_err(failed)? {
            let (record, n) = (record(row).map_err(failed)?, row.get::<_, i64>(13).map_err(failed)?);
            if self.rows.insert(record.id, n).is_some() {
                return Err(damaged(&self.path, format_args!("session {} is there twice", record.id)));
            }
            self.next = self.next.max(n.saturating_add(1));
            if !row.get::<_, bool>(14).map_err(failed)? {
                records.push(record);
            }
        }
        self.committed = self.next;
        records.sort_by_key(|record| record.ordinal);
        Ok(records)
    }

    /// The sessions that were displaced since the store went back.
    pub fn displaced(&self) -> Result<Vec<SessionRecord>, Error> {
        self.query(|connection| {
            let query = format!("SELECT {COLUMNS} FROM session WHERE displaced = 1");
            connection.prepare(&query)?.query_map([], record)?.collect()
        })
    }

    /// Its identifier, and whether marks of it were written.
    pub fn origin(&self) -> Result<(StoreId, bool), Error> {
        self.query(origin::read)
    }

    /// Remembers that marks of it are written.
    pub fn set_marked(&self) -> Result<(), Error> {
        self.query(origin::set_marked)
    }

    /// That it went back, as long as this matters.
    pub fn rollback(&self) -> Result<Option<Rollback>, Error> {
        self.query(origin::rollback)
    }

    /// Writes down that it went back; its numbers go on after `sequence`.
    pub fn note_rollback(&mut self, rollback: &Rollback, sequence: u64) -> Result<(), Error> {
        origin::note(&mut self.connection, rollback, sequence).map_err(|e| failed(&self.path, e))
    }

    /// The values that series keep here.
    pub fn parameters(&self) -> Result<Parameters, Error> {
        self.query(parameters::read)
    }

    /// Number of the last commit of changes.
    pub fn sequence(&self) -> Result<u64, Error> {
        self.counter("sequence")
    }

    /// Number of the last commit of notes: tells whether one that failed was kept all the same.
    pub fn noted(&self) -> Result<u64, Error> {
        self.counter("notes")
    }

    fn counter(&self, name: &str) -> Result<u64, Error> {
        let query = "SELECT value FROM counter WHERE name = ?1";
        self.connection
            .query_row(query, [name], |row| row.get::<_, i64>(0))
            .map(i64::cast_unsigned)
            .map_err(|e| failed(&self.path, e))
    }

    /// Runs a query over what was kept for people.
    pub fn query<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        query(&self.connection).map_err(|e| failed(&self.path, e))
    }

    /// The bytes of a copy: one database file without a journal.
    pub fn copy(&self) -> Result<Vec<u8>, Error> {
        self.look()?;
        let path = self.path.with_file_name(COPY);
        // What a crash has left behind; SQLite writes into no file that has something in it.
        let _ = fs::remove_file(&path);
        licence::host::files::create_new(&path, 0o600).map_err(|e| licence::host::files::failed(&path, &e))?;
        let copied = self.query(|connection| connection.execute("VACUUM INTO ?1", [path.to_string_lossy()]));
        let bytes = copied.and_then(|_| licence::host::files::read(&path, MAX_COPY));
        let _ = fs::remove_file(&path);
        bytes
    }

    /// Writes changes, assignments and notes down, all or none, and synced; the number of this commit, or of the last one of changes
    /// when there are only notes.
    pub fn commit<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
        assignments: impl IntoIterator<Item = &'a Assignment>,
        notes: &Notes,
        now: Moment,
    ) -> Result<u64, Error> {
        self.look()?;
        let path = &self.path;
        let failed = |e| failed(path, e);
        let transaction = self.connection.transaction().map_err(failed)?;
        let mut count = 0;
        for change in changes {
            count += 1;
            // After an error this store is closed, so that what it believes of its rows does not matter any more.
            match change {
                Change::Put(record) => {
                    let n = *self.rows.entry(record.id).or_insert(self.next);
                    self.next = self.next.max(n.saturating_add(1));
                    put(&transaction, n, record)
                }
                // Its row stays, so that it can come back.
                Change::Delete(id, EndCause::Displaced) => {
                    let displace = transaction.prepare_cached("UPDATE session SET displaced = 1 WHERE n = ?1");
                    displace.and_then(|mut displace| displace.execute([self.rows.get(id)])).map(|_| ())
                }
                Change::QuarantineEnded => origin::forget(&transaction).map(|gone| {
                    let gone: HashSet<[u8; 16]> = gone.into_iter().collect();
                    self.rows.retain(|id, _| !gone.contains(&id.0));
                }),
                Change::Delete(id, _) => match self.rows.remove(id) {
                    Some(n) => {
                        let delete = transaction.prepare_cached("DELETE FROM session WHERE n = ?1");
                        delete.and_then(|mut delete| delete.execute([n])).map(|_| ())
                    }
                    None => Ok(()),
                },
            }
            .map_err(failed)?;
        }
        for assignment in assignments {
            count += 1;
            parameters::write(&transaction, assignment).map_err(failed)?;
        }
        let mut trimmed = self.trimmed;
        if !notes.is_empty() {
            notes::write(&transaction, notes).map_err(failed)?;
            trimmed = notes::trim(&transaction, trimmed, now).map_err(failed)?;
        }
        // Notes alone are no change of who holds what, so that clients see no other sequence.
        let step = if count == 0 && !notes.is_empty() { 0 } else { 1 };
        let next = "UPDATE counter SET value = value + ?1 WHERE name = 'sequence' RETURNING value";
        let sequence: i64 = transaction
            .prepare_cached(next)
            .and_then(|mut next| next.query_row([step], |row| row.get(0)))
            .map_err(failed)?;
        if let Some(hook) = &self.hook {
            hook(count)?;
        }
        self.watch.as_ref().map_or(Ok(()), Watch::look_within)?;
        transaction.commit().map_err(failed)?;
        // What went into a file that has lost its name is not kept.
        let pages = self.journal.load(Ordering::Relaxed);
        let frame = PAGE_HEAD + self.page;
        let end = JOURNAL_HEAD + pages * frame;
        self.watch.as_mut().map_or(Ok(()), |watch| watch.accept_commit(end, frame))?;
        if pages >= MAX_JOURNAL {
            self.write_back();
        }
        (self.trimmed, self.committed) = (trimmed, self.next);
        Ok(sequence.cast_unsigned())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Closing writes the journal into the file and removes it by its name, which may be another file's by now.
        if self.look().is_err() {
            self.leave_journal();
        }
    }
}

impl Store {
    /// Writes the journal back into the file. What goes wrong costs nothing: the commits are in the journal, and the next one tries again or
    /// finds the files changed.
    fn write_back(&mut self) {
        let done = self.query(|connection| {
            let left: i64 = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)
            })?;
            let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            Ok((left == 0).then_some(pages.unsigned_abs() * self.page))
        });
        let size = done.unwrap_or_else(|error| {
            log::warn!("the journal could not be written back: {error}");
            None
        });
        if let Some(Err(error)) = self.watch.as_mut().map(|watch| watch.accept_checkpoint(size)) {
            log::error!("{error}");
        }
    }
}

/// Whether closing leaves the journal as it is, or writes it into the file.
pub fn keep_journal(connection: &Connection, keep: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(|_| ())
}

fn put(connection: &Connection, n: i64, record: &SessionRecord) -> rusqlite::Result<()> {
    let json = |e| rusqlite::Error::ToSqlConversionFailure(Box::new(e));
    let insert =
        "INSERT OR REPLACE INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0)";
    connection.prepare_cached(insert)?.execute(params![
        n,
        record.id.0,
        record.series.key_id.0,
        record.series.root.0,
        record.key_no,
        record.seat.to_string(),
        record.ordinal.cast_signed(),
        record.generation,
        record.secret_hash,
        record.granted.0,
        record.connection.map(|connection| connection.0),
        record.access_code,
        serde_json::to_string(&record.asker).map_err(json)?,
        serde_json::to_string(&record.identity).map_err(json)?,
    ])?;
    Ok(())
}

/// A row of `session`, by [`COLUMNS`].
pub fn record(row: &Row<'_>) -> rusqlite::Result<SessionRecord> {
    let wrong = |column| {
        move |e: Box<dyn std::error::Error + Send + Sync>| {
            rusqlite::Error::FromSqlConversionFailure(column, Type::Text, e)
        }
    };
    let text = |column| row.get_ref(column)?.as_str().map_err(|e| wrong(column)(e.into()));
    Ok(SessionRecord {
        id: SessionId(row.get(0)?),
        series: SeriesId { key_id: KeyId(row.get(1)?), root: RootHash(row.get(2)?) },
        key_no: row.get(3)?,
        seat: text(4)?.parse().map_err(|e: licence::id::Malformed| wrong(4)(e.into()))?,
        ordinal: row.get::<_, i64>(5)?.cast_unsigned(),
        generation: row.get(6)?,
        secret_hash: row.get(7)?,
        granted: Time(row.get(8)?),
        connection: row.get::<_, Option<[u8; 16]>>(9)?.map(ConnectionId),
        access_code: row.get(10)?,
        asker: serde_json::from_str(text(11)?).map_err(|e| wrong(11)(e.into()))?,
        identity: serde_json::from_str(text(12)?).map_err(|e| wrong(12)(e.into()))?,
    })
}

/// The error for a store that must not be used as it is: it names the file and what to do.
pub fn damaged(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::new(Code::StoreDamaged).with(path.display()).with_text(
        format_args!("{cause}; подробности покажет licenceserver check, отложит файл и начнёт новый licenceserver check --set-aside"),
        format_args!("{cause}; licenceserver check tells more, licenceserver check --set-aside puts the file aside for a new one"),
    )
}

/// The catalogue's error for what SQLite says of `path`.
pub fn failed(path: &Path, error: rusqlite::Error) -> Error {
    use rusqlite::Error as E;
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => damaged(path, error),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::new(Code::StoreOwned).with(path.display()),
        None if matches!(
            error,
            E::FromSqlConversionFailure(..)
                | E::IntegralValueOutOfRange(..)
                | E::InvalidColumnType(..)
                | E::QueryReturnedNoRows
        ) =>
        {
            damaged(path, error)
        }
        _ => Error::new(Code::StoreFailed).with(format_args!("{}: {error}", path.display())),
    }
}
