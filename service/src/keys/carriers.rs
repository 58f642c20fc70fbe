//! USB carriers, as far as the service needs them.

use licence::KeyNo;

/// Tells which carriers are plugged in. Must not block: it may answer from what a watcher saw last.
pub trait Carriers: Send + Sync {
    /// Numbers of the carriers that are plugged in, ascending.
    fn present(&self) -> Vec<KeyNo>;

    /// Whether the carrier of this number is plugged in.
    fn is_present(&self, number: KeyNo) -> bool {
        self.present().contains(&number)
    }
}

/// A computer without carriers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCarriers;

impl Carriers for NoCarriers {
    fn present(&self) -> Vec<KeyNo> {
        Vec::new()
    }
}
