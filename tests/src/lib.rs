//! Drives the whole system from outside: the built programs as processes, the built library in a C++ host that behaves as 1C.
//! Owns nothing of the system's rules; what it reads of the core are formats and the client's side of the protocol.

pub mod bsl;
pub mod center;
#[cfg(target_os = "linux")]
pub mod clocks;
pub mod component;
pub mod cutter;
pub mod daemon;
#[cfg(target_os = "linux")]
pub mod dying;
pub mod failure;
pub mod host;
#[cfg(target_os = "linux")]
pub mod layer;
pub mod link;
#[cfg(target_os = "linux")]
pub mod machines;
pub mod programs;
pub mod proxy;
pub mod random;
pub mod rest;
pub mod root;
pub mod script;
pub mod server;
pub mod site;
pub mod stranger;
pub mod vendor;

pub use center::Center;
pub use failure::{Failure, Outcome, check, fail, until};
pub use link::Link;
pub use programs::Programs;
pub use rest::{Answer, Rest};
pub use root::Root;
pub use server::Server;
pub use site::Site;
pub use vendor::Vendor;

/// The series of all tests and of the demonstration.
pub const SERIES: &str = "672B";
