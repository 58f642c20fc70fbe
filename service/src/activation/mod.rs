//! The life of a key beyond this server: codes become licences, keys become reserve codes, licences are renewed, all by a request
//! that the vendor's centre answers, over the network or as files. `docs/keys.md`.
//!
//! A request is on the disk before it is sent, what an answer grants is on the disk before it is told. Calls to the centre run on
//! threads of their own, and two of them are never about the same code or key.

mod centre;
mod order;
mod pending;
mod proxy;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use licence::activation::{Activate, Answer, CodeParameters, Granted, Purpose, Received, Request, Want};
use licence::api::LicenceInfo;
use licence::code::ActivationCode;
use licence::error::{Code, Error, Lang, Result};
use licence::id::{Bytes32, hex};
use licence::key::Key;
use licence::time::{DAY_MS, Time};
use licence::version::VERSION;
use licence::{KeyId, KeyNo, SeriesId};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;
use web::{Lane, Workers};

use crate::Core;
use crate::folder::DataFolder;
use crate::keys::News;
use crate::queue::hand_over;
use centre::Centre;
use pending::Pending;

pub use order::{Order, ReserveOrder, UpdateOrder};
pub use pending::FILE as PENDING_FILE;

/// Whose calls wait apart, in the order of [`Caller`]. A call that is begun has a time limit of its own.
const LANES: [Lane; 2] = [
    Lane { waiting: 16, waiting_per_client: 16, patience: Duration::from_secs(300) },
    Lane { waiting: 16, waiting_per_client: 4, patience: Duration::from_secs(60) },
];
/// Whose calls each thread makes, in turns: components are strangers, so they never have both.
const THREADS: [&[usize]; 2] = [&[Caller::Person as usize], &[Caller::Component as usize, Caller::Person as usize]];
/// Place of an answer in errors about it.
const ANSWER: &str = "answer";

/// The calls to centres.
pub struct Activations {
    workers: Workers,
    running: Mutex<HashSet<Subject>>,
    pending: Pending,
}

/// Who has the centre asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who has signed in, or this server itself.
    Person,
    /// A component.
    Component,
}

/// What a request is about: of two requests about the same one the later is refused while the first is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Code(ActivationCode),
    Demo(KeyId),
    Key(SeriesId, KeyNo),
    Series(SeriesId),
}

impl Subject {
    fn of(purpose: &Purpose) -> Subject {
        match purpose {
            Purpose::Activate(Activate { want: Want::Code(code), .. }) | Purpose::CodeParameters(code) => {
                Subject::Code(*code)
            }
            Purpose::Activate(Activate { want: Want::Demo { key_id, .. }, .. }) => Subject::Demo(*key_id),
            Purpose::Reserve(asked) => Subject::Key(asked.series, asked.key_no),
            Purpose::Update(asked) => Subject::Series(asked.series),
        }
    }
}

/// A request on its way; no other one about the same subject is sent until this is dropped.
struct Running<'a> {
    activations: &'a Activations,
    subject: Subject,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.activations.running.lock().remove(&self.subject);
    }
}

impl Activations {
    /// Threads for calls, over the requests of a data folder.
    pub fn new(folder: Arc<DataFolder>) -> Result<Activations> {
        let started = Instant::now();
        let workers = Workers::start("activation", &LANES, &THREADS, move || started.elapsed());
        let workers = workers.map_err(|e| Error::new(Code::Internal).with(e))?;
        Ok(Activations { workers, running: Mutex::default(), pending: Pending::open(folder) })
    }

    /// Runs `job` with `load` of somebody at `address` on those threads; an error with the load when too many wait, and an error in
    /// place of its turn for a job that has waited its longest.
    pub fn run<T: Send + 'static>(
        &self,
        caller: Caller,
        address: IpAddr,
        load: T,
        job: impl FnOnce(T, Result<()>) + Send + 'static,
    ) -> Result<(), (Error, T)> {
        hand_over(&self.workers, (caller as usize, address), load, job)
    }

    fn start(&self, purpose: &Purpose) -> Result<Running<'_>> {
        let subject = Subject::of(purpose);
        if self.running.lock().insert(subject) {
            Ok(Running { activations: self, subject })
        } else {
            Err(Code::Busy.into())
        }
    }
}

/// What an answer of the centre has changed here.
#[derive(Debug)]
pub enum Done {
    /// A licence was installed.
    Activated(SeriesId, KeyNo),
    /// A key was given up.
    Reserved(ReserveInfo),
    /// News were taken up.
    Updated(UpdateInfo),
    /// Nothing: what a code would give.
    CodeParameters(Box<CodeParameters>),
}

/// A reserve code, as the API gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ReserveInfo {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// The key that counts no more.
    pub key_no: KeyNo,
    /// The code to install elsewhere, or here again.
    pub reserve_code: String,
}

/// News about the keys of a series, as the API gives them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateInfo {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// Keys of which a newer licence came.
    pub updated: Vec<KeyNo>,
    /// Keys that were retired.
    pub retired: Vec<KeyNo>,
    /// Keys here that the vendor has revoked.
    pub revoked: Vec<KeyNo>,
}

