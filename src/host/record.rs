//! A small record in a file of its own, written again and again where it lies: one write each, no new file, no sync unless asked for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use super::files::{self, Access};

/// The open file.
#[derive(Debug)]
pub struct Record(File);

impl Record {
    /// What is there, at most `limit` bytes; `None` when nothing is. What can't be written can't be relied on, as it may be old: that is
    /// an error too.
    pub fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        if !regular(path)? {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(bytes))
    }

    /// Opens the file and writes `bytes` at its begin. One that is not there is made for its owner only, and is durable then.
    pub fn open(path: &Path, bytes: &[u8]) -> io::Result<Record> {
        let made = !regular(path)?;
        if made {
            files::write_atomically(path, bytes, Access::Private).map_err(io::Error::other)?;
        }
        let record = Record(OpenOptions::new().read(true).write(true).open(path)?);
        if made {
            give(path, &record.0)?;
        } else {
            record.write(bytes)?;
        }
        Ok(record)
    }

    /// Writes `bytes` at the begin of the file.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        write_all_at(&self.0, bytes)
    }

    /// Makes durable what was written.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Whether a regular file is there; something else is an error, as opening it might wait for ever or lead elsewhere.
fn regular(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_file() => Ok(true),
        Ok(_) => Err(io::Error::other("not a regular file")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// What root makes belongs to whom the folder belongs: the service that runs there must be able to write it.
#[cfg(unix)]
fn give(path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    if super::os::user_id() != 0 {
        return Ok(());
    }
    let folder = fs::metadata(path.parent().unwrap_or(Path::new(".")))?;
    fchown(file, Some(folder.uid()), Some(folder.gid()))
}

#[cfg(not(unix))]
fn give(_path: &Path, _file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8]) -> io::Result<()> {
    let mut at = 0;
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, at)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                bytes = &bytes[written..];
                at += written as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_written_where_it_lies() {
        let folder = std::env::temp_dir().join(format!("slk-record-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.mark");
        assert_eq!(Record::read(&path, 10).unwrap(), None);
        let record = Record::open(&path, b"one").unwrap();
        record.write(b"two").unwrap();
        record.sync().unwrap();
        assert_eq!(Record::read(&path, 10).unwrap().as_deref(), Some(&b"two"[..]));
        drop(Record::open(&path, b"six").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"six");
        assert!(Record::read(&path, 2).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let link = folder.join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert!(Record::read(&link, 10).is_err() && Record::open(&link, b"evil").is_err());
        }
        assert!(Record::open(&folder, b"x").is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
