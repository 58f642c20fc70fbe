//! Reading and writing whole files: bounded, atomic, with errors that name the place. Only regular files are read, and opening
//! one waits for nobody; what root writes belongs to whom its folder belongs.

mod in_place;
mod leftovers;
mod lock;
mod owner;
mod regular;

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::text;

pub use leftovers::remove_leftovers;
pub use lock::lock;
pub use regular::{create_new, open, open_log, open_private};

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
    if let Some(other) = cause.get_ref().and_then(|cause| cause.downcast_ref::<regular::NotRegular>()) {
        return Error::new(Code::NotRegularFile).with(path.display()).with_text(other.0[0], other.0[1]);
    }
    Error::new(Code::FileFailed).with(path.display()).with(cause)
}

/// The bytes of a file of at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)
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
        let mut file = open(path)?;
        let size = file.metadata()?.len();
        file.seek(io::SeekFrom::Start(size.saturating_sub(length as u64)))?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|e| failed(path, &e))
}

/// The text of a file of at most `limit` bytes: see [`text::read`].
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    text::read(&path.display().to_string(), read(path, limit)?)
}

/// The text of a file, or `None` when there is none.
pub fn read_text_if_there(path: &Path, limit: u64) -> Result<Option<String>> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => read_text(path, limit).map(Some),
    }
}

/// Writes a file so that after a crash either the old or the new content is there, whole: a temporary file beside it is
/// synced, renamed over it, and the folder is synced. The file keeps its owner as far as this process may give it; what root
/// writes belongs to the former owner or to that of the folder.
pub fn write_atomically(path: &Path, bytes: &[u8], access: Access) -> Result<()> {
    write(path, bytes, access, None, Owner::Any).map_err(|e| failed(path, &e))
}

/// The same for a file that an administrator may have put where it is: a link to it stays and what it names is written; a file that
/// can't be replaced, as one that is mounted, or whose owner this process can't give to a new one, is written over where it lies.
/// The folder `account` belongs to the service's account: there the file goes when neither a former owner nor the file's own folder
/// says to whom it belongs.
pub fn write_atomically_for(path: &Path, bytes: &[u8], access: Access, account: &Path) -> Result<()> {
    let write = || -> io::Result<()> {
        let place = in_place::followed(path)?;
        match write(&place, bytes, access, Some(account), Owner::Kept) {
            Err(e) if in_place::is_fixed(&e) && place.exists() => {}
            written => return written,
        }
        match in_place::write(&place, bytes) {
            // Who may not write to a file but to its folder can still put another one there.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                write(&place, bytes, access, Some(account), Owner::Any)
            }
            written => written,
        }
    };
    write().map_err(|e| failed(path, &e))
}

/// Whose a file is that replaces another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The former owner's, or it is not written: [`io::ErrorKind::ResourceBusy`].
    Kept,
    /// The former owner's, if this process may give it to him.
    Any,
}

fn write(path: &Path, bytes: &[u8], access: Access, account: Option<&Path>, whose: Owner) -> io::Result<()> {
    let folder = folder_of(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(leftovers::temporary_name(&name, std::process::id()));
    let write = || -> io::Result<()> {
        let old = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file);
        let mode = match access {
            Access::Common => 0o644,
            Access::Private => owner::private_mode(old.as_ref()),
        };
        // A process of the same number may have left one, and whatever else lies there is no file of ours to write to.
        match fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = create_new(&temporary, mode)?;
        if cfg!(unix) {
            // Tells others that its writer lives; nobody waits for it.
            let _ = file.try_lock();
        }
        let is_kept = owner::keep(&file, old.as_ref(), folder, account);
        if whose == Owner::Kept && !is_kept {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        owner::set_mode(&file, mode, old.as_ref())?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(folder)
    };
    write().inspect_err(|_| {
        // The first error is the one to tell; what is left of the temporary file is removed if it can be.
        let _ = fs::remove_file(&temporary);
    })
}

/// Creates a folder with its parents. What root makes belongs to whom the folder above it belongs.
pub fn create_folder(path: &Path) -> Result<()> {
    make_folder(path, 0o777, None).map_err(|e| failed(path, &e))
}

/// The same for a folder of the service, whose folder `account` belongs to its account: see [`write_atomically_for`].
pub fn create_folder_for(path: &Path, account: &Path) -> Result<()> {
    make_folder(path, 0o777, Some(account)).map_err(|e| failed(path, &e))
}

/// The same for a folder that nobody but its owner and its group may look into.
pub fn create_closed_folder(path: &Path) -> Result<()> {
    make_folder(path, 0o750, None).map_err(|e| failed(path, &e))
}

fn make_folder(path: &Path, mode: u32, account: Option<&Path>) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_folder(above, 0o777, account)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
    #[cfg(not(unix))]
    let _ = mode;
    match builder.create(path) {
        Ok(()) => {
            owner::inherit_folder(path, account);
            Ok(())
        }
        Err(_) if path.is_dir() => Ok(()),
        Err(e) => Err(e),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
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

    #[cfg(unix)]
    #[test]
    fn what_root_makes_belongs_to_whom_its_folder_belongs() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        let folder = std::env::temp_dir().join(format!("slk-heir-{}", std::process::id()));
        create_folder(&folder).unwrap();
        // Only root may give a folder away; for others everything is their own.
        let own = fs::metadata(&folder).unwrap().uid();
        let owner = if chown(&folder, Some(65_534), Some(65_534)).is_ok() { 65_534 } else { own };
        let of = |name: &str| fs::metadata(folder.join(name)).unwrap();
        write_atomically(&folder.join("a"), b"x", Access::Private).unwrap();
        create_folder(&folder.join("b/c")).unwrap();
        create_closed_folder(&folder.join("b/logs")).unwrap();
        drop(open_private(&folder.join("lock")).unwrap());
        drop(open_log(&folder.join("b/logs/log")).unwrap());
        for name in ["a", "b", "b/c", "b/logs", "lock", "b/logs/log"] {
            assert_eq!(of(name).uid(), owner, "{name}");
        }
        assert_eq!(
            (of("b/logs").mode() & 0o027, of("b/logs/log").mode() & 0o777),
            (of("b/logs").mode() & 0o020, 0o640)
        );
        // What an editor of root's or an earlier version has left.
        chown(folder.join("a"), Some(own), None).unwrap();
        chown(folder.join("lock"), Some(own), None).unwrap();
        write_atomically(&folder.join("a"), b"y", Access::Private).unwrap();
        drop(open_private(&folder.join("lock")).unwrap());
        assert_eq!((of("a").uid(), of("lock").uid()), (owner, owner));
        fs::set_permissions(folder.join("a"), fs::Permissions::from_mode(0o640)).unwrap();
        write_atomically(&folder.join("a"), b"z", Access::Private).unwrap();
        assert_eq!(of("a").mode() & 0o777, 0o640, "a group that was let in");
        fs::set_permissions(folder.join("a"), fs::Permissions::from_mode(0o644)).unwrap();
        write_atomically(&folder.join("a"), b"z", Access::Private).unwrap();
        assert_eq!(of("a").mode() & 0o777, 0o600);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_failed_write_names_the_path() {
        let error = write_atomically(Path::new("/nowhere/at/all"), b"", Access::Common).unwrap_err();
        assert_eq!(error.code, Code::FileFailed);
        assert!(error.to_string().contains("/nowhere/at/all"));
    }
}
