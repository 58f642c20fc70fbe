//! What components and the API ask of the keys of a series: which series is meant, fields, values, keys of objects.

use licence::api::{LicenceEntry, LicenceInfo};
use licence::error::{Code, Error, Lang, Result};
use licence::key::{Key, KeyType};
use licence::protocol::message::ObjectKeyQuery;
use licence::subkeys::{ObjectRef, Subkey};
use licence::time::Time;
use licence::{KeyId, KeyNo, RootHash, SeriesId};

use super::{KeyStore, View};

impl KeyStore {
    /// The series that a client means. [`Code::NoKey`] when no genuine key of it is here, [`Code::AmbiguousSeries`] when two
    /// vendors use the number and no anchor tells them apart. Keys of other servers count only where there are no own ones.
    pub fn series_of(&self, key_id: KeyId, anchor: Option<RootHash>) -> Result<SeriesId> {
        match self.candidates(key_id, anchor).as_slice() {
            [] => Err(Error::new(Code::NoKey).with(key_id)),
            [only] => Ok(*only),
            _ => Err(Error::new(Code::AmbiguousSeries).with(key_id)),
        }
    }

    /// The series of that number, of this vendor if one is named: those with a genuine key of this server, else those with any.
    pub fn candidates(&self, key_id: KeyId, anchor: Option<RootHash>) -> Vec<SeriesId> {
        let snapshot = self.snapshot();
        let own = self.identity().public();
        let find = |ours: bool| {
            let keys = snapshot.views().filter_map(|view| view.entry.key.as_ref());
            let fits = |key: &Key| key.series.key_id == key_id && anchor.is_none_or(|root| key.series.root == root);
            let mut series: Vec<SeriesId> =
                keys.filter(|key| fits(key) && (!ours || key.licence.identity == own)).map(|key| key.series).collect();
            series.sort_unstable();
            series.dedup();
            series
        };
        let own = find(true);
        if own.is_empty() { find(false) } else { own }
    }

    /// Texts of genuine licences of the series that name this server, usable ones first, as many as fit into `limit` bytes.
    pub fn documents(&self, series: &SeriesId, limit: usize) -> Vec<String> {
        let snapshot = self.snapshot();
        let own = self.identity().public();
        let mut keys: Vec<(View<'_>, &Key)> =
            snapshot.of_series(series).filter(|(view, key)| key.licence.identity == own && view.is_current()).collect();
        keys.sort_by_key(|(view, _)| view.usable.is_err());
        let mut room = limit;
        let mut texts = Vec::new();
        for (_, key) in keys {
            if let Some(left) = room.checked_sub(key.text.len()) {
                room = left;
                texts.push(key.text.clone());
            }
        }
        texts
    }

    /// The fields of a key at `now`; `None` when there is no such key.
    pub fn info(&self, series: &SeriesId, key_no: KeyNo, now: Time) -> Option<LicenceInfo> {
        self.info_in(series, key_no, now, self.sources.lang)
    }

    /// The fields of a key at `now` with its texts in `lang`.
    pub fn info_in(&self, series: &SeriesId, key_no: KeyNo, now: Time, lang: Lang) -> Option<LicenceInfo> {
        let snapshot = self.snapshot();
        let (view, _) =
            snapshot.of_series(series).find(|(view, key)| key.licence.key_no == key_no && view.is_current())?;
        match view.info(now, lang) {
            LicenceEntry::Readable(info) => Some(*info),
            LicenceEntry::Unreadable(_) => None,
        }
    }

    /// The keys of a series, or of all, at `now`, without copies and older issues: those that can be used first.
    pub fn list(&self, series: Option<&SeriesId>, now: Time) -> Vec<LicenceInfo> {
        let snapshot = self.snapshot();
        let fits = |view: &View<'_>| {
            let key = view.entry.key.as_ref().filter(|_| view.is_current());
            key.is_some_and(|key| series.is_none_or(|series| key.series == *series))
        };
        let infos = snapshot.views().filter(fits).filter_map(|view| match view.info(now, self.sources.lang) {
            LicenceEntry::Readable(info) => Some(*info),
            LicenceEntry::Unreadable(_) => None,
        });
        let mut infos: Vec<LicenceInfo> = infos.collect();
        infos.sort_by_key(|info| !info.enabled);
        infos
    }

    /// How many keys a series has, usable or not, without copies and older issues.
    pub fn count(&self, series: &SeriesId) -> u64 {
        self.snapshot().of_series(series).filter(|(view, _)| view.is_current()).count() as u64
    }

    /// A value that the vendor has put into a licence of the series: into that of the key, or without a number into the main key's.
    /// With `or_main` the main key is asked when the key has no such value. [`Code::KeyNoMissing`] when the key is not here.
    pub fn parameter(
        &self,
        series: &SeriesId,
        key_no: Option<KeyNo>,
        name: &str,
        or_main: bool,
    ) -> Result<Option<String>> {
        let snapshot = self.snapshot();
        let mut keys: Vec<(View<'_>, &Key)> =
            snapshot.of_series(series).filter(|(view, _)| view.is_current()).collect();
        keys.sort_by_key(|(view, key)| (key.licence.key_type != KeyType::Main, view.usable.is_err()));
        let of = |key: &Key| key.licence.parameters.get(name).cloned();
        let main = keys.first().and_then(|(_, key)| of(key));
        let Some(key_no) = key_no else { return Ok(main) };
        let key = keys.iter().find(|(_, key)| key.licence.key_no == key_no);
        let (_, key) = key.ok_or_else(|| Error::new(Code::KeyNoMissing).with(series.key_id).with(key_no))?;
        Ok(of(key).or(main.filter(|_| or_main)))
    }

    /// The key of an object under a usable key of the series, with that key's number: the session's first, then any that has
    /// earned it.
    /// [`Code::SubkeyMissing`] when none has, [`Code::NoUsableKey`] when none is usable.
    pub fn object_key(
        &self,
        series: &SeriesId,
        key_no: Option<KeyNo>,
        query: &ObjectKeyQuery,
    ) -> Result<(KeyNo, Subkey)> {
        let policy = query.policy.clone().checked()?;
        let object = ObjectRef { name: &query.name, policy: &policy, salt: &query.salt.0 };
        let snapshot = self.snapshot();
        let mut usable: Vec<(View<'_>, &Key)> =
            snapshot.of_series(series).filter(|(view, _)| view.usable.is_ok()).collect();
        usable.sort_by_key(|(_, key)| key_no != Some(key.licence.key_no));
        let mut refusal = None;
        for (view, licensed) in usable {
            let Some(subkeys) = &view.entry.subkeys else { continue };
            match subkeys.object_key(self.sources.crypto, &object) {
                Ok(key) => return Ok((licensed.licence.key_no, key)),
                // What the session's own key lacks is what its user is told.
                Err(error) => _ = refusal.get_or_insert(error),
            }
        }
        Err(refusal.unwrap_or_else(|| match snapshot.pools().get(series).and_then(|pool| pool.unusable.clone()) {
            Some(why) => Error::new(Code::NoUsableKey)
                .with(series.key_id)
                .with_text(why.cause(Lang::Russian), why.cause(Lang::English)),
            None => Error::new(Code::NoKey).with(series.key_id),
        }))
    }
}
