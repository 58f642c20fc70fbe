//! The frozen formats: golden files still read as they were written, every change of a signed byte is refused, and no text
//! or bytes make a parser panic. What the files are: `golden/README.md`.

use proptest::prelude::*;
use serde_json::Value;

use crate::activation::{
    ANSWER, Activate, Answer, ApiCertificate, FIRST_ANSWER, Granted, Purpose, REQUEST, Request, Retired, Revoked, Want,
};
use crate::crypto::{Crypto, ring::PROVIDER};
use crate::datafile::{DATAFILE, Datafile, joined};
use crate::document::{self, Kind};
use crate::error::Code;
use crate::fingerprint::PartKind;
use crate::flags::Flags;
use crate::id::{Bytes32, KeyId};
use crate::identity::Identity;
use crate::key::{Binding, Key, KeyType, LICENCE};
use crate::series::{CERTIFICATE, Issuer};
use crate::subkeys::{ObjectRef, Policy, SeriesSecret, Subkey};
use crate::time::Time;

const ROOT: &[u8] = include_bytes!("../golden/test-root.pk8");
const ISSUING: &[u8] = include_bytes!("../golden/test-issuing.pk8");
const IDENTITY: &str = include_str!("../golden/identity.json");
const CERTIFICATE_FILE: &str = include_str!("../golden/672B.certificate");
const LICENCE_FILE: &str = include_str!("../golden/672B.7121172.licence");
const DATAFILE_FILE: &[u8] = include_bytes!("../golden/672B.datafile");
const REQUEST_FILE: &str = include_str!("../golden/672B.request");
const FIRST_ANSWER_FILE: &str = include_str!("../golden/672B.answer");
const ANSWER_FILE: &str = include_str!("../golden/672B-2.answer");

fn identity() -> Identity {
    Identity::read(&PROVIDER, "identity.json", IDENTITY).unwrap()
}

fn key() -> Key {
    Key::read(&PROVIDER, "672B.7121172.licence", LICENCE_FILE).unwrap()
}

fn datafile() -> Datafile {
    Datafile::read(&PROVIDER, "672B.datafile", DATAFILE_FILE.to_vec()).unwrap()
}

fn request() -> Request {
    Request::read(&PROVIDER, "672B.request", REQUEST_FILE).unwrap()
}

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

/// Bytes of the first two lines of a document: the part that its signature covers.
fn signed(document: &[u8]) -> usize {
    document.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0 + 1
}

#[test]
fn the_golden_certificate_reads_as_it_was_written() {
    let issuer = Issuer::read(&PROVIDER, "672B.certificate", CERTIFICATE_FILE).unwrap();
    let certificate = &issuer.certificate;
    assert_eq!((certificate.key_id, issuer.series.key_id), (KeyId(0x672B), KeyId(0x672B)));
    assert_eq!(certificate.root.spki(), PROVIDER.rsa_signer(ROOT).unwrap().public_key());
    assert_eq!(certificate.key, PROVIDER.rsa_signer(ISSUING).unwrap().public_key());
    assert_eq!((certificate.not_before, certificate.not_after), (time("2020-01-01"), time("2120-01-01")));
    assert_eq!(issuer.text, CERTIFICATE_FILE);
    let root = "3B7C8906430F23449A19F43EF4AC972B47D75E2DA4EBD54D98C6C574C03E4B5A";
    assert_eq!(issuer.series.root.to_string(), root);
}

