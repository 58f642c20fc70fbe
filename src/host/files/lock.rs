//! A lock between processes: a file beside the one that is changed, locked by the system for as long as its holder lives.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::regular;
use crate::error::{Code, Error, Result};
use crate::host::lock::Lock;

/// How often it is looked whether the lock is free.
const LOOK: Duration = Duration::from_millis(10);

/// Takes the lock of the file `path`, made when there is none; whoever may write to its folder may take it.
///
/// # Errors
/// [`Code::FileLocked`] when somebody else has held it for longer than `patience`; those of files.
pub fn lock(path: &Path, patience: Duration) -> Result<Lock> {
    let failed = |e: io::Error| super::failed(path, &e);
    let mut file = regular::open_or_create(path, OpenOptions::new().read(true).write(true), 0o600).map_err(failed)?;
    open_to_writers(&file, super::folder_of(path));
    let since = Instant::now();
    loop {
        file = match Lock::take(file).map_err(failed)? {
            Ok(lock) => return Ok(lock),
            Err(file) if since.elapsed() < patience => file,
            Err(_) => return Err(Error::new(Code::FileLocked).with(path.display()).with(patience.as_secs())),
        };
        std::thread::sleep(LOOK);
    }
}

/// Lets those take the lock who may write to its folder. Only its owner can; others find it as it is.
#[cfg(unix)]
fn open_to_writers(file: &File, folder: &Path) {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let (Ok(folder), Ok(now)) = (std::fs::metadata(folder), file.metadata()) else { return };
    let writers = folder.mode() & 0o022;
    let mode = 0o600 | writers | writers << 1;
    if now.nlink() != 1 || now.mode() & 0o666 == mode {
        return;
    }
    if now.gid() != folder.gid() {
        // Without it the group does not get in, as before.
        let _ = fchown(file, None, Some(folder.gid()));
    }
    let _ = file.set_permissions(Permissions::from_mode(mode));
}

#[cfg(not(unix))]
fn open_to_writers(_file: &File, _folder: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_waited_for_and_not_for_ever() {
        let path = std::env::temp_dir().join(format!("slk-lock-{}", std::process::id()));
        let held = lock(&path, Duration::ZERO).unwrap();
        assert_eq!(lock(&path, Duration::from_millis(30)).unwrap_err().code, Code::FileLocked);
        let waiting = {
            let path = path.clone();
            std::thread::spawn(move || lock(&path, Duration::from_secs(60)).map(drop))
        };
        drop(held);
        assert_eq!(waiting.join().unwrap(), Ok(()));
        std::fs::remove_file(&path).unwrap();
    }
}
