//! Backups of a server at work: each is a whole and consistent picture of one moment, and the server never waits for one.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use e2e::failure::check;
use e2e::link::server_session;
use e2e::{Link, Outcome, Root, Server, Site};
use serde_json::Value;

const SEATS: u64 = 30;
const CLIENTS: u32 = 4;
const BACKUPS: usize = 4;

#[test]
fn a_backup_under_load_restores_to_a_consistent_server() -> Outcome {
    let site = Site::new("backup-load")?;
    let mut server = site.server_with("backup-load", SEATS as u32, &[])?;
    let anchor = site.vendor.anchor_hash()?;
    let (stop, claims) = (AtomicBool::new(false), AtomicU64::new(0));
    let archive = |number: usize| site.root.path().join(format!("{number}.tar")).display().to_string();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (anchor, url, stop, claims) = (&anchor, server.url(), &stop, &claims);
                scope.spawn(move || -> Result<(), String> {
                    let link = Link::connect(url, anchor).map_err(|e| e.to_string())?;
                    for round in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return Ok(());
                        }
                        // One session is kept, another comes and goes.
                        let session = server_session(client * 1_000_000 + round % 2 * (round + 1));
                        let granted = link.acquire(session).map_err(|e| e.to_string())?;
                        claims.fetch_add(1, Ordering::Relaxed);
                        if round % 2 == 1 {
                            link.release(granted.session).map_err(|e| e.to_string())?;
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let made = (0..BACKUPS).try_for_each(|number| -> Outcome {
            let before = claims.load(Ordering::Relaxed);
            let output = server.run(&["backup", &archive(number), "--json"], "")?;
            check(output.status.success(), || String::from_utf8_lossy(&output.stderr).into_owned())?;
            let summary: Value = serde_json::from_slice(&output.stdout)?;
            check(summary["Bytes"].as_u64() > Some(1000), || summary.to_string())?;
            // Work went on meanwhile.
            while claims.load(Ordering::Relaxed) == before && clients.iter().all(|client| !client.is_finished()) {
                thread::yield_now();
            }
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let ended = client.join().map_err(|_| e2e::Failure::new("a client has ended".to_owned()))?;
            check(ended.is_ok(), || format!("{ended:?}"))?;
        }
        made
    })?;
    let mut other = Server::ready(Root::new("backup-load-other")?, Some(site.center.url()))?;
    other.stop()?;
    // One identity is served once on a computer.
    server.stop()?;
    for number in 0..BACKUPS {
        if number == 0 {
            refuses_another_servers(&other, &archive(number))?;
        }
        let force: &[&str] = if number == 0 { &["--force"] } else { &[] };
        let restored = other.run(&[&["restore", &archive(number)], force].concat(), "")?;
        check(restored.status.success(), || String::from_utf8_lossy(&restored.stderr).into_owned())?;
        let checked = other.run(&["check", "--json"], "")?;
        check(checked.status.success(), || String::from_utf8_lossy(&checked.stdout).into_owned())?;
        other.restart()?;
        let (used, total) = other.seats()?;
        assert!(total == SEATS && used <= u64::from(2 * CLIENTS), "{used} of {total}");
        other.stop()?;
    }
    Ok(())
}

/// A backup of another server says whose it is, and changes nothing until somebody means it.
fn refuses_another_servers(server: &Server, archive: &str) -> Outcome {
    let identity = server.root().data().join("server.identity");
    let before = fs::read(&identity)?;
    let refused = server.run(&["restore", archive, "--lang", "en"], "")?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    check(refused.status.code() == Some(6) && said.contains("backup of another server: server "), || said.clone())?;
    check(said.contains("--force"), || said)?;
    check(fs::read(&identity)? == before, || "it was changed all the same".to_owned())
}

/// Rewrites the entries of an archive: name and bytes of each.
fn rewritten(archive: &Path, change: impl Fn(&mut Vec<(String, Vec<u8>)>)) -> Outcome<Vec<u8>> {
    let bytes = fs::read(archive)?;
    let (mut entries, mut at) = (Vec::new(), 0);
    while bytes.get(at).is_some_and(|byte| *byte != 0) {
        let text = |range: std::ops::Range<usize>| {
            String::from_utf8_lossy(&bytes[at + range.start..at + range.end]).trim_matches(['\0', ' ']).to_owned()
        };
        let (name, size) = (text(0..100), usize::from_str_radix(&text(124..136), 8)?);
        entries.push((name, bytes[at + 512..at + 512 + size].to_vec()));
        at += 512 + size.next_multiple_of(512);
    }
    change(&mut entries);
    let mut made = Vec::new();
    for (name, content) in entries {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000600");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar  \0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        made.extend(header);
        made.extend(&content);
        made.resize(made.len().next_multiple_of(512), 0);
    }
    made.resize(made.len() + 1024, 0);
    Ok(made)
}

#[test]
fn an_archive_that_is_no_good_changes_nothing_and_speaks_to_no_terminal() -> Outcome {
    let mut server = Server::ready(Root::new("backup-bad")?, None)?;
    let archive = server.root().path().join("good.tar");
    let made = server.run(&["backup", &archive.display().to_string()], "")?;
    check(made.status.success(), || String::from_utf8_lossy(&made.stderr).into_owned())?;
    server.stop()?;
    let data = server.root().data();
    let held = || -> Outcome<Vec<(String, Vec<u8>)>> {
        let mut held = Vec::new();
        for entry in fs::read_dir(&data)?.flatten() {
            held.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
        }
        held.sort();
        Ok(held)
    };
    let before = held()?;
    let list = |entries: &mut Vec<(String, Vec<u8>)>, change: &dyn Fn(&mut Value)| {
        let mut manifest = serde_json::from_slice(&entries[0].1).unwrap_or_default();
        change(&mut manifest);
        entries[0].1 = manifest.to_string().into_bytes();
    };
    let archives = [
        (
            "no files",
            rewritten(&archive, |entries| {
                entries.truncate(1);
                list(entries, &|manifest| manifest["Files"] = Value::Array(Vec::new()));
            })?,
        ),
        (
            "no identity",
            rewritten(&archive, |entries| {
                entries.retain(|(name, _)| name != "server.identity");
                list(entries, &|manifest| {
                    if let Some(files) = manifest["Files"].as_array_mut() {
                        files.retain(|file| file["Name"] != "server.identity");
                    }
                });
            })?,
        ),
        (
            "a name that speaks to a terminal",
            rewritten(&archive, |entries| {
                list(entries, &|manifest| manifest["Files"][1]["Name"] = "\u{1b}]0;x\u{7}".into());
            })?,
        ),
        (
            "a way out",
            rewritten(&archive, |entries| {
                list(entries, &|manifest| manifest["Files"][1]["Name"] = "../x".into());
            })?,
        ),
        (
            "more than a disk",
            rewritten(&archive, |entries| {
                list(entries, &|manifest| manifest["Files"][1]["Size"] = (1_u64 << 60).into());
            })?,
        ),
        ("one more", rewritten(&archive, |entries| entries.push(("x".to_owned(), vec![1])))?),
        ("one less", rewritten(&archive, |entries| drop(entries.pop()))?),
        (
            "another content",
            rewritten(&archive, |entries| {
                entries.last_mut().into_iter().for_each(|(_, bytes)| bytes.iter_mut().for_each(|byte| *byte ^= 1));
            })?,
        ),
    ];
    let bad = server.root().path().join("bad.tar").display().to_string();
    for (what, bytes) in archives {
        fs::write(&bad, bytes)?;
        let refused = server.run(&["restore", &bad, "--force", "--json"], "")?;
        assert_eq!(refused.status.code(), Some(6), "{what}: {}", String::from_utf8_lossy(&refused.stderr));
        check(!refused.stderr.contains(&0x1b), || format!("{what}: it speaks to the terminal"))?;
        check(held()? == before, || format!("{what}: something was changed"))?;
    }
    fs::write(&bad, rewritten(&archive, |_| {})?)?;
    let restored = server.run(&["restore", &bad, "--json"], "")?;
    check(restored.status.success(), || String::from_utf8_lossy(&restored.stderr).into_owned())?;
    server.restart()
}
