//! The handshake: Noise NX in one HTTP exchange. The client's offer (versions, series, anchor) is the prologue, so nobody
//! can change it on the way; the server's choice comes encrypted in its answer.
//!
//! Offer: `SLKC` (`SLKI` from a client that comes to install the first key of its series), count of versions (u8), the versions, KeyID (u16), anchor (32 bytes, zeros for none), Noise message 1.
//! Answer: `SLKS`, connection (16 bytes), Noise message 2 with the hello as JSON.

use snow::HandshakeState;
use snow::resolvers::{BoxedCryptoResolver, DefaultResolver};
use zeroize::Zeroizing;

use super::channel::Channel;
use super::message::ServerHello;
use super::{PATTERN, VERSIONS, refused};
use crate::crypto::Crypto;
use crate::error::{Code, Error, Result};
use crate::id::{Bytes32, ConnectionId, KeyId, RootHash};
use crate::version::VERSION;

const OFFER: &[u8; 4] = b"SLKC";
const INSTALLER: &[u8; 4] = b"SLKI";
const ANSWER: &[u8; 4] = b"SLKS";
const MAX_MESSAGE: usize = 65_535;
/// Most that a hello may take in Noise message 2: its keys and tags need 96 bytes.
pub const MAX_HELLO: usize = MAX_MESSAGE - 96;

/// The client's side, between its offer and the answer.
pub struct ClientHandshake {
    noise: HandshakeState,
}

/// What the client knows after the handshake.
pub struct Established {
    /// The channel.
    pub channel: Channel,
    /// The connection's identifier.
    pub connection: ConnectionId,
    /// What the server said of itself.
    pub hello: ServerHello,
    /// The static key that the server proved to hold. Trust it only if a licence under the anchor names it.
    pub server_key: Bytes32,
}

impl ClientHandshake {
    /// Begins a handshake for a series; gives the offer to send.
    pub fn start(key_id: KeyId, anchor: Option<RootHash>) -> Result<(ClientHandshake, Vec<u8>)> {
        ClientHandshake::offer(OFFER, VERSIONS, key_id, anchor)
    }

    /// The same for a client that comes to install a key: a server without one, which so has no proof to show, answers it too.
    pub fn start_installer(key_id: KeyId, anchor: RootHash) -> Result<(ClientHandshake, Vec<u8>)> {
        ClientHandshake::offer(INSTALLER, VERSIONS, key_id, Some(anchor))
    }

    /// The same as [`ClientHandshake::start`] with protocol versions of one's choice, as older and newer components have them.
    pub fn offering(versions: &[u8], key_id: KeyId, anchor: Option<RootHash>) -> Result<(ClientHandshake, Vec<u8>)> {
        ClientHandshake::offer(OFFER, versions, key_id, anchor)
    }

    fn offer(
        kind: &[u8; 4],
        versions: &[u8],
        key_id: KeyId,
        anchor: Option<RootHash>,
    ) -> Result<(ClientHandshake, Vec<u8>)> {
        let mut offer = Vec::with_capacity(128);
        offer.extend_from_slice(kind);
        offer.push(u8::try_from(versions.len()).map_err(refused)?);
        offer.extend_from_slice(versions);
        offer.extend_from_slice(&key_id.0.to_be_bytes());
        offer.extend_from_slice(&anchor.map_or([0; 32], |root| root.0));
        let mut noise =
            builder(Box::new(DefaultResolver), &offer).and_then(|b| b.build_initiator()).map_err(refused)?;
        let mut first = [0; 96];
        let length = noise.write_message(&[], &mut first).map_err(refused)?;
        offer.extend_from_slice(&first[..length]);
        Ok((ClientHandshake { noise }, offer))
    }

    /// Reads the server's answer.
    pub fn finish(mut self, answer: &[u8]) -> Result<Established> {
        let rest = answer.strip_prefix(ANSWER).ok_or_else(|| refused("not a licence server"))?;
        let (connection, message) = rest.split_first_chunk::<16>().ok_or_else(|| refused("length"))?;
        let mut plain = Zeroizing::new(vec![0; message.len()]);
        let length = self.noise.read_message(message, &mut plain).map_err(refused)?;
        let hello: ServerHello = serde_json::from_slice(&plain[..length]).map_err(refused)?;
        if !VERSIONS.contains(&hello.protocol) || hello.connection.0 != *connection {
            return Err(refused("hello"));
        }
        let server_key = self.noise.get_remote_static().and_then(|key| key.try_into().ok()).map(Bytes32);
        let server_key = server_key.ok_or_else(|| refused("static key"))?;
        let channel = Channel::new(self.noise.into_stateless_transport_mode().map_err(refused)?);
        Ok(Established { channel, connection: hello.connection, hello, server_key })
    }
}

/// The server's side, after the offer was read and before it is answered.
pub struct Accepted {
    noise: HandshakeState,
    /// Series that the client asks for.
    pub key_id: KeyId,
    /// Root that it trusts, if it has an anchor.
    pub anchor: Option<RootHash>,
    /// Whether it comes to install a key, so that none need be here; it has an anchor then.
    pub installs: bool,
    /// The version chosen.
    pub protocol: u8,
}

