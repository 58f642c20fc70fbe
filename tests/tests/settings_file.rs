//! The settings file of a server that is lost, cut, or changed by many at once: nothing opens, and no change is lost.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use e2e::failure::check;
use e2e::server::{PASSWORD, USER, command};
use e2e::{Outcome, Rest, Root, Server, fail};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const INCOMPLETE: u64 = 634;
const CLOSED: &str = "LocalAccessOnly=1\nAuthorization=1\n[API]\nEnabled=1\n";

fn conf(root: &Root) -> std::path::PathBuf {
    root.settings().join("licenceserver.conf")
}

/// Status of a page for somebody on another computer: what a proxy hands over never counts as coming from this one.
fn from_elsewhere(server: &Server, path: &str) -> Outcome<u16> {
    let headers = [("X-Forwarded-For", "192.0.2.7")];
    Ok(Rest::new(server.url()).with_user(USER, PASSWORD).raw("GET", path, &headers, None)?.status)
}

fn sign_in(server: &Server, user: &str, password: &str) -> Outcome<u16> {
    Ok(Rest::new(server.url()).with_user(user, password).raw("GET", "/api/serverinfo", &[], None)?.status)
}

/// What the server says of its settings file; 0: nothing.
fn complaint(server: &Server) -> Outcome<u64> {
    let health = server.health()?;
    Ok(if health["Settings"].is_null() { 0 } else { health["Settings"]["code"].as_str().map_or(1, number) })
}

fn number(name: &str) -> u64 {
    if name == "SettingsIncomplete" { INCOMPLETE } else { 1 }
}

