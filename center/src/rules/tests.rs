use licence::activation::{ANSWER, Offer, Purpose, Want};
use licence::code::ActivationCode;
use licence::fingerprint::Machine;
use licence::id::Bytes32;
use licence::identity::Identity;
use licence::{KeyId, RootHash};

use super::*;
use crate::CRYPTO;
use crate::terms::Terms;

pub(crate) const SERIES: SeriesId = SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) };

pub(crate) fn terms(key_type: KeyType) -> Terms {
    let offer = Offer {
        key_type,
        service_type: 0,
        licence_count: 5,
        product_version: 0,
        start_date: None,
        period: 0,
        flags: Default::default(),
        parameters: Default::default(),
        product_name: "Товар".into(),
        article: String::new(),
        article_name: String::new(),
        support: Default::default(),
        identity_file: false,
        until: None,
    };
    Terms { offer, itn: None, iec: None }
}

pub(crate) fn print(identity: &Identity, name: &str) -> Fingerprint {
    let parts = [PartKind::MachineId, PartKind::ProductUuid, PartKind::Disk].map(|kind| (kind, name.to_owned()));
    Machine { parts: parts.to_vec() }.fingerprint(CRYPTO, identity.salt())
}

pub(crate) fn activate(code: ActivationCode) -> Activate {
    Activate { want: Want::Code(code), itn: None, iec: None, blank_key_no: None, key_id: None, root: None }
}

pub(crate) fn request(identity: &Identity, machine: &str, purpose: Purpose) -> Request {
    let api_key = CRYPTO.rsa_signer(include_bytes!("../../../golden/test-issuing.pk8")).unwrap().public_key().to_vec();
    Request {
        nonce: Bytes32(CRYPTO.random_array().unwrap()),
        made: Time(0),
        identity: identity.public(),
        fingerprint: print(identity, machine),
        computer_id: Some(licence::id::ComputerId([machine.len() as u8; 20])),
        api_key,
        version: "3.0.100.0".into(),
        answers: ANSWER.version,
        installed: Vec::new(),
        purpose,
    }
}

fn any_code() -> ActivationCode {
    "00000000000000000098".parse().unwrap()
}

fn installed(series: SeriesId, key_type: KeyType) -> Installed {
    Installed { series, key_no: 1, issue: 1, key_type }
}

#[test]
fn an_additional_key_needs_a_main_key_of_its_own_series() {
    let other = SeriesId { key_id: SERIES.key_id, root: RootHash([2; 32]) };
    let refused = |installed: &[Installed]| may_install(&SERIES, KeyType::Additional, installed).is_err();
    assert!(refused(&[]));
    assert!(refused(&[installed(other, KeyType::Main)]));
    assert!(refused(&[installed(SERIES, KeyType::Demo)]));
    assert!(!refused(&[installed(SERIES, KeyType::Additional), installed(SERIES, KeyType::Main)]));
}

#[test]
fn a_demo_key_stands_alone_in_its_series() {
    let other = SeriesId { key_id: SERIES.key_id, root: RootHash([2; 32]) };
    assert!(may_install(&SERIES, KeyType::Demo, &[installed(other, KeyType::Main)]).is_ok());
    for beside in [KeyType::Main, KeyType::Additional, KeyType::Demo] {
        let error = may_install(&SERIES, KeyType::Demo, &[installed(SERIES, beside)]).unwrap_err();
        assert_eq!(error.code, Code::KeyRuleViolated);
    }
}

#[test]
fn a_main_key_may_always_be_installed() {
    assert!(may_install(&SERIES, KeyType::Main, &[installed(SERIES, KeyType::Demo)]).is_ok());
}

#[test]
fn a_code_sold_to_an_itn_is_for_that_itn() {
    let asked = |itn: Option<&str>| Activate { itn: itn.map(str::to_owned), ..activate(any_code()) };
    let sold = Some("7700000001".to_owned());
    assert!(is_owner((&sold, &None), &asked(Some("7700000001"))).is_ok());
    assert_eq!(is_owner((&sold, &None), &asked(Some("7700000002"))).unwrap_err().code, Code::OwnerMismatch);
    assert!(is_owner((&sold, &None), &asked(None)).is_err());
    assert!(is_owner((&None, &None), &asked(Some("7700000002"))).is_ok());
}

#[test]
fn a_server_does_not_choose_the_weights_of_its_parts() {
    let print = print(&Identity::generate(CRYPTO).unwrap(), "a");
    let mut bent = print.clone();
    bent.parts[0].weight = 1000;
    assert_eq!(weighed(bent), print);
}

#[test]
fn a_request_that_no_usable_licence_can_come_of_is_refused() {
    let identity = Identity::generate(CRYPTO).unwrap();
    let asked = activate(any_code());
    let good = request(&identity, "a", Purpose::Activate(asked.clone()));
    let mut offer = terms(KeyType::Main).offer;
    let licensed = |offer: &Offer, request: &Request, asked: &Activate| {
        can_be_licensed(offer, Asker { request, asked, now: Time(0) }).is_ok()
    };
    assert!(well_formed(&good).is_ok() && licensed(&offer, &good, &asked));
    let broken: [fn(&mut Request); 3] = [
        |r| r.fingerprint.parts[0].hashes.clear(),
        |r| r.fingerprint.parts.push(r.fingerprint.parts[0].clone()),
        |r| r.api_key.truncate(40),
    ];
    for breaks in broken {
        let mut request = good.clone();
        breaks(&mut request);
        assert_eq!(well_formed(&request).unwrap_err().code, Code::BadRequest);
    }
    let mut vague = good.clone();
    vague.fingerprint.parts.truncate(1);
    vague.fingerprint.parts[0].kind = PartKind::Processor;
    assert!(!licensed(&offer, &vague, &asked));
    assert!(licensed(&offer, &vague, &Activate { blank_key_no: Some(1), ..asked.clone() }));
    assert!(!licensed(&offer, &good, &Activate { itn: Some("12a".into()), ..asked.clone() }));
    // A container that has nothing but its identity file.
    vague.fingerprint.parts[0].kind = PartKind::IdentityFile;
    assert!(!licensed(&offer, &vague, &asked));
    offer.identity_file = true;
    assert!(licensed(&offer, &vague, &asked));
}
