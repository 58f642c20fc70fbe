//! A key that was found to be there for a session that takes no seat. Nothing is held at the server, so nothing is kept alive: it is
//! asked anew whenever the licence is asked for, and relied on for a while when no server can be reached.

use std::time::Duration;

use licence::api::LicenceInfo;
use licence::error::{Code, Result};
use licence::id::KeyNo;
use licence::protocol::message::Acquire;
use licence::time::Tick;

use super::series::Series;

/// For how long a key counts as present without a server that says so: as long as a seat without a server does.
const KEPT: Duration = Duration::from_secs(13 * 60 + 30);

/// The key, and who asked for it.
pub struct Presence {
    claim: Acquire,
    licence: Box<LicenceInfo>,
    /// Until when it counts without being asked for again.
    until: Tick,
}

impl Presence {
    /// Asks for a key that meets a claim with `key_only`.
    pub fn find(series: &Series, claim: Acquire) -> Result<Presence> {
        let until = series.now().plus(KEPT);
        Ok(Presence { licence: series.presence(&claim)?, claim, until })
    }

    /// The claim, with its terms.
    pub fn claim(&self) -> &Acquire {
        &self.claim
    }

    /// The key's number, as it was told last.
    pub fn key_no(&self) -> KeyNo {
        self.licence.key_no
    }

    /// The licence now; while no server can be reached, as it was told last.
    pub fn licence(&mut self, series: &Series) -> Result<Box<LicenceInfo>> {
        match Presence::find(series, self.claim.clone()) {
            Ok(found) => *self = found,
            Err(error) if error.code == Code::ServerNotFound && series.now() < self.until => {}
            Err(error) => return Err(error),
        }
        Ok(self.licence.clone())
    }
}
