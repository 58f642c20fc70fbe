//! The centre's store, `center.db`: series, codes, activations. What was decided is on the disk before it is answered, and
//! every decision is one transaction, so two machines never get the same code, whatever number of programs is at work.

mod codes;

pub use codes::{Listed, Sold, State};

use std::path::Path;
use std::time::Duration;

use licence::activation::{Activate, Request};
use licence::code::ActivationCode;
use licence::error::{Code, Error, Result};
use licence::fingerprint::Fingerprint;
use licence::host::volume::network_file_system;
use licence::identity::PublicIdentity;
use licence::{KeyId, KeyNo, RootHash, SeriesId, Time};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rules;

/// Name of the store in the centre's folder.
pub const FILE: &str = "center.db";
/// Version of the layout, in `user_version`.
pub const SCHEMA: i32 = 1;
/// `application_id` of our stores: `SLKC`.
const APPLICATION: i32 = 0x534C_4B43;
/// How long a writer waits for another one, such as `licenceedit code` beside a running centre.
const PATIENCE: Duration = Duration::from_secs(10);

/// The open store.
pub struct Store {
    connection: Mutex<Connection>,
}

/// A code that was exchanged, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// The code and its terms.
    pub sold: Sold,
    /// Number of the key.
    pub key_no: KeyNo,
    /// Registration number.
    pub reg_no: u32,
    /// Issue of the licence.
    pub issue: u32,
    /// The server.
    pub identity: PublicIdentity,
    /// Its machine.
    pub fingerprint: Fingerprint,
    /// The carrier, if the key is bound to one.
    pub blank_key_no: Option<KeyNo>,
    /// ИНН of the licence.
    pub itn: Option<String>,
    /// КПП of the licence.
    pub iec: Option<String>,
    /// When the code was exchanged for the first time.
    pub activated: Time,
    /// Text of the licence file; `None` until it is signed.
    pub licence: Option<String>,
    /// Whether this request is a repeated one.
    pub repeated: bool,
}

impl Store {
    /// Opens the store in the centre's folder, or makes it.
    pub fn open(folder: &Path) -> Result<Store> {
        let path = folder.join(FILE);
        let place = path.display().to_string();
        if let Ok(Some(kind)) = network_file_system(folder) {
            return Err(Error::new(Code::NetworkStore).with(&place).with(kind));
        }
        create_private(&path).map_err(|e| Error::new(Code::FileFailed).with(&place).with(e))?;
        let damaged = |e: rusqlite::Error| Error::new(Code::StoreDamaged).with(&place).with(e);
        let mut connection = Connection::open(&path).map_err(damaged)?;
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
                transaction.execute_batch(include_str!("schema.sql")).map_err(failed)?;
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
        Ok(Store { connection: Mutex::new(connection) })
    }

    /// Makes a series known, or renames it.
    pub fn add_series(&self, series: &SeriesId, name: &str) -> Result<()> {
        let sql = "INSERT INTO series (key_id, root, name) VALUES (?1, ?2, ?3)
            ON CONFLICT (key_id, root) DO UPDATE SET name = excluded.name";
        let connection = self.connection.lock();
        connection.execute(sql, params![series.key_id.0, series.root.0, name]).map(drop).map_err(failed)
    }

