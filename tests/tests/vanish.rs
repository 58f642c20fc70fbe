//! The data folder of a running server, or files in it, that vanish, are replaced or spoilt: nothing is granted that is not written down, it
//! is told everywhere, nobody's session ends, and all is well when the files are back. By chance and under load: `faults.rs`.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use e2e::failure::check;
use e2e::link::server_session;
use e2e::server::{command, health, until_health};
use e2e::{Link, Outcome, Rest, Root, Server, Site, fail, until};
use licence::Code;
use serde_json::{Value, json};

/// Nothing is granted, and the refusal names what was lost.
fn grants_nothing(link: &Link, name: &str) -> Outcome {
    match link.try_acquire(server_session(77))? {
        Err(error) if error.code == Code::StoreFailed && error.to_string().contains(name) => Ok(()),
        other => fail(format!("a grant that is not written down: {other:?}")),
    }
}

/// What the server holds is shown everywhere as lost, in both languages.
fn says(server: &Server, name: &str) -> Outcome {
    let ready = Rest::new(server.url()).raw("GET", "/readyz", &[], None)?;
    check(ready.status == 503 && String::from_utf8_lossy(&ready.body).contains(name), || format!("/readyz: {ready}"))?;
    let summary = server.rest().get("/api/summary")?.expect(200)?;
    let failure = summary["StoreFailure"].as_str().unwrap_or_default();
    check(failure.contains(name), || format!("the summary does not tell it: {summary}"))?;
    for (lang, words) in [("ru", "Новые лицензии не выдаются"), ("en", "Nothing is granted")] {
        let status = server.run(&["--lang", lang, "status"], "")?;
        let said = String::from_utf8_lossy(&status.stdout).into_owned();
        check(status.status.code() == Some(1) && said.contains(name) && said.contains(words), || said)?;
    }
    let page = String::from_utf8_lossy(&server.rest().get("/")?.body).into_owned();
    check(page.contains(name), || "the console does not tell it".to_owned())
}

#[test]
fn a_store_that_is_removed_is_noticed_before_the_next_grant_and_by_itself() -> Outcome {
    let site = Site::new("vanish-store")?;
    let server = site.server_with("vanish-store", 3, &[])?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    let held = link.acquire(server_session(1))?;
    let data = server.root().data();
    let names = ["ledger.db", "ledger.db-wal"];
    let aside = server.root().path().join("aside");
    fs::create_dir(&aside)?;

    for ask_first in [true, false] {
        for name in names {
            fs::rename(data.join(name), aside.join(name))?;
        }
        if ask_first {
            grants_nothing(&link, "ledger.db")?;
        }
        let text = until_health(server.url(), 503)?;
        check(text.contains("ledger.db"), || text)?;
        says(&server, "ledger.db")?;
        grants_nothing(&link, "ledger.db")?;
        check(link.heartbeat()?.is_empty(), || "a session was lost".to_owned())?;
        check(names.iter().all(|name| !data.join(name).exists()), || "a new store was made".to_owned())?;
        for name in names {
            fs::rename(aside.join(name), data.join(name))?;
        }
        until_health(server.url(), 200)?;
        assert_eq!(server.seats()?, (1, 3));
    }
    let second = link.acquire(server_session(2))?;
    link.release(second.session)?;

    // Removed for good: until the server is started again there is nothing.
    names.iter().try_for_each(|name| fs::remove_file(data.join(name)))?;
    grants_nothing(&link, "ledger.db")?;
    link.call(licence::protocol::Call::Licence { session: held.session })??;
    assert_eq!(server.seats_while_failing()?, (1, 3));
    Ok(())
}

#[test]
fn a_data_folder_that_is_exchanged_ends_nothing_and_commands_make_nothing_in_the_other_one() -> Outcome {
    let site = Site::new("vanish-folder")?;
    let server = site.server_with("vanish-folder", 3, &[])?;
    let code = site.vendor.code(5, &[])?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    link.acquire(server_session(1))?;
    let data = server.root().data();
    let aside = data.with_extension("aside");
    let name = data.display().to_string();
    fs::rename(&data, &aside)?;
    fs::create_dir(&data)?;

    grants_nothing(&link, &name)?;
    until_health(server.url(), 503)?;
    says(&server, &name)?;
    // The keeper has looked at the keys meanwhile, more than once.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(7) {
        check(link.heartbeat()?.is_empty(), || "a session was lost".to_owned())?;
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(server.seats_while_failing()?, (1, 3));
    server.signal("HUP")?;
    for arguments in [
        vec!["keys"],
        vec!["keys", "--json"],
        vec!["activate", &code],
        vec!["update"],
        vec!["request", "update"],
        vec!["check"],
        vec!["backup", "/nowhere/at/all"],
        vec!["restore", "/nowhere/at/all"],
    ] {
        let output = server.run(&[&["--lang", "en"][..], &arguments].concat(), "")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        check(output.status.code() == Some(1) && said.contains("lost its data folder"), || {
            format!("{arguments:?}: {:?} {said}", output.status)
        })?;
    }
    let refused = server.rest().post("/api/licences", &json!({ "ActivationCodeString": code }))?;
    assert_eq!(refused.refusal(503)?, u64::from(Code::FolderGone.number()));
    assert_eq!(server.keys()?.len(), 1);
    let made: Vec<_> = fs::read_dir(&data)?.flatten().map(|entry| entry.file_name()).collect();
    check(made.is_empty(), || format!("made in a folder that isn't ours: {made:?}"))?;

    fs::remove_dir(&data)?;
    fs::rename(&aside, &data)?;
    until_health(server.url(), 200)?;
    link.acquire(server_session(2))?;
    assert_eq!(server.seats()?, (2, 3));
    server.activate(&code)?;
    Ok(())
}

