//! The main job from the side of 1C: the built component in the C++ host against real servers.

use std::fs;
use std::process::Command;

use e2e::component::{Attached, Kind, Process, TEMPLATE, file_session, server_session};
use e2e::failure::check;
use e2e::host::{HostError, Value};
use e2e::{Failure, Outcome, Programs, Root, SERIES, Server, Site};

fn granted<T>(answer: Result<T, e2e::component::Refusal>) -> Outcome<T> {
    answer.map_err(|refusal| refusal.failure())
}

fn to(server: &Server) -> String {
    format!("ServerAddr=127.0.0.1;ServerPort={}", server.port())
}

/// A datafile with one object of these bytes, packed with more arguments.
fn datafile(site: &Site, bytes: &[u8], policy: &[&str]) -> Outcome<Vec<u8>> {
    let (plain, packed) = (site.root.path().join("Объект.epf"), site.root.path().join("packed.datafile"));
    fs::write(&plain, bytes)?;
    site.vendor.pack(&packed, &[plain], policy)?;
    Ok(fs::read(packed)?)
}

#[test]
fn the_demonstration_passes() -> Outcome {
    let output = Command::new(Programs::built()?.program("demo")).output()?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last = said.lines().last().unwrap_or_default();
    assert!(output.status.success(), "{said}{errors}");
    assert!(last.starts_with("demo: ") && last.ends_with(" steps passed"), "{last}");
    Ok(())
}

#[test]
fn a_refusal_is_a_value_and_a_wrong_call_an_exception() -> Outcome {
    let root = Root::new("refusals")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let nobody = e2e::daemon::free_port()?;
    let hash = "AB".repeat(32);
    let refusal = process.attach(&format!("host=127.0.0.1;port={nobody}"), &hash)?.expect_err("nobody listens there");
    assert_eq!(refusal.code, 503, "{refusal:?}");
    assert!(
        refusal.text.starts_with("(ELocalServerNotFound)") && refusal.text.contains(&nobody.to_string()),
        "{refusal:?}"
    );

    let object = process.create()?;
    let host = process.host();
    assert_eq!(host.call(object, "CheckVersion", &["3.0.30.10493".into()])?, Value::Bool(true));
    assert_eq!(host.call(object, "ПроверитьВерсию", &["99.0".into()])?, Value::Bool(false));
    assert_eq!(host.get(object, "Версия")?, Value::Text(licence::version::VERSION.into()));
    match host.call(object, "Запуск", &[Value::Bool(true)]) {
        Err(HostError::AddIn { text, .. }) => assert!(text.contains("Запуск") || text.contains("Start"), "{text}"),
        other => panic!("a series is a text: {other:?}"),
    }
    process.host().destroy(object)?;
    process.finish()?;
    Ok(())
}

#[test]
fn licenceaddin_conf_is_read_and_a_wrong_one_is_named() -> Outcome {
    let site = Site::new("conf")?;
    let server = site.server_with("conf", 1, &[])?;
    let root = Root::new("conf-1c")?;
    let conf = root.settings().join("licenceaddin.conf");
    let anchor = site.vendor.anchor()?;
    // The administrator's word goes before that of 1C code when he says so.
    let text = format!("[Common]\nServerAddr=127.0.0.1\nServerPort={}\nForceUseConfig=1\n", server.port());
    fs::write(&conf, text)?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let attached = granted(process.work("ServerAddr=127.0.0.1;ServerPort=1", &anchor, &server_session(1))?)?;
    assert_eq!(server.seats()?, (1, 1));
    process.detach(attached)?;
    process.finish()?;

    fs::write(&conf, "[Common]\nServerAddr=127.0.0.1\nServerPort=many\n")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let refusal = process.attach("", &anchor)?.expect_err("the file is wrong");
    assert!(
        refusal.code == 601 && refusal.text.contains("licenceaddin.conf") && refusal.text.contains('3'),
        "{refusal:?}"
    );
    process.finish()?;
    Ok(())
}

