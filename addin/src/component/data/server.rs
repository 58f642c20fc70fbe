//! A datafile beside the server: its pieces come through the client channel when they are needed, and stay, still sealed, as
//! long as somebody uses the datafile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use licence::datafile::{Part, Piece, Place};
use licence::error::{Code, Error, Result};
use licence::id::Bytes32;
use licence::protocol::MAX_PIECE;
use licence::protocol::message::DatafileQuery;
use licence::time::Deadline;

use crate::client::registry::Started;

/// The file as it was when it was found.
pub struct AtServer {
    started: Arc<Started>,
    part: Part,
    size: u64,
    /// Tells the same file again, at whatever server.
    pub stamp: Bytes32,
    /// Pieces by their number.
    pieces: Mutex<BTreeMap<u64, Arc<Vec<u8>>>>,
}

impl AtServer {
    /// The file of a series; `None` when no server has it.
    pub fn find(started: &Arc<Started>, part: Part, deadline: &Deadline) -> Result<Option<AtServer>> {
        let query = DatafileQuery { part, at: 0, length: 0 };
        let piece = started.datafile_piece(query, deadline)?;
        Ok(piece.map(|piece| AtServer {
            started: Arc::clone(started),
            part,
            size: piece.size,
            stamp: piece.stamp,
            pieces: Mutex::default(),
        }))
    }

    fn piece(&self, number: u64, deadline: &Deadline) -> Result<Arc<Vec<u8>>> {
        if let Some(piece) = self.known().get(&number) {
            return Ok(Arc::clone(piece));
        }
        let at = number * u64::from(MAX_PIECE);
        let query = DatafileQuery { part: self.part, at, length: MAX_PIECE };
        let piece = self.started.datafile_piece(query, deadline)?;
        let whole = (self.size - at).min(u64::from(MAX_PIECE));
        let same = piece.filter(|piece| (piece.stamp, piece.size) == (self.stamp, self.size));
        let piece = same.filter(|piece| piece.bytes.len() as u64 == whole);
        let piece = Arc::new(piece.ok_or_else(|| Error::new(Code::DatafileChanged).with(self.name()))?.bytes);
        self.known().insert(number, Arc::clone(&piece));
        Ok(piece)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Vec<u8>>>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place for AtServer {
    fn name(&self) -> String {
        self.part.file_name(self.started.wanted.key_id)
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn forget(&self) {
        self.known().clear();
    }

    fn read(&self, at: u64, length: usize, deadline: Option<&Deadline>) -> Result<Vec<Piece>> {
        let outside = || Error::new(Code::DocumentDamaged).with(self.name()).with("length");
        let end = at.checked_add(length as u64).filter(|end| *end <= self.size).ok_or_else(outside)?;
        let deadline = deadline.cloned().unwrap_or_else(|| self.started.object_deadline());
        let slow = |next| Error::new(Code::DatafileSlow).with(self.name()).with(next - at).with(length);
        let mut pieces = Vec::new();
        let mut next = at;
        while next < end {
            if deadline.is_over() {
                return Err(slow(next));
            }
            let number = next / u64::from(MAX_PIECE);
            let begin = number * u64::from(MAX_PIECE);
            let piece = self.piece(number, &deadline);
            let piece = piece.map_err(|error| if deadline.is_over() { slow(next) } else { error })?;
            // Both are below the length of one piece.
            let (from, to) = ((next - begin) as usize, (end - begin).min(piece.len() as u64) as usize);
            pieces.push(Piece::of(&piece, from..to).ok_or_else(outside)?);
            next = begin + to as u64;
        }
        Ok(pieces)
    }
}
