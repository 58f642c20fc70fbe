//! One service per identity and machine: locks that are independent of where the data folder is, so that a copied folder can't
//! be served a second time. Released by the system when the process ends, however it ends.
//!
//! There are two of them. A locked file in the folder that only root and the server's account can write
//! ([`super::registry`]): no other user can take it first, and it tells who holds it. And on Linux an abstract Unix socket, which
//! servers with other such folders, or none, see as well; its name can be read and taken by any user while nobody holds
//! it. So where there is a locked file, a name that is held by another user's process hinders nobody.

mod file;
mod holder;
#[cfg(target_os = "linux")]
mod name;

use std::path::Path;

use super::lock::Lock;
use super::paths::Paths;
use super::registry;
use crate::error::{Code, Error, Result};
use crate::time::Time;

use holder::{Holder, Note};

/// The held locks.
#[derive(Debug)]
pub struct Instance {
    _file: Option<Lock>,
    #[cfg(target_os = "linux")]
    name: name::Name,
}

impl Instance {
    /// Takes the name when it was not free before and is now. Called now and then.
    pub fn look_around(&self) {
        #[cfg(target_os = "linux")]
        self.name.take_late();
    }
}

/// Takes the machine-wide locks of the server that is called `name`, which serves `paths.data` since `started`.
///
/// Errors: [`Code::IdentityServedElsewhere`], which names the holder; [`Code::LockUnusable`].
pub fn take(name: &str, paths: &Paths, started: Time) -> Result<Instance> {
    let note = Note::of_this_process(&paths.data, started);
    let file = match folder(paths) {
        Some(folder) => file::take(&folder.join(format!("{name}.lock")), &note)?,
        None => None,
    };
    bind(name, &paths.data, file)
}

/// Elsewhere than on Linux the file is all there is, so it lies in the common temporary folder if nowhere else.
fn folder(paths: &Paths) -> Option<std::path::PathBuf> {
    let folder = registry::folder(paths);
    if cfg!(target_os = "linux") { folder } else { folder.or_else(|| Some(std::env::temp_dir())) }
}

#[cfg(target_os = "linux")]
fn bind(name: &str, data: &Path, file: Option<Lock>) -> Result<Instance> {
    match name::Name::take(name).map_err(|e| Error::new(Code::Internal).with(e))? {
        Ok(name) => Ok(Instance { _file: file, name }),
        Err((name, peer)) if file.is_some() && !peer.may_be_of(data) => {
            log::warn!(
                "the name of this server's lock is held by a process of another user{}; its locked file counts",
                Holder::Peer(peer).english()
            );
            Ok(Instance { _file: file, name })
        }
        Err((_, peer)) => Err(served_by(&Holder::Peer(peer))),
    }
}

#[cfg(not(target_os = "linux"))]
fn bind(name: &str, _data: &Path, file: Option<Lock>) -> Result<Instance> {
    match file {
        Some(file) => Ok(Instance { _file: Some(file) }),
        None => Err(Error::new(Code::LockUnusable).with(format_args!("{name}.lock")).with("-")),
    }
}

fn served_by(holder: &Holder) -> Error {
    Error::new(Code::IdentityServedElsewhere).with_text(holder.russian(), holder.english())
}

#[cfg(test)]
mod tests;
