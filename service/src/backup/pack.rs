//! Makes a backup. Each file of the data folder is replaced whole, so what an open one holds is of one moment.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use licence::error::Result;
use licence::host::files;
use licence::id::Bytes32;
use licence::time::Time;

use super::manifest::{self, MAX_FILE, Manifest, Packed};
use super::{Hashed, OLD, Progress, Scene, Summary, is_passing};
use crate::ledger;

/// Length of a header of tar, behind which the first entry begins.
const HEADER: u64 = 512;

/// Packs a data folder with a copy of its ledger into `archive`, which must not be there yet and will be for its owner only. After an
/// error there is none.
///
/// Errors: [`licence::Code::BackupTooLarge`], those of files.
pub fn pack(folder: &Path, ledger: &[u8], archive: &Path, scene: Scene<'_>, progress: Progress<'_>) -> Result<Summary> {
    let names = names(folder)?;
    let file = private(archive)?;
    let packed = write(file, (folder, &names), ledger, archive, scene, progress);
    if packed.is_err() {
        // It is ours: it was not there before.
        let _ = fs::remove_file(archive);
    }
    packed
}

fn write(
    file: File,
    (folder, names): (&Path, &[String]),
    ledger: &[u8],
    archive: &Path,
    scene: Scene<'_>,
    progress: Progress<'_>,
) -> Result<Summary> {
    let failed = |e: std::io::Error| files::failed(archive, &e);
    let place = archive.display().to_string();
    // The manifest comes first and its hashes are known last: room is left for it, and what stays of that is blanks.
    let longest = |name: &String| Packed { name: name.clone(), size: MAX_FILE, sha256: Bytes32([0; 32]) };
    let all = [ledger::FILE.to_owned()].iter().chain(names).map(longest).collect();
    let room = text(&Manifest::new(scene.now, scene.computer, all)).map_err(failed)?.len();
    let mut writer = tar::Builder::new(file);
    writer
        .append_data(&mut header(room as u64, scene.now), manifest::FILE, &mut blanks(room as u64))
        .map_err(failed)?;

    let total = names.len() + 1;
    let mut packed = vec![append(&mut writer, ledger::FILE, (ledger, ledger.len() as u64), scene).map_err(failed)?];
    let mut bytes = ledger.len() as u64;
    for (done, name) in names.iter().enumerate() {
        progress(done + 1, total);
        let path = folder.join(name);
        let opened = match files::open(&path) {
            // Taken away since the folder was looked at, by a server that goes on.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            opened => opened.map_err(|e| files::failed(&path, &e))?,
        };
        let size = opened.metadata().map_err(|e| files::failed(&path, &e))?.len();
        bytes = bytes.saturating_add(size);
        manifest::within_bounds(&place, packed.len() + 1, bytes, size)?;
        let file = append(&mut writer, name, (opened.take(size), size), scene).map_err(failed)?;
        if file.size != size {
            return Err(files::failed(&path, &ErrorKind::UnexpectedEof.into()));
        }
        packed.push(file);
    }
    progress(total, total);
    let manifest = Manifest::new(scene.now, scene.computer, packed);
    let mut file = writer.into_inner().map_err(failed)?;
    file.seek(SeekFrom::Start(HEADER)).and_then(|_| file.write_all(&text(&manifest)?)).map_err(failed)?;
    file.flush().and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(Summary { created: scene.now, files: manifest.files.len(), bytes: manifest.bytes(), aside: None })
}

fn append(
    writer: &mut tar::Builder<File>,
    name: &str,
    (bytes, size): (impl Read, u64),
    scene: Scene<'_>,
) -> std::io::Result<Packed> {
    let mut hashed = Hashed::new(bytes, scene.crypto);
    writer.append_data(&mut header(size, scene.now), name, &mut hashed)?;
    Ok(Packed { name: name.into(), size: hashed.length, sha256: Bytes32(hashed.hasher.finish()) })
}

fn header(size: u64, now: Time) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(now.0 / 1000).unwrap_or(0));
    header
}

fn blanks(length: u64) -> impl Read {
    std::io::repeat(b' ').take(length)
}

fn text(manifest: &Manifest) -> std::io::Result<Vec<u8>> {
    Ok(serde_json::to_vec_pretty(manifest)?)
}

/// The files of a data folder that are packed: all but those of the running process, and the ledger, whose copy comes beside.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (prefix, folder) in [(String::new(), folder.to_owned()), (format!("{OLD}/"), folder.join(OLD))] {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(|e| files::failed(&folder, &e))?.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if entry.file_type().is_ok_and(|kind| kind.is_file()) && !is_passing(&name) {
                names.push(format!("{prefix}{name}"));
            }
        }
    }
    names.sort();
    Ok(names)
}

/// A new file that belongs to whoever makes the backup, wherever it lies: it holds private keys.
fn private(archive: &Path) -> Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(archive).map_err(|e| files::failed(archive, &e))
}
