//! What befalls a key after its activation, against a small centre that signs with the test keys: reserve codes, updates, files, and
//! what is left in the data folder when any of it is put back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use licence::Code;
use licence::activation::{
    Activate, Answer, ApiCertificate, CodeParameters, CodeState, Memory, Offer, Outcome, Purpose, Request, Reserved,
    Retirement, Revocations, Updated,
};
use licence::code::ActivationCode;
use licence::datafile::Part;
use licence::id::Bytes32;
use licence::key::{Binding, KeyType};
use licence::protocol::keys::{Deactivate, Hidden, Install, KeyCall, KeyOutcome, Wish};
use licence::protocol::message::{Alive, Call, DatafileQuery, ObjectKeyQuery, Outcome as Reply};
use licence::subkeys::Policy;
use licence::time::Time;
use serde_json::{Value, json};

use crate::activation::{bench, centre, honest, signed};
use crate::bench::*;
use crate::client::{Client, connect, connect_installer, session};

/// The code that this centre gives for key 1.
pub fn reserve_code() -> ActivationCode {
    "1234-5678-9012-3456-7888".parse().unwrap()
}

/// An honest centre: a code becomes key 1 of issue `issue`, key 1 becomes the reserve code, an update brings the issue of now.
pub fn answer(request: &Request, issue: u32) -> (u16, String) {
    let vendor = Vendor::first();
    let (signer, issuer, series) = (vendor.issuing.as_ref(), &vendor.issuer, vendor.series());
    let key_id = series.key_id;
    let licence = |seats: u32| {
        let code = request.code().unwrap_or_else(reserve_code);
        let key = vendor.licence(request.identity, 1, |licence| {
            (licence.activation_code, licence.issue, licence.licence_count) = (code, issue, seats);
            licence.binding = Binding::Computer(request.fingerprint.clone());
        });
        key.text
    };
    let certificate =
        || ApiCertificate { key_id, identity: request.identity, key: request.api_key.clone(), issued: Time(NOW) };
    let outcome = match &request.purpose {
        Purpose::Activate(Activate { .. }) => {
            let mut answer = honest(request);
            if let Outcome::Activated(activated) = &mut answer.outcome {
                activated.licence = licence(5);
                activated.memory = (issue > 1).then(|| Memory { data: "moved".into(), ..Memory::default() });
            }
            return signed(&answer);
        }
        Purpose::Reserve(asked) => {
            let retirement = Retirement { key_id, key_no: asked.key_no, issue: asked.issue, retired: Time(NOW) };
            let retirement = retirement.sign(signer, issuer).unwrap();
            let key = (&series, asked.key_no, asked.issue);
            Outcome::Reserved(Reserved::new(CRYPTO, reserve_code(), &request.identity, key, retirement).unwrap())
        }
        Purpose::Update(_) => {
            let held = request.installed.iter().map(|key| key.issue).max().unwrap_or(0);
            let revocations = Revocations { key_id, issued: Time(NOW + 1000), revoked: vec![2] };
            Outcome::Updated(Updated {
                licences: if held < issue { vec![licence(7)] } else { Vec::new() },
                retirements: Vec::new(),
                revocations: revocations.sign(signer, issuer).unwrap(),
                api_certificate: certificate().sign(signer, issuer).unwrap(),
            })
        }
        Purpose::CodeParameters(_) => Outcome::CodeParameters(Box::new(CodeParameters {
            series,
            state: CodeState::New,
            key_no: None,
            itn_required: false,
            iec_required: false,
            offer: Offer {
                key_type: KeyType::Main,
                service_type: 0,
                licence_count: 5,
                product_version: 0,
                start_date: None,
                period: 0,
                flags: Default::default(),
                parameters: Default::default(),
                product_name: "Тестовая серия".into(),
                article: String::new(),
                article_name: String::new(),
                support: Default::default(),
                identity_file: false,
                until: None,
            },
        })),
    };
    signed(&Answer { nonce: request.nonce, time: Time(NOW + 1000), outcome })
}

