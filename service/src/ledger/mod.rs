//! The ledger: the book of sessions and seats, and the store that makes its grants durable before they are answered.
//!
//! Decisions are made in memory under one lock, in which their changes and completions are queued in the same order. One thread
//! commits all that is queued at once and then runs the completions. No input or output happens under the lock.
//!
//! It also keeps what people want to know later: refusals, usage over time, the audit trail. These never cost a grant a commit.

mod audit;
pub mod check;
mod marks;
mod notes;
mod origin;
mod parameters;
mod recovery;
mod schema;
mod store;
mod watch;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use licence::accounting::denial::Denial;
use licence::accounting::history::{self, History, Interval};
use licence::accounting::rollback::{self, Facts, Mark};
use licence::accounting::{Book, Change, Leases};
use licence::id::StoreId;
use licence::time::{Clock, Moment};
use licence::{Code, Error, SeriesId, Tick};
use parking_lot::{Condvar, Mutex};

use self::notes::Notes;
use self::origin::Rollback;
use self::parameters::Parameters;
use self::store::{CommitHook, Store};
use self::watch::Watch;
use crate::folder::DataFolder;

pub use self::audit::AuditEntry;
pub(crate) use self::marks::FILE as MARK;
pub use self::marks::Marks;
pub use self::notes::{AuditFilter, DenialFilter, HistoryFilter};
pub use self::parameters::Assignment;
pub(crate) use self::schema::remove_leftovers;
pub(crate) use self::store::{FILE, OWNER, own};

/// How often leases are looked at when none runs out earlier; well below [`Leases::gap`].
const ROUND: Duration = Duration::from_secs(1);
/// How many queries may wait at once.
const MAX_QUERIES: usize = 64;

/// What runs once a decision is durable, or known not to be.
type Completion = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// What runs in the writer's thread with the open store, or with the reason why there is none.
type Query = Box<dyn FnOnce(Result<&Store, &Error>) + Send>;

struct Entry {
    changes: Vec<Change>,
    assignment: Option<Assignment>,
    done: Completion,
}

struct State {
    book: Book,
    parameters: Parameters,
    /// Decisions that aren't being written yet.
    queue: Vec<Entry>,
    /// Whether the writer has decisions in hand.
    writing: bool,
    /// Operations without a commit since the writer took decisions last.
    touched: usize,
    /// Number of the last commit.
    sequence: u64,
    /// That the store went back before this start; matters as long as the book is in quarantine.
    rollback: Option<Rollback>,
    /// Why the store takes no writes now. Nothing is decided that would need one.
    failing: Option<Error>,
    /// The writer is to look at the store's files, and when the timer asked for that last.
    look_due: bool,
    looked: Tick,
    closing: bool,
    /// Questions about what was written down.
    queries: Vec<Query>,
    /// Samples that aren't written yet, and when the last one was taken.
    history: History,
    sampled: Tick,
    /// Acts that aren't written yet.
    acts: Vec<AuditEntry>,
    /// The writer is to take the notes with its next commit, and when it did so last.
    notes_due: bool,
    noted: Tick,
    /// After a commit with notes has failed they wait until then, so that grants don't fail with them again and again.
    notes_after: Tick,
}

impl State {
    fn has_work(&self) -> bool {
        !self.queue.is_empty() || !self.queries.is_empty() || self.notes_due || self.look_due
    }

    /// Takes a sample when it is time for one, and tells whether notes became due.
    fn keep_notes(&mut self, now: Moment) -> bool {
        if now.tick.since(self.sampled) >= history::SAMPLED_EVERY {
            self.sampled = now.tick;
            for (series, sample) in self.book.sample() {
                self.history.sample(series, sample, now.wall);
            }
        }
        if self.notes_due || self.failing.is_some() || now.tick < self.notes_after {
            return false;
        }
        let patient = now.tick.since(self.noted) < notes::PATIENCE;
        self.notes_due = !self.acts.is_empty() || self.history.is_due(now.wall) || !patient && self.book.has_denials();
        if self.notes_due {
            self.noted = now.tick;
        }
        self.notes_due
    }

