//! The protocol under attack, offline attacks on protected objects, and grants through kills of the server.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use e2e::component::{Kind, Process, server_session};
use e2e::link::{agent, post, server_session as link_session};
use e2e::proxy::Tap;
use e2e::{Center, Link, Outcome, Root, Server, Site, Vendor};
use licence::Code;
use licence::crypto::{Crypto, ring::PROVIDER};
use licence::datafile::Datafile;
use licence::identity::Identity;
use licence::key::Key;
use licence::protocol::message::{Acquire, Granted, ObjectKeyQuery};
use licence::protocol::{CALL_PATH, CONNECT_PATH, Call, Outcome as Reply};
use licence::subkeys::{ObjectRef, Policy};

/// A refusal outside the channel: status and code of the catalogue.
fn refused(url: &str, path: &str, body: &[u8]) -> Outcome<(u16, String)> {
    let (status, answer) = post(&agent(), url, path, body)?;
    let error: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
    Ok((status, error["code"].as_str().unwrap_or_default().to_owned()))
}

#[test]
fn a_captured_request_is_refused_repeated_altered_or_for_another_connection() -> Outcome {
    let site = Site::new("captured")?;
    let server = site.server_with("captured", 2, &[])?;
    let anchor = site.vendor.anchor_hash()?;
    let tap = Tap::new(server.url().trim_start_matches("http://").parse()?)?;
    let root = Root::new("captured-1c")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let parameters = format!("ServerAddr=127.0.0.1;ServerPort={}", tap.port());
    let attached = process.work(&parameters, &anchor, &server_session(1))?.map_err(|refusal| refusal.failure())?;
    let before = server.sessions()?;
    assert_eq!(before.len(), 1);

    let captured: Vec<Vec<u8>> =
        tap.heard().into_iter().filter(|heard| heard.path == CALL_PATH).map(|heard| heard.body).collect();
    assert!(captured.len() >= 2, "the component spoke through the tap");
    let other = Link::connect(server.url(), &anchor)?;
    for body in &captured {
        assert_eq!(refused(server.url(), CALL_PATH, body)?, (400, "FrameRefused".into()), "repeated");
        for at in [0, 16, 20, 24, body.len() / 2, body.len() - 1] {
            let mut altered = body.clone();
            altered[at] ^= 1;
            let (status, _) = refused(server.url(), CALL_PATH, &altered)?;
            assert!(matches!(status, 400 | 404), "altered at {at}: {status}");
        }
        let mut foreign = body.clone();
        foreign[..16].copy_from_slice(&other.connection.0);
        assert_eq!(refused(server.url(), CALL_PATH, &foreign)?, (400, "FrameRefused".into()), "for another connection");
        foreign[..16].fill(7);
        assert_eq!(refused(server.url(), CALL_PATH, &foreign)?, (404, "ConnectionUnknown".into()), "for no connection");
    }
    // Nothing of it has disturbed the session.
    assert_eq!(server.sessions()?.len(), 1);
    process.licence(&attached)?.map_err(|refusal| refusal.failure())?;
    other.acquire(link_session(2))?;
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}

#[test]
fn a_call_that_is_asked_again_is_not_carried_out_again() -> Outcome {
    let site = Site::new("again")?;
    let server = site.server_with("again", 5, &[])?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    let acquire = |number| {
        let session = link_session(number);
        Call::Acquire(Box::new(Acquire { session, ..Acquire::default() }))
    };
    let ask = |id, call| -> Outcome<licence::error::Result<Reply>> {
        match link.send(&link.numbered(id, call)?)? {
            Ok(reply) => Ok(reply.result),
            Err((status, text)) => e2e::fail(format!("{status} {text}")),
        }
    };
    let first = ask(100, acquire(1))??;
    assert_eq!(ask(100, acquire(1))??, first, "the stored answer, secret included");
    let Reply::Granted(granted) = first else { panic!("not a grant: {first:?}") };
    link.release(granted.session)?;
    // A late repetition of the claim must not take a seat that nobody would give back.
    ask(100, acquire(1))??;
    assert_eq!(server.seats()?, (0, 5));
    Ok(())
}

#[test]
fn noise_and_old_components_get_a_clear_refusal() -> Outcome {
    let site = Site::new("noise")?;
    let server = site.server_with("noise", 1, &[])?;
    let long = vec![b'S'; 5 * 1024 * 1024];
    for body in [&b""[..], b"SLKC", b"SLKC\x01\x01", &[0xFF; 300]] {
        let (status, code) = refused(server.url(), CONNECT_PATH, body)?;
        assert!((400..500).contains(&status) && !code.is_empty(), "{body:?}: {status} {code}");
        let (status, code) = refused(server.url(), CALL_PATH, body)?;
        assert!((400..500).contains(&status) && !code.is_empty(), "{body:?}: {status} {code}");
    }
    // The connection may be closed before the answer is read.
    if let Ok((status, _)) = refused(server.url(), CALL_PATH, &long) {
        assert_eq!(status, 413);
    }
    assert_eq!(refused(server.url(), CONNECT_PATH, b"GET 2.0")?.1, "ProtocolMismatch");
    let newer = [&b"SLKC\x01\x63"[..], &[0x67, 0x2B], &[0; 64]].concat();
    assert_eq!(refused(server.url(), CONNECT_PATH, &newer)?, (409, "ProtocolMismatch".into()));
    Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    Ok(())
}

