//! What a parameter is worth that no licence has: the file of parameters that the vendor gives with a series, in the data folder.
//! It serves what verifies under the root of the asker's series and nothing else. It waits for a disk, so it is asked on threads
//! of its own.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use licence::crypto::Provider;
use licence::host::datafile::{FileMark, OnDisk};
use licence::host::files;
use licence::parameters::{self, Parameters};
use licence::{Code, Error, KeyId, Result, SeriesId};
use parking_lot::Mutex;

/// Files kept at most; each series has one.
const KEPT: usize = 64;

type Read = (SeriesId, Parameters);

/// The files of parameters of one folder.
pub struct Defaults {
    crypto: Provider,
    folder: PathBuf,
    known: Mutex<HashMap<KeyId, (FileMark, Arc<Read>)>>,
}

impl Defaults {
    /// Those of `folder`.
    pub fn new(crypto: Provider, folder: PathBuf) -> Defaults {
        Defaults { crypto, folder, known: Mutex::default() }
    }

    /// The default of a parameter; `None` without a file, or when the file has none of this name. [`Code::AnchorConflict`] when
    /// the file is that of another vendor with the same number.
    pub fn value(&self, series: &SeriesId, name: &str) -> Result<Option<String>> {
        let Some(read) = self.file(series.key_id)? else { return Ok(None) };
        let (of, parameters) = &*read;
        if of != series {
            let file = parameters::file_name(series.key_id);
            return Err(Error::new(Code::AnchorConflict).with(series.key_id).with(file));
        }
        Ok(parameters.parameters.get(name).cloned())
    }

    /// The file as it is now; read again only when it has changed.
    fn file(&self, key_id: KeyId) -> Result<Option<Arc<Read>>> {
        let path = self.folder.join(parameters::file_name(key_id));
        let Some(now) = OnDisk::look(&path) else {
            self.known.lock().remove(&key_id);
            return Ok(None);
        };
        if let Some((mark, read)) = self.known.lock().get(&key_id)
            && *mark == now
        {
            return Ok(Some(read.clone()));
        }
        let bytes = files::read(&path, parameters::LIMIT)?;
        let place = path.display().to_string();
        licence::document::refuse_foreign(&place, &bytes)?;
        let text = licence::text::read(&place, bytes)?;
        let read = Arc::new(Parameters::read(self.crypto, &place, &text)?);
        let mut known = self.known.lock();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key_id, (now, read.clone()));
        Ok(Some(read))
    }
}
