//! Whether a store is older than it was: marks beside it and elsewhere on the computer remember how far it had come. Pure; the
//! files are read and written by the owner of the store.
//!
//! A mark is written after each commit and never synced, so it is never newer than the store. It is exact unless the system
//! went down since, which [`Mark::boot`] tells.

use serde::{Deserialize, Serialize};

use crate::crypto::Crypto;
use crate::id::StoreId;

/// Length of a mark in bytes: one sector, which a disk writes whole.
pub const MARK_LENGTH: usize = 512;
const KIND: &str = "SLK-MARK";
const VERSION: u32 = 1;
/// No store gets this far; what claims to is no mark, and numbers must be able to go on.
const MAX_SEQUENCE: u64 = i64::MAX as u64 / 2;

/// How far a store had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The store.
    pub store: StoreId,
    /// Number of its last commit.
    pub sequence: u64,
    /// Whether its journal holds commits: false after an orderly end.
    pub journal: bool,
    /// The start of the system in which it was written, where systems tell.
    pub boot: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Line<'a> {
    #[serde(rename = "Type")]
    kind: &'a str,
    version: u32,
    store: StoreId,
    sequence: u64,
    journal: bool,
    boot: Option<u64>,
    /// Against torn and damaged marks; whoever may write here needs no forgery.
    check: String,
}

impl Mark {
    fn check(&self, crypto: &dyn Crypto) -> String {
        let Mark { store, sequence, journal, boot } = self;
        let text = format!("{KIND} {VERSION} {store} {sequence} {journal} {boot:?}");
        crate::id::hex(&crypto.sha256(&[text.as_bytes()])[..8])
    }

    /// The mark as its file has it: a line of JSON, filled up with spaces.
    pub fn write(&self, crypto: &dyn Crypto) -> [u8; MARK_LENGTH] {
        let Mark { store, sequence, journal, boot } = *self;
        let check = self.check(crypto);
        let line = Line { kind: KIND, version: VERSION, store, sequence, journal, boot, check };
        let mut bytes = [b' '; MARK_LENGTH];
        bytes[MARK_LENGTH - 1] = b'\n';
        // Numbers, digits and names of our own: always JSON, always shorter than a sector.
        let text = serde_json::to_vec(&line).unwrap_or_default();
        if let Some(room) = bytes.get_mut(..text.len()) {
            room.copy_from_slice(&text);
        }
        bytes
    }

    /// The mark in these bytes; `None` when they are torn, damaged, or of another version.
    pub fn read(crypto: &dyn Crypto, bytes: &[u8]) -> Option<Mark> {
        let Line { kind, version, store, sequence, journal, boot, check } =
            serde_json::from_slice(bytes.get(..MARK_LENGTH)?).ok()?;
        let mark = Mark { store, sequence, journal, boot };
        let is_good = kind == KIND && version == VERSION && sequence <= MAX_SEQUENCE && check == mark.check(crypto);
        is_good.then_some(mark)
    }
}

/// What was found in the place of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Something that can't be read.
    Unreadable,
    /// A mark.
    Mark(Mark),
}

/// The store as it was found at a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whether there was one; else it was made just now.
    pub existed: bool,
    /// Its identifier; a new one when it was made or given an identifier just now.
    pub id: StoreId,
    /// Number of its last commit.
    pub sequence: u64,
    /// Whether marks of it were written before.
    pub marked: bool,
    /// Whether its journal was there with something in it.
    pub journal: bool,
    /// This start of the system, where systems tell.
    pub boot: Option<u64>,
}

/// How a store shows that it is older than it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum Finding {
    /// It is gone.
    Missing {
        /// How far it had come.
        reached: u64,
    },
    /// Another one is in its place.
    Exchanged {
        /// How far the former one had come.
        reached: u64,
    },
    /// It has fewer commits than it had.
    Behind {
        /// How far it had come.
        reached: u64,
        /// How far it is now.
        has: u64,
    },
    /// Its journal is gone, and what that held can't be known.
    JournalGone,
    /// It was marked, and none of the marks is there: it comes from a copy.
    Unmarked,
    /// What a newer program has found.
    #[serde(other)]
    Other,
}

