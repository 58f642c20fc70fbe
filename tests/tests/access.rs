//! Who gets in and who must wait, on real processes: floods of strangers, guesses, removed accounts, the pass of commands, and the
//! record of refusals.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use e2e::link::server_session;
use e2e::server::{PASSWORD, USER};
use e2e::{Link, Outcome, Rest, Root, SERIES, Server, Site, check};
use licence::Code;
use licence::protocol::Call;
use licence::protocol::keys::{Hidden, KeyCall};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until it holds.
fn until(what: &str, holds: impl Fn() -> Outcome<bool>) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        check(Instant::now() < deadline, || format!("in vain: {what}"))?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn hidden(text: &str) -> Hidden {
    Hidden(text.into())
}

/// A call of a component that anybody may make, and that takes a hash.
fn read(key_no: u32) -> KeyCall {
    KeyCall::ReadMemory { key_no: Some(key_no), password: hidden("чтение") }
}

/// A server with a key whose memory has passwords; further accounts that nobody has used yet.
fn server(site: &Site, name: &str, accounts: usize) -> Outcome<(Server, u32)> {
    let mut server = site.server_with(name, 1, &[])?;
    let key_no = server.keys()?[0]["KeyNo"].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    link.acquire(server_session(1))?;
    let (old, new) = (["", ""].map(hidden), ["чтение", "запись"].map(hidden));
    link.about_keys(KeyCall::SetPasswords { key_no: Some(key_no), old, new })?;
    server.after(|root| {
        let path = root.settings().join("licenceserver.conf");
        let text = fs::read_to_string(&path)?;
        let hash = text.lines().find_map(|line| line.strip_prefix("Password=")).unwrap_or_default().to_owned();
        let users: String = (0..accounts).map(|number| format!("user{number}=viewer {hash}\n")).collect();
        Ok(fs::write(&path, format!("{text}\n[Users]\n{users}"))?)
    })?;
    Ok((server, key_no))
}

#[test]
fn a_flood_of_strangers_at_the_memory_of_keys_does_not_hold_up_an_administrator() -> Outcome {
    const FLOOD: usize = 100;
    let site = Site::new("access-flood")?;
    let (server, key_no) = server(&site, "access-flood", 0)?;
    let anchor = site.vendor.anchor_hash()?;
    let links = (0..FLOOD).map(|_| Link::connect(server.url(), &anchor)).collect::<Outcome<Vec<_>>>()?;
    let (sent, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for link in &links {
            scope.spawn(|| {
                sent.fetch_add(1, Ordering::SeqCst);
                let outcome = link.call(Call::Key(Box::new(read(key_no))));
                answered.fetch_add(1, Ordering::SeqCst);
                // Who has waited his longest is told so.
                let known =
                    |reply: &licence::Result<_>| reply.as_ref().err().is_none_or(|error| error.code == Code::Busy);
                assert!(outcome.as_ref().is_ok_and(known), "{:?}", outcome.err());
            });
        }
        until(
            "the flood is there",
            || Ok(sent.load(Ordering::SeqCst) == FLOOD && answered.load(Ordering::SeqCst) > 0),
        )?;
        let before = answered.load(Ordering::SeqCst);
        // Nobody has signed in since the start, so this takes a hash; from the same address as the flood.
        server.rest().get("/api/settings")?.expect(200)?;
        let meanwhile = answered.load(Ordering::SeqCst) - before;
        check(before + meanwhile < FLOOD * 2 / 3, || format!("answered after {before} + {meanwhile} of {FLOOD} calls"))
    })
}

#[test]
fn a_flood_of_sign_ins_does_not_hold_up_the_memory_of_keys() -> Outcome {
    const FLOOD: usize = 40;
    let site = Site::new("access-rush")?;
    let (server, key_no) = server(&site, "access-rush", FLOOD)?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    let (sent, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..FLOOD {
            let (server, sent, answered) = (&server, &sent, &answered);
            scope.spawn(move || {
                let rest = Rest::new(server.url()).with_user(&format!("user{number}"), PASSWORD);
                sent.fetch_add(1, Ordering::SeqCst);
                let answer = rest.raw("GET", "/api", &[], None);
                answered.fetch_add(1, Ordering::SeqCst);
                assert!(answer.is_ok_and(|answer| [200, 503].contains(&answer.status)));
            });
        }
        until("the rush is there", || Ok(sent.load(Ordering::SeqCst) == FLOOD && answered.load(Ordering::SeqCst) > 0))?;
        link.about_keys(read(key_no))?;
        let before = answered.load(Ordering::SeqCst);
        check(before < FLOOD * 2 / 3, || format!("answered after {before} of {FLOOD} sign-ins"))
    })
}

