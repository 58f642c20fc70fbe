//! Servers whose names the system looks up for ever: no call of 1C waits beyond its limit, and 1C can end.

#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use e2e::component::{Kind, Process, server_session};
use e2e::host::Value;
use e2e::{Outcome, Root, SERIES, Site, check};

/// The longest that the document lets a start take.
const START: Duration = Duration::from_secs(15);
/// What a busy machine may add: far less than one more server or name would take.
const SLACK: Duration = Duration::from_secs(1);
/// How long the system looks one name up: longer than all that 1C does here.
const HANGS: u32 = 120;

fn hanging(many: usize) -> String {
    (0..many).map(|number| format!("hanging-{number}")).collect::<Vec<_>>().join(",")
}

fn within<T>(limit: Duration, what: &str, act: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let began = Instant::now();
    let done = act()?;
    let took = began.elapsed();
    check(took <= limit + SLACK, || format!("{what}: {took:?}"))?;
    Ok(done)
}

#[test]
fn a_start_keeps_its_limit_with_two_hundred_names_that_hang_and_finds_the_server_behind_them() -> Outcome {
    let site = Site::new("names")?;
    let mut server = site.server_with("names", 3, &[])?;
    let root = Root::new("names-1c")?;
    let mut process = Process::with_hanging_names(Kind::Server, root.path(), HANGS)?;
    let anchor = site.vendor.anchor()?;

    let dead = format!("ServerAddr=hanging-first;ServerPort=9099;ReservedServers={}", hanging(199));
    let (attached, refused) = within(START, "a start in vain", || process.try_start(&dead, &anchor))?;
    let refusal = refused.expect_err("nobody can be reached");
    check(refusal.code == 503 && refusal.text.contains("hanging-first"), || refusal.text.clone())?;
    check(refusal.text.chars().count() < 2_000, || format!("{} characters", refusal.text.chars().count()))?;
    // 1C code that tries again and again must not gather threads.
    for _ in 0..3 {
        within(START, "another start in vain", || {
            Ok(process.host().call(attached.object, "Запуск", &[SERIES.into()])?)
        })?;
    }
    let threads = std::fs::read_dir(format!("/proc/{}/task", process.host().pid()))?.count();
    check(threads < 80, || format!("{threads} threads"))?;
    within(Duration::from_secs(5), "the end of an object", || process.detach(attached))?;

    let mut process = Process::with_hanging_names(Kind::Server, root.path(), HANGS)?;
    let alive = format!("{dead},127.0.0.1:{}", server.port());
    let (attached, started) = within(START, "a start", || process.try_start(&alive, &anchor))?;
    started.map_err(|refusal| refusal.failure())?;
    let limit = Duration::from_secs(17);
    within(limit, "a session", || process.set_session(&attached, &server_session(1)))?.map_err(|r| r.failure())?;
    within(START, "a licence", || process.licence(&attached))?.map_err(|r| r.failure())?;
    assert_eq!(server.seats()?, (1, 3));
    // Every name but one hangs, and that one's server goes: other members keep their limits too.
    server.stop()?;
    let key = || vec![SERIES.into(), "".into()];
    let members: [(&str, Vec<Value>, Duration); 5] = [
        ("ПолучитьЛицензии", vec![], START),
        ("ПрочитатьПамять", key(), START),
        ("ОбнулитьПамять", key(), START),
        ("УстановитьКодДоступа", vec!["код".into()], limit),
        ("СоздатьФайловыйЗапросОбновления", vec![], START),
    ];
    for (member, arguments, limit) in members {
        within(limit, member, || process.call(&attached, member, &arguments))?;
        check(process.refusal(attached.object)?.code != 0, || format!("{member} was not refused"))?;
    }
    within(Duration::from_secs(10), "the end of 1C", || {
        process.detach(attached)?;
        process.finish().map(drop)
    })
}
