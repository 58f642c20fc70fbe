//! A file that is written by somebody else and stays only if all went well.

use std::path::{Path, PathBuf};

use licence::error::{Code, Error, Result};
use licence::host::files;

/// A new, empty file, which goes again when this is dropped.
pub struct NewFile {
    path: PathBuf,
    keep: bool,
}

impl NewFile {
    /// Makes it, for its owner only; a file that is there is not touched.
    pub fn create(path: &Path) -> Result<NewFile> {
        files::create_new(path, 0o600).map_err(|e| failed(path, &e))?;
        Ok(NewFile { path: path.to_owned(), keep: false })
    }

    /// What was written stays: it is on the disk now.
    pub fn keep(mut self) -> Result<()> {
        files::open(&self.path).and_then(|file| file.sync_all()).map_err(|e| failed(&self.path, &e))?;
        self.keep = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            log::warn!("{}: {error}", self.path.display());
        }
    }
}

fn failed(path: &Path, cause: &std::io::Error) -> Error {
    Error::new(Code::FileFailed).with(path.display()).with(cause)
}
