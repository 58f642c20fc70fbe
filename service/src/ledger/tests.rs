use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use licence::accounting::book::{EndCause, Granted, SessionState};
use licence::accounting::{
    Asker, Claim, ConnectionInfo, ExternalClaim, ExternalSession, Grant, InfobaseSession, Pool, PoolKey, Pools, Seat,
    SessionIdentity, SessionRecord, TerminalClient,
};
use licence::crypto::ring::PROVIDER;
use licence::id::{ComputerId, ConnectionId, KeyId, RootHash, SeriesId, SessionId};
use licence::{Tick, Time};

use super::*;

mod checking;
#[cfg(target_os = "linux")]
mod faults;
mod migration;
mod notes;
mod rollback;
#[cfg(unix)]
mod vanish;

const NOW: Moment = Moment { wall: Time(0), tick: Tick(0) };
const SERIES: SeriesId = SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) };

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("slk-ledger-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// A copy as a crash would leave it: what the store's files hold now.
    fn copy(&self) -> Folder {
        let copy = Folder::new();
        for entry in fs::read_dir(&self.0).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.0.join(path.file_name().unwrap())).unwrap();
        }
        copy
    }

    fn store(&self) -> PathBuf {
        self.0.join(store::FILE)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A clock that a test moves.
#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Moment {
        let tick = self.0.load(Ordering::Relaxed);
        Moment { wall: Time(1_000_000 + tick as i64), tick: Tick(tick) }
    }
}

/// A ledger and what claims over it need.
struct Desk {
    ledger: Ledger,
    clock: Arc<Hands>,
    connection: ConnectionId,
    made: AtomicU64,
}

fn open(folder: &Folder, hook: Option<CommitHook>) -> Result<Desk, Error> {
    let clock = Arc::new(Hands::default());
    let leases = Leases { gap: None, ..Leases::default() };
    static RUN: AtomicU64 = AtomicU64::new(1);
    let run = RUN.fetch_add(1, Ordering::Relaxed);
    let marks = Marks::new(&PROVIDER, &folder.0, None);
    let id = StoreId(u128::from(run).to_be_bytes());
    let owned = Arc::new(DataFolder::own(&folder.0)?);
    let ledger = Ledger::open_with(owned, clock.clone(), leases, (marks, id), Duration::from_millis(5), hook)?;
    let made = AtomicU64::new(run << 32);
    let mut desk = Desk { ledger, clock, connection: ConnectionId([0; 16]), made };
    desk.connection = desk.connect();
    Ok(desk)
}

impl Desk {
    fn with_pool(self, size: u32) -> Desk {
        let keys = vec![PoolKey { key_no: 7, licence_count: size }];
        let pools = Pools::from([(SERIES, Pool { keys, unusable: None })]);
        self.ledger.touch(|book, now| book.set_pools(pools, now));
        self
    }

    fn id(&self) -> [u8; 16] {
        u128::from(self.made.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
    }

    fn connect(&self) -> ConnectionId {
        let id = ConnectionId(self.id());
        let info = ConnectionInfo {
            series: SERIES,
            peer: [10, 0, 0, 1].into(),
            os_version: String::new(),
            computer_name: String::new(),
            computer: None,
            local_ip: String::new(),
            process: String::new(),
            cpu: String::new(),
            pid: 1,
            is_server: true,
            platform_version: String::new(),
            module_name: String::new(),
            version: String::new(),
        };
        self.ledger.touch(|book, now| book.connect(id, info, now));
        id
    }

    fn claim_of(&self, number: u32) -> Claim {
        Claim {
            connection: self.connection,
            asker: Asker::Server,
            identity: InfobaseSession::new("Srvr=a;Ref=b", number, Time(5), "Анна", "1CV8C", "PC").unwrap(),
            parent: None,
            access_code: Some("42".into()),
            demands: licence::accounting::Demands::default(),
            previous_secret: None,
            receipt: None,
            new_id: SessionId(self.id()),
            secret_hash: [9; 32],
        }
    }

    /// Claims without waiting.
    fn ask(&self, number: u32) -> Receiver<Result<Grant, Error>> {
        let claim = self.claim_of(number);
        let (sender, receiver) = channel();
        self.ledger.submit(
            |book, now| book.claim(claim, now),
            move |outcome| {
                let _ = sender.send(outcome);
            },
        );
        receiver
    }

    fn claim(&self, number: u32) -> Result<Grant, Error> {
        self.ask(number).recv().unwrap()
    }

    fn records(&self) -> Vec<SessionRecord> {
        let mut records: Vec<SessionRecord> =
            self.ledger.read(|book, now| book.sessions(now).map(|view| view.record.clone()).collect());
        records.sort_by_key(|record| record.id);
        records
    }

    fn used(&self) -> u64 {
        self.ledger.read(|book, _| book.usage(SERIES).map_or(0, |usage| usage.used))
    }
}

/// Waits until the condition holds.
fn until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::yield_now();
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> Code {
    result.unwrap_err().code
}

/// A hook that fails commits while the switch is on.
fn switch() -> (Arc<AtomicBool>, Option<CommitHook>) {
    let broken = Arc::new(AtomicBool::new(false));
    let seen = broken.clone();
    let hook: CommitHook = Arc::new(move |_| match seen.load(Ordering::SeqCst) {
        true => Err(Error::new(Code::StoreFailed).with("no space")),
        false => Ok(()),
    });
    (broken, Some(hook))
}

/// A hook that holds each commit with changes until it is let go, and then fails it if told so.
fn gate() -> (std::sync::mpsc::Sender<Result<(), Error>>, Receiver<usize>, Option<CommitHook>) {
    let (go, wait) = channel::<Result<(), Error>>();
    let (arrived, arrivals) = channel();
    let doors = Mutex::new((wait, arrived));
    let hook: CommitHook = Arc::new(move |changes| {
        let doors = doors.lock();
        if changes == 0 {
            return Ok(());
        }
        let _ = doors.1.send(changes);
        doors.0.recv().unwrap_or(Ok(()))
    });
    (go, arrivals, Some(hook))
}

#[test]
fn a_grant_that_was_answered_is_on_disk() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(5);
    let grant = desk.claim(1).unwrap();
    let crashed = folder.copy();
    let after = open(&crashed, None).unwrap();
    assert_eq!(after.records(), desk.records());
    assert_eq!(after.records()[0].id, grant.session);
}