impl Accepted {
    /// Reads an offer; `private` is the identity's X25519 key. Versions that don't meet get [`Code::ProtocolMismatch`].
    pub fn read(crypto: &dyn Crypto, private: &[u8; 32], offer: &[u8]) -> Result<Accepted> {
        let mismatch = |theirs: String| {
            let (russian, english) = if theirs.as_str() < "1" {
                ("компоненту", "the component")
            } else {
                ("сервер", "the server")
            };
            Error::new(Code::ProtocolMismatch).with(theirs).with(format!("1 ({VERSION})")).with_text(russian, english)
        };
        let (kind, rest) = offer.split_first_chunk::<4>().ok_or_else(|| mismatch("0 (2.x)".into()))?;
        let installs = match kind {
            OFFER => false,
            INSTALLER => true,
            _ => return Err(mismatch("0 (2.x)".into())),
        };
        let (&count, rest) = rest.split_first().ok_or_else(|| refused("length"))?;
        let (versions, rest) = rest.split_at_checked(usize::from(count)).ok_or_else(|| refused("length"))?;
        let (key_id, rest) = rest.split_first_chunk::<2>().ok_or_else(|| refused("length"))?;
        let (anchor, message) = rest.split_first_chunk::<32>().ok_or_else(|| refused("length"))?;
        let Some(protocol) = VERSIONS.iter().copied().find(|version| versions.contains(version)) else {
            return Err(mismatch(versions.iter().map(u8::to_string).collect::<Vec<_>>().join(",")));
        };
        let prologue = &offer[..offer.len() - message.len()];
        let mut noise = builder(crypto.noise(), prologue)
            .and_then(|b| b.local_private_key(private))
            .and_then(|b| b.build_responder())
            .map_err(refused)?;
        let mut empty = [0; 64];
        if noise.read_message(message, &mut empty).map_err(refused)? != 0 {
            return Err(refused("payload"));
        }
        let anchor = (*anchor != [0; 32]).then_some(RootHash(*anchor));
        let installs = installs && anchor.is_some();
        Ok(Accepted { noise, key_id: KeyId(u16::from_be_bytes(*key_id)), anchor, installs, protocol })
    }

    /// Answers with the hello (at most [`MAX_HELLO`] bytes of JSON), whose connection and protocol must be those of this
    /// handshake; gives the answer and the channel.
    pub fn answer(self, hello: &ServerHello) -> Result<(Vec<u8>, Channel)> {
        self.answer_json(hello.connection, &serde_json::to_vec(hello).map_err(refused)?)
    }

    fn answer_json(mut self, connection: ConnectionId, json: &[u8]) -> Result<(Vec<u8>, Channel)> {
        let mut message = vec![0; (json.len() + 96).min(MAX_MESSAGE)];
        let length = self.noise.write_message(json, &mut message).map_err(refused)?;
        let mut answer = Vec::with_capacity(20 + length);
        answer.extend_from_slice(ANSWER);
        answer.extend_from_slice(&connection.0);
        answer.extend_from_slice(&message[..length]);
        Ok((answer, Channel::new(self.noise.into_stateless_transport_mode().map_err(refused)?)))
    }
}

