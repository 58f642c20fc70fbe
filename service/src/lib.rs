//! The licence service: key store, ledger, REST API, the component's protocol and the console, behind one
//! `call → Reply` that knows no HTTP library and never blocks. A front serves it; see `server` and `server-lite`.

pub mod access;
mod activation;
mod api;
pub mod backup;
pub mod client;
mod console;
mod datafiles;
mod defaults;
mod folder;
mod health;
mod keeper;
pub mod keys;
pub mod ledger;
mod queue;
pub mod settings;
mod signature;
mod timekeeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use licence::accounting::pool::kept;
use licence::accounting::{Leases, Terms};
use licence::api::LicenceEntry;
use licence::crypto::Provider;
use licence::error::{Code, Error, Lang, Result};
use licence::fingerprint::Machine;
use licence::host::files::{self, Access};
use licence::host::instance::{self, Instance};
use licence::host::paths::Paths;
use licence::host::registry;
use licence::id::{ComputerId, StoreId};
use licence::identity::Identity;
use licence::protocol::{CALL_PATH, CONNECT_PATH};
use licence::settings::ServerSettings;
use licence::time::{Clock, Time};
use licence::{KeyNo, SeriesId};
use parking_lot::Mutex;
use web::{Language, Method, Rejection, Reply, Request, Response, Service};

pub use folder::{DataFolder, is_loss};
pub use health::Health;

use access::{Guard, Pass};
use activation::Activations;
use api::Api;
use client::Clients;
use console::Console;
use datafiles::Datafiles;
use defaults::Defaults;
use keeper::Keeper;
use keys::{Carriers, KeyStore, Snapshot, Sources};
use ledger::{Ledger, Marks};
use settings::Live;
use signature::Signing;
use timekeeper::{Round, Timekeeper};

/// File of the identity in the data folder.
pub const IDENTITY_FILE: &str = "server.identity";
const MAX_IDENTITY: u64 = 64 * 1024;

/// What the service serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Full,
    /// Inside the component: `/client` and a read-only page.
    Embedded,
}

/// What a service is started over.
pub struct Options {
    /// Folders of this installation.
    pub paths: Paths,
    /// Settings as read; the file is watched for changes.
    pub settings: ServerSettings,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The cryptographic provider.
    pub crypto: Provider,
    /// Reads the parts of this machine: [`licence::host::machine::read`].
    pub machine: fn() -> Machine,
    /// Tells which USB carriers are plugged in: [`keys::NoCarriers`] where there are none.
    pub carriers: Box<dyn Carriers>,
    /// Makes the RSA key (PKCS#8 DER) that signs API answers, at first start. `None`: answers are unsigned.
    pub make_response_key: Option<fn() -> Result<Vec<u8>>>,
    /// What is served.
    pub scope: Scope,
    /// When the process started.
    pub started: Time,
}

/// What all parts of the service share.
pub(crate) struct Core {
    pub paths: Paths,
    pub crypto: Provider,
    pub scope: Scope,
    pub settings: Arc<Live>,
    pub guard: Arc<Guard>,
    pub keys: Arc<KeyStore>,
    pub ledger: Arc<Ledger>,
    pub timekeeper: Arc<Timekeeper>,
    pub signing: Option<Signing>,
    pub activations: Activations,
    pub computer_id: Option<ComputerId>,
    pub os_version: String,
    pub started: Time,
    /// Whether the service has been asked to end.
    stopping: AtomicBool,
    /// Held while keys change, so that pools reach the ledger in the order in which they were judged.
    changing: Mutex<Taken>,
    /// Given back last, when nothing is served any more.
    instance: Instance,
}

/// What the last pools that the ledger was given rest on, besides the keys.
#[derive(Default)]
struct Taken {
    /// Whether keys are kept because the clock is in doubt.
    in_doubt: bool,
}

/// The service.
pub struct LicenceService {
    core: Arc<Core>,
    clients: Clients,
    api: Api,
    console: Console,
    keeper: Keeper,
}

