//! How commands reach the licence service of this computer: the one that runs, over its API with the pass that lies in its data folder;
//! else one that they start themselves over the same folder, under its lock. Commands see one API either way.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use licence::error::{Code, Error, Lang, Result};
use licence::host::clock::SystemClock;
use licence::host::paths::Paths;
use licence::host::{machine, output};
use licence::settings::ServerSettings;
use licence::time::Clock;
use serde_json::Value;
use service::access::Pass;
use service::keys::NoCarriers;
use service::{DataFolder, LicenceService, Options, Scope, is_loss};
use web::{Headers, Reply, Request, Service};

use crate::{CRYPTO, response_key, status};

/// Longer than the server takes when a centre with several addresses is out of reach.
const PATIENCE: Duration = Duration::from_secs(300);
/// For what a server does by itself some seconds later anyway.
const SHORT_PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer that is read, in bytes: that of a backup.
const MAX_ANSWER: u64 = 1 << 30;
/// How often somebody at a terminal is shown that work goes on.
const TICK: Duration = Duration::from_secs(1);

/// The service, wherever it is.
pub struct Desk {
    via: Via,
    pass: Pass,
    lang: Lang,
}

enum Via {
    /// A server runs.
    Running,
    /// This process is the server, for as long as the command takes.
    Own(Arc<LicenceService>),
}

impl Desk {
    /// Finds the service of the data folder, or starts it.
    pub fn open(paths: &Paths, settings: &ServerSettings, lang: Lang) -> Result<Desk> {
        let own = LicenceService::start(options(paths, settings));
        let via = match own {
            Ok(service) => Via::Own(service),
            Err(error) if error.code == Code::StoreOwned => Via::Running,
            Err(error) => return Err(error),
        };
        Ok(Desk { via, pass: Pass::read(&paths.data)?, lang })
    }

    /// Has the server of the data folder read its settings again, if one runs; whether it has.
    pub fn reload_settings(paths: &Paths, lang: Lang) -> bool {
        let nothing = serde_json::json!({ "Settings": [] }).to_string().into_bytes();
        let asked = Pass::read(&paths.data).and_then(|pass| {
            Desk { via: Via::Running, pass, lang }.over_network("PUT", "/api/settings", Some(nothing), SHORT_PATIENCE)
        });
        asked.is_ok_and(|(status, _)| (200..300).contains(&status))
    }

    /// Asks the API and gives the body of its answer; its refusal is an error.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Vec<u8>> {
        let _busy = Busy::start(self.lang);
        let body = body.map(|body| body.to_string().into_bytes());
        let (status, answer) = match &self.via {
            Via::Running => self.over_network(method, path, body, PATIENCE)?,
            Via::Own(service) => self.in_process(service, method, path, body)?,
        };
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let refusal: Option<Error> = serde_json::from_slice::<Value>(&answer)
            .ok()
            .and_then(|mut refusal| serde_json::from_value(refusal.get_mut("Error")?.take()).ok());
        Err(refusal.unwrap_or_else(|| Error::new(Code::Internal).with(format_args!("HTTP {status}"))))
    }

    /// The same for an answer in JSON.
    pub fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.ask(method, path, body)?;
        serde_json::from_slice(&answer).map_err(|e| Error::new(Code::Internal).with(e))
    }

    fn over_network(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
        patience: Duration,
    ) -> Result<(u16, Vec<u8>)> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::new(Code::ServerNotFound).with(format_args!("{}: {e}", self.pass.address))
        };
        // A proxy knows nothing of this computer's own ports.
        let config =
            ureq::Agent::config_builder().timeout_global(Some(patience)).http_status_as_error(false).proxy(None);
        let agent = ureq::Agent::new_with_config(config.build());
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.pass.address))
            .header("Authorization", self.pass.authorization())
            .header("Accept-Language", self.tag());
        let sent = match body {
            Some(body) => request
                .header("Content-Type", "application/json")
                .body(body)
                .map_err(|e| failed(&e))
                .and_then(|request| agent.run(request).map_err(|e| failed(&e))),
            None => {
                request.body(()).map_err(|e| failed(&e)).and_then(|request| agent.run(request).map_err(|e| failed(&e)))
            }
        };
        let mut response = sent?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(|e| failed(&e))?;
        Ok((status, body))
    }

    fn in_process(
        &self,
        service: &Arc<LicenceService>,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(u16, Vec<u8>)> {
        let wrong = |cause: &dyn std::fmt::Debug| Error::new(Code::Internal).with(format_args!("{cause:?}"));
        let mut headers = Headers::new();
        let authorization = self.pass.authorization();
        for (name, value) in [("Host", "localhost"), ("Authorization", &authorization), ("Accept-Language", self.tag())]
        {
            headers.set(name, value).map_err(|e| wrong(&e))?;
        }
        if body.is_some() {
            headers.set("Content-Type", "application/json").map_err(|e| wrong(&e))?;
        }
        let peer = ([127, 0, 0, 1], 0).into();
        let mut request = Request::build(method, path, headers, peer, false).map_err(|e| wrong(&e))?;
        request.body = body.unwrap_or_default();
        let response = match service.call(request) {
            Reply::Now(response) => response,
            Reply::Later(pending) => pending.wait(),
            Reply::Stream(_) => return Err(wrong(&"a stream")),
        };
        Ok((response.status, response.body))
    }

    fn tag(&self) -> &'static str {
        self.lang.pick("ru", "en")
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Via::Own(service) = &self.via {
            service.stop();
        }
    }
}

