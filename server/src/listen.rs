//! The sockets: those of the service manager (socket activation), else one for each address of the settings.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use licence::error::{Code, Error, Result};
use licence::host::os;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;
/// How often a free port of the system's choice may turn out to be taken in the other family.
const TRIES: usize = 16;

/// Opens a socket on each address, all with one port; 0 takes a free one.
pub fn open(addresses: &[IpAddr], port: u16) -> Result<Vec<TcpListener>> {
    let tries = if port == 0 { TRIES } else { 1 };
    for _ in 1..tries {
        match open_all(addresses, port) {
            Err((address, cause)) if cause.kind() == io::ErrorKind::AddrInUse && address.port() != 0 => {}
            outcome => return outcome.map_err(|(address, cause)| cannot_listen(address, &cause)),
        }
    }
    open_all(addresses, port).map_err(|(address, cause)| cannot_listen(address, &cause))
}

fn open_all(addresses: &[IpAddr], mut port: u16) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for ip in addresses {
        let address = SocketAddr::new(*ip, port);
        match open_one(address) {
            Ok(listener) => {
                port = listener.local_addr().map_err(|cause| (address, cause))?.port();
                listeners.push(listener);
            }
            // A computer without IPv6 has no such sockets, or not this address.
            Err(cause) if !listeners.is_empty() && is_general_v6(ip) && is_absent(&cause) => {
                log::info!("{ip}: not listened on, this computer has no IPv6 ({cause})");
            }
            Err(cause) => return Err((address, cause)),
        }
    }
    Ok(listeners)
}

fn is_general_v6(ip: &IpAddr) -> bool {
    ip.is_ipv6() && (ip.is_unspecified() || ip.is_loopback())
}

fn is_absent(cause: &io::Error) -> bool {
    !matches!(cause.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

fn open_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Else a socket of IPv6 takes the port of IPv4 too on some systems and not on others.
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for connections of the former run to be forgotten. On Windows this would share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The sockets that the service manager has opened for this process, if it has.
pub fn handed_over() -> io::Result<Vec<TcpListener>> {
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
    fn one_port_is_listened_on_in_both_families() {
        let listeners = open(&[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], 0).unwrap();
        let ports: Vec<u16> = listeners.iter().map(|one| one.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
        for listener in &listeners {
            assert!(TcpStream::connect(listener.local_addr().unwrap()).is_ok());
        }
        let busy = open(&[Ipv4Addr::LOCALHOST.into()], ports[0]).unwrap_err();
        assert_eq!(busy.code, Code::PortBusy);
    }
}
