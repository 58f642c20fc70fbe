//! Who gets in, and what for.

use serde_json::{Value, json};
use web::{Access, Reply, Response, Service};

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
        assert_eq!([401, 429].contains(&wrong.status), access != Access::Public, "{} {path}", method.name());
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

/// Accounts of each role besides the administrator.
fn with_roles(name: &str) -> Bench {
    let users = "[Users]\nvera=viewer passwort one\noleg=operator passwort two\nada=administrator passwort three\n";
    Bench::new(name, &format!("[Console]\nPassword=another password\n{users}"))
}

const ACCOUNTS: [(Access, (&str, &str)); 4] = [
    (Access::Viewer, ("vera", "passwort one")),
    (Access::Operator, ("oleg", "passwort two")),
    (Access::Administrator, ("ada", "passwort three")),
    (Access::Administrator, ("admin", "another password")),
];

#[test]
fn every_route_serves_its_roles_with_its_methods_and_nobody_else() {
    use web::Method::{Delete, Get, Head, Options, Patch, Post, Put};
    let bench = with_roles("matrix");
    let routes = bench.service.api_routes();
    let mut patterns: Vec<&str> = routes.iter().map(|(_, pattern, _)| *pattern).collect();
    patterns.dedup();
    for pattern in patterns {
        let path = pattern.replace("{KeyNo}", "1").replace("{ID}", "0");
        for method in [Get, Head, Post, Put, Patch, Delete, Options] {
            let declared = routes
                .iter()
                .find(|(known, other, _)| *other == pattern && (*known == method || (method == Head && *known == Get)));
            let call = |account| {
                let response = match method.is_write() {
                    true => bench.ask(write(method.name(), &path, account, &json!({}))),
                    false => bench.ask(request(method.name(), &path, account)),
                };
                code(&response)
            };
            let is_public = declared.is_some_and(|(_, _, access)| *access == Access::Public);
            assert_eq!(call(None).0 == 401, !is_public, "{} {path}", method.name());
            for (role, account) in ACCOUNTS {
                let (status, number) = call(Some(account));
                let told = format!("{} {path} by {}: {status} {number}", method.name(), account.0);
                match declared {
                    None => assert_eq!(status, 405, "{told}"),
                    Some((_, _, access)) if role < *access => assert_eq!((status, number), (403, 104), "{told}"),
                    Some(_) => assert!(![401, 403, 405].contains(&status), "{told}"),
                }
            }
        }
    }
    // The default password reads all but the settings, and sets a new one.
    let bench = Bench::new("matrix-default", "");
    for (method, pattern, access) in bench.service.api_routes() {
        let path = pattern.replace("{KeyNo}", "1").replace("{ID}", "0");
        let response = match method.is_write() {
            true => bench.ask(write(method.name(), &path, DEFAULT, &json!({}))),
            false => bench.ask(request(method.name(), &path, DEFAULT)),
        };
        let touches = method.is_write() && pattern != "/api/password" || pattern == "/api/settings";
        let held = touches && access != Access::Public;
        assert_eq!(code(&response) == (403, 105), held, "{} {path}: {response:?}", method.name());
    }
}

#[test]
fn a_plain_password_is_honoured_and_replaced_by_its_hash_at_the_start() {
    let bench = with_roles("plain");
    let text = std::fs::read_to_string(bench.root.join("settings/licenceserver.conf")).unwrap();
    assert_eq!(text.matches("$argon2id$").count(), 4, "{text}");
    for (_, (user, password)) in ACCOUNTS {
        assert!(!text.contains(password), "{text}");
        assert_eq!(log_in(&bench, (user, password)), 200);
    }
    assert!(text.contains("oleg=operator $argon2id$"));
}

#[test]
fn an_unknown_name_is_refused_as_a_wrong_password_is() {
    let bench = with_roles("unknown");
    let refused = |user| {
        let response = bench.ask(request("GET", "/api", Some((user, "wrong password"))));
        (response.status, response.headers, response.body)
    };
    assert_eq!(refused("admin"), refused("nobody"));
    assert_eq!(refused("vera"), refused(&"n".repeat(1000)));
}