#[test]
fn objects_of_1c_come_and_go_and_the_session_keeps_its_seat() -> Outcome {
    let site = Site::new("objects")?;
    let server = site.server_with("objects", 2, &[])?;
    let (root, anchor) = (Root::new("objects-1c")?, site.vendor.anchor_hash()?);
    let mut process = Process::start(Kind::Server, root.path())?;
    let first = granted(process.work(&to(&server), &anchor, &server_session(1))?)?;
    let second = granted(process.work(&to(&server), &anchor, &server_session(1))?)?;
    assert_eq!((server.sessions()?.len(), server.seats()?), (1, (1, 2)), "two objects of one session");
    process.detach(first)?;
    granted(process.licence(&second)?)?;
    process.detach(second)?;
    // 1C drops cached objects dozens of times in the life of a session.
    assert_eq!(server.seats()?, (1, 2), "the session goes on without an object");
    let id = server.sessions()?[0]["ID"].clone();
    let third = granted(process.work(&to(&server), &anchor, &server_session(1))?)?;
    assert_eq!((server.sessions()?.len(), &server.sessions()?[0]["ID"]), (1, &id));
    granted(process.release(&third)?)?;
    assert_eq!(server.seats()?, (0, 2), "an explicit release frees at once");
    process.detach(third)?;
    process.finish()?;
    Ok(())
}

#[test]
fn connections_and_sessions_are_listed_with_the_fields_of_the_guide() -> Outcome {
    let site = Site::new("listed")?;
    let server = site.server_with("listed", 1, &[])?;
    let root = Root::new("listed-1c")?;
    let mut process = Process::start(Kind::Client, root.path())?;
    let attached = granted(process.work(&to(&server), &site.vendor.anchor()?, &file_session(7))?)?;
    let list = server.rest().get("/api/connections")?.expect(200)?;
    let connection = &list["Connections"][0];
    assert_eq!((&connection["KeyID"], &connection["PeerIP"]), (&SERIES.into(), &"127.0.0.1".into()));
    assert_eq!((&connection["IsServer"], &connection["Expired"]), (&false.into(), &"False".into()));
    assert_eq!(connection["PID"], process.host().pid().to_string());
    assert_eq!(connection["PlatformVersion"], "8.3.27.1508");
    assert!(connection["ModuleName"].as_str().is_some_and(|name| name.ends_with("liblicenceaddin.so")), "{connection}");
    let session = &server.sessions()?[0];
    assert_eq!((&session["SessionNumber"], &session["AppName"]), (&"7".into(), &"1CV8C".into()));
    assert_eq!((&session["SessionConnection"], &session["IsServer"]), (&connection["ID"], &false.into()));
    assert_eq!((&session["UsedLicence"], &session["KeyID"]), (&server.keys()?[0]["KeyNo"], &SERIES.into()));
    let id = connection["ID"].as_str().unwrap_or_default();
    assert_eq!(server.rest().get(&format!("/api/connections/{id}"))?.expect(200)?["ID"], connection["ID"]);
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}

#[test]
fn a_bad_datafile_is_refused_with_its_place_and_a_remedy() -> Outcome {
    let site = Site::new("datafile")?;
    let server = site.server_with("datafile", 1, &["--flags", "3"])?;
    let sealed = datafile(&site, b"secret", &["--flag", "3"])?;
    let needs_more = datafile(&site, b"secret", &["--flag", "3,4"])?;
    let root = Root::new("datafile-1c")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let attached = granted(process.work(&to(&server), &site.vendor.anchor()?, &server_session(1))?)?;
    let refuse = |process: &mut Process, attached: &Attached, bytes: &[u8], code: i64| -> Outcome {
        let refusal = process.load_datafile(attached, bytes)?.err().ok_or_else(|| Failure::new("it was taken"))?;
        check(refusal.code == code, || format!("{code} was expected: {refusal:?}"))?;
        check(refusal.text.contains(TEMPLATE) || code == 508, || format!("the place is not named: {refusal:?}"))
    };
    refuse(&mut process, &attached, b"LSDF\x01\0\0", 509)?;
    refuse(&mut process, &attached, b"", 200)?;
    refuse(&mut process, &attached, &sealed[..sealed.len() - 1], 200)?;
    let text = String::from_utf8_lossy(&sealed).into_owned();
    let at = text.find("\"Created\"").ok_or_else(|| Failure::new("no date in the index"))?;
    let mut altered = sealed.clone();
    altered[at + 14] ^= 1;
    let refusal = process.load_datafile(&attached, &altered)?.expect_err("the index was altered");
    assert!([200, 202].contains(&refusal.code), "{refusal:?}");
    // Damage behind the index is found when the object is opened.
    let mut damaged = sealed.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    granted(process.load_datafile(&attached, &damaged)?)?;
    let refusal = process.object(&attached, "Объект")?.expect_err("the object is damaged");
    assert!(refusal.code == 510 && refusal.text.contains("Объект"), "{refusal:?}");

    granted(process.load_datafile(&attached, &needs_more)?)?;
    let refusal = process.object(&attached, "Объект")?.expect_err("flag 4 was not sold");
    assert_eq!(refusal.code, 307, "{refusal:?}");
    granted(process.load_datafile(&attached, &sealed)?)?;
    assert_eq!(granted(process.object(&attached, "ОБЪЕКТ")?)?, b"secret");
    assert_eq!(process.object(&attached, "Другой")?.expect_err("there is none").code, 506);
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}

