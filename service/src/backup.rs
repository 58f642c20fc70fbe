//! Backups of a data folder: one tar archive whose first entry, `backup.json`, lists all others with their hashes. A backup is made
//! while the server runs or not; it is restored while it does not.
//!
//! A restored backup takes nothing back that was stated for good: retirements, revocations and the highest issues that this folder
//! has seen stay in force, and its clock does not go back. What is replaced is put aside, never removed.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use licence::crypto::Provider;
use licence::error::{Code, Error, Result};
use licence::host::files::{self, Access};
use licence::id::{Bytes32, hex};
use licence::time::Time;
use licence::version::VERSION as PROGRAM;
use serde::{Deserialize, Serialize};

use crate::access::Pass;
use crate::activation::PENDING_FILE;
use crate::keys::state::{self, State};
use crate::keys::statements;
use crate::{ledger, settings, timekeeper};

const MANIFEST: &str = "backup.json";
const KIND: &str = "SLK-BACKUP";
const VERSION: u32 = 1;
/// Largest file that is packed, in bytes.
const MAX_FILE: u64 = 1 << 30;
const MAX_MANIFEST: u64 = 16 * 1024 * 1024;
/// Folder below the data folder that belongs to it: licences that were replaced.
const OLD: &str = "old";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    #[serde(rename = "Type")]
    kind: String,
    version: u32,
    /// Version of the program that has made it.
    program: String,
    created: Time,
    files: Vec<Packed>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Packed {
    /// Name in the data folder, `old/` before it for those that were replaced.
    name: String,
    size: u64,
    #[serde(rename = "SHA256")]
    sha256: Bytes32,
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

/// Files by their names.
type Contents = Vec<(String, Vec<u8>)>;

/// Told of each file: how many are done, of how many.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize);

/// Packs a data folder with a copy of its ledger into `archive`, which must not be there yet and will be for its owner only.
pub fn pack(
    folder: &Path,
    ledger: Vec<u8>,
    archive: &Path,
    (crypto, now): (Provider, Time),
    progress: Progress<'_>,
) -> Result<Summary> {
    let mut contents = vec![(ledger::FILE.to_owned(), ledger)];
    for name in names(folder)? {
        contents.push((name.clone(), files::read(&folder.join(&name), MAX_FILE)?));
    }
    let packed = |(name, bytes): &(String, Vec<u8>)| Packed {
        name: name.clone(),
        size: bytes.len() as u64,
        sha256: Bytes32(crypto.sha256(&[bytes])),
    };
    let manifest = Manifest {
        kind: KIND.into(),
        version: VERSION,
        program: PROGRAM.into(),
        created: now,
        files: contents.iter().map(packed).collect(),
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| Error::new(Code::Internal).with(e))?;
    let total = contents.len();
    let failed = |e: std::io::Error| files::failed(archive, &e);
    let mut writer = tar::Builder::new(private(archive)?);
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.0 / 1000).unwrap_or(0));
        writer.append_data(&mut header, name, bytes).map_err(failed)
    };
    add(MANIFEST, &text)?;
    for (done, (name, bytes)) in contents.iter().enumerate() {
        progress(done, total);
        add(name, bytes)?;
    }
    progress(total, total);
    let mut file = writer.into_inner().map_err(failed)?;
    file.flush().and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(Summary { created: now, files: total, bytes: manifest.files.iter().map(|file| file.size).sum(), aside: None })
}

/// The files of a data folder that are packed: all but those of the running process, and the ledger, whose copy comes beside.
fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (prefix, folder) in [(String::new(), folder.to_owned()), (format!("{OLD}/"), folder.join(OLD))] {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(|e| files::failed(&folder, &e))?.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            let passing = name.starts_with('.')
                || name.starts_with(ledger::FILE)
                || [ledger::OWNER, ledger::MARK, Pass::FILE, settings::LAST_GOOD, "ledger.copy"].contains(&name.as_str());
            if is_file && !passing {
                names.push(format!("{prefix}{name}"));
            }
        }
    }
    names.sort();
    Ok(names)
}

fn private(archive: &Path) -> Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(archive).map_err(|e| files::failed(archive, &e))
}

