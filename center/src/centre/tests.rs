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

on_both! {
    a_licence_has_the_terms_of_its_code_and_the_subkeys_that_they_earn
    a_lost_answer_can_be_asked_again_even_after_the_issuing_key_was_renewed
    a_code_is_not_spent_on_a_key_that_could_not_work
    an_expired_certificate_issues_nothing_and_spends_nothing
    another_identity_or_machine_does_not_get_a_used_code
    at_two_centres_at_the_same_time_a_code_gives_one_licence
    a_reserve_code_brings_the_key_and_its_memory_to_another_server
    a_key_comes_back_to_the_machine_that_gave_it_up
    a_repeated_request_for_a_reserve_code_gives_the_same_code
    the_vendor_limits_transfers_and_may_allow_one_more
    another_machine_needs_the_permission_of_the_vendor_and_is_reported
    an_update_brings_changed_terms_once
    an_update_retires_a_licence_restored_from_a_backup_and_tells_the_vendor
    an_update_takes_a_repaired_machine_anew
    a_copy_is_reported_when_it_activates_another_code
    a_clone_without_licence_files_is_reported
    an_identity_file_is_in_a_licence_whose_terms_allow_it_and_a_container_may_move
    a_licence_that_must_be_renewed_is_signed_anew_in_time
    a_blocked_code_revokes_its_key
    a_demo_licence_is_given_once_to_a_computer
    the_parameters_of_a_code_are_told_without_spending_it
    codes_and_keys_are_found_by_what_people_have_at_hand
}

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
        let events = self.centre.store.work(|work| work.latest_events(true, 9)).unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }
}

