//! Weak session identifiers (CVE-2021-44151): 128 bits of the system's generator.

use std::collections::BTreeSet;

use e2e::{Link, Outcome, Site};
use serde_json::json;

#[test]
fn identifiers_are_128_bits_that_nobody_can_foresee() -> Outcome {
    const COUNT: usize = 40;
    let site = Site::new("identifiers")?;
    let server = site.server_with("identifiers", COUNT as u32, &[])?;
    let mut identifiers = BTreeSet::new();
    for number in 0..COUNT {
        let body = json!({ "KeyID": e2e::SERIES, "ClientSessionID": number.to_string() });
        server.rest().post("/api/sessions", &body)?.expect(201)?;
        let link = Link::connect(server.url(), &site.vendor.anchor_hash()?)?;
        identifiers.insert(u128::from_be_bytes(link.connection.0));
    }
    for session in server.sessions()? {
        let id = session["ID"].as_str().unwrap_or_default().to_owned();
        assert!(id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{session}");
        identifiers.insert(u128::from_str_radix(&id, 16)?);
    }
    assert_eq!(identifiers.len(), 2 * COUNT, "each is its own");
    // Of a good generator a bit that never changes in 80 identifiers has a chance of 2^-79.
    let (all, any) = identifiers.iter().fold((u128::MAX, 0), |(all, any), id| (all & id, any | id));
    assert_eq!((all, any), (0, u128::MAX), "every bit changes");
    Ok(())
}
