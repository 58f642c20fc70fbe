//! The folder in which this computer remembers its servers, wherever their data folders are. Nobody but root and the
//! server's account may write there, so what it holds can be relied on; a plain user's server often has none.

use std::path::{Path, PathBuf};

use super::paths::Paths;

/// The folder, made if it can be; `None` when this account can't have one that nobody else writes.
///
/// What root makes belongs to whom the data folder belongs: the service that runs there must be able to use it.
pub fn folder(paths: &Paths) -> Option<PathBuf> {
    match provide(&paths.machine, &paths.data) {
        Ok(()) => Some(paths.machine.clone()),
        Err(cause) => {
            log::debug!("{}: {cause}", paths.machine.display());
            None
        }
    }
}

#[cfg(unix)]
fn provide(folder: &Path, data: &Path) -> std::io::Result<()> {
    use std::fs;
    use std::io::{Error, ErrorKind};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
    let own = super::os::user_id();
    match fs::DirBuilder::new().recursive(false).mode(0o700).create(folder) {
        Ok(()) if own == 0 => {
            let owner = fs::metadata(data)?;
            chown(folder, Some(owner.uid()), Some(owner.gid()))?;
        }
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        // Below another root nothing of the system is there yet.
        Err(e) if e.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder.parent().unwrap_or(folder))?;
            return provide(folder, data);
        }
        Err(e) => return Err(e),
    }
    let facts = fs::symlink_metadata(folder)?;
    let trusted = facts.is_dir() && facts.mode() & 0o022 == 0 && (own == 0 || facts.uid() == own);
    if trusted { Ok(()) } else { Err(Error::new(ErrorKind::PermissionDenied, "others may write here")) }
}

#[cfg(not(unix))]
fn provide(folder: &Path, _data: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_that_others_may_write_is_none() {
        let root = std::env::temp_dir().join(format!("slk-registry-{}", std::process::id()));
        let (data, machine) = (root.join("data"), root.join("var/lib/machine"));
        fs::create_dir_all(&data).unwrap();
        let paths = Paths { settings: root.clone(), data, machine: machine.clone(), user: None };
        assert_eq!(folder(&paths), Some(machine.clone()));
        assert_eq!(fs::metadata(&machine).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(folder(&paths), Some(machine.clone()));
        fs::set_permissions(&machine, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(folder(&paths), None);
        fs::remove_dir_all(&root).unwrap();
    }
}
