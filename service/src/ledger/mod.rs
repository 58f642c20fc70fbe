//! The ledger: the book of sessions and seats, and the store that makes its grants durable before they are answered.
//!
//! Decisions are made in memory under one lock, in which their changes and completions are queued in the same order. One thread
//! commits all that is queued at once and then runs the completions. No input or output happens under the lock.

mod store;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use licence::accounting::{Book, Change, Leases};
use licence::time::{Clock, Moment};
use licence::{Code, Error};
use parking_lot::{Condvar, Mutex, MutexGuard};

use self::store::{CommitHook, Store};

/// How often leases are looked at when none runs out earlier; well below [`Leases::gap`].
const ROUND: Duration = Duration::from_secs(1);

/// What runs once a decision is durable, or known not to be.
type Completion = Box<dyn FnOnce(Result<(), Error>) + Send>;

struct Entry {
    changes: Vec<Change>,
    done: Completion,
}

struct State {
    book: Book,
    /// Decisions that aren't being written yet.
    queue: Vec<Entry>,
    /// Whether the writer has decisions in hand.
    writing: bool,
    /// Number of the last commit.
    sequence: u64,
    /// Why the store takes no writes now. Nothing is decided that would need one.
    failing: Option<Error>,
    closing: bool,
}

impl State {
    /// Queues what the book has decided on its own account. While the store fails the book keeps it: it will be reloaded.
    fn queue_changes(&mut self) -> bool {
        if self.failing.is_some() {
            return false;
        }
        let changes = self.book.take_changes();
        let any = !changes.is_empty();
        if any {
            self.queue.push(Entry { changes, done: Box::new(|_| {}) });
        }
        any
    }
}

struct Shared {
    state: Mutex<State>,
    /// Wakes the writer: something is queued, or the ledger closes.
    work: Condvar,
    /// Wakes the timer: the ledger closes.
    closing: Condvar,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    hook: Option<CommitHook>,
    /// Pause between attempts to open a store that failed.
    retry: Duration,
}

/// The one owner of a data folder's sessions. Dropping it commits what is queued and joins its threads.
pub struct Ledger {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Locked until the threads are joined and the store is closed.
    _owner: File,
}

impl Ledger {
    /// Opens the store in `folder` (made when there is none), with all its sessions held and their leases armed in full.
    /// Nothing is granted until pools are set through [`Ledger::touch`].
    ///
    /// Errors: [`Code::StoreOwned`], [`Code::NetworkStore`], [`Code::StoreDamaged`], [`Code::StoreVersion`],
    /// [`Code::StoreFailed`], [`Code::FileFailed`].
    pub fn open(folder: &Path, clock: Arc<dyn Clock>, leases: Leases) -> Result<Ledger, Error> {
        Ledger::open_with(folder, clock, leases, Duration::from_secs(1), None)
    }

    fn open_with(
        folder: &Path,
        clock: Arc<dyn Clock>,
        leases: Leases,
        retry: Duration,
        hook: Option<CommitHook>,
    ) -> Result<Ledger, Error> {
        let owner = store::own(folder)?;
        let store = Store::open(folder, hook.clone())?;
        let state = State {
            book: Book::restore(leases, store.load()?, clock.now()),
            queue: Vec::new(),
            writing: false,
            sequence: store.sequence()?,
            failing: None,
            closing: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            closing: Condvar::new(),
            clock,
            folder: folder.to_owned(),
            hook,
            retry,
        });
        let mut ledger = Ledger { shared, threads: Vec::new(), _owner: owner };
        ledger.spawn("ledger-writer", |shared| write(shared, store))?;
        ledger.spawn("ledger-timer", keep_time)?;
        Ok(ledger)
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce(&Shared) + Send + 'static) -> Result<(), Error> {
        let shared = self.shared.clone();
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || body(&shared));
        self.threads.push(spawned.map_err(|e| Error::new(Code::Internal).with(e))?);
        Ok(())
    }

    /// Decides with `decide`, which may use any operation of the book, and calls `done` with the outcome when all that it rests on
    /// is durable: at once in this thread when there is nothing to wait for, else in the writer's thread. Refusals go the
    /// same way as grants, for what they rest on may be undone too.
    ///
    /// `done` gets [`Code::StoreFailed`] and the decision is void when the store doesn't take it. `decide` runs under the
    /// ledger's lock, and `done` holds up the answers after it: both must be short and must not block.
    pub fn submit<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Book, Moment) -> Result<T, Error>,
        done: impl FnOnce(Result<T, Error>) + Send + 'static,
    ) {
        let mut state = self.shared.state.lock();
        if let Some(error) = state.failing.clone() {
            drop(state);
            return done(Err(error));
        }
        let outcome = decide(&mut state.book, self.shared.clock.now());
        let changes = state.book.take_changes();
        if changes.is_empty() && state.queue.is_empty() && !state.writing {
            drop(state);
            return done(outcome);
        }
        let done: Completion = Box::new(move |durable| done(durable.and(outcome)));
        state.queue.push(Entry { changes, done });
        drop(state);
        self.shared.work.notify_one();
    }

    /// Runs an operation whose answer rests on nothing that must be durable: connect, heartbeat, detach, disconnect, use of a session,
    /// new pools. Works while the store fails.
    pub fn touch<T>(&self, operation: impl FnOnce(&mut Book, Moment) -> T) -> T {
        let mut state = self.shared.state.lock();
        let outcome = operation(&mut state.book, self.shared.clock.now());
        let queued = state.queue_changes();
        drop(state);
        if queued {
            self.shared.work.notify_one();
        }
        outcome
    }

    /// Looks into the book.
    pub fn read<T>(&self, query: impl FnOnce(&Book, Moment) -> T) -> T {
        let state = self.shared.state.lock();
        query(&state.book, self.shared.clock.now())
    }

    /// Number of the last commit; never goes back while the store is the same, so that a client can tell a restored copy.
    pub fn sequence(&self) -> u64 {
        self.shared.state.lock().sequence
    }

    /// Why the store takes no writes now, if it doesn't.
    pub fn failing(&self) -> Option<Error> {
        self.shared.state.lock().failing.clone()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.work.notify_all();
        self.shared.closing.notify_all();
        for thread in self.threads.drain(..) {
            // A completion may hold the last reference to the ledger, and so drop it in the writer's own thread.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                log::error!("a thread of the ledger has panicked");
            }
        }
    }
}

