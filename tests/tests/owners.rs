//! Commands that root runs beside a service with an account of its own: whatever they write, the service goes on with it.
//! Only root can give files to another account, so elsewhere these tests say that they were left out.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use e2e::daemon::{Daemon, free_port};
use e2e::failure::check;
use e2e::server::{PASSWORD, USER, command};
use e2e::{Outcome, Rest, Root, Site};
use serde_json::{Value, json};

/// The account of the service: nobody's on most systems, which does not matter here.
const SERVICE: u32 = 65_534;
/// Another one, an administrator's.
const OTHER: u32 = 61_000;

fn is_root() -> Outcome<bool> {
    let is_root = fs::metadata("/proc/self")?.uid() == 0;
    if !is_root {
        eprintln!("left out: only root can start a service under another account");
    }
    Ok(is_root)
}

/// A root whose two folders belong to the service, as packages make them; nothing else does.
fn root(name: &str) -> Outcome<Root> {
    let root = Root::new(name)?;
    for folder in [root.settings(), root.data()] {
        chown(folder, Some(SERVICE), Some(SERVICE))?;
    }
    Ok(root)
}

fn by(account: u32, mut command: Command) -> Command {
    command.uid(account).gid(account);
    command
}

fn start(root: &Root) -> Outcome<Daemon> {
    Daemon::start(by(SERVICE, command(root.path(), &["-r"])?))
}

fn run(mut command: Command, input: &str) -> Outcome<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who needs no input may have ended.
        let _ = stdin.write_all(input.as_bytes());
    }
    Ok(child.wait_with_output()?)
}

/// Runs a command as root, which must succeed; its output.
fn as_root(root: &Root, arguments: &[&str], input: &str) -> Outcome<String> {
    let output = run(command(root.path(), arguments)?, input)?;
    check(output.status.success(), || format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether all in the folders belongs to the service.
fn belongs(root: &Root, after: &str) -> Outcome {
    fn walk(path: &Path, after: &str) -> Outcome {
        let facts = fs::symlink_metadata(path)?;
        check(facts.uid() == SERVICE, || format!("after {after}: {} belongs to {}", path.display(), facts.uid()))?;
        if facts.is_dir() {
            for entry in fs::read_dir(path)? {
                walk(&entry?.path(), after)?;
            }
        }
        Ok(())
    }
    [root.settings(), root.data()].iter().try_for_each(|folder| walk(folder, after))
}

fn rest(service: &Daemon) -> Rest {
    Rest::new(service.url()).with_user(USER, PASSWORD)
}

fn activate(service: &Daemon, code: &str) -> Outcome<Value> {
    rest(service).post("/api/licences", &json!({ "ActivationCodeString": code }))?.expect(201)
}

/// Sets the password as root, and gives the server a port and a centre.
fn settle(root: &Root, site: &Site) -> Outcome {
    as_root(root, &["passwd", "--stdin"], &format!("{PASSWORD}\n"))?;
    let common = format!(
        "[Common]\nServerAddr=127.0.0.1\nServerPort={}\nLicenceCenterUrl={}\n",
        free_port()?,
        site.center.url()
    );
    let conf = root.settings().join("licenceserver.conf");
    let text = fs::read_to_string(&conf)?;
    // In place, as some editors do.
    Ok(fs::write(&conf, format!("{common}LicenceCenterUseProxy=0\n{text}"))?)
}

#[test]
fn the_service_goes_on_with_what_commands_of_root_have_written() -> Outcome {
    if !is_root()? {
        return Ok(());
    }
    let site = Site::new("owners")?;
    let root = root("owners")?;
    settle(&root, &site)?;
    belongs(&root, "passwd")?;
    let file = |name: &str| root.path().join(name).display().to_string();
    let (archive, request, answer) = (file("a.tar"), file("a.request"), file("a.answer"));
    // The first of all commands makes identity and store, too.
    let done = |arguments: &[&str], input: &str| -> Outcome<String> {
        let said = as_root(&root, arguments, input)?;
        belongs(&root, &arguments.join(" "))?;
        Ok(said)
    };
    done(&["keys"], "")?;
    let key: Value = serde_json::from_str(&done(&["activate", "-", "--json"], &site.vendor.code(3, &[])?)?)?;
    let key_no = key["KeyNo"].to_string();
    let mut service = start(&root)?;
    activate(&service, &site.vendor.code(4, &[])?)?;

    // Beside the running service, which has its own hands; only `passwd` and `backup` write by themselves.
    done(&["passwd", "anna", "--role", "viewer", "--stdin"], "correct horse\n")?;
    done(&["keys"], "")?;
    done(&["backup", &archive], "")?;
    service.stop()?;

    for (arguments, input) in [
        (vec!["update"], String::new()),
        (vec!["request", "--out", &request, "update"], String::new()),
        (vec!["reserve", &key_no], String::new()),
        (vec!["check"], String::new()),
        (vec!["restore", &archive], String::new()),
        (vec!["activate", "-"], site.vendor.code(5, &[])?),
    ] {
        if arguments[0] == "restore" {
            fs::write(&answer, site.center.answer(&fs::read_to_string(&request)?)?)?;
            // A request that waits for its answer outlives a restored backup.
            done(&["respond", &answer], "")?;
        }
        done(&arguments, &input)?;
        service = start(&root)?;
        activate(&service, &site.vendor.code(1, &[])?)?;
        service.kill9()?;
    }
    fs::write(root.data().join("ledger.db"), "no store at all")?;
    done(&["check", "--set-aside"], "")?;
    service = start(&root)?;
    activate(&service, &site.vendor.code(1, &[])?)?;
    Ok(())
}

#[test]
fn what_root_serves_for_once_hinders_no_service_and_logs_are_nobody_else_s() -> Outcome {
    if !is_root()? {
        return Ok(());
    }
    let site = Site::new("owners-logs")?;
    let root = root("owners-logs")?;
    settle(&root, &site)?;
    let mut once = Daemon::start(command(root.path(), &["-r"])?)?;
    activate(&once, &site.vendor.code(1, &[])?)?;
    once.kill9()?;
    belongs(&root, "a run as root")?;
    let mut service = start(&root)?;
    activate(&service, &site.vendor.code(2, &[])?)?;
    service.stop()?;
    let logs = root.settings().join("logs");
    let mode = |path: &Path| -> Outcome<u32> { Ok(fs::metadata(path)?.permissions().mode() & 0o777) };
    assert_eq!(mode(&logs)? & !0o750, 0, "the folder of logs");
    let mut seen = 0;
    for log in fs::read_dir(&logs)? {
        assert_eq!(mode(&log?.path())? & !0o640, 0, "a log");
        seen += 1;
    }
    assert!(seen > 0);
    Ok(())
}

#[test]
fn a_file_that_root_has_edited_stays_readable_for_the_service() -> Outcome {
    if !is_root()? {
        return Ok(());
    }
    let site = Site::new("owners-edited")?;
    let root = root("owners-edited")?;
    settle(&root, &site)?;
    let conf = root.settings().join("licenceserver.conf");
    // An editor replaces the file; `passwd` then makes it private.
    chown(&conf, Some(0), Some(0))?;
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o644))?;
    as_root(&root, &["passwd", "--stdin"], "another password\n")?;
    let mut service = start(&root)?;
    Rest::new(service.url()).with_user(USER, "another password").get("/api/serverinfo")?.expect(200)?;
    service.stop()?;

    // A folder of root's, which the service only reads: the data folder tells whose the service is.
    chown(root.settings(), Some(0), Some(0))?;
    chown(&conf, Some(0), Some(0))?;
    as_root(&root, &["passwd", "--stdin"], "a third password\n")?;
    service = start(&root)?;
    Rest::new(service.url()).with_user(USER, "a third password").get("/api/serverinfo")?.expect(200)?;
    service.stop()?;
    chown(root.settings(), Some(0), Some(SERVICE))?;
    chown(&conf, Some(0), Some(SERVICE))?;
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o640))?;
    as_root(&root, &["passwd", "--stdin"], "a fourth password\n")?;
    service = start(&root)?;
    Rest::new(service.url()).with_user(USER, "a fourth password").get("/api/serverinfo")?.expect(200)?;
    Ok(())
}

