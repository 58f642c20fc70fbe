//! The commands of a developer: `cargo xtask test`, `cargo xtask demo`, `cargo xtask bench`, `cargo xtask template`.
//! Owns the order of the steps only; what is tested and shown lives in package `e2e`.

mod bench;
mod demo;
mod needs;
mod python;
mod steps;
mod suite;
mod template;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test          checks format, lints, builds everything and runs every test
cargo xtask demo          shows the whole system at work, from a vendor's key series to a server's failure
cargo xtask demo --keep   the same; leaves a server and its console running and says how to stop them
cargo xtask bench         measures the server; --json FILE, --only NAME, --quick (docs/performance.md)
cargo xtask template      makes the template that a configuration holds the component in (docs/bundle.md)";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => suite::run(),
        ["demo", rest @ ..] => demo::run(rest),
        ["bench", rest @ ..] => bench::run(rest),
        ["template"] => template::run(),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(format!("unknown command: {}\n{USAGE}", other.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
