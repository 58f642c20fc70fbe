//! Random histories of claims that demand something of their keys, present access codes, and meet keys that come, go and are
//! kept: who gets a seat may have its key, who is refused could not have had one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::book::{Book, Change, Claim, ConnectionInfo, Granted, Leases, SessionRecord};
use super::control::{AccessCodes, Demands, Marks, Terms};
use super::pool::{Pool, PoolKey, Pools};
use super::seat::{Asker, InfobaseSession};
use crate::error::Code;
use crate::id::{ComputerId, ConnectionId, KeyId, KeyNo, RootHash, SeriesId, SessionId};
use crate::time::{Moment, Tick, Time};

const SERIES: SeriesId = SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) };
const CODES: [Option<&str>; 3] = [None, Some("a"), Some("b")];
const SECOND: u64 = 1000;

#[derive(Debug, Clone)]
enum Step {
    Claim {
        slot: usize,
        computer: Option<u8>,
        session: u32,
        demand: u8,
        code: usize,
    },
    Release {
        slot: usize,
        nth: usize,
    },
    Detach {
        slot: usize,
        nth: usize,
    },
    Wait(u64),
    Restart,
    Reload,
    /// Seats of keys 1 to 4 (0: no such key), which of them are kept only, whether codes are in force.
    Keys {
        counts: [u32; 4],
        kept: [bool; 4],
        codes: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let slot = || 0..2_usize;
    let claim = (slot(), prop::option::weighted(0.4, 0..2_u8), 0..6_u32, 0..6_u8, 0..3_usize);
    let keys = (prop::array::uniform4(0..3_u32), prop::array::uniform4(prop::bool::weighted(0.2)), any::<bool>());
    prop_oneof![
        12 => claim.prop_map(|(slot, computer, session, demand, code)| Step::Claim { slot, computer, session, demand, code }),
        3 => (slot(), 0..3_usize).prop_map(|(slot, nth)| Step::Release { slot, nth }),
        4 => (slot(), 0..3_usize).prop_map(|(slot, nth)| Step::Detach { slot, nth }),
        6 => (1..70_u64).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::Reload),
        2 => keys.prop_map(|(counts, kept, codes)| Step::Keys { counts, kept, codes }),
    ]
}

fn marks(key_no: KeyNo) -> Marks {
    let itn = Some(if key_no < 3 { "one" } else { "two" }.to_owned());
    Marks { key_no, reg_no: key_no, itn, iec: None, product_version: key_no as u16 }
}

fn demands(number: u8) -> Demands {
    let none = Demands::default();
    match number {
        0 => Demands { itn: Some("one".into()), ..none },
        1 => Demands { itn: Some("two".into()), ..none },
        2 => Demands { product_version: Some(2), ..none },
        3 => Demands { key_no: Some(4), ..none },
        _ => none,
    }
}

struct Run {
    book: Book,
    store: BTreeMap<SessionId, SessionRecord>,
    slots: [ConnectionId; 2],
    keys: Vec<(KeyNo, u32, bool)>,
    codes: bool,
    now: u64,
    made: u64,
}

impl Run {
    fn now(&self) -> Moment {
        Moment { wall: Time(self.now as i64), tick: Tick(self.now) }
    }

    fn id(&mut self) -> [u8; 16] {
        self.made += 1;
        u128::from(self.made).to_be_bytes()
    }

    fn connect(&mut self) {
        for slot in 0..2 {
            let id = ConnectionId(self.id());
            let info = ConnectionInfo {
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
            };
            self.book.connect(id, info, self.now());
            self.slots[slot] = id;
        }
    }

    fn put_keys(&mut self) {
        let of = |kept: bool| {
            let keys = self.keys.iter().filter(move |(_, count, is_kept)| *count > 0 && *is_kept == kept);
            keys.map(|&(key_no, licence_count, _)| PoolKey { key_no, licence_count }).collect::<Vec<_>>()
        };
        let codes = BTreeMap::from([("a".to_owned(), BTreeSet::from([2, 4])), ("b".to_owned(), BTreeSet::from([2]))]);
        let terms = Terms {
            marks: HashMap::from([(SERIES, (1..=4).map(|key_no| (key_no, marks(key_no))).collect())]),
            codes: if self.codes { AccessCodes::new(codes) } else { AccessCodes::default() },
            kept: HashMap::from([(SERIES, of(true))]),
        };
        let pools = Pools::from([(SERIES, Pool { keys: of(false), unusable: None })]);
        self.book.set_terms(terms, pools, self.now());
    }

    fn may(&self, key_no: KeyNo, demand: u8, code: usize) -> bool {
        let aside = self.codes && [2, 4].contains(&key_no);
        let opened = match CODES[code] {
            Some("a") => [2, 4].contains(&key_no),
            Some(_) => key_no == 2,
            None => false,
        };
        (!aside || opened) && demands(demand).met_by(&marks(key_no))
    }

