//! Keys under the seats: what changes in the book when keys come, go, or are open to others.

use std::collections::BTreeSet;

use super::table::SeatTable;
use super::{Book, Change, SessionState};
use crate::accounting::control::Terms;
use crate::accounting::pool::{Pool, Pools};
use crate::id::SeriesId;
use crate::time::Moment;

impl Book {
    /// Puts the usable keys under the seats. Seats whose key is gone move to others while there is room; the latest seats
    /// beyond the size of a pool are ending: each of their sessions ends at its next heartbeat. Seats that were ending stay if
    /// there is room for them again.
    pub fn set_pools(&mut self, pools: Pools, now: Moment) {
        self.put_pools(None, pools, now);
    }

    /// As [`Book::set_pools`], with other terms of who may sit on which key. A session keeps its key while it lives.
    pub fn set_terms(&mut self, terms: Terms, pools: Pools, now: Moment) {
        self.put_pools(Some(terms), pools, now);
    }

    fn put_pools(&mut self, terms: Option<Terms>, pools: Pools, now: Moment) {
        self.advance(now);
        let other_terms = terms.as_ref().is_some_and(|terms| *terms != self.terms);
        self.terms = terms.unwrap_or_else(|| std::mem::take(&mut self.terms));
        let series: BTreeSet<SeriesId> = self.tables.keys().chain(pools.keys()).copied().collect();
        for series in series {
            let pool = pools.get(&series);
            let same =
                !other_terms && pool.is_some() && self.pools.as_ref().and_then(|pools| pools.get(&series)) == pool;
            if !same || self.tables.get(&series).is_some_and(SeatTable::any_ending) {
                self.set_pool(series, pool);
            }
        }
        self.tables.retain(|_, table| !table.is_empty());
        self.pools = Some(pools);
    }

    pub(super) fn set_pool(&mut self, series: SeriesId, pool: Option<&Pool>) {
        let table = self.tables.entry(series).or_default();
        let sessions = &self.sessions;
        let touched = table.set_pool(series, pool, &self.terms, |id| sessions.get(&id).map(|session| session.wants()));
        for seat in touched.moved {
            let Some(held) = table.get(&seat) else { continue };
            for id in &held.sessions {
                let Some(session) = self.sessions.get_mut(id) else { continue };
                session.record.key_no = held.key_no;
                self.changes.push(Change::Put(Box::new(session.record.clone())));
            }
        }
        for seat in touched.ending {
            for id in table.get(&seat).into_iter().flat_map(|held| &held.sessions) {
                if let Some(SessionState::Attached(holder)) = self.sessions.get(id).map(|session| session.state)
                    && let Some(connection) = self.connections.get_mut(&holder)
                {
                    connection.ending.push(*id);
                }
            }
        }
    }
}
