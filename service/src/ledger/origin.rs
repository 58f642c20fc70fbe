//! What a store knows of itself: its identifier, whether marks of it are written, and that it went back, as long as this matters.

use licence::Time;
use licence::accounting::Finding;
use licence::id::StoreId;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

/// That the store was found to be older than it had been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// Number of its last commit then.
    pub base: u64,
    /// When it was found.
    pub found: Time,
    /// What was found.
    pub finding: Finding,
}

/// The identifier of a store, and whether marks of it were written.
pub fn read(connection: &Connection) -> rusqlite::Result<(StoreId, bool)> {
    connection.query_row("SELECT id, marked FROM store", [], |row| Ok((StoreId(row.get(0)?), row.get(1)?)))
}

/// Remembers that marks of the store are written.
pub fn set_marked(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE store SET marked = 1", []).map(drop)
}

/// That the store went back, until [`forget`].
pub fn rollback(connection: &Connection) -> rusqlite::Result<Option<Rollback>> {
    connection.query_row("SELECT base, found, finding FROM rollback", [], rollback_of).optional()
}

/// A row of `rollback`.
pub fn rollback_of(row: &Row<'_>) -> rusqlite::Result<Rollback> {
    let finding: String = row.get(2)?;
    let finding = serde_json::from_str(&finding)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, Box::new(e)))?;
    Ok(Rollback { base: row.get::<_, i64>(0)?.cast_unsigned(), found: Time(row.get(1)?), finding })
}

/// Writes down that the store went back; its numbers go on after `sequence`.
pub fn note(connection: &mut Connection, rollback: &Rollback, sequence: u64) -> rusqlite::Result<()> {
    let json = |e| rusqlite::Error::ToSqlConversionFailure(Box::new(e));
    let finding = serde_json::to_string(&rollback.finding).map_err(json)?;
    let transaction = connection.transaction()?;
    transaction.execute("DELETE FROM rollback", [])?;
    let row = params![rollback.base.cast_signed(), rollback.found.0, finding];
    transaction.execute("INSERT INTO rollback VALUES (?1, ?2, ?3)", row)?;
    transaction.execute("UPDATE counter SET value = ?1 WHERE name = 'sequence'", [sequence.cast_signed()])?;
    transaction.commit()
}

/// The store is as good as any again; gives the rows of the sessions that go with it.
pub fn forget(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<[u8; 16]>> {
    transaction.execute("DELETE FROM rollback", [])?;
    let mut statement = transaction.prepare("DELETE FROM session WHERE displaced = 1 RETURNING id")?;
    statement.query_map([], |row| row.get(0))?.collect()
}
