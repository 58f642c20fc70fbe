//! The server's life: log, socket, service, front, and an orderly end.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use licence::error::{Code, Error, Result};
use licence::host::clock::SystemClock;
use licence::host::files::{self, Access};
use licence::host::journal::{self, Journal};
use licence::host::paths::Paths;
use licence::host::{machine, os, output};
use licence::settings::{self, Remark, ServerSettings};
use licence::time::Clock;
use licence::version::SERVER_VERSION;
use service::keys::NoCarriers;
use service::{LicenceService, Options, Scope};
use web::network::{self, Limits, Tls};

use crate::arguments::Listen;
use crate::listen::Sockets;
use crate::manager::Word;
use crate::signals::{Signal, Signals};
use crate::{CRYPTO, Outcome, listen, manager, response_key};

/// Handlers only decide and enqueue, so a few threads are enough on any machine.
const MAX_WORKERS: usize = 4;
/// Longest PEM file that is read, in bytes.
const MAX_PEM: u64 = 1024 * 1024;
/// How often a renewed certificate is looked for.
const RENEWAL: Duration = Duration::from_secs(30);

/// Serves until it is told to stop.
pub fn run(options: &Listen, paths: Paths, mut settings: ServerSettings, remarks: &[Remark]) -> Result<Outcome> {
    os::give_back_large_buffers();
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
    service::settings::tell(remarks);

    raise_descriptors();

    let addresses = || options.address.map_or_else(|| settings.addresses.clone(), |address| vec![address]);
    let sockets = Sockets::open(addresses, options.port.unwrap_or(settings.port))?;
    let listening = sockets.addresses().map_err(|cause| failed("sockets", &cause))?;
    // The service is told where it really listens: its console warns of passwords in the clear.
    settings.addresses = listening.iter().map(SocketAddr::ip).collect();
    settings.port = listening.first().map_or(settings.port, SocketAddr::port);
    let tls = tls(&paths, &settings.tls)?;
    let limits = limits(&settings.limits);

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
    // Whoever connects finds a service whose store is sound.
    let served = sockets.listen().and_then(|listeners| {
        let front = Front { listeners, listening, tls, limits };
        runtime.block_on(serve(front, options, &service))
    });
    service.stop();
    // Connections first, then what they were served by: the ledger commits what it has accepted when it is dropped.
    drop(runtime);
    drop(service);
    log::info!("stopped");
    served.map(|()| Outcome::Done)
}

/// What is listened on, and how.
struct Front {
    listeners: Vec<TcpListener>,
    listening: Vec<SocketAddr>,
    tls: Option<Arc<Tls>>,
    limits: Limits,
}

async fn serve(front: Front, options: &Listen, service: &Arc<LicenceService>) -> Result<()> {
    let mut signals = Signals::new().map_err(|cause| failed("signals", &cause))?;
    let Front { listeners, listening, tls, limits } = front;
    announce(&listening, options)?;
    manager::tell(Word::Ready);
    let life = tokio::spawn(signs_of_life());
    let renewal = tls.clone().map(|tls| tokio::spawn(renew(tls)));
    let shutdown = async {
        while signals.next().await == Signal::Reload {
            let reopened = journal::reopen();
            log::info!("licences and settings are read again");
            if let Err(cause) = reopened {
                log::warn!("the log could not be opened again: {cause}");
            }
            manager::tell(Word::Reloading);
            let (service, tls) = (service.clone(), tls.clone());
            // Reading files blocks.
            let reload = move || {
                service.reload_keys();
                tls.iter().for_each(|tls| refresh(tls));
            };
            if tokio::task::spawn_blocking(reload).await.is_err() {
                log::error!("reading licences again has failed");
            }
            manager::tell(Word::Ready);
        }
        log::info!("stopping");
        manager::tell(Word::Stopping);
    };
    let first = listening.first().copied();
    let served = network::serve(listeners, tls.clone(), service.clone(), limits, shutdown).await;
    life.abort();
    renewal.iter().for_each(tokio::task::JoinHandle::abort);
    served.map_err(|cause| match first {
        Some(address) => listen::cannot_listen(address, &cause),
        None => failed("sockets", &cause),
    })
}

/// Tells the service manager again and again that the threads that serve are alive.
async fn signs_of_life() {
    let Some(every) = manager::sign_of_life() else { return };
    let mut clock = tokio::time::interval(every);
    loop {
        clock.tick().await;
        manager::tell(Word::Alive);
    }
}

/// Looks for a renewed certificate again and again.
async fn renew(tls: Arc<Tls>) {
    let mut clock = tokio::time::interval(RENEWAL);
    loop {
        clock.tick().await;
        let tls = tls.clone();
        // Reading files blocks.
        if tokio::task::spawn_blocking(move || refresh(&tls)).await.is_err() {
            log::error!("reading the certificate again has failed");
        }
    }
}

fn refresh(tls: &Tls) {
    match tls.refresh() {
        Ok(true) => log::info!("a renewed certificate is in force"),
        Ok(false) => {}
        Err(cause) => log::error!("the former certificate stays in force: {cause}"),
    }
}

/// Certificate and key of the settings; paths begin at the settings' folder.
fn tls(paths: &Paths, settings: &settings::Tls) -> Result<Option<Arc<Tls>>> {
    if settings.certificate.is_empty() && settings.key.is_empty() {
        return Ok(None);
    }
    let place = |name: &str| paths.settings.join(name);
    match Tls::open(&place(&settings.certificate), &place(&settings.key), read_pem) {
        Ok(tls) => Ok(Some(Arc::new(tls))),
        Err(cause) => Err(Error::new(Code::CertificateUnusable).with(cause)),
    }
}

/// The bytes of a PEM file.
fn read_pem(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    files::open(path)?.take(MAX_PEM).read_to_end(&mut bytes)?;
    licence::text::read(&path.display().to_string(), bytes).map(String::into_bytes).map_err(io::Error::other)
}

fn limits(settings: &settings::Limits) -> Limits {
    Limits {
        header: settings.header,
        body: settings.body,
        idle: settings.idle,
        write: settings.write,
        grace: settings.stop,
        header_bytes: settings.header_bytes,
        body_bytes: settings.body_bytes,
        connections: settings.connections,
        connections_per_address: settings.connections_per_address,
        ..Limits::default()
    }
}

/// A connection is a descriptor, and the usual limit of 1024 is lower than what the settings allow.
fn raise_descriptors() {
    #[cfg(unix)]
    if let Err(cause) = rlimit::increase_nofile_limit(rlimit::INFINITY) {
        log::warn!("the limit of open files stays as it is: {cause}");
    }
}

/// Says where it listens, to whoever started it.
fn announce(listening: &[SocketAddr], options: &Listen) -> Result<()> {
    for address in listening {
        log::info!("listening on {address}");
    }
    let Some(first) = listening.first() else { return Ok(()) };
    let url = format!("http://{}", reachable(*first));
    if let Some(path) = &options.address_file {
        files::write_atomically(path, format!("{url}\n").as_bytes(), Access::Common)?;
    }
    output::announce(&url);
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