#[test]
fn a_release_that_was_answered_is_on_disk() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(5);
    let session = desk.claim(1).unwrap().session;
    let (sender, receiver) = channel();
    let connection = desk.connection;
    let done = move |outcome| sender.send(outcome).unwrap();
    desk.ledger.submit(move |book, now| book.release(connection, session, now), done);
    receiver.recv().unwrap().unwrap();
    assert!(open(&folder.copy(), None).unwrap().records().is_empty());
}

#[test]
fn every_kind_of_session_reads_back_from_the_store_as_it_was() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap();
    let base = SessionRecord {
        id: SessionId([0; 16]),
        series: SERIES,
        key_no: u32::MAX,
        seat: Seat::Computer(ComputerId([3; 20])),
        ordinal: u64::from(u32::MAX) + 1,
        generation: 3,
        secret_hash: [0xFE; 32],
        granted: Time(-5),
        connection: Some(ConnectionId([4; 16])),
        access_code: Some("код".into()),
        asker: Asker::Desktop(ComputerId([3; 20])),
        identity: SessionIdentity::Infobase(
            InfobaseSession::new("File=\"D:\\a;b\"\"c\"", 1, Time(7), "", "", "").unwrap(),
        ),
    };
    let client = TerminalClient::new("", "Анна");
    let host = ComputerId([5; 20]);
    let terminal = SessionRecord {
        id: SessionId([1; 16]),
        seat: Seat::Terminal { host, client: client.clone() },
        asker: Asker::Terminal { host, client },
        ..base.clone()
    };
    let external = SessionRecord {
        id: SessionId([2; 16]),
        seat: Seat::Session(SessionId([2; 16])),
        connection: None,
        access_code: None,
        asker: Asker::External,
        identity: SessionIdentity::External(ExternalSession::new("a", None, "", "", "").unwrap()),
        ..base.clone()
    };
    let records = vec![base, terminal, external];
    drop(desk);
    let owner = store::own(&folder.0).unwrap();
    let mut store = Store::open(&folder.0, None, StoreId([1; 16]), Time(0)).unwrap();
    let changes: Vec<Change> = records.iter().map(|record| Change::Put(Box::new(record.clone()))).collect();
    store.commit(&changes, [], &Notes::default(), NOW).unwrap();
    assert_eq!(store.load().unwrap(), records);
    store.commit(&[Change::Delete(records[1].id, EndCause::Released)], [], &Notes::default(), NOW).unwrap();
    assert_eq!(store.load().unwrap().len(), 2);
    drop((store, owner));
    assert_eq!(open(&folder, None).unwrap().records().len(), 2);
}

#[test]
fn a_restart_brings_the_sessions_back_and_the_sequence_goes_on() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(2);
    let grant = desk.claim(1).unwrap();
    desk.claim(2).unwrap();
    let sequence = desk.ledger.sequence();
    drop(desk);
    let desk = open(&folder, None).unwrap().with_pool(2);
    assert_eq!((desk.ledger.sequence(), sequence), (2, 2));
    assert_eq!(code(desk.claim(3)), Code::AllTaken);
    let again = desk.claim(1).unwrap();
    assert_eq!((again.session, again.granted), (grant.session, Granted::TakenOver));
    assert_eq!(desk.ledger.sequence(), 3);
}

