//! Keys that a vendor has taken back: dated lists that the root of their series signs. Datafiles carry them.
//! The list with the highest date counts for its series, whatever way it came and in whatever order.

use serde::{Deserialize, Serialize};

use crate::id::{KeyNo, SeriesId};
use crate::time::Time;

/// All revoked keys of one series at one moment. Exists only once the root's signature over it was verified, or when it is
/// read from where it was stored after that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Revocations {
    #[serde(flatten)]
    series: SeriesId,
    dated: Time,
    key_nos: Vec<KeyNo>,
}

impl Revocations {
    /// What a signed document says, once its signature is verified. A document without numbers says nothing, so that a list
    /// which was left out by mistake brings no key back; the number 0, which no key has, makes a list that revokes none.
    pub(crate) fn signed(series: SeriesId, dated: Time, key_nos: &[KeyNo]) -> Option<Revocations> {
        (!key_nos.is_empty()).then(|| Revocations { series, dated, key_nos: key_nos.to_vec() })
    }
}

/// The list that counts for each series.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevocationLists(Vec<Revocations>);

impl RevocationLists {
    /// Enters a list; whether it counts from now on, being the newest of its series.
    pub fn enter(&mut self, list: Revocations) -> bool {
        match self.0.iter_mut().find(|known| known.series == list.series) {
            Some(known) if known.dated >= list.dated => false,
            Some(known) => {
                *known = list;
                true
            }
            None => {
                self.0.push(list);
                true
            }
        }
    }

    /// Enters all lists of others.
    pub fn absorb(&mut self, others: RevocationLists) {
        for list in others.0 {
            self.enter(list);
        }
    }

    /// Whether the vendor has revoked a key.
    pub fn is_revoked(&self, series: SeriesId, key_no: KeyNo) -> bool {
        self.0.iter().any(|list| list.series == series && list.key_nos.contains(&key_no))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{KeyId, RootHash};

    fn list(root: u8, dated: i64, key_nos: &[KeyNo]) -> Revocations {
        let series = SeriesId { key_id: KeyId(0x672B), root: RootHash([root; 32]) };
        Revocations::signed(series, Time(dated), key_nos).unwrap()
    }

    #[test]
    fn a_list_without_numbers_says_nothing_and_zero_lifts_all() {
        let known = list(1, 1, &[7]);
        assert_eq!(Revocations::signed(known.series, Time(2), &[]), None);
        let mut lists = RevocationLists::default();
        assert!(lists.enter(known.clone()) && lists.is_revoked(known.series, 7));
        assert!(lists.enter(list(1, 2, &[0])) && !lists.is_revoked(known.series, 7));
    }

    #[test]
    fn a_list_counts_for_its_own_vendor_only() {
        let mut lists = RevocationLists::default();
        lists.enter(list(1, 5, &[7]));
        let other = list(2, 9, &[8]);
        lists.enter(other.clone());
        assert!(lists.is_revoked(list(1, 0, &[0]).series, 7));
        assert!(!lists.is_revoked(other.series, 7) && lists.is_revoked(other.series, 8));
    }

    proptest! {
        #[test]
        fn the_highest_date_wins_in_any_order(dates in Just((1..9).collect::<Vec<i64>>()).prop_shuffle()) {
            let mut lists = RevocationLists::default();
            for date in dates {
                lists.enter(list(1, date, &[date as KeyNo]));
            }
            let series = list(1, 0, &[0]).series;
            prop_assert!((1..8).all(|key_no| !lists.is_revoked(series, key_no)));
            prop_assert!(lists.is_revoked(series, 8));
        }
    }
}