#[test]
fn the_golden_licence_reads_as_it_was_written() {
    let key = key();
    let licence = &key.licence;
    assert_eq!((licence.key_id, licence.key_no, licence.issue, licence.reg_no), (KeyId(0x672B), 7_121_172, 2, 800_123));
    assert_eq!((licence.key_type, licence.service_type), (KeyType::Main, 2));
    assert_eq!((licence.licence_count, licence.product_version, licence.period), (5, 5, 365));
    assert_eq!(licence.activation_code.to_string(), "4345-9320-2035-7421-5315");
    assert_eq!(licence.activation_date, time("2026-02-03T04:05:06.789Z"));
    assert_eq!((licence.start_date, licence.starts()), (Some(time("2026-03-01")), time("2026-03-01")));
    assert_eq!(licence.expires(), Some(time("2027-03-01")));
    assert_eq!(licence.flags, Flags::of(&[1, 3, 51]).unwrap());
    assert_eq!((licence.itn.as_deref(), licence.iec.as_deref()), (Some("7700000001"), Some("770001001")));
    assert_eq!((licence.product_name.as_str(), licence.article.as_str()), ("Учёт \"Образец\"", "A-1"));
    assert_eq!(licence.article_name, "Основная поставка");
    assert_eq!((licence.issued, licence.renew_by), (time("2026-02-04"), Some(time("2027-01-01"))));
    assert_eq!(licence.identity, identity().public());
    let Binding::Computer(print) = &licence.binding else { panic!("{:?}", licence.binding) };
    assert_eq!(print.salt, identity().salt());
    let parts: Vec<_> = print.parts.iter().map(|part| (part.kind, part.weight, part.hashes.len())).collect();
    assert_eq!(parts, [(PartKind::MachineId, 3, 1), (PartKind::Disk, 2, 2)]);
    assert_eq!((licence.file_name().as_str(), key.text.as_str()), ("672B.7121172.licence", LICENCE_FILE));
    assert_eq!(key.issuer.text, CERTIFICATE_FILE);
}

#[test]
fn the_golden_subkeys_open_for_the_golden_identity_and_are_those_that_the_licence_earns() {
    let key = key();
    let earned = SeriesSecret::new([7; 32]).earned(&PROVIDER, &key.licence.entitlement()).unwrap();
    assert_eq!(key.subkeys(&PROVIDER, &identity()).unwrap(), earned);
    let other = Identity::generate(&PROVIDER).unwrap();
    assert_eq!(key.subkeys(&PROVIDER, &other).unwrap_err().code, Code::OtherServer);
}

#[test]
fn the_golden_datafile_reads_as_it_was_written_and_opens_with_the_golden_licence() {
    let (datafile, subkeys) = (datafile(), key().subkeys(&PROVIDER, &identity()).unwrap());
    assert_eq!((datafile.series, datafile.index.created), (key().series, time("2026-02-01")));
    assert_eq!((datafile.index.salt, datafile.index.revoked.as_slice()), (Bytes32([9; 32]), &[7, 7_000_000][..]));
    let strict = Policy { flags: vec![1, 51], service_type: Some(2), not_demo: true, product_version: 4, seat: true };
    let expected: [(&str, Policy, Option<&[u8]>); 4] = [
        ("Обработка", Policy::default(), Some(b"code of the processor")),
        ("Пустой", Policy { seat: false, ..Policy::default() }, Some(b"")),
        ("Отчёт", strict, Some(b"code of the report")),
        ("Закрытый", Policy { flags: vec![2], ..Policy::default() }, None),
    ];
    assert_eq!(datafile.index.objects.len(), expected.len());
    for (name, policy, bytes) in expected {
        let object = datafile.object(&name.to_uppercase()).unwrap();
        assert_eq!((object.name.as_str(), &object.policy), (name, &policy));
        assert!(datafile.is_intact(&PROVIDER, object).unwrap());
        let reference = ObjectRef { name: &object.name, policy: &object.policy, salt: &datafile.index.salt.0 };
        match (subkeys.object_key(&PROVIDER, &reference), bytes) {
            (Ok(key), Some(bytes)) => assert_eq!(*datafile.open(&PROVIDER, object, &key).unwrap(), bytes),
            (Err(error), None) => assert_eq!(error.code, Code::SubkeyMissing),
            (key, _) => panic!("{name}: {key:?}"),
        }
    }
}

