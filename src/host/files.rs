//! Reading and writing whole files: bounded, atomic, with errors that name the place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::error::{Code, Error, Result};

/// Who may read a file that we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever the folder allows.
    Common,
    /// Its owner only.
    Private,
}

/// The catalogue's error for a failed operation on `path`.
pub fn failed(path: &Path, cause: &io::Error) -> Error {
    Error::new(Code::FileFailed).with(path.display()).with(cause)
}

/// The bytes of a file of at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|e| failed(path, &e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(Code::FileFailed).with(path.display()).with(format!("> {limit} bytes")));
    }
    Ok(bytes)
}

/// The last bytes of a file, at most `length` of them.
pub fn read_end(path: &Path, length: usize) -> Result<Vec<u8>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(io::SeekFrom::Start(size.saturating_sub(length as u64)))?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|e| failed(path, &e))
}

/// The text of a file of at most `limit` bytes, in UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|e| {
        let place = format!("byte {}: not UTF-8", e.utf8_error().valid_up_to());
        Error::new(Code::FileFailed).with(path.display()).with(place)
    })
}

/// The text of a file, or `None` when there is none.
pub fn read_text_if_there(path: &Path, limit: u64) -> Result<Option<String>> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => read_text(path, limit).map(Some),
    }
}

/// Writes a file so that after a crash either the old or the new content is there, whole: a temporary file beside it is
/// synced, renamed over it, and the folder is synced.
pub fn write_atomically(path: &Path, bytes: &[u8], access: Access) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.new", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = create(&temporary, access)?;
        keep_owner(path, &file)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(folder)
    };
    write().map_err(|e| {
        // The first error is the one to tell; what is left of the temporary file is removed if it can be.
        let _ = fs::remove_file(&temporary);
        failed(path, &e)
    })
}

/// Creates a folder with its parents.
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| failed(path, &e))
}

fn create(path: &Path, access: Access) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if access == Access::Private { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = access;
    options.open(path)
}

/// A file that is replaced keeps its owner and group, so that what root writes the service can still read.
#[cfg(unix)]
fn keep_owner(path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let (Ok(old), new) = (fs::metadata(path), file.metadata()?) else { return Ok(()) };
    if (old.uid(), old.gid()) == (new.uid(), new.gid()) {
        Ok(())
    } else {
        fchown(file, Some(old.uid()), Some(old.gid()))
    }
}

#[cfg(not(unix))]
fn keep_owner(_path: &Path, _file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let folder = std::env::temp_dir().join(format!("slk-files-{}", std::process::id()));
        create_folder(&folder).unwrap();
        let path = folder.join("a.txt");
        write_atomically(&path, b"one", Access::Private).unwrap();
        write_atomically(&path, b"two", Access::Private).unwrap();
        assert_eq!(read_text(&path, 100).unwrap(), "two");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(read(&path, 2).unwrap_err().to_string().contains("a.txt"));
        assert_eq!((read_end(&path, 2).unwrap(), read_end(&path, 9).unwrap()), (b"wo".to_vec(), b"two".to_vec()));
        assert_eq!(read_text_if_there(&folder.join("none"), 10).unwrap(), None);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_keeps_its_owner() {
        use std::os::unix::fs::{MetadataExt, chown};
        let folder = std::env::temp_dir().join(format!("slk-owner-{}", std::process::id()));
        create_folder(&folder).unwrap();
        let path = folder.join("a.txt");
        write_atomically(&path, b"one", Access::Private).unwrap();
        // Only root may give a file away; others see here that their own stays theirs.
        let owner =
            if chown(&path, Some(65_534), Some(65_534)).is_ok() { 65_534 } else { fs::metadata(&path).unwrap().uid() };
        write_atomically(&path, b"two", Access::Private).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), owner);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_failed_write_names_the_path() {
        let error = write_atomically(Path::new("/nowhere/at/all"), b"", Access::Common).unwrap_err();
        assert_eq!(error.code, Code::FileFailed);
        assert!(error.to_string().contains("/nowhere/at/all"));
    }
}
