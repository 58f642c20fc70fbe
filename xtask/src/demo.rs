//! `cargo xtask demo`: builds everything and starts the demonstration, a program of package `e2e`.

use std::env::consts::EXE_SUFFIX;
use std::process::Command;

use crate::steps::{built, cargo, root, succeed};

/// Builds and runs it; `arguments` are its own.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    if let Some(unknown) = arguments.iter().find(|argument| **argument != "--keep") {
        return Err(format!("unknown argument {unknown}: cargo xtask demo [--keep]"));
    }
    println!("building the programs and the component");
    succeed(&mut cargo(&["build", "--workspace"])).map_err(|why| format!("the build failed: {why}"))?;
    let program = built()?.join(format!("demo{EXE_SUFFIX}"));
    succeed(Command::new(program).args(arguments).current_dir(root()))
        .map_err(|why| format!("the demonstration failed: {why}"))
}
