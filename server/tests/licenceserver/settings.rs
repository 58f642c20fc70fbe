//! The settings file: wrong values, changes while the server runs, accounts.

use std::fs;

use crate::daemon::{Root, Server, wait_until};
use crate::{DEFAULT, text};

#[test]
fn wrong_values_name_their_line_in_the_language_of_the_settings_and_defaults_hold() {
    let conf = "[Common]\nLang=en\nCarrierGrace=long\n[Console]\nAuthorization=7\n\nAllowedAddresses=10.0.0.0/99\n";
    let server = Server::start(Root::with_settings(conf));
    assert_eq!(server.get("/healthz").status, 200);
    for parts in [
        ["licenceserver.conf, line 3", "CarrierGrace=long; allowed: from 0 to 3600 seconds; in force: \"60\""],
        ["licenceserver.conf, line 5", "Authorization=7; allowed: 0, 1 or 2; in force: \"1\""],
        ["licenceserver.conf, line 7", "in force: \"127.0.0.0/8, ::1\""],
    ] {
        assert!(parts.iter().all(|part| server.said().contains(part)), "{parts:?}: {}", server.said());
    }
    let told = text(&Root::with_settings("[Common]\nLogLevel=loud\n").run(&["status"]).stderr);
    assert!(told.contains("licenceserver.conf, строка 2") && told.contains("допустимо: error, warn"), "{told}");
}

#[test]
fn a_file_that_is_no_ini_stops_the_start_and_names_the_line() {
    let output = Root::with_settings("[Common]\nLang=en\nnonsense\n").run(&["-r", "--port", "0"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("licenceserver.conf, строка"), "{told}");
}

#[test]
fn the_example_of_the_settings_is_written_by_the_program() {
    let output = Root::new().run(&["conf"]);
    assert_eq!(text(&output.stdout), include_str!("../../../packaging/licenceserver.conf"));
}

#[test]
fn a_changed_file_is_read_again_and_what_needs_a_restart_is_told() {
    let server = Server::start(Root::with_settings("; kept\n[Common]\nLang=en\n"));
    let api = || server.ask("GET", "/api").basic(DEFAULT).send("").status;
    fs::write(server.root.conf(), "[Common]\nServerPort=1\nLogLevel=debug\n[API]\nEnabled=0\n").unwrap();
    server.signal("HUP");
    wait_until("the API is off", || api() == 503);
    wait_until("it says so", || server.said().contains("ServerPort takes effect after a restart"));
    fs::write(server.root.conf(), "[Common]\nServerPort=1\nLogLevel=loud\n").unwrap();
    // Nobody tells it: it looks by itself.
    wait_until("the API is on", || api() == 200);
    let status = server.root.run(&["--lang", "en", "status", "--port", server.port()]);
    assert!(
        text(&status.stdout).contains("Not in force as the settings file has it: [Common] LogLevel."),
        "{status:?}"
    );
    assert!(server.said().contains("line 3") && server.said().contains("in force: \"debug\""), "{}", server.said());
}

#[test]
fn accounts_are_set_and_removed_by_the_command() {
    let server = Server::start(Root::with_settings("; kept\n[Console]\nPassword=correct horse\n"));
    let set = |words: &[&str]| {
        server.root.feed(&[&["--lang", "en", "passwd"], words, &["--stdin"]].concat(), "battery staple\n").status
    };
    assert!(set(&["vera", "--role", "viewer"]).success());
    // base64 of "vera:battery staple"
    let vera = "dmVyYTpiYXR0ZXJ5IHN0YXBsZQ==";
    let status = |method: &str| server.ask(method, "/api/sessions").basic(vera).send("").status;
    wait_until("the account is taken up", || status("GET") == 200);
    assert_eq!(status("POST"), 403);
    assert!(set(&["vera", "--role", "operator"]).success());
    wait_until("the role is taken up", || status("POST") == 400);
    // The role stays when only the password is set again.
    assert!(set(&["vera"]).success());
    let conf = fs::read_to_string(server.root.conf()).unwrap();
    assert!(conf.starts_with("; kept\n") && conf.contains("vera=operator $argon2id$"), "{conf}");
    assert!(!set(&["admin", "--role", "viewer"]).success());
    assert!(server.root.run(&["passwd", "vera", "--remove"]).status.success());
    wait_until("the account is gone", || status("GET") == 401);
    assert_eq!(server.root.run(&["passwd", "vera", "--remove"]).status.code(), Some(1));
}
