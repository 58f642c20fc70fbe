//! Licence control, access codes and keys that give no new seats.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::accounting::control::{AccessCodes, Marks};

/// Keys 1 to 3 with 1 seat each: keys 1 and 2 of owner `one`, key 3 of owner `two`; versions 1, 2, 3.
fn three() -> Desk {
    let mut desk = Desk::new(&[]);
    put(&mut desk, &[(1, 1), (2, 1), (3, 1)], &[]);
    desk
}

fn marks(key_no: KeyNo) -> Marks {
    let itn = Some(if key_no < 3 { "one" } else { "two" }.to_owned());
    Marks { key_no, reg_no: 200 + key_no, itn, iec: None, product_version: key_no as u16 }
}

fn put(desk: &mut Desk, keys: &[(KeyNo, u32)], codes: &[(&str, &[KeyNo])]) {
    let table = codes.iter().map(|(code, keys)| ((*code).to_owned(), keys.iter().copied().collect()));
    let codes =
        if codes.is_empty() { AccessCodes::default() } else { AccessCodes::new(table.collect::<BTreeMap<_, _>>()) };
    let known = keys.iter().map(|(key_no, _)| (*key_no, marks(*key_no))).collect();
    let terms = Terms { marks: HashMap::from([(SERIES, known)]), codes, kept: HashMap::new() };
    desk.book.set_terms(terms, pools(keys), desk.now());
}

fn of(itn: &str) -> Demands {
    Demands { itn: Some(itn.into()), ..Demands::default() }
}

impl Desk {
    fn demand(&mut self, connection: ConnectionId, asker: Asker, number: u32, demands: Demands) -> Result<Grant> {
        let mut wish = self.wish(connection, asker, session(number));
        wish.demands = demands;
        self.book.claim(wish, self.now())
    }

    fn coded(&mut self, connection: ConnectionId, number: u32, code: Option<&str>) -> Result<Grant> {
        let mut wish = self.wish(connection, Asker::Server, session(number));
        wish.access_code = code.map(str::to_owned);
        self.book.claim(wish, self.now())
    }

    fn key_of(&self, grant: &Grant) -> KeyNo {
        self.book.session(grant.session, self.now()).unwrap().record.key_no
    }
}

#[test]
fn a_claim_takes_the_first_key_with_room_that_meets_its_demands() {
    let mut desk = three();
    let a = desk.connect();
    assert_eq!(desk.demand(a, Asker::Server, 1, of("two")).unwrap().key_no, 3);
    let newer = Demands { product_version: Some(2), ..Demands::default() };
    assert_eq!(desk.demand(a, Asker::Server, 2, newer).unwrap().key_no, 2);
    assert_eq!(desk.serve(a, 3).unwrap().key_no, 1);
}

#[test]
fn demands_that_no_key_meets_are_not_the_same_as_seats_that_are_taken() {
    let mut desk = three();
    let a = desk.connect();
    assert_eq!(code(desk.demand(a, Asker::Server, 1, of("three"))), Code::WrongItn);
    let version = |version| Demands { product_version: Some(version), ..Demands::default() };
    assert_eq!(code(desk.demand(a, Asker::Server, 1, version(4))), Code::VersionTooOld);
    desk.demand(a, Asker::Server, 1, of("two")).unwrap();
    let refusal = desk.demand(a, Asker::Server, 2, of("two")).unwrap_err();
    assert_eq!((refusal.code, &refusal.args[1..]), (Code::FittingTaken, &["1".to_owned(), "1".to_owned()][..]));
    assert_eq!(desk.used(), 1, "a refusal takes nothing");
    desk.serve(a, 3).unwrap();
    desk.serve(a, 4).unwrap();
    assert_eq!(code(desk.serve(a, 5)), Code::AllTaken);
    let codes: Vec<Code> = desk.book.take_denials().into_iter().map(|denial| denial.error.code).collect();
    assert_eq!(codes.len(), 4, "{codes:?}");
}

#[test]
fn without_a_usable_key_control_says_what_it_says_without_control() {
    let mut desk = Desk::new(&[]);
    put(&mut desk, &[], &[]);
    let a = desk.connect();
    assert_eq!(code(desk.demand(a, Asker::Server, 1, of("one"))), Code::NoKey);
}

