//! The machine's clocks. Leases on a server run on time awake, so that sleep burns none of them; the client's fence counts
//! time asleep too. Rust's `Instant` differs by platform in this, so each clock says which it is.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::{Clock, Moment, Tick, Time, Uptime};

/// The clock of a server: wall time, and ticks of `Instant` (on Linux it stands still while the machine sleeps).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        static START: OnceLock<Instant> = OnceLock::new();
        let awake = START.get_or_init(Instant::now).elapsed();
        Moment { wall: wall(), tick: Tick(0).plus(awake) }
    }

    fn uptime(&self) -> Option<Uptime> {
        let passed_ms = u64::try_from(since_boot().as_millis()).ok()?;
        Some(Uptime { boot: boot()?, passed_ms })
    }
}

/// Tells this start of the system from others.
fn boot() -> Option<u64> {
    // On Linux only; elsewhere the file is not there.
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).ok()
}

/// The clock of a client: its ticks count time asleep, so that a laptop that wakes up knows its lease is over.
#[derive(Debug, Clone, Copy, Default)]
pub struct SleepCountingClock;

impl Clock for SleepCountingClock {
    fn now(&self) -> Moment {
        Moment { wall: wall(), tick: Tick(0).plus(since_boot()) }
    }
}

fn wall() -> Time {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Time(0).plus(since),
        Err(before) => Time(-i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX)),
    }
}

#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spec` is a valid, writable timespec for the duration of the call, as clock_gettime(2) asks.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut spec) };
    if outcome != 0 {
        return SystemClock.now().tick.since(Tick(0));
    }
    Duration::new(u64::try_from(spec.tv_sec).unwrap_or(0), u32::try_from(spec.tv_nsec).unwrap_or(0))
}

/// On Windows `Instant` runs during sleep.
#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    SystemClock.now().tick.since(Tick(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_never_go_back() {
        for clock in [&SystemClock as &dyn Clock, &SleepCountingClock] {
            let (first, second) = (clock.now(), clock.now());
            assert!(second.tick >= first.tick);
            assert!(first.wall > "2024-01-01".parse().unwrap());
        }
    }
}
