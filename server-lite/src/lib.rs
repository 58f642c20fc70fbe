//! A front over tiny_http for any [`web::Service`], on loopback only: no async runtime, short connections, every answer
//! says `Connection: close`. It must never listen beyond loopback: see [`front`] for what tiny_http can't be kept from.

pub mod front;

pub use front::{Front, Limits};