/// The writer's thread: commits what is queued, as long as the ledger is open or anything is left.
fn write(shared: &Shared, mut store: Store) {
    loop {
        let mut state = shared.state.lock();
        while state.queue.is_empty() && !state.closing {
            shared.work.wait(&mut state);
        }
        if state.queue.is_empty() {
            return;
        }
        state.writing = true;
        let batch = std::mem::take(&mut state.queue);
        drop(state);

        let changes = || batch.iter().flat_map(|entry| &entry.changes);
        let committed = match changes().next() {
            None => Ok(None),
            Some(_) => store.commit(changes()).map(Some),
        };

        let mut state = shared.state.lock();
        state.writing = false;
        match committed {
            Ok(sequence) => {
                state.sequence = sequence.unwrap_or(state.sequence);
                drop(state);
                complete(batch, &Ok(()));
            }
            Err(error) => {
                drop(store);
                let Some(reopened) = recover(shared, state, batch, error) else { return };
                store = reopened;
            }
        }
    }
}

fn complete(batch: Vec<Entry>, durable: &Result<(), Error>) {
    for entry in batch {
        if catch_unwind(AssertUnwindSafe(|| (entry.done)(durable.clone()))).is_err() {
            log::error!("an answer of the ledger was lost: its completion panicked");
        }
    }
}

/// After a failed commit: fails it and all that was decided upon it, opens the store anew and takes the book from it. `None` when
/// the ledger was closed meanwhile.
fn recover(shared: &Shared, mut state: MutexGuard<'_, State>, mut batch: Vec<Entry>, error: Error) -> Option<Store> {
    log::error!("the ledger's store failed: {error}");
    let error = match error.code {
        Code::StoreFailed => error,
        _ => Error::new(Code::StoreFailed).with(error.cause(licence::Lang::English)),
    };
    state.failing = Some(error.clone());
    batch.append(&mut state.queue);
    drop(state);
    complete(batch, &Err(error));

    let mut told = None;
    loop {
        // A commit of nothing shows whether the store takes writes again.
        let opened = Store::open(&shared.folder, shared.hook.clone()).and_then(|mut store| {
            let sequence = store.commit([])?;
            Ok((store.load()?, sequence, store))
        });
        let mut state = shared.state.lock();
        match opened {
            Ok((records, sequence, store)) => {
                state.book.reload(records, shared.clock.now());
                state.sequence = sequence;
                state.failing = None;
                state.queue_changes();
                log::info!("the ledger's store is open again, commit {sequence}");
                return Some(store);
            }
            Err(error) if told.as_ref() != Some(&error) => {
                log::error!("the ledger's store can't be opened: {error}");
                told = Some(error);
            }
            Err(_) => {}
        }
        if !state.closing {
            shared.closing.wait_for(&mut state, shared.retry);
        }
        if state.closing {
            return None;
        }
    }
}

/// The timer's thread: lets leases run out.
fn keep_time(shared: &Shared) {
    let mut state = shared.state.lock();
    while !state.closing {
        let now = shared.clock.now();
        if state.failing.is_none() {
            state.book.expire(now);
            if state.queue_changes() {
                shared.work.notify_one();
            }
        }
        let due = state.book.next_deadline().map(|due| due.since(now.tick));
        // While the store fails nothing runs out, so what is due stays due.
        let pause = due.filter(|due| !due.is_zero()).map_or(ROUND, |due| due.min(ROUND));
        shared.closing.wait_for(&mut state, pause);
    }
}

#[cfg(test)]
mod tests;
