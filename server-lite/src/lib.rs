//! server-lite
