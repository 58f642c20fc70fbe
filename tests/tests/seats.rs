//! How many licences one anonymous client may hold: whoever reaches the port must not take all that others have bought.

use std::fs;
use std::net::{Ipv6Addr, TcpListener};
use std::time::{Duration, Instant};

use e2e::failure::check;
use e2e::link::server_session;
use e2e::{Link, Outcome, Root, Server, Site, fail};
use licence::Code;
use licence::id::ComputerId;
use licence::protocol::Call;
use licence::protocol::message::ClientInfo;
use serde_json::json;

const LICENCES: u32 = 9;
const PATIENCE: Duration = Duration::from_secs(60);

/// Puts these lines in place of section `[Limits]`, the last one of the settings.
fn limit(root: &Root, lines: &str) -> Outcome {
    let path = root.settings().join("licenceserver.conf");
    let text = fs::read_to_string(&path)?;
    let before = text.split("[Limits]").next().unwrap_or_default().trim_end();
    // The file is replaced whole: a server that reads it meanwhile must not find half of it.
    let new = path.with_extension("new");
    fs::write(&new, format!("{before}\n[Limits]\n{lines}"))?;
    Ok(fs::rename(new, path)?)
}

/// Asks for session `number` until the answer is as the limits of now want it: the server reads its file some seconds later.
fn until(link: &Link, number: u32, expected: Option<Code>) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = link.try_acquire(server_session(number))?;
        let code = answer.as_ref().err().map(|error| error.code);
        if code == expected {
            return Ok(());
        }
        check(Instant::now() < deadline, || format!("session {number}: {code:?}, not {expected:?}"))?;
        if let Ok(granted) = answer {
            link.release(granted.session)?;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Why session `number` gets no licence.
fn refusal(link: &Link, number: u32) -> Outcome<Code> {
    match link.try_acquire(server_session(number))? {
        Ok(granted) => fail(format!("session {number} was granted: {granted:?}")),
        Err(error) => Ok(error.code),
    }
}

/// A server with 9 licences that listens on both loopback addresses.
fn server(site: &Site, name: &str, limits: &str) -> Outcome<Server> {
    let mut server = site.server_with(name, LICENCES, &[])?;
    server.after(|root| {
        let path = root.settings().join("licenceserver.conf");
        let text = fs::read_to_string(&path)?.replace("ServerAddr=127.0.0.1", "ServerAddr=localhost");
        fs::write(&path, text)?;
        limit(root, limits)
    })?;
    Ok(server)
}

#[test]
fn one_anonymous_address_gets_no_more_than_its_limit() -> Outcome {
    let site = Site::new("seats")?;
    let server = server(&site, "seats", "SeatsPerAddress=3\n")?;
    let anchor = site.vendor.anchor_hash()?;
    // Another connection, process or session of the same address makes no difference.
    let links = [Link::connect(server.url(), &anchor)?, Link::connect(server.url(), &anchor)?];
    for number in 1..=3 {
        links[number % 2].acquire(server_session(u32::try_from(number)?))?;
    }
    for number in 4..=LICENCES {
        assert_eq!(refusal(&links[0], number)?, Code::AddressAtLimit);
    }
    assert_eq!(server.seats()?, (3, u64::from(LICENCES)));

    // The refusal names the limit and how to lift it, and is there for the administrator.
    let error = links[0].try_acquire(server_session(5))?.err();
    let text = error.map(|error| error.message(licence::Lang::English)).unwrap_or_default();
    check(["SeatsPerAddress=3", "SeatsUnlimited", "127.0.0.1"].iter().all(|word| text.contains(word)), || {
        text.clone()
    })?;
    let denials = server.rest().get("/api/denials?limit=1")?.expect(200)?;
    let row = denials["Denials"][0].to_string();
    check(row.contains("335") && row.contains("SeatsPerAddress"), || denials.to_string())?;

    // A session that has its seat goes on, and a seat that was given back may be taken again.
    links[1].acquire(server_session(1))?;
    // Others are not hindered.
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        let other = Link::connect(&format!("http://[::1]:{}", server.port()), &anchor)?;
        (11..=13).try_for_each(|number| other.acquire(server_session(number)).map(drop))?;
        assert_eq!(refusal(&other, 14)?, Code::AddressAtLimit);
    }
    // An external session is asked for by an account that has signed in.
    for number in 0..3 {
        let body = json!({ "KeyID": e2e::SERIES, "ClientSessionID": number.to_string() });
        server.rest().post("/api/sessions", &body)?.expect(201)?;
    }
    Ok(())
}

#[test]
fn limits_change_while_the_server_runs_and_take_nothing_away() -> Outcome {
    let site = Site::new("seats-live")?;
    let mut server = server(&site, "seats-live", "")?;
    let anchor = site.vendor.anchor_hash()?;
    let link = Link::connect(server.url(), &anchor)?;
    let held = (1..=4).map(|number| link.acquire(server_session(number))).collect::<Outcome<Vec<_>>>()?;
    limit(server.root(), "SeatsPerAddress=2\n")?;
    until(&link, 5, Some(Code::AddressAtLimit))?;
    assert_eq!(server.seats()?.0, 4);
    assert_eq!(link.heartbeat()?.len(), 0, "nobody loses what he has");
    // A 1C server is named once, and gets what it asks for.
    limit(server.root(), "SeatsPerAddress=2\nSeatsUnlimited=127.0.0.0/8\n")?;
    until(&link, 5, None)?;
    limit(server.root(), "SeatsPerAddress=2\n")?;
    until(&link, 6, Some(Code::AddressAtLimit))?;
    for granted in &held[..3] {
        link.release(granted.session)?;
    }
    assert_eq!((refusal(&link, 6)?, server.seats()?.0), (Code::AddressAtLimit, 2));

    // After a restart both that are left come back to whoever held them, and count again.
    server.restart()?;
    let link = Link::connect(server.url(), &anchor)?;
    link.acquire(server_session(4))?;
    link.acquire(server_session(5))?;
    assert_eq!((refusal(&link, 6)?, server.seats()?.0), (Code::AddressAtLimit, 2));

    // A mistake in the file shuts nobody out from what was bought; the administrator is told of it.
    server.after(|root| limit(root, "SeatsPerAddress=2\nSeatsUnlimited=the 1C server\n"))?;
    let link = Link::connect(server.url(), &anchor)?;
    (6..=8).try_for_each(|number| link.acquire(server_session(number)).map(drop))?;
    let status = server.run(&["status", "--lang", "en"], "")?;
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    check(text.contains("SeatsUnlimited"), || text.clone())
}

#[test]
fn one_computer_gets_no_more_than_its_limit() -> Outcome {
    let site = Site::new("seats-computer")?;
    let server = server(&site, "seats-computer", "SeatsPerComputer=2\n")?;
    let anchor = site.vendor.anchor_hash()?;
    let from = |computer: u8| {
        let link = Link::shake_hands(server.url(), &anchor)?;
        let info = ClientInfo { computer: Some(ComputerId([computer; 20])), is_server: true, ..ClientInfo::default() };
        link.done(Call::Open(Box::new(info)))?;
        Outcome::Ok(link)
    };
    let (first, again, other) = (from(1)?, from(1)?, from(2)?);
    first.acquire(server_session(1))?;
    again.acquire(server_session(2))?;
    assert_eq!(refusal(&first, 3)?, Code::ComputerAtLimit);
    other.acquire(server_session(3))?;
    assert_eq!(server.seats()?.0, 3);
    Ok(())
}
