//! A server whose clocks are set, which is stopped, or whose machine sleeps: it gives no free time, ends no live session,
//! lets no mistake kill a key for ever, and says what it has seen.

#![cfg(target_os = "linux")]

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use e2e::clocks::Clocks;
use e2e::failure::check;
use e2e::link::server_session;
use e2e::{Link, Outcome, Server, Site, fail};
use licence::Code;
use serde_json::Value;

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;
const PATIENCE: Duration = Duration::from_secs(60);

/// A server by clocks that can be moved, with one key of two licences for 30 days.
fn by_clocks(site: &Site, name: &str) -> Outcome<(Server, Clocks)> {
    let mut server = site.server_with(name, 2, &["--days", "30"])?;
    let clocks = Clocks::new(server.root())?;
    server.restart_with(|command| clocks.load(command))?;
    Ok((server, clocks))
}

/// What the server says of its clock once that is so.
fn clock(server: &Server, is_so: impl Fn(&Value) -> bool) -> Outcome<Value> {
    let begun = Instant::now();
    loop {
        let info = server.rest().get("/api/serverinfo")?.expect(200)?;
        let clock = &info["Clock"];
        if is_so(clock) {
            return Ok(clock.clone());
        }
        check(begun.elapsed() < PATIENCE, || format!("the server doesn't notice it: {clock}"))?;
        thread::sleep(Duration::from_millis(50));
    }
}

fn number(clock: &Value, name: &str) -> i64 {
    clock[name].as_i64().unwrap_or(i64::MIN)
}

fn is_usable(server: &Server) -> Outcome<bool> {
    match server.keys()?.as_slice() {
        [key] => Ok(key["Enabled"] == true),
        keys => fail(format!("{} keys", keys.len())),
    }
}

