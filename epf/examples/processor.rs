//! Builds an external data processor from the text of its object module: `processor NAME MODULE.bsl OUT.epf`.

use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, module, out] = arguments.as_slice() else {
        eprintln!("usage: processor NAME MODULE.bsl OUT.epf");
        return ExitCode::from(2);
    };
    let text = fs::read_to_string(module).map_err(|error| format!("{module}: {error}"));
    let file = text.and_then(|text| epf::processor::build(name, &text).map_err(|error| error.to_string()));
    match file.and_then(|file| fs::write(out, file).map_err(|error| format!("{out}: {error}"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
