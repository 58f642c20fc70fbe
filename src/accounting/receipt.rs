//! A receipt for a seat: what the server says of a grant, authenticated for itself, in the client's hands. When the server's
//! store has gone back it shows that the session was granted later than all that the store knows.
//!
//! It proves nothing without the session's secret, whose hash is in it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::seat::Seat;
use crate::crypto::Mac;
use crate::id::{KeyId, KeyNo, RootHash, SeriesId, SessionId};

const VERSION: u8 = 1;
const TAG: usize = 32;
/// Bytes before the seat.
const HEAD: usize = 1 + 2 + 32 + 16 + 4 + 4 + 8 + 32;
/// Longest text of a receipt that is looked at, in bytes: the longest seat is a terminal client's name.
const MAX_TEXT: usize = 4096;

/// A grant as the server had written it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Series.
    pub series: SeriesId,
    /// The session.
    pub session: SessionId,
    /// The key that gave its seat.
    pub key_no: KeyNo,
    /// The seat.
    pub seat: Seat,
    /// How often the session had been taken over.
    pub generation: u32,
    /// Number of the commit by which this was durable.
    pub sequence: u64,
    /// Hash of the session's secret.
    pub secret_hash: [u8; 32],
}

impl Receipt {
    /// The text that the client keeps.
    pub fn seal(&self, mac: &dyn Mac) -> String {
        let seat = self.seat.to_string();
        let mut bytes = Vec::with_capacity(HEAD + seat.len() + TAG);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.series.key_id.0.to_be_bytes());
        bytes.extend_from_slice(&self.series.root.0);
        bytes.extend_from_slice(&self.session.0);
        bytes.extend_from_slice(&self.key_no.to_be_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.secret_hash);
        bytes.extend_from_slice(seat.as_bytes());
        let tag = mac.tag(&bytes);
        bytes.extend_from_slice(&tag);
        STANDARD_NO_PAD.encode(bytes)
    }

    /// The receipt in a text; `None` unless this server made it and every bit is as it was.
    pub fn open(mac: &dyn Mac, text: &str) -> Option<Receipt> {
        let bytes = Some(text).filter(|text| text.len() <= MAX_TEXT)?;
        let bytes = STANDARD_NO_PAD.decode(bytes).ok()?;
        let (said, tag) = bytes.split_last_chunk::<TAG>()?;
        // Nothing is read of it before.
        if !mac.verify(said, tag) {
            return None;
        }
        let mut rest = said;
        let [VERSION] = take(&mut rest)? else { return None };
        let key_id = KeyId(u16::from_be_bytes(take(&mut rest)?));
        let root = RootHash(take(&mut rest)?);
        Some(Receipt {
            series: SeriesId { key_id, root },
            session: SessionId(take(&mut rest)?),
            key_no: u32::from_be_bytes(take(&mut rest)?),
            generation: u32::from_be_bytes(take(&mut rest)?),
            sequence: u64::from_be_bytes(take(&mut rest)?),
            secret_hash: take(&mut rest)?,
            seat: std::str::from_utf8(rest).ok()?.parse().ok()?,
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::seat::TerminalClient;
    use crate::crypto::{Crypto, ring::PROVIDER};
    use crate::id::ComputerId;

    fn receipt(seat: Seat) -> Receipt {
        Receipt {
            series: SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) },
            session: SessionId([2; 16]),
            key_no: 7_121_172,
            seat,
            generation: 3,
            sequence: 1 << 40,
            secret_hash: [4; 32],
        }
    }

    #[test]
    fn a_receipt_reads_back_as_it_was_for_its_own_server_only() {
        let (ours, other) = (PROVIDER.mac(&[5; 32]), PROVIDER.mac(&[6; 32]));
        let host = ComputerId([3; 20]);
        let terminal = Seat::Terminal { host, client: TerminalClient::new("Касса №1", "") };
        for seat in [Seat::Session(SessionId([2; 16])), Seat::Computer(host), terminal] {
            let receipt = receipt(seat);
            let text = receipt.seal(&*ours);
            assert_eq!(Receipt::open(&*ours, &text), Some(receipt));
            assert_eq!(Receipt::open(&*other, &text), None);
        }
    }

    #[test]
    fn an_edited_receipt_is_none() {
        let mac = PROVIDER.mac(&[5; 32]);
        let text = receipt(Seat::Computer(ComputerId([3; 20]))).seal(&*mac);
        let bytes = STANDARD_NO_PAD.decode(&text).unwrap();
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            assert_eq!(Receipt::open(&*mac, &STANDARD_NO_PAD.encode(broken)), None, "{at}");
            assert_eq!(Receipt::open(&*mac, &STANDARD_NO_PAD.encode(&bytes[..at])), None, "cut at {at}");
        }
        for text in ["", "!", &text[1..], &"A".repeat(MAX_TEXT + 1)] {
            assert_eq!(Receipt::open(&*mac, text), None);
        }
    }
}
