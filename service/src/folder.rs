//! The data folder of a running service: that it is still the one that was opened. Whoever writes into it, or believes what is not there
//! any more, looks here first: a folder that was unmounted, covered, emptied or exchanged must neither loosen anything nor end anybody's
//! session, and nothing of ours belongs into another one.

use std::io;
use std::path::{Path, PathBuf};

use licence::crypto::Provider;
use licence::error::{Code, Error, Result};
use licence::host::files::{self, Access};
use licence::host::lock::Lock;
use licence::host::mark::{self, FileMark, HeldFolder};
use licence::identity::{Identity, PublicIdentity};
use parking_lot::Mutex;

use crate::ledger::{OWNER, own};
use crate::{IDENTITY_FILE, MAX_IDENTITY};

/// The folder that this process owns.
pub struct DataFolder {
    path: PathBuf,
    held: HeldFolder,
    /// The owner's lock; given up when this is dropped.
    owner: Mutex<Lock>,
    identity: Mutex<Option<Named>>,
}

/// The identity that the folder had when it was opened.
struct Named {
    crypto: Provider,
    public: PublicIdentity,
    /// The file as it was found good last.
    mark: FileMark,
}

impl DataFolder {
    /// Makes this process the owner of `path`, which is made when there is none.
    ///
    /// Errors: [`Code::StoreOwned`], [`Code::NetworkStore`], [`Code::FileFailed`].
    pub fn own(path: &Path) -> Result<DataFolder> {
        let owner = own(path)?;
        let held = HeldFolder::open(path).map_err(|e| files::failed(path, &e))?;
        Ok(DataFolder { path: path.to_owned(), held, owner: Mutex::new(owner), identity: Mutex::default() })
    }

    /// Whether a process owns the folder `path`, as far as that can be told. Makes nothing there.
    pub fn is_owned(path: &Path) -> bool {
        match files::open(&path.join(OWNER)).and_then(Lock::take) {
            Ok(taken) => taken.is_err(),
            Err(e) => !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Remembers the identity of the folder: one with another identity is another folder.
    pub fn keep_identity(&self, crypto: Provider, public: PublicIdentity) -> Result<()> {
        let path = self.path.join(IDENTITY_FILE);
        let mark = FileMark::look(&path).map_err(|e| files::failed(&path, &e))?;
        *self.identity.lock() = Some(Named { crypto, public, mark });
        Ok(())
    }

    /// Whether the folder is the one that was opened, is ours, and has its identity. Takes microseconds.
    ///
    /// Errors: [`Code::FolderGone`], [`Code::FileGone`], [`Code::FileReplaced`].
    pub fn look(&self) -> Result<()> {
        match self.held.is_at(&self.path) {
            Ok(true) => {}
            Ok(false) => return Err(self.gone("на её месте другая папка", "another folder is in its place")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(self.gone("её нет", "it is not there")),
            Err(e) => return Err(Error::new(Code::FolderGone).with(self.path.display()).with(e)),
        }
        self.look_at_identity()?;
        self.look_at_owner()
    }

    /// Writes a file of its owner's into the folder, if it is the one that was opened.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.look()?;
        files::write_atomically(&self.path.join(name), bytes, Access::Private)
    }

    fn gone(&self, russian: &str, english: &str) -> Error {
        Error::new(Code::FolderGone).with(self.path.display()).with_text(russian, english)
    }

    fn look_at_identity(&self) -> Result<()> {
        let mut identity = self.identity.lock();
        let Some(named) = identity.as_mut() else { return Ok(()) };
        let path = self.path.join(IDENTITY_FILE);
        let mark = FileMark::look(&path).map_err(|e| missing(&path, &e))?;
        if mark.is_unwritten(&named.mark) {
            return Ok(());
        }
        let text = files::read_text(&path, MAX_IDENTITY).map(zeroize::Zeroizing::new);
        let read = text.and_then(|text| Identity::read(named.crypto, &path.display().to_string(), &text));
        match read {
            Ok(read) if read.public() == named.public => {
                named.mark = mark;
                Ok(())
            }
            Ok(_) => Err(replaced(&path)),
            Err(error) => Err(Error::new(Code::FileReplaced).with(path.display()).with_text(
                error.cause(licence::Lang::Russian).trim_end_matches('.'),
                error.cause(licence::Lang::English).trim_end_matches('.'),
            )),
        }
    }

    /// A lock that somebody has removed is taken again: nothing else is wrong with the folder. Who took it meanwhile keeps it.
    fn look_at_owner(&self) -> Result<()> {
        let path = self.path.join(OWNER);
        let mut owner = self.owner.lock();
        match mark::is_at(&owner, &path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(replaced(&path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                *owner = own(&self.path).map_err(|_| Error::new(Code::FileGone).with(path.display()))?;
                log::warn!("{} was removed while the server runs; it is there again", path.display());
                Ok(())
            }
            Err(e) => Err(files::failed(&path, &e)),
        }
    }
}

/// The error for a file of the folder that is gone or can't be looked at.
pub fn missing(path: &Path, cause: &io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::NotFound => Error::new(Code::FileGone).with(path.display()),
        _ => files::failed(path, cause),
    }
}

/// The error for a file of the folder that has become another one.
pub fn replaced(path: &Path) -> Error {
    let error = Error::new(Code::FileReplaced).with(path.display());
    error.with_text("под этим именем другой файл", "another file has its name")
}

/// Whether an error says that the folder or a file of it was lost, so that only its return mends it.
pub fn is_loss(error: &Error) -> bool {
    matches!(error.code, Code::FolderGone | Code::FileGone | Code::FileReplaced | Code::FileAltered)
}
