//! Reading the data folder: every `*.licence`, whatever its name, becomes an entry that says what is in it or why it is of no
//! use. Nothing here writes.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use licence::accounting::Marks;
use licence::accounting::pool::{KeyFacts, Pools, Standing, judge};
use licence::activation::ApiCertificate;
use licence::datafile::Datafile;
use licence::document;
use licence::error::{Code, Error, Result};
use licence::fingerprint::{Fingerprint, Machine, Match};
use licence::host::datafile::OnDisk;
use licence::host::files;
use licence::host::mark::FileMark;
use licence::key::{Binding, Key};
use licence::revocation::Revocations;
use licence::subkeys::Subkeys;
use licence::time::Time;
use licence::{KeyNo, SeriesId};

use super::decided::{Decided, former_in_force};
use super::state;
use super::statements::{self, Statements};
use super::{Snapshot, Sources};

/// Largest licence file, in bytes: the sealed subkeys alone may take 88 KiB of text.
const MAX_LICENCE: u64 = 256 * 1024;
/// Most licence files that are read.
const MAX_FILES: usize = 10_000;

/// One licence file.
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// Whether the administrator lets it be used.
    pub enabled: bool,
    /// Whether its device is in order: the computer is the one that it knows or its carrier is plugged in, and its contents open.
    pub(super) is_sound: bool,
    /// The key, when the file is a genuine licence.
    pub key: Option<Arc<Key>>,
    /// What of the machine it knows again, when it is bound to a computer.
    pub fits: Option<Match>,
    /// The subkeys, when the licence is this server's.
    pub(super) subkeys: Option<Subkeys>,
    /// What the file alone says.
    pub(super) state: Result<()>,
    /// Its place among the judged keys.
    pub(super) place: Option<usize>,
}

impl Entry {
    /// The carrier that the key is bound to.
    fn carrier(&self) -> Option<KeyNo> {
        match self.key.as_ref()?.licence.binding {
            Binding::Blank(carrier) => Some(carrier),
            Binding::Computer(_) => None,
        }
    }

    /// What the key says that claims may demand.
    pub(super) fn marks(&self) -> Option<(SeriesId, Marks)> {
        let key = self.key.as_ref()?;
        let licence = &key.licence;
        let marks = Marks {
            key_no: licence.key_no,
            reg_no: licence.reg_no,
            itn: licence.itn.clone(),
            iec: licence.iec.clone(),
            product_version: licence.product_version,
        };
        Some((key.series, marks))
    }
}

/// The folder as read.
pub struct Loaded {
    pub(super) entries: Arc<Vec<Entry>>,
    facts: Vec<KeyFacts>,
    certificates: Arc<Vec<(SeriesId, String)>>,
    fingerprint: Fingerprint,
    /// What the centre has stated for good.
    pub(super) statements: Statements,
    /// Statements that have lost their files: names and texts.
    pub(super) lost: Vec<(String, String)>,
    /// What administrator and vendors have decided.
    pub(super) decided: Decided,
    /// Files that are there and could not be read; another look may help.
    pub(super) unread: Vec<PathBuf>,
    /// What stays in force though the folder doesn't say so any more.
    pub(super) remarks: Arc<Vec<Error>>,
    /// The folder's state at that time.
    pub(super) mark: Mark,
    /// Carriers that keys here are bound to, and whether they were plugged in.
    pub(super) carriers: BTreeMap<KeyNo, bool>,
}

/// A file that can't be used, and why.
pub struct Unread {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub error: Error,
}

/// What tells that the folder has changed: its files that matter, and what they are like.
pub type Mark = Vec<(PathBuf, Option<FileMark>)>;

impl Loaded {
    /// What the keys give at a moment.
    pub(super) fn pools(&self, at: Time) -> Pools {
        judge(&self.facts, at).pools
    }

    /// The keys judged at a moment.
    pub(super) fn judged(&self, now: Time) -> Snapshot {
        Snapshot {
            entries: self.entries.clone(),
            judgement: judge(&self.facts, now),
            certificates: self.certificates.clone(),
            fingerprint: self.fingerprint.clone(),
            remarks: self.remarks.clone(),
        }
    }

