//! What one series handle of one object stands for: the started series, the object's session in it, its protected data.

use std::sync::Arc;

use licence::accounting::Base;
use licence::api::LicenceInfo;
use licence::crypto::Provider;
use licence::datafile::{Datafile, Object, Piece};
use licence::error::{Code, Error, Result};
use licence::id::{KeyNo, RootHash};
use licence::protocol::message::{Acquire, ObjectKeyQuery};
use licence::settings::Endpoint;
use licence::subkeys::Subkey;
use licence::time::Deadline;

use crate::client::connection::Wanted;
use crate::client::presence::Presence;
use crate::client::registry::{self, Nets, Started};
use crate::client::session::{Session, Terms};
use crate::native::Maker;

use super::data::{self, Data, Found};
use super::process;

/// A started series in the hands of one object.
pub struct Slot {
    /// The series, shared with other objects.
    pub started: Arc<Started>,
    /// Kind of the session's infobase, once it is known.
    pub base: Option<Base>,
    /// Protected data.
    pub data: Data,
    session: Option<Arc<Session>>,
    /// What was found when the terms ask for the presence of a key only; then there is no session.
    presence: Option<Presence>,
    terms: Terms,
    crypto: Provider,
}

impl Slot {
    /// Takes part in a series, which may not be connected yet.
    pub fn enter(
        crypto: Provider,
        wanted: Wanted,
        endpoints: Vec<Endpoint>,
        nets: impl FnOnce() -> Nets,
    ) -> Result<Slot> {
        let started = registry::enter(wanted, endpoints, nets)?;
        let (session, presence, terms) = (None, None, Terms::default());
        Ok(Slot { started, base: None, data: Data::new(crypto), session, presence, terms, crypto })
    }

    /// The object's session.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// Takes a licence for the session.
    pub fn take_licence(&mut self, claim: Acquire) -> Result<()> {
        self.base = process::base(&claim.session);
        self.settle(claim, self.terms.clone())
    }

    /// Other terms of licence control, or another access code: a session that is known already goes on under them, and they count
    /// for the next one. A refusal leaves those before in force.
    pub fn set_terms(&mut self, terms: Terms) -> Result<()> {
        // Told now, not with the first session: by then the code that has set them is far away.
        self.started.may_claim(&terms.apply(Acquire::default()))?;
        let claim = match (&self.session, &self.presence) {
            (Some(session), _) => Some(session.claim.clone()),
            (None, Some(presence)) => Some(presence.claim().clone()),
            (None, None) => None,
        };
        if let Some(claim) = claim {
            self.settle(claim, terms.clone())?;
        }
        self.terms = terms;
        Ok(())
    }

    /// The terms in force.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Takes a licence, or finds one present, whichever the terms ask for; then leaves what was had before.
    fn settle(&mut self, claim: Acquire, terms: Terms) -> Result<()> {
        if terms.control.key_only {
            let found = Presence::find(&self.started, terms.apply(claim))?;
            if let Some(session) = self.session.take() {
                self.started.leave(&session, true);
            }
            self.presence = Some(found);
            return Ok(());
        }
        let same =
            |session: &&Arc<Session>| Session::identity(&session.claim.session) == Session::identity(&claim.session);
        if let Some(session) = self.session.as_ref().filter(same) {
            return self.started.rejoin(session, terms);
        }
        if let Some(other) = self.session.take() {
            self.started.leave(&other, false);
        }
        self.session = Some(self.started.join(terms.apply(claim))?);
        self.presence = None;
        Ok(())
    }

    /// The licence of the session, or the one that was found present.
    pub fn licence(&mut self) -> Result<Box<LicenceInfo>> {
        match (&mut self.presence, &self.session) {
            (Some(presence), _) => presence.licence(&self.started),
            (None, Some(session)) => self.started.licence(session),
            (None, None) => Err(no_session()),
        }
    }

    /// Number of the key that the licence is of, without asking anybody.
    pub fn key_no(&self) -> Result<KeyNo> {
        match (&self.presence, &self.session) {
            (Some(presence), _) => Ok(presence.key_no()),
            (None, Some(session)) => session.key_no(self.started.now()),
            (None, None) => Err(no_session()),
        }
    }

    /// Gives the session's seat back; nothing to do without one.
    pub fn release(&mut self) -> Result<()> {
        self.presence = None;
        self.session.as_ref().map_or(Ok(()), |session| self.started.release(session))
    }

