//! A service over a temporary folder, a vendor who signs with the test keys, and calls as a front makes them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use licence::accounting::book::Grant;
use licence::accounting::{Asker, Claim, ConnectionInfo, InfobaseSession};
use licence::code::ActivationCode;
use licence::crypto::ring::PROVIDER;
use licence::crypto::{Provider, Signer};
use licence::fingerprint::{Machine, PartKind};
use licence::flags::Flags;
use licence::host::paths::Paths;
use licence::id::ComputerId;
use licence::identity::PublicIdentity;
use licence::key::{Binding, Key, KeyType, Licence};
use licence::series::{Certificate, Issuer, RootKey};
use licence::settings::{Ini, ServerSettings};
use licence::subkeys::SeriesSecret;
use licence::time::{Clock, Moment, Tick, Time};
use licence::{ConnectionId, KeyId, KeyNo, Result, SeriesId, SessionId};
use serde_json::Value;
use service::keys::{Carriers, NoCarriers};
use service::{LicenceService, Options, Scope};
use web::{Headers, Reply, Request, Response, Service};

pub const CRYPTO: Provider = &PROVIDER;
pub const ROOT: &[u8] = include_bytes!("../../../golden/test-root.pk8");
pub const ISSUING: &[u8] = include_bytes!("../../../golden/test-issuing.pk8");
pub const DAY: i64 = 86_400_000;
pub const NOW: i64 = 20_000 * DAY;
pub const LOCAL: &str = "127.0.0.1:40000";
pub const REMOTE: &str = "192.0.2.7:40000";
pub const DEFAULT: Option<(&str, &str)> = Some(("admin", "admin"));
pub const CHANGED: Option<(&str, &str)> = Some(("admin", "another password"));

pub fn machine() -> Machine {
    let parts = [(PartKind::MachineId, "m"), (PartKind::Board, "b"), (PartKind::Disk, "d")];
    Machine { parts: parts.map(|(kind, value)| (kind, value.to_owned())).to_vec() }
}

#[derive(Default)]
pub struct TestClock {
    wall: AtomicI64,
    tick: AtomicU64,
}

impl TestClock {
    pub fn advance(&self, ms: u64) {
        self.tick.fetch_add(ms, Ordering::SeqCst);
        self.wall.fetch_add(ms as i64, Ordering::SeqCst);
    }

