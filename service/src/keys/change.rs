//! Changes of the data folder: what the centre has granted comes in, an older file goes to the folder of old ones, an
//! administrator switches and removes. Names of files are made of numbers only: nothing that a centre says becomes a path.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use licence::host::files::{self, Access};
use licence::key::{Key, Licence};
use licence::revocation::Revocations;
use licence::time::Time;
use licence::{KeyNo, Result, SeriesId};

use super::load::Loaded;
use super::state::State;
use super::{KeyStore, Loading, News, Snapshot, root_mark, statements};

/// Folder below the data folder for licences that were replaced or removed.
pub const OLD: &str = "old";

impl KeyStore {
    /// Puts a genuine key for this server and the certificate of its API key into the data folder: see [`KeyStore::take_up`].
    pub fn install(&self, key: &Key, certificate: &str, now: Time) -> Result<Arc<Snapshot>> {
        let keys = std::slice::from_ref(key);
        self.take_up(&News { keys, certificate: Some((key.series, certificate)), ..News::default() }, now)
    }

    /// Puts what the centre has granted into the data folder and reads the folder again. An older issue of a key is replaced and
    /// kept aside, any other file that has the name already is left alone. The caller puts the new pools under the ledger's
    /// seats.
    pub fn take_up(&self, news: &News<'_>, now: Time) -> Result<Arc<Snapshot>> {
        self.intact()?;
        let mut loading = self.loading.lock();
        let folder = &self.sources.folder;
        // What takes away comes before what gives.
        for retired in news.retired.iter().filter(|retired| loading.loaded.statements.is_news(retired)) {
            let path = folder.join(statements::retirement_file(retired));
            files::write_atomically(&path, retired.text.as_bytes(), Access::Common)?;
        }
        if let Some(revoked) = news.revoked.filter(|revoked| loading.loaded.statements.is_newer(revoked)) {
            let path = folder.join(statements::revocations_file(revoked));
            files::write_atomically(&path, revoked.text.as_bytes(), Access::Common)?;
        }
        for key in news.keys {
            let path = self.place_of(&loading.loaded, key);
            self.keep_aside(&loading.loaded, &path, key)?;
            files::write_atomically(&path, key.text.as_bytes(), Access::Private)?;
        }
        if let Some((series, certificate)) = news.certificate {
            let beside = folder.join(format!("{}.{}.certificate", series.key_id, root_mark(&series)));
            files::write_atomically(&beside, certificate.as_bytes(), Access::Common)?;
        }
        loading.reload(&self.sources, self.guard.as_deref())?;
        Ok(self.show(&loading, now))
    }

    /// Copies the licence that `key` is about to replace into the folder of old ones, where nothing reads it.
    fn keep_aside(&self, loaded: &Loaded, path: &Path, key: &Key) -> Result<()> {
        let old = loaded.entries.iter().find(|entry| entry.path == path).and_then(|entry| entry.key.as_ref());
        old.filter(|old| old.text != key.text).map_or(Ok(()), |old| self.keep(old))
    }

    /// Keeps the text of a licence in the folder [`OLD`].
    fn keep(&self, old: &Key) -> Result<()> {
        let folder = self.sources.folder.join(OLD);
        files::create_folder(&folder)?;
        let Licence { key_id, key_no, issue, .. } = &old.licence;
        let name = format!("{key_id}.{key_no}.{}.{issue}.licence", root_mark(&old.series));
        files::write_atomically(&folder.join(name), old.text.as_bytes(), Access::Private)
    }

    /// The name is made of numbers only: nothing that a centre says becomes a path.
    fn place_of(&self, loaded: &Loaded, key: &Key) -> PathBuf {
        let folder = &self.sources.folder;
        let same = |known: &Key| known.series == key.series && known.licence.key_no == key.licence.key_no;
        let free = |path: &Path| match loaded.entries.iter().find(|entry| entry.path == path) {
            Some(entry) => entry.key.as_ref().is_some_and(|known| same(known)),
            None => std::fs::symlink_metadata(path).is_err(),
        };
        let plain = folder.join(key.licence.file_name());
        if free(&plain) {
            return plain;
        }
        let root = root_mark(&key.series);
        let (series, number, issue) = (key.series.key_id, key.licence.key_no, key.licence.issue);
        let own = folder.join(format!("{series}.{number}.{root}.licence"));
        if free(&own) { own } else { folder.join(format!("{series}.{number}.{root}.{issue}.licence")) }
    }

    /// What was decided, to be changed: a damaged file takes nothing new, and one that is gone has lost nothing.
    fn decisions(&self, loading: &Loading) -> Result<State> {
        Ok(match State::find(&self.sources.folder)? {
            Some(state) => state.joined_with(loading.loaded.decided.state()),
            None => loading.loaded.decided.state().clone(),
        })
    }

    /// Enters a vendor's list of revoked keys that came by another way than a datafile beside the server. The caller puts the new
    /// pools under the ledger's seats.
    pub fn revoke(&self, list: Revocations, now: Time) -> Result<Arc<Snapshot>> {
        self.intact()?;
        let mut loading = self.loading.lock();
        let mut state = self.decisions(&loading)?;
        if state.revoke(list) {
            state.write(&self.sources.folder)?;
            loading.reload(&self.sources, self.guard.as_deref())?;
        }
        Ok(self.show(&loading, now))
    }

    /// Lets a key be used or not, whatever its licence says. The caller puts the new pools under the ledger's seats.
    pub(crate) fn set_enabled(
        &self,
        series: SeriesId,
        key_no: KeyNo,
        enabled: bool,
        now: Time,
    ) -> Result<Arc<Snapshot>> {
        self.intact()?;
        let mut loading = self.loading.lock();
        let mut state = self.decisions(&loading)?;
        state.set_enabled(series, key_no, enabled);
        state.write(&self.sources.folder)?;
        loading.reload(&self.sources, self.guard.as_deref())?;
        Ok(self.show(&loading, now))
    }

    /// Takes the files of a key out of use, copies and older issues too; they are kept in the folder [`OLD`]. The caller puts the
    /// new pools under the ledger's seats.
    pub(crate) fn remove(&self, series: SeriesId, key_no: KeyNo, now: Time) -> Result<Arc<Snapshot>> {
        self.intact()?;
        let mut loading = self.loading.lock();
        for entry in loading.loaded.entries.iter() {
            let Some(key) = &entry.key else { continue };
            if key.series == series && key.licence.key_no == key_no {
                self.keep(key)?;
                std::fs::remove_file(&entry.path).map_err(|e| files::failed(&entry.path, &e))?;
            }
        }
        loading.reload(&self.sources, self.guard.as_deref())?;
        Ok(self.show(&loading, now))
    }
}
