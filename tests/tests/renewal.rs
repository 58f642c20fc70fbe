//! Licences that must be renewed, by clocks of server and centre that the test moves.

#![cfg(target_os = "linux")]

use std::time::Duration;

use e2e::clocks::Clocks;
use e2e::{Center, Outcome, Root, SERIES, Server, Vendor};
use serde_json::json;

const DAY: Duration = Duration::from_hours(24);

#[test]
fn a_licence_that_must_be_renewed_is_renewed_in_time_or_counts_no_more_until_it_is() -> Outcome {
    let root = Root::new("renewal")?;
    let vendor = Vendor::shared(&root)?;
    let mut clocks = Clocks::new(&root)?;
    let center = Center::start_with(&vendor.issuer_folder(), |command| clocks.load(command))?;
    center.office("PUT", &format!("/api/series/{SERIES}/policy"), Some(&json!({ "RenewDays": 10 })))?;
    let mut server = Server::ready(Root::new("renewal-server")?, Some(center.url()))?;
    server.restart_with(|command| clocks.load(command))?;
    server.activate(&vendor.code(3, &[])?)?;
    let update = |server: &Server| -> Outcome<_> {
        let news = server.rest().post("/api/updates", &json!({}))?.expect(200)?;
        Ok(news["Updates"][0]["Updated"].clone())
    };
    assert_eq!((update(&server)?, server.seats()?), (json!([]), (0, 3)), "not before half of the time is over");
    clocks.pass(6 * DAY)?;
    assert_eq!((update(&server)?, server.seats()?), (json!([1]), (0, 3)));
    clocks.pass(9 * DAY)?;
    server.restart_with(|command| clocks.load(command))?;
    assert_eq!(server.seats()?, (0, 3), "nine days after the renewal");
    clocks.pass(2 * DAY)?;
    server.restart_with(|command| clocks.load(command))?;
    assert_eq!(server.seats()?, (0, 0));
    let keys = server.keys()?;
    let why = keys[0]["OpenError"].as_str().unwrap_or_default();
    assert!(why.contains("обновить"), "{why}");
    assert_eq!((update(&server)?, server.seats()?), (json!([1]), (0, 3)));
    assert_eq!(center.reports()?, []);
    Ok(())
}
