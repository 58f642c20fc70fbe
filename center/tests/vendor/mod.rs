//! A vendor at work in a temporary folder: runs the two programs as he would.

#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use licence::activation::{ANSWER, Activate, Purpose, Request, Want};
use licence::fingerprint::{Machine, PartKind};
use licence::id::Bytes32;
use licence::identity::Identity;

pub use center::CRYPTO;

pub const API_KEY: &[u8] = include_bytes!("../../../golden/test-issuing.pk8");

/// A folder that goes with its test.
pub struct Vendor {
    pub folder: PathBuf,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Vendor {
    pub fn new(name: &str) -> Vendor {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let unique = format!("slk-vendor-{name}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::SeqCst));
        let folder = std::env::temp_dir().join(unique);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Vendor { folder }
    }

    /// A vendor with a series and a centre.
    pub fn with_series(name: &str) -> Vendor {
        let vendor = Vendor::new(name);
        vendor.edit_ok(&["series", "672B", "--name", "Товар", "--bits", "2048"]);
        vendor.edit_ok(&["issuer", "--cryptkey", "672B.cryptkey", "--center", "centre"]);
        vendor
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command.env("LC_ALL", "en_US.UTF-8").env_remove("SLK_PASSPHRASE").env_remove("SLK_CENTER_PASSPHRASE");
        command
    }

    pub fn edit(&self, arguments: &[&str]) -> Output {
        self.edit_with(arguments, &[])
    }

    pub fn edit_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_licenceedit"), arguments);
        command.envs(environment.iter().copied()).output().unwrap()
    }

    /// Runs `licenceedit`, which must succeed; its result.
    pub fn edit_ok(&self, arguments: &[&str]) -> String {
        let output = self.edit(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs `licenceedit`, which must fail; what it says.
    pub fn edit_fails(&self, arguments: &[&str]) -> String {
        let output = self.edit(arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }

    /// Makes a token.
    pub fn token(&self, name: &str, role: &str) -> String {
        self.centre_ok(&["token", "add", name, "--role", role, "--center", "centre"])
    }

    /// Runs `licencecenter`, which must succeed; its result.
    pub fn centre_ok(&self, arguments: &[&str]) -> String {
        let output = self.command(env!("CARGO_BIN_EXE_licencecenter"), arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    pub fn code(&self, more: &[&str]) -> String {
        let arguments = [&["code", "--center", "centre", "--serie", "672B"], more].concat();
        self.edit_ok(&arguments).trim().to_owned()
    }

    pub fn start_centre(&self) -> Centre {
        self.start_centre_with(&[], &[])
    }

    pub fn start_centre_in(&self, folder: &str) -> Centre {
        self.serve(folder, &[], &[])
    }

    pub fn start_centre_with(&self, more: &[&str], environment: &[(&str, &str)]) -> Centre {
        self.serve("centre", more, environment)
    }

    fn serve(&self, folder: &str, more: &[&str], environment: &[(&str, &str)]) -> Centre {
        let address_file = self.path("address");
        let given = address_file.to_str().unwrap();
        let arguments =
            [&["serve", "--center", folder, "--listen", "127.0.0.1:0", "--address-file", given], more].concat();
        let mut command = self.command(env!("CARGO_BIN_EXE_licencecenter"), &arguments);
        let log = std::fs::File::create(self.path("log")).unwrap();
        let mut child = command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("{line:?}: {}", std::fs::read_to_string(self.path("log")).unwrap_or_default()));
        Centre { child, address: address.to_owned() }
    }
}

/// A running centre, killed when dropped.
pub struct Centre {
    child: Child,
    pub address: String,
}

impl Drop for Centre {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Centre {
    pub fn post(&self, body: &[u8]) -> (u16, String) {
        let mut response = agent()
            .post(format!("{}/api/requests", self.address))
            .header("Content-Type", "text/plain; charset=utf-8")
            .header("Accept-Language", "en")
            .send(body)
            .unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        let mut response = agent().get(format!("{}{path}", self.address)).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// Calls the REST API with a token; status and what was answered, `null` for nothing.
    pub fn call(&self, method: &str, path: &str, token: &str, body: &serde_json::Value) -> (u16, serde_json::Value) {
        let call = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.address));
        let call = call.header("Authorization", format!("Bearer {token}")).header("Content-Type", "application/json");
        let mut response = match method {
            "GET" => agent().run(call.body(()).unwrap()).unwrap(),
            _ => agent().run(call.body(body.to_string()).unwrap()).unwrap(),
        };
        let text = response.body_mut().read_to_string().unwrap();
        let answer = if text.is_empty() { serde_json::Value::Null } else { serde_json::from_str(&text).unwrap() };
        (response.status().as_u16(), answer)
    }

    /// Posts to the REST API under an `Idempotency-Key`; status and text of the answer.
    pub fn post_once(&self, path: &str, (token, key): (&str, &str), body: &serde_json::Value) -> (u16, String) {
        let call = agent().post(format!("{}{path}", self.address)).header("Authorization", format!("Bearer {token}"));
        let mut response = call.header("Idempotency-Key", key).send(body.to_string()).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// Sends a form as a browser does whose user has signed in with a token, from a page of that site.
    pub fn form(&self, path: &str, (token, site): (&str, &str), fields: &[(&str, &str)]) -> Page {
        let call = agent().post(format!("{}{path}", self.address)).header("Origin", site);
        let call = call.header("Accept-Language", "en").header("Authorization", format!("Bearer {token}"));
        Page::of(call.send_form(fields.iter().copied()).unwrap())
    }

    /// Sends a form with a file in it to a page that is open to all; to a form a file is a field like any other.
    pub fn upload(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let part = |(name, text): &(&str, &str)| {
            format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n{text}\r\n")
        };
        let body = fields.iter().map(part).collect::<String>() + "--limit--\r\n";
        let call = agent().post(format!("{}{path}", self.address)).header("Accept-Language", "en");
        Page::of(call.header("Content-Type", "multipart/form-data; boundary=limit").send(body).unwrap())
    }

    /// Sends a request that must be refused; the refusal.
    pub fn refusal(&self, request: &Request, identity: &Identity) -> (u16, licence::Error) {
        let (status, body) = self.post(request.sign(CRYPTO, identity).unwrap().as_bytes());
        (status, error(&body))
    }

    /// Asks the program to stop, as a service manager does, and waits for it.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

/// What a form has led to.
pub struct Page {
    pub status: u16,
    pub location: Option<String>,
    pub disposition: Option<String>,
    pub text: String,
}

impl Page {
    fn of(mut response: ureq::http::Response<ureq::Body>) -> Page {
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (location, disposition) = (header("Location"), header("Content-Disposition"));
        let status = response.status().as_u16();
        Page { status, location, disposition, text: response.body_mut().read_to_string().unwrap() }
    }
}

pub fn error(body: &str) -> licence::Error {
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"));
    serde_json::from_value(value["Error"].clone()).unwrap()
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What asks for a licence in exchange for a code.
pub fn activate(code: &str) -> Activate {
    Activate {
        want: Want::Code(code.parse().unwrap()),
        itn: None,
        iec: None,
        blank_key_no: None,
        key_id: None,
        root: None,
    }
}

/// A server's request for a code, from the machine of that name.
pub fn request(identity: &Identity, machine: &str, code: &str) -> Request {
    let parts = [PartKind::MachineId, PartKind::ProductUuid, PartKind::Disk].map(|kind| (kind, machine.to_owned()));
    let machine = Machine { parts: parts.to_vec() };
    Request {
        nonce: Bytes32(CRYPTO.random_array().unwrap()),
        made: licence::Time(0),
        identity: identity.public(),
        fingerprint: machine.fingerprint(CRYPTO, identity.salt()),
        computer_id: machine.computer_id(CRYPTO),
        api_key: CRYPTO.rsa_signer(API_KEY).unwrap().public_key().to_vec(),
        installed: Vec::new(),
        version: licence::version::VERSION.to_owned(),
        answers: ANSWER.version,
        purpose: Purpose::Activate(activate(code)),
    }
}

pub fn anchor(folder: &Path) -> licence::RootHash {
    let text = std::fs::read_to_string(folder.join("672B.anchor")).unwrap();
    licence::series::TrustAnchor::parse(CRYPTO, &text).unwrap().0
}
