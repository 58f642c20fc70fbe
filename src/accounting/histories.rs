//! Random histories of the book against a model that is small and slow enough to be obviously right.

mod model;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::book::{Book, Change, Claim, ConnectionInfo, ExternalClaim, Granted, Leases, SessionRecord, SessionState};
use super::control::Demands;
use super::limit::SeatLimits;
use super::pool::{Pool, PoolKey, Pools};
use super::seat::{Asker, ExternalSession, InfobaseSession, Seat, SessionIdentity, TerminalClient};
use crate::error::Code;
use crate::id::{ComputerId, ConnectionId, KeyId, KeyNo, RootHash, SeriesId, SessionId};
use crate::time::{Moment, Tick, Time};

use self::model::{Model, Origin, Sitting};

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
    /// A new connection in a slot, from an address and a computer; the former one of the slot is cut without a word.
    Connect {
        slot: usize,
        from: Origin,
    },
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
    /// Seats that an address and a computer may hold; 0: any number. Whether the second address is under no limit.
    Limits {
        per_address: u8,
        per_computer: u8,
        lifted: bool,
    },
    Wait(u64),
    Restart,
    /// A write failed before which all was durable: the book is taken from the store again.
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    let slot = || 0..3_usize;
    prop_oneof![
        3 => (slot(), 0..2_u8, 0..3_u8).prop_map(|(slot, address, computer)| {
            Step::Connect { slot, from: Origin { address, computer } }
        }),
        8 => slot().prop_map(Step::Heartbeat),
        1 => slot().prop_map(Step::Disconnect),
        12 => (slot(), 0..4_u8, 0..4_u32).prop_map(|(slot, asker, session)| Step::Claim { slot, asker, session }),
        2 => (0..3_u8).prop_map(Step::External),
        2 => (slot(), 0..2_usize).prop_map(|(slot, nth)| Step::Release { slot, nth }),
        5 => (slot(), 0..2_usize).prop_map(|(slot, nth)| Step::Detach { slot, nth }),
        1 => (0..6_usize).prop_map(Step::Drop),
        2 => prop::collection::vec(0..3_u32, 0..4).prop_map(Step::Pool),
        1 => (0..4_u8, 0..4_u8, any::<bool>()).prop_map(|(per_address, per_computer, lifted)| {
            Step::Limits { per_address, per_computer, lifted }
        }),
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

    fn limits(&self) -> SeatLimits {
        let (per_address, per_computer, lifted) = self.model.limits;
        let unlimited = lifted.then(|| "2001:db8:0:1::/64".parse().unwrap());
        SeatLimits {
            per_address: per_address.into(),
            per_computer: per_computer.into(),
            unlimited: unlimited.into_iter().collect(),
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
            Step::Connect { slot, from } => {
                let id = ConnectionId(self.id());
                self.model.from.insert(id, from);
                self.slots[slot] = Some(id);
                self.model.used.insert(id, self.model.now);
                let computer = (from.computer > 0).then_some(ComputerId([from.computer; 20]));
                self.book.connect(id, ConnectionInfo { peer: from.peer(self.made), computer, ..info() }, now);
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
                    receipt: None,
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
            Step::Limits { per_address, per_computer, lifted } => {
                self.model.limits = (per_address, per_computer, lifted);
                self.book.set_limits(self.limits());
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
                // Nobody knows whose seats they are until their holders come back.
                self.model.clients.clear();
                let at = self.model.now;
                for sitting in &mut self.model.sittings {
                    (sitting.holder, sitting.until, sitting.detached) = (None, at + SESSION, false);
                }
                let pool = self.model.pool.clone();
                self.model.set_pool(pool);
                self.book = Book::restore(leases(), self.store.values().cloned().collect(), now);
                assert!(self.book.take_changes().is_empty());
                self.book.set_limits(self.limits());
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
                Change::QuarantineEnded => panic!("there was none"),
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