impl Server<'_> {
    fn request(&self, purpose: Purpose) -> Request {
        request(&self.identity, &self.machine, purpose)
    }

    fn ask(&self, asked: &Request) -> Result<Granted> {
        let text = asked.sign(CRYPTO, &self.identity)?;
        let done = self.bench.centre.answer(&self.bench.centre.read(&text)?)?;
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

fn a_licence_has_the_terms_of_its_code_and_the_subkeys_that_they_earn(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let mut sold = terms(KeyType::Main);
    sold.offer.period = 30;
    sold.offer.flags = licence::flags::Flags::of(&[3]).unwrap();
    sold.offer.article = "A-1".into();
    sold.offer.service_type = 2;
    let asked = Activate { itn: Some("7700000001".into()), ..activate(bench.code(&sold)) };
    let asked = server.request(Purpose::Activate(asked));
    let key = server.licence(&asked).unwrap();
    let licence = &key.licence;
    assert_eq!((licence.key_no, licence.reg_no, licence.issue, licence.licence_count), (1, 1, 1, 5));
    assert_eq!((licence.article.as_str(), licence.period, licence.activation_date), ("A-1", 30, Time(DAY)));
    assert_eq!((licence.itn.as_deref(), licence.renew_by), (Some("7700000001"), None));
    assert_eq!(licence.binding, Binding::Computer(asked.fingerprint.clone()));
    let earned = SeriesSecret::new([7; 32]).earned(CRYPTO, &licence.entitlement()).unwrap();
    assert_eq!(key.subkeys(&server.identity).unwrap(), earned);

    let carrier = Activate { blank_key_no: Some(17), ..activate(bench.main_code()) };
    let second = server.licence(&server.request(Purpose::Activate(carrier))).unwrap();
    assert_eq!((second.licence.key_no, second.licence.binding), (2, Binding::Blank(17)));
}

fn a_lost_answer_can_be_asked_again_even_after_the_issuing_key_was_renewed(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.main_code();
    let first = server.activate(code).unwrap();
    bench.pass_days(1001);
    assert_eq!(code_of(server.activate(code)), Code::SeriesNotServed);
    // The root stands in for a new issuing key.
    bench.centre.serve(vec![issuing(ROOT, 2000)]).unwrap();
    assert_eq!(server.activate(code).unwrap().text, first.text);
}

fn a_code_is_not_spent_on_a_key_that_could_not_work(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.code(&terms(KeyType::Additional));
    let alone = server.request(Purpose::Activate(activate(code)));
    assert_eq!(code_of(server.licence(&alone)), Code::KeyRuleViolated);
    let other = Activate { key_id: Some(KeyId(1)), ..activate(code) };
    assert_eq!(code_of(server.licence(&server.request(Purpose::Activate(other)))), Code::CodeOfOtherSeries);
    let other = Activate { key_id: Some(KeyId(0x672B)), root: Some(RootHash([9; 32])), ..activate(code) };
    assert_eq!(code_of(server.licence(&server.request(Purpose::Activate(other)))), Code::CodeOfOtherVendor);
    let main = Installed { series: bench.series, key_no: 900, issue: 1, key_type: KeyType::Main };
    let beside = Request { installed: vec![main], ..alone };
    assert_eq!(server.licence(&beside).unwrap().licence.key_type, KeyType::Additional);

    let mut over = terms(KeyType::Main);
    over.offer.until = Some(Time(DAY));
    assert_eq!(code_of(server.activate(bench.code(&over))), Code::OfferOver);
    over.offer.until = Some(Time(DAY + 1));
    let in_time = bench.code(&over);
    let first = server.activate(in_time).unwrap();
    bench.pass_days(9);
    assert_eq!(server.activate(in_time).unwrap().text, first.text, "a lost answer is no new exchange");
    let unknown = "00000000000000000098".parse().unwrap();
    assert_eq!(code_of(server.activate(unknown)), Code::CodeUnknown);
}

fn an_expired_certificate_issues_nothing_and_spends_nothing(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.main_code();
    bench.pass_days(1001);
    assert_eq!(code_of(server.activate(code)), Code::SeriesNotServed);
    bench.pass_days(-1001);
    assert_eq!(bench.centre.find(&code.to_string()).unwrap().code.unwrap().state, State::New);
    assert_eq!(server.activate(code).unwrap().licence.key_no, 1);
}

fn another_identity_or_machine_does_not_get_a_used_code(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.main_code();
    server.activate(code).unwrap();
    assert_eq!(code_of(bench.server("a").activate(code)), Code::CodeUsed);
    let forged = server.request(Purpose::Activate(activate(code))).sign(CRYPTO, &bench.server("a").identity).unwrap();
    assert_eq!(code_of(bench.centre.read(&forged)), Code::RequestSignature);
}

fn at_two_centres_at_the_same_time_a_code_gives_one_licence(on: On) {
    let bench = bench(on);
    let code = bench.main_code();
    let won = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for instance in 0..2 {
            for _ in 0..3 {
                let (bench, won) = (&bench, &won);
                scope.spawn(move || {
                    let other = centre(&bench.folder, &bench.clock);
                    let asked_of = if instance == 0 { &bench.centre } else { &other };
                    let server = bench.server("a");
                    let text =
                        server.request(Purpose::Activate(activate(code))).sign(CRYPTO, &server.identity).unwrap();
                    match asked_of.answer(&asked_of.read(&text).unwrap()) {
                        Ok(_) => drop(won.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => assert_eq!(error.code, Code::CodeUsed),
                    }
                });
            }
        }
        // And one server at both at once, with the same request: it gets one licence, twice.
        let (server, code) = (bench.server("b"), bench.main_code());
        let texts: Vec<String> = std::thread::scope(|scope| {
            let ask = |_| scope.spawn(|| server.activate(code).unwrap().text);
            (0..4).map(ask).collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(texts.iter().all(|text| *text == texts[0]));
    });
    assert_eq!(won.into_inner(), 1);
}

fn a_reserve_code_brings_the_key_and_its_memory_to_another_server(on: On) {
    let bench = bench(on);
    let (from, to) = (bench.server("a"), bench.server("b"));
    let code = bench.main_code();
    let first = from.activate(code).unwrap();
    bench.pass_days(1);
    let reserve = from.reserve(&first).unwrap();
    assert_eq!(code_of(from.activate(code)), Code::CodeUsed, "the first code is spent for ever");
    let asked = to.request(Purpose::Activate(activate(reserve)));
    let Granted::Activated { key, memory, .. } = to.ask(&asked).unwrap() else { panic!() };
    assert_eq!((key.licence.key_no, key.licence.issue, key.licence.reg_no), (1, 2, 1));
    assert_eq!((key.licence.activation_code, key.licence.activation_date), (reserve, Time(DAY)));
    assert_eq!(memory.unwrap().data, "память");
    assert_eq!(to.activate(reserve).unwrap().text, key.text, "a lost answer is asked for again");
    assert_eq!(code_of(bench.server("c").activate(reserve)), Code::CodeUsed);

    // On from there to a carrier.
    let again = to.reserve(&key).unwrap();
    let carrier = Activate { blank_key_no: Some(17), ..activate(again) };
    let third = from.licence(&from.request(Purpose::Activate(carrier))).unwrap();
    assert_eq!((third.licence.issue, third.licence.binding), (3, Binding::Blank(17)));
    let history = bench.centre.history(&bench.series, 1).unwrap();
    assert_eq!((history.codes.len(), history.activations.len(), history.transfers.len()), (3, 3, 2));
    assert_eq!(history.transfers[0].reason, "переезд");
}

fn a_key_comes_back_to_the_machine_that_gave_it_up(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let first = server.activate(bench.main_code()).unwrap();
    let reserve = server.reserve(&first).unwrap();
    let back = server.activate(reserve).unwrap();
    assert_eq!((back.licence.key_no, back.licence.issue), (1, 2));
    let (news, retired, _) = server.update(&[&back]);
    assert_eq!((news.len(), retired), (0, vec![]), "nothing is new about it");
}

fn a_repeated_request_for_a_reserve_code_gives_the_same_code(on: On) {
    let bench = bench(on);
    let (from, to) = (bench.server("a"), bench.server("b"));
    let first = from.activate(bench.main_code()).unwrap();
    let reserve = from.reserve(&first).unwrap();
    assert_eq!(from.reserve(&first).unwrap(), reserve);
    let second = to.activate(reserve).unwrap();
    assert_eq!(from.reserve(&first).unwrap(), reserve, "even after it was used");
    assert_eq!(code_of(from.reserve(&second)), Code::KeyElsewhere);
    assert_eq!(code_of(bench.server("c").reserve(&first)), Code::KeyElsewhere);
    let mut unknown = first.clone();
    unknown.licence.key_no = 77;
    assert_eq!(code_of(from.reserve(&unknown)), Code::KeyUnknown);
    let both = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| to.reserve(&second).unwrap());
        let (one, other) = (ask(), ask());
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!(both.0, both.1, "at the same time as well");
}

fn the_vendor_limits_transfers_and_may_allow_one_more(on: On) {
    let bench = bench(on);
    bench.policy(Policy { transfers: 2, transfer_days: 10, ..Policy::default() });
    let server = bench.server("a");
    let mut key = server.activate(bench.main_code()).unwrap();
    let there_and_back = |key: &Installable| server.reserve(key).and_then(|code| server.activate(code));
    key = there_and_back(&key).unwrap();
    bench.pass_days(4);
    key = there_and_back(&key).unwrap();
    let refused = there_and_back(&key).unwrap_err();
    let expected = ["1", "2", "10"].map(str::to_owned).to_vec();
    assert_eq!((refused.code, &refused.args[..3]), (Code::TransferLimit, &expected[..]));
    assert_eq!(refused.args[3], Time(DAY * 11).to_string(), "when the first of the two has grown old");
    bench.centre.allow("test", &bench.series, 1).unwrap();
    key = there_and_back(&key).unwrap();
    assert_eq!(code_of(there_and_back(&key)), Code::TransferLimit, "a permission is good once");
    bench.pass_days(7);
    assert_eq!(code_of(there_and_back(&key)), Code::TransferLimit, "two are still recent");
    bench.pass_days(4);
    there_and_back(&key).unwrap();
}

fn another_machine_needs_the_permission_of_the_vendor_and_is_reported(on: On) {
    let bench = bench(on);
    let mut server = bench.server("a");
    let code = bench.main_code();
    let first = server.activate(code).unwrap();
    server.machine = "bb".into();
    assert_eq!(code_of(server.activate(code)), Code::OtherMachine);
    assert_eq!(code_of(server.reserve(&first)), Code::OtherMachine);
    let (news, retired, _) = server.update(&[&first]);
    assert!(news.is_empty() && retired.is_empty());
    assert_eq!(bench.reports(), [Kind::Cloned], "once for each machine, however often it asks");
    bench.centre.allow("test", &bench.series, 1).unwrap();
    let (news, _, _) = server.update(&[&first]);
    let rebaselined = &news[0].licence;
    assert_eq!((rebaselined.issue, rebaselined.key_no), (2, 1));
    assert_eq!(server.activate(code).unwrap().text, news[0].text);
    // A server that was lost with its identity.
    let other = bench.server("c");
    assert_eq!(code_of(other.activate(code)), Code::CodeUsed);
    bench.centre.allow("test", &bench.series, 1).unwrap();
    assert_eq!(other.activate(code).unwrap().licence.issue, 3);
    assert_eq!(server.update(&[&news[0]]).1, [(1, 2)], "the former server is told");
}

fn an_update_brings_changed_terms_once(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.main_code();
    let first = server.activate(code).unwrap();
    let mut more = terms(KeyType::Main);
    more.offer.licence_count = 50;
    bench.centre.change_terms("test", code, &more).unwrap();
    let (news, _, _) = server.update(&[&first]);
    assert_eq!((news[0].licence.licence_count, news[0].licence.issue), (50, 2));
    assert_eq!(server.update(&[&first]).0[0].text, news[0].text, "a lost answer is asked for again");
    assert!(server.update(&[&news[0]]).0.is_empty());
    more.offer.licence_count = 0;
    assert_eq!(code_of(bench.centre.change_terms("test", code, &more)), Code::BadRequest);
    let stranger = bench.server("b");
    assert_eq!(stranger.update(&[&first]), (vec![], vec![], vec![]), "another server's key is none of his business");
}

fn an_update_retires_a_licence_restored_from_a_backup_and_tells_the_vendor(on: On) {
    let bench = bench(on);
    let (from, to) = (bench.server("a"), bench.server("b"));
    let first = from.activate(bench.main_code()).unwrap();
    let reserve = from.reserve(&first).unwrap();
    assert_eq!(from.update(&[&first]).1, [(1, 1)]);
    assert_eq!(bench.reports(), [Kind::Restored]);
    to.activate(reserve).unwrap();
    assert_eq!(from.update(&[&first]).1, [(1, 1)]);
    // Back on the same server as a newer issue: the old file is simply replaced.
    let back = bench.server("c");
    let key = back.activate(bench.main_code()).unwrap();
    let newer = back.activate(back.reserve(&key).unwrap()).unwrap();
    assert_eq!(back.update(&[&key]).0[0].text, newer.text);
}

fn an_update_takes_a_repaired_machine_anew(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let first = server.activate(bench.main_code()).unwrap();
    let update = |disk: &str, keys: Vec<Installed>| {
        let mut asked = server.request(Purpose::Update(Update { series: bench.series }));
        asked.installed = keys;
        asked.fingerprint.parts[2] = crate::rules::tests::print(&server.identity, disk).parts[2].clone();
        match server.ask(&asked).unwrap() {
            Granted::Updated { keys, .. } => (keys, asked.fingerprint),
            other => panic!("{other:?}"),
        }
    };
    let (news, print) = update("new disk", vec![installed(&first)]);
    assert_eq!((news[0].licence.issue, &news[0].licence.binding), (2, &Binding::Computer(print)));
    assert!(update("new disk", vec![installed(&news[0])]).0.is_empty());
    // A part that is out of sight for a day does not make the key weaker.
    let mut poor = server.request(Purpose::Update(Update { series: bench.series }));
    poor.fingerprint.parts.truncate(2);
    poor.installed = vec![installed(&news[0])];
    let Granted::Updated { keys, .. } = server.ask(&poor).unwrap() else { panic!() };
    assert!(keys.is_empty());
}

fn a_copy_is_reported_when_it_activates_another_code(on: On) {
    let bench = bench(on);
    let mut server = bench.server("a");
    let first = server.activate(bench.main_code()).unwrap();
    let also = |server: &Server<'_>, held: &Installable| {
        let mut asked = server.request(Purpose::Activate(activate(bench.main_code())));
        asked.installed = vec![installed(held)];
        server.licence(&asked).unwrap()
    };
    let second = also(&server, &first);
    assert_eq!(bench.reports(), []);
    server.machine = "bb".into();
    also(&server, &first);
    assert_eq!(bench.reports(), [Kind::Cloned, Kind::Cloned], "of both keys, whichever it lists");
    server.machine = "a".into();
    server.reserve(&second).unwrap();
    also(&server, &second);
    // Here it asks on the first machine again, and the key of the second one is there.
    assert_eq!(bench.reports(), [Kind::Cloned, Kind::Restored, Kind::Cloned, Kind::Cloned]);
}

