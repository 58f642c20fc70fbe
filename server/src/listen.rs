//! The sockets: those of the service manager (socket activation), else one for each address of the settings.
//!
//! Their ports are taken first, so that a busy one is told before anything else is done; nobody can connect before
//! [`Sockets::listen`], which is called when the service is known to be able to serve.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use licence::error::{Code, Error, Result};
use licence::host::os;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;
/// How often a free port of the system's choice may turn out to be taken in the other family.
const TRIES: usize = 16;

/// Sockets whose ports are taken.
pub struct Sockets {
    bound: Vec<Socket>,
    /// Those of the service manager: they listen already, and who connects waits.
    handed: Vec<TcpListener>,
}

impl Sockets {
    /// The sockets of the service manager, if there are any, else new ones on each of these addresses, all with one port; 0 takes a
    /// free one.
    pub fn open(addresses: impl FnOnce() -> Vec<IpAddr>, port: u16) -> Result<Sockets> {
        let handed = handed_over()
            .map_err(|cause| Error::new(Code::Internal).with(format_args!("socket activation: {cause}")))?;
        let bound = if handed.is_empty() { bind(&addresses(), port)? } else { Vec::new() };
        Ok(Sockets { bound, handed })
    }

    /// Where they are.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let bound = self.bound.iter().map(address_of);
        self.handed.iter().map(TcpListener::local_addr).chain(bound).collect()
    }

    /// Begins to listen.
    pub fn listen(self) -> Result<Vec<TcpListener>> {
        let mut listeners = self.handed;
        for socket in self.bound {
            let address = address_of(&socket)
                .map_err(|cause| Error::new(Code::Internal).with(format_args!("sockets: {cause}")))?;
            // Another program may have begun to listen between the two steps.
            socket.listen(BACKLOG).map_err(|cause| cannot_listen(address, &cause))?;
            listeners.push(socket.into());
        }
        Ok(listeners)
    }
}

fn address_of(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn bind(addresses: &[IpAddr], port: u16) -> Result<Vec<Socket>> {
    let tries = if port == 0 { TRIES } else { 1 };
    for _ in 1..tries {
        match bind_all(addresses, port) {
            Err((address, cause)) if cause.kind() == io::ErrorKind::AddrInUse && address.port() != 0 => {}
            outcome => return outcome.map_err(|(address, cause)| cannot_listen(address, &cause)),
        }
    }
    bind_all(addresses, port).map_err(|(address, cause)| cannot_listen(address, &cause))
}

fn bind_all(addresses: &[IpAddr], mut port: u16) -> Result<Vec<Socket>, (SocketAddr, io::Error)> {
    let mut sockets: Vec<Socket> = Vec::new();
    for ip in addresses {
        let address = SocketAddr::new(*ip, port);
        match bind_one(address) {
            Ok(socket) => {
                port = address_of(&socket).map_err(|cause| (address, cause))?.port();
                sockets.push(socket);
            }
            // A computer without IPv6 has no such sockets, or not this address.
            Err(cause) if !sockets.is_empty() && is_general_v6(ip) && is_absent(&cause) => {
                log::info!("{ip}: not listened on, this computer has no IPv6 ({cause})");
            }
            Err(cause) => return Err((address, cause)),
        }
    }
    Ok(sockets)
}

fn is_general_v6(ip: &IpAddr) -> bool {
    ip.is_ipv6() && (ip.is_unspecified() || ip.is_loopback())
}

fn is_absent(cause: &io::Error) -> bool {
    !matches!(cause.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

fn bind_one(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Else a socket of IPv6 takes the port of IPv4 too on some systems and not on others.
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for connections of the former run to be forgotten. On Windows this would share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// The sockets that the service manager has opened for this process, if it has.
fn handed_over() -> io::Result<Vec<TcpListener>> {
    #[cfg(unix)]
    {
        let mut handed = listenfd::ListenFd::from_env();
        let mut listeners = Vec::new();
        for number in 0..handed.len() {
            listeners.extend(handed.take_tcp_listener(number)?);
        }
        Ok(listeners)
    }
    #[cfg(not(unix))]
    Ok(Vec::new())
}

/// Why nothing can be listened on.
pub fn cannot_listen(address: SocketAddr, cause: &io::Error) -> Error {
    if cause.kind() == io::ErrorKind::AddrInUse {
        return Error::new(Code::PortBusy).with(address.port()).with(os::port_owner(address.port()));
    }
    Error::new(Code::ListenFailed).with(address).with(cause)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};

    use super::*;

    #[test]
    fn one_port_is_listened_on_in_both_families_when_it_is_time_to() {
        let addresses = || vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let sockets = Sockets::open(addresses, 0).unwrap();
        let places = sockets.addresses().unwrap();
        assert!(places.iter().all(|place| place.port() == places[0].port() && place.port() > 0), "{places:?}");
        assert!(places.iter().all(|place| TcpStream::connect(place).is_err()), "nobody serves yet");
        let listeners = sockets.listen().unwrap();
        assert_eq!(listeners.len(), places.len());
        assert!(places.iter().all(|place| TcpStream::connect(place).is_ok()));
        let busy = Sockets::open(|| vec![Ipv4Addr::LOCALHOST.into()], places[0].port()).err().unwrap();
        assert_eq!(busy.code, Code::PortBusy);
    }
}
