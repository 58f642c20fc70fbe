//! The centre's store: series, products, articles, codes, keys, activations, transfers, customers, what has happened. What was
//! decided is on the disk before it is answered, and every decision is one transaction, so two machines never get the same
//! code, whatever number of programs is at work.

mod catalogue;
mod codes;
mod database;
mod events;
mod keys;
mod postgres;
mod sqlite;
mod tokens;

pub use catalogue::{Article, Customer, Policy, Product, Series};
pub use codes::{Origin, Sold, State};
pub use events::{Event, Kind};
pub use keys::{Activated, Key, KeyState, Transfer};
pub use sqlite::{FILE, SCHEMA};
pub use tokens::Token;

use std::path::Path;

use licence::error::{Code, Error, Result};
use licence::host::files;

use database::{Database, Decision, Row, Transaction, Value};

/// Name of the file in the centre's folder whose first line is the address of a PostgreSQL database.
pub const ADDRESS_FILE: &str = "center.store";
/// Longest address file that is read, in bytes.
const ADDRESS_LIMIT: u64 = 4096;

const SCHEMA_SQL: &str = include_str!("schema.sql");
/// Stands in the schema for a key that counts by itself.
const SERIAL: &str = "SERIAL_KEY";

/// The open store.
pub struct Store {
    database: Box<dyn Database>,
}

/// An open transaction. What is read in it stays true until its end for rows that were locked.
pub struct Work<'a> {
    transaction: &'a mut dyn Transaction,
}

/// What is decided and seen by others, but may be lost until it is finished.
#[must_use = "what is decided may be lost until it is finished"]
pub struct Decided<'a> {
    decision: Box<dyn Decision + 'a>,
}

impl Store {
    /// Opens the store of the centre's folder: PostgreSQL where its address stands in [`ADDRESS_FILE`], else SQLite. Made at
    /// the first time.
    pub fn open(folder: &Path) -> Result<Store> {
        let address = folder.join(ADDRESS_FILE);
        if std::fs::symlink_metadata(&address).is_err() {
            return Ok(Store { database: Box::new(sqlite::Sqlite::open(folder)?) });
        }
        let text = zeroize::Zeroizing::new(files::read_text(&address, ADDRESS_LIMIT)?);
        let line = text.lines().next().unwrap_or_default().trim();
        Ok(Store { database: Box::new(postgres::Postgres::open(&address, line)?) })
    }

    /// Whether the folder has a store already.
    pub fn exists(folder: &Path) -> bool {
        [FILE, ADDRESS_FILE].iter().any(|name| std::fs::symlink_metadata(folder.join(name)).is_ok())
    }

    /// Runs `job` in a transaction: all of it is on the disk afterwards, or, with an error, nothing.
    pub fn work<T>(&self, mut job: impl FnMut(&mut Work<'_>) -> Result<T>) -> Result<T> {
        let mut done = None;
        self.database.transact(&mut |transaction| {
            done = Some(job(&mut Work { transaction })?);
            Ok(())
        })?;
        done.ok_or_else(no_transaction)
    }

    /// Runs `job` as [`Store::work`] does, for somebody who has more to write soon; what it has decided is kept for certain only
    /// when that is written.
    pub fn decide<T>(&self, mut job: impl FnMut(&mut Work<'_>) -> Result<T>) -> Result<(T, Decided<'_>)> {
        let mut done = None;
        let decision = self.database.decide(&mut |transaction| {
            done = Some(job(&mut Work { transaction })?);
            Ok(())
        })?;
        Ok((done.ok_or_else(no_transaction)?, Decided { decision }))
    }

    /// Writes a copy of the whole store to a new file.
    pub fn backup(&self, to: &Path) -> Result<()> {
        self.database.backup(to)
    }

    /// Whether the store answers.
    pub fn check(&self) -> Result<()> {
        self.work(|work| work.one("SELECT count(*) FROM series", &[]).map(drop))
    }
}

impl Decided<'_> {
    /// Runs `job` after what was decided. Both are on the disk afterwards.
    pub fn finish<T>(self, mut job: impl FnMut(&mut Work<'_>) -> Result<T>) -> Result<T> {
        let mut done = None;
        self.decision.finish(&mut |transaction| {
            done = Some(job(&mut Work { transaction })?);
            Ok(())
        })?;
        done.ok_or_else(no_transaction)
    }
}

fn no_transaction() -> Error {
    Error::new(Code::StoreFailed).with("no transaction")
}

impl Work<'_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        self.transaction.execute(sql, values)
    }

    fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
        self.transaction.rows(sql, values)
    }

    fn one(&mut self, sql: &str, values: &[Value]) -> Result<Option<Row>> {
        Ok(self.rows(sql, values)?.into_iter().next())
    }
}

#[cfg(test)]
pub(crate) mod tests;
