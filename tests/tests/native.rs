//! The built library in the C++ host: what 1C and other hosts do to it, from load to unload.

use e2e::host::{Habits, Host, HostError, HostOptions, Kind, Lane, Member, ObjectId, Value, library};

const CLASS: &str = "LicenceExtension";

fn started() -> Host {
    let mut host = Host::start(HostOptions::default()).expect("the host starts");
    host.load(&library().expect("the library is built")).expect("the library loads");
    host
}

/// Ends the host: all memory has come back, nothing was misused.
fn finished(host: Host) {
    let report = host.finish().expect("the host ends");
    assert!(report.is_clean(), "{report}");
}

/// The version by both names, asked as 1C asks.
fn version(host: &mut Host, object: ObjectId) -> String {
    match host.get(object, "Версия") {
        Ok(Value::Text(version)) => version,
        other => panic!("a version is a text: {other:?}"),
    }
}

fn refusal(outcome: Result<impl std::fmt::Debug, HostError>) -> String {
    match outcome {
        Err(HostError::AddIn { wcode: 1006, scode: 1006, source, text }) => {
            assert_eq!(source, CLASS);
            text
        }
        other => panic!("an exception with a text was expected: {other:?}"),
    }
}

#[test]
fn the_library_introduces_itself_and_goes_away_at_unload() {
    let mut host = Host::start(HostOptions::default()).expect("the host starts");
    let loaded = host.load(&library().expect("the library is built")).expect("the library loads");
    assert_eq!(loaded.level, 3, "the object has four bases");
    assert_eq!(loaded.attach_type, 3, "it may be loaded anywhere");
    assert_eq!(loaded.classes, [CLASS]);
    let (object, name, info) = host.create_with(CLASS, &Habits::default()).expect("an object");
    assert_eq!((name.as_str(), info), (CLASS, 2000), "one name for both kinds of hosts");
    host.destroy(object).expect("destroyed");
    assert!(host.unload().expect("unloaded"), "nothing keeps the library in the process");
    finished(host);
}

#[test]
fn a_library_loads_again_after_its_unload() {
    let mut host = started();
    for _ in 0..3 {
        let object = host.create(CLASS).expect("an object");
        assert_eq!(version(&mut host, object), licence::version::VERSION);
        host.destroy(object).expect("destroyed");
        host.unload().expect("unloaded");
        host.load(&library().expect("the library is built")).expect("loaded again");
    }
    finished(host);
}

#[test]
fn every_habit_of_hosts_is_served() {
    let usual = Habits::default;
    let silent = Habits { platform: None, isolated: None, locale: None, language: None, ..usual() };
    let habits = [
        usual(),
        Habits { memory_first: true, ..usual() },
        Habits { repeat: true, ..usual() },
        Habits { memory_first: true, repeat: true, ..usual() },
        Habits { isolated: Some(true), ..usual() },
        Habits { platform: Some((0, "8.3.10.2466")), locale: Some("rus_RUS"), ..usual() },
        Habits { platform: Some((77, "")), locale: Some("en_US"), language: Some("en"), ..usual() },
        Habits { no_connection: true, ..usual() },
        silent,
    ];
    for level in [Some(3), Some(2), Some(1), Some(-1), None] {
        let mut host = Host::start(HostOptions::default()).expect("the host starts");
        host.load_at_level(&library().expect("the library is built"), level).expect("the library loads");
        for habits in &habits {
            for end in [
                Host::destroy,
                Host::delete,
                |host: &mut Host, object| host.abandon(object, false),
                |host: &mut Host, object| host.abandon(object, true),
            ] {
                let (object, name, _) = host.create_with(CLASS, habits).expect("an object");
                assert_eq!(name, CLASS, "{habits:?}");
                assert_eq!(version(&mut host, object), licence::version::VERSION, "{habits:?}");
                end(&mut host, object).expect("ended");
            }
        }
        finished(host);
    }
}

#[test]
fn members_are_found_in_both_languages_and_any_case() {
    let mut host = started();
    let object = host.create(CLASS).expect("an object");
    for (kind, names) in [
        (Kind::Property, ["Version", "VERSION", "version", "Версия", "ВЕРСИЯ", "версия"]),
        (
            Kind::Method,
            ["CheckVersion", "CHECKVERSION", "checkversion", "ПроверитьВерсию", "ПРОВЕРИТЬВЕРСИЮ", "проверитьверсию"],
        ),
    ] {
        let found: Vec<_> = names.iter().map(|name| host.find(object, kind, name).expect("an answer")).collect();
        assert!(found[0].is_some() && found.iter().all(|number| *number == found[0]), "{kind:?}: {found:?}");
        for name in ["", "НетТакого", "Версия2", &"я".repeat(100_000)] {
            assert_eq!(host.find(object, kind, name).expect("an answer"), None, "{kind:?}: {name}");
        }
    }
    host.destroy(object).expect("destroyed");
    finished(host);
}

