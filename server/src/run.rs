//! The server's life: log, socket, service, front, and an orderly end.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use licence::error::{Code, Error, Result};
use licence::host::clock::SystemClock;
use licence::host::files::{self, Access};
use licence::host::journal::{self, Journal};
use licence::host::paths::Paths;
use licence::host::{machine, os};
use licence::settings::ServerSettings;
use licence::time::Clock;
use licence::version::SERVER_VERSION;
use service::keys::NoCarriers;
use service::{LicenceService, Options, Scope};
use web::network::{self, Limits};

use crate::arguments::Listen;
use crate::signals::{Signal, Signals};
use crate::{CRYPTO, Outcome, response_key};

/// Handlers only decide and enqueue, so a few threads are enough on any machine.
const MAX_WORKERS: usize = 4;

/// Serves until it is told to stop.
pub fn run(listen: &Listen, paths: Paths, mut settings: ServerSettings, wrong: &[Error]) -> Result<Outcome> {
    let clock = Arc::new(SystemClock);
    let started = clock.now().wall;
    let logs = paths.logs();
    let journal = Journal {
        program: "licenceserver",
        module: None,
        folder: &logs,
        keep_previous: settings.keep_previous_logs,
        keep_current_date: settings.keep_current_date_logs,
        to_terminal: true,
    };
    if journal::start(&journal, started, settings.log_level).is_none() {
        log::warn!("{}: no log can be written here", logs.display());
    }
    log::info!("licenceserver {SERVER_VERSION}, PID {}", std::process::id());
    wrong.iter().for_each(|error| log::error!("{error}"));

    // The service is told where it really listens: its console warns of passwords in the clear.
    settings.port = listen.port.unwrap_or(settings.port);
    settings.addresses = listen.address.map_or(settings.addresses, |address| vec![address]);
    let first = settings.addresses.first().copied().unwrap_or(Ipv4Addr::LOCALHOST.into());
    let wanted = SocketAddr::new(first, settings.port);
    let listener = TcpListener::bind(wanted).map_err(|cause| cannot_listen(wanted, &cause))?;
    let listening = listener.local_addr().map_err(|cause| cannot_listen(wanted, &cause))?;
    settings.port = listening.port();

    let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, MAX_WORKERS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let runtime = runtime.map_err(|cause| failed("tokio", &cause))?;
    let service = LicenceService::start(Options {
        paths,
        settings,
        clock,
        crypto: CRYPTO,
        machine: machine::read,
        carriers: Box::new(NoCarriers),
        make_response_key: Some(response_key::make),
        scope: Scope::Full,
        started,
    })?;
    let served = runtime.block_on(serve(listener, listening, listen, &service));
    service.stop();
    // Connections first, then what they were served by: the ledger commits what it has accepted when it is dropped.
    drop(runtime);
    drop(service);
    log::info!("stopped");
    served.map(|()| Outcome::Done)
}

async fn serve(
    listener: TcpListener,
    listening: SocketAddr,
    listen: &Listen,
    service: &Arc<LicenceService>,
) -> Result<()> {
    let mut signals = Signals::new().map_err(|cause| failed("signals", &cause))?;
    announce(listening, listen)?;
    let shutdown = async {
        while signals.next().await == Signal::Reload {
            log::info!("licences and settings are read again");
            let service = service.clone();
            // Reading files blocks.
            if tokio::task::spawn_blocking(move || service.reload_keys()).await.is_err() {
                log::error!("reading licences again has failed");
            }
        }
        log::info!("stopping");
    };
    let served = network::serve(listener, service.clone(), Limits::default(), shutdown).await;
    served.map_err(|cause| cannot_listen(listening, &cause))
}

/// Says where it listens, to whoever started it.
fn announce(listening: SocketAddr, listen: &Listen) -> Result<()> {
    let url = format!("http://{}", reachable(listening));
    log::info!("listening on {listening}");
    if let Some(path) = &listen.address_file {
        files::write_atomically(path, format!("{url}\n").as_bytes(), Access::Common)?;
    }
    // Nobody may be reading.
    let _ = writeln!(io::stdout(), "listening on {url}").and_then(|()| io::stdout().flush());
    Ok(())
}

/// An address that a client on this computer can connect to.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

fn cannot_listen(address: SocketAddr, cause: &io::Error) -> Error {
    if cause.kind() == io::ErrorKind::AddrInUse {
        return Error::new(Code::PortBusy).with(address.port()).with(os::port_owner(address.port()));
    }
    Error::new(Code::ListenFailed).with(address).with(cause)
}

fn failed(what: &str, cause: &io::Error) -> Error {
    Error::new(Code::Internal).with(format_args!("{what}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_can_be_connected_to() {
        for (listening, expected) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:2", "[::1]:2"), ("10.0.0.1:3", "10.0.0.1:3")]
        {
            assert_eq!(reachable(listening.parse().unwrap()).to_string(), expected);
        }
    }
}
