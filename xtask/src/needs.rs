//! What a test run needs besides Rust: a C++ compiler, PostgreSQL and valgrind. Installs what is missing where that can be done
//! without asking, and else says what to install.

use std::process::{Command, Stdio};

use crate::steps::{answers, succeed};

/// A program that the tests start, and the Debian package that has it.
struct Need {
    program: &'static str,
    found: fn() -> bool,
    package: &'static str,
    why: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        program: "c++",
        found: || answers("c++", "--version"),
        package: "g++",
        why: "C libraries and the host of the Native API are compiled with it",
    },
    Need {
        program: "postgres",
        found: postgres,
        package: "postgresql",
        why: "the store of the licensing centre is tested with PostgreSQL as with SQLite",
    },
    Need {
        program: "valgrind",
        found: || answers("valgrind", "--version"),
        package: "valgrind",
        why: "a test runs the component under it",
    },
];

/// Whether PostgreSQL's server is where Debian's packages put it, outside of the search path: its client may be there alone.
fn postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.into_iter().any(|version| version.path().join("bin/postgres").is_file())
}

/// Makes sure that everything is there.
pub fn provide() -> Result<(), String> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.found)()).collect();
    if missing.is_empty() {
        println!("nothing is missing");
        return Ok(());
    }
    for Need { program, package, why, .. } in &missing {
        println!("{program} is missing ({why}): installing {package}");
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    install(&packages)
}

/// Installs packages where that can be done without asking; the error says what to install.
pub fn install(packages: &[&str]) -> Result<(), String> {
    let installed = installer().and_then(|installer| install_with(&installer, packages));
    installed.map_err(|why| format!("{why}; install: {}", packages.join(" ")))
}

fn installer() -> Result<Vec<&'static str>, String> {
    if !answers("apt-get", "--version") {
        return Err("this is not a Debian system".to_owned());
    }
    let id = Command::new("id").arg("-u").stdin(Stdio::null()).output();
    if id.is_ok_and(|output| output.stdout.trim_ascii() == b"0") {
        return Ok(vec!["apt-get"]);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"]).stdin(Stdio::null());
    if sudo.output().is_ok_and(|output| output.status.success()) {
        Ok(vec!["sudo", "-n", "apt-get"])
    } else {
        Err("only root may install packages".to_owned())
    }
}

fn install_with(installer: &[&str], packages: &[&str]) -> Result<(), String> {
    let apt = |arguments: &[&str]| {
        let (program, rest) = installer.split_first().ok_or("no installer")?;
        let mut command = Command::new(program);
        command.args(rest).args(["-o", "DPkg::Lock::Timeout=900", "-qq", "-y"]).args(arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        succeed(&mut command)
    };
    let mut arguments = vec!["install", "--no-install-recommends"];
    arguments.extend(packages);
    // The lists may be absent or old; they are fetched only when the packages are not found with those that are there.
    apt(&arguments).or_else(|_| apt(&["update"]).and_then(|()| apt(&arguments)))
}
