//! A program that is killed at the n-th file that it puts in its place (`dying/dying.c`): between a message and what must be written
//! down of it, and between two files that belong together.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use crate::failure::Outcome;
use crate::root::Root;

/// The hand that kills.
pub struct Dying {
    left: PathBuf,
}

impl Dying {
    /// One that spares the program for now; its file lies beside the data of `root`.
    pub fn new(root: &Root) -> Dying {
        Dying { left: root.path().join("dying") }
    }

    /// Puts a program into its power.
    pub fn load(&self, command: &mut Command) {
        command.env("LD_PRELOAD", env!("DYING_WRITER")).env("SLK_DYING", &self.left);
    }

    /// Lets the program put so many files in their places and kills it at the next.
    pub fn after(&self, files: usize) -> Outcome {
        Ok(fs::write(&self.left, files.to_string())?)
    }

    /// Spares the program again.
    pub fn spare(&self) -> Outcome {
        match fs::remove_file(&self.left) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
