//! Clocks that a test moves while a program runs (`clocks/shifted.c`).

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::failure::Outcome;
use crate::root::Root;

const NANOSECONDS: i64 = 1_000_000_000;

/// The clocks of one program; at first they are true.
pub struct Clocks {
    file: PathBuf,
    /// Seconds that the wall clock, the clock of time awake and that of time asleep too are ahead.
    seconds: [i64; 3],
}

impl Clocks {
    /// Clocks whose file lies beside the data of `root`.
    pub fn new(root: &Root) -> Outcome<Clocks> {
        let clocks = Clocks { file: root.path().join("clocks"), seconds: [0; 3] };
        fs::write(&clocks.file, [0; 24])?;
        Ok(clocks)
    }

    /// Puts the clocks before a program.
    pub fn load(&self, command: &mut Command) {
        command.env("LD_PRELOAD", env!("SHIFTED_CLOCK")).env("SLK_SHIFTED_CLOCK", &self.file);
    }

    /// Somebody sets the wall clock by so many seconds.
    pub fn set(&mut self, seconds: i64) -> Outcome {
        self.shift([seconds, 0, 0])
    }

    /// Time passes.
    pub fn pass(&mut self, span: Duration) -> Outcome {
        let seconds = i64::try_from(span.as_secs())?;
        self.shift([seconds; 3])
    }

    /// The machine sleeps.
    pub fn sleep(&mut self, span: Duration) -> Outcome {
        let seconds = i64::try_from(span.as_secs())?;
        self.shift([seconds, 0, seconds])
    }

    fn shift(&mut self, by: [i64; 3]) -> Outcome {
        let file = OpenOptions::new().write(true).open(&self.file)?;
        for (place, (seconds, by)) in self.seconds.iter_mut().zip(by).enumerate() {
            *seconds += by;
            // One number in one write, into the page that the program has mapped.
            file.write_at(&(*seconds * NANOSECONDS).to_ne_bytes(), place as u64 * 8)?;
        }
        Ok(())
    }
}
