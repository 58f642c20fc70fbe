//! A bounded crew of worker threads for what takes long: RSA, argon2, calls to the centre, reading logs.
//! A full queue refuses at once: it must never make a front wait, and a panicking job must never cost a thread.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// What a job leaves to be done with its result.
type Ending = Box<dyn FnOnce() + Send>;
type Job = Box<dyn FnOnce() -> Ending + Send>;

/// Endings that one thread does together while more jobs wait: each wakes whoever waits for it, and many at once cost little more
/// than one. Under load an answer comes later by this many jobs at most.
const TOGETHER: usize = 8;

/// Threads that run jobs in the order given. Dropping the crew runs what is queued and joins the threads.
pub struct Crew {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// The queue is full: answer 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("too many requests of this kind are waiting")
    }
}

impl std::error::Error for Full {}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    capacity: usize,
    together: usize,
}

struct Queue {
    jobs: VecDeque<Job>,
    /// What jobs have left to be done, until one of the threads does all of it.
    endings: Vec<Ending>,
    closed: bool,
}

impl Crew {
    /// Starts `threads` threads (at least one) called `name`, with room for `queue` jobs that wait.
    ///
    /// # Errors
    /// When the operating system gives no thread at all; fewer than asked for is only logged.
    pub fn new(name: &str, threads: usize, queue: usize) -> std::io::Result<Self> {
        Self::gathering(name, threads, queue, TOGETHER)
    }

    /// The same, with so many endings done together while more jobs wait.
    ///
    /// # Errors
    /// As [`Crew::new`].
    pub fn gathering(name: &str, threads: usize, queue: usize, together: usize) -> std::io::Result<Self> {
        let queue_state = Queue { jobs: VecDeque::new(), endings: Vec::new(), closed: false };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue_state),
            changed: Condvar::new(),
            capacity: queue.max(1),
            together,
        });
        let mut crew = Self { shared, threads: Vec::new() };
        for number in 0..threads.max(1) {
            let shared = crew.shared.clone();
            match thread::Builder::new().name(format!("{name}-{number}")).spawn(move || work(&shared)) {
                Ok(handle) => crew.threads.push(handle),
                Err(error) if crew.threads.is_empty() => return Err(error),
                Err(error) => log::warn!("crew {name} works with {number} threads: {error}"),
            }
        }
        Ok(crew)
    }

    /// Queues a job.
    ///
    /// # Errors
    /// [`Full`] when the queue has no room; the job is dropped unrun.
    pub fn try_run(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Full> {
        self.try_run_then(move || {
            job();
            || ()
        })
    }

    /// Queues a job whose result is handed over by what it returns, together with the results of a few others while more wait.
    ///
    /// # Errors
    /// As [`Crew::try_run`].
    pub fn try_run_then<E>(&self, job: impl FnOnce() -> E + Send + 'static) -> Result<(), Full>
    where
        E: FnOnce() + Send + 'static,
    {
        let mut queue = self.shared.queue.lock();
        if queue.jobs.len() >= self.shared.capacity {
            return Err(Full);
        }
        queue.jobs.push_back(Box::new(move || Box::new(job())));
        drop(queue);
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.changed.notify_all();
        for handle in self.threads.drain(..) {
            // The last owner of a crew may be one of its own jobs; a thread can't join itself.
            if handle.thread().id() != thread::current().id() {
                let _ = handle.join();
            }
        }
    }
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Crew of {}", self.threads.len())
    }
}

fn work(shared: &Shared) {
    let mut queue = shared.queue.lock();
    loop {
        if queue.endings.len() < shared.together
            && let Some(job) = queue.jobs.pop_front()
        {
            drop(queue);
            let ending = guarded(job);
            queue = shared.queue.lock();
            queue.endings.extend(ending);
        } else if !queue.endings.is_empty() {
            let endings = std::mem::take(&mut queue.endings);
            drop(queue);
            endings.into_iter().for_each(|ending| _ = guarded(ending));
            queue = shared.queue.lock();
        } else if queue.closed {
            return;
        } else {
            shared.changed.wait(&mut queue);
        }
    }
}

/// Runs it. When it panics, what it held is dropped with it, so a completer inside answers 503.
fn guarded<T>(job: impl FnOnce() -> T) -> Option<T> {
    let outcome = catch_unwind(AssertUnwindSafe(job));
    if outcome.is_err() {
        log::error!("a job panicked in {}", thread::current().name().unwrap_or("a crew"));
    }
    outcome.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[test]
    fn a_full_queue_refuses_at_once() {
        let crew = Crew::new("test", 1, 2).unwrap();
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        crew.try_run(move || {
            started.send(()).unwrap();
            let _ = released.recv();
        })
        .unwrap();
        has_started.recv().unwrap();
        assert_eq!(crew.try_run(|| ()), Ok(()));
        assert_eq!(crew.try_run(|| ()), Ok(()));
        assert_eq!(crew.try_run(|| ()), Err(Full));
        drop(release);
    }

    #[test]
    fn a_panicking_job_does_not_kill_its_thread() {
        let crew = Crew::new("test", 1, 4).unwrap();
        let (sender, receiver) = mpsc::channel();
        crew.try_run(|| panic!("on purpose")).unwrap();
        crew.try_run(move || sender.send(1).unwrap()).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
    }

    #[test]
    fn endings_are_done_together_while_more_waits_and_at_once_when_nothing_does() {
        let crew = Crew::new("test", 1, 100).unwrap();
        let (sender, receiver) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        crew.try_run(move || _ = released.recv()).unwrap();
        for number in 0..TOGETHER + 1 {
            let (job, ending) = (sender.clone(), sender.clone());
            crew.try_run_then(move || {
                job.send(("job", number)).unwrap();
                move || ending.send(("ending", number)).unwrap()
            })
            .unwrap();
        }
        drop((sender, release));
        let order: Vec<(&str, usize)> = receiver.iter().collect();
        let all = |what, numbers: std::ops::Range<usize>| numbers.map(move |number| (what, number));
        // The ending of the job that held them up is the first of those done together.
        let first = TOGETHER - 1;
        let expected = all("job", 0..first).chain(all("ending", 0..first));
        let expected = expected.chain(all("job", first..first + 2)).chain(all("ending", first..first + 2));
        assert_eq!(order, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_dropped_crew_has_done_what_was_queued() {
        let done = Arc::new(AtomicUsize::new(0));
        let crew = Crew::new("test", 2, 100).unwrap();
        for _ in 0..100 {
            let done = done.clone();
            crew.try_run(move || {
                done.fetch_add(1, Ordering::SeqCst);
            })
            .unwrap();
        }
        drop(crew);
        assert_eq!(done.load(Ordering::SeqCst), 100);
    }
}
