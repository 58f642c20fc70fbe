//! Random histories of the book against a model that is small and slow enough to be obviously right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::book::{Book, Change, Claim, ConnectionInfo, ExternalClaim, Granted, Leases, SessionRecord, SessionState};
use super::control::Demands;
use super::pool::{Pool, PoolKey, Pools};
use super::seat::{Asker, ExternalSession, InfobaseSession, Seat, SessionIdentity, TerminalClient};
use crate::error::Code;
use crate::id::{ComputerId, ConnectionId, KeyId, KeyNo, RootHash, SeriesId, SessionId};
use crate::time::{Moment, Tick, Time};

const SERIES: SeriesId = SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) };
const CONNECTION: u64 = 30;
const SESSION: u64 = 90;
const DETACHED: u64 = 15;

fn leases() -> Leases {
    Leases {
        connection: Duration::from_millis(CONNECTION),
        session: Duration::from_millis(SESSION),
        orphan_grace: None,
        detached_kept: Duration::from_millis(DETACHED),
        gap: None,
    }
}

/// One step. Numbers of slots and sessions are small, so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    /// A new connection in a slot; the former one of the slot is cut without a word.
    Connect(usize),
    Heartbeat(usize),
    Disconnect(usize),
    Claim {
        slot: usize,
        asker: u8,
        session: u32,
    },
    External(u8),
    /// The n-th live session by its slot's connection.
    Release {
        slot: usize,
        nth: usize,
    },
    Detach {
        slot: usize,
        nth: usize,
    },
    Drop(usize),
    Pool(Vec<u32>),
    Wait(u64),
    Restart,
    /// A write failed before which all was durable: the book is taken from the store again.
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    let slot = || 0..3_usize;
    prop_oneof![
        2 => slot().prop_map(Step::Connect),
        8 => slot().prop_map(Step::Heartbeat),
        1 => slot().prop_map(Step::Disconnect),
        12 => (slot(), 0..4_u8, 0..4_u32).prop_map(|(slot, asker, session)| Step::Claim { slot, asker, session }),
        2 => (0..3_u8).prop_map(Step::External),
        2 => (slot(), 0..2_usize).prop_map(|(slot, nth)| Step::Release { slot, nth }),
        5 => (slot(), 0..2_usize).prop_map(|(slot, nth)| Step::Detach { slot, nth }),
        1 => (0..6_usize).prop_map(Step::Drop),
        2 => prop::collection::vec(0..3_u32, 0..4).prop_map(Step::Pool),
        8 => (1..25_u64).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::Reload),
    ]
}

fn asker(number: u8) -> Asker {
    match number {
        0 => Asker::Server,
        1 => Asker::Desktop(ComputerId([1; 20])),
        2 => Asker::Desktop(ComputerId([2; 20])),
        _ => Asker::Terminal { host: ComputerId([1; 20]), client: TerminalClient::new("thin", "") },
    }
}

/// A session as the model sees it.
#[derive(Debug, Clone)]
struct Sitting {
    id: SessionId,
    name: (u32, bool),
    asker: Option<Asker>,
    seat: Seat,
    /// When the seat was granted, as a rank.
    rank: u64,
    holder: Option<ConnectionId>,
    /// Who held it last: may come back without a take-over.
    last: Option<ConnectionId>,
    /// When it ends, while nobody holds it.
    until: u64,
    detached: bool,
}

#[derive(Debug, Default)]
struct Model {
    now: u64,
    used: BTreeMap<ConnectionId, u64>,
    sittings: Vec<Sitting>,
    pool: Vec<(KeyNo, u32)>,
    ending: BTreeSet<Seat>,
    /// Seats all of whose sessions are detached, and since when that is so.
    idle: BTreeMap<Seat, u64>,
    ranks: u64,
}

impl Model {
    fn size(&self) -> usize {
        self.pool.iter().map(|(_, count)| *count as usize).sum()
    }

