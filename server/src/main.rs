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
use licence::error::{Code, Error, Lang, Result};
use licence::host::files;
use licence::host::paths::Paths;
use licence::settings::{Ini, MAX_FILE, ServerSettings};

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
    let settings = Settings::read(&paths);
    let lang = arguments.lang.unwrap_or(settings.lang);
    let outcome = match &arguments.command {
        Some(Command::Passwd(options)) => passwd::run(&paths, &settings.user, lang, options),
        Some(Command::Check(options)) => check::run(&paths, lang, options),
        Some(Command::Status(options)) => status::run(options, settings.values, lang),
        None => settings.values.and_then(|values| run::run(&arguments.listen, paths, values)),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::NotRunning) => exit::NOT_RUNNING.into(),
        Ok(Outcome::Unhealthy) => exit::FAILED.into(),
        Ok(Outcome::InUse) => exit::BUSY.into(),
        Err(error) => {
            let text = format!("licenceserver: {} {}", error.cause(lang), error.remedy(lang));
            log::error!("{error}");
            // A terminal that is gone is no reason to fail differently.
            let _ = writeln!(std::io::stderr(), "{text}");
            exit_code(error.code).into()
        }
    }
}

fn exit_code(code: Code) -> u8 {
    match code {
        Code::SettingsWrong => exit::SETTINGS,
        Code::PortBusy | Code::IdentityServedElsewhere | Code::StoreOwned => exit::BUSY,
        _ => exit::FAILED,
    }
}

/// The settings file: its values, and what commands need even when some value is wrong.
struct Settings {
    values: Result<ServerSettings>,
    lang: Lang,
    user: String,
}

impl Settings {
    fn read(paths: &Paths) -> Settings {
        let path = paths.server_conf();
        let text = files::read_text_if_there(&path, MAX_FILE).map(Option::unwrap_or_default);
        let ini = text.and_then(|text| Ini::parse(&path.display().to_string(), &text));
        let get = |section, key| ini.as_ref().ok().and_then(|ini| ini.get(section, key));
        Settings {
            lang: get("Common", "Lang").map_or(Lang::default(), Lang::of_locale),
            user: get("Console", "UserName").unwrap_or(service::access::DEFAULT).to_owned(),
            values: ini.as_ref().map_err(Error::clone).and_then(ServerSettings::read),
        }
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
            "licenceserver passwd --user anna --stdin",
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

    #[test]
    fn the_example_of_the_settings_shows_their_defaults() {
        let example = include_str!("../../packaging/licenceserver.conf");
        let read = |text: &str| ServerSettings::read(&Ini::parse("example", text).unwrap()).unwrap();
        let defaults = read("");
        assert_eq!(read(example), defaults);
        // Lines without a default of their own show a sample.
        let shown = read(&example.replace("\n;", "\n").replace("\n ", "\n; "));
        let samples = ServerSettings {
            centre: shown.centre.clone(),
            allowed: shown.allowed.clone(),
            host_names: shown.host_names.clone(),
            ..defaults
        };
        assert!(samples.centre.is_some() && samples.allowed.len() == 2 && samples.host_names.len() == 1);
        assert_eq!(shown, samples);
    }
}
