//! Hang and heartbeat stop (CVE-2018-20032, CVE-2019-8960, CVE-2017-12820): slow header, slow body, slow reader, huge line, no
//! descriptors left, a burst of connections. Many of them at once are in `siege`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::daemon::{Daemon, free_port};
use e2e::{Outcome, Programs, Root};

use crate::stage::{PATIENCE, ask, connect, rest, server, throw, unharmed};

const SHORT: &str = "[Limits]\nHeaderTimeout=1\nBodyTimeout=1\nIdleTimeout=2\nReadTimeout=1\n";

#[test]
fn a_client_that_is_slow_is_cut_and_told() -> Outcome {
    let server = server("slow", SHORT)?;
    let post = "POST /client/call HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n";
    for (name, bytes) in [("no header", ""), ("half a header", "GET / HTTP/1.1\r\nHost: x\r\n"), ("half a body", post)]
    {
        let heard = throw(&server, bytes)?;
        assert_eq!(heard.status(), 408, "{name}: {heard:?}");
        assert!(
            heard.head().contains("connection: close") && heard.body().contains("\"ErrorCode\":111"),
            "{name}: {heard:?}"
        );
    }
    // One byte after the other buys no time.
    for start in ["GET / HTTP/1.1\r\n", post] {
        let mut stream = connect(&server)?;
        let mut writer = stream.try_clone()?;
        writer.write_all(start.as_bytes())?;
        let dripping = std::thread::spawn(move || {
            while writer.write_all(b"a: 1\r\n").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        assert_eq!(rest(&mut stream)?.status(), 408);
        drop(stream);
        assert!(dripping.join().is_ok());
    }
    // Between two requests: closed without a word.
    let mut idle = connect(&server)?;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
    assert_eq!(rest(&mut idle)?.0.matches("HTTP/1.1").count(), 1);
    unharmed(&server)
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_takes_nothing_is_cut() -> Outcome {
    let server = server("reader", SHORT)?;
    unharmed(&server)?;
    let before = crate::stage::descriptors(&server)?;
    let mut stream = connect(&server)?;
    // More answers than any pair of sockets holds.
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    stream.set_write_timeout(Some(Duration::from_millis(200)))?;
    while stream.write_all(&request).is_ok() {}
    unharmed(&server)?;
    let deadline = Instant::now() + PATIENCE;
    while crate::stage::descriptors(&server)? > before {
        assert!(Instant::now() < deadline, "it is not cut");
        std::thread::sleep(Duration::from_millis(50));
    }
    // What the sockets hold is still read; then the connection is at its end.
    let mut sink = [0; 1 << 16];
    while matches!(stream.read(&mut sink), Ok(count) if count > 0) {}
    unharmed(&server)
}

#[test]
fn a_line_without_end_is_refused() -> Outcome {
    let server = server("endless", "")?;
    for start in ["GET /", "GET / HTTP/1.1\r\nHost: x\r\nX: ", "X"] {
        let heard = throw(&server, format!("{start}{}", "a".repeat(8 * 1024 * 1024)))?;
        assert!([400, 414, 431].contains(&heard.status()), "{start}: {}", heard.status());
    }
    unharmed(&server)
}

#[test]
fn a_burst_of_connections_is_answered() -> Outcome {
    let server = server("burst-of-connections", "")?;
    let clients: Vec<TcpStream> = (0..500).map(|_| connect(&server)).collect::<Outcome<_>>()?;
    for mut client in &clients {
        client.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    }
    for mut client in clients {
        assert_eq!(rest(&mut client)?.status(), 200);
    }
    unharmed(&server)
}

#[test]
fn connections_beyond_the_limits_are_told_so_and_others_live_on() -> Outcome {
    let server = server("beyond", "[Limits]\nConnections=40\nConnectionsPerAddress=20\n")?;
    let mut first = connect(&server)?;
    let get = |stream: &mut TcpStream| -> Outcome<String> {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut answer = String::new();
        while !answer.ends_with("ok\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            answer.push(byte[0].into());
        }
        Ok(answer)
    };
    get(&mut first)?;
    let crowd: Vec<TcpStream> = (0..19).map(|_| connect(&server)).collect::<Outcome<_>>()?;
    let refused = rest(&mut connect(&server)?)?;
    assert!(refused.status() == 503 && refused.body().contains("\"ErrorCode\":108"), "{refused:?}");
    get(&mut first)?;
    drop(crowd);
    // The places are free as soon as the server has seen the ends.
    while ask(&server, "GET /healthz", "", "")?.status() != 200 {}
    Ok(())
}

#[test]
fn a_server_without_descriptors_comes_back() -> Outcome {
    let (root, port) = (Root::new("descriptors")?, free_port()?);
    let conf = format!("[Common]\nServerAddr=127.0.0.1\nServerPort={port}\n[Limits]\nHeaderTimeout=3600\n");
    fs::write(root.settings().join("licenceserver.conf"), conf)?;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 100 && exec \"$0\" -r"]).arg(Programs::built()?.program("licenceserver"));
    let daemon = Daemon::start({
        command.env("SLK_ROOT", root.path());
        command
    })?;
    let address = daemon.address()?;
    let open = || -> Outcome<TcpStream> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    let get = |stream: &mut TcpStream| -> Outcome<String> {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut answer = [0; 15];
        stream.read_exact(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let mut kept = open()?;
    assert_eq!(get(&mut kept)?, "HTTP/1.1 200 OK");
    // More than it can accept; the rest waits in the socket's queue.
    let crowd: Vec<TcpStream> = (0..200).map(|_| open()).collect::<Outcome<_>>()?;
    let deadline = Instant::now() + PATIENCE;
    while !daemon.said().contains("no connection can be accepted") {
        assert!(Instant::now() < deadline, "{}", daemon.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(crowd);
    assert_eq!(get(&mut open()?)?, "HTTP/1.1 200 OK");
    Ok(())
}
