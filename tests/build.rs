//! Compiles the C++ host of the Native API, the file layer, the clocks, the machines, the killer and the resolver that tests put before a program, with the
//! system's compiler, and tells their paths to the package.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

fn main() {
    println!("cargo:rerun-if-changed=host");
    println!("cargo:rerun-if-changed=src/layer/lossy.c");
    println!("cargo:rerun-if-changed=src/clocks/shifted.c");
    println!("cargo:rerun-if-changed=src/machines/other.c");
    println!("cargo:rerun-if-changed=src/dying/dying.c");
    println!("cargo:rerun-if-changed=src/resolver/hanging.c");
    println!("cargo:rerun-if-changed=../include");
    println!("cargo:rerun-if-changed=build.rs");
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets the folder"));
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        build_preloaded("src/layer/lossy.c", &folder.join("liblossy.so"), "LOSSY_LAYER");
        build_preloaded("src/clocks/shifted.c", &folder.join("libshifted.so"), "SHIFTED_CLOCK");
        build_preloaded("src/machines/other.c", &folder.join("libother.so"), "OTHER_MACHINE");
        build_preloaded("src/dying/dying.c", &folder.join("libdying.so"), "DYING_WRITER");
        build_preloaded("src/resolver/hanging.c", &folder.join("libhanging.so"), "HANGING_RESOLVER");
    }
    let out = folder.join("native-host");
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
    run(command);
    println!("cargo:rustc-env=NATIVE_HOST={}", out.display());
}

/// A library for `LD_PRELOAD`; `name` is the variable that tells its path.
fn build_preloaded(source: &str, out: &Path, name: &str) {
    let compiler = cc::Build::new()
        .std("c11")
        .pic(true)
        .opt_level(1)
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(true)
        .get_compiler();
    let mut command = compiler.to_command();
    command.args(["-shared", source, "-pthread", "-o"]).arg(out);
    run(command);
    println!("cargo:rustc-env={name}={}", out.display());
}

fn run(mut command: Command) {
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("{command:?} ended with {status}")),
        Err(error) => fail(&format!("{command:?} did not start ({error}): install a C and C++ compiler, such as g++")),
    }
}

fn fail(why: &str) -> ! {
    eprintln!("not built: {why}");
    exit(1)
}