#[test]
fn an_account_is_guarded_against_guesses_from_many_addresses() {
    let bench = with_roles("spread");
    let from = |number: u32, account| {
        let peer = format!("10.0.{}.{}:1", number / 250, number % 250);
        bench.ask(request_from(&peer, "GET", "/api", Some(account))).status
    };
    assert_eq!(from(5000, ("vera", "passwort one")), 200);
    assert!((0..30).all(|number| from(number, ("vera", "guess")) == 401));
    assert_eq!(from(31, ("vera", "guess")), 429);
    assert_eq!(from(32, ("oleg", "passwort two")), 200, "another account");
    assert_eq!(from(5000, ("vera", "passwort one")), 200, "who is signed in stays so");
    assert_eq!(log_in(&bench, ("vera", "passwort one")), 200, "nobody is locked out of the server itself");
    bench.clock.advance(30_000);
    assert_eq!(from(33, ("vera", "passwort one")), 200, "and the wait is short");
}

#[test]
fn with_tls_required_other_computers_need_it() {
    let bench = Bench::new("tls", "[Console]\nPassword=another password\n[TLS]\nRequired=1\n");
    assert_eq!(bench.ask(request("GET", "/api", CHANGED)).status, 200);
    let mut remote = request_from(REMOTE, "GET", "/api", CHANGED);
    assert_eq!(code(&bench.ask(remote.clone())), (403, 104));
    remote.tls = true;
    assert_eq!(bench.ask(remote).status, 200);
}