#[test]
fn a_computers_seat_moves_to_a_key_that_all_its_sessions_may_have_and_stays_one_seat() {
    let mut desk = three();
    let a = desk.connect();
    let first = desk.claim(a, Asker::Desktop(PC), 1).unwrap();
    desk.book.take_changes().clear();
    let second = desk.demand(a, Asker::Desktop(PC), 2, of("two")).unwrap();
    assert_eq!((desk.used(), second.key_no, desk.key_of(&first)), (1, 3, 3));
    let changes = desk.book.take_changes();
    assert!(changes.iter().all(|change| matches!(change, Change::Put(record) if record.key_no == 3)));
    assert_eq!(changes.len(), 2, "the move and the grant are written down");

    assert_eq!(code(desk.demand(a, Asker::Desktop(PC), 3, of("one"))), Code::SeatShared, "one seat is on one key");
    assert_eq!((desk.used(), desk.key_of(&first)), (1, 3));
    desk.book.release(a, second.session, desk.now()).unwrap();
    assert_eq!(desk.demand(a, Asker::Desktop(PC), 3, of("one")).unwrap().key_no, 1);
}

#[test]
fn a_session_that_claims_again_with_other_demands_moves_or_keeps_what_it_has() {
    let mut desk = three();
    let a = desk.connect();
    let grant = desk.serve(a, 1).unwrap();
    let again = desk.demand(a, Asker::Server, 1, of("two")).unwrap();
    assert_eq!((again.session, again.granted, again.key_no), (grant.session, Granted::Again, 3));
    assert_eq!(code(desk.demand(a, Asker::Server, 1, of("three"))), Code::WrongItn);
    assert!(desk.book.use_session(a, grant.session, desk.now()).is_ok(), "a refusal changes nothing");
}

#[test]
fn a_client_that_resumes_after_a_restart_sits_on_a_key_that_meets_its_demands() {
    let mut desk = three();
    let a = desk.connect();
    let grant = desk.demand(a, Asker::Server, 1, of("two")).unwrap();
    desk.book = Book::restore(leases(), desk.records(), desk.now());
    put(&mut desk, &[(1, 1), (2, 1)], &[]);
    assert_eq!(desk.key_of(&grant), 1, "its demands are not known until it claims anew");
    let b = desk.connect();
    assert_eq!(code(desk.demand(b, Asker::Server, 1, of("two"))), Code::WrongItn);
    put(&mut desk, &[(1, 1), (3, 1)], &[]);
    let back = desk.demand(b, Asker::Server, 1, of("two")).unwrap();
    assert_eq!((back.session, back.key_no), (grant.session, 3));
}

#[test]
fn a_seat_whose_key_vanished_moves_only_to_a_key_that_meets_its_demands() {
    let mut desk = three();
    let a = desk.connect();
    let strict = desk.demand(a, Asker::Server, 1, of("two")).unwrap();
    let loose = desk.serve(a, 2).unwrap();
    put(&mut desk, &[(1, 1), (2, 1)], &[]);
    let ended = desk.book.heartbeat(a, desk.now()).unwrap().ended;
    assert_eq!(
        ended.iter().map(|(id, error)| (*id, error.code)).collect::<Vec<_>>(),
        [(strict.session, Code::SessionEnding)]
    );
    assert_eq!(desk.key_of(&loose), 1);
    desk.book.expire(desk.now());
    assert_eq!(desk.used(), 1);
}

#[test]
fn a_later_session_keeps_its_place_where_an_earlier_one_may_not_sit() {
    let mut desk = Desk::new(&[]);
    put(&mut desk, &[(1, 1), (3, 1)], &[]);
    let a = desk.connect();
    let early = desk.demand(a, Asker::Server, 1, of("one")).unwrap();
    let late = desk.demand(a, Asker::Server, 2, of("two")).unwrap();
    put(&mut desk, &[(3, 1)], &[]);
    let view = |grant: &Grant| desk.book.session(grant.session, desk.now()).unwrap().ending;
    assert_eq!((view(&early), view(&late)), (true, false));
    put(&mut desk, &[(1, 1), (3, 1)], &[]);
    let view = |grant: &Grant| desk.book.session(grant.session, desk.now()).unwrap().ending;
    assert_eq!((view(&early), view(&late)), (false, false), "its key is back before its heartbeat");
}

