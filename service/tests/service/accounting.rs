//! The rules of accounting as a component and an administrator meet them: licence control, access codes, keys that vanish, the clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use licence::accounting::Demands;
use licence::id::Bytes32;
use licence::identity::Identity;
use licence::key::{Binding, KeyType};
use licence::protocol::message::{Acquire, Alive, Call, Control, Granted, ObjectKeyQuery, Outcome};
use licence::subkeys::Policy;
use licence::time::Time;
use licence::{Code, Error, KeyNo, SessionId};
use serde_json::{Value, json};
use service::keys::{Carriers, KeyStore, Sources};

use crate::bench::*;
use crate::client::{Client, connect, session, used};

const YEARS: i64 = 5 * 365;

fn demanding(number: u32, demands: Demands) -> Acquire {
    Acquire { control: Control { key_only: false, demands }, ..session(number, None) }
}

fn coded(number: u32, code: &str) -> Acquire {
    Acquire { access_code: Some(code.into()), ..session(number, None) }
}

fn of(itn: &str) -> Demands {
    Demands { itn: Some(itn.into()), ..Demands::default() }
}

fn lost(client: &mut Client, bench: &Bench) -> HashMap<SessionId, Code> {
    match client.call(bench, Call::Heartbeat) {
        Ok(Outcome::Alive(Alive { lost })) => lost.into_iter().map(|lost| (lost.session, lost.cause.code)).collect(),
        other => panic!("{other:?}"),
    }
}

fn code(granted: Result<Granted, Error>) -> Code {
    granted.unwrap_err().code
}

fn clock(bench: &Bench) -> Value {
    bench.get("/api/serverinfo").1["Clock"].clone()
}

#[test]
fn a_session_gets_a_key_that_meets_its_control_or_learns_what_is_wrong() {
    let bench = Bench::ready("control");
    bench.install(1, |licence| licence.product_version = 2);
    bench.install(2, |licence| {
        (licence.itn, licence.iec) = (Some("7701000002".into()), Some("770101001".into()));
        (licence.reg_no, licence.licence_count) = (303, 1);
    });
    let mut client = connect(&bench);
    let strict = Demands { iec: Some("770101001".into()), ..of(" 7701000002 ") };
    assert_eq!(client.acquire(&bench, demanding(1, strict.clone())).unwrap().key_no, 2);
    let mut refused = |demands| code(client.acquire(&bench, demanding(2, demands)));
    let none = Demands::default();
    assert_eq!(refused(of("1")), Code::WrongItn);
    assert_eq!(refused(Demands { iec: Some("1".into()), ..none.clone() }), Code::WrongIec);
    assert_eq!(refused(Demands { product_version: Some(3), ..none.clone() }), Code::VersionTooOld);
    assert_eq!(refused(Demands { reg_no: Some(304), ..none.clone() }), Code::RegNoMissing);
    assert_eq!(refused(Demands { key_no: Some(3), ..none.clone() }), Code::KeyNoMissing);
    assert_eq!(refused(strict), Code::FittingTaken);
    assert_eq!(refused(Demands { itn: Some("x".repeat(1000)), ..none.clone() }), Code::BadSession);
    let empty = Demands { itn: Some(String::new()), reg_no: Some(0), ..none };
    assert_eq!(client.acquire(&bench, demanding(3, empty)).unwrap().key_no, 1);
    assert_eq!(used(&bench), 2);
}

