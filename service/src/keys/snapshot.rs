//! All keys at one moment, as whoever asks sees them: read without waiting for a disk or a lock. Nothing in it changes.

use std::collections::HashMap;
use std::sync::Arc;

use licence::accounting::pool::{Judgement, Pools};
use licence::accounting::{self, Marks, Warning, Watched};
use licence::api::{Availability, LicenceEntry, LicenceInfo, UnreadableLicence};
use licence::error::{Code, Error, Lang, Result};
use licence::fingerprint::Fingerprint;
use licence::key::Key;
use licence::time::Time;
use licence::{KeyNo, SeriesId};

use super::load::Entry;

/// All keys at one moment, judged. Subkeys in it are wiped when the last holder lets it go.
pub struct Snapshot {
    pub(super) entries: Arc<Vec<Entry>>,
    pub(super) judgement: Judgement,
    pub(super) certificates: Arc<Vec<(SeriesId, String)>>,
    pub(super) fingerprint: Fingerprint,
    pub(super) remarks: Arc<Vec<Error>>,
}

/// One key with its judgement.
pub struct View<'a> {
    /// The file and what is in it.
    pub entry: &'a Entry,
    /// Usable, or why not.
    pub usable: &'a Result<()>,
}

impl Snapshot {
    /// All files, in the order of their names.
    pub fn views(&self) -> impl Iterator<Item = View<'_>> {
        self.entries.iter().map(|entry| {
            let judged = entry.place.and_then(|place| self.judgement.keys.get(place));
            View { entry, usable: judged.unwrap_or(&entry.state) }
        })
    }

    /// What the usable keys give.
    pub fn pools(&self) -> &Pools {
        &self.judgement.pools
    }

    /// What the usable keys say that claims may demand.
    pub fn marks(&self) -> HashMap<SeriesId, HashMap<KeyNo, Marks>> {
        let mut all: HashMap<SeriesId, HashMap<KeyNo, Marks>> = HashMap::new();
        for (series, marks) in self.views().filter(View::is_current).filter_map(|view| view.entry.marks()) {
            all.entry(series).or_default().insert(marks.key_no, marks);
        }
        all
    }

    /// What an administrator should be told of the usable keys at `now`.
    pub fn warnings(&self, now: Time) -> Vec<Warning> {
        let usable = self.views().filter(|view| view.usable.is_ok());
        let watched = usable.filter_map(|view| {
            let key = view.entry.key.as_ref()?;
            Some(Watched {
                series: key.series,
                key_no: key.licence.key_no,
                expire: key.licence.expires(),
                renew_by: key.licence.renew_by,
                parts: view.entry.fits.as_ref().map(|fits| [fits.matched, fits.total, fits.needed]),
            })
        });
        accounting::warnings(watched, now)
    }

    /// The next moment at which time alone changes the judgement.
    pub fn next_change(&self) -> Option<Time> {
        self.judgement.next_change
    }

    /// What stays in force though the data folder doesn't say so any more.
    pub fn remarks(&self) -> &[Error] {
        &self.remarks
    }

    /// Certificates of the API key, by series.
    pub fn certificates(&self) -> &[(SeriesId, String)] {
        &self.certificates
    }

    pub(super) fn of_series(&self, series: &SeriesId) -> impl Iterator<Item = (View<'_>, &Key)> {
        self.views()
            .filter_map(|view| Some((view.entry.key.as_ref()?, view)))
            .filter_map(move |(key, view)| (key.series == *series).then_some((view, key.as_ref())))
    }
}

impl View<'_> {
    /// The key as `/api/licences` gives it.
    pub fn info(&self, now: Time, lang: Lang) -> LicenceEntry {
        let file = self.entry.path.display().to_string();
        let found = Availability {
            usable: self.usable,
            // A carrier that was pulled lately may leave its key usable for a while.
            workable: self.entry.is_sound || self.usable.is_ok(),
            switched_on: self.entry.enabled,
        };
        match &self.entry.key {
            Some(key) => LicenceEntry::Readable(Box::new(LicenceInfo::of(key, file, found, now, lang))),
            None => {
                let error = self.usable.as_ref().err().map(|error| error.message(lang)).unwrap_or_default();
                LicenceEntry::Unreadable(Box::new(UnreadableLicence::new(file, error)))
            }
        }
    }

    /// Whether this file stands for its key: it isn't a copy or an older issue.
    pub fn is_current(&self) -> bool {
        self.entry.key.is_some() && !matches!(self.usable, Err(error) if error.code == Code::KeySuperseded)
    }

    /// Whether this file stands for a key that was not given up.
    pub fn is_held(&self) -> bool {
        self.is_current() && !matches!(self.usable, Err(error) if error.code == Code::KeyRetired)
    }
}
