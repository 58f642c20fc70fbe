//! What tells that the file of a name is another one than before, or was changed.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// What a file was like at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMark {
    id: FileId,
    size: u64,
    modified: Option<SystemTime>,
    changed: Option<(i64, i64)>,
}

/// Which file it is, whatever its name: device and number. Windows tells them to nobody through the standard library; there the time of
/// its creation stands for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileMark {
    /// By what the system says of a file.
    pub fn of(facts: &Metadata) -> FileMark {
        FileMark { id: id(facts), size: facts.len(), modified: facts.modified().ok(), changed: changed(facts) }
    }

    /// What the file of this name is like now.
    pub fn look(path: &Path) -> io::Result<FileMark> {
        fs::metadata(path).map(|facts| FileMark::of(&facts))
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it is the same file, whatever is in it.
    pub fn is_same_file(&self, other: &FileMark) -> bool {
        self.id == other.id
    }

    /// Whether it is the same file and nobody has written to it; its owner and rights may be others.
    pub fn is_unwritten(&self, other: &FileMark) -> bool {
        // Windows notes size and time of a file that is open when it likes to.
        self.id == other.id && (cfg!(windows) || (self.size, self.modified) == (other.size, other.modified))
    }
}

#[cfg(unix)]
fn id(facts: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    FileId(facts.dev(), facts.ino())
}

#[cfg(windows)]
fn id(facts: &Metadata) -> FileId {
    FileId(0, std::os::windows::fs::MetadataExt::creation_time(facts))
}

#[cfg(unix)]
fn changed(facts: &Metadata) -> Option<(i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    Some((facts.ctime(), facts.ctime_nsec()))
}

#[cfg(windows)]
fn changed(_facts: &Metadata) -> Option<(i64, i64)> {
    None
}

/// A folder that is held, so that another one in its place can be told.
#[derive(Debug)]
pub struct HeldFolder(#[cfg(unix)] File);

impl HeldFolder {
    /// Holds the folder of this name.
    pub fn open(path: &Path) -> io::Result<HeldFolder> {
        #[cfg(unix)]
        return File::open(path).map(HeldFolder);
        #[cfg(not(unix))]
        return fs::metadata(path).map(|_| HeldFolder());
    }

    /// Whether `path` still is that folder. Elsewhere than on Unix open files in a folder keep it in its place, so being there is enough.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        let there = fs::metadata(path)?;
        #[cfg(unix)]
        return Ok(id(&self.0.metadata()?) == id(&there));
        #[cfg(not(unix))]
        return Ok(there.is_dir());
    }
}

/// Whether `path` is the name of the open `file`.
pub fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    Ok(id(&file.metadata()?) == id(&fs::metadata(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn files_are_told_apart_by_what_they_are_and_rights_are_no_content() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("slk-mark-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let held = HeldFolder::open(&folder).unwrap();
        let path = folder.join("a");
        fs::write(&path, "one").unwrap();
        let first = FileMark::look(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        fs::rename(&path, folder.join("b")).unwrap();
        assert_eq!(FileMark::look(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::rename(folder.join("b"), &path).unwrap();
        let again = FileMark::look(&path).unwrap();
        assert!(again != first && again.is_unwritten(&first), "{first:?} {again:?}");
        fs::write(&path, "other").unwrap();
        let written = FileMark::look(&path).unwrap();
        assert!(written.is_same_file(&first) && !written.is_unwritten(&first));
        fs::write(folder.join("b"), "other").unwrap();
        fs::rename(folder.join("b"), &path).unwrap();
        assert!(!FileMark::look(&path).unwrap().is_same_file(&first), "another file of that name");

        assert!(held.is_at(&folder).unwrap());
        let aside = folder.with_extension("aside");
        fs::rename(&folder, &aside).unwrap();
        assert!(held.is_at(&folder).is_err());
        fs::create_dir_all(&folder).unwrap();
        assert!(!held.is_at(&folder).unwrap());
        fs::remove_dir_all(&folder).unwrap();
        fs::remove_dir_all(&aside).unwrap();
    }
}