#[test]
fn an_emptied_folder_and_another_identity_are_noticed() -> Outcome {
    let site = Site::new("vanish-identity")?;
    let server = site.server_with("vanish-identity", 3, &[])?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    link.acquire(server_session(1))?;
    let (data, aside) = (server.root().data(), server.root().path().join("aside"));
    let identity = data.join("server.identity");
    // A copy with the same keys in it is the same identity.
    fs::copy(&identity, &aside)?;
    fs::rename(&aside, &identity)?;
    link.release(link.acquire(server_session(2))?.session)?;
    let text = fs::read_to_string(&identity)?;
    fs::write(&identity, "{}")?;
    grants_nothing(&link, "server.identity")?;
    until_health(server.url(), 503)?;
    fs::write(&identity, text)?;
    until_health(server.url(), 200)?;

    for entry in fs::read_dir(&data)? {
        let path = entry?.path();
        if path.is_file() { fs::remove_file(path)? } else { fs::remove_dir_all(path)? }
    }
    grants_nothing(&link, "server.identity")?;
    until_health(server.url(), 503)?;
    let output = server.run(&["--lang", "en", "keys"], "")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    check(output.status.code() == Some(1) && said.contains("server.identity"), || said)?;
    check(link.heartbeat()?.is_empty(), || "a session was lost".to_owned())?;
    assert_eq!(fs::read_dir(&data)?.count(), 0, "nothing was made");
    Ok(())
}

#[test]
fn commands_that_only_look_make_nothing() -> Outcome {
    let root = Root::new("vanish-look")?;
    let output = command(root.path(), &["--lang", "en", "keys"])?.output()?;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "There are no keys.");
    assert_eq!(fs::read_dir(root.data())?.count(), 0);
    // The keys of a server that is stopped are told as they lie there.
    let site = Site::new("vanish-rest")?;
    let mut server = site.server_with("vanish-rest", 3, &[])?;
    let running = server.run(&["--lang", "en", "keys"], "")?;
    server.stop()?;
    let facts = |path: &Path| -> Outcome<Vec<_>> {
        let files = fs::read_dir(path)?.flatten();
        let mut facts: Vec<_> =
            files.filter_map(|file| Some((file.file_name(), file.metadata().ok()?.modified().ok()))).collect();
        facts.sort();
        Ok(facts)
    };
    let before = facts(&server.root().data())?;
    let stopped = server.run(&["--lang", "en", "keys"], "")?;
    assert_eq!(String::from_utf8_lossy(&stopped.stdout), String::from_utf8_lossy(&running.stdout));
    assert_eq!(facts(&server.root().data())?, before);
    Ok(())
}

