//! A datafile on a disk of this computer, in the folders of the guide.

use std::path::PathBuf;

use licence::datafile::Part;
use licence::error::Result;
use licence::host::datafile::OnDisk;
use licence::host::paths::Paths;
use licence::id::KeyId;

/// Folders that are looked into, in order: a client process takes its user's first, a server process only the common one.
pub fn folders(paths: &Paths, is_server: bool) -> Vec<PathBuf> {
    let user = paths.user.clone().filter(|_| !is_server);
    user.into_iter().chain([paths.data.clone()]).collect()
}

/// The first file of a series in the folders.
pub fn find(folders: &[PathBuf], key_id: KeyId, part: Part) -> Result<Option<OnDisk>> {
    let name = part.file_name(key_id);
    for folder in folders {
        if let Some(file) = OnDisk::find(&folder.join(&name))? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}