/// A server whose centre issues licences of the issue that the number says; and the answers as files.
struct Stand {
    bench: Bench,
    issue: Arc<AtomicU32>,
}

impl Stand {
    fn new(name: &str) -> Stand {
        let issue = Arc::new(AtomicU32::new(1));
        let now = issue.clone();
        let url = centre(move |text| answer(&Request::read(CRYPTO, "test", text).unwrap(), now.load(Ordering::SeqCst)));
        Stand { bench: bench(name, &url), issue }
    }

    fn activate(&self) -> Value {
        let code = ActivationCode::random(CRYPTO).unwrap().to_string();
        let (status, licence) = self.bench.post("/api/licences", &json!({ "ActivationCodeString": code }));
        assert_eq!(status, 201, "{licence}");
        licence
    }

    fn reserve(&self) -> Value {
        let why = json!({ "Reason": "переезд", "Comment": "на новый сервер" });
        let (status, body) = self.bench.post("/api/licences/1/reserve", &why);
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The centre's answer to a request file.
    fn by_file(&self, order: &Value) -> String {
        let (status, file) = self.bench.post("/api/requests", order);
        assert_eq!(status, 201, "{file}");
        assert!(file["FileName"].as_str().unwrap().ends_with(".request"));
        let request = Request::read(CRYPTO, "test", file["Text"].as_str().unwrap()).unwrap();
        answer(&request, self.issue.load(Ordering::SeqCst)).1
    }

    fn respond(&self, text: &str) -> (u16, Value) {
        self.bench.post("/api/responses", &json!({ "Text": text }))
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.bench.root.join("data").join(name)
    }

    /// Why key 1 can't be used.
    fn error(&self) -> String {
        self.bench.get("/api/licences/1").1["OpenError"].as_str().unwrap_or_default().to_owned()
    }
}

#[test]
fn a_key_given_up_counts_no_more_and_the_same_code_is_given_again() {
    let stand = Stand::new("reserve");
    stand.activate();
    assert_eq!(stand.bench.seats(), 5);
    let given = stand.reserve();
    assert_eq!(given, json!({ "KeyID": "672B", "KeyNo": 1, "ReserveCode": reserve_code().to_string() }));
    assert!(stand.error().contains("deactivated"), "{}", stand.error());
    let health = stand.bench.get("/api/sessions").1;
    assert_eq!(health["Sessions"].as_array().unwrap().len(), 5, "seats end gracefully, not at once");
    let (status, body) = stand.bench.post("/api/sessions", &json!({ "KeyID": "672B", "ClientSessionID": "new" }));
    assert_eq!((status, &body["ErrorCode"]), (409, &json!(301)), "{body}");
    assert_eq!(stand.reserve(), given);
}

#[test]
fn a_licence_put_back_after_its_retirement_does_not_count_until_a_newer_issue_comes() {
    let stand = Stand::new("put-back");
    stand.activate();
    let licence = std::fs::read(stand.file("672B.1.licence")).unwrap();
    stand.reserve();
    std::fs::remove_file(stand.file("672B.1.licence")).unwrap();
    stand.bench.put("from a backup.licence", &licence);
    stand.bench.service.reload_keys();
    assert_eq!(stand.bench.seats(), 0);
    assert!(stand.error().contains("deactivated"));

    stand.issue.store(2, Ordering::SeqCst);
    let back = stand.activate();
    assert_eq!((&back["Workable"], &back["KeyNo"]), (&json!(true), &json!(1)), "{back}");
    assert_eq!(stand.bench.seats(), 5);
    // The newer licence is gone, and the older one does not come back in its place.
    std::fs::remove_file(stand.file("672B.1.licence")).unwrap();
    stand.bench.service.reload_keys();
    let errors = stand.bench.errors();
    assert!(errors.len() == 1 && errors[0].1.is_some(), "{errors:?}");
}

#[test]
fn an_update_brings_more_licences_and_revocations_and_keeps_the_old_file() {
    let stand = Stand::new("update");
    stand.activate();
    stand.bench.install(2, |_| {});
    let old = std::fs::read_to_string(stand.file("672B.1.licence")).unwrap();
    stand.issue.store(3, Ordering::SeqCst);
    let (status, body) = stand.bench.post("/api/updates", &json!({ "KeyID": "672B" }));
    let expected = json!({ "Updates": [{ "KeyID": "672B", "Updated": [1], "Retired": [], "Revoked": [2] }] });
    assert_eq!((status, body), (200, expected));
    assert_eq!(stand.bench.seats(), 7);
    assert!(
        stand.bench.errors().iter().any(|(_, error)| error.as_deref().is_some_and(|text| text.contains("revoked")))
    );
    let kept: Vec<_> = std::fs::read_dir(stand.file("old")).unwrap().flatten().collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read_to_string(kept[0].path()).unwrap(), old);
    let (_, body) = stand.bench.post("/api/updates", &json!({}));
    assert_eq!(body["Updates"][0]["Updated"], json!([]), "there is nothing newer");
    assert_eq!(stand.bench.post("/api/updates", &json!({ "KeyID": "0001" })).1["ErrorCode"], 300);
    // An older issue that is put back counts no more, even when the newer one is gone.
    std::fs::write(stand.file("672B.1.licence"), &old).unwrap();
    stand.bench.service.reload_keys();
    assert_eq!(stand.bench.get("/api/sessions").0, 200);
    let errors = stand.bench.errors();
    assert!(errors.iter().all(|(_, error)| error.is_some()), "{errors:?}");
    assert!(errors.iter().flat_map(|(_, error)| error).any(|error| error.contains("issue 3 was here")), "{errors:?}");
    // The centre hears what is here, and brings the newer one again.
    assert_eq!(stand.bench.post("/api/updates", &json!({})).1["Updates"][0]["Updated"], json!([1]));
    assert_eq!(stand.bench.get("/api/licences/1").1["Workable"], json!(true));
}

