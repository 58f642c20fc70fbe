//! What a server and the vendor's centre say to each other, over the network or as files: a request that the server signs
//! with its identity, an answer that the centre signs with its issuing key, and the statements that answers bring.
//!
//! Both are signed documents whose JSON can be read. A request may be sent as often as one likes: the same one gives the same
//! licence or code again, so nothing is lost when a message is. Nothing here decides; rules are the centre's and the server's.

mod answer;
mod certificate;
mod memory;
mod offer;
mod request;
mod statement;
#[cfg(test)]
pub(crate) mod tests;

pub use answer::{
    ANSWER, Activated, Answer, CodeParameters, CodeState, FIRST_ANSWER, Granted, Outcome, Received, Reserved, Updated,
};
pub use certificate::{API_CERTIFICATE, ApiCertificate};
pub use memory::Memory;
pub use offer::Offer;
pub use request::{Activate, Installed, Purpose, REQUEST, Request, Reserve, Update, Want};
pub use statement::{RETIREMENT, REVOCATIONS, Retired, Retirement, Revocations, Revoked};
