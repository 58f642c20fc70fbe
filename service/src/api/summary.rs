//! `GET /api/summary`: series, seats, sessions and warnings in one call. Also the figures that `/metrics` gives.

use std::collections::BTreeMap;

use licence::accounting::Asker;
use licence::accounting::book::Usage;
use licence::accounting::history::Grain;
use licence::api::{SeatsByKey, SeatsByKind, SeriesSummary, Summary, WarningInfo};
use licence::error::Result;
use licence::key::KeyType;
use licence::version::VERSION;
use licence::{SeriesId, Time};

use super::Call;
use super::records::asked;
use crate::Core;
use crate::keys::Snapshot;
use crate::ledger::HistoryFilter;

/// What the ledger counts of a series.
#[derive(Debug, Default)]
pub struct Counts {
    /// Seats.
    pub usage: Usage,
    /// Connections.
    pub connections: u64,
    /// Sessions by what asked for them.
    pub kinds: SeatsByKind,
    /// Sessions that end at their next heartbeat.
    pub ending: u64,
}

impl Counts {
    /// All sessions.
    pub fn sessions(&self) -> u64 {
        let SeatsByKind { server, desktop, terminal, external } = self.kinds;
        server + desktop + terminal + external
    }

    /// Seats that could be given now.
    pub fn free(&self) -> u64 {
        self.usage.total.saturating_sub(self.usage.used)
    }
}

/// What the ledger holds now, by series.
pub fn counted(core: &Core) -> BTreeMap<SeriesId, Counts> {
    core.ledger.read(|book, now| {
        let mut all: BTreeMap<SeriesId, Counts> = BTreeMap::new();
        for series in book.series() {
            all.entry(series).or_default().usage = book.usage(series).unwrap_or_default();
        }
        for connection in book.connections(now) {
            all.entry(connection.info.series).or_default().connections += 1;
        }
        for session in book.sessions(now) {
            let counts = all.entry(session.record.series).or_default();
            counts.ending += u64::from(session.ending);
            *match session.record.asker {
                Asker::Server => &mut counts.kinds.server,
                Asker::Desktop(_) => &mut counts.kinds.desktop,
                Asker::Terminal { .. } => &mut counts.kinds.terminal,
                Asker::External => &mut counts.kinds.external,
            } += 1;
        }
        all
    })
}

/// `GET /api/summary`.
pub fn summary(call: &Call) -> Result<Summary> {
    let core = &call.core;
    let (snapshot, now) = (core.keys.snapshot(), core.timekeeper.now());
    let mut counts = counted(core);
    for key in snapshot.views().filter_map(|view| view.entry.key.as_ref()) {
        counts.entry(key.series).or_default();
    }
    let failure = core.ledger.failing();
    let peaks = if failure.is_none() { peaks(core)? } else { BTreeMap::new() };
    let series: Vec<SeriesSummary> = counts
        .iter()
        .map(|(series, counts)| summed(*series, counts, peaks.get(series).copied().unwrap_or_default(), &snapshot))
        .collect();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(Summary {
        version: VERSION.into(),
        started: core.started,
        keys: number(snapshot.views().count()),
        usable_keys: number(snapshot.views().filter(|view| view.usable.is_ok()).count()),
        total: series.iter().map(|series| series.total).sum(),
        used: series.iter().map(|series| series.used).sum(),
        free: series.iter().map(|series| series.free).sum(),
        connections: series.iter().map(|series| series.connections).sum(),
        sessions: series.iter().map(|series| series.sessions).sum(),
        series,
        warnings: snapshot.warnings(now).iter().map(|warning| WarningInfo::of(warning, call.lang)).collect(),
        store_failure: failure.map(|error| error.message(call.lang)),
        rollback: core.ledger.rolled_back().map(|error| error.message(call.lang)),
        settings_failure: core.settings.not_in_force().map(|error| error.message(call.lang)),
        data_failures: core.keys.remarks().iter().map(|error| error.message(call.lang)).collect(),
    })
}

/// The most seats of each series that were held at once in the last 24 hours, by hours that have begun in them.
fn peaks(core: &Core) -> Result<BTreeMap<SeriesId, u64>> {
    let now = core.ledger.read(|_, now| now.wall);
    let filter = HistoryFilter {
        series: None,
        grain: Grain::Hour,
        from: now.plus_days(-1),
        until: Time(i64::MAX),
        limit: u32::MAX,
    };
    let mut peaks = BTreeMap::new();
    for interval in asked(|done| core.ledger.history(filter, done))? {
        let peak: &mut u64 = peaks.entry(interval.series).or_default();
        *peak = (*peak).max(interval.seen.used_peak);
    }
    Ok(peaks)
}

fn summed(series: SeriesId, counts: &Counts, peak: u64, snapshot: &Snapshot) -> SeriesSummary {
    let current = || snapshot.views().filter(|view| view.is_current());
    let keys: Vec<_> = current()
        .filter_map(|view| Some((view.entry.key.as_ref()?.clone(), view.usable.is_ok())))
        .filter(|(key, _)| key.series == series)
        .collect();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let main = keys.iter().find(|(key, _)| key.licence.key_type == KeyType::Main).or(keys.first());
    let of_type = |key_type: KeyType| {
        let mut seats = SeatsByKey { key_type: key_type.into(), keys: 0, total: 0, used: 0 };
        for (key, _) in keys.iter().filter(|(key, _)| key.licence.key_type == key_type) {
            seats.keys += 1;
            for usage in counts.usage.keys.iter().filter(|usage| usage.key_no == key.licence.key_no) {
                seats.total += u64::from(usage.total);
                seats.used += u64::from(usage.used);
            }
        }
        seats
    };
    SeriesSummary {
        key_id: series.key_id,
        series_key: series.root,
        product_name: main.map(|(key, _)| key.licence.product_name.clone()),
        keys: number(keys.len()),
        usable_keys: number(keys.iter().filter(|(_, usable)| *usable).count()),
        total: counts.usage.total,
        used: counts.usage.used,
        free: counts.free(),
        // The interval that runs is sampled every ten seconds; a seat that was just taken counts at once.
        peak: peak.max(counts.usage.used),
        connections: counts.connections,
        sessions: counts.sessions(),
        ending: counts.ending,
        by_key_type: [KeyType::Main, KeyType::Additional, KeyType::Demo].map(of_type).into(),
        by_kind: counts.kinds,
    }
}