    fn held(&self, slot: usize, nth: usize) -> Option<SessionId> {
        let state = super::book::SessionState::Attached(self.slots[slot]);
        let mut held: Vec<_> =
            self.book.sessions(self.now()).filter(|view| view.state == state).map(|view| view.record.id).collect();
        held.sort_unstable();
        held.get(nth).copied()
    }

    fn step(&mut self, step: Step) {
        let now = self.now();
        match step {
            Step::Claim { slot, computer, session, demand, code } => {
                let new_id = SessionId(self.id());
                let asker = computer.map_or(Asker::Server, |computer| Asker::Desktop(ComputerId([computer; 20])));
                let claim = Claim {
                    connection: self.slots[slot],
                    asker,
                    identity: InfobaseSession::new("File=/b", session, Time(0), "", "1CV8C", "").unwrap(),
                    parent: None,
                    access_code: CODES[code].map(str::to_owned),
                    demands: demands(demand),
                    previous_secret: None,
                    receipt: None,
                    new_id,
                    secret_hash: [0; 32],
                };
                let before = self.book.usage(SERIES).unwrap_or_default();
                match self.book.claim(claim, now) {
                    Ok(grant) if grant.granted == Granted::New => {
                        assert!(self.may(grant.key_no, demand, code), "key {} is not open to it", grant.key_no);
                        let others = self.book.sessions(now).filter(|view| view.record.seat == grant.seat);
                        if others.count() == 1 {
                            let usable = |&(key_no, _, kept): &(KeyNo, u32, bool)| key_no == grant.key_no && !kept;
                            assert!(self.keys.iter().any(usable), "a new seat is on a usable key");
                        }
                    }
                    Err(error) if [Code::AllTaken, Code::FittingTaken].contains(&error.code) => {
                        let room = |key: &&super::book::KeyUsage| key.used < key.total;
                        let free = before.keys.iter().filter(room).any(|key| self.may(key.key_no, demand, code));
                        let kept: u32 = self.keys.iter().filter(|key| key.2).map(|key| key.1).sum();
                        assert!(!free || before.used + u64::from(kept) >= before.total, "{error:?} with {before:?}");
                    }
                    _ => {}
                }
            }
            Step::Release { slot, nth } => {
                if let Some(id) = self.held(slot, nth) {
                    self.book.release(self.slots[slot], id, now).unwrap();
                }
            }
            Step::Detach { slot, nth } => {
                if let Some(id) = self.held(slot, nth) {
                    self.book.detach(self.slots[slot], id, now).unwrap();
                }
            }
            Step::Wait(seconds) => {
                for _ in 0..seconds.div_ceil(10) {
                    self.now += 10 * SECOND;
                    for slot in self.slots {
                        self.book.heartbeat(slot, self.now()).unwrap();
                    }
                    self.book.expire(self.now());
                }
            }
            Step::Restart => {
                self.book = Book::restore(leases(), self.store.values().cloned().collect(), now);
                self.put_keys();
                self.connect();
            }
            Step::Reload => self.book.reload(self.store.values().cloned().collect(), now),
            Step::Keys { counts, kept, codes } => {
                self.keys = (1..).zip(counts).zip(kept).map(|((key_no, count), kept)| (key_no, count, kept)).collect();
                self.codes = codes;
                self.put_keys();
            }
        }
    }

    fn check(&mut self) {
        for change in self.book.take_changes() {
            match change {
                Change::Put(record) => drop(self.store.insert(record.id, *record)),
                Change::Delete(id, _) => assert!(self.store.remove(&id).is_some()),
                Change::QuarantineEnded => panic!("there was none"),
            }
        }
        self.book.check_tables();
        let mut seats = BTreeMap::new();
        for view in self.book.sessions(self.now()) {
            assert_eq!(self.store.get(&view.record.id), Some(view.record), "what is decided is written down");
            let key = seats.entry(&view.record.seat).or_insert(view.record.key_no);
            assert_eq!(*key, view.record.key_no, "one seat is on one key");
        }
    }
}

fn leases() -> Leases {
    Leases { gap: None, ..Leases::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_seat_is_on_a_key_that_its_session_may_have_and_a_refusal_has_its_reason(steps in prop::collection::vec(step(), 1..60)) {
        let nobody = ConnectionId([0; 16]);
        let keys = vec![(1, 1, false), (2, 1, false), (3, 1, false)];
        let book = Book::new(leases());
        let mut run = Run { book, store: BTreeMap::new(), slots: [nobody; 2], keys, codes: true, now: 0, made: 0 };
        run.put_keys();
        run.connect();
        for step in steps {
            run.step(step);
            run.check();
        }
    }
}
