//! One service per identity and machine: a lock that is independent of where the data folder is, so that a copied folder
//! can't be served a second time. Released by the system when the process ends, however it ends.

use std::io;

/// The held lock.
#[derive(Debug)]
pub struct Instance {
    #[cfg(target_os = "linux")]
    _socket: std::os::unix::net::UnixListener,
    #[cfg(not(target_os = "linux"))]
    _file: std::fs::File,
}

/// Takes the machine-wide lock `name`; `None` when another process holds it.
///
/// On Linux it is an abstract Unix socket: no file that could be deleted or copied with a folder. The name is a secret of
/// the identity's owner (see [`crate::identity::Identity::lock_name`]), so nobody else can take it first.
#[cfg(target_os = "linux")]
pub fn take(name: &str) -> io::Result<Option<Instance>> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let address = SocketAddr::from_abstract_name(format!("slk-{name}"))?;
    match UnixListener::bind_addr(&address) {
        Ok(socket) => Ok(Some(Instance { _socket: socket })),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(e) => Err(e),
    }
}

/// Takes the machine-wide lock `name`; `None` when another process holds it. A locked file in the common temporary folder.
#[cfg(not(target_os = "linux"))]
pub fn take(name: &str) -> io::Result<Option<Instance>> {
    let path = std::env::temp_dir().join(format!("slk-{name}.lock"));
    let file = std::fs::OpenOptions::new().create(true).write(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Instance { _file: file })),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(e)) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_free_again_when_dropped() {
        let name = format!("test-{}", std::process::id());
        let held = take(&name).unwrap();
        assert!(held.is_some());
        assert!(take(&name).unwrap().is_none());
        drop(held);
        assert!(take(&name).unwrap().is_some());
    }
}
