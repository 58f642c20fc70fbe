//! What a backup says of itself, and when that may be believed: pure.

use std::collections::HashSet;

use licence::error::{Code, Error, Result};
use licence::id::Bytes32;
use licence::time::Time;
use licence::version::VERSION as PROGRAM;
use serde::{Deserialize, Serialize};

use super::{Computer, OLD, is_passing};
use crate::{IDENTITY_FILE, ledger};

/// Name of the manifest in the archive.
pub const FILE: &str = "backup.json";
/// Longest manifest, in bytes.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024;
const KIND: &str = "SLK-BACKUP";
const VERSION: u32 = 1;
/// Most files of a backup.
pub const MAX_FILES: usize = 50_000;
/// Largest file, in bytes.
pub const MAX_FILE: u64 = 1 << 30;
/// Bytes of all files together, at most.
pub const MAX_TOTAL: u64 = 4 << 30;
/// Longest name of a file, in bytes, as file systems have it.
const MAX_NAME: usize = 255;

/// The manifest.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Manifest {
    #[serde(rename = "Type")]
    kind: String,
    version: u32,
    /// Version of the program that has made it.
    program: String,
    pub created: Time,
    /// Where it was made; older ones don't tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer: Option<Computer>,
    pub files: Vec<Packed>,
}

/// One file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Packed {
    /// Name in the data folder, `old/` before it for those that were replaced.
    pub name: String,
    pub size: u64,
    #[serde(rename = "SHA256")]
    pub sha256: Bytes32,
}

impl Manifest {
    pub fn new(created: Time, computer: &Computer, files: Vec<Packed>) -> Manifest {
        let computer = Some(computer.clone());
        Manifest { kind: KIND.into(), version: VERSION, program: PROGRAM.into(), created, computer, files }
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// Reads the text and looks whether it can be the manifest of a server's backup, before anything else is read.
    /// `place` is the archive.
    pub fn read(place: &str, text: &[u8]) -> Result<Manifest> {
        let manifest: Manifest = serde_json::from_slice(text)
            .map_err(|e| wrong(place, format_args!("{FILE}: {}", plain(&e.to_string()))))?;
        if manifest.kind != KIND || manifest.version != VERSION {
            return Err(Error::new(Code::DocumentVersion).with(place).with(manifest.version));
        }
        let mut names = HashSet::new();
        for (number, file) in manifest.files.iter().enumerate() {
            // A name that isn't plain is not shown either: it could speak to a terminal.
            if !is_plain(&file.name) || !names.insert(file.name.to_lowercase()) {
                return Err(wrong(place, format_args!("{FILE}: Name, {}", number + 1)));
            }
        }
        for needed in [ledger::FILE, IDENTITY_FILE] {
            if !manifest.files.iter().any(|file| file.name == needed && file.size > 0) {
                return Err(wrong(place, format_args!("{needed}: –")));
            }
        }
        let largest = manifest.files.iter().map(|file| file.size).max().unwrap_or(0);
        within_bounds(place, manifest.files.len(), manifest.bytes(), largest)?;
        Ok(manifest)
    }
}

/// Whether so many files with so many bytes make a backup; [`Code::BackupTooLarge`].
pub fn within_bounds(place: &str, count: usize, total: u64, largest: u64) -> Result<()> {
    if count > MAX_FILES || largest > MAX_FILE || total > MAX_TOTAL {
        return Err(Error::new(Code::BackupTooLarge)
            .with(place)
            .with(count)
            .with(total)
            .with(MAX_FILES)
            .with(MAX_TOTAL));
    }
    Ok(())
}

/// The error of an archive that is no backup.
pub fn wrong(place: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(Code::BackupWrong).with(place).with(cause)
}

/// A text out of an archive, fit for a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).take(200).collect()
}

/// Whether a name stays in the data folder, one part or one below `old`, and is one that a backup has.
fn is_plain(name: &str) -> bool {
    let (below, part) = match name.strip_prefix(OLD).and_then(|rest| rest.strip_prefix('/')) {
        Some(part) => (true, part),
        None => (false, name),
    };
    let is_name = !part.is_empty()
        && part.len() <= MAX_NAME
        && !part.ends_with(['.', ' '])
        && !part.contains(['/', '\\', ':'])
        && !part.chars().any(|c| c.is_control() || ('\u{202A}'..='\u{202E}').contains(&c));
    let is_ours = (!below && part == ledger::FILE) || !is_passing(&part.to_lowercase());
    is_name && is_ours && (below || part != OLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(names: &[(&str, u64)]) -> Vec<u8> {
        let computer = Computer { name: "pc".into(), id: None };
        let packed =
            |(name, size): &(&str, u64)| Packed { name: (*name).into(), size: *size, sha256: Bytes32([0; 32]) };
        serde_json::to_vec(&Manifest::new(Time(0), &computer, names.iter().map(packed).collect())).unwrap()
    }

    fn code(names: &[(&str, u64)]) -> Option<Code> {
        let whole = [&[("ledger.db", 1), ("server.identity", 1)], names].concat();
        Manifest::read("b.tar", &text(&whole)).err().map(|error| error.code)
    }

    #[test]
    fn a_backup_has_a_ledger_an_identity_and_plain_names() {
        assert_eq!(code(&[("672B.1.licence", 5), ("old/672B.1.licence", 0), ("ключ.licence", 1)]), None);
        for files in
            [&[][..], &[("ledger.db", 1)], &[("server.identity", 1)], &[("ledger.db", 0), ("server.identity", 1)]]
        {
            assert_eq!(Manifest::read("b.tar", &text(files)).err().unwrap().code, Code::BackupWrong);
        }
        let long = "x".repeat(256);
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "a/b",
            "old/",
            "old/a/b",
            "old/../a",
            "/etc/passwd",
            "a\\b",
            "c:x",
            "a\u{1b}[2J",
            "a\n",
            "a\0",
            "a\u{202e}b",
            "x.",
            "x ",
            "owner.lock",
            "OWNER.LOCK",
            "server.pass",
            "ledger.db-wal",
            "ledger.copy",
            "old",
            "old/ledger.db",
            "LEDGER.DB",
            "Server.Identity",
            &long,
        ] {
            assert_eq!(code(&[(name, 1)]), Some(Code::BackupWrong), "{name:?}");
            let error = Manifest::read("b.tar", &text(&[(name, 1)])).err().unwrap().to_string();
            assert!(!error.contains(|c: char| c.is_control()), "{error:?}");
        }
    }

    #[test]
    fn a_backup_is_bounded_by_what_it_unpacks_to() {
        assert_eq!(code(&[("a", MAX_FILE)]), None);
        assert_eq!(code(&[("a", MAX_FILE + 1)]), Some(Code::BackupTooLarge));
        assert_eq!(code(&[("a", u64::MAX), ("b", u64::MAX)]), Some(Code::BackupTooLarge));
        let four: Vec<_> = ["a", "b", "c", "d"].map(|name| (name, MAX_FILE)).into();
        assert_eq!(code(&four), Some(Code::BackupTooLarge));
        let many: Vec<String> = (0..MAX_FILES).map(|number| number.to_string()).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), 1)).collect();
        assert_eq!(code(&many), Some(Code::BackupTooLarge));
        assert_eq!(code(&many[2..]), None);
    }
}
