//! The writer's thread: commits what is queued as one batch, then answers. After a commit that failed it opens the store anew
//! and takes the book from it; it never tries the same commit again.
//!
//! Claims must not starve heartbeats: clients that hear nothing lose what they have, those that wait for a claim only wait. So
//! while heartbeats come nearly as often as claims, the writer rests after a commit, and claims gather for the next one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use licence::accounting::Change;
use licence::error::Lang;
use licence::{Code, Error};
use parking_lot::MutexGuard;

use super::marks::Marks;
use super::notes::Notes;
use super::recovery::{Failed, Healed};
use super::store::Store;
use super::{Entry, Query, Shared, State};
use crate::folder::is_loss;

/// Rest for each decision: several times the processor time of a claim and its client, so that heartbeats get most of it.
const REST_EACH: Duration = Duration::from_micros(250);
/// The longest rest; far below what a client waits for an answer.
const MAX_REST: Duration = Duration::from_millis(64);
/// Heartbeats that come less often than one for so many decisions don't compete with them.
const SELDOM: usize = 8;

/// How long the writer rests after a batch of so many decisions, if so many operations without a commit came meanwhile.
fn rest(decided: usize, touched: usize) -> Duration {
    if touched.saturating_mul(SELDOM) < decided {
        return Duration::ZERO;
    }
    REST_EACH.saturating_mul(u32::try_from(decided).unwrap_or(u32::MAX)).min(MAX_REST)
}

/// Commits what is queued, as long as the ledger is open or anything is left.
pub fn write(shared: &Shared, mut store: Store, mut marks: Marks, mut noted: u64) {
    loop {
        let mut state = shared.state.lock();
        while !state.has_work() && !state.closing {
            shared.work.wait(&mut state);
        }
        let notes = state.take_notes(shared.clock.now());
        let mut batch = std::mem::take(&mut state.queue);
        let rest = rest(batch.len(), std::mem::take(&mut state.touched));
        let queries = std::mem::take(&mut state.queries);
        let look = std::mem::take(&mut state.look_due);
        if batch.is_empty() && queries.is_empty() && notes.is_empty() && (!look || state.closing) {
            if state.closing {
                drop(state);
                return marks.end();
            }
            continue;
        }
        // A decision without changes waits for the changes that it may rest on; it rests on no notes.
        state.writing = !batch.is_empty();
        drop(state);

        let changes = || batch.iter().flat_map(|entry| &entry.changes);
        let assignments = || batch.iter().filter_map(|entry| entry.assignment.as_ref());
        let committed = if changes().next().is_none() && assignments().next().is_none() && notes.is_empty() {
            if look { store.look().map(|()| None) } else { Ok(None) }
        } else {
            store.commit(changes(), assignments(), &notes, shared.clock.now()).map(Some)
        };

        let mut state = shared.state.lock();
        state.writing = false;
        match committed {
            Ok(sequence) => {
                state.sequence = sequence.unwrap_or(state.sequence);
                drop(state);
                if let Some(sequence) = sequence {
                    marks.advance(sequence);
                }
                if changes().any(|change| *change == Change::QuarantineEnded) {
                    log::info!("a lease has passed since the store went back: new licences are given again");
                }
                noted += u64::from(!notes.is_empty());
                complete(batch, &Ok(()));
                answer(queries, Ok(&store));
                pause(shared, rest);
            }
            Err(error) => {
                batch.append(&mut state.queue);
                let granted = batch.iter().flat_map(|entry| &entry.changes).filter_map(Change::put);
                let lost: Vec<_> = granted.filter(|id| !store.has(*id)).collect();
                state.book.forget(lost, shared.clock.now());
                let unfinished = Unfinished { batch, queries, notes, noted };
                let Some(reopened) = recover(shared, state, store, unfinished, error) else { return };
                (store, noted) = reopened;
            }
        }
    }
}