#[test]
fn a_changed_file_is_taken_up_and_wrong_values_keep_their_former_ones() {
    let bench = Bench::new("reload", "[Console]\nPassword=another password\n[API]\nEnabled=1\n");
    let path = bench.root.join("settings/licenceserver.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    let more = "Enabled=1\n[Common]\nLang=en\nServerPort=1\nCarrierGrace=perhaps";
    std::fs::write(&path, text.replace("Enabled=1", more)).unwrap();
    bench.service.reload_keys();
    let settings = bench.service.settings();
    assert!(settings.api && settings.lang == licence::error::Lang::English && settings.port == 9099);
    assert_eq!(settings.carrier_grace, licence::settings::ServerSettings::default().carrier_grace);
    assert_eq!(log_in(&bench, ("admin", "another password")), 200);
    // What was to be restricted by a wrong value is not left open.
    std::fs::write(&path, text.replace("Enabled=1", "Enabled=perhaps")).unwrap();
    bench.service.reload_keys();
    assert!(!bench.service.settings().api);
}

#[test]
fn a_wrong_restriction_closes_at_the_start_and_everybody_who_looks_is_told() {
    let conf =
        "[Console]\nPassword=another password\nAllowedAddresses=10.0.0.0/99\nPasword=my secret\nHideFullStorages=0\n";
    let bench = Bench::new("closed", conf);
    let remote = bench.ask(request_from(REMOTE, "GET", "/api", CHANGED));
    assert_eq!(code(&remote), (403, 104), "what was to be restricted is not open to all");
    assert!(json(&remote)["Message"].as_str().unwrap().contains("AllowedAddresses"));
    let (status, listed) = bench.get("/api/settings?fields=Section,Key,Value,Used,Problem");
    assert_eq!(status, 200);
    let of = |key: &str| listed["Settings"].as_array().unwrap().iter().find(|row| row["Key"] == key).unwrap().clone();
    let wrong = of("AllowedAddresses");
    assert_eq!((&wrong["Value"], &wrong["Used"]), (&json!("127.0.0.0/8, ::1"), &json!(true)));
    for part in ["line 3", "AllowedAddresses=10.0.0.0/99", "allowed: ", "in force: \"127.0.0.0/8, ::1\""] {
        assert!(wrong["Problem"].as_str().unwrap().contains(part), "{wrong}");
    }
    for (key, told) in [("Pasword", "there is no setting [Console] Pasword"), ("HideFullStorages", "is not used here")]
    {
        assert_eq!((&of(key)["Value"], &of(key)["Used"]), (&Value::Null, &json!(false)));
        assert!(of(key)["Problem"].as_str().unwrap().contains(told), "{}", of(key));
    }
    assert_eq!(of("LocalAccessOnly")["Problem"], Value::Null);
    assert!(!listed.to_string().contains("my secret"));
    let names = "[Console] AllowedAddresses, [Console] Pasword.";
    assert!(bench.get("/api/summary").1["SettingsFailure"].as_str().unwrap().contains(names));
    let page = bench.ask(request("GET", "/", CHANGED));
    assert!(String::from_utf8(page.body).unwrap().contains(names), "the console says so");
    let health = bench.ask(with(request("GET", "/healthz", None), "Accept", "application/json"));
    assert!(json(&health)["Settings"]["args"][0].as_str().unwrap().contains("AllowedAddresses"));

    // A correction is taken up, and a new mistake leaves what was in force.
    let put = |value: &str| {
        let change = json!([{ "Section": "Console", "Key": "AllowedAddresses", "Value": value }]);
        bench.write("PUT", "/api/settings", &json!({ "Settings": change })).0
    };
    assert_eq!((put("192.0.2.0/99"), put("192.0.2.0/24")), (400, 202));
    assert_eq!(bench.ask(request_from(REMOTE, "GET", "/api", CHANGED)).status, 200);
    let path = bench.root.join("settings/licenceserver.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("192.0.2.0/24", "192.0.2.0/124")).unwrap();
    bench.service.reload_keys();
    assert_eq!(bench.ask(request_from(REMOTE, "GET", "/api", CHANGED)).status, 200);
    assert_eq!(bench.ask(request_from("198.51.100.1:1", "GET", "/api", CHANGED)).status, 403);
    std::fs::write(&path, text.replace("Pasword=my secret\n", "")).unwrap();
    bench.service.reload_keys();
    assert_eq!(bench.get("/api/summary").1["SettingsFailure"], Value::Null);
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
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
        let refused = guess("another password");
        assert_eq!(code(&refused), (429, 113), "even the right one waits");
        assert_eq!(refused.headers.get("retry-after"), Some("1"));
        assert_eq!(bench.ask(request_from(REMOTE, "GET", "/api", CHANGED)).status, 200, "another address");
        bench.clock.advance(1000);
        assert_eq!(guess("another password").status, 200);
        let again: Vec<u16> = (0..7).map(|number| guess(&format!("wrong again {number}")).status).collect();
        assert_eq!(again, [401, 401, 401, 401, 401, 429, 429], "a success ends the delay");
        assert_eq!(guess("another password").status, 200, "who has signed in is not locked out by a few failures");
    }
}

#[test]
fn first_sign_ins_that_come_at_once_from_one_address_wait_for_their_turn() {
    const USERS: usize = 40;
    let hash = service::access::hash_password(CRYPTO, "passwort").unwrap();
    let users: String = (0..USERS).map(|number| format!("user{number}=viewer {hash}\n")).collect();
    let bench = Bench::new("rush", &format!("[Console]\nPassword=another password\n[Users]\n{users}"));
    let names: Vec<String> = (0..USERS).map(|number| format!("user{number}")).collect();
    let calls =
        names.iter().map(|name| bench.service.call(request_from(REMOTE, "GET", "/api", Some((name, "passwort")))));
    // All are under way before the first one is waited for.
    let replies: Vec<Reply> = calls.collect();
    for reply in replies {
        let Reply::Later(pending) = reply else { panic!("an answer of the API is signed, and so given later") };
        assert_eq!(pending.wait().status, 200);
    }
}

#[test]
fn guesses_are_told_of_by_the_events_in_few_lines() {
    let bench = with_roles("events-of-guesses");
    let typed = "my secret typed as a name";
    for number in 0..40 {
        bench.ask(request_from(REMOTE, "GET", "/api", Some((typed, &format!("guess {number}")))));
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let events = loop {
        let (_, body) = bench.get("/api/events");
        let events = body["Events"].as_array().unwrap().clone();
        if !events.is_empty() {
            break events;
        }
        assert!(std::time::Instant::now() < deadline, "nobody tells of it");
        std::thread::yield_now();
    };
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    assert_eq!((&event["Act"], &event["Status"], &event["ErrorCode"]), (&json!("sign-in"), &json!(401), &json!(144)));
    assert_eq!((&event["PeerIP"], &event["UserName"]), (&json!("192.0.2.7"), &json!(null)));
    assert!(event["Message"].as_str().unwrap().contains("Failed sign-ins: "), "{event}");
    assert!(!event.to_string().contains(typed), "a name that does not exist may be a password");
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
    let script = bench.ask(form.clone());
    assert_eq!(code(&script), (404, 300), "a script's body is read under any type");
    assert_eq!(code(&bench.ask(with(form, "Sec-Fetch-Site", "same-origin"))), (400, 100));
    let local = Bench::new("local", "[Console]\nPassword=another password\nLocalAccessOnly=1\n");
    assert_eq!(local.ask(request_from(REMOTE, "GET", "/api", CHANGED)).status, 403);
    assert_eq!(local.ask(request("GET", "/api", CHANGED)).status, 200);
}

#[test]
fn the_pass_of_this_computers_commands_opens_nothing_to_other_computers() {
    let bench = Bench::ready("pass");
    let pass = service::access::Pass::read(&bench.root.join("data")).unwrap();
    let ask =
        |peer: &str| with(request_from(peer, "GET", "/api/settings", None), "Authorization", &pass.authorization());
    for peer in [LOCAL, "[::1]:40000", "[::ffff:127.0.0.1]:40000"] {
        assert_eq!(bench.ask(ask(peer)).status, 200, "{peer}");
    }
    assert_eq!(code(&bench.ask(ask(REMOTE))), (401, 103));
    for name in ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"] {
        assert_eq!(code(&bench.ask(with(ask(LOCAL), name, "127.0.0.1"))), (401, 103), "{name}");
    }
    // A server of one address is reached there by its own computer only.
    let bench = Bench::new("pass-address", "[Common]\nServerAddr=192.0.2.7\n[Console]\nPassword=another password\n");
    let pass = service::access::Pass::read(&bench.root.join("data")).unwrap();
    let ask =
        |peer: &str| with(request_from(peer, "GET", "/api/settings", None), "Authorization", &pass.authorization());
    assert_eq!((bench.ask(ask(REMOTE)).status, bench.ask(ask("192.0.2.8:1")).status), (200, 401));
    assert_eq!(bench.ask(with(ask(REMOTE), "Via", "1.1 proxy")).status, 401);
}

#[test]
fn a_monitor_with_a_stale_password_shuts_nobody_out_and_guessing_costs_as_much() {
    for hashed in [false, true] {
        let bench = with_roles(if hashed { "stale-hash" } else { "stale" });
        let ask = |user, password: &str| bench.ask(request_from(REMOTE, "GET", "/api", Some((user, password)))).status;
        if hashed {
            service::access::set_password(&paths(&bench.root), CRYPTO, "admin", "another password").unwrap();
            bench.service.reload_keys();
        }
        for minute in 0..300 {
            let status = ask("admin", "stale password");
            assert_eq!(status, if minute < 5 { 401 } else { 429 }, "{minute}");
            bench.clock.advance(if minute % 2 == 0 { 60_000 } else { 0 });
        }
        assert_eq!(ask("vera", "passwort one"), 200, "another account of the same address");
        assert_eq!(ask("admin", "another password"), 200, "the same account");
        assert_eq!(ask("admin", "stale password"), 429);
        let guesses: Vec<u16> = (0..7).map(|number| ask("admin", &format!("guess {number}"))).collect();
        assert_eq!(guesses, [401, 401, 401, 401, 401, 429, 429], "what is new counts as ever");
        service::access::set_password(&paths(&bench.root), CRYPTO, "admin", "stale password").unwrap();
        bench.service.reload_keys();
        bench.clock.advance(2000);
        assert_eq!(ask("admin", "stale password"), 200, "what was wrong may be right once the password is changed");
    }
}

#[test]
fn through_a_proxy_of_this_computer_nobody_escapes_the_limit_of_an_account() {
    let bench = with_roles("proxied");
    let proxied = |number: usize| {
        let request = request("GET", "/api", Some(("vera", "guess")));
        bench.clock.advance(400_000);
        bench.ask(with(request, "X-Forwarded-For", &format!("192.0.2.{number}"))).status
    };
    assert!((0..4).all(|number| proxied(number) == 401));
    let from =
        |number: u32| bench.ask(request_from(&format!("10.0.0.{number}:1"), "GET", "/api", Some(("vera", "guess"))));
    assert!((0..30).any(|number| from(number).status == 429));
    let asked = with(request("GET", "/api", Some(("vera", "passwort one"))), "X-Forwarded-For", "192.0.2.1");
    assert_eq!(code(&bench.ask(asked)), (429, 113), "a stranger's request through the proxy waits as well");
    assert_eq!(log_in(&bench, ("vera", "passwort one")), 200, "who sits at the server does not");
}

#[test]
fn an_account_ends_at_once_whatever_of_it_changes_and_what_waits_for_it_is_not_done() {
    const USERS: usize = 40;
    let hash = service::access::hash_password(CRYPTO, "passwort").unwrap();
    let conf = |role: &str, count: usize| {
        let users: String = (0..count).map(|number| format!("user{number}={role} {hash}\n")).collect();
        format!("[Console]\nPassword=another password\n[Users]\n{users}")
    };
    let bench = Bench::new("ended", &conf("administrator", USERS));
    let path = bench.root.join("settings/licenceserver.conf");
    let become_of = |text: &str| {
        std::fs::write(&path, text).unwrap();
        bench.service.reload_keys();
    };
    let settings =
        |user: usize| bench.ask(request("GET", "/api/settings", Some((&format!("user{user}"), "passwort")))).status;
    assert_eq!(settings(0), 200);
    become_of(&conf("viewer", USERS));
    assert_eq!(settings(0), 403, "another role");
    become_of(&conf("viewer", USERS).replace("user0=", "anna="));
    assert_eq!(settings(0), 401, "another name");
    become_of(&conf("administrator", USERS));
    assert_eq!(settings(0), 200);
    // Sign-ins that wait for their turn while the accounts are removed.
    let asked = |user: usize| request_from(REMOTE, "GET", "/api/settings", Some((&format!("user{user}"), "passwort")));
    let replies: Vec<Reply> = (1..USERS).map(|user| bench.service.call(asked(user))).collect();
    become_of(&conf("administrator", 1));
    let statuses: Vec<u16> = replies
        .into_iter()
        .map(|reply| match reply {
            Reply::Later(pending) => pending.wait().status,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(statuses.iter().all(|status| [200, 401].contains(status)), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&401), "who was removed before his turn came: {statuses:?}");
    assert_eq!(settings(0), 200);
}

#[test]
fn an_empty_change_of_settings_reads_the_file_again_and_leaves_it_as_it_is() {
    let bench = with_roles("reread");
    let path = bench.root.join("settings/licenceserver.conf");
    assert_eq!(log_in(&bench, ("vera", "passwort one")), 200);
    let text = std::fs::read_to_string(&path).unwrap();
    let without: String =
        text.lines().filter(|line| !line.starts_with("vera=")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, &without).unwrap();
    assert_eq!(bench.write("PUT", "/api/settings", &json!({ "Settings": [] })).0, 202);
    assert_eq!(log_in(&bench, ("vera", "passwort one")), 401);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), without);
}

