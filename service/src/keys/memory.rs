//! The memory of keys: a short text that protected code keeps with a key, behind passwords for reading and writing. It owns
//! `keys.memory` in the data folder. It moves with its key through reserve codes; nothing here looks into it.
//!
//! A password is a few characters, so its hash is slow on purpose (these calls take tens of milliseconds and belong on threads of
//! their own), and whoever guesses, from one address or at one key, has to wait longer each time.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use licence::activation::Memory;
use licence::crypto::Provider;
use licence::error::{Code, Error, Result};
use licence::host::files::{self, Access};
use licence::host::mark::FileMark;
use licence::time::Tick;
use licence::{KeyNo, SeriesId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::decided::former_in_force;
use crate::access::{self, Admission, Attempts, Subject};
use crate::folder::DataFolder;

/// Name of the file.
pub const FILE: &str = "keys.memory";
const KIND: &str = "SLK-MEMORY";
const VERSION: u32 = 1;
const LIMIT: u64 = 64 * 1024 * 1024;
/// Longest password, in characters.
pub const MAX_PASSWORD: usize = 8;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "Type")]
    kind: String,
    version: u32,
    #[serde(default)]
    keys: Vec<Entry>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(flatten)]
    series: SeriesId,
    key_no: KeyNo,
    /// Issue of the licence that the memory came with last; 0: it was written here.
    #[serde(default)]
    issue: u32,
    memory: Memory,
}

/// The memories of all keys of a data folder.
pub struct Memories {
    crypto: Provider,
    path: PathBuf,
    guard: Option<Arc<DataFolder>>,
    /// What the file said when it could be read last.
    former: Mutex<Former>,
    /// Held through every change, slow as hashing is: changes are rare, and none may be lost.
    writing: Mutex<()>,
    attempts: Mutex<Attempts>,
}

/// The file as it was good last.
#[derive(Default)]
struct Former {
    keys: Vec<Entry>,
    /// The file as it was looked at last.
    mark: Option<FileMark>,
    /// Why that stays in force, when the file can't be read any more.
    remark: Option<Error>,
}

/// Who asks: guesses are counted by address.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// The address.
    pub address: IpAddr,
    /// The moment.
    pub now: Tick,
}

impl Memories {
    /// The memories of a data folder.
    pub(super) fn open(folder: &Path, guard: Option<Arc<DataFolder>>, crypto: Provider) -> Memories {
        let (former, writing, attempts) = Default::default();
        let memories = Memories { crypto, path: folder.join(FILE), guard, former, writing, attempts };
        memories.look();
        memories
    }

    /// Looks whether the file has changed, so that damage is told before somebody needs it; one that is gone is written again.
    pub(super) fn look(&self) {
        let mark = FileMark::look(&self.path).ok();
        if std::mem::replace(&mut self.former.lock().mark, mark) == mark {
            return;
        }
        let _writing = self.writing.lock();
        let looked = self.keys().and_then(|keys| {
            let is_gone = !keys.is_empty() && std::fs::symlink_metadata(&self.path).is_err();
            if is_gone {
                log::warn!("{}: gone while the server runs; it is written again", self.path.display());
                self.store(keys)?;
            }
            Ok(())
        });
        if let Err(error) = looked {
            log::error!("{error}");
        }
    }

    /// Why what the file said before stays in force.
    pub(super) fn remark(&self) -> Option<Error> {
        self.former.lock().remark.clone()
    }

    /// The whole memory of a key, to be moved with it; `None` when nothing was written and no password was set.
    pub fn of(&self, series: &SeriesId, key_no: KeyNo) -> Result<Option<Memory>> {
        let memory = self.entry(series, key_no)?.memory;
        Ok((memory != Memory::default()).then_some(memory))
    }

    /// Takes up the memory that came with issue `issue` of a key. The same answer installed again changes nothing.
    pub fn bring(&self, series: &SeriesId, key_no: KeyNo, issue: u32, memory: Memory) -> Result<()> {
        memory.check()?;
        let _writing = self.writing.lock();
        let entry = self.entry(series, key_no)?;
        if entry.issue >= issue { Ok(()) } else { self.put(Entry { issue, memory, ..entry }) }
    }

    /// What was written.
    pub fn read(&self, series: &SeriesId, key_no: KeyNo, password: &str, asker: Asker) -> Result<String> {
        let memory = self.entry(series, key_no)?.memory;
        self.open_with(key_no, &[(&memory.read_password, password)], asker)?;
        Ok(memory.data)
    }

    /// Writes, in place of what was there.
    pub fn write(&self, series: &SeriesId, key_no: KeyNo, password: &str, data: &str, asker: Asker) -> Result<()> {
        if data.chars().count() > Memory::LIMIT {
            return Err(Error::new(Code::MemoryTooLong).with_text("данные", "data").with(Memory::LIMIT));
        }
        let _writing = self.writing.lock();
        let mut entry = self.entry(series, key_no)?;
        self.open_with(key_no, &[(&entry.memory.write_password, password)], asker)?;
        data.clone_into(&mut entry.memory.data);
        self.put(entry)
    }

