//! Files that can't be replaced by others of their name: behind a link, mounted by themselves, in a folder that is closed, or of an owner
//! whom no new file can be given to.

use std::fs::{self, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::regular;

/// As many links as the system follows.
const MAX_LINKS: usize = 40;

/// The file that a name stands for: links are followed, those that could lead root astray are refused.
pub(super) fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&place) {
            Ok(facts) if facts.is_symlink() => refuse_planted(&place, &facts)?,
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => return Ok(place),
        }
        place = super::folder_of(&place).join(fs::read_link(&place)?);
    }
    Err(io::Error::other("too many links"))
}

/// What an account that is not root links to must be its own: root would give it what it can't write by itself.
#[cfg(unix)]
fn refuse_planted(link: &Path, facts: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let is_own = || fs::metadata(link).is_ok_and(|named| named.uid() == facts.uid());
    if super::super::os::user_id() != 0 || facts.uid() == 0 || is_own() {
        return Ok(());
    }
    let words = ["ссылка одной учётной записи на файл другой", "a link of one account to a file of another"];
    Err(io::Error::other(regular::NotRegular(words)))
}

#[cfg(not(unix))]
fn refuse_planted(_link: &Path, _facts: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// Whether a file could not be replaced because of where it lies or whose it is.
pub(super) fn is_fixed(cause: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(cause.kind(), ResourceBusy | PermissionDenied | ReadOnlyFilesystem)
}

/// Writes over a file where it lies. It grows first, so that a full disk spoils nothing of it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = regular::open_existing(path, OpenOptions::new().read(true).write(true))?;
    let former = file.metadata()?.len();
    let common = usize::try_from(former).unwrap_or(usize::MAX).min(bytes.len());
    let grown = file
        .seek(SeekFrom::Start(common as u64))
        .and_then(|_| file.write_all(&bytes[common..]))
        .and_then(|()| file.sync_all());
    if let Err(e) = grown {
        // The first error is the one to tell.
        let _ = file.set_len(former);
        return Err(e);
    }
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes[..common])?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::super::{Access, create_folder, read_text, write_atomically_for};
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_link_stays_a_link_and_rights_stay() {
        let folder = std::env::temp_dir().join(format!("slk-in-place-{}", std::process::id()));
        create_folder(&folder.join("etc")).unwrap();
        let (link, file) = (folder.join("a.conf"), folder.join("etc/a.conf"));
        symlink("etc/a.conf", &link).unwrap();
        let write = |text: &str| write_atomically_for(&link, text.as_bytes(), Access::Private, &folder);
        write("one").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o660)).unwrap();
        write("two, longer").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            (read_text(&file, 99).unwrap().as_str(), file.metadata().unwrap().mode() & 0o777),
            ("two, longer", 0o660)
        );
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        let number = file.metadata().unwrap().ino();
        for text in ["three", "", "something that is much longer than all before"] {
            super::write(&file, text.as_bytes()).unwrap();
            assert_eq!((read_text(&file, 99).unwrap().as_str(), file.metadata().unwrap().ino()), (text, number));
        }
        // Only root can give a link away.
        if std::os::unix::fs::lchown(&link, Some(65_534), None).is_ok() {
            let refused = write("x").unwrap_err();
            assert!(refused.code == Code::NotRegularFile && refused.to_string().contains("a.conf"), "{refused}");
            chown(&file, Some(65_534), None).unwrap();
            write("its own").unwrap();
            assert_eq!(file.metadata().unwrap().uid(), 65_534);
        }
        fs::remove_file(&link).unwrap();
        symlink("a.conf", &link).unwrap();
        assert!(write("x").is_err(), "a link to itself");
        fs::remove_dir_all(&folder).unwrap();
    }
}