impl Finding {
    /// What was found, in Russian and in English.
    pub fn texts(&self) -> [String; 2] {
        match self {
            Finding::Missing { reached } => [
                format!("файла ledger.db нет, а в нём было {reached} записей"),
                format!("ledger.db is gone, which had {reached} commits"),
            ],
            Finding::Exchanged { reached } => [
                format!("на месте ledger.db, где было {reached} записей, лежит другое хранилище"),
                format!("another store is in the place of ledger.db, which had {reached} commits"),
            ],
            Finding::Behind { reached, has } => [
                format!("в ledger.db {has} записей, а было {reached}"),
                format!("ledger.db has {has} commits and had {reached}"),
            ],
            Finding::JournalGone => [
                "журнала ledger.db-wal нет, хотя сервер не был остановлен штатно".into(),
                "the journal ledger.db-wal is gone, though the server was not stopped properly".into(),
            ],
            Finding::Unmarked => [
                "отметок о ledger.db на этом компьютере нет: хранилище восстановлено из копии".into(),
                "this computer has no marks of ledger.db: the store was restored from a copy".into(),
            ],
            Finding::Other => {
                ["причина записана другой версией сервера".into(), "another version of the server tells why".into()]
            }
        }
    }
}

/// Whether the store is older than it was, by all the marks that could be found.
pub fn judge(facts: &Facts, found: &[Found]) -> Option<Finding> {
    let marks = || {
        found.iter().filter_map(|found| match found {
            Found::Mark(mark) => Some(mark),
            Found::Nothing | Found::Unreadable => None,
        })
    };
    let Some(reached) = reached(found) else {
        let none = found.iter().all(|found| *found == Found::Nothing);
        return (none && facts.existed && facts.marked).then_some(Finding::Unmarked);
    };
    if !facts.existed {
        return Some(Finding::Missing { reached });
    }
    if marks().any(|mark| mark.store != facts.id) {
        return Some(Finding::Exchanged { reached });
    }
    if facts.sequence < reached {
        return Some(Finding::Behind { reached, has: facts.sequence });
    }
    // A place that could not be written any more has an old mark: the latest one counts.
    let last = marks().max_by_key(|mark| (mark.sequence, !mark.journal))?;
    // Within one start of the system the mark is exact, so that a store which has got as far lacks nothing.
    let is_exact = last.boot.is_some() && last.boot == facts.boot;
    (last.journal && !facts.journal && !is_exact).then_some(Finding::JournalGone)
}

