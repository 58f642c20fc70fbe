//! Whether the store's files are as the writer has left them. Only it writes them, so whatever else is found under their names was put
//! there by somebody: then what the writer writes is not kept, and what it finds there is not its own.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use licence::error::{Code, Error, Result};
use licence::host::files;
use licence::host::mark::FileMark;

use super::store::FILE;
use crate::folder::{DataFolder, missing, replaced};

/// Bytes of the head of a frame of the journal: its numbers and checksums differ from those of every other frame.
const FRAME_HEAD: usize = 24;

/// The store's file and its journal as they were left.
pub struct Watch {
    folder: Arc<DataFolder>,
    files: [Watched; 2],
    /// The journal, to read from; `None` where it can't be read.
    journal: Option<File>,
    /// The last frame of the journal.
    last: Option<Frame>,
}

/// A frame of the journal.
struct Frame {
    /// Where it ends.
    end: u64,
    head: [u8; FRAME_HEAD],
}

impl Frame {
    /// The frame of `size` bytes that ends at `end`.
    fn read(mut journal: &File, end: u64, size: u64) -> io::Result<Frame> {
        let mut head = [0; FRAME_HEAD];
        journal.seek(SeekFrom::Start(end.saturating_sub(size)))?;
        journal.read_exact(&mut head)?;
        Ok(Frame { end, head })
    }
}

struct Watched {
    path: PathBuf,
    /// `None`: it need not be there.
    left: Option<FileMark>,
    /// Whether the writer may have written to it since, while its name led nowhere or elsewhere.
    written: bool,
}

impl Watch {
    /// Begins with the files as they are: the store was just opened.
    pub fn begin(folder: &Arc<DataFolder>) -> Result<Watch> {
        let names = [FILE.to_owned(), format!("{FILE}-wal")];
        let files = names.map(|name| Watched { path: folder.path().join(name), left: None, written: false });
        let mut watch = Watch { folder: folder.clone(), files, journal: None, last: None };
        watch.files.iter_mut().try_for_each(|file| file.accept(|_, _| true))?;
        watch.open_journal();
        Ok(watch)
    }

    /// SQLite keeps no lock on the journal, so closing another handle of it gives none up.
    fn open_journal(&mut self) {
        let [_, journal] = &self.files;
        (self.journal, self.last) = (files::open(&journal.path).ok(), None);
    }

    /// Whether folder and files are as they were left. A few calls of the system, some microseconds.
    ///
    /// Errors: those of [`DataFolder::look`], [`Code::FileGone`], [`Code::FileReplaced`], [`Code::FileAltered`].
    pub fn look(&self) -> Result<()> {
        self.compare(FileMark::is_unwritten)
    }

    /// The same within a transaction: a large one may have gone into the journal already.
    pub fn look_within(&self) -> Result<()> {
        self.compare(|found, left| found.is_same_file(left) && found.size() >= left.size())
    }

    fn compare(&self, journal_fits: fn(&FileMark, &FileMark) -> bool) -> Result<()> {
        self.folder.look()?;
        let [file, journal] = &self.files;
        file.compare(FileMark::is_unwritten)?;
        journal.compare(journal_fits)
    }

    /// After a commit, which writes into the journal only, up to `end`; what was there behind that stays. `frame` is the size of a
    /// frame of the journal.
    ///
    /// Errors: as [`Watch::look`].
    pub fn accept_commit(&mut self, end: u64, frame: u64) -> Result<()> {
        // A journal that was cut right before the commit has its length again, and a hole where the last frame was.
        let is_whole = match (&self.journal, &self.last) {
            (Some(journal), Some(last)) if last.end < end => {
                Frame::read(journal, last.end, frame).is_ok_and(|found| found.head == last.head)
            }
            _ => true,
        };
        let [file, journal] = &mut self.files;
        let kept = file.accept(FileMark::is_unwritten);
        // Windows notes the size of a file that is open when it likes to.
        journal.accept(|found, left| is_whole && (cfg!(windows) || found.size() == left.size().max(end)))?;
        self.last = self.journal.as_ref().and_then(|journal| Frame::read(journal, end, frame).ok());
        kept
    }

