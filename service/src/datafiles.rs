//! Datafiles that lie in the server's data folder, as components ask for them piece by piece.
//! It serves what verifies under the root of the asker's series and nothing else; what a datafile is worth decides the
//! component, under its own anchor.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use licence::crypto::Provider;
use licence::datafile::{Datafile, joined};
use licence::host::datafile::{FileMark, OnDisk};
use licence::protocol::MAX_PIECE;
use licence::protocol::message::{DatafilePiece, DatafileQuery};
use licence::{Code, Error, Result, SeriesId};
use parking_lot::Mutex;

/// Datafiles kept open at most; each series has two.
const KEPT: usize = 64;

/// The datafiles of one folder.
pub struct Datafiles {
    crypto: Provider,
    folder: PathBuf,
    open: Mutex<HashMap<PathBuf, (FileMark, Arc<Datafile>)>>,
}

impl Datafiles {
    /// Those of `folder`.
    pub fn new(crypto: Provider, folder: PathBuf) -> Datafiles {
        Datafiles { crypto, folder, open: Mutex::default() }
    }

    /// A piece of a series' datafile. [`Code::NoDatafile`] when there is none, [`Code::AnchorConflict`] when the file is that of
    /// another vendor with the same number.
    pub fn piece(&self, series: &SeriesId, query: &DatafileQuery) -> Result<DatafilePiece> {
        let name = query.part.file_name(series.key_id);
        let file = self.file(&self.folder.join(&name))?.ok_or_else(|| Error::new(Code::NoDatafile).with(&name))?;
        if file.series != *series {
            return Err(Error::new(Code::AnchorConflict).with(series.key_id).with(name));
        }
        let size = file.place().size();
        let length = size.saturating_sub(query.at).min(u64::from(query.length.min(MAX_PIECE)));
        let bytes = match usize::try_from(length) {
            Ok(0) => Vec::new(),
            length => joined(file.place().read(query.at, length.unwrap_or(usize::MAX), None)?),
        };
        Ok(DatafilePiece { size, stamp: file.stamp, bytes })
    }

    /// The file as it is now; read again only when it has changed.
    fn file(&self, path: &Path) -> Result<Option<Arc<Datafile>>> {
        let now = OnDisk::look(path);
        if let Some((mark, file)) = self.open.lock().get(path)
            && now == Some(*mark)
        {
            return Ok(Some(file.clone()));
        }
        let Some(file) = OnDisk::find(path)? else {
            self.open.lock().remove(path);
            return Ok(None);
        };
        let mark = file.mark;
        let file = Arc::new(Datafile::at(self.crypto, Box::new(file), None)?);
        let mut open = self.open.lock();
        if open.len() >= KEPT {
            open.clear();
        }
        open.insert(path.to_owned(), (mark, file.clone()));
        Ok(Some(file))
    }
}
