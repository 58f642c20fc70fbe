//! The front when the process has no descriptors left. The limit belongs to a process, so the test runs itself again
//! as a child that has a low one.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use web::network::{Limits, serve};
use web::{Reply, Request, Response, Service};

const CHILD: &str = "WEB_TEST_FEW_DESCRIPTORS";

struct Hello;

impl Service for Hello {
    fn call(&self, _: Request) -> Reply {
        Response::text(200, "hello").into()
    }
}

#[test]
fn the_front_goes_on_accepting_after_descriptors_ran_out() {
    if std::env::var_os(CHILD).is_some() {
        return with_few_descriptors();
    }
    let program = std::env::current_exe().unwrap();
    let script =
        "ulimit -n 64 && exec \"$0\" --exact the_front_goes_on_accepting_after_descriptors_ran_out --nocapture";
    let status = Command::new("sh").arg("-c").arg(script).arg(program).env(CHILD, "1").status().unwrap();
    assert!(status.success());
}

/// Client and server share the 64 descriptors: each connection that is accepted takes two.
fn with_few_descriptors() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.spawn(serve(vec![listener], None, Arc::new(Hello), Limits::default(), std::future::pending()));

    let mut first = TcpStream::connect(address).unwrap();
    ask(&mut first);
    let mut crowd = Vec::new();
    while let Ok(client) = TcpStream::connect(address) {
        crowd.push(client);
    }
    assert!(crowd.len() > 10);
    // Nothing can be opened now; connections that are served go on.
    ask(&mut first);
    drop(crowd);
    let mut late = connect_when_possible(address);
    ask(&mut late);
    ask(&mut first);
}

fn connect_when_possible(address: SocketAddr) -> TcpStream {
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return stream,
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn ask(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).unwrap();
        answer.extend_from_slice(&byte);
    }
}