#[test]
fn a_full_key_makes_room_by_a_detached_seat_of_its_own() {
    let mut desk = three();
    let a = desk.connect();
    let one = desk.demand(a, Asker::Server, 1, of("one")).unwrap();
    let two = desk.demand(a, Asker::Server, 2, of("two")).unwrap();
    desk.book.detach(a, one.session, desk.now()).unwrap();
    desk.wait(1, &[a]);
    desk.book.detach(a, two.session, desk.now()).unwrap();
    desk.wait(119, &[a]);
    assert_eq!(
        code(desk.demand(a, Asker::Server, 3, of("two"))),
        Code::FittingTaken,
        "not ripe, and another key's does not help"
    );
    desk.wait(1, &[a]);
    assert_eq!(desk.demand(a, Asker::Server, 3, of("two")).unwrap().key_no, 3);
    assert!(desk.book.session(one.session, desk.now()).is_some(), "the other key's detached seat was not needed");
    assert!(desk.book.session(two.session, desk.now()).is_none());
}

#[test]
fn presence_of_a_key_takes_no_seat_and_no_session() {
    let mut desk = three();
    let a = desk.connect();
    let find = |desk: &mut Desk, demands| {
        let mut wish = desk.wish(a, Asker::Server, session(1));
        wish.demands = demands;
        desk.book.find_key(wish, desk.now())
    };
    assert_eq!(find(&mut desk, Demands::default()), Ok(1));
    assert_eq!(find(&mut desk, of("two")), Ok(3));
    assert_eq!((desk.used(), desk.records().len(), desk.book.take_changes().len()), (0, 0, 0));
    assert_eq!(code(find(&mut desk, of("three"))), Code::WrongItn);
    for number in 1..=3 {
        desk.serve(a, number).unwrap();
    }
    assert_eq!(find(&mut desk, Demands::default()), Ok(1), "a full key is there all the same");
    desk.book.set_terms(Terms::default(), Pools::new(), desk.now());
    assert_eq!(code(find(&mut desk, Demands::default())), Code::NoKey);
}

#[test]
fn a_key_set_aside_is_taken_with_its_code_only_and_first() {
    let mut desk = Desk::new(&[]);
    put(&mut desk, &[(1, 1), (2, 1), (3, 1)], &[("a", &[3]), ("b", &[2])]);
    let c = desk.connect();
    assert_eq!(desk.coded(c, 1, Some("a")).unwrap().key_no, 3, "its own key first");
    assert_eq!(desk.coded(c, 2, Some("a")).unwrap().key_no, 1, "then the common ones");
    assert_eq!(code(desk.coded(c, 3, Some("a"))), Code::FittingTaken, "never another code's");
    let refusal = desk.coded(c, 3, None).unwrap_err();
    assert_eq!((refusal.code, &refusal.args[1..]), (Code::FittingTaken, &["1".to_owned(), "1".to_owned()][..]));
    assert_eq!(code(desk.external("phone")), Code::FittingTaken);
    assert_eq!(desk.coded(c, 3, Some("b")).unwrap().key_no, 2);
    assert_eq!(desk.book.sessions(desk.now()).filter(|view| view.record.access_code.is_some()).count(), 3);
}

#[test]
fn a_wrong_code_is_refused_even_when_there_is_room() {
    let mut desk = three();
    let a = desk.connect();
    assert!(desk.coded(a, 1, Some("x")).is_ok(), "while codes are off any is accepted, without effect");
    put(&mut desk, &[(1, 1), (2, 1), (3, 1)], &[("a", &[3])]);
    assert_eq!(code(desk.coded(a, 2, Some("x"))), Code::AccessCodeWrong);
    assert_eq!(code(desk.coded(a, 1, Some("y"))), Code::AccessCodeWrong);
    assert!(desk.coded(a, 1, Some("x")).is_ok(), "a session keeps its key while it lives");
    assert_eq!(desk.used(), 1);
}

#[test]
fn without_a_common_key_a_code_is_asked_for() {
    let mut desk = Desk::new(&[]);
    put(&mut desk, &[(3, 1)], &[("a", &[3])]);
    let a = desk.connect();
    assert_eq!(code(desk.coded(a, 1, None)), Code::AccessCodeNeeded);
    assert!(desk.coded(a, 1, Some("a")).is_ok());
}

