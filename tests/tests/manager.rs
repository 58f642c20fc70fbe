//! The server under a service manager, without one: what it says over `sd_notify`, and the sockets that it is handed.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::daemon::Daemon;
use e2e::server::command;
use e2e::{Outcome, Root, check, fail};

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);
const ON_A_FREE_PORT: [&str; 5] = ["-r", "--address", "127.0.0.1", "--port", "0"];

/// The end of the manager.
struct Manager(UnixDatagram);

impl Manager {
    /// The next word that is no sign of life, all of its lines.
    fn hears(&self) -> Outcome<String> {
        loop {
            let word = self.next()?;
            if word != "WATCHDOG=1" {
                return Ok(word);
            }
        }
    }

    fn next(&self) -> Outcome<String> {
        let mut word = [0; 512];
        let length = self.0.recv(&mut word)?;
        Ok(String::from_utf8_lossy(&word[..length]).trim_end().to_owned())
    }
}

#[test]
fn a_service_manager_is_told_of_each_turn_in_the_servers_life() -> Outcome {
    let root = Root::new("notify")?;
    let path = root.path().join("notify");
    let manager = Manager(UnixDatagram::bind(&path)?);
    manager.0.set_read_timeout(Some(PATIENCE))?;
    let mut command = command(root.path(), &ON_A_FREE_PORT)?;
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let mut server = Daemon::start(command)?;
    assert_eq!(manager.hears()?, "READY=1");
    TcpStream::connect(server.address()?)?;
    for _ in 0..3 {
        assert_eq!(manager.next()?, "WATCHDOG=1");
    }
    server.signal("HUP")?;
    let reloading = manager.hears()?;
    // systemd compares the moment with its own: a reload that it has not asked for is known so.
    let moment = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")?.parse::<u64>().ok());
    check(reloading.contains("RELOADING=1") && moment.is_some_and(|moment| moment > 0), || reloading.clone())?;
    assert_eq!(manager.hears()?, "READY=1");
    server.signal("TERM")?;
    assert_eq!(manager.hears()?, "STOPPING=1");
    check(server.ended()?.success(), || server.said())
}

#[test]
fn a_server_without_a_manager_says_nothing_and_wants_nothing() -> Outcome {
    let root = Root::new("unmanaged")?;
    // Somebody else's sign of life, and a manager that has gone.
    let mut command = command(root.path(), &ON_A_FREE_PORT)?;
    command.env("NOTIFY_SOCKET", root.path().join("gone")).env("WATCHDOG_USEC", "200000").env("WATCHDOG_PID", "1");
    let mut server = Daemon::start(command)?;
    assert_eq!(ask(TcpStream::connect(server.address()?)?)?, "ok\n");
    check(server.stop()?.success(), || server.said())
}

/// `licenceserver` with a socket as systemd hands it over: descriptor 3, and the number of the process that it is meant for.
fn activated(root: &Root, listener: &TcpListener, process: &str) -> Outcome<Daemon> {
    let server = command(root.path(), &ON_A_FREE_PORT)?;
    let mut shell = Command::new("sh");
    let script = format!("exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID={process}; exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(server.get_program()).args(server.get_args());
    shell.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Daemon::start_with(shell, Stdio::from(OwnedFd::from(listener.try_clone()?)))
}

fn ask(mut stream: TcpStream) -> Outcome<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => fail(text),
    }
}

#[test]
fn a_socket_that_is_handed_over_keeps_its_callers_through_restarts() -> Outcome {
    let root = Root::new("activated")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    for life in 0..3 {
        // Somebody calls while no server is there, and is served by the next.
        let early = TcpStream::connect(address)?;
        let mut server = activated(&root, &listener, "$$")?;
        assert_eq!(server.address()?, address, "life {life}: it has no socket of its own");
        assert_eq!(ask(early)?, "ok\n");
        assert_eq!(ask(TcpStream::connect(address)?)?, "ok\n");
        if life == 1 {
            server.kill9()?;
        } else {
            check(server.stop()?.success(), || server.said())?;
        }
    }
    // What is meant for another process is left alone.
    let server = activated(&root, &listener, "1")?;
    assert_ne!(server.address()?, address);
    assert_eq!(ask(TcpStream::connect(server.address()?)?)?, "ok\n");
    Ok(())
}
