//! The key store: licence files of the data folder, what makes each usable or not, and what the usable ones open.
//!
//! It owns those files. Requests read a snapshot and never wait for a disk; files are read when the store is opened, when the
//! folder changes and when time changes a judgement. A file that can't be read is shown with its reason and never touched.

mod carriers;
mod load;
mod memory;
pub(crate) mod state;
pub(crate) mod statements;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use licence::accounting::pool::{Judgement, Pools};
use licence::accounting::{self, Marks, Warning, Watched};
use licence::activation::{Installed, Retired, Revoked};
use licence::api::{LicenceEntry, LicenceInfo, UnreadableLicence};
use licence::crypto::Provider;
use licence::error::{Code, Error, Lang, Result};
use licence::fingerprint::{Fingerprint, Machine};
use licence::host::files::{self, Access};
use licence::identity::Identity;
use licence::key::{Key, KeyType, Licence};
use licence::protocol::message::ObjectKeyQuery;
use licence::revocation::Revocations;
use licence::subkeys::{ObjectRef, Subkey};
use licence::time::Time;
use licence::{KeyId, KeyNo, RootHash, SeriesId};
use parking_lot::{Mutex, RwLock};

pub use carriers::{Carriers, NoCarriers};
pub use load::Entry;
use load::Loaded;
pub use memory::{Asker, Memories};
use state::State;

/// Folder below the data folder for licences that were replaced or removed.
const OLD: &str = "old";

/// What the store is opened over.
pub struct Sources {
    /// The data folder.
    pub folder: PathBuf,
    /// The provider.
    pub crypto: Provider,
    /// The identity that keys must name.
    pub identity: Arc<Identity>,
    /// Public key (SPKI DER) of the API's answers; certificates of another one are left aside.
    pub response_key: Option<Vec<u8>>,
    /// Reads the parts of this machine.
    pub machine: fn() -> Machine,
    /// Tells which carriers are plugged in.
    pub carriers: Box<dyn Carriers>,
    /// How long a main key goes on after its carrier was pulled.
    pub carrier_grace: Duration,
    /// Language of texts where nobody chose another.
    pub lang: Lang,
}

/// What the centre has granted, to be put into the data folder.
#[derive(Default)]
pub struct News<'a> {
    /// Genuine licences for this server.
    pub keys: &'a [Key],
    /// Keys that count no more.
    pub retired: &'a [Retired],
    /// The list of revoked keys.
    pub revoked: Option<&'a Revoked>,
    /// Text of the certificate of the API key, and the series under whose root it stands.
    pub certificate: Option<(SeriesId, &'a str)>,
}

/// The key store.
pub struct KeyStore {
    sources: Sources,
    memory: Memories,
    /// Held while files are read or written, so that two changes of the folder don't cross.
    loading: Mutex<Loading>,
    snapshot: RwLock<Arc<Snapshot>>,
}

/// The folder as read, and what was seen of carriers.
struct Loading {
    loaded: Loaded,
    /// When each carrier was seen last, by the time that judges keys.
    seen: HashMap<KeyNo, Time>,
}

impl Loading {
    fn reload(&mut self, sources: &Sources) -> Result<()> {
        self.loaded = load::folder(sources, &self.seen)?;
        self.keep_news(sources);
        Ok(())
    }

    /// Writes down what datafiles said of revoked keys and which issues were seen, so that it holds without the files.
    fn keep_news(&mut self, sources: &Sources) {
        if let Some(state) = self.loaded.news.take()
            && let Err(error) = state.write(&sources.folder)
        {
            log::error!("revoked keys and issues could not be noted: {error}");
        }
    }

    /// Notes which carriers are plugged in; whether any was pulled or plugged in since the folder was read.
    fn look_at_carriers(&mut self, carriers: &dyn Carriers, now: Time) -> bool {
        let mut changed = false;
        for (&carrier, &was_present) in &self.loaded.carriers {
            let present = carriers.is_present(carrier);
            changed |= present != was_present;
            if present {
                self.seen.insert(carrier, now);
            }
        }
        changed
    }
}

/// All keys at one moment, judged. Subkeys in it are wiped when the last holder lets it go.
pub struct Snapshot {
    entries: Arc<Vec<Entry>>,
    judgement: Judgement,
    certificates: Arc<Vec<(SeriesId, String)>>,
    fingerprint: Fingerprint,
}

