//! `licencecenter`, the program: its command line, its start, its end.

use std::future::Future;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use licence::Lang;
use licence::error::{Code, Error};
use licence::host::files::{self, Access};
use licence::host::{log_lines, output};
use web::network::{self, Limits};

use crate::centre::Centre;
use crate::failure::{Console, Failure, Outcome, finish, language, read};
use crate::folder::{self, Keys};
use crate::passphrase::Source;
use crate::service::{Attempts, CentreService, Guard};

/// Longest request that is read, in bytes: a few keys installed take a few kilobytes.
const REQUEST_LIMIT: usize = 256 * 1024;
/// How often the issuing key files are looked at.
const LOOK: Duration = Duration::from_secs(3);
/// Who makes tokens, in the audit.
const ACTOR: &str = "licencecenter";

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
    /// Makes, lists and withdraws tokens of the REST API and the pages.
    #[command(subcommand)]
    Token(Token),
    /// Writes a copy of the whole store to a new file, beside a running centre too.
    Backup(Backup),
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
    /// Failed tries that one address may make in a minute; 0 for any number.
    #[arg(long, value_name = "N", default_value_t = 10)]
    attempts_per_minute: u32,
    /// Address of a reverse proxy whose X-Forwarded-For is believed; may be repeated.
    #[arg(long = "proxy", value_name = "ADDR")]
    proxies: Vec<IpAddr>,
}

#[derive(Subcommand)]
enum Token {
    /// Makes a token and prints it: it is shown this once.
    Add {
        /// Who gets it.
        name: String,
        /// What it may do.
        #[arg(long, value_enum, default_value_t = Role::Viewer)]
        role: Role,
        /// Folder of the centre.
        #[arg(long, value_name = "DIR")]
        center: PathBuf,
    },
    /// Lists the tokens.
    List {
        /// Folder of the centre.
        #[arg(long, value_name = "DIR")]
        center: PathBuf,
    },
    /// Withdraws a token.
    Remove {
        /// Who has it.
        name: String,
        /// Folder of the centre.
        #[arg(long, value_name = "DIR")]
        center: PathBuf,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Role {
    /// Looks.
    Viewer,
    /// Looks, blocks codes, allows transfers.
    Operator,
    /// Everything.
    Administrator,
}

#[derive(clap::Args)]
struct Backup {
    /// The new file.
    file: PathBuf,
    /// Folder of the centre.
    #[arg(long, value_name = "DIR")]
    center: PathBuf,
}

/// Runs `licencecenter`.
pub fn main() -> ExitCode {
    let arguments = match read::<Arguments>() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let lang = language(arguments.lang.as_deref());
    let (mut out, mut remarks) = (output::results(), output::remarks());
    let mut console = Console { lang, out: &mut out, remarks: &mut remarks };
    let outcome = match arguments.command {
        // A token is shown once.
        Command::Token(token) => output::expect_room().map_err(Failure::from).and_then(|()| token.run(&mut console)),
        Command::Serve(serve) => run(&serve, lang),
        Command::Backup(backup) => {
            folder::existing(&backup.center).and_then(|centre| Ok(centre.store().backup(&backup.file)?))
        }
    };
    finish("licencecenter", lang, outcome)
}

impl Token {
    fn run(self, console: &mut Console<'_>) -> Outcome {
        match self {
            Token::Add { name, role, center } => {
                let centre = folder::centre(&center)?;
                let role = match role {
                    Role::Viewer => web::Access::Viewer,
                    Role::Operator => web::Access::Operator,
                    Role::Administrator => web::Access::Administrator,
                };
                console.result(centre.add_token(ACTOR, &name, role)?.as_str())
            }
            Token::List { center } => {
                for token in folder::existing(&center)?.store().work(|work| work.tokens())? {
                    console.result(format_args!("{}\t{}\t{}", token.name, token.role_name(), token.created))?;
                }
                Ok(())
            }
            Token::Remove { name, center } => Ok(folder::existing(&center)?.remove_token(ACTOR, &name)?),
        }
    }
}

fn run(serve: &Serve, lang: Lang) -> Outcome {
    // Standard error is the log: whatever starts the program keeps it. It gets whole lines.
    let lines = std::io::LineWriter::new(output::remarks());
    let logger = log_lines::logger(log::LevelFilter::Info, simplelog::Config::default(), lines);
    let _ = simplelog::CombinedLogger::init(vec![logger]);
    files::remove_leftovers(&serve.center);
    let centre = Arc::new(folder::centre(&serve.center)?);
    let source = Source { file: serve.passphrase_file.clone(), variable: "SLK_PASSPHRASE", lang };
    let mut keys = Keys::new(&serve.center, source);
    keys.open(&centre)?;
    folder::warn_of_ends(&centre);
    let listener = TcpListener::bind(serve.listen).map_err(|e| cannot_listen(serve.listen, &e))?;
    let address = listener.local_addr().map_err(|e| cannot_listen(serve.listen, &e))?;
    let attempts = (serve.attempts_per_minute > 0).then(|| Attempts {
        burst: serve.attempts_per_minute,
        interval: Duration::from_secs(60) / serve.attempts_per_minute,
    });
    let guard = Guard::new(attempts, serve.proxies.clone());
    let service = CentreService::new(centre.clone(), guard).map_err(|e| broken("threads", &e))?;
    // One thread reads and writes for all: what takes long is done by the service's own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| broken("runtime", &e))?;
    runtime.block_on(async {
        let stop = stop_signal().map_err(|e| broken("signals", &e))?;
        let line = format!("http://{address}");
        output::announce(&line);
        if let Some(path) = &serve.address_file {
            files::write_atomically(path, format!("{line}\n").as_bytes(), Access::Common)?;
        }
        tokio::spawn(watch(keys, centre));
        let limits = Limits { body_bytes: REQUEST_LIMIT, ..Limits::default() };
        network::serve(vec![listener], None, Arc::new(service), limits, stop)
            .await
            .map_err(|e| cannot_listen(address, &e))
    })?;
    log::info!("stopped");
    Ok(())
}

/// Looks at the issuing key files from time to time. Opening one takes a while, so it is done beside the runtime.
async fn watch(mut keys: Keys, centre: Arc<Centre>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let centre = centre.clone();
        let looked = tokio::task::spawn_blocking(move || {
            keys.refresh(&centre);
            keys
        });
        match looked.await {
            Ok(back) => keys = back,
            Err(_) => return,
        }
    }
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
