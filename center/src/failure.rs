//! How the two programs tell a person what went wrong: an error of the catalogue, or a sentence about the command line.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use licence::host::output;
use licence::{Error, Lang, printable};

/// Why a command was not carried out.
#[derive(Debug)]
pub enum Failure {
    /// An error of the catalogue.
    Error(Error),
    /// A sentence of its own, in Russian and in English.
    Told {
        /// Russian.
        russian: String,
        /// English.
        english: String,
    },
}

/// Result of a command.
pub type Outcome<T = ()> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Error(error)
    }
}

impl Failure {
    /// A sentence of its own.
    pub fn told(russian: impl Into<String>, english: impl Into<String>) -> Failure {
        Failure::Told { russian: russian.into(), english: english.into() }
    }

    /// What to show to a person.
    pub fn text(&self, lang: Lang) -> String {
        match self {
            Failure::Error(error) => format!("{} {}", error.cause(lang), error.remedy(lang)),
            Failure::Told { russian, english } => lang.pick(russian, english).to_owned(),
        }
    }
}

/// Where a command writes: results to one stream, so that scripts can read them, remarks to the other.
pub struct Console<'a> {
    /// Language of all texts.
    pub lang: Lang,
    /// Results.
    pub out: &'a mut dyn Write,
    /// Remarks and warnings.
    pub remarks: &'a mut dyn Write,
}

impl Console<'_> {
    /// Writes one line of the result, whatever is in it.
    pub fn result(&mut self, line: impl std::fmt::Display) -> Outcome {
        writeln!(self.out, "{}", printable::line(&line.to_string())).map_err(|e| broken(&e))
    }

    /// Writes a remark; a stream that can't be written is not the command's failure.
    pub fn remark(&mut self, russian: &str, english: &str) {
        let _ = writeln!(self.remarks, "{}", printable::text(self.lang.pick(russian, english)));
    }
}

fn broken(cause: &io::Error) -> Failure {
    Failure::told(format!("Не удалось вывести результат: {cause}."), format!("The result can't be written: {cause}."))
}

/// Language of texts: as asked for, else that of the environment (`LC_ALL`, `LC_MESSAGES`, `LANG`).
pub fn language(asked: Option<&str>) -> Lang {
    let environment = || {
        ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    };
    asked.map(str::to_owned).or_else(environment).map_or(Lang::default(), |locale| Lang::of_locale(&locale))
}

/// The command line of this process; else what is wrong with it is told, and the program ends with that code.
pub fn read<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        // The same of words that can't steer a terminal, as some are repeated.
        let words = std::env::args_os().map(|word| printable::line(&word.to_string_lossy()).into_owned());
        let error = A::try_parse_from(words).err().unwrap_or(error);
        if !error.use_stderr() {
            // Help and version are our own words.
            return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        output::complain(error.render().to_string().trim_end());
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Tells a failure on standard error; the exit code of the program.
pub fn finish(program: &str, lang: Lang, outcome: Outcome) -> ExitCode {
    let outcome = outcome.and_then(|()| output::failure().map_or(Ok(()), |lost| Err(lost.into())));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&printable::line(&format!("{program}: {}", failure.text(lang))));
            ExitCode::FAILURE
        }
    }
}
