//! A pipe in place of any file that a program reads: nobody waits for it. And what killed writers leave is removed.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use e2e::center::Center;
use e2e::component::{Kind, Process};
use e2e::daemon::Daemon;
use e2e::failure::check;
use e2e::server::{PASSWORD, USER, command};
use e2e::{Outcome, Programs, Rest, Root, Server, Site, fail};

/// Far more than any start or command takes; a pipe that is waited for takes for ever.
const PATIENCE: Duration = Duration::from_secs(60);
/// Process numbers stay below 2^22 on Linux, so this one can't live.
const GONE: u32 = 4_194_999;

fn pipe(path: &Path) -> Outcome {
    let _ = fs::remove_file(path);
    let made = Command::new("mkfifo").arg(path).status()?;
    check(made.success(), || format!("mkfifo {}", path.display()))
}

/// Runs a program to its end, which must come; its exit code and what it said.
fn ends(mut command: Command) -> Outcome<(Option<i32>, String)> {
    let program = format!("{command:?}");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let begun = Instant::now();
    while child.try_wait()?.is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return fail(format!("{program} hangs"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok((output.status.code(), said))
}

/// Starts a server, which must answer or end: whether it answers.
fn starts(root: &Root) -> Outcome<bool> {
    let arguments = ["-r", "--address", "127.0.0.1", "--port", "0", "--lang", "en"];
    match Daemon::start(command(root.path(), &arguments)?) {
        Ok(mut server) => {
            Rest::new(server.url()).raw("GET", "/", &[], None)?;
            Rest::new(server.url()).with_user(USER, PASSWORD).raw("GET", "/api/licences", &[], None)?;
            server.stop()?;
            Ok(true)
        }
        Err(why) if why.to_string().contains("it ended before") => {
            // Once more, for all that it says.
            let (exit, said) = ends(command(root.path(), &arguments)?)?;
            check(exit != Some(0) && said.contains("not a regular file"), || format!("the cause is not told: {said}"))?;
            Ok(false)
        }
        Err(why) => Err(why),
    }
}

/// A server's folder as it is at work, with every file that it reads.
fn at_work(name: &str) -> Outcome<(Site, Root)> {
    let site = Site::new(name)?;
    let mut server = site.server_with(name, 2, &[])?;
    server.stop()?;
    let root = Root::new(name)?;
    fs::copy(server.root().settings().join("licenceserver.conf"), root.settings().join("licenceserver.conf"))?;
    root.copy_data_from(server.root())?;
    Ok((site, root))
}

#[test]
fn a_server_answers_or_ends_whatever_file_is_a_pipe() -> Outcome {
    let (_site, root) = at_work("pipes")?;
    let mut names: Vec<String> = fs::read_dir(root.data())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name != "old")
        .collect();
    check(names.iter().any(|name| name.ends_with(".licence")), || format!("{names:?}"))?;
    // Those that come with datafiles, keys and requests.
    let more =
        ["672B.datafile", "672B.params", "1.certificate", "1.retirement", "1.revocations", "keys.state", "keys.memory"];
    let more = more.into_iter().chain([
        "requests.state",
        "ledger.db-wal",
        "ledger.copy",
        "ledger.db.new",
        "settings.state",
        "old",
    ]);
    names.extend(more.map(str::to_owned));
    names.sort();
    names.dedup();
    let mut refused = Vec::new();
    for name in &names {
        let path = root.data().join(name);
        let aside = root.path().join("aside");
        let was_there = fs::rename(&path, &aside).is_ok();
        pipe(&path)?;
        if !starts(&root)? {
            refused.push(name.as_str());
        }
        let _ = fs::remove_file(&path);
        if was_there {
            fs::rename(&aside, &path)?;
        }
    }
    // Without these there is nothing to serve with; all others leave the server at work.
    let needed = [
        "clock.state",
        "ledger.db",
        "ledger.db-wal",
        "owner.lock",
        "requests.state",
        "server.apikey",
        "server.identity",
    ];
    let needless: Vec<_> = refused.iter().filter(|name| !needed.contains(name)).collect();
    check(needless.is_empty(), || format!("it does not start for {needless:?}"))
}

#[test]
fn the_settings_and_logs_of_a_server_may_be_no_pipes_either() -> Outcome {
    let (_site, root) = at_work("pipes-conf")?;
    let conf = root.settings().join("licenceserver.conf");
    let text = fs::read_to_string(&conf)?;
    // A link to a file is fine, one to a pipe is not.
    let target = root.path().join("real.conf");
    fs::rename(&conf, &target)?;
    symlink(&target, &conf)?;
    check(starts(&root)?, || "a link to the settings is not followed".to_owned())?;
    pipe(&target)?;
    check(!starts(&root)?, || "a pipe behind a link was read".to_owned())?;
    fs::remove_file(&conf)?;
    pipe(&conf)?;
    check(!starts(&root)?, || "a pipe was read for settings".to_owned())?;
    for arguments in [&["keys"][..], &["status"], &["passwd", "--stdin"], &["check"], &["update"]] {
        ends(command(root.path(), arguments)?)?;
    }
    fs::remove_file(&conf)?;
    let _socket = UnixListener::bind(&conf)?;
    check(!starts(&root)?, || "a socket was read for settings".to_owned())?;
    fs::remove_file(&conf)?;
    symlink("/dev/zero", &conf)?;
    check(!starts(&root)?, || "a device was read for settings".to_owned())?;
    fs::remove_file(&conf)?;
    for file in ["server.crt", "server.key"] {
        fs::write(&conf, format!("{text}\n[TLS]\nCertificate=server.crt\nKey=server.key\n"))?;
        pipe(&root.settings().join(file))?;
        check(!starts(&root)?, || format!("{file} was read"))?;
    }
    fs::write(&conf, &text)?;
    for (folder, name) in [(root.settings(), "logs"), (root.settings(), "licenceserver.conf.lock")] {
        let path = folder.join(name);
        let _ = fs::remove_dir_all(&path);
        pipe(&path)?;
        check(starts(&root)?, || format!("it does not start for {name}"))?;
        fs::remove_file(&path)?;
    }
    let given = root.path().join("given");
    pipe(&given)?;
    let given = given.display().to_string();
    for arguments in [["respond", &given], ["restore", &given]] {
        let (exit, said) = ends(command(root.path(), &arguments)?)?;
        check(exit != Some(0) && said.contains("FIFO"), || format!("{arguments:?}: {exit:?} {said}"))?;
    }
    Ok(())
}

#[test]
fn a_running_server_meets_a_pipe_and_goes_on() -> Outcome {
    let site = Site::new("pipes-run")?;
    let server = site.server_with("pipes-run", 2, &[])?;
    let conf = server.root().settings().join("licenceserver.conf");
    let text = fs::read_to_string(&conf)?;
    let complains = |expected: bool| -> Outcome {
        let begun = Instant::now();
        while server.health()?["Settings"].is_null() == expected {
            check(begun.elapsed() < PATIENCE, || "the keeper of files is stuck".to_owned())?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    };
    pipe(&conf)?;
    complains(true)?;
    server.rest().get("/api/serverinfo")?.expect(200)?;
    for name in ["x.licence", "x.retirement", "x.certificate", "672B.datafile", "672B.params"] {
        pipe(&server.root().data().join(name))?;
    }
    let begun = Instant::now();
    while server.keys()?.len() != 2 {
        check(begun.elapsed() < PATIENCE, || "a pipe is not listed".to_owned())?;
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(server.seats()?, (0, 2));
    fs::remove_file(&conf)?;
    fs::write(&conf, text)?;
    complains(false)
}

#[test]
fn centre_and_desk_answer_or_end_too() -> Outcome {
    let site = Site::new("pipes-centre")?;
    let folder = site.root.path().join("centre");
    for name in ["center.db", "center.store", "9999.issuer", "center.db-wal"] {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(site.vendor.issuer_folder())? {
            let path = entry?.path();
            if path.extension().is_some_and(|kind| kind == "issuer") {
                fs::copy(&path, folder.join(path.file_name().unwrap_or_default()))?;
            }
        }
        pipe(&folder.join(name))?;
        match Center::start(&folder) {
            Ok(center) => check(Rest::new(center.url()).raw("GET", "/", &[], None)?.status > 0, String::new)?,
            Err(why) => check(!why.to_string().contains("does not listen"), || format!("{name}: {why}"))?,
        }
    }
    let given = site.root.path().join("given");
    pipe(&given)?;
    let given = given.display().to_string();
    let key = site.vendor.cryptkey().display().to_string();
    let out = site.root.path().join("x.datafile").display().to_string();
    for arguments in
        [vec!["show", given.as_str()], vec!["c", &key, &out, &given], vec!["issuer", &given], vec!["template", &given]]
    {
        let mut command = Command::new(Programs::built()?.program("licenceedit"));
        command.args(&arguments);
        let (exit, said) = ends(command)?;
        check(exit != Some(0), || format!("{arguments:?}: {said}"))?;
    }
    Ok(())
}

#[test]
fn a_component_names_the_pipe_and_waits_for_nobody() -> Outcome {
    let site = Site::new("pipes-addin")?;
    let server = site.server_with("pipes-addin", 1, &[])?;
    let root = Root::new("pipes-1c")?;
    pipe(&root.settings().join("licenceaddin.conf"))?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let begun = Instant::now();
    let refusal =
        process.attach(&format!("ServerAddr=127.0.0.1;ServerPort={}", server.port()), &site.vendor.anchor()?)?;
    let refusal = refusal.expect_err("settings that can't be read");
    assert!(refusal.code == 636 && refusal.text.contains("licenceaddin.conf"), "{refusal:?}");
    assert!(begun.elapsed() < PATIENCE);
    process.finish()?;
    Ok(())
}

#[test]
fn what_killed_writers_have_left_is_removed_at_the_next_start() -> Outcome {
    let mut server = Server::ready(Root::new("leftovers")?, None)?;
    let (data, settings) = (server.root().data(), server.root().settings());
    let own = std::process::id();
    let left = [
        data.join(format!(".1.licence.{GONE}.new")),
        data.join(format!("old/.1.licence.{GONE}.new")),
        settings.join(format!(".licenceserver.conf.{GONE}.new")),
        data.join("ledger.db.new"),
        data.join("ledger.db.new-journal"),
        data.join("ledger.copy"),
    ];
    let others = [
        data.join(format!(".1.licence.{own}.new")),
        data.join(format!("1.licence.{GONE}.new")),
        data.join(".hidden.new"),
        data.join("note.txt"),
        settings.join(format!(".licenceserver.conf.{own}.new")),
        settings.join("licenceserver.conf.bak"),
    ];
    server.after(|_| {
        fs::create_dir_all(data.join("old"))?;
        Ok(left.iter().chain(&others).try_for_each(|path| fs::write(path, "left"))?)
    })?;
    let there: Vec<_> = left.iter().filter(|path| path.exists()).collect();
    let gone: Vec<_> = others.iter().filter(|path| !path.exists()).collect();
    check(there.is_empty() && gone.is_empty(), || format!("not removed: {there:?}, removed: {gone:?}"))?;
    server.rest().get("/api/serverinfo")?.expect(200)?;
    // A number that is nobody's here may be that of a writer in another container: he holds a lock.
    let lives = data.join(format!(".2.licence.{GONE}.new"));
    fs::write(&lives, "x")?;
    let writer = fs::File::open(&lives)?;
    writer.lock()?;
    server.restart()?;
    check(lives.exists(), || "a file was taken from its writer".to_owned())
}
