//! `cargo xtask test`: everything that a change must pass, in the order of what fails fastest.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::needs;
use crate::python::{self, Tools};
use crate::steps::{Steps, answers, cargo, root, succeed};

/// Numbers of tests over all test programs.
#[derive(Default)]
struct Sum {
    passed: u64,
    failed: u64,
}

/// Runs all steps; the last lines are their times and the sum of the tests.
pub fn run() -> Result<(), String> {
    let mut steps = Steps::default();
    let mut sum = Sum::default();
    let mut tools = Tools::default();
    steps.step("what the tests need", needs::provide);
    steps.command("format", cargo(&["fmt", "--all", "--check"]));
    steps.command("lints", cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    steps.step("licences, bans and sources of dependencies", deny);
    steps.step("tools in Python", || python::provide().map(|found| tools = found));
    steps.step("sources for 1C", || bsl(&tools));
    // The tests start the programs and load the library, which are not test targets.
    if steps.command("build", cargo(&["build", "--workspace"])) {
        steps.step("tests", || tests(&tools, &mut sum));
    }
    let outcome = steps.finish();
    println!("{} passed, {} failed", sum.passed, sum.failed);
    outcome
}

fn deny() -> Result<(), String> {
    if !answers("cargo-deny", "--version") {
        println!("skipped: cargo-deny is not installed (cargo install --locked cargo-deny)");
        return Ok(());
    }
    succeed(&mut cargo(&["deny", "--offline", "--workspace", "check", "bans", "licenses", "sources"]))
}

fn bsl(tools: &Tools) -> Result<(), String> {
    let Some(linter) = &tools.linter else { return Ok(()) };
    succeed(Command::new(linter).args(["check", "examples-1c"]).current_dir(root()))
}

fn tests(tools: &Tools, sum: &mut Sum) -> Result<(), String> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    // Tests that look at built files with them are skipped where they are not named.
    for (name, tool) in [
        ("SLK_EPF_UNPACKER", &tools.unpacker),
        ("SLK_BSL_LINTER", &tools.linter),
        ("SLK_SCHEMATHESIS", &tools.fuzzer),
        ("SLK_PYTHON", &tools.python),
    ] {
        if let Some(tool) = tool {
            command.env(name, tool);
        }
    }
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| format!("cargo does not start: {error}"))?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut console = std::io::stdout().lock();
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|error| format!("its output can't be read: {error}"))?;
        sum.add(&line);
        // A console that is gone must not end the tests.
        let _ = writeln!(console, "{line}");
    }
    drop(console);
    let status = child.wait().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(status.to_string());
    }
    if sum.passed == 0 {
        return Err("no test ran".to_owned());
    }
    Ok(())
}

impl Sum {
    /// Adds what a test program says at its end: `test result: ok. 12 passed; 0 failed; 0 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ").and_then(|(_, rest)| rest.split_once(". ")) else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_test_programs_are_summed() {
        let mut sum = Sum::default();
        for line in [
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            sum.add(line);
        }
        assert_eq!((sum.passed, sum.failed), (15, 2));
    }
}
