//! Reads an archive from its beginning to its end, and believes it nothing: entries are plain files, in the manifest's order, of the
//! sizes and hashes that it names. What tar knows beside (links, devices, sparse files, further headers) is refused.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use licence::crypto::Provider;
use licence::error::Result;
use licence::host::files;
use tar::{Entries, Entry, EntryType};

use super::manifest::{self, Manifest, Packed, plain, wrong};
use super::{Hashed, Progress};

/// What is called with each file, to read all of it.
pub type Take<'a> = &'a mut dyn FnMut(&Packed, &mut dyn Read) -> Result<()>;

/// Gives each file of an archive to `take`. Its manifest, when all of it was as the manifest says.
pub fn read(path: &Path, crypto: Provider, progress: Progress<'_>, take: Take<'_>) -> Result<Manifest> {
    let place = path.display().to_string();
    let broken = |e: io::Error| wrong(&place, plain(&e.to_string()));
    let file = files::open(path).map_err(|e| files::failed(path, &e))?;
    let mut archive = tar::Archive::new(BufReader::new(file));
    // Raw: else the library would follow what headers say, at their word.
    let mut entries = archive.entries().map_err(broken)?.raw(true);
    let (name, entry) = next(&mut entries, &place)?.ok_or_else(|| wrong(&place, "–"))?;
    if name != manifest::FILE.as_bytes() || entry.size() > manifest::MAX_BYTES {
        return Err(wrong(&place, manifest::FILE));
    }
    let mut text = Vec::new();
    entry.take(manifest::MAX_BYTES).read_to_end(&mut text).map_err(broken)?;
    let manifest = Manifest::read(&place, &text)?;
    let total = manifest.files.len();
    for (done, packed) in manifest.files.iter().enumerate() {
        progress(done, total);
        let (name, entry) =
            next(&mut entries, &place)?.ok_or_else(|| wrong(&place, format_args!("{}: –", packed.name)))?;
        if name != packed.name.as_bytes() || entry.size() != packed.size {
            return Err(wrong(&place, &packed.name));
        }
        let mut hashed = Hashed::new(entry, crypto);
        take(packed, &mut hashed)?;
        if hashed.length != packed.size || hashed.hasher.finish() != packed.sha256.0 {
            return Err(wrong(&place, format_args!("{}, SHA-256", packed.name)));
        }
    }
    if next(&mut entries, &place)?.is_some() {
        return Err(wrong(&place, format_args!("> {total}")));
    }
    progress(total, total);
    Ok(manifest)
}

type Open = BufReader<File>;

/// The next plain file with its name; a name that is too long for a header stands in an entry before it.
fn next<'a>(entries: &mut Entries<'a, Open>, place: &str) -> Result<Option<(Vec<u8>, Entry<'a, Open>)>> {
    /// Longest of such names, in bytes.
    const LONGEST: u64 = 1024;
    let broken = |e: io::Error| wrong(place, plain(&e.to_string()));
    let mut long = None;
    for entry in entries.by_ref() {
        let mut entry = entry.map_err(broken)?;
        match entry.header().entry_type() {
            EntryType::Regular => {
                let name = long.unwrap_or_else(|| entry.path_bytes().into_owned());
                return Ok(Some((name, entry)));
            }
            EntryType::GNULongName if long.is_none() && entry.size() <= LONGEST => {
                let mut name = Vec::new();
                entry.read_to_end(&mut name).map_err(broken)?;
                name.pop_if(|last| *last == 0);
                long = Some(name);
            }
            other => return Err(wrong(place, format_args!("tar: {other:?}"))),
        }
    }
    Ok(None)
}