    /// Sets both passwords, an empty one for none; `old` are those of now. Each is for reading and for writing, in this order.
    pub fn set_passwords(
        &self,
        series: &SeriesId,
        key_no: KeyNo,
        old: [&str; 2],
        new: [&str; 2],
        asker: Asker,
    ) -> Result<()> {
        if new.iter().any(|password| password.chars().count() > MAX_PASSWORD) {
            return Err(Error::new(Code::MemoryTooLong).with_text("пароль", "password").with(MAX_PASSWORD));
        }
        let _writing = self.writing.lock();
        let mut entry = self.entry(series, key_no)?;
        let memory = &mut entry.memory;
        self.open_with(key_no, &[(&memory.read_password, old[0]), (&memory.write_password, old[1])], asker)?;
        let hash = |password: &str| match password {
            "" => Ok(String::new()),
            password => access::hash_password(self.crypto, password),
        };
        (memory.read_password, memory.write_password) = (hash(new[0])?, hash(new[1])?);
        self.put(entry)
    }

    /// Takes both passwords away, whatever they are; what was written stays.
    pub fn remove_passwords(&self, series: &SeriesId, key_no: KeyNo) -> Result<()> {
        let _writing = self.writing.lock();
        let mut entry = self.entry(series, key_no)?;
        let memory = &mut entry.memory;
        if memory.read_password.is_empty() && memory.write_password.is_empty() {
            return Ok(());
        }
        (memory.read_password, memory.write_password) = Default::default();
        self.put(entry)?;
        log::warn!("the passwords of the memory of key {key_no} were taken away");
        Ok(())
    }

    /// Refuses wrong passwords, and guessers before anything is hashed.
    fn open_with(&self, key_no: KeyNo, pairs: &[(&String, &str)], asker: Asker) -> Result<()> {
        let closed: Vec<_> = pairs.iter().filter(|(hash, _)| !hash.is_empty()).collect();
        if closed.is_empty() {
            return Ok(());
        }
        // By address, and by key: a guesser may have many addresses.
        let subjects = [Subject::address(asker.address), Subject::Account(key_no.to_string())];
        let admission = subjects.iter().map(|subject| self.attempts.lock().admission(subject, asker.now)).max();
        if let Some(Admission::Remembered(wait) | Admission::Closed(wait)) = admission {
            return Err(Error::new(Code::TooManyAttempts).with(wait.as_millis().div_ceil(1000)));
        }
        if closed.iter().all(|(hash, password)| access::verify(hash, password)) {
            return Ok(());
        }
        // A right password forgives nothing: who knows one of a key could else guess at the others between.
        for subject in subjects {
            self.attempts.lock().failed(subject, asker.now);
        }
        log::warn!("{}: a wrong password of the memory of key {key_no}", asker.address);
        Err(Error::new(Code::MemoryClosed).with(key_no))
    }

    fn entry(&self, series: &SeriesId, key_no: KeyNo) -> Result<Entry> {
        let known = self.keys()?.into_iter().find(|entry| entry.series == *series && entry.key_no == key_no);
        Ok(known.unwrap_or(Entry { series: *series, key_no, issue: 0, memory: Memory::default() }))
    }

    fn put(&self, entry: Entry) -> Result<()> {
        let mut keys = self.keys()?;
        // A damaged file takes nothing new: somebody may mend it.
        if let Some(error) = self.remark() {
            return Err(error);
        }
        keys.retain(|known| (known.series, known.key_no) != (entry.series, entry.key_no));
        keys.push(entry);
        self.store(keys)
    }

    fn store(&self, keys: Vec<Entry>) -> Result<()> {
        self.guard.as_deref().map_or(Ok(()), DataFolder::look)?;
        let document = Document { kind: KIND.into(), version: VERSION, keys };
        let text = serde_json::to_string_pretty(&document).map_err(|e| Error::new(Code::Internal).with(e))?;
        files::write_atomically(&self.path, text.as_bytes(), Access::Private)
    }

    /// What the file says, or said before it was damaged or went.
    fn keys(&self) -> Result<Vec<Entry>> {
        // In a folder that isn't ours nothing is said.
        let found = match self.guard.as_deref().map(DataFolder::look) {
            Some(Err(_)) => Ok(None),
            _ => read(&self.path),
        };
        let mut former = self.former.lock();
        match found {
            Ok(Some(keys)) => (former.keys, former.remark) = (keys, None),
            Ok(None) => former.remark = None,
            Err(error) if former.keys.is_empty() => return Err(error),
            Err(error) => {
                let remark = former_in_force(&self.path, &error);
                if former.remark.as_ref() != Some(&remark) {
                    log::error!("{remark}");
                }
                former.remark = Some(remark);
            }
        }
        Ok(former.keys.clone())
    }
}

/// What the file says; `None` without one.
fn read(path: &Path) -> Result<Option<Vec<Entry>>> {
    let Some(text) = files::read_text_if_there(path, LIMIT)? else { return Ok(None) };
    // The parser's own message is not passed on: it may quote what is protected.
    let damaged = |e: serde_json::Error| {
        Error::new(Code::DocumentDamaged).with(path.display()).with(format_args!("line {}", e.line()))
    };
    let document: Document = serde_json::from_str(&text).map_err(damaged)?;
    if document.kind != KIND || document.version != VERSION {
        return Err(Error::new(Code::DocumentVersion).with(path.display()).with(document.version));
    }
    Ok(Some(document.keys))
}
