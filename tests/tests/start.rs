//! The order of a start: the port is taken first, the store is looked at next, and only a server that can serve is reached.

#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use e2e::daemon::{Daemon, free_port};
use e2e::server::command;
use e2e::{Outcome, Programs, Root, Server, check, fail};

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A root whose store is damaged.
fn damaged(name: &str) -> Outcome<Root> {
    let root = Root::new(name)?;
    let mut server = Daemon::start(command(root.path(), &["-r", "--address", "127.0.0.1", "--port", "0"])?)?;
    server.stop()?;
    let path = root.data().join("ledger.db");
    let mut bytes = std::fs::read(&path)?;
    check(bytes.len() > 8192, || format!("{} bytes", bytes.len()))?;
    bytes[4096..8192].fill(0xFF);
    std::fs::write(&path, bytes)?;
    Ok(root)
}

/// Connects again and again while a program runs to its end; what it has said, and how often somebody was let in.
fn knocked_at(mut program: Command, port: u16) -> Outcome<(Output, u64)> {
    let over = AtomicBool::new(false);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let mut entered = 0;
            while !over.load(Ordering::Relaxed) {
                entered += u64::from(TcpStream::connect_timeout(&address, PATIENCE).is_ok());
            }
            entered
        });
        let output = program.stdin(Stdio::null()).output();
        over.store(true, Ordering::Relaxed);
        match caller.join() {
            Ok(entered) => Ok((output?, entered)),
            Err(_) => fail("the caller has ended"),
        }
    })
}

fn ask(mut stream: TcpStream) -> Outcome<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn lite(root: &Root, port: u16) -> Outcome<Command> {
    let mut lite = Command::new(Programs::built()?.program("server-lite"));
    lite.args(["--port", &port.to_string()]).env("SLK_ROOT", root.path());
    Ok(lite)
}

#[test]
fn nobody_reaches_a_server_whose_store_is_damaged() -> Outcome {
    let root = damaged("start-damaged")?;
    let port = free_port()?;
    let text = port.to_string();
    let full = command(root.path(), &["-r", "--address", "127.0.0.1", "--port", &text, "--lang", "en"])?;
    for program in [full, lite(&root, port)?] {
        let name = program.get_program().display().to_string();
        let (output, entered) = knocked_at(program, port)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        check(said.contains("ledger.db") && said.contains("licenceserver check"), || format!("{name}: {said}"))?;
        check(!String::from_utf8_lossy(&output.stdout).contains("listening"), || format!("{name} says it listens"))?;
        assert_eq!(entered, 0, "{name}: somebody was let in");
    }
    Ok(())
}

#[test]
fn who_waits_at_a_socket_that_is_handed_over_is_left_to_the_next_server() -> Outcome {
    let root = damaged("start-handed")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let early = TcpStream::connect(listener.local_addr()?)?;
    let server = command(root.path(), &["-r"])?;
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\""]);
    shell.arg(server.get_program()).args(server.get_args());
    shell.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.stdin(Stdio::from(OwnedFd::from(listener.try_clone()?))).output()?;
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    // The next one, which is this test, finds its caller.
    listener.set_nonblocking(true)?;
    let (_, peer) = listener.accept()?;
    assert_eq!(peer, early.local_addr()?);
    Ok(())
}

#[test]
fn a_busy_port_is_told_before_anything_else() -> Outcome {
    let root = damaged("start-busy")?;
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = holder.local_addr()?.port();
    let text = port.to_string();
    let full = command(root.path(), &["-r", "--address", "127.0.0.1", "--port", &text, "--lang", "en"])?;
    for mut program in [full, lite(&root, port)?] {
        let output = program.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        check(said.contains(&text) && !said.contains("ledger.db"), || said)?;
    }
    Ok(())
}

#[test]
fn the_first_who_gets_in_is_served() -> Outcome {
    let root = Root::new("start-first")?;
    for restart in 0..3 {
        let port = free_port()?;
        let starting = command(root.path(), &["-r", "--address", "127.0.0.1", "--port", &port.to_string()])?;
        let over = AtomicBool::new(false);
        let (server, first) = thread::scope(|scope| {
            let caller = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                        return ask(stream).map_err(|e| e.to_string());
                    }
                }
                Err("nobody was let in".to_owned())
            });
            let server = Daemon::start(starting);
            // Who is let in is let in by now.
            let entered = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
            over.store(!entered, Ordering::Relaxed);
            (server, caller.join())
        });
        let mut server = server?;
        let first = first.map_err(|_| e2e::Failure::new("the caller has ended"))?;
        check(first.as_ref().is_ok_and(|text| text.starts_with("HTTP/1.1 200 ")), || format!("{restart}: {first:?}"))?;
        server.stop()?;
    }
    // Its pass names the port that the system chose.
    let server = Server::start(Root::new("start-port")?, None)?;
    check(server.run(&["keys"], "")?.status.success(), || "a command does not reach it".to_owned())
}