#[test]
fn everything_works_by_files_and_an_answer_without_its_question_is_refused() {
    let stand = Stand::new("by-file");
    let code = ActivationCode::random(CRYPTO).unwrap().to_string();
    let order = json!({ "Purpose": "Activate", "ActivationCodeString": code });
    let response = stand.by_file(&order);
    let (status, body) = stand.respond(&response.replace('\n', "\r\n"));
    assert_eq!((status, &body["Licence"]["Workable"]), (200, &json!(true)), "{body}");
    assert_eq!(stand.bench.seats(), 5);
    let (status, body) = stand.respond(&response);
    assert_eq!((status, &body["ErrorCode"]), (409, &json!(450)), "it was installed already");

    stand.issue.store(2, Ordering::SeqCst);
    let (_, body) = stand.respond(&stand.by_file(&json!({ "Purpose": "Update" })));
    assert_eq!(body["Update"]["Updated"], json!([1]), "{body}");

    let other = Stand::new("by-file-other");
    let reserve = stand.by_file(&json!({ "Purpose": "Reserve", "KeyNo": 1, "Reason": "x" }));
    assert!(!reserve.contains(&reserve_code().digits()), "the code shows itself only where the key stops counting");
    assert_eq!(other.respond(&reserve).1["ErrorCode"], 450);
    assert_eq!(stand.error(), "", "until the answer is installed the key counts");
    let (status, body) = stand.respond(&reserve);
    assert_eq!((status, &body["Reserve"]["ReserveCode"]), (200, &json!(reserve_code().to_string())), "{body}");
    assert!(stand.error().contains("deactivated"));
    for text in ["", "SLK-ANSWER 1", "<html>"] {
        assert!(stand.respond(text).0 >= 400, "{text}");
    }
}

