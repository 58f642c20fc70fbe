//! The channel after the handshake: messages under explicit numbers, so that parallel calls need no order, and a replay
//! window at the receiver. A message longer than one Noise message is cut into chunks with consecutive numbers.
//!
//! Frame: number of the first chunk (u64), then per chunk its length (u16) and ciphertext; all big-endian. The first byte of a
//! chunk's plaintext tells whether more chunks follow (1) or it is the last (0).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use snow::StatelessTransportState;
use zeroize::Zeroizing;

use super::replay::ReplayWindow;
use super::{MAX_FRAME, refused};
use crate::error::Result;

const TAG: usize = 16;
const CHUNK: usize = 65_535 - TAG - 1;

/// One end of an established channel; used by many threads at once.
pub struct Channel {
    transport: StatelessTransportState,
    next: AtomicU64,
    window: Mutex<ReplayWindow>,
}

impl Channel {
    pub(super) fn new(transport: StatelessTransportState) -> Channel {
        Channel { transport, next: AtomicU64::new(0), window: Mutex::new(ReplayWindow::new()) }
    }

    /// Encrypts a message into a frame under numbers that this end never used before.
    pub fn seal(&self, message: &[u8]) -> Result<Vec<u8>> {
        let chunks = message.len().div_ceil(CHUNK).max(1);
        let first = self.next.fetch_add(chunks as u64, Ordering::Relaxed);
        let mut frame = Vec::with_capacity(8 + message.len() + chunks * (2 + 1 + TAG));
        frame.extend_from_slice(&first.to_be_bytes());
        let mut rest = message;
        for (number, left) in (first..).zip((0..chunks).rev()) {
            let (piece, tail) = rest.split_at(rest.len().min(CHUNK));
            rest = tail;
            let mut plain = Zeroizing::new(Vec::with_capacity(piece.len() + 1));
            plain.push(u8::from(left > 0));
            plain.extend_from_slice(piece);
            let start = frame.len();
            frame.resize(start + 2 + plain.len() + TAG, 0);
            let length = self.transport.write_message(number, &plain, &mut frame[start + 2..]).map_err(refused)?;
            frame[start..start + 2].copy_from_slice(&u16::try_from(length).map_err(refused)?.to_be_bytes());
        }
        Ok(frame)
    }

    /// Decrypts a frame of the other end; an altered, repeated, cut or foreign one is refused.
    pub fn open(&self, frame: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        if frame.len() > MAX_FRAME {
            return Err(refused("length"));
        }
        let (first, mut rest) = frame.split_first_chunk::<8>().ok_or_else(|| refused("length"))?;
        let first = u64::from_be_bytes(*first);
        let mut message = Zeroizing::new(Vec::with_capacity(rest.len()));
        let mut plain = Zeroizing::new(vec![0; rest.len()]);
        let mut number = first;
        loop {
            // A look before decrypting keeps replays cheap; the mark below decides.
            if !self.lock().is_fresh(number) {
                return Err(refused("replay"));
            }
            let (length, tail) = rest.split_first_chunk::<2>().ok_or_else(|| refused("length"))?;
            let chunk = tail.get(..usize::from(u16::from_be_bytes(*length))).ok_or_else(|| refused("length"))?;
            rest = &tail[chunk.len()..];
            let length = self.transport.read_message(number, chunk, &mut plain).map_err(refused)?;
            let (more, piece) = plain[..length].split_first().ok_or_else(|| refused("chunk"))?;
            message.extend_from_slice(piece);
            match (more, rest.is_empty()) {
                (0, true) => break,
                (1, false) => number = number.checked_add(1).ok_or_else(|| refused("number"))?,
                _ => return Err(refused("chunks")),
            }
        }
        let mut window = self.lock();
        if !(first..=number).all(|number| window.mark(number)) {
            return Err(refused("replay"));
        }
        Ok(message)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ReplayWindow> {
        // The window is whole after every step, so a panic elsewhere does not spoil it.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::handshake::tests::pair;
    use super::*;

    #[test]
    fn messages_of_any_length_arrive_whole() {
        let (client, server) = pair();
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7] {
            let message: Vec<u8> = (0..length).map(|at| at as u8).collect();
            assert_eq!(*server.open(&client.seal(&message).unwrap()).unwrap(), message);
            assert_eq!(*client.open(&server.seal(&message).unwrap()).unwrap(), message);
        }
    }

    #[test]
    fn a_replayed_altered_reflected_or_foreign_frame_is_refused() {
        let (client, server) = pair();
        let (other, _) = pair();
        let frame = client.seal(b"acquire").unwrap();
        for at in 0..frame.len() {
            let mut altered = frame.clone();
            altered[at] ^= 1;
            assert!(server.open(&altered).is_err(), "byte {at}");
        }
        assert!(client.open(&frame).is_err(), "reflected");
        assert!(server.open(&other.seal(b"acquire").unwrap()).is_err(), "other connection");
        assert_eq!(*server.open(&frame).unwrap(), b"acquire");
        assert!(server.open(&frame).is_err(), "replayed");
    }

    #[test]
    fn calls_may_arrive_out_of_order() {
        let (client, server) = pair();
        let frames: Vec<_> = (0..100u8).map(|n| client.seal(&[n]).unwrap()).collect();
        for (n, frame) in frames.iter().enumerate().rev() {
            assert_eq!(*server.open(frame).unwrap(), [n as u8]);
        }
    }

    #[test]
    fn a_cut_or_spliced_chunked_message_is_refused() {
        let (client, server) = pair();
        let long = client.seal(&vec![7; 2 * CHUNK]).unwrap();
        assert!(server.open(&long[..8 + 2 + 65_535]).is_err());
        let mut spliced = long.clone();
        spliced.extend_from_slice(&client.seal(b"x").unwrap()[8..]);
        assert!(server.open(&spliced).is_err());
        assert!(server.open(&long).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(pair().1.open(&bytes).is_err());
        }
    }
}