#[test]
fn what_is_queued_is_committed_before_the_ledger_closes() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(100);
    let answers: Vec<_> = (0..100).map(|number| desk.ask(number)).collect();
    drop(desk);
    assert!(answers.into_iter().all(|answer| answer.recv().unwrap().is_ok()));
    assert_eq!(open(&folder, None).unwrap().records().len(), 100);
}

#[test]
fn an_answer_about_a_grant_waits_until_the_grant_is_durable() {
    let folder = Folder::new();
    let (go, arrivals, hook) = gate();
    let desk = open(&folder, hook).unwrap().with_pool(1);
    let first = desk.ask(1);
    arrivals.recv().unwrap();
    let again = desk.ask(1);
    let refusal = desk.ask(2);
    for answer in [&first, &again, &refusal] {
        assert!(answer.try_recv().is_err(), "answered before the commit");
    }
    go.send(Ok(())).unwrap();
    let granted = first.recv().unwrap().unwrap().session;
    assert_eq!(again.recv().unwrap().unwrap().session, granted);
    assert_eq!(code(refusal.recv().unwrap()), Code::AllTaken);
    assert_eq!(desk.ask(1).try_recv().unwrap().unwrap().session, granted, "nothing to wait for any more");
}

#[test]
fn a_failed_commit_undoes_all_that_was_built_on_it_and_work_goes_on_without_a_restart() {
    let folder = Folder::new();
    let (go, arrivals, hook) = gate();
    let desk = open(&folder, hook).unwrap().with_pool(2);
    go.send(Ok(())).unwrap();
    let kept = desk.claim(1).unwrap();
    arrivals.recv().unwrap();

    let lost = desk.ask(2);
    arrivals.recv().unwrap();
    let built_on_it = [desk.ask(2), desk.ask(3)];
    go.send(Err(Error::new(Code::StoreFailed).with("no space"))).unwrap();
    for answer in built_on_it.iter().chain([&lost]) {
        assert_eq!(code(answer.recv().unwrap()), Code::StoreFailed);
    }
    until(|| desk.ledger.failing().is_none());
    assert_eq!(desk.used(), 1);
    let state = desk.ledger.read(|book, now| book.session(kept.session, now).map(|view| view.state));
    assert_eq!(state, Some(SessionState::Attached(desk.connection)));
    go.send(Ok(())).unwrap();
    assert!(desk.claim(4).is_ok());
    assert_eq!(open(&folder.copy(), None).unwrap().records(), desk.records());
}

#[test]
fn while_the_store_fails_nothing_is_granted_but_heartbeats_go_on() {
    let folder = Folder::new();
    let (broken, hook) = switch();
    let desk = open(&folder, hook).unwrap().with_pool(2);
    let kept = desk.claim(1).unwrap();
    broken.store(true, Ordering::SeqCst);
    assert_eq!(code(desk.claim(2)), Code::StoreFailed);
    assert_eq!(desk.ledger.failing().unwrap().code, Code::StoreFailed);
    assert_eq!(code(desk.ask(2).try_recv().unwrap()), Code::StoreFailed, "refused at once");
    desk.ledger.touch(|book, now| book.heartbeat(desk.connection, now)).unwrap();
    let desk = desk.with_pool(1);
    broken.store(false, Ordering::SeqCst);
    until(|| desk.ledger.failing().is_none());
    assert_eq!(code(desk.claim(2)), Code::AllTaken, "pools set meanwhile hold");
    assert_eq!(desk.claim(1).unwrap().session, kept.session);
}

#[test]
fn a_ledger_whose_store_fails_can_be_closed() {
    let folder = Folder::new();
    let (broken, hook) = switch();
    let desk = open(&folder, hook).unwrap().with_pool(2);
    broken.store(true, Ordering::SeqCst);
    assert_eq!(code(desk.claim(1)), Code::StoreFailed);
    drop(desk);
    assert!(open(&folder, None).unwrap().records().is_empty());
}

#[test]
fn leases_run_out_by_themselves_and_the_end_is_written_down() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(2);
    desk.claim(1).unwrap();
    let external = ExternalClaim {
        access_code: None,
        series: SERIES,
        identity: ExternalSession::new("phone", None, "", "", "").unwrap(),
        new_id: SessionId(desk.id()),
    };
    desk.ledger.submit(|book, now| book.claim_external(external, now), |outcome| drop(outcome.unwrap()));
    desk.clock.0.store(16 * 60 * 1000, Ordering::Relaxed);
    until(|| desk.used() == 0);
    drop(desk);
    assert!(open(&folder, None).unwrap().records().is_empty());
}

