//! The front when the process has no descriptors or threads left. Limits belong to a process, so each test runs itself again as a
//! child that has low ones.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
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

/// How often the accept loop has failed, as far as its log and its panics tell.
static FAILED: AtomicUsize = AtomicUsize::new(0);

/// Counts what the front logs when it can't accept.
struct Listening;

impl log::Log for Listening {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.args().to_string().starts_with("no connection can be accepted") {
            FAILED.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn flush(&self) {}
}

/// Counts the panics of tiny_http's accept thread that tell of this cause: nobody accepts any more after one.
fn count_panics(cause: &'static str) {
    std::panic::set_hook(Box::new(move |panic| {
        if panic.to_string().contains(cause) {
            FAILED.fetch_add(1, Ordering::SeqCst);
        }
    }));
}

/// Clients that begin a request and don't end it, until the accept loop has failed.
fn crowd_until_it_fails(address: SocketAddr) -> Vec<TcpStream> {
    let deadline = Instant::now() + PATIENCE;
    let mut crowd = Vec::new();
    while FAILED.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "{} clients did it no harm", crowd.len());
        match TcpStream::connect(address) {
            Ok(mut client) => {
                let _ = client.write_all(b"GET /");
                crowd.push(client);
            }
            // The client itself has no descriptor left: one less of the crowd leaves the next to the front.
            Err(_) => drop(crowd.pop()),
        }
    }
    crowd
}

fn serves_again(address: SocketAddr) {
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
    if !with_descriptors(100, "the_front_comes_back_after_descriptors_ran_out") {
        return;
    }
    // Either the socket can't be accepted, or tiny_http panics as it can't be cloned.
    count_panics("Too many open files");
    log::set_logger(&Listening).unwrap();
    log::set_max_level(log::LevelFilter::Error);
    let (_front, address) = start();
    assert_eq!(ask(address, "/count").as_deref(), Some("001"));
    drop(crowd_until_it_fails(address));
    serves_again(address);
}

#[test]
fn the_watchdog_opens_a_front_whose_accept_thread_has_died() {
    if !with_descriptors(1000, "the_watchdog_opens_a_front_whose_accept_thread_has_died") {
        return;
    }
    count_panics("failed to spawn thread");
    let (_front, address) = start();
    assert_eq!(ask(address, "/count").as_deref(), Some("001"));
    let (former, most) = rlimit::Resource::AS.get().unwrap();
    // Room for what is small, none for the stack of a thread.
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').next().unwrap().parse().unwrap();
    rlimit::Resource::AS.set(pages * 4096 + 1024 * 1024, most).unwrap();
    let crowd = crowd_until_it_fails(address);
    rlimit::Resource::AS.set(former, most).unwrap();
    drop(crowd);
    serves_again(address);
}
