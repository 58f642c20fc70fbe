//! The shape of the ledger's file: how it is made, and how an older one becomes the present one. An older file is copied
//! before it is changed, changed in one transaction, and left as it was when anything of this fails.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use licence::id::StoreId;
use licence::{Error, Time};
use rusqlite::Connection;

use super::store::{COPY, FILE, damaged, failed};

/// `application_id` of the file's header: "SLKL".
pub const APPLICATION: i64 = 0x534C_4B4C;

/// What brings a store from each schema version to the next one, from an empty file on.
pub const MIGRATIONS: [&str; 4] = [
    "
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
",
    // Numbers in the order of grants keep new rows together on few pages, however many sessions there are; the random identifiers
    // as a key made each grant write pages of its own.
    "
    ALTER TABLE session RENAME TO former;
    CREATE TABLE session (
        n INTEGER PRIMARY KEY,
        id BLOB NOT NULL,
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
    ) STRICT;
    INSERT INTO session SELECT NULL, * FROM former ORDER BY ordinal, id;
    DROP TABLE former;
    INSERT INTO counter VALUES ('notes', 0);
    CREATE TABLE denial (
        day INTEGER NOT NULL,
        key_id INTEGER NOT NULL,
        root BLOB NOT NULL,
        code INTEGER NOT NULL,
        kind TEXT NOT NULL,
        address TEXT NOT NULL,
        computer TEXT NOT NULL,
        user TEXT NOT NULL,
        application TEXT NOT NULL,
        error TEXT NOT NULL,
        held INTEGER NOT NULL,
        total INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (day, key_id, root, code, kind, address, computer, user, application)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX denial_last ON denial (last);
    CREATE TABLE history (
        grain INTEGER NOT NULL,
        start INTEGER NOT NULL,
        key_id INTEGER NOT NULL,
        root BLOB NOT NULL,
        samples INTEGER NOT NULL,
        used INTEGER NOT NULL,
        used_peak INTEGER NOT NULL,
        total INTEGER NOT NULL,
        total_peak INTEGER NOT NULL,
        PRIMARY KEY (grain, start, key_id, root)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        user TEXT NOT NULL,
        address TEXT NOT NULL,
        act TEXT NOT NULL,
        object TEXT NOT NULL,
        status INTEGER NOT NULL,
        error TEXT
    ) STRICT;
    CREATE INDEX audit_at ON audit (at);
",
    "
    CREATE TABLE parameter (
        key_id INTEGER NOT NULL,
        root BLOB NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (key_id, root, name)
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE session ADD COLUMN displaced INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE store (id BLOB NOT NULL, marked INTEGER NOT NULL) STRICT;
    CREATE TABLE rollback (base INTEGER NOT NULL, found INTEGER NOT NULL, finding TEXT NOT NULL) STRICT;
",
];
/// The first schema whose stores have an identifier of their own.
const WITH_IDENTIFIER: i64 = 4;

/// Makes an empty store with the identifier `id` beside its final name and moves it there whole, so that a half-made one
/// never bears that name.
pub fn create(folder: &Path, path: &Path, id: StoreId) -> Result<(), Error> {
    let journal = folder.join(format!("{FILE}-wal"));
    if journal.exists() {
        return Err(damaged(path, format_args!("the file is gone, {} is left", journal.display())));
    }
    let new = folder.join(format!("{FILE}.new"));
    let _ = fs::remove_file(&new);
    licence::host::files::create_new(&new, 0o600).map_err(|e| licence::host::files::failed(&new, &e))?;
    let made = Connection::open(&new).and_then(|mut connection| {
        connection.pragma_update(None, "application_id", APPLICATION)?;
        migrate(&mut connection, 0, &MIGRATIONS, id)?;
        connection.close().map_err(|(_, e)| e)
    });
    made.map_err(|e| failed(&new, e))?;
    fs::rename(&new, path).and_then(|()| sync(folder)).map_err(|e| licence::host::files::failed(path, &e))
}

/// Brings an open store of schema `version` to the present one by `steps`; it gets the identifier `id` if it has none. The copy of the old one stays beside it.
pub fn upgrade(
    connection: &mut Connection,
    path: &Path,
    (version, steps): (i64, &[&str]),
    id: StoreId,
    now: Time,
) -> Result<(), Error> {
    if steps.is_empty() {
        return Ok(());
    }
    let copy = copy_name(path, version, now);
    let changed = copy_to(connection, path, &copy)
        .and_then(|()| migrate(connection, version, steps, id).map_err(|e| failed(path, e)));
    match &changed {
        Ok(()) => {
            log::info!("{}: schema {version} was brought up to date, a copy is in {}", path.display(), copy.display())
        }
        // The old store is as it was, so nobody needs the copy.
        Err(_) => drop(fs::remove_file(&copy)),
    }
    changed
}

/// `ledger.db.v1-20260102T030405.678Z`
fn copy_name(path: &Path, version: i64, now: Time) -> PathBuf {
    beside(path, &format!("v{version}"), now)
}

/// A name beside `path` that tells what the file is and since when.
pub fn beside(path: &Path, what: &str, now: Time) -> PathBuf {
    let time = now.to_string().replace(['-', ':'], "");
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{what}-{time}"));
    path.with_file_name(name)
}

fn copy_to(connection: &Connection, path: &Path, copy: &Path) -> Result<(), Error> {
    let unwritable = |e| licence::host::files::failed(copy, &e);
    // SQLite fills an empty file, and so it has the rights that it was made with.
    licence::host::files::create_new(copy, 0o600).map_err(unwritable)?;
    let name = copy.to_str().ok_or_else(|| unwritable(std::io::ErrorKind::InvalidFilename.into()))?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(|e| failed(path, e))?;
    let synced = licence::host::files::open_private(copy).and_then(|file| file.sync_all());
    synced.and_then(|()| sync(copy.parent().unwrap_or(Path::new(".")))).map_err(unwritable)
}

fn migrate(connection: &mut Connection, version: i64, steps: &[&str], id: StoreId) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    let had_none = version < WITH_IDENTIFIER;
    let version = version.saturating_add(i64::try_from(steps.len()).unwrap_or(i64::MAX));
    if had_none && version >= WITH_IDENTIFIER {
        transaction.execute("INSERT INTO store VALUES (?1, 0)", [id.0])?;
    }
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

/// Removes what a killed process has left of stores and copies that it was making. The folder must be owned, and no copy in the making.
pub fn remove_leftovers(folder: &Path) {
    for name in [format!("{FILE}.new"), COPY.to_owned()] {
        for path in ["", "-journal", "-wal", "-shm"].map(|suffix| folder.join(format!("{name}{suffix}"))) {
            if fs::symlink_metadata(&path).is_ok_and(|facts| facts.is_file()) && fs::remove_file(&path).is_ok() {
                log::info!("{}: left by a process that was killed; removed", path.display());
            }
        }
    }
}

/// Makes names in `folder` durable.
pub fn sync(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}