    /// The session that holds a seat, for what is done in its name.
    pub fn seated(&self) -> Result<&Session> {
        match (&self.session, &self.presence) {
            (Some(session), _) => Ok(session),
            (None, Some(_)) => Err(Error::new(Code::BadSession).with_text(
                "контролируется только наличие ключа, место не занято",
                "only the presence of a key is controlled, no seat was taken",
            )),
            (None, None) => Err(no_session()),
        }
    }

    /// Loads protected data that 1C code passes. They must be signed by the root that the anchor names; without an anchor
    /// they set it, as they come from the configuration itself, and the server is asked to prove itself once more.
    /// An alias that is loaded already stays as it is unless it `replaces`.
    pub fn load(&mut self, bytes: Vec<u8>, alias: &str, replaces: bool, nets: impl FnOnce() -> Nets) -> Result<()> {
        if !replaces && self.data.is_loaded(alias) {
            return Ok(());
        }
        let crypto = self.crypto;
        let hash = crypto.sha256(&[&bytes]);
        let datafile = self.started.datafile(hash, || Datafile::read(crypto, alias, bytes))?;
        if self.started.wanted.anchor.is_none() && datafile.series.key_id == self.started.wanted.key_id {
            self.adopt(datafile.series.root, nets)?;
        }
        data::check(&self.started, &datafile, alias)?;
        datafile.revocations().into_iter().for_each(|list| self.started.learn(list));
        self.data.put(alias, datafile);
        Ok(())
    }

    /// Goes on under an anchor: connects anew, takes the session along. Where there is none, the server need not have a key yet:
    /// its first one is installed under the anchor.
    fn adopt(&mut self, root: RootHash, nets: impl FnOnce() -> Nets) -> Result<()> {
        let wanted = Wanted { anchor: Some(root), ..self.started.wanted };
        let started = registry::enter(wanted, self.started.endpoints.clone(), nets)?;
        match started.connect() {
            Err(error) if error.code == Code::NoKey && self.session.is_none() && self.presence.is_none() => {}
            connected => connected?,
        }
        if let Some(session) = &self.session {
            let joined = started.join(session.whole_claim())?;
            let id = |session: &Session| session.held().map(|held| held.id);
            // Without an anchor the server may have granted a seat of another vendor's series under the same number.
            self.started.leave(session, id(session) != id(&joined));
            self.session = Some(joined);
        }
        if let Some(presence) = &mut self.presence {
            *presence = Presence::find(&started, presence.claim().clone())?;
        }
        self.started = started;
        Ok(())
    }

    /// A protected object and what opens it; how its name is read, tells [`Data::find`].
    pub fn object(&mut self, name: &str) -> Result<Sealed> {
        let deadline = self.started.object_deadline();
        match self.fetch(name, &deadline) {
            // Once more, from what the file is now.
            Err(error) if error.code == Code::DatafileChanged => self.fetch(name, &deadline),
            done => done,
        }
    }

    fn fetch(&mut self, name: &str, deadline: &Deadline) -> Result<Sealed> {
        let wanted = self.started.wanted;
        if wanted.anchor.is_none() {
            return Err(Error::new(Code::NoAnchor).with(wanted.key_id));
        }
        let Found { datafile, object } = self.data.find(&self.started, name, deadline)?;
        let session = match (object.policy.seat, &self.session) {
            (true, None) => return Err(Error::new(Code::SeatNeeded).with(name)),
            (true, session) => session.as_deref(),
            (false, _) => None,
        };
        let query = ObjectKeyQuery {
            session: None,
            name: object.name.clone(),
            policy: object.policy.clone(),
            salt: datafile.index.salt,
        };
        let key = self.started.object_key(session, &query, deadline)?;
        let bytes = datafile.sealed(&object, Some(deadline))?;
        Ok(Sealed { crypto: self.crypto, datafile, object, key, bytes })
    }

    /// Ends the object's part in the series and gives its seat back, unless other objects share it.
    pub fn stop(mut self) {
        if let Some(session) = self.session.take() {
            self.started.leave(&session, true);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.started.leave(&session, false);
        }
    }
}

/// A protected object before it is decrypted: nothing is read or asked any more, and it takes place in memory of 1C only.
pub struct Sealed {
    crypto: Provider,
    datafile: Arc<Datafile>,
    object: Object,
    key: Subkey,
    bytes: Vec<Piece>,
}

impl Maker for Sealed {
    fn parts(&self) -> Vec<&[u8]> {
        self.bytes.iter().map(|piece| &**piece).collect()
    }

    fn make(&self, memory: &mut [u8]) -> Result<usize> {
        self.datafile.open_in_place(self.crypto, &self.object, &self.key, memory)
    }
}

fn no_session() -> Error {
    Error::new(Code::BadSession).with_text("они не заданы", "they were not given")
}