fn a_clone_without_licence_files_is_reported(on: On) {
    let bench = bench(on);
    let mut server = bench.server("a");
    let first = server.activate(bench.main_code()).unwrap();
    let carrier = Activate { blank_key_no: Some(17), ..activate(bench.main_code()) };
    server.licence(&server.request(Purpose::Activate(carrier))).unwrap();
    server.activate(bench.main_code()).unwrap();
    assert_eq!(bench.reports(), []);
    server.reserve(&first).unwrap();
    server.machine = "bb".into();
    server.activate(bench.main_code()).unwrap();
    let events = bench.centre.store.work(|work| work.latest_events(true, 9)).unwrap();
    assert_eq!(events.iter().map(|event| event.key_no).collect::<Vec<_>>(), [Some(3)], "a machine of another key");
}

fn an_identity_file_is_in_a_licence_whose_terms_allow_it_and_a_container_may_move(on: On) {
    let bench = bench(on);
    let mut server = bench.server("a");
    let mut allowed = terms(KeyType::Main);
    allowed.offer.identity_file = true;
    let in_container = |server: &Server<'_>, purpose: Purpose| {
        let file =
            licence::fingerprint::Machine { parts: vec![(PartKind::IdentityFile, "file of the container".into())] };
        let mut asked = server.request(purpose);
        asked.fingerprint.parts.extend(file.fingerprint(CRYPTO, server.identity.salt()).parts);
        asked
    };
    let knows_file = |key: &Installable| match &key.licence.binding {
        Binding::Computer(print) => print.parts.iter().any(|part| part.kind == PartKind::IdentityFile),
        Binding::Blank(_) => false,
    };
    let update = |server: &Server<'_>, key: &Installable| {
        let mut asked = in_container(server, Purpose::Update(Update { series: bench.series }));
        asked.installed = vec![installed(key)];
        match server.ask(&asked).unwrap() {
            Granted::Updated { mut keys, .. } => keys.pop(),
            other => panic!("{other:?}"),
        }
    };
    let first = server.licence(&in_container(&server, Purpose::Activate(activate(bench.code(&allowed))))).unwrap();
    let code = bench.main_code();
    let plain = server.licence(&in_container(&server, Purpose::Activate(activate(code)))).unwrap();
    assert!(knows_file(&first) && !knows_file(&plain));
    assert!(update(&server, &first).is_none() && update(&server, &plain).is_none());

    server.machine = "another host".into();
    let moved = update(&server, &first).unwrap();
    assert!(knows_file(&moved) && moved.licence.issue == 2, "the new host is taken in");
    assert!(update(&server, &plain).is_none());
    assert_eq!(bench.reports(), [Kind::Cloned], "the key whose terms do not know the file");

    // The vendor changes his mind about either.
    server.machine = "a".into();
    bench.centre.change_terms("test", code, &allowed).unwrap();
    let plain = update(&server, &plain).unwrap();
    assert!(knows_file(&plain));
    bench.centre.change_terms("test", code, &terms(KeyType::Main)).unwrap();
    assert!(!knows_file(&update(&server, &plain).unwrap()));
}

