//! Which keys give seats, and how many: a pure judgement of everything that lies on one server.
//!
//! Signature, binding and revocation are found out elsewhere and come in as [`Standing`]; here keys are judged by time and
//! against each other. Judged anew whenever keys are loaded, switched, or [`Judgement::next_change`] comes.

use std::collections::{BTreeMap, HashMap};

use crate::error::{Code, Error, Result};
use crate::id::{KeyNo, SeriesId};
use crate::key::KeyType;
use crate::time::Time;

/// What checks outside accounting found about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its signature doesn't hold or it can't be read: it counts for nothing, not even against other keys.
    Unverified(Error),
    /// Genuine but issued to another server or carrier: it gives nothing here, yet an older issue of it is superseded.
    Elsewhere(Error),
    /// Genuine and issued to this server, but unusable for a reason found elsewhere: revoked, hardware changed, carrier missing.
    Faulty(Error),
    /// Genuine and bound to a carrier that was plugged in until lately: a main key goes on as good until `until`, then it is
    /// faulty; any other key is faulty at once.
    Unplugged {
        /// Why it is faulty.
        error: Error,
        /// When the grace is over.
        until: Time,
    },
    /// Genuine and bound here.
    Good,
}

/// One key as accounting sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// Its series, root key included.
    pub series: SeriesId,
    /// Its number within the series.
    pub key_no: KeyNo,
    /// Grows with each re-issue; the highest one counts.
    pub issue: u32,
    /// Main, additional or demo.
    pub key_type: KeyType,
    /// Seats that it gives.
    pub licence_count: u32,
    /// Not usable before.
    pub start: Option<Time>,
    /// Not usable from this moment on.
    pub expire: Option<Time>,
    /// Not usable from this moment on unless renewed through the centre.
    pub renew_by: Option<Time>,
    /// Not switched off by the administrator.
    pub enabled: bool,
    /// What was found out elsewhere.
    pub standing: Standing,
}

/// A usable key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolKey {
    /// Its number.
    pub key_no: KeyNo,
    /// Seats that it gives.
    pub licence_count: u32,
}

/// The keys of one series on this server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pool {
    /// Usable keys in the order in which they fill: main by number, then additional by number; or one demo key.
    pub keys: Vec<PoolKey>,
    /// Why none is usable: what the first key that isn't says. `None` when some key is usable.
    pub unusable: Option<Error>,
}

impl Pool {
    /// Seats that the pool has.
    pub fn size(&self) -> u64 {
        self.keys.iter().map(|key| u64::from(key.licence_count)).sum()
    }
}

/// Pools of all series that have at least one verified key bound here, or a key that tells why it is of no use.
pub type Pools = BTreeMap<SeriesId, Pool>;

/// What was found about a set of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Per key, in the order of the input: usable, or why not.
    pub keys: Vec<Result<()>>,
    /// What the usable ones give.
    pub pools: Pools,
    /// The next moment at which time alone changes the judgement.
    pub next_change: Option<Time>,
}

