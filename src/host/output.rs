//! What programs print for people and scripts: the one place that writes to standard output and standard error, so that nothing
//! of what is printed can steer a terminal (see [`crate::printable`]).

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

#[cfg(unix)]
use super::os;
use crate::error::{Code, Error, Result};
use crate::printable;

/// Room for the answer of a command that changes something, in bytes.
#[cfg(unix)]
const ANSWER: u64 = 64 * 1024;

/// What was lost of the output, if anything: see [`failure`].
static LOST: Mutex<Option<Error>> = Mutex::new(None);

/// Prints a text of several lines and a line feed on standard output: see [`failure`].
pub fn print(text: &str) {
    let _ = noted(writeln!(io::stdout(), "{}", printable::text(text)));
}

/// Prints a value as JSON on standard output: see [`failure`].
pub fn print_json(value: &serde_json::Value) {
    let _ = noted(writeln!(io::stdout(), "{}", printable::json(&format!("{value:#}"))));
}

/// Prints a whole text as it is to be read by another program; one of our formats has nothing that needs an escape.
pub fn print_whole(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(printable::text(text).as_bytes())?;
    out.flush()
}

/// Why something of what was printed is lost, so that no program ends as if all were well. A reader that has gone is no failure.
pub fn failure() -> Option<Error> {
    let _ = noted(io::stdout().flush());
    LOST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn noted<T>(written: io::Result<T>) -> io::Result<T> {
    if let Err(e) = &written
        && e.kind() != io::ErrorKind::BrokenPipe
    {
        LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(Error::new(Code::OutputFailed).with(e));
    }
    written
}

/// Looks whether standard output takes an answer, before a command does what it could not tell of afterwards.
///
/// # Errors
/// [`Code::OutputFailed`] for a disk or device that is full.
pub fn expect_room() -> Result<()> {
    room().map_err(|e| Error::new(Code::OutputFailed).with(e))
}

#[cfg(unix)]
fn room() -> io::Result<()> {
    use std::fs::File;
    use std::os::fd::AsFd;
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let facts = out.metadata()?;
    if facts.is_file() { os::reserve(&out, facts.len(), ANSWER) } else { out.write(&[]).map(drop).or_else(reader_gone) }
}

#[cfg(unix)]
fn reader_gone(cause: io::Error) -> io::Result<()> {
    if cause.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(cause) }
}

#[cfg(not(unix))]
fn room() -> io::Result<()> {
    Ok(())
}

/// Says on standard output where the program listens, at once. Nobody may be reading.
pub fn announce(url: &str) {
    let _ = writeln!(io::stdout(), "listening on {}", printable::line(url)).and_then(|()| io::stdout().flush());
}

/// Prints a text of several lines and a line feed on standard error; a terminal that is gone is no reason to fail differently.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable::text(text));
}

/// Whether somebody sees [`progress`].
pub fn has_onlooker() -> bool {
    io::stderr().is_terminal()
}

/// Shows how far the work is, in the place of what was shown before; `done` ends the line.
pub fn progress(text: &str, done: bool) {
    let end = if done { "\n" } else { " " };
    let _ = write!(io::stderr(), "\r{}{end}", printable::line(text));
}

/// Standard output, for who escapes what he writes by himself: see [`failure`].
pub fn results() -> impl Write {
    Results(io::stdout())
}

struct Results(io::Stdout);

impl Write for Results {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        noted(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        noted(self.0.flush())
    }
}

/// The same of standard error.
pub fn remarks() -> impl Write {
    io::stderr()
}