impl LicenceService {
    /// Starts the service over a data folder. Bad licence files don't hinder it: they are shown.
    ///
    /// Errors: [`Code::IdentityServedElsewhere`], [`Code::LockUnusable`], [`Code::StoreOwned`], [`Code::NetworkStore`], those of
    /// [`Ledger::open`], and of files that can't be read or written.
    pub fn start(options: Options) -> Result<Arc<LicenceService>> {
        let Options { paths, mut settings, clock, crypto, machine, carriers, make_response_key, scope, started } =
            options;
        files::create_folder(&paths.data)?;
        // The folder is locked, so that two first starts at once don't make two identities.
        let folder = Arc::new(DataFolder::own(&paths.data)?);
        remove_leftovers(&paths);
        let identity = identity(&paths, crypto)?;
        let name = identity.lock_name(crypto);
        let instance = instance::take(&name, &paths, started)?;
        let elsewhere = registry::folder(&paths).map(|folder| folder.join(format!("{name}.mark")));
        let marks = Marks::new(crypto, &paths.data, elsewhere);
        let new = StoreId(crypto.random_id()?);
        folder.keep_identity(crypto, identity.public())?;
        let ledger = Ledger::open(folder, clock.clone(), Leases::default(), (marks, new))?;
        let ledger = Arc::new(ledger);
        let signing = make_response_key.map(|make| Signing::open(&paths.data, crypto, make)).transpose()?;
        let lang = settings.lang;
        if scope == Scope::Full {
            access::hash_plain_passwords(&paths, crypto, &mut settings);
        }
        let settings = Arc::new(Live::new(settings, &paths, crypto));
        let sources = Sources {
            folder: paths.data.clone(),
            crypto,
            identity: Arc::new(identity),
            response_key: signing.as_ref().map(|signing| signing.public_key().to_vec()),
            machine,
            carriers,
            carrier_grace: settings.get().carrier_grace,
            lang,
        };
        let timekeeper = Arc::new(Timekeeper::start(ledger.folder().clone(), clock.clone()));
        let keys = Arc::new(KeyStore::open_in(sources, Some(ledger.folder().clone()), timekeeper.now())?);
        let pass = match scope {
            Scope::Full => Some(Pass::issue(&paths.data, crypto, settings.get().nearest_url())?),
            Scope::Embedded => None,
        };
        let guard = Arc::new(Guard::new(crypto, clock.clone(), settings.clone(), pass)?);
        let datafiles = Datafiles::new(crypto, paths.data.clone());
        let defaults = Defaults::new(crypto, paths.data.clone());
        let activations = Activations::new(ledger.folder().clone())?;
        let core = Arc::new(Core {
            paths,
            crypto,
            scope,
            settings,
            guard,
            keys,
            ledger,
            timekeeper,
            signing,
            activations,
            computer_id: machine().computer_id(crypto),
            os_version: licence::host::os::os_version(),
            started,
            stopping: AtomicBool::new(false),
            changing: Mutex::default(),
            instance,
        });
        core.change_keys(|keys| Ok(keys.snapshot()))?;
        let clients = Clients::new(core.clone(), clock, (datafiles, defaults))?;
        let keeper = Keeper::start(&core)?;
        Ok(Arc::new(LicenceService {
            api: Api::new(core.clone())?,
            console: Console::new(core.clone())?,
            clients,
            core,
            keeper,
        }))
    }

    /// Reads licences and settings again, for example on SIGHUP. What is wrong is logged and leaves the former state in force.
    pub fn reload_keys(&self) {
        self.core.refresh_settings();
        let now = self.core.timekeeper.look().now;
        if let Err(error) = self.core.change_keys(|keys| keys.reload(now)) {
            log::error!("the keys could not be read again: {error}");
        }
    }

    /// Ends the service's own threads; sessions are kept in the store. Requests are still answered until the service is dropped.
    pub fn stop(&self) {
        self.core.stopping.store(true, Ordering::Relaxed);
        self.keeper.stop();
        self.core.timekeeper.stop();
    }

    /// Every address of the API, with its method and who may call it.
    pub fn api_routes(&self) -> Vec<(Method, &'static str, web::Access)> {
        self.api.routes()
    }

    /// Every address of the console, the same way.
    pub fn console_routes(&self) -> Vec<(Method, &'static str, web::Access)> {
        self.console.routes()
    }

    /// Lets a key be used or not, whatever its licence says.
    pub fn set_enabled(&self, series: SeriesId, key_no: KeyNo, enabled: bool) -> Result<()> {
        let now = self.core.timekeeper.now();
        self.core.change_keys(|keys| keys.set_enabled(series, key_no, enabled, now))
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<ServerSettings> {
        self.core.settings.get()
    }

    /// The key store.
    pub fn keys(&self) -> &KeyStore {
        &self.core.keys
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.core.ledger
    }
}

impl Service for LicenceService {
    fn call(&self, request: Request) -> Reply {
        match request.path.as_str() {
            CONNECT_PATH if request.method == Method::Post => self.clients.connect(&request),
            CALL_PATH if request.method == Method::Post => self.clients.call(&request),
            // Health checks of older installations ask for the second one.
            "/healthz" | "/systeminfo" => Reply::Now(self.core.health(&request)),
            path if api::serves(path) && self.core.scope == Scope::Full => self.api.call(request),
            _ => self.console.call(request),
        }
    }

