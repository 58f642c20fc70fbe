//! The threads that hash passwords, and who may wait for them: each purpose has a queue of its own, in which addresses take turns, and
//! signing in has a thread that does nothing else. So nobody holds up an administrator by what a stranger may ask for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use licence::error::{Code, Error, Result};
use licence::time::Clock;
use web::{Lane, Workers};

use crate::queue::hand_over;

/// What a password is hashed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody signs in.
    SignIn,
    /// A component reads or writes the memory of a key: it is a stranger.
    KeyMemory,
    /// An administrator sets a password.
    NewPassword,
}

/// Who has waited for this long is told to come again: his turn would be of no use to a client that has given up.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// In the order of [`Purpose`]. After a restart a proxy's address brings all its users at once, and a 1C server all its
/// sessions, so many of one address may wait; a guesser fills no queue, for after a few failures what is left of it is refused
/// unhashed.
const LANES: [Lane; 3] = [
    Lane { waiting: 512, waiting_per_client: 128, patience: LONGEST_WAIT },
    Lane { waiting: 512, waiting_per_client: 128, patience: LONGEST_WAIT },
    Lane { waiting: 16, waiting_per_client: 8, patience: LONGEST_WAIT },
];
/// What each thread hashes for, in turns: two passwords at once, each with 19 MiB.
const THREADS: [&[usize]; 2] = [
    &[Purpose::SignIn as usize],
    &[Purpose::KeyMemory as usize, Purpose::NewPassword as usize, Purpose::SignIn as usize],
];

/// The threads.
pub struct Hashing(Workers);

impl Hashing {
    /// Starts them.
    pub fn start(clock: Arc<dyn Clock>) -> Result<Hashing> {
        let now = move || Duration::from_millis(clock.now().tick.0);
        let workers = Workers::start("passwords", &LANES, &THREADS, now);
        workers.map(Hashing).map_err(|e| Error::new(Code::Internal).with(e))
    }

    /// Queues a job of `address` that works on `load`; [`Code::Busy`] with the load when too many wait. The job gets
    /// [`Code::Busy`] in place of its turn when it has waited its longest.
    pub fn run<T: Send + 'static>(
        &self,
        purpose: Purpose,
        address: IpAddr,
        load: T,
        job: impl FnOnce(T, Result<()>) + Send + 'static,
    ) -> Result<(), (Error, T)> {
        hand_over(&self.0, (purpose as usize, address), load, job)
    }
}
