//! The store in one SQLite file, `center.db`: for a centre of one process. Other programs of the same computer, such as
//! `licenceedit code`, may open it beside.

use std::path::{Path, PathBuf};
use std::time::Duration;

use licence::error::{Code, Error, Result};
use licence::host::volume::network_file_system;
use parking_lot::Mutex;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, TransactionBehavior};

use super::database::{Database, Job, Row, Transaction, Value};

/// Name of the store in the centre's folder.
pub const FILE: &str = "center.db";
/// Version of the layout, in `user_version`.
pub const SCHEMA: i32 = 1;
/// `application_id` of our stores: `SLKC`.
const APPLICATION: i32 = 0x534C_4B43;
/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(10);
/// Statements that stay prepared.
const STATEMENTS: usize = 64;

/// The open file.
pub struct Sqlite {
    connection: Mutex<Connection>,
    path: PathBuf,
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
        Ok(Sqlite { connection: Mutex::new(connection), path })
    }
}

impl Database for Sqlite {
    fn transact(&self, job: Job<'_>) -> Result<()> {
        let mut connection = self.connection.lock();
        let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        job(&mut transaction)?;
        transaction.commit().map_err(failed)
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

impl Transaction for rusqlite::Transaction<'_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        let mut statement = self.prepare_cached(&placed(sql)).map_err(failed)?;
        statement.execute(rusqlite::params_from_iter(values)).map(|rows| rows as u64).map_err(failed)
    }

    fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
        let mut statement = self.prepare_cached(&placed(sql)).map_err(failed)?;
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

/// SQLite counts its parameters as `?1`.
fn placed(sql: &str) -> String {
    sql.replace('$', "?")
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