#[test]
fn the_golden_request_and_answers_read_as_they_were_written() {
    let request = request();
    let asked = Activate {
        want: Want::Code("4345-9320-2035-7421-5315".parse().unwrap()),
        itn: Some("7700000001".into()),
        iec: Some("770001001".into()),
        blank_key_no: None,
        key_id: None,
        root: None,
    };
    assert_eq!((request.nonce, &request.purpose), (Bytes32([5; 32]), &Purpose::Activate(asked)));
    assert_eq!((request.made, request.version.as_str()), (time("2026-02-03"), "3.0.100.0"));
    assert_eq!(request.computer_id.unwrap().to_string(), "10496B4C1BDC78A35C44E81A824774651E6274BC");
    assert_eq!(request.installed.len(), 1);
    let installed = &request.installed[0];
    assert_eq!((installed.series, installed.key_no, installed.key_type), (key().series, 12, KeyType::Demo));
    assert_eq!(installed.issue, 1);
    // Made before requests told it.
    assert!(!REQUEST_FILE.contains("Answers"));
    assert_eq!(request.answers, FIRST_ANSWER.version);
    for (version, file) in [(1, FIRST_ANSWER_FILE), (2, ANSWER_FILE)] {
        assert!(file.starts_with(&format!("SLK-ANSWER {version}\n")));
        let received = Answer::read(&PROVIDER, "672B.answer", file).unwrap();
        assert_eq!(received.answer.time, time("2026-02-04"));
        let granted = received.accept(&PROVIDER, &request, &identity()).unwrap();
        let Granted::Activated { key: answered, api_certificate: certificate, memory } = granted else {
            panic!("{granted:?}")
        };
        assert_eq!(*answered, key());
        assert_eq!(memory.map(|memory| memory.data).as_deref(), Some("память"));
        let (certificate, issuer) = ApiCertificate::read(&PROVIDER, "answer", &certificate).unwrap();
        assert_eq!((certificate.identity, certificate.issued), (request.identity, time("2026-02-04")));
        assert_eq!((&certificate.key, issuer.series), (&request.api_key, key().series));
    }
}

/// Changes each byte of the signed part in several ways; `refuses` must refuse them all.
fn every_change_is_refused(file: &[u8], refuses: impl Fn(Vec<u8>) -> bool) {
    for at in 0..signed(file) {
        for change in [1, 0x20, 0x7f] {
            let mut bytes = file.to_vec();
            bytes[at] ^= change;
            assert!(refuses(bytes), "byte {at} ^ {change:#x}");
        }
    }
}

/// A reader of text over bytes; bytes that are no text never reach it.
fn text(read: impl Fn(&str) -> bool) -> impl Fn(Vec<u8>) -> bool {
    move |bytes| String::from_utf8(bytes).map_or(true, |text| read(&text))
}

#[test]
fn each_changed_byte_of_a_signed_part_is_refused() {
    every_change_is_refused(CERTIFICATE_FILE.as_bytes(), text(|t| Issuer::read(&PROVIDER, "x", t).is_err()));
    every_change_is_refused(LICENCE_FILE.as_bytes(), text(|t| Key::read(&PROVIDER, "x", t).is_err()));
    every_change_is_refused(REQUEST_FILE.as_bytes(), text(|t| Request::read(&PROVIDER, "x", t).is_err()));
    every_change_is_refused(DATAFILE_FILE, |bytes| Datafile::read(&PROVIDER, "x", bytes).is_err());
    for answer in [FIRST_ANSWER_FILE, ANSWER_FILE] {
        every_change_is_refused(answer.as_bytes(), text(|t| Answer::read(&PROVIDER, "x", t).is_err()));
    }
}

