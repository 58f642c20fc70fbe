//! A disk that takes no writes any more while the server runs: what is held stays held, nothing new is granted, and all is well
//! when the disk is.

#![cfg(target_os = "linux")]

use std::thread;
use std::time::{Duration, Instant};

use e2e::failure::check;
use e2e::layer::Layer;
use e2e::link::server_session;
use e2e::{Link, Outcome, Site, fail};
use licence::Code;
use licence::protocol::{Call, Outcome as Reply};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_data_folder_that_turns_read_only_is_told_grants_nothing_and_is_over_without_a_restart() -> Outcome {
    let site = Site::new("read-only")?;
    let mut server = site.server_with("read-only", 3, &[])?;
    server.stop()?;
    let layer = Layer::over(server.root(), None)?;
    server.restart_with(|command| layer.load(command))?;
    let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
    let held = link.acquire(server_session(1))?;
    check(layer.was_there(), || "the server does not write through the layer".to_owned())?;

    layer.refuse(true)?;
    for number in 2..5 {
        match link.try_acquire(server_session(number))? {
            Err(error) if error.code == Code::StoreFailed => {
                check(error.to_string().contains("ledger.db"), || format!("which file? {error}"))?;
            }
            other => return fail(format!("a grant that nobody has written down: {other:?}")),
        }
    }
    let body = json!({ "KeyID": e2e::SERIES, "ClientSessionID": "outside" });
    assert_eq!(server.rest().post("/api/sessions", &body)?.refusal(503)?, u64::from(Code::StoreFailed.number()));
    // What is held is held, lives on, and is shown.
    match link.call(Call::Heartbeat)?? {
        Reply::Alive(alive) if alive.lost.is_empty() => {}
        other => return fail(format!("a session was lost: {other:?}")),
    }
    link.call(Call::Licence { session: held.session })??;
    assert_eq!(server.sessions()?.len(), 1);
    let page = server.rest().get("/")?.body;
    check(String::from_utf8_lossy(&page).contains("ledger.db"), || "the console does not tell it".to_owned())?;

    layer.refuse(false)?;
    let begun = Instant::now();
    while let Err(error) = link.try_acquire(server_session(2))? {
        check(error.code == Code::StoreFailed && begun.elapsed() < PATIENCE, || format!("it goes on: {error}"))?;
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(server.seats()?, (2, 3));
    server.kill9()?;
    server.restart()?;
    assert_eq!(server.seats()?, (2, 3), "both are durable, and nothing of what was refused is");
    Ok(())
}