/// The service over the data folder, as commands need it.
fn options(paths: &Paths, settings: &ServerSettings) -> Options {
    let clock = Arc::new(SystemClock);
    let started = clock.now().wall;
    Options {
        paths: paths.clone(),
        // A command does what it is told and nothing beside.
        settings: ServerSettings { update_daily: false, ..settings.clone() },
        clock,
        crypto: CRYPTO,
        machine: machine::read,
        carriers: Box::new(NoCarriers),
        make_response_key: Some(response_key::make),
        scope: Scope::Full,
        started,
    }
}

/// The keys of a data folder that no server uses, as the API gives them; `None` while one does. Makes and changes nothing.
pub fn keys_at_rest(paths: &Paths, settings: &ServerSettings, lang: Lang) -> Result<Option<Value>> {
    if DataFolder::is_owned(&paths.data) {
        return Ok(None);
    }
    let settings = ServerSettings { lang, ..settings.clone() };
    let keys = service::look_at_keys(options(paths, &settings))?;
    Ok(Some(serde_json::json!({ "Licences": keys })))
}

/// Refuses while a server runs that has lost this data folder: what lies there now is not what it serves, and a command would make a second
/// identity of it.
pub fn refuse_lost(paths: &Paths, settings: &ServerSettings) -> Result<()> {
    if DataFolder::is_owned(&paths.data) {
        return Ok(());
    }
    let Some(health) = status::ask(settings.nearest()) else { return Ok(()) };
    // It may have started while it was asked.
    if health.folder.as_ref() != Some(&paths.data) || DataFolder::is_owned(&paths.data) {
        return Ok(());
    }
    let pid = health.pid;
    Err(health.failing.filter(is_loss).unwrap_or_else(|| {
        Error::new(Code::FolderGone).with(paths.data.display()).with_text(
            format_args!("сервер (PID {pid}) открыл другую папку с этим именем"),
            format_args!("the server (PID {pid}) has opened another folder of this name"),
        )
    }))
}

/// Shows at a terminal that something takes long; scripts see nothing of it.
struct Busy {
    done: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Busy {
    fn start(lang: Lang) -> Busy {
        if !output::has_onlooker() {
            return Busy { done: None, thread: None };
        }
        let (done, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut seconds = 0u32;
            while ended.recv_timeout(TICK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                seconds += 1;
                output::progress(&format!("{} {seconds} s", lang.pick("Выполняется,", "Working,")), false);
            }
            if seconds > 0 {
                output::complain("");
            }
        });
        Busy { done: Some(done), thread: Some(thread) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        drop(self.done.take());
        // It only writes to the terminal; that it has failed there is no failure of the command.
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Reads a file of the command line, `-` for standard input, of at most 64 MiB.
pub fn input(path: &Path) -> Result<String> {
    const LIMIT: u64 = 64 * 1024 * 1024;
    if path.as_os_str() != "-" {
        return licence::host::files::read_text(path, LIMIT);
    }
    let mut bytes = Vec::new();
    let read = io::Read::read_to_end(&mut io::Read::take(io::stdin().lock(), LIMIT), &mut bytes);
    read.map_err(|e| Error::new(Code::FileFailed).with("stdin").with(e))?;
    licence::text::read("stdin", bytes)
}