fn pause(shared: &Shared, rest: Duration) {
    if rest.is_zero() {
        return;
    }
    let mut state = shared.state.lock();
    if !state.closing {
        shared.closing.wait_for(&mut state, rest);
    }
}

fn complete(batch: Vec<Entry>, durable: &Result<(), Error>) {
    for entry in batch {
        if catch_unwind(AssertUnwindSafe(|| (entry.done)(durable.clone()))).is_err() {
            log::error!("an answer of the ledger was lost: its completion panicked");
        }
    }
}

fn answer(queries: Vec<Query>, store: Result<&Store, &Error>) {
    for query in queries {
        if catch_unwind(AssertUnwindSafe(|| query(store))).is_err() {
            log::error!("a query of the ledger panicked");
        }
    }
}

/// What somebody is told who asks for something that can't be written down now. Components of all versions know this code.
pub fn refusal(error: &Error) -> Error {
    match error.code {
        Code::StoreFailed => error.clone(),
        _ => Error::new(Code::StoreFailed).with_text(
            error.cause(Lang::Russian).trim_end_matches('.'),
            error.cause(Lang::English).trim_end_matches('.'),
        ),
    }
}

/// What a failed commit has left.
struct Unfinished {
    /// The commit, and all that was decided upon it.
    batch: Vec<Entry>,
    queries: Vec<Query>,
    notes: Notes,
    /// Number of the last commit of notes before it.
    noted: u64,
}

/// After a failed commit: fails it and all that was decided upon it waits until the store can be used again and takes
/// the book from it. Notes are kept for later, unless the store has them after all. `None` when the ledger was closed meanwhile.
fn recover(
    shared: &Shared,
    mut state: MutexGuard<'_, State>,
    store: Store,
    unfinished: Unfinished,
    error: Error,
) -> Option<(Store, u64)> {
    let Unfinished { batch, mut queries, notes, noted } = unfinished;
    log::error!("the ledger's store failed: {error}");
    let (refusal, least) = (refusal(&error), state.sequence);
    state.failing = Some(if is_loss(&error) { error.clone() } else { refusal.clone() });
    queries.append(&mut state.queries);
    drop(state);
    let mut failed = Failed::of(Box::new(store), &error);
    complete(batch, &Err(refusal.clone()));
    answer(queries, Err(&refusal));

    let mut told = Some(error);
    loop {
        let now = shared.clock.now();
        let healed = failed.heal(shared.folder.path(), shared.hook.clone(), (shared.store, now), least);
        let mut state = shared.state.lock();
        match healed {
            Ok(healed) => {
                let Healed { store, records, displaced, parameters, sequence, noted: kept } = healed;
                let now = shared.clock.now();
                state.book.reload(records, now);
                state.book.reload_displaced(displaced);
                state.parameters = parameters;
                state.sequence = sequence;
                state.failing = None;
                // A ledger that closes does not try them again: it could go on for ever.
                if kept == noted && !state.closing {
                    state.put_back(notes, now);
                }
                state.queue_changes();
                log::info!("the ledger's store is open again, commit {sequence}");
                return Some((*store, kept));
            }
            Err((again, error)) => {
                failed = again;
                // What is wrong may become something else: a file that was put back may be another one.
                if is_loss(&error) || state.failing.as_ref().is_some_and(is_loss) {
                    state.failing = Some(if is_loss(&error) { error.clone() } else { self::refusal(&error) });
                }
                if told.as_ref() != Some(&error) {
                    log::error!("the ledger's store can't be used: {error}");
                    told = Some(error);
                }
            }
        }
        if !state.closing {
            shared.closing.wait_for(&mut state, shared.retry);
        }
        if state.closing {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_alone_never_wait_and_beside_heartbeats_they_wait_by_their_number() {
        assert_eq!(rest(256, 256 / SELDOM - 1), Duration::ZERO);
        assert_eq!(rest(0, 9000), Duration::ZERO);
        assert_eq!(rest(2, 2), REST_EACH * 2);
        assert_eq!(rest(100_000, 100_000), MAX_REST);
    }
}