/// One key with its judgement.
pub struct View<'a> {
    /// The file and what is in it.
    pub entry: &'a Entry,
    /// Usable, or why not.
    pub usable: &'a Result<()>,
}

impl Snapshot {
    /// All files, in the order of their names.
    pub fn views(&self) -> impl Iterator<Item = View<'_>> {
        self.entries.iter().map(|entry| {
            let judged = entry.place.and_then(|place| self.judgement.keys.get(place));
            View { entry, usable: judged.unwrap_or(&entry.state) }
        })
    }

    /// What the usable keys give.
    pub fn pools(&self) -> &Pools {
        &self.judgement.pools
    }

    /// What the usable keys say that claims may demand.
    pub fn marks(&self) -> HashMap<SeriesId, HashMap<KeyNo, Marks>> {
        let mut all: HashMap<SeriesId, HashMap<KeyNo, Marks>> = HashMap::new();
        for (series, marks) in self.views().filter(View::is_current).filter_map(|view| view.entry.marks()) {
            all.entry(series).or_default().insert(marks.key_no, marks);
        }
        all
    }

    /// What an administrator should be told of the usable keys at `now`.
    pub fn warnings(&self, now: Time) -> Vec<Warning> {
        let usable = self.views().filter(|view| view.usable.is_ok());
        let watched = usable.filter_map(|view| {
            let key = view.entry.key.as_ref()?;
            Some(Watched {
                series: key.series,
                key_no: key.licence.key_no,
                expire: key.licence.expires(),
                renew_by: key.licence.renew_by,
                parts: view.entry.fits.as_ref().map(|fits| [fits.matched, fits.total, fits.needed]),
            })
        });
        accounting::warnings(watched, now)
    }

    /// The next moment at which time alone changes the judgement.
    pub fn next_change(&self) -> Option<Time> {
        self.judgement.next_change
    }

    /// Certificates of the API key, by series.
    pub fn certificates(&self) -> &[(SeriesId, String)] {
        &self.certificates
    }

    fn of_series(&self, series: &SeriesId) -> impl Iterator<Item = (View<'_>, &Key)> {
        self.views()
            .filter_map(|view| Some((view.entry.key.as_ref()?, view)))
            .filter_map(move |(key, view)| (key.series == *series).then_some((view, key.as_ref())))
    }
}

impl View<'_> {
    /// The key as `/api/licences` gives it.
    pub fn info(&self, now: Time, lang: Lang) -> LicenceEntry {
        let (file, enabled) = (self.entry.path.display().to_string(), self.entry.enabled);
        match &self.entry.key {
            Some(key) => LicenceEntry::Readable(Box::new(LicenceInfo::of(key, file, enabled, self.usable, now, lang))),
            None => {
                let error = self.usable.as_ref().err().map(|error| error.message(lang)).unwrap_or_default();
                LicenceEntry::Unreadable(Box::new(UnreadableLicence::new(file, error)))
            }
        }
    }

    /// Whether this file stands for its key: it isn't a copy or an older issue.
    pub fn is_current(&self) -> bool {
        self.entry.key.is_some() && !matches!(self.usable, Err(error) if error.code == Code::KeySuperseded)
    }

    /// Whether this file stands for a key that was not given up.
    pub fn is_held(&self) -> bool {
        self.is_current() && !matches!(self.usable, Err(error) if error.code == Code::KeyRetired)
    }
}

impl KeyStore {
    /// Reads the keys of the data folder, judged at `now`. Bad files are no error: they are shown.
    pub fn open(sources: Sources, now: Time) -> Result<KeyStore> {
        let loaded = load::folder(&sources, &HashMap::new())?;
        let snapshot = RwLock::new(Arc::new(loaded.judged(now)));
        let mut loading = Loading { loaded, seen: HashMap::new() };
        loading.keep_news(&sources);
        loading.look_at_carriers(sources.carriers.as_ref(), now);
        let memory = Memories::open(&sources.folder, sources.crypto);
        Ok(KeyStore { sources, memory, loading: Mutex::new(loading), snapshot })
    }

    /// The identity of this server.
    pub fn identity(&self) -> &Identity {
        &self.sources.identity
    }