#[test]
fn each_changed_byte_of_an_object_is_found_when_it_is_opened() {
    let subkeys = key().subkeys(&PROVIDER, &identity()).unwrap();
    let object = datafile().index.objects[0].clone();
    let salt = datafile().index.salt.0;
    let key =
        subkeys.object_key(&PROVIDER, &ObjectRef { name: &object.name, policy: &object.policy, salt: &salt }).unwrap();
    let length = usize::try_from(object.size).unwrap() + 16;
    let body = DATAFILE_FILE.len()
        - datafile().index.objects.iter().map(|o| usize::try_from(o.size).unwrap() + 16).sum::<usize>();
    for at in body..body + length {
        let mut bytes = DATAFILE_FILE.to_vec();
        bytes[at] ^= 1;
        let changed = Datafile::read(&PROVIDER, "x", bytes).unwrap();
        let mut copy = joined(changed.sealed(&object, None).unwrap());
        let refused = changed.open_in_place(&PROVIDER, &object, &key, &mut copy).unwrap_err();
        assert_eq!((refused.code, refused.args[1].as_str()), (Code::ObjectDamaged, "SHA-256"));
        assert!(copy.iter().all(|byte| *byte == 0), "what was decrypted is wiped");
        assert_eq!(changed.open(&PROVIDER, &object, &key).unwrap_err().code, Code::ObjectDamaged);
    }
}

#[test]
fn a_document_of_another_kind_or_version_is_refused_by_name() {
    let error = Key::read(&PROVIDER, "file.licence", CERTIFICATE_FILE).unwrap_err();
    assert_eq!((error.code, error.args[0].as_str()), (Code::DocumentDamaged, "file.licence"));
    let newer = LICENCE_FILE.replacen("SLK-LICENCE 1", "SLK-LICENCE 2", 1);
    assert_eq!(Key::read(&PROVIDER, "x", &newer).unwrap_err().code, Code::DocumentVersion);
    let windows = LICENCE_FILE.replace('\n', "\r\n");
    assert_eq!(Key::read(&PROVIDER, "x", &format!("\u{feff}{windows}")).unwrap().licence, key().licence);
}

/// Gives bytes to every parser. None may panic; what they answer is not looked at.
fn all_parsers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = Issuer::read(&PROVIDER, "x", &text);
    let _ = Request::read(&PROVIDER, "x", &text);
    let _ = ApiCertificate::read(&PROVIDER, "x", &text);
    let _ = Retired::read(&PROVIDER, "x", &text);
    let _ = Revoked::read(&PROVIDER, "x", &text);
    if let Ok(received) = Answer::read(&PROVIDER, "x", &text) {
        let _ = received.accept(&PROVIDER, &request(), &identity());
    }
    let _ = Identity::read(&PROVIDER, "x", &text);
    if let Ok(key) = Key::read(&PROVIDER, "x", &text) {
        let licence = &key.licence;
        let _ = (licence.starts(), licence.expires(), licence.days_left(Time(0)), licence.file_name());
        let _ = key.subkeys(&PROVIDER, &identity());
    }
    if let Ok(datafile) = Datafile::read(&PROVIDER, "x", bytes.to_vec()) {
        for object in &datafile.index.objects {
            let _ = datafile.open(&PROVIDER, object, &Subkey::new([0; 32]));
        }
    }
}

const FILES: [&[u8]; 7] = [
    IDENTITY.as_bytes(),
    CERTIFICATE_FILE.as_bytes(),
    LICENCE_FILE.as_bytes(),
    DATAFILE_FILE,
    REQUEST_FILE.as_bytes(),
    FIRST_ANSWER_FILE.as_bytes(),
    ANSWER_FILE.as_bytes(),
];
const KINDS: [(Kind, &[u8]); 6] = [
    (CERTIFICATE, CERTIFICATE_FILE.as_bytes()),
    (LICENCE, LICENCE_FILE.as_bytes()),
    (DATAFILE, DATAFILE_FILE),
    (REQUEST, REQUEST_FILE.as_bytes()),
    (FIRST_ANSWER, FIRST_ANSWER_FILE.as_bytes()),
    (ANSWER, ANSWER_FILE.as_bytes()),
];

