//! The program over a root folder of its own: started, awaited, asked over HTTP, ended.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that holds everything of one installation.
pub struct Root(PathBuf);

impl Root {
    pub fn new() -> Root {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("slk-server-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = Root(std::env::temp_dir().join(name));
        fs::create_dir_all(root.settings()).unwrap();
        fs::create_dir_all(root.data()).unwrap();
        root
    }

    /// A root with a settings file.
    pub fn with_settings(text: &str) -> Root {
        let root = Root::new();
        fs::write(root.conf(), text).unwrap();
        root
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn settings(&self) -> PathBuf {
        self.0.join("var/1C/licence/3.0")
    }

    pub fn conf(&self) -> PathBuf {
        self.settings().join("licenceserver.conf")
    }

    pub fn data(&self) -> PathBuf {
        self.0.join("var/1C/licence/data")
    }

    /// The program with these arguments over this root.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_licenceserver"));
        command.args(arguments).env("SLK_ROOT", &self.0).stdin(Stdio::null());
        command
    }

    /// Runs a command that ends by itself.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that reads `input`.
    pub fn feed(&self, arguments: &[&str], input: &str) -> Output {
        let file = self.0.join("input");
        fs::write(&file, input).unwrap();
        self.command(arguments).stdin(fs::File::open(file).unwrap()).output().unwrap()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that runs.
pub struct Server {
    pub root: Root,
    /// `http://127.0.0.1:12345`.
    pub url: String,
    child: Child,
}

impl Server {
    /// Starts it on a free port and waits until it listens.
    pub fn start(root: Root) -> Server {
        Server::start_with(root, &[])
    }

    pub fn start_with(root: Root, more: &[&str]) -> Server {
        let mut command = root.command(&["-r", "--port", "0"]);
        let errors = fs::File::create(root.path().join("stderr")).unwrap();
        let mut child = command.args(more).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut server = Server { root, url: String::new(), child };
        let url = line.trim_end().strip_prefix("listening on ");
        server.url = url.unwrap_or_else(|| panic!("{line:?} {}", server.said())).to_owned();
        server
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn port(&self) -> &str {
        self.url.rsplit(':').next().unwrap()
    }

    /// What it has written to standard error.
    pub fn said(&self) -> String {
        fs::read_to_string(self.root.path().join("stderr")).unwrap()
    }

    pub fn get(&self, path: &str) -> Answer {
        Ask::new(self, "GET", path).send("")
    }

    pub fn ask(&self, method: &str, path: &str) -> Ask {
        Ask::new(self, method, path)
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.said())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A request to be sent.
pub struct Ask {
    agent: ureq::Agent,
    builder: ureq::http::request::Builder,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: String,
}

impl Ask {
    fn new(server: &Server, method: &str, path: &str) -> Ask {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(PATIENCE));
        let agent = ureq::Agent::new_with_config(config.max_redirects(0).allow_non_standard_methods(true).build());
        let builder = ureq::http::Request::builder().method(method).uri(format!("{}{path}", server.url));
        Ask { agent, builder }
    }

    pub fn header(mut self, name: &str, value: &str) -> Ask {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Signs in: `basic` is base64 of `name:password`.
    pub fn basic(self, basic: &str) -> Ask {
        self.header("Authorization", &format!("Basic {basic}"))
    }

    pub fn form(self, body: &str) -> Answer {
        self.header("Content-Type", "application/x-www-form-urlencoded").send(body)
    }

    pub fn send(self, body: &str) -> Answer {
        let request = self.builder.body(body.to_owned()).unwrap();
        // Without a body of its own a POST would be sent in chunks.
        let response = match request.method().as_str() {
            "POST" | "PUT" => self.agent.run(request).unwrap(),
            _ => self.agent.run(request.map(|_| ())).unwrap(),
        };
        let (parts, mut body) = response.into_parts();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.read_to_string().unwrap() }
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
