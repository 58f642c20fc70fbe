//! USB carriers, as far as the key store needs them.

use licence::KeyNo;

/// Tells which carriers are plugged in. Must not block: it may answer from what a watcher saw last.
pub trait Carriers: Send + Sync {
    /// Whether the carrier of this number is plugged in.
    fn is_present(&self, number: KeyNo) -> bool;
}

/// A computer without carriers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCarriers;

impl Carriers for NoCarriers {
    fn is_present(&self, _number: KeyNo) -> bool {
        false
    }
}
