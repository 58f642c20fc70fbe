//! tests

pub mod host;
