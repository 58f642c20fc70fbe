//! The console in a browser's place.

use std::fs;

use crate::daemon::{Root, Server, wait_until};
use crate::{ANNA, DEFAULT};

/// A server with a password of its own, on loopback.
fn ready(conf: &str) -> Server {
    let root = Root::with_settings(conf);
    assert!(root.feed(&["passwd", "anna", "--stdin"], "correct horse\n").status.success());
    Server::start_with(root, &["--address", "127.0.0.1"])
}

#[test]
fn the_overview_is_shown_in_the_readers_language() {
    let server = Server::start(Root::new());
    let russian = server.get("/");
    assert_eq!((russian.status, russian.header("content-language")), (200, "ru"));
    let english = server.ask("GET", "/").header("Accept-Language", "en-GB,en;q=0.9").send("");
    assert_eq!((english.status, english.header("content-language")), (200, "en"));
    for (page, parts) in [
        (&russian.body, ["Ключи защиты", "Сеансы", "Соединения", "Установить лицензию", "ComputerID"]),
        (&english.body, ["Keys", "Sessions", "Connections", "Install the licence", "ComputerID"]),
    ] {
        assert!(parts.iter().all(|part| page.contains(part)), "{page}");
    }
    assert!(english.header("content-security-policy").starts_with("default-src 'none'"));
    let server = ready("[Common]\nLang=en\n");
    assert_eq!(server.get("/").header("content-language"), "en");
}

#[test]
fn warnings_are_those_that_hold() {
    let english = |server: &Server| server.ask("GET", "/").header("Accept-Language", "en").send("").body;
    let page = english(&Server::start(Root::new()));
    for warning in ["default password is in force", "not encrypted", "licensing centre is not set"] {
        assert!(page.contains(warning), "{warning}");
    }
    let page = english(&ready("[Common]\nLicenceCenterUrl=http://127.0.0.1:1\n"));
    assert!(!page.contains("class=\"notice"), "{page}");
}

#[test]
fn styles_are_served_and_nothing_beside_them() {
    let server = ready("[Console]\nAuthorization=1\n");
    let style = server.get("/assets/console.css");
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    for path in ["/assets/../licenceserver.conf", "/assets/%2e%2e/x", "/assets/%2e%2e%2fx"] {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
    for path in ["/assets/none.css", "/licenceserver.conf", "/favicon.ico"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

#[test]
fn in_mode_1_even_looking_needs_a_password() {
    let server = ready("[Console]\nAuthorization=1\n");
    let refused = server.get("/");
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").starts_with("Basic "));
    assert!(!refused.body.contains("ComputerID"));
    let shown = server.ask("GET", "/").basic(ANNA).send("");
    assert!(shown.status == 200 && shown.body.contains("anna"), "{shown:?}");
}

#[test]
fn hostile_names_are_shown_as_text() {
    let root = Root::new();
    fs::write(root.data().join("\"><img src=x onerror=alert(1)>.licence"), "nonsense").unwrap();
    let server = Server::start(root);
    let page = server.get("/").body;
    assert!(page.contains("onerror") && !page.contains("<img"), "{page}");
    let missing = server.get("/%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    assert!(!missing.body.contains("<script"), "{}", missing.body);
    let missing = server.get("/%3Cscript%3E");
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("&#60;script&#62;") && !missing.body.contains("<script"), "{}", missing.body);
}

#[test]
fn a_bad_licence_file_is_shown_with_its_reason() {
    let server = Server::start(Root::new());
    fs::write(server.root.data().join("672B.1.licence"), "nonsense").unwrap();
    wait_until("the file is noticed", || server.get("/").body.contains("672B.1.licence"));
    let page = || server.ask("GET", "/").header("Accept-Language", "en").send("").body;
    assert!(page().contains("no file of this system. A file of the original system"), "a foreign one");
    fs::write(server.root.data().join("672B.1.licence"), "SLK-LICENCE 1\nnonsense").unwrap();
    wait_until("what to do with a damaged one", || page().contains("Restore the file"));
}

#[test]
fn the_activation_form_answers_with_a_page_and_a_remedy() {
    let server = ready("");
    let post = |body: &str| server.ask("POST", "/activation").basic(ANNA).header("Accept-Language", "en").form(body);
    let malformed = post("code=1234-5678&itn=&iec=");
    assert_eq!(malformed.status, 400, "{}", malformed.body);
    assert!(
        malformed.body.contains("This is not an activation code") && malformed.body.contains("value=\"1234-5678\"")
    );
    assert_eq!(post("itn=1").status, 400);
    // A code whose check digits are right.
    let no_centre = post("code=0000-0000-0000-0000-0098");
    assert!(no_centre.body.contains("LicenceCenterUrl"), "{} {}", no_centre.status, no_centre.body);
    let json = server.ask("POST", "/activation").basic(ANNA).header("Content-Type", "application/json").send("{}");
    assert_eq!(json.status, 400);
}

#[test]
fn a_centre_that_does_not_answer_is_told() {
    let server = ready("[Common]\nLicenceCenterUrl=http://127.0.0.1:1\nLicenceCenterUseProxy=0\n");
    let answer =
        server.ask("POST", "/activation").basic(ANNA).header("Accept-Language", "en").form("code=00000000000000000098");
    assert!(answer.status == 502 && answer.body.contains("centre can"), "{} {}", answer.status, answer.body);
}

#[test]
fn a_page_of_another_site_can_not_send_the_form() {
    let server = ready("");
    for (name, value) in [("Origin", "http://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
        let answer = server.ask("POST", "/activation").basic(ANNA).header(name, value).form("code=1");
        assert_eq!(answer.status, 403, "{name}: {value}");
    }
    let own = server.ask("POST", "/activation").basic(ANNA).header("Origin", &server.url).form("code=1");
    assert_eq!(own.status, 400);
    let rebound = server.ask("GET", "/").header("Host", "evil.example").send("");
    assert_eq!(rebound.status, 403);
}

#[test]
fn the_default_password_installs_nothing() {
    let server = Server::start(Root::new());
    let answer = server.ask("POST", "/activation").basic(DEFAULT).form("code=1");
    assert!(answer.status == 403 && answer.body.contains("licenceserver passwd"), "{}", answer.body);
}

#[test]
fn embedded_in_a_form_the_page_has_no_menu() {
    let server = Server::start(Root::new());
    assert!(server.get("/").body.contains("<nav"));
    assert!(!server.get("/?menu=false&header=true").body.contains("<nav"));
}

#[test]
fn other_methods_are_told_the_right_ones() {
    let server = Server::start(Root::new());
    let answer = server.ask("DELETE", "/").send("");
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
    let home = server.get("/activation");
    assert_eq!((home.status, home.header("location")), (303, "/"));
}
