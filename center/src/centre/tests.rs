//! The centre over both stores, by a clock of the test: a bench with servers that ask it.

mod exchange;
mod moving;
mod news;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use licence::activation::{Granted, Installed, Memory, Received, Reserve, Update};
use licence::fingerprint::PartKind;
use licence::identity::Identity;
use licence::key::{Key as Installable, KeyType};
use licence::series::{Certificate, RootKey};
use licence::subkeys::SeriesSecret;
use licence::time::{Moment, Tick};

use super::*;
use crate::CRYPTO;
use crate::keyfile::{IssuerFile, Opened, Secrets};
use crate::rules::tests::{activate, request, terms};
use crate::store::tests::{Folder, On, on_both};
use crate::store::{Kind, Policy, State};
use crate::terms::Terms;

const ROOT: &[u8] = include_bytes!("../../../golden/test-root.pk8");
const ISSUING: &[u8] = include_bytes!("../../../golden/test-issuing.pk8");
const DAY: i64 = 86_400_000;

#[derive(Clone)]
struct TestClock(Arc<AtomicI64>);

impl Clock for TestClock {
    fn now(&self) -> Moment {
        Moment { wall: Time(self.0.load(Ordering::SeqCst)), tick: Tick(0) }
    }
}

struct Bench {
    folder: Folder,
    clock: TestClock,
    series: SeriesId,
    centre: Centre,
}

/// An issuing key whose certificate is good from day 0 to day `days`.
fn issuing(pkcs8: &[u8], days: i64) -> (IssuerFile, Opened) {
    let root = CRYPTO.rsa_signer(ROOT).unwrap();
    let certificate = Certificate {
        key_id: KeyId(0x672B),
        root: RootKey::new(root.public_key().to_vec()).unwrap(),
        key: CRYPTO.rsa_signer(pkcs8).unwrap().public_key().to_vec(),
        not_before: Time(0),
        not_after: Time(days * DAY),
    };
    let text = certificate.sign(root.as_ref()).unwrap();
    let secrets = Secrets::of(pkcs8, &SeriesSecret::new([7; 32]));
    let file = IssuerFile::new(CRYPTO, ("Товар", &text), Time(0), secrets, None).unwrap();
    let key = file.open(CRYPTO, None).unwrap();
    (file, key)
}

fn centre(folder: &Folder, clock: &TestClock) -> Centre {
    let centre = Centre::new(CRYPTO, Box::new(clock.clone()), folder.store());
    centre.serve(vec![issuing(ISSUING, 1000)]).unwrap();
    centre
}

fn bench(on: On) -> Bench {
    let folder = Folder::new(on);
    let clock = TestClock(Arc::new(AtomicI64::new(DAY)));
    let centre = centre(&folder, &clock);
    let series = centre.series()[0].0;
    Bench { folder, clock, series, centre }
}

/// A server on a machine.
struct Server<'a> {
    bench: &'a Bench,
    identity: Identity,
    machine: String,
}

impl Bench {
    fn code(&self, terms: &Terms) -> ActivationCode {
        self.centre.make_codes("test", (&self.series, terms), 1).unwrap()[0]
    }

    fn main_code(&self) -> ActivationCode {
        self.code(&terms(KeyType::Main))
    }

    fn server(&self, machine: &str) -> Server<'_> {
        Server { bench: self, identity: Identity::generate(CRYPTO).unwrap(), machine: machine.to_owned() }
    }

    fn policy(&self, policy: Policy) {
        self.centre.store.work(|work| work.set_policy(&self.series, &policy)).unwrap();
    }

    fn pass_days(&self, days: i64) {
        self.clock.0.fetch_add(days * DAY, Ordering::SeqCst);
    }

    fn reports(&self) -> Vec<Kind> {
        let events = self.centre.store.work(|work| work.latest_events(true, (0, 9))).unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }
}

impl Server<'_> {
    fn request(&self, purpose: Purpose) -> Request {
        request(&self.identity, &self.machine, purpose)
    }

    fn ask(&self, asked: &Request) -> Result<Granted> {
        let text = asked.sign(CRYPTO, &self.identity)?;
        let done = self.bench.centre.answer(&self.bench.centre.read(&text)?)?.settle()?;
        let received: Received = Answer::read(CRYPTO, "x", &done.answer)?;
        received.accept(CRYPTO, asked, &self.identity)
    }

    fn activate(&self, code: ActivationCode) -> Result<Installable> {
        self.licence(&self.request(Purpose::Activate(activate(code))))
    }

    fn licence(&self, asked: &Request) -> Result<Installable> {
        match self.ask(asked)? {
            Granted::Activated { key, .. } => Ok(*key),
            other => panic!("{other:?}"),
        }
    }

    fn reserve(&self, key: &Installable) -> Result<ActivationCode> {
        let memory = Some(Memory { data: "память".into(), ..Memory::default() });
        let (key_no, issue) = (key.licence.key_no, key.licence.issue);
        let (reason, comment) = ("переезд".into(), String::new());
        let asked = Reserve { series: key.series, key_no, issue, reason, comment, memory };
        match self.ask(&self.request(Purpose::Reserve(asked)))? {
            Granted::Reserved { code, retired } => {
                assert!(retired.covers(&key.series, key_no, issue) && !retired.covers(&key.series, key_no, issue + 1));
                Ok(code)
            }
            other => panic!("{other:?}"),
        }
    }

    /// An update with these keys installed: new licences, retired keys, revoked keys.
    fn update(&self, keys: &[&Installable]) -> (Vec<Installable>, Vec<(KeyNo, u32)>, Vec<KeyNo>) {
        let mut asked = self.request(Purpose::Update(Update { series: self.bench.series }));
        asked.installed = keys.iter().map(|key| installed(key)).collect();
        match self.ask(&asked).unwrap() {
            Granted::Updated { keys, retired, revoked, .. } => {
                let retired = retired.iter().map(|r| (r.retirement.key_no, r.retirement.issue)).collect();
                (keys, retired, revoked.list.revoked)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn installed(key: &Installable) -> Installed {
    let (key_no, issue, key_type) = (key.licence.key_no, key.licence.issue, key.licence.key_type);
    Installed { series: key.series, key_no, issue, key_type }
}

fn code_of<T: std::fmt::Debug>(result: Result<T>) -> Code {
    result.unwrap_err().code
}
