use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use licence::activation::{Granted, Installed};
use licence::identity::Identity;
use licence::key::{Key, KeyType};
use licence::series::{Certificate, RootKey};
use licence::subkeys::SeriesSecret;
use licence::time::{Moment, Tick};

use super::*;
use crate::CRYPTO;
use crate::keyfile::Secrets;
use crate::rules::tests::{activate, request, terms};
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
    folder: PathBuf,
    clock: TestClock,
    series: SeriesId,
    centre: Centre,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An issuing key whose certificate is good from day 0 to day `days`.
fn issuing(pkcs8: &[u8], days: i64) -> (IssuerFile, Opened) {
    let root = CRYPTO.rsa_signer(ROOT).unwrap();
    let certificate = Certificate {
        key_id: licence::KeyId(0x672B),
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

fn bench(name: &str) -> Bench {
    let folder = std::env::temp_dir().join(format!("slk-issue-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let clock = TestClock(Arc::new(AtomicI64::new(DAY)));
    let mut centre = Centre::new(CRYPTO, Box::new(clock.clone()), Store::open(&folder).unwrap());
    let (file, key) = issuing(ISSUING, 10);
    centre.serve(&file, key).unwrap();
    Bench { folder, clock, series: file.series(), centre }
}

impl Bench {
    fn code(&self, terms: &Terms) -> ActivationCode {
        self.centre.store.add_codes(CRYPTO, &self.series, terms, (1, Time(0))).unwrap()[0]
    }

    fn ask(&self, request: &Request, identity: &Identity) -> Result<(Key, Issued)> {
        let issued = self.centre.activate(&request.sign(CRYPTO, identity).unwrap()).map_err(|refused| refused.error)?;
        match Answer::read(CRYPTO, "x", &issued.answer)?.accept(CRYPTO, request, identity)? {
            Granted::Activated { key, .. } => Ok((*key, issued)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_licence_has_the_terms_of_its_code_and_the_subkeys_that_they_earn() {
    let bench = bench("terms");
    let identity = Identity::generate(CRYPTO).unwrap();
    let sold = Terms {
        period: 30,
        flags: licence::flags::Flags::of(&[3]).unwrap(),
        article: "A-1".into(),
        service_type: 2,
        ..terms(KeyType::Main)
    };
    let code = bench.code(&sold);
    let asked = request(&identity, "a", Activate { itn: Some("7700000001".into()), ..activate(code) });
    let (key, _) = bench.ask(&asked, &identity).unwrap();
    let licence = &key.licence;
    assert_eq!((licence.key_no, licence.reg_no, licence.issue, licence.licence_count), (1, 1, 1, 5));
    assert_eq!((licence.article.as_str(), licence.period, licence.activation_date), ("A-1", 30, Time(DAY)));
    assert_eq!(licence.itn.as_deref(), Some("7700000001"));
    assert_eq!(licence.binding, Binding::Computer(asked.fingerprint.clone()));
    let earned = SeriesSecret::new([7; 32]).earned(CRYPTO, &licence.entitlement()).unwrap();
    assert_eq!(key.subkeys(&identity).unwrap(), earned);
}

#[test]
fn a_key_for_a_carrier_is_bound_to_the_carrier() {
    let bench = bench("carrier");
    let identity = Identity::generate(CRYPTO).unwrap();
    let code = bench.code(&terms(KeyType::Main));
    let asked = request(&identity, "a", Activate { blank_key_no: Some(17), ..activate(code) });
    assert_eq!(bench.ask(&asked, &identity).unwrap().0.licence.binding, Binding::Blank(17));
}

#[test]
fn a_lost_answer_can_be_asked_again_even_after_the_issuing_key_was_renewed() {
    let mut bench = bench("again");
    let identity = Identity::generate(CRYPTO).unwrap();
    let code = bench.code(&terms(KeyType::Main));
    let (first, _) = bench.ask(&request(&identity, "a", activate(code)), &identity).unwrap();
    bench.clock.0.store(20 * DAY, Ordering::SeqCst);
    let again = request(&identity, "a", activate(code));
    assert_eq!(bench.ask(&again, &identity).unwrap_err().code, Code::SeriesNotServed);
    // The root stands in for a new issuing key.
    let (file, key) = issuing(ROOT, 100);
    bench.centre.serve(&file, key).unwrap();
    let (second, issued) = bench.ask(&again, &identity).unwrap();
    assert!(issued.repeated);
    assert_eq!(second.text, first.text);
}

#[test]
fn a_claim_whose_licence_was_not_signed_in_time_is_finished_by_the_next_request() {
    let bench = bench("unsigned");
    let identity = Identity::generate(CRYPTO).unwrap();
    let code = bench.code(&terms(KeyType::Main));
    let asked = request(&identity, "a", activate(code));
    bench.centre.store.claim((&asked, &activate(code), code), Time(DAY), &|_| Ok(())).unwrap();
    let (key, issued) = bench.ask(&asked, &identity).unwrap();
    assert!(issued.repeated && key.licence.key_no == 1);
}

#[test]
fn a_code_is_not_spent_on_a_key_that_could_not_work() {
    let bench = bench("rule");
    let identity = Identity::generate(CRYPTO).unwrap();
    let code = bench.code(&terms(KeyType::Additional));
    let alone = request(&identity, "a", activate(code));
    assert_eq!(bench.ask(&alone, &identity).unwrap_err().code, Code::KeyRuleViolated);
    let main = Installed { series: bench.series, key_no: 900, issue: 1, key_type: KeyType::Main };
    let beside = Request { installed: vec![main], ..alone };
    assert_eq!(bench.ask(&beside, &identity).unwrap().0.licence.key_type, KeyType::Additional);
}

#[test]
fn an_expired_certificate_issues_nothing_and_spends_nothing() {
    let bench = bench("expired");
    let identity = Identity::generate(CRYPTO).unwrap();
    let code = bench.code(&terms(KeyType::Main));
    let asked = request(&identity, "a", activate(code));
    bench.clock.0.store(11 * DAY, Ordering::SeqCst);
    assert_eq!(bench.ask(&asked, &identity).unwrap_err().code, Code::SeriesNotServed);
    bench.clock.0.store(DAY, Ordering::SeqCst);
    assert!(!bench.ask(&asked, &identity).unwrap().1.repeated);
}

#[test]
fn a_request_that_its_identity_has_not_signed_is_refused() {
    let bench = bench("forged");
    let (ours, other) = (Identity::generate(CRYPTO).unwrap(), Identity::generate(CRYPTO).unwrap());
    let asked = request(&ours, "a", activate(bench.code(&terms(KeyType::Main))));
    assert_eq!(bench.ask(&asked, &other).unwrap_err().code, Code::RequestSignature);
}
