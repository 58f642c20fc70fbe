//! The server from an administrator's side: activation, the REST API, passwords, bad files, copies, kinds of keys.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::daemon::Daemon;
use e2e::failure::check;
use e2e::server::{PASSWORD, USER, command};
use e2e::{Outcome, Programs, Rest, Root, SERIES, Server, Site};
use licence::activation::ApiCertificate;
use licence::code::ActivationCode;
use licence::crypto::ring::PROVIDER;
use serde_json::{Value, json};

fn code_body(code: &str) -> Value {
    json!({ "ActivationCodeString": code })
}

/// Runs the server until it gives up; its exit code and what it said.
fn refuses_to_start(root: &Root, arguments: &[&str]) -> Outcome<(i32, String)> {
    let output = command(root.path(), arguments)?.stdin(std::process::Stdio::null()).output()?;
    check(!output.status.success(), || "it started".to_owned())?;
    Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn a_code_becomes_a_key_with_the_fields_of_the_guide() -> Outcome {
    let site = Site::new("activation")?;
    let server = site.server("activation")?;
    let terms = ["--flags", "1,51", "--days", "30", "--product-version", "4", "--article", "4601546"];
    let code = site.vendor.code(5, &terms)?;
    // As people type it.
    let key = server.activate(&format!("  {} ", code.replace('-', " ")))?;
    assert_eq!((&key["Type"], &key["KeyID"], &key["KeyType"]), (&json!("Virtual"), &json!(SERIES), &json!(3)));
    assert_eq!((&key["LicenceCount"], &key["Period"], &key["DaysLeft"]), (&json!(5), &json!(30), &json!(30)));
    assert_eq!((&key["Workable"], &key["Enabled"], &key["OpenError"]), (&json!(true), &json!(true), &Value::Null));
    assert_eq!((&key["ActivationCode"], &key["ProductVersion"]), (&json!(code), &json!(4)));
    let flags = key["Flags"].as_str().unwrap_or_default();
    assert!(flags.len() == 51 && flags.starts_with("10") && flags.ends_with("01"), "{flags}");
    assert_eq!((&key["ProductName"], &key["Article"]), (&json!("Учёт скидок"), &json!("4601546")));
    let file = key["FileName"].as_str().unwrap_or_default();
    assert!(file.ends_with(&format!("{SERIES}.{}.licence", key["KeyNo"])) && fs::exists(file)?, "{file}");

    assert_eq!(server.keys()?, std::slice::from_ref(&key));
    let one = server.rest().get(&format!("/api/licences/{}", key["KeyNo"]))?.expect(200)?;
    assert_eq!(one, key);
    assert_eq!(server.rest().get("/api/licences/1234567")?.refusal(404)?, 112);
    // A lost answer can be asked again.
    assert_eq!(server.activate(&code)?["KeyNo"], key["KeyNo"]);
    assert_eq!(server.seats()?, (0, 5));
    Ok(())
}

#[test]
fn a_code_that_is_no_good_gets_its_own_refusal() -> Outcome {
    let site = Site::new("codes")?;
    let (server, other) = (site.server("codes")?, site.server("codes-other")?);
    let (used, blocked) = (site.vendor.code(1, &[])?, site.vendor.code(1, &[])?);
    other.activate(&used)?;
    site.vendor.block(&blocked)?;
    let never_sold = ActivationCode::random(&PROVIDER)?.to_string();
    let mut misspelt = used.clone().into_bytes();
    misspelt[3] = if misspelt[3] == b'9' { b'0' } else { misspelt[3] + 1 };
    let misspelt = String::from_utf8(misspelt)?;
    for (code, status, number) in [
        (used.as_str(), 409, 402),
        (&blocked, 403, 403),
        (&never_sold, 404, 401),
        (&misspelt, 400, 400),
        ("RSRV-1111", 400, 400),
    ] {
        let answer = server.rest().post("/api/licences", &code_body(code))?;
        assert_eq!(answer.refusal(status)?, number, "{code}: {answer}");
    }
    assert!(server.keys()?.is_empty());
    assert!(!site.center.said().contains(&used), "a code is not written to a log in full");
    Ok(())
}

#[test]
fn every_answer_is_signed_by_a_key_that_the_centre_certifies() -> Outcome {
    let site = Site::new("signature")?;
    let server = site.server_with("signature", 1, &[])?;
    let rest = server.rest();
    // `Rest` checks each signature.
    let api = rest.get("/api")?;
    let version = format!("{},Linux,x86_64", licence::version::VERSION);
    assert_eq!(api.header("licence-serverversion"), Some(version.as_str()));
    let api = api.expect(200)?;
    assert!(api["Urns"].as_array().is_some_and(|urns| urns.contains(&json!("/api/sessions"))), "{api}");
    let info = rest.get("/api/serverinfo")?.expect(200)?;
    let id = info["ComputerID"].as_str().unwrap_or_default();
    assert!(id.len() == 40 && id.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)), "{id}");
    assert_eq!((&info["OSType"], &info["CPU"]), (&json!("Linux"), &json!(std::env::consts::ARCH)));
    assert_eq!(rest.get("/api/nothing")?.refusal(404)?, 101);
    assert_eq!(rest.delete("/api/sessions")?.refusal(405)?, 102);

    let text = rest.raw("GET", &format!("/api/certificate?KeyID={SERIES}"), &[], None)?;
    let (certificate, issuer) = ApiCertificate::read(&PROVIDER, "certificate", &String::from_utf8(text.body)?)?;
    assert_eq!(certificate.key, rest.public_key()?);
    assert_eq!(issuer.series.root.to_string(), site.vendor.anchor_hash()?);

    // Nobody can have a text of his choice signed.
    for query in ["a\\b", "{\"Sessions\":[]}", &"x".repeat(129)] {
        let answer = rest.raw("GET", "/api", &[("Licence-QueryID", query)], None)?;
        assert_eq!(answer.refusal(400)?, 100);
        assert!(answer.header("licence-signature").is_none(), "{query}");
    }
    Ok(())
}

