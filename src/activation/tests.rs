use super::*;
use crate::code::ActivationCode;
use crate::crypto::{Crypto, Signer, ring::PROVIDER};
use crate::error::{Code, Result};
use crate::fingerprint::{Machine, PartKind};
use crate::id::{Bytes32, KeyId, SeriesId};
use crate::identity::Identity;
use crate::key::{Key, KeyType};
use crate::series::{Deputy, Issuer};
use crate::time::Time;

const IDENTITY: &str = include_str!("../../golden/identity.json");
const CERTIFICATE: &str = include_str!("../../golden/672B.certificate");
const LICENCE: &str = include_str!("../../golden/672B.7121172.licence");
const ISSUING: &[u8] = include_bytes!("../../golden/test-issuing.pk8");
const ROOT: &[u8] = include_bytes!("../../golden/test-root.pk8");

/// A centre that signs with the golden keys whatever it is told to, and the golden server.
struct Bench {
    identity: Identity,
    issuer: Issuer,
    now: Time,
}

fn bench() -> Bench {
    Bench {
        identity: Identity::read(&PROVIDER, "identity", IDENTITY).unwrap(),
        issuer: Issuer::read(&PROVIDER, "certificate", CERTIFICATE).unwrap(),
        now: "2026-02-05".parse().unwrap(),
    }
}

fn code() -> ActivationCode {
    "4345-9320-2035-7421-5315".parse().unwrap()
}

impl Bench {
    fn series(&self) -> SeriesId {
        self.issuer.series
    }

    fn key(&self) -> Key {
        Key::read(&PROVIDER, "licence", LICENCE).unwrap()
    }

    fn request(&self, purpose: Purpose) -> Request {
        let machine = Machine { parts: vec![(PartKind::MachineId, "golden machine".into())] };
        Request {
            nonce: Bytes32(PROVIDER.random_array().unwrap()),
            made: self.now,
            identity: self.identity.public(),
            fingerprint: machine.fingerprint(&PROVIDER, self.identity.salt()),
            computer_id: None,
            api_key: PROVIDER.rsa_signer(ISSUING).unwrap().public_key().to_vec(),
            version: "3.0.100.0".into(),
            answers: ANSWER.version,
            installed: Vec::new(),
            purpose,
        }
    }

    fn api_certificate(&self, request: &Request) -> String {
        let certificate = ApiCertificate {
            key_id: self.series().key_id,
            identity: request.identity,
            key: request.api_key.clone(),
            issued: self.now,
        };
        certificate.sign(PROVIDER.rsa_signer(ISSUING).unwrap().as_ref(), &self.issuer).unwrap()
    }

    fn retirement(&self, key_no: u32, issue: u32) -> String {
        let retirement = Retirement { key_id: self.series().key_id, key_no, issue, retired: self.now };
        retirement.sign(PROVIDER.rsa_signer(ISSUING).unwrap().as_ref(), &self.issuer).unwrap()
    }

    fn revocations(&self, revoked: Vec<u32>) -> String {
        let list = Revocations { key_id: self.series().key_id, issued: self.now, revoked };
        list.sign(PROVIDER.rsa_signer(ISSUING).unwrap().as_ref(), &self.issuer).unwrap()
    }

    fn grant(&self, request: &Request, outcome: Outcome) -> Result<Granted> {
        let answer = Answer { nonce: request.nonce, time: self.now, outcome };
        let text = answer.sign(request.answers, PROVIDER.rsa_signer(ISSUING).unwrap().as_ref(), &self.issuer)?;
        Answer::read(&PROVIDER, "answer", &text)?.accept(&PROVIDER, request, &self.identity)
    }

    fn activated(&self, request: &Request) -> Outcome {
        let api_certificate = self.api_certificate(request);
        Outcome::Activated(Activated { licence: LICENCE.into(), api_certificate, memory: None })
    }
}

fn activate(want: Want) -> Purpose {
    Purpose::Activate(Activate { want, itn: None, iec: None, blank_key_no: None, key_id: None, root: None })
}