#[test]
fn the_centre_is_told_the_series_that_a_code_must_be_of_and_no_other_licence_is_installed() {
    // A centre that does not look at it.
    let url = centre(move |text| {
        let request = Request::read(CRYPTO, "test", text).unwrap();
        let Purpose::Activate(asked) = &request.purpose else { return answer(&request, 1) };
        assert!(asked.key_id.is_some());
        answer(&request, 1)
    });
    let bench = bench("other-series", &url);
    let code = ActivationCode::random(CRYPTO).unwrap().to_string();
    let order = |series: &str| json!({ "ActivationCodeString": code, "KeyID": series });
    assert_eq!(bench.post("/api/licences", &order("0001")).1["ErrorCode"], 406);
    assert_eq!(bench.errors(), []);
    assert_eq!(bench.post("/api/licences", &order("672b")).0, 201);
    let (status, parameters) = bench.post("/api/codes", &json!({ "ActivationCodeString": code }));
    assert_eq!((status, &parameters["LicenceCount"], &parameters["State"]), (200, &json!(5), &json!("New")));
}

#[test]
fn keys_of_others_and_unknown_ones_give_no_reserve_code() {
    let stand = Stand::new("not-ours");
    let stranger = licence::identity::Identity::generate(CRYPTO).unwrap().public();
    stand.bench.put("stranger.licence", Vendor::first().licence(stranger, 9, |_| {}).text);
    stand.bench.service.reload_keys();
    for number in ["9", "77", "x"] {
        let (status, body) = stand.bench.post(&format!("/api/licences/{number}/reserve"), &json!({}));
        assert_eq!((status, &body["ErrorCode"]), (404, &json!(112)), "{number}");
    }
    stand.activate();
    let (status, _) = stand.bench.post("/api/licences/1/reserve", &json!({ "Reason": "x".repeat(1001) }));
    assert_eq!(status, 400);
    let default = write("POST", "/api/licences/1/reserve", DEFAULT, &json!({}));
    assert_eq!(stand.bench.ask(default).status, 401);
}

#[test]
fn the_parts_of_the_machine_are_shown_and_what_each_key_knows_of_them() {
    let stand = Stand::new("parts");
    stand.activate();
    let (_, body) = stand.bench.get("/api/fingerprint");
    assert_eq!(body["Machine"].as_array().unwrap().len(), 3);
    let key = &body["Keys"][0];
    assert_eq!(
        (&key["Matched"], &key["Total"], &key["Needed"], &key["Holds"]),
        (&json!(7), &json!(7), &json!(4), &json!(true))
    );
    assert_eq!(key["Parts"][0], json!({ "Kind": "MachineId", "Weight": 3, "Matches": true }));
    assert!(!body.to_string().contains("Hashes"), "hashes are for the centre only");
}

#[test]
fn news_come_by_themselves_once_a_day_where_it_is_allowed() {
    let asked = Arc::new(AtomicU32::new(0));
    let seen = asked.clone();
    let (tell, told) = std::sync::mpsc::channel();
    let url = centre(move |text| {
        let request = Request::read(CRYPTO, "test", text).unwrap();
        seen.fetch_add(1, Ordering::SeqCst);
        let answer = answer(&request, 2);
        tell.send(()).unwrap();
        answer
    });
    let conf = format!(
        "[Common]\nLicenceCenterUrl={url}\nLicenceCenterUseProxy=0\n[Console]\nPassword=another password\n[LicenceUpdate]\nEnabled=1\n"
    );
    let bench = Bench::new("daily", &conf);
    bench.install(1, |_| {});
    told.recv().unwrap();
    bench.clock.jump_days(1);
    told.recv().unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // The answer is taken up as well, so nothing writes into the folder any more when it goes.
    let requests = bench.root.join("data/requests.state");
    while !std::fs::read_to_string(&requests).is_ok_and(|text| text.contains("\"Requests\": []")) {
        std::thread::yield_now();
    }
}

fn hidden(text: &str) -> Hidden {
    Hidden(text.into())
}

/// A component whose session has a seat.
fn seated(bench: &Bench) -> Client {
    let mut client = connect(bench);
    assert!(client.call(bench, Call::Acquire(Box::new(session(1, None)))).is_ok());
    client
}

