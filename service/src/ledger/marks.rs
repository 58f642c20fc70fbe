//! Marks of how far the store has come, in places that don't go back with it: beside the store, and where this computer remembers its
//! servers. The rule is [`licence::accounting::rollback`]. A mark that can't be read or written hinders nothing: it is told.

use std::path::{Path, PathBuf};

use licence::accounting::rollback::{Found, MARK_LENGTH, Mark};
use licence::crypto::Provider;
use licence::host::record::Record;

/// Name of the mark beside the store.
pub const FILE: &str = "ledger.mark";

/// The marks of one store.
pub struct Marks {
    crypto: Provider,
    places: Vec<Place>,
    last: Option<Mark>,
}

struct Place {
    path: PathBuf,
    /// `None` until the first write, and after one that failed.
    record: Option<Record>,
}

impl Marks {
    /// Marks in the data folder `folder`, and in `elsewhere` if there is such a place: the path of a file.
    pub fn new(crypto: Provider, folder: &Path, elsewhere: Option<PathBuf>) -> Marks {
        let paths = [Some(folder.join(FILE)), elsewhere].into_iter().flatten();
        Marks { crypto, places: paths.map(|path| Place { path, record: None }).collect(), last: None }
    }

    /// What is in each place.
    pub fn find(&self) -> Vec<Found> {
        let find = |place: &Place| match Record::read(&place.path, 2 * MARK_LENGTH as u64) {
            Ok(None) => Found::Nothing,
            Ok(Some(bytes)) => Mark::read(self.crypto, &bytes).map_or_else(
                || {
                    log::warn!("{}: no mark can be read here", place.path.display());
                    Found::Unreadable
                },
                Found::Mark,
            ),
            Err(cause) => {
                log::warn!("{}: {cause}", place.path.display());
                Found::Unreadable
            }
        };
        self.places.iter().map(find).collect()
    }

    /// Writes the first mark of this life, and makes the files that are not there, durably. Whether any was written.
    pub fn begin(&mut self, mark: Mark) -> bool {
        self.last = Some(mark);
        let bytes = mark.write(self.crypto);
        for place in &mut self.places {
            match Record::open(&place.path, &bytes) {
                Ok(record) => place.record = Some(record),
                Err(cause) => log::warn!("{}: no mark is written here: {cause}", place.path.display()),
            }
        }
        self.places.iter().any(|place| place.record.is_some())
    }

    /// A commit with this number is durable.
    pub fn advance(&mut self, sequence: u64) {
        if let Some(last) = self.last {
            self.write(Mark { sequence, journal: true, ..last });
        }
    }

    /// The store is about to be closed in an orderly way, with nothing left in its journal.
    pub fn end(&mut self) {
        let Some(last) = self.last else { return };
        self.write(Mark { journal: false, ..last });
        for place in &self.places {
            if let Some(Err(cause)) = place.record.as_ref().map(Record::sync) {
                log::warn!("{}: {cause}", place.path.display());
            }
        }
    }

    fn write(&mut self, mark: Mark) {
        if self.last == Some(mark) {
            return;
        }
        self.last = Some(mark);
        let bytes = mark.write(self.crypto);
        for place in &mut self.places {
            if let Some(Err(cause)) = place.record.as_ref().map(|record| record.write(&bytes)) {
                log::error!("{}: no mark is written here any more: {cause}", place.path.display());
                place.record = None;
            }
        }
    }
}
