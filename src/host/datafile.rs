//! A datafile on a disk, read where it lies: only what is asked for comes into memory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{self, failed};
pub use super::mark::FileMark;
use crate::datafile::{Piece, Place};
use crate::error::{Code, Error, Result};
use crate::time::Deadline;

/// An open file. What replaces it under its name is another file, and does not change what is read here.
pub struct OnDisk {
    path: PathBuf,
    file: File,
    size: u64,
    /// What it was like when it was opened.
    pub mark: FileMark,
}

impl OnDisk {
    /// Opens a regular file; `None` when there is none of this name.
    pub fn find(path: &Path) -> Result<Option<OnDisk>> {
        let fail = |e: io::Error| failed(path, &e);
        let file = match files::open(path) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
            opened => opened.map_err(fail)?,
        };
        let facts = file.metadata().map_err(fail)?;
        let (size, mark) = (facts.len(), FileMark::of(&facts));
        Ok(Some(OnDisk { path: path.to_owned(), file, size, mark }))
    }

    /// What the file of this name is like now.
    pub fn look(path: &Path) -> Option<FileMark> {
        FileMark::look(path).ok()
    }
}

impl Place for OnDisk {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, at: u64, length: usize, _: Option<&Deadline>) -> Result<Vec<Piece>> {
        if at.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Err(Error::new(Code::DocumentDamaged).with(self.name()).with("length"));
        }
        let mut bytes = vec![0; length];
        read_exact_at(&self.file, &mut bytes, at).map_err(|e| failed(&self.path, &e))?;
        Ok(vec![bytes.into()])
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut bytes[read..];
                at += read as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datafile::joined;

    #[test]
    fn a_file_is_read_where_it_lies_and_no_further_than_it_was() {
        let path = std::env::temp_dir().join(format!("slk-on-disk-{}", std::process::id()));
        assert!(OnDisk::find(&path).unwrap().is_none());
        std::fs::write(&path, b"0123456789").unwrap();
        let file = OnDisk::find(&path).unwrap().unwrap();
        let read = |at, length| file.read(at, length, None);
        assert_eq!((file.size(), joined(read(3, 4).unwrap())), (10, b"3456".to_vec()));
        assert_eq!(OnDisk::look(&path), Some(file.mark));
        assert!(read(8, 3).is_err() && read(u64::MAX, 1).is_err() && read(10, 0).is_ok());
        std::fs::write(&path, b"01234").unwrap();
        assert!(read(3, 4).is_err(), "the file was cut");
        assert_ne!(OnDisk::look(&path), Some(file.mark));
        std::fs::remove_file(&path).unwrap();
        assert!(OnDisk::find(&std::env::temp_dir()).is_err(), "a folder");
    }
}
