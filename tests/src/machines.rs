//! Machines that a program finds itself on (`machines/other.c`): the same files on another computer, as a test needs them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::failure::Outcome;
use crate::root::Root;

/// A machine of its own: identifier of the system and UUID, no other parts.
pub struct Machine {
    folder: PathBuf,
}

impl Machine {
    /// A machine that is told from others by its name; its files lie below `root`.
    pub fn new(root: &Root, name: &str) -> Outcome<Machine> {
        let folder = root.path().join("machines").join(name);
        for path in ["etc/machine-id", "sys/class/dmi/id/product_uuid"] {
            let file = folder.join(path);
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(file, format!("{path} of {name}\n"))?;
        }
        Ok(Machine { folder })
    }

    /// Puts a program on the machine.
    pub fn load(&self, command: &mut Command) {
        command.env("LD_PRELOAD", env!("OTHER_MACHINE")).env("SLK_MACHINE", &self.folder);
    }
}