#[test]
fn the_default_password_reads_and_sets_a_new_one_and_nothing_else() -> Outcome {
    let site = Site::new("password")?;
    let server = Server::start(Root::new("password")?, Some(site.center.url()))?;
    let rest = |user: &str, password: &str| Rest::new(server.url()).with_user(user, password);
    let (default, new) = (rest("admin", "admin"), rest(USER, PASSWORD));
    assert_eq!(Rest::new(server.url()).get("/api/licences")?.refusal(401)?, 103);
    assert_eq!(rest("admin", "guess").get("/api/licences")?.refusal(401)?, 103);
    default.get("/api/licences")?.expect(200)?;
    let code = site.vendor.code(1, &[])?;
    assert_eq!(default.post("/api/licences", &code_body(&code))?.refusal(403)?, 105);
    let session = json!({ "KeyID": SERIES, "ClientSessionID": "1" });
    assert_eq!(default.post("/api/sessions", &session)?.refusal(403)?, 105);
    // Who comes through a proxy does not come from this computer.
    let forwarded = rest("admin", "admin").with_header("X-Forwarded-For", "127.0.0.1");
    let answer = forwarded.get("/api/licences")?;
    assert!(matches!(answer.status, 401 | 403), "{answer}");

    for bad in ["admin", "short", ""] {
        let answer = default.put("/api/password", &json!({ "UserName": USER, "Password": bad }))?;
        assert_eq!(answer.refusal(400)?, 100, "{bad}");
    }
    server.set_password()?;
    assert_eq!(default.get("/api/licences")?.refusal(401)?, 103);
    new.post("/api/licences", &code_body(&code))?.expect(201)?;
    let conf = fs::read_to_string(server.root().settings().join("licenceserver.conf"))?;
    assert!(conf.contains("Password=$argon2id$") && !conf.contains(PASSWORD) && conf.contains("ServerPort="), "{conf}");
    Ok(())
}

#[test]
fn passwd_and_status_work_beside_a_server() -> Outcome {
    let mut server = Server::ready(Root::new("commands")?, None)?;
    let status = server.run(&["status", "--lang", "en"], "")?;
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success() && text.contains(&format!(":{}", server.port())), "{text}");
    let set = server.run(&["passwd", "root", "--stdin"], "Другой-пароль-1\n")?;
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    let refused = server.run(&["passwd", "--stdin"], "короткий"[..8].as_ref())?;
    assert_eq!(refused.status.code(), Some(1));
    server.stop()?;
    let status = server.run(&["status"], "")?;
    assert_eq!(status.status.code(), Some(3), "a server that does not run has a code of its own");
    server.restart()?;
    assert_eq!(server.rest().get("/api")?.refusal(401)?, 103);
    Rest::new(server.url()).with_user("root", "Другой-пароль-1").get("/api")?.expect(200)?;
    Ok(())
}

