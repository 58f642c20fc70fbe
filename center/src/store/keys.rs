//! Keys in the store: each with its server, its licence, and how it has moved.

use licence::activation::Memory;
use licence::code::ActivationCode;
use licence::error::{Code, Error, Result};
use licence::fingerprint::Fingerprint;
use licence::id::ComputerId;
use licence::identity::PublicIdentity;
use licence::key::KeyType;
use licence::{KeyNo, SeriesId, Time};

use super::Work;
use super::catalogue::Policy;
use super::codes::{meaning, word};
use super::database::{LOCKED, Row, Value, json};
use super::events::Kind;
use crate::terms::Terms;

/// Whether a key has a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It works on its server.
    Active,
    /// It was given up: its reserve code waits to be exchanged.
    Reserved,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Series.
    pub series: SeriesId,
    /// Its number.
    pub key_no: KeyNo,
    /// Its registration number.
    pub reg_no: u32,
    /// What it entitles to now.
    pub terms: Terms,
    /// ИНН of its owner.
    pub itn: Option<String>,
    /// КПП of its owner.
    pub iec: Option<String>,
    /// When its first code was exchanged.
    pub activated: Time,
    /// Whether it has a server.
    pub state: KeyState,
    /// Whether the vendor has revoked it.
    pub revoked: bool,
    /// Transfers that the vendor allows beyond the limit.
    pub allowance: u32,
    /// Issue of its licence; what is retired up to here when it is reserved.
    pub issue: u32,
    /// The code that counts: exchanged for the licence, or the reserve code.
    pub code: ActivationCode,
    /// The server that has it, or had it last.
    pub identity: PublicIdentity,
    /// That server's machine.
    pub fingerprint: Fingerprint,
    /// The carrier, if it is bound to one.
    pub blank_key_no: Option<KeyNo>,
    /// Hardware identifier, for people.
    pub computer_id: Option<ComputerId>,
    /// Memory that its last server has sent along.
    pub memory: Option<Memory>,
    /// Text of the licence file and when it was signed; `None` until it is.
    pub licence: Option<(String, Time)>,
}

/// An exchange of a code, in the history of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activated {
    /// Issue that it led to.
    pub issue: u32,
    /// The code.
    pub code: ActivationCode,
    /// The machine, for people.
    pub computer_id: Option<ComputerId>,
    /// The carrier.
    pub blank_key_no: Option<KeyNo>,
    /// When.
    pub at: Time,
}

/// A key given up for a reserve code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The last issue that counts no more.
    pub retired_issue: u32,
    /// The reserve code.
    pub code: ActivationCode,
    /// The server that has given it up.
    pub identity: PublicIdentity,
    /// When.
    pub at: Time,
    /// Why.
    pub reason: String,
    /// More about it.
    pub comment: String,
}

const COLUMNS: &str = "series, key_no, reg_no, terms, itn, iec, activated, state, revoked, allowance, issue, code, identity, \
    fingerprint, blank_key_no, computer_id, memory, licence, issued";
const STATES: [(KeyState, &str); 2] = [(KeyState::Active, "active"), (KeyState::Reserved, "reserved")];
/// What tells the keys of the identity `?1`. The index has the first digits of an identity only: with two whole keys in each of its
/// entries it would be the largest of all.
const OF_IDENTITY: &str = "substr(identity, 11, 16) = substr(?1, 11, 16) AND identity = ?1";
/// Most rows of one search.
pub(super) const FOUND: i64 = 200;

/// Demo keys of the identity `?1`, or of the computer `?3`, of the series `?2`. An expression in place of a column keeps SQLite from
/// looking through all keys of the series.
pub(super) fn demos() -> String {
    format!(
        "SELECT {COLUMNS} FROM keys WHERE series = ?2 AND key_no IN (SELECT key_no FROM keys WHERE {OF_IDENTITY} AND series || '' = ?2 \
        UNION SELECT key_no FROM demos WHERE series = ?2 AND computer_id = ?3) \
        AND EXISTS (SELECT 1 FROM codes WHERE codes.series = ?2 AND codes.key_no = keys.key_no AND origin = 'demo') \
        ORDER BY key_no"
    )
}