    /// Moves the wall clock alone, as its reading a moment later does.
    pub fn skew(&self, ms: i64) {
        self.wall.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn jump_days(&self, days: i64) {
        self.wall.fetch_add(days * DAY, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Moment {
        Moment { wall: Time(self.wall.load(Ordering::SeqCst)), tick: Tick(self.tick.load(Ordering::SeqCst)) }
    }
}

/// A vendor with his root and issuing keys.
pub struct Vendor {
    pub issuing: Box<dyn Signer>,
    pub issuer: Issuer,
    pub secret: SeriesSecret,
}

impl Vendor {
    fn of(root: &[u8], issuing: &[u8]) -> Vendor {
        let root = CRYPTO.rsa_signer(root).unwrap();
        let issuing = CRYPTO.rsa_signer(issuing).unwrap();
        let certificate = Certificate {
            key_id: KeyId(0x672B),
            root: RootKey::new(root.public_key().to_vec()).unwrap(),
            key: issuing.public_key().to_vec(),
            not_before: Time(0),
            not_after: Time(NOW + 365 * DAY),
        };
        let text = certificate.sign(root.as_ref()).unwrap();
        let issuer = Issuer::read(CRYPTO, "test", &text).unwrap();
        Vendor { issuing, issuer, secret: SeriesSecret::new([7; 32]) }
    }

    pub fn first() -> Vendor {
        Vendor::of(ROOT, ISSUING)
    }

    /// Another vendor who has picked the same KeyID.
    pub fn second() -> Vendor {
        Vendor::of(ISSUING, ROOT)
    }

    pub fn series(&self) -> SeriesId {
        self.issuer.series
    }

    /// A licence of 5 seats for `identity`, with changes.
    pub fn licence(&self, identity: PublicIdentity, key_no: KeyNo, change: impl FnOnce(&mut Licence)) -> Key {
        let mut licence = Licence {
            key_id: self.series().key_id,
            key_no,
            issue: 1,
            reg_no: 202,
            key_type: KeyType::Main,
            service_type: 0,
            licence_count: 5,
            product_version: 0,
            activation_code: ActivationCode::random(CRYPTO).unwrap(),
            activation_date: Time(NOW - DAY),
            start_date: None,
            period: 0,
            flags: Flags::default(),
            itn: Some("1234567890".into()),
            iec: None,
            product_name: "Тестовая серия".into(),
            article: "111111111111".into(),
            article_name: "Тестовая номенклатура".into(),
            support: Default::default(),
            issued: Time(NOW - DAY),
            renew_by: None,
            parameters: std::collections::BTreeMap::new(),
            identity,
            binding: Binding::Computer(machine().fingerprint(CRYPTO, licence::id::Bytes32([5; 32]))),
            sealed: Vec::new(),
        };
        change(&mut licence);
        let earned = self.secret.earned(CRYPTO, &licence.entitlement()).unwrap();
        licence.seal(CRYPTO, &self.series(), &earned).unwrap();
        let text = licence.sign(self.issuing.as_ref(), &self.issuer).unwrap();
        Key::read(CRYPTO, "test", &text).unwrap()
    }
}

/// A running service in a folder of its own.
pub struct Bench {
    pub root: PathBuf,
    pub clock: Arc<TestClock>,
    pub service: Arc<LicenceService>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.service.stop();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

pub fn paths(root: &Path) -> Paths {
    Paths { settings: root.join("settings"), data: root.join("data"), machine: root.join("machine"), user: None }
}

pub fn start(root: &Path, conf: &str, clock: Arc<TestClock>) -> Result<Arc<LicenceService>> {
    start_with(root, conf, clock, Box::new(NoCarriers))
}

pub fn start_with(
    root: &Path,
    conf: &str,
    clock: Arc<TestClock>,
    carriers: Box<dyn Carriers>,
) -> Result<Arc<LicenceService>> {
    let paths = paths(root);
    std::fs::create_dir_all(&paths.settings).unwrap();
    std::fs::write(paths.server_conf(), conf).unwrap();
    LicenceService::start(Options {
        paths,
        settings: ServerSettings::read(&Ini::parse("test.conf", conf).unwrap()).0,
        clock,
        crypto: CRYPTO,
        machine,
        carriers,
        make_response_key: Some(|| Ok(ISSUING.to_vec())),
        scope: Scope::Full,
        started: Time(NOW),
    })
}

/// Starts a ready service over a folder whose service has just ended: a thread that has given its last answer may hold that one
/// a moment longer.
pub fn start_again(root: &Path, clock: &Arc<TestClock>) -> Arc<LicenceService> {
    use licence::Code::{IdentityServedElsewhere, StoreOwned};
    loop {
        match start(root, "[Console]\nPassword=another password\n", clock.clone()) {
            Err(error) if [StoreOwned, IdentityServedElsewhere].contains(&error.code) => std::thread::yield_now(),
            outcome => return outcome.unwrap(),
        }
    }
}

impl Bench {
    pub fn new(name: &str, conf: &str) -> Bench {
        Bench::over(name, conf, Box::new(NoCarriers))
    }

    /// A service of a computer with these carriers.
    pub fn over(name: &str, conf: &str, carriers: Box<dyn Carriers>) -> Bench {
        let root = std::env::temp_dir().join(format!("slk-service-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let clock = Arc::new(TestClock::default());
        clock.wall.store(NOW, Ordering::SeqCst);
        let service = start_with(&root, conf, clock.clone(), carriers).unwrap();
        Bench { root, clock, service }
    }

    /// A service whose password was changed, so that everything may be done.
    pub fn ready(name: &str) -> Bench {
        Bench::new(name, "[Console]\nPassword=another password\n")
    }

    pub fn identity(&self) -> PublicIdentity {
        self.service.keys().identity().public()
    }

    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.root.join("data").join(name), bytes).unwrap();
    }

    /// Puts a licence of the first vendor into the folder.
    pub fn install(&self, key_no: KeyNo, change: impl FnOnce(&mut Licence)) -> Key {
        let key = Vendor::first().licence(self.identity(), key_no, change);
        self.put(&key.licence.file_name(), &key.text);
        self.service.reload_keys();
        key
    }

    pub fn ask(&self, request: Request) -> Response {
        match self.service.call(request) {
            Reply::Now(response) => response,
            Reply::Later(pending) => pending.wait(),
            Reply::Stream(_) => panic!("a stream"),
        }
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        let response = self.ask(request("GET", path, CHANGED));
        (response.status, json(&response))
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.write("POST", path, body)
    }

    pub fn write(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let response = self.ask(write(method, path, CHANGED, body));
        (response.status, json(&response))
    }

    /// A component connects and one of its sessions asks for a licence.
    fn ask_for_licence(&self) -> (ConnectionId, SessionId, Result<Grant>) {
        let (connection, session) = (ConnectionId([1; 16]), SessionId([2; 16]));
        let computer = ComputerId([1; 20]);
        self.service.ledger().touch(|book, now| {
            let info = ConnectionInfo {
                series: Vendor::first().series(),
                peer: "127.0.0.1".parse().unwrap(),
                os_version: "x".into(),
                computer_name: "PC".into(),
                computer: Some(computer),
                local_ip: String::new(),
                process: "1cv8c".into(),
                cpu: "x86_64".into(),
                pid: 8236,
                is_server: false,
                platform_version: "8.3.24.1".into(),
                module_name: "x".into(),
                version: "3.0.100.0".into(),
            };
            book.connect(connection, info, now);
        });
        let started = "2018-04-03T14:06:58Z".parse().unwrap();
        let identity = InfobaseSession::new("File=\"D:\\DemoDb\";", 2, started, "", "1CV8C", "PC").unwrap();
        let claim = Claim {
            connection,
            asker: Asker::Desktop(computer),
            identity,
            parent: None,
            access_code: None,
            demands: Default::default(),
            previous_secret: None,
            receipt: None,
            new_id: session,
            secret_hash: [3; 32],
        };
        let (done, granted) = std::sync::mpsc::channel();
        self.service.ledger().submit(move |book, now| book.claim(claim, now), move |grant| done.send(grant).unwrap());
        (connection, session, granted.recv().unwrap())
    }

    /// A component's session takes a licence.
    pub fn claim(&self) -> (String, String) {
        let (connection, session, grant) = self.ask_for_licence();
        grant.unwrap();
        (connection.to_string(), session.to_string())
    }

    /// A component's session finds no licence free.
    pub fn claim_refused(&self) {
        self.ask_for_licence().2.unwrap_err();
    }

    /// The identity of another server.
    pub fn other_identity(&self) -> PublicIdentity {
        licence::identity::Identity::generate(CRYPTO).unwrap().public()
    }

    pub fn delete(&self, path: &str) -> (u16, Value) {
        let response = self.ask(request("DELETE", path, CHANGED));
        (response.status, json(&response))
    }

    /// How many external sessions get a licence.
    pub fn seats(&self) -> usize {
        let taken = |number: usize| {
            let name = format!("seat {number}");
            self.post("/api/sessions", &serde_json::json!({ "KeyID": "672B", "ClientSessionID": name })).0
        };
        (0..100).take_while(|number| taken(*number) == 201).count()
    }

    /// `OpenError` of every file, by its name.
    pub fn errors(&self) -> Vec<(String, Option<String>)> {
        let (status, body) = self.get("/api/licences");
        assert_eq!(status, 200);
        let name = |file: &Value| Path::new(file.as_str().unwrap()).file_name().unwrap().to_string_lossy().into_owned();
        let licences = body["Licences"].as_array().unwrap().iter();
        licences.map(|key| (name(&key["FileName"]), key["OpenError"].as_str().map(str::to_owned))).collect()
    }
}

pub fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or(Value::Null)
}

pub fn request(method: &str, target: &str, account: Option<(&str, &str)>) -> Request {
    request_from(LOCAL, method, target, account)
}

pub fn request_from(peer: &str, method: &str, target: &str, account: Option<(&str, &str)>) -> Request {
    let mut headers = Headers::new();
    headers.set("Host", "127.0.0.1:9099").unwrap();
    headers.set("Accept-Language", "en").unwrap();
    if let Some((user, password)) = account {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        headers.set("Authorization", &format!("Basic {pair}")).unwrap();
    }
    Request::build(method, target, headers, peer.parse::<SocketAddr>().unwrap(), false).unwrap()
}

pub fn write(method: &str, target: &str, account: Option<(&str, &str)>, body: &Value) -> Request {
    let mut request = request(method, target, account);
    request.headers.set("Content-Type", "application/json").unwrap();
    request.body = serde_json::to_vec(body).unwrap();
    request
}

pub fn with(mut request: Request, name: &str, value: &str) -> Request {
    request.headers.set(name, value).unwrap();
    request
}
