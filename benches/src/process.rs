//! A program of ours as a process that listens: started, awaited by what it says, measured by what the system counts of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Outcome;

const LISTENING: &str = "listening on http://";

/// A running process. Killed when dropped.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Process {
    /// Starts a program over the files below `root` and waits until it says where it listens.
    pub fn start(program: &Path, arguments: &[&str], root: &Path) -> Outcome<Process> {
        let mut command = Command::new(program);
        command.args(arguments).env("SLK_ROOT", root).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let mut process = Process { child, address: ([127, 0, 0, 1], 0).into() };
        let output = process.child.stdout.take().ok_or("no output")?;
        for line in BufReader::new(output).lines() {
            if let Some((_, address)) = line?.split_once(LISTENING) {
                process.address = address.trim().parse()?;
                return Ok(process);
            }
        }
        Err(format!("{} ended without listening; its log is below {}", program.display(), root.display()).into())
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without warning.
    pub fn kill(mut self) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Memory that it has in RAM now, in MB (10^6 bytes); `None` where the system doesn't tell.
    pub fn resident(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let kib: f64 =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())?;
        Some(kib * 1024.0 / 1e6)
    }

    /// Processor time that its living threads have used; `None` where the system doesn't tell.
    pub fn busy(&self) -> Option<Duration> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let nanoseconds = threads.flatten().filter_map(|thread| {
            let facts = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            facts.split_whitespace().next()?.parse::<u64>().ok()
        });
        Some(Duration::from_nanos(nanoseconds.sum()))
    }

    /// Bytes that it has written so far, to files and sockets; `None` where the system doesn't tell.
    pub fn written(&self) -> Option<f64> {
        let facts = fs::read_to_string(format!("/proc/{}/io", self.child.id())).ok()?;
        facts.lines().find_map(|line| line.strip_prefix("wchar:")?.trim().parse().ok())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
