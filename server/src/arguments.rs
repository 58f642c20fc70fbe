//! The command line.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use licence::error::Lang;
use licence::settings::Role;
use licence::version::VERSION;
use licence::{KeyId, KeyNo};

const AFTER_HELP: &str = "\
Settings: /var/1C/licence/3.0/licenceserver.conf; without that file all settings have their defaults.
Licences: /var/1C/licence/data; logs: /var/1C/licence/3.0/logs. If SLK_ROOT is set, all paths are below the folder it names.

Exit codes:
  0  done; for `status`: the server runs
  1  failed; for `status`: the server runs, but can't write its store; for `check`: the store has problems
  2  wrong command line
  3  `status`: the server does not run
  4  licenceserver.conf is wrong
  5  the port is in use, or this server already runs
  6  refused, with the reason: the code, the key or the file is no good, and nothing was changed; for `restore`: it is
     no backup, a damaged one, or one of another server or computer without --force
  7  the centre can't be reached or is overloaded: the same command later does the rest

Signals: TERM and INT stop the server, HUP makes it read licences and settings and open its log again.";

/// The licence server.
#[derive(Parser, Debug)]
#[command(name = "licenceserver", version = VERSION, after_help = AFTER_HELP, subcommand_negates_reqs = true)]
#[command(arg_required_else_help = true)]
pub struct Arguments {
    /// Language of messages: ru or en; else that of the settings.
    #[arg(long, global = true, value_parser = lang)]
    pub lang: Option<Lang>,
    /// Serves in the foreground until it is told to stop; a service manager starts it so too.
    #[arg(short, long, required = true)]
    pub run: bool,
    #[command(flatten)]
    pub listen: Listen,
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Arguments {
    /// Reads a command line.
    pub fn read(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Arguments, clap::Error> {
        let arguments = Arguments::try_parse_from(words)?;
        if arguments.run && arguments.command.is_some() {
            let text = "--run can't be used together with a command";
            return Err(Arguments::command().error(ErrorKind::ArgumentConflict, text));
        }
        Ok(arguments)
    }
}

/// Where to listen, in place of what the settings say.
#[derive(Args, Debug)]
pub struct Listen {
    /// Address to listen on, in place of ServerAddr.
    #[arg(long, value_name = "ADDR", requires = "run")]
    pub address: Option<IpAddr>,
    /// Port to listen on, in place of ServerPort; 0 takes a free one.
    #[arg(long, requires = "run")]
    pub port: Option<u16>,
    /// Writes the address it listens on to this file.
    #[arg(long, value_name = "FILE", requires = "run")]
    pub address_file: Option<PathBuf>,
}

/// Commands beside the server itself. Those about keys work beside a running server and without one.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Sets name and password of an account of the console and the API; a server that runs takes them up by itself.
    Passwd(Passwd),
    /// Writes an example of licenceserver.conf, with the meaning and the default of every setting, to standard output.
    Conf,
    /// Tells whether the server of this computer runs.
    Status(Status),
    /// Checks the store while the server is stopped.
    Check(Check),
    /// Restores the data folder from a backup. The server must be stopped; what is replaced is put aside.
    Restore(Restore),
    #[command(flatten)]
    Desk(DeskCommand),
}

/// Commands that the licence service carries out, the one that runs or one that the command starts for itself.
#[derive(Subcommand, Debug)]
pub enum DeskCommand {
    /// Lists the keys and says why any of them can't be used.
    Keys(Shown),
    /// Exchanges an activation or reserve code for a licence of this server.
    Activate {
        #[command(flatten)]
        order: ActivateOrder,
        #[command(flatten)]
        shown: Shown,
    },
    /// Gives a key up for a reserve code, to be installed elsewhere or here again.
    Reserve {
        #[command(flatten)]
        order: ReserveOrder,
        #[command(flatten)]
        shown: Shown,
    },
    /// Tells what closes the memory of a key, and takes its passwords away.
    Memory {
        #[command(flatten)]
        order: MemoryOrder,
        #[command(flatten)]
        shown: Shown,
    },
    /// Asks the centre for news about the keys: more licences, longer periods, revoked keys.
    Update {
        #[command(flatten)]
        order: UpdateOrder,
        #[command(flatten)]
        shown: Shown,
    },
    /// Makes a request file, for a server that the internet does not reach.
    Request(Request),
    /// Installs the centre's answer to a request file.
    Respond(Respond),
    /// Packs the data folder into one file, while the server runs or not. The file holds private keys.
    Backup(Backup),
}

/// How a result is shown.
#[derive(Args, Debug)]
pub struct Shown {
    /// Writes the result as JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct ActivateOrder {
    /// The code, 20 digits; "-" reads it from the first line of standard input, where no other user sees it.
    pub code: Option<String>,
    /// Asks for a demo licence of the series instead, where the vendor allows it.
    #[arg(long, conflicts_with = "code", requires = "series")]
    pub demo: bool,
    /// Series that the licence must be of, 4 hex digits; a code of another one is not spent.
    #[arg(long, value_name = "KEYID", value_parser = series)]
    pub series: Option<KeyId>,
    /// ИНН, if the code was sold to one.
    #[arg(long)]
    pub itn: Option<String>,
    /// КПП, if the code was sold to one.
    #[arg(long)]
    pub iec: Option<String>,
    /// Number of the USB carrier to bind the key to.
    #[arg(long, value_name = "KEYNO")]
    pub blank: Option<KeyNo>,
}

#[derive(Args, Debug)]
pub struct ReserveOrder {
    /// Serial number of the key.
    #[arg(value_name = "KEYNO")]
    pub key_no: KeyNo,
    /// Its series, where two have that number.
    #[arg(long, value_name = "KEYID", value_parser = series)]
    pub series: Option<KeyId>,
    /// Why the key is given up.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// More about it.
    #[arg(long, default_value = "")]
    pub comment: String,
}

#[derive(Args, Debug)]
pub struct MemoryOrder {
    /// Serial number of the key.
    #[arg(value_name = "KEYNO")]
    pub key_no: KeyNo,
    /// Its series, where two have that number.
    #[arg(long, value_name = "KEYID", value_parser = series)]
    pub series: Option<KeyId>,
    /// Takes the passwords for reading and for writing away; what is written stays, and anybody can read it then.
    #[arg(long)]
    pub reset_passwords: bool,
}

#[derive(Args, Debug)]
pub struct UpdateOrder {
    /// Only this series.
    #[arg(long, value_name = "KEYID", value_parser = series)]
    pub series: Option<KeyId>,
}

#[derive(Args, Debug)]
pub struct Request {
    /// The file to write; else the text goes to standard output.
    #[arg(short, long, value_name = "FILE", global = true)]
    pub out: Option<PathBuf>,
    #[command(subcommand)]
    pub wish: Wish,
    #[command(flatten)]
    pub shown: Shown,
}

/// What a request file asks for.
#[derive(Subcommand, Debug)]
pub enum Wish {
    /// A licence for a code, or a demo licence.
    Activate(ActivateOrder),
    /// A reserve code.
    Reserve(ReserveOrder),
    /// News about the keys.
    Update(UpdateOrder),
}

#[derive(Args, Debug)]
pub struct Respond {
    /// The answer; "-" reads standard input.
    pub file: PathBuf,
    #[command(flatten)]
    pub shown: Shown,
}

#[derive(Args, Debug)]
pub struct Backup {
    /// The archive.
    pub file: PathBuf,
    #[command(flatten)]
    pub shown: Shown,
}

#[derive(Args, Debug)]
pub struct Restore {
    /// The backup.
    pub file: PathBuf,
    /// Restores it though it is a backup of another server, or was made on another computer.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub shown: Shown,
}

#[derive(Args, Debug)]
pub struct Passwd {
    /// Name of the account; else that of [Console] UserName.
    #[arg(value_name = "NAME")]
    pub user: Option<String>,
    /// Role of the account, which then stands in section [Users]: viewer, operator or administrator. Without it an account
    /// of that section keeps its role, and any other name becomes [Console] UserName, an administrator.
    #[arg(long, value_parser = role, requires = "user")]
    pub role: Option<Role>,
    /// Removes an account from section [Users].
    #[arg(long, requires = "user", conflicts_with_all = ["role", "stdin"])]
    pub remove: bool,
    /// Reads the password from the first line of standard input, without asking.
    #[arg(long)]
    pub stdin: bool,
}

#[derive(Args, Debug)]
pub struct Status {
    /// Port of the server; else that of the settings.
    #[arg(long)]
    pub port: Option<u16>,
    #[command(flatten)]
    pub shown: Shown,
}

#[derive(Args, Debug)]
pub struct Check {
    /// Writes the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Puts a damaged store aside, so that the server begins a new one; all sessions are forgotten.
    #[arg(long)]
    pub set_aside: bool,
}

fn lang(text: &str) -> Result<Lang, String> {
    match text.split(['_', '-', '.']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "ru" | "rus" => Ok(Lang::Russian),
        "en" | "eng" => Ok(Lang::English),
        _ => Err("ru or en is expected".into()),
    }
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "viewer, operator or administrator is expected".into())
}

fn series(text: &str) -> Result<KeyId, String> {
    text.parse().map_err(|_| "a series is 4 hex digits".into())
}
