//! A server that is killed while a key changes: between a message and what it writes down of it, and between two files that it
//! writes. After each kill the same wish gives the same licence or code again, and nothing is lost or counts twice.

#![cfg(target_os = "linux")]

use std::thread;
use std::time::Duration;

use e2e::cutter::{Cutter, Lost};
use e2e::dying::Dying;
use e2e::failure::check;
use e2e::random::Random;
use e2e::{Answer, Failure, Outcome, Root, Server, Site, fail};
use serde_json::{Value, json};

/// More files than any wish has to write.
const FILES: usize = 20;

fn given(answer: &Answer) -> bool {
    (200..300).contains(&answer.status)
}

/// Has the server do something and kills it at each of the files that it writes for it, in turn, until it comes through; every
/// time it is started again and the same is asked for. `prepare` makes a wish and `check` looks at what came of it in the end.
fn killed_at_each_file(
    server: &mut Server,
    mut prepare: impl FnMut(&Server) -> Outcome<(String, Value)>,
    mut check_it: impl FnMut(&Server, &Value) -> Outcome,
) -> Outcome {
    let dying = Dying::new(server.root());
    server.restart_with(|command| dying.load(command))?;
    for files in 0..FILES {
        let (path, body) = prepare(server)?;
        dying.after(files)?;
        let first = server.rest().post(&path, &body);
        dying.spare()?;
        let survived = matches!(&first, Ok(answer) if given(answer));
        server.restart_with(|command| dying.load(command))?;
        let again = server.rest().post(&path, &body)?;
        check(given(&again), || format!("{path}, killed after {files} files: {again}"))?;
        let again = again.json()?;
        check_it(server, &again)?;
        if survived {
            return check(files >= 2, || format!("{path}: it wrote {files} files only"));
        }
    }
    fail(format!("after {FILES} files it still was not done"))
}

#[test]
fn a_server_killed_at_any_file_of_an_activation_has_its_licence_once() -> Outcome {
    let site = Site::new("killed-activation")?;
    let mut server = site.server("killed-activation")?;
    let mut sold = 0;
    let seats = std::cell::Cell::new(0);
    killed_at_each_file(
        &mut server,
        |_| {
            sold += 1;
            seats.set(seats.get() + sold);
            Ok((
                "/api/licences".into(),
                json!({ "ActivationCodeString": site.vendor.code(u32::try_from(sold)?, &[])? }),
            ))
        },
        |server, licence| {
            assert_eq!(licence["Workable"], true, "{licence}");
            assert_eq!(server.seats()?, (0, seats.get()));
            let keys =
                site.center.office("POST", "/api/find", Some(&json!({ "Query": licence["KeyNo"].to_string() })))?;
            assert_eq!(keys["Keys"].as_array().map(Vec::len), Some(1), "one key of one code");
            Ok(())
        },
    )?;
    assert_eq!(site.center.reports()?, []);
    Ok(())
}

#[test]
fn a_server_killed_at_any_file_of_a_reserve_or_an_update_ends_where_it_should() -> Outcome {
    let site = Site::new("killed-reserve")?;
    let mut server = site.server("killed-reserve")?;
    let other = site.server("killed-reserve-other")?;
    let mut moved = 0;
    killed_at_each_file(
        &mut server,
        |server| {
            let key_no = server.activate(&site.vendor.code(3, &[])?)?["KeyNo"].clone();
            Ok((format!("/api/licences/{key_no}/reserve"), json!({ "Reason": "переезд" })))
        },
        |server, reserved| {
            assert_eq!(server.seats()?, (0, 0), "{reserved}");
            let code = reserved["ReserveCode"].as_str().unwrap_or_default();
            assert_eq!(other.activate(code)?["KeyNo"], reserved["KeyNo"]);
            moved += 3;
            assert_eq!((server.seats()?, other.seats()?), ((0, 0), (0, moved)));
            Ok(())
        },
    )?;
    let code = site.vendor.code(1, &[])?;
    server.activate(&code)?;
    let mut sold = 1;
    let licences = std::cell::Cell::new(1);
    killed_at_each_file(
        &mut server,
        |_| {
            sold += 1;
            licences.set(sold);
            site.sell(&code, sold)?;
            Ok(("/api/updates".into(), json!({})))
        },
        |server, news| {
            check(news["Updates"][0]["Retired"] == json!([]), || news.to_string())?;
            assert_eq!(server.seats()?, (0, licences.get()));
            Ok(())
        },
    )?;
    assert_eq!(site.center.reports()?, [], "all of it is what customers do");
    Ok(())
}

#[test]
fn a_server_killed_before_it_hears_the_centre_gets_the_same_answer_later() -> Outcome {
    let site = Site::new("killed-unheard")?;
    let cutter = Cutter::new(site.center.address()?)?;
    let mut server = Server::ready(Root::new("killed-unheard")?, Some(&cutter.url()))?;
    let code = site.vendor.code(4, &[])?;
    let licence = unheard(&cutter, &mut server, "/api/licences", &json!({ "ActivationCodeString": code }))?;
    assert_eq!((server.seats()?, &licence["Workable"]), ((0, 4), &json!(true)));
    let path = format!("/api/licences/{}/reserve", licence["KeyNo"]);
    let reserved = unheard(&cutter, &mut server, &path, &json!({}))?;
    assert_eq!(server.seats()?, (0, 0), "it counts no more from the moment that the code is there");
    let found = site.center.office("POST", "/api/find", Some(&json!({ "Query": reserved["ReserveCode"] })))?;
    assert_eq!(found["Keys"][0]["KeyNo"], licence["KeyNo"], "{found}");
    let back =
        unheard(&cutter, &mut server, "/api/licences", &json!({ "ActivationCodeString": reserved["ReserveCode"] }))?;
    assert_eq!((server.seats()?, &back["KeyNo"]), ((0, 4), &licence["KeyNo"]));
    assert_eq!(site.center.reports()?, []);
    Ok(())
}

