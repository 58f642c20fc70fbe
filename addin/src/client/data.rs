//! What a started series knows of protected data: datafiles that its objects share, pieces of those beside its servers, and
//! the vendor's list of revoked keys, under which this process holds no seat and opens nothing.

use std::sync::Arc;

use licence::datafile::Datafile;
use licence::error::{Code, Error, Result};
use licence::id::{KeyNo, SeriesId};
use licence::protocol::message::{Call, DatafilePiece, DatafileQuery, Outcome};
use licence::revocation::Revocations;
use licence::time::Deadline;

use super::series::{Series, unexpected};
use super::session::{Held, Session};
use super::{FAREWELL_LIMIT, Net, OBJECT_LIMIT, locked};

impl Series {
    /// A datafile that is shared with other objects of this series, or the one that `read` makes. `key` is equal for equal
    /// datafiles only.
    pub fn datafile(&self, key: [u8; 32], read: impl FnOnce() -> Result<Datafile>) -> Result<Arc<Datafile>> {
        if let Some(known) = self.known_datafile(&key) {
            return Ok(known);
        }
        // No lock is held while it is read: it may come from a server.
        let datafile = Arc::new(read()?);
        if let Some(known) = self.known_datafile(&key) {
            return Ok(known);
        }
        locked(&self.datafiles).push((key, Arc::downgrade(&datafile)));
        Ok(datafile)
    }

    fn known_datafile(&self, key: &[u8; 32]) -> Option<Arc<Datafile>> {
        let mut datafiles = locked(&self.datafiles);
        datafiles.retain(|(_, datafile)| datafile.strong_count() > 0);
        datafiles.iter().find(|(known, _)| known == key).and_then(|(_, datafile)| datafile.upgrade())
    }

    /// The longest that a protected object may take, from now.
    pub fn object_deadline(&self) -> Deadline {
        self.net.within(OBJECT_LIMIT)
    }

    /// A piece of a datafile from the first server that has it; `None` when no server has.
    pub fn datafile_piece(&self, query: DatafileQuery, deadline: &Deadline) -> Result<Option<DatafilePiece>> {
        match self.ask_anyone(None, &Call::Datafile(query), deadline) {
            Ok(Outcome::Datafile(piece)) => Ok(Some(piece)),
            Ok(_) => Err(unexpected()),
            Err(error) if error.code == Code::NoDatafile => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes note of a vendor's list that a datafile under the anchor has brought. Seats of keys that it revokes are given back.
    pub fn learn(&self, list: Revocations) {
        if !locked(&self.revoked).enter(list) {
            return;
        }
        let sessions: Vec<Arc<Session>> = locked(&self.state).sessions.iter().map(|(one, _)| Arc::clone(one)).collect();
        for session in sessions {
            if let Some(held) = session.held()
                && let Err(error) = self.check_key(held.key_no)
            {
                self.give_up(&self.net, &session, &held, error);
            }
        }
    }

    /// [`Code::KeyRevoked`] for a key that the vendor has taken back, as far as this process knows.
    pub fn check_key(&self, key_no: KeyNo) -> Result<()> {
        let Some(root) = self.wanted.anchor else { return Ok(()) };
        let series = SeriesId { key_id: self.wanted.key_id, root };
        if locked(&self.revoked).is_revoked(series, key_no) {
            return Err(Error::new(Code::KeyRevoked).with(key_no));
        }
        Ok(())
    }

    /// Gives back a seat that this process must not use, whatever its server says; `cause` is what 1C code is told.
    pub(super) fn give_up(&self, net: &Net, session: &Session, held: &Held, cause: Error) {
        log::warn!("{}: the seat at {} is given back: {cause}", self.wanted.key_id, held.connection.endpoint);
        // The server's leases do the rest when this is lost.
        let _ = held.connection.call(net, Call::Release { session: held.id }, &net.within(FAREWELL_LIMIT));
        session.refuse(held, cause);
    }
}
