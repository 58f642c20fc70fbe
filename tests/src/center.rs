//! The licensing centre of a vendor, as a process.

use std::path::Path;
use std::process::Command;

use crate::daemon::Daemon;
use crate::failure::Outcome;
use crate::programs::Programs;

/// A running centre.
pub struct Center {
    daemon: Daemon,
}

impl Center {
    /// Starts the centre over a folder with an issuing key and a store, on a free port of loopback.
    pub fn start(folder: &Path) -> Outcome<Center> {
        let mut command = Command::new(Programs::built()?.program("licencecenter"));
        command.arg("serve").arg("--center").arg(folder);
        command.args(["--listen", "127.0.0.1:0", "--attempts-per-minute", "0"]).env("LC_ALL", "C.UTF-8");
        Ok(Center { daemon: Daemon::start(command)? })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        self.daemon.url()
    }

    /// Leaves it running for good; gives the number of its process.
    pub fn leave(self) -> u32 {
        self.daemon.leave()
    }
}
