//! The licence service as a front calls it.

mod access;
mod accounting;
mod activation;
mod api;
mod bench;
mod client;
mod console;
mod keys;
mod past;