/// Kills the server when the centre has done what it was asked and before the answer arrives; what comes of asking again.
fn unheard(cutter: &Cutter, server: &mut Server, path: &str, body: &Value) -> Outcome<Value> {
    cutter.lose(&[Lost::Held]);
    let rest = server.rest();
    thread::scope(|scope| {
        let asking = scope.spawn(|| rest.post(path, body).is_err());
        let killed = cutter.wait_for_answer().and_then(|()| server.kill9());
        cutter.lose(&[]);
        killed?;
        check(asking.join().unwrap_or(false), || "nobody was answered".to_owned())
    })?;
    server.restart()?;
    let again = server.rest().post(path, body)?;
    check(given(&again), || format!("{path}: {again}"))?;
    again.json()
}

#[test]
fn a_restore_killed_at_any_file_is_done_by_the_next_one_and_takes_nothing_back() -> Outcome {
    let site = Site::new("killed-restore")?;
    let mut server = site.server("killed-restore")?;
    let code = site.vendor.code(1, &[])?;
    server.activate(&code)?;
    server.activate(&site.vendor.code(2, &[])?)?;
    server.activate(&site.vendor.code(4, &[])?)?;
    let archive = server.root().path().join("backup.tar").display().to_string();
    check(server.run(&["backup", &archive], "")?.status.success(), || "no backup".to_owned())?;
    server.rest().post("/api/licences/2/reserve", &json!({}))?.expect(200)?;
    site.sell(&code, 8)?;
    server.rest().post("/api/updates", &json!({}))?.expect(200)?;
    assert_eq!(server.seats()?, (0, 12));
    let dying = Dying::new(server.root());
    server.stop()?;
    for files in 0..2 * FILES {
        dying.after(files)?;
        let mut command = e2e::server::command(server.root().path(), &["restore", &archive])?;
        dying.load(&mut command);
        let survived = command.output()?.status.success();
        dying.spare()?;
        let again = server.run(&["restore", &archive], "")?;
        check(again.status.success(), || format!("{files}: {}", String::from_utf8_lossy(&again.stderr)))?;
        if survived {
            check(files > 3, || format!("{files} files only"))?;
            break;
        }
        // What was given up stays so, and of what is older than what was here an update brings the newer issue.
        server.restart()?;
        assert_eq!(server.seats()?, (0, 4), "killed after {files} files");
        let news = server.rest().post("/api/updates", &json!({}))?.expect(200)?;
        assert_eq!(news["Updates"][0]["Updated"], json!([1]), "{news}");
        assert_eq!(server.seats()?, (0, 12), "killed after {files} files");
        server.stop()?;
    }
    assert_eq!(site.center.reports()?, []);
    Ok(())
}

#[test]
fn a_centre_killed_at_any_moment_spends_no_code_without_a_licence_that_can_be_had_again() -> Outcome {
    /// Kills; the longest wait before one, in microseconds: an exchange takes about half of it.
    const KILLS: u64 = 8;
    const LONGEST: u64 = 24_000;
    let mut site = Site::new("killed-centre")?;
    let (server, other) = (site.server("killed-centre")?, site.server("killed-centre-other")?);
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let (mut chance, mut interrupted) = (Random(seed), 0);
    for done in 1..=KILLS {
        let code = site.vendor.code(1, &[])?;
        let order = json!({ "ActivationCodeString": code });
        let licence = killed(&mut site, &mut interrupted, chance.below(LONGEST), (&server, "/api/licences", &order))?;
        assert_eq!((&licence["Workable"], server.seats()?), (&json!(true), (0, 1)));
        let path = format!("/api/licences/{}/reserve", licence["KeyNo"]);
        let reserved = killed(&mut site, &mut interrupted, chance.below(LONGEST), (&server, &path, &json!({})))?;
        assert_eq!(server.seats()?, (0, 0));
        let moved = json!({ "ActivationCodeString": reserved["ReserveCode"] });
        let moved = killed(&mut site, &mut interrupted, chance.below(LONGEST), (&other, "/api/licences", &moved))?;
        assert_eq!((&moved["KeyNo"], other.seats()?), (&json!(done), (0, done)), "one key of one code");
    }
    println!("{interrupted} of {} exchanges were interrupted", 3 * KILLS);
    check(interrupted > 0, || format!("seed {seed}: no exchange was interrupted"))?;
    assert_eq!(site.center.reports()?, []);
    Ok(())
}

/// Kills the centre so many microseconds after a server was told to ask it; what comes of asking again.
fn killed(
    site: &mut Site,
    interrupted: &mut u64,
    wait: u64,
    (server, path, body): (&Server, &str, &Value),
) -> Outcome<Value> {
    let rest = server.rest();
    // The first call of a client fetches the server's public key, too.
    rest.public_key()?;
    let first = thread::scope(|scope| {
        let asking = scope.spawn(|| rest.post(path, body).map_err(|error| error.to_string()));
        thread::sleep(Duration::from_micros(wait));
        site.center.kill_and_restart()?;
        asking.join().map_err(|_| Failure::new("the client has ended".to_owned()))?.map_err(Failure::new)
    })?;
    *interrupted += u64::from(!given(&first));
    let again = server.rest().post(path, body)?;
    check(given(&again), || format!("{path}, the centre killed after {wait} µs: {again}"))?;
    let again = again.json()?;
    check(!given(&first) || first.json()?["KeyNo"] == again["KeyNo"], || format!("{first} and {again}"))?;
    Ok(again)
}
