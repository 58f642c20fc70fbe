//! The keys that are this server's own, given up or not: what requests to the centre are about.

use std::sync::Arc;

use licence::activation::Installed;
use licence::error::{Code, Error, Result};
use licence::key::{Key, KeyType};
use licence::{KeyId, KeyNo, RootHash, SeriesId};

use super::{KeyStore, View};

impl KeyStore {
    /// What a request to the centre tells of the keys here.
    pub fn installed(&self) -> Vec<Installed> {
        let own = self.identity().public();
        let snapshot = self.snapshot();
        let keys = snapshot.views().filter(View::is_held).filter_map(|view| view.entry.key.as_ref());
        keys.filter(|key| key.licence.identity == own)
            .map(|key| Installed {
                series: key.series,
                key_no: key.licence.key_no,
                issue: key.licence.issue,
                key_type: key.licence.key_type,
            })
            .collect()
    }

    /// Numbers of the keys of a series that are held here.
    pub fn installed_of(&self, series: &SeriesId) -> impl Iterator<Item = KeyNo> {
        self.installed().into_iter().filter(move |key| key.series == *series).map(|key| key.key_no)
    }

    /// The number of a key that is held here: that of the main key of the series, if none is named. [`Code::RecordNotFound`] when
    /// it isn't held, [`Code::NoKey`] when no main key is.
    pub fn held_key(&self, series: &SeriesId, key_no: Option<KeyNo>) -> Result<KeyNo> {
        let Some(key_no) = key_no else {
            let mains = self.installed().into_iter().filter(|key| key.key_type == KeyType::Main);
            // Of several main keys one that can be used.
            let snapshot = self.snapshot();
            let usable = |key_no| {
                snapshot.of_series(series).any(|(view, key)| key.licence.key_no == key_no && view.usable.is_ok())
            };
            let main = mains.filter(|key| key.series == *series).min_by_key(|key| !usable(key.key_no));
            return main.map(|key| key.key_no).ok_or_else(|| Error::new(Code::NoKey).with(series.key_id));
        };
        match self.installed_of(series).any(|held| held == key_no) {
            true => Ok(key_no),
            false => Err(Error::new(Code::RecordNotFound).with(key_no)),
        }
    }

    /// The series of this server's keys, those that were given up too.
    pub fn own_series(&self) -> Vec<SeriesId> {
        let own = self.identity().public();
        let snapshot = self.snapshot();
        let keys = snapshot.views().filter_map(|view| view.entry.key.as_ref());
        let mut series: Vec<SeriesId> = keys.filter(|key| key.licence.identity == own).map(|key| key.series).collect();
        series.sort_unstable();
        series.dedup();
        series
    }

    /// Series and latest issue of a key of this server, given up or not. [`Code::RecordNotFound`] when there is none,
    /// [`Code::BadRequest`] when two series have the number and nothing tells which is meant.
    pub fn own_key(&self, key_no: KeyNo, key_id: Option<KeyId>, root: Option<RootHash>) -> Result<(SeriesId, u32)> {
        let own = self.identity().public();
        let snapshot = self.snapshot();
        let fits = |key: &&Arc<Key>| {
            let series = key.series;
            key.licence.key_no == key_no
                && key.licence.identity == own
                && key_id.is_none_or(|key_id| series.key_id == key_id)
                && root.is_none_or(|root| series.root == root)
        };
        let keys = snapshot.views().filter_map(|view| view.entry.key.as_ref()).filter(fits);
        let mut found: Vec<(SeriesId, u32)> = keys.map(|key| (key.series, key.licence.issue)).collect();
        found.sort_unstable();
        match found.as_slice() {
            [] => Err(Error::new(Code::RecordNotFound).with(key_no)),
            [(first, _), .., (last, _)] if first != last => Err(Error::new(Code::BadRequest).with_text(
                format_args!("номер {key_no} есть у двух серий; уточните KeyID или SeriesKey"),
                format_args!("two series have number {key_no}; add KeyID or SeriesKey"),
            )),
            [.., latest] => Ok(*latest),
        }
    }
}
