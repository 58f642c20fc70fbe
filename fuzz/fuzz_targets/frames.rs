//! What strangers send to `/client`: offers, frames, and messages as they come out of a channel.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use licence::crypto::ring::PROVIDER;
use licence::identity::Identity;
use licence::protocol::handshake::{Accepted, ClientHandshake};
use licence::protocol::message::Envelope;
use licence::{ConnectionId, KeyId};

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::generate(&PROVIDER).expect("an identity"));

fuzz_target!(|bytes: &[u8]| {
    let _ = Accepted::read(&PROVIDER, IDENTITY.noise_private(), bytes);
    let _ = serde_json::from_slice::<Envelope>(bytes);
    let Ok((client, offer)) = ClientHandshake::start(KeyId(0x672B), None) else { return };
    let Ok(accepted) = Accepted::read(&PROVIDER, IDENTITY.noise_private(), &offer) else { return };
    let hello = licence::protocol::ServerHello {
        protocol: 1,
        connection: ConnectionId([1; 16]),
        version: String::new(),
        os: String::new(),
        cpu: String::new(),
        computer: String::new(),
        sequence: 0,
        licences: Vec::new(),
    };
    if let Ok((_, channel)) = accepted.answer(&hello) {
        assert!(channel.open(bytes).is_err(), "a frame that nobody sealed");
    }
    let _ = client.finish(bytes);
});