#[test]
fn who_guesses_is_told_when_to_come_again() -> Outcome {
    let server = Server::ready(Root::new("access-guess")?, None)?;
    let guess = |path: &str| Rest::new(server.url()).with_user(USER, "guess").raw("GET", path, &[], None);
    let mut tries = 0;
    while guess("/api")?.status == 401 {
        tries += 1;
        check(tries < 20, || "nobody has to wait".to_owned())?;
    }
    // The API, the console, and a change of the password.
    let change = json!({ "UserName": USER, "Password": "another password" }).to_string();
    let rest = Rest::new(server.url()).with_user(USER, "guess");
    for answer in [
        guess("/api")?,
        guess("/events")?,
        rest.raw("PUT", "/api/password", &[("Content-Type", "application/json")], Some(change.as_bytes()))?,
    ] {
        let wait = answer.header("retry-after").and_then(|wait| wait.parse::<u64>().ok());
        check(answer.status == 429 && wait.is_some_and(|wait| (1..=300).contains(&wait)), || format!("{answer:?}"))?;
    }
    assert_eq!(guess("/api")?.refusal(429)?, 113);
    assert_eq!(guess("/api")?.json()?["Exception"], "EHTTPForbidden", "the class that 1C code knows stays");
    Ok(())
}

#[test]
fn a_removed_account_ends_with_the_command_that_removes_it() -> Outcome {
    let server = Server::ready(Root::new("access-removed")?, None)?;
    let set = |arguments: &[&str]| -> Outcome {
        let done = server.run(arguments, &format!("{PASSWORD}\n"))?;
        check(done.status.success(), || String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let vera = Rest::new(server.url()).with_user("vera", PASSWORD);
    set(&["passwd", "vera", "--role", "operator", "--stdin"])?;
    vera.get("/api/events")?.expect(200)?;
    set(&["passwd", "vera", "--role", "viewer", "--stdin"])?;
    assert_eq!(vera.get("/api/events")?.refusal(403)?, 104, "another role");
    vera.get("/api/licences")?.expect(200)?;
    set(&["passwd", "vera", "--remove"])?;
    assert_eq!(vera.get("/api/licences")?.refusal(401)?, 103, "removed");
    // By hand: within the time in which the server looks at the file.
    set(&["passwd", "vera", "--role", "viewer", "--stdin"])?;
    vera.get("/api/licences")?.expect(200)?;
    let path = server.root().settings().join("licenceserver.conf");
    let text = fs::read_to_string(&path)?;
    fs::write(
        &path,
        text.lines().filter(|line| !line.starts_with("vera")).map(|line| format!("{line}\n")).collect::<String>(),
    )?;
    until("the edited file is taken up", || Ok(vera.get("/api/licences")?.status == 401))
}

#[test]
fn the_pass_of_the_commands_is_no_good_through_a_proxy() -> Outcome {
    let server = Server::ready(Root::new("access-pass")?, None)?;
    let pass: Value = serde_json::from_str(&fs::read_to_string(server.root().data().join("server.pass"))?)?;
    let bearer = format!("Bearer {}", pass["Token"].as_str().unwrap_or_default());
    let rest = Rest::new(server.url()).with_header("Authorization", &bearer);
    rest.get("/api/settings")?.expect(200)?;
    for (name, value) in [("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=127.0.0.1"), ("Via", "1.1 proxy")] {
        let rest = Rest::new(server.url()).with_header("Authorization", &bearer).with_header(name, value);
        assert_eq!(rest.get("/api/settings")?.refusal(401)?, 103, "{name}");
    }
    Ok(())
}

#[test]
fn refusals_of_one_address_are_counted_when_there_are_too_many_of_them() -> Outcome {
    const CLAIMS: u32 = 540;
    let site = Site::new("access-refusals")?;
    let server = site.server_with("access-refusals", 1, &[])?;
    let taken = json!({ "KeyID": SERIES, "ClientSessionID": "1" });
    server.rest().post("/api/sessions", &taken)?.expect(201)?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    for number in 0..CLAIMS {
        let refused = link.try_acquire(server_session(number + 1))?;
        check(refused.is_err_and(|error| error.code == Code::AllTaken), || format!("claim {number} was granted"))?;
    }
    let list = server.rest().get("/api/denials?limit=2000")?.expect(200)?;
    let rows = list["Denials"].as_array().cloned().unwrap_or_default();
    let (several, named): (Vec<&Value>, Vec<&Value>) = rows.iter().partition(|row| row["Kind"] == "several");
    assert_eq!(named.len(), 500, "{} rows", rows.len());
    let count = |rows: &[&Value]| rows.iter().filter_map(|row| row["Count"].as_u64()).sum::<u64>();
    assert_eq!((count(&several), count(&named)), (40, 500));
    assert!(several.iter().all(|row| row["PeerIP"] == "127.0.0.1" && row["UserName"].is_null()), "{several:?}");
    Ok(())
}
