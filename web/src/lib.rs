//! The shape of every HTTP service of the project: request, reply, route table, page frame, assets, limits.
//!
//! A service is `fn call(&self, Request) -> Reply` and knows no HTTP library. This crate must never know what the
//! services do, and nothing in it may block, except [`crew`], which exists so that others need not.

pub mod assets;
pub mod crew;
pub mod events;
pub mod fair_queue;
pub mod headers;
pub mod limits;
mod multipart;
pub mod origin;
pub mod page;
mod percent;
pub mod reply;
pub mod request;
pub mod response;
pub mod route;
pub mod status;
pub mod workers;

#[cfg(feature = "network")]
pub mod network;

pub use crew::Crew;
pub use events::{Event, Events, Feed};
pub use fair_queue::Lane;
pub use headers::Headers;
pub use percent::encode as percent_encode;
pub use reply::{Completer, Pending, Rejection, Reply, Service};
pub use request::{BodyError, Language, Method, Request, RequestId};
pub use response::Response;
pub use route::{Access, Found, Params, Route, Router};
pub use workers::{Turn, Workers};
