//! What programs print for people: no name of a file, account or object, no message of another program and no word of a command line
//! reaches a terminal with what would steer it, and no line of a log is forged.
#![cfg(unix)]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use e2e::daemon::{Daemon, free_port};
use e2e::failure::check;
use e2e::vendor::try_edit;
use e2e::{Center, Outcome, Programs, Root, Server, Vendor};
use serde_json::Value;

/// Sets the title of a terminal, colours it by a single character, reverses what follows, begins a line, deletes.
const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{9b}31m\u{202e}a\r\nforged\u{7f}";
/// How it is shown.
const SHOWN: &str = "\\u{1b}]0;x\\u{7}\\u{9b}31m\\u{202e}a\\r\\nforged\\u{7f}";

/// Whether a terminal may get it.
fn clean(what: &str, bytes: &[u8]) -> Outcome {
    let text = std::str::from_utf8(bytes)?;
    let steers = |c: char| {
        c.is_control() && !['\n', '\t'].contains(&c)
            || matches!(c, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    check(!text.contains(steers), || format!("{what} steers a terminal: {text:?}"))?;
    // What stands behind the line feed of the hostile name.
    check(!text.lines().any(|line| line.starts_with("forged")), || {
        format!("{what} has a line that is forged: {text:?}")
    })
}

fn run(mut command: Command) -> Outcome<Output> {
    let what = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output()?;
    clean(&what, &output.stdout)?;
    clean(&what, &output.stderr)?;
    check(!output.stdout.is_empty() || !output.stderr.is_empty(), || format!("{what} says nothing"))?;
    Ok(output)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A centre that refuses whatever it is asked with a particular of its choice.
fn false_centre() -> Outcome<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    let refusal = serde_json::json!({ "Error": { "code": "SeriesNotServed", "args": ["672B", HOSTILE] } }).to_string();
    let answer = format!(
        "HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{refusal}",
        refusal.len()
    );
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let _ = client.read(&mut [0; 64 * 1024]).and_then(|_| client.write_all(answer.as_bytes()));
        }
    });
    Ok(url)
}

/// Commands of `licenceserver`, all of which are told hostile words or meet hostile files.
fn commands(server: &Server) -> Outcome {
    let root = server.root().path();
    let file = root.join(format!("{HOSTILE}.tar")).display().to_string();
    let missing = root.join(format!("missing {HOSTILE}")).display().to_string();
    let lines: [&[&str]; 17] = [
        &["keys"],
        &["check"],
        &["check", "--json"],
        &["status"],
        &["status", "--port", "1"],
        &["activate", "00000000000000000098"],
        &["activate", "00000000000000000098", "--json"],
        &["activate", HOSTILE],
        &["request", "--out", &missing, "activate", "00000000000000000098"],
        &["request", "activate", "00000000000000000098"],
        &["respond", &missing],
        &["backup", &file],
        &["backup", &file, "--json"],
        &["restore", &missing],
        &["passwd", HOSTILE, "--remove"],
        &[HOSTILE],
        &["--lang", HOSTILE, "status"],
    ];
    let mut shown = 0;
    for line in lines {
        for lang in ["ru_RU.UTF-8", "en_US.UTF-8"] {
            let mut command = e2e::server::command(root, line)?;
            command.env("LC_ALL", lang);
            shown += usize::from(text(&run(command)?).contains("\\u{1b}]0;x\\u{7}"));
        }
    }
    assert!(shown >= 10, "what is hostile is shown, escaped: {shown}");
    let mut refused = e2e::server::command(root, &["activate", "00000000000000000098"])?;
    refused.env("LC_ALL", "en_US.UTF-8");
    let refused = text(&run(refused)?);
    // What another program says of itself comes without what would steer a terminal.
    check(refused.contains("672B: a  forged"), || format!("the centre's word: {refused}"))?;
    let listed = run(e2e::server::command(root, &["keys"])?)?;
    check(text(&listed).contains(&format!("{SHOWN}.licence")), || text(&listed))?;
    let json: Value = serde_json::from_slice(&run(e2e::server::command(root, &["keys", "--json"])?)?.stdout)?;
    let names = json["Licences"].as_array().cloned().unwrap_or_default();
    let name = format!("{HOSTILE}.licence");
    let is_named = |key: &Value| key["FileName"].as_str().is_some_and(|path| path.ends_with(&name));
    check(names.iter().any(is_named), || format!("JSON says the same to programs: {json}"))
}