fn wait_for(server: &Server, expected: u64) -> Outcome {
    let begun = Instant::now();
    while complaint(server)? != expected {
        check(begun.elapsed() < PATIENCE, || format!("its settings: {:?}", server.health().map(|h| h.to_string())))?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn closed(server: &Server, when: &str) -> Outcome {
    assert_eq!((from_elsewhere(server, "/")?, from_elsewhere(server, "/api")?), (403, 403), "{when}");
    // The same wrong pair again and again has to wait.
    assert!([401, 429].contains(&sign_in(server, "admin", "admin")?), "{when}");
    assert_eq!(sign_in(server, USER, PASSWORD)?, 200, "{when}");
    assert_eq!(Rest::new(server.url()).raw("GET", "/", &[], None)?.status, 401, "{when}: the overview asks, too");
    Ok(())
}

/// It says what is wrong wherever an administrator looks.
fn tells(server: &Server, words: &str) -> Outcome {
    let list = server.rest().get("/api/settings")?.expect(200)?;
    let told = list["Settings"].as_array().into_iter().flatten().any(|one| one["Problem"].to_string().contains(words));
    check(told, || format!("the API does not tell {words}: {list}"))?;
    let status = String::from_utf8(server.run(&["status", "--port", &server.port().to_string()], "")?.stdout)?;
    check(status.contains(words), || format!("the status does not tell {words}: {status}"))?;
    let page = server.rest().raw("GET", "/", &[("Accept-Language", "ru")], None)?;
    check(String::from_utf8_lossy(&page.body).contains(words), || format!("the console does not tell {words}"))?;
    check(server.said().contains("SettingsIncomplete") || server.said().contains("settings file"), || server.said())
}

#[test]
fn a_running_server_whose_file_goes_or_is_cut_stays_closed_and_says_so() -> Outcome {
    let server = Server::with_settings(Root::new("settings-run")?, CLOSED)?;
    let conf = conf(server.root());
    closed(&server, "at first")?;
    let whole = fs::read_to_string(&conf)?;
    check(whole.contains("$argon2"), || "the password is not hashed".to_owned())?;
    let aside = conf.with_extension("moved");
    fs::rename(&conf, &aside)?;
    wait_for(&server, INCOMPLETE)?;
    closed(&server, "the file is gone")?;
    tells(&server, "файла настроек нет")?;
    fs::rename(&aside, &conf)?;
    wait_for(&server, 0)?;
    let cut = &whole[..whole.find("LocalAccessOnly").unwrap_or_default()];
    for (text, words) in [("", "пуст"), ("\n \n", "пуст"), ("; nothing\n", "ни одного раздела"), (cut, "[API]")]
    {
        fs::write(&conf, text)?;
        wait_for(&server, INCOMPLETE)?;
        closed(&server, words)?;
        tells(&server, words)?;
        fs::write(&conf, &whole)?;
        wait_for(&server, 0)?;
    }
    // What somebody means is in force.
    fs::write(&conf, whole.replace("LocalAccessOnly=1\n", ""))?;
    let begun = Instant::now();
    while from_elsewhere(&server, "/api/serverinfo")? == 403 {
        check(begun.elapsed() < PATIENCE, || "a restriction that was removed stays".to_owned())?;
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(complaint(&server)?, 0);
    Ok(())
}

#[test]
fn a_server_that_starts_without_its_file_is_as_closed_as_it_was() -> Outcome {
    let mut server = Server::with_settings(Root::new("settings-start")?, CLOSED)?;
    let conf = conf(server.root());
    let whole = fs::read_to_string(&conf)?;
    let state = fs::read_to_string(server.root().data().join("settings.state"))?;
    check(!state.contains(PASSWORD) && state.contains("$argon2"), || "a plain password is remembered".to_owned())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let facts = fs::metadata(server.root().data().join("settings.state"))?;
        assert_eq!(facts.permissions().mode() & 0o777, 0o600);
    }
    let port = server.url().to_owned();
    for end in [0, 3, 12, whole.len() / 2, whole.len() - 4] {
        fs::write(&conf, &whole.as_bytes()[..end])?;
        server.restart()?;
        assert_eq!(server.url(), port, "the port is remembered, too");
        closed(&server, &format!("cut to {end} bytes"))?;
        assert_eq!(complaint(&server)?, INCOMPLETE, "{end}");
    }
    fs::remove_file(&conf)?;
    server.restart()?;
    closed(&server, "without a file")?;
    tells(&server, "файла настроек нет")?;
    // A backup that is restored brings no older passwords.
    let archive = server.root().path().join("a.tar").display().to_string();
    let packed = server.run(&["backup", &archive], "")?;
    check(packed.status.success(), || String::from_utf8_lossy(&packed.stderr).into_owned())?;
    check(!String::from_utf8_lossy(&fs::read(&archive)?).contains("SLK-SETTINGS"), || "it is packed".to_owned())?;
    // Whoever can't tell what was closed closes all of it.
    server.after(|root| Ok(fs::write(root.data().join("settings.state"), "{")?))?;
    assert_eq!((from_elsewhere(&server, "/")?, sign_in(&server, "admin", "admin")?), (403, 401));
    assert_eq!(sign_in(&server, USER, PASSWORD)?, 401);
    let reset = server.run(&["passwd", "--stdin"], "a new password\n")?;
    check(reset.status.success(), || String::from_utf8_lossy(&reset.stderr).into_owned())?;
    server.restart()?;
    assert_eq!((from_elsewhere(&server, "/")?, sign_in(&server, USER, "a new password")?), (403, 200));
    Ok(())
}

#[test]
fn an_administrator_gets_his_defaults_and_his_new_password() -> Outcome {
    let mut server = Server::with_settings(Root::new("settings-reset")?, CLOSED)?;
    let conf = conf(server.root());
    let port = server.port();
    // The guide's reset, in a file that has nothing else.
    server.after(|_| Ok(fs::write(&conf, "[Console]\nPassword=admin\n")?))?;
    assert_eq!((sign_in(&server, "admin", "admin")?, from_elsewhere(&server, "/")?), (200, 403));
    // A command makes a lost file whole: the rest of it comes back with the new password.
    fs::write(&conf, "")?;
    let set = server.run(&["passwd", "--stdin"], "another password\n")?;
    check(set.status.success(), || String::from_utf8_lossy(&set.stderr).into_owned())?;
    let mended = fs::read_to_string(&conf)?;
    check(mended.contains("LocalAccessOnly=1") && mended.contains(&format!("ServerPort={port}")), || mended.clone())?;
    wait_for(&server, 0)?;
    assert_eq!((sign_in(&server, USER, "another password")?, from_elsewhere(&server, "/")?), (200, 403));
    // The documented way back to the defaults.
    let example = server.run(&["conf"], "")?.stdout;
    server.after(|_| {
        Ok(fs::write(&conf, String::from_utf8(example)?.replace(";ServerPort=9099", &format!("ServerPort={port}")))?)
    })?;
    assert_eq!((sign_in(&server, "admin", "admin")?, complaint(&server)?), (200, 0));
    assert_eq!(from_elsewhere(&server, "/")?, 200);
    Ok(())
}

#[test]
fn no_change_that_was_reported_as_made_is_lost_to_another() -> Outcome {
    const ACCOUNTS: usize = 40;
    let server = Server::with_settings(Root::new("settings-lock")?, "")?;
    let spawn = |number: usize| -> Outcome<Child> {
        let name = format!("user{number}");
        let mut command = command(server.root().path(), &["passwd", &name, "--role", "viewer", "--stdin"])?;
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(format!("password {number}\n").as_bytes())?;
        }
        Ok(child)
    };
    let mut puts = 0u64;
    let mut grace = 0;
    let mut all = (0..ACCOUNTS).map(spawn).collect::<Outcome<Vec<_>>>()?;
    while all.iter_mut().any(|child| matches!(child.try_wait(), Ok(None))) {
        grace = puts % 50 + 1;
        let body = json!({ "Settings": [{ "Section": "Common", "Key": "CarrierGrace", "Value": grace.to_string() }] });
        server.rest().put("/api/settings", &body)?.expect(202)?;
        puts += 1;
    }
    for child in all {
        let output = child.wait_with_output()?;
        check(output.status.success(), || String::from_utf8_lossy(&output.stderr).into_owned())?;
    }
    let text = fs::read_to_string(conf(server.root()))?;
    let lost: Vec<usize> = (0..ACCOUNTS).filter(|one| !text.contains(&format!("\nuser{one}=viewer $argon2"))).collect();
    check(lost.is_empty(), || format!("beside {puts} changes of others these are lost: {lost:?}"))?;
    check(text.contains(&format!("CarrierGrace={grace}")), || format!("a change by the API is lost:\n{text}"))?;
    let begun = Instant::now();
    while sign_in(&server, "user39", "password 39")? != 200 {
        check(begun.elapsed() < PATIENCE, || "the last account can't sign in".to_owned())?;
        thread::sleep(Duration::from_millis(1000));
    }
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn whoever_holds_the_lock_too_long_is_named_and_links_are_not_followed() -> Outcome {
    let server = Server::with_settings(Root::new("settings-held")?, "")?;
    let lock = server.root().settings().join("licenceserver.conf.lock");
    let holder = fs::File::open(&lock)?;
    holder.lock()?;
    let begun = Instant::now();
    let late = server.run(&["passwd", "--stdin"], "another password\n")?;
    let said = String::from_utf8_lossy(&late.stderr).into_owned();
    check(!late.status.success() && said.contains("licenceserver.conf.lock"), || said.clone())?;
    check(begun.elapsed() < PATIENCE, || format!("it waits for {:?}", begun.elapsed()))?;
    drop(holder);
    let elsewhere = server.root().path().join("elsewhere");
    fs::remove_file(&lock)?;
    std::os::unix::fs::symlink(&elsewhere, &lock)?;
    let refused = server.run(&["passwd", "--stdin"], "another password\n")?;
    check(!refused.status.success() && !elsewhere.exists(), || "a link was followed".to_owned())?;
    fs::remove_file(&lock)?;
    let set = server.run(&["passwd", "--stdin"], "another password\n")?;
    if !set.status.success() {
        return fail(String::from_utf8_lossy(&set.stderr).into_owned());
    }
    Ok(())
}

/// The shape of an answer, so that a change of it is seen here and not as a wait without end.
#[test]
fn a_good_file_is_complained_of_nowhere() -> Outcome {
    let server = Server::with_settings(Root::new("settings-good")?, CLOSED)?;
    let list = server.rest().get("/api/settings")?.expect(200)?;
    let problems =
        list["Settings"].as_array().into_iter().flatten().filter(|one| one["Problem"] != Value::Null).count();
    assert_eq!((problems, complaint(&server)?), (0, 0), "{list}");
    Ok(())
}