    /// The key that a file held that can't be read any more, though nobody has written to it.
    fn unwritten(&self, mark: &Mark, path: &Path) -> Option<Arc<Key>> {
        let of = |mark: &Mark| mark.iter().find(|(known, _)| known == path).and_then(|(_, mark)| *mark);
        let (was, is) = (of(&self.mark)?, of(mark)?);
        let entry = self.entries.iter().find(|entry| entry.path == path)?;
        entry.key.clone().filter(|_| is.is_unwritten(&was))
    }
}

/// The files of the folder that matter to the store.
pub fn mark(folder: &Path) -> Result<Mark> {
    let listing = fs::read_dir(folder).map_err(|e| files::failed(folder, &e))?;
    let mut mark: Mark = listing
        .flatten()
        .map(|file| file.path())
        .filter(|path| matters(path))
        .map(|path| {
            let mark = FileMark::look(&path).ok();
            (path, mark)
        })
        .collect();
    mark.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(mark)
}

fn matters(path: &Path) -> bool {
    let suffixes = ["licence", "certificate", "datafile", statements::RETIREMENT, statements::REVOCATIONS];
    suffixes.iter().any(|suffix| has_suffix(path, suffix)) || path.ends_with(state::FILE)
}

fn has_suffix(path: &Path, suffix: &str) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(suffix))
}

/// Reads the folder. `seen` tells when each carrier that is pulled now was seen last, by the time that judges keys. `former` is what was
/// read before: what a file said that is damaged or gone by now stays in force, so that nothing is loosened and nobody's session ends.
pub fn folder(sources: &Sources, seen: &HashMap<KeyNo, Time>, former: Option<&Loaded>) -> Result<Loaded> {
    // The mark is taken first: what changes while we read is read again.
    let mark = mark(&sources.folder)?;
    let paths = |suffix: &'static str| mark.iter().map(|(path, _)| path).filter(move |path| has_suffix(path, suffix));
    let mut decided = Decided::read(&sources.folder, former.map(|former| &former.decided));
    let told = paths("datafile").filter_map(|path| revocations(sources, path));
    told.for_each(|list| decided.revoke(list));
    let stated = paths(statements::RETIREMENT).chain(paths(statements::REVOCATIONS));
    let (mut statements, spoilt) = Statements::read(sources.crypto, stated);
    let lost = former.map(|former| statements.keep(&former.statements)).unwrap_or_default();
    let is_lost = |file: &&Unread| lost.iter().any(|(name, _)| file.path.ends_with(name));
    let mut remarks: Vec<Error> = decided.remark().into_iter().collect();
    remarks.extend(spoilt.iter().filter(is_lost).map(|file| former_in_force(&file.path, &file.error)));

    let machine = (sources.machine)();
    let licences: Vec<&PathBuf> = paths("licence").collect();
    if licences.len() > MAX_FILES {
        log::error!("{}: {} licence files, only {MAX_FILES} are read", sources.folder.display(), licences.len());
    }
    let (mut facts, mut entries, mut unread) = (Vec::new(), Vec::new(), spoilt);
    for path in licences.into_iter().take(MAX_FILES) {
        let key = read_key(sources, path).or_else(|error| {
            let key =
                former.filter(|_| error.code == Code::FileFailed).and_then(|former| former.unwritten(&mark, path));
            remarks.extend(key.iter().map(|_| former_in_force(path, &error)));
            unread.push(Unread { path: path.clone(), error: error.clone() });
            key.ok_or(error)
        });
        let (mut entry, fact) = entry(sources, (&decided, &statements), &machine, seen, (path, key));
        if let Some(fact) = fact {
            entry.place = Some(facts.len());
            facts.push(fact);
        }
        if let Err(error) = &entry.state {
            log::warn!("{}: {error}", path.display());
        }
        entries.push(entry);
    }
    let own = entries.iter().filter_map(|entry| entry.key.as_ref()).filter(|key| is_own(sources, key));
    own.for_each(|key| decided.see(key.series, key.licence.key_no, key.licence.issue));
    decided.cover(facts.iter().map(|fact| (fact.series, fact.key_no)));
    let carriers = entries.iter().filter_map(Entry::carrier);
    Ok(Loaded {
        carriers: carriers.map(|carrier| (carrier, sources.carriers.is_present(carrier))).collect(),
        lost,
        unread: passing(unread, &decided, &sources.folder),
        decided,
        remarks: Arc::new(remarks),
        statements,
        entries: Arc::new(entries),
        facts,
        certificates: Arc::new(latest_certificates(sources, paths("certificate"), former)),
        fingerprint: machine.fingerprint(sources.crypto, sources.identity.salt()),
        mark,
    })
}