/// Files of the original system in our folder.
const FOREIGN: [&str; 2] = ["original.licence", "1234.datafile"];

#[test]
fn a_server_starts_without_the_bad_keys_and_shows_why() -> Outcome {
    let site = Site::new("bad-keys")?;
    let mut server = site.server_with("bad-keys", 2, &[])?;
    let good = server.keys()?[0]["FileName"].as_str().unwrap_or_default().to_owned();
    server.after(|root| {
        let data = root.data();
        let text = fs::read_to_string(&good)?;
        fs::write(data.join("altered.licence"), text.replace("\"LicenceCount\":2", "\"LicenceCount\":200"))?;
        fs::write(data.join("cut.licence"), &text[..text.len() / 2])?;
        fs::write(data.join("empty.licence"), "")?;
        fs::write(data.join("noise.licence"), [0xFF, 0, 0x80, 7])?;
        for name in FOREIGN {
            fs::write(data.join(name), b"LSDF\x03\0\0\0")?;
            fs::File::open(data.join(name))?.set_modified(SystemTime::UNIX_EPOCH)?;
        }
        Ok(fs::create_dir(data.join("folder.licence"))?)
    })?;
    assert_eq!(server.seats()?, (0, 2));
    let keys = server.keys()?;
    for name in ["altered", "cut", "empty", "noise", "original", "folder"] {
        let key = keys.iter().find(|key| key["FileName"].to_string().contains(name));
        let Some(key) = key else { panic!("{name} is not shown: {keys:?}") };
        let error = key["OpenError"].as_str().unwrap_or_default();
        assert!(key["Enabled"] == false && error.contains(&format!("{name}.licence")), "{name}: {key}");
    }
    // What another system keeps here stays as it is.
    server.activate(&site.vendor.code(2, &["--type", "additional"])?)?;
    server.stop()?;
    for name in FOREIGN {
        let path = server.root().data().join(name);
        assert_eq!(fs::metadata(&path)?.modified()?, SystemTime::UNIX_EPOCH, "{name}");
        assert_eq!(fs::read(&path)?, b"LSDF\x03\0\0\0", "{name}");
    }
    Ok(())
}

#[test]
fn damaged_settings_and_identity_name_the_place() -> Outcome {
    let root = Root::new("damaged")?;
    fs::write(root.settings().join("licenceserver.conf"), "[Common]\n\nnonsense\n")?;
    let (exit, text) = refuses_to_start(&root, &["-r"])?;
    assert!(exit == 4 && text.contains("licenceserver.conf, строка"), "{exit} {text}");

    let mut server = Server::ready(Root::new("damaged-identity")?, None)?;
    server.stop()?;
    fs::write(server.root().data().join("server.identity"), "{\"Type\":\"SLK-IDENTITY\",")?;
    let (exit, text) = refuses_to_start(server.root(), &["-r"])?;
    assert!(exit == 1 && text.contains("server.identity"), "{exit} {text}");
    Ok(())
}

#[test]
fn a_busy_port_is_named_with_its_owner() -> Outcome {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = taken.local_addr()?.port().to_string();
    let root = Root::new("busy")?;
    let (exit, text) = refuses_to_start(&root, &["-r", "--address", "127.0.0.1", "--port", &port, "--lang", "en"])?;
    assert!(exit == 5 && text.contains(&port) && text.contains(&std::process::id().to_string()), "{exit} {text}");
    Ok(())
}