/// Restores a backup into a data folder that no server uses. Nothing is changed before the whole archive is known to be good.
///
/// Errors: [`Code::ServerRunning`], [`Code::BackupWrong`], those of files.
pub fn restore(
    folder: &Path,
    archive: &Path,
    (crypto, now): (Provider, Time),
    progress: Progress<'_>,
) -> Result<Summary> {
    let running = |error: Error| if error.code == Code::StoreOwned { Code::ServerRunning.into() } else { error };
    let _owner = ledger::own(folder).map_err(running)?;
    let (manifest, contents) = unpack(archive, crypto)?;
    let kept = kept(folder)?;
    let stamp: String = now.to_string().chars().filter(char::is_ascii_digit).collect();
    let aside = folder.join(format!("before-{stamp}"));
    let mut moved = false;
    // First: what can't be undone must outlive a restore that breaks off, which may be begun again.
    if let Some((name, bytes)) = contents.iter().find(|(name, _)| name == state::FILE) {
        let path = folder.join(name);
        let mut restored = State::parse(&path, &String::from_utf8_lossy(bytes))?;
        if path.exists() {
            files::create_folder(&aside)?;
            files::write_atomically(&aside.join(name), &files::read(&path, MAX_FILE)?, Access::Private)?;
            moved = true;
            // A damaged one is what a backup is restored for.
            restored.absorb(State::read(folder).unwrap_or_default());
        }
        restored.write(folder)?;
    }
    for name in names(folder)?.into_iter().chain(ledger_files(folder)).filter(|name| !kept.contains(name)) {
        let to = aside.join(&name);
        files::create_folder(to.parent().unwrap_or(&aside))?;
        fs::rename(folder.join(&name), &to).map_err(|e| files::failed(&to, &e))?;
        moved = true;
    }
    let total = contents.len();
    for (done, (name, bytes)) in contents.iter().enumerate() {
        progress(done, total);
        let path = folder.join(name);
        if name != state::FILE && !kept.contains(name) {
            files::create_folder(path.parent().unwrap_or(folder))?;
            files::write_atomically(&path, bytes, Access::Private)?;
        }
    }
    progress(total, total);
    let bytes = manifest.files.iter().map(|file| file.size).sum();
    Ok(Summary { created: manifest.created, files: total, bytes, aside: moved.then_some(aside) })
}

/// Files of the folder that a backup does not replace: what was stated for good, the clock, requests that wait for their answers; and
/// the state of keys, which is merged with that of the backup.
fn kept(folder: &Path) -> Result<Vec<String>> {
    let stays = |name: &String| {
        let suffix = Path::new(name).extension().unwrap_or_default();
        let stated = [statements::RETIREMENT, statements::REVOCATIONS].iter().any(|kind| suffix == *kind);
        stated || [timekeeper::FILE, PENDING_FILE, state::FILE].contains(&name.as_str())
    };
    Ok(names(folder)?.into_iter().filter(stays).collect())
}

fn ledger_files(folder: &Path) -> impl Iterator<Item = String> {
    let names = ["", "-wal", "-shm"].map(|suffix| format!("{}{suffix}", ledger::FILE));
    let folder = folder.to_owned();
    names.into_iter().filter(move |name| folder.join(name).exists())
}

/// The manifest and the files of an archive, all as they were packed.
fn unpack(archive: &Path, crypto: Provider) -> Result<(Manifest, Contents)> {
    let wrong = |cause: &str| Error::new(Code::BackupWrong).with(archive.display()).with(cause);
    let broken = |e: std::io::Error| wrong(&e.to_string());
    let file = files::open(archive).map_err(|e| files::failed(archive, &e))?;
    let mut reader = tar::Archive::new(file);
    let mut entries = reader.entries().map_err(broken)?;
    let mut read = |limit: u64| -> Result<Option<(String, Vec<u8>)>> {
        let Some(entry) = entries.next() else { return Ok(None) };
        let entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.take(limit).read_to_end(&mut bytes).map_err(broken)?;
        Ok(Some((name, bytes)))
    };
    let (name, text) = read(MAX_MANIFEST)?.ok_or_else(|| wrong("empty"))?;
    if name != MANIFEST {
        return Err(wrong(MANIFEST));
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| wrong(&format!("{MANIFEST}: {e}")))?;
    if manifest.kind != KIND || manifest.version != VERSION {
        return Err(Error::new(Code::DocumentVersion).with(archive.display()).with(manifest.version));
    }
    let mut contents = Vec::new();
    for packed in &manifest.files {
        let (name, bytes) = read(MAX_FILE)?.ok_or_else(|| wrong("cut off"))?;
        let is_good = name == packed.name && is_plain(&name) && crypto.sha256(&[&bytes]) == packed.sha256.0;
        if !is_good {
            return Err(wrong(&format!("{name}, SHA-256 {}", hex(&crypto.sha256(&[&bytes])))));
        }
        contents.push((name, bytes));
    }
    Ok((manifest, contents))
}

/// Whether a name stays in the data folder: one part, or one below `old`.
fn is_plain(name: &str) -> bool {
    let name = name.strip_prefix("old/").unwrap_or(name);
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0']) && name != ledger::OWNER
}
