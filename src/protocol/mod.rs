//! The protocol between component and server, without I/O: frames, the encrypted channel, messages. `docs/protocol.md`.

pub mod channel;
pub mod handshake;
pub mod keys;
pub mod message;
mod replay;

pub use channel::Channel;
pub use handshake::{Accepted, ClientHandshake};
pub use message::{Call, Envelope, Outcome, ReplyEnvelope, ServerHello};

/// Protocol versions that this program speaks, best first.
pub const VERSIONS: &[u8] = &[1];

/// Noise pattern of the channel: the client is anonymous, the server proves its static key.
const PATTERN: &str = "Noise_NX_25519_ChaChaPoly_SHA256";

/// Address of the handshake.
pub const CONNECT_PATH: &str = "/client/connect";
/// Address of calls.
pub const CALL_PATH: &str = "/client/call";
/// Media type of frames.
pub const MEDIA_TYPE: &str = "application/octet-stream";
/// Largest frame that is accepted, in bytes: with its connection's identifier it fits into the largest body of a front, 1 MiB.
pub const MAX_FRAME: usize = 1024 * 1024 - 16;
/// Most bytes of a datafile that one call asks for. In base64 and JSON they fit into a frame.
pub const MAX_PIECE: u32 = 512 * 1024;

use crate::error::{Code, Error};

fn refused(cause: impl std::fmt::Display) -> Error {
    Error::new(Code::FrameRefused).with(cause)
}
