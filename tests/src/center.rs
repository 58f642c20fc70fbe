//! The licensing centre of a vendor, as a process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::{Daemon, free_port};
use crate::failure::Outcome;
use crate::programs::Programs;

/// A running centre.
pub struct Center {
    folder: PathBuf,
    daemon: Daemon,
}

impl Center {
    /// Starts the centre over a folder with an issuing key and a store, on a free port of loopback.
    pub fn start(folder: &Path) -> Outcome<Center> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        Ok(Center { folder: folder.to_owned(), daemon: Daemon::start(command(folder, address)?)? })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        self.daemon.url()
    }

    /// Address and port.
    pub fn address(&self) -> Outcome<SocketAddr> {
        self.daemon.address()
    }

    /// What it has written so far.
    pub fn said(&self) -> String {
        self.daemon.said()
    }

    /// Leaves it running for good; gives the number of its process.
    pub fn leave(mut self) -> Outcome<u32> {
        let address = self.daemon.address()?;
        self.daemon.stop()?;
        Daemon::leave(command(&self.folder, address)?, address)
    }
}

fn command(folder: &Path, address: SocketAddr) -> Outcome<Command> {
    let mut command = Command::new(Programs::built()?.program("licencecenter"));
    command.arg("serve").arg("--center").arg(folder).arg("--listen").arg(address.to_string());
    // Tests ask more often than any customer.
    command.args(["--attempts-per-minute", "0"]).env("LC_ALL", "C.UTF-8");
    Ok(command)
}