fn a_licence_that_must_be_renewed_is_signed_anew_in_time(on: On) {
    let bench = bench(on);
    bench.policy(Policy { renew_days: 30, ..Policy::default() });
    let server = bench.server("a");
    let first = server.activate(bench.main_code()).unwrap();
    assert_eq!(first.licence.renew_by, Some(Time(DAY * 31)));
    bench.pass_days(14);
    assert!(server.update(&[&first]).0.is_empty());
    bench.pass_days(1);
    let (news, _, _) = server.update(&[&first]);
    assert_eq!((news[0].licence.issue, news[0].licence.renew_by), (2, Some(Time(DAY * 46))));
}

fn a_blocked_code_revokes_its_key(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let (code, unused) = (bench.main_code(), bench.main_code());
    let key = server.activate(code).unwrap();
    assert_eq!(bench.centre.block("test", code).unwrap(), State::Used);
    assert_eq!(bench.centre.block("test", unused).unwrap(), State::New);
    for code in [code, unused] {
        assert_eq!(code_of(server.activate(code)), Code::CodeBlocked);
    }
    assert_eq!(code_of(server.reserve(&key)), Code::CodeBlocked);
    assert_eq!(server.update(&[&key]).2, [1]);
    let unknown = "00000000000000000098".parse().unwrap();
    assert_eq!(code_of(bench.centre.block("test", unknown)), Code::CodeUnknown);
}

