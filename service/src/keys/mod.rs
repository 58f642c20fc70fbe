//! The key store: licence files of the data folder, what makes each usable or not, and what the usable ones open.
//!
//! It owns those files. Requests read a snapshot and never wait for a disk; files are read when the store is opened, when the
//! folder changes and when time changes a judgement. A file that can't be read is shown with its reason and never touched.

mod carriers;
mod change;
mod decided;
mod held;
mod load;
mod memory;
mod query;
mod snapshot;
pub(crate) mod state;
pub(crate) mod statements;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use licence::accounting::pool::Pools;
use licence::activation::{Retired, Revoked};
use licence::crypto::Provider;
use licence::error::{Error, Lang, Result};
use licence::fingerprint::{Fingerprint, Machine};
use licence::host::files::{self, Access};
use licence::identity::Identity;
use licence::key::Key;
use licence::time::Time;
use licence::{KeyNo, SeriesId};
use parking_lot::{Mutex, RwLock};

use crate::folder::DataFolder;

pub use carriers::{Carriers, NoCarriers};
pub(crate) use change::OLD;
pub use load::Entry;
use load::{Loaded, Mark};
pub use memory::{Asker, Memories};
pub use snapshot::{Snapshot, View};

/// Files that could not be read and are tried again at once.
const TRIED: usize = 16;
/// Most rounds between such attempts while they help with nothing.
const MOST_ROUNDS: u32 = 32;

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
    /// Tells whether the folder is the one that was opened; `None`: nobody else has to do with it.
    guard: Option<Arc<DataFolder>>,
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
    /// The folder as it was seen once, with less in it than was read: believed when it is so again.
    thinner: Option<Mark>,
    /// Rounds until files that could not be read are tried again, and how many those will be the next time.
    patience: (u32, u32),
    /// What could not be written was told.
    told: Option<Error>,
}

impl Loading {
    fn new(loaded: Loaded) -> Loading {
        Loading { loaded, seen: HashMap::new(), thinner: None, patience: (1, 1), told: None }
    }

    fn reload(&mut self, sources: &Sources, guard: Option<&DataFolder>) -> Result<()> {
        let loaded = load::folder(sources, &self.seen, Some(&self.loaded))?;
        // What was read counts only if it was read from our folder.
        check(guard)?;
        (self.loaded, self.thinner) = (loaded, None);
        self.write(sources);
        Ok(())
    }

    /// Writes down what datafiles said of revoked keys and which issues were seen, so that it holds without the files, and what has lost
    /// its file.
    fn write(&mut self, sources: &Sources) {
        let mut written = Ok(());
        if let Some(state) = self.loaded.decided.to_write() {
            written = state.write(&sources.folder);
            if written.is_ok() {
                self.loaded.decided.written();
            }
        }
        self.loaded.lost.retain(|(name, text)| {
            let path = sources.folder.join(name);
            // A damaged one is left for people to look at.
            if std::fs::symlink_metadata(&path).is_ok() {
                return true;
            }
            log::warn!("{}: gone while the server runs; it is written again", path.display());
            let again = files::write_atomically(&path, text.as_bytes(), Access::Common);
            written = std::mem::replace(&mut written, Ok(())).and(again.clone());
            again.is_err()
        });
        let failed = written.err();
        if let Some(error) = failed.as_ref().filter(|error| self.told.as_ref() != Some(*error)) {
            log::error!("what is known of keys could not be noted: {error}");
        }
        self.told = failed;
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

    /// Whether the folder has changed, or a file that could not be read can be now. Files that vanish are believed at the second look: a
    /// folder that is being emptied loses its licences one by one before that can be told.
    fn has_changed(&mut self, sources: &Sources) -> Result<bool> {
        let mark = load::mark(&sources.folder)?;
        if mark == self.loaded.mark {
            self.thinner = None;
            return Ok(self.can_read_more());
        }
        let is_there = |path: &PathBuf| mark.binary_search_by(|(known, _)| known.cmp(path)).is_ok();
        let is_thinner = self.loaded.mark.iter().any(|(path, _)| !is_there(path));
        if is_thinner && self.thinner.as_ref() != Some(&mark) {
            self.thinner = Some(mark);
            return Ok(false);
        }
        Ok(true)
    }

    fn can_read_more(&mut self) -> bool {
        let (left, next) = &mut self.patience;
        *left = left.saturating_sub(1);
        if self.loaded.unread.is_empty() || *left > 0 {
            return false;
        }
        let first_byte = |path: &PathBuf| {
            let is_file = std::fs::metadata(path).is_ok_and(|facts| facts.is_file());
            is_file && std::fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut [0])).is_ok()
        };
        let any = self.loaded.unread.iter().take(TRIED).any(first_byte);
        *next = if any { MOST_ROUNDS.min(*next * 2) } else { 1 };
        *left = *next;
        any
    }
}

