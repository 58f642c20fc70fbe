//! The writer's thread: commits what is queued as one batch, then answers. After a commit that failed it opens the store anew
//! and takes the book from it; it never tries the same commit again.
//!
//! Claims must not starve heartbeats: clients that hear nothing lose what they have, those that wait for a claim only wait. So
//! while heartbeats come nearly as often as claims, the writer rests after a commit, and claims gather for the next one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use licence::accounting::Change;
use licence::{Code, Error};
use parking_lot::MutexGuard;

use super::marks::Marks;
use super::notes::Notes;
use super::store::Store;
use super::{Entry, Query, Shared, State};

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
        if batch.is_empty() && queries.is_empty() && notes.is_empty() {
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
            Ok(None)
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
                store.abandon();
                let Some(reopened) = recover(shared, state, batch, queries, notes, noted, error) else { return };
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

/// After a failed commit: fails it and all that was decided upon it (both are in `batch`), opens the store anew and takes the book from it. Notes are
/// kept for later, unless the store has them after all. `None` when the ledger was closed meanwhile.
fn recover(
    shared: &Shared,
    mut state: MutexGuard<'_, State>,
    batch: Vec<Entry>,
    mut queries: Vec<Query>,
    notes: Notes,
    noted: u64,
    error: Error,
) -> Option<(Store, u64)> {
    log::error!("the ledger's store failed: {error}");
    let error = match error.code {
        Code::StoreFailed => error,
        _ => Error::new(Code::StoreFailed).with(error.cause(licence::Lang::English)),
    };
    state.failing = Some(error.clone());
    queries.append(&mut state.queries);
    drop(state);
    complete(batch, &Err(error.clone()));
    answer(queries, Err(&error));

    let mut told = None;
    loop {
        // A commit of nothing shows whether the store takes writes again.
        let now = shared.clock.now();
        let opened = Store::open(&shared.folder, shared.hook.clone(), shared.store, now.wall).and_then(|mut store| {
            let sequence = store.commit([], [], &Notes::default(), now)?;
            Ok(((store.load()?, store.displaced()?), store.parameters()?, sequence, store.noted()?, store))
        });
        let mut state = shared.state.lock();
        match opened {
            Ok(((records, displaced), parameters, sequence, kept, store)) => {
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
                return Some((store, kept));
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
