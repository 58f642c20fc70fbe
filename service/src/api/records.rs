//! `/api/denials`, `/api/usage`, `/api/events`: what the ledger has written down. These run on the API's own threads, which wait
//! for the ledger's.

use std::sync::mpsc;

use licence::accounting::denial::KEPT;
use licence::accounting::history::Grain;
use licence::api::{DenialInfo, EventInfo, UsageInfo};
use licence::error::{Code, Error, Result};
use licence::{KeyId, Time};

use super::Call;
use crate::ledger::{AuditFilter, DenialFilter, HistoryFilter};

/// Most records that one question reads.
const MOST: u32 = 100_000;

/// `GET /api/denials`, the latest first.
pub fn denials(call: &Call) -> Result<Vec<DenialInfo>> {
    let (since, until) = period(call)?;
    let limit = u32::try_from(KEPT).unwrap_or(u32::MAX);
    let filter = DenialFilter { series: only_series(call), since, limit };
    let found = asked(|done| call.core.ledger.denials(filter, done))?;
    let found = found.into_iter().filter(|denial| until.is_none_or(|until| denial.last < until));
    Ok(found.map(|denial| DenialInfo::of(denial, call.lang)).collect())
}

/// `GET /api/usage`, the earliest interval first; without a beginning the last day of five minutes, 30 days of hours, or everything.
pub fn usage(call: &Call) -> Result<Vec<UsageInfo>> {
    let (since, until) = period(call)?;
    let grain = grain(call)?;
    let now = call.core.ledger.read(|_, now| now.wall);
    let shown = match grain {
        Grain::FiveMinutes => now.plus_days(-1),
        Grain::Hour => now.plus_days(-30),
        Grain::Day => Time(i64::MIN),
    };
    let filter = HistoryFilter {
        series: None,
        grain,
        from: since.unwrap_or(shown),
        until: until.unwrap_or(Time(i64::MAX)),
        limit: MOST,
    };
    let found = asked(|done| call.core.ledger.history(filter, done))?;
    Ok(found.into_iter().map(UsageInfo::from).collect())
}

/// `GET /api/events`, the latest first.
pub fn events(call: &Call) -> Result<Vec<EventInfo>> {
    let (since, until) = period(call)?;
    let found = asked(|done| call.core.ledger.acts(AuditFilter { since, limit: MOST }, done))?;
    let found = found.into_iter().filter(|act| until.is_none_or(|until| act.at < until));
    Ok(found
        .map(|act| EventInfo {
            time: act.at,
            user_name: Some(act.user).filter(|user| !user.is_empty()),
            peer_ip: act.address.map(|address| address.to_string()),
            act: act.act,
            object: act.object,
            status: act.status,
            message: act.error.as_ref().map(|error| error.message(call.lang)),
            error_code: act.error.map(|error| error.code.number()),
        })
        .collect())
}

/// Waits for the ledger's answer.
pub fn asked<T: Send + 'static>(ask: impl FnOnce(Box<dyn FnOnce(Result<T>) + Send>)) -> Result<T> {
    let (sender, answer) = mpsc::sync_channel(1);
    ask(Box::new(move |found| _ = sender.send(found)));
    // The ledger closes when the service ends.
    answer.recv().unwrap_or_else(|_| Err(Code::Busy.into()))
}

/// `?since=&until=`.
fn period(call: &Call) -> Result<(Option<Time>, Option<Time>)> {
    let moment = |name: &str| {
        let wrong = |text: &str| Error::new(Code::WrongValue).with(name).with(text).with("2018-04-02T20:41:13.272Z");
        call.request.query(name).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
    };
    Ok((moment("since")?, moment("until")?))
}

/// `?grain=`.
fn grain(call: &Call) -> Result<Grain> {
    match call.request.query("grain") {
        None | Some("1h") => Ok(Grain::Hour),
        Some("5m") => Ok(Grain::FiveMinutes),
        Some("1d") => Ok(Grain::Day),
        Some(other) => Err(Error::new(Code::WrongValue).with("grain").with(other).with("5m, 1h, 1d")),
    }
}

/// The series when the rows may be of one only, so that others aren't read. The grammar of lists has the last word.
fn only_series(call: &Call) -> Option<KeyId> {
    let mut named = call.request.query.iter().filter(|(name, _)| name == "KeyID");
    match (named.next(), named.next()) {
        (Some((_, text)), None) => text.parse().ok(),
        _ => None,
    }
}
