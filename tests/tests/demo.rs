//! A demo licence, asked for without a code: from the API, the console, the command line and 1C, by a file, repeated, on a network
//! that loses messages, on a cloned machine, and where the vendor gives none.

#![cfg(target_os = "linux")]

use std::fs;

use e2e::component::{Kind, Process};
use e2e::cutter::{Cutter, LOSSES};
use e2e::failure::check;
use e2e::machines::Machine;
use e2e::{Outcome, Root, SERIES, Server, Site};
use serde_json::{Value, json};

/// Seats of a demo.
const SEATS: u64 = 2;
const DEMO: u64 = 5;

/// A server on a machine of its own: a computer gets one demo, and all servers of the tests run on this one.
fn server_on(machine: &str, site: &Site, centre: Option<&str>) -> Outcome<Server> {
    let mut server = Server::ready(Root::new(&format!("demo-{machine}"))?, centre)?;
    let machine = Machine::new(&site.root, machine)?;
    server.restart_with(|command| machine.load(command))?;
    Ok(server)
}

fn wish() -> Value {
    json!({ "KeyID": SERIES })
}

#[test]
fn a_demo_is_given_once_whatever_way_it_is_asked_for_and_whatever_messages_are_lost() -> Outcome {
    let site = Site::new("demo")?;
    let cutter = Cutter::new(site.center.address()?)?;
    let early = server_on("early", &site, Some(site.center.url()))?;
    assert_eq!(early.rest().post("/api/licences", &wish())?.refusal(403)?, 416, "the vendor gives none");
    let (status, page) = early.form("/activation", &[("demo", "1"), ("series", SERIES)])?;
    assert!(status == 403 && page.contains("the vendor gives none"), "{page}");
    assert_eq!(early.run(&["activate", "--demo", "--series", SERIES], "")?.status.code(), Some(6));

    site.allow_demo(SEATS)?;
    for (number, losses) in LOSSES.iter().enumerate() {
        let mut server = server_on(&format!("machine{number}"), &site, Some(&cutter.url()))?;
        let given = cutter.through(losses, || server.rest().post("/api/licences", &wish()))?;
        for key in &given {
            assert_eq!((&key["KeyType"], &key["Workable"]), (&json!(DEMO), &json!(true)), "{losses:?}: {key}");
            assert_eq!(key["KeyNo"], given[0]["KeyNo"], "{losses:?}: it is one key");
        }
        server.kill9()?;
        let machine = Machine::new(&site.root, &format!("machine{number}"))?;
        server.restart_with(|command| machine.load(command))?;
        assert_eq!((server.keys()?.len(), server.seats()?), (1, (0, SEATS)), "{losses:?}");
    }

    // Every other way, on one server: each time the same key.
    let (status, page) = early.form("/activation", &[("demo", "1"), ("series", SERIES)])?;
    assert_eq!(status, 201, "{page}");
    let command = early.run(&["activate", "--demo", "--series", SERIES, "--json"], "")?;
    check(command.status.success(), || String::from_utf8_lossy(&command.stderr).into_owned())?;
    let key: Value = serde_json::from_slice(&command.stdout)?;
    let root = Root::new("demo-1c")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let address = format!("ServerAddr=127.0.0.1;ServerPort={}", early.port());
    let (attached, started) = process.try_start(&address, &site.vendor.anchor()?)?;
    check(started.is_ok(), || format!("{started:?}"))?;
    let e2e::host::Value::Text(licence) = process.call(&attached, "УстановитьЛицензию", &[])? else {
        return e2e::fail(format!("{:?}", process.refusal(attached.object)?));
    };
    assert_eq!(serde_json::from_str::<Value>(&licence)?["KeyNo"], key["KeyNo"]);
    process.detach(attached)?;
    process.finish()?;
    assert_eq!((early.keys()?.len(), early.seats()?), (1, (0, SEATS)));
    assert_eq!(site.center.reports()?, []);
    Ok(())
}

#[test]
fn a_demo_comes_by_files_and_stands_alone() -> Outcome {
    let site = Site::new("demo-files")?;
    site.allow_demo(SEATS)?;
    let offline = server_on("offline", &site, None)?;
    let order = json!({ "Purpose": "Activate", "KeyID": SERIES });
    let file = offline.rest().post("/api/requests", &order)?.expect(201)?;
    let text = file["Text"].as_str().unwrap_or_default();
    // The first answer is lost on its way.
    site.center.answer(text)?;
    let answer = json!({ "Text": site.center.answer(text)? });
    let brought = offline.rest().post("/api/responses", &answer)?.expect(200)?;
    assert_eq!(brought["Licence"]["KeyType"], json!(DEMO), "{brought}");
    assert_eq!(offline.seats()?, (0, SEATS));

    // Beside another key it works no more, and beside another key none is given.
    let mut other = server_on("other", &site, Some(site.center.url()))?;
    other.rest().post("/api/licences", &wish())?.expect(201)?;
    let code = site.vendor.code(7, &[])?;
    other.activate(&code)?;
    assert_eq!(other.seats()?, (0, 7));
    let second = server_on("second", &site, Some(site.center.url()))?;
    second.activate(&site.vendor.code(3, &[])?)?;
    assert_eq!(second.rest().post("/api/licences", &wish())?.refusal(409)?, 410);

    // A clone gets nothing, with its licence files or without them, and the vendor is told of it.
    let key_no = other.keys()?.iter().find(|key| key["KeyType"] == DEMO).map(|key| key["KeyNo"].clone());
    other.stop()?;
    let mut clone = server_on("clone", &site, Some(site.center.url()))?;
    clone.stop()?;
    clone.root().copy_data_from(other.root())?;
    for name in fs::read_dir(clone.root().data())? {
        let path = name?.path();
        if path.extension().is_some_and(|suffix| suffix == "licence") {
            fs::remove_file(path)?;
        }
    }
    let machine = Machine::new(&site.root, "clone")?;
    clone.restart_with(|command| machine.load(command))?;
    assert_eq!((clone.keys()?.len(), site.center.reports()?), (0, vec![]));
    assert_eq!(clone.rest().post("/api/licences", &wish())?.refusal(403)?, 416);
    let reports = site.center.reports()?;
    let of_demo = ("cloned".to_owned(), key_no.and_then(|number| number.as_u64()).unwrap_or_default());
    assert!(reports.len() == 2 && reports.contains(&of_demo), "both keys of the server: {reports:?}");
    Ok(())
}
