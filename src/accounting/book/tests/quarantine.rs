//! After the store went back: who gets a seat again, and who has to wait.

use super::*;
use crate::accounting::receipt::Receipt;

/// A session that was granted after the last commit that the store had, which was number 10.
fn receipt(number: u8, sequence: u64) -> Receipt {
    Receipt {
        series: SERIES,
        session: SessionId([number; 16]),
        key_no: 1,
        seat: Seat::Session(SessionId([number; 16])),
        generation: 2,
        sequence,
        secret_hash: [number; 32],
    }
}

impl Desk {
    /// The same desk after a start over a store that went back: it has what the book has now.
    fn rolled_back(mut self, keys: &[(KeyNo, u32)]) -> Desk {
        let mut records = self.records();
        records.sort_by_key(|record| record.ordinal);
        self.book = Book::restore(leases(), records, self.now());
        self.book.quarantine(10, Vec::new(), self.now());
        self.book.set_pools(pools(keys), self.now());
        self
    }

    fn resume(&mut self, number: u8, receipt: Receipt, secret: [u8; 32]) -> Result<Grant> {
        let connection = self.connect();
        let mut claim = self.wish(connection, Asker::Server, session(number.into()));
        (claim.receipt, claim.previous_secret) = (Some(Box::new(receipt)), Some(secret));
        self.book.claim(claim, self.now())
    }

    fn comes_back(&mut self, number: u8) -> Result<Grant> {
        self.resume(number, receipt(number, 11), [number; 32])
    }
}

#[test]
fn nothing_new_is_granted_for_one_lease_and_everything_after_it() {
    let mut desk = Desk::new(&[(1, 3)]);
    let connection = desk.connect();
    desk.serve(connection, 1).unwrap();
    let mut desk = desk.rolled_back(&[(1, 3)]);
    let other = desk.connect();
    let refused = desk.serve(other, 2).unwrap_err();
    assert_eq!(refused.code, Code::LedgerRolledBack);
    assert_eq!(refused.args, ["672B".to_owned(), Time(1_000_000 + 900_000).to_string()]);
    assert_eq!(code(desk.external("phone")), Code::LedgerRolledBack);
    assert_eq!(desk.book.denied(), 2);
    assert!(desk.serve(other, 1).is_ok(), "the store has this one");
    let wish = desk.wish(other, Asker::Server, session(3));
    assert!(desk.book.find_key(wish, desk.now()).is_ok(), "no seat is taken");
    desk.wait(899, &[other]);
    assert_eq!(code(desk.serve(other, 2)), Code::LedgerRolledBack);
    desk.wait(1, &[other]);
    assert_eq!(desk.book.quarantined_until(desk.now()), None);
    assert!(desk.book.take_changes().contains(&Change::QuarantineEnded));
    assert!(desk.serve(other, 2).is_ok() && desk.external("phone").is_ok());
}

#[test]
fn a_standstill_extends_the_quarantine() {
    let mut desk = Desk::new(&[(1, 1)]).rolled_back(&[(1, 1)]);
    desk.book.set_leases(Leases::default());
    desk.tick += 3_600_000;
    let connection = desk.connect();
    assert_eq!(code(desk.serve(connection, 1)), Code::LedgerRolledBack);
}

#[test]
fn a_receipt_that_is_later_than_the_store_gives_the_same_seat_again() {
    let mut desk = Desk::new(&[]).rolled_back(&[(7, 1), (1, 1)]);
    let grant = desk.comes_back(9).unwrap();
    assert_eq!((grant.session, grant.generation, grant.key_no), (SessionId([9; 16]), 3, 1));
    assert_eq!(grant.granted, Granted::TakenOver);
    // Again, as after an answer that was lost.
    assert_eq!(desk.comes_back(9).unwrap().session, grant.session);
    assert_eq!(desk.comes_back(8).unwrap().key_no, 7, "on another key where its own is full");
    assert_eq!(code(desk.comes_back(6)), Code::AllTaken);
    assert_eq!(desk.used(), 2);
}

#[test]
fn a_receipt_proves_nothing_without_its_secret_or_when_the_store_would_know() {
    let mut desk = Desk::new(&[]).rolled_back(&[(1, 5)]);
    assert_eq!(code(desk.resume(9, receipt(9, 10), [9; 32])), Code::LedgerRolledBack, "the store would have it");
    assert_eq!(code(desk.resume(9, receipt(9, 11), [8; 32])), Code::LedgerRolledBack, "another secret");
    let other = SeriesId { key_id: KeyId(1), ..SERIES };
    let foreign = Receipt { series: other, ..receipt(9, 11) };
    assert_eq!(code(desk.resume(9, foreign, [9; 32])), Code::LedgerRolledBack, "another series");
    assert_eq!(desk.used(), 0);
    // What was given back is not taken again.
    let grant = desk.comes_back(9).unwrap();
    let holder = desk.book.session(grant.session, desk.now()).unwrap().record.connection.unwrap();
    desk.book.release(holder, grant.session, desk.now()).unwrap();
    assert_eq!(code(desk.comes_back(9)), Code::LedgerRolledBack);
}