    fn reject(&self, rejection: Rejection) -> Response {
        // Nothing of such a request can be relied on, so nothing of it is signed.
        let settings = self.core.settings.get();
        let known = |tag: &str| Language::parse(tag.split(';').next().unwrap_or_default().trim());
        let lang = match rejection.headers.get("accept-language").and_then(|tags| tags.split(',').find_map(known)) {
            Some(Language::Russian) => Lang::Russian,
            Some(Language::English) => Lang::English,
            None => settings.lang,
        };
        api::refusal(&error_of(&rejection, settings.limits.body_bytes), lang)
    }
}

/// What a front refuses, as an error of the catalogue.
fn error_of(rejection: &Rejection, body_bytes: usize) -> Error {
    let cause = rejection.reason.trim_end_matches('.');
    match rejection.status {
        408 => Code::Timeout.into(),
        411 => Code::LengthRequired.into(),
        413 => Error::new(Code::TooLarge).with(body_bytes),
        414 => Code::AddressTooLong.into(),
        431 => Code::HeaderTooLarge.into(),
        501 => Error::new(Code::NotImplemented).with(cause),
        503 => Code::Busy.into(),
        505 => Code::HttpVersion.into(),
        500 => Error::new(Code::Internal).with(cause),
        _ => Error::new(Code::BadRequest).with(cause),
    }
}

impl Core {
    /// Changes the keys and puts their pools under the ledger's seats, one change after the other.
    pub fn change_keys(&self, change: impl FnOnce(&KeyStore) -> Result<Arc<Snapshot>>) -> Result<()> {
        let mut taken = self.changing.lock();
        let snapshot = change(&self.keys)?;
        self.take_pools(&mut taken, &snapshot, self.timekeeper.look());
        Ok(())
    }

    /// Looks for changes of files and of time.
    pub fn look_around(&self) {
        self.instance.look_around();
        let other_settings = self.refresh_settings();
        let mut taken = self.changing.lock();
        let round = self.timekeeper.look();
        let stale = round.went_back || other_settings || taken.in_doubt != round.certain.is_some();
        match self.keys.refresh(round.now) {
            Ok(Some(snapshot)) => self.take_pools(&mut taken, &snapshot, round),
            Ok(None) if stale => self.take_pools(&mut taken, &self.keys.judge_again(round.now), round),
            Ok(None) => {}
            Err(error) => log::error!("the keys could not be looked at: {error}"),
        }
    }

    fn refresh_settings(&self) -> bool {
        let changed = self.settings.refresh(&self.paths);
        if changed && self.scope == Scope::Full {
            log::set_max_level(self.settings.get().log_level);
        }
        changed
    }

    fn take_pools(&self, taken: &mut Taken, snapshot: &Snapshot, round: Round) {
        let pools = snapshot.pools().clone();
        // While nobody knows whether the clock is right it ends no session: see `accounting::clock`.
        let kept = round.certain.map(|certain| kept(&pools, &self.keys.pools_at(certain))).unwrap_or_default();
        let terms = Terms { marks: snapshot.marks(), codes: self.settings.get().access_codes.clone(), kept };
        taken.in_doubt = round.certain.is_some();
        let limits = self.settings.get().seats.clone();
        self.ledger.touch(|book, now| {
            book.set_limits(limits);
            book.set_terms(terms, pools, now);
        });
    }

    /// Whether the service has been asked to end, so that requests should be sent elsewhere.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Language of a request: what it asks for, else that of the settings.
    pub fn lang(&self, request: &Request) -> Lang {
        console::language(request, self.settings.get().lang)
    }
}

/// Removes what killed processes have left in the folders of this installation. The data folder is owned by this process.
fn remove_leftovers(paths: &Paths) {
    for folder in [&paths.data, &paths.data.join(keys::OLD), &paths.settings, &paths.machine] {
        files::remove_leftovers(folder);
    }
    ledger::remove_leftovers(&paths.data);
}

/// The keys of a data folder that no server uses, as `GET /api/licences` gives them. Makes and changes nothing there: where there is no
/// identity yet, every key is another server's.
pub fn look_at_keys(options: Options) -> Result<Vec<LicenceEntry>> {
    let Options { paths, settings, clock, crypto, machine, carriers, .. } = options;
    let now = Timekeeper::judged(&paths.data, clock.as_ref());
    if !paths.data.try_exists().map_err(|e| files::failed(&paths.data, &e))? {
        return Ok(Vec::new());
    }
    let identity = match find_identity(&paths, crypto)? {
        Some(identity) => identity,
        None => Identity::generate(crypto)?,
    };
    let sources = Sources {
        folder: paths.data,
        crypto,
        identity: Arc::new(identity),
        response_key: None,
        machine,
        carriers,
        carrier_grace: settings.carrier_grace,
        lang: settings.lang,
    };
    Ok(keys::look(&sources, now)?.views().map(|view| view.info(now, settings.lang)).collect())
}

fn find_identity(paths: &Paths, crypto: Provider) -> Result<Option<Identity>> {
    let path = paths.data.join(IDENTITY_FILE);
    let text = files::read_text_if_there(&path, MAX_IDENTITY)?.map(zeroize::Zeroizing::new);
    text.map(|text| Identity::read(crypto, &path.display().to_string(), &text)).transpose()
}

/// The identity of the data folder, made at the first start.
fn identity(paths: &Paths, crypto: Provider) -> Result<Identity> {
    if let Some(identity) = find_identity(paths, crypto)? {
        return Ok(identity);
    }
    let path = paths.data.join(IDENTITY_FILE);
    let identity = Identity::generate(crypto)?;
    files::write_atomically(&path, identity.write()?.as_bytes(), Access::Private)?;
    log::info!("{}: a new identity", path.display());
    Ok(identity)
}