    fn refusal(&self) -> Code {
        if self.pool.is_empty() { Code::NoKey } else { Code::AllTaken }
    }

    fn seats(&self) -> BTreeSet<Seat> {
        self.sittings.iter().map(|sitting| sitting.seat.clone()).collect()
    }

    fn tidy(&mut self) {
        let seats = self.seats();
        self.ending.retain(|seat| seats.contains(seat));
        let used: BTreeSet<&Seat> = self.sittings.iter().filter(|s| !s.detached).map(|s| &s.seat).collect();
        self.idle.retain(|seat, _| seats.contains(seat) && !used.contains(seat));
        for seat in seats.iter().filter(|seat| !used.contains(seat)) {
            self.idle.entry(seat.clone()).or_insert(self.now);
        }
    }

    fn expire(&mut self) {
        let now = self.now;
        for sitting in &mut self.sittings {
            if let Some(used) = sitting.holder.and_then(|holder| self.used.get(&holder))
                && used + CONNECTION <= now
            {
                (sitting.holder, sitting.until) = (None, used + SESSION);
            }
        }
        self.used.retain(|_, used| *used + CONNECTION > now);
        self.sittings.retain(|sitting| sitting.holder.is_some() || sitting.until > now);
        self.tidy();
    }

    fn use_connection(&mut self, id: ConnectionId) -> bool {
        let now = self.now;
        self.used.get_mut(&id).map(|used| *used = now).is_some()
    }

    fn set_pool(&mut self, pool: Vec<(KeyNo, u32)>) {
        self.pool = pool;
        let mut seats: Vec<(u64, Seat)> = self.sittings.iter().map(|s| (s.rank, s.seat.clone())).collect();
        seats.sort();
        seats.dedup();
        self.ending = seats.into_iter().skip(self.size()).map(|(_, seat)| seat).collect();
    }

    /// A claim; says what is expected, and whether the pool may be asked at all.
    fn claim(
        &mut self,
        holder: Option<ConnectionId>,
        asker: Option<Asker>,
        name: (u32, bool),
        shared: Option<Seat>,
        id: SessionId,
    ) -> Result<Granted, Code> {
        let shared_of = |sitting: &Sitting| match sitting.asker {
            Some(Asker::Server) | None => None,
            Some(Asker::Desktop(computer)) => Some(Seat::Computer(computer)),
            Some(Asker::Terminal { host, ref client }) => Some(Seat::Terminal { host, client: client.clone() }),
            Some(Asker::External) => None,
        };
        let named = |sitting: &&Sitting| sitting.name == name;
        let known =
            self.sittings.iter().filter(named).find(|sitting| shared_of(sitting) == shared).or_else(|| {
                self.sittings.iter().filter(named).find(|sitting| holder.is_some() && sitting.last == holder)
            });
        if let Some(known) = known.map(|known| known.id) {
            let ending = self.sittings.iter().any(|s| s.id == known && self.ending.contains(&s.seat));
            if ending {
                self.sittings.retain(|sitting| sitting.id != known);
                self.tidy();
                return Err(Code::SessionEnding);
            }
            let until = self.now + SESSION;
            let Some(sitting) = self.sittings.iter_mut().find(|sitting| sitting.id == known) else {
                return Err(Code::Internal);
            };
            (sitting.until, sitting.detached) = (until, false);
            if holder.is_none() || sitting.last == holder {
                sitting.holder = holder;
                return Ok(Granted::Again);
            }
            (sitting.holder, sitting.last, sitting.asker) = (holder, holder, asker);
            return Ok(Granted::TakenOver);
        }
        let seat = shared.unwrap_or(Seat::Session(id));
        let mut rank = self.sittings.iter().find(|sitting| sitting.seat == seat).map(|sitting| sitting.rank);
        if self.ending.contains(&seat) {
            let full = self.seats().len() >= self.size();
            return Err(if full { self.refusal() } else { Code::SessionEnding });
        }
        if rank.is_none() {
            if self.size() == 0 {
                return Err(self.refusal());
            }
            // Seats without an active session for long enough, the longest first.
            let rank_of = |seat: &Seat| self.sittings.iter().find(|s| s.seat == *seat).map(|s| s.rank);
            let ripe = self.idle.iter().filter(|(_, since)| **since + DETACHED <= self.now);
            let mut idle: Vec<_> = ripe.map(|(seat, since)| (*since, rank_of(seat), seat.clone())).collect();
            idle.sort();
            let excess = (self.seats().len() + 1).saturating_sub(self.size());
            if idle.len() < excess {
                return Err(self.refusal());
            }
            for (_, _, victim) in idle.into_iter().take(excess) {
                self.sittings.retain(|sitting| sitting.seat != victim);
            }
            self.tidy();
            self.ranks += 1;
            rank = Some(self.ranks);
        }
        let rank = rank.unwrap_or_default();
        let until = self.now + SESSION;
        self.sittings.push(Sitting { id, name, asker, seat, rank, holder, last: holder, until, detached: false });
        Ok(Granted::New)
    }
}