#[test]
fn a_terminal_client_takes_a_licence_of_its_own() -> Outcome {
    let site = Site::new("terminal")?;
    let server = site.server_with("terminal", 3, &[])?;
    let (root, anchor) = (Root::new("terminal-1c")?, site.vendor.anchor()?);
    let mut processes = Vec::new();
    // Two processes of one terminal client, another terminal client, and the desktop of the terminal server itself.
    for (number, client) in [(1, Some("10.0.0.1")), (2, Some("10.0.0.1")), (3, Some("10.0.0.2")), (4, None)] {
        let mut process = match client {
            Some(client) => Process::in_terminal(client, root.path())?,
            None => Process::start(Kind::Client, root.path())?,
        };
        let attached = granted(process.work(&to(&server), &anchor, &file_session(number))?)?;
        processes.push((process, attached));
    }
    assert_eq!((server.sessions()?.len(), server.seats()?), (4, (3, 3)));
    for (mut process, attached) in processes {
        granted(process.release(&attached)?)?;
        process.detach(attached)?;
        process.finish()?;
    }
    assert_eq!(server.seats()?, (0, 3));
    Ok(())
}

#[test]
fn a_background_job_takes_no_licence_of_its_own() -> Outcome {
    let site = Site::new("background")?;
    let server = site.server_with("background", 2, &[])?;
    let (root, anchor) = (Root::new("background-1c")?, site.vendor.anchor()?);
    let mut process = Process::start(Kind::Server, root.path())?;
    let parent = granted(process.work(&to(&server), &anchor, &server_session(1))?)?;
    let mut job = server_session(2);
    job["AppName"] = "BackgroundJob".into();
    job["ParentSessionNumber"] = 1.into();
    job["ParentSessionStarted"] = server_session(1)["SessionStarted"].clone();
    let child = granted(process.work(&to(&server), &anchor, &job)?)?;
    assert_eq!((server.sessions()?.len(), server.seats()?), (2, (1, 2)));
    // Without a parent that lives it is a session like any other.
    let mut orphan = job.clone();
    orphan["SessionNumber"] = 3.into();
    orphan["ParentSessionNumber"] = 77.into();
    let other = granted(process.work(&to(&server), &anchor, &orphan)?)?;
    assert_eq!(server.seats()?, (2, 2));
    for attached in [parent, child, other] {
        process.detach(attached)?;
    }
    process.finish()?;
    Ok(())
}

#[test]
fn a_restarted_server_is_found_again_without_an_error_in_1c() -> Outcome {
    let site = Site::new("restart")?;
    let mut server = site.server_with("restart", 1, &[])?;
    let sealed = datafile(&site, b"secret", &[])?;
    let root = Root::new("restart-1c")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let attached = granted(process.work(&to(&server), &site.vendor.anchor()?, &server_session(1))?)?;
    granted(process.load_datafile(&attached, &sealed)?)?;
    let before = server.sessions()?[0]["ID"].clone();
    server.kill9()?;
    // The licence was granted for a while, and that goes on; an object needs the server.
    granted(process.licence(&attached)?)?;
    let refusal = process.object(&attached, "Объект")?.expect_err("nobody can be asked");
    assert!(refusal.code == 503 && refusal.text.contains(&server.port().to_string()), "{refusal:?}");
    server.restart()?;
    assert_eq!(granted(process.object(&attached, "Объект")?)?, b"secret");
    assert_eq!((server.sessions()?.len(), &server.sessions()?[0]["ID"]), (1, &before));
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}