#[test]
fn who_was_not_heard_makes_room_and_comes_back_all_the_same() {
    let mut desk = Desk::new(&[(1, 2)]);
    let connection = desk.connect();
    let [first, second] = [1, 2].map(|number| desk.serve(connection, number).unwrap());
    let mut desk = desk.rolled_back(&[(1, 2)]);
    let [former, later] = [desk.connect(), desk.connect()];
    assert_eq!(desk.serve(later, 2).unwrap().session, second.session);
    // The first one was not heard yet, so it makes way for one who certainly works.
    assert!(desk.comes_back(9).is_ok());
    let displaced = |change: &Change| *change == Change::Delete(first.session, EndCause::Displaced);
    assert!(desk.book.take_changes().iter().any(displaced));
    assert_eq!(code(desk.comes_back(8)), Code::AllTaken, "who was heard stays");
    // It was at work after all, and gets its own session again as soon as there is room.
    assert_eq!(code(desk.serve(former, 1)), Code::AllTaken);
    desk.book.drop_session(second.session, desk.now()).unwrap();
    assert_eq!(desk.serve(former, 1).unwrap().session, first.session);
    assert_eq!(code(desk.serve(later, 2)), Code::LedgerRolledBack);
    assert_eq!(desk.used(), 2);
    desk.book.check_tables();
}

#[test]
fn a_session_comes_back_once_whatever_it_calls_itself() {
    let mut desk = Desk::new(&[(1, 1)]);
    let connection = desk.connect();
    let first = desk.serve(connection, 1).unwrap();
    let mut desk = desk.rolled_back(&[(1, 1)]);
    assert!(desk.comes_back(9).is_ok());
    desk.book.set_pools(pools(&[(1, 3)]), desk.now());
    // The displaced session by its receipt, as another one, and then as itself.
    let own = Receipt { session: first.session, seat: first.seat.clone(), ..receipt(7, 11) };
    assert_eq!(desk.resume(5, own, [7; 32]).unwrap().session, first.session);
    let connection = desk.connect();
    assert_eq!(code(desk.serve(connection, 1)), Code::LedgerRolledBack);
    assert_eq!(desk.used(), 2);
    desk.book.check_tables();
}

#[test]
fn a_session_joins_a_seat_that_was_heard_and_no_other() {
    let mut desk = Desk::new(&[(1, 1)]);
    let connection = desk.connect();
    desk.claim(connection, Asker::Desktop(PC), 1).unwrap();
    let mut desk = desk.rolled_back(&[(1, 1)]);
    let connection = desk.connect();
    assert_eq!(code(desk.claim(connection, Asker::Desktop(PC), 2)), Code::LedgerRolledBack);
    desk.claim(connection, Asker::Desktop(PC), 1).unwrap();
    desk.claim(connection, Asker::Desktop(PC), 2).unwrap();
    assert_eq!(desk.used(), 1);
}

#[test]
fn a_session_whose_secret_has_changed_since_shows_it_by_its_receipt() {
    let mut desk = Desk::new(&[(1, 1)]);
    let connection = desk.connect();
    let terminal = |client| Asker::Terminal { host: PC, client: TerminalClient::new(client, "") };
    let granted = desk.claim(connection, terminal("a"), 1).unwrap();
    let mut desk = desk.rolled_back(&[(1, 1)]);
    let connection = desk.connect();
    let mut claim = desk.wish(connection, terminal("b"), session(1));
    assert_eq!(code(desk.book.claim(claim.clone(), desk.now())), Code::LedgerRolledBack);
    let receipt = Receipt { session: granted.session, generation: 1, ..receipt(9, 3) };
    (claim.receipt, claim.previous_secret) = (Some(Box::new(receipt)), Some([9; 32]));
    assert_eq!(desk.book.claim(claim, desk.now()).unwrap().session, granted.session);
}

#[test]
fn what_could_not_be_written_down_is_as_it_was() {
    let mut desk = Desk::new(&[(1, 1)]);
    let connection = desk.connect();
    let first = desk.serve(connection, 1).unwrap();
    let mut desk = desk.rolled_back(&[(1, 1)]);
    let stored = desk.records();
    desk.comes_back(9).unwrap();
    // Neither the displacement nor the return was written.
    desk.book.reload(stored, desk.now());
    desk.book.reload_displaced(Vec::new());
    assert!(desk.book.session(first.session, desk.now()).is_some());
    assert_eq!(desk.comes_back(9).unwrap().session, SessionId([9; 16]));
    // Written, and the end of the quarantine not.
    let (stored, displaced) = (desk.records(), vec![]);
    drop(desk.book.take_changes());
    desk.wait(901, &[]);
    desk.book.reload(stored, desk.now());
    desk.book.reload_displaced(displaced);
    assert_eq!(desk.book.take_changes(), [Change::QuarantineEnded]);
}