/// The book, the store that it writes, and the model, side by side.
struct Run {
    book: Book,
    store: BTreeMap<SessionId, SessionRecord>,
    model: Model,
    slots: [Option<ConnectionId>; 3],
    made: u64,
}

impl Run {
    fn now(&self) -> Moment {
        Moment { wall: Time(self.model.now as i64), tick: Tick(self.model.now) }
    }

    fn id(&mut self) -> [u8; 16] {
        self.made += 1;
        u128::from(self.made).to_be_bytes()
    }

    fn pools(&self) -> Pools {
        let keys: Vec<PoolKey> =
            self.model.pool.iter().map(|&(key_no, licence_count)| PoolKey { key_no, licence_count }).collect();
        match keys.is_empty() {
            true => Pools::new(),
            false => Pools::from([(SERIES, Pool { keys, unusable: None })]),
        }
    }

    fn held_by(&self, connection: ConnectionId, nth: usize) -> Option<SessionId> {
        self.model.sittings.iter().filter(|sitting| sitting.holder == Some(connection)).nth(nth).map(|s| s.id)
    }

    fn sitting(&mut self, id: SessionId) -> &mut Sitting {
        self.model.sittings.iter_mut().find(|sitting| sitting.id == id).unwrap()
    }

    fn step(&mut self, step: Step) {
        let now = self.now();
        match step {
            Step::Wait(span) => {
                self.model.now += span;
                self.book.expire(self.now());
            }
            Step::Connect(slot) => {
                let id = ConnectionId(self.id());
                self.slots[slot] = Some(id);
                self.model.used.insert(id, self.model.now);
                self.book.connect(id, info(), now);
            }
            Step::Heartbeat(slot) => {
                let Some(id) = self.slots[slot] else { return };
                let beat = self.book.heartbeat(id, now);
                assert_eq!(beat.is_ok(), self.model.use_connection(id));
                // Those that were told that they end are gone with the next expiry.
                let ending = self.model.ending.clone();
                self.model.sittings.retain(|s| s.holder != Some(id) || !ending.contains(&s.seat));
                self.model.tidy();
                let taken_changes = self.book.take_changes();
                assert!(taken_changes.is_empty(), "a heartbeat writes nothing");
                self.book.expire(now);
                for (id, error) in beat.into_iter().flat_map(|beat| beat.ended) {
                    let gone = !self.model.sittings.iter().any(|sitting| sitting.id == id);
                    assert!(gone || error.code == Code::SessionTakenOver);
                }
            }
            Step::Disconnect(slot) => {
                let Some(id) = self.slots[slot].take() else { return };
                self.book.disconnect(id, now);
                self.model.used.remove(&id);
                let at = self.model.now;
                for sitting in self.model.sittings.iter_mut().filter(|sitting| sitting.holder == Some(id)) {
                    (sitting.holder, sitting.until, sitting.detached) = (None, at + SESSION, true);
                }
            }
            Step::Claim { slot, asker: number, session } => {
                let Some(connection) = self.slots[slot] else { return };
                let identity = InfobaseSession::new("File=/b", session, Time(0), "", "1CV8C", "").unwrap();
                let asker = asker(number);
                let shared = asker.shared_seat(&SessionIdentity::Infobase(identity.clone()));
                let new_id = SessionId(self.id());
                let expected = match self.model.use_connection(connection) {
                    true => self.model.claim(Some(connection), Some(asker.clone()), (session, false), shared, new_id),
                    false => Err(Code::ConnectionUnknown),
                };
                let (parent, access_code, previous_secret, secret_hash) = (None, None, None, [0; 32]);
                let demands = Demands::default();
                let claim = Claim {
                    connection,
                    asker,
                    identity,
                    parent,
                    access_code,
                    demands,
                    previous_secret,
                    new_id,
                    secret_hash,
                };
                let answer = self.book.claim(claim, now);
                assert_eq!(answer.as_ref().map(|grant| grant.granted).map_err(|e| e.code), expected);
                self.check_grant(answer.ok().filter(|grant| grant.granted == Granted::New).map(|grant| grant.session));
            }
            Step::External(name) => {
                let identity = ExternalSession::new(&name.to_string(), None, "", "", "").unwrap();
                let new_id = SessionId(self.id());
                let expected = self.model.claim(None, None, (u32::from(name), true), None, new_id);
                let answer = self
                    .book
                    .claim_external(ExternalClaim { series: SERIES, identity, new_id, access_code: None }, now);
                assert_eq!(answer.as_ref().map(|grant| grant.granted).map_err(|e| e.code), expected);
                self.check_grant(answer.ok().filter(|grant| grant.granted == Granted::New).map(|grant| grant.session));
            }
            Step::Release { slot, nth } => {
                let Some(connection) = self.slots[slot] else { return };
                let Some(id) = self.held_by(connection, nth) else { return };
                self.model.use_connection(connection);
                self.model.sittings.retain(|sitting| sitting.id != id);
                self.model.tidy();
                self.book.release(connection, id, now).unwrap();
            }
            Step::Detach { slot, nth } => {
                let Some(connection) = self.slots[slot] else { return };
                let Some(id) = self.held_by(connection, nth) else { return };
                self.model.use_connection(connection);
                let at = self.model.now;
                let sitting = self.sitting(id);
                (sitting.holder, sitting.until, sitting.detached) = (None, at + SESSION, true);
                self.book.detach(connection, id, now).unwrap();
            }
            Step::Drop(nth) => {
                let Some(id) = self.model.sittings.get(nth).map(|sitting| sitting.id) else { return };
                self.model.sittings.retain(|sitting| sitting.id != id);
                self.model.tidy();
                self.book.drop_session(id, now).unwrap();
            }
            Step::Pool(counts) => {
                self.model.set_pool((1..).zip(counts).collect());
                self.book.set_pools(self.pools(), now);
            }
            Step::Reload => {
                let pool = self.model.pool.clone();
                self.model.set_pool(pool);
                self.model.idle.values_mut().for_each(|since| *since = now.tick.0);
                self.book.reload(self.store.values().cloned().collect(), now);
            }
            Step::Restart => {
                self.slots = [None; 3];
                self.model.used.clear();
                let at = self.model.now;
                for sitting in &mut self.model.sittings {
                    (sitting.holder, sitting.until, sitting.detached) = (None, at + SESSION, false);
                }
                let pool = self.model.pool.clone();
                self.model.set_pool(pool);
                self.book = Book::restore(leases(), self.store.values().cloned().collect(), now);
                assert!(self.book.take_changes().is_empty());
                self.book.set_pools(self.pools(), now);
            }
        }
    }

