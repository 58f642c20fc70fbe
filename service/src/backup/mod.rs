//! Backups of a data folder: one tar archive whose first entry, `backup.json`, lists all others with their hashes. A backup is made
//! while the server runs or not; it is restored while it does not.
//!
//! Neither needs memory for more than a piece of a file: the ledger's copy is all that is in it when a backup is made.

mod archive;
mod manifest;
mod pack;
mod restore;

use std::io::{self, Read};
use std::path::PathBuf;

use licence::crypto::{Hasher, Provider};
use licence::id::ComputerId;
use licence::time::Time;
use serde::{Deserialize, Serialize};

pub use pack::pack;
pub use restore::restore;

use crate::access::Pass;
use crate::keys::OLD;
use crate::{ledger, settings};

/// The computer on which a backup is made or restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Computer {
    /// Its network name.
    pub name: String,
    /// What tells it from others, where it has anything that does.
    #[serde(rename = "ComputerID", default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ComputerId>,
}

/// Where and when a backup is made or restored.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The cryptographic provider.
    pub crypto: Provider,
    /// The wall clock.
    pub now: Time,
    /// This computer.
    pub computer: &'a Computer,
}

/// What a backup or a restore has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    /// When the backup was made.
    pub created: Time,
    /// Its files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Folder with what a restore has put aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aside: Option<PathBuf>,
}

/// Told of each file: how many are done, of how many.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize);

/// Whether a file is of the running process only and no part of a backup, or the ledger, whose copy comes beside.
fn is_passing(name: &str) -> bool {
    name.starts_with('.')
        || name.starts_with(ledger::FILE)
        || [ledger::OWNER, ledger::MARK, Pass::FILE, settings::LAST_GOOD, "ledger.copy"].contains(&name)
}

/// A reader that hashes and counts what is read through it.
struct Hashed<R> {
    inner: R,
    hasher: Box<dyn Hasher>,
    length: u64,
}

impl<R: Read> Hashed<R> {
    fn new(inner: R, crypto: Provider) -> Hashed<R> {
        Hashed { inner, hasher: crypto.hasher(), length: 0 }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.length += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