    /// What is to be written with the next commit.
    fn take_notes(&mut self, now: Moment) -> Notes {
        let asked = std::mem::take(&mut self.notes_due) || !self.queries.is_empty();
        if !(self.closing || asked && now.tick >= self.notes_after) {
            return Notes::default();
        }
        Notes { denials: self.book.take_denials(), history: self.history.take(), acts: std::mem::take(&mut self.acts) }
    }

    /// Takes notes back that could not be written.
    fn put_back(&mut self, notes: Notes, now: Moment) {
        if notes.is_empty() {
            return;
        }
        self.notes_after = now.tick.plus(notes::PAUSE);
        notes.denials.into_iter().for_each(|denial| self.book.note_denial(denial));
        notes.history.into_iter().for_each(|part| self.history.add(part));
        self.acts.splice(0..0, notes.acts);
    }

    /// Queues what the book has decided on its own account. While the store fails the book keeps it: it will be reloaded.
    fn queue_changes(&mut self) -> bool {
        if self.failing.is_some() {
            return false;
        }
        let changes = self.book.take_changes();
        let any = !changes.is_empty();
        if any {
            self.queue.push(Entry { changes, assignment: None, done: Box::new(|_| {}) });
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
    folder: Arc<DataFolder>,
    /// Identifier of the store.
    store: StoreId,
    hook: Option<CommitHook>,
    /// Pause between attempts to open a store that failed.
    retry: Duration,
}

/// The one owner of a data folder's sessions. Dropping it commits what is queued and joins its threads.
pub struct Ledger {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Ledger {
    /// Opens the store in `folder` (made when there is none, with the identifier `id`), with all its sessions held and their leases
    /// armed in full. Nothing is granted until pools are set through [`Ledger::touch`], and nothing new for one lease when `marks`
    /// show that the store went back. The folder is owned until the last who holds it has ended; the threads hold it until the
    /// store is closed.
    ///
    /// Errors: [`Code::StoreDamaged`], [`Code::StoreVersion`], [`Code::StoreFailed`], [`Code::FileFailed`].
    pub fn open(
        folder: Arc<DataFolder>,
        clock: Arc<dyn Clock>,
        leases: Leases,
        (marks, id): (Marks, StoreId),
    ) -> Result<Ledger, Error> {
        Ledger::open_with(folder, clock, leases, (marks, id), Duration::from_secs(1), None)
    }

    fn open_with(
        folder: Arc<DataFolder>,
        clock: Arc<dyn Clock>,
        leases: Leases,
        (mut marks, id): (Marks, StoreId),
        retry: Duration,
        hook: Option<CommitHook>,
    ) -> Result<Ledger, Error> {
        let opened = Opened::store(folder.path(), &mut marks, hook.clone(), (id, &*clock))?;
        let Opened { mut store, store_id, rollback, is_new } = opened;
        let now = clock.now();
        let (records, parameters, noted) = (store.load()?, store.parameters()?, store.noted()?);
        store.watch = Some(Watch::begin(&folder)?);
        let mut book = Book::restore(leases, records, now);
        if let Some(rollback) = &rollback {
            book.quarantine(rollback.base, store.displaced()?, now);
        }
        let state = State {
            book,
            parameters,
            queue: Vec::new(),
            writing: false,
            touched: 0,
            sequence: store.sequence()?,
            rollback,
            failing: None,
            look_due: false,
            looked: now.tick,
            closing: false,
            queries: Vec::new(),
            history: History::default(),
            sampled: now.tick,
            acts: Vec::new(),
            notes_due: false,
            noted: now.tick,
            notes_after: now.tick,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            closing: Condvar::new(),
            clock,
            folder,
            store: store_id,
            hook,
            retry,
        });
        let mut ledger = Ledger { shared, threads: Vec::new() };
        if let Some(notice) = ledger.rolled_back() {
            log::error!("{notice}");
            if is_new {
                ledger.audit(audit::rollback(now.wall, notice));
            }
        }
        ledger.spawn("ledger-writer", move |shared| writer::write(shared, store, marks, noted))?;
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
        self.decide(|state, now| (decide(&mut state.book, now), None), done);
    }

    /// Sets or removes a value that a series keeps here, if `allow` lets it; `done` is called as by [`Ledger::submit`].
    ///
    /// Errors: those of `allow`, [`Code::ParameterRefused`], [`Code::StoreFailed`].
    pub fn set_parameter(
        &self,
        assignment: Assignment,
        allow: impl FnOnce(&mut Book, Moment) -> Result<(), Error>,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let decide = |state: &mut State, now| {
            let changed = allow(&mut state.book, now).and_then(|()| state.parameters.assign(&assignment));
            let assignment = (changed == Ok(true)).then_some(assignment);
            (changed.map(drop), assignment)
        };
        self.decide(decide, done);
    }

    /// A value that a series keeps here.
    pub fn parameter(&self, series: SeriesId, name: &str) -> Option<String> {
        self.shared.state.lock().parameters.get(series, name).map(str::to_owned)
    }

    fn decide<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut State, Moment) -> (Result<T, Error>, Option<Assignment>),
        done: impl FnOnce(Result<T, Error>) + Send + 'static,
    ) {
        let mut state = self.shared.state.lock();
        if let Some(error) = state.failing.as_ref().map(writer::refusal) {
            drop(state);
            return done(Err(error));
        }
        let (outcome, assignment) = decide(&mut state, self.shared.clock.now());
        let changes = state.book.take_changes();
        if changes.is_empty() && assignment.is_none() && state.queue.is_empty() && !state.writing {
            drop(state);
            return done(outcome);
        }
        let done: Completion = Box::new(move |durable| done(durable.and(outcome)));
        state.queue.push(Entry { changes, assignment, done });
        drop(state);
        self.shared.work.notify_one();
    }