/// A request as a file, as the API gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RequestFile {
    /// A name for it.
    pub file_name: String,
    /// Its text.
    pub text: String,
}

/// Asks the centre and does what it answers. May take a minute and a half; what was lost on the way comes back when it is asked
/// for again.
pub fn carry_out(core: &Core, purpose: Purpose) -> Result<Done> {
    let _running = core.activations.start(&purpose)?;
    let centre = Centre::of(&core.settings.get())?;
    let (request, text) = request(core, purpose)?;
    log::info!("{:?}: the centre is asked", Subject::of(&request.purpose));
    match centre.ask(&text, |answer| Answer::read(core.crypto, ANSWER, answer)) {
        Ok(received) => take(core, received, request),
        Err(error) => {
            if !centre::is_passing(&error) {
                core.activations.pending.forget(core.crypto, &request.nonce)?;
            }
            Err(error)
        }
    }
}

/// Exchanges a code for a licence, or asks for a demo licence; the fields of the new key.
pub fn activate(core: &Core, order: licence::api::Activate, lang: Lang) -> Result<LicenceInfo> {
    match carry_out(core, Order::Activate(order).purpose(core)?)? {
        Done::Activated(series, key_no) => installed(core, series, key_no, lang),
        _ => Err(Error::new(Code::CentreAnswerWrong).with("licence")),
    }
}

/// Gives a key up for a reserve code. Asked for again, it gives the same code.
pub fn reserve(core: &Core, order: ReserveOrder) -> Result<ReserveInfo> {
    match carry_out(core, Order::Reserve(order).purpose(core)?)? {
        Done::Reserved(info) => Ok(info),
        _ => Err(Error::new(Code::CentreAnswerWrong).with("reserve code")),
    }
}

/// Asks for news about the keys here: of one series, or of all.
pub fn update(core: &Core, order: UpdateOrder) -> Result<Vec<UpdateInfo>> {
    let all = core.keys.own_series();
    let fits = |series: &&SeriesId| {
        order.key_id.is_none_or(|key_id| series.key_id == key_id) && order.root.is_none_or(|root| series.root == root)
    };
    let wanted: Vec<SeriesId> = all.iter().filter(fits).copied().collect();
    if wanted.is_empty()
        && let Some(key_id) = order.key_id
    {
        return Err(Error::new(Code::NoKey).with(key_id));
    }
    let mut news = Vec::new();
    for series in wanted {
        let asked = licence::activation::Update { series };
        if let Done::Updated(info) = carry_out(core, Purpose::Update(asked))? {
            news.push(info);
        }
    }
    Ok(news)
}

/// What a code would give, without spending it.
pub fn parameters(core: &Core, code: ActivationCode) -> Result<CodeParameters> {
    match carry_out(core, Purpose::CodeParameters(code))? {
        Done::CodeParameters(parameters) => Ok(*parameters),
        _ => Err(Error::new(Code::CentreAnswerWrong).with("parameters of the code")),
    }
}

/// Makes a request file. Its answer is installed here by [`respond`].
pub fn request_file(core: &Core, order: &Order) -> Result<RequestFile> {
    let (request, text) = request(core, order.purpose(core)?)?;
    let what = match request.purpose {
        Purpose::Activate(_) => "activate",
        Purpose::Reserve(_) => "reserve",
        Purpose::Update(_) => "update",
        Purpose::CodeParameters(_) => "code",
    };
    let mark: String = hex(&request.nonce.0).chars().take(8).collect();
    Ok(RequestFile { file_name: format!("{what}-{mark}.request"), text })
}

/// Installs an answer that came as a file.
pub fn respond(core: &Core, text: &str) -> Result<Done> {
    let received = Answer::read(core.crypto, ANSWER, text)?;
    let asked = core.activations.pending.find(core.crypto, |request| request.nonce == received.answer.nonce);
    let (request, _) = asked.ok_or(Code::ResponseUnknown)?;
    take(core, received, request)
}

/// The fields of a key that was just installed.
pub fn installed(core: &Core, series: SeriesId, key_no: KeyNo, lang: Lang) -> Result<LicenceInfo> {
    // A key that the rules make unusable is kept all the same: it is paid for, and its fields say what is missing.
    let info = core.keys.info_in(&series, key_no, core.timekeeper.now(), lang);
    info.ok_or_else(|| Error::new(Code::Internal).with("the new licence was not found in the data folder"))
}

