//! The border between 1C and Rust: the binary interface of the Native API, and a safe interface above it.
//! All `unsafe` of the add-in lives below this module; of the core it must know nothing but the catalogue of errors.
//!
//! A class implements [`Component`] with tables of [`Property`] and [`Method`], and stands in [`crate::CLASSES`].
//! `abi` holds layouts, `vtable` the entry points of an object, `object` what they do, `exports` the five functions
//! that 1C looks up.

mod abi;
mod component;
mod exports;
mod fault;
mod guard;
mod host;
mod memory;
mod object;
mod text;
mod value;
mod variant;
mod vtable;

#[cfg(test)]
mod tests;

pub use component::{
    Application, Call, Class, Component, Failure, Get, HostInfo, Method, Names, Preset, Property, Set,
};
pub use jiff::civil::DateTime;
pub use value::{Maker, Promise, Value};