    /// Runs an operation whose answer rests on nothing that must be durable: connect, heartbeat, detach, disconnect, use of a session,
    /// new pools. Works while the store fails.
    pub fn touch<T>(&self, operation: impl FnOnce(&mut Book, Moment) -> T) -> T {
        let mut state = self.shared.state.lock();
        state.touched = state.touched.saturating_add(1);
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

    /// Counts a refusal that was decided outside the book; those of the book are counted by themselves. Written down some
    /// seconds later.
    pub fn note_denial(&self, denial: Denial) {
        self.shared.state.lock().book.note_denial(denial);
    }

    /// Enters an administrative act into the audit trail: on disk with the next commit, which starts at once. While the
    /// store fails it is kept in memory until the store takes it.
    pub fn audit(&self, entry: AuditEntry) {
        let mut state = self.shared.state.lock();
        if state.acts.len() >= notes::MAX_ACTS {
            return log::error!("{} {} by {:?} is missing in the audit trail", entry.act, entry.object, entry.user);
        }
        state.acts.push(entry.cut());
        state.notes_due = state.failing.is_none();
        drop(state);
        self.shared.work.notify_one();
    }

    /// Refusals, the latest first; those that were just decided too.
    pub fn denials(&self, filter: DenialFilter, done: impl FnOnce(Result<Vec<Denial>, Error>) + Send + 'static) {
        self.ask(move |store| store.query(|connection| notes::denials(connection, &filter)), done);
    }

    /// Usage over time, the earliest interval first; the one that isn't over too.
    pub fn history(&self, filter: HistoryFilter, done: impl FnOnce(Result<Vec<Interval>, Error>) + Send + 'static) {
        self.ask(move |store| store.query(|connection| notes::history(connection, &filter)), done);
    }

    /// The audit trail, the latest act first.
    pub fn acts(&self, filter: AuditFilter, done: impl FnOnce(Result<Vec<AuditEntry>, Error>) + Send + 'static) {
        self.ask(move |store| store.query(|connection| notes::acts(connection, &filter)), done);
    }

    /// A copy of the store at one moment, as the bytes of a database. Writes wait meanwhile: half a second for 100 000 sessions.
    pub fn copy(&self, done: impl FnOnce(Result<Vec<u8>, Error>) + Send + 'static) {
        self.ask(Store::copy, done);
    }

    /// Asks the store in the writer's thread, after what waits for it was written down. `done` gets [`Code::StoreFailed`] while
    /// the store fails and [`Code::Busy`] when too many ask; it must be short and must not block.
    fn ask<T: 'static>(
        &self,
        query: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
        done: impl FnOnce(Result<T, Error>) + Send + 'static,
    ) {
        let mut state = self.shared.state.lock();
        let refused = match &state.failing {
            Some(error) => Some(writer::refusal(error)),
            None => (state.queries.len() >= MAX_QUERIES).then(|| Code::Busy.into()),
        };
        if let Some(error) = refused {
            drop(state);
            return done(Err(error));
        }
        state.queries.push(Box::new(move |store| done(store.map_err(Error::clone).and_then(query))));
        drop(state);
        self.shared.work.notify_one();
    }

