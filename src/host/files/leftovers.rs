//! Temporary files of writers that were killed: named after the file they were to become and the process that wrote them.

use std::fs;
use std::path::Path;

use super::super::os;
use super::regular;

/// Name of the temporary file of `name`, written by process `pid`.
pub(super) fn temporary_name(name: &str, pid: u32) -> String {
    format!(".{name}.{pid}.new")
}

/// The process that has written a temporary file of that name.
fn writer(name: &str) -> Option<u32> {
    let (name, pid) = name.strip_prefix('.')?.strip_suffix(".new")?.rsplit_once('.')?;
    if name.is_empty() { None } else { pid.parse().ok() }
}

/// Removes the temporary files of a folder whose writers are gone. A writer holds a lock while it lives, for its number may
/// mean nothing here: it may live in another container.
pub fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let Some(pid) = name.to_str().and_then(writer) else { continue };
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file
            || !os::writer_is_gone(pid, &path)
            || regular::open(&path).is_ok_and(|file| file.try_lock().is_err())
        {
            continue;
        }
        match fs::remove_file(&path) {
            Ok(()) => log::info!("{}: left by process {pid}, which is gone; removed", path.display()),
            Err(e) => log::warn!("{}: {e}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_writers_that_are_gone_are_removed() {
        let folder = std::env::temp_dir().join(format!("slk-leftovers-{}", std::process::id()));
        fs::create_dir_all(folder.join(".folder.4294967294.new")).unwrap();
        // Process numbers stay below 2^22 on Linux, so this one can't live.
        let gone = temporary_name("a.licence", u32::MAX - 1);
        let locked = temporary_name("b.licence", u32::MAX - 1);
        let own = temporary_name("a.licence", std::process::id());
        let others = [".4294967294.new", "a.licence.4294967294.new", ".a.x.new", ".a.4294967294", "a.licence"];
        for name in [&gone, &locked, &own].into_iter().map(String::as_str).chain(others) {
            fs::write(folder.join(name), "x").unwrap();
        }
        let writer = fs::File::open(folder.join(&locked)).unwrap();
        writer.try_lock().unwrap();
        remove_leftovers(&folder);
        let there = |name: &str| folder.join(name).exists();
        if cfg!(target_os = "linux") {
            assert!(!there(&gone));
        }
        assert!(
            there(&locked) && there(&own) && there(".folder.4294967294.new") && others.iter().all(|name| there(name))
        );
        drop(writer);
        fs::remove_dir_all(&folder).unwrap();
    }
}