fn refused(granted: Result<Granted>) -> Code {
    granted.unwrap_err().code
}

#[test]
fn a_request_says_in_plain_text_what_it_asks_and_is_good_for_its_signer_only() {
    let bench = bench();
    let purposes = [
        activate(Want::Code(code())),
        activate(Want::Demo { key_id: KeyId(0x672B), root: None }),
        Purpose::Reserve(Reserve {
            series: bench.series(),
            key_no: 7,
            issue: 2,
            reason: "переезд".into(),
            comment: String::new(),
            memory: Some(Memory { data: "x".into(), ..Memory::default() }),
        }),
        Purpose::Update(Update { series: bench.series() }),
        Purpose::CodeParameters(code()),
    ];
    for purpose in purposes {
        let request = bench.request(purpose);
        let text = request.sign(&PROVIDER, &bench.identity).unwrap();
        assert_eq!(Request::read(&PROVIDER, "x", &text).unwrap(), request);
        let other = Identity::generate(&PROVIDER).unwrap();
        let forged = request.sign(&PROVIDER, &other).unwrap();
        assert_eq!(Request::read(&PROVIDER, "x", &forged).unwrap_err().code, Code::RequestSignature);
    }
    let text = bench.request(activate(Want::Code(code()))).sign(&PROVIDER, &bench.identity).unwrap();
    assert!(text.contains(r#""Purpose":{"Activate":{"Want":{"Code":"4345-9320-2035-7421-5315"}}}"#), "{text}");
}

#[test]
fn an_answer_is_good_for_its_own_request_and_server_only() {
    let bench = bench();
    let request = bench.request(activate(Want::Code(code())));
    let Granted::Activated { key, .. } = bench.grant(&request, bench.activated(&request)).unwrap() else { panic!() };
    assert_eq!(*key, bench.key());
    let answer = Answer { nonce: request.nonce, time: bench.now, outcome: bench.activated(&request) };
    let issuing = PROVIDER.rsa_signer(ISSUING).unwrap();
    let text = answer.sign(request.answers, issuing.as_ref(), &bench.issuer).unwrap();
    let accept = |request: &Request| Answer::read(&PROVIDER, "x", &text)?.accept(&PROVIDER, request, &bench.identity);
    let changes: [fn(&mut Request); 5] = [
        |r| r.nonce = Bytes32([6; 32]),
        |r| r.purpose = activate(Want::Code("0000-0000-0000-0000-0098".parse().unwrap())),
        |r| r.purpose = activate(Want::Demo { key_id: KeyId(0x672B), root: None }),
        |r| r.purpose = Purpose::CodeParameters("4345-9320-2035-7421-5315".parse().unwrap()),
        |r| r.api_key = PROVIDER.rsa_signer(ROOT).unwrap().public_key().to_vec(),
    ];
    for change in changes {
        let mut other = request.clone();
        change(&mut other);
        assert_eq!(refused(accept(&other)), Code::CentreAnswerWrong);
    }
    let other = Identity::generate(&PROVIDER).unwrap();
    let received = Answer::read(&PROVIDER, "x", &text).unwrap();
    assert!(received.clone().accept(&PROVIDER, &request, &other).is_err());
    let theirs = Request { identity: other.public(), ..request };
    assert_eq!(refused(received.accept(&PROVIDER, &theirs, &other)), Code::CentreAnswerWrong);
}

#[test]
fn an_answer_of_one_version_is_none_of_another() {
    let bench = bench();
    let request = bench.request(Purpose::CodeParameters(code()));
    let answer = Answer { nonce: request.nonce, time: bench.now, outcome: bench.activated(&request) };
    let issuing = PROVIDER.rsa_signer(ISSUING).unwrap();
    let read = |version: u32, said: u32| {
        let text = answer.sign(version, issuing.as_ref(), &bench.issuer).unwrap();
        let (own, other) = (format!("SLK-ANSWER {version}\n"), format!("SLK-ANSWER {said}\n"));
        assert!(text.starts_with(&own));
        Answer::read(&PROVIDER, "x", &text.replacen(&own, &other, 1)).map(|received| received.answer)
    };
    assert_eq!((read(1, 1).unwrap(), read(2, 2).unwrap()), (answer.clone(), answer.clone()));
    assert_eq!(read(1, 2).unwrap_err().code, Code::SignatureWrong);
    assert_eq!(read(2, 1).unwrap_err().code, Code::SignatureWrong);
    assert_eq!(read(2, 3).unwrap_err().code, Code::DocumentVersion);
}

#[test]
fn an_answer_signed_outside_the_dates_of_its_certificate_is_damaged() {
    let mut bench = bench();
    let request = bench.request(activate(Want::Code(code())));
    let outcome = bench.activated(&request);
    bench.now = "2121-01-01".parse().unwrap();
    assert_eq!(refused(bench.grant(&request, outcome)), Code::DocumentDamaged);
}

#[test]
fn a_deputy_signs_answers_in_its_time_but_no_licences() {
    let bench = bench();
    let issuing = PROVIDER.rsa_signer(ISSUING).unwrap();
    let signer = PROVIDER.ed25519_signer(&[3; 32]).unwrap();
    let day = |days: i64| Time(bench.now.0 + days * crate::time::DAY_MS);
    let deputy = |key_id| Deputy {
        key_id,
        key: Bytes32(signer.public_key().try_into().unwrap()),
        not_before: day(-1),
        not_after: day(1),
    };
    let under = |deputy, certifier: &dyn Signer| bench.issuer.with_deputy(deputy, certifier).unwrap();
    let good = under(deputy(bench.series().key_id), issuing.as_ref());
    let read = |issuer: &Issuer, time| {
        let request = bench.request(activate(Want::Code(code())));
        let outcome = bench.activated(&request);
        let answer = Answer { nonce: request.nonce, time, outcome };
        let text = answer.sign(request.answers, signer.as_ref(), issuer)?;
        Answer::read(&PROVIDER, "x", &text)?.accept(&PROVIDER, &request, &bench.identity)
    };
    assert!(matches!(read(&good, bench.now), Ok(Granted::Activated { .. })));
    for late in [day(-2), day(2)] {
        assert_eq!(refused(read(&good, late)), Code::DocumentDamaged);
    }
    let other_series = under(deputy(KeyId(1)), issuing.as_ref());
    assert_eq!(refused(read(&other_series, bench.now)), Code::DocumentDamaged);
    let by_itself = under(deputy(bench.series().key_id), signer.as_ref());
    assert_eq!(refused(read(&by_itself, bench.now)), Code::SignatureWrong);
    let licence = bench.key().licence.sign(signer.as_ref(), &good).unwrap();
    assert!(Key::read(&PROVIDER, "x", &licence).is_err());
}

fn reserve(bench: &Bench, key_no: u32, issue: u32) -> Purpose {
    let (reason, comment) = (String::new(), String::new());
    Purpose::Reserve(Reserve { series: bench.series(), key_no, issue, reason, comment, memory: None })
}

#[test]
fn a_reserve_code_is_read_by_the_server_that_gives_the_key_up_and_by_nobody_else() {
    let bench = bench();
    let request = bench.request(reserve(&bench, 7, 2));
    let reserved =
        Reserved::new(&PROVIDER, code(), &request.identity, (&bench.series(), 7, 3), bench.retirement(7, 3)).unwrap();
    let Granted::Reserved { code: shown, retired } =
        bench.grant(&request, Outcome::Reserved(reserved.clone())).unwrap()
    else {
        panic!()
    };
    assert_eq!(shown, code());
    let covers = |key_no, issue| retired.covers(&bench.series(), key_no, issue);
    assert!(covers(7, 2) && covers(7, 3) && !covers(7, 4) && !covers(8, 1));
    assert_eq!(retired.retirement.file_name(), "672B.7.retirement");
    assert!(!serde_json::to_string(&reserved).unwrap().contains(&code().to_string()));

    let elsewhere = Reserved { sealed_code: reserved.sealed_code.clone(), retirement: bench.retirement(7, 4) };
    assert_eq!(refused(bench.grant(&request, Outcome::Reserved(elsewhere))), Code::CryptoFailed);
    for (key_no, issue) in [(8, 3), (7, 1)] {
        let sealed =
            Reserved::new(&PROVIDER, code(), &request.identity, (&bench.series(), key_no, issue), String::new())
                .unwrap();
        let other = Reserved { retirement: bench.retirement(key_no, issue), ..sealed };
        assert_eq!(refused(bench.grant(&request, Outcome::Reserved(other))), Code::CentreAnswerWrong);
    }
    let stranger = Identity::generate(&PROVIDER).unwrap().public();
    let theirs = Reserved::new(&PROVIDER, code(), &stranger, (&bench.series(), 7, 3), bench.retirement(7, 3)).unwrap();
    assert_eq!(refused(bench.grant(&request, Outcome::Reserved(theirs))), Code::CryptoFailed);
}

#[test]
fn an_update_brings_licences_retirements_and_revocations_of_its_series_only() {
    let bench = bench();
    let request = bench.request(Purpose::Update(Update { series: bench.series() }));
    let updated = Updated {
        licences: vec![LICENCE.into()],
        retirements: vec![bench.retirement(7, 1)],
        revocations: bench.revocations(vec![9]),
        api_certificate: bench.api_certificate(&request),
    };
    let Granted::Updated { keys, retired, revoked, .. } =
        bench.grant(&request, Outcome::Updated(updated.clone())).unwrap()
    else {
        panic!()
    };
    assert_eq!((keys, retired[0].retirement.key_no), (vec![bench.key()], 7));
    assert!(revoked.contains(&bench.series(), 9) && !revoked.contains(&bench.series(), 7));

    let foreign = SeriesId { root: crate::id::RootHash([1; 32]), ..bench.series() };
    let theirs = Request { purpose: Purpose::Update(Update { series: foreign }), ..request.clone() };
    assert_eq!(refused(bench.grant(&theirs, Outcome::Updated(updated.clone()))), Code::CentreAnswerWrong);
    let unsigned =
        Updated { retirements: vec![bench.retirement(7, 1).replace("\"Issue\":1", "\"Issue\":2")], ..updated };
    assert_eq!(refused(bench.grant(&request, Outcome::Updated(unsigned))), Code::SignatureWrong);
}

#[test]
fn the_parameters_of_a_code_come_as_they_were_sold() {
    let bench = bench();
    let request = bench.request(Purpose::CodeParameters(code()));
    let offer = Offer {
        key_type: KeyType::Main,
        service_type: 0,
        licence_count: 5,
        product_version: 2,
        start_date: None,
        period: 30,
        flags: crate::flags::Flags::of(&[3]).unwrap(),
        parameters: [("Цвет".to_owned(), "синий".to_owned())].into(),
        product_name: "Учёт".into(),
        article: "A-1".into(),
        article_name: String::new(),
        support: Default::default(),
        identity_file: false,
        until: Some(Time(1000)),
    };
    assert!(offer.is_over(Time(1000)) && !offer.is_over(Time(999)));
    let parameters = CodeParameters {
        series: bench.series(),
        state: CodeState::New,
        key_no: None,
        itn_required: true,
        iec_required: false,
        offer,
    };
    let granted = bench.grant(&request, Outcome::CodeParameters(Box::new(parameters.clone()))).unwrap();
    assert_eq!(granted, Granted::CodeParameters(Box::new(parameters)));
}

#[test]
fn the_memory_of_a_key_has_400_characters_and_shows_nothing_in_a_log() {
    let memory = |count| Memory { data: "ж".repeat(count), ..Memory::default() };
    assert!(memory(400).check().is_ok());
    assert_eq!(memory(401).check().unwrap_err().code, Code::BadRequest);
    assert_eq!(format!("{:?}", memory(3)), "Memory(3 characters)");
}