/// A component's call about keys.
fn ask(client: &mut Client, bench: &Bench, call: KeyCall) -> Result<KeyOutcome, Code> {
    match client.call(bench, Call::Key(Box::new(call))) {
        Ok(Reply::Key(outcome)) => Ok(*outcome),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.code),
    }
}

#[test]
fn the_memory_of_a_key_is_behind_its_passwords_and_guessing_has_to_wait() {
    let stand = Stand::new("memory");
    stand.bench.install(1, |_| {});
    let mut client = seated(&stand.bench);
    let mut ask = |call| ask(&mut client, &stand.bench, call);
    let read = |password: &str| KeyCall::ReadMemory { key_no: None, password: hidden(password) };
    let write = |password: &str, data: &str| KeyCall::WriteMemory {
        key_no: Some(1),
        password: hidden(password),
        data: hidden(data),
    };
    let set = |old: [&str; 2], new: [&str; 2]| KeyCall::SetPasswords {
        key_no: Some(1),
        old: old.map(hidden),
        new: new.map(hidden),
    };
    let memory = |text: &str| Ok(KeyOutcome::Memory { data: hidden(text) });
    assert_eq!(ask(read("")), memory(""));
    assert_eq!(ask(write("", "тайна")), Ok(KeyOutcome::Done));
    assert_eq!(ask(set(["", ""], ["чтение", "запись"])), Ok(KeyOutcome::Done));
    assert_eq!(ask(read("чтение")), memory("тайна"));
    assert_eq!(ask(read("запись")), Err(Code::MemoryClosed));
    assert_eq!(ask(write("чтение", "x")), Err(Code::MemoryClosed));
    assert_eq!(ask(KeyCall::ClearMemory { key_no: Some(1), password: hidden("") }), Err(Code::MemoryClosed));
    assert_eq!(ask(set(["чтение", ""], ["", ""])), Err(Code::MemoryClosed));
    assert_eq!(ask(write("запись", &"x".repeat(401))), Err(Code::MemoryTooLong));
    assert_eq!(ask(set(["чтение", "запись"], ["123456789", ""])), Err(Code::MemoryTooLong));
    assert_eq!(ask(KeyCall::ReadMemory { key_no: Some(77), password: hidden("") }), Err(Code::RecordNotFound));
    let stored = std::fs::read_to_string(stand.file("keys.memory")).unwrap();
    assert!(!stored.contains("чтение") && stored.contains("$argon2id$"), "{stored}");

    let mut guesses = 0;
    while ask(read("guess")) == Err(Code::MemoryClosed) {
        guesses += 1;
        assert!(guesses < 10);
    }
    assert_eq!(ask(read("чтение")), Err(Code::TooManyAttempts));
    stand.bench.clock.advance(600_000);
    let mut client = seated(&stand.bench);
    assert_eq!(self::ask(&mut client, &stand.bench, read("чтение")), memory("тайна"));
    let clear = KeyCall::ClearMemory { key_no: Some(1), password: hidden("запись") };
    assert_eq!(self::ask(&mut client, &stand.bench, clear), Ok(KeyOutcome::Done));
    assert_eq!(self::ask(&mut client, &stand.bench, read("чтение")), memory(""));
}

