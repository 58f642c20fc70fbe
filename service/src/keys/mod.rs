//! The key store: licence files of the data folder, what makes each usable or not, and what the usable ones open.
//!
//! It owns those files. Requests read a snapshot and never wait for a disk; files are read when the store is opened, when the
//! folder changes and when time changes a judgement. A file that can't be read is shown with its reason and never touched.

mod carriers;
mod change;
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
use licence::error::{Lang, Result};
use licence::fingerprint::{Fingerprint, Machine};
use licence::identity::Identity;
use licence::key::Key;
use licence::time::Time;
use licence::{KeyNo, SeriesId};
use parking_lot::{Mutex, RwLock};

pub use carriers::{Carriers, NoCarriers};
pub(crate) use change::OLD;
pub use load::Entry;
use load::Loaded;
pub use memory::{Asker, Memories};
pub use snapshot::{Snapshot, View};

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
