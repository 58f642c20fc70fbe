//! `licenceaddin`, the Native API component that 1C loads.

pub mod client;
pub mod component;
pub mod native;

/// The classes that 1C can create from this library.
pub static CLASSES: &[native::Class] = &[native::Class::of::<component::LicenceExtension>()];
