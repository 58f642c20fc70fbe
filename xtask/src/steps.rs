//! Runs the commands that a task consists of, says which and how long each took. A failed step doesn't hide the next one.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Results of the steps so far.
#[derive(Default)]
pub struct Steps {
    done: Vec<(String, Duration)>,
    failed: Vec<String>,
}

impl Steps {
    /// Runs `work` as a step; true if it succeeded.
    pub fn step(&mut self, name: &str, work: impl FnOnce() -> Result<(), String>) -> bool {
        println!("==> {name}");
        let start = Instant::now();
        let outcome = work();
        self.done.push((name.to_owned(), start.elapsed()));
        match outcome {
            Ok(()) => true,
            Err(why) => {
                println!("==> {name}: {why}");
                self.failed.push(name.to_owned());
                false
            }
        }
    }

    /// Runs a command as a step.
    pub fn command(&mut self, name: &str, mut command: Command) -> bool {
        self.step(name, || succeed(&mut command))
    }

    /// A line per step with its seconds; an error that names the steps that failed.
    pub fn finish(self) -> Result<(), String> {
        for (name, time) in &self.done {
            println!("{:7.1} s  {name}", time.as_secs_f64());
        }
        if self.failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", self.failed.join(", "))) }
    }
}

/// Runs a command to its end; an error if it did not succeed.
pub fn succeed(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(format!("{} does not start: {error}", command.get_program().display())),
    }
}

/// The cargo that started this program, in the root of the project.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.args(arguments).current_dir(root());
    // What cargo has told this program of its own package. Build scripts of libraries watch these names, and everything
    // would be compiled anew whenever a build is started from a program instead of a terminal.
    for (name, _) in env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"];
        if name.to_str().is_some_and(|name| told.iter().any(|told| name.starts_with(told))) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a program answers to this command.
pub fn answers(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(std::process::Stdio::null());
    command.output().is_ok_and(|output| output.status.success())
}

/// Root of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Folder of the programs that cargo builds: the one of this program.
pub fn built() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("its own path is unknown: {error}"))?;
    own.parent().map(Path::to_owned).ok_or_else(|| "its own folder is unknown".to_owned())
}