/// Keys of the identity `?1` that may be on one machine only, but for those on the machine `?2`.
pub(super) fn machines() -> String {
    format!(
        "SELECT series, key_no, fingerprint FROM keys WHERE {OF_IDENTITY} AND fingerprint <> ?2 AND state = 'active' \
        AND allowance = 0 AND blank_key_no IS NULL ORDER BY series, key_no"
    )
}

fn read(row: &Row) -> Result<Key> {
    let text = |at| Ok::<_, Error>(row.optional_text(at)?.map(str::to_owned));
    Ok(Key {
        series: row.series(0)?,
        key_no: row.number(1)?,
        reg_no: row.number(2)?,
        terms: row.json(3)?,
        itn: text(4)?,
        iec: text(5)?,
        activated: row.time(6)?,
        state: meaning(&STATES, row.text(7)?)?,
        revoked: row.number::<i64>(8)? != 0,
        allowance: row.number(9)?,
        issue: row.number(10)?,
        code: row.parsed(11)?,
        identity: row.json(12)?,
        fingerprint: row.json(13)?,
        blank_key_no: row.optional_number(14)?,
        computer_id: computer(row, 15)?,
        memory: row.optional_text(16)?.map(|_| row.json(16)).transpose()?,
        licence: text(17)?.zip(row.optional_number(18)?.map(Time)),
    })
}

fn computer(row: &Row, at: usize) -> Result<Option<ComputerId>> {
    row.optional_text(at)?.map(|_| row.parsed(at)).transpose()
}

impl Key {
    /// The next issue: its licence is signed when it is asked for.
    pub fn reissue(&mut self) {
        self.issue += 1;
        self.licence = None;
    }

    fn values(&self) -> Result<[Value; 19]> {
        let (licence, issued) = self.licence.clone().unzip();
        Ok([
            (&self.series).into(),
            self.key_no.into(),
            self.reg_no.into(),
            json(&self.terms)?,
            self.itn.clone().into(),
            self.iec.clone().into(),
            self.activated.into(),
            word(&STATES, &self.state).into(),
            self.revoked.into(),
            self.allowance.into(),
            self.issue.into(),
            self.code.digits().into(),
            json(&self.identity)?,
            json(&self.fingerprint)?,
            self.blank_key_no.into(),
            self.computer_id.map(|id| id.to_string()).into(),
            self.memory.as_ref().map(json).transpose()?.unwrap_or(Value::Null),
            licence.into(),
            issued.into(),
        ])
    }
}

/// What finds a text in folded names. What a pattern means for the database is not the person's to say.
pub(super) fn pattern(text: &str) -> String {
    format!("%{}%", text.to_lowercase().replace(['%', '_', '\\'], ""))
}

