//! Every member against servers that take a request and never answer: it is over within the limit that the document names.

use std::time::Duration;

use licence::time::Clock;

use super::*;
use crate::native::Value::{Int, Undefined};

/// The limit of a member in `docs/component.md`, the longest that is named; none: it asks nobody.
fn documented(member: &str) -> Duration {
    let document = include_str!("../../../../docs/component.md");
    let line = document.lines().find(|line| line.starts_with(&format!("| `{member}` |"))).expect(member);
    let limit = line.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
    let seconds = limit.split(' ').filter_map(|word| word.parse().ok()).max();
    Duration::from_secs(seconds.unwrap_or(0))
}

type Method = fn(&mut LicenceExtension, &mut [Value]) -> Result<Value, Failure>;

/// Members that work with a series, with arguments behind its handle.
fn methods() -> Vec<(&'static str, Method, Vec<Value>)> {
    type L = LicenceExtension;
    let session =
        r#"{"SessionNumber": "2", "SessionStarted": "2026-01-01", "InfoBaseConnectionString": "File=\"/db\";"}"#;
    let text = || Value::from("1");
    vec![
        ("SetSessionData", L::set_session_data, vec![session.into()]),
        ("GetLicence", L::licence, vec![]),
        ("ReleaseLicence", L::release_licence, vec![]),
        ("GetObjectBinaryData", L::object_data, vec!["Extension.Обработка".into()]),
        ("GetLicences", L::licences, vec![Undefined, Undefined]),
        ("GetCounters", L::counters, vec![]),
        ("GetServerInfo", L::server_info, vec![]),
        ("GetConsoleAddress", L::console_address, vec![]),
        ("SetControlParameters", L::set_control_parameters, vec![Undefined, Int(7_701_000_001)]),
        ("SetAccessCode", L::set_access_code, vec![text()]),
        ("GetKeyNo", L::key_no, vec![]),
        ("CheckSessionLicence", L::check_session_licence, vec![]),
        ("GetObjectList", L::object_list, vec![Undefined]),
        ("IsLoaded", L::is_loaded, vec![text()]),
        ("GetServerParameter", L::server_parameter, vec![text()]),
        ("SetServerParameter", L::set_server_parameter, vec![text(), text()]),
        ("SetLock", L::set_lock, vec![text(), Value::Bool(true)]),
        ("GetParameter", L::parameter, vec![Undefined, text(), Undefined]),
        ("InstallLicence", L::install_licence, vec![text(), Undefined, Undefined, Undefined]),
        ("UpdateLicences", L::update_licences, vec![Undefined, Undefined]),
        ("DeactivateLicence", L::deactivate_licence, vec![Int(7), Undefined, Undefined, text(), text()]),
        ("CreateRequestFile", L::create_request_file, vec![text(), Undefined, Undefined, Undefined]),
        ("CreateUpdateRequestFile", L::create_update_request_file, vec![Undefined, Undefined]),
        (
            "CreateDeactivationRequestFile",
            L::create_deactivation_request_file,
            vec![Int(7), Undefined, Undefined, text(), text()],
        ),
        ("InstallResponseFile", L::install_response_file, vec![text()]),
        ("GetCodeParameters", L::code_parameters, vec![text()]),
        ("ReadMemory", L::read_memory, vec![Undefined, text()]),
        ("WriteMemory", L::write_memory, vec![Undefined, text(), text()]),
        ("ClearMemory", L::clear_memory, vec![Undefined, text()]),
        ("SetPasswords", L::set_passwords, vec![Undefined, text(), text(), text(), text()]),
    ]
}

/// Members that have no series, or whose network no test can be given: those below try them.
const OTHERS: &[&str] = &[
    "CheckVersion",
    "Start",
    "LoadProtectionData",
    "Stop",
    "GetDiagnostics",
    "GetErrorDescription",
    "ObjectCreationError",
    "GetObjectManager",
    "GetLog",
    "GetHashCode",
];

/// Three servers, the first of which holds the session of the slot, if it has one.
fn three(with_session: bool) -> (Arc<Network>, Slot) {
    let network = Network::new();
    let endpoints = ["a", "b", "c"].map(|name| {
        network.add(name);
        network.endpoint(name)
    });
    let mut slot = Slot::enter(&PROVIDER, wanted(), endpoints.to_vec(), || network.nets()).unwrap();
    slot.started.connect().unwrap();
    if with_session {
        slot.take_licence(claim(1)).unwrap();
    }
    (network, slot)
}

/// How long something takes while nobody answers.
fn took<T>(network: &Network, body: impl FnOnce() -> T) -> (T, Duration) {
    network.hang(true);
    let before = network.clock.now().tick;
    let done = body();
    let took = network.clock.now().tick.since(before);
    network.hang(false);
    (done, took)
}

#[test]
fn no_member_takes_longer_than_documented_while_servers_hang() {
    let mut longest = Vec::new();
    for (name, method, arguments) in methods() {
        for with_session in [true, false] {
            let (network, slot) = three(with_session);
            let mut object = LicenceExtension::create();
            object.slots.push(Some(slot));
            let arguments: Vec<Value> = std::iter::once(Int(1)).chain(arguments.clone()).collect();
            let (_, took) = took(&network, || call(&mut object, method, arguments));
            assert!(took <= documented(name), "{name}, with a session: {with_session}: {took:?}");
            longest.push(took);
        }
    }
    assert!(longest.iter().any(|took| *took >= Duration::from_secs(15)), "nothing was waited for");
    let tried = methods().len() + OTHERS.len();
    assert_eq!(tried, LicenceExtension::METHODS.len(), "every member is tried");
    for method in LicenceExtension::METHODS {
        let english = method.names().english;
        assert!(OTHERS.contains(&english) || methods().iter().any(|(name, ..)| *name == english), "{english}");
    }
}

#[test]
fn a_start_and_an_end_are_over_in_time_while_servers_hang() {
    let (network, slot) = three(true);
    let (_, stopped) = took(&network, || slot.stop());
    assert!(stopped <= documented("Stop") * 3, "{stopped:?}");

    let network = Network::new();
    network.add("a");
    let slot = || Slot::enter(&PROVIDER, wanted(), vec![network.endpoint("a"); 200], || network.nets());
    let (refused, start) = took(&network, || slot().map(|slot| slot.started.connect().unwrap_err()));
    let refused = refused.unwrap();
    assert_eq!(refused.code, Code::ServerNotFound);
    assert!(
        refused.args[0].len() < 1_000 && refused.args[0].contains("192"),
        "the first few of 200 are named: {refused}"
    );
    assert!(start <= documented("Start"), "{start:?}");
}

#[test]
fn a_datafile_that_sets_the_anchor_is_taken_in_time_while_servers_hang() {
    let network = Network::new();
    network.add("a");
    let mut slot = slot(&network, Wanted { anchor: None, ..wanted() });
    slot.take_licence(claim(1)).unwrap();
    let (refused, load) =
        took(&network, || code(slot.load(packed(ROOT, SERIES), "ДанныеСЛК", true, || network.nets())));
    assert_eq!(refused, Code::ServerNotFound);
    assert!(load <= documented("LoadProtectionData"), "{load:?}");
}
