//! What the machine says of its parts: one file per system. Placeholders that makers leave in firmware are not taken for serial
//! numbers, and parts that can be carried to another computer in a pocket (USB disks and network adapters) are left out.

#[cfg(any(target_os = "linux", test))]
mod linux;
#[cfg(any(windows, test))]
mod smbios;
#[cfg(any(windows, test))]
mod storage;
#[cfg(windows)]
mod windows;

use std::path::Path;

use super::files;
use super::paths::Paths;
use crate::fingerprint::{Machine, PartKind};

/// Name of the identity file in the folder of settings: one line that tells a container from all others. It is mounted into the
/// container and counts as a part of the machine where a licence allows it.
pub const IDENTITY_FILE: &str = "machine.identity";
const MAX_IDENTITY_FILE: u64 = 4096;
/// Fewer characters than this could be guessed or be the same by chance.
const MIN_IDENTITY: usize = 32;

/// Reads the parts of this machine that the current user may see.
pub fn read() -> Machine {
    let mut machine = system();
    let file = Paths::current().settings.join(IDENTITY_FILE);
    machine.parts.extend(identity(&file).map(|value| (PartKind::IdentityFile, value)));
    machine
}

#[cfg(target_os = "linux")]
fn system() -> Machine {
    linux::read_below(Path::new("/"))
}

#[cfg(windows)]
fn system() -> Machine {
    windows::read()
}

/// No part of other systems is read. None is better than one that anybody may choose, such as the computer's name: the centre
/// refuses a fingerprint without parts, and no licence matches one.
#[cfg(not(any(target_os = "linux", windows)))]
fn system() -> Machine {
    Machine::default()
}

/// The line of a mounted identity file.
fn identity(file: &Path) -> Option<String> {
    let text = files::read_text_if_there(file, MAX_IDENTITY_FILE).unwrap_or_else(|error| {
        log::warn!("{error}");
        None
    })?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.chars().count() < MIN_IDENTITY {
        log::warn!("{}: a line of at least {MIN_IDENTITY} characters is expected", file.display());
        return None;
    }
    telling(line)
}

/// The trimmed value, unless it tells nothing: empty, one character repeated, or a maker's placeholder.
fn telling(value: &str) -> Option<String> {
    let value = value.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let plain: Vec<char> = value.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let first = plain.first()?;
    let lower = value.to_lowercase();
    let placeholder = [
        "default string",
        "to be filled",
        "not specified",
        "not applicable",
        "none",
        "system serial",
        "base board serial",
        "uninitialized",
        "0123456789",
        "03000200-0400-0500-0006-000700080009",
    ];
    let repeats = plain.len() > 1 && plain.iter().all(|c| c == first);
    (!repeats && !placeholder.iter().any(|text| lower.starts_with(text))).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_makers_placeholder_tells_nothing() {
        for value in ["", " \n", "0000", "Default string", "To be filled by O.E.M.", "None", "\0\0"] {
            assert_eq!(telling(value), None, "{value:?}");
        }
        assert_eq!(telling(" S3Z9\0 ").as_deref(), Some("S3Z9"));
    }

    #[test]
    fn an_identity_file_is_one_line_that_nobody_guesses() {
        let file = std::env::temp_dir().join(format!("slk-identity-{}", std::process::id()));
        assert_eq!(identity(&file), None, "there is none");
        for (text, counts) in
            [("short\n", false), (&"0".repeat(64), false), ("3d1219c7c4c5404aaa1f6d2a48adfda4\nx", true)]
        {
            std::fs::write(&file, text).unwrap();
            assert_eq!(identity(&file).is_some(), counts, "{text}");
        }
        std::fs::remove_file(&file).unwrap();
    }
}
