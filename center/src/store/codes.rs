//! Codes in the store: sold, drawn for a demo, or given back for a key.

use licence::activation::CodeState;
use licence::code::ActivationCode;
use licence::crypto::Crypto;
use licence::error::{Code, Error, Result};
use licence::{KeyNo, SeriesId, Time};

use super::Work;
use super::database::{LOCKED, Row, json};
use super::keys::{FOUND, pattern};
use crate::terms::Terms;

/// State of a code.
pub type State = CodeState;

/// Where a code comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The vendor has made it for sale.
    Sold,
    /// Drawn for a demo licence; nobody has ever typed it.
    Demo,
    /// Given for a key that was given up.
    Reserve,
}

/// A code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sold {
    /// The code.
    pub code: ActivationCode,
    /// Its series.
    pub series: SeriesId,
    /// Where it comes from.
    pub origin: Origin,
    /// Its state.
    pub state: State,
    /// What it was made for. For a code with a key the key's own terms count.
    pub terms: Terms,
    /// When it was made.
    pub created: Time,
    /// The key that it has become, or brings back.
    pub key_no: Option<KeyNo>,
    /// How often it was changed: who has seen it knows by this whether it still is what it was.
    pub version: u32,
}

const COLUMNS: &str = "code, series, origin, state, terms, created, key_no, version";
const STATES: [(State, &str); 3] = [(State::New, "new"), (State::Used, "used"), (State::Blocked, "blocked")];
const ORIGINS: [(Origin, &str); 3] = [(Origin::Sold, "sold"), (Origin::Demo, "demo"), (Origin::Reserve, "reserve")];

/// The word in the store for a value of a small table.
pub(super) fn word<T: PartialEq>(table: &[(T, &'static str)], value: &T) -> &'static str {
    table.iter().find(|(known, _)| known == value).map_or("", |(_, word)| word)
}

/// The value that a word of the store stands for.
pub(super) fn meaning<T: Copy>(table: &[(T, &'static str)], word: &str) -> Result<T> {
    let found = table.iter().find(|(_, known)| *known == word).map(|(value, _)| *value);
    found.ok_or_else(|| Error::new(Code::StoreDamaged).with("center").with(word))
}

fn read(row: &Row) -> Result<Sold> {
    Ok(Sold {
        code: row.parsed(0)?,
        series: row.series(1)?,
        origin: meaning(&ORIGINS, row.text(2)?)?,
        state: meaning(&STATES, row.text(3)?)?,
        terms: row.json(4)?,
        created: row.time(5)?,
        key_no: row.optional_number(6)?,
        version: row.number(7)?,
    })
}

impl Work<'_> {
    /// The code, if there is one; nobody else changes it until the end of the transaction.
    pub fn lock_code(&mut self, code: ActivationCode) -> Result<Option<Sold>> {
        let sql = format!("SELECT {COLUMNS} FROM codes WHERE code = ?1{LOCKED}");
        self.one(&sql, &[code.digits().into()])?.as_ref().map(read).transpose()
    }

    /// The code, if there is one.
    pub fn code(&mut self, code: ActivationCode) -> Result<Option<Sold>> {
        let sql = format!("SELECT {COLUMNS} FROM codes WHERE code = ?1");
        self.one(&sql, &[code.digits().into()])?.as_ref().map(read).transpose()
    }

    /// Writes a new code.
    pub fn insert_code(&mut self, sold: &Sold) -> Result<()> {
        let sql = format!("INSERT INTO codes ({COLUMNS}, itn) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
        let values = [
            sold.code.digits().into(),
            (&sold.series).into(),
            word(&ORIGINS, &sold.origin).into(),
            word(&STATES, &sold.state).into(),
            json(&sold.terms)?,
            sold.created.into(),
            sold.key_no.into(),
            sold.version.into(),
            sold.terms.itn.clone().into(),
        ];
        self.execute(&sql, &values).map(drop)
    }

    /// Writes what may change of a code: state, terms, key.
    pub fn save_code(&mut self, sold: &Sold) -> Result<()> {
        let sql =
            "UPDATE codes SET state = ?2, terms = ?3, key_no = ?4, itn = ?5, version = version + 1 WHERE code = ?1";
        let state = word(&STATES, &sold.state).into();
        let itn = sold.terms.itn.clone().into();
        let values = [sold.code.digits().into(), state, json(&sold.terms)?, sold.key_no.into(), itn];
        self.execute(sql, &values).map(drop)
    }

    /// Writes that a code has become a key; whether it still was what is known of it.
    pub fn use_code(&mut self, known: &Sold, key_no: KeyNo) -> Result<bool> {
        let sql = "UPDATE codes SET state = ?3, key_no = ?4, version = version + 1 WHERE code = ?1 AND version = ?2";
        let used = word(&STATES, &State::Used).into();
        Ok(self.execute(sql, &[known.code.digits().into(), known.version.into(), used, key_no.into()])? > 0)
    }

    /// A fresh code that nobody has.
    pub fn fresh_code(&mut self, crypto: &dyn Crypto) -> Result<ActivationCode> {
        loop {
            let code = ActivationCode::random(crypto)?;
            if self.code(code)?.is_none() {
                return Ok(code);
            }
        }
    }

    /// Makes `count` fresh codes for sale, of a series that the store knows.
    pub fn add_codes(
        &mut self,
        crypto: &dyn Crypto,
        (series, terms): (&SeriesId, &Terms),
        (count, now): (u32, Time),
    ) -> Result<Vec<ActivationCode>> {
        if let Some(fault) = terms.fault(series.key_id) {
            return Err(Error::new(Code::BadRequest).with(fault));
        }
        if self.series(series)?.is_none() {
            return Err(Error::new(Code::RecordNotFound).with(series.key_id));
        }
        let mut codes = Vec::new();
        for _ in 0..count {
            let code = self.fresh_code(crypto)?;
            let (origin, state, terms) = (Origin::Sold, State::New, terms.clone());
            self.insert_code(&Sold {
                code,
                series: *series,
                origin,
                state,
                terms,
                created: now,
                key_no: None,
                version: 0,
            })?;
            codes.push(code);
        }
        Ok(codes)
    }

    /// Codes for sale of a series, or of all, in the order in which they were made.
    pub fn codes(&mut self, series: Option<&SeriesId>) -> Result<Vec<Sold>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM codes WHERE origin = 'sold' AND (?1 = '' OR series = ?1) ORDER BY created, code"
        );
        let series = series.map(super::database::series_name).unwrap_or_default();
        self.rows(&sql, &[series.into()])?.iter().map(read).collect()
    }

    /// Codes that nobody has exchanged yet and that only that ИНН can, or customers with that in their name. At most 200.
    pub fn find_codes(&mut self, text: &str) -> Result<Vec<Sold>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM codes WHERE itn IS NOT NULL AND state = 'new' AND key_no IS NULL AND (itn = ?1 \
            OR (?2 <> '%%' AND itn IN (SELECT itn FROM customers WHERE folded_name LIKE ?2))) \
            ORDER BY created, code LIMIT {FOUND}"
        );
        self.rows(&sql, &[text.into(), pattern(text).into()])?.iter().map(read).collect()
    }

    /// All codes of a key, in the order in which they were made.
    pub fn codes_of_key(&mut self, series: &SeriesId, key_no: KeyNo) -> Result<Vec<Sold>> {
        let sql = format!("SELECT {COLUMNS} FROM codes WHERE series = ?1 AND key_no = ?2 ORDER BY created, code");
        self.rows(&sql, &[series.into(), key_no.into()])?.iter().map(read).collect()
    }
}
