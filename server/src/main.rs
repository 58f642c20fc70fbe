//! `licenceserver`, the daemon: its commands, exit codes and what it says when something is wrong.
//! What it serves is the licence service; nothing here knows a rule of licensing.

mod activate;
mod arguments;
mod backup;
mod check;
mod desk;
mod keys;
mod listen;
mod manager;
mod memory;
mod passwd;
mod request;
mod reserve;
mod response_key;
mod run;
mod signals;
mod status;
mod update;

use std::process::ExitCode;

use licence::crypto::{Provider, aws_lc};
use licence::error::{Code, Error, Lang, Result};
use licence::host::output;
use licence::host::paths::Paths;
use licence::printable;
use licence::settings::{Remark, ServerSettings};

use arguments::{Arguments, Command, DeskCommand, Shown};
use desk::Desk;

/// The cryptographic provider of this program.
const CRYPTO: Provider = &aws_lc::PROVIDER;

/// Exit codes; `--help` lists them.
mod exit {
    pub const FAILED: u8 = 1;
    pub const NOT_RUNNING: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const BUSY: u8 = 5;
    pub const REFUSED: u8 = 6;
    pub const UNREACHABLE: u8 = 7;
}

/// How a command ended when nothing went wrong.
enum Outcome {
    Done,
    NotRunning,
    Unhealthy,
    InUse,
}

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(error),
    };
    let paths = Paths::current();
    let read = service::settings::load(&paths);
    let unread = read.as_ref().err().map(|error| error.code);
    let (settings, remarks) = read.clone().unwrap_or_default();
    let lang = arguments.lang.unwrap_or(settings.lang);
    // A server that runs knows better than the file what is in force.
    if !matches!(arguments.command, Some(Command::Status(_))) {
        complain_of(&remarks, lang);
    }
    let outcome = match &arguments.command {
        Some(Command::Passwd(options)) => passwd::run(&paths, &settings, lang, options),
        Some(Command::Check(options)) => {
            desk::refuse_lost(&paths, &settings).and_then(|()| check::run(&paths, lang, options))
        }
        Some(Command::Status(options)) => read.and_then(|_| status::run(options, (&settings, &remarks), lang)),
        Some(Command::Conf) => Ok(print_example()),
        Some(Command::Restore(options)) => {
            desk::refuse_lost(&paths, &settings).and_then(|()| backup::restore(&paths, options, lang))
        }
        Some(Command::Desk(command)) => read.and_then(|_| at_desk(command, &paths, &settings, lang)),
        None => read.and_then(|(settings, remarks)| run::run(&arguments.listen, paths, settings, &remarks)),
    };
    let outcome = outcome.and_then(|outcome| output::failure().map_or(Ok(outcome), Err));
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::NotRunning) => exit::NOT_RUNNING.into(),
        Ok(Outcome::Unhealthy) => exit::FAILED.into(),
        Ok(Outcome::InUse) => exit::BUSY.into(),
        Err(error) => {
            log::error!("{error}");
            complain(&error, lang);
            let may_refuse = matches!(arguments.command, Some(Command::Desk(_) | Command::Restore(_)));
            if unread == Some(error.code) { exit::SETTINGS } else { exit_code(error.code, may_refuse) }.into()
        }
    }
}

fn at_desk(command: &DeskCommand, paths: &Paths, settings: &ServerSettings, lang: Lang) -> Result<Outcome> {
    desk::refuse_lost(paths, settings)?;
    output::expect_room()?;
    let desk = || Desk::open(paths, settings, lang);
    match command {
        DeskCommand::Keys(shown) => keys::run(paths, settings, shown, lang),
        DeskCommand::Activate { order, shown } => activate::run(&desk()?, order, shown, lang),
        DeskCommand::Reserve { order, shown } => reserve::run(&desk()?, order, shown, lang),
        DeskCommand::Memory { order, shown } => memory::run(&desk()?, order, shown, lang),
        DeskCommand::Update { order, shown } => update::run(&desk()?, order, shown, lang),
        DeskCommand::Request(options) => request::run(&desk()?, options, lang),
        DeskCommand::Respond(options) => request::respond(&desk()?, options, lang),
        DeskCommand::Backup(options) => backup::pack(&desk()?, paths, options, lang),
    }
}

