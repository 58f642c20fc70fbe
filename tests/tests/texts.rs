//! Files that people edit and save, and output that goes nowhere: what the programs make of them.

#![cfg(target_os = "linux")]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Stdio;

use e2e::failure::{check, until};
use e2e::server::command;
use e2e::{Outcome, Programs, Root, SERIES, Server, Site};

const SETTINGS: i32 = 4;

fn full() -> Outcome<File> {
    Ok(OpenOptions::new().write(true).open("/dev/full")?)
}

#[test]
fn a_settings_file_in_another_encoding_is_named_so_with_the_exit_code_of_settings() -> Outcome {
    let text = "[Common]\r\nServerAddr=127.0.0.1\r\n";
    let utf16: Vec<u8> = [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let cp1251 = [text.as_bytes(), b"; \xCF\xEE\xF0\xF2\r\n"].concat();
    for (bytes, words) in
        [(utf16, "UTF-16"), (cp1251, "Windows-1251 (ANSI), line 3"), (b"nonsense\n".to_vec(), "line 1")]
    {
        let root = Root::new("texts")?;
        fs::write(root.settings().join("licenceserver.conf"), bytes)?;
        for arguments in [&["-r", "--port", "0"][..], &["keys"], &["status"]] {
            let output = command(root.path(), &[arguments, &["--lang", "en"]].concat())?.output()?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            check(output.status.code() == Some(SETTINGS), || format!("{words}: {:?} {said}", output.status))?;
            check(said.contains(words) && !said.contains("rights") && !said.contains("Some("), || said.clone())?;
        }
    }
    Ok(())
}

#[test]
fn an_answer_that_cannot_be_shown_stops_a_command_before_it_changes_anything() -> Outcome {
    let site = Site::new("texts-full")?;
    let server = Server::ready(Root::new("texts-full")?, Some(site.center.url()))?;
    server.activate(&site.vendor.code(3, &[])?)?;
    let key_no = server.keys()?[0]["KeyNo"].to_string();
    for arguments in
        [&["reserve", &key_no][..], &["request", "reserve", &key_no], &["keys"], &["status"], &["conf"], &["--help"]]
    {
        for json in [&[][..], &["--json"]] {
            let has_json = !matches!(arguments[0], "conf" | "--help");
            let line = [arguments, if has_json { json } else { &[] }].concat();
            let output = command(server.root().path(), &line)?.stdout(Stdio::from(full()?)).output()?;
            check(output.status.code() == Some(1), || format!("{line:?}: {:?}", output.status))?;
        }
    }
    assert_eq!(server.keys()?[0]["KeyNo"].to_string(), key_no, "the key is still there");
    assert_eq!(server.seats()?, (0, 3));
    let edit = Programs::built()?.program("licenceedit");
    let center = site.vendor.issuer_folder().display().to_string();
    let codes = || -> Outcome<String> {
        let output = std::process::Command::new(&edit).args(["codes", "--center", &center]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let before = codes()?;
    let mut made = std::process::Command::new(&edit);
    made.args(["code", "--center", &center, "--serie", SERIES, "--licences", "1"]);
    check(!made.stdout(Stdio::from(full()?)).output()?.status.success(), || "a code was made for nobody".to_owned())?;
    assert_eq!(codes()?, before);
    Ok(())
}

#[test]
fn a_settings_file_behind_a_link_is_changed_where_it_lies_and_a_change_of_the_same_length_is_noticed() -> Outcome {
    let server = Server::with_settings(Root::new("texts-link")?, "[API]\nEnabled=0\n")?;
    let conf = server.root().settings().join("licenceserver.conf");
    let moved = server.root().path().join("moved.conf");
    fs::rename(&conf, &moved)?;
    symlink(&moved, &conf)?;
    let set = server.run(&["passwd", "anna", "--role", "viewer", "--stdin"], "her password\n")?;
    check(set.status.success(), || String::from_utf8_lossy(&set.stderr).into_owned())?;
    check(fs::symlink_metadata(&conf)?.is_symlink(), || "the link is gone".to_owned())?;
    let text = fs::read_to_string(&moved)?;
    check(text.contains("anna="), || text.clone())?;

    // Another file of the same size and time, as an editor or a deployment leaves it.
    let former = fs::metadata(&moved)?;
    let other = moved.with_extension("new");
    fs::write(&other, text.replace("Enabled=0", "Enabled=1"))?;
    File::options().write(true).open(&other)?.set_modified(former.modified()?)?;
    fs::rename(&other, &moved)?;
    assert_eq!((fs::metadata(&moved)?.size(), fs::metadata(&moved)?.modified()?), (former.size(), former.modified()?));
    until("the API is switched on", || Ok(server.rest().raw("GET", "/api/serverinfo", &[], None)?.status == 200))
}

#[test]
fn a_plain_password_gives_way_to_its_hash_while_the_server_runs() -> Outcome {
    let server = Server::with_settings(Root::new("texts-plain")?, "")?;
    let conf = server.root().settings().join("licenceserver.conf");
    let text = fs::read_to_string(&conf)?;
    fs::write(&conf, format!("{text}[Users]\nanna=viewer plain words\n"))?;
    until("the password is hashed in the file", || {
        let text = fs::read_to_string(&conf)?;
        Ok(text.contains("anna=viewer $argon2") && !text.contains("plain words"))
    })
}

#[test]
fn a_log_that_was_renamed_is_opened_again_under_its_name() -> Outcome {
    let server = Server::with_settings(Root::new("texts-log")?, "")?;
    let folder = server.root().settings().join("logs");
    let is_log = |path: &std::path::Path| path.extension().is_some_and(|end| end == "log");
    let pid = format!(".{}.log", server.pid());
    let mut logs = fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
    let Some(log) = logs.find(|path| is_log(path) && path.to_string_lossy().ends_with(&pid)) else {
        return e2e::fail("there is no log");
    };
    let turned = log.with_extension("log.1");
    fs::rename(&log, &turned)?;
    let before = fs::read_to_string(&turned)?;
    server.signal("HUP")?;
    until("the log is there again", || {
        Ok(fs::read_to_string(&log).is_ok_and(|text| text.contains("licences and settings are read again")))
    })?;
    assert_eq!(fs::read_to_string(&turned)?, before);
    Ok(())
}