#[test]
fn every_member_has_two_names_that_find_it() {
    let mut host = started();
    let object = host.create(CLASS).expect("an object");
    let members = host.members(object).expect("members");
    let (mut properties, mut methods) = (0, 0);
    for member in members {
        let (kind, place, names) = match member {
            Member::Property { english, russian, readable, writable } => {
                assert!(readable || writable, "{english} is of use");
                properties += 1;
                (Kind::Property, properties - 1, [english, russian])
            }
            Member::Method { english, russian, .. } => {
                methods += 1;
                (Kind::Method, methods - 1, [english, russian])
            }
        };
        for name in names {
            assert_eq!(host.find(object, kind, &name).expect("an answer"), Some(place), "{name}");
        }
    }
    assert!(properties > 0 && methods > 0);
    host.destroy(object).expect("destroyed");
    finished(host);
}

#[test]
fn a_version_is_checked_as_a_value_and_never_as_an_exception() {
    let mut host = started();
    let object = host.create(CLASS).expect("an object");
    for (required, answer) in [
        (Value::from("3.0.14"), Value::Bool(true)),
        (Value::from("3.0.18.8054"), Value::Bool(true)),
        (Value::from(licence::version::VERSION), Value::Bool(true)),
        (Value::from("4.0"), Value::Bool(false)),
        (Value::from("нет"), Value::Undefined),
        (Value::from(""), Value::Undefined),
        (Value::Odd("zs"), Value::Undefined),
        (Value::Null, Value::Undefined),
        (Value::from(vec![1, 2, 3]), Value::Undefined),
        (Value::Odd("zb"), Value::Undefined),
        (Value::Date([2026, 1, 31, 12, 0, 0]), Value::Undefined),
    ] {
        for method in ["ПроверитьВерсию", "CheckVersion"] {
            assert_eq!(host.call(object, method, std::slice::from_ref(&required)), Ok(answer.clone()), "{required:?}");
        }
        // Also as a procedure, the result dropped.
        assert_eq!(host.call_as_proc(object, "ПроверитьВерсию", std::slice::from_ref(&required)), Ok(()));
    }
    host.destroy(object).expect("destroyed");
    finished(host);
}

#[test]
fn wrong_arguments_are_exceptions_in_the_language_of_the_session() {
    let mut host = started();
    let russian = host.create(CLASS).expect("an object");
    let english = Habits { locale: Some("en_US"), language: Some("en"), ..Habits::default() };
    let (english, _, _) = host.create_with(CLASS, &english).expect("an object");
    let two = [Value::from("3.0"), Value::from("3.0")];
    assert_eq!(
        refusal(host.call(russian, "ПроверитьВерсию", &[])),
        "(EExecuteError) ПроверитьВерсию: передано параметров: 0, требуется: 1. Исправьте вызов."
    );
    assert_eq!(
        refusal(host.call(english, "ПроверитьВерсию", &two)),
        "(EExecuteError) CheckVersion: 2 arguments given, 1 needed. Correct the call."
    );
    // Kinds that the technology doesn't support, arrays, references, and what no document names.
    for kind in ["v:9", "v:12", "v:24", "v:25", "v:4095", "v:4096", "v:8196", "v:16387", "v:65535"] {
        let text = refusal(host.call(english, "CheckVersion", &[Value::Odd(kind)]));
        assert!(text.contains("CheckVersion: wrong argument: argument 1 has the unsupported type"), "{text}");
    }
    assert!(refusal(host.set(russian, "Версия", &Value::from("1"))).contains("доступно только для чтения"));
    assert_eq!(version(&mut host, russian), licence::version::VERSION, "the object lives on");
    host.destroy(russian).expect("destroyed");
    host.destroy(english).expect("destroyed");
    finished(host);
}

#[test]
fn numbers_out_of_range_are_answered_and_not_followed() {
    let mut host = started();
    let object = host.create(CLASS).expect("an object");
    for number in ["-1", "1000", "2147483648", "-9223372036854775808", "9223372036854775807"] {
        assert_eq!(host.raw(object, &format!("name {number} 0")), Ok("none".into()));
        assert_eq!(host.raw(object, &format!("method {number} 1")), Ok("none".into()));
        assert_eq!(host.raw(object, &format!("default {number} 0")), Ok("0 u".into()));
        assert_eq!(host.raw(object, &format!("default 0 {number}")), Ok("0 u".into()));
        for call in ["get", "func", "proc", "set"] {
            let rest = if call == "set" { "t" } else { "0" };
            let text = refusal(host.raw(object, &format!("{call} {number} {rest}")));
            assert!(text.contains(&format!("нет свойства или метода с номером {number}")), "{text}");
        }
        for call in ["func", "proc"] {
            let text = refusal(host.raw(object, &format!("{call} 0 {number}")));
            assert!(text.contains("передано параметров"), "a count with no array: {text}");
        }
    }
    for alias in ["-1", "2", "7"] {
        assert_eq!(host.raw(object, &format!("name 0 {alias}")), Ok("none".into()));
    }
    host.destroy(object).expect("destroyed");
    finished(host);
}

