//! Compiles the C++ host of the Native API with the system's compiler and tells its path to the package.

use std::env;
use std::path::PathBuf;
use std::process::exit;

fn main() {
    println!("cargo:rerun-if-changed=host");
    println!("cargo:rerun-if-changed=../include");
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets the folder")).join("native-host");
    let compiler = cc::Build::new()
        .cpp(true)
        .std("c++17")
        .include("../include")
        .opt_level(1)
        .debug(true)
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(true)
        .get_compiler();
    let mut command = compiler.to_command();
    command.arg("host/main.cpp").arg("-o").arg(&out).args(["-ldl", "-pthread"]);
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("{command:?} ended with {status}")),
        Err(error) => fail(&format!("{command:?} did not start ({error}): install a C++ compiler, such as g++")),
    }
    println!("cargo:rustc-env=NATIVE_HOST={}", out.display());
}

fn fail(why: &str) -> ! {
    eprintln!("the C++ host was not built: {why}");
    exit(1)
}