    /// Number of the last commit; never goes back while the store is the same, so that a client can tell a restored copy.
    pub fn sequence(&self) -> u64 {
        self.shared.state.lock().sequence
    }

    /// That the store went back before this start and nothing new is granted for that: what was found, and until when.
    pub fn rolled_back(&self) -> Option<Error> {
        let state = self.shared.state.lock();
        let until = state.book.quarantined_until(self.shared.clock.now())?;
        let rollback = state.rollback.as_ref()?;
        let [russian, english] = rollback.finding.texts();
        Some(Error::new(Code::RollbackFound).with(rollback.found).with_text(russian, english).with(until))
    }

    /// The data folder that it owns.
    pub(crate) fn folder(&self) -> &Arc<DataFolder> {
        &self.shared.folder
    }

    /// Why the store takes no writes now, if it doesn't: [`Code::StoreFailed`], or how its files or the data folder were lost.
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

/// A store that was opened and compared with its marks.
struct Opened {
    store: Store,
    store_id: StoreId,
    /// That it went back, now or before the last start.
    rollback: Option<Rollback>,
    /// Whether that was found just now.
    is_new: bool,
}

impl Opened {
    fn store(
        folder: &Path,
        marks: &mut Marks,
        hook: Option<CommitHook>,
        (id, clock): (StoreId, &dyn Clock),
    ) -> Result<Opened, Error> {
        let (found, existed, journal) = (marks.find(), folder.join(FILE).exists(), store::has_journal(folder));
        let (now, boot) = (clock.now().wall, clock.uptime().map(|uptime| uptime.boot));
        let mut store = Store::open(folder, hook, id, now)?;
        let ((store_id, marked), sequence) = (store.origin()?, store.sequence()?);
        let facts = Facts { existed, id: store_id, sequence, marked, journal, boot };
        let (before, finding) = (store.rollback()?, rollback::judge(&facts, &found));
        let is_new = finding.is_some();
        let rollback = match finding {
            Some(finding) => {
                // What one that went back before had granted since is in doubt as well.
                let base = before.map_or(sequence, |before| before.base.min(sequence));
                let rollback = Rollback { base, found: now, finding };
                // No number comes twice.
                let reached = rollback::reached(&found).unwrap_or(0).max(sequence);
                store.note_rollback(&rollback, reached.saturating_add(1))?;
                Some(rollback)
            }
            None => before,
        };
        let mark = Mark { store: store_id, sequence: store.sequence()?, journal: journal || is_new, boot };
        if marks.begin(mark) && !marked {
            // What fails here fails with the first grant as well, and is told then.
            store.set_marked().unwrap_or_else(|error| log::warn!("{error}"));
        }
        Ok(Opened { store, store_id, rollback, is_new })
    }
}

/// The timer's thread: lets leases run out, takes samples, sees to it that notes are written and that the store's files are looked at.
fn keep_time(shared: &Shared) {
    let mut state = shared.state.lock();
    while !state.closing {
        let now = shared.clock.now();
        if state.failing.is_none() {
            state.book.expire(now);
            if state.queue_changes() {
                shared.work.notify_one();
            }
            if now.tick.since(state.looked) >= ROUND {
                (state.look_due, state.looked) = (true, now.tick);
                shared.work.notify_one();
            }
        }
        if state.keep_notes(now) {
            shared.work.notify_one();
        }
        let due = state.book.next_deadline().map(|due| due.since(now.tick));
        // While the store fails nothing runs out, so what is due stays due.
        let pause = due.filter(|due| !due.is_zero()).map_or(ROUND, |due| due.min(ROUND));
        shared.closing.wait_for(&mut state, pause);
    }
}

#[cfg(test)]
mod tests;