#[test]
fn a_fake_server_with_its_own_root_and_datafile_opens_nothing() -> Outcome {
    let site = Site::new("genuine")?;
    let root = Root::new("fake")?;
    let fake = Vendor::new(&root.path().join("vendor"))?;
    let center = Center::start(&fake.issuer_folder())?;
    let server = Server::ready(Root::new("fake-server")?, Some(center.url()))?;
    server.activate(&fake.code(100, &[])?)?;
    let plain = root.path().join("Обработка.bsl");
    fs::write(&plain, "Процедура Обман() КонецПроцедуры")?;
    let datafile = root.path().join("fake.datafile");
    fake.pack(&datafile, &[plain], &[])?;
    let datafile = fs::read(datafile)?;

    let mut process = Process::start(Kind::Server, root.path())?;
    let parameters = format!("ServerAddr=127.0.0.1;ServerPort={}", server.port());
    let refusal = match process.work(&parameters, &site.vendor.anchor()?, &server_session(1))? {
        Err(refusal) => refusal,
        Ok(_) => panic!("a licence of a server that no anchor vouches for"),
    };
    assert!([300, 504].contains(&refusal.code), "{refusal:?}");

    // The datafile of the fake is no good even beside the genuine anchor and a genuine server.
    let genuine = site.server_with("genuine", 1, &[])?;
    let parameters = format!("ServerAddr=127.0.0.1;ServerPort={}", genuine.port());
    let work = process.work(&parameters, &site.vendor.anchor()?, &server_session(1))?;
    let attached = work.map_err(|refusal| refusal.failure())?;
    let refusal = process.load_datafile(&attached, &datafile)?.expect_err("the root is another one");
    assert_eq!(refusal.code, 508, "{refusal:?}");
    assert!(process.object(&attached, "Обработка")?.is_err());
    process.detach(attached)?;

    // Without any anchor the component connects and opens nothing; a server can't give it one.
    if let Ok(attached) = process.attach(&parameters, "")? {
        assert!(process.object(&attached, "Обработка")?.is_err());
        process.detach(attached)?;
    }
    process.finish()?;
    Ok(())
}

#[test]
fn a_licence_without_a_flag_derives_no_key_even_offline() -> Outcome {
    let site = Site::new("offline")?;
    let server = site.server_with("offline", 1, &["--flags", "1"])?;
    let folder = site.root.path();
    let text = "Секрет".repeat(100);
    fs::write(folder.join("Объект.bsl"), &text)?;
    let pack = |name: &str, policy: &[&str]| -> Outcome<Datafile> {
        let path = folder.join(name);
        site.vendor.pack(&path, &[folder.join("Объект.bsl")], policy)?;
        Ok(Datafile::read(&PROVIDER, name, fs::read(path)?)?)
    };
    let (with_one, with_two) = (pack("one", &["--flag", "1"])?, pack("two", &["--flag", "1,2"])?);

    // Everything that an owner of the server has.
    let data = server.root().data();
    let identity = Identity::read(&PROVIDER, "identity", &fs::read_to_string(data.join("server.identity"))?)?;
    let file = server.keys()?[0]["FileName"].as_str().unwrap_or_default().to_owned();
    let key = Key::read(&PROVIDER, "licence", &fs::read_to_string(file)?)?;
    let subkeys = key.subkeys(&PROVIDER, &identity)?;
    let derive = |datafile: &Datafile, policy: &Policy| {
        let object = ObjectRef { name: "Объект", policy, salt: &datafile.index.salt.0 };
        subkeys.object_key(&PROVIDER, &object)
    };

    // The flag that it has opens its object: so the derivation below is the right one.
    let object = with_one.object("Объект").expect("packed");
    let opened = with_one.open(&PROVIDER, object, &derive(&with_one, &object.policy)?)?;
    assert_eq!(*opened, text.as_bytes());

    let object = with_two.object("Объект").expect("packed");
    let error = derive(&with_two, &object.policy).expect_err("flag 2 was not earned");
    assert_eq!(error.code, Code::SubkeyMissing);
    for flags in [vec![], vec![1], vec![1, 1]] {
        for seat in [true, false] {
            let milder = Policy { flags: flags.clone(), seat, ..object.policy.clone() };
            let wrong = derive(&with_two, &milder)?;
            assert!(with_two.open(&PROVIDER, object, &wrong).is_err(), "{milder:?}");
        }
    }
    // The subkeys of a re-written licence: the sealed box opens for the signed licence only.
    let mut other = key.clone();
    other.licence.issue += 1;
    assert!(other.subkeys(&PROVIDER, &identity).is_err());
    let stranger = Identity::generate(&PROVIDER)?;
    assert!(key.subkeys(&PROVIDER, &stranger).is_err());

    // Online it is the same.
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    let session = link.acquire(link_session(1))?.session;
    let ask = |datafile: &Datafile, policy: &Policy, session| {
        let (name, salt) = ("Объект".to_owned(), datafile.index.salt);
        link.object_key(ObjectKeyQuery { session, name, policy: policy.clone(), salt })
    };
    let one = with_one.object("Объект").expect("packed");
    assert!(with_one.open(&PROVIDER, one, &ask(&with_one, &one.policy, Some(session))??).is_ok());
    assert_eq!(ask(&with_two, &object.policy, Some(session))?.expect_err("flag 2").code, Code::SubkeyMissing);
    assert_eq!(ask(&with_one, &one.policy, None)?.expect_err("a seat is needed").code, Code::SeatNeeded);
    // Who says that no seat is needed gets a key that opens nothing.
    let seatless = Policy { seat: false, ..one.policy.clone() };
    assert!(with_one.open(&PROVIDER, one, &ask(&with_one, &seatless, None)??).is_err());
    Ok(())
}

