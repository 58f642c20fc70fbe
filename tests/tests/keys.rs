//! The life of a key between real programs: over the network, by files, and over a network that loses messages.

use std::fs;

use e2e::cutter::{Cutter, LOSSES, Lost};
use e2e::failure::check;
use e2e::{Outcome, Root, Server, Site};
use serde_json::{Value, json};

fn server_behind(cutter: &Cutter, name: &str) -> Outcome<Server> {
    Server::ready(Root::new(name)?, Some(&cutter.url()))
}

#[test]
fn an_activation_whose_messages_are_lost_gives_one_licence() -> Outcome {
    let site = Site::new("cut-activation")?;
    let cutter = Cutter::new(site.center.address()?)?;
    for (number, losses) in LOSSES.iter().enumerate() {
        let server = server_behind(&cutter, "cut-activation")?;
        let code = site.vendor.code(5, &[])?;
        let order = json!({ "ActivationCodeString": code });
        for key in cutter.through(losses, || server.rest().post("/api/licences", &order))? {
            assert_eq!((&key["Workable"], &key["KeyNo"]), (&json!(true), &json!(number + 1)), "{losses:?}");
        }
        assert_eq!((server.keys()?.len(), server.seats()?), (1, (0, 5)), "{losses:?}");
        // Nobody else can have it.
        let other = site.server("cut-activation-other")?;
        let refused = other.rest().post("/api/licences", &json!({ "ActivationCodeString": code }))?;
        assert_eq!(refused.refusal(409)?, 402, "{losses:?}");
    }
    Ok(())
}

#[test]
fn a_killed_server_asks_for_its_licence_again() -> Outcome {
    let site = Site::new("killed-activation")?;
    let cutter = Cutter::new(site.center.address()?)?;
    let mut server = server_behind(&cutter, "killed-activation")?;
    let code = site.vendor.code(3, &[])?;
    let order = json!({ "ActivationCodeString": code });
    cutter.lose(&[Lost::Answer, Lost::Answer]);
    assert_eq!(server.rest().post("/api/licences", &order)?.refusal(502)?, 404);
    server.kill9()?;
    server.restart()?;
    assert_eq!(server.rest().post("/api/licences", &order)?.expect(201)?["Workable"], true);
    assert_eq!(server.seats()?, (0, 3));
    Ok(())
}

#[test]
fn a_server_without_internet_is_activated_by_files_and_they_are_of_no_use_elsewhere() -> Outcome {
    let site = Site::new("files")?;
    let mut server = Server::ready(Root::new("files")?, None)?;
    let code = site.vendor.code(4, &[])?;
    let (request, answer) = (server.root().path().join("a.request"), server.root().path().join("a.answer"));
    let (request_name, answer_name) = (request.display().to_string(), answer.display().to_string());
    let made = server.run(&["request", "--out", &request_name, "activate", "-"], &code)?;
    check(made.status.success(), || String::from_utf8_lossy(&made.stderr).into_owned())?;
    let text = fs::read_to_string(&request)?;
    check(text.starts_with("SLK-REQUEST 1\n{") && text.contains("\"Purpose\""), || text.clone())?;
    fs::write(&answer, site.center.answer(&text)?)?;

    let other = Server::ready(Root::new("files-other")?, None)?;
    let stolen = other.run(&["respond", &answer_name], "")?;
    assert_eq!((stolen.status.code(), other.seats()?), (Some(6), (0, 0)));
    // The same file again, as if the first answer was lost on its way back; and with the server stopped.
    fs::write(&answer, site.center.answer(&text)?)?;
    server.stop()?;
    let done = server.run(&["respond", &answer_name, "--json"], "")?;
    check(done.status.success(), || String::from_utf8_lossy(&done.stderr).into_owned())?;
    let brought: Value = serde_json::from_slice(&done.stdout)?;
    assert_eq!(brought["Licence"]["Workable"], true, "{brought}");
    server.restart()?;
    assert_eq!(server.seats()?, (0, 4));
    assert_eq!(server.run(&["respond", &answer_name], "")?.status.code(), Some(6), "it was installed already");
    Ok(())
}

#[test]
fn a_backup_brings_everything_back_on_the_same_computer() -> Outcome {
    let site = Site::new("backup")?;
    let mut server = site.server_with("backup", 2, &[])?;
    let archive = server.root().path().join("backup.tar").display().to_string();
    let made = server.run(&["backup", &archive], "")?;
    check(made.status.success(), || String::from_utf8_lossy(&made.stderr).into_owned())?;
    server.after(|root| {
        fs::remove_dir_all(root.data())?;
        fs::create_dir(root.data())?;
        Ok(())
    })?;
    assert_eq!(server.seats()?, (0, 0));
    assert_eq!(server.run(&["restore", &archive], "")?.status.code(), Some(5), "it runs");
    server.stop()?;
    // Started over an empty folder it has become another server: somebody must mean it.
    assert_eq!(server.run(&["restore", &archive], "")?.status.code(), Some(6), "another identity");
    let restored = server.run(&["restore", &archive, "--force"], "")?;
    check(restored.status.success(), || String::from_utf8_lossy(&restored.stderr).into_owned())?;
    server.restart()?;
    assert_eq!(server.seats()?, (0, 2));
    Ok(())
}
