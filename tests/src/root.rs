//! A temporary folder that stands for the root of a computer's files (`SLK_ROOT`), removed when dropped.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::failure::Outcome;

/// Where the settings are below a root.
const SETTINGS: &str = "var/1C/licence/3.0";
/// Where the data are.
const DATA: &str = "var/1C/licence/data";

/// The folder.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    kept: bool,
}

impl Root {
    /// An empty folder.
    pub fn new(name: &str) -> Outcome<Root> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("slk-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join(SETTINGS))?;
        fs::create_dir_all(path.join(DATA))?;
        Ok(Root { path, kept: false })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Folder of settings.
    pub fn settings(&self) -> PathBuf {
        self.path.join(SETTINGS)
    }

    /// Folder of keys and of the server's own files.
    pub fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }

    /// Copies the data of another root over this one's.
    pub fn copy_data_from(&self, other: &Root) -> Outcome {
        copy(&other.data(), &self.data())
    }

    /// Leaves the folder when dropped.
    pub fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if !self.kept {
            // It lies in the system's temporary folder; what can't be removed now is removed there later.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn copy(from: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
