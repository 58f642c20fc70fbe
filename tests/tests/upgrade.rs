//! Another build takes the place of a running server while clients work: no session is lost, and no call of the component fails.
//! And programs of different age: the protocol version that both know, more members than one knows, calls that one does not know.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use e2e::component::{Kind, Process, server_session};
use e2e::daemon::Daemon;
use e2e::link::{self, agent, post};
use e2e::{Link, Outcome, Programs, Rest, Root, SERIES, Server, Site, check, fail};
use licence::Code;
use licence::crypto::ring::PROVIDER;
use licence::datafile::Datafile;
use licence::id::{KeyId, RootHash};
use licence::protocol::message::{Granted, ObjectKeyQuery};
use licence::protocol::{CONNECT_PATH, Call, ClientHandshake, Outcome as Reply};
use licence::version::VERSION;

/// Processes of 1C with the component, and clients that speak the protocol themselves.
const PROCESSES: u32 = 3;
const LINKS: u32 = 3;
/// Sessions that each of the latter holds.
const HELD: u32 = 4;
/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What all clients share.
struct Work<'a> {
    url: String,
    anchor: String,
    datafile: &'a Path,
    stop: AtomicBool,
    /// Rounds of calls that each client has behind it.
    rounds: Vec<AtomicU64>,
}

/// Version of the other build.
fn newer() -> String {
    VERSION.replacen("3.0.1", "3.0.9", 1)
}

/// A build that says another version of itself, and does the same.
fn other_build(folder: &Path) -> Outcome<PathBuf> {
    let (own, path) = (Programs::built()?.program("licenceserver"), folder.join("licenceserver"));
    // Keeps the rights.
    fs::copy(&own, &path)?;
    let stamp = format!("s/{}/{}/g", VERSION.replace('.', "\\."), newer());
    let stamped = Command::new("sed").arg(stamp).arg(&own).env("LC_ALL", "C").output()?;
    check(stamped.status.success(), || "sed failed".to_owned())?;
    fs::write(&path, stamped.stdout)?;
    Ok(path)
}

fn version(server: &Server) -> Outcome<String> {
    let answer = Rest::new(server.url()).get("/api")?;
    Ok(answer.header("licence-serverversion").unwrap_or_default().split(',').next().unwrap_or_default().to_owned())
}

/// Sessions by number, with their identifiers: those that are held from the beginning to the end.
fn steady(server: &Server) -> Outcome<BTreeMap<u32, String>> {
    let mut steady = BTreeMap::new();
    for session in server.sessions()? {
        let number = session["SessionNumber"].as_str().unwrap_or_default().parse()?;
        if number < 1000 {
            steady.insert(number, session["ID"].as_str().unwrap_or_default().to_owned());
        }
    }
    Ok(steady)
}

#[test]
fn another_build_takes_over_while_clients_work() -> Outcome {
    let site = Site::new("upgrade")?;
    let mut server = site.server_with("upgrade", 100, &[])?;
    let folder = site.root.path();
    fs::write(folder.join("Обработка.bsl"), "Секрет".repeat(1000))?;
    let datafile = folder.join("upgrade.datafile");
    site.vendor.pack(&datafile, &[folder.join("Обработка.bsl")], &[])?;
    let (own, other) = (Programs::built()?.program("licenceserver"), other_build(folder)?);
    let work = Work {
        url: server.url().to_owned(),
        anchor: site.vendor.anchor_hash()?,
        datafile: &datafile,
        stop: AtomicBool::new(false),
        rounds: (0..PROCESSES + LINKS).map(|_| AtomicU64::new(0)).collect(),
    };
    let port = server.port();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..PROCESSES + LINKS)
            .map(|client| {
                let work = &work;
                scope.spawn(
                    move || if client < PROCESSES { component(work, client, port) } else { linked(work, client) },
                )
            })
            .collect();
        let outcome =
            replace_again_and_again(&mut server, &work, &own, &other, || clients.iter().all(|one| !one.is_finished()));
        work.stop.store(true, Ordering::SeqCst);
        for client in clients {
            match client.join() {
                Ok(ended) => ended?,
                Err(_) => return fail("a client panicked"),
            }
        }
        outcome
    })?;
    Ok(())
}

