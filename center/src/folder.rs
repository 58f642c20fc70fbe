//! The centre's folder: a store and issuing key files. Opens them, and notices when the key files change.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use licence::host::clock::SystemClock;
use licence::time::Clock;
use zeroize::Zeroizing;

use crate::CRYPTO;
use crate::centre::{Centre, issuer_files};
use crate::failure::{Failure, Outcome};
use crate::keyfile::{IssuerFile, Opened};
use crate::passphrase::{Passphrase, Source};
use crate::store::{ADDRESS_FILE, FILE, Store};

/// Certificates that end sooner than this are warned of.
const WARNING_DAYS: i64 = 30;

/// What a look at the key files shows of each: path, length, time of the last change.
type Look = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// The issuing keys of a folder, and the passphrase that has opened them, for files that come later.
pub struct Keys {
    folder: PathBuf,
    source: Source,
    passphrase: Option<Passphrase>,
    seen: Look,
}

/// The centre of a folder, without issuing keys: codes can be made and looked at.
pub fn centre(folder: &Path) -> Outcome<Centre> {
    Ok(Centre::new(CRYPTO, Box::new(SystemClock), Store::open(folder)?))
}

/// The centre of a folder that has a store: it is not made by looking.
pub fn existing(folder: &Path) -> Outcome<Centre> {
    if Store::exists(folder) {
        return centre(folder);
    }
    let folder = folder.display();
    Err(Failure::told(
        format!("{folder}: здесь нет хранилища центра ({FILE} или {ADDRESS_FILE})."),
        format!("{folder}: there is no store of a centre here ({FILE} or {ADDRESS_FILE})."),
    ))
}

impl Keys {
    /// The keys of a folder; nothing is opened yet.
    pub fn new(folder: &Path, source: Source) -> Keys {
        Keys { folder: folder.to_owned(), source, passphrase: None, seen: Look::new() }
    }

    /// Opens all key files, asking for the passphrase where one is needed, and lets the centre serve them.
    pub fn open(&mut self, centre: &Centre) -> Outcome {
        let seen = self.look();
        let files = issuer_files(CRYPTO, &self.folder)?;
        if files.is_empty() {
            let folder = self.folder.display();
            return Err(Failure::told(
                format!("{folder}: нет ни одного файла *.issuer. Создайте его: licenceedit issuer --center {folder}."),
                format!("{folder}: there is no *.issuer file. Make one: licenceedit issuer --center {folder}."),
            ));
        }
        let mut opened = Vec::new();
        for (path, file) in files {
            let key = self.open_one(&path, &file)?;
            opened.push((file, key));
        }
        centre.serve(opened)?;
        self.seen = seen;
        Ok(())
    }

    fn open_one(&mut self, path: &Path, file: &IssuerFile) -> Outcome<Opened> {
        if !file.is_sealed() {
            return Ok(file.open(CRYPTO, None)?);
        }
        if let Some(known) = &self.passphrase
            && let Ok(key) = file.open(CRYPTO, Some(known.as_str()))
        {
            return Ok(key);
        }
        let given = self.source.existing(path)?;
        let key = file.open(CRYPTO, given.as_ref().map(|text| text.as_str()))?;
        self.passphrase = given.map(|text| Zeroizing::new(text.to_string()));
        Ok(key)
    }

    /// Opens the key files again if any has come, gone or changed. A file that can't be opened leaves everything as it was.
    pub fn refresh(&mut self, centre: &Centre) {
        let seen = self.look();
        if seen == self.seen {
            return;
        }
        match self.open(centre) {
            Ok(()) => warn_of_ends(centre),
            Err(failure) => {
                log::error!("issuing keys: {}", failure.text(licence::Lang::English));
                // Told once, until the files change again.
                self.seen = seen;
            }
        }
    }

    fn look(&self) -> Look {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Look::new() };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut look: Look = paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "issuer"))
            .map(|path| match std::fs::metadata(&path) {
                Ok(data) => (path, data.len(), data.modified().ok()),
                Err(_) => (path, 0, None),
            })
            .collect();
        look.sort();
        look
    }
}

/// Tells in the log which series are served until when.
pub fn warn_of_ends(centre: &Centre) {
    let now = SystemClock.now().wall;
    for (series, end) in centre.series() {
        if end < now.plus_days(WARNING_DAYS) {
            let key_id = series.key_id;
            log::warn!("series {key_id}: its issuing certificate ends {end}; make another: licenceedit issuer");
        } else {
            log::info!("series {}, root {}, until {end}", series.key_id, series.root);
        }
    }
}
