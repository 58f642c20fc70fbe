//! Reserve codes and updates between real programs: over a network that loses messages, by files, and with folders put back from copies.

use std::fs;

use e2e::cutter::{Cutter, LOSSES};
use e2e::failure::check;
use e2e::link::server_session;
use e2e::{Link, Outcome, Root, Server, Site};
use licence::Code;
use licence::protocol::keys::{Hidden, KeyCall, KeyOutcome};
use serde_json::{Value, json};

/// Seats of a key of these tests.
const SEATS: u64 = 5;

fn reserve_code(reserved: &Value) -> Outcome<String> {
    let code = reserved["ReserveCode"].as_str().unwrap_or_default();
    check(code.len() == 24, || format!("not a reserve code: {reserved}"))?;
    Ok(code.to_owned())
}

fn order(code: &str) -> Value {
    json!({ "ActivationCodeString": code })
}

fn key_no(licence: &Value) -> Outcome<u32> {
    Ok(serde_json::from_value(licence["KeyNo"].clone())?)
}

/// Gives a key up over a network that loses messages; its one reserve code.
fn given_up(cutter: &Cutter, losses: &[e2e::cutter::Lost], server: &Server, key_no: u32) -> Outcome<String> {
    let path = format!("/api/licences/{key_no}/reserve");
    let why = json!({ "Reason": "переезд", "Comment": "на новый сервер" });
    let answers = cutter.through(losses, || server.rest().post(&path, &why))?;
    let codes: Vec<String> = answers.iter().map(reserve_code).collect::<Outcome<_>>()?;
    check(codes.iter().all(|code| *code == codes[0]), || format!("{losses:?}: {codes:?}"))?;
    Ok(codes[0].clone())
}

fn memory(link: &Link, key_no: u32) -> Outcome<String> {
    match link.about_keys(KeyCall::ReadMemory { key_no: Some(key_no), password: Hidden("чтение".into()) })? {
        KeyOutcome::Memory { data } => Ok(data.0.clone()),
        other => e2e::fail(format!("{other:?}")),
    }
}

fn remember(link: &Link, key_no: u32, data: &str) -> Outcome {
    let (key_no, none, data) = (Some(key_no), Hidden(String::new()), Hidden(data.into()));
    link.about_keys(KeyCall::WriteMemory { key_no, password: none.clone(), data })?;
    let new = ["чтение", "запись"].map(|word| Hidden(word.into()));
    link.about_keys(KeyCall::SetPasswords { key_no, old: [none.clone(), none], new }).map(drop)
}

#[test]
fn a_reserve_code_moves_a_key_once_whatever_messages_are_lost() -> Outcome {
    let site = Site::new("cut-transfer")?;
    let cutter = Cutter::new(site.center.address()?)?;
    let behind = |name: &str| Server::ready(Root::new(name)?, Some(&cutter.url()));
    let (from, to, third) = (behind("cut-from")?, behind("cut-to")?, behind("cut-third")?);
    for (moved, losses) in LOSSES.into_iter().enumerate() {
        let moved = moved as u64;
        let code = site.vendor.code(5, &[])?;
        let number = key_no(&from.activate(&code)?)?;
        let link = Link::connect(from.url(), &site.vendor.anchor_hash()?)?;
        let session = link.acquire(server_session(number))?.session;
        remember(&link, number, &format!("память ключа {number}"))?;
        assert_eq!(from.seats()?, (1, SEATS));

        let reserve = given_up(&cutter, losses, &from, number)?;
        assert_eq!(from.seats()?.1, 0, "{losses:?}: the key stops counting at once");
        let lost = link.heartbeat()?;
        assert_eq!(lost.iter().map(|lost| lost.session).collect::<Vec<_>>(), [session], "{losses:?}");
        assert_eq!(lost[0].cause.code, Code::SessionEnding);
        assert!(link.try_acquire(server_session(number))?.is_err(), "{losses:?}: there is nothing to take");
        assert_eq!(from.seats()?, (0, 0), "{losses:?}");

        let installed = cutter.through(losses, || to.rest().post("/api/licences", &order(&reserve)))?;
        for licence in &installed {
            assert_eq!((key_no(licence)?, &licence["Workable"]), (number, &json!(true)), "{losses:?}");
        }
        assert_eq!((from.seats()?, to.seats()?), ((0, 0), (0, SEATS * (moved + 1))), "{losses:?}");
        let link = Link::connect(to.url(), &site.vendor.anchor_hash()?)?;
        assert_eq!(memory(&link, number)?, format!("память ключа {number}"));
        // Neither code is good for anything else.
        for code in [&code, &reserve] {
            assert_eq!(third.rest().post("/api/licences", &order(code))?.refusal(409)?, 402, "{losses:?}");
        }
        assert_eq!(from.rest().post("/api/licences", &order(&code))?.refusal(409)?, 402);
        // The answer that told the code is asked for long after.
        assert_eq!(given_up(&cutter, &[], &from, number)?, reserve);
        assert_eq!((from.seats()?.1, to.seats()?.1), (0, SEATS * (moved + 1)));
    }
    assert_eq!(site.center.reports()?, [], "all of it is what customers do");
    Ok(())
}

