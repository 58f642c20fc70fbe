//! `server-lite`: the whole licence service on loopback without an async runtime, to try things out on one computer.
//! Killing it is its normal end: whatever it has answered is in its store.

mod response_key;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use licence::crypto::ring;
use licence::error::{Code, Error, Lang, Result};
use licence::host::clock::SystemClock;
use licence::host::files::{self, Access};
use licence::host::journal::{self, Journal};
use licence::host::paths::Paths;
use licence::host::{machine, os, output};
use licence::printable;
use licence::settings::DEFAULT_PORT;
use licence::time::Clock;
use licence::version::VERSION;
use server_lite::{Front, Limits};
use service::keys::NoCarriers;
use service::{LicenceService, Options, Scope};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

const HELP: &str = "\
The licence service on 127.0.0.1.

Usage: server-lite [--port PORT] [--address-file FILE]

  --port PORT          port to listen on, 9099 by default; 0 takes a free one
  --address-file FILE  writes the address it listens on to this file
  --version            tells the version

Settings, licences and logs are those of licenceserver; ServerAddr and ServerPort are left aside.
If SLK_ROOT is set, all paths are below the folder it names.";

struct Arguments {
    port: u16,
    address_file: Option<PathBuf>,
}

enum Asked {
    Serve(Arguments),
    Told(String),
}

fn main() -> ExitCode {
    let arguments = match read(std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned())) {
        Ok(Asked::Serve(arguments)) => arguments,
        Ok(Asked::Told(text)) => {
            output::print(&text);
            return ExitCode::SUCCESS;
        }
        Err(text) => {
            output::complain(&format!("server-lite: {}\n\n{HELP}", printable::line(&text)));
            return ExitCode::from(2);
        }
    };
    let mut lang = Lang::default();
    match serve(&arguments, &mut lang) {
        Ok(front) => loop {
            // The front's own threads serve for as long as this process lives.
            std::thread::park();
            log::debug!("{} goes on", front.address());
        },
        Err(error) => {
            output::complain(&format!("server-lite: {} {}", error.cause(lang), error.remedy(lang)));
            ExitCode::FAILURE
        }
    }
}

fn read(mut words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut arguments = Arguments { port: DEFAULT_PORT, address_file: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--port" => {
                let text = value()?;
                arguments.port =
                    text.parse().map_err(|_| format!("--port {text}: a number from 0 to 65535 is expected"))?;
            }
            "--address-file" => arguments.address_file = Some(value()?.into()),
            "--help" | "-h" => return Ok(Asked::Told(HELP.into())),
            "--version" | "-V" => return Ok(Asked::Told(format!("server-lite {VERSION}"))),
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    Ok(Asked::Serve(arguments))
}

fn serve(arguments: &Arguments, lang: &mut Lang) -> Result<Front> {
    let paths = Paths::current();
    let (mut settings, remarks) = service::settings::load(&paths)?;
    *lang = settings.lang;
    let clock = Arc::new(SystemClock);
    let started = clock.now().wall;
    let logs = paths.logs();
    let journal = Journal {
        program: "server-lite",
        module: None,
        folder: &logs,
        keep_previous: settings.keep_previous_logs,
        keep_current_date: settings.keep_current_date_logs,
        to_terminal: true,
    };
    if journal::start(&journal, started, settings.log_level).is_none() {
        log::warn!("{}: no log can be written here", logs.display());
    }
    service::settings::tell(&remarks);
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let cannot_listen = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AddrInUse => Error::new(Code::PortBusy).with(wanted.port()).with(os::port_owner(wanted.port())),
        _ => Error::new(Code::ListenFailed).with(wanted).with(cause),
    };
    // A busy port is told before anything else is done; nobody can connect before the service is known to be able to serve.
    let socket = bind(wanted).map_err(cannot_listen)?;
    settings.addresses = vec![wanted.ip()];
    settings.port = socket.local_addr().ok().and_then(|address| address.as_socket()).unwrap_or(wanted).port();
    let service = LicenceService::start(Options {
        paths,
        settings,
        clock,
        crypto: &ring::PROVIDER,
        machine: machine::read,
        carriers: Box::new(NoCarriers),
        make_response_key: Some(response_key::make),
        scope: Scope::Full,
        started,
    })?;
    socket.listen(BACKLOG).map_err(cannot_listen)?;
    let front = Front::start(socket.into(), service, Limits::default()).map_err(cannot_listen)?;
    let url = format!("http://{}", front.address());
    if let Some(path) = &arguments.address_file {
        files::write_atomically(path, format!("{url}\n").as_bytes(), Access::Common)?;
    }
    output::announce(&url);
    Ok(front)
}

/// A socket that has the port and doesn't listen.
fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // As `std` does it: a restart must not wait for connections of the former run. On Windows this would share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
