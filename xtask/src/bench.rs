//! `cargo xtask bench`: builds everything as it is shipped and runs the measurements, a program of package `benches`.

use std::env::consts::EXE_SUFFIX;
use std::process::Command;

use crate::steps::{built, cargo, root, succeed};

/// Builds and runs it; `arguments` are its own.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    println!("building the programs in release mode");
    succeed(&mut cargo(&["build", "--release", "--workspace"])).map_err(|why| format!("the build failed: {why}"))?;
    let target = built()?;
    let folder = target.parent().ok_or("the target folder is unknown")?.join("release");
    succeed(Command::new(folder.join(format!("bench{EXE_SUFFIX}"))).args(arguments).current_dir(root()))
        .map_err(|why| format!("the measurement failed: {why}"))
}
