//! The centre's store: series, products, articles, codes, keys, activations, transfers, customers, what has happened. What was
//! decided is on the disk before it is answered, and every decision is one transaction, so two machines never get the same
//! code, whatever number of programs is at work.

mod catalogue;
mod codes;
mod database;
mod events;
mod keys;
mod new_file;
mod postgres;
mod repeats;
mod sqlite;
mod tokens;

pub use catalogue::{Article, Customer, Policy, Product, Series};
pub use codes::{Origin, Sold, State};
pub use events::{Event, Kind};
pub use keys::{Activated, Key, KeyState, Transfer};
pub use repeats::Repeat;
pub use sqlite::FILE;
pub use tokens::Token;

use std::path::Path;
use std::sync::Arc;

use licence::error::{Code, Error, Result};
use licence::host::files;

use database::{Database, Fate, Job, Row, Transaction, Value};

/// Name of the file in the centre's folder whose first line is the address of a PostgreSQL database.
pub const ADDRESS_FILE: &str = "center.store";
/// Longest address file that is read, in bytes.
const ADDRESS_LIMIT: u64 = 4096;

const SCHEMA_SQL: &str = include_str!("schema.sql");
/// What brings a store of each older layout to the next one, from layout 1 on.
const UPGRADES: [&str; 3] =
    [include_str!("schema-1-to-2.sql"), include_str!("schema-2-to-3.sql"), include_str!("schema-3-to-4.sql")];
/// Version of the layout that we write.
pub const SCHEMA: i32 = 1 + UPGRADES.len() as i32;
/// Stands in the schema for a key that counts by itself.
const SERIAL: &str = "SERIAL_KEY";
/// Stands in an upgrade for the ИНН in a row's terms.
const ITN_OF_TERMS: &str = "ITN_OF_TERMS";

/// The open store.
pub struct Store {
    database: Arc<dyn Database>,
}

/// An open transaction. What is read in it stays true until its end for rows that were locked.
pub struct Work<'a> {
    transaction: &'a mut dyn Transaction,
}

/// What a transaction has led to, which is seen by others but may be lost until it is settled: nobody may be told of it before.
/// Dropped, it stays done, and holds nobody up.
#[must_use = "it may be lost until it is settled"]
pub struct Unsettled<T> {
    value: T,
    open: Option<Open>,
}

/// A transaction that may still be open, and is ended when this is dropped.
struct Open {
    database: Arc<dyn Database>,
    fate: Fate,
}

/// What a store of that layout lacks; `None` when it is newer than ours.
fn upgrades(layout: i32) -> Option<&'static [&'static str]> {
    UPGRADES.get(usize::try_from(layout).ok()?.checked_sub(1)?..)
}

impl Store {
    /// Opens the store of the centre's folder: PostgreSQL where its address stands in [`ADDRESS_FILE`], else SQLite. Made at
    /// the first time.
    pub fn open(folder: &Path) -> Result<Store> {
        let address = folder.join(ADDRESS_FILE);
        if std::fs::symlink_metadata(&address).is_err() {
            return Ok(Store { database: Arc::new(sqlite::Sqlite::open(folder)?) });
        }
        let text = zeroize::Zeroizing::new(files::read_text(&address, ADDRESS_LIMIT)?);
        let line = text.lines().next().unwrap_or_default().trim();
        Ok(Store { database: Arc::new(postgres::Postgres::open(&address, line)?) })
    }

    /// Whether the folder has a store already.
    pub fn exists(folder: &Path) -> bool {
        [FILE, ADDRESS_FILE].iter().any(|name| std::fs::symlink_metadata(folder.join(name)).is_ok())
    }

    /// Runs `job` in a transaction: all of it is on the disk afterwards, or, with an error, nothing.
    pub fn work<T>(&self, job: impl FnMut(&mut Work<'_>) -> Result<T>) -> Result<T> {
        run(job, |job| self.database.transact(job)).map(|(value, ())| value)
    }

    /// Runs `job` in a transaction that many share, for who has more to do before others may be told. A job that refuses should
    /// do so before it writes, or all who share the transaction lose what they have done in it.
    pub fn decide<T>(&self, job: impl FnMut(&mut Work<'_>) -> Result<T>) -> Result<Unsettled<T>> {
        let (value, fate) = run(job, |job| self.database.join(job, None))?;
        Ok(Unsettled { value, open: Some(Open { database: self.database.clone(), fate }) })
    }

    /// How many callers at once it serves best.
    pub fn callers(&self) -> usize {
        self.database.callers()
    }

    /// Writes a copy of the whole store to a new file.
    pub fn backup(&self, to: &Path) -> Result<()> {
        self.database.backup(to)
    }

    /// Whether the store answers and takes writes: a standby refuses even one that changes no row.
    pub fn check(&self) -> Result<()> {
        self.work(|work| work.execute("UPDATE series SET name = name WHERE series = ''", &[]).map(drop))
    }
}

impl<T> Unsettled<T> {
    /// What is settled already.
    pub fn settled(value: T) -> Unsettled<T> {
        Unsettled { value, open: None }
    }

    /// What it is about, and what is left to be settled.
    pub fn split(self) -> (T, Unsettled<()>) {
        (self.value, Unsettled { value: (), open: self.open })
    }

    /// Runs `job` after it, in the same transaction or a later one, unless it was lost. Both are settled together.
    pub fn then<U>(self, job: impl FnMut(&mut Work<'_>) -> Result<U>) -> Result<Unsettled<U>> {
        let mut open = self.open.ok_or_else(no_transaction)?;
        let (value, fate) = run(job, |job| open.database.join(job, Some(&open.fate)))?;
        open.fate = fate;
        Ok(Unsettled { value, open: Some(open) })
    }

    /// Makes something of it, which is as little to be told of.
    pub fn map<U>(self, make: impl FnOnce(T) -> Result<U>) -> Result<Unsettled<U>> {
        Ok(Unsettled { value: make(self.value)?, open: self.open })
    }

    /// What it has led to; it is on the disk now.
    pub fn settle(mut self) -> Result<T> {
        if let Some(open) = self.open.take() {
            open.database.settle(&open.fate)?;
        }
        Ok(self.value)
    }
}

impl<T> Unsettled<Option<T>> {
    /// The same about what there is; nothing if there is nothing.
    pub fn transpose(self) -> Option<Unsettled<T>> {
        let Unsettled { value, open } = self;
        value.map(|value| Unsettled { value, open })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Whether it is on the disk nobody asks any more.
        if self.fate.outcome().is_none()
            && let Err(error) = self.database.settle(&self.fate)
        {
            log::error!("{error}");
        }
    }
}

/// What the job gives, which the database runs, and what the database gives.
fn run<T, F>(
    mut job: impl FnMut(&mut Work<'_>) -> Result<T>,
    run: impl FnOnce(Job<'_>) -> Result<F>,
) -> Result<(T, F)> {
    let mut done = None;
    let given = run(&mut |transaction| {
        done = Some(job(&mut Work { transaction })?);
        Ok(())
    })?;
    Ok((done.ok_or_else(no_transaction)?, given))
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
