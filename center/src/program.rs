//! `licencecenter`, the program: its command line, its start, its end.

use std::future::Future;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use licence::Lang;
use licence::error::{Code, Error};
use licence::host::clock::SystemClock;
use licence::host::files::{self, Access};
use licence::time::Clock;
use web::network::{self, Limits};

use crate::CRYPTO;
use crate::centre::{self, Centre};
use crate::failure::{Failure, Outcome, finish, language};
use crate::passphrase::Source;
use crate::service::{Attempts, CentreService};
use crate::store::Store;

/// Longest request that is read, in bytes: a few keys installed take a few kilobytes.
const REQUEST_LIMIT: usize = 256 * 1024;
/// Certificates that end sooner than this are warned of at start.
const WARNING_DAYS: i64 = 30;

/// The vendor's activation service: exchanges codes for licences.
#[derive(Parser)]
#[command(name = "licencecenter", version = licence::version::VERSION)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Language of messages: ru or en; else that of the environment.
    #[arg(long, global = true)]
    lang: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves in the foreground until it is told to stop.
    Serve(Serve),
}

#[derive(clap::Args)]
struct Serve {
    /// Folder of the centre: issuing keys and the store.
    #[arg(long, value_name = "DIR")]
    center: PathBuf,
    /// Address and port; port 0 takes a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9199")]
    listen: SocketAddr,
    /// Writes the address it listens on to this file.
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
    /// Passphrase of the issuing keys, first line of this file; else SLK_PASSPHRASE or the terminal.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Activations that one address may ask for in a minute; 0 for any number.
    #[arg(long, value_name = "N", default_value_t = 60)]
    attempts_per_minute: u32,
}

/// Runs `licencecenter`.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let lang = language(arguments.lang.as_deref());
    let Command::Serve(serve) = arguments.command;
    finish("licencecenter", lang, run(&serve, lang))
}

fn run(serve: &Serve, lang: Lang) -> Outcome {
    // Standard error is the log: whatever starts the program keeps it.
    let _ = simplelog::WriteLogger::init(log::LevelFilter::Info, simplelog::Config::default(), std::io::stderr());
    let centre = open(serve, lang)?;
    let listener = TcpListener::bind(serve.listen).map_err(|e| cannot_listen(serve.listen, &e))?;
    let address = listener.local_addr().map_err(|e| cannot_listen(serve.listen, &e))?;
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let attempts = (serve.attempts_per_minute > 0).then(|| Attempts {
        burst: serve.attempts_per_minute,
        interval: Duration::from_secs(60) / serve.attempts_per_minute,
    });
    let service = CentreService::new(centre, threads, attempts).map_err(|e| broken("threads", &e))?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| broken("runtime", &e))?;
    runtime.block_on(async {
        let stop = stop_signal().map_err(|e| broken("signals", &e))?;
        let line = format!("http://{address}");
        println!("listening on {line}");
        std::io::stdout().flush().map_err(|e| broken("stdout", &e))?;
        if let Some(path) = &serve.address_file {
            files::write_atomically(path, format!("{line}\n").as_bytes(), Access::Common)?;
        }
        let limits = Limits { body_bytes: REQUEST_LIMIT, ..Limits::default() };
        network::serve(vec![listener], None, Arc::new(service), limits, stop)
            .await
            .map_err(|e| cannot_listen(address, &e))
    })?;
    log::info!("stopped");
    Ok(())
}

fn open(serve: &Serve, lang: Lang) -> Outcome<Centre> {
    let issuers = centre::issuer_files(CRYPTO, &serve.center)?;
    if issuers.is_empty() {
        let folder = serve.center.display();
        return Err(Failure::told(
            format!("{folder}: нет ни одного файла *.issuer. Создайте его: licenceedit issuer --center {folder}."),
            format!("{folder}: there is no *.issuer file. Make one: licenceedit issuer --center {folder}."),
        ));
    }
    let source = Source { file: serve.passphrase_file.clone(), variable: "SLK_PASSPHRASE", lang };
    let mut centre = Centre::new(CRYPTO, Box::new(SystemClock), Store::open(&serve.center)?);
    for (path, file) in &issuers {
        let passphrase = if file.is_sealed() { source.existing(path)? } else { None };
        let key = file.open(CRYPTO, passphrase.as_ref().map(|text| text.as_str()))?;
        centre.serve(file, key)?;
    }
    let now = SystemClock.now().wall;
    for (series, end) in centre.series() {
        if end < now.plus_days(WARNING_DAYS) {
            log::warn!(
                "series {}: its issuing certificate ends {end}; make another: licenceedit issuer",
                series.key_id
            );
        } else {
            log::info!("series {}, root {}, until {end}", series.key_id, series.root);
        }
    }
    Ok(centre)
}

fn cannot_listen(address: SocketAddr, cause: &std::io::Error) -> Failure {
    if cause.kind() == std::io::ErrorKind::AddrInUse {
        let owner = licence::host::os::port_owner(address.port());
        return Error::new(Code::PortBusy).with(address).with(owner).into();
    }
    broken(&address.to_string(), cause)
}

fn broken(what: &str, cause: &std::io::Error) -> Failure {
    Error::new(Code::Internal).with(format!("{what}: {cause}")).into()
}

/// Ready when the program is told to stop. The handlers are there when this returns, so that no signal is missed.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ready when the program is told to stop.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