#[test]
fn a_folder_has_one_owner() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap();
    assert_eq!(open(&folder, None).err().unwrap().code, Code::StoreOwned);
    drop(desk);
    assert!(open(&folder, None).is_ok());
}

#[test]
fn a_damaged_store_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(50);
    (0..50).for_each(|number| drop(desk.claim(number).unwrap()));
    drop(desk);
    let good = fs::read(folder.store()).unwrap();
    let mut torn = good.clone();
    torn[4096 * 2..4096 * 3].fill(0xA5);
    let foreign = [b"not a database at all, but long enough to be one ".as_slice(); 100].concat();
    for bad in [Vec::new(), foreign, torn, good[..good.len() / 2].to_vec()] {
        fs::write(folder.store(), &bad).unwrap();
        assert_eq!(open(&folder, None).err().unwrap().code, Code::StoreDamaged);
        assert_eq!(fs::read(folder.store()).unwrap(), bad);
    }
    fs::write(folder.store(), &good).unwrap();
    assert_eq!(open(&folder, None).unwrap().records().len(), 50);
}

#[test]
fn a_store_that_lost_its_main_file_is_not_replaced_by_an_empty_one() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(5);
    desk.claim(1).unwrap();
    let crashed = folder.copy();
    fs::remove_file(crashed.store()).unwrap();
    assert_eq!(open(&crashed, None).err().unwrap().code, Code::StoreDamaged);
}

#[test]
fn a_record_that_makes_no_sense_is_damage_too() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(5);
    desk.claim(1).unwrap();
    drop(desk);
    let database = rusqlite::Connection::open(folder.store()).unwrap();
    database.execute("UPDATE session SET seat = 'sofa:1'", []).unwrap();
    drop(database);
    assert_eq!(open(&folder, None).err().unwrap().code, Code::StoreDamaged);
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    drop(open(&folder, None).unwrap());
    rusqlite::Connection::open(folder.store()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(folder.store()).unwrap();
    let error = open(&folder, None).err().unwrap();
    assert_eq!((error.code, error.args[1].as_str()), (Code::StoreVersion, "99"));
    assert_eq!(fs::read(folder.store()).unwrap(), before);
}

#[test]
fn many_threads_get_what_the_pool_has_and_share_their_commits() {
    const THREADS: u32 = 64;
    const EACH: u32 = 5;
    const POOL: u32 = 200;
    let folder = Folder::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = asked.clone();
    let hook: CommitHook = Arc::new(move |_| {
        // The first commit waits until all threads have asked, so that the next one has many claims to write.
        until(|| seen.load(Ordering::SeqCst) >= THREADS as usize);
        Ok(())
    });
    let desk = open(&folder, Some(hook)).unwrap().with_pool(POOL);
    let granted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (desk, asked, granted) = (&desk, &asked, &granted);
            scope.spawn(move || {
                for number in 0..EACH {
                    let answer = desk.ask(thread * EACH + number);
                    asked.fetch_add(1, Ordering::SeqCst);
                    match answer.recv().unwrap() {
                        Ok(_) => drop(granted.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => assert_eq!(error.code, Code::AllTaken),
                    }
                }
            });
        }
    });
    assert_eq!((granted.load(Ordering::SeqCst), desk.used()), (POOL as usize, u64::from(POOL)));
    assert!(desk.ledger.sequence() < u64::from(POOL), "{} commits", desk.ledger.sequence());
    assert_eq!(open(&folder.copy(), None).unwrap().records().len(), POOL as usize);
}

#[test]
fn a_completion_that_panics_or_drops_the_ledger_harms_nobody() {
    let folder = Folder::new();
    let desk = Arc::new(open(&folder, None).unwrap().with_pool(5));
    let (sender, receiver) = channel();
    let last = desk.clone();
    let external = |name: &str| ExternalClaim {
        access_code: None,
        series: SERIES,
        identity: ExternalSession::new(name, None, "", "", "").unwrap(),
        new_id: SessionId(desk.id()),
    };
    let (first, second) = (external("a"), external("b"));
    desk.ledger.submit(move |book, now| book.claim_external(first, now), |_| panic!("on purpose"));
    let (go, wait) = channel::<()>();
    desk.ledger.submit(
        move |book, now| book.claim_external(second, now),
        move |outcome| {
            let _ = wait.recv();
            drop(last);
            let _ = sender.send(outcome.is_ok());
        },
    );
    drop(desk);
    go.send(()).unwrap();
    assert!(receiver.recv().unwrap());
    until(|| open(&folder, None).is_ok_and(|desk| desk.records().len() == 2));
}