/// Judges `keys`, all that lie on this server, at the moment `now`.
pub fn judge(keys: &[KeyFacts], now: Time) -> Judgement {
    let latest = latest_issues(keys);
    let counts = |index: usize| latest.get(&(keys[index].series, keys[index].key_no)) == Some(&index);

    // What one key says by itself.
    let mut verdicts: Vec<Result<()>> = keys
        .iter()
        .enumerate()
        .map(|(index, key)| match &key.standing {
            Standing::Unverified(error) => Err(error.clone()),
            _ if !counts(index) => Err(Error::new(Code::KeySuperseded).with(key.key_no)),
            Standing::Elsewhere(error) | Standing::Faulty(error) => Err(error.clone()),
            Standing::Unplugged { error, until } if key.key_type != KeyType::Main || *until <= now => {
                Err(error.clone())
            }
            Standing::Unplugged { .. } | Standing::Good => alone(key, now),
        })
        .collect();

    // What the keys of a series say of each other.
    let mut series: BTreeMap<SeriesId, Vec<usize>> = BTreeMap::new();
    for (index, key) in keys.iter().enumerate() {
        series.entry(key.series).or_default().push(index);
    }
    let mut pools = Pools::new();
    for (id, mut members) in series {
        members.sort_by_key(|&index| (u8::from(keys[index].key_type), keys[index].key_no, index));
        let bound = |key: &KeyFacts| !matches!(key.standing, Standing::Unverified(_) | Standing::Elsewhere(_));
        let here = |index: usize| counts(index) && bound(&keys[index]);
        let first_demo = members.iter().copied().find(|&index| here(index) && keys[index].key_type == KeyType::Demo);
        let others = members.iter().any(|&index| here(index) && keys[index].key_type != KeyType::Demo);
        let main = members.iter().any(|&index| verdicts[index].is_ok() && keys[index].key_type == KeyType::Main);
        for &index in &members {
            let key = &keys[index];
            let code = match key.key_type {
                _ if verdicts[index].is_err() => continue,
                KeyType::Demo if others || first_demo != Some(index) => Code::DemoBesideOthers,
                KeyType::Additional if !main => Code::NoMainKey,
                _ => continue,
            };
            verdicts[index] = Err(Error::new(code).with(key.key_no));
        }
        let usable: Vec<PoolKey> = members
            .iter()
            .filter(|&&index| verdicts[index].is_ok())
            .map(|&index| PoolKey { key_no: keys[index].key_no, licence_count: keys[index].licence_count })
            .collect();
        let unusable = match usable.is_empty() {
            true => members.iter().find_map(|&index| verdicts[index].clone().err()),
            false => None,
        };
        pools.insert(id, Pool { keys: usable, unusable });
    }
    let next_change = latest.values().filter_map(|&index| next_change(&keys[index], now)).min();
    Judgement { keys: verdicts, pools, next_change }
}

/// Which key stands for each number: the verified one with the highest issue, the first of equal ones.
fn latest_issues(keys: &[KeyFacts]) -> HashMap<(SeriesId, KeyNo), usize> {
    let mut latest = HashMap::new();
    for (index, key) in keys.iter().enumerate() {
        if matches!(key.standing, Standing::Unverified(_)) {
            continue;
        }
        let best = latest.entry((key.series, key.key_no)).or_insert(index);
        if key.issue > keys[*best].issue {
            *best = index;
        }
    }
    latest
}

/// Whether a good key is usable as far as its own fields tell.
fn alone(key: &KeyFacts, now: Time) -> Result<()> {
    let error = |code: Code| Error::new(code).with(key.key_no);
    if !key.enabled {
        return Err(error(Code::KeyDisabled));
    }
    if let Some(start) = key.start.filter(|start| now < *start) {
        return Err(error(Code::KeyNotStarted).with(start));
    }
    if let Some(expire) = key.expire.filter(|expire| *expire <= now) {
        return Err(error(Code::KeyExpired).with(expire));
    }
    if let Some(renew_by) = key.renew_by.filter(|renew_by| *renew_by <= now) {
        return Err(error(Code::RenewalOverdue).with(renew_by));
    }
    Ok(())
}

fn next_change(key: &KeyFacts, now: Time) -> Option<Time> {
    let grace = match &key.standing {
        Standing::Unplugged { until, .. } => Some(*until),
        _ => None,
    };
    [key.start, key.expire, key.renew_by, grace].into_iter().flatten().filter(|at| *at > now).min()
}

