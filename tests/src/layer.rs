//! The file layer that loses unsynced writes or refuses all (`layer/lossy.c`), seen from the test: puts it before a program, and
//! after the kill of that program does to the files what a power failure would have done.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Outcome, fail};
use crate::random::Random;
use crate::root::Root;

/// The files that the layer watches.
const FILES: [&str; 2] = ["ledger.db", "ledger.db-wal"];
/// What a disk writes whole.
const SECTOR: usize = 512;
/// Offset, number of old bytes, length of the file; each a 64-bit number of this machine.
const HEAD: usize = 24;

/// The layer over one data folder.
pub struct Layer {
    data: PathBuf,
    undo: PathBuf,
    forgets: Option<&'static str>,
}

/// A change that was not synced: what it destroyed.
struct Change {
    offset: usize,
    old: Vec<u8>,
    length: usize,
}

impl Layer {
    /// A layer over the data of `root`; syncs of the file `forgets` do not count.
    pub fn over(root: &Root, forgets: Option<&'static str>) -> Outcome<Layer> {
        let layer = Layer { data: root.data(), undo: root.path().join("undo"), forgets };
        fs::create_dir_all(&layer.undo)?;
        Ok(layer)
    }

    /// Puts the layer before a program.
    pub fn load(&self, command: &mut Command) {
        command.env("LD_PRELOAD", env!("LOSSY_LAYER")).env("SLK_UNDO_FOLDER", &self.undo);
        command.env("SLK_UNDO_REFUSES", self.refusal());
        if let Some(name) = self.forgets {
            command.env("SLK_UNDO_FORGETS", name);
        }
    }

    /// Makes the file system of the store read-only for a program that runs, or writable again.
    pub fn refuse(&self, refuses: bool) -> Outcome {
        let sign = self.refusal();
        if refuses { fs::write(sign, "") } else { fs::remove_file(sign) }.map_err(Into::into)
    }

    fn refusal(&self) -> PathBuf {
        self.undo.join("refused")
    }

    /// Whether a program has written through the layer since the last loss.
    pub fn was_there(&self) -> bool {
        FILES.iter().any(|name| self.undo_of(name).exists())
    }

    /// Takes from the files what was not synced: all of it, or, with a source of chance, each sector or not, and the length
    /// or not. Gives the number of writes that were not synced. Not while the program runs.
    pub fn lose(&self, mut chance: Option<&mut Random>) -> Outcome<usize> {
        let mut lost = 0;
        for name in FILES {
            let undo = self.undo_of(name);
            let changes = match fs::read(&undo) {
                Ok(bytes) => changes(&bytes)?,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            if !changes.is_empty() {
                lost += changes.len();
                let file = self.data.join(name);
                let written = fs::read(&file)?;
                let mut content = before(&written, &changes);
                if let Some(chance) = chance.as_deref_mut() {
                    mix(&mut content, &written, chance);
                }
                fs::write(&file, content)?;
            }
            fs::remove_file(undo)?;
        }
        Ok(lost)
    }

    fn undo_of(&self, name: &str) -> PathBuf {
        self.undo.join(Path::new(name).with_added_extension("undo"))
    }
}

/// Reads an undo file. A record that is not whole is that of a write which was not begun.
fn changes(mut bytes: &[u8]) -> Outcome<Vec<Change>> {
    let mut changes = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(HEAD) {
        let mut numbers = head.chunks_exact(8).map(|eight| {
            let mut number = [0; 8];
            number.copy_from_slice(eight);
            usize::try_from(i64::from_ne_bytes(number))
        });
        let (Some(offset), Some(size), Some(length)) = (numbers.next(), numbers.next(), numbers.next()) else {
            return fail("an undo record has three numbers");
        };
        let (offset, length) = (offset?, length?);
        let Some((old, rest)) = rest.split_at_checked(size?) else { break };
        changes.push(Change { offset, old: old.to_vec(), length });
        bytes = rest;
    }
    Ok(changes)
}

/// The content before the changes.
fn before(written: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut content = written.to_vec();
    for change in changes.iter().rev() {
        let end = change.offset + change.old.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[change.offset..end].copy_from_slice(&change.old);
        content.resize(change.length, 0);
    }
    content
}

/// Lets some of what was written be there: a disk takes sectors in any order.
fn mix(content: &mut Vec<u8>, written: &[u8], chance: &mut Random) {
    if chance.below(2) == 0 {
        content.resize(written.len(), 0);
    }
    for (old, new) in content.chunks_mut(SECTOR).zip(written.chunks(SECTOR)) {
        if chance.below(2) == 0 {
            let size = old.len().min(new.len());
            old[..size].copy_from_slice(&new[..size]);
        }
    }
}