impl Work<'_> {
    /// The key, if there is one; nobody else changes it until the end of the transaction.
    pub fn lock_key(&mut self, series: &SeriesId, key_no: KeyNo) -> Result<Option<Key>> {
        let sql = format!("SELECT {COLUMNS} FROM keys WHERE series = ?1 AND key_no = ?2{LOCKED}");
        self.one(&sql, &[series.into(), key_no.into()])?.as_ref().map(read).transpose()
    }

    /// The key, if there is one.
    pub fn key(&mut self, series: &SeriesId, key_no: KeyNo) -> Result<Option<Key>> {
        let sql = format!("SELECT {COLUMNS} FROM keys WHERE series = ?1 AND key_no = ?2");
        self.one(&sql, &[series.into(), key_no.into()])?.as_ref().map(read).transpose()
    }

    /// The next numbers of a series, KeyNo and RegNo, and what is allowed for its keys.
    pub fn next_numbers(&mut self, series: &SeriesId) -> Result<(KeyNo, u32, Policy)> {
        let sql = format!("SELECT last_key_no + 1, last_reg_no + 1, policy FROM series WHERE series = ?1{LOCKED}");
        let row = self.one(&sql, &[series.into()])?;
        let row = row.ok_or_else(|| Error::new(Code::RecordNotFound).with(series.key_id))?;
        let (key_no, reg_no): (KeyNo, u32) = (row.number(0)?, row.number(1)?);
        // Two statements: what SQLite returns of rows that it changes goes through a table of its own each time.
        let sql = "UPDATE series SET last_key_no = ?2, last_reg_no = ?3 WHERE series = ?1";
        self.execute(sql, &[series.into(), key_no.into(), reg_no.into()])?;
        Ok((key_no, reg_no, row.json(2)?))
    }

    /// Writes a new key.
    pub fn insert_key(&mut self, key: &Key) -> Result<()> {
        let sql = format!(
            "INSERT INTO keys ({COLUMNS}) VALUES \
            (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)"
        );
        self.execute(&sql, &key.values()?)?;
        self.remember_demo(key)
    }

    /// Writes what may change of a key: all but its numbers.
    pub fn save_key(&mut self, key: &Key) -> Result<()> {
        let sql = "UPDATE keys SET reg_no = ?3, terms = ?4, itn = ?5, iec = ?6, activated = ?7, state = ?8, revoked = ?9, \
            allowance = ?10, issue = ?11, code = ?12, identity = ?13, fingerprint = ?14, blank_key_no = ?15, \
            computer_id = ?16, memory = ?17, licence = ?18, issued = ?19 WHERE series = ?1 AND key_no = ?2";
        self.execute(sql, &key.values()?)?;
        self.remember_demo(key)
    }

    /// Remembers that a computer has had a demo licence.
    fn remember_demo(&mut self, key: &Key) -> Result<()> {
        let Some(computer) = key.computer_id.filter(|_| key.terms.offer.key_type == KeyType::Demo) else {
            return Ok(());
        };
        let sql = "INSERT INTO demos (series, computer_id, key_no) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.execute(sql, &[(&key.series).into(), computer.to_string().into(), key.key_no.into()]).map(drop)
    }

    /// Keeps the signed licence of an issue and gives the one that counts: when a lost answer is asked for twice at the same
    /// time, the first that was kept. `None` when the key has moved on meanwhile.
    pub fn keep_licence(&mut self, key: &Key, (text, signed): (&str, Time)) -> Result<Option<String>> {
        let sql = "UPDATE keys SET licence = ?4, issued = ?5 WHERE series = ?1 AND key_no = ?2 AND issue = ?3 \
            AND licence IS NULL";
        let of_key = [Value::from(&key.series), key.key_no.into(), key.issue.into()];
        let [series, key_no, issue] = of_key.clone();
        if self.execute(sql, &[series, key_no, issue, text.into(), signed.into()])? > 0 {
            return Ok(Some(text.to_owned()));
        }
        let sql = "SELECT licence FROM keys WHERE series = ?1 AND key_no = ?2 AND issue = ?3";
        match self.one(sql, &of_key)? {
            Some(row) => Ok(row.optional_text(0)?.map(str::to_owned)),
            None => Ok(None),
        }
    }

    /// A demo key of the series that this server, or this computer, has had already.
    pub fn demo_key(
        &mut self,
        series: &SeriesId,
        (identity, computer): (&PublicIdentity, Option<ComputerId>),
    ) -> Result<Option<Key>> {
        let computer = computer.map(|id| id.to_string()).unwrap_or_default();
        let rows = self.rows(&demos(), &[json(identity)?, series.into(), computer.into()])?;
        let mut keys = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        let own = keys.iter().position(|key| key.identity == *identity).unwrap_or_default();
        Ok((!keys.is_empty()).then(|| keys.swap_remove(own)))
    }

    /// The keys that a server has now, each with the machine that it was issued for. Left out are those on carriers, those that the
    /// vendor lets move, and those whose machine is the given one to the letter.
    pub fn machines_of(
        &mut self,
        identity: &PublicIdentity,
        but: &Fingerprint,
    ) -> Result<Vec<(SeriesId, KeyNo, Fingerprint)>> {
        let rows = self.rows(&machines(), &[json(identity)?, json(but)?])?;
        rows.iter().map(|row| Ok((row.series(0)?, row.number(1)?, row.json(2)?))).collect()
    }

    /// Numbers of the revoked keys of a series, ascending.
    pub fn revoked_keys(&mut self, series: &SeriesId) -> Result<Vec<KeyNo>> {
        let sql = "SELECT key_no FROM keys WHERE series = ?1 AND revoked = 1 ORDER BY key_no";
        self.rows(sql, &[series.into()])?.iter().map(|row| row.number(0)).collect()
    }

    /// Keys of an owner, or of a number: what a person searches by. At most 200.
    pub fn find_keys(&mut self, text: &str) -> Result<Vec<Key>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM keys WHERE itn = ?1 OR computer_id = ?2 OR key_no = ?3 OR reg_no = ?3 \
            OR (?4 <> '%%' AND itn IN (SELECT itn FROM customers WHERE folded_name LIKE ?4)) ORDER BY series, key_no LIMIT {FOUND}"
        );
        let number = text.parse::<i64>().unwrap_or(0);
        let pattern = pattern(text);
        let values = [text.into(), text.to_uppercase().into(), number.into(), pattern.into()];
        self.rows(&sql, &values)?.iter().map(read).collect()
    }

    /// Notes an exchange that has led to the key's issue.
    pub fn note_activation(&mut self, (at, actor): (Time, &str), key: &Key, details: &str) -> Result<()> {
        let sql = "INSERT INTO events (at, actor, kind, series, key_no, code, details, issue, identity, computer_id, blank_key_no) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let values = [
            at.into(),
            actor.into(),
            Kind::Activated.name().into(),
            (&key.series).into(),
            key.key_no.into(),
            key.code.digits().into(),
            details.into(),
            key.issue.into(),
            json(&key.identity)?,
            key.computer_id.map(|id| id.to_string()).into(),
            key.blank_key_no.into(),
        ];
        self.execute(sql, &values).map(drop)
    }

    /// The exchanges that led to issues of a key.
    pub fn activations(&mut self, series: &SeriesId, key_no: KeyNo) -> Result<Vec<Activated>> {
        let sql = "SELECT issue, code, computer_id, blank_key_no, at FROM events WHERE series = ?1 AND key_no = ?2 \
            AND issue IS NOT NULL ORDER BY id";
        let read = |row: &Row| {
            Ok(Activated {
                issue: row.number(0)?,
                code: row.parsed(1)?,
                computer_id: computer(row, 2)?,
                blank_key_no: row.optional_number(3)?,
                at: row.time(4)?,
            })
        };
        self.rows(sql, &[series.into(), key_no.into()])?.iter().map(read).collect()
    }

    /// Whether a server has ever had the key.
    pub fn has_had(&mut self, (series, key_no): (&SeriesId, KeyNo), identity: &PublicIdentity) -> Result<bool> {
        let sql = "SELECT 1 FROM events WHERE series = ?1 AND key_no = ?2 AND identity = ?3";
        Ok(self.one(sql, &[series.into(), key_no.into(), json(identity)?])?.is_some())
    }

    /// Remembers that a key was given up.
    pub fn insert_transfer(&mut self, (series, key_no): (&SeriesId, KeyNo), transfer: &Transfer) -> Result<()> {
        let sql = "INSERT INTO transfers (series, key_no, retired_issue, code, identity, at, reason, comment) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let values = [
            series.into(),
            key_no.into(),
            transfer.retired_issue.into(),
            transfer.code.digits().into(),
            json(&transfer.identity)?,
            transfer.at.into(),
            transfer.reason.clone().into(),
            transfer.comment.clone().into(),
        ];
        self.execute(sql, &values).map(drop)
    }

    /// How a key was given up, in the order of its issues.
    pub fn transfers(&mut self, series: &SeriesId, key_no: KeyNo) -> Result<Vec<Transfer>> {
        let sql = "SELECT retired_issue, code, identity, at, reason, comment FROM transfers WHERE series = ?1 \
            AND key_no = ?2 ORDER BY retired_issue";
        let read = |row: &Row| {
            Ok(Transfer {
                retired_issue: row.number(0)?,
                code: row.parsed(1)?,
                identity: row.json(2)?,
                at: row.time(3)?,
                reason: row.text(4)?.to_owned(),
                comment: row.text(5)?.to_owned(),
            })
        };
        self.rows(sql, &[series.into(), key_no.into()])?.iter().map(read).collect()
    }
}