    /// After the journal was written back into the file, which has `size` bytes then; `None` when that could not be done.
    pub fn accept_checkpoint(&mut self, size: Option<u64>) -> Result<()> {
        let [file, wal] = &mut self.files;
        file.accept(|found, _| size.is_none_or(|size| found.size() == size))?;
        wal.accept(|found, left| found.size() >= left.size())
    }

    /// After the store was closed or opened by us, which may write to it, remove its journal and make it. What is not the same file
    /// stays unexpected.
    pub fn renew(&mut self) {
        let [file, journal] = &mut self.files;
        let Ok(found) = file.found() else { return };
        (file.left, file.written) = (Some(found), false);
        match FileMark::look(&journal.path) {
            Ok(found) => (journal.left, journal.written) = (Some(found), false),
            Err(e) if e.kind() == io::ErrorKind::NotFound => journal.left = None,
            Err(_) => {}
        }
        self.open_journal();
    }
}

impl Watched {
    /// What it is like, if it is the file that was left.
    fn found(&self) -> Result<FileMark> {
        let found = FileMark::look(&self.path).map_err(|e| missing(&self.path, &e))?;
        match &self.left {
            Some(left) if !found.is_same_file(left) => Err(replaced(&self.path)),
            _ => Ok(found),
        }
    }

    fn compare(&self, fits: fn(&FileMark, &FileMark) -> bool) -> Result<()> {
        let Some(left) = &self.left else { return Ok(()) };
        if fits(&self.found()?, left) || self.written {
            return Ok(());
        }
        Err(Error::new(Code::FileAltered).with(self.path.display()))
    }

    /// Takes it as it is now, if it is the file that was left and what became of it can be the writer's doing.
    fn accept(&mut self, fits: impl FnOnce(&FileMark, &FileMark) -> bool) -> Result<()> {
        let found = self.found().inspect_err(|_| self.written = true)?;
        if let Some(left) = self.left.filter(|left| !fits(&found, left)) {
            // It never is again what it was.
            (self.left, self.written) = (Some(left), false);
            return Err(Error::new(Code::FileAltered).with(self.path.display()));
        }
        (self.left, self.written) = (Some(found), false);
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;

    use super::*;

    const HEAD: u64 = 32;
    const FRAME: u64 = 124;

    #[test]
    fn a_journal_that_is_cut_right_before_a_commit_is_not_taken_for_whole() {
        let path = std::env::temp_dir().join(format!("slk-watch-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let folder = Arc::new(DataFolder::own(&path).unwrap());
        fs::write(path.join(FILE), "store").unwrap();
        fs::write(path.join(format!("{FILE}-wal")), [0; HEAD as usize]).unwrap();
        let journal = File::options().write(true).open(path.join(format!("{FILE}-wal"))).unwrap();
        let mut watch = Watch::begin(&folder).unwrap();
        // What a commit does whose last frame is the one of this number.
        let mut commit = |number: u64, content: u8| {
            journal.write_all_at(&[content; FRAME as usize], HEAD + (number - 1) * FRAME).unwrap();
            watch.accept_commit(HEAD + number * FRAME, FRAME)
        };
        for number in 1..=4 {
            commit(number, number as u8).unwrap();
        }
        // The journal was written back and begins anew; what is behind the new frames stays.
        commit(1, 11).unwrap();
        commit(2, 12).unwrap();
        commit(5, 15).unwrap();
        journal.set_len(HEAD + 2 * FRAME).unwrap();
        assert_eq!(
            commit(6, 16).unwrap_err().code,
            Code::FileAltered,
            "the length is as it was, the fifth frame is gone"
        );
        assert_eq!(commit(7, 17).unwrap_err().code, Code::FileAltered, "it never is again what it was");
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_journal_that_is_longer_than_a_commit_leaves_it_was_written_to() {
        let path = std::env::temp_dir().join(format!("slk-watch-longer-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let folder = Arc::new(DataFolder::own(&path).unwrap());
        fs::write(path.join(FILE), "store").unwrap();
        fs::write(path.join(format!("{FILE}-wal")), [0; HEAD as usize]).unwrap();
        let mut watch = Watch::begin(&folder).unwrap();
        fs::write(path.join(format!("{FILE}-wal")), [1; (HEAD + 2 * FRAME) as usize]).unwrap();
        assert_eq!(watch.accept_commit(HEAD + FRAME, FRAME).unwrap_err().code, Code::FileAltered);
        fs::remove_dir_all(&path).unwrap();
    }
}
