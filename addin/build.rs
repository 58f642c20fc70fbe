//! Builds the object manager, an external data processor, from the parts of its module in `manager/`: `$OUT_DIR/manager.epf`,
//! which the library embeds. The same parts give the same bytes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

/// Name of the processor.
const NAME: &str = "МенеджерОбъектовСЛК";

/// Parts of its module: the first has the variables, which must stand before all code.
const PARTS: &[&str] = &[
    "setup.bsl",
    "session.bsl",
    "licence.bsl",
    "objects.bsl",
    "server.bsl",
    "storage.bsl",
    "activation.bsl",
    "memory.bsl",
    "component.bsl",
    "telephone.bsl",
    "refusals.bsl",
    "values.bsl",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("the object manager is not built: {why}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=manager");
    let parts: Vec<String> =
        PARTS.iter().map(|part| read(&Path::new("manager").join(part))).collect::<Result<_, _>>()?;
    let file = epf::processor::build(NAME, &parts.join("\n")).map_err(|error| error.to_string())?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo gives no folder")?).join("manager.epf");
    fs::write(&out, file).map_err(|error| format!("{}: {error}", out.display()))
}

fn read(part: &Path) -> Result<String, String> {
    fs::read_to_string(part).map_err(|error| format!("{}: {error}", part.display()))
}
