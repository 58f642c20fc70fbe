//! The small program: the whole service, over tiny_http.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);
/// `admin:admin`.
const DEFAULT: &str = "Authorization: Basic YWRtaW46YWRtaW4=\r\n";

struct Root(PathBuf);

impl Root {
    fn new() -> Root {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("slk-lite-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = Root(std::env::temp_dir().join(name));
        fs::create_dir_all(root.0.join("var/1C/licence/3.0")).unwrap();
        root
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server-lite"));
        command.args(arguments).env("SLK_ROOT", &self.0).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Server {
    root: Root,
    address: SocketAddr,
    child: Child,
}

impl Server {
    fn start(root: Root) -> Server {
        let mut command = root.command(&["--port", "0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}"));
        Server { root, address: address.parse().unwrap(), child }
    }

    /// Sends one request and reads to the end of its answer.
    fn ask(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // With this tiny_http closes the connection after the answer.
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        write!(stream, "{head}Host: localhost\r\nConnection: close\r\n{length}\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str, fields: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\n{fields}"), "")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_whole_service_is_served_on_loopback() {
    let server = Server::start(Root::new());
    assert!(server.address.ip().is_loopback());
    let health = server.get("/healthz", "");
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n") && health.ends_with("ok\n"), "{health}");
    assert!(server.get("/api/serverinfo", "").starts_with("HTTP/1.1 401 "));
    let info = server.get("/api/serverinfo", &format!("{DEFAULT}Licence-QueryID: 20200127230600\r\n"));
    assert!(info.starts_with("HTTP/1.1 200 ") && info.contains("\"ComputerID\":"), "{info}");
    assert!(info.contains("Licence-Signature: ") && info.contains("Licence-QueryID: 20200127230600\r\n"), "{info}");
    let page = server.get("/", "Accept-Language: en\r\n");
    assert!(page.contains("<html lang=\"en\">") && page.contains("ComputerID"), "{page}");
    assert!(server.get("/assets/console.css", "").contains("Content-Type: text/css; charset=utf-8\r\n"));
    assert!(server.get("/nothing", "").starts_with("HTTP/1.1 404 "));
}

#[test]
fn what_needs_time_is_waited_for() {
    let server = Server::start(Root::new());
    let body = r#"{"UserName":"anna","Password":"correct horse"}"#;
    let head = format!("PUT /api/password HTTP/1.1\r\n{DEFAULT}Content-Type: application/json\r\n");
    let answer = server.ask(&head, body);
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert!(server.get("/api", DEFAULT).starts_with("HTTP/1.1 401 "));
    assert!(server.get("/api", "Authorization: Basic YW5uYTpjb3JyZWN0IGhvcnNl\r\n").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_page_on_loopback_does_not_warn_of_the_wire() {
    let server = Server::start(Root::new());
    let page = server.get("/", "Accept-Language: en\r\n");
    assert!(page.contains("default password is in force") && !page.contains("not encrypted"), "{page}");
}

#[test]
fn the_address_is_written_for_whoever_waits_for_it() {
    let root = Root::new();
    let file = root.0.join("address");
    let mut child = root.command(&["--port", "0", "--address-file", file.to_str().unwrap()]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let written = fs::read_to_string(file).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(line.strip_prefix("listening on "), Some(written.as_str()));
}

#[test]
fn a_busy_port_wrong_settings_and_wrong_words_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let root = Root::new();
    let told = |output: &Output| String::from_utf8(output.stderr.clone()).unwrap();
    let busy = root.run(&["--port", &port]);
    assert!(!busy.status.success() && told(&busy).contains(&port), "{}", told(&busy));
    fs::write(root.0.join("var/1C/licence/3.0/licenceserver.conf"), "[Common]\nnonsense\n").unwrap();
    let wrong = root.run(&["--port", "0"]);
    assert!(!wrong.status.success() && told(&wrong).contains("строка"), "{}", told(&wrong));
    assert_eq!(root.run(&["--listen", "0.0.0.0"]).status.code(), Some(2));
    assert_eq!(root.run(&["--port"]).status.code(), Some(2));
    assert!(root.run(&["--version"]).status.success());
}

#[test]
fn a_server_killed_and_started_again_is_the_same_one() {
    let mut server = Server::start(Root::new());
    let identity = |root: &Root| fs::read(root.0.join("var/1C/licence/data/server.identity")).unwrap();
    let before = identity(&server.root);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let root = Root(std::mem::take(&mut server.root.0));
    let again = Server::start(root);
    assert_eq!(identity(&again.root), before);
}
