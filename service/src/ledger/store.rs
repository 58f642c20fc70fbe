//! The ledger's file: one SQLite database that one process opens, and one thread writes.
//!
//! A damaged or newer file is refused and left as it is. Nothing here retries: after a failed commit the store is closed and
//! opened anew, for nobody can know what the system kept of a write whose sync failed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use licence::accounting::{Change, SessionRecord};
use licence::id::{ConnectionId, KeyId, RootHash, SeriesId, SessionId};
use licence::{Code, Error, Time};
use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params};

/// Name of the store in the data folder.
pub const FILE: &str = "ledger.db";
/// Name of the file whose lock makes a process the owner of the folder.
pub const OWNER: &str = "owner.lock";
/// `application_id` of the file's header: "SLKL".
const APPLICATION: i64 = 0x534C_4B4C;

/// What brings a store from each schema version to the next one, from an empty file on.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO counter VALUES ('sequence', 0);
    CREATE TABLE session (
        id BLOB PRIMARY KEY,
        key_id INTEGER NOT NULL,
        root BLOB NOT NULL,
        key_no INTEGER NOT NULL,
        seat TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        secret_hash BLOB NOT NULL,
        granted INTEGER NOT NULL,
        connection BLOB,
        access_code TEXT,
        asker TEXT NOT NULL,
        identity TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
"];

/// Called right before each commit, with the number of changes in it; an error fails the commit.
pub type CommitHook = Arc<dyn Fn(usize) -> Result<(), Error> + Send + Sync>;

/// Makes this process the owner of `folder`; [`Code::StoreOwned`] while another one is.
///
/// `File::try_lock` is `flock` on Linux and `LockFileEx` on Windows: both belong to the open file, as an OFD lock does, so closing
/// another handle of the same file doesn't give it up, and the system gives it up when the process ends.
pub fn own(folder: &Path) -> Result<File, Error> {
    fs::create_dir_all(folder).map_err(|e| licence::host::files::failed(folder, &e))?;
    match licence::host::volume::network_file_system(folder) {
        Ok(None) => {}
        Ok(Some(kind)) => return Err(Error::new(Code::NetworkStore).with(folder.display()).with(kind)),
        Err(e) => log::warn!("{}: the kind of file system is not known: {e}", folder.display()),
    }
    let path = folder.join(OWNER);
    let file = private().create(true).truncate(false).open(&path);
    let file = file.map_err(|e| licence::host::files::failed(&path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::new(Code::StoreOwned).with(folder.display())),
        Err(TryLockError::Error(e)) => Err(licence::host::files::failed(&path, &e)),
    }
}

/// Options for a file that only its owner may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The open store.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    hook: Option<CommitHook>,
}

impl Store {
    /// Opens the store of `folder`, makes it when there is none. The folder must be owned.
    pub fn open(folder: &Path, hook: Option<CommitHook>) -> Result<Store, Error> {
        let path = folder.join(FILE);
        if !path.try_exists().map_err(|e| licence::host::files::failed(&path, &e))? {
            create(folder, &path)?;
        }
        let failed = |e| failed(&path, e);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
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
        migrate(&mut connection, version, steps).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(16);
        Ok(Store { connection, path, hook })
    }

    /// All sessions.
    pub fn load(&self) -> Result<Vec<SessionRecord>, Error> {
        let failed = |e| failed(&self.path, e);
        let mut statement = self.connection.prepare("SELECT * FROM session ORDER BY ordinal").map_err(failed)?;
        let records = statement.query_map([], record).map_err(failed)?;
        records.collect::<Result<_, _>>().map_err(failed)
    }

    /// Number of the last commit.
    pub fn sequence(&self) -> Result<u64, Error> {
        let query = "SELECT value FROM counter WHERE name = 'sequence'";
        self.connection
            .query_row(query, [], |row| row.get::<_, i64>(0))
            .map(i64::cast_unsigned)
            .map_err(|e| failed(&self.path, e))
    }

    /// Writes the changes down, all or none, and synced; the number of this commit.
    pub fn commit<'a>(&mut self, changes: impl IntoIterator<Item = &'a Change>) -> Result<u64, Error> {
        let path = &self.path;
        let failed = |e| failed(path, e);
        let transaction = self.connection.transaction().map_err(failed)?;
        let mut count = 0;
        for change in changes {
            count += 1;
            match change {
                Change::Put(record) => put(&transaction, record),
                Change::Delete(id, _) => {
                    let delete = transaction.prepare_cached("DELETE FROM session WHERE id = ?1");
                    delete.and_then(|mut delete| delete.execute([id.0])).map(|_| ())
                }
            }
            .map_err(failed)?;
        }
        let next = "UPDATE counter SET value = value + 1 WHERE name = 'sequence' RETURNING value";
        let sequence: i64 = transaction
            .prepare_cached(next)
            .and_then(|mut next| next.query_row([], |row| row.get(0)))
            .map_err(failed)?;
        if let Some(hook) = &self.hook {
            hook(count)?;
        }
        transaction.commit().map_err(failed)?;
        Ok(sequence.cast_unsigned())
    }
}

/// Makes an empty store beside its final name and moves it there whole, so that a half-made one never bears that name.
fn create(folder: &Path, path: &Path) -> Result<(), Error> {
    let journal = folder.join(format!("{FILE}-wal"));
    if journal.exists() {
        return Err(damaged(path, format_args!("the file is gone, {} is left", journal.display())));
    }
    let new = folder.join(format!("{FILE}.new"));
    let _ = fs::remove_file(&new);
    private().create_new(true).open(&new).map_err(|e| licence::host::files::failed(&new, &e))?;
    let made = Connection::open(&new).and_then(|mut connection| {
        connection.pragma_update(None, "application_id", APPLICATION)?;
        migrate(&mut connection, 0, &MIGRATIONS)?;
        connection.close().map_err(|(_, e)| e)
    });
    made.map_err(|e| failed(&new, e))?;
    let renamed = fs::rename(&new, path);
    #[cfg(unix)]
    let renamed = renamed.and_then(|()| File::open(folder)?.sync_all());
    renamed.map_err(|e| licence::host::files::failed(path, &e))
}

fn migrate(connection: &mut Connection, version: i64, steps: &[&str]) -> rusqlite::Result<()> {
    for (step, version) in steps.iter().zip(version + 1..) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

fn put(connection: &Connection, record: &SessionRecord) -> rusqlite::Result<()> {
    let json = |e| rusqlite::Error::ToSqlConversionFailure(Box::new(e));
    let insert = "INSERT OR REPLACE INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    connection.prepare_cached(insert)?.execute(params![
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

fn record(row: &Row<'_>) -> rusqlite::Result<SessionRecord> {
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

fn damaged(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::new(Code::StoreDamaged).with(path.display()).with(cause)
}

fn failed(path: &Path, error: rusqlite::Error) -> Error {
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