#[test]
fn copies_add_no_licences() -> Outcome {
    let site = Site::new("copies")?;
    let mut server = site.server_with("copies", 2, &[])?;
    let licence = server.keys()?[0]["FileName"].as_str().unwrap_or_default().to_owned();
    server.after(|root| {
        for name in ["copy.licence", "672B.99.licence", "яяя.LICENCE"] {
            fs::copy(&licence, root.data().join(name))?;
        }
        Ok(())
    })?;
    assert_eq!(server.seats()?, (0, 2), "the same licence under other names");

    let mut other = site.server("copies-other")?;
    other.after(|root| fs::copy(&licence, root.data().join("672B.99.licence")).map(drop).map_err(Into::into))?;
    assert_eq!(other.seats()?, (0, 0), "a licence of another server");
    let error = other.keys()?[0]["OpenError"].to_string();
    assert!(error.contains("другому серверу"), "{error}");

    let twin = Root::new("copies-twin")?;
    twin.copy_data_from(server.root())?;
    let (exit, text) = refuses_to_start(&twin, &["-r", "--address", "127.0.0.1", "--port", "0", "--lang", "en"])?;
    assert!(exit == 5 && text.contains("already runs"), "the folder served a second time: {exit} {text}");
    let (exit, _) = refuses_to_start(server.root(), &["-r", "--address", "127.0.0.1", "--port", "0"])?;
    assert_eq!(exit, 5, "the same folder served a second time");
    Ok(())
}

#[test]
fn an_additional_key_counts_only_beside_its_main_key() -> Outcome {
    let site = Site::new("additional")?;
    let mut server = site.server("additional")?;
    let additional = site.vendor.code(3, &["--type", "additional"])?;
    let answer = server.rest().post("/api/licences", &code_body(&additional))?;
    assert_eq!(answer.refusal(409)?, 410, "without a main key");
    let main = server.activate(&site.vendor.code(2, &[])?)?;
    // The refusal has not spent the code.
    let key = server.activate(&additional)?;
    assert_eq!((&key["KeyType"], server.seats()?), (&json!(4), (0, 5)));
    server.after(|_| Ok(fs::remove_file(main["FileName"].as_str().unwrap_or_default())?))?;
    assert_eq!(server.seats()?, (0, 0));
    let error = server.keys()?[0]["OpenError"].to_string();
    assert!(error.contains("без основного"), "{error}");
    Ok(())
}

#[test]
fn a_demo_key_works_alone_only() -> Outcome {
    let site = Site::new("demo-key")?;
    let mut server = site.server("demo-key")?;
    let demo = site.vendor.code(1, &["--type", "demo", "--days", "30"])?;
    server.activate(&demo)?;
    assert_eq!(server.seats()?, (0, 1));
    let second = site.vendor.code(1, &["--type", "demo"])?;
    assert_eq!(
        server.rest().post("/api/licences", &code_body(&second))?.refusal(409)?,
        410,
        "a second demo adds nothing"
    );
    let main = server.activate(&site.vendor.code(4, &[])?)?;
    assert_eq!(server.seats()?, (0, 4), "beside a main key the demo is out of use");
    server.after(|_| Ok(fs::remove_file(main["FileName"].as_str().unwrap_or_default())?))?;
    assert_eq!(server.seats()?, (0, 1));
    Ok(())
}

#[test]
fn sessions_from_outside_1c_take_a_licence_each() -> Outcome {
    let site = Site::new("external")?;
    let server = site.server_with("external", 2, &[])?;
    let take = |id: &str| {
        let body = json!({ "KeyID": SERIES, "ClientSessionID": id, "AppName": "Shop", "UserName": "Анна", "ComputerName": "web-1" });
        server.rest().post("/api/sessions", &body)
    };
    assert_eq!(take("one")?.expect(201)?["KeyID"], SERIES);
    take("one")?.expect(200)?;
    take("two")?.expect(201)?;
    assert_eq!(take("three")?.refusal(409)?, 302);
    assert_eq!(server.seats()?, (2, 2));
    let sessions = server.sessions()?;
    assert_eq!(sessions.len(), 2);
    let id = sessions[0]["ID"].as_str().unwrap_or_default();
    assert_eq!(server.rest().get(&format!("/api/sessions/{id}"))?.expect(200)?["ID"], sessions[0]["ID"]);
    assert_eq!((&sessions[0]["UserName"], &sessions[0]["Expired"]), (&json!("Анна"), &json!("False")));
    assert_eq!(server.rest().get("/api/sessions/AA3465414B672B33CEA19039537F31BF")?.refusal(404)?, 112);
    let wrong = json!({ "KeyID": "ZZZZ", "ClientSessionID": "1" });
    assert_eq!(server.rest().post("/api/sessions", &wrong)?.refusal(400)?, 100);
    let unknown = json!({ "KeyID": "1111", "ClientSessionID": "1" });
    assert_eq!(server.rest().post("/api/sessions", &unknown)?.refusal(404)?, 300);
    Ok(())
}