#[test]
fn only_who_has_a_seat_over_the_connection_changes_a_memory() {
    let stand = Stand::new("seat-memory");
    stand.bench.install(1, |_| {});
    let none = || hidden("");
    let changes = || {
        [
            KeyCall::WriteMemory { key_no: None, password: none(), data: hidden("x") },
            KeyCall::ClearMemory { key_no: None, password: none() },
            KeyCall::SetPasswords { key_no: None, old: [none(), none()], new: [none(), none()] },
        ]
    };
    let mut stranger = connect(&stand.bench);
    let mut holder = seated(&stand.bench);
    let refused = |client: &mut Client| {
        for change in changes() {
            assert_eq!(ask(client, &stand.bench, change), Err(Code::MemoryNeedsSeat));
        }
        let read = KeyCall::ReadMemory { key_no: None, password: none() };
        assert!(ask(client, &stand.bench, read).is_ok(), "what has no password is read by anybody");
    };
    refused(&mut stranger);
    // A key that is only looked for gives no seat.
    let mut present = session(2, None);
    present.control.key_only = true;
    assert!(stranger.call(&stand.bench, Call::Acquire(Box::new(present))).is_ok());
    refused(&mut stranger);
    for change in changes() {
        assert_eq!(ask(&mut holder, &stand.bench, change), Ok(KeyOutcome::Done));
    }
    // The same session elsewhere: the seat is there now.
    let Ok(Reply::Granted(granted)) = holder.call(&stand.bench, Call::Acquire(Box::new(session(3, None)))) else {
        panic!("no second seat")
    };
    assert!(holder.call(&stand.bench, Call::Release { session: granted.session }).is_ok());
    for change in changes() {
        assert_eq!(ask(&mut holder, &stand.bench, change), Ok(KeyOutcome::Done), "one seat is left");
    }
    let Ok(Reply::Granted(again)) = holder.call(&stand.bench, Call::Acquire(Box::new(session(1, None)))) else {
        panic!("the same seat")
    };
    assert!(holder.call(&stand.bench, Call::Release { session: again.session }).is_ok());
    refused(&mut holder);
}

#[test]
fn the_memory_of_the_series_is_that_of_its_main_key() {
    let stand = Stand::new("main-memory");
    stand.bench.install(3, |licence| licence.key_type = KeyType::Demo);
    let mut client = connect(&stand.bench);
    let read = |key_no| KeyCall::ReadMemory { key_no, password: hidden("") };
    assert_eq!(ask(&mut client, &stand.bench, read(None)), Err(Code::NoKey), "a demo key is no main key");
    stand.bench.install(1, |_| {});
    let mut client = seated(&stand.bench);
    let write = KeyCall::WriteMemory { key_no: Some(1), password: hidden(""), data: hidden("основной") };
    assert_eq!(ask(&mut client, &stand.bench, write), Ok(KeyOutcome::Done));
    assert_eq!(ask(&mut client, &stand.bench, read(None)), Ok(KeyOutcome::Memory { data: hidden("основной") }));
}

#[test]
fn a_component_brings_the_first_key_of_a_series_to_a_server_that_gives_it_nothing_else() {
    let stand = Stand::new("first-key");
    let mut client = connect_installer(&stand.bench);
    assert!(client.established.hello.licences.is_empty());
    let claimed = client.call(&stand.bench, Call::Acquire(Box::new(session(1, None)))).unwrap_err().code;
    assert_eq!(claimed, Code::NoKey);
    let memory = KeyCall::ReadMemory { key_no: None, password: hidden("") };
    assert_eq!(ask(&mut client, &stand.bench, memory), Err(Code::NoKey));
    let code = hidden(&ActivationCode::random(CRYPTO).unwrap().to_string());
    let installed = ask(&mut client, &stand.bench, KeyCall::Install(Install { code, ..Install::default() }));
    assert!(matches!(installed, Ok(KeyOutcome::Installed { licence }) if licence.workable));
    let mut client = connect(&stand.bench);
    assert!(client.call(&stand.bench, Call::Acquire(Box::new(session(1, None)))).is_ok());
}

