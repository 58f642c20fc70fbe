//! What the ledger keeps for people: refusals, usage over time, the audit trail. No grant rests on any of it, so it is written
//! in batches; how long it is kept is told here and in `licence::accounting`.

use core::net::IpAddr;
use std::collections::HashMap;
use std::time::Duration;

use licence::accounting::denial::{self, Applicant, Denial};
use licence::accounting::history::{self, Grain, Interval, Seen};
use licence::id::{KeyId, RootHash, SeriesId};
use licence::time::DAY_MS;
use licence::{Moment, Tick, Time};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::audit::AuditEntry;

/// How long refusals wait for company before they are written.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long notes wait after a commit with them has failed.
pub const PAUSE: Duration = Duration::from_secs(60);
/// How many acts wait to be written at most, while the store fails.
pub const MAX_ACTS: usize = 10_000;
/// How long an act is kept.
const ACTS_KEPT_MS: i64 = 2 * 365 * DAY_MS;
/// How many acts are kept.
const ACTS_KEPT: i64 = 100_000;

/// What is to be written down together.
#[derive(Debug, Default)]
pub struct Notes {
    pub denials: Vec<Denial>,
    pub history: Vec<Interval>,
    pub acts: Vec<AuditEntry>,
}

impl Notes {
    pub fn is_empty(&self) -> bool {
        self.denials.is_empty() && self.history.is_empty() && self.acts.is_empty()
    }
}

/// Which refusals are asked for; the latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DenialFilter {
    /// Of this series only.
    pub series: Option<KeyId>,
    /// Not before this moment.
    pub since: Option<Time>,
    /// At most so many.
    pub limit: u32,
}

/// Which usage is asked for; the earliest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Of this series only.
    pub series: Option<SeriesId>,
    /// Length of the intervals.
    pub grain: Grain,
    /// Intervals that begin at this moment or later …
    pub from: Time,
    /// … and before this one.
    pub until: Time,
    /// At most so many, the latest ones.
    pub limit: u32,
}

/// Which acts are asked for; the latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditFilter {
    /// Not before this moment.
    pub since: Option<Time>,
    /// At most so many.
    pub limit: u32,
}

/// A number as the store has it.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Writes the notes down, as a part of the transaction that is open.
pub fn write(connection: &Connection, notes: &Notes) -> rusqlite::Result<()> {
    for denial in &notes.denials {
        write_denial(connection, denial)?;
    }
    for interval in &notes.history {
        write_interval(connection, interval)?;
    }
    for act in &notes.acts {
        let insert = "INSERT INTO audit (at, user, address, act, object, status, error)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let error = act.error.as_ref().map(serde_json::to_string).transpose().map_err(json)?;
        let address = text_of(act.address);
        connection
            .prepare_cached(insert)?
            .execute(params![act.at.0, act.user, address, act.act, act.object, act.status, error])?;
    }
    if !notes.denials.is_empty() {
        drop_denials_beyond_shares(connection)?;
    }
    connection.prepare_cached("UPDATE counter SET value = value + 1 WHERE name = 'notes'")?.execute([])?;
    Ok(())
}

/// Keeps as many refusals as are kept: of those clients who have the most the oldest go, so that nobody drives out others.
fn drop_denials_beyond_shares(connection: &Connection) -> rusqlite::Result<()> {
    let count: i64 = connection.prepare_cached("SELECT count(*) FROM denial")?.query_row([], |row| row.get(0))?;
    if count <= stored(denial::KEPT as u64) {
        return Ok(());
    }
    let mut clients: HashMap<Option<IpAddr>, (Vec<String>, u64)> = HashMap::new();
    let mut counts = connection.prepare_cached("SELECT address, count(*) FROM denial GROUP BY address")?;
    let mut rows = counts.query([])?;
    while let Some(row) = rows.next()? {
        let (addresses, count) = clients.entry(address_of(row, 0)?.map(denial::client_of)).or_default();
        addresses.push(row.get(0)?);
        *count += number(row, 1)?;
    }
    let owners = clients.into_values().collect();
    let oldest = "DELETE FROM denial WHERE (day, key_id, root, code, kind, address, computer, user, application) IN
        (SELECT day, key_id, root, code, kind, address, computer, user, application FROM denial
            WHERE address IN (SELECT value FROM json_each(?1)) ORDER BY last LIMIT ?2)";
    for (addresses, excess) in denial::excess(owners, denial::KEPT as u64) {
        let addresses = serde_json::to_string(&addresses).map_err(json)?;
        connection.prepare_cached(oldest)?.execute(params![addresses, stored(excess)])?;
    }
    Ok(())
}

