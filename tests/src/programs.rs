//! The built programs and the built library: where they are, and that they are as the sources are now.

use std::env;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::failure::{Outcome, fail};

/// Folder of the built programs.
#[derive(Debug)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Builds everything, once per process: in the target folder, and with the profile, of this program. The whole
    /// workspace, so that features are the same as in every other build and nothing is compiled twice.
    pub fn built() -> Outcome<&'static Programs> {
        static BUILT: OnceLock<Result<Programs, String>> = OnceLock::new();
        match BUILT.get_or_init(build) {
            Ok(programs) => Ok(programs),
            Err(why) => fail(why.clone()),
        }
    }

    /// Path of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{EXE_SUFFIX}"))
    }

    /// Path of the component.
    pub fn library(&self) -> PathBuf {
        self.folder.join(format!("{DLL_PREFIX}licenceaddin{DLL_SUFFIX}"))
    }
}

fn build() -> Result<Programs, String> {
    let own = env::current_exe().map_err(|error| format!("its own path is unknown: {error}"))?;
    let folder = profile_folder(&own).ok_or("its own folder is unknown")?;
    let target = folder.parent().ok_or("the target folder is unknown")?;
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--workspace", "--target-dir"]).arg(target);
    if folder.ends_with("release") {
        command.arg("--release");
    }
    // What cargo has told this test of its own package. Build scripts of libraries watch these names, and everything would
    // be compiled anew.
    for (name, _) in env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"];
        if name.to_str().is_some_and(|name| told.iter().any(|told| name.starts_with(told))) {
            command.env_remove(name);
        }
    }
    match command.current_dir(env!("CARGO_MANIFEST_DIR")).status() {
        Ok(status) if status.success() => Ok(Programs { folder: folder.to_owned() }),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(error) => Err(format!("{command:?} does not start: {error}")),
    }
}

/// A test lies in `deps` below the profile's folder, a program in that folder itself.
fn profile_folder(own: &Path) -> Option<&Path> {
    let folder = own.parent()?;
    if folder.ends_with("deps") { folder.parent() } else { Some(folder) }
}
