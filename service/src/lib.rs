//! service
pub mod ledger;
