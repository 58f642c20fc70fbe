//! Whether a code may be exchanged: pure rules over the request, the terms and what the server holds already. All are judged
//! before the code is spent.

use std::collections::HashSet;

use licence::activation::{Activate, Installed, Request};
use licence::crypto::accepted_rsa_key;
use licence::error::{Code, Error, Result};
use licence::fingerprint::{Fingerprint, PartKind};
use licence::key::KeyType;
use licence::{KeyNo, SeriesId};

use crate::terms::{self, Terms};

/// Most values of one kind of part that a request may name: a computer with more disks or cards than this is no computer.
const VALUES_LIMIT: usize = 256;

/// Whether a usable licence can be made of the request at all.
pub fn well_formed(request: &Request, asked: &Activate) -> Result<()> {
    let wrong = |what: &str| Err(Error::new(Code::BadRequest).with(what));
    let mut kinds = HashSet::new();
    for part in &request.fingerprint.parts {
        if !kinds.insert(part.kind) || part.hashes.is_empty() || part.hashes.len() > VALUES_LIMIT {
            return wrong("Fingerprint: Parts");
        }
    }
    if kinds.iter().all(|kind| *kind == PartKind::Processor) && asked.blank_key_no.is_none() {
        return wrong("Fingerprint: no part tells this computer from others of its model");
    }
    if accepted_rsa_key(&request.api_key).is_none() {
        return wrong("ApiKey: RSA, 2048–4096 bits, e = 65537");
    }
    if !asked.itn.as_deref().is_none_or(terms::is_itn) || !asked.iec.as_deref().is_none_or(terms::is_iec) {
        return wrong("ITN, IEC: digits");
    }
    Ok(())
}

/// The fingerprint as a licence will have it. Weights are the centre's to say: a server that chose them could make one part
/// stand for the whole computer.
pub fn weighed(mut fingerprint: Fingerprint) -> Fingerprint {
    for part in &mut fingerprint.parts {
        part.weight = part.kind.weight();
    }
    fingerprint
}

/// Whether the buyer has given the ИНН and КПП that the code was sold to.
pub fn is_owner(terms: &Terms, asked: &Activate) -> Result<()> {
    let fits = |sold: &Option<String>, given: &Option<String>| sold.is_none() || sold == given;
    if fits(&terms.itn, &asked.itn) && fits(&terms.iec, &asked.iec) {
        Ok(())
    } else {
        Err(Error::new(Code::OwnerMismatch))
    }
}

/// Whether a key of that type would be usable beside those that the server holds.
pub fn may_install(series: &SeriesId, key_type: KeyType, installed: &[Installed]) -> Result<()> {
    let mut beside = installed.iter().filter(|key| key.series == *series);
    let violated = |why: &str| Err(Error::new(Code::KeyRuleViolated).with(why));
    match key_type {
        KeyType::Main => Ok(()),
        KeyType::Additional if beside.any(|key| key.key_type == KeyType::Main) => Ok(()),
        KeyType::Additional => violated("дополнительный ключ без основного / an additional key without a main key"),
        KeyType::Demo if beside.next().is_none() => Ok(()),
        KeyType::Demo => {
            violated("демо-ключ рядом с другими ключами серии / a demo key beside other keys of its series")
        }
    }
}

/// Whether two fingerprints and carriers are of one machine, by the tolerance that licences have.
pub fn same_machine(then: (&Fingerprint, Option<KeyNo>), now: (&Fingerprint, Option<KeyNo>)) -> bool {
    match (then.1, now.1) {
        (None, None) => then.0.compare_with(now.0).holds(),
        (carrier, other) => carrier == other,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use licence::activation::{Purpose, Want};
    use licence::code::ActivationCode;
    use licence::fingerprint::Machine;
    use licence::id::Bytes32;
    use licence::identity::Identity;
    use licence::{KeyId, RootHash};

    use super::*;
    use crate::CRYPTO;

    pub(crate) const SERIES: SeriesId = SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) };

    pub(crate) fn terms(key_type: KeyType) -> Terms {
        Terms {
            key_type,
            service_type: 0,
            licence_count: 5,
            product_version: 0,
            start_date: None,
            period: 0,
            flags: Default::default(),
            product_name: "Товар".into(),
            article: String::new(),
            article_name: String::new(),
            itn: None,
            iec: None,
        }
    }

    pub(crate) fn print(identity: &Identity, name: &str) -> Fingerprint {
        let parts = [PartKind::MachineId, PartKind::ProductUuid, PartKind::Disk].map(|kind| (kind, name.to_owned()));
        Machine { parts: parts.to_vec() }.fingerprint(CRYPTO, identity.salt())
    }

    pub(crate) fn activate(code: ActivationCode) -> Activate {
        Activate { want: Want::Code(code), itn: None, iec: None, blank_key_no: None }
    }

    pub(crate) fn request(identity: &Identity, machine: &str, asked: Activate) -> Request {
        let api_key = CRYPTO.rsa_signer(include_bytes!("../../golden/test-issuing.pk8")).unwrap().public_key().to_vec();
        Request {
            nonce: Bytes32(CRYPTO.random_array().unwrap()),
            made: licence::Time(0),
            identity: identity.public(),
            fingerprint: print(identity, machine),
            computer_id: None,
            api_key,
            installed: Vec::new(),
            version: "3.0.100.0".into(),
            purpose: Purpose::Activate(asked),
        }
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
        let sold = Terms { itn: Some("7700000001".into()), ..terms(KeyType::Main) };
        let asked = |itn: Option<&str>| Activate {
            itn: itn.map(str::to_owned),
            ..activate("00000000000000000098".parse().unwrap())
        };
        assert!(is_owner(&sold, &asked(Some("7700000001"))).is_ok());
        assert_eq!(is_owner(&sold, &asked(Some("7700000002"))).unwrap_err().code, Code::OwnerMismatch);
        assert!(is_owner(&sold, &asked(None)).is_err());
        assert!(is_owner(&terms(KeyType::Main), &asked(Some("7700000002"))).is_ok());
    }

    #[test]
    fn a_machine_with_one_replaced_part_is_still_the_same() {
        let identity = Identity::generate(CRYPTO).unwrap();
        let before = print(&identity, "a");
        let mut repaired = before.clone();
        repaired.parts[2] = print(&identity, "b").parts[2].clone();
        assert!(same_machine((&before, None), (&repaired, None)));
        assert!(!same_machine((&before, None), (&print(&identity, "b"), None)));
        assert!(!same_machine((&before, None), (&before, Some(1))));
        assert!(same_machine((&before, Some(1)), (&repaired, Some(1))));
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
        let asked = activate("00000000000000000098".parse().unwrap());
        let good = request(&identity, "a", asked.clone());
        assert!(well_formed(&good, &asked).is_ok());
        let broken: [fn(&mut Request); 5] = [
            |r| r.fingerprint.parts.clear(),
            |r| r.fingerprint.parts[0].hashes.clear(),
            |r| r.fingerprint.parts.push(r.fingerprint.parts[0].clone()),
            |r| r.api_key.truncate(40),
            |r| {
                r.fingerprint.parts.truncate(1);
                r.fingerprint.parts[0].kind = PartKind::Processor;
            },
        ];
        for breaks in broken {
            let mut request = good.clone();
            breaks(&mut request);
            assert_eq!(well_formed(&request, &asked).unwrap_err().code, Code::BadRequest);
        }
        let letters = Activate { itn: Some("12a".into()), ..asked };
        assert_eq!(well_formed(&good, &letters).unwrap_err().code, Code::BadRequest);
    }
}