#[test]
fn whoever_floods_the_memory_of_keys_holds_up_nobody_who_signs_in() {
    use licence::protocol::Call;
    use licence::protocol::keys::{Hidden, KeyCall};
    let bench = Bench::ready("flood");
    bench.install(1, |_| {});
    let mut client = crate::client::connect(&bench);
    let hidden = |text: &str| Hidden(text.into());
    let set =
        |old: [&str; 2]| KeyCall::SetPasswords { key_no: Some(1), old: old.map(hidden), new: ["a", "b"].map(hidden) };
    client.acquire(&bench, crate::client::session(1, None)).unwrap();
    client.call(&bench, Call::Key(Box::new(set(["", ""])))).unwrap();
    service::access::set_password(&paths(&bench.root), CRYPTO, "admin", "another password").unwrap();
    bench.service.reload_keys();
    let waits: Vec<Reply> = (0..31).map(|_| client.start(&bench, Call::Key(Box::new(set(["a", "b"]))))).collect();
    assert_eq!(bench.ask(request("GET", "/api/settings", CHANGED)).status, 200);
    let answered = waits
        .into_iter()
        .filter_map(|reply| match reply {
            Reply::Later(pending) => pending.recv_timeout(std::time::Duration::ZERO).ok(),
            other => panic!("{other:?}"),
        })
        .count();
    assert!(answered < 16, "the administrator was answered after {answered} of 31 calls");
}