#[test]
fn a_reserve_code_brings_the_key_back_to_its_machine_whatever_messages_are_lost() -> Outcome {
    let site = Site::new("cut-return")?;
    let cutter = Cutter::new(site.center.address()?)?;
    let mut server = Server::ready(Root::new("cut-return")?, Some(&cutter.url()))?;
    for (back, losses) in LOSSES.into_iter().enumerate() {
        let back = back as u64;
        let number = key_no(&server.activate(&site.vendor.code(5, &[])?)?)?;
        let reserve = given_up(&cutter, losses, &server, number)?;
        assert_eq!(server.seats()?, (0, SEATS * back), "{losses:?}");
        for licence in cutter.through(losses, || server.rest().post("/api/licences", &order(&reserve)))? {
            assert_eq!((key_no(&licence)?, &licence["Workable"]), (number, &json!(true)), "{losses:?}");
        }
        assert_eq!(server.seats()?, (0, SEATS * (back + 1)), "{losses:?}");
    }
    server.kill9()?;
    server.restart()?;
    assert_eq!(server.seats()?, (0, SEATS * LOSSES.len() as u64));
    Ok(())
}

/// A request file of a server, and its answer, which is carried to the centre twice, as if the first answer was lost.
fn carried(site: &Site, server: &Server, order: &Value) -> Outcome<String> {
    let file = server.rest().post("/api/requests", order)?.expect(201)?;
    let text = file["Text"].as_str().unwrap_or_default();
    site.center.answer(text)?;
    site.center.answer(text)
}

fn respond(server: &Server, text: &str) -> Outcome<Value> {
    server.rest().post("/api/responses", &json!({ "Text": text }))?.expect(200)
}

#[test]
fn a_key_moves_and_is_updated_by_files() -> Outcome {
    let site = Site::new("file-transfer")?;
    let offline = |name: &str| Server::ready(Root::new(name)?, None);
    let (from, to) = (offline("file-from")?, offline("file-to")?);
    let code = site.vendor.code(5, &[])?;
    let wish = json!({ "Purpose": "Activate", "ActivationCodeString": code });
    let number = key_no(&respond(&from, &carried(&site, &from, &wish)?)?["Licence"])?;
    assert_eq!(from.seats()?, (0, SEATS));

    let wish = json!({ "Purpose": "Reserve", "KeyNo": number, "Reason": "переезд" });
    let answer = carried(&site, &from, &wish)?;
    let stolen = to.rest().post("/api/responses", &json!({ "Text": answer }))?;
    assert_eq!(stolen.refusal(409)?, 450, "the answer is of no use elsewhere");
    let reserve = reserve_code(&respond(&from, &answer)?["Reserve"])?;
    assert_eq!(from.seats()?, (0, 0));
    assert_eq!(reserve_code(&respond(&from, &carried(&site, &from, &wish)?)?["Reserve"])?, reserve);

    let wish = json!({ "Purpose": "Activate", "ActivationCodeString": reserve });
    let licence = respond(&to, &carried(&site, &to, &wish)?)?;
    assert_eq!(key_no(&licence["Licence"])?, number, "{licence}");
    assert_eq!((from.seats()?, to.seats()?), ((0, 0), (0, SEATS)));

    site.sell(&reserve, 8)?;
    let news = respond(&to, &carried(&site, &to, &json!({ "Purpose": "Update" }))?)?;
    assert_eq!(news["Update"]["Updated"], json!([number]), "{news}");
    assert_eq!((from.seats()?, to.seats()?), ((0, 0), (0, 8)));
    Ok(())
}