/// Keeps as many acts as are kept, the same for accounts: failed sign-ins, which have none, count as one.
fn drop_acts_beyond_shares(connection: &Connection) -> rusqlite::Result<()> {
    let count: i64 = connection.query_row("SELECT count(*) FROM audit", [], |row| row.get(0))?;
    if count <= ACTS_KEPT {
        return Ok(());
    }
    let mut counts = connection.prepare("SELECT user, count(*) FROM audit GROUP BY user")?;
    let owners = counts.query_map([], |row| Ok((row.get::<_, String>(0)?, number(row, 1)?)))?;
    let owners = owners.collect::<rusqlite::Result<Vec<_>>>()?;
    for (user, excess) in denial::excess(owners, ACTS_KEPT.unsigned_abs()) {
        let oldest = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE user = ?1 ORDER BY id LIMIT ?2)";
        connection.execute(oldest, params![user, stored(excess)])?;
    }
    Ok(())
}

fn write_denial(connection: &Connection, denial: &Denial) -> rusqlite::Result<()> {
    let upsert = "INSERT INTO denial VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
        ON CONFLICT DO UPDATE SET
            error = iif(excluded.last >= last, excluded.error, error),
            held = iif(excluded.last >= last, excluded.held, held),
            total = iif(excluded.last >= last, excluded.total, total),
            first = min(first, excluded.first),
            last = max(last, excluded.last),
            count = count + excluded.count";
    let Denial { series, applicant, error, held, total, first, last, count } = denial;
    connection.prepare_cached(upsert)?.execute(params![
        denial::day_of(*last),
        series.key_id.0,
        series.root.0,
        error.code.number(),
        applicant.kind.to_string(),
        text_of(applicant.address),
        applicant.computer,
        applicant.user,
        applicant.application,
        serde_json::to_string(error).map_err(json)?,
        stored(*held),
        stored(*total),
        first.0,
        last.0,
        stored(*count),
    ])?;
    Ok(())
}

fn write_interval(connection: &Connection, interval: &Interval) -> rusqlite::Result<()> {
    let upsert = "INSERT INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT DO UPDATE SET
            samples = samples + excluded.samples,
            used = used + excluded.used,
            used_peak = max(used_peak, excluded.used_peak),
            total = total + excluded.total,
            total_peak = max(total_peak, excluded.total_peak)";
    let Interval { series, grain, start, seen } = interval;
    connection.prepare_cached(upsert)?.execute(params![
        grain.span(),
        start.0,
        series.key_id.0,
        series.root.0,
        stored(seen.samples),
        stored(seen.used),
        stored(seen.used_peak),
        stored(seen.total),
        stored(seen.total_peak),
    ])?;
    Ok(())
}

/// Removes what is too old, as a part of the transaction that is open. `trimmed` tells when that was done last;
/// gives when it is done now.
pub fn trim(connection: &Connection, trimmed: Option<Tick>, now: Moment) -> rusqlite::Result<Option<Tick>> {
    if trimmed.is_some_and(|trimmed| now.tick.since(trimmed) < history::TRIMMED_EVERY) {
        return Ok(trimmed);
    }
    let before = "SELECT value FROM counter WHERE name = 'trimmed'";
    let before: Option<i64> = connection.query_row(before, [], |row| row.get(0)).optional()?;
    let moment = history::trimming_moment(before.map(Time), now.wall).0;
    connection.execute("INSERT OR REPLACE INTO counter VALUES ('trimmed', ?1)", [moment])?;
    let older_than = |age: i64| moment.saturating_sub(age);
    connection.execute("DELETE FROM denial WHERE last < ?1", [older_than(denial::KEPT_DAYS * DAY_MS)])?;
    for grain in Grain::ALL {
        let delete = "DELETE FROM history WHERE grain = ?1 AND start < ?2";
        connection.execute(delete, [grain.span(), older_than(grain.kept())])?;
    }
    connection.execute("DELETE FROM audit WHERE at < ?1", [older_than(ACTS_KEPT_MS)])?;
    drop_acts_beyond_shares(connection)?;
    Ok(Some(now.tick))
}