#[test]
fn spoilt_files_about_keys_loosen_nothing_and_end_nobodys_session() -> Outcome {
    let site = Site::new("vanish-state")?;
    let server = site.server_with("vanish-state", 3, &[])?;
    let given = server.activate(&site.vendor.code(4, &[])?)?;
    let off = server.activate(&site.vendor.code(5, &[])?)?;
    let number = |key: &Value| key["KeyNo"].to_string();
    let switch = |on: bool| server.rest().put(&format!("/api/licences/{}", number(&off)), &json!({ "Enabled": on }));
    switch(false)?.expect(202)?;
    let data = server.root().data();
    let licence = data.join(format!("672B.{}.licence", number(&given)));
    let text = fs::read_to_string(&licence)?;
    server.run(&["reserve", &number(&given)], "")?;
    let retirement = the(&data, "retirement")?;
    fs::write(&licence, text)?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    (1..=3).try_for_each(|number| link.acquire(server_session(number)).map(drop))?;
    let all_is_well = || -> Outcome {
        check(link.heartbeat()?.is_empty(), || "a session was lost".to_owned())?;
        check(health(server.url())?.0 == 200 && server.seats()? == (3, 3), || format!("{:?}", server.seats()))
    };
    let told =
        || -> Outcome<String> { Ok(server.rest().get("/api/summary")?.expect(200)?["DataFailures"].to_string()) };

    let state = data.join("keys.state");
    let good = fs::read_to_string(&state)?;
    for spoilt in ["{", "", "{\"Type\": \"SLK-KEYS\", \"Version\": 99}"] {
        fs::write(&state, spoilt)?;
        until("it is told", || Ok(told()?.contains("keys.state")))?;
        all_is_well()?;
        check(switch(true)?.status >= 400, || "a damaged file was written over".to_owned())?;
        let status = server.run(&["--lang", "en", "status"], "")?;
        check(String::from_utf8_lossy(&status.stdout).contains("keys.state"), || format!("{status:?}"))?;
        check(server.said().contains("keys.state"), || "the log does not tell it".to_owned())?;
        fs::write(&state, &good)?;
        until("it is over", || Ok(told()? == "[]"))?;
    }
    // What is gone is written again, so that a restart knows it too.
    for path in [&state, &retirement] {
        fs::remove_file(path)?;
        until("it is there again", || Ok(path.exists()))?;
        all_is_well()?;
    }
    assert_eq!(
        serde_json::from_str::<Value>(&fs::read_to_string(&state)?)?["Disabled"].as_array().map(Vec::len),
        Some(1)
    );
    fs::write(&retirement, "spoilt")?;
    until("it is told", || Ok(told()?.contains("retirement")))?;
    all_is_well()?;
    fs::remove_file(&retirement)?;
    until("it is over", || Ok(told()? == "[]"))?;

    // Files that the server only writes are written again from memory and change nothing.
    for name in ["clock.state", "requests.state", "server.apikey", "server.pass", "keys.memory"] {
        fs::write(data.join(name), "spoilt")?;
    }
    fs::remove_file(the(&data, "certificate")?)?;
    server.signal("HUP")?;
    until("the certificates serve on", || Ok(server.rest().get("/api/certificate?KeyID=672B")?.status == 200))?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        all_is_well()?;
        thread::sleep(Duration::from_millis(250));
    }
    switch(true)?.expect(202)?;
    assert_eq!(server.seats()?, (3, 8));
    Ok(())
}

/// The one file of that kind.
fn the(data: &Path, kind: &str) -> Outcome<PathBuf> {
    let mut files = fs::read_dir(data)?.flatten().map(|file| file.path());
    match files.find(|path| path.extension().is_some_and(|found| found == kind)) {
        Some(path) => Ok(path),
        None => fail(format!("no {kind}")),
    }
}

#[test]
fn a_licence_whose_owner_or_rights_are_mended_is_read_by_itself() -> Outcome {
    const NOBODY: u32 = 65_534;
    let site = Site::new("vanish-rights")?;
    let mut server = site.server_with("vanish-rights", 3, &[])?;
    server.stop()?;
    let data = server.root().data();
    let licence = the(&data, "licence")?;
    let as_root = fs::metadata(&data)?.uid() == 0;
    let give = |path: &Path, user: u32| std::os::unix::fs::chown(path, Some(user), Some(user));
    if as_root {
        let given =
            Command::new("chown").args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(server.root().path()).status()?;
        check(given.success(), || "chown failed".to_owned())?;
        give(&licence, 0)?;
    }
    fs::set_permissions(&licence, fs::Permissions::from_mode(if as_root { 0o600 } else { 0o000 }))?;
    server.restart_with(|command| {
        if as_root {
            command.uid(NOBODY).gid(NOBODY);
        }
    })?;
    assert_eq!(server.health()?["UsableKeys"], 0);
    let modified = fs::metadata(&licence)?.modified()?;
    if as_root {
        give(&licence, NOBODY)?
    } else {
        fs::set_permissions(&licence, fs::Permissions::from_mode(0o600))?
    }
    assert_eq!(fs::metadata(&licence)?.modified()?, modified);
    until("it is read", || Ok(server.health()?["UsableKeys"] == 1))?;

    // Taken away again it ends nobody's session: what was read is known.
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    link.acquire(server_session(1))?;
    if as_root {
        give(&licence, 0)?
    } else {
        fs::set_permissions(&licence, fs::Permissions::from_mode(0o000))?
    }
    until("it is told", || {
        let summary = server.rest().get("/api/summary")?.expect(200)?;
        Ok(summary["DataFailures"].to_string().contains("licence"))
    })?;
    check(link.heartbeat()?.is_empty(), || "a session was lost".to_owned())?;
    link.acquire(server_session(2))?;
    // Removed, it is gone.
    fs::remove_file(&licence)?;
    until("it is gone", || Ok(server.health()?["UsableKeys"] == 0))
}
