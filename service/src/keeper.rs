//! The thread that notices what nobody asks about: changed files, keys that start or expire. It must never be needed for a
//! request to be answered.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use licence::error::{Code, Error, Result};
use parking_lot::{Condvar, Mutex};

use crate::{Core, activation};

/// How often it looks.
const ROUND: Duration = Duration::from_secs(2);

/// The thread.
pub struct Keeper {
    bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Bell {
    stopped: Mutex<bool>,
    rung: Condvar,
}

impl Keeper {
    /// Starts it. It holds the service only while it looks.
    pub fn start(core: &Arc<Core>) -> Result<Keeper> {
        let bell = Arc::new(Bell::default());
        let (heard, core) = (bell.clone(), Arc::downgrade(core));
        let thread = std::thread::Builder::new().name("keeper".into()).spawn(move || keep(&heard, &core));
        let thread = thread.map_err(|e| Error::new(Code::Internal).with(e))?;
        Ok(Keeper { bell, thread: Mutex::new(Some(thread)) })
    }

    /// Ends it and waits for its end.
    pub fn stop(&self) {
        *self.bell.stopped.lock() = true;
        self.bell.rung.notify_all();
        let thread = self.thread.lock().take();
        // The keeper itself may be the one that drops the service.
        let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) else { return };
        if thread.join().is_err() {
            log::error!("the keeper has panicked");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

fn keep(bell: &Bell, core: &Weak<Core>) {
    let mut stopped = bell.stopped.lock();
    while !*stopped {
        bell.rung.wait_for(&mut stopped, ROUND);
        if *stopped {
            return;
        }
        let Some(core) = core.upgrade() else { return };
        parking_lot::MutexGuard::unlocked(&mut stopped, || {
            core.look_around();
            core.guard.guesses(core.timekeeper.now()).into_iter().for_each(|entry| core.ledger.audit(entry));
            activation::update_daily(&core);
        });
    }
}