#[test]
fn an_update_brings_what_was_sold_since_whatever_messages_are_lost() -> Outcome {
    let site = Site::new("cut-update")?;
    let cutter = Cutter::new(site.center.address()?)?;
    let mut server = Server::ready(Root::new("cut-update")?, Some(&cutter.url()))?;
    let code = site.vendor.code(5, &[])?;
    let number = key_no(&server.activate(&code)?)?;
    for (updates, losses) in LOSSES.into_iter().enumerate() {
        let licences = SEATS + 1 + updates as u64;
        site.sell(&code, licences)?;
        assert_eq!(server.seats()?, (0, licences - 1), "not before the server has asked");
        let news = cutter.through(losses, || server.rest().post("/api/updates", &json!({ "KeyID": e2e::SERIES })))?;
        let brought: Vec<&Value> = news.iter().map(|news| &news["Updates"][0]["Updated"]).collect();
        assert_eq!(brought[0], &json!([number]), "{losses:?}");
        assert!(brought[1..].iter().all(|none| **none == json!([])), "{losses:?}: {brought:?}");
        assert_eq!(server.seats()?, (0, licences), "{losses:?}");
        assert_eq!(fs::read_dir(server.root().data().join("old"))?.count(), updates + 1, "the old files are kept");
    }
    assert_eq!(server.keys()?.len(), 1);
    server.kill9()?;
    server.restart()?;
    assert_eq!(server.seats()?, (0, SEATS + LOSSES.len() as u64));
    Ok(())
}

#[test]
fn what_is_put_back_after_a_reserve_code_does_not_count_and_the_vendor_is_told() -> Outcome {
    let site = Site::new("put-back")?;
    let cutter = Cutter::new(site.center.address()?)?;
    let mut from = Server::ready(Root::new("put-back-from")?, Some(&cutter.url()))?;
    let to = site.server("put-back-to")?;
    let number = key_no(&from.activate(&site.vendor.code(5, &[])?)?)?;
    let archive = from.root().path().join("backup.tar").display().to_string();
    let succeeds = |server: &Server, arguments: &[&str]| {
        let done = server.run(arguments, "")?;
        check(done.status.success(), || String::from_utf8_lossy(&done.stderr).into_owned())
    };
    succeeds(&from, &["backup", &archive])?;
    let name = format!("{}.{number}.licence", e2e::SERIES);
    let licence = fs::read(from.root().data().join(&name))?;
    to.activate(&given_up(&cutter, &[], &from, number)?)?;

    // The file alone, under its own name and another; then everything, in place of what is there.
    from.after(|root| {
        fs::write(root.data().join(&name), &licence)?;
        Ok(fs::write(root.data().join("copy.licence"), &licence)?)
    })?;
    assert_eq!((from.seats()?, to.seats()?), ((0, 0), (0, SEATS)));
    from.stop()?;
    succeeds(&from, &["restore", &archive])?;
    from.restart()?;
    assert_eq!((from.seats()?, to.seats()?), ((0, 0), (0, SEATS)), "a retirement is not taken back by a backup");
    assert_eq!(site.center.reports()?, []);

    // Everything, in a folder that knows of nothing.
    from.after(|root| {
        fs::remove_dir_all(root.data())?;
        Ok(fs::create_dir(root.data())?)
    })?;
    from.stop()?;
    // It made itself a new identity there.
    succeeds(&from, &["restore", &archive, "--force"])?;
    from.restart()?;
    assert_eq!(from.seats()?, (0, SEATS), "nothing in the folder tells");
    let news = cutter.through(LOSSES[3], || from.rest().post("/api/updates", &json!({})))?;
    assert_eq!(news[0]["Updates"][0]["Retired"], json!([number]), "{news:?}");
    assert_eq!((from.seats()?, to.seats()?), ((0, 0), (0, SEATS)));
    assert_eq!(site.center.reports()?, [("restored".to_owned(), number.into())]);
    from.kill9()?;
    from.restart()?;
    assert_eq!(from.seats()?, (0, 0));
    Ok(())
}

