//! What one series handle of one object stands for: the started series, the object's session in it, its protected data.

use std::sync::Arc;

use licence::accounting::Base;
use licence::api::LicenceInfo;
use licence::crypto::Provider;
use licence::datafile::{Datafile, Object};
use licence::error::{Code, Error, Result};
use licence::id::RootHash;
use licence::protocol::message::{Acquire, ObjectKeyQuery};
use licence::settings::Endpoint;

use crate::client::connection::Wanted;
use crate::client::registry::{self, Nets, Started};
use crate::client::session::Session;

use super::process;

/// Signatures of datafiles and parameter files that another tool made.
const FOREIGN: [&[u8]; 2] = [b"LSDF", b"LSPF"];

/// A started series in the hands of one object.
pub struct Slot {
    /// The series, shared with other objects.
    pub started: Arc<Started>,
    /// Kind of the session's infobase, once it is known.
    pub base: Option<Base>,
    /// Protected data by alias, in order of loading.
    pub datafiles: Vec<(String, Arc<Datafile>)>,
    session: Option<Arc<Session>>,
    crypto: Provider,
}

impl Slot {
    /// Starts a series.
    pub fn start(
        crypto: Provider,
        wanted: Wanted,
        endpoints: Vec<Endpoint>,
        nets: impl FnOnce() -> Nets,
    ) -> Result<Slot> {
        let started = registry::start(wanted, endpoints, nets)?;
        Ok(Slot { started, base: None, datafiles: Vec::new(), session: None, crypto })
    }

    /// The object's session.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// Takes a licence for the session.
    pub fn take_licence(&mut self, claim: Acquire) -> Result<()> {
        self.base = process::base(&claim.session);
        let same =
            |session: &&Arc<Session>| Session::identity(&session.claim.session) == Session::identity(&claim.session);
        if let Some(session) = self.session.as_ref().filter(same) {
            return self.started.rejoin(session);
        }
        if let Some(other) = self.session.take() {
            self.started.leave(&other, false);
        }
        self.session = Some(self.started.join(claim)?);
        Ok(())
    }

    /// The licence of the session.
    pub fn licence(&self) -> Result<Box<LicenceInfo>> {
        let missing = || Error::new(Code::BadSession).with_text("они не заданы", "they were not given");
        self.started.licence(self.session.as_ref().ok_or_else(missing)?)
    }

    /// Gives the session's seat back; nothing to do without one.
    pub fn release(&self) -> Result<()> {
        self.session.as_ref().map_or(Ok(()), |session| self.started.release(session))
    }

    /// Loads protected data that 1C code passes. They must be signed by the root that the anchor names; without an anchor
    /// they set it, as they come from the configuration itself, and the server is asked to prove itself once more.
    pub fn load(&mut self, bytes: Vec<u8>, alias: &str, nets: impl FnOnce() -> Nets) -> Result<()> {
        if FOREIGN.iter().any(|signature| bytes.starts_with(signature)) {
            return Err(Error::new(Code::ForeignFile).with(alias));
        }
        let crypto = self.crypto;
        let hash = crypto.sha256(&[&bytes]);
        let datafile = self.started.datafile(hash, || Datafile::read(crypto, alias, bytes))?;
        let wanted = self.started.wanted;
        if datafile.series.key_id != wanted.key_id {
            let place = Error::new(Code::BadArgument).with_text("ЗагрузитьДанныеЗащиты", "LoadProtectionData");
            let series = datafile.series.key_id;
            return Err(place.with_text(format_args!("данные серии {series}"), format_args!("data of series {series}")));
        }
        match wanted.anchor {
            Some(root) if root != datafile.series.root => {
                return Err(Error::new(Code::AnchorConflict).with(wanted.key_id));
            }
            Some(_) => {}
            None => self.adopt(datafile.series.root, nets)?,
        }
        self.datafiles.retain(|(known, _)| !same_name(known, alias));
        self.datafiles.push((alias.to_owned(), datafile));
        Ok(())
    }

    /// Goes on under an anchor: connects anew, takes the session along.
    fn adopt(&mut self, root: RootHash, nets: impl FnOnce() -> Nets) -> Result<()> {
        let wanted = Wanted { anchor: Some(root), ..self.started.wanted };
        let started = registry::start(wanted, self.started.endpoints.clone(), nets)?;
        if let Some(session) = &self.session {
            let joined = started.join(session.claim.clone())?;
            let id = |session: &Session| session.held().map(|held| held.id);
            // Without an anchor the server may have granted a seat of another vendor's series under the same number.
            self.started.leave(session, id(session) != id(&joined));
            self.session = Some(joined);
        }
        self.started = started;
        Ok(())
    }

    /// Decrypts a protected object: `Alias.Name`, or `Name` in any of the loaded data.
    pub fn object(&self, name: &str) -> Result<Vec<u8>> {
        let wanted = self.started.wanted;
        if wanted.anchor.is_none() {
            return Err(Error::new(Code::NoAnchor).with(wanted.key_id));
        }
        let (datafile, object) = self.find(name).ok_or_else(|| Error::new(Code::NoObject).with(name))?;
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
        let key = self.started.object_key(session, &query)?;
        datafile.open(self.crypto, object, &key)
    }

    fn find(&self, name: &str) -> Option<(&Datafile, &Object)> {
        let by_alias = self.datafiles.iter().find_map(|(alias, datafile)| {
            let (head, rest) = name.split_at_checked(alias.len())?;
            let own = rest.strip_prefix('.').filter(|_| same_name(head, alias))?;
            Some((&**datafile, datafile.object(own)?))
        });
        by_alias.or_else(|| self.datafiles.iter().find_map(|(_, datafile)| Some((&**datafile, datafile.object(name)?))))
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

fn same_name(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}
