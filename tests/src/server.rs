//! A licence server: its settings, its process, its commands.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::daemon::{Daemon, free_port};
use crate::failure::{Outcome, check, until};
use crate::programs::Programs;
use crate::rest::Rest;
use crate::root::Root;

/// Name of the user after [`Server::set_password`].
pub const USER: &str = "admin";
/// Password after [`Server::set_password`].
pub const PASSWORD: &str = "Пароль-672B";

/// A server over a root of its own.
pub struct Server {
    root: Root,
    port: u16,
    daemon: Daemon,
}

impl Server {
    /// Starts a server that activates at `centre`, on a free port of loopback.
    pub fn start(root: Root, centre: Option<&str>) -> Outcome<Server> {
        Server::start_with(root, centre, "")
    }

    /// Starts a server that has a password and further sections of settings.
    pub fn with_settings(root: Root, more: &str) -> Outcome<Server> {
        Server::start_with(root, None, &format!("[Console]\nUserName={USER}\nPassword={PASSWORD}\n{more}"))
    }

    fn start_with(root: Root, centre: Option<&str>, more: &str) -> Outcome<Server> {
        let port = free_port()?;
        let centre = centre.map(|url| format!("LicenceCenterUrl={url}\nLicenceCenterUseProxy=0\n")).unwrap_or_default();
        Server::start_over(root, port, &format!("{centre}{more}"))
    }

    /// Starts a server with a password and these settings about the centre.
    pub fn with_centre(root: Root, settings: &str) -> Outcome<Server> {
        let server = Server::start_over(root, free_port()?, settings)?;
        server.set_password()?;
        Ok(server)
    }

    fn start_over(root: Root, port: u16, more: &str) -> Outcome<Server> {
        let settings = format!("[Common]\nServerAddr=127.0.0.1\nServerPort={port}\n{more}");
        fs::write(root.settings().join("licenceserver.conf"), settings)?;
        let daemon = Daemon::start(command(root.path(), &["-r"])?)?;
        Ok(Server { root, port, daemon })
    }

    /// Starts a server and gives it a password, so that it can be administered.
    pub fn ready(root: Root, centre: Option<&str>) -> Outcome<Server> {
        let server = Server::start(root, centre)?;
        server.set_password()?;
        Ok(server)
    }

    /// Changes the password from the default one, over REST.
    pub fn set_password(&self) -> Outcome {
        let body = serde_json::json!({ "UserName": USER, "Password": PASSWORD });
        let answer = Rest::new(self.daemon.url()).with_user("admin", "admin").put("/api/password", &body)?;
        check((200..300).contains(&answer.status), || format!("the password was not changed: {answer}"))
    }

    /// Its address: `http://127.0.0.1:12345`.
    pub fn url(&self) -> &str {
        self.daemon.url()
    }

    /// Number of its process.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Sends a form of its console as an administrator; the page that comes.
    pub fn form(&self, path: &str, fields: &[(&str, &str)]) -> Outcome<(u16, String)> {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None).build();
        let authorization = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        let call = ureq::Agent::from(agent).post(format!("{}{path}", self.url())).header("Accept-Language", "en");
        let mut page = call.header("Authorization", authorization).send_form(fields.iter().copied())?;
        Ok((page.status().as_u16(), page.body_mut().read_to_string()?))
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// What it has written so far.
    pub fn said(&self) -> String {
        self.daemon.said()
    }

    /// Its API as an administrator uses it.
    pub fn rest(&self) -> Rest {
        Rest::new(self.daemon.url()).with_user(USER, PASSWORD)
    }

    /// Exchanges a code for a licence.
    pub fn activate(&self, code: &str) -> Outcome<serde_json::Value> {
        let body = serde_json::json!({ "ActivationCodeString": code });
        self.rest().post("/api/licences", &body)?.expect(201)
    }

    /// What it says of itself to programs of this computer: `Keys`, `UsableKeys`, `Licences`, `Used`.
    pub fn health(&self) -> Outcome<serde_json::Value> {
        Rest::new(self.url()).raw("GET", "/healthz", &[("Accept", "application/json")], None)?.expect(200)
    }

    /// Seats taken, of all seats.
    pub fn seats(&self) -> Outcome<(u64, u64)> {
        let health = self.health()?;
        let number = |name: &str| health[name].as_u64().unwrap_or(u64::MAX);
        Ok((number("Used"), number("Licences")))
    }

