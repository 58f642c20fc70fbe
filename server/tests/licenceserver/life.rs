//! Commands about keys over the data folder, with a server beside and without one.

use std::fs;

use serde_json::Value;

use crate::daemon::{Root, Server};
use crate::text;

fn json(root: &Root, arguments: &[&str], code: i32) -> Value {
    let output = root.run(arguments);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

#[test]
fn keys_are_listed_beside_a_running_server_and_without_one() {
    let server = Server::start(Root::with_settings("[API]\nEnabled=0\n"));
    fs::write(server.root.data().join("x.licence"), "nonsense").unwrap();
    server.signal("HUP");
    crate::daemon::wait_until("it is listed", || {
        json(&server.root, &["keys", "--json"], 0)["Licences"].as_array().is_some_and(|keys| keys.len() == 1)
    });
    let data = server.root.data();
    let pass = fs::read_to_string(data.join("server.pass")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(data.join("server.pass")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the pass is for the folder's owner");
    }
    let token = pass.split("\"Token\": \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let with = |token: &str| {
        let header = format!("Bearer {token}");
        server.ask("GET", "/api/licences").header("Authorization", &header).send("").status
    };
    assert_eq!(with(&token), 200);
    let mut wrong = token.clone().into_bytes();
    wrong[5] ^= 1;
    assert_ne!(with(std::str::from_utf8(&wrong).unwrap()), 200);
    assert!(!server.said().contains(&token));

    let root = Root::new();
    let output = root.run(&["--lang", "en", "keys"]);
    assert_eq!((output.status.code(), text(&output.stdout).trim()), (Some(0), "There are no keys."));
    assert_eq!(json(&root, &["keys", "--json"], 0)["Licences"], Value::Array(Vec::new()));
}

#[test]
fn a_refusal_and_a_centre_out_of_reach_have_exit_codes_of_their_own() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let conf = format!("[Common]\nLicenceCenterUrl=http://{nobody}\nLicenceCenterUseProxy=0\n");
    let root = Root::with_settings(&conf);
    let run = |arguments: &[&str]| {
        let output = root.run(&[&["--lang", "en"], arguments].concat());
        (output.status.code(), text(&output.stderr))
    };
    let (code, said) = run(&["activate", "1234-5678-9012-3456-7889"]);
    assert!(code == Some(6) && said.contains("check digits"), "{code:?} {said}");
    let (code, said) = run(&["activate", "1234-5678-9012-3456-7888"]);
    assert!(code == Some(7) && said.contains(&nobody.to_string()), "{code:?} {said}");
    assert!(!said.contains("7888"), "a code is not repeated: {said}");
    assert_eq!(run(&["reserve", "7"]).0, Some(6));
    assert_eq!(run(&["update", "--series", "672B"]).0, Some(6));
    assert_eq!(run(&["activate", "--demo"]).0, Some(2));
}

#[test]
fn a_request_file_is_made_without_a_server_and_only_its_own_answer_is_taken() {
    let root = Root::new();
    let file = root.path().join("a.request");
    let file = file.to_str().unwrap();
    assert!(root.feed(&["request", "-o", file, "activate", "-"], "1234-5678-9012-3456-7888\n").status.success());
    let request = fs::read_to_string(file).unwrap();
    assert!(request.starts_with("SLK-REQUEST 1\n{"), "{request}");
    let printed = text(&root.run(&["request", "activate", "1234 5678 9012 3456 7888"]).stdout);
    assert_eq!(printed, request, "the same wish makes the same request");
    assert_eq!(root.run(&["respond", file]).status.code(), Some(6));
}

#[test]
fn a_backup_is_made_beside_a_running_server_and_restored_without_one() {
    let server = Server::start(Root::new());
    fs::write(server.root.data().join("x.licence"), "one file").unwrap();
    let identity = fs::read_to_string(server.root.data().join("server.identity")).unwrap();
    let archive = server.root.path().join("b.tar");
    let file = archive.to_str().unwrap();
    let made = json(&server.root, &["backup", file, "--json"], 0);
    assert!(made["Files"].as_u64().is_some_and(|files| files >= 4), "{made}");
    assert_eq!(server.root.run(&["backup", file]).status.code(), Some(1), "nothing is written over");
    assert_eq!(server.root.run(&["restore", file]).status.code(), Some(5), "the server runs");
    assert_eq!(server.get("/healthz").status, 200);

    let other = Root::new();
    fs::write(other.data().join("672B.1.00000000.retirement"), "kept").unwrap();
    fs::write(other.data().join("y.licence"), "put aside").unwrap();
    let done = json(&other, &["restore", file, "--json"], 0);
    let data = other.data();
    assert_eq!(fs::read_to_string(data.join("server.identity")).unwrap(), identity);
    assert_eq!(fs::read_to_string(data.join("x.licence")).unwrap(), "one file");
    assert_eq!(fs::read_to_string(data.join("672B.1.00000000.retirement")).unwrap(), "kept");
    let aside = std::path::Path::new(done["Aside"].as_str().unwrap()).join("y.licence");
    assert!(!data.join("y.licence").exists() && fs::read_to_string(aside).unwrap() == "put aside");
    assert_eq!(other.run(&["check"]).status.code(), Some(0), "the copy of the ledger is a good one");
    assert!(!data.join("server.pass").exists() && !data.join("owner.lock.1").exists());

    let mut bytes = fs::read(&archive).unwrap();
    let at = bytes.windows(8).position(|found| found == b"one file").unwrap();
    bytes[at] = b'0';
    let damaged = other.path().join("damaged.tar");
    fs::write(&damaged, &bytes).unwrap();
    let output = other.run(&["--lang", "en", "restore", damaged.to_str().unwrap()]);
    assert!(text(&output.stderr).contains("x.licence"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(data.join("x.licence")).unwrap(), "one file", "a damaged backup changes nothing");
    assert_ne!(other.run(&["restore", "/etc/hostname"]).status.code(), Some(0));
}
