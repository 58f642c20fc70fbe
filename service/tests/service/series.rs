//! What components ask beside licences: keys, numbers, values of licences and of the server, locks, guesses at codes.

use licence::api::LicenceInfo;
use licence::protocol::message::{Acquire, Call, Control, Counters, Outcome};
use licence::{Code, Error, SessionId};

use crate::bench::*;
use crate::client::{Client, connect, session};

fn licences(client: &mut Client, bench: &Bench, all_series: bool, only_available: bool) -> Vec<LicenceInfo> {
    match client.call(bench, Call::Licences { all_series, only_available }) {
        Ok(Outcome::Licences { licences }) => licences,
        other => panic!("{other:?}"),
    }
}

fn counters(client: &mut Client, bench: &Bench) -> Counters {
    match client.call(bench, Call::Counters) {
        Ok(Outcome::Counters(counters)) => counters,
        other => panic!("{other:?}"),
    }
}

fn value(answer: Result<Outcome, Error>) -> Option<String> {
    match answer {
        Ok(Outcome::Value { value }) => value,
        other => panic!("{other:?}"),
    }
}

fn code(answer: Result<Outcome, Error>) -> Code {
    answer.unwrap_err().code
}

#[test]
fn keys_are_listed_by_series_and_state_and_show_no_activation_code() {
    let bench = Bench::ready("list");
    bench.install(1, |_| {});
    bench.install(2, |licence| licence.period = 1);
    bench.clock.jump_days(2);
    bench.put("other.licence", &Vendor::second().licence(bench.identity(), 5, |_| {}).text);
    bench.service.reload_keys();
    let mut client = connect(&bench);
    let list = licences(&mut client, &bench, false, false);
    assert_eq!(list.iter().map(|key| (key.key_no, key.enabled)).collect::<Vec<_>>(), [(1, true), (2, false)]);
    assert!(list.iter().all(|key| key.activation_code.starts_with("****-****-****-****-")), "{list:?}");
    let numbers = |list: Vec<LicenceInfo>| list.iter().map(|key| key.key_no).collect::<Vec<_>>();
    assert_eq!(numbers(licences(&mut client, &bench, false, true)), [1]);
    assert_eq!(numbers(licences(&mut client, &bench, true, true)), [1, 5]);
}

#[test]
fn counters_count_keys_connections_sessions_and_seats_of_the_series() {
    let bench = Bench::ready("counters");
    bench.install(1, |licence| licence.licence_count = 3);
    let mut client = connect(&bench);
    let nothing =
        Counters { licences: 1, connections: 1, total_licence_count: 3, free_licence_count: 3, ..Counters::default() };
    assert_eq!(counters(&mut client, &bench), nothing);
    for (number, file) in [(1, Some(1)), (2, Some(1)), (3, None)] {
        client.acquire(&bench, session(number, file)).unwrap();
    }
    let mut other = connect(&bench);
    let some = Counters { connections: 2, sessions: 3, use_licence_count: 2, free_licence_count: 1, ..nothing };
    assert_eq!(counters(&mut other, &bench), some);
    other.call(&bench, Call::Disconnect).unwrap();
    bench.service.set_enabled(Vendor::first().series(), 1, false).unwrap();
    let off = Counters { connections: 1, total_licence_count: 0, free_licence_count: 0, ..some };
    assert_eq!(counters(&mut client, &bench), off);
}

#[test]
fn a_parameter_comes_from_the_key_and_else_from_the_main_key_if_that_is_asked_for() {
    let bench = Bench::ready("parameters");
    bench.install(1, |licence| {
        licence.parameters = [("region".to_owned(), "77".to_owned()), ("tier".to_owned(), "gold".to_owned())].into();
    });
    bench.install(2, |licence| {
        licence.key_type = licence::key::KeyType::Additional;
        licence.parameters = [("region".to_owned(), "78".to_owned())].into();
    });
    let mut client = connect(&bench);
    let mut ask =
        |key_no, name: &str, or_main| client.call(&bench, Call::Parameter { key_no, name: name.into(), or_main });
    assert_eq!(value(ask(Some(2), "region", true)).as_deref(), Some("78"));
    assert_eq!(value(ask(Some(2), "tier", false)), None);
    assert_eq!(value(ask(Some(2), "tier", true)).as_deref(), Some("gold"));
    assert_eq!(value(ask(None, "region", false)).as_deref(), Some("77"));
    assert_eq!(value(ask(None, "none", true)), None);
    assert_eq!(code(ask(Some(3), "region", true)), Code::KeyNoMissing);
}