/// Files that another look may help with: what kept them from being read is not in them.
fn passing(unread: Vec<Unread>, decided: &Decided, folder: &Path) -> Vec<PathBuf> {
    let passing = unread.into_iter().filter(|file| file.error.code == Code::FileFailed).map(|file| file.path);
    passing.chain(decided.is_passing().then(|| folder.join(state::FILE))).collect()
}

fn read_key(sources: &Sources, path: &Path) -> Result<Arc<Key>> {
    let key = text(path).and_then(|text| Key::read(sources.crypto, &path.display().to_string(), &text));
    key.map(Arc::new)
}

/// The vendor's list in a datafile; a file that is no good is only told of, for components say so to whoever needs it.
fn revocations(sources: &Sources, path: &Path) -> Option<Revocations> {
    match OnDisk::find(path)
        .and_then(|file| file.map(|file| Datafile::at(sources.crypto, Box::new(file), None)).transpose())
    {
        Ok(datafile) => datafile?.revocations(),
        Err(error) => {
            log::warn!("{error}");
            None
        }
    }
}

fn entry(
    sources: &Sources,
    decided: (&Decided, &Statements),
    machine: &Machine,
    seen: &HashMap<KeyNo, Time>,
    (path, key): (&Path, Result<Arc<Key>>),
) -> (Entry, Option<KeyFacts>) {
    let mut entry = Entry {
        path: path.to_owned(),
        enabled: true,
        is_sound: false,
        key: None,
        fits: None,
        subkeys: None,
        state: Ok(()),
        place: None,
    };
    let key = match key {
        Ok(key) => key,
        Err(error) => {
            entry.state = Err(error);
            return (entry, None);
        }
    };
    let licence = &key.licence;
    if let Binding::Computer(print) = &licence.binding {
        entry.fits = Some(print.compare(sources.crypto, machine));
    }
    entry.is_sound = match (&licence.binding, &entry.fits) {
        (Binding::Blank(carrier), _) => sources.carriers.is_present(*carrier),
        (Binding::Computer(_), fits) => fits.as_ref().is_none_or(Match::holds),
    };
    entry.enabled = decided.0.state().is_enabled(key.series, licence.key_no);
    let standing = match standing(sources, decided, seen, &key, entry.fits.as_ref()) {
        standing @ (Standing::Good | Standing::Unplugged { .. }) => {
            match decided
                .0
                .doubt(key.series, licence.key_no)
                .cloned()
                .map_or(Ok(()), Err)
                .and_then(|()| key.subkeys(sources.crypto, &sources.identity))
            {
                Ok(subkeys) => {
                    entry.subkeys = Some(subkeys);
                    standing
                }
                Err(error) => {
                    entry.is_sound &= decided.0.doubt(key.series, licence.key_no).is_some();
                    Standing::Faulty(error)
                }
            }
        }
        other => other,
    };
    let facts = KeyFacts {
        series: key.series,
        key_no: licence.key_no,
        issue: licence.issue,
        key_type: licence.key_type,
        licence_count: licence.licence_count,
        start: Some(licence.starts()),
        expire: licence.expires(),
        renew_by: licence.renew_by,
        enabled: entry.enabled,
        standing,
    };
    entry.key = Some(key);
    (entry, Some(facts))
}