/// Refusals, the latest first.
pub fn denials(connection: &Connection, filter: &DenialFilter) -> rusqlite::Result<Vec<Denial>> {
    let query = "SELECT * FROM denial WHERE last >= ?1 AND (?2 IS NULL OR key_id = ?2) ORDER BY last DESC LIMIT ?3";
    let since = filter.since.map_or(i64::MIN, |since| since.0);
    let mut statement = connection.prepare_cached(query)?;
    statement.query_map(params![since, filter.series.map(|series| series.0), filter.limit], denial_of)?.collect()
}

/// Usage, the earliest interval first.
pub fn history(connection: &Connection, filter: &HistoryFilter) -> rusqlite::Result<Vec<Interval>> {
    let query = "SELECT * FROM history WHERE grain = ?1 AND start >= ?2 AND start < ?3
        AND (?4 IS NULL OR key_id = ?4 AND root = ?5) ORDER BY start DESC, key_id DESC, root DESC LIMIT ?6";
    let (key_id, root) = (filter.series.map(|series| series.key_id.0), filter.series.map(|series| series.root.0));
    let mut statement = connection.prepare_cached(query)?;
    let values = params![filter.grain.span(), filter.from.0, filter.until.0, key_id, root, filter.limit];
    let mut found: Vec<Interval> = statement.query_map(values, interval_of)?.collect::<Result<_, _>>()?;
    found.reverse();
    Ok(found)
}

/// Acts, the latest first.
pub fn acts(connection: &Connection, filter: &AuditFilter) -> rusqlite::Result<Vec<AuditEntry>> {
    let query =
        "SELECT at, user, address, act, object, status, error FROM audit WHERE at >= ?1 ORDER BY id DESC LIMIT ?2";
    let since = filter.since.map_or(i64::MIN, |since| since.0);
    connection.prepare_cached(query)?.query_map(params![since, filter.limit], act_of)?.collect()
}

/// A row of `denial`.
pub fn denial_of(row: &Row<'_>) -> rusqlite::Result<Denial> {
    Ok(Denial {
        series: series_of(row, 1, 2)?,
        applicant: Applicant {
            kind: parsed(row, 4)?,
            address: address_of(row, 5)?,
            computer: row.get(6)?,
            user: row.get(7)?,
            application: row.get(8)?,
        },
        error: serde_json::from_str(row.get_ref(9)?.as_str()?).map_err(|e| wrong(9, e))?,
        held: number(row, 10)?,
        total: number(row, 11)?,
        first: Time(row.get(12)?),
        last: Time(row.get(13)?),
        count: number(row, 14)?,
    })
}

/// A row of `history`.
pub fn interval_of(row: &Row<'_>) -> rusqlite::Result<Interval> {
    let span: i64 = row.get(0)?;
    Ok(Interval {
        grain: Grain::of_span(span).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, span))?,
        start: Time(row.get(1)?),
        series: series_of(row, 2, 3)?,
        seen: Seen {
            samples: number(row, 4)?,
            used: number(row, 5)?,
            used_peak: number(row, 6)?,
            total: number(row, 7)?,
            total_peak: number(row, 8)?,
        },
    })
}

/// A row of `audit` without its number.
pub fn act_of(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let error: Option<String> = row.get(6)?;
    Ok(AuditEntry {
        at: Time(row.get(0)?),
        user: row.get(1)?,
        address: address_of(row, 2)?,
        act: row.get(3)?,
        object: row.get(4)?,
        status: row.get(5)?,
        error: error.map(|error| serde_json::from_str(&error)).transpose().map_err(|e| wrong(6, e))?,
    })
}

fn series_of(row: &Row<'_>, key_id: usize, root: usize) -> rusqlite::Result<SeriesId> {
    Ok(SeriesId { key_id: KeyId(row.get(key_id)?), root: RootHash(row.get(root)?) })
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn text_of(address: Option<core::net::IpAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

fn address_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<core::net::IpAddr>> {
    if row.get_ref(column)?.as_str()?.is_empty() { Ok(None) } else { parsed(row, column).map(Some) }
}

fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|e| wrong(column, e))
}

fn wrong(column: usize, cause: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(cause))
}

fn json(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}
