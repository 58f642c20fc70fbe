//! Random histories with stores that go back. What counts is what happens outside: how many really work, who may go on, and who
//! gets in.
//!
//! A session has one life: once it is given back its identity does not come again, as 1C numbers its sessions anew.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::Receipt;
use super::book::{Book, Change, Claim, ConnectionInfo, EndCause, Granted, Leases, SessionRecord};
use super::control::Demands;
use super::pool::{Pool, PoolKey, Pools};
use super::seat::{Asker, InfobaseSession};
use crate::error::Code;
use crate::id::{ComputerId, ConnectionId, KeyId, RootHash, SeriesId, SessionId};
use crate::time::{Moment, Tick, Time};

const SERIES: SeriesId = SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) };
const LEASE: u64 = 900;
/// Clients that are at work are heard this often.
const HEARD: u64 = 10;
const CLIENTS: usize = 6;

#[derive(Debug, Clone)]
enum Step {
    /// A client that holds nothing asks for a new session.
    Claim(usize),
    Release(usize),
    /// Its process is gone without a word.
    Vanish(usize),
    /// The store as it is now may come back later.
    Copy,
    /// The server is killed and started; with a number its store is the copy of this number.
    Restart(Option<usize>),
    /// A write fails: the book is taken from the store again.
    Reload,
    /// After a start: the client takes up what it had.
    Resume(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    prop_oneof![
        8 => client().prop_map(Step::Claim),
        3 => client().prop_map(Step::Release),
        1 => client().prop_map(Step::Vanish),
        3 => Just(Step::Copy),
        3 => prop::option::weighted(0.7, 0..8_usize).prop_map(Step::Restart),
        1 => Just(Step::Reload),
        10 => client().prop_map(Step::Resume),
        3 => (1..300_u64).prop_map(Step::Wait),
    ]
}

/// What a client knows of the session that it works in.
#[derive(Debug, Clone)]
struct Work {
    number: u32,
    session: SessionId,
    secret: [u8; 32],
    receipt: Receipt,
    /// Over which connection; none since the server was started again.
    connection: Option<ConnectionId>,
    heard: u64,
}

/// The store: sessions, those that were displaced, number of the last commit, and how far it had come when it went back.
#[derive(Debug, Clone, Default)]
struct Store {
    records: BTreeMap<SessionId, SessionRecord>,
    displaced: BTreeMap<SessionId, SessionRecord>,
    sequence: u64,
    base: Option<u64>,
}

struct Run {
    book: Book,
    store: Store,
    copies: Vec<Store>,
    /// How far any store has ever come.
    mark: u64,
    clients: [Option<Work>; CLIENTS],
    seats: u32,
    now: u64,
    made: u32,
}

impl Run {
    fn new(seats: u32) -> Run {
        let book = Book::new(leases());
        let (store, copies, clients) = (Store::default(), vec![Store::default()], [const { None }; CLIENTS]);
        let mut run = Run { book, store, copies, mark: 0, clients, seats, now: 0, made: 0 };
        run.book.set_pools(run.pools(), run.moment());
        run
    }

    fn pools(&self) -> Pools {
        let key = |key_no, licence_count| PoolKey { key_no, licence_count };
        let keys = vec![key(1, self.seats / 2), key(2, self.seats - self.seats / 2)];
        Pools::from([(SERIES, Pool { keys, unusable: None })])
    }

    fn moment(&self) -> Moment {
        Moment { wall: Time(self.now as i64), tick: Tick(self.now) }
    }

    fn id(&mut self) -> [u8; 16] {
        self.made += 1;
        u128::from(self.made).to_be_bytes()
    }

    fn commit(&mut self) {
        let changes = self.book.take_changes();
        if changes.is_empty() {
            return;
        }
        for change in changes {
            match change {
                Change::Put(record) => {
                    self.store.displaced.remove(&record.id);
                    self.store.records.insert(record.id, *record);
                }
                Change::Delete(id, EndCause::Displaced) => {
                    let record = self.store.records.remove(&id).expect("it was there");
                    self.store.displaced.insert(id, record);
                }
                Change::Delete(id, _) => assert!(self.store.records.remove(&id).is_some()),
                Change::QuarantineEnded => {
                    self.store.displaced.clear();
                    self.store.base = None;
                }
            }
        }
        self.store.sequence += 1;
        self.mark = self.store.sequence;
    }

    fn restart(&mut self, copy: Option<usize>) {
        if let Some(copy) = copy.and_then(|copy| self.copies.get(copy)) {
            self.store = copy.clone();
        }
        if self.store.sequence < self.mark {
            self.store.base = Some(self.store.base.unwrap_or(u64::MAX).min(self.store.sequence));
            self.store.sequence = self.mark + 1;
            self.mark += 1;
        }
        let now = self.moment();
        let mut records: Vec<SessionRecord> = self.store.records.values().cloned().collect();
        records.sort_by_key(|record| record.ordinal);
        self.book = Book::restore(leases(), records, now);
        if let Some(base) = self.store.base {
            self.book.quarantine(base, self.store.displaced.values().cloned().collect(), now);
        }
        self.book.set_pools(self.pools(), now);
        self.clients.iter_mut().flatten().for_each(|work| work.connection = None);
    }

