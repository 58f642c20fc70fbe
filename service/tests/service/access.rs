//! Who gets in, and what for.

use serde_json::json;
use web::{Access, Response};

use crate::bench::*;

fn code(response: &Response) -> (u16, u64) {
    (response.status, json(response)["ErrorCode"].as_u64().unwrap_or(0))
}

fn log_in(bench: &Bench, account: (&str, &str)) -> u16 {
    bench.ask(request("GET", "/api/serverinfo", Some(account))).status
}

#[test]
fn every_address_but_the_public_ones_asks_for_credentials() {
    let bench = Bench::ready("walk");
    let routes = bench.service.api_routes();
    assert!(routes.len() > 10);
    for (method, pattern, access) in routes {
        let path = pattern.replace("{KeyNo}", "1").replace("{ID}", "0");
        for peer in [LOCAL, REMOTE] {
            let response = bench.ask(request_from(peer, method.name(), &path, None));
            assert_eq!(response.status == 401, access != Access::Public, "{} {path}", method.name());
        }
        let wrong = bench.ask(request(method.name(), &path, Some(("admin", "wrong password"))));
        assert_eq!([401, 403].contains(&wrong.status), access != Access::Public, "{} {path}", method.name());
    }
    for (method, path) in [("GET", "/api/nothing"), ("DELETE", "/api/licences"), ("GET", "/api/licences/1/2")] {
        let response = bench.ask(request(method, path, None));
        assert_eq!(response.status, 401, "an address is not told to strangers: {path}");
        assert!(response.headers.get("www-authenticate").unwrap().starts_with("Basic "));
    }
    assert_eq!(bench.ask(request("GET", "/healthz", None)).status, 200);
    assert_eq!(bench.ask(request("GET", "/api/publickey", None)).status, 200);
}

#[test]
fn the_default_password_reads_and_sets_a_new_one_on_this_computer_only() {
    let bench = Bench::new("default", "; keep me\n[API]\nEnabled=1\n");
    assert_eq!(bench.ask(request("GET", "/api/licences", DEFAULT)).status, 200);
    assert_eq!(code(&bench.ask(request_from(REMOTE, "GET", "/api/licences", DEFAULT))), (403, 105));
    let forwarded = with(request("GET", "/api/licences", DEFAULT), "X-Forwarded-For", "192.0.2.1");
    assert_eq!(code(&bench.ask(forwarded)), (403, 105));
    for (method, path) in [("POST", "/api/licences"), ("PUT", "/api/licences"), ("POST", "/api/sessions")] {
        assert_eq!(code(&bench.ask(write(method, path, DEFAULT, &json!({})))), (403, 105), "{method} {path}");
    }
    let set =
        |password: &str| write("PUT", "/api/password", DEFAULT, &json!({ "UserName": "Анна", "Password": password }));
    assert_eq!(code(&bench.ask(set("short"))), (400, 100));
    let response = bench.ask(set("a good new one"));
    assert_eq!((response.status, json(&response)), (202, json!({ "UserName": "Анна" })));

    assert_eq!(log_in(&bench, ("admin", "admin")), 401);
    assert_eq!(log_in(&bench, ("Анна", "a good new one")), 200);
    assert_eq!(bench.ask(request_from(REMOTE, "GET", "/api/licences", Some(("Анна", "a good new one")))).status, 200);
    let path = bench.root.join("settings/licenceserver.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("; keep me\n[API]\nEnabled=1\n") && text.contains("UserName=Анна\n"), "{text}");
    assert!(text.contains("Password=$argon2id$") && !text.contains("a good new one"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_password_set_by_a_command_takes_effect_and_the_remembered_one_ends() {
    let bench = Bench::ready("command");
    assert_eq!(log_in(&bench, ("admin", "another password")), 200);
    let paths = paths(&bench.root);
    service::access::set_password(&paths, CRYPTO, "admin", "the second one").unwrap();
    bench.service.reload_keys();
    assert_eq!(log_in(&bench, ("admin", "the second one")), 200);
    assert_eq!(log_in(&bench, ("admin", "the second one")), 200);
    service::access::set_password(&paths, CRYPTO, "admin", "the third one").unwrap();
    bench.service.reload_keys();
    assert_eq!(log_in(&bench, ("admin", "the second one")), 401);
    assert_eq!(log_in(&bench, ("admin", "the third one")), 200);
}

#[test]
fn whoever_guesses_waits_longer_and_longer_and_others_do_not() {
    for hashed in [false, true] {
        let bench = Bench::ready(if hashed { "guess-hash" } else { "guess" });
        if hashed {
            service::access::set_password(&paths(&bench.root), CRYPTO, "admin", "another password").unwrap();
            bench.service.reload_keys();
        }
        let guess = |password: &str| bench.ask(request("GET", "/api", Some(("admin", password))));
        let statuses: Vec<u16> = (0..7).map(|number| guess(&format!("guess {number}")).status).collect();
        assert_eq!(statuses, [401, 401, 401, 401, 401, 403, 403]);
        let refused = guess("another password");
        assert_eq!(code(&refused), (403, 113), "even the right one waits");
        assert_eq!(refused.headers.get("retry-after"), Some("1"));
        assert_eq!(bench.ask(request_from(REMOTE, "GET", "/api", CHANGED)).status, 200, "another address");
        bench.clock.advance(1000);
        assert_eq!(guess("another password").status, 200);
        let again: Vec<u16> = (0..7).map(|number| guess(&format!("wrong again {number}")).status).collect();
        assert_eq!(again, [401, 401, 401, 401, 401, 403, 403], "a success ends the delay");
        assert_eq!(guess("another password").status, 200, "who has signed in is not locked out by a few failures");
    }
}

#[test]
fn mode_2_asks_for_nothing_on_this_computer_only() {
    let bench = Bench::new("off", "[Console]\nAuthorization=2\n");
    assert_eq!(bench.ask(request("GET", "/api/licences", None)).status, 200);
    assert_eq!(bench.ask(request_from(REMOTE, "GET", "/api/licences", None)).status, 401);
    let forwarded = with(request("GET", "/api/licences", None), "Forwarded", "for=192.0.2.1");
    assert_eq!(bench.ask(forwarded).status, 401);
}

#[test]
fn networks_names_and_foreign_pages_are_kept_out() {
    let bench =
        Bench::new("net", "[Console]\nPassword=another password\nAllowedAddresses=10.0.0.0/8\nHostNames=lic.example\n");
    let from = |peer: &str| bench.ask(request_from(peer, "GET", "/api", CHANGED)).status;
    assert_eq!((from("10.1.2.3:1"), from(LOCAL), from(REMOTE)), (200, 200, 403));
    let named = |host: &str| bench.ask(with(request("GET", "/api", CHANGED), "Host", host)).status;
    assert_eq!((named("lic.example:9099"), named("localhost"), named("evil.example")), (200, 200, 403));
    let body = json!({ "KeyID": "672B", "ClientSessionID": "x" });
    let page = with(write("POST", "/api/sessions", CHANGED, &body), "Origin", "http://evil.example");
    assert_eq!(code(&bench.ask(page)), (403, 104));
    let form = with(write("POST", "/api/sessions", CHANGED, &body), "Content-Type", "text/plain");
    assert_eq!(code(&bench.ask(form)), (400, 100));
    let local = Bench::new("local", "[Console]\nPassword=another password\nLocalAccessOnly=1\n");
    assert_eq!(local.ask(request_from(REMOTE, "GET", "/api", CHANGED)).status, 403);
    assert_eq!(local.ask(request("GET", "/api", CHANGED)).status, 200);
}