fn a_demo_licence_is_given_once_to_a_computer(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let demo = |key_id| Activate {
        want: Want::Demo { key_id, root: None },
        ..activate("00000000000000000098".parse().unwrap())
    };
    let asked = server.request(Purpose::Activate(demo(bench.series.key_id)));
    assert_eq!(code_of(server.licence(&asked)), Code::DemoRefused);
    bench.policy(Policy { demo: Some(terms(KeyType::Demo).offer), ..Policy::default() });
    let key = server.licence(&asked).unwrap();
    assert_eq!(key.licence.key_type, KeyType::Demo);
    assert_eq!(server.licence(&asked).unwrap().text, key.text);
    let elsewhere = server.request(Purpose::Activate(demo(KeyId(1))));
    assert_eq!(code_of(server.licence(&elsewhere)), Code::SeriesNotServed);
    // The same computer with a new identity, and another one.
    let (same, other) = (bench.server("a"), bench.server("bb"));
    let of = |server: &Server<'_>| server.licence(&server.request(Purpose::Activate(demo(bench.series.key_id))));
    assert_eq!(code_of(of(&same)), Code::DemoRefused);
    assert_eq!(bench.reports(), []);
    let mut clone = server;
    clone.machine = "ccc".into();
    assert_eq!((code_of(of(&clone)), bench.reports()), (Code::DemoRefused, vec![Kind::Cloned]));
    let main = Installed { series: bench.series, key_no: 900, issue: 1, key_type: KeyType::Main };
    let beside = Request { installed: vec![main], ..other.request(Purpose::Activate(demo(bench.series.key_id))) };
    assert_eq!(code_of(other.licence(&beside)), Code::KeyRuleViolated);
    assert_eq!(of(&other).unwrap().licence.key_no, 2);
}

