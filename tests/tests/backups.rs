//! Backups of a server at work: each is a whole and consistent picture of one moment, and the server never waits for one.

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
        let restored = other.run(&["restore", &archive(number)], "")?;
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
