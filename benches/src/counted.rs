//! The server under callgrind, which counts the instructions that it executes: a cost that no cache and no neighbour changes.
//! Needs valgrind; without it nothing is counted.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Outcome;
use crate::install::{Installation, PROGRAM, Server, folder};
use crate::process::Process;

/// A server whose instructions are counted when asked for.
pub struct Counted {
    /// The server; some fifty times slower than it is.
    pub server: Server,
    out: PathBuf,
}

impl Counted {
    /// Whether there is what counts.
    pub fn is_possible() -> bool {
        let mut probe = Command::new("vgdb");
        probe.arg("--help").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok()
    }

    /// Starts the server of an installation, not counting yet.
    pub async fn start(installation: &Installation) -> Outcome<Counted> {
        let out = installation.root().join("callgrind");
        let file = format!("--callgrind-out-file={}", out.display());
        let program = folder()?.join(PROGRAM).display().to_string();
        let mut arguments =
            vec!["--tool=callgrind", "--quiet", "--instr-atstart=no", "--fair-sched=yes", &file, &program];
        arguments.extend(Installation::ARGUMENTS);
        let process = Process::start("valgrind".as_ref(), &arguments, installation.root())?;
        Ok(Counted { server: installation.answering(process).await?, out })
    }

    /// Instructions that the server executes during `work`, all threads together.
    pub async fn count(&self, work: impl Future<Output = Outcome>) -> Outcome<f64> {
        self.tell(&["instrumentation", "on"])?;
        self.tell(&["zero"])?;
        work.await?;
        self.tell(&["dump"])?;
        self.tell(&["instrumentation", "off"])?;
        self.last()
    }

    fn tell(&self, words: &[&str]) -> Outcome {
        let process = format!("--pid={}", self.server.process.id());
        let output = Command::new("vgdb").arg(process).args(words).stdin(Stdio::null()).output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("vgdb: {}", String::from_utf8_lossy(&output.stderr)).into()),
        }
    }

    /// Sum of the dump that was just written, whose number is the highest; the dump goes.
    fn last(&self) -> Outcome<f64> {
        let missing = || format!("callgrind has written nothing beside {}", self.out.display());
        let parent = self.out.parent().ok_or_else(missing)?;
        let mut sum = None;
        for entry in fs::read_dir(parent)? {
            let path = entry?.path();
            let is_dump =
                path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("callgrind."));
            if is_dump {
                let text = fs::read_to_string(&path)?;
                let totals = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse::<f64>().ok());
                sum = totals.or(sum);
                fs::remove_file(path)?;
            }
        }
        Ok(sum.ok_or_else(missing)?)
    }
}
