//! Codes in the store: made and blocked at the vendor's desk.

use licence::code::ActivationCode;
use licence::crypto::Crypto;
use licence::error::{Code, Error, Result};
use licence::{KeyId, KeyNo, SeriesId, Time};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{Store, failed, json, parsed, series_of};
use crate::terms::Terms;

/// State of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Never exchanged.
    New,
    /// Exchanged for a licence.
    Used,
    /// Refused by the vendor, exchanged or not.
    Blocked,
}

impl State {
    /// The word in the store.
    pub fn name(self) -> &'static str {
        match self {
            State::New => "new",
            State::Used => "used",
            State::Blocked => "blocked",
        }
    }
}

/// A code as it was sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sold {
    /// The code.
    pub code: ActivationCode,
    /// Its series.
    pub series: SeriesId,
    /// Its state.
    pub state: State,
    /// What it is for.
    pub terms: Terms,
    pub(super) series_row: i64,
}

/// A code in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The code.
    pub sold: Sold,
    /// Number of the key that it became, and when.
    pub activated: Option<(KeyNo, Time)>,
}

const COLUMNS: &str = "codes.code, codes.state, codes.terms, series.id, series.key_id, series.root";

fn read(row: &Row<'_>) -> rusqlite::Result<Sold> {
    let wrong = |at, cause: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(at, Type::Text, cause)
    };
    let code: String = row.get(0)?;
    let state: String = row.get(1)?;
    let states = [State::New, State::Used, State::Blocked];
    Ok(Sold {
        code: code.parse().map_err(|e: Error| wrong(0, Box::new(e)))?,
        state: states.into_iter().find(|known| known.name() == state).ok_or_else(|| wrong(1, "state".into()))?,
        terms: parsed(row, 2)?,
        series_row: row.get(3)?,
        series: series_of(row, 4, 5)?,
    })
}

/// The code, if it was ever sold.
pub(super) fn find(connection: &Connection, code: ActivationCode) -> Result<Option<Sold>> {
    let sql = format!("SELECT {COLUMNS} FROM codes JOIN series ON series.id = codes.series WHERE codes.code = ?1");
    connection.query_row(&sql, [code.digits()], read).optional().map_err(failed)
}

impl Store {
    /// Makes `count` fresh codes of a series that the store knows.
    pub fn add_codes(
        &self,
        crypto: &dyn Crypto,
        series: &SeriesId,
        terms: &Terms,
        (count, now): (u32, Time),
    ) -> Result<Vec<ActivationCode>> {
        if let Some(fault) = terms.fault(series.key_id) {
            return Err(Error::new(Code::BadRequest).with(fault));
        }
        let sql = "INSERT INTO codes (code, series, state, terms, created)
            SELECT ?1, id, 'new', ?2, ?3 FROM series WHERE key_id = ?4 AND root = ?5";
        let terms = json(terms)?;
        let mut connection = self.connection.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let mut codes = Vec::new();
        while codes.len() < count as usize {
            let code = ActivationCode::random(crypto)?;
            if find(&transaction, code)?.is_some() {
                continue;
            }
            let values = params![code.digits(), terms, now.0, series.key_id.0, series.root.0];
            if transaction.execute(sql, values).map_err(failed)? == 0 {
                return Err(Error::new(Code::RecordNotFound).with(series.key_id));
            }
            codes.push(code);
        }
        transaction.commit().map_err(failed)?;
        Ok(codes)
    }

    /// Blocks a code for ever; gives the state that it had.
    pub fn block(&self, code: ActivationCode) -> Result<State> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let sold = find(&transaction, code)?.ok_or_else(|| Error::new(Code::CodeUnknown))?;
        transaction.execute("UPDATE codes SET state = 'blocked' WHERE code = ?1", [code.digits()]).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(sold.state)
    }

    /// All codes of a series, or of all, in the order in which they were made.
    pub fn codes(&self, key_id: Option<KeyId>) -> Result<Vec<Listed>> {
        let sql = format!(
            "SELECT {COLUMNS}, activations.key_no, activations.activated FROM codes JOIN series ON series.id = codes.series
            LEFT JOIN activations ON activations.code = codes.code
            WHERE ?1 IS NULL OR series.key_id = ?1 ORDER BY codes.created, codes.rowid"
        );
        let connection = self.connection.lock();
        let mut statement = connection.prepare(&sql).map_err(failed)?;
        let list = |row: &Row<'_>| {
            let activated = row.get::<_, Option<KeyNo>>(6)?.zip(row.get::<_, Option<i64>>(7)?.map(Time));
            Ok(Listed { sold: read(row)?, activated })
        };
        let rows = statement.query_map([key_id.map(|id| id.0)], list).map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }
}