fn check(guard: Option<&DataFolder>) -> Result<()> {
    guard.map_or(Ok(()), DataFolder::look)
}

/// The keys of a folder that nobody serves, judged at `now`. Writes nothing.
pub(crate) fn look(sources: &Sources, now: Time) -> Result<Snapshot> {
    Ok(load::folder(sources, &HashMap::new(), None)?.judged(now))
}

impl KeyStore {
    /// Reads the keys of the data folder, judged at `now`. Bad files are no error: they are shown.
    pub fn open(sources: Sources, now: Time) -> Result<KeyStore> {
        KeyStore::open_in(sources, None, now)
    }

    /// The same for a folder that is watched: while it is lost the keys as last read stay, and nothing is written.
    pub(crate) fn open_in(sources: Sources, guard: Option<Arc<DataFolder>>, now: Time) -> Result<KeyStore> {
        let loaded = load::folder(&sources, &HashMap::new(), None)?;
        let snapshot = RwLock::new(Arc::new(loaded.judged(now)));
        let mut loading = Loading::new(loaded);
        loading.write(&sources);
        loading.look_at_carriers(sources.carriers.as_ref(), now);
        let memory = Memories::open(&sources.folder, guard.clone(), sources.crypto);
        Ok(KeyStore { sources, guard, memory, loading: Mutex::new(loading), snapshot })
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
        self.intact()?;
        loading.reload(&self.sources, self.guard.as_deref())?;
        Ok(self.show(&loading, now))
    }

    /// Whether the data folder is the one that was opened.
    fn intact(&self) -> Result<()> {
        check(self.guard.as_deref())
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
    /// is one. While the folder is lost, the keys as last read stay.
    pub fn refresh(&self, now: Time) -> Result<Option<Arc<Snapshot>>> {
        let mut loading = self.loading.lock();
        let plugged = loading.look_at_carriers(self.sources.carriers.as_ref(), now);
        // The ledger tells of a folder that was lost; meanwhile the keys are what they were.
        if self.intact().is_ok() {
            self.memory.look();
            if loading.has_changed(&self.sources)? || plugged {
                loading.reload(&self.sources, self.guard.as_deref())?;
                return Ok(Some(self.show(&loading, now)));
            }
            loading.write(&self.sources);
        }
        let due = self.snapshot().next_change().is_some_and(|at| at <= now);
        Ok(due.then(|| self.show(&loading, now)))
    }

    fn show(&self, loading: &Loading, now: Time) -> Arc<Snapshot> {
        let snapshot = Arc::new(loading.loaded.judged(now));
        *self.snapshot.write() = snapshot.clone();
        snapshot
    }

    /// What stays in force though the data folder doesn't say so any more.
    pub fn remarks(&self) -> Vec<Error> {
        self.snapshot().remarks().iter().cloned().chain(self.memory.remark()).collect()
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
}

/// Eight hex digits of the root's hash: tells the files of two vendors apart.
fn root_mark(series: &SeriesId) -> String {
    series.root.to_string().chars().take(8).collect()
}
