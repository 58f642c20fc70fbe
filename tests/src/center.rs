//! The licensing centre of a vendor, as a process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::daemon::{Daemon, free_port};
use crate::failure::{Outcome, check};
use crate::programs::Programs;
use crate::rest::Rest;

/// A running centre.
pub struct Center {
    folder: PathBuf,
    daemon: Daemon,
    tokens: AtomicU32,
}

impl Center {
    /// Starts the centre over a folder with an issuing key and a store, on a free port of loopback.
    pub fn start(folder: &Path) -> Outcome<Center> {
        Center::start_with(folder, |_| {})
    }

    /// The same with its command prepared: something loaded before it.
    pub fn start_with(folder: &Path, prepare: impl FnOnce(&mut Command)) -> Outcome<Center> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut command = command(folder, address)?;
        prepare(&mut command);
        let daemon = Daemon::start(command)?;
        Ok(Center { folder: folder.to_owned(), daemon, tokens: AtomicU32::new(0) })
    }

    /// Kills it without warning, and starts it again at the same address.
    pub fn kill_and_restart(&mut self) -> Outcome {
        let address = self.daemon.address()?;
        self.daemon.kill9()?;
        self.daemon = Daemon::start(command(&self.folder, address)?)?;
        Ok(())
    }

    /// Its address.
    pub fn url(&self) -> &str {
        self.daemon.url()
    }

    /// Address and port.
    pub fn address(&self) -> Outcome<SocketAddr> {
        self.daemon.address()
    }

    /// The answer to a request file, as whoever carries it to the centre gets it.
    pub fn answer(&self, request: &str) -> Outcome<String> {
        let answer = Rest::new(self.url()).raw("POST", "/api/requests", &[], Some(request.as_bytes()))?;
        check(answer.status == 200, || format!("{answer}"))?;
        Ok(String::from_utf8(answer.body)?)
    }

    /// A call of its API by the vendor's administrator.
    pub fn office(&self, method: &str, path: &str, body: Option<&Value>) -> Outcome<Value> {
        let mut add = Command::new(Programs::built()?.program("licencecenter"));
        let name = format!("office {}", self.tokens.fetch_add(1, Ordering::Relaxed));
        let added =
            add.args(["token", "add", &name, "--role", "administrator", "--center"]).arg(&self.folder).output()?;
        check(added.status.success(), || String::from_utf8_lossy(&added.stderr).into_owned())?;
        let token = format!("Bearer {}", String::from_utf8_lossy(&added.stdout).trim());
        let body = body.map(Value::to_string);
        let headers = [("Authorization", token.as_str())];
        let answer = Rest::new(self.url()).raw(method, path, &headers, body.as_deref().map(str::as_bytes))?;
        check((200..300).contains(&answer.status), || format!("{path}: {answer}"))?;
        if answer.body.is_empty() { Ok(Value::Null) } else { answer.json() }
    }

    /// What the vendor must look at: kinds and numbers of keys, the latest first.
    pub fn reports(&self) -> Outcome<Vec<(String, u64)>> {
        let reports = self.office("GET", "/api/reports", None)?;
        let text = |report: &Value| report["Kind"].as_str().unwrap_or_default().to_owned();
        let all = reports.as_array().into_iter().flatten();
        Ok(all.map(|report| (text(report), report["KeyNo"].as_u64().unwrap_or_default())).collect())
    }

    /// What it has written so far.
    pub fn said(&self) -> String {
        self.daemon.said()
    }

    /// Leaves it running for good; gives the number of its process.
    pub fn leave(mut self) -> Outcome<u32> {
        let address = self.daemon.address()?;
        self.daemon.stop()?;
        Daemon::leave(command(&self.folder, address)?, address)
    }
}

fn command(folder: &Path, address: SocketAddr) -> Outcome<Command> {
    let mut command = Command::new(Programs::built()?.program("licencecenter"));
    command.arg("serve").arg("--center").arg(folder).arg("--listen").arg(address.to_string());
    // Tests ask more often than any customer.
    command.args(["--attempts-per-minute", "0"]).env("LC_ALL", "C.UTF-8");
    Ok(command)
}
