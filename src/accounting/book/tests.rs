mod control;
mod limits;
mod quarantine;

use std::time::Duration;

use super::*;
use crate::accounting::control::Demands;
use crate::accounting::pool::{Pool, PoolKey};
use crate::accounting::seat::{Asker, ExternalSession, InfobaseSession, ParentSession, Seat, TerminalClient};
use crate::id::{KeyId, KeyNo, RootHash};

const SERIES: SeriesId = SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) };
const PC: ComputerId = ComputerId([7; 20]);
const SECOND: u64 = 1000;

/// A book with a clock and a counter for identifiers.
struct Desk {
    book: Book,
    tick: u64,
    made: u8,
}

fn pools(keys: &[(KeyNo, u32)]) -> Pools {
    let keys = keys.iter().map(|&(key_no, licence_count)| PoolKey { key_no, licence_count }).collect();
    Pools::from([(SERIES, Pool { keys, unusable: None })])
}

fn leases() -> Leases {
    Leases { gap: None, ..Leases::default() }
}

fn session(number: u32) -> InfobaseSession {
    InfobaseSession::new("File=/srv/base", number, Time(i64::from(number)), "Ann", "1CV8C", "PC").unwrap()
}

impl Desk {
    fn new(keys: &[(KeyNo, u32)]) -> Desk {
        let mut desk = Desk { book: Book::new(leases()), tick: 0, made: 0 };
        desk.book.set_pools(pools(keys), desk.now());
        desk
    }

    fn now(&self) -> Moment {
        Moment { wall: Time(1_000_000 + self.tick as i64), tick: Tick(self.tick) }
    }

    fn id(&mut self) -> [u8; 16] {
        self.made += 1;
        [self.made; 16]
    }

