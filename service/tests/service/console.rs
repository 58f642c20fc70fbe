//! The console over the real service: what it shows of keys and seats, and to whom.

use std::sync::Arc;

use licence::settings::{Ini, ServerSettings};
use licence::time::Time;
use serde_json::json;
use service::{LicenceService, Options, Scope};
use web::{Reply, Response, Service};

use crate::bench::*;

const HOSTILE: &str = "\"'><script>alert(1)</script>\u{202E}";

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

#[test]
fn the_overview_shows_keys_and_who_holds_their_seats() {
    let bench = Bench::ready("console-overview");
    bench.install(7_121_172, |licence| {
        licence.product_name = HOSTILE.into();
        licence.iec = Some("012345678".into());
        licence.period = 30;
    });
    bench.put("broken.licence", "nonsense");
    bench.service.reload_keys();
    for number in 0..3 {
        let session = json!({
            "KeyID": "672B", "ClientSessionID": format!("{number}<b>"), "AppName": "<i>", "UserName": "<script>",
            "ComputerName": "<img src=x>"
        });
        assert_eq!(bench.post("/api/sessions", &session).0, 201);
    }
    let response = bench.ask(request("GET", "/", None));
    let page = text(&response);
    assert_eq!(response.status, 200);
    for part in [
        "672B.7121172",
        "1234567890 / 012345678",
        "<td class=\"number\">5</td><td class=\"number\">3</td><td class=\"number\">2</td>",
        "Available",
        "days left: 29",
        "broken.licence",
        "&#60;script&#62;",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for tag in ["<script", "<img", "<i>", "<b>"] {
        assert!(!page.contains(tag), "{tag}: {page}");
    }
}

#[test]
fn who_may_look_and_who_must_sign_in_follows_the_mode() {
    for (mode, local, remote) in [(0, 200, 200), (1, 401, 401), (2, 200, 401)] {
        let bench = Bench::new(
            &format!("console-mode-{mode}"),
            &format!("[Console]\nPassword=another password\nAuthorization={mode}\n"),
        );
        let look = |peer: &str, account| bench.ask(request_from(peer, "GET", "/", account)).status;
        assert_eq!((look(LOCAL, None), look(REMOTE, None)), (local, remote), "{mode}");
        assert_eq!((look(LOCAL, CHANGED), look(REMOTE, CHANGED)), (200, 200), "{mode}");
        let forwarded = with(request("GET", "/", None), "X-Forwarded-For", "192.0.2.9");
        assert_eq!(bench.ask(forwarded).status, remote, "{mode}");
        // A service operation asks in every mode, and the form is empty.
        let send = |peer: &str, account| {
            let mut form = request_from(peer, "POST", "/activation", account);
            form.headers.set("Content-Type", "application/x-www-form-urlencoded").unwrap();
            bench.ask(form).status
        };
        assert_eq!((send(REMOTE, None), send(REMOTE, CHANGED)), (401, 400), "{mode}");
        assert_eq!(send(LOCAL, None), if mode == 2 { 400 } else { 401 }, "{mode}");
    }
}

#[test]
fn every_page_asks_in_every_mode_as_the_documents_say() {
    use web::{Access, Method};
    let users = "[Users]\nvera=viewer passwort one\noleg=operator passwort two\n";
    for mode in 0..3 {
        let conf = format!("[Console]\nPassword=another password\nAuthorization={mode}\n{users}");
        let bench = Bench::new(&format!("console-matrix-{mode}"), &conf);
        let routes = bench.service.console_routes();
        assert!(routes.len() > 15, "{routes:?}");
        for (method, pattern, access) in routes {
            let path = pattern.replace("{KeyNo}", "1").replace("{ID}", "0").replace("{name}", "console.css");
            let ask = |peer: &str, account, forwarded| {
                let mut asked = request_from(peer, method.name(), &path, account);
                if method == Method::Post {
                    asked.headers.set("Content-Type", "application/x-www-form-urlencoded").unwrap();
                }
                let asked = if forwarded { with(asked, "X-Forwarded-For", "127.0.0.1") } else { asked };
                bench.ask(asked).status
            };
            // Mode 0 opens what only shows, mode 2 everything on the computer itself, public is the style sheet.
            let is_open = access == Access::Public || mode == 0 && access == Access::Viewer;
            for (peer, forwarded) in [(LOCAL, false), (LOCAL, true), (REMOTE, false)] {
                let told = format!("mode {mode}: {} {path} from {peer} {forwarded}", method.name());
                let here = mode == 2 && peer == LOCAL && !forwarded;
                assert_eq!(ask(peer, None, forwarded) == 401, !is_open && !here, "{told}");
                for (role, account) in [
                    (Access::Viewer, ("vera", "passwort one")),
                    (Access::Operator, ("oleg", "passwort two")),
                    (Access::Administrator, ("admin", "another password")),
                ] {
                    let status = ask(peer, Some(account), forwarded);
                    assert_eq!(status == 403, role < access && !is_open && !here, "{told} by {}: {status}", account.0);
                    assert_ne!(status, 401, "{told} by {}", account.0);
                }
            }
            let wrong = ask(REMOTE, Some(("admin", "wrong password")), false);
            assert_eq!([401, 429].contains(&wrong), !is_open, "mode {mode}: {} {path}: {wrong}", method.name());
            bench.clock.advance(3_600_000);
        }
    }
}

#[test]
fn networks_that_are_not_allowed_see_no_page() {
    let bench = Bench::new("console-networks", "[Console]\nAllowedAddresses=10.0.0.0/8\n");
    let look = |peer: &str| bench.ask(request_from(peer, "GET", "/", None)).status;
    assert_eq!((look(LOCAL), look("10.1.2.3:1"), look(REMOTE)), (200, 200, 403));
    assert_eq!(bench.ask(request_from(REMOTE, "GET", "/assets/console.css", None)).status, 403);
    let bench = Bench::new("console-local", "[Console]\nLocalAccessOnly=1\n");
    assert_eq!(bench.ask(request_from(REMOTE, "GET", "/", None)).status, 403);
}

#[test]
fn inside_the_component_the_console_is_for_looking_only() {
    let root = std::env::temp_dir().join(format!("slk-service-console-embedded-{}", std::process::id()));
    let service = LicenceService::start(Options {
        paths: paths(&root),
        settings: ServerSettings::read(&Ini::parse("test.conf", "[Common]\nLang=en\n").unwrap()).0,
        clock: Arc::new(TestClock::default()),
        crypto: CRYPTO,
        machine,
        carriers: Box::new(service::keys::NoCarriers),
        make_response_key: None,
        scope: Scope::Embedded,
        started: Time(NOW),
    })
    .unwrap();
    let ask = |method, path| match service.call(request(method, path, DEFAULT)) {
        Reply::Now(response) => response,
        Reply::Later(pending) => pending.wait(),
        Reply::Stream(_) => panic!("a stream"),
    };
    let page = ask("GET", "/");
    assert_eq!(page.status, 200);
    assert!(!text(&page).contains("<form") && !text(&page).contains("class=\"notice"), "{}", text(&page));
    assert_eq!(ask("GET", "/assets/console.css").status, 200);
    for (method, path) in [
        ("POST", "/activation"),
        ("POST", "/responses"),
        ("GET", "/licences/1/reserve"),
        ("GET", "/licences/1/memory"),
        ("POST", "/sessions/1/end"),
        ("GET", "/api"),
        ("PUT", "/api/password"),
        ("POST", "/api/licences"),
    ] {
        assert_eq!(ask(method, path).status, 404, "{method} {path}");
    }
    service.stop();
    drop(service);
    let _ = std::fs::remove_dir_all(root);
}
