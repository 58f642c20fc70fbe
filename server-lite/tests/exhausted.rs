//! The front when the process has no descriptors left. The limit belongs to a process, so the test runs itself again as a child
//! that has a low one.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use server_lite::{Front, Limits};
use web::{Reply, Request, Response, Service};

const CHILD: &str = "LITE_TEST_LOW_LIMITS";
/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts its requests: what it has counted is its state, which a new accept loop must not touch.
struct Counter(AtomicU32);

impl Service for Counter {
    fn call(&self, request: Request) -> Reply {
        if request.path == "/count" {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Response::text(200, format!("{:03}", self.0.load(Ordering::SeqCst))).into()
    }
}

/// Runs the test again with so many descriptors; true in the child.
fn with_descriptors(count: u32, test: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let script = format!("ulimit -n {count} && exec \"$0\" --exact {test} --nocapture --test-threads=1");
    let program = std::env::current_exe().unwrap();
    let output = Command::new("sh").args(["-c", &script]).arg(program).env(CHILD, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    false
}

fn start() -> (Front, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = Limits { watch: Duration::from_millis(300), ..Limits::default() };
    let front = Front::start(listener, Arc::new(Counter(AtomicU32::new(0))), limits).unwrap();
    let address = front.address();
    (front, address)
}

fn ask(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.starts_with("HTTP/1.1 200").then(|| answer.rsplit("\r\n").next().unwrap_or_default().to_owned())
}

/// Fills the front with connections until nothing is answered any more, lets them go, and waits until it serves again.
fn fill_and_recover(count: usize) {
    let (_front, address) = start();
    assert_eq!(ask(address, "/count").as_deref(), Some("001"));
    let mut crowd = Vec::new();
    for _ in 0..count {
        let Ok(mut client) = TcpStream::connect(address) else { break };
        let _ = client.write_all(b"GET /");
        crowd.push(client);
    }
    assert!(crowd.len() > 20, "{}", crowd.len());
    std::thread::sleep(Duration::from_millis(500));
    drop(crowd);
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(count) = ask(address, "/look") {
            assert_eq!(count, "001", "what was counted is still there");
            return;
        }
        assert!(Instant::now() < deadline, "it serves nobody any more");
    }
}

#[test]
fn the_front_comes_back_after_descriptors_ran_out() {
    if with_descriptors(100, "the_front_comes_back_after_descriptors_ran_out") {
        fill_and_recover(200);
    }
}
