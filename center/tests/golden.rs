//! Makes the golden files that are missing. Run by hand, once per new format: the files are checked in and never change.

use std::path::{Path, PathBuf};

use center::CRYPTO;
use center::keyfile::{Cryptkey, IssuerFile, Secrets};
use licence::activation::{
    ANSWER, Activate, Activated, Answer, ApiCertificate, FIRST_ANSWER, Installed, Memory, Outcome, Purpose, Request,
    Want,
};
use licence::crypto::Signer;
use licence::datafile::{self, Contents, Plain};
use licence::fingerprint::{Machine, PartKind};
use licence::flags::Flags;
use licence::id::Bytes32;
use licence::identity::Identity;
use licence::key::{Binding, KeyType, Licence};
use licence::series::{Certificate, Issuer, RootKey};
use licence::subkeys::{Policy, SeriesSecret};
use licence::{KeyId, Time};

const SERIES: KeyId = KeyId(0x672B);

struct Bench {
    folder: PathBuf,
    root: Box<dyn Signer>,
    issuing: Box<dyn Signer>,
    secret: SeriesSecret,
}

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

impl Bench {
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap()
    }

    fn pk8(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap()
    }

    /// A file that is there is left as it is: others were made to fit it.
    fn make(&self, name: &str, bytes: impl FnOnce() -> Vec<u8>) {
        let path = self.folder.join(name);
        if !path.exists() {
            std::fs::write(path, bytes()).unwrap();
        }
    }

    fn certificate(&self) -> Vec<u8> {
        let certificate = Certificate {
            key_id: SERIES,
            root: RootKey::new(self.root.public_key().to_vec()).unwrap(),
            key: self.issuing.public_key().to_vec(),
            not_before: time("2020-01-01"),
            not_after: time("2120-01-01"),
        };
        certificate.sign(self.root.as_ref()).unwrap().into_bytes()
    }

    fn issuer(&self) -> Issuer {
        Issuer::read(CRYPTO, "672B.certificate", &self.read("672B.certificate")).unwrap()
    }

    fn identity(&self) -> Identity {
        Identity::read(CRYPTO, "identity.json", &self.read("identity.json")).unwrap()
    }

    fn machine(&self) -> Machine {
        let parts = [(PartKind::MachineId, "golden machine"), (PartKind::Disk, "disk 1"), (PartKind::Disk, "disk 2")];
        Machine { parts: parts.map(|(kind, value)| (kind, value.to_owned())).to_vec() }
    }

    fn licence(&self) -> Vec<u8> {
        let (issuer, identity) = (self.issuer(), self.identity());
        let mut licence = Licence {
            key_id: SERIES,
            key_no: 7_121_172,
            issue: 2,
            reg_no: 800_123,
            key_type: KeyType::Main,
            service_type: 2,
            licence_count: 5,
            product_version: 5,
            activation_code: code(),
            activation_date: time("2026-02-03T04:05:06.789Z"),
            start_date: Some(time("2026-03-01")),
            period: 365,
            flags: Flags::of(&[1, 3, 51]).unwrap(),
            itn: Some("7700000001".into()),
            iec: Some("770001001".into()),
            product_name: "Учёт \"Образец\"".into(),
            article: "A-1".into(),
            article_name: "Основная поставка".into(),
            support: Default::default(),
            issued: time("2026-02-04"),
            renew_by: Some(time("2027-01-01")),
            parameters: std::collections::BTreeMap::new(),
            identity: identity.public(),
            binding: Binding::Computer(self.machine().fingerprint(CRYPTO, identity.salt())),
            sealed: Vec::new(),
        };
        let subkeys = self.secret.earned(CRYPTO, &licence.entitlement()).unwrap();
        licence.seal(CRYPTO, &issuer.series, &subkeys).unwrap();
        licence.sign(self.issuing.as_ref(), &issuer).unwrap().into_bytes()
    }

    fn datafile(&self) -> Vec<u8> {
        let object =
            |name: &str, policy: Policy, bytes: &[u8]| Plain { name: name.into(), policy, bytes: bytes.to_vec() };
        let objects = vec![
            object("Обработка", Policy::default(), "code of the processor".as_bytes()),
            object("Пустой", Policy { seat: false, ..Policy::default() }, b""),
            object(
                "Отчёт",
                Policy { flags: vec![1, 51], service_type: Some(2), not_demo: true, product_version: 4, seat: true },
                b"code of the report",
            ),
            object("Закрытый", Policy { flags: vec![2], ..Policy::default() }, b"code that needs flag 2"),
        ];
        let created = time("2026-02-01");
        let contents =
            Contents { key_id: SERIES, created, salt: Bytes32([9; 32]), revoked: vec![7, 7_000_000], objects };
        datafile::pack(CRYPTO, self.root.as_ref(), &self.secret, contents).unwrap()
    }

    fn request(&self) -> Vec<u8> {
        let (identity, machine) = (self.identity(), self.machine());
        let request = Request {
            nonce: Bytes32([5; 32]),
            made: time("2026-02-03"),
            identity: identity.public(),
            fingerprint: machine.fingerprint(CRYPTO, identity.salt()),
            computer_id: machine.computer_id(CRYPTO),
            api_key: self.issuing.public_key().to_vec(),
            version: "3.0.100.0".into(),
            answers: FIRST_ANSWER.version,
            installed: vec![Installed { series: self.issuer().series, key_no: 12, issue: 1, key_type: KeyType::Demo }],
            purpose: Purpose::Activate(Activate {
                want: Want::Code(code()),
                itn: Some("7700000001".into()),
                iec: Some("770001001".into()),
                blank_key_no: None,
                key_id: None,
                root: None,
            }),
        };
        request.sign(CRYPTO, &identity).unwrap().into_bytes()
    }

    fn answer(&self, version: u32) -> Vec<u8> {
        let request = Request::read(CRYPTO, "672B.request", &self.read("672B.request")).unwrap();
        let certificate = ApiCertificate {
            key_id: SERIES,
            identity: request.identity,
            key: request.api_key.clone(),
            issued: time("2026-02-04"),
        };
        let signer = self.issuing.as_ref();
        let api_certificate = certificate.sign(signer, &self.issuer()).unwrap();
        let licence = self.read("672B.7121172.licence");
        let memory = Some(Memory { data: "память".into(), ..Memory::default() });
        let outcome = Outcome::Activated(Activated { licence, api_certificate, memory });
        let answer = Answer { nonce: request.nonce, time: time("2026-02-04"), outcome };
        answer.sign(version, signer, &self.issuer()).unwrap().into_bytes()
    }

    fn cryptkey(&self) -> Vec<u8> {
        let secrets = Secrets::of(&self.pk8("test-root.pk8"), &self.secret);
        let created = time("2026-02-01");
        let file = Cryptkey::new(CRYPTO, (SERIES, "Учёт"), created, secrets, Some("golden")).unwrap();
        file.write().unwrap().as_bytes().to_vec()
    }

    fn issuer_file(&self) -> Vec<u8> {
        let secrets = Secrets::of(&self.pk8("test-issuing.pk8"), &self.secret);
        let certificate = self.read("672B.certificate");
        let file = IssuerFile::new(CRYPTO, ("Учёт", &certificate), time("2026-02-01"), secrets, None).unwrap();
        file.write().unwrap().as_bytes().to_vec()
    }
}

fn code() -> licence::code::ActivationCode {
    "4345-9320-2035-7421-5315".parse().unwrap()
}

#[test]
#[ignore = "makes files; run by hand when a format is added"]
fn golden_files_that_are_missing_are_made() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden");
    let signer = |name: &str| CRYPTO.rsa_signer(&std::fs::read(folder.join(name)).unwrap()).unwrap();
    let (root, issuing) = (signer("test-root.pk8"), signer("test-issuing.pk8"));
    let bench = Bench { folder, root, issuing, secret: SeriesSecret::new([7; 32]) };
    bench.make("identity.json", || Identity::generate(CRYPTO).unwrap().write().unwrap().as_bytes().to_vec());
    bench.make("672B.certificate", || bench.certificate());
    bench.make("672B.7121172.licence", || bench.licence());
    bench.make("672B.datafile", || bench.datafile());
    bench.make("672B.request", || bench.request());
    bench.make("672B.answer", || bench.answer(FIRST_ANSWER.version));
    bench.make("672B-2.answer", || bench.answer(ANSWER.version));
    bench.make("672B.cryptkey", || bench.cryptkey());
    bench.make("672B.issuer", || bench.issuer_file());
}
