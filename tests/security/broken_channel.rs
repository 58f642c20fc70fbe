//! Broken channel (CVE-2020-14517): replay, reorder, splice between connections, downgrade. `tests/tests/wire.rs` does the same
//! with what a real component has sent.

use e2e::link::{agent, post, server_session};
use e2e::{Link, Outcome, Site};
use licence::KeyId;
use licence::id::RootHash;
use licence::protocol::message::Acquire;
use licence::protocol::{CALL_PATH, CONNECT_PATH, Call, ClientHandshake};

#[test]
fn a_frame_counts_once_in_its_own_connection() -> Outcome {
    let site = Site::new("frames")?;
    let server = site.server_with("frames", 5, &[])?;
    let anchor = site.vendor.anchor_hash()?;
    let (one, other) = (Link::connect(server.url(), &anchor)?, Link::connect(server.url(), &anchor)?);
    let claim = |number| Call::Acquire(Box::new(Acquire { session: server_session(number), ..Acquire::default() }));
    let bodies = [one.body(claim(1))?, one.body(claim(2))?, one.body(claim(3))?];
    // Late ones are no replays.
    for body in bodies.iter().rev() {
        assert!(one.send(body)?.is_ok());
    }
    for body in &bodies {
        assert!(matches!(one.send(body)?, Err((400, _))), "a replay");
        let spliced = [&other.connection.0[..], &body[16..]].concat();
        assert!(matches!(one.send(&spliced)?, Err((400, _))), "a frame of another connection");
    }
    let halves = [bodies[0].as_slice(), &other.body(claim(4))?[16..]].concat();
    assert!(matches!(one.send(&halves)?, Err((400, _))), "two frames in one");
    assert_eq!(server.seats()?, (3, 5));
    Ok(())
}

#[test]
fn nobody_between_can_change_what_was_offered() -> Outcome {
    let site = Site::new("downgrade")?;
    let server = site.server_with("downgrade", 1, &[])?;
    let start = || -> Outcome<(ClientHandshake, Vec<u8>)> {
        let anchor = site.vendor.anchor_hash()?.parse::<RootHash>()?;
        Ok(ClientHandshake::start(e2e::SERIES.parse::<KeyId>()?, Some(anchor))?)
    };
    // Magic, count, versions, series, anchor, Noise message.
    let length = start()?.1.len();
    for at in [0, 4, 5, 6, 7, 8, 20, 39, 45, length - 1] {
        let (handshake, mut offer) = start()?;
        offer[at] ^= 1;
        let (status, answer) = post(&agent(), server.url(), CONNECT_PATH, &offer)?;
        assert!(status != 200 || handshake.finish(&answer).is_err(), "byte {at}");
    }
    // Without its anchor the server would choose a root by itself.
    let (handshake, mut offer) = start()?;
    offer[8..40].fill(0);
    let (status, answer) = post(&agent(), server.url(), CONNECT_PATH, &offer)?;
    assert!(status != 200 || handshake.finish(&answer).is_err(), "an anchor taken out");
    // An answer of another handshake.
    let (first, offer) = start()?;
    let (status, answer) = post(&agent(), server.url(), CONNECT_PATH, &offer)?;
    assert_eq!(status, 200);
    assert!(start()?.0.finish(&answer).is_err());
    assert!(first.finish(&answer).is_ok());
    // Nothing is taken in the clear.
    let (status, _) = post(&agent(), server.url(), CALL_PATH, br#"{"id":1,"call":"Acquire"}"#)?;
    assert!((400..500).contains(&status));
    Ok(())
}