    /// Exchanges a code. For the machine that it was exchanged for already, the same activation comes back; for a new one,
    /// `judge` decides before anything is written. The licence is signed afterwards, outside of any transaction.
    pub fn claim(
        &self,
        (request, asked, code): (&Request, &Activate, ActivationCode),
        now: Time,
        judge: &dyn Fn(&Sold) -> Result<()>,
    ) -> Result<Activation> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let sold = codes::find(&transaction, code)?.ok_or_else(|| Error::new(Code::CodeUnknown))?;
        if sold.state == State::Blocked {
            return Err(Error::new(Code::CodeBlocked));
        }
        if let Some(activation) = find_activation(&transaction, &sold)? {
            let then = (&activation.fingerprint, activation.blank_key_no);
            let now = (&request.fingerprint, asked.blank_key_no);
            let same = activation.identity == request.identity && rules::same_machine(then, now);
            return if same { Ok(activation) } else { Err(Error::new(Code::CodeUsed)) };
        }
        judge(&sold)?;
        let activation = Activation {
            key_no: next(&transaction, sold.series_row, "last_key_no")?,
            reg_no: next(&transaction, sold.series_row, "last_reg_no")?,
            issue: 1,
            identity: request.identity,
            fingerprint: request.fingerprint.clone(),
            blank_key_no: asked.blank_key_no,
            itn: sold.terms.itn.clone().or_else(|| asked.itn.clone()),
            iec: sold.terms.iec.clone().or_else(|| asked.iec.clone()),
            activated: now,
            licence: None,
            repeated: false,
            sold,
        };
        insert(&transaction, &activation, request)?;
        transaction.commit().map_err(failed)?;
        Ok(activation)
    }

    /// Keeps the signed licence of an activation and gives the one that counts: when a lost answer is asked for twice at the
    /// same time, the first that was kept.
    pub fn keep_licence(&self, activation: &Activation, text: &str) -> Result<String> {
        let code = activation.sold.code.digits();
        let connection = self.connection.lock();
        connection
            .execute("UPDATE activations SET licence = ?2 WHERE code = ?1 AND licence IS NULL", params![code, text])
            .map_err(failed)?;
        connection
            .query_row("SELECT licence FROM activations WHERE code = ?1", [code], |row| row.get(0))
            .map_err(failed)
    }

    /// Whether the store answers.
    pub fn check(&self) -> Result<()> {
        self.connection.lock().query_row("SELECT count(*) FROM series", [], |_| Ok(())).map_err(failed)
    }
}

fn next(transaction: &Transaction<'_>, series: i64, counter: &str) -> Result<u32> {
    let sql = format!("UPDATE series SET {counter} = {counter} + 1 WHERE id = ?1 RETURNING {counter}");
    transaction.query_row(&sql, [series], |row| row.get(0)).map_err(failed)
}

fn insert(transaction: &Transaction<'_>, activation: &Activation, request: &Request) -> Result<()> {
    let code = activation.sold.code.digits();
    let sql = "INSERT INTO activations (code, series, key_no, reg_no, issue, identity, fingerprint, blank_key_no, \
        computer_id, itn, iec, activated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let values = params![
        code,
        activation.sold.series_row,
        activation.key_no,
        activation.reg_no,
        activation.issue,
        json(&activation.identity)?,
        json(&activation.fingerprint)?,
        activation.blank_key_no,
        request.computer_id.map(|id| id.to_string()),
        activation.itn,
        activation.iec,
        activation.activated.0,
    ];
    transaction.execute(sql, values).map_err(failed)?;
    transaction.execute("UPDATE codes SET state = 'used' WHERE code = ?1", [code]).map(drop).map_err(failed)
}

fn find_activation(transaction: &Transaction<'_>, sold: &Sold) -> Result<Option<Activation>> {
    let sql = "SELECT key_no, reg_no, issue, identity, fingerprint, blank_key_no, itn, iec, activated, licence
        FROM activations WHERE code = ?1";
    let read = |row: &Row<'_>| {
        Ok(Activation {
            sold: sold.clone(),
            key_no: row.get(0)?,
            reg_no: row.get(1)?,
            issue: row.get(2)?,
            identity: parsed(row, 3)?,
            fingerprint: parsed(row, 4)?,
            blank_key_no: row.get(5)?,
            itn: row.get(6)?,
            iec: row.get(7)?,
            activated: Time(row.get(8)?),
            licence: row.get(9)?,
            repeated: true,
        })
    };
    transaction.query_row(sql, [sold.code.digits()], read).optional().map_err(failed)
}

fn series_of(row: &Row<'_>, key_id: usize, root: usize) -> rusqlite::Result<SeriesId> {
    Ok(SeriesId { key_id: KeyId(row.get(key_id)?), root: RootHash(row.get(root)?) })
}

fn parsed<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<T> {
    let text: String = row.get(at)?;
    serde_json::from_str(&text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(e)))
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(Code::Internal).with(e))
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
mod tests;