/// Waits until the key can be used again, after a mistake was corrected.
fn until_usable(server: &Server) -> Outcome {
    let begun = Instant::now();
    while !is_usable(server)? {
        check(begun.elapsed() < PATIENCE, || "the mistake is remembered".to_owned())?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[test]
fn a_clock_set_back_gives_no_free_time_whatever_is_killed_meanwhile() -> Outcome {
    let site = Site::new("clock-back")?;
    let (mut server, mut clocks) = by_clocks(&site, "clock-back")?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    let held = link.acquire(server_session(1))?;
    for seconds in [-5 * HOUR, -10 * YEAR] {
        let known = number(&clock(&server, |_| true)?, "Jumps");
        clocks.set(seconds)?;
        let seen = clock(&server, |clock| number(clock, "Jumps") > known)?;
        let told = seen["LastJump"]["Seconds"].as_i64().unwrap_or_default();
        check((told - seconds).abs() < 60, || format!("a jump by {seconds} s is told as {seen}"))?;
        check((number(&seen, "BehindSeconds") + seconds).abs() < 60 || seconds == -10 * YEAR, || seen.to_string())?;
    }
    check(server.said().contains("the clock jumped by -"), || "the jump is not in the log".to_owned())?;
    let page = server.rest().get("/")?.body;
    check(String::from_utf8_lossy(&page).contains("отстают"), || "the console does not tell it".to_owned())?;
    // 29 days pass, the server is killed, 2 more days pass by the system's count: by the wall clock it is years earlier.
    clocks.pass(Duration::from_hours(29 * 24))?;
    clock(&server, |clock| number(clock, "Standstills") > 0)?;
    check(is_usable(&server)?, || "the key works for 30 days".to_owned())?;
    server.kill9()?;
    clocks.pass(Duration::from_hours(2 * 24))?;
    server.restart_with(|command| clocks.load(command))?;
    check(!is_usable(&server)?, || "a clock that was set back has given free time".to_owned())?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    match link.resume(server_session(1), &held)? {
        Err(error) if error.code == Code::SessionEnding => Ok(()),
        other => fail(format!("a session goes on with a key that has expired: {other:?}")),
    }
}

#[test]
fn a_clock_set_ahead_by_mistake_ends_no_session_and_kills_no_key() -> Outcome {
    let site = Site::new("clock-ahead")?;
    let (mut server, mut clocks) = by_clocks(&site, "clock-ahead")?;
    let anchor = site.vendor.anchor_hash()?;
    let link = Link::connect(server.url(), &anchor)?;
    let held = link.acquire(server_session(1))?;
    clocks.set(2 * YEAR)?;
    let seen = clock(&server, |clock| number(clock, "AheadSeconds") > YEAR)?;
    check(number(&seen, "BelievedInSeconds") > 23 * HOUR, || seen.to_string())?;
    assert_eq!(link.acquire(server_session(1))?.session, held.session, "who has a licence keeps it");
    match link.try_acquire(server_session(2))? {
        Err(error) if error.code == Code::NoUsableKey => {}
        other => return fail(format!("a new licence by a clock that is years ahead: {other:?}")),
    }
    // Restarted with the mistake, and again after it was corrected.
    server.restart_with(|command| clocks.load(command))?;
    clocks.set(-2 * YEAR)?;
    until_usable(&server)?;
    clock(&server, |clock| number(clock, "AheadSeconds") == 0)?;
    server.restart_with(|command| clocks.load(command))?;
    let link = Link::connect(server.url(), &anchor)?;
    let again = link.resume(server_session(1), &held)??;
    assert_eq!((again.session, again.generation), (held.session, held.generation + 1));
    link.acquire(server_session(2))?;
    Ok(())
}

#[test]
fn a_clock_that_is_ahead_at_the_start_ends_no_session_that_the_store_brings_back() -> Outcome {
    let site = Site::new("clock-ahead-start")?;
    let (mut server, mut clocks) = by_clocks(&site, "clock-ahead-start")?;
    let anchor = site.vendor.anchor_hash()?;
    let held = Link::connect(server.url(), &anchor)?.acquire(server_session(1))?;
    // Somebody sets the clock while nothing runs: no live session could have seen the jump.
    server.kill9()?;
    clocks.set(2 * YEAR)?;
    let mut last = held;
    for restart in 1..=3 {
        server.restart_with(|command| clocks.load(command))?;
        let seen = clock(&server, |clock| number(clock, "AheadSeconds") > YEAR)?;
        check(number(&seen, "BelievedInSeconds") > 23 * HOUR, || seen.to_string())?;
        let link = Link::connect(server.url(), &anchor)?;
        let again = link.resume(server_session(1), &last)??;
        assert_eq!((again.session, again.generation), (last.session, last.generation + 1), "restart {restart}");
        assert_eq!(link.acquire(server_session(1))?.session, last.session, "it goes on");
        match link.try_acquire(server_session(2))? {
            Err(error) if error.code == Code::NoUsableKey => {}
            other => return fail(format!("a new licence by a clock that is years ahead: {other:?}")),
        }
        last = again;
    }
    // Who gives it back gets none any more.
    let link = Link::connect(server.url(), &anchor)?;
    let again = link.resume(server_session(1), &last)??;
    link.release(again.session)?;
    check(link.try_acquire(server_session(1))?.is_err(), || {
        "a key that only a clock in doubt ends gave a seat".into()
    })?;
    clocks.set(-2 * YEAR)?;
    until_usable(&server)?;
    link.acquire(server_session(1))?;
    Ok(())
}

#[test]
fn a_server_that_was_stopped_for_an_hour_ends_no_live_session() -> Outcome {
    let site = Site::new("clock-stopped")?;
    let (server, mut clocks) = by_clocks(&site, "clock-stopped")?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    let held = link.acquire(server_session(1))?;
    server.stopped(|| clocks.pass(Duration::from_hours(1)))?;
    let seen = clock(&server, |clock| number(clock, "Standstills") > 0)?;
    check((number(&seen["LastStandstill"], "Seconds") - HOUR).abs() < 60, || seen.to_string())?;
    check(number(&seen, "Jumps") == 0, || format!("time that passed is no jump: {seen}"))?;
    check(server.said().contains("the process stood still for"), || "it is not in the log".to_owned())?;
    let page = server.rest().get("/")?.body;
    check(String::from_utf8_lossy(&page).contains("Сервер не работал"), || {
        "the console does not tell it".to_owned()
    })?;
    // The same connection and the same session: neither has ended.
    assert_eq!(link.acquire(server_session(1))?.session, held.session);
    assert_eq!(server.seats()?, (1, 2));
    Ok(())
}

#[test]
fn a_machine_that_slept_ends_no_live_session_and_counts_the_time() -> Outcome {
    let site = Site::new("clock-slept")?;
    let (server, mut clocks) = by_clocks(&site, "clock-slept")?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    let held = link.acquire(server_session(1))?;
    let before: licence::Time = clock(&server, |_| true)?["JudgedTime"].as_str().unwrap_or_default().parse()?;
    server.stopped(|| clocks.sleep(Duration::from_hours(8)))?;
    let seen = clock(&server, |clock| number(clock, "Jumps") > 0)?;
    let after: licence::Time = seen["JudgedTime"].as_str().unwrap_or_default().parse()?;
    check(after >= before.plus(Duration::from_hours(8)), || format!("{before} … {after}"))?;
    assert_eq!(link.acquire(server_session(1))?.session, held.session);
    assert_eq!(server.seats()?, (1, 2));
    Ok(())
}

#[test]
fn time_that_the_system_counts_between_two_processes_has_passed() -> Outcome {
    let site = Site::new("clock-namespace")?;
    let mut server = site.server_with("clock-namespace", 2, &["--days", "30"])?;
    let held = Link::connect(server.url(), &site.vendor.anchor_hash()?)?.acquire(server_session(1))?;
    // In a namespace whose boot clock is ahead, as if the machine had slept that long and somebody had set the wall clock back.
    let slept = Duration::from_hours(10).as_secs().to_string();
    let mut probe = Command::new("unshare");
    let namespace = ["--time", "--boottime", &slept, "--fork", "--kill-child"];
    if !probe.args(namespace).arg("true").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no time namespace can be made here");
        return Ok(());
    }
    server.restart_with(|command| {
        let inner = std::mem::replace(command, Command::new("unshare"));
        command.args(namespace).arg(inner.get_program()).args(inner.get_args());
        let variables = inner.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        command.envs(variables);
    })?;
    let seen = clock(&server, |_| true)?;
    check((number(&seen, "BehindSeconds") - 10 * HOUR).abs() < 60, || seen.to_string())?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    assert_eq!(link.resume(server_session(1), &held)??.session, held.session, "a restart arms leases in full");
    Ok(())
}
