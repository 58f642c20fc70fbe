//! What was written down, on pages: who was refused, how many seats were taken hour by hour, what administrators did. The API gives
//! the same in full.

use std::collections::BTreeMap;
use std::fmt::Write;

use askama::Template;
use licence::accounting::history::{Grain, Interval};
use licence::api::DenialInfo;
use licence::error::{Error, Lang, Result};
use licence::time::Time;
use licence::{KeyId, SeriesId};
use web::Response;

use super::call::Call;
use super::overview::ROWS;
use super::words;
use crate::api::asked;
use crate::ledger::{AuditEntry, AuditFilter, DenialFilter, HistoryFilter};

/// Days of usage that are drawn.
const DAYS: i64 = 7;
/// Hours in them: the width of a chart, whose bars are one unit wide.
const HOURS: i64 = DAYS * 24;
/// Height of a chart.
const HEIGHT: u64 = 100;
/// Most intervals that are read.
const MOST: u32 = 20_000;

#[derive(Template)]
#[template(path = "console/denials.html")]
struct Denials {
    lang: Lang,
    rows: Vec<DenialRow>,
    is_cut: bool,
}

struct DenialRow {
    denial: DenialInfo,
    message: String,
    last: String,
}

#[derive(Template)]
#[template(path = "console/usage.html")]
struct Usage {
    lang: Lang,
    charts: Vec<Chart>,
    days: Vec<Day>,
}

/// Where a day of UTC begins on all charts.
struct Day {
    /// Hours from the left.
    hour: i64,
    /// The same in percent of the width.
    percent: f64,
    /// Day and month.
    name: String,
}

/// Seats of one series, hour by hour.
struct Chart {
    key_id: KeyId,
    peak: u64,
    total: u64,
    /// Peak of each hour: place from the left, from the top, height.
    bars: Vec<(i64, u64, u64)>,
    /// How many seats there were, as the commands of a path.
    line: String,
}

#[derive(Template)]
#[template(path = "console/events.html")]
struct Events {
    lang: Lang,
    rows: Vec<EventRow>,
    is_cut: bool,
}

struct EventRow {
    act: AuditEntry,
    at: String,
    address: String,
    error: Option<String>,
}

/// `GET /denials`: the latest refusals.
pub fn denials(call: &Call) -> Result<Response> {
    let lang = call.reader.lang;
    let filter = DenialFilter { series: None, since: None, limit: ROWS as u32 };
    let found = asked(|done| call.core.ledger.denials(filter, done))?;
    let is_cut = found.len() >= ROWS;
    let rows = found.into_iter().map(|denial| {
        let denial = DenialInfo::of(denial, lang);
        let message = words::without_class(&denial.message).to_owned();
        DenialRow { message, last: words::moment(lang, denial.last), denial }
    });
    let main = Denials { lang, rows: rows.collect(), is_cut };
    Ok(call.reader.framed(200, lang.pick("Отказы", "Refusals"), &main))
}

/// `GET /events`: the latest acts of the audit trail.
pub fn events(call: &Call) -> Result<Response> {
    let lang = call.reader.lang;
    let found = asked(|done| call.core.ledger.acts(AuditFilter { since: None, limit: ROWS as u32 }, done))?;
    let is_cut = found.len() >= ROWS;
    let rows = found.into_iter().map(|act| EventRow {
        at: words::moment(lang, act.at),
        address: act.address.map(|address| address.to_string()).unwrap_or_default(),
        error: act.error.as_ref().map(|error: &Error| error.cause(lang)),
        act,
    });
    let main = Events { lang, rows: rows.collect(), is_cut };
    Ok(call.reader.framed(200, lang.pick("Журнал действий", "Audit trail"), &main))
}

