//! The object manager as a file: 1C can only open an external data processor that is one. The bytes lie in this library; the
//! file is private, has a name that nobody can guess, and goes with the last object that asked for it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use licence::crypto::Crypto;
use licence::crypto::ring::PROVIDER;
use licence::error::{Code, Error, Result};
use licence::host::files;
use licence::host::paths::Paths;
use licence::id::hex;
use licence::version::VERSION;

/// The processor, built from `addin/manager`.
const MANAGER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/manager.epf"));

static FILE: Mutex<File> = Mutex::new(File { users: 0, path: None });

/// The one file of this process, and how many objects have asked for it.
struct File {
    users: usize,
    path: Option<PathBuf>,
}

/// Keeps the file.
pub struct Placed(());

/// Name of the file, kept by `placed` from now on. It is written if it is not there, or not any more as it was.
pub fn place(placed: &mut Option<Placed>) -> Result<String> {
    let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = match file.path.take() {
        Some(path) if is_intact(&path) => path,
        known => {
            // Who has changed it may keep it from being removed.
            let _ = known.map(fs::remove_file);
            write(&Paths::temporary())?
        }
    };
    let name = path.display().to_string();
    file.path = Some(path);
    if placed.is_none() {
        file.users += 1;
        *placed = Some(Placed(()));
    }
    Ok(name)
}

impl Drop for Placed {
    fn drop(&mut self) {
        let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
        file.users -= 1;
        if file.users == 0
            && let Some(path) = file.path.take()
        {
            // Whoever has it open keeps it; the system clears its temporary folder of the rest.
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether the file is still the one that was written, and no link to another.
fn is_intact(path: &Path) -> bool {
    let is_file = fs::symlink_metadata(path).is_ok_and(|facts| facts.is_file() && facts.len() == MANAGER.len() as u64);
    is_file && files::read(path, MANAGER.len() as u64).is_ok_and(|bytes| bytes == MANAGER)
}

fn write(folder: &Path) -> Result<PathBuf> {
    let name = format!("licence-{VERSION}-{}.epf", hex(&PROVIDER.random_id()?));
    let path = folder.join(name);
    let failed = |e: io::Error| Error::new(Code::ManagerUnavailable).with(path.display()).with(e);
    fs::create_dir_all(folder).map_err(failed)?;
    let mut options = OpenOptions::new();
    // A name that is taken, be it by a link, is an error.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&path).and_then(|mut file| file.write_all(MANAGER)).map_err(failed)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: the file is one for the process.
    #[test]
    fn the_file_is_private_is_mended_and_goes_with_the_last_object() {
        let (mut one, mut other) = (None, None);
        let first = PathBuf::from(place(&mut one).unwrap());
        assert_eq!(fs::read(&first).unwrap(), MANAGER);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(PathBuf::from(place(&mut other).unwrap()), first, "one for all objects");
        fs::write(&first, "changed").unwrap();
        let second = PathBuf::from(place(&mut one).unwrap());
        assert_eq!(fs::read(&second).unwrap(), MANAGER);
        fs::remove_file(&second).unwrap();
        let third = PathBuf::from(place(&mut one).unwrap());
        assert!(third.exists() && third != second);
        drop(one);
        assert!(third.exists());
        drop(other);
        assert!(!third.exists() && !first.exists());
    }
}