    /// A new seat is granted within the pool, and by the first key that has room.
    fn check_grant(&self, new: Option<SessionId>) {
        let Some(id) = new else { return };
        let usage = self.book.usage(SERIES).unwrap();
        let view = self.book.session(id, self.now()).unwrap();
        let alone = self.model.sittings.iter().filter(|sitting| sitting.seat == view.record.seat).count() == 1;
        if !alone {
            return;
        }
        assert!(usage.used <= usage.total, "granted while held >= pool");
        for key in usage.keys {
            if key.key_no == view.record.key_no {
                break;
            }
            assert!(key.used >= key.total, "key {} had room", key.key_no);
        }
    }

    fn check(&mut self) {
        self.book.check_tables();
        for change in self.book.take_changes() {
            match change {
                Change::Put(record) => drop(self.store.insert(record.id, *record)),
                Change::Delete(id, _) => assert!(self.store.remove(&id).is_some(), "deleted what the store never had"),
            }
        }
        let views: Vec<_> = self.book.sessions(self.now()).collect();

        // The book, the store and the model have the same sessions, on the same seats, held by the same connections.
        assert_eq!(views.len(), self.model.sittings.len());
        assert_eq!(views.len(), self.store.len());
        for sitting in &self.model.sittings {
            let view = self.book.session(sitting.id, self.now()).expect("no grant is lost");
            assert_eq!((&view.record.seat, view.ending), (&sitting.seat, self.model.ending.contains(&sitting.seat)));
            assert_eq!(self.store.get(&sitting.id), Some(view.record));
            let holder = match view.state {
                SessionState::Attached(holder) => Some(holder),
                _ => None,
            };
            let until = holder.map_or(sitting.until, |holder| self.model.used[&holder] + SESSION);
            assert_eq!((view.expires, view.expired), (Time(until as i64), false));
            assert_eq!((holder, view.state == SessionState::Detached), (sitting.holder, sitting.detached));
        }

        // One seat, one key; never above the pool and the keys but for seats that are ending.
        let mut keys: BTreeMap<&Seat, (KeyNo, bool)> = BTreeMap::new();
        for view in &views {
            let seen = keys.entry(&view.record.seat).or_insert((view.record.key_no, view.ending));
            assert_eq!(*seen, (view.record.key_no, view.ending));
        }
        let usage = self.book.usage(SERIES).unwrap_or_default();
        assert_eq!(usage.used as usize, keys.len());
        let lasting = || keys.values().filter(|(_, ending)| !ending);
        assert!(lasting().count() as u64 <= usage.total);
        for key in &usage.keys {
            assert!(lasting().filter(|(key_no, _)| *key_no == key.key_no).count() <= key.total as usize);
            assert_eq!(keys.values().filter(|(key_no, _)| *key_no == key.key_no).count(), key.used as usize);
        }
        for (key_no, _) in lasting() {
            assert!(usage.keys.iter().any(|key| key.key_no == *key_no), "a seat without a usable key");
        }
    }
}

fn info() -> ConnectionInfo {
    ConnectionInfo {
        series: SERIES,
        peer: core::net::IpAddr::from([10, 0, 0, 1]),
        os_version: String::new(),
        computer_name: String::new(),
        computer: None,
        local_ip: String::new(),
        process: String::new(),
        cpu: String::new(),
        pid: 1,
        is_server: false,
        platform_version: String::new(),
        module_name: String::new(),
        version: String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_book_never_over_issues_and_never_loses_a_grant(steps in prop::collection::vec(step(), 1..100)) {
        let mut run = Run {
            book: Book::new(leases()),
            store: BTreeMap::new(),
            model: Model::default(),
            slots: [None; 3],
            made: 0,
        };
        for step in steps {
            // An operation meets the book as time has left it.
            run.model.expire();
            run.book.expire(run.now());
            run.step(step);
            run.model.expire();
            run.check();
        }
    }
}