/// What clients hold for sure: granted by an answer, and no release of it sent. By session number, with the client.
type Held = Mutex<BTreeMap<u32, (u32, Granted)>>;

const SEATS: usize = 6;

#[test]
fn a_killed_server_comes_back_with_its_sessions_and_never_grants_too_many() -> Outcome {
    const CLIENTS: u32 = 4;
    const LIVES: usize = 8;
    let site = Site::new("killed")?;
    let mut server = site.server_with("killed", u32::try_from(SEATS)?, &[])?;
    let anchor = site.vendor.anchor_hash()?;
    let (held, next) = (Held::default(), AtomicU32::new(1));
    for life in 0..LIVES {
        // Each life ends after another number of answers, in the middle of other calls.
        let random = PROVIDER.random_array()?[0];
        let (sender, answers) = mpsc::channel();
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (url, anchor, held, next) = (server.url().to_owned(), &anchor, &held, &next);
                    let sender = sender.clone();
                    scope.spawn(move || work(&url, anchor, client, held, next, &sender))
                })
                .collect();
            drop(sender);
            // Too few answers only when all clients have ended before their time.
            let early = answers.iter().take(5 + usize::from(random % 60)).count() < 5;
            server.kill9()?;
            for client in clients {
                let Ok(why) = client.join() else { return e2e::fail(format!("life {life}: a rule was broken")) };
                e2e::failure::check(!early, || format!("life {life}: {why:?}"))?;
            }
            Ok(())
        })?;
        server.restart()?;
        let (used, all) = server.seats()?;
        let listed = server.sessions()?;
        assert!(
            used as usize <= SEATS && all as usize == SEATS && listed.len() <= SEATS,
            "life {life}: {used} of {all}"
        );
        let link = Link::connect(server.url(), &anchor)?;
        // What was granted is there, and its holder takes it over with its secret.
        for (number, (_, granted)) in std::mem::take(&mut *held.lock().unwrap_or_else(PoisonError::into_inner)) {
            let again = link.resume(link_session(number), &granted)??;
            assert_eq!(again.session, granted.session, "life {life}: session {number} was granted and is lost");
            assert!(again.generation > granted.generation, "life {life}");
        }
        assert_eq!(server.sessions()?.len(), listed.len(), "life {life}: nobody needed a new seat");
        // Everything goes back, also what was granted or released when the answer could not be sent any more.
        for session in listed {
            let number: u32 = session["SessionNumber"].as_str().unwrap_or_default().parse()?;
            link.release(link.acquire(link_session(number))?.session)?;
        }
        assert_eq!(server.seats()?, (0, SEATS as u64));
    }
    Ok(())
}

/// Takes and gives back licences until the server is gone; why it ended.
fn work(url: &str, anchor: &str, client: u32, held: &Held, next: &AtomicU32, answers: &mpsc::Sender<()>) -> Outcome {
    let lock = || held.lock().unwrap_or_else(PoisonError::into_inner);
    let link = Link::connect(url, anchor)?;
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let answer = link.try_acquire(link_session(number))?;
        // Nobody counts any more when the kill is on its way.
        let _ = answers.send(());
        match answer {
            Ok(granted) => {
                let mut held = lock();
                held.insert(number, (client, granted));
                assert!(held.len() <= SEATS, "{} of {SEATS} seats are held at once", held.len());
            }
            Err(error) => assert_eq!(error.code, Code::AllTaken, "{error}"),
        }
        let own = {
            let mut held = lock();
            let own = held.iter().find(|(_, (holder, _))| *holder == client).map(|(number, _)| *number);
            own.filter(|_| !number.is_multiple_of(3)).and_then(|number| held.remove(&number))
        };
        if let Some((_, granted)) = own {
            link.release(granted.session)?;
        }
    }
}