#[test]
fn the_console_lists_keys_and_sessions_and_takes_a_code() -> Outcome {
    let site = Site::new("console")?;
    let server = site.server_with("console", 1, &[])?;
    let body = json!({ "KeyID": SERIES, "ClientSessionID": "1", "UserName": "Анна <b>" });
    server.rest().post("/api/sessions", &body)?.expect(201)?;
    let page = server.rest().raw("GET", "/", &[("Accept-Language", "ru")], None)?;
    let text = String::from_utf8(page.body)?;
    let key = server.keys()?[0]["KeyNo"].to_string();
    assert_eq!(page.status, 200);
    assert!(text.contains(&key) && text.contains(SERIES) && text.contains("Анна &#60;b&#62;"), "{text}");
    assert!(text.contains("<form") && text.contains("method=\"post\""), "{text}");
    Ok(())
}

#[test]
fn malformed_requests_are_refused_with_the_place() -> Outcome {
    let server = Server::ready(Root::new("malformed")?, None)?;
    let rest = server.rest();
    for body in ["", "{", "[]", "{\"ActivationCodeString\":7}", "\u{feff}"] {
        let answer = rest.raw("POST", "/api/licences", &[], Some(body.as_bytes()))?;
        assert_eq!(answer.refusal(400)?, 100, "{body}: {answer}");
    }
    let huge = vec![b' '; 64 * 1024 * 1024];
    // The connection may be closed before the answer is read.
    if let Ok(answer) = rest.raw("POST", "/api/licences", &[], Some(&huge)) {
        assert_eq!(answer.status, 413);
    }
    let forged = Rest::new(server.url()).with_header("Authorization", &format!("Basic {}", STANDARD.encode("admin")));
    assert_eq!(forged.get("/api")?.status, 401);
    rest.get("/api")?.expect(200)?;
    Ok(())
}

#[test]
fn a_key_outside_its_period_shows_why_it_gives_nothing() -> Outcome {
    let site = Site::new("period")?;
    let server = site.server("period")?;
    for (terms, words) in [
        (["--start", "2020-02-01", "--days", "30"], "истёк"),
        (["--start", "2999-01-01", "--days", "30"], "начнёт действовать"),
    ] {
        let key = server.activate(&site.vendor.code(5, &terms)?)?;
        assert!(
            key["Enabled"] == false && key["Workable"] == true && key["OpenError"].to_string().contains(words),
            "{key}"
        );
    }
    assert_eq!(server.seats()?, (0, 0));
    let body = json!({ "KeyID": SERIES, "ClientSessionID": "1" });
    assert_eq!(server.rest().post("/api/sessions", &body)?.refusal(409)?, 301);
    Ok(())
}

#[test]
fn server_lite_serves_the_same_on_loopback() -> Outcome {
    let site = Site::new("lite")?;
    let mut server = site.server_with("lite", 2, &[])?;
    let body = json!({ "KeyID": SERIES, "ClientSessionID": "1" });
    server.rest().post("/api/sessions", &body)?.expect(201)?;
    server.stop()?;
    let mut command = Command::new(Programs::built()?.program("server-lite"));
    command.args(["--port", "0"]).env("SLK_ROOT", server.root().path());
    let lite = Daemon::start(command)?;
    let rest = Rest::new(lite.url()).with_user(USER, PASSWORD);
    // The same store, keys, sessions and password, by another front and another provider of cryptography.
    let sessions = rest.get("/api/sessions")?.expect(200)?;
    assert_eq!(sessions["Sessions"].as_array().map(Vec::len), Some(1), "{sessions}");
    rest.post("/api/sessions", &json!({ "KeyID": SERIES, "ClientSessionID": "2" }))?.expect(201)?;
    assert_eq!(rest.post("/api/sessions", &json!({ "KeyID": SERIES, "ClientSessionID": "3" }))?.refusal(409)?, 302);
    let link = e2e::Link::connect(lite.url(), &site.vendor.anchor_hash()?)?;
    let refused = link.try_acquire(e2e::link::server_session(1))?;
    assert_eq!(refused.expect_err("all are taken").code, licence::Code::AllTaken);
    Ok(())
}
