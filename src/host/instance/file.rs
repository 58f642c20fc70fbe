//! A locked file in a folder that only root and the server's account can write. What a former holder has written into it means
//! nothing: the lock is what counts.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::Path;

use super::holder::{Holder, Note};
use super::served_by;
use crate::error::{Code, Error, Result};
use crate::host::lock::Lock;

/// Longest note that is read, in bytes.
const MAX_NOTE: u64 = 4096;

/// Locks the file, which is made if need be, and writes `note` into it. `None` when the disk doesn't let it be made.
///
/// Errors: [`Code::IdentityServedElsewhere`], [`Code::LockUnusable`] when what lies there is not ours.
pub fn take(path: &Path, note: &Note) -> Result<Option<Lock>> {
    let unusable = |cause: io::Error| Error::new(Code::LockUnusable).with(path.display()).with(cause);
    let file = match open(path) {
        Ok(file) => file,
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            log::warn!("{}: {e}; the machine-wide lock is the name alone", path.display());
            return Ok(None);
        }
        Err(e) => return Err(unusable(e)),
    };
    check(&file, path).map_err(unusable)?;
    match Lock::take(file).map_err(unusable)? {
        Ok(lock) => {
            if let Err(e) = write(&lock, note) {
                log::warn!("{}: a second server won't be told who holds it: {e}", path.display());
            }
            Ok(Some(lock))
        }
        Err(file) => Err(served_by(&read(file).map_or(Holder::Unknown, Holder::Note))),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Neither through a link, nor waiting for the other end of a pipe.
        options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    options.open(path)
}

/// Refuses what somebody else may have put there or may write. A file that root makes belongs to whom the folder belongs, so
/// that the service can use it.
#[cfg(unix)]
fn check(file: &File, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let refused = |cause: String| Err(io::Error::new(ErrorKind::PermissionDenied, cause));
    let (facts, own) = (file.metadata()?, crate::host::os::user_id());
    let folder = std::fs::metadata(path.parent().unwrap_or(path))?;
    if !facts.is_file() || facts.nlink() != 1 {
        return refused("not a file of its own".to_owned());
    }
    if ![0, own, folder.uid()].contains(&facts.uid()) {
        return refused(format!("it belongs to uid {}", facts.uid()));
    }
    if facts.mode() & 0o022 != 0 {
        return refused("others may write it".to_owned());
    }
    if own == 0 && facts.uid() != folder.uid() {
        fchown(file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn check(_file: &File, _path: &Path) -> io::Result<()> {
    Ok(())
}

fn write(mut file: &File, note: &Note) -> io::Result<()> {
    let line = serde_json::to_string(note)? + "\n";
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(line.as_bytes())
}

fn read(file: File) -> Option<Note> {
    let mut text = String::new();
    file.take(MAX_NOTE).read_to_string(&mut text).ok()?;
    serde_json::from_str(text.trim()).ok()
}