#[test]
fn a_session_keeps_its_key_when_that_is_set_aside_afterwards() {
    let mut desk = three();
    let a = desk.connect();
    let grant = desk.serve(a, 1).unwrap();
    put(&mut desk, &[(1, 1), (2, 1), (3, 1)], &[("a", &[1])]);
    assert!(desk.book.heartbeat(a, desk.now()).unwrap().ended.is_empty());
    assert_eq!((desk.key_of(&grant), desk.serve(a, 1).unwrap().session), (1, grant.session));
    desk.book.release(a, grant.session, desk.now()).unwrap();
    assert_eq!(desk.serve(a, 1).unwrap().key_no, 2);
}

#[test]
fn demands_and_codes_are_met_together() {
    let mut desk = Desk::new(&[]);
    put(&mut desk, &[(1, 1), (2, 1), (3, 1)], &[("a", &[2, 3])]);
    let a = desk.connect();
    let ask = |desk: &mut Desk, number, code: Option<&str>, demands| {
        let mut wish = desk.wish(a, Asker::Server, session(number));
        (wish.access_code, wish.demands) = (code.map(str::to_owned), demands);
        desk.book.claim(wish, desk.now())
    };
    assert_eq!(code(ask(&mut desk, 1, None, of("two"))), Code::WrongItn, "the key that would do is set aside");
    assert_eq!(ask(&mut desk, 1, Some("a"), of("two")).unwrap().key_no, 3);
    assert_eq!(ask(&mut desk, 2, Some("a"), of("one")).unwrap().key_no, 2);
    assert_eq!(ask(&mut desk, 3, None, of("one")).unwrap().key_no, 1);
}

#[test]
fn a_job_whose_parent_sits_where_it_may_not_takes_a_seat_of_its_own() {
    let mut desk = Desk::new(&[]);
    put(&mut desk, &[(1, 1), (3, 1)], &[("a", &[3])]);
    let a = desk.connect();
    let parent = desk.coded(a, 1, Some("a")).unwrap();
    let mut job = session(5);
    job.application = "BackgroundJob".into();
    let mut wish = desk.wish(a, Asker::Server, job);
    wish.parent = Some(ParentSession { number: 1, started: Time(1) });
    let mut coded = wish.clone();
    let grant = desk.book.claim(wish, desk.now()).unwrap();
    assert_eq!((parent.key_no, grant.key_no, desk.used()), (3, 1, 2));
    desk.book.release(a, grant.session, desk.now()).unwrap();
    coded.access_code = Some("a".into());
    assert_eq!((desk.book.claim(coded, desk.now()).unwrap().seat, desk.used()), (parent.seat, 1));
}

#[test]
fn a_kept_key_gives_no_new_seat_and_ends_nobody() {
    let mut desk = Desk::new(&[(1, 2), (2, 1)]);
    let a = desk.connect();
    let grants: Vec<Grant> = (1..=2).map(|number| desk.serve(a, number).unwrap()).collect();
    let terms =
        Terms { kept: HashMap::from([(SERIES, vec![PoolKey { key_no: 1, licence_count: 2 }])]), ..Terms::default() };
    desk.book.set_terms(terms.clone(), pools(&[(2, 1)]), desk.now());
    assert!(desk.book.heartbeat(a, desk.now()).unwrap().ended.is_empty());
    assert_eq!(desk.serve(a, 1).unwrap().granted, Granted::Again);
    assert_eq!(desk.serve(a, 3).unwrap().key_no, 2, "another key has its room still");
    assert_eq!(code(desk.serve(a, 4)), Code::AllTaken);
    desk.book.release(a, grants[0].session, desk.now()).unwrap();
    assert_eq!(code(desk.serve(a, 4)), Code::AllTaken, "a kept key's free place is not given");

    let reason = Error::new(Code::KeyExpired).with(1).with("x");
    let none = Pools::from([(SERIES, Pool { keys: Vec::new(), unusable: Some(reason) })]);
    desk.book.set_terms(terms, none, desk.now());
    assert_eq!(code(desk.serve(a, 4)), Code::NoUsableKey);
    desk.book.set_terms(Terms::default(), pools(&[(2, 1)]), desk.now());
    assert_eq!(desk.book.heartbeat(a, desk.now()).unwrap().ended.len(), 1, "with the keeping its seats end");
}
