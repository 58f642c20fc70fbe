//! What the store needs of a database: values, rows, transactions. Two databases give it, with the same queries; nothing
//! else in the centre knows which one it is.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use licence::error::{Code, Error, Result};
use licence::{SeriesId, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value of a row or a parameter. Everything is a number or a text, so that both databases agree on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

/// End of a query whose rows nobody else changes until the end of the transaction: who comes second waits there, and reads what
/// the first has left. Nothing in SQLite, where transactions that write take turns anyway.
pub const LOCKED: &str = " FOR UPDATE";

/// One row.
#[derive(Debug, Clone)]
pub struct Row(pub Vec<Value>);

/// An open transaction. Parameters of a query are `?1`, `?2` …
pub trait Transaction {
    /// Runs a statement; the number of rows that it changed.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64>;

    /// Runs a query.
    fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>>;
}

/// What is done inside a transaction.
pub type Job<'a> = &'a mut dyn FnMut(&mut dyn Transaction) -> Result<()>;

/// How the transaction has ended that a job was part of, once it has. Jobs that share a transaction share its fate.
#[derive(Debug, Clone, Default)]
pub struct Fate(Arc<OnceLock<Result<Commit>>>);

/// Number of a commit, by which the database knows whether it is on the disk.
pub type Commit = u64;

/// A database. Statements that write the same row take turns until the end of their transactions.
pub trait Database: Send + Sync {
    /// Runs `job` in a transaction: all of it is on the disk afterwards, or, with an error, nothing.
    fn transact(&self, job: Job<'_>) -> Result<()>;

    /// Runs `job` in a transaction that it may share with others: they see what it has done, but it may be lost until its fate is
    /// settled. `after` is the fate of what the job builds upon: when that was lost, the job is not run. A job that refuses should
    /// do so before it writes: what it has written can be undone only together with the rest of the transaction.
    fn join(&self, job: Job<'_>, after: Option<&Fate>) -> Result<Fate>;

    /// Puts on the disk what has that fate, or says why it was lost.
    fn settle(&self, fate: &Fate) -> Result<()>;

    /// How many callers at once it serves best.
    fn callers(&self) -> usize;

    /// Writes a copy of all that is in it to a new file, while others go on working.
    fn backup(&self, to: &Path) -> Result<()>;
}

/// A row that names one which is not there: the caller's mistake, not the database's.
pub fn no_such_record() -> Error {
    Error::new(Code::RecordNotFound).with_text("то, на что ссылается запись", "what the record refers to")
}

impl Fate {
    /// That of a transaction that has ended.
    pub fn known(outcome: Result<Commit>) -> Fate {
        Fate(Arc::new(outcome.into()))
    }

    /// How it has ended, if it has.
    pub fn outcome(&self) -> Option<Result<Commit>> {
        self.0.get().cloned()
    }

    /// Tells all who share it. It is told once.
    pub fn tell(&self, outcome: Result<Commit>) {
        let _ = self.0.set(outcome);
    }

    /// Whether it is that of the same transaction.
    pub fn is(&self, other: &Fate) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Row {
    fn at(&self, at: usize) -> Result<&Value> {
        self.0.get(at).ok_or_else(|| damaged("columns"))
    }

    /// A number that may be missing.
    pub fn optional_number<T: TryFrom<i64>>(&self, at: usize) -> Result<Option<T>> {
        match self.at(at)? {
            Value::Null => Ok(None),
            Value::Number(number) => T::try_from(*number).map(Some).map_err(|_| damaged("a number out of range")),
            Value::Text(_) => Err(damaged("a text for a number")),
        }
    }

    /// A number.
    pub fn number<T: TryFrom<i64>>(&self, at: usize) -> Result<T> {
        self.optional_number(at)?.ok_or_else(|| damaged("a missing number"))
    }

    /// A moment.
    pub fn time(&self, at: usize) -> Result<Time> {
        self.number(at).map(Time)
    }

    /// A text that may be missing.
    pub fn optional_text(&self, at: usize) -> Result<Option<&str>> {
        match self.at(at)? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            Value::Number(_) => Err(damaged("a number for a text")),
        }
    }

    /// A text.
    pub fn text(&self, at: usize) -> Result<&str> {
        self.optional_text(at)?.ok_or_else(|| damaged("a missing text"))
    }

    /// What a text says by its `FromStr`.
    pub fn parsed<T: std::str::FromStr>(&self, at: usize) -> Result<T> {
        self.text(at)?.parse().map_err(|_| damaged("a text that does not parse"))
    }

    /// What a JSON text holds.
    pub fn json<T: DeserializeOwned>(&self, at: usize) -> Result<T> {
        serde_json::from_str(self.text(at)?).map_err(damaged)
    }

    /// A series, as [`series_name`] writes it.
    pub fn series(&self, at: usize) -> Result<SeriesId> {
        let (key_id, root) = self.text(at)?.split_once('.').ok_or_else(|| damaged("series"))?;
        let wrong = |_| damaged("series");
        Ok(SeriesId { key_id: key_id.parse().map_err(wrong)?, root: root.parse().map_err(wrong)? })
    }
}

/// A series as the store names it: `672B.` and the hash of its root.
pub fn series_name(series: &SeriesId) -> String {
    format!("{}.{}", series.key_id, series.root)
}

fn damaged(cause: impl std::fmt::Display) -> Error {
    Error::new(Code::StoreDamaged).with("center").with(cause)
}

/// A value as JSON text.
pub fn json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_string(value).map(Value::Text).map_err(|e| Error::new(Code::Internal).with(e))
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Number(number.into())
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Number(yes.into())
    }
}

impl From<Time> for Value {
    fn from(time: Time) -> Value {
        Value::Number(time.0)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<&SeriesId> for Value {
    fn from(series: &SeriesId) -> Value {
        Value::Text(series_name(series))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}
