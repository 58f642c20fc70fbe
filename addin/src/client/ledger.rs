//! The last ledger sequence of each server that this process met: one that goes backwards shows a restored backup.
//! Kept outside connections, as those come and go with the objects of 1C.

use std::sync::Mutex;

use licence::id::Bytes32;

use super::locked;

/// How many servers are remembered; an array, so that nothing is left behind when the library is unmapped.
const SERVERS: usize = 32;

/// Servers by their static key, the latest met last.
pub struct Sequences(Mutex<[(Bytes32, u64); SERVERS]>);

/// The sequences that this process remembers.
pub static KNOWN: Sequences = Sequences::new();

impl Sequences {
    /// Nothing remembered.
    pub const fn new() -> Sequences {
        Sequences(Mutex::new([(Bytes32([0; 32]), 0); SERVERS]))
    }

    /// What is remembered now.
    pub fn snapshot(&self) -> Sequences {
        Sequences(Mutex::new(*locked(&self.0)))
    }

    /// The highest sequence that `server` has told.
    pub fn of(&self, server: &Bytes32) -> Option<u64> {
        locked(&self.0).iter().rev().find(|(known, _)| known == server).map(|(_, sequence)| *sequence)
    }

    /// Remembers a sequence that `server` told; the highest counts.
    pub fn note(&self, server: Bytes32, sequence: u64) {
        let mut known = locked(&self.0);
        match known.iter_mut().rev().find(|(key, _)| *key == server) {
            Some((_, highest)) => *highest = sequence.max(*highest),
            None => {
                known.rotate_left(1);
                known[SERVERS - 1] = (server, sequence);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_sequence_of_each_server_is_remembered_and_the_oldest_server_forgotten() {
        let sequences = Sequences::new();
        let server = |n: usize| Bytes32([n as u8 + 1; 32]);
        for n in 0..SERVERS {
            sequences.note(server(n), n as u64);
        }
        sequences.note(server(0), 9);
        sequences.note(server(0), 3);
        assert_eq!((sequences.of(&server(0)), sequences.of(&server(5))), (Some(9), Some(5)));
        sequences.note(server(SERVERS), 1);
        assert_eq!((sequences.of(&server(0)), sequences.of(&server(SERVERS))), (None, Some(1)));
    }
}
