//! `cargo xtask template`: builds the component as it is shipped and puts it into a template for 1C, with the libraries of other
//! systems that were built beside it. The template itself is the work of `licenceedit template`.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{built, cargo, root, succeed};

/// What the component's library is called, by system.
const LIBRARIES: [&str; 3] = ["liblicenceaddin.so", "licenceaddin.dll", "liblicenceaddin.dylib"];

/// Builds and makes it.
pub fn run() -> Result<(), String> {
    println!("building the component in release mode");
    succeed(&mut cargo(&["build", "--release", "-p", "licenceaddin", "-p", "center"]))
        .map_err(|why| format!("the build failed: {why}"))?;
    let target = built()?.parent().ok_or("the target folder is unknown")?.to_owned();
    let mut command = Command::new(target.join("release").join(format!("licenceedit{EXE_SUFFIX}")));
    command.args(["template", "-y", "--out"]).arg(target.join("template")).current_dir(root());
    for library in libraries(&target) {
        let size = fs::metadata(&library).map_or(0, |facts| facts.len());
        println!("{}: {:.2} MB", library.display(), size as f64 / 1e6);
        command.arg("--library").arg(library);
    }
    succeed(&mut command).map_err(|why| format!("the template was not made: {why}"))
}

/// Libraries of this system and of others, which cargo puts into folders named after them.
fn libraries(target: &Path) -> Vec<PathBuf> {
    let others = fs::read_dir(target).into_iter().flatten().flatten().map(|entry| entry.path().join("release"));
    let mut folders: Vec<PathBuf> = others.chain([target.join("release")]).collect();
    folders.sort();
    let files = folders.iter().flat_map(|folder| LIBRARIES.map(|name| folder.join(name)));
    files.filter(|file| file.is_file()).collect()
}
