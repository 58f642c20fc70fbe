//! To whom files belong. Commands are run by root beside a service that has an account of its own: what root writes belongs to
//! whom its place belongs, so that the service can go on with it. Who is not root keeps an owner if he may, and writes all the same.

use std::fs::{File, Metadata};
use std::path::Path;

/// Gives a new file or folder to whom it belongs: see [`heir`]. That it can't be given away is no failure.
#[cfg(unix)]
pub(super) fn inherit(file: &File, folder: &Path, account: Option<&Path>) {
    give(file, None, folder, account);
}

/// Gives a file that replaces `old` to the former owner, or to whom its place belongs; whether it has its owner now. What root
/// writes always has.
#[cfg(unix)]
pub(super) fn keep(file: &File, old: Option<&Metadata>, folder: &Path, account: Option<&Path>) -> bool {
    use std::os::unix::fs::MetadataExt;
    give(file, old, folder, account);
    let is_same = |old: &Metadata| file.metadata().is_ok_and(|now| (now.uid(), now.gid()) == (old.uid(), old.gid()));
    super::super::os::user_id() == 0 || old.is_none_or(is_same)
}

/// Gives a file of the program's own that an earlier version has left to root to whom its folder belongs. One that has other
/// names is left alone: it may be somebody else's.
#[cfg(unix)]
pub(super) fn mend(file: &File, folder: &Path) {
    use std::os::unix::fs::MetadataExt;
    if super::super::os::user_id() == 0 && file.metadata().is_ok_and(|facts| facts.uid() == 0 && facts.nlink() == 1) {
        inherit(file, folder, None);
    }
}

/// The same for a folder that was just made; a link that has come in its place is not followed.
#[cfg(unix)]
pub(super) fn inherit_folder(path: &Path, account: Option<&Path>) {
    use std::os::unix::fs::OpenOptionsExt;
    if super::super::os::user_id() != 0 {
        return;
    }
    let flags = libc::O_NOFOLLOW | libc::O_DIRECTORY | libc::O_NONBLOCK;
    match File::options().read(true).custom_flags(flags).open(path) {
        Ok(folder) => inherit(&folder, super::folder_of(path), account),
        Err(e) => log::warn!("{}: {e}", path.display()),
    }
}

/// Rights of a private file that replaces `old`: a group that was let in on purpose stays, others never are.
#[cfg(unix)]
pub(super) fn private_mode(old: Option<&Metadata>) -> u32 {
    use std::os::unix::fs::MetadataExt;
    let let_in = old.map(Metadata::mode).filter(|mode| mode & 0o044 == 0o040);
    0o600 | let_in.map_or(0, |mode| mode & 0o060)
}

/// Gives a file that replaces `old` these rights, which the mask of this process may have cut.
#[cfg(unix)]
pub(super) fn set_mode(file: &File, mode: u32, old: Option<&Metadata>) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let is_let_in = old.is_some() && mode & 0o077 != 0 && mode & 0o007 == 0;
    if is_let_in { file.set_permissions(std::fs::Permissions::from_mode(mode)) } else { Ok(()) }
}

#[cfg(unix)]
fn give(file: &File, old: Option<&Metadata>, folder: &Path, account: Option<&Path>) {
    use std::os::unix::fs::{MetadataExt, fchown};
    let ids = |facts: Metadata| (facts.uid(), facts.gid());
    let of = |path: &Path| std::fs::metadata(path).ok().map(ids);
    let former = old.map(|old| (old.uid(), old.gid()));
    let is_root = super::super::os::user_id() == 0;
    let wanted = match is_root {
        true => heir(former, of(folder), account.and_then(of)),
        false => former,
    };
    let (Some((uid, gid)), Ok(now)) = (wanted, file.metadata().map(ids)) else { return };
    if (uid, gid) == now {
        return;
    }
    let given = fchown(file, Some(uid), Some(gid)).or_else(|_| fchown(file, None, Some(gid)));
    if let Err(e) = given
        && is_root
    {
        log::warn!("{}: a file could not be given to its owner: {e}", folder.display());
    }
}

/// Owner and group of what root writes: the former ones, those of the folder, those of the service's account; the first that are
/// not root's own.
#[cfg(unix)]
fn heir(former: Option<(u32, u32)>, folder: Option<(u32, u32)>, account: Option<(u32, u32)>) -> Option<(u32, u32)> {
    let all = [former, folder, account];
    all.into_iter().flatten().find(|(uid, _)| *uid != 0).or(former).or(folder)
}

#[cfg(not(unix))]
mod elsewhere {
    //! Windows has inherited rights in place of owners.
    use super::{File, Metadata, Path};

    pub fn inherit(_file: &File, _folder: &Path, _account: Option<&Path>) {}

    pub fn keep(_file: &File, _old: Option<&Metadata>, _folder: &Path, _account: Option<&Path>) -> bool {
        true
    }

    pub fn mend(_file: &File, _folder: &Path) {}

    pub fn inherit_folder(_path: &Path, _account: Option<&Path>) {}

    pub fn set_mode(_file: &File, _mode: u32, _old: Option<&Metadata>) -> std::io::Result<()> {
        Ok(())
    }

    pub fn private_mode(_old: Option<&Metadata>) -> u32 {
        0
    }
}

#[cfg(not(unix))]
pub(super) use elsewhere::{inherit, inherit_folder, keep, mend, private_mode, set_mode};

#[cfg(all(test, unix))]
mod tests {
    use super::heir;

    #[test]
    fn what_root_writes_belongs_to_the_first_account_that_is_not_root() {
        let (root, service, other) = (Some((0, 0)), Some((65_534, 65_534)), Some((1000, 100)));
        assert_eq!(heir(other, service, None), other, "a file keeps its owner");
        assert_eq!(heir(root, service, None), service, "one that an editor of root's has left does not");
        assert_eq!(heir(None, service, other), service);
        assert_eq!(heir(root, root, service), service);
        assert_eq!(heir(Some((0, 7)), root, root), Some((0, 7)), "a group that may read it stays");
        assert_eq!((heir(None, root, None), heir(None, None, None)), (root, None));
    }
}
