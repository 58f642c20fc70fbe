//! Stamps one version and the target into every program: `3.0.100.<SLK_BUILD, else 0>`. Never reads git.
use std::env;

fn main() {
    println!("cargo:rerun-if-env-changed=SLK_BUILD");
    println!("cargo:rerun-if-changed=build.rs");
    let build: u32 = env::var("SLK_BUILD").ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let package = env::var("CARGO_PKG_VERSION").expect("cargo sets the version");
    println!("cargo:rustc-env=SLK_VERSION={package}.{build}");
    println!("cargo:rustc-env=SLK_TARGET={}", env::var("TARGET").expect("cargo sets the target"));
}