#[test]
fn values_that_a_series_keeps_are_written_by_who_holds_a_seat_and_outlive_a_restart() {
    let bench = Bench::ready("server-parameters");
    bench.install(1, |_| {});
    let mut client = connect(&bench);
    let set = |session, name: &str, value: Option<&str>| Call::SetServerParameter {
        session,
        name: name.into(),
        value: value.map(str::to_owned),
    };
    let get = |name: &str| Call::ServerParameter { name: name.into() };
    let stranger = SessionId([1; 16]);
    assert_eq!(code(client.call(&bench, set(stranger, "База", Some("x")))), Code::SessionUnknown);
    let own = client.acquire(&bench, session(1, None)).unwrap().session;
    assert_eq!(client.call(&bench, set(own, "База", Some("основная"))), Ok(Outcome::Done));
    assert_eq!(client.call(&bench, set(own, "gone", Some("x"))), Ok(Outcome::Done));
    assert_eq!(client.call(&bench, set(own, "gone", None)), Ok(Outcome::Done));
    assert_eq!(code(client.call(&bench, set(own, "", Some("x")))), Code::ParameterRefused);
    assert_eq!(value(connect(&bench).call(&bench, get("База"))).as_deref(), Some("основная"));
    assert_eq!(value(client.call(&bench, get("gone"))), None);

    let (root, clock) = (bench.root.clone(), bench.clock.clone());
    let moved = root.with_extension("restarted");
    let _ = std::fs::remove_dir_all(&moved);
    bench.service.stop();
    std::fs::rename(&root, &moved).unwrap();
    drop(bench);
    let service = start(&moved, "[Console]\nPassword=another password\n", clock.clone()).unwrap();
    let bench = Bench { root: moved, clock, service };
    assert_eq!(value(connect(&bench).call(&bench, get("База"))).as_deref(), Some("основная"));
    assert_eq!(value(connect(&bench).call(&bench, get("gone"))), None);
}

#[test]
fn a_lock_ends_with_its_session_or_connection() {
    let bench = Bench::ready("locks");
    bench.install(1, |_| {});
    let (mut one, mut two) = (connect(&bench), connect(&bench));
    let first = one.acquire(&bench, session(1, None)).unwrap().session;
    let second = two.acquire(&bench, session(2, None)).unwrap().session;
    let lock = |session, locked| Call::SetLock { session, name: "обмен".into(), locked };
    assert_eq!(one.call(&bench, lock(first, true)), Ok(Outcome::Done));
    assert_eq!(code(two.call(&bench, lock(second, true))), Code::LockHeld);
    assert_eq!(code(two.call(&bench, lock(first, false))), Code::SessionTakenOver, "of another connection");
    one.call(&bench, Call::Release { session: first }).unwrap();
    assert_eq!(two.call(&bench, lock(second, true)), Ok(Outcome::Done));
    two.call(&bench, Call::Disconnect).unwrap();
    let third = one.acquire(&bench, session(3, None)).unwrap().session;
    assert_eq!(one.call(&bench, lock(third, true)), Ok(Outcome::Done));
    assert_eq!(one.call(&bench, lock(third, false)), Ok(Outcome::Done));
}

#[test]
fn guesses_at_access_codes_have_to_wait_and_what_works_goes_on() {
    let conf = "[Console]\nPassword=another password\nEnableAccessCodes=1\n[AccessCodes]\nпродажи=2\n";
    let bench = Bench::new("guesses", conf);
    bench.install(1, |_| {});
    bench.install(2, |_| {});
    let mut client = connect(&bench);
    let coded = |number, code: &str| Acquire { access_code: Some(code.into()), ..session(number, None) };
    let present = |number, code: &str| {
        Call::Acquire(Box::new(Acquire {
            control: Control { key_only: true, ..Control::default() },
            ..coded(number, code)
        }))
    };
    client.acquire(&bench, coded(1, "продажи")).unwrap();
    for _ in 0..30 {
        let error = client.acquire(&bench, coded(2, "старый")).unwrap_err();
        assert_eq!(error.code, Code::AccessCodeWrong, "one wrong setting is one guess");
    }
    for guess in 1..5 {
        let error = client.acquire(&bench, coded(2, &guess.to_string())).unwrap_err();
        assert_eq!(error.code, Code::AccessCodeWrong, "{guess}");
    }
    let error = client.acquire(&bench, coded(2, "продажи")).unwrap_err();
    assert_eq!(error.code, Code::TooManyAttempts, "a right guess has to wait too");
    assert_eq!(code(client.call(&bench, present(2, "5"))), Code::TooManyAttempts);
    client.acquire(&bench, coded(1, "продажи")).expect("what was proven goes on");
    client.acquire(&bench, session(3, None)).expect("without a code nothing is guessed");
    bench.clock.advance(2_000);
    assert_eq!(code(client.call(&bench, present(2, "5"))), Code::AccessCodeWrong);
    assert_eq!(code(client.call(&bench, present(2, "6"))), Code::TooManyAttempts);
    bench.clock.advance(300_000);
    client.acquire(&bench, coded(2, "продажи")).expect("the wait is over");
}