    /// The keys as last read and judged.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().clone()
    }

    /// Reads all files again.
    pub fn reload(&self, now: Time) -> Result<Arc<Snapshot>> {
        let mut loading = self.loading.lock();
        loading.look_at_carriers(self.sources.carriers.as_ref(), now);
        loading.reload(&self.sources)?;
        Ok(self.show(&loading, now))
    }

    /// Judges the keys again without reading them, for the time went back.
    pub fn judge_again(&self, now: Time) -> Arc<Snapshot> {
        self.show(&self.loading.lock(), now)
    }

    /// What the keys as last read give at another moment than that of the snapshot.
    pub fn pools_at(&self, at: Time) -> Pools {
        self.loading.lock().loaded.pools(at)
    }

    /// Reads the files again if the folder has changed, and judges again if `now` asks for it; gives the new snapshot if there
    /// is one.
    pub fn refresh(&self, now: Time) -> Result<Option<Arc<Snapshot>>> {
        let mut loading = self.loading.lock();
        let plugged = loading.look_at_carriers(self.sources.carriers.as_ref(), now);
        if plugged || load::mark(&self.sources.folder)? != loading.loaded.mark {
            loading.reload(&self.sources)?;
            return Ok(Some(self.show(&loading, now)));
        }
        let due = self.snapshot().next_change().is_some_and(|at| at <= now);
        Ok(due.then(|| self.show(&loading, now)))
    }

    fn show(&self, loading: &Loading, now: Time) -> Arc<Snapshot> {
        let snapshot = Arc::new(loading.loaded.judged(now));
        *self.snapshot.write() = snapshot.clone();
        snapshot
    }

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
        infos.sort_by_key(|info| !info.workable);
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

    /// The memories of the keys.
    pub fn memory(&self) -> &Memories {
        &self.memory
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.sources.folder
    }

    /// The carriers that are plugged in.
    pub fn carriers(&self) -> Vec<KeyNo> {
        self.sources.carriers.present()
    }

    /// The fingerprint of this machine under the identity's salt, as read with the keys.
    pub fn fingerprint(&self) -> Fingerprint {
        self.snapshot().fingerprint.clone()
    }

    /// Whether a carrier is plugged in.
    pub fn has_carrier(&self, number: KeyNo) -> bool {
        self.sources.carriers.is_present(number)
    }

    /// Puts a genuine key for this server and the certificate of its API key into the data folder: see [`KeyStore::take_up`].
    pub fn install(&self, key: &Key, certificate: &str, now: Time) -> Result<Arc<Snapshot>> {
        let keys = std::slice::from_ref(key);
        self.take_up(&News { keys, certificate: Some((key.series, certificate)), ..News::default() }, now)
    }

    /// Puts what the centre has granted into the data folder and reads the folder again. An older issue of a key is replaced and
    /// kept aside, any other file that has the name already is left alone. The caller puts the new pools under the ledger's
    /// seats.
    pub fn take_up(&self, news: &News<'_>, now: Time) -> Result<Arc<Snapshot>> {
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
        loading.reload(&self.sources)?;
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

    /// Enters a vendor's list of revoked keys that came by another way than a datafile beside the server. The caller puts the new
    /// pools under the ledger's seats.
    pub fn revoke(&self, list: Revocations, now: Time) -> Result<Arc<Snapshot>> {
        let mut loading = self.loading.lock();
        let mut state = State::read(&self.sources.folder)?;
        if state.revoke(list) {
            state.write(&self.sources.folder)?;
            loading.reload(&self.sources)?;
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
        let mut loading = self.loading.lock();
        let mut state = State::read(&self.sources.folder)?;
        state.set_enabled(series, key_no, enabled);
        state.write(&self.sources.folder)?;
        loading.reload(&self.sources)?;
        Ok(self.show(&loading, now))
    }

    /// Takes the files of a key out of use, copies and older issues too; they are kept in the folder [`OLD`]. The caller puts the
    /// new pools under the ledger's seats.
    pub(crate) fn remove(&self, series: SeriesId, key_no: KeyNo, now: Time) -> Result<Arc<Snapshot>> {
        let mut loading = self.loading.lock();
        for entry in loading.loaded.entries.iter() {
            let Some(key) = &entry.key else { continue };
            if key.series == series && key.licence.key_no == key_no {
                self.keep(key)?;
                std::fs::remove_file(&entry.path).map_err(|e| files::failed(&entry.path, &e))?;
            }
        }
        loading.reload(&self.sources)?;
        Ok(self.show(&loading, now))
    }
}

/// Eight hex digits of the root's hash: tells the files of two vendors apart.
fn root_mark(series: &SeriesId) -> String {
    series.root.to_string().chars().take(8).collect()
}
