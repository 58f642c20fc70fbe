//! What the service manager is told (systemd, `sd_notify`): ready, reloading, stopping, and signs of life. Without one
//! nothing happens.

use std::time::Duration;

/// A word for the service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The server listens.
    Ready,
    /// Settings are being read again; [`Word::Ready`] follows.
    Reloading,
    /// The server ends.
    Stopping,
    /// A sign of life.
    Alive,
}

/// Says it.
#[cfg(unix)]
pub fn tell(word: Word) {
    use sd_notify::NotifyState;
    let told = match word {
        Word::Ready => sd_notify::notify(&[NotifyState::Ready]),
        Word::Reloading => {
            NotifyState::monotonic_usec_now().and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now]))
        }
        Word::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        Word::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
    };
    if let Err(cause) = told {
        log::warn!("the service manager could not be told {word:?}: {cause}");
    }
}

/// Says it.
#[cfg(not(unix))]
pub fn tell(_word: Word) {}

/// How often it wants a sign of life: twice as often as it would wait for one.
pub fn sign_of_life() -> Option<Duration> {
    #[cfg(unix)]
    {
        sd_notify::watchdog_enabled().map(|patience| patience / 2)
    }
    #[cfg(not(unix))]
    None
}
