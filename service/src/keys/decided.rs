//! What was decided about single keys, as far as it can be read: a file that is damaged or gone by now loosens nothing that it said while
//! this process runs, and ends nobody's session.

use std::collections::HashSet;
use std::path::Path;

use licence::error::{Code, Error, Lang};
use licence::revocation::Revocations;
use licence::{KeyNo, SeriesId};

use super::state::{FILE, State};

/// The decisions in force.
pub struct Decided {
    /// The file, with what can't be undone of what it said before.
    state: State,
    /// Keys that were here when the file could be read last. `None`: it never could, so nobody knows which keys are off.
    keys: Option<HashSet<(SeriesId, KeyNo)>>,
    /// Why the file can't be used now.
    broken: Option<Error>,
    /// Whether another look may help, as the cause is not in the file itself.
    passing: bool,
    /// Whether the file does not say all of it.
    changed: bool,
}

impl Decided {
    /// Reads the file of the data folder, where `former` was in force before.
    pub fn read(folder: &Path, former: Option<&Decided>) -> Decided {
        let found = State::find(folder);
        let passing = matches!(&found, Err(error) if error.code == Code::FileFailed);
        if let Err(error) = &found {
            log::error!("{error}");
        }
        let fresh = |state, keys, broken| Decided { state, keys, broken, passing, changed: false };
        let Some((former, keys)) = former.and_then(|former| Some((former, former.keys.as_ref()?))) else {
            return match found {
                Ok(state) => fresh(state.unwrap_or_default(), Some(HashSet::new()), None),
                // A key that was revoked must not come back by a damaged file.
                Err(error) => fresh(State::default(), None, Some(error)),
            };
        };
        match found {
            Ok(Some(state)) => {
                let joined = state.joined_with(&former.state);
                Decided { changed: joined != state, ..fresh(joined, Some(HashSet::new()), None) }
            }
            Ok(None) => {
                let changed = former.state != State::default();
                if changed {
                    log::warn!("{}: gone while the server runs; it is written again", folder.join(FILE).display());
                }
                Decided { changed, ..fresh(former.state.clone(), Some(HashSet::new()), None) }
            }
            Err(error) => {
                let broken = former_in_force(&folder.join(FILE), &error);
                let state = former.state.clone();
                Decided { changed: former.changed, ..fresh(state, Some(keys.clone()), Some(broken)) }
            }
        }
    }

    /// What is in force.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Why nobody knows whether a key may be used.
    pub fn doubt(&self, series: SeriesId, key_no: KeyNo) -> Option<&Error> {
        let is_decided = self.keys.as_ref().is_some_and(|keys| keys.contains(&(series, key_no)));
        self.broken.as_ref().filter(|_| !is_decided)
    }

    /// Enters a vendor's list.
    pub fn revoke(&mut self, list: Revocations) {
        self.changed |= self.state.revoke(list);
    }

    /// Notes an issue of a key.
    pub fn see(&mut self, series: SeriesId, key_no: KeyNo, issue: u32) {
        self.changed |= self.state.see(series, key_no, issue);
    }

    /// Remembers that the decisions are about these keys, if they could be read.
    pub fn cover(&mut self, keys: impl Iterator<Item = (SeriesId, KeyNo)>) {
        if self.broken.is_none() {
            self.keys = Some(keys.collect());
        }
    }

    /// What the file should say and doesn't. A damaged file is left as it is.
    pub fn to_write(&self) -> Option<&State> {
        (self.changed && self.broken.is_none()).then_some(&self.state)
    }

    /// The file says all of it now.
    pub fn written(&mut self) {
        self.changed = false;
    }

    /// What is in force though the file doesn't say so.
    pub fn remark(&self) -> Option<Error> {
        self.broken.clone().filter(|error| error.code == Code::FormerInForce)
    }

    /// Whether another look may help.
    pub fn is_passing(&self) -> bool {
        self.passing
    }
}

/// The remark that what a file said before stays in force.
pub fn former_in_force(path: &Path, cause: &Error) -> Error {
    let text = |lang| cause.cause(lang).trim_end_matches('.').to_owned();
    Error::new(Code::FormerInForce).with(path.display()).with_text(text(Lang::Russian), text(Lang::English))
}
