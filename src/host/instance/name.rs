//! An abstract Unix socket as a lock: it lies in no folder, so nobody can delete it or copy it with one. Nobody connects to it
//! but to learn whose it is, and nothing is accepted.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::holder::Peer;
use crate::host::os;

/// Connections that may wait, which cost the system memory: one that asks whose it is goes at once.
const BACKLOG: libc::c_int = 4;
/// How often, and how long apart, a socket is asked that has just been bound, or whose process is just ending.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// The name, held or not.
#[derive(Debug)]
pub struct Name {
    name: String,
    socket: Mutex<Option<UnixListener>>,
}

impl Name {
    /// Takes the name; while another process has it, this one stands by, and is told who it is.
    pub fn take(name: &str) -> io::Result<Result<Name, (Name, Peer)>> {
        let name = format!("slk-{name}");
        let mut found = Err(ErrorKind::ConnectionRefused.into());
        for _ in 0..TRIES {
            if let Some(socket) = bind(&name)? {
                return Ok(Ok(Name { name, socket: Mutex::new(Some(socket)) }));
            }
            found = ask(&name);
            match &found {
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => std::thread::sleep(PAUSE),
                _ => break,
            }
        }
        let peer = found.ok().or_else(|| search(&name)).unwrap_or_default();
        Ok(Err((Name { name, socket: Mutex::default() }, peer)))
    }

    /// Takes the name if it isn't held and has become free.
    pub fn take_late(&self) {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if socket.is_none()
            && let Ok(Some(bound)) = bind(&self.name)
        {
            log::info!("the name of this server's lock is free and held now");
            *socket = Some(bound);
        }
    }
}

fn bind(name: &str) -> io::Result<Option<UnixListener>> {
    let socket = match UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?) {
        Ok(socket) => socket,
        Err(e) if e.kind() == ErrorKind::AddrInUse => return Ok(None),
        Err(e) => return Err(e),
    };
    // SAFETY: listen(2) on a descriptor that `socket` owns; it takes a number and touches no memory of ours.
    unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) };
    Ok(Some(socket))
}

/// Asks a socket whose it is: the system noted that when it began to listen. Never waits.
fn ask(name: &str) -> io::Result<Peer> {
    let checked = |result: libc::c_int| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: socket(2) takes numbers only.
    let socket = checked(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: a sockaddr_un is numbers only, for which zeros are valid.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    // An abstract name stands behind a zero.
    let places = address.sun_path.iter_mut().skip(1);
    if name.len() >= address_room() {
        return Err(ErrorKind::InvalidInput.into());
    }
    places.zip(name.bytes()).for_each(|(place, byte)| *place = byte.cast_signed() as libc::c_char);
    let length = std::mem::offset_of!(libc::sockaddr_un, sun_path) + 1 + name.len();
    // SAFETY: `address` lives through the call and is longer than the length that is told, as was checked above.
    checked(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length as libc::socklen_t) })?;
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `peer` and `size` live through the call, and `size` is that of `peer`.
    let asked = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut peer).cast(), &raw mut size)
    };
    checked(asked)?;
    Ok(Peer { pid: u32::try_from(peer.pid).ok().filter(|pid| *pid > 0), user: Some(peer.uid) })
}

fn address_room() -> usize {
    size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path)
}

/// Looks for the process that has a socket which can't be asked: one that doesn't listen, or to which too many connect. Finds root and
/// this account only their own.
fn search(name: &str) -> Option<Peer> {
    use std::os::unix::fs::MetadataExt;
    let table = std::fs::read_to_string("/proc/net/unix").ok()?;
    let name = format!("@{name}");
    // Connections that nobody has accepted stand there under the same name, without a number.
    let pid = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if *fields.get(7)? == name { os::socket_owner(fields.get(6)?) } else { None }
    })?;
    Some(Peer { pid: Some(pid), user: std::fs::metadata(format!("/proc/{pid}")).ok().map(|facts| facts.uid()) })
}