fn payload(file: &[u8]) -> Value {
    let line = file.split(|byte| *byte == b'\n').nth(1).unwrap();
    serde_json::from_slice(line).unwrap()
}

/// Every place in a JSON value, as a path of steps.
fn places(value: &Value) -> Vec<String> {
    let mut all = vec![String::new()];
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(name, child)| (name.clone(), child)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(at, child)| (at.to_string(), child)).collect(),
        _ => Vec::new(),
    };
    for (step, child) in children {
        all.extend(places(child).into_iter().map(|rest| format!("/{step}{rest}")));
    }
    all
}

fn strange_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        Just(Value::from(u64::MAX)),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "[0-9A-F]{0,80}".prop_map(Value::from),
        Just(Value::from("9999-12-31T23:59:59.999Z")),
        Just(Value::from("-009999-01-01T00:00:00Z")),
        Just(Value::Array(Vec::new())),
        Just(Value::Object(serde_json::Map::new())),
    ]
}

/// A payload signed by whoever signs its kind, with what stands behind the golden file of that kind.
fn signed_again(kind: Kind, file: &[u8], payload: &Value) -> Vec<u8> {
    let signer = match kind {
        CERTIFICATE | DATAFILE => PROVIDER.rsa_signer(ROOT).unwrap(),
        REQUEST => identity().signer(&PROVIDER).unwrap(),
        _ => PROVIDER.rsa_signer(ISSUING).unwrap(),
    };
    let mut bytes = document::sign(kind, payload, signer.as_ref()).unwrap().into_bytes();
    let rest = file.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).unwrap().0 + 1;
    bytes.extend_from_slice(&file[rest..]);
    bytes
}

#[test]
fn a_payload_that_is_signed_again_gets_past_the_signature() {
    for (kind, file) in KINDS {
        let bytes = signed_again(kind, file, &payload(file));
        let text = String::from_utf8_lossy(&bytes);
        let read = match kind {
            CERTIFICATE => Issuer::read(&PROVIDER, "x", &text).is_ok(),
            LICENCE => Key::read(&PROVIDER, "x", &text).is_ok(),
            REQUEST => Request::read(&PROVIDER, "x", &text).is_ok(),
            FIRST_ANSWER | ANSWER => Answer::read(&PROVIDER, "x", &text).is_ok(),
            _ => Datafile::read(&PROVIDER, "x", bytes.clone()).is_ok(),
        };
        assert!(read, "{kind:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        all_parsers(&bytes);
    }

    #[test]
    fn no_text_behind_a_right_header_makes_a_parser_panic(
        kind in 0..KINDS.len(), text in "(\\PC|[\n\r{}\\[\\]\",:0-9]){0,200}",
    ) {
        let Kind { name, version, .. } = KINDS[kind].0;
        all_parsers(format!("SLK-{name} {version}\n{text}").as_bytes());
    }

    #[test]
    fn no_changed_file_makes_a_parser_panic(
        file in 0..FILES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = FILES[file].to_vec();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        all_parsers(&bytes);
    }

    // Behind a good signature too: a vendor's own mistake must not bring a server down.
    #[test]
    fn no_signed_payload_makes_a_parser_panic(
        kind in 0..KINDS.len(), place in any::<prop::sample::Index>(), value in strange_value(), remove: bool,
    ) {
        let (kind, file) = KINDS[kind];
        let mut json = payload(file);
        let all = places(&json);
        let place = &all[place.index(all.len())];
        match (remove, place.rsplit_once('/')) {
            (true, Some((parent, name))) => match json.pointer_mut(parent) {
                Some(Value::Object(map)) => drop(map.remove(name)),
                Some(Value::Array(list)) => drop(list.pop()),
                _ => {}
            },
            _ => *json.pointer_mut(place).unwrap() = value,
        }
        all_parsers(&signed_again(kind, file, &json));
    }
}