fn logs(folder: &Path) -> Outcome<usize> {
    let mut found = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found += logs(&path)?;
        } else if path.extension().is_some_and(|kind| kind == "log") {
            found += 1;
            clean(&path.display().to_string(), &fs::read(&path)?)?;
        }
    }
    Ok(found)
}

#[test]
fn a_server_and_its_commands_say_nothing_that_steers_a_terminal() -> Outcome {
    let mut server = Server::ready(Root::new(&format!("terminal {HOSTILE}"))?, Some(&false_centre()?))?;
    server.after(|root| {
        fs::write(root.data().join(format!("{HOSTILE}.licence")), "no licence")?;
        let conf = root.settings().join("licenceserver.conf");
        let text = fs::read_to_string(&conf)?;
        Ok(fs::write(&conf, format!("{text}\n[Users]\n{}=no role\n", "\u{9b}31m"))?)
    })?;
    commands(&server)?;
    // Somebody else's page and refusal are told in the log.
    let answer = server.rest().post("/api/licences", &serde_json::json!({ "ActivationCodeString": HOSTILE }))?;
    check(answer.status >= 400, || answer.to_string())?;
    server.stop()?;
    clean("the server", server.said().as_bytes())?;
    assert!(logs(server.root().path())? > 0, "there is a log");
    fs::remove_file(server.root().path().join(format!("{HOSTILE}.tar")))?;
    commands(&server)
}

#[test]
fn the_vendors_programs_say_nothing_that_steers_a_terminal() -> Outcome {
    let root = Root::new(&format!("vendor {HOSTILE}"))?;
    let vendor = Vendor::new(&root.path().join("desk"))?;
    let (centre, key) = (vendor.issuer_folder().display().to_string(), vendor.cryptkey().display().to_string());
    let object = root.path().join(format!("{}.bin", HOSTILE.replace(['\r', '\n'], "")));
    fs::write(&object, "data")?;
    let (object, datafile) = (object.display().to_string(), root.path().join("x.datafile").display().to_string());
    let (cryptkey, serie) = (format!("--cryptkey={key}"), format!("--serie={}", vendor.series()));
    let lines: [&[&str]; 9] = [
        &["issuer", "--cryptkey", &key, "--center", &centre],
        &["c", &datafile, &object, &serie, &cryptkey, "-y"],
        &["list", &datafile],
        &["list", &object],
        &["answer", HOSTILE, "--center", &centre],
        &["codes", "--center", HOSTILE],
        &["template", HOSTILE, "--check"],
        &["block", HOSTILE, "--center", &centre],
        &[HOSTILE],
    ];
    for line in lines {
        let output = try_edit(line)?;
        clean(&format!("licenceedit {line:?}"), &output.stdout)?;
        clean(&format!("licenceedit {line:?}"), &output.stderr)?;
    }
    let centre_command = |arguments: &[&str]| -> Outcome<Command> {
        let mut command = Command::new(Programs::built()?.program("licencecenter"));
        command.args(arguments).env("LC_ALL", "C.UTF-8");
        Ok(command)
    };
    run(centre_command(&["token", "add", HOSTILE, "--role", "viewer", "--center", &centre])?)?;
    let _ = run(centre_command(&["token", "remove", HOSTILE, "--center", HOSTILE])?)?;
    run(centre_command(&["token", "remove", &format!("other {HOSTILE}"), "--center", &centre])?)?;
    run(centre_command(&["serve", "--center", &centre, "--listen", HOSTILE])?)?;
    let center = Center::start(&vendor.issuer_folder())?;
    let _ = center.answer(HOSTILE);
    clean("the centre", center.said().as_bytes())
}

#[test]
fn the_small_server_says_nothing_that_steers_a_terminal() -> Outcome {
    let root = Root::new(&format!("lite {HOSTILE}"))?;
    fs::write(root.data().join(format!("{HOSTILE}.licence")), "no licence")?;
    let command = |arguments: &[&str]| -> Outcome<Command> {
        let mut command = Command::new(Programs::built()?.program("server-lite"));
        command.args(arguments).env("SLK_ROOT", root.path());
        Ok(command)
    };
    run(command(&[HOSTILE])?)?;
    run(command(&["--port", HOSTILE])?)?;
    let mut daemon = Daemon::start(command(&["--port", &free_port()?.to_string()])?)?;
    daemon.kill9()?;
    clean("server-lite", daemon.said().as_bytes())?;
    assert!(logs(root.path())? > 0, "there is a log");
    Ok(())
}
