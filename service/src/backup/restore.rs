//! Restores a backup. All of it is unpacked beside the data first and known to be good before anything is changed.
//!
//! A restored backup takes nothing back that was stated for good: retirements, revocations and the highest issues that this folder
//! has seen stay in force, and its clock does not go back. What is replaced is put aside, never removed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use licence::crypto::Provider;
use licence::error::{Code, Error, Result};
use licence::host::files::{self, Access};
use licence::identity::Identity;

use super::manifest::{MAX_FILE, Manifest, Packed};
use super::pack::names;
use super::{Computer, OLD, Progress, Scene, Summary, archive};
use crate::activation::PENDING_FILE;
use crate::keys::state::{self, State};
use crate::keys::statements;
use crate::{IDENTITY_FILE, MAX_IDENTITY, ledger, timekeeper};

/// Folder below the data folder into which an archive is unpacked.
const UNPACKED: &str = ".restore";

/// Restores a backup into a data folder that no server uses. One of another server or computer only if `force` says that it is meant.
///
/// Errors: [`Code::ServerRunning`], [`Code::BackupWrong`], [`Code::BackupTooLarge`], [`Code::BackupOfOther`], those of files; nothing
/// is changed then.
pub fn restore(
    folder: &Path,
    archive: &Path,
    force: bool,
    scene: Scene<'_>,
    progress: Progress<'_>,
) -> Result<Summary> {
    let running = |error: Error| if error.code == Code::StoreOwned { Code::ServerRunning.into() } else { error };
    let _owner = ledger::own(folder).map_err(running)?;
    let unpacked = Unpacked::new(folder)?;
    let manifest = archive::read(archive, scene.crypto, progress, &mut |packed, bytes| unpacked.take(packed, bytes))?;
    let restored = identity(&unpacked.0, scene.crypto)?
        .ok_or_else(|| Error::new(Code::BackupWrong).with(archive.display()).with(IDENTITY_FILE))?;
    if !force {
        // A damaged identity is what a backup is restored for.
        let present = identity(folder, scene.crypto).unwrap_or_default();
        ask(archive, &manifest, (&restored, present.as_ref()), scene)?;
    }
    let aside = replace(folder, &unpacked, &manifest, scene)?;
    Ok(Summary { created: manifest.created, files: manifest.files.len(), bytes: manifest.bytes(), aside })
}

/// Refuses a backup of another server, and one that was made on another computer.
fn ask(
    archive: &Path,
    manifest: &Manifest,
    (restored, present): (&Identity, Option<&Identity>),
    scene: Scene<'_>,
) -> Result<()> {
    let other_server = present.is_some_and(|present| present.public() != restored.public());
    let id = |computer: &Computer| computer.id;
    let made_at = manifest.computer.as_ref();
    let other_computer = made_at.and_then(id).zip(id(scene.computer)).is_some_and(|(then, now)| then != now);
    if !other_server && !other_computer {
        return Ok(());
    }
    let unknown = Computer { name: "?".into(), id: None };
    let (there, name, made) = (number(restored), name(made_at.unwrap_or(&unknown)), manifest.created);
    let here = (present.map_or("–".to_owned(), number), self::name(scene.computer));
    Err(Error::new(Code::BackupOfOther).with(archive.display()).with_text(
        format_args!("сервер {there} компьютера {name}, {made}; здесь – сервер {} компьютера {}", here.0, here.1),
        format_args!("server {there} of computer {name}, {made}; here is server {} of computer {}", here.0, here.1),
    ))
}

/// A short number that tells servers apart: the beginning of a public key.
fn number(identity: &Identity) -> String {
    identity.public().sign.to_string().chars().take(16).collect()
}

fn name(computer: &Computer) -> String {
    super::manifest::plain(&computer.name)
}

fn identity(folder: &Path, crypto: Provider) -> Result<Option<Identity>> {
    let path = folder.join(IDENTITY_FILE);
    let Some(text) = files::read_text_if_there(&path, MAX_IDENTITY)? else { return Ok(None) };
    Identity::read(crypto, &path.display().to_string(), &zeroize::Zeroizing::new(text)).map(Some)
}

/// Puts the files in their places; the folder with those that were there before.
fn replace(folder: &Path, unpacked: &Unpacked, manifest: &Manifest, scene: Scene<'_>) -> Result<Option<PathBuf>> {
    let kept = kept(folder)?;
    let stamp: String = scene.now.to_string().chars().filter(char::is_ascii_digit).collect();
    let aside = folder.join(format!("before-{stamp}"));
    let mut moved = false;
    // First: what can't be undone must outlive a restore that breaks off, which may be begun again.
    if manifest.files.iter().any(|file| file.name == state::FILE) {
        let path = folder.join(state::FILE);
        let mut restored = State::read(&unpacked.0)?;
        if path.exists() {
            files::create_closed_folder(&aside)?;
            files::write_atomically(&aside.join(state::FILE), &files::read(&path, MAX_FILE)?, Access::Private)?;
            moved = true;
            // A damaged one is what a backup is restored for.
            restored.absorb(State::read(folder).unwrap_or_default());
        }
        restored.write(folder)?;
    }
    for name in names(folder)?.into_iter().chain(ledger_files(folder)).filter(|name| !kept.contains(name)) {
        let to = aside.join(&name);
        files::create_closed_folder(to.parent().unwrap_or(&aside))?;
        fs::rename(folder.join(&name), &to).map_err(|e| files::failed(&to, &e))?;
        moved = true;
    }
    for Packed { name, .. } in &manifest.files {
        if name != state::FILE && !kept.contains(name) {
            let to = folder.join(name);
            files::create_closed_folder(to.parent().unwrap_or(folder))?;
            fs::rename(unpacked.0.join(name), &to).map_err(|e| files::failed(&to, &e))?;
        }
    }
    sync(folder)?;
    Ok(moved.then_some(aside))
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

/// What was unpacked; removed when dropped.
struct Unpacked(PathBuf);

impl Unpacked {
    fn new(folder: &Path) -> Result<Unpacked> {
        let unpacked = Unpacked(folder.join(UNPACKED));
        // What a restore that was killed has left.
        unpacked.remove().map_err(|e| files::failed(&unpacked.0, &e))?;
        files::create_closed_folder(&unpacked.0)?;
        files::create_closed_folder(&unpacked.0.join(OLD))?;
        Ok(unpacked)
    }

    fn take(&self, packed: &Packed, bytes: &mut dyn Read) -> Result<()> {
        let path = self.0.join(&packed.name);
        let failed = |e: io::Error| files::failed(&path, &e);
        let mut file = files::create_new(&path, 0o600).map_err(failed)?;
        io::copy(bytes, &mut file).and_then(|_| file.sync_all()).map_err(failed)
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        if let Err(e) = self.remove() {
            log::warn!("{}: it may be removed: {e}", self.0.display());
        }
    }
}

#[cfg(unix)]
fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| files::failed(folder, &e))
}

#[cfg(not(unix))]
fn sync(_folder: &Path) -> Result<()> {
    Ok(())
}