#[test]
fn presence_of_a_key_takes_no_seat_and_opens_nothing_that_needs_one() {
    let bench = Bench::ready("key-only");
    bench.install(1, |licence| licence.licence_count = 1);
    let mut client = connect(&bench);
    let ask = |number, demands| Acquire { control: Control { key_only: true, demands }, ..session(number, None) };
    for number in 1..=3 {
        match client.call(&bench, Call::Acquire(Box::new(ask(number, Demands::default())))) {
            Ok(Outcome::Present { licence }) => assert_eq!(licence.key_no, 1),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(used(&bench), 0);
    let key = |session, seat| {
        let policy = Policy { seat, ..Policy::default() };
        Call::ObjectKey(ObjectKeyQuery { session, name: "О".into(), policy, salt: Bytes32([4; 32]) })
    };
    assert!(matches!(client.call(&bench, key(None, false)), Ok(Outcome::ObjectKey { .. })));
    assert_eq!(client.call(&bench, key(None, true)).unwrap_err().code, Code::SeatNeeded);
    let made_up = client.call(&bench, key(Some(SessionId([7; 16])), true));
    assert_eq!(made_up.unwrap_err().code, Code::SessionUnknown);
    let wrong = client.call(&bench, Call::Acquire(Box::new(ask(1, of("1")))));
    assert_eq!(wrong.unwrap_err().code, Code::WrongItn);
    bench.service.set_enabled(Vendor::first().series(), 1, false).unwrap();
    let unusable = client.call(&bench, Call::Acquire(Box::new(ask(1, Demands::default()))));
    assert_eq!(unusable.unwrap_err().code, Code::NoUsableKey);
}

#[test]
fn keys_set_aside_are_for_sessions_with_the_code_and_the_code_is_shown() {
    let conf = "[Console]\nPassword=another password\nEnableAccessCodes=1\n[AccessCodes]\nотдел продаж=2\n";
    let bench = Bench::new("codes", conf);
    bench.install(1, |licence| licence.licence_count = 1);
    bench.install(2, |licence| licence.licence_count = 1);
    let mut client = connect(&bench);
    assert_eq!(client.acquire(&bench, session(1, None)).unwrap().key_no, 1);
    assert_eq!(code(client.acquire(&bench, session(2, None))), Code::FittingTaken);
    assert_eq!(code(client.acquire(&bench, coded(2, "отдел"))), Code::AccessCodeWrong);
    assert_eq!(client.acquire(&bench, coded(2, " отдел продаж ")).unwrap().key_no, 2);
    let (_, shown) = bench.get("/api/sessions");
    let codes: Vec<&Value> =
        shown["Sessions"].as_array().unwrap().iter().map(|session| &session["AccessCode"]).collect();
    assert!(codes.contains(&&json!("отдел продаж")) && codes.contains(&&Value::Null), "{shown}");

    // The header stays: a file that has lost a restriction with the header of a section counts as cut.
    let conf = "[Console]\nPassword=another password\n[AccessCodes]\n";
    std::fs::write(paths(&bench.root).server_conf(), conf).unwrap();
    bench.service.reload_keys();
    bench.install(3, |licence| licence.licence_count = 1);
    assert_eq!(
        client.acquire(&bench, coded(3, "отдел")).unwrap().key_no,
        3,
        "with codes off any is accepted, without effect"
    );
}

#[test]
fn sessions_of_a_key_whose_file_was_removed_move_or_end_with_the_cause() {
    let bench = Bench::ready("removed");
    bench.install(1, |licence| licence.licence_count = 2);
    bench.install(2, |licence| licence.licence_count = 1);
    let mut client = connect(&bench);
    let granted: Vec<Granted> = (1..=3).map(|number| client.acquire(&bench, session(number, None)).unwrap()).collect();
    assert_eq!(granted.iter().map(|granted| granted.key_no).collect::<Vec<_>>(), [1, 1, 2]);
    std::fs::remove_file(bench.root.join("data/672B.1.licence")).unwrap();
    bench.service.reload_keys();
    let ended = lost(&mut client, &bench);
    assert_eq!(
        ended,
        HashMap::from([(granted[1].session, Code::SessionEnding), (granted[2].session, Code::SessionEnding)])
    );
    let (_, left) = bench.get(&format!("/api/sessions/{}", granted[0].session));
    assert_eq!(left["UsedLicence"], 2, "the earliest moved to the key that is left");
    let refused = client.call(&bench, Call::Licence { session: granted[1].session }).unwrap_err();
    assert_eq!(refused.code, Code::SessionEnding, "and whoever comes later is told the same");
    bench.service.ledger().touch(|book, now| book.expire(now));
    assert_eq!(used(&bench), 1);
    assert_eq!(code(client.acquire(&bench, session(4, None))), Code::AllTaken);
}

#[test]
fn sessions_of_a_key_whose_period_is_over_end_at_their_next_heartbeat() {
    let bench = Bench::ready("expired-held");
    bench.install(1, |licence| licence.period = 2);
    let mut client = connect(&bench);
    let granted = client.acquire(&bench, session(1, None)).unwrap();
    bench.clock.jump_days(1);
    bench.service.reload_keys();
    assert_eq!(lost(&mut client, &bench), HashMap::from([(granted.session, Code::SessionEnding)]));
    assert_eq!(code(client.acquire(&bench, session(1, None))), Code::NoUsableKey);
}

#[test]
fn a_clock_set_back_revives_no_key_even_after_a_restart() {
    let mut bench = Bench::ready("clock-back");
    bench.install(1, |licence| licence.period = 2);
    assert_eq!(bench.get("/api/licences/1").1["Workable"], true);
    bench.clock.jump_days(1);
    bench.service.reload_keys();
    for restart in [false, true] {
        bench.clock.jump_days(if restart { 0 } else { -YEARS });
        if restart {
            bench = reopened(bench);
        }
        bench.service.reload_keys();
        let (_, key) = bench.get("/api/licences/1");
        assert_eq!((&key["Enabled"], &key["Expired"], &key["DaysLeft"]), (&json!(false), &json!(true), &json!(0)));
        assert_eq!(bench.seats(), 0, "no free time");
        assert_eq!(clock(&bench)["BehindSeconds"], YEARS * DAY / 1000);
        let page = String::from_utf8(bench.ask(request("GET", "/", CHANGED)).body).unwrap();
        assert!(page.contains("clock is behind"), "{page}");
    }
}

#[test]
fn a_clock_set_ahead_by_years_ends_no_live_session_gives_no_new_one_and_is_forgiven() {
    let bench = Bench::ready("clock-ahead");
    bench.install(1, |licence| (licence.period, licence.licence_count) = (30, 3));
    let mut client = connect(&bench);
    let granted = client.acquire(&bench, session(1, None)).unwrap();
    bench.clock.jump_days(YEARS);
    bench.service.reload_keys();
    assert_eq!(lost(&mut client, &bench), HashMap::new());
    assert_eq!(client.acquire(&bench, session(1, None)).unwrap().session, granted.session);
    assert_eq!(code(client.acquire(&bench, session(2, None))), Code::NoUsableKey);
    let shown = clock(&bench);
    assert_eq!((&shown["AheadSeconds"], &shown["BelievedInSeconds"]), (&json!(YEARS * DAY / 1000), &json!(86_400)));
    assert_eq!((&shown["Jumps"], &shown["LastJump"]["Seconds"]), (&json!(1), &json!(YEARS * DAY / 1000)));

    let (root, moved_clock) = (bench.root.clone(), bench.clock.clone());
    assert!(std::fs::read_to_string(root.join("data/clock.state")).unwrap().contains("SLK-CLOCK"));
    moved_clock.jump_days(-YEARS);
    bench.service.reload_keys();
    assert_eq!(client.acquire(&bench, session(2, None)).unwrap().key_no, 1, "the mistake is forgotten");
    let bench = reopened(bench);
    assert_eq!(bench.get("/api/licences/1").1["Workable"], true);
    assert_eq!(clock(&bench)["BehindSeconds"], 0);
}

#[test]
fn a_damaged_record_of_time_hinders_nobody() {
    let bench = Bench::ready("clock-damaged");
    bench.install(1, |licence| licence.period = 30);
    bench.service.stop();
    bench.put("clock.state", "{");
    let bench = reopened(bench);
    assert_eq!(bench.seats(), 5);
    assert!(std::fs::read_to_string(bench.root.join("data/clock.state")).unwrap().contains("SLK-CLOCK"));
}

#[test]
fn keys_that_end_soon_are_warned_of() {
    let bench = Bench::ready("warned");
    bench.install(1, |licence| licence.period = 20);
    bench.install(2, |licence| licence.renew_by = Some(Time(NOW + 3 * DAY)));
    bench.install(3, |licence| licence.period = 300);
    let (_, info) = bench.get("/api/serverinfo");
    let told: Vec<(u64, u64)> = info["Warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| (warning["KeyNo"].as_u64().unwrap(), warning["ErrorCode"].as_u64().unwrap()))
        .collect();
    assert_eq!(told, [(1, 215), (2, 216)], "{info}");
    assert!(info["Warnings"][0]["Message"].as_str().unwrap().contains("days left: 19"));
    let page = String::from_utf8(bench.ask(request("GET", "/", CHANGED)).body).unwrap();
    assert!(page.contains("days left: 19"));
}

struct Socket(AtomicBool);

impl Carriers for &'static Socket {
    fn present(&self) -> Vec<KeyNo> {
        if self.0.load(Ordering::SeqCst) { vec![77] } else { Vec::new() }
    }
}

#[test]
fn a_main_key_whose_carrier_was_pulled_goes_on_for_its_grace_only() {
    static SOCKET: Socket = Socket(AtomicBool::new(true));
    let folder = std::env::temp_dir().join(format!("slk-service-carrier-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let identity = Arc::new(Identity::generate(CRYPTO).unwrap());
    let vendor = Vendor::first();
    let put = |key_no, change: fn(&mut licence::key::Licence)| {
        let key = vendor.licence(identity.public(), key_no, change);
        std::fs::write(folder.join(key.licence.file_name()), key.text).unwrap();
    };
    put(1, |licence| licence.binding = Binding::Blank(77));
    put(2, |licence| (licence.key_type, licence.licence_count) = (KeyType::Additional, 3));
    let sources = Sources {
        folder: folder.clone(),
        crypto: CRYPTO,
        identity: identity.clone(),
        response_key: None,
        machine,
        carriers: Box::new(&SOCKET),
        carrier_grace: Duration::from_secs(60),
        lang: licence::Lang::English,
    };
    let store = KeyStore::open(sources, Time(NOW)).unwrap();
    let size = |seconds: i64| {
        let _ = store.refresh(Time(NOW + seconds * 1000)).unwrap();
        store.snapshot().pools()[&vendor.series()].size()
    };
    assert_eq!(size(10), 8);
    SOCKET.0.store(false, Ordering::SeqCst);
    assert_eq!((size(12), size(69), size(70)), (8, 8, 0), "60 seconds after it was seen last");
    SOCKET.0.store(true, Ordering::SeqCst);
    assert_eq!(size(72), 8);
    let _ = std::fs::remove_dir_all(folder);
}

/// The service started anew over the same folder.
fn reopened(bench: Bench) -> Bench {
    let (root, clock) = (bench.root.clone(), bench.clock.clone());
    let kept = root.with_extension("kept");
    let _ = std::fs::remove_dir_all(&kept);
    bench.service.stop();
    // The bench removes its folder when it goes, so the folder moves away first.
    std::fs::rename(&root, &kept).unwrap();
    drop(bench);
    std::fs::rename(&kept, &root).unwrap();
    let service = start_again(&root, &clock);
    Bench { root, clock, service }
}