/// The highest number that any mark has, of whatever store: numbers go on above it.
pub fn reached(found: &[Found]) -> Option<u64> {
    let sequences = found.iter().filter_map(|found| match found {
        Found::Mark(mark) => Some(mark.sequence),
        Found::Nothing | Found::Unreadable => None,
    });
    sequences.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::ring::PROVIDER;

    const STORE: StoreId = StoreId([7; 16]);
    const MARK: Mark = Mark { store: STORE, sequence: 20, journal: true, boot: Some(1) };
    const FACTS: Facts = Facts { existed: true, id: STORE, sequence: 20, marked: true, journal: true, boot: Some(1) };

    fn both(mark: Mark) -> [Found; 2] {
        [Found::Mark(mark), Found::Mark(mark)]
    }

    #[test]
    fn a_mark_reads_back_and_no_byte_of_it_can_be_another() {
        for mark in [MARK, Mark { boot: None, journal: false, sequence: MAX_SEQUENCE, ..MARK }] {
            let bytes = mark.write(&PROVIDER);
            assert_eq!(Mark::read(&PROVIDER, &bytes), Some(mark));
            assert!(bytes.ends_with(b"}\n") || bytes.ends_with(b" \n"));
            let length = bytes.iter().position(|byte| *byte == b'}').unwrap() + 1;
            for at in 0..length {
                let mut broken = bytes;
                broken[at] ^= 1;
                assert_ne!(Mark::read(&PROVIDER, &broken), Some(mark), "{at}");
                assert_eq!(Mark::read(&PROVIDER, &bytes[..at]), None, "cut at {at}");
            }
        }
        let beyond = Mark { sequence: MAX_SEQUENCE + 1, ..MARK };
        assert_eq!(Mark::read(&PROVIDER, &beyond.write(&PROVIDER)), None);
        assert_eq!(Mark::read(&PROVIDER, &[0; MARK_LENGTH]), None);
    }

    #[test]
    fn a_fresh_folder_and_a_store_that_goes_on_are_no_rollback() {
        let fresh = Facts { existed: false, sequence: 0, marked: false, journal: false, ..FACTS };
        assert_eq!(judge(&fresh, &[Found::Nothing, Found::Nothing]), None);
        let migrated = Facts { marked: false, ..FACTS };
        assert_eq!(judge(&migrated, &[Found::Nothing]), None);
        assert_eq!(judge(&FACTS, &both(MARK)), None);
        // A power failure: what was marked last was not written, the store was.
        assert_eq!(judge(&Facts { sequence: 25, boot: Some(2), ..FACTS }, &both(MARK)), None);
        // An orderly end takes the journal away.
        let stopped = Facts { journal: false, ..FACTS };
        assert_eq!(judge(&stopped, &both(Mark { journal: false, ..MARK })), None);
        // So does another program that looks into the store after a kill: nothing is lacking then.
        assert_eq!(judge(&stopped, &both(MARK)), None);
        // One place is enough; the other was lost, or can't be written any more.
        assert_eq!(judge(&FACTS, &[Found::Nothing, Found::Mark(MARK)]), None);
        let old = Mark { sequence: 3, boot: Some(0), ..MARK };
        let closed = Mark { journal: false, ..MARK };
        assert_eq!(judge(&Facts { boot: Some(2), ..stopped }, &[Found::Mark(old), Found::Mark(closed)]), None);
        assert_eq!(judge(&FACTS, &[Found::Unreadable, Found::Nothing]), None, "unknown");
    }

    #[test]
    fn each_way_to_go_back_is_found() {
        let found = |facts: Facts| judge(&facts, &[Found::Nothing, Found::Mark(MARK)]);
        let gone = Facts { existed: false, id: StoreId([8; 16]), sequence: 0, marked: false, ..FACTS };
        assert_eq!(found(gone), Some(Finding::Missing { reached: 20 }));
        assert_eq!(found(Facts { id: StoreId([8; 16]), ..FACTS }), Some(Finding::Exchanged { reached: 20 }));
        assert_eq!(found(Facts { sequence: 19, ..FACTS }), Some(Finding::Behind { reached: 20, has: 19 }));
        let after_failure = Facts { journal: false, boot: Some(2), ..FACTS };
        assert_eq!(found(after_failure), Some(Finding::JournalGone));
        assert_eq!(found(Facts { boot: None, ..after_failure }), Some(Finding::JournalGone), "nobody can tell");
        assert_eq!(judge(&FACTS, &[Found::Nothing, Found::Nothing]), Some(Finding::Unmarked));
        // The higher one of two marks counts.
        let marks = [Found::Mark(Mark { sequence: 30, ..MARK }), Found::Mark(MARK)];
        assert_eq!(judge(&FACTS, &marks), Some(Finding::Behind { reached: 30, has: 20 }));
    }

    #[test]
    fn what_a_newer_program_has_found_is_still_a_finding() {
        let text = serde_json::to_string(&Finding::Behind { reached: 2, has: 1 }).unwrap();
        assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), Finding::Behind { reached: 2, has: 1 });
        assert_eq!(serde_json::from_str::<Finding>(r#"{"found":"moon"}"#).unwrap(), Finding::Other);
    }
}
