//! What kind of file system a folder lies on.

use std::io;
use std::path::Path;

/// Name of the network file system that `folder` lies on; `None` when it is a local one.
#[cfg(target_os = "linux")]
pub fn network_file_system(folder: &Path) -> io::Result<Option<String>> {
    let folder = folder.canonicalize()?;
    let mounts = std::fs::read("/proc/self/mountinfo")?;
    Ok(file_system_of(&folder, &mounts).filter(|kind| is_network(kind)))
}

/// Name of the network file system that `folder` lies on; `None` when it is a local one.
#[cfg(windows)]
pub fn network_file_system(folder: &Path) -> io::Result<Option<String>> {
    use std::path::{Component, Prefix};
    let folder = folder.canonicalize()?;
    let remote = match folder.components().next() {
        Some(Component::Prefix(prefix)) => matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..)),
        _ => false,
    };
    Ok(remote.then(|| "SMB".to_owned()))
}

/// Name of the network file system that `folder` lies on; not known on this system.
#[cfg(not(any(target_os = "linux", windows)))]
pub fn network_file_system(_folder: &Path) -> io::Result<Option<String>> {
    Ok(None)
}

/// The type of the file system on which `folder` lies, by the text of `mountinfo` (proc(5)): the mount whose place is the
/// longest beginning of the path; of several at one place the last one covers the others.
#[cfg(target_os = "linux")]
fn file_system_of(folder: &Path, mounts: &[u8]) -> Option<String> {
    use std::os::unix::ffi::OsStrExt;
    let mut found: Option<(usize, String)> = None;
    for line in mounts.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ');
        let Some(place) = fields.nth(4).map(unescape) else { continue };
        let Some(kind) = fields.skip_while(|field| *field != b"-").nth(1) else { continue };
        let place = Path::new(std::ffi::OsStr::from_bytes(&place)).to_owned();
        let depth = place.components().count();
        if folder.starts_with(&place) && found.as_ref().is_none_or(|(best, _)| *best <= depth) {
            found = Some((depth, String::from_utf8_lossy(kind).into_owned()));
        }
    }
    found.map(|(_, kind)| kind)
}

/// A path of `mountinfo`, where space, tab, newline and backslash stand as three octal digits.
#[cfg(target_os = "linux")]
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                path.push(byte);
                rest = &tail[3..];
            }
            _ => {
                path.push(*first);
                rest = tail;
            }
        }
    }
    path
}

#[cfg(target_os = "linux")]
fn is_network(kind: &str) -> bool {
    const NETWORK: [&str; 17] = [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "ncpfs",
        "9p",
        "afs",
        "coda",
        "ceph",
        "lustre",
        "gfs2",
        "ocfs2",
        "beegfs",
        "glusterfs",
        "orangefs",
        "davfs",
    ];
    let fuse = kind.strip_prefix("fuse.");
    NETWORK.contains(&fuse.unwrap_or(kind))
        || fuse.is_some_and(|kind| ["sshfs", "rclone", "s3fs", "davfs2"].contains(&kind))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_mount_nearest_to_the_folder_decides() {
        let mounts = b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
            2 1 0:30 / /srv rw shared:5 - nfs4 host:/srv rw\n\
            3 2 8:2 / /srv/with\\040space rw - xfs /dev/sdb rw\n\
            4 1 0:31 / /mnt/a rw - fuse.sshfs host: rw\n";
        let kind = |folder: &str| file_system_of(Path::new(folder), mounts).unwrap();
        assert_eq!(kind("/var/data"), "ext4");
        assert_eq!(kind("/srv/data"), "nfs4");
        assert_eq!(kind("/srvdata"), "ext4");
        assert_eq!(kind("/srv/with space/x"), "xfs");
        assert!(is_network(&kind("/srv")) && is_network(&kind("/mnt/a/b")) && !is_network(&kind("/")));
    }

    #[test]
    fn a_local_folder_is_not_refused() {
        assert_eq!(network_file_system(&std::env::temp_dir()).unwrap(), None);
    }
}
