//! What the vendor's centre has stated about keys for good: retirements and revocation lists, signed files of the data folder
//! beside the licences. A statement is never replaced by an older one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use licence::activation::{Retired, Revoked};
use licence::crypto::Provider;
use licence::error::{Code, Error};
use licence::host::files;
use licence::{KeyNo, Result, SeriesId};

use super::load::Unread;
use super::root_mark;

/// Largest statement, in bytes: a list may name many keys.
const LIMIT: u64 = 16 * 1024 * 1024;
/// Suffix of retirements.
pub const RETIREMENT: &str = "retirement";
/// Suffix of revocation lists.
pub const REVOCATIONS: &str = "revocations";

/// All statements of a data folder.
#[derive(Default)]
pub struct Statements {
    /// The furthest retirement of each key.
    retired: HashMap<(SeriesId, KeyNo), Retired>,
    /// The latest list of each series.
    revoked: HashMap<SeriesId, Revoked>,
}

impl Statements {
    /// Reads files; what is no genuine statement is told of, left alone, and given beside.
    pub fn read<'a>(crypto: Provider, paths: impl Iterator<Item = &'a PathBuf>) -> (Statements, Vec<Unread>) {
        let (mut statements, mut unread) = (Statements::default(), Vec::new());
        for path in paths {
            if let Err(error) = statements.add(crypto, path) {
                log::error!("{error}");
                unread.push(Unread { path: path.clone(), error });
            }
        }
        (statements, unread)
    }

    /// Takes over what was stated before and is in no file any more; the names and texts of those files.
    pub fn keep(&mut self, former: &Statements) -> Vec<(String, String)> {
        let mut lost = Vec::new();
        for retired in former.retired.values().filter(|retired| self.is_news(retired)).cloned().collect::<Vec<_>>() {
            lost.push((retirement_file(&retired), retired.text.clone()));
            self.retired.insert((retired.series, retired.retirement.key_no), retired);
        }
        for revoked in former.revoked.values().filter(|revoked| self.is_newer(revoked)).cloned().collect::<Vec<_>>() {
            lost.push((revocations_file(&revoked), revoked.text.clone()));
            self.revoked.insert(revoked.series, revoked);
        }
        lost
    }

    fn add(&mut self, crypto: Provider, path: &Path) -> Result<()> {
        let text = files::read_text(path, LIMIT)?;
        let place = path.display().to_string();
        if path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case(RETIREMENT)) {
            let retired = Retired::read(crypto, &place, &text)?;
            if self.is_news(&retired) {
                self.retired.insert((retired.series, retired.retirement.key_no), retired);
            }
        } else {
            let revoked = Revoked::read(crypto, &place, &text)?;
            if self.is_newer(&revoked) {
                self.revoked.insert(revoked.series, revoked);
            }
        }
        Ok(())
    }

    /// Whether a retirement says more than what is known.
    pub fn is_news(&self, retired: &Retired) -> bool {
        let known = self.retired.get(&(retired.series, retired.retirement.key_no));
        known.is_none_or(|known| known.retirement.issue < retired.retirement.issue)
    }

    /// Whether a list was signed later than the known one.
    pub fn is_newer(&self, revoked: &Revoked) -> bool {
        self.revoked.get(&revoked.series).is_none_or(|known| known.list.issued < revoked.list.issued)
    }

    /// Why an issue of a key counts no more, if it was stated.
    pub fn ended(&self, series: &SeriesId, key_no: KeyNo, issue: u32) -> Option<Error> {
        if self.revoked.get(series).is_some_and(|list| list.contains(series, key_no)) {
            return Some(Error::new(Code::KeyRevoked).with(key_no));
        }
        let retired = self.retired.get(&(*series, key_no)).filter(|retired| retired.covers(series, key_no, issue))?;
        Some(Error::new(Code::KeyRetired).with(key_no).with(retired.retirement.retired))
    }
}

/// Name of a retirement's file: numbers only, so nothing that a centre says becomes a path.
pub fn retirement_file(retired: &Retired) -> String {
    let series = &retired.series;
    format!("{}.{}.{}.{RETIREMENT}", series.key_id, retired.retirement.key_no, root_mark(series))
}

/// Name of a list's file.
pub fn revocations_file(revoked: &Revoked) -> String {
    format!("{}.{}.{REVOCATIONS}", revoked.series.key_id, root_mark(&revoked.series))
}
