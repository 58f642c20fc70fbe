//! Threads for work of several purposes that share a [`FairQueue`]: a thread may belong to some lanes only, so that a purpose which
//! must not wait for others has a thread of its own. A full queue refuses at once; it must never make a front wait.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::fair_queue::{FairQueue, Lane};

/// How often an idle thread looks whether work of other threads' lanes has waited its longest.
const LOOK: Duration = Duration::from_millis(250);

/// Why a job is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its turn has come.
    Come,
    /// It has waited its longest: it answers that, and does nothing else.
    TooLate,
}

type Job = Box<dyn FnOnce(Turn) + Send>;
type Now = Box<dyn Fn() -> Duration + Send + Sync>;

/// The threads. Dropping them runs what is queued and joins them.
pub struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// A time that never goes back.
    now: Now,
}

struct State {
    queue: FairQueue<Job>,
    closed: bool,
}

impl Workers {
    /// Starts one thread for each of `threads`, the lanes that it serves, in turns. `now` is a time that never goes back.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        name: &str,
        lanes: &[Lane],
        threads: &[&'static [usize]],
        now: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let state = Mutex::new(State { queue: FairQueue::new(lanes), closed: false });
        let shared = Arc::new(Shared { state, changed: Condvar::new(), now: Box::new(now) });
        let mut workers = Self { shared, threads: Vec::new() };
        for (number, lanes) in threads.iter().enumerate() {
            let (shared, lanes) = (workers.shared.clone(), *lanes);
            let thread = thread::Builder::new().name(format!("{name}-{number}")).spawn(move || work(&shared, lanes))?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Queues a job of `client` that works on `load`.
    ///
    /// # Errors
    /// The load, when the lane has no room for it: answer 503.
    pub fn try_run<T: Send + 'static>(
        &self,
        lane: usize,
        client: IpAddr,
        load: T,
        job: impl FnOnce(T, Turn) + Send + 'static,
    ) -> Result<(), T> {
        let mut state = self.shared.state.lock();
        if !state.queue.has_room(lane, client) {
            return Err(load);
        }
        let now = (self.shared.now)();
        state.queue.push(lane, client, now, Box::new(move |turn| job(load, turn)));
        drop(state);
        // All of them, for only some serve this lane.
        self.shared.changed.notify_all();
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.changed.notify_all();
        for handle in self.threads.drain(..) {
            // The last owner may be one of their own jobs; a thread can't join itself.
            if handle.thread().id() != thread::current().id() {
                let _ = handle.join();
            }
        }
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Workers, {} threads", self.threads.len())
    }
}

fn work(shared: &Shared, lanes: &[usize]) {
    let mut next = 0;
    let mut state = shared.state.lock();
    loop {
        let late = state.queue.expired((shared.now)());
        if !late.is_empty() {
            drop(state);
            late.into_iter().for_each(|job| run(job, Turn::TooLate));
            state = shared.state.lock();
            continue;
        }
        let in_turn = (next..lanes.len()).chain(0..next);
        let found = in_turn.into_iter().find_map(|at| Some((at, state.queue.pop(*lanes.get(at)?)?)));
        if let Some((at, job)) = found {
            next = (at + 1) % lanes.len();
            drop(state);
            run(job, Turn::Come);
            state = shared.state.lock();
        } else if state.closed {
            return;
        } else if state.queue.is_empty() {
            shared.changed.wait(&mut state);
        } else {
            shared.changed.wait_for(&mut state, LOOK);
        }
    }
}

/// Runs it. When it panics, what it held is dropped with it, so a completer inside answers 503.
fn run(job: Job, turn: Turn) {
    if catch_unwind(AssertUnwindSafe(|| job(turn))).is_err() {
        log::error!("a job panicked in {}", thread::current().name().unwrap_or("a worker"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    const LANE: Lane = Lane { waiting: 8, waiting_per_client: 4, patience: Duration::from_secs(20) };
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Holds one thread until the sender that it gives is dropped.
    fn hold(workers: &Workers, lane: usize) -> Sender<()> {
        let (release, released) = mpsc::channel::<()>();
        let (started, has_started) = mpsc::channel();
        let job = move |(), _| {
            started.send(()).unwrap();
            let _ = released.recv();
        };
        workers.try_run(lane, HERE, (), job).unwrap();
        has_started.recv().unwrap();
        release
    }

    fn send(workers: &Workers, lane: usize, number: u32) -> Receiver<(u32, Turn)> {
        let (sender, receiver) = mpsc::channel();
        let job = move |number, turn| sender.send((number, turn)).unwrap();
        workers.try_run(lane, HERE, number, job).unwrap();
        receiver
    }

    #[test]
    fn a_lane_with_a_thread_of_its_own_waits_for_no_other() {
        let workers = Workers::start("test", &[LANE; 2], &[&[0], &[1, 0]], || Duration::ZERO).unwrap();
        let held = hold(&workers, 1);
        let stuck = send(&workers, 1, 1);
        assert_eq!(send(&workers, 0, 2).recv(), Ok((2, Turn::Come)));
        assert!(stuck.try_recv().is_err(), "the other lane still waits");
        drop(held);
        assert_eq!(stuck.recv(), Ok((1, Turn::Come)));
    }

    #[test]
    fn a_full_lane_gives_the_load_back_and_a_panic_costs_no_thread() {
        let workers = Workers::start("test", &[LANE], &[&[0]], || Duration::ZERO).unwrap();
        workers.try_run(0, HERE, (), |(), _| panic!("on purpose")).unwrap();
        let held = hold(&workers, 0);
        let waiting: Vec<_> = (0..4).map(|number| send(&workers, 0, number)).collect();
        assert_eq!(workers.try_run(0, HERE, 77, |_, _| ()), Err(77));
        drop(held);
        assert!(waiting.iter().all(|one| one.recv().is_ok()));
    }

    #[test]
    fn who_has_waited_longest_is_answered_while_the_thread_of_his_lane_is_held() {
        let clock = Arc::new(AtomicU64::new(0));
        let now = clock.clone();
        let now = move || Duration::from_secs(now.load(Ordering::SeqCst));
        let workers = Workers::start("test", &[LANE; 2], &[&[0], &[1]], now).unwrap();
        let held = hold(&workers, 1);
        let waits = send(&workers, 1, 5);
        clock.store(20, Ordering::SeqCst);
        assert_eq!(waits.recv(), Ok((5, Turn::TooLate)));
        drop(held);
    }

    #[test]
    fn dropped_threads_have_done_what_was_queued() {
        let workers = Workers::start("test", &[LANE; 2], &[&[0], &[1]], || Duration::ZERO).unwrap();
        let held = hold(&workers, 1);
        let queued = send(&workers, 1, 3);
        drop(held);
        drop(workers);
        assert_eq!(queued.try_recv(), Ok((3, Turn::Come)));
    }
}
