//! Lives of objects and of the library by the thousand: nothing leaks, nothing races, no thread is left.

use std::fs;

use e2e::component::{CLASS, Kind, Process, server_session};
use e2e::host::{Habits, Host, HostOptions, Lane, ObjectId, Value, library};
use e2e::{Outcome, Root, SERIES, Server, Site, check};

const THREADS: usize = 8;
/// How often lives under valgrind may run out of their time.
const ATTEMPTS: u32 = 4;

fn threads(host: &Host) -> Outcome<usize> {
    Ok(fs::read_dir(format!("/proc/{}/task", host.pid()))?.count())
}

/// Memory of the host that is in use, in KiB.
fn resident(host: &Host) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.and_then(|line| line.split_whitespace().next()).unwrap_or_default().parse()?)
}

fn finished(host: Host) -> Outcome {
    let report = host.finish()?;
    check(report.is_clean(), || report.to_string())
}

/// A life without a server.
fn short(times: usize, object: ObjectId) -> Lane {
    Lane::create(times, object, CLASS, &Habits::default())
        .then(object, "ПроверитьВерсию", &["3.0.30.10493".into()], &Value::Bool(true))
        .then(object, "ПолучитьЛицензию", &[Value::Int(1)], &Value::Undefined)
        .then(
            object,
            "ПолучитьОписаниеОшибки",
            &[],
            &"(EExecuteError) Серия не запущена. Сначала вызовите Запуск.".into(),
        )
        .then_destroy(object)
}

/// A life that takes the licence of session `number` and leaves it behind.
fn working(times: usize, object: ObjectId, number: u32, server: &Server, anchor: &str) -> Lane {
    let address = format!("ServerAddr=127.0.0.1;ServerPort={}", server.port());
    let session = server_session(number).to_string();
    let handle = Value::Int(1);
    Lane::create(times, object, CLASS, &Habits::default())
        .then_set(object, "ЯкорьДоверия", &anchor.into())
        .then_set(object, "ПараметрыСвязи", &address.as_str().into())
        .then(object, "Запуск", &[SERIES.into()], &Value::Bool(true))
        .then(object, "УстановитьДанныеСеанса", &[handle, session.as_str().into()], &Value::Bool(true))
        .then_destroy(object)
}

fn run(host: &mut Host, lanes: &[Lane]) -> Outcome {
    for (lane, answer) in host.parallel(lanes)?.into_iter().enumerate() {
        check(answer == Ok(Value::Undefined), || format!("lane {lane}: {answer:?}"))?;
    }
    Ok(())
}

#[test]
fn ten_thousand_objects_live_and_die_in_eight_threads() -> Outcome {
    let site = Site::new("lives")?;
    let server = site.server_with("lives", 8, &[])?;
    let (root, anchor) = (Root::new("lives-1c")?, site.vendor.anchor_hash()?);
    let mut process = Process::start(Kind::Server, root.path())?;
    let host = process.host();
    let before = threads(host)?;
    let short: Vec<Lane> = (0..THREADS).map(|_| short(1200, host.reserve())).collect();
    run(host, &short)?;
    check(threads(host)? == before, || "an object without a server started a thread that stayed".to_owned())?;
    // Some of the eight always hold the series while others come and go: it is started, shared and ended all the time.
    let working: Vec<Lane> = (1..=8).map(|number| working(50, host.reserve(), number, &server, &anchor)).collect();
    run(host, &working)?;
    check(threads(host)? == before, || "a thread is left after the last Done".to_owned())?;
    let counts = host.counts()?;
    check(counts.live == 0 && counts.bad == 0 && counts.late == 0, || format!("{counts:?}"))?;
    check(server.seats()? == (8, 8), || "every session has kept its one seat".to_owned())?;
    process.finish()?;
    Ok(())
}

#[test]
fn the_library_is_loaded_and_unloaded_a_thousand_times() -> Outcome {
    let library = library()?;
    let mut host = Host::start(HostOptions::default())?;
    let before = threads(&host)?;
    let mut settled = 0;
    for round in 0..1000 {
        host.load(&library)?;
        let object = host.create(CLASS)?;
        check(host.call(object, "CheckVersion", &["3.0.14".into()])? == Value::Bool(true), || {
            format!("round {round}")
        })?;
        host.destroy(object)?;
        check(host.unload()?, || format!("round {round}: the library stays in the process"))?;
        if round == 100 {
            settled = resident(&host)?;
        }
    }
    check(threads(&host)? == before, || "a thread is left".to_owned())?;
    let grown = resident(&host)?.saturating_sub(settled);
    // The host itself keeps a few hundred bytes of every object.
    check(grown < 2048, || format!("900 rounds took {grown} KiB"))?;
    finished(host)
}

#[test]
fn lives_in_eight_threads_are_clean_under_valgrind() -> Outcome {
    let site = Site::new("lives-valgrind")?;
    let server = site.server_with("lives-valgrind", 2, &[])?;
    let (root, anchor) = (Root::new("lives-valgrind-1c")?, site.vendor.anchor_hash()?);
    let mut process = Process::under_valgrind(Kind::Server, root.path())?;
    let host = process.host();
    let lanes: Vec<Lane> = (0..THREADS).map(|_| short(10, host.reserve())).collect();
    run(host, &lanes)?;
    // Not beside the others: valgrind runs one thread at a time, and calls of the network have their limit. On a busy machine
    // one may still run out of its time; then those lives are lived again.
    for attempt in 1.. {
        let objects = [host.reserve(), host.reserve()];
        let lanes: Vec<Lane> =
            objects.iter().zip(1..).map(|(object, number)| working(3, *object, number, &server, &anchor)).collect();
        let answers = host.parallel(&lanes)?;
        let failed: Vec<ObjectId> =
            objects.iter().zip(&answers).filter(|(_, one)| one.is_err()).map(|(id, _)| *id).collect();
        if failed.is_empty() {
            break;
        }
        check(attempt < ATTEMPTS, || format!("{answers:?}"))?;
        failed.into_iter().try_for_each(|object| host.destroy(object))?;
    }
    process.finish()?;

    let library = library()?;
    let mut host = Host::start(HostOptions { valgrind: true, ..HostOptions::default() })?;
    for _ in 0..20 {
        host.load(&library)?;
        let object = host.create(CLASS)?;
        host.destroy(object)?;
        host.unload()?;
    }
    finished(host)
}
