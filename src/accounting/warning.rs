//! What an administrator should be told of keys that still work: which of them will not for long. Changes no judgement.

use crate::error::{Code, Error};
use crate::id::{KeyNo, SeriesId};
use crate::time::Time;

/// How many days before its end a key is warned of.
pub const WARNED_DAYS: u32 = 30;

/// A usable key, as far as warnings need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Its series.
    pub series: SeriesId,
    /// Its number.
    pub key_no: KeyNo,
    /// Not usable from this moment on.
    pub expire: Option<Time>,
    /// Not usable from this moment on unless renewed through the centre.
    pub renew_by: Option<Time>,
    /// Weight of the computer's parts that was found again, of all, and that is needed; `None` for a key that isn't bound to a
    /// computer.
    pub parts: Option<[u32; 3]>,
}

/// A warning about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Its series.
    pub series: SeriesId,
    /// Its number.
    pub key_no: KeyNo,
    /// [`Code::KeyExpiresSoon`], [`Code::RenewalDue`] or [`Code::PartsChanged`].
    pub notice: Error,
}

/// The warnings about `keys` at `now`, in the order of the keys.
pub fn warnings(keys: impl IntoIterator<Item = Watched>, now: Time) -> Vec<Warning> {
    keys.into_iter().flat_map(|key| about(&key, now)).collect()
}

fn about(key: &Watched, now: Time) -> Vec<Warning> {
    let near = |code: Code, end: Option<Time>| {
        let end = end.filter(|end| *end > now && now.days_to(*end) <= WARNED_DAYS)?;
        Some(Error::new(code).with(key.key_no).with(end).with(now.days_to(end)))
    };
    let changed = key.parts.filter(|[matched, total, _]| matched < total).map(|[matched, total, needed]| {
        Error::new(Code::PartsChanged).with(key.key_no).with(matched).with(total).with(needed)
    });
    let notices = [near(Code::KeyExpiresSoon, key.expire), near(Code::RenewalDue, key.renew_by), changed];
    notices.into_iter().flatten().map(|notice| Warning { series: key.series, key_no: key.key_no, notice }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{KeyId, RootHash};
    use crate::time::DAY_MS;

    const NOW: Time = Time(20_000 * DAY_MS);
    const KEY: Watched = Watched {
        series: SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) },
        key_no: 7,
        expire: None,
        renew_by: None,
        parts: None,
    };

    fn told(key: Watched) -> Vec<(Code, Vec<String>)> {
        let warnings = warnings([key], NOW).into_iter().map(|warning| warning.notice);
        warnings.map(|notice| (notice.code, notice.args)).collect()
    }

    #[test]
    fn a_key_is_warned_of_in_the_last_thirty_days_before_its_end() {
        let at = |ms: i64| told(Watched { expire: Some(Time(NOW.0 + ms)), ..KEY });
        assert_eq!(at(30 * DAY_MS + 1), []);
        let last = Time(NOW.0 + 30 * DAY_MS);
        assert_eq!(at(30 * DAY_MS), [(Code::KeyExpiresSoon, vec!["7".into(), last.to_string(), "30".into()])]);
        assert_eq!(at(1)[0].1[2], "1");
        assert_eq!(at(0), [], "an expired key is no warning: it is shown as unusable");
    }

    #[test]
    fn a_renewal_that_is_near_and_parts_that_changed_are_told() {
        let renewal = told(Watched { renew_by: Some(Time(NOW.0 + DAY_MS)), ..KEY });
        assert_eq!(renewal[0].0, Code::RenewalDue);
        assert_eq!(
            told(Watched { parts: Some([5, 7, 4]), ..KEY }),
            [(Code::PartsChanged, vec!["7".into(), "5".into(), "7".into(), "4".into()])]
        );
        assert_eq!(told(Watched { parts: Some([7, 7, 4]), ..KEY }), []);
    }
}