    fn connect_from(&mut self, peer: &str) -> ConnectionId {
        let id = ConnectionId(self.id());
        let info = ConnectionInfo {
            series: SERIES,
            peer: peer.parse().unwrap(),
            os_version: String::new(),
            computer_name: String::new(),
            computer: Some(PC),
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
        id
    }

    fn connect(&mut self) -> ConnectionId {
        self.connect_from("10.0.0.1")
    }

    fn wish(&mut self, connection: ConnectionId, asker: Asker, identity: InfobaseSession) -> Claim {
        let new_id = SessionId(self.id());
        let secret_hash = [self.made; 32];
        let (parent, access_code, previous_secret, demands) = (None, None, None, Demands::default());
        Claim {
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
        }
    }

    fn claim(&mut self, connection: ConnectionId, asker: Asker, number: u32) -> Result<Grant> {
        let wish = self.wish(connection, asker, session(number));
        self.book.claim(wish, self.now())
    }

    fn serve(&mut self, connection: ConnectionId, number: u32) -> Result<Grant> {
        self.claim(connection, Asker::Server, number)
    }

    fn external(&mut self, name: &str) -> Result<Grant> {
        let identity = ExternalSession::new(name, None, "", "", "").unwrap();
        let new_id = SessionId(self.id());
        self.book.claim_external(ExternalClaim { series: SERIES, identity, new_id, access_code: None }, self.now())
    }

    /// Lets time pass; the connections named go on with their heartbeats.
    fn wait(&mut self, seconds: u64, alive: &[ConnectionId]) {
        for _ in 0..seconds {
            self.tick += SECOND;
            for connection in alive {
                self.book.heartbeat(*connection, self.now()).unwrap();
            }
            self.book.expire(self.now());
        }
    }

    fn used(&self) -> u64 {
        self.book.usage(SERIES).unwrap().used
    }

    fn records(&self) -> Vec<SessionRecord> {
        self.book.sessions(self.now()).map(|view| view.record.clone()).collect()
    }
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> Code {
    result.unwrap_err().code
}

#[test]
fn sessions_of_one_computer_share_a_seat_until_the_last_one_is_released() {
    let mut desk = Desk::new(&[(1, 1)]);
    let a = desk.connect();
    let b = desk.connect();
    let first = desk.claim(a, Asker::Desktop(PC), 1).unwrap();
    let second = desk.claim(b, Asker::Desktop(PC), 2).unwrap();
    assert_eq!((first.seat, desk.used()), (Seat::Computer(PC), 1));
    assert_eq!(code(desk.claim(b, Asker::Desktop(ComputerId([8; 20])), 3)), Code::AllTaken);
    desk.book.release(a, first.session, desk.now()).unwrap();
    assert_eq!(desk.used(), 1);
    desk.book.release(b, second.session, desk.now()).unwrap();
    assert_eq!(desk.used(), 0);
    assert_eq!(code(desk.book.release(b, second.session, desk.now())), Code::SessionUnknown);
}

#[test]
fn each_server_session_takes_its_own_seat_and_the_one_too_many_is_refused() {
    let mut desk = Desk::new(&[(1, 1), (2, 1)]);
    let a = desk.connect();
    assert_eq!(desk.serve(a, 1).unwrap().key_no, 1);
    assert_eq!(desk.serve(a, 2).unwrap().key_no, 2);
    let refusal = desk.serve(a, 3).unwrap_err();
    assert_eq!((refusal.code, refusal.args), (Code::AllTaken, vec!["672B".into(), "2".into(), "2".into()]));
}

#[test]
fn a_series_without_keys_or_without_usable_keys_says_so() {
    let mut desk = Desk::new(&[]);
    let a = desk.connect();
    desk.book.set_pools(Pools::new(), desk.now());
    assert_eq!(code(desk.serve(a, 1)), Code::NoKey);
    let reason = Error::new(Code::KeyDisabled).with(5);
    let pool = Pool { keys: Vec::new(), unusable: Some(reason) };
    desk.book.set_pools(Pools::from([(SERIES, pool)]), desk.now());
    let refusal = desk.serve(a, 1).unwrap_err();
    assert_eq!(refusal.code, Code::NoUsableKey);
    assert!(refusal.cause(crate::Lang::English).contains("Key 5 was switched off"));
    assert!(refusal.cause(crate::Lang::Russian).contains("Ключ 5 отключён"));
}

#[test]
fn a_repeated_claim_is_answered_with_the_same_session_and_writes_nothing() {
    let mut desk = Desk::new(&[(1, 1)]);
    let a = desk.connect();
    let first = desk.serve(a, 1).unwrap();
    assert_eq!(desk.book.take_changes().len(), 1);
    let again = desk.serve(a, 1).unwrap();
    assert_eq!((again.session, again.granted), (first.session, Granted::Again));
    assert!(desk.book.take_changes().is_empty());
}

#[test]
fn a_session_that_goes_on_in_another_process_is_taken_over_and_the_older_holder_learns_it() {
    let mut desk = Desk::new(&[(1, 1)]);
    let (a, b) = (desk.connect(), desk.connect());
    let first = desk.serve(a, 1).unwrap();
    let taken = desk.serve(b, 1).unwrap();
    assert_eq!((taken.session, taken.generation, taken.granted), (first.session, 2, Granted::TakenOver));
    assert_eq!(code(desk.book.use_session(a, first.session, desk.now())), Code::SessionTakenOver);
    assert_eq!(code(desk.book.release(a, first.session, desk.now())), Code::SessionTakenOver);
    let beat = desk.book.heartbeat(a, desk.now()).unwrap();
    assert_eq!(beat.ended[0].1.code, Code::SessionTakenOver);
    assert!(desk.book.heartbeat(a, desk.now()).unwrap().ended.is_empty());
    assert!(desk.book.use_session(b, first.session, desk.now()).is_ok());
}

#[test]
fn a_lost_connection_leaves_orphans_that_are_held_for_the_session_lease() {
    let mut desk = Desk::new(&[(1, 1)]);
    let (a, b) = (desk.connect(), desk.connect());
    let grant = desk.serve(a, 1).unwrap();
    desk.wait(20, &[b]);
    assert_eq!(code(desk.book.heartbeat(a, desk.now())), Code::ConnectionUnknown);
    let view = desk.book.session(grant.session, desk.now()).unwrap();
    assert_eq!((view.state, view.expires.0 - desk.now().wall.0), (SessionState::Orphaned, 880_000));
    desk.wait(879, &[b]);
    assert_eq!(code(desk.serve(b, 2)), Code::AllTaken);
    desk.wait(1, &[b]);
    assert!(desk.serve(b, 2).is_ok());
    assert!(desk.book.take_changes().contains(&Change::Delete(grant.session, EndCause::Expired)));
}

#[test]
fn an_orphan_comes_back_to_the_same_identity() {
    let mut desk = Desk::new(&[(1, 1)]);
    let a = desk.connect();
    let grant = desk.serve(a, 1).unwrap();
    desk.wait(30, &[]);
    let b = desk.connect();
    assert_eq!(desk.serve(b, 1).unwrap().session, grant.session);
    desk.wait(2000, &[b]);
    assert_eq!(desk.used(), 1);
}

#[test]
fn a_shorter_grace_for_orphans_is_kept() {
    let mut desk = Desk::new(&[(1, 1)]);
    desk.book.set_leases(Leases { orphan_grace: Some(Duration::from_secs(60)), ..leases() });
    let a = desk.connect();
    desk.serve(a, 1).unwrap();
    desk.wait(79, &[]);
    assert_eq!(desk.used(), 1);
    desk.wait(1, &[]);
    assert_eq!(desk.used(), 0);
}

#[test]
fn a_session_proves_itself_by_its_secret_when_its_terminal_has_another_name() {
    let mut desk = Desk::new(&[(1, 1)]);
    let a = desk.connect();
    let thin = |name: &str| Asker::Terminal { host: PC, client: TerminalClient::new(name, "") };
    let first = desk.claim(a, thin("thin1"), 1).unwrap();
    let secret = [desk.made; 32];
    let b = desk.connect();
    let mut wish = desk.wish(b, thin("thin2"), session(1));
    assert_eq!(code(desk.book.claim(wish.clone(), desk.now())), Code::AllTaken);
    wish.previous_secret = Some([0; 32]);
    assert_eq!(code(desk.book.claim(wish.clone(), desk.now())), Code::AllTaken);
    wish.previous_secret = Some(secret);
    let grant = desk.book.claim(wish, desk.now()).unwrap();
    assert_eq!((grant.session, grant.generation), (first.session, 2));
}

#[test]
fn a_detached_seat_is_taken_back_and_given_away_only_after_two_minutes_when_the_pool_is_full() {
    let mut desk = Desk::new(&[(1, 1)]);
    let (a, b) = (desk.connect(), desk.connect());
    let grant = desk.serve(a, 1).unwrap();
    desk.book.take_changes().clear();
    desk.book.detach(a, grant.session, desk.now()).unwrap();
    let back = desk.serve(a, 1).unwrap();
    assert_eq!((back.session, back.granted), (grant.session, Granted::Again));
    desk.book.detach(a, grant.session, desk.now()).unwrap();
    assert!(desk.book.take_changes().is_empty());
    desk.wait(119, &[a, b]);
    assert_eq!(code(desk.serve(b, 2)), Code::AllTaken);
    desk.wait(1, &[a, b]);
    assert!(desk.serve(b, 2).is_ok());
    assert!(matches!(desk.book.take_changes()[..], [Change::Delete(_, EndCause::GivenAway), Change::Put(_)]));
    assert_eq!(code(desk.serve(a, 1)), Code::AllTaken);
}

#[test]
fn a_refused_claim_gives_no_seat_away() {
    let mut desk = Desk::new(&[(1, 3)]);
    let a = desk.connect();
    let grants: Vec<Grant> = (1..=3).map(|number| desk.serve(a, number).unwrap()).collect();
    desk.book.detach(a, grants[0].session, desk.now()).unwrap();
    desk.wait(60, &[a]);
    desk.book.detach(a, grants[1].session, desk.now()).unwrap();
    desk.wait(60, &[a]);
    desk.book.set_pools(pools(&[(1, 2)]), desk.now());
    assert_eq!(code(desk.serve(a, 4)), Code::AllTaken, "the one seat that may be given away is not enough");
    assert_eq!(desk.used(), 3);
}

#[test]
fn a_detached_seat_that_was_taken_back_is_not_given_away() {
    let mut desk = Desk::new(&[(1, 1)]);
    let a = desk.connect();
    let grant = desk.serve(a, 1).unwrap();
    desk.book.detach(a, grant.session, desk.now()).unwrap();
    desk.serve(a, 1).unwrap();
    desk.wait(300, &[a]);
    assert_eq!(code(desk.serve(a, 2)), Code::AllTaken);
}

#[test]
fn a_detached_seat_that_nobody_wants_is_freed_after_the_lease() {
    let mut desk = Desk::new(&[(1, 2)]);
    let (a, b) = (desk.connect(), desk.connect());
    desk.serve(a, 1).unwrap();
    desk.book.disconnect(a, desk.now());
    desk.wait(899, &[b]);
    assert_eq!(desk.used(), 1);
    desk.wait(1, &[b]);
    assert_eq!(desk.used(), 0);
}

#[test]
fn a_seat_with_one_active_session_is_not_given_away() {
    let mut desk = Desk::new(&[(1, 1)]);
    let a = desk.connect();
    let first = desk.claim(a, Asker::Desktop(PC), 1).unwrap();
    desk.claim(a, Asker::Desktop(PC), 2).unwrap();
    desk.book.detach(a, first.session, desk.now()).unwrap();
    desk.wait(200, &[a]);
    assert_eq!(code(desk.serve(a, 3)), Code::AllTaken);
}

#[test]
fn a_background_job_sits_on_its_parents_seat_and_keeps_it_when_the_parent_goes() {
    let mut desk = Desk::new(&[(1, 1)]);
    let a = desk.connect();
    let parent = desk.serve(a, 1).unwrap();
    let mut job = session(5);
    let mut wish = desk.wish(a, Asker::Server, job.clone());
    wish.parent = Some(ParentSession { number: 1, started: Time(1) });
    assert_eq!(code(desk.book.claim(wish.clone(), desk.now())), Code::AllTaken, "only a job has a parent");
    job.application = "BackgroundJob".into();
    wish.identity = job.clone();
    let grant = desk.book.claim(wish.clone(), desk.now()).unwrap();
    assert_eq!((&grant.seat, desk.used()), (&parent.seat, 1));

    let mut other = desk.wish(a, Asker::Server, job);
    other.identity.number = 6;
    for wrong in [(9, 1), (1, 2), (6, 5)] {
        other.parent = Some(ParentSession { number: wrong.0, started: Time(wrong.1) });
        assert_eq!(code(desk.book.claim(other.clone(), desk.now())), Code::AllTaken, "{wrong:?}");
    }
    other.parent = Some(ParentSession { number: 1, started: Time(1) });
    other.identity.infobase = "File=/srv/other".parse().unwrap();
    assert_eq!(code(desk.book.claim(other, desk.now())), Code::AllTaken);

    desk.book.release(a, parent.session, desk.now()).unwrap();
    assert_eq!(desk.used(), 1);
    desk.book.release(a, grant.session, desk.now()).unwrap();
    assert_eq!(desk.used(), 0);
}

#[test]
fn an_external_session_lives_by_its_own_requests() {
    let mut desk = Desk::new(&[(1, 1)]);
    let first = desk.external("phone").unwrap();
    assert_eq!(first.granted, Granted::New);
    desk.wait(800, &[]);
    let again = desk.external("phone").unwrap();
    assert_eq!((again.session, again.granted), (first.session, Granted::Again));
    desk.wait(800, &[]);
    assert_eq!(code(desk.external("tablet")), Code::AllTaken);
    desk.wait(100, &[]);
    assert!(desk.external("tablet").is_ok());
}

#[test]
fn when_the_pool_shrinks_the_latest_seats_end_at_their_next_heartbeat() {
    let mut desk = Desk::new(&[(1, 3)]);
    let (a, b) = (desk.connect(), desk.connect());
    let grants: Vec<Grant> = (1..=3).map(|number| desk.serve(a, number).unwrap()).collect();
    desk.book.set_pools(pools(&[(1, 1)]), desk.now());
    assert_eq!(desk.used(), 3, "nothing ends by itself");
    assert_eq!(code(desk.serve(b, 9)), Code::AllTaken);
    desk.book.take_changes().clear();
    let ended = desk.book.heartbeat(a, desk.now()).unwrap().ended;
    let told: HashSet<SessionId> = ended.iter().map(|(id, _)| *id).collect();
    assert_eq!(told, HashSet::from([grants[1].session, grants[2].session]));
    assert!(ended.iter().all(|(_, error)| error.code == Code::SessionEnding));
    assert!(desk.book.take_changes().is_empty(), "a heartbeat writes nothing");
    assert_eq!(code(desk.book.use_session(a, grants[2].session, desk.now())), Code::SessionEnding);
    desk.book.expire(desk.now());
    assert_eq!((desk.book.take_changes().len(), desk.used()), (2, 1));
}

#[test]
fn a_connection_holds_a_seat_while_one_of_its_sessions_has_one_that_stays() {
    let mut desk = Desk::new(&[(1, 2)]);
    let (first, second) = (desk.connect(), desk.connect());
    let grant = desk.serve(first, 1).unwrap();
    let holds = |desk: &mut Desk, connection| desk.book.holds_seat(connection, desk.now());
    assert_eq!((holds(&mut desk, first), holds(&mut desk, second)), (Ok(true), Ok(false)));
    desk.serve(second, 2).unwrap();
    desk.book.set_pools(pools(&[(1, 1)]), desk.now());
    assert_eq!((holds(&mut desk, first), holds(&mut desk, second)), (Ok(true), Ok(false)), "the second is ending");
    desk.book.release(first, grant.session, desk.now()).unwrap();
    assert_eq!(holds(&mut desk, first), Ok(false));
    assert_eq!(code(holds(&mut desk, ConnectionId([0xEE; 16]))), Code::ConnectionUnknown);
}

#[test]
fn a_seat_that_is_ending_stays_when_the_pool_grows_again_before_its_heartbeat() {
    let mut desk = Desk::new(&[(1, 2)]);
    let a = desk.connect();
    desk.serve(a, 1).unwrap();
    desk.serve(a, 2).unwrap();
    desk.book.set_pools(pools(&[(1, 1)]), desk.now());
    desk.book.set_pools(pools(&[(1, 2)]), desk.now());
    assert!(desk.book.heartbeat(a, desk.now()).unwrap().ended.is_empty());
    desk.book.expire(desk.now());
    assert_eq!(desk.used(), 2);
}

#[test]
fn seats_of_a_vanished_key_move_to_keys_with_room_and_the_move_is_written_down() {
    let mut desk = Desk::new(&[(1, 2), (2, 1)]);
    let a = desk.connect();
    let grant = desk.serve(a, 1).unwrap();
    desk.book.take_changes().clear();
    desk.book.set_pools(pools(&[(2, 1)]), desk.now());
    assert_eq!(desk.book.session(grant.session, desk.now()).unwrap().record.key_no, 2);
    assert!(matches!(&desk.book.take_changes()[..], [Change::Put(record)] if record.key_no == 2));
    desk.book.set_pools(Pools::new(), desk.now());
    assert_eq!(desk.book.heartbeat(a, desk.now()).unwrap().ended[0].1.code, Code::SessionEnding);
}

#[test]
fn a_session_dropped_by_the_administrator_tells_its_holder_so() {
    let mut desk = Desk::new(&[(1, 1)]);
    let a = desk.connect();
    let grant = desk.serve(a, 1).unwrap();
    desk.book.drop_session(grant.session, desk.now()).unwrap();
    assert_eq!(code(desk.book.use_session(a, grant.session, desk.now())), Code::SessionDropped);
    assert_eq!(desk.book.heartbeat(a, desk.now()).unwrap().ended[0].1.code, Code::SessionDropped);
    assert_eq!(code(desk.book.drop_session(grant.session, desk.now())), Code::RecordNotFound);
    assert!(desk.serve(a, 1).is_ok());
}

#[test]
fn a_restart_brings_every_session_back_with_its_lease_in_full() {
    let mut desk = Desk::new(&[(1, 2)]);
    let a = desk.connect();
    let grant = desk.serve(a, 1).unwrap();
    desk.external("phone").unwrap();
    desk.book = Book::restore(leases(), desk.records(), desk.now());
    assert!(desk.book.take_changes().is_empty());
    desk.book.set_pools(pools(&[(1, 2)]), desk.now());
    assert_eq!(code(desk.book.heartbeat(a, desk.now())), Code::ConnectionUnknown);
    let b = desk.connect();
    assert_eq!(code(desk.serve(b, 2)), Code::AllTaken);
    desk.wait(899, &[b]);
    assert_eq!(desk.serve(b, 1).unwrap().session, grant.session);
    desk.wait(1, &[b]);
    assert_eq!(desk.used(), 1, "the external session's lease ran out");
}

#[test]
fn after_a_failed_write_the_book_is_as_the_store_has_it_and_connections_go_on() {
    let mut desk = Desk::new(&[(1, 2)]);
    let (a, b) = (desk.connect(), desk.connect());
    let kept = desk.serve(a, 1).unwrap();
    let stored = desk.records();
    let lost = desk.serve(a, 2).unwrap();
    desk.serve(b, 1).unwrap();
    desk.book.reload(stored, desk.now());
    assert!(desk.book.take_changes().is_empty());
    let beat = desk.book.heartbeat(a, desk.now()).unwrap();
    assert!(beat.ended.iter().any(|(id, error)| *id == lost.session && error.code == Code::SessionUnknown));
    let view = desk.book.session(kept.session, desk.now()).unwrap();
    assert_eq!((view.state, view.record.generation, desk.used()), (SessionState::Orphaned, 1, 1));
    assert_eq!(desk.serve(a, 1).unwrap().session, kept.session);

    let stored = desk.records();
    desk.book.reload(stored, desk.now());
    assert_eq!(desk.book.session(kept.session, desk.now()).unwrap().state, SessionState::Attached(a));
    assert!(desk.book.use_session(a, kept.session, desk.now()).is_ok());
}

#[test]
fn time_that_the_process_stood_still_does_not_count() {
    let mut desk = Desk::new(&[(1, 1)]);
    desk.book.set_leases(Leases::default());
    let a = desk.connect();
    desk.serve(a, 1).unwrap();
    for hours in [1, 100] {
        desk.tick += hours * 3600 * SECOND;
        desk.book.expire(desk.now());
        assert!(desk.book.heartbeat(a, desk.now()).is_ok());
    }
    // Who is really gone ends after his lease as ever.
    for _ in 0..=920 {
        desk.tick += SECOND;
        desk.book.expire(desk.now());
    }
    assert_eq!(desk.used(), 0);
}

#[test]
fn a_computer_seen_from_several_addresses_is_flagged() {
    let mut desk = Desk::new(&[(1, 1)]);
    let flagged = |desk: &Desk| desk.book.connections(desk.now()).filter(|view| view.several_addresses).count();
    desk.connect_from("127.0.0.1");
    desk.connect_from("10.0.0.1");
    desk.connect_from("::ffff:10.0.0.1");
    assert_eq!(flagged(&desk), 0);
    desk.connect_from("10.0.0.2");
    assert_eq!(flagged(&desk), 4);
    desk.wait(20, &[]);
    desk.connect_from("10.0.0.3");
    assert_eq!(flagged(&desk), 0);
}

#[test]
fn the_next_deadline_is_never_later_than_what_happens_next() {
    let mut desk = Desk::new(&[(1, 1)]);
    assert_eq!(desk.book.next_deadline(), None);
    let a = desk.connect();
    assert_eq!(desk.book.next_deadline(), Some(Tick(20 * SECOND)));
    desk.serve(a, 1).unwrap();
    desk.wait(20, &[]);
    assert_eq!(desk.book.next_deadline(), Some(Tick(900 * SECOND)));
    desk.wait(880, &[]);
    assert_eq!(desk.book.next_deadline(), None);
}