#[test]
fn the_vendor_limits_transfers_and_may_allow_one_more() -> Outcome {
    let site = Site::new("limit")?;
    let policy = format!("/api/series/{}/policy", e2e::SERIES);
    site.center.office("PUT", &policy, Some(&json!({ "Transfers": 1, "TransferDays": 30 })))?;
    let server = site.server("limit")?;
    let number = key_no(&server.activate(&site.vendor.code(5, &[])?)?)?;
    let path = format!("/api/licences/{number}/reserve");
    let reserve = reserve_code(&server.rest().post(&path, &json!({}))?.expect(200)?)?;
    server.activate(&reserve)?;
    for _ in 0..2 {
        let refused = server.rest().post(&path, &json!({}))?;
        assert_eq!(refused.refusal(409)?, 412, "{refused}");
        assert_eq!(server.run(&["reserve", &number.to_string()], "")?.status.code(), Some(6));
        assert_eq!(server.seats()?, (0, SEATS), "the key goes on counting");
    }
    let allowed = json!({ "KeyID": e2e::SERIES, "Root": site.vendor.anchor_hash()?, "KeyNo": number });
    site.center.office("POST", "/api/keys/allow", Some(&allowed))?;
    let second = reserve_code(&server.rest().post(&path, &json!({}))?.expect(200)?)?;
    assert_ne!(second, reserve);
    server.activate(&second)?;
    assert_eq!(server.rest().post(&path, &json!({}))?.refusal(409)?, 412, "it was one more");
    Ok(())
}

#[cfg(target_os = "linux")]
mod machines {
    use e2e::machines::Machine;

    use super::*;

    /// A line for a container's identity file.
    const IDENTITY: &str = "5b1f0c1e4d0a4c5f9a3be0d7c2468ace\n";

    #[test]
    fn a_copy_on_another_machine_does_not_count_and_the_vendor_is_told() -> Outcome {
        let site = Site::new("clone")?;
        let (here, there) = (Machine::new(&site.root, "here")?, Machine::new(&site.root, "there")?);
        let mut server = site.server("clone-first")?;
        server.restart_with(|command| here.load(command))?;
        let number = key_no(&server.activate(&site.vendor.code(5, &[])?)?)?;
        let mut copy = site.server("clone-second")?;
        // One identity is served once on a computer, and both machines are this one.
        server.stop()?;
        copy.stop()?;
        copy.root().copy_data_from(server.root())?;
        copy.restart_with(|command| there.load(command))?;
        assert_eq!(copy.seats()?, (0, 0), "it is another machine");
        assert!(copy.keys()?[0]["OpenError"].is_string());
        for _ in 0..2 {
            copy.rest().post("/api/updates", &json!({}))?.expect(200)?;
        }
        let refused = copy.rest().post(&format!("/api/licences/{number}/reserve"), &json!({}))?;
        assert_eq!(refused.refusal(409)?, 415, "nobody gives up a key of another machine");
        assert_eq!(site.center.reports()?, [("cloned".to_owned(), number.into())], "once for a machine");
        assert_eq!(copy.seats()?, (0, 0));
        copy.stop()?;
        server.restart_with(|command| here.load(command))?;
        assert_eq!(server.seats()?, (0, SEATS), "the first one goes on");
        Ok(())
    }

    #[test]
    fn a_container_moves_with_its_identity_file_where_the_terms_allow_it() -> Outcome {
        let site = Site::new("container")?;
        let (here, there) = (Machine::new(&site.root, "here")?, Machine::new(&site.root, "there")?);
        let mut server = site.server("container")?;
        let file = server.root().settings().join("machine.identity");
        fs::write(&file, IDENTITY)?;
        server.restart_with(|command| here.load(command))?;
        let allowed = key_no(&server.activate(&site.vendor.code(5, &["--identity-file"])?)?)?;
        server.activate(&site.vendor.code(3, &[])?)?;
        assert_eq!(server.seats()?, (0, SEATS + 3));
        server.restart_with(|command| there.load(command))?;
        assert_eq!(server.seats()?, (0, SEATS), "the other licence does not know the file");
        let fits = server.rest().get("/api/fingerprint")?.expect(200)?;
        let keys = fits["Keys"].as_array().cloned().unwrap_or_default();
        let of_key = keys.iter().find(|key| key["KeyNo"] == allowed).cloned().unwrap_or_default();
        let known = |part: &Value| part["Kind"] == "IdentityFile" && part["Matches"] == true;
        assert!(of_key["Parts"].as_array().is_some_and(|parts| parts.iter().any(known)), "{of_key}");
        // The centre takes the new host in.
        let news = server.rest().post("/api/updates", &json!({}))?.expect(200)?;
        assert_eq!(news["Updates"][0]["Updated"], json!([allowed]), "{news}");
        assert_eq!(server.seats()?, (0, SEATS));
        server.stop()?;
        fs::write(&file, IDENTITY.replace('5', "6"))?;
        server.restart_with(|command| there.load(command))?;
        assert_eq!(server.seats()?, (0, 0), "another container on the same host");
        Ok(())
    }
}
