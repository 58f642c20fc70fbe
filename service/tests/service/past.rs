//! What the service keeps of its past: who was refused, and what administrators did.

use std::sync::mpsc::channel;

use licence::Code;
use licence::accounting::denial::{Denial, SeatKind};
use serde_json::json;
use service::ledger::{AuditEntry, AuditFilter, DenialFilter};

use crate::bench::*;
use crate::client::{connect, session};

fn denials(bench: &Bench) -> Vec<Denial> {
    let (sender, receiver) = channel();
    let filter = DenialFilter { series: None, since: None, limit: 100 };
    bench.service.ledger().denials(filter, move |found| sender.send(found).unwrap());
    receiver.recv().unwrap().unwrap()
}

fn acts(bench: &Bench) -> Vec<AuditEntry> {
    let (sender, receiver) = channel();
    bench.service.ledger().acts(AuditFilter { since: None, limit: 100 }, move |found| sender.send(found).unwrap());
    receiver.recv().unwrap().unwrap()
}

#[test]
fn whoever_is_refused_is_on_record_with_the_cause_the_address_and_the_seats() {
    let bench = Bench::ready("refused");
    bench.install(1, |licence| licence.licence_count = 1);
    assert_eq!(bench.seats(), 1);
    let mut client = connect(&bench);
    for _ in 0..3 {
        assert_eq!(client.acquire(&bench, session(7, None)).unwrap_err().code, Code::AllTaken);
    }
    let mut found = denials(&bench);
    found.sort_by_key(|denial| denial.applicant.kind);
    let kinds: Vec<SeatKind> = found.iter().map(|denial| denial.applicant.kind).collect();
    assert!(kinds.contains(&SeatKind::External) && kinds.len() == 2, "{found:?}");
    for denial in &found {
        assert_eq!((denial.error.code, denial.held, denial.total), (Code::AllTaken, 1, 1));
        assert!(denial.applicant.address.is_some_and(|address| address.is_loopback()), "{denial:?}");
    }
    assert_eq!(found.iter().map(|denial| denial.count).sum::<u64>(), 4);
}

#[test]
fn administrative_acts_are_on_record_with_who_where_and_how_they_ended_and_without_secrets() {
    let bench = Bench::ready("acts");
    let weak = json!({ "UserName": "admin", "Password": "secret!" });
    let good = json!({ "UserName": "anna", "Password": "a secret of hers" });
    assert_eq!(bench.ask(write("PUT", "/api/password", CHANGED, &weak)).status, 400);
    assert_eq!(bench.ask(write("PUT", "/api/password", None, &good)).status, 401);
    assert_eq!(bench.ask(write("PUT", "/api/password", CHANGED, &good)).status, 202);
    let acts = acts(&bench);
    let ends: Vec<(u16, Option<Code>)> =
        acts.iter().map(|act| (act.status, act.error.as_ref().map(|error| error.code))).collect();
    assert_eq!(ends, [(202, None), (400, Some(Code::BadRequest))], "the latest first, and nobody's act is none");
    for act in &acts {
        assert_eq!((act.act.as_str(), act.object.as_str()), ("PUT /api/password", "/api/password"));
        assert_eq!((act.user.as_str(), act.address), ("admin", Some([127, 0, 0, 1].into())));
        assert!(!format!("{act:?}").contains("secret"), "{act:?}");
    }
}

#[test]
fn looking_and_taking_a_seat_is_no_administrative_act() {
    let bench = Bench::ready("no-acts");
    bench.install(1, |_| {});
    assert_eq!(bench.seats(), 5);
    assert_eq!(bench.get("/api/sessions").0, 200);
    assert_eq!(bench.post("/api/sessions", &json!({ "KeyID": "672B", "ClientSessionID": "seat 1" })).0, 200, "renewed");
    let sessions = json!({ "Sessions": [{ "KeyID": "672B", "ClientSessionID": "seat 1" }] });
    for path in ["/api/bulk/take", "/api/bulk/release"] {
        assert_eq!(bench.post(path, &sessions).0, 200, "{path}");
    }
    assert_eq!(acts(&bench), []);
}
