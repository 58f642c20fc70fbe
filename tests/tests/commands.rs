//! The commands about keys, beside a server that runs and on the data folder alone: what they do, what they write, how they end.

use std::fs;
use std::process::Output;

use e2e::daemon::free_port;
use e2e::failure::check;
use e2e::{Outcome, Root, SERIES, Server, Site};
use serde_json::{Value, json};

const DONE: i32 = 0;
const WRONG_LINE: i32 = 2;
const BUSY: i32 = 5;
const REFUSED: i32 = 6;
const UNREACHABLE: i32 = 7;

/// Runs a command that must succeed; its JSON.
fn done(server: &Server, arguments: &[&str], input: &str) -> Outcome<Value> {
    let output = server.run(&[arguments, &["--json"]].concat(), input)?;
    check(output.status.code() == Some(DONE), || format!("{arguments:?}: {}", said(&output)))?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn said(output: &Output) -> String {
    format!("{} {}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// How a command ends that must not succeed; it says why, and writes nothing.
fn ends(server: &Server, arguments: &[&str]) -> Outcome<i32> {
    let output = server.run(arguments, "")?;
    check(output.stdout.is_empty() && !output.stderr.is_empty(), || format!("{arguments:?}: {}", said(&output)))?;
    Ok(output.status.code().unwrap_or(-1))
}

/// What befalls a key by commands, all of it twice: once beside the running server, once without it.
fn life(site: &Site, server: &mut Server, runs: bool) -> Outcome {
    let file = |name: &str| server.root().path().join(name).display().to_string();
    let (request, answer) = (file("x.request"), file("x.answer"));
    let carried = |server: &Server| {
        let text = fs::read_to_string(&request)?;
        fs::write(&answer, site.center.answer(&text)?)?;
        done(server, &["respond", &answer], "")
    };
    let code = site.vendor.code(3, &[])?;
    let key = done(server, &["activate", "-"], &code)?;
    let key_no = key["KeyNo"].to_string();
    assert_eq!((&key["Workable"], &key["LicenceCount"]), (&json!(true), &json!(3)), "{key}");
    assert_eq!(done(server, &["activate", &code, "--series", SERIES], "")?["KeyNo"], key["KeyNo"], "asked again");
    let listed = done(server, &["keys"], "")?;
    assert!(listed["Licences"].as_array().is_some_and(|keys| keys.iter().any(|one| one["KeyNo"] == key["KeyNo"])));

    site.sell(&code, 4)?;
    let news = done(server, &["update", "--series", SERIES], "")?;
    assert_eq!(news["Updates"][0]["Updated"], json!([key["KeyNo"]]), "{news}");
    site.sell(&code, 5)?;
    let made = done(server, &["request", "--out", &request, "update"], "")?;
    assert!(made["FileName"].as_str().is_some_and(|name| name.ends_with(".request")), "{made}");
    assert_eq!(carried(server)?["Update"]["Updated"], json!([key["KeyNo"]]));

    let reserved = done(server, &["reserve", &key_no, "--reason", "переезд", "--comment", "к соседям"], "")?;
    assert_eq!(done(server, &["reserve", &key_no], "")?, reserved, "asked again");
    assert_eq!(ends(server, &["activate", &code])?, REFUSED, "the old code is no good");
    let reserve = reserved["ReserveCode"].as_str().unwrap_or_default();
    let back = done(server, &["activate", "-"], reserve)?;
    assert_eq!((&back["KeyNo"], &back["LicenceCount"]), (&key["KeyNo"], &json!(5)));

    // The same by files.
    done(server, &["request", "--out", &request, "reserve", &key_no, "--reason", "переезд"], "")?;
    let reserve = carried(server)?["Reserve"]["ReserveCode"].as_str().unwrap_or_default().to_owned();
    let text = server.run(&["request", "activate", "-"], &reserve)?;
    fs::write(&request, &text.stdout)?;
    assert_eq!(carried(server)?["Licence"]["KeyNo"], key["KeyNo"]);
    assert_eq!(ends(server, &["respond", &answer])?, REFUSED, "it is installed");

    // What is no good, and what somebody else must do.
    for wrong in [
        vec!["activate", "1234"],
        vec!["activate", "0000-0000-0000-0000-0098"],
        vec!["activate", &code],
        vec!["activate", "--demo", "--series", SERIES],
        vec!["activate", "-", "--blank", "77"],
        vec!["reserve", "99999"],
        vec!["request", "reserve", "99999"],
        vec!["update", "--series", "0001"],
        vec!["respond", &request],
    ] {
        assert_eq!(ends(server, &wrong)?, REFUSED, "{wrong:?}");
    }
    for wrong in
        [&["reserve"][..], &["reserve", "x"], &["request"], &["activate", "1", "--demo"], &["update", "--series", "1"]]
    {
        assert_eq!(ends(server, wrong)?, WRONG_LINE, "{wrong:?}");
    }
    let archive = file(if runs { "running.tar" } else { "stopped.tar" });
    let packed = done(server, &["backup", &archive], "")?;
    assert!(packed["Files"].as_u64().is_some_and(|files| files > 3), "{packed}");
    if runs {
        assert_eq!(ends(server, &["restore", &archive])?, BUSY);
    } else {
        let restored = done(server, &["restore", &archive], "")?;
        assert!(restored["Aside"].is_string(), "{restored}");
    }
    // In words, too.
    for (arguments, word) in
        [(&["keys"][..], "672B."), (&["update"], "672B: "), (&["reserve", &key_no], "Reserve code: ")]
    {
        let output = server.run(&[arguments, &["--lang", "en"]].concat(), "")?;
        check(output.status.success() && said(&output).contains(word), || said(&output))?;
    }
    let given = done(server, &["reserve", &key_no], "")?;
    done(server, &["activate", given["ReserveCode"].as_str().unwrap_or_default()], "").map(drop)
}

#[test]
fn commands_do_beside_a_server_and_without_it_what_the_api_does() -> Outcome {
    let site = Site::new("commands")?;
    let mut server = site.server("commands")?;
    life(&site, &mut server, true)?;
    assert_eq!(server.seats()?, (0, 5), "the server counts at once what a command has installed");
    server.stop()?;
    life(&site, &mut server, false)?;
    server.restart()?;
    assert_eq!(server.seats()?, (0, 10));
    assert_eq!(site.center.reports()?, []);
    for text in [server.said(), fs::read_to_string(server.root().data().join("audit.log")).unwrap_or_default()] {
        assert!(!text.contains("ReserveCode"), "{text}");
    }
    Ok(())
}

#[test]
fn a_command_whose_centre_is_out_of_reach_does_the_rest_later() -> Outcome {
    let site = Site::new("commands-later")?;
    let nobody = format!("http://127.0.0.1:{}", free_port()?);
    let mut server = Server::ready(Root::new("commands-later")?, Some(&nobody))?;
    let code = site.vendor.code(3, &[])?;
    assert_eq!(ends(&server, &["activate", &code])?, UNREACHABLE);
    server.after(|root| {
        let file = root.settings().join("licenceserver.conf");
        Ok(fs::write(&file, fs::read_to_string(&file)?.replace(&nobody, site.center.url()))?)
    })?;
    server.stop()?;
    assert_eq!(done(&server, &["activate", &code], "")?["Workable"], true);
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn whoever_waits_at_a_terminal_sees_progress_and_a_script_sees_none() -> Outcome {
    let site = Site::new("commands-progress")?;
    let server = site.server_with("commands-progress", 1, &[])?;
    let (plain, shown) = (server.root().path().join("plain.tar"), server.root().path().join("shown.tar"));
    let silent = server.run(&["backup", &plain.display().to_string()], "")?;
    check(silent.status.success() && silent.stderr.is_empty(), || said(&silent))?;
    // `script` of util-linux gives a command a terminal.
    let command = e2e::server::command(server.root().path(), &["backup", &shown.display().to_string()])?;
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.display()))
        .collect();
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
    script.env("SLK_ROOT", server.root().path()).env("LC_ALL", "C.UTF-8").stdin(std::process::Stdio::null());
    let output = script.output()?;
    check(output.status.success() && said(&output).contains("Файлы: 1/"), || said(&output))
}
