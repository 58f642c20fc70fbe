//! What programs print for people and scripts: the one place that writes to standard output and standard error, so that nothing
//! of what is printed can steer a terminal (see [`crate::printable`]).

use std::io::{self, IsTerminal, Write};

use crate::printable;

/// Prints a text of several lines and a line feed on standard output. Nobody may be reading.
pub fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{}", printable::text(text));
}

/// Prints a value as JSON on standard output. Nobody may be reading.
pub fn print_json(value: &serde_json::Value) {
    let _ = writeln!(io::stdout(), "{}", printable::json(&format!("{value:#}")));
}

/// Prints a whole text as it is to be read by another program; one of our formats has nothing that needs an escape.
pub fn print_whole(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(printable::text(text).as_bytes())?;
    out.flush()
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

/// Standard output, for who escapes what he writes by himself.
pub fn results() -> impl Write {
    io::stdout()
}

/// The same of standard error.
pub fn remarks() -> impl Write {
    io::stderr()
}
