//! The template in which a configuration holds the component: a zip with the libraries, MANIFEST.XML and INFO.XML. Owns its
//! layout, in writing and in checking; the same input gives the same bytes. `docs/bundle.md`.

pub mod check;
mod library;
mod texts;

use std::io::{Cursor, Read, Write};

use licence::crypto::Crypto;
use licence::error::{Code, Error, Result};
use licence::id::hex;
use licence::trailer::Trailer;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

pub use library::Target;

/// Largest library that is read.
pub const LIBRARY_LIMIT: u64 = 256 * 1024 * 1024;
/// Largest zip that is read.
pub const LIMIT: u64 = 1024 * 1024 * 1024;
/// Name of the list of libraries.
const MANIFEST: &str = "MANIFEST.XML";
/// Name of the description that БСП reads.
const INFO: &str = "INFO.XML";

/// A template.
pub struct Bundle {
    version: String,
    libraries: Vec<(Target, Vec<u8>)>,
    /// Tells libraries of different vendors apart by name: 1C caches a library by the name of its file.
    brand: Option<String>,
}

impl Bundle {
    /// A template of libraries of one version, by place, without anchors. Each must be that version, and for a system of its own.
    pub fn new(version: &str, libraries: Vec<(String, Vec<u8>)>) -> Result<Bundle> {
        let mut known: Vec<(Target, Vec<u8>)> = Vec::new();
        for (place, mut bytes) in libraries {
            let broken = |cause: &str| Error::new(Code::BundleBroken).with(&place).with(cause);
            let target = Target::of(&bytes).ok_or_else(|| broken("not a library for a known system"))?;
            if known.iter().any(|(other, _)| *other == target) {
                return Err(broken(&format!("second library for {target}")));
            }
            if !library::holds(&bytes, version.as_bytes()) {
                return Err(broken(&format!("not version {version}")));
            }
            bytes.truncate(Trailer::strip(&bytes).len());
            known.push((target, bytes));
        }
        known.sort_by_key(|(target, _)| *target);
        Ok(Bundle { version: version.to_owned(), libraries: known, brand: None })
    }

    /// Reads a template; one that breaks a rule is refused with the first fault. Anchors in it are left behind.
    pub fn read(crypto: &dyn Crypto, place: &str, zip: &[u8]) -> Result<Bundle> {
        let checked = check::check(crypto, zip);
        if let Some(fault) = checked.findings.iter().find(|finding| finding.is_fault()) {
            return Err(Error::new(Code::BundleBroken).with(place).with_text(&fault.russian, &fault.english));
        }
        let version = checked.version.ok_or_else(|| Error::new(Code::BundleBroken).with(place).with("no INFO.XML"))?;
        let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(|e| broken(place, &e))?;
        let libraries = checked.libraries.into_iter().map(|name| {
            let mut bytes = Vec::new();
            let entry = archive.by_name(&name).map_err(|e| broken(place, &e))?;
            entry.take(LIBRARY_LIMIT).read_to_end(&mut bytes).map_err(|e| broken(place, &e))?;
            Ok((format!("{place}: {name}"), bytes))
        });
        Bundle::new(&version, libraries.collect::<Result<_>>()?)
    }

    /// Puts a vendor's anchors behind the end of each library.
    pub fn brand(&mut self, crypto: &dyn Crypto, trailer: &Trailer) {
        let bytes = trailer.write(crypto);
        self.libraries.iter_mut().for_each(|(_, library)| library.extend_from_slice(&bytes));
        self.brand = Some(hex(&crypto.sha256(&[&bytes])[..4]));
    }

    /// Name of the template's file.
    pub fn file_name(&self) -> String {
        format!("licenceaddin-{}-template.zip", self.version)
    }

    /// The systems that it has libraries for.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        self.libraries.iter().map(|(target, _)| *target)
    }

    fn library_name(&self, target: Target) -> String {
        let brand = self.brand.as_ref().map(|brand| format!("-{brand}")).unwrap_or_default();
        format!("licenceaddin-{}{brand}-{}.{}", self.version, target.arch.word(), target.os.extension())
    }

    /// The zip.
    pub fn write(&self) -> Result<Vec<u8>> {
        let write = || -> zip::result::ZipResult<Vec<u8>> {
            let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
            // A date of its own would make other bytes each time.
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .last_modified_time(DateTime::default())
                .unix_permissions(0o644);
            let names: Vec<(Target, String)> =
                self.targets().map(|target| (target, self.library_name(target))).collect();
            zip.start_file(MANIFEST, options)?;
            zip.write_all(texts::manifest(&names).as_bytes())?;
            zip.start_file(INFO, options)?;
            zip.write_all(texts::info(&self.version).as_bytes())?;
            for ((_, library), (_, name)) in self.libraries.iter().zip(&names) {
                zip.start_file(name.as_str(), options)?;
                zip.write_all(library)?;
            }
            Ok(zip.finish()?.into_inner())
        };
        write().map_err(|e| Error::new(Code::Internal).with(e))
    }
}

fn broken(place: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::new(Code::BundleBroken).with(place).with(cause)
}
