//! A key is given up for a reserve code and comes back by it.

use super::*;

on_both! {
    a_reserve_code_brings_the_key_and_its_memory_to_another_server
    a_key_comes_back_to_the_machine_that_gave_it_up
    a_repeated_request_for_a_reserve_code_gives_the_same_code
    the_vendor_limits_transfers_and_may_allow_one_more
    another_machine_needs_the_permission_of_the_vendor_and_is_reported
}

fn a_reserve_code_brings_the_key_and_its_memory_to_another_server(on: On) {
    let bench = bench(on);
    let (from, to) = (bench.server("a"), bench.server("b"));
    let code = bench.main_code();
    let first = from.activate(code).unwrap();
    bench.pass_days(1);
    let reserve = from.reserve(&first).unwrap();
    assert_eq!(code_of(from.activate(code)), Code::CodeUsed, "the first code is spent for ever");
    let asked = to.request(Purpose::Activate(activate(reserve)));
    let Granted::Activated { key, memory, .. } = to.ask(&asked).unwrap() else { panic!() };
    assert_eq!((key.licence.key_no, key.licence.issue, key.licence.reg_no), (1, 2, 1));
    assert_eq!((key.licence.activation_code, key.licence.activation_date), (reserve, Time(DAY)));
    assert_eq!(memory.unwrap().data, "память");
    assert_eq!(to.activate(reserve).unwrap().text, key.text, "a lost answer is asked for again");
    assert_eq!(code_of(bench.server("c").activate(reserve)), Code::CodeUsed);

    // On from there to a carrier.
    let again = to.reserve(&key).unwrap();
    let carrier = Activate { blank_key_no: Some(17), ..activate(again) };
    let third = from.licence(&from.request(Purpose::Activate(carrier))).unwrap();
    assert_eq!((third.licence.issue, third.licence.binding), (3, Binding::Blank(17)));
    let history = bench.centre.history(&bench.series, 1).unwrap();
    assert_eq!((history.codes.len(), history.activations.len(), history.transfers.len()), (3, 3, 2));
    assert_eq!(history.transfers[0].reason, "переезд");
}

fn a_key_comes_back_to_the_machine_that_gave_it_up(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let first = server.activate(bench.main_code()).unwrap();
    let reserve = server.reserve(&first).unwrap();
    let back = server.activate(reserve).unwrap();
    assert_eq!((back.licence.key_no, back.licence.issue), (1, 2));
    let (news, retired, _) = server.update(&[&back]);
    assert_eq!((news.len(), retired), (0, vec![]), "nothing is new about it");
}

fn a_repeated_request_for_a_reserve_code_gives_the_same_code(on: On) {
    let bench = bench(on);
    let (from, to) = (bench.server("a"), bench.server("b"));
    let first = from.activate(bench.main_code()).unwrap();
    let reserve = from.reserve(&first).unwrap();
    assert_eq!(from.reserve(&first).unwrap(), reserve);
    let second = to.activate(reserve).unwrap();
    assert_eq!(from.reserve(&first).unwrap(), reserve, "even after it was used");
    assert_eq!(code_of(from.reserve(&second)), Code::KeyElsewhere);
    assert_eq!(code_of(bench.server("c").reserve(&first)), Code::KeyElsewhere);
    let mut unknown = first.clone();
    unknown.licence.key_no = 77;
    assert_eq!(code_of(from.reserve(&unknown)), Code::KeyUnknown);
    let both = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| to.reserve(&second).unwrap());
        let (one, other) = (ask(), ask());
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!(both.0, both.1, "at the same time as well");
}

fn the_vendor_limits_transfers_and_may_allow_one_more(on: On) {
    let bench = bench(on);
    bench.policy(Policy { transfers: 2, transfer_days: 10, ..Policy::default() });
    let server = bench.server("a");
    let mut key = server.activate(bench.main_code()).unwrap();
    let there_and_back = |key: &Installable| server.reserve(key).and_then(|code| server.activate(code));
    key = there_and_back(&key).unwrap();
    bench.pass_days(4);
    key = there_and_back(&key).unwrap();
    let refused = there_and_back(&key).unwrap_err();
    let expected = ["1", "2", "10"].map(str::to_owned).to_vec();
    assert_eq!((refused.code, &refused.args[..3]), (Code::TransferLimit, &expected[..]));
    assert_eq!(refused.args[3], Time(DAY * 11).to_string(), "when the first of the two has grown old");
    bench.centre.allow("test", &bench.series, 1).unwrap();
    key = there_and_back(&key).unwrap();
    assert_eq!(code_of(there_and_back(&key)), Code::TransferLimit, "a permission is good once");
    bench.pass_days(7);
    assert_eq!(code_of(there_and_back(&key)), Code::TransferLimit, "two are still recent");
    bench.pass_days(4);
    there_and_back(&key).unwrap();
}

fn another_machine_needs_the_permission_of_the_vendor_and_is_reported(on: On) {
    let bench = bench(on);
    let mut server = bench.server("a");
    let code = bench.main_code();
    let first = server.activate(code).unwrap();
    server.machine = "bb".into();
    assert_eq!(code_of(server.activate(code)), Code::OtherMachine);
    assert_eq!(code_of(server.reserve(&first)), Code::OtherMachine);
    let (news, retired, _) = server.update(&[&first]);
    assert!(news.is_empty() && retired.is_empty());
    assert_eq!(bench.reports(), [Kind::Cloned], "once for each machine, however often it asks");
    bench.centre.allow("test", &bench.series, 1).unwrap();
    let (news, _, _) = server.update(&[&first]);
    let rebaselined = &news[0].licence;
    assert_eq!((rebaselined.issue, rebaselined.key_no), (2, 1));
    assert_eq!(server.activate(code).unwrap().text, news[0].text);
    // A server that was lost with its identity.
    let other = bench.server("c");
    assert_eq!(code_of(other.activate(code)), Code::CodeUsed);
    bench.centre.allow("test", &bench.series, 1).unwrap();
    assert_eq!(other.activate(code).unwrap().licence.issue, 3);
    assert_eq!(server.update(&[&news[0]]).1, [(1, 2)], "the former server is told");
}
