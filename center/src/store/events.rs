//! What has happened, and who did it: the audit of the centre, and in it what the vendor must look at.

use licence::code::ActivationCode;
use licence::error::Result;
use licence::{KeyNo, SeriesId, Time};

use super::Work;
use super::codes::{meaning, word};
use super::database::Row;

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A code became a licence.
    Activated,
    /// A key was given up for a reserve code.
    Reserved,
    /// The centre has taken the machine as it is now for the key's machine.
    Rebaselined,
    /// The licence of a key was signed anew for an update.
    Updated,
    /// To look at: one identity was seen on two machines.
    Cloned,
    /// To look at: a licence was seen that had been retired before.
    Restored,
    /// The vendor has made codes.
    CodesMade,
    /// The vendor has blocked a code, and with it its key.
    Blocked,
    /// The vendor has allowed one more transfer.
    Allowed,
    /// The vendor has changed what a code or key entitles to.
    TermsChanged,
    /// The vendor has changed the catalogue or a policy.
    CatalogueChanged,
    /// A token was made or withdrawn.
    TokenChanged,
}

const KINDS: [(Kind, &str); 12] = [
    (Kind::Activated, "activated"),
    (Kind::Reserved, "reserved"),
    (Kind::Rebaselined, "rebaselined"),
    (Kind::Updated, "updated"),
    (Kind::Cloned, "cloned"),
    (Kind::Restored, "restored"),
    (Kind::CodesMade, "codes_made"),
    (Kind::Blocked, "blocked"),
    (Kind::Allowed, "allowed"),
    (Kind::TermsChanged, "terms_changed"),
    (Kind::CatalogueChanged, "catalogue_changed"),
    (Kind::TokenChanged, "token_changed"),
];

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Time,
    /// Who: name of a token, `licenceedit`, or `server`.
    pub actor: String,
    /// What.
    pub kind: Kind,
    /// Series.
    pub series: Option<SeriesId>,
    /// Key.
    pub key_no: Option<KeyNo>,
    /// Code.
    pub code: Option<ActivationCode>,
    /// Particulars.
    pub details: String,
}

impl Kind {
    /// The word in the store and in the API.
    pub fn name(self) -> &'static str {
        word(&KINDS, &self)
    }

    /// Whether the vendor must look at it.
    pub fn is_report(self) -> bool {
        matches!(self, Kind::Cloned | Kind::Restored)
    }
}

impl Event {
    /// Something that happened at `at`.
    pub fn new(at: Time, actor: &str, kind: Kind) -> Event {
        Event { at, actor: actor.into(), kind, series: None, key_no: None, code: None, details: String::new() }
    }

    /// About a key.
    #[must_use]
    pub fn of_key(self, series: &SeriesId, key_no: KeyNo) -> Event {
        Event { series: Some(*series), key_no: Some(key_no), ..self }
    }

    /// With a code.
    #[must_use]
    pub fn with_code(self, code: ActivationCode) -> Event {
        Event { code: Some(code), ..self }
    }

    /// With particulars.
    #[must_use]
    pub fn with(self, details: impl std::fmt::Display) -> Event {
        Event { details: details.to_string(), ..self }
    }
}

const COLUMNS: &str = "at, actor, kind, series, key_no, code, details";

fn read(row: &Row) -> Result<Event> {
    Ok(Event {
        at: row.time(0)?,
        actor: row.text(1)?.to_owned(),
        kind: meaning(&KINDS, row.text(2)?)?,
        series: row.optional_text(3)?.map(|_| row.series(3)).transpose()?,
        key_no: row.optional_number(4)?,
        code: row.optional_text(5)?.map(|_| row.parsed(5)).transpose()?,
        details: row.text(6)?.to_owned(),
    })
}

impl Work<'_> {
    /// Remembers an event. The same report about the same key, as a server repeats it every day, is kept once.
    pub fn note(&mut self, event: &Event) -> Result<()> {
        if event.kind.is_report() {
            let sql = "SELECT 1 FROM events WHERE kind = ?1 AND series = ?2 AND key_no = ?3 AND details = ?4";
            let values = [
                event.kind.name().into(),
                event.series.as_ref().into(),
                event.key_no.into(),
                event.details.clone().into(),
            ];
            if self.one(sql, &values)?.is_some() {
                return Ok(());
            }
        }
        let sql = format!("INSERT INTO events ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
        let values = [
            event.at.into(),
            event.actor.clone().into(),
            event.kind.name().into(),
            event.series.as_ref().into(),
            event.key_no.into(),
            event.code.map(|code| code.digits()).into(),
            event.details.clone().into(),
        ];
        self.execute(&sql, &values).map(drop)
    }

    /// Events of a key, oldest first.
    pub fn events_of_key(&mut self, series: &SeriesId, key_no: KeyNo) -> Result<Vec<Event>> {
        let sql = format!("SELECT {COLUMNS} FROM events WHERE series = ?1 AND key_no = ?2 ORDER BY id");
        self.rows(&sql, &[series.into(), key_no.into()])?.iter().map(read).collect()
    }

    /// The latest events, newest first, behind the first `skipped`; only those that the vendor must look at, if `reports`.
    pub fn latest_events(&mut self, reports: bool, (skipped, count): (u32, u32)) -> Result<Vec<Event>> {
        let reported = if reports { "WHERE kind IN ('cloned', 'restored') " } else { "" };
        let sql = format!("SELECT {COLUMNS} FROM events {reported}ORDER BY id DESC LIMIT ?1 OFFSET ?2");
        self.rows(&sql, &[count.into(), skipped.into()])?.iter().map(read).collect()
    }
}