/// Keys that are unusable only because the wall clock is ahead of the time that has certainly passed: usable in `certain`, the
/// judgement by that time, and not in `judged`. Until the clock is believed or corrected they give no new seats and end
/// nobody's.
pub fn kept(judged: &Pools, certain: &Pools) -> HashMap<SeriesId, Vec<PoolKey>> {
    let usable = |series: &SeriesId, key_no: KeyNo| {
        judged.get(series).is_some_and(|pool| pool.keys.iter().any(|key| key.key_no == key_no))
    };
    let lost = certain.iter().map(|(series, pool)| {
        (*series, pool.keys.iter().copied().filter(|key| !usable(series, key.key_no)).collect::<Vec<_>>())
    });
    lost.filter(|(_, keys)| !keys.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{KeyId, RootHash};

    const SERIES: SeriesId = SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) };
    const NOW: Time = Time(1_000_000);

    fn key(key_type: KeyType, key_no: KeyNo, licence_count: u32) -> KeyFacts {
        KeyFacts {
            series: SERIES,
            key_no,
            issue: 1,
            key_type,
            licence_count,
            start: None,
            expire: None,
            renew_by: None,
            enabled: true,
            standing: Standing::Good,
        }
    }

    fn codes(keys: &[KeyFacts]) -> Vec<Option<Code>> {
        judge(keys, NOW).keys.into_iter().map(|verdict| verdict.err().map(|error| error.code)).collect()
    }

    fn size(keys: &[KeyFacts]) -> u64 {
        judge(keys, NOW).pools.values().map(Pool::size).sum()
    }

    use KeyType::{Additional, Demo, Main};

    #[test]
    fn main_keys_fill_first_then_additional_ones_by_number() {
        let keys = [key(Additional, 2, 1), key(Main, 9, 5), key(Additional, 1, 3), key(Main, 8, 2)];
        let pool = judge(&keys, NOW).pools.remove(&SERIES).unwrap();
        assert_eq!(pool.keys.iter().map(|key| key.key_no).collect::<Vec<_>>(), [8, 9, 1, 2]);
        assert_eq!((pool.size(), pool.unusable), (11, None));
    }

    #[test]
    fn an_additional_key_counts_only_beside_its_main_key() {
        let mut main = key(Main, 1, 5);
        assert_eq!(codes(&[key(Additional, 2, 3)]), [Some(Code::NoMainKey)]);
        assert_eq!(size(&[main.clone(), key(Additional, 2, 3)]), 8);
        main.expire = Some(NOW);
        assert_eq!(codes(&[main.clone(), key(Additional, 2, 3)]), [Some(Code::KeyExpired), Some(Code::NoMainKey)]);
        main.expire = None;
        main.series.root = RootHash([2; 32]);
        assert_eq!(codes(&[main, key(Additional, 2, 3)]), [None, Some(Code::NoMainKey)]);
    }

    #[test]
    fn a_demo_key_is_unusable_beside_any_other_key_bound_here_even_a_dead_one() {
        let mut expired = key(Main, 1, 5);
        expired.expire = Some(NOW);
        let mut disabled = key(Additional, 1, 5);
        disabled.enabled = false;
        let mut revoked = key(Main, 1, 5);
        revoked.standing = Standing::Faulty(Error::new(Code::KeyRevoked));
        for other in [key(Main, 1, 5), expired, disabled, revoked] {
            assert_eq!(codes(&[key(Demo, 7, 3), other])[0], Some(Code::DemoBesideOthers));
        }
        for standing in
            [Standing::Unverified(Error::new(Code::SignatureWrong)), Standing::Elsewhere(Error::new(Code::OtherServer))]
        {
            let other = KeyFacts { standing, ..key(Main, 1, 5) };
            assert_eq!(size(&[key(Demo, 7, 3), other]), 3);
        }
    }

    #[test]
    fn a_second_demo_key_adds_nothing_even_when_the_first_has_expired() {
        let mut first = key(Demo, 7, 3);
        assert_eq!(codes(&[key(Demo, 8, 3), first.clone()]), [Some(Code::DemoBesideOthers), None]);
        first.expire = Some(NOW);
        assert_eq!(size(&[key(Demo, 8, 3), first]), 0);
    }

    #[test]
    fn a_key_counts_once_the_highest_issue_wins_and_copies_add_nothing() {
        let mut newer = key(Main, 1, 2);
        newer.issue = 2;
        let superseded = Some(Code::KeySuperseded);
        assert_eq!(codes(&[key(Main, 1, 5), newer.clone(), newer.clone()]), [superseded, None, superseded]);
        assert_eq!(size(&[key(Main, 1, 5), newer.clone(), newer.clone()]), 2);
        newer.standing = Standing::Elsewhere(Error::new(Code::OtherServer));
        assert_eq!(codes(&[key(Main, 1, 5), newer.clone()]), [superseded, Some(Code::OtherServer)]);
        newer.standing = Standing::Unverified(Error::new(Code::SignatureWrong));
        assert_eq!(size(&[key(Main, 1, 5), newer]), 5, "a forged issue supersedes nothing");
    }

    #[test]
    fn two_vendors_may_use_one_key_id() {
        let mut foreign = key(Main, 1, 7);
        foreign.series.root = RootHash([2; 32]);
        let judgement = judge(&[key(Main, 1, 5), foreign], NOW);
        assert_eq!(judgement.pools.values().map(Pool::size).collect::<Vec<_>>(), [5, 7]);
    }

    #[test]
    fn a_key_is_usable_from_its_start_until_its_end_and_its_renewal() {
        let at = |start: i64, expire: i64, renew_by: i64| {
            let mut key = key(Main, 1, 5);
            (key.start, key.expire, key.renew_by) = (Some(Time(start)), Some(Time(expire)), Some(Time(renew_by)));
            let judgement = judge(&[key], NOW);
            (judgement.keys[0].as_ref().err().map(|error| error.code), judgement.next_change.map(|at| at.0 - NOW.0))
        };
        let now = NOW.0;
        assert_eq!(at(now + 1, now + 2, now + 3), (Some(Code::KeyNotStarted), Some(1)));
        assert_eq!(at(now, now + 2, now + 3), (None, Some(2)));
        assert_eq!(at(now - 1, now, now + 3), (Some(Code::KeyExpired), Some(3)));
        assert_eq!(at(now - 1, now + 3, now), (Some(Code::RenewalOverdue), Some(3)));
        assert_eq!(at(now - 1, now - 1, now), (Some(Code::KeyExpired), None));
    }

    #[test]
    fn a_main_key_whose_carrier_was_pulled_goes_on_for_its_grace_and_so_do_the_additional_ones() {
        let pulled = |key_type, until: i64| KeyFacts {
            standing: Standing::Unplugged { error: Error::new(Code::CarrierMissing).with(77), until: Time(until) },
            ..key(key_type, 1, 5)
        };
        let extra = key(Additional, 2, 3);
        let judgement = judge(&[pulled(Main, NOW.0 + 60_000), extra.clone()], NOW);
        assert_eq!((judgement.pools[&SERIES].size(), judgement.next_change), (8, Some(Time(NOW.0 + 60_000))));
        assert_eq!(codes(&[pulled(Main, NOW.0), extra]), [Some(Code::CarrierMissing), Some(Code::NoMainKey)]);
        assert_eq!(codes(&[pulled(Additional, NOW.0 + 60_000), key(Main, 9, 1)]), [Some(Code::CarrierMissing), None]);
        assert_eq!(
            codes(&[key(Demo, 7, 3), pulled(Main, NOW.0)])[0],
            Some(Code::DemoBesideOthers),
            "it is here all the same"
        );
    }

    #[test]
    fn keys_that_only_a_clock_in_doubt_ends_are_kept() {
        let mut brief = key(Main, 1, 5);
        brief.expire = Some(Time(NOW.0 + 10));
        let keys = [brief, key(Main, 2, 3)];
        let pools = |at: i64| judge(&keys, Time(at)).pools;
        let found = kept(&pools(NOW.0 + 10), &pools(NOW.0));
        assert_eq!(found[&SERIES], [PoolKey { key_no: 1, licence_count: 5 }]);
        assert!(kept(&pools(NOW.0), &pools(NOW.0)).is_empty());
    }

    #[test]
    fn a_pool_without_a_usable_key_says_why() {
        let mut disabled = key(Main, 1, 5);
        disabled.enabled = false;
        let judgement = judge(&[disabled], NOW);
        assert_eq!(judgement.pools[&SERIES].unusable.as_ref().unwrap().code, Code::KeyDisabled);
    }
}