#[test]
fn without_memory_every_answer_that_needs_it_is_a_clean_no() {
    let mut host = started();
    let poor = Habits { no_memory: true, ..Habits::default() };
    let (object, name, _) = host.create_with(CLASS, &poor).expect("an object");
    assert_eq!(name, "", "no name without memory");
    assert!(refusal(host.get(object, "Версия")).contains("не выделила память"));
    assert_eq!(host.raw(object, "name 0 0"), Ok("none".into()));
    assert_eq!(host.call(object, "ПроверитьВерсию", &[Value::from("3.0")]), Ok(Value::Bool(true)));
    host.destroy(object).expect("destroyed");

    let object = host.create(CLASS).expect("an object");
    host.fail_allocation(1).expect("set");
    assert!(refusal(host.get(object, "Версия")).contains("не выделила память"));
    assert_eq!(version(&mut host, object), licence::version::VERSION, "the next allocation works");
    host.fail_allocation(1).expect("set");
    assert_eq!(host.raw(object, "method 0 1"), Ok("none".into()));
    host.destroy(object).expect("destroyed");
    finished(host);
}

#[test]
fn after_done_the_host_is_forgotten() {
    let mut host = started();
    let object = host.create(CLASS).expect("an object");
    host.done(object).expect("done");
    // No memory, no connection: nothing but a plain no is left, and the report would show a late use.
    assert_eq!(
        host.get(object, "Версия"),
        Err(HostError::AddIn { wcode: 0, scode: 0, source: String::new(), text: String::new() })
    );
    host.done(object).expect("done again");
    host.delete(object).expect("deleted");
    finished(host);
}

#[test]
fn objects_work_in_parallel() {
    let mut host = started();
    let objects: Vec<_> = (0..4).map(|_| host.create(CLASS).expect("an object")).collect();
    let lanes: Vec<_> = objects
        .iter()
        .flat_map(|object| {
            [Lane::get(200, *object, "Версия"), Lane::call(200, *object, "CheckVersion", &[Value::from("3.0.14")])]
        })
        .collect();
    for (lane, answer) in host.parallel(&lanes).expect("ran").into_iter().enumerate() {
        let expected = if lane % 2 == 0 { Value::from(licence::version::VERSION) } else { Value::Bool(true) };
        assert_eq!(answer, Ok(expected));
    }
    for object in objects {
        host.destroy(object).expect("destroyed");
    }
    finished(host);
}

#[test]
fn a_class_that_does_not_exist_gives_no_object() {
    let mut host = started();
    assert_eq!(host.create("НетТакого"), Err(HostError::Host("no such class".into())));
    assert_eq!(host.create(""), Err(HostError::Host("no such class".into())));
    finished(host);
}

#[test]
fn only_the_functions_of_the_interface_are_exported() {
    let library = library().expect("the library is built");
    let output =
        std::process::Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(&library).output();
    let output = output.expect("nm runs: it comes with the compiler's binutils");
    assert!(output.status.success(), "{output:?}");
    let list = String::from_utf8(output.stdout).expect("names are ASCII");
    let mut names: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    let expected = ["DestroyObject", "GetAttachType", "GetClassNames", "GetClassObject", "SetPlatformCapabilities"];
    assert_eq!(names, expected);
}

#[test]
fn valgrind_finds_nothing_in_a_life_of_objects() {
    let mut host = Host::start(HostOptions { valgrind: true, ..HostOptions::default() }).expect("the host starts");
    host.load(&library().expect("the library is built")).expect("the library loads");
    for (habits, end) in [
        (Habits::default(), Host::destroy as fn(&mut Host, ObjectId) -> Result<(), HostError>),
        (Habits { memory_first: true, repeat: true, ..Habits::default() }, Host::delete),
        (Habits { platform: None, isolated: None, ..Habits::default() }, |host, object| host.abandon(object, true)),
    ] {
        let (object, ..) = host.create_with(CLASS, &habits).expect("an object");
        host.members(object).expect("members");
        assert_eq!(version(&mut host, object), licence::version::VERSION);
        assert_eq!(host.call(object, "ПроверитьВерсию", &[Value::from("3.0.14")]), Ok(Value::Bool(true)));
        refusal(host.call(object, "ПроверитьВерсию", &[]));
        refusal(host.call(object, "ПроверитьВерсию", &[Value::Odd("v:4096")]));
        host.fail_allocation(1).expect("set");
        refusal(host.get(object, "Версия"));
        end(&mut host, object).expect("ended");
    }
    finished(host);
}