#[test]
fn a_connection_for_the_first_key_can_do_nothing_else_even_when_the_key_is_there() {
    let stand = Stand::new("first-key-only");
    let mut client = connect_installer(&stand.bench);
    let give_up =
        Deactivate { key_no: 1, login: "admin".into(), password: hidden("another password"), ..Deactivate::default() };
    let object = ObjectKeyQuery { session: None, name: "a".into(), policy: Policy::default(), salt: Bytes32([0; 32]) };
    let calls = || {
        let memory = KeyCall::ReadMemory { key_no: Some(1), password: hidden("") };
        let about_keys = [KeyCall::Update, KeyCall::Deactivate(give_up.clone()), memory]
            .into_iter()
            .chain([Wish::Update, Wish::Deactivate(give_up.clone())].map(|wish| KeyCall::Request { wish }));
        let others = [
            Call::Acquire(Box::new(session(1, None))),
            Call::Licences { all_series: true, only_available: false },
            Call::Counters,
            Call::ServerParameter { name: "a".into() },
            Call::Parameter { key_no: None, name: "a".into(), or_main: false },
            Call::Datafile(DatafileQuery { part: Part::Main, at: 0, length: 10 }),
            Call::ObjectKey(object.clone()),
        ];
        about_keys.map(|call| Call::Key(Box::new(call))).chain(others)
    };
    for _ in 0..2 {
        for call in calls() {
            assert_eq!(client.call(&stand.bench, call.clone()).unwrap_err().code, Code::NoKey, "{call:?}");
        }
        assert_eq!(client.call(&stand.bench, Call::Heartbeat), Ok(Reply::Alive(Alive { lost: Vec::new() })));
        stand.bench.install(1, |_| {});
    }
    assert_eq!(stand.bench.get("/api/connections").1["Connections"], json!([]), "the book does not know it");
    assert_eq!(client.call(&stand.bench, Call::Disconnect), Ok(Reply::Done));
    assert!(connect(&stand.bench).call(&stand.bench, Call::Acquire(Box::new(session(1, None)))).is_ok());
}

#[test]
fn a_component_installs_updates_and_gives_up_keys_of_its_series() {
    let stand = Stand::new("component");
    stand.bench.install(9, |licence| licence.key_type = KeyType::Demo);
    let mut client = connect(&stand.bench);
    let mut ask = |call| ask(&mut client, &stand.bench, call);
    let code = ActivationCode::random(CRYPTO).unwrap();
    let install = Install { code: hidden(&code.to_string()), ..Install::default() };
    match ask(KeyCall::CodeParameters { code: install.code.clone() }) {
        Ok(KeyOutcome::CodeParameters { parameters }) => assert_eq!(parameters.offer.licence_count, 5),
        other => panic!("{other:?}"),
    }
    match ask(KeyCall::Install(install.clone())) {
        Ok(KeyOutcome::Installed { licence }) => assert_eq!((licence.key_no, licence.workable), (1, true)),
        other => panic!("{other:?}"),
    }
    stand.issue.store(2, Ordering::SeqCst);
    let news = ask(KeyCall::Update);
    assert_eq!(news, Ok(KeyOutcome::Updated { updated: vec![1], retired: vec![], revoked: vec![] }));
    let give_up = |login: &str, password: &str| Deactivate {
        key_no: 1,
        login: login.into(),
        password: hidden(password),
        ..Deactivate::default()
    };
    assert_eq!(ask(KeyCall::Deactivate(give_up("admin", "wrong"))), Err(Code::Unauthorized));
    assert_eq!(ask(KeyCall::Request { wish: Wish::Deactivate(give_up("", "")) }), Err(Code::Unauthorized));
    assert_eq!(stand.error(), "");
    let file = match ask(KeyCall::Request { wish: Wish::Deactivate(give_up("admin", "another password")) }) {
        Ok(KeyOutcome::Request { text, .. }) => text,
        other => panic!("{other:?}"),
    };
    let response = answer(&Request::read(CRYPTO, "test", &file).unwrap(), 2).1;
    let reserved = Ok(KeyOutcome::Reserved { key_no: 1, code: hidden(&reserve_code().to_string()) });
    assert_eq!(ask(KeyCall::Respond { text: response }), reserved);
    assert!(stand.error().contains("deactivated"));
    assert_eq!(ask(KeyCall::Deactivate(give_up("admin", "another password"))), reserved);
    // Whoever has no account may not make this server ask for ever.
    let refused = (0..20).find_map(|_| ask(KeyCall::CodeParameters { code: install.code.clone() }).err());
    assert_eq!(refused, Some(Code::TooManyAttempts));
}