/// The request for a purpose, written down: the one that was made before if nothing has changed since.
fn request(core: &Core, purpose: Purpose) -> Result<(Request, String)> {
    // What the centre grants must not come to a folder that isn't ours.
    core.ledger.folder().look()?;
    let signing = core.signing.as_ref();
    let signing = signing.ok_or_else(|| Error::new(Code::NotImplemented).with(crate::api::LICENCES))?;
    let identity = core.keys.identity();
    let of_series = match &purpose {
        Purpose::Activate(_) | Purpose::CodeParameters(_) => None,
        Purpose::Reserve(asked) => Some(asked.series),
        Purpose::Update(asked) => Some(asked.series),
    };
    let installed = core.keys.installed().into_iter();
    let fresh = Request {
        nonce: Bytes32(core.crypto.random_array()?),
        made: core.timekeeper.now(),
        identity: identity.public(),
        fingerprint: core.keys.fingerprint(),
        computer_id: core.computer_id,
        api_key: signing.public_key().to_vec(),
        version: VERSION.into(),
        answers: licence::activation::ANSWER.version,
        installed: installed.filter(|key| of_series.is_none_or(|series| key.series == series)).collect(),
        purpose,
    };
    let same = |known: &Request| Request { nonce: fresh.nonce, made: fresh.made, ..known.clone() } == fresh;
    if let Some(known) = core.activations.pending.find(core.crypto, same) {
        return Ok(known);
    }
    let text = fresh.sign(core.crypto, identity)?;
    core.activations.pending.keep(&text)?;
    Ok((fresh, text))
}

/// Does what an answer grants. Whatever it grants is on the disk before the request is forgotten and anybody is told.
fn take(core: &Core, received: Received, request: Request) -> Result<Done> {
    let (time, series) = (received.answer.time, received.issuer.series);
    let granted = received.accept(core.crypto, &request, core.keys.identity())?;
    let done = grant(core, granted)?;
    if core.keys.own_series().contains(&series) {
        core.timekeeper.confirm(time);
        core.look_around();
    }
    core.activations.pending.forget(core.crypto, &request.nonce)?;
    Ok(done)
}

fn grant(core: &Core, granted: Granted) -> Result<Done> {
    let now = core.timekeeper.now();
    match granted {
        Granted::Activated { key, api_certificate, memory } => {
            let (series, key_no) = (key.series, key.licence.key_no);
            if let Some(memory) = memory {
                core.keys.memory().bring(&series, key_no, key.licence.issue, memory)?;
            }
            log::info!("{} KeyNo {key_no}: issue {} is installed", series.key_id, key.licence.issue);
            let keys = std::slice::from_ref(key.as_ref());
            take_up(core, &News { keys, certificate: Some((series, &api_certificate)), ..News::default() }, now)?;
            Ok(Done::Activated(series, key_no))
        }
        Granted::Reserved { code, retired } => {
            let (key_id, key_no) = (retired.series.key_id, retired.retirement.key_no);
            take_up(core, &News { retired: std::slice::from_ref(&retired), ..News::default() }, now)?;
            log::info!("{key_id} KeyNo {key_no}: given up for a reserve code");
            Ok(Done::Reserved(ReserveInfo { key_id, key_no, reserve_code: code.to_string() }))
        }
        Granted::Updated { keys, retired, revoked, api_certificate } => {
            let held: HashSet<KeyNo> = core.keys.installed_of(&revoked.series).collect();
            let info = UpdateInfo {
                key_id: revoked.series.key_id,
                updated: keys.iter().map(|key: &Key| key.licence.key_no).collect(),
                retired: retired.iter().map(|retired| retired.retirement.key_no).collect(),
                revoked: revoked.list.revoked.iter().copied().filter(|key_no| held.contains(key_no)).collect(),
            };
            let certificate = Some((revoked.series, api_certificate.as_str()));
            take_up(core, &News { keys: &keys, retired: &retired, revoked: Some(&revoked), certificate }, now)?;
            log::info!("{}: updated {:?}, retired {:?}", info.key_id, info.updated, info.retired);
            Ok(Done::Updated(info))
        }
        Granted::CodeParameters(parameters) => Ok(Done::CodeParameters(parameters)),
    }
}

fn take_up(core: &Core, news: &News<'_>, now: Time) -> Result<()> {
    core.change_keys(|keys| keys.take_up(news, now))
}

/// Asks for news once a day, if the settings allow it. Called every few seconds; the work is done on the threads for calls.
pub fn update_daily(core: &std::sync::Arc<Core>) {
    let settings = core.settings.get();
    let now = core.timekeeper.now();
    let pending = &core.activations.pending;
    let due = pending.updated().is_none_or(|last| (now.0 - last.0).abs() >= DAY_MS);
    if !settings.update_daily || settings.centres.is_empty() || !due || core.keys.own_series().is_empty() {
        return;
    }
    // Noted first: a centre that is out of reach is not asked every few seconds.
    if let Err(error) = pending.note_update(now) {
        return log::error!("{error}");
    }
    let here = Ipv4Addr::LOCALHOST.into();
    let queued = core.activations.run(Caller::Person, here, core.clone(), |core, turn| {
        if let Err(error) = turn.and_then(|()| update(&core, UpdateOrder::default())) {
            log::warn!("the daily update: {error}");
        }
    });
    if let Err((error, _)) = queued {
        log::warn!("the daily update: {error}");
    }
}