/// Writes a result: as JSON where that is asked for, else in words.
fn say(shown: &Shown, json: &serde_json::Value, text: impl FnOnce() -> String) {
    if shown.json { output::print_json(json) } else { output::print(&text()) }
}

/// Tells what is wrong with the command line.
fn refuse(error: clap::Error) -> ExitCode {
    // The same of words that can't steer a terminal, as some are repeated.
    let words = std::env::args_os().map(|word| printable::line(&word.to_string_lossy()).into_owned());
    let error = Arguments::read(words).err().unwrap_or(error);
    if !error.use_stderr() {
        // Help and version are our own words.
        return if error.print().is_ok() { ExitCode::SUCCESS } else { exit::FAILED.into() };
    }
    output::complain(error.render().to_string().trim_end());
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Tells whoever started the program.
fn complain(error: &Error, lang: Lang) {
    output::complain(&format!("licenceserver: {} {}", error.cause(lang), error.remedy(lang)));
}

/// Tells what of the settings file needs the administrator.
fn complain_of(remarks: &[Remark], lang: Lang) {
    remarks.iter().filter(|remark| remark.matters()).for_each(|remark| complain(&remark.error, lang));
}

fn print_example() -> Outcome {
    output::print(licence::settings::example().trim_end());
    Outcome::Done
}

/// `may_refuse`: the command asks for something about keys or with a backup, which may be refused.
fn exit_code(code: Code, may_refuse: bool) -> u8 {
    match code {
        Code::SettingsWrong | Code::CertificateUnusable => exit::SETTINGS,
        Code::PortBusy | Code::IdentityServedElsewhere | Code::StoreOwned | Code::ServerRunning => exit::BUSY,
        Code::CentreUnreachable
        | Code::CentreSilent
        | Code::CentreFailing
        | Code::CentreStoreFailed
        | Code::Busy
        | Code::TooManyAttempts => exit::UNREACHABLE,
        // What somebody asked for is no good, and nothing was changed: the numbers of keys and activation.
        code if may_refuse && matches!(code.number(), 112 | 200..=239 | 300 | 400..=479) => exit::REFUSED,
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
            "licenceserver keys --json",
            "licenceserver activate 1234-5678-9012-3456-7888 --itn 7700000001 --iec 770001001 --blank 7 --series 672B --json",
            "licenceserver activate - --lang ru",
            "licenceserver activate --demo --series 672b",
            "licenceserver reserve 7121172 --series 672B --reason x --comment y --json",
            "licenceserver memory 7 --series 672B --json",
            "licenceserver memory 7 --reset-passwords",
            "licenceserver update --series 672B --json",
            "licenceserver request --out a.request activate 12345678901234567888",
            "licenceserver request activate --demo --series 672B",
            "licenceserver request -o a.request reserve 7 --reason x",
            "licenceserver request update",
            "licenceserver request --json reserve 7",
            "licenceserver request update --json",
            "licenceserver request activate 12345678901234567888 -o a.request --json",
            "licenceserver status --json",
            "licenceserver respond a.answer --json",
            "licenceserver backup b.tar --json",
            "licenceserver restore b.tar",
            "licenceserver restore b.tar --force --json",
        ] {
            assert!(Arguments::read(line.split(' ')).is_ok(), "{line}");
        }
        for line in [
            "licenceserver reserve",
            "licenceserver memory",
            "licenceserver reserve x",
            "licenceserver activate --series 67",
            "licenceserver respond",
        ] {
            assert!(Arguments::read(line.split(' ')).is_err(), "{line}");
        }
        for line in ["licenceserver", "licenceserver -r status", "licenceserver --lang de -r", "licenceserver --port 1"]
        {
            assert!(Arguments::read(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn exit_codes_tell_settings_and_rivals_apart() {
        let of = |code| exit_code(code, true);
        assert_eq!((of(Code::SettingsWrong), of(Code::PortBusy), of(Code::StoreDamaged)), (4, 5, 1));
        assert_eq!((of(Code::CodeUsed), of(Code::KeyRetired), of(Code::NoKey)), (6, 6, 6));
        assert_eq!(of(Code::CentreStoreFailed), 7);
        assert_eq!((of(Code::CentreUnreachable), exit_code(Code::RecordNotFound, false)), (7, 1));
    }
}