fn is_own(sources: &Sources, key: &Key) -> bool {
    key.licence.identity == sources.identity.public()
}

fn standing(
    sources: &Sources,
    (decided, statements): (&Decided, &Statements),
    seen: &HashMap<KeyNo, Time>,
    key: &Key,
    fits: Option<&Match>,
) -> Standing {
    let licence = &key.licence;
    if !is_own(sources, key) {
        return Standing::Elsewhere(Error::new(Code::OtherServer).with(licence.key_no));
    }
    if decided.state().is_revoked(key.series, licence.key_no) {
        return Standing::Faulty(Error::new(Code::KeyRevoked).with(licence.key_no));
    }
    match statements.ended(&key.series, licence.key_no, licence.issue) {
        // What was given up is here no more than what was issued to another server.
        Some(error) if error.code == Code::KeyRetired => return Standing::Elsewhere(error),
        Some(error) => return Standing::Faulty(error),
        None => {}
    }
    let newest = decided.state().seen(key.series, licence.key_no);
    if licence.issue < newest {
        return Standing::Elsewhere(
            Error::new(Code::KeyOutdated).with(licence.key_no).with(newest).with(licence.issue),
        );
    }
    match (&licence.binding, fits) {
        (Binding::Blank(carrier), _) if !sources.carriers.is_present(*carrier) => {
            let error = Error::new(Code::CarrierMissing).with(carrier);
            match seen.get(carrier) {
                Some(seen) => Standing::Unplugged { error, until: seen.plus(sources.carrier_grace) },
                None => Standing::Faulty(error),
            }
        }
        (Binding::Computer(_), Some(fits)) if !fits.holds() => {
            Standing::Faulty(Error::new(Code::HardwareChanged).with(fits.matched).with(fits.total).with(fits.needed))
        }
        _ => Standing::Good,
    }
}

/// The text of a licence file. Only regular files are opened: a pipe would make the server wait for ever.
fn text(path: &Path) -> Result<String> {
    let facts = fs::metadata(path).map_err(|e| files::failed(path, &e))?;
    let damaged = |cause: String| Error::new(Code::DocumentDamaged).with(path.display()).with(cause);
    if !facts.is_file() {
        return Err(damaged("not a regular file".into()));
    }
    let bytes = files::read(path, MAX_LICENCE)?;
    let place = path.display().to_string();
    licence::text::refuse_utf16(&place, &bytes)?;
    document::refuse_strange(&place, &bytes)?;
    String::from_utf8(bytes).map_err(|e| damaged(format!("byte {}: not UTF-8", e.utf8_error().valid_up_to())))
}

/// The latest genuine certificate of the API key for each series. One that was read before serves on without its file.
fn latest_certificates<'a>(
    sources: &Sources,
    paths: impl Iterator<Item = &'a PathBuf>,
    former: Option<&Loaded>,
) -> Vec<(SeriesId, String)> {
    let mut latest: HashMap<SeriesId, (Time, String)> = HashMap::new();
    let own = sources.identity.public();
    for path in paths {
        let place = path.display().to_string();
        let read = text(path).and_then(|text| {
            let (certificate, issuer) = ApiCertificate::read(sources.crypto, &place, &text)?;
            Ok((certificate, issuer.series, text))
        });
        match read {
            Ok((certificate, series, text)) => {
                let ours = certificate.identity == own && sources.response_key.as_ref() == Some(&certificate.key);
                let newer = latest.get(&series).is_none_or(|(issued, _)| *issued < certificate.issued);
                if ours && newer {
                    latest.insert(series, (certificate.issued, text));
                }
            }
            Err(error) => log::warn!("{error}"),
        }
    }
    let mut latest: HashMap<SeriesId, String> = latest.into_iter().map(|(series, (_, text))| (series, text)).collect();
    for (series, text) in former.iter().flat_map(|former| former.certificates.iter()) {
        latest.entry(*series).or_insert_with(|| text.clone());
    }
    latest.into_iter().collect()
}
