//! A centre of a vendor in a folder of its own, made with his own command, and servers that activate codes at it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use licence::activation::{ANSWER, Activate, Answer, Granted, Purpose, Request, Want};
use licence::fingerprint::{Machine, PartKind};
use licence::id::Bytes32;
use licence::identity::Identity;
use licence::time::Time;

use crate::Outcome;
use crate::install::{CRYPTO, folder};
use crate::load::{self, Job, Measured};
use crate::process::Process;
use crate::signing;
use crate::wire::{Wire, request};

/// Programs of the vendor beside this one.
const CENTRE: &str = if cfg!(windows) { "licencecenter.exe" } else { "licencecenter" };
const DESK: &str = if cfg!(windows) { "licenceedit.exe" } else { "licenceedit" };

/// A vendor's folder. Removed when dropped.
pub struct Centre {
    root: PathBuf,
    /// Public key that requests bring to be certified.
    api_key: Vec<u8>,
}

/// A server and what it asks.
struct Asked {
    identity: Identity,
    request: Request,
}

impl Centre {
    /// Makes a series and its issuing key. The folder lies beside this program, so that it is on a disk and not in memory.
    pub fn new() -> Outcome<Centre> {
        let root = folder()?.join(format!("bench-{}-centre", std::process::id()));
        fs::create_dir_all(&root)?;
        let centre = Centre { root, api_key: signing::issuing_signer()?.public_key().to_vec() };
        centre.edit(&["series", "672B", "--name", "Измерения", "--bits", "2048"])?;
        centre.edit(&["issuer", "--cryptkey", "672B.cryptkey", "--center", "."])?;
        Ok(centre)
    }

    /// Starts the service and waits until it listens. All clients have one address, whose failures are not limited here.
    pub fn start(&self) -> Outcome<Process> {
        let root = path(&self.root)?;
        let arguments = ["serve", "--center", root, "--listen", "127.0.0.1:0", "--attempts-per-minute", "0"];
        Process::start(&folder()?.join(CENTRE), &arguments, &self.root)
    }

    /// New servers on machines of their own exchange up to `codes` new codes over so many connections until the time is over;
    /// every answer must bring its server a licence.
    pub async fn activate(
        &self,
        process: &Process,
        (connections, codes): (usize, usize),
        limit: Duration,
    ) -> Outcome<Measured> {
        let made =
            self.edit(&["code", "--center", ".", "--serie", "672B", "--licences", "5", "--count", &codes.to_string()])?;
        let asked: Vec<Asked> = made.lines().map(|code| self.asked(code)).collect::<Outcome<_>>()?;
        let each = asked.len().div_ceil(connections);
        let mut jobs = Vec::with_capacity(connections);
        for asked in asked.chunks(each) {
            let wire = Wire::open(process.address, None).await?;
            let requests = asked.iter().map(|Asked { identity, request: asked }| {
                let text = asked.sign(CRYPTO, identity)?;
                Ok(request("POST", "/api/requests", "Content-Type: text/plain; charset=utf-8\r\n", text.as_bytes()))
            });
            jobs.push(Job { wire, requests: requests.collect::<Outcome<_>>()? });
        }
        let (measured, done) = load::run(jobs, limit).await?;
        for (done, asked) in done.iter().zip(asked.chunks(each)) {
            for (answer, Asked { identity, request }) in done.answers.iter().zip(asked) {
                let text = String::from_utf8_lossy(&answer.body);
                if answer.status != 200 {
                    return Err(format!("{} in place of 200: {text}", answer.status).into());
                }
                match Answer::read(CRYPTO, "answer", &text)?.accept(CRYPTO, request, identity)? {
                    Granted::Activated { .. } => {}
                    other => return Err(format!("{other:?} in place of a licence").into()),
                }
            }
        }
        Ok(measured)
    }

    fn asked(&self, code: &str) -> Outcome<Asked> {
        let identity = Identity::generate(CRYPTO)?;
        let parts = [PartKind::MachineId, PartKind::ProductUuid, PartKind::Disk].map(|kind| (kind, code.to_owned()));
        let machine = Machine { parts: parts.to_vec() };
        let wanted = Want::Code(code.parse()?);
        let asked = Activate { want: wanted, itn: None, iec: None, blank_key_no: None, key_id: None, root: None };
        let request = Request {
            nonce: Bytes32(CRYPTO.random_array()?),
            made: Time(0),
            identity: identity.public(),
            fingerprint: machine.fingerprint(CRYPTO, identity.salt()),
            computer_id: machine.computer_id(CRYPTO),
            api_key: self.api_key.clone(),
            installed: Vec::new(),
            version: licence::version::VERSION.to_owned(),
            answers: ANSWER.version,
            purpose: Purpose::Activate(asked),
        };
        Ok(Asked { identity, request })
    }

    /// Runs the vendor's command; what it says.
    fn edit(&self, arguments: &[&str]) -> Outcome<String> {
        let mut command = Command::new(folder()?.join(DESK));
        command.args(arguments).current_dir(&self.root).stdin(Stdio::null());
        let output = command.output().map_err(|error| format!("{DESK}: {error}"))?;
        if !output.status.success() {
            return Err(format!("{DESK} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn path(path: &Path) -> Outcome<&str> {
    Ok(path.to_str().ok_or("the folder's name is not Unicode")?)
}