/// `GET /usage`: seats of the last days.
pub fn usage(call: &Call) -> Result<Response> {
    let lang = call.reader.lang;
    let now = call.core.ledger.read(|_, now| now.wall);
    let from = Time(Grain::Hour.start(now).0.saturating_sub((HOURS - 1) * Grain::Hour.span()));
    let filter = HistoryFilter { series: None, grain: Grain::Hour, from, until: Time(i64::MAX), limit: MOST };
    let found = asked(|done| call.core.ledger.history(filter, done))?;
    let mut by_series: BTreeMap<SeriesId, Vec<Interval>> = BTreeMap::new();
    for interval in found {
        by_series.entry(interval.series).or_default().push(interval);
    }
    let charts = by_series.iter().map(|(series, intervals)| chart(series.key_id, intervals, from));
    let main = Usage { lang, charts: charts.collect(), days: days(lang, from) };
    Ok(call.reader.framed(200, lang.pick("Использование", "Usage"), &main))
}

/// The days that begin within the charts. One that would begin at the right edge has no room for its name.
fn days(lang: Lang, from: Time) -> Vec<Day> {
    let first = Time(Grain::Day.start(from).0.saturating_add(Grain::Day.span()));
    let days = (0..DAYS).map(|number| first.plus_days(number)).map(|start| {
        let hour = start.0.saturating_sub(from.0) / Grain::Hour.span();
        Day { hour, percent: hour as f64 * 100.0 / HOURS as f64, name: words::day_and_month(lang, start) }
    });
    days.filter(|day| day.hour < HOURS - 8).collect()
}

fn chart(key_id: KeyId, intervals: &[Interval], from: Time) -> Chart {
    let peak = intervals.iter().map(|interval| interval.seen.used_peak).max().unwrap_or(0);
    let total = intervals.iter().map(|interval| interval.seen.total_peak).max().unwrap_or(0);
    let most = peak.max(total).max(1);
    let high = |seats: u64| seats.saturating_mul(HEIGHT) / most;
    let (mut bars, mut line) = (Vec::new(), String::new());
    for interval in intervals {
        let left = interval.start.0.saturating_sub(from.0) / Grain::Hour.span();
        let (used, there) = (high(interval.seen.used_peak), high(interval.seen.total_peak));
        bars.push((left, HEIGHT - used, used));
        // Writing to a text can't fail.
        _ = write!(line, "M{left} {}h1", HEIGHT - there);
    }
    Chart { key_id, peak, total, bars, line }
}

#[cfg(test)]
mod tests {
    use licence::accounting::history::Seen;
    use licence::id::RootHash;

    use super::*;

    #[test]
    fn a_chart_is_as_high_as_the_most_seats_and_an_hour_without_samples_stays_empty() {
        let hour = Grain::Hour.span();
        let interval = |start: i64, used: u64, total: u64| Interval {
            series: SeriesId { key_id: KeyId(1), root: RootHash([0; 32]) },
            grain: Grain::Hour,
            start: Time(start * hour),
            seen: Seen { used_peak: used, total_peak: total, ..Seen::default() },
        };
        let drawn = chart(KeyId(1), &[interval(10, 5, 20), interval(12, 20, 20)], Time(10 * hour));
        assert_eq!((drawn.peak, drawn.total), (20, 20));
        assert_eq!(drawn.bars, [(0, 75, 25), (2, 0, 100)]);
        assert_eq!(drawn.line, "M0 0h1M2 0h1");
        let empty = chart(KeyId(1), &[interval(10, 0, 0)], Time(10 * hour));
        assert_eq!(empty.bars, [(0, 100, 0)]);
    }

    #[test]
    fn days_are_named_where_they_begin() {
        let from: Time = "2026-11-23T18:00:00Z".parse().unwrap();
        let days = days(Lang::Russian, from);
        assert_eq!((days.len(), days[0].hour, days[0].name.as_str()), (7, 6, "24.11"));
        assert_eq!((days[6].hour, days[6].name.as_str()), (150, "30.11"));
        let days = super::days(Lang::English, "2026-11-23T00:00:00Z".parse().unwrap());
        assert_eq!((days.len(), days[0].hour, days[0].name.as_str()), (6, 24, "11-24"));
    }
}