    /// One client's claim; what it holds then.
    fn claim(&mut self, client: usize, number: u32, former: Option<&Work>) -> Result<Granted, Code> {
        let (connection, new_id, secret) = (ConnectionId(self.id()), SessionId(self.id()), self.id());
        let now = self.moment();
        self.book.connect(connection, info(), now);
        let secret: [u8; 32] = std::array::from_fn(|at| secret[at % 16]);
        // Two of them share a computer.
        let asker = if client < 2 { Asker::Desktop(ComputerId([1; 20])) } else { Asker::Server };
        let claim = Claim {
            connection,
            asker,
            identity: InfobaseSession::new("File=/b", number, Time(0), "", "1CV8C", "").unwrap(),
            parent: None,
            access_code: None,
            demands: Demands::default(),
            previous_secret: former.map(|work| work.secret),
            receipt: former.map(|work| Box::new(work.receipt.clone())),
            new_id,
            secret_hash: secret,
        };
        let grant = self.book.claim(claim, now).map_err(|error| error.code)?;
        self.commit();
        let receipt = Receipt {
            series: SERIES,
            session: grant.session,
            key_no: grant.key_no,
            seat: grant.seat,
            generation: grant.generation,
            sequence: self.store.sequence,
            secret_hash: secret,
        };
        let (session, heard) = (grant.session, self.now);
        self.clients[client] = Some(Work { number, session, secret, receipt, connection: Some(connection), heard });
        Ok(grant.granted)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Claim(client) if self.clients[client].is_none() => {
                let (number, before) = (self.made + 1000, self.used());
                let claimed = self.claim(client, number, None);
                if self.store.base.is_some() && claimed.is_ok() {
                    assert_eq!(self.used(), before, "nobody new takes a seat");
                }
            }
            Step::Release(client) => {
                if let Some(work) = self.clients[client].clone().filter(|work| work.connection.is_some()) {
                    let connection = work.connection.unwrap();
                    self.book.release(connection, work.session, self.moment()).unwrap();
                    self.clients[client] = None;
                }
            }
            Step::Vanish(client) => self.clients[client] = None,
            Step::Copy if self.copies.len() < 8 => self.copies.push(self.store.clone()),
            Step::Restart(copy) => self.restart(copy),
            Step::Reload => {
                self.book.reload(self.store.records.values().cloned().collect(), self.moment());
                self.book.reload_displaced(self.store.displaced.values().cloned().collect());
            }
            Step::Resume(client) => {
                let Some(work) = self.clients[client].clone().filter(|work| work.connection.is_none()) else { return };
                let resumed = self.claim(client, work.number, Some(&work));
                assert!(resumed.is_ok(), "who works gets a seat again: {resumed:?} {work:?}");
                let now = self.clients[client].as_ref().map(|work| work.session);
                assert_eq!(now, Some(work.session), "and it is the same session");
            }
            Step::Wait(span) => (0..span.div_ceil(HEARD)).for_each(|_| {
                self.now += HEARD;
                let now = self.moment();
                for work in self.clients.iter_mut().flatten() {
                    if let Some(connection) = work.connection {
                        assert_eq!(self.book.heartbeat(connection, now).unwrap().ended, []);
                        work.heard = self.now;
                    }
                }
                self.book.expire(now);
                self.commit();
                // Who can't reach the server stops before its seat is another's.
                let fence = LEASE - LEASE / 10;
                for client in &mut self.clients {
                    client.take_if(|work| work.connection.is_none() && work.heard + fence <= self.now);
                }
            }),
            Step::Claim(_) | Step::Copy => {}
        }
    }

    fn used(&self) -> u64 {
        self.book.usage(SERIES).unwrap_or_default().used
    }

    fn check(&mut self) {
        self.commit();
        self.book.check_tables();
        assert!(self.used() <= u64::from(self.seats), "over-issued");
        let mut seats: Vec<String> = self.clients.iter().flatten().map(|work| work.receipt.seat.to_string()).collect();
        seats.sort();
        seats.dedup();
        assert!(seats.len() <= self.seats as usize, "more work than there are licences");
        assert_eq!(self.book.sessions(self.moment()).count(), self.store.records.len());
        assert_eq!(self.book.quarantined_until(self.moment()).is_some(), self.store.base.is_some());
    }
}

fn leases() -> Leases {
    Leases {
        connection: Duration::from_millis(30),
        session: Duration::from_millis(LEASE),
        orphan_grace: None,
        detached_kept: Duration::from_millis(100),
        gap: None,
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
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_store_comes_back_who_works_goes_on_and_nobody_is_one_too_many(
        seats in 1..4_u32,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut run = Run::new(seats);
        for step in steps {
            run.step(step);
            run.check();
        }
    }
}
