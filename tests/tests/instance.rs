//! One identity is served once on a computer, and nobody else can hinder that.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use e2e::link::server_session;
use e2e::server::command;
use e2e::{Link, Outcome, Root, Server, Site, check, fail};

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A user without rights: "nobody" of most systems.
const NOBODY: u32 = 65_534;

/// A process of another user that holds an abstract name; it ends when dropped.
struct Squatter(Child);

impl Squatter {
    /// `listens`: whether its socket can be asked whose it is. `None` where no such process can be made.
    fn new(name: &str, listens: bool) -> Outcome<Option<Squatter>> {
        let script = "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0) or die; bind(S, pack_sockaddr_un(\"\\0$ARGV[0]\")) or die \
            \"bind: $!\"; if ($ARGV[1]) { listen(S, 1) or die } $| = 1; print \"held\\n\"; sleep 600";
        let mut perl = Command::new("perl");
        perl.args(["-e", script, name, if listens { "1" } else { "0" }]).current_dir("/");
        let child = perl.uid(NOBODY).gid(NOBODY).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let Ok(child) = child else {
            eprintln!("skipped: no process of another user can be made here");
            return Ok(None);
        };
        let mut squatter = Squatter(child);
        let mut word = String::new();
        if let Some(stdout) = squatter.0.stdout.take() {
            BufReader::new(stdout).read_line(&mut word)?;
        }
        check(word == "held\n", || format!("the name can't be taken: {word}"))?;
        Ok(Some(squatter))
    }
}

impl Drop for Squatter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The abstract name that a process holds, as any user can read it.
fn name_of(pid: u32) -> Outcome<Option<String>> {
    let links = fs::read_dir(format!("/proc/{pid}/fd"))?.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    let links: Vec<String> = links.map(|link| link.display().to_string()).collect();
    let table = fs::read_to_string("/proc/net/unix")?;
    Ok(table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let name = fields.get(7)?.strip_prefix('@').filter(|name| name.starts_with("slk-"))?;
        links.contains(&format!("socket:[{}]", fields.get(6)?)).then(|| name.to_owned())
    }))
}

fn lock_name(server: &Server) -> Outcome<String> {
    name_of(server.pid())?.ok_or_else(|| e2e::Failure::new("the server holds no name"))
}

/// Starts a server that must not start; its exit code and what it says.
fn refused(root: &Root) -> Outcome<(i32, String)> {
    let arguments = ["-r", "--address", "127.0.0.1", "--port", "0", "--lang", "en"];
    let output = command(root.path(), &arguments)?.stdin(Stdio::null()).output()?;
    Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn another_user_who_takes_the_name_does_not_keep_the_service_from_starting() -> Outcome {
    let site = Site::new("squatted")?;
    let mut server = site.server_with("squatted", 2, &[])?;
    let name = lock_name(&server)?;
    let held = Link::connect(server.url(), &site.vendor.anchor_hash()?)?.acquire(server_session(1))?;
    for listens in [true, false] {
        server.stop()?;
        let Some(squatter) = Squatter::new(&name, listens)? else { return Ok(()) };
        server.restart()?;
        let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
        assert_eq!(link.acquire(server_session(1))?.session, held.session);
        assert_eq!(server.seats()?, (1, 2));
        let said = server.said();
        check(said.contains("process of another user"), || format!("no warning: {said}"))?;
        let who = [format!("PID {}", squatter.0.id()), format!("uid {NOBODY}")];
        check(who.iter().all(|who| said.contains(who.as_str())), || format!("{who:?} is not named: {said}"))?;
        // Its lock counts against a copy that shares what the computer remembers: the same folder once more.
        assert_eq!(refused(server.root())?.0, 5);
        drop(squatter);
        let begun = Instant::now();
        while name_of(server.pid())?.as_ref() != Some(&name) {
            check(begun.elapsed() < PATIENCE, || "the name is free, and not held".to_owned())?;
            thread::sleep(Duration::from_millis(50));
        }
        // So a copy elsewhere sees it again.
        let twin = Root::new("squatted-twin")?;
        twin.copy_data_from(server.root())?;
        let (exit, said) = refused(&twin)?;
        check(exit == 5 && said.contains(&format!("PID {}", server.pid())), || format!("{exit} {said}"))?;
    }
    Ok(())
}

#[test]
fn a_server_without_a_folder_of_its_own_names_who_has_taken_the_name() -> Outcome {
    let mut server = Server::start(Root::new("squatted-plain")?, None)?;
    let name = lock_name(&server)?;
    server.stop()?;
    // As for a user who can't have such a folder: others may write this one.
    let machine = server.root().path().join("var/lib/licenceserver");
    fs::set_permissions(&machine, fs::Permissions::from_mode(0o777))?;
    let Some(squatter) = Squatter::new(&name, true)? else { return Ok(()) };
    let (exit, said) = refused(server.root())?;
    let who = [format!("PID {}", squatter.0.id()), format!("uid {NOBODY}"), "Root can end".to_owned()];
    check(exit == 5 && who.iter().all(|who| said.contains(who.as_str())), || format!("{exit} {said}"))?;
    drop(squatter);
    server.restart()
}

#[test]
fn a_lock_file_that_somebody_else_has_put_there_is_refused_and_not_touched() -> Outcome {
    let mut server = Server::start(Root::new("lock-file")?, None)?;
    let name = lock_name(&server)?;
    let number = name.trim_start_matches("slk-");
    let file = server.root().path().join(format!("var/lib/licenceserver/{number}.lock"));
    let note: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    assert_eq!((&note["PID"], &note["Folder"]), (&server.pid().into(), &server.root().data().to_string_lossy().into()));
    server.kill9()?;
    // What a killed server has left hinders nobody.
    server.restart()?;
    server.stop()?;
    let victim = server.root().path().join("victim");
    fs::write(&victim, "x")?;
    fs::remove_file(&file)?;
    std::os::unix::fs::symlink(&victim, &file)?;
    let (exit, said) = refused(server.root())?;
    check(exit == 1 && said.contains(&file.display().to_string()), || format!("{exit} {said}"))?;
    assert_eq!(fs::read_to_string(&victim)?, "x");
    fs::remove_file(&file)?;
    server.restart()?;
    if fs::metadata(&file)?.permissions().mode() & 0o077 != 0 {
        return fail("others may read who runs what");
    }
    Ok(())
}