fn builder(resolver: BoxedCryptoResolver, prologue: &[u8]) -> Result<snow::Builder<'_>, snow::Error> {
    snow::Builder::with_resolver(PATTERN.parse()?, resolver).prologue(prologue)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::ring::PROVIDER;
    use crate::identity::Identity;

    const SERIES: KeyId = KeyId(0x672B);
    const ANCHOR: RootHash = RootHash([7; 32]);

    fn hello(protocol: u8) -> ServerHello {
        ServerHello {
            protocol,
            connection: ConnectionId([3; 16]),
            version: VERSION.into(),
            os: "Linux".into(),
            cpu: "x86_64".into(),
            computer: "SERVER".into(),
            sequence: 1,
            licences: vec!["Ж".repeat(20_000)],
        }
    }

    pub(in super::super) fn pair() -> (Channel, Channel) {
        let identity = Identity::generate(&PROVIDER).unwrap();
        let (client, offer) = ClientHandshake::start(SERIES, Some(ANCHOR)).unwrap();
        let accepted = Accepted::read(&PROVIDER, identity.noise_private(), &offer).unwrap();
        let (answer, server) = accepted.answer(&hello(1)).unwrap();
        (client.finish(&answer).unwrap().channel, server)
    }

    #[test]
    fn both_sides_meet_and_the_client_learns_the_servers_key() {
        let identity = Identity::generate(&PROVIDER).unwrap();
        let (client, offer) = ClientHandshake::start(SERIES, Some(ANCHOR)).unwrap();
        let accepted = Accepted::read(&PROVIDER, identity.noise_private(), &offer).unwrap();
        assert_eq!((accepted.key_id, accepted.anchor, accepted.protocol), (SERIES, Some(ANCHOR), 1));
        let (answer, _) = accepted.answer(&hello(1)).unwrap();
        let established = client.finish(&answer).unwrap();
        assert_eq!(established.server_key, identity.public().noise);
        assert_eq!(established.hello, hello(1));
    }

    #[test]
    fn a_server_over_either_provider_meets_the_same_client() {
        let identity = Identity::generate(&PROVIDER).unwrap();
        let providers: [&dyn Crypto; 2] = [&PROVIDER, &crate::crypto::aws_lc::PROVIDER];
        for provider in providers {
            let (client, offer) = ClientHandshake::start(SERIES, Some(ANCHOR)).unwrap();
            let accepted = Accepted::read(provider, identity.noise_private(), &offer).unwrap();
            let (answer, server) = accepted.answer(&hello(1)).unwrap();
            let established = client.finish(&answer).unwrap();
            assert_eq!(established.server_key, identity.public().noise);
            assert_eq!(*server.open(&established.channel.seal(b"acquire").unwrap()).unwrap(), b"acquire");
        }
    }

    #[test]
    fn who_comes_to_install_a_key_says_so_in_the_offer() {
        let identity = Identity::generate(&PROVIDER).unwrap();
        let (client, offer) = ClientHandshake::start_installer(SERIES, ANCHOR).unwrap();
        let accepted = Accepted::read(&PROVIDER, identity.noise_private(), &offer).unwrap();
        assert_eq!((accepted.installs, accepted.anchor), (true, Some(ANCHOR)));
        assert!(client.finish(&accepted.answer(&hello(1)).unwrap().0).is_ok());
        let usual = ClientHandshake::start(SERIES, Some(ANCHOR)).unwrap().1;
        assert!(!Accepted::read(&PROVIDER, identity.noise_private(), &usual).unwrap().installs);
    }

    #[test]
    fn an_offer_changed_on_the_way_breaks_the_handshake() {
        let identity = Identity::generate(&PROVIDER).unwrap();
        let (_, offer) = ClientHandshake::start(SERIES, Some(ANCHOR)).unwrap();
        for at in 0..offer.len() {
            let (client, mut offer) = ClientHandshake::start(SERIES, Some(ANCHOR)).unwrap();
            offer[at] ^= 1;
            let Ok(accepted) = Accepted::read(&PROVIDER, identity.noise_private(), &offer) else { continue };
            let Ok((answer, _)) = accepted.answer(&hello(1)) else { continue };
            assert!(client.finish(&answer).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_older_component_gets_a_clear_refusal() {
        let error = Accepted::read(&PROVIDER, &[1; 32], b"GET / old").err().unwrap();
        assert_eq!(error.code, Code::ProtocolMismatch);
        assert!(error.to_string().contains("the component"), "{error}");
        let mut newer = ClientHandshake::start(SERIES, None).unwrap().1;
        newer[5] = 9;
        let error = Accepted::read(&PROVIDER, &[1; 32], &newer).err().unwrap();
        assert_eq!(error.code, Code::ProtocolMismatch);
        assert!(error.to_string().contains("the server"), "{error}");
    }

    #[test]
    fn a_newer_server_may_say_more_and_must_speak_a_version_that_was_offered() {
        let identity = Identity::generate(&PROVIDER).unwrap();
        let answered = |change: &dyn Fn(&mut serde_json::Value)| {
            let (client, offer) = ClientHandshake::offering(&[1, 9], SERIES, None).unwrap();
            let accepted = Accepted::read(&PROVIDER, identity.noise_private(), &offer).unwrap();
            let mut json = serde_json::to_value(hello(accepted.protocol)).unwrap();
            change(&mut json);
            client.finish(&accepted.answer_json(hello(1).connection, json.to_string().as_bytes()).unwrap().0)
        };
        let more = answered(&|json| json["cluster"] = serde_json::json!({ "nodes": ["one", "two"] })).unwrap();
        assert_eq!(more.hello, hello(1));
        assert!(answered(&|json| json["protocol"] = 2.into()).is_err());
        assert!(answered(&|json| json["protocol"] = 9.into()).is_err(), "offered, but not spoken here");
    }

    #[test]
    fn a_hello_that_is_too_long_is_an_error() {
        let identity = Identity::generate(&PROVIDER).unwrap();
        let (_, offer) = ClientHandshake::start(SERIES, None).unwrap();
        let accepted = Accepted::read(&PROVIDER, identity.noise_private(), &offer).unwrap();
        let long = ServerHello { computer: "x".repeat(MAX_HELLO), ..hello(1) };
        assert!(accepted.answer(&long).is_err());
    }

    proptest! {
        #[test]
        fn any_offer_and_any_answer_is_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Accepted::read(&PROVIDER, &[1; 32], &bytes);
            let _ = Accepted::read(&PROVIDER, &[1; 32], &[OFFER.as_slice(), &bytes].concat());
            let (client, _) = ClientHandshake::start(SERIES, None).unwrap();
            prop_assert!(client.finish(&[ANSWER.as_slice(), &bytes].concat()).is_err());
        }
    }
}
