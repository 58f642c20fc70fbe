//! `licenceserver`, the daemon: its commands, exit codes and what it says when something is wrong.
//! What it serves is the licence service; nothing here knows a rule of licensing.

mod arguments;
mod check;
mod passwd;
mod response_key;
mod run;
mod signals;
mod status;

use std::io::Write;
use std::process::ExitCode;

use licence::crypto::{Provider, aws_lc};
use licence::error::{Code, Error, Lang};
use licence::host::paths::Paths;

use arguments::{Arguments, Command};

/// The cryptographic provider of this program.
const CRYPTO: Provider = &aws_lc::PROVIDER;

/// Exit codes; `--help` lists them.
mod exit {
    pub const FAILED: u8 = 1;
    pub const NOT_RUNNING: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const BUSY: u8 = 5;
}

/// How a command ended when nothing went wrong.
enum Outcome {
    Done,
    NotRunning,
    Unhealthy,
    InUse,
}

fn main() -> ExitCode {
    let arguments = Arguments::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let paths = Paths::current();
    let read = service::settings::load(&paths);
    let (settings, wrong) = read.clone().unwrap_or_default();
    let lang = arguments.lang.unwrap_or(settings.lang);
    for error in &wrong {
        complain(error, lang);
    }
    let outcome = match &arguments.command {
        Some(Command::Passwd(options)) => passwd::run(&paths, &settings, lang, options),
        Some(Command::Check(options)) => check::run(&paths, lang, options),
        Some(Command::Status(options)) => read.and_then(|_| status::run(options, &settings, lang)),
        Some(Command::Conf) => Ok(print_example()),
        None => read.and_then(|(settings, wrong)| run::run(&arguments.listen, paths, settings, &wrong)),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::NotRunning) => exit::NOT_RUNNING.into(),
        Ok(Outcome::Unhealthy) => exit::FAILED.into(),
        Ok(Outcome::InUse) => exit::BUSY.into(),
        Err(error) => {
            log::error!("{error}");
            complain(&error, lang);
            exit_code(error.code).into()
        }
    }
}

/// Tells whoever started the program; a terminal that is gone is no reason to fail differently.
fn complain(error: &Error, lang: Lang) {
    let _ = writeln!(std::io::stderr(), "licenceserver: {} {}", error.cause(lang), error.remedy(lang));
}

fn print_example() -> Outcome {
    let _ = write!(std::io::stdout(), "{}", licence::settings::example());
    Outcome::Done
}

fn exit_code(code: Code) -> u8 {
    match code {
        Code::SettingsWrong => exit::SETTINGS,
        Code::PortBusy | Code::IdentityServedElsewhere | Code::StoreOwned => exit::BUSY,
        _ => exit::FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_line_that_help_shows_is_accepted() {
        for line in [
            "licenceserver -r",
            "licenceserver --run --address 127.0.0.1 --port 0 --address-file a",
            "licenceserver --lang en status",
            "licenceserver status --port 1 --lang ru_RU",
            "licenceserver passwd anna --stdin",
            "licenceserver passwd anna --role operator",
            "licenceserver passwd anna --remove",
            "licenceserver conf",
            "licenceserver check --json --set-aside",
        ] {
            assert!(Arguments::read(line.split(' ')).is_ok(), "{line}");
        }
        for line in ["licenceserver", "licenceserver -r status", "licenceserver --lang de -r", "licenceserver --port 1"]
        {
            assert!(Arguments::read(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn exit_codes_tell_settings_and_rivals_apart() {
        assert_eq!(exit_code(Code::SettingsWrong), 4);
        assert_eq!(exit_code(Code::PortBusy), 5);
        assert_eq!(exit_code(Code::StoreDamaged), 1);
    }
}
