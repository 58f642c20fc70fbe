//! Whether the store's files are as the writer has left them. Only it writes them, so whatever else is found under their names was put
//! there by somebody: then what the writer writes is not kept, and what it finds there is not its own.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use licence::error::{Code, Error, Result};
use licence::host::mark::FileMark;

use super::store::FILE;
use crate::folder::{DataFolder, missing, replaced};

/// The store's file and its journal as they were left.
pub struct Watch {
    folder: Arc<DataFolder>,
    files: [Watched; 2],
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
        let mut watch = Watch { folder: folder.clone(), files };
        watch.files.iter_mut().try_for_each(|file| file.accept(|_, _| true))?;
        Ok(watch)
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

    /// After a commit, which writes into the journal only and leaves it no shorter than `journal` bytes.
    ///
    /// Errors: as [`Watch::look`].
    pub fn accept_commit(&mut self, journal: u64) -> Result<()> {
        let [file, wal] = &mut self.files;
        let kept = file.accept(FileMark::is_unwritten);
        wal.accept(|found, _| found.size() >= journal)?;
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
