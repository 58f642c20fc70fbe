//! Tools in Python that look at our work from outside: another reader of `.epf` files, a linter of the 1C language, a fuzzer of
//! the REST API, a library that verifies its signatures. They live in virtual environments below the target folder, made by the
//! first test run. Without Python a run goes on and says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::needs;
use crate::steps::{built, succeed};

/// A package with the oldest Python that it runs on, as major and minor version.
struct Package {
    requirement: &'static str,
    program: &'static str,
    python: (u32, u32),
}

const UNPACKER: Package = Package { requirement: "v8unpack==1.2.15", program: "v8unpack", python: (3, 8) };
const LINTER: Package = Package { requirement: "onec-hbk-bsl-core==0.8.53", program: "onec-hbk-bsl", python: (3, 12) };
const FUZZER: Package = Package { requirement: "schemathesis==4.32.5", program: "schemathesis", python: (3, 10) };
/// For the verifier of signatures, which is a script of ours.
const CRYPTOGRAPHY: Package = Package { requirement: "cryptography==50.0.2", program: "python", python: (3, 9) };

/// The tools of this run; those that can't be had are absent, and it has been told why.
#[derive(Default)]
pub struct Tools {
    /// Unpacks `.epf` files.
    pub unpacker: Option<PathBuf>,
    /// Checks sources for 1C.
    pub linter: Option<PathBuf>,
    /// Asks the REST API for everything that its description allows.
    pub fuzzer: Option<PathBuf>,
    /// A Python with a library for signatures.
    pub python: Option<PathBuf>,
}

/// Installs what is not there yet.
pub fn provide() -> Result<Tools, String> {
    let environment = built()?.parent().ok_or("the target folder is unknown")?.join("python");
    let found = python().map_or_else(|| needs::install(&["python3-venv"]).map(|()| python()), |found| Ok(Some(found)));
    let (python, version) = match found {
        Ok(Some(found)) => found,
        Ok(None) => return skip("it is not found"),
        Err(why) => return skip(&why),
    };
    let tool = |package: &Package| {
        let found = install(package, &environment, &python, version);
        found.inspect_err(|why| println!("skipped: {}: {why}", package.program)).ok()
    };
    Ok(Tools { unpacker: tool(&UNPACKER), linter: tool(&LINTER), fuzzer: tool(&FUZZER), python: tool(&CRYPTOGRAPHY) })
}

/// The rest of the run does not depend on Python.
fn skip(why: &str) -> Result<Tools, String> {
    println!("skipped: nothing is checked by tools in Python: {why}");
    Ok(Tools::default())
}

fn install(package: &Package, environment: &Path, python: &Path, version: (u32, u32)) -> Result<PathBuf, String> {
    if version < package.python {
        let ((major, minor), has) = (package.python, version);
        return Err(format!("it needs Python {major}.{minor} or newer, here is {}.{}", has.0, has.1));
    }
    // Each in an environment of its own: they don't agree on versions of what they stand on.
    let own = environment.join(package.requirement);
    let program = own.join("bin").join(package.program);
    let finished = own.join("installed");
    if finished.exists() {
        return Ok(program);
    }
    println!("installing {} into {}", package.requirement, own.display());
    succeed(Command::new(python).args(["-m", "venv", "--clear"]).arg(&own))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package.requirement];
    succeed(Command::new(own.join("bin/python")).args(pip).stdin(Stdio::null()))?;
    fs::write(finished, "").map_err(|error| error.to_string())?;
    Ok(program)
}

/// The newest Python that is found, with its version.
fn python() -> Option<(PathBuf, (u32, u32))> {
    let on_path = ["python3.14", "python3.13", "python3.12", "python3"].map(PathBuf::from);
    let managed = lines("pyenv", &["versions", "--bare"]);
    let managed = managed.iter().flat_map(|version| lines("pyenv", &["prefix", version]));
    let candidates = on_path.into_iter().chain(managed.map(|prefix| Path::new(&prefix).join("bin/python3")));
    let known = candidates.filter_map(|python| Some((version_of(&python)?, python)));
    known
        .filter(|(version, _)| *version >= (3, 0))
        .max_by_key(|(version, _)| *version)
        .map(|(version, python)| (python, version))
}

fn version_of(python: &Path) -> Option<(u32, u32)> {
    let said = lines(python, &["-c", "import sys, venv, ensurepip; print(*sys.version_info[:2])"]);
    let (major, minor) = said.first()?.split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// What a program prints; nothing when it does not succeed.
fn lines(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Vec<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let good = output.ok().filter(|output| output.status.success());
    good.map(|output| String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()).unwrap_or_default()
}
