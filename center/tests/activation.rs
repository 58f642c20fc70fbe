//! From a series to an opened object, and every way in which the centre says no, with the real programs.

mod vendor;

use licence::activation::{Activate, Answer, CodeState, Granted, Installed, Purpose, Request};
use licence::datafile::Datafile;
use licence::error::Code;
use licence::identity::Identity;
use licence::key::{Key, KeyType};
use licence::subkeys::ObjectRef;
use licence::support::Support;
use vendor::{CRYPTO, Centre, Vendor, anchor, error, request};

fn activate(centre: &Centre, asked: &Request, identity: &Identity) -> Key {
    let (status, body) = centre.post(asked.sign(CRYPTO, identity).unwrap().as_bytes());
    assert_eq!(status, 200, "{body}");
    let granted = Answer::read(CRYPTO, "x", &body).unwrap().accept(CRYPTO, asked, identity).unwrap();
    let Granted::Activated { key, api_certificate: certificate, .. } = granted else { panic!("{granted:?}") };
    let (certificate, issuer) = licence::activation::ApiCertificate::read(CRYPTO, "x", &certificate).unwrap();
    assert!(certificate.key == asked.api_key && issuer.series == key.series);
    *key
}

#[test]
fn an_activated_licence_opens_what_it_has_earned_and_nothing_else() {
    let vendor = Vendor::with_series("opens");
    vendor.write("Обработка.epf", b"code of the processor");
    vendor.write("Отчёт.epf", b"code of the report");
    vendor.write("policy.json", r#"{"отчёт": {"Flags": [7]}}"#);
    vendor.edit_ok(&[
        "c",
        "672B.datafile",
        "*.epf",
        "--serie=672B",
        "--cryptkey=672B.cryptkey",
        "-y",
        "--not-demo",
        "--flag",
        "1",
        "--flag",
        "3",
        "--policy",
        "policy.json",
    ]);
    let code = vendor.code(&["--licences", "5", "--flags", "1,3", "--days", "30", "--article", "A-1"]);
    let centre = vendor.start_centre();

    let identity = Identity::generate(CRYPTO).unwrap();
    let key = activate(&centre, &request(&identity, "a", &code), &identity);
    assert_eq!(key.series.root, anchor(&vendor.folder));
    let licence = &key.licence;
    assert_eq!((licence.key_no, licence.licence_count, licence.period), (1, 5, 30));
    assert_eq!((licence.product_name.as_str(), licence.article.as_str()), ("Товар", "A-1"));

    let bytes = std::fs::read(vendor.path("672B.datafile")).unwrap();
    let datafile = Datafile::read(CRYPTO, "672B.datafile", bytes).unwrap();
    assert_eq!(datafile.series, key.series);
    let subkeys = key.subkeys(CRYPTO, &identity).unwrap();
    let salt = &datafile.index.salt.0;
    let mut opened = Vec::new();
    for object in &datafile.index.objects {
        match subkeys.object_key(CRYPTO, &ObjectRef { name: &object.name, policy: &object.policy, salt }) {
            Ok(key) => opened.push((object.name.as_str(), datafile.open(CRYPTO, object, &key).unwrap().to_vec())),
            Err(error) => assert_eq!(error.code, Code::SubkeyMissing),
        }
    }
    assert_eq!(opened, [("Обработка", b"code of the processor".to_vec())]);
    assert!(key.subkeys(CRYPTO, &Identity::generate(CRYPTO).unwrap()).is_err());
}

#[test]
fn a_repeated_request_gives_the_same_licence_and_a_second_machine_is_refused() {
    let vendor = Vendor::with_series("again");
    let codes = vendor.code(&["--licences", "1", "--count", "2"]);
    let codes: Vec<&str> = codes.lines().collect();
    let identity = Identity::generate(CRYPTO).unwrap();
    let first = {
        let centre = vendor.start_centre();
        activate(&centre, &request(&identity, "a", codes[0]), &identity)
    };
    // Killed and started again: what was decided is on the disk.
    let centre = vendor.start_centre();
    let again = activate(&centre, &request(&identity, "a", codes[0]), &identity);
    assert_eq!(again.text, first.text);
    let other = Identity::generate(CRYPTO).unwrap();
    let (status, refused) = centre.refusal(&request(&other, "b", codes[0]), &other);
    assert_eq!((status, refused.code), (409, Code::CodeUsed));
    assert_eq!(activate(&centre, &request(&other, "b", codes[1]), &other).licence.key_no, 2);
    let listed = vendor.edit_ok(&["codes", "--center", "centre"]);
    assert_eq!(listed.matches("\tused\t3\t1\t").count(), 2, "{listed}");
}

#[test]
fn two_machines_at_the_same_time_get_one_licence() {
    let vendor = Vendor::with_series("race");
    let code = vendor.code(&["--licences", "1"]);
    let centre = vendor.start_centre();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|number| {
                let (centre, code) = (&centre, &code);
                scope.spawn(move || {
                    let identity = Identity::generate(CRYPTO).unwrap();
                    let asked = request(&identity, &format!("machine {number}"), code);
                    centre.post(asked.sign(CRYPTO, &identity).unwrap().as_bytes()).0
                })
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
}

#[test]
fn blocked_and_unknown_codes_and_foreign_buyers_get_their_own_refusals() {
    let vendor = Vendor::with_series("refusals");
    let blocked = vendor.code(&["--licences", "1"]);
    let sold = vendor.code(&["--licences", "1", "--itn", "7701000001"]);
    let additional = vendor.code(&["--licences", "1", "--type", "additional"]);
    let demo = vendor.code(&["--licences", "1", "--type", "demo"]);
    vendor.edit_ok(&["block", &blocked, "--center", "centre"]);
    let centre = vendor.start_centre();
    let identity = Identity::generate(CRYPTO).unwrap();
    let refused = |asked: &Request| {
        let (status, refused) = centre.refusal(asked, &identity);
        assert_eq!(status, refused.code.status());
        refused.code
    };
    assert_eq!(refused(&request(&identity, "a", &blocked)), Code::CodeBlocked);
    assert_eq!(refused(&request(&identity, "a", "0000-0000-0000-0000-0098")), Code::CodeUnknown);
    assert_eq!(refused(&request(&identity, "a", &sold)), Code::OwnerMismatch);
    assert_eq!(refused(&request(&identity, "a", &additional)), Code::KeyRuleViolated);
    let asked = Request {
        purpose: Purpose::Activate(Activate { itn: Some("7701000001".into()), ..vendor::activate(&sold) }),
        ..request(&identity, "a", &sold)
    };
    let main = activate(&centre, &asked, &identity);
    assert_eq!(main.licence.itn.as_deref(), Some("7701000001"));
    let installed =
        vec![Installed { series: main.series, key_no: main.licence.key_no, issue: 1, key_type: KeyType::Main }];
    let beside = |code: &str| Request { installed: installed.clone(), ..request(&identity, "a", code) };
    assert_eq!(refused(&beside(&demo)), Code::KeyRuleViolated);
    assert_eq!(activate(&centre, &beside(&additional), &identity).licence.key_type, KeyType::Additional);
    let listed = vendor.edit_ok(&["codes", "--center", "centre", "--serie", "672b"]);
    assert!(listed.contains(&format!("{blocked}\t672B\tblocked")) && listed.contains(&format!("{demo}\t672B\tnew")));
}

#[test]
fn a_damaged_request_is_refused_with_its_place_and_no_code_reaches_the_log() {
    let vendor = Vendor::with_series("damaged");
    let code = vendor.code(&["--licences", "1"]);
    let centre = vendor.start_centre();
    let identity = Identity::generate(CRYPTO).unwrap();
    let good = request(&identity, "a", &code).sign(CRYPTO, &identity).unwrap();
    for (body, expected) in [
        (good.replace("SLK-REQUEST 1", "SLK-REQUEST 9"), Code::DocumentVersion),
        (good.replace("\"Version\":", "\"Version\": "), Code::RequestSignature),
        (good[..good.len() / 2].to_owned(), Code::DocumentDamaged),
        (good.replacen("\"Code\":\"", "\"Code\":[\"", 1), Code::DocumentDamaged),
        (
            good.replacen("\"Version\":\"", &format!("\"Installed\":\"{code}\",\"Version\":\""), 1),
            Code::DocumentDamaged,
        ),
        (String::new(), Code::DocumentDamaged),
    ] {
        let (status, answer) = centre.post(body.as_bytes());
        assert_eq!((status, error(&answer).code), (400, expected), "{answer}");
        assert!(answer.contains("\"ErrorCode\":") && answer.contains("\"Exception\":\"E"), "{answer}");
    }
    let (status, answer) = centre.post(&[0xff, 0xfe, 0]);
    assert_eq!((status, error(&answer).code), (400, Code::BadRequest));
    let (status, _) = centre.post(&vec![b'x'; 1024 * 1024]);
    assert_eq!(status, 413);
    let _ = centre.get(&format!("/api/requests/{code}"));
    activate(&centre, &request(&identity, "a", &code), &identity);
    let log = std::fs::read_to_string(vendor.path("log")).unwrap();
    assert!(log.contains(&format!("{}-…", &code[..4])), "{log}");
    assert!(!log.contains(&code) && !log.contains(&code.replace('-', "")), "{log}");
}

#[test]
fn a_code_is_exchanged_before_its_date_only_and_tells_its_parameters_unspent() {
    let vendor = Vendor::with_series("until");
    let late = vendor.code(&["--licences", "1", "--until", "2020-01-31"]);
    let more = ["--until", "2999-01-31", "--parameter", "Филиалы=3", "--parameter", "Режим=a=b"];
    let support = ["--support-until", "2027-05-01", "--support-type", "ПРОФ", "--industry-support-days", "365"];
    let good = vendor.code(&[&["--licences", "1"], more.as_slice(), support.as_slice()].concat());
    let new = ["code", "--center", "centre", "--serie", "672B", "--licences", "1"];
    for wrong in [["--until", "31.01.2020"], ["--parameter", "Филиалы"]] {
        assert!(vendor.edit_fails(&[new.as_slice(), &wrong].concat()).contains(wrong[0]), "{wrong:?}");
    }
    let centre = vendor.start_centre();
    let identity = Identity::generate(CRYPTO).unwrap();
    assert_eq!(centre.refusal(&request(&identity, "a", &late), &identity).1.code, Code::OfferOver);
    let parameters = || {
        let asked =
            Request { purpose: Purpose::CodeParameters(good.parse().unwrap()), ..request(&identity, "a", &good) };
        let (status, body) = centre.post(asked.sign(CRYPTO, &identity).unwrap().as_bytes());
        assert_eq!(status, 200, "{body}");
        match Answer::read(CRYPTO, "x", &body).unwrap().accept(CRYPTO, &asked, &identity).unwrap() {
            Granted::CodeParameters(told) => *told,
            other => panic!("{other:?}"),
        }
    };
    let told = parameters();
    let expected = [("Режим", "a=b"), ("Филиалы", "3")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!((told.state, told.key_no), (CodeState::New, None));
    assert_eq!(told.offer.parameters, expected.clone().into());
    let licence = activate(&centre, &request(&identity, "a", &good), &identity).licence;
    assert_eq!(licence.parameters, expected.into());
    let support = Support {
        support_date: Some("2027-05-01".parse().unwrap()),
        support_type: Some("ПРОФ".into()),
        industry_support_period: Some(365),
        ..Support::default()
    };
    assert_eq!((&licence.support, &told.offer.support), (&support, &support));
    assert_eq!((parameters().state, parameters().key_no), (CodeState::Used, Some(1)));
}

#[test]
fn issuing_key_files_that_come_or_go_are_noticed_by_a_running_centre() {
    let vendor = Vendor::with_series("reread");
    let first = vendor.code(&["--licences", "1"]);
    let centre = vendor.start_centre();
    vendor.edit_ok(&["series", "672C", "--name", "Другой", "--bits", "2048"]);
    vendor.edit_ok(&["issuer", "--cryptkey", "672C.cryptkey", "--center", "centre"]);
    let second = vendor.edit_ok(&["code", "--center", "centre", "--serie", "672C", "--licences", "1"]);
    let (first, second) = (first.trim(), second.trim());
    let identity = Identity::generate(CRYPTO).unwrap();
    let status = |code: &str| centre.post(request(&identity, "a", code).sign(CRYPTO, &identity).unwrap().as_bytes()).0;
    let log = || std::fs::read_to_string(vendor.path("log")).unwrap();
    let until = |holds: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !holds() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{}", log());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    until(&|| status(second) == 200);
    assert_eq!(status(first), 200, "the first series is served as before");
    // A file that can't be read changes nothing; one that is gone ends its series.
    let issuer = std::fs::read(vendor.path("centre/672B.issuer")).unwrap();
    vendor.write("centre/672B.issuer", &issuer[..issuer.len() / 2]);
    until(&|| log().contains("issuing keys: "));
    assert_eq!((status(first), status(second)), (200, 200));
    std::fs::remove_file(vendor.path("centre/672B.issuer")).unwrap();
    until(&|| status(first) == Code::SeriesNotServed.status());
    assert_eq!(status(second), 200);
}

#[test]
fn a_guesser_is_stopped() {
    let vendor = Vendor::with_series("guesser");
    let centre = vendor.start_centre_with(&["--attempts-per-minute", "3"], &[]);
    let identity = Identity::generate(CRYPTO).unwrap();
    let asked = request(&identity, "a", "0000-0000-0000-0000-0098");
    let codes: Vec<Code> = (0..4).map(|_| centre.refusal(&asked, &identity).1.code).collect();
    assert_eq!(codes, [Code::CodeUnknown, Code::CodeUnknown, Code::CodeUnknown, Code::TooManyAttempts]);
}

#[test]
fn the_centre_tells_its_address_and_health_and_stops_when_told() {
    let vendor = Vendor::with_series("life");
    let mut centre = vendor.start_centre();
    let written = std::fs::read_to_string(vendor.path("address")).unwrap_or_default();
    assert_eq!(centre.get("/healthz"), (200, "ok\n".to_owned()));
    // The line on standard output comes first; by the first answer the file is there.
    let written = if written.is_empty() { std::fs::read_to_string(vendor.path("address")).unwrap() } else { written };
    assert_eq!(written.trim(), centre.address);
    let (status, body) = centre.get("/api/requests");
    assert_eq!((status, error(&body).code), (405, Code::MethodNotAllowed));
    let (status, body) = centre.get("/api/nothing");
    assert_eq!((status, error(&body).code), (404, Code::NotFound));
    assert!(centre.stop().success());
}

#[test]
fn the_centre_does_not_start_without_its_key_or_passphrase_or_port() {
    let vendor = Vendor::new("start");
    std::fs::create_dir_all(vendor.path("centre")).unwrap();
    let start = |arguments: &[&str]| {
        let arguments = [&["serve", "--center", "centre", "--listen"], arguments].concat();
        let output = vendor.command(env!("CARGO_BIN_EXE_licencecenter"), &arguments).output().unwrap();
        assert!(!output.status.success());
        vendor::text(&output.stderr)
    };
    assert!(start(&["127.0.0.1:0"]).contains("licenceedit issuer"));
    vendor.edit_ok(&["series", "672B", "--name", "Товар", "--bits", "2048"]);
    let issuer = ["issuer", "--cryptkey", "672B.cryptkey", "--center", "centre"];
    assert!(vendor.edit_with(&issuer, &[("SLK_CENTER_PASSPHRASE", "слон")]).status.success());
    assert!(start(&["127.0.0.1:0"]).contains("passphrase"));
    vendor.write("right", "слон\n");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let said = start(&[&port, "--passphrase-file", "right"]);
    assert!(said.contains(&port) && said.contains("in use"), "{said}");
    let centre = vendor.start_centre_with(&[], &[("SLK_PASSPHRASE", "слон")]);
    assert_eq!(centre.get("/healthz").0, 200);
}