fn replace_again_and_again(
    server: &mut Server,
    work: &Work<'_>,
    own: &Path,
    other: &Path,
    all_work: impl Fn() -> bool,
) -> Outcome {
    go_on(work, &all_work)?;
    let held = steady(server)?;
    assert_eq!(held.len() as u32, PROCESSES + LINKS * HELD);
    let gracefully = |daemon: &mut Daemon| check(daemon.stop()?.success(), || daemon.said());
    assert_eq!(version(server)?, VERSION);
    for life in 0..2 {
        server.replace(other, gracefully)?;
        go_on(work, &all_work)?;
        assert_eq!((version(server)?, steady(server)?), (newer(), held.clone()), "life {life}, upgraded");
        server.replace(own, gracefully)?;
        go_on(work, &all_work)?;
        assert_eq!((version(server)?, steady(server)?), (VERSION.to_owned(), held.clone()), "life {life}, and back");
        server.replace(other, Daemon::kill9)?;
        go_on(work, &all_work)?;
        assert_eq!(steady(server)?, held, "life {life}, killed");
    }
    Ok(())
}

/// Waits until each client has done some more.
fn go_on(work: &Work<'_>, all_work: &impl Fn() -> bool) -> Outcome {
    let counts = || work.rounds.iter().map(|rounds| rounds.load(Ordering::SeqCst)).collect::<Vec<_>>();
    let (before, deadline) = (counts(), Instant::now() + PATIENCE);
    while counts().iter().zip(&before).any(|(now, before)| *now < before + 3) {
        check(all_work(), || "a client has given up".to_owned())?;
        check(Instant::now() < deadline, || format!("a client gets no further: {before:?}, {:?}", counts()))?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A process of 1C: everything that it asks of the component must succeed.
fn component(work: &Work<'_>, client: u32, port: u16) -> Outcome {
    let root = Root::new("upgrade-1c")?;
    let parameters = format!("ServerAddr=127.0.0.1;ServerPort={port}");
    let datafile = fs::read(work.datafile)?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let attached =
        process.work(&parameters, &work.anchor, &server_session(1 + client))?.map_err(|refusal| refusal.failure())?;
    process.load_datafile(&attached, &datafile)?.map_err(|refusal| refusal.failure())?;
    while !work.stop.load(Ordering::SeqCst) {
        process.licence(&attached)?.map_err(|refusal| refusal.failure())?;
        let object = process.object(&attached, "Обработка")?.map_err(|refusal| refusal.failure())?;
        check(object.len() == "Секрет".len() * 1000, || "not the object".to_owned())?;
        // Another session comes and goes.
        let guest = process.work(&parameters, &work.anchor, &server_session(1000 + client))?;
        let guest = guest.map_err(|refusal| refusal.failure())?;
        process.release(&guest)?.map_err(|refusal| refusal.failure())?;
        process.detach(guest)?;
        work.rounds[client as usize].fetch_add(1, Ordering::SeqCst);
    }
    process.detach(attached)?;
    process.finish().map(drop)
}

/// A client that sees every break, and bridges it as the protocol says: it connects again and resumes its sessions.
fn linked(work: &Work<'_>, client: u32) -> Outcome {
    let numbers = client * 100..client * 100 + HELD;
    let mut link = Link::connect(&work.url, &work.anchor)?;
    let mut held =
        numbers.map(|number| Ok((number, link.acquire(link::server_session(number))?))).collect::<Outcome<Vec<_>>>()?;
    let datafile = Datafile::read(&PROVIDER, "datafile", fs::read(work.datafile)?)?;
    let Some(object) = datafile.object("Обработка") else { return fail("not packed") };
    let query = |granted: &Granted| ObjectKeyQuery {
        session: Some(granted.session),
        name: object.name.clone(),
        policy: object.policy.clone(),
        salt: datafile.index.salt,
    };
    let key = link.object_key(query(&held[0].1))??;
    while !work.stop.load(Ordering::SeqCst) {
        // The outer failures are breaks; a refusal is none.
        let round = || -> Outcome<licence::error::Result<bool>> {
            let alive = match link.call(Call::Heartbeat)? {
                Ok(Reply::Alive(alive)) => alive.lost.is_empty(),
                Ok(_) => false,
                Err(error) => return Ok(Err(error)),
            };
            let asked = match link.object_key(query(&held[0].1))? {
                Ok(asked) => asked,
                Err(error) => return Ok(Err(error)),
            };
            let guest = match link.try_acquire(link::server_session(1000 + client))? {
                Ok(guest) => guest,
                Err(error) => return Ok(Err(error)),
            };
            match link.call(Call::Release { session: guest.session })? {
                Ok(_) => Ok(Ok(alive && asked == key)),
                Err(error) => Ok(Err(error)),
            }
        };
        match round() {
            Ok(right) => {
                check(right?, || "a session is lost, or a key is another".to_owned())?;
                work.rounds[client as usize].fetch_add(1, Ordering::SeqCst);
            }
            Err(_) => link = come_back(work, &mut held)?,
        }
    }
    Ok(())
}

/// A new connection with all sessions; a break on the way begins it anew.
fn come_back(work: &Work<'_>, held: &mut [(u32, Granted)]) -> Outcome<Link> {
    let deadline = Instant::now() + PATIENCE;
    'again: loop {
        check(Instant::now() < deadline, || "no server comes back".to_owned())?;
        let Ok(link) = Link::connect(&work.url, &work.anchor) else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        for (number, granted) in held.iter_mut() {
            let Ok(resumed) = link.resume(link::server_session(*number), granted) else { continue 'again };
            let resumed = resumed?;
            check(resumed.session == granted.session, || format!("session {number} is lost"))?;
            *granted = resumed;
        }
        return Ok(link);
    }
}

#[test]
fn a_component_of_another_age_gets_the_common_version_or_a_clear_refusal() -> Outcome {
    let site = Site::new("versions")?;
    let server = site.server_with("versions", 3, &[])?;
    let anchor = site.vendor.anchor_hash()?;
    // Newer ones that still speak ours, in whatever order they list them.
    for versions in [&[9, 2, 1][..], &[1, 2], &[0, 1]] {
        let link = Link::shake_hands_offering(versions, server.url(), &anchor)?;
        assert_eq!(link.hello.protocol, 1, "{versions:?}");
        link.done(Call::Open(Box::default()))?;
    }
    let refused = |versions: &[u8]| -> Outcome<licence::error::Error> {
        let offer = ClientHandshake::offering(versions, SERIES.parse::<KeyId>()?, Some(anchor.parse::<RootHash>()?))?.1;
        let (status, answer) = post(&agent(), server.url(), CONNECT_PATH, &offer)?;
        check(status == 409, || format!("{status}"))?;
        Ok(serde_json::from_slice(&answer)?)
    };
    for (versions, updates) in
        [(&[2, 3][..], "the server"), (&[9], "the server"), (&[0], "the component"), (&[], "the component")]
    {
        let error = refused(versions)?;
        assert_eq!(error.code, Code::ProtocolMismatch);
        assert!(error.message(licence::error::Lang::English).contains(updates), "{versions:?}: {error}");
    }
    // Between the handshake and the calls nobody can take a version out: `tests/security/broken_channel.rs`.
    Ok(())
}

#[test]
fn more_than_one_side_knows_is_skipped_and_an_unknown_call_is_refused_by_itself() -> Outcome {
    let site = Site::new("newer")?;
    let server = site.server_with("newer", 3, &[])?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    let ask = |message: serde_json::Value| -> Outcome<licence::error::Result<Reply>> {
        match link.send(&link.sealed(message.to_string().as_bytes())?)? {
            Ok(reply) => Ok(reply.result),
            Err((status, text)) => fail(format!("{status} {text}")),
        }
    };
    let mut session = serde_json::to_value(link::server_session(1))?;
    session["Tenant"] = "a member of tomorrow".into();
    let acquire = serde_json::json!({
        "id": 100, "trace": "7f", "call": { "do": "acquire", "session": session, "priority": { "class": 3 } }
    });
    let Reply::Granted(granted) = ask(acquire)?? else { return fail("not a grant") };
    assert_eq!(server.seats()?, (1, 3));
    assert!(matches!(
        ask(serde_json::json!({ "id": 101, "call": { "do": "heartbeat", "load": 0.5 } }))??,
        Reply::Alive(_)
    ));
    for (id, call) in
        [(102, serde_json::json!({ "do": "teleport", "to": "moon" })), (103, serde_json::json!({ "do": "" }))]
    {
        let error = ask(serde_json::json!({ "id": id, "call": call }))?.expect_err("nobody knows this call");
        assert_eq!((error.code, error.code.number()), (Code::CallUnknown, 151));
    }
    // The connection lives on, with its session.
    link.release(granted.session)?;
    assert_eq!(server.seats()?, (0, 3));
    Ok(())
}
