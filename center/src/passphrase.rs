//! Where passphrases come from: a file, the environment, or a person at a terminal. Never from an argument, which every
//! user of the computer could read.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use licence::Lang;
use licence::host::files;
use zeroize::Zeroizing;

use crate::failure::{Failure, Outcome};

/// A passphrase; wiped when dropped.
pub type Passphrase = Zeroizing<String>;

/// Longest file that is read for a passphrase, in bytes.
const FILE_LIMIT: u64 = 4096;

/// Where to get one passphrase.
#[derive(Debug, Clone)]
pub struct Source {
    /// A file whose first line it is.
    pub file: Option<PathBuf>,
    /// Environment variable.
    pub variable: &'static str,
    /// Language of the prompt.
    pub lang: Lang,
}

impl Source {
    /// A passphrase to open `place` with. `None` when nobody gives one.
    pub fn existing(&self, place: &Path) -> Outcome<Option<Passphrase>> {
        let place = place.display();
        self.given()
            .or_else(|| self.prompt(&format!("Парольная фраза {place}: "), &format!("Passphrase of {place}: ")))
            .transpose()
    }

    /// A passphrase to seal `place` with; asked for twice at a terminal. `None`: the file will not be sealed.
    pub fn new_one(&self, place: &Path) -> Outcome<Option<Passphrase>> {
        if let Some(given) = self.given() {
            return given.map(Some);
        }
        let place = place.display();
        let asked = self.prompt(
            &format!("Новая парольная фраза {place} (пусто: без неё): "),
            &format!("New passphrase of {place} (empty: none): "),
        );
        let Some(first) = asked.transpose()? else { return Ok(None) };
        let second = self.prompt("Ещё раз: ", "Once more: ").transpose()?;
        if second.as_ref() == Some(&first) {
            Ok(Some(first))
        } else {
            Err(Failure::told("Парольные фразы не совпали.", "The passphrases differ."))
        }
    }

    fn given(&self) -> Option<Outcome<Passphrase>> {
        if let Some(path) = &self.file {
            let text = match files::read_text(path, FILE_LIMIT) {
                Ok(text) => Zeroizing::new(text),
                Err(error) => return Some(Err(error.into())),
            };
            let line = text.lines().next().unwrap_or_default();
            let empty = || {
                let path = path.display();
                Failure::told(format!("{path}: первая строка пуста."), format!("{path}: the first line is empty."))
            };
            return Some(if line.is_empty() { Err(empty()) } else { Ok(Zeroizing::new(line.to_owned())) });
        }
        std::env::var(self.variable).ok().filter(|value| !value.is_empty()).map(|value| Ok(Zeroizing::new(value)))
    }

    fn prompt(&self, russian: &str, english: &str) -> Option<Outcome<Passphrase>> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        match rpassword::prompt_password(licence::printable::line(self.lang.pick(russian, english))) {
            Ok(text) if text.is_empty() => None,
            Ok(text) => Some(Ok(Zeroizing::new(text))),
            Err(e) => Some(Err(Failure::told(format!("Терминал: {e}."), format!("Terminal: {e}.")))),
        }
    }
}