fn the_parameters_of_a_code_are_told_without_spending_it(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let mut sold = terms(KeyType::Main);
    sold.itn = Some("7700000001".into());
    let code = bench.code(&sold);
    let parameters = || match server.ask(&server.request(Purpose::CodeParameters(code))).unwrap() {
        Granted::CodeParameters(parameters) => *parameters,
        other => panic!("{other:?}"),
    };
    let told = parameters();
    assert_eq!((told.state, told.itn_required, told.iec_required), (State::New, true, false));
    assert_eq!((told.offer, told.series), (sold.offer, bench.series));
    let asked = Activate { itn: Some("7700000001".into()), ..activate(code) };
    let key = server.licence(&server.request(Purpose::Activate(asked))).unwrap();
    assert_eq!((parameters().state, parameters().key_no), (State::Used, Some(key.licence.key_no)));
}

fn codes_and_keys_are_found_by_what_people_have_at_hand(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.main_code();
    assert_eq!(bench.centre.find(&format!(" {code} ")).unwrap().code.unwrap().code, code);
    let asked = Activate { itn: Some("7700000001".into()), ..activate(code) };
    server.licence(&server.request(Purpose::Activate(asked))).unwrap();
    let customer = crate::store::Customer {
        itn: "7700000001".into(),
        iec: String::new(),
        name: "Ромашка".into(),
        note: String::new(),
    };
    bench.centre.store.work(|work| work.put_customer(&customer)).unwrap();
    let computer = licence::id::ComputerId([1; 20]).to_string();
    for query in [code.to_string(), "7700000001".into(), "1".into(), "ромаш".into(), computer] {
        let found = bench.centre.find(&query).unwrap();
        assert_eq!(found.keys.iter().map(|key| key.key_no).collect::<Vec<_>>(), [1], "{query}");
    }
    for query in ["", "2", "7700000002", "0000-0000-0000-0000-0098", "%"] {
        assert_eq!(bench.centre.find(query).unwrap(), Found::default(), "{query}");
    }
}