    /// The same while its store takes no writes.
    pub fn seats_while_failing(&self) -> Outcome<(u64, u64)> {
        let health =
            Rest::new(self.url()).raw("GET", "/healthz", &[("Accept", "application/json")], None)?.expect(503)?;
        let number = |name: &str| health[name].as_u64().unwrap_or(u64::MAX);
        Ok((number("Used"), number("Licences")))
    }

    /// Sends its process a signal, by its name.
    pub fn signal(&self, name: &str) -> Outcome {
        self.daemon.signal(name)
    }

    /// The sessions that it lists.
    pub fn sessions(&self) -> Outcome<Vec<serde_json::Value>> {
        let list = self.rest().get("/api/sessions")?.expect(200)?;
        Ok(list["Sessions"].as_array().cloned().unwrap_or_default())
    }

    /// The keys that it lists.
    pub fn keys(&self) -> Outcome<Vec<serde_json::Value>> {
        let list = self.rest().get("/api/licences")?.expect(200)?;
        Ok(list["Licences"].as_array().cloned().unwrap_or_default())
    }

    /// Kills it without warning.
    pub fn kill9(&mut self) -> Outcome {
        self.daemon.kill9()
    }

    /// Asks it to stop and waits for its end.
    pub fn stop(&mut self) -> Outcome<ExitStatus> {
        self.daemon.stop()
    }

    /// Stops it, does something to its folder, and starts it again.
    pub fn after(&mut self, change: impl FnOnce(&Root) -> Outcome) -> Outcome {
        self.stop()?;
        change(&self.root)?;
        self.restart()
    }

    /// Starts it again over the same folder and port.
    pub fn restart(&mut self) -> Outcome {
        self.restart_with(|_| {})
    }

    /// Ends it, and starts it again with its command prepared: other variables, something loaded before it.
    pub fn restart_with(&mut self, prepare: impl FnOnce(&mut Command)) -> Outcome {
        self.daemon.kill9()?;
        let mut command = command(self.root.path(), &["-r"])?;
        prepare(&mut command);
        self.daemon = Daemon::start(command)?;
        Ok(())
    }

    /// Ends it in some way, and starts another build of it over the same folder and port.
    pub fn replace(&mut self, program: &Path, end: impl FnOnce(&mut Daemon) -> Outcome) -> Outcome {
        end(&mut self.daemon)?;
        self.daemon = Daemon::start(command_of(program, self.root.path(), &["-r"]))?;
        Ok(())
    }

    /// Stops its process, as a machine without a processor for it would, and lets it go on.
    pub fn stopped<T>(&self, meanwhile: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        self.daemon.signal("STOP")?;
        let outcome = meanwhile();
        self.daemon.signal("CONT")?;
        outcome
    }

    /// Runs one of its commands over the same folder, `input` on its standard input.
    pub fn run(&self, arguments: &[&str], input: &str) -> Outcome<Output> {
        let mut command = command(self.root.path(), arguments)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        Ok(child.wait_with_output()?)
    }

    /// Leaves server and folder for good; gives the number of the process.
    pub fn leave(mut self) -> Outcome<u32> {
        let address = self.daemon.address()?;
        self.daemon.stop()?;
        self.root.keep();
        Daemon::leave(command(self.root.path(), &["-r"])?, address)
    }
}

/// A command of `licenceserver` over the files below `root`.
pub fn command(root: &Path, arguments: &[&str]) -> Outcome<Command> {
    Ok(command_of(&Programs::built()?.program("licenceserver"), root, arguments))
}

/// The same of another build.
fn command_of(program: &Path, root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("SLK_ROOT", root).env("LC_ALL", "C.UTF-8");
    command
}

/// Status and text of `/healthz` at `url`.
pub fn health(url: &str) -> Outcome<(u16, String)> {
    let answer = Rest::new(url).raw("GET", "/healthz", &[], None)?;
    Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
}

/// Waits until `/healthz` at `url` has this status; its text.
pub fn until_health(url: &str, status: u16) -> Outcome<String> {
    let mut text = String::new();
    until(&format!("/healthz {status}"), || {
        let (now, said) = health(url)?;
        text = said;
        Ok(now == status)
    })?;
    Ok(text)
}