#[test]
fn whoever_may_write_to_a_folder_may_replace_a_file_of_another_owner_there() -> Outcome {
    if !is_root()? {
        return Ok(());
    }
    let site = Site::new("owners-others")?;
    let root = root("owners-others")?;
    settle(&root, &site)?;
    let mut service = start(&root)?;
    service.stop()?;
    let conf = root.settings().join("licenceserver.conf");
    // Another administrator, whom the folder's group lets in, and files that were root's and his.
    fs::set_permissions(root.settings(), fs::Permissions::from_mode(0o775))?;
    chown(&conf, Some(OTHER), Some(OTHER))?;
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o644))?;
    chown(root.data().join("server.pass"), Some(0), Some(0))?;
    chown(root.data().join("clock.state"), Some(OTHER), Some(OTHER))?;
    fs::set_permissions(root.data().join("clock.state"), fs::Permissions::from_mode(0o644))?;
    let by_service = by(SERVICE, command(root.path(), &["passwd", "--stdin"])?);
    let output = run(by_service, "another password\n")?;
    check(output.status.success(), || String::from_utf8_lossy(&output.stderr).into_owned())?;
    service = start(&root)?;
    Rest::new(service.url()).with_user(USER, "another password").get("/api/serverinfo")?.expect(200)?;
    service.stop()?;
    chown(&conf, Some(OTHER), Some(SERVICE))?;
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o664))?;
    let mut by_other = command(root.path(), &["passwd", "--stdin"])?;
    by_other.uid(OTHER).gid(SERVICE);
    let output = run(by_other, "a third password\n")?;
    check(output.status.success(), || String::from_utf8_lossy(&output.stderr).into_owned())
}
