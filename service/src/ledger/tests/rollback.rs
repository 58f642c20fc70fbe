//! A store that is older than it was: found at the start, told, and nothing new granted for one lease.

use licence::accounting::Receipt;

use super::*;

/// What a power failure would leave to a copy: only the files named.
fn cut(folder: &Folder, names: &[&str]) {
    for name in names {
        let path = folder.0.join(name);
        assert!(path.exists(), "{name}");
        fs::remove_file(path).unwrap();
    }
}

fn found(desk: &Desk) -> Option<String> {
    desk.ledger.rolled_back().map(|notice| notice.cause(licence::Lang::English))
}

/// A folder with a store of one session, and what it was like when there were two, after a kill.
fn earlier_and_killed() -> (Folder, Folder) {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(5);
    desk.claim(1).unwrap();
    let earlier = folder.copy();
    desk.claim(2).unwrap();
    (earlier, folder.copy())
}

#[test]
fn a_store_that_went_back_is_found_told_and_grants_nothing_new_for_a_lease() {
    let (earlier, killed) = earlier_and_killed();
    for name in ["ledger.db", "ledger.db-wal"] {
        fs::copy(earlier.0.join(name), killed.0.join(name)).unwrap();
    }
    let desk = open(&killed, None).unwrap().with_pool(5);
    let text = found(&desk).unwrap();
    assert!(text.contains("ledger.db has 1 commits and had 2"), "{text}");
    assert_eq!(desk.ledger.sequence(), 3, "no number comes twice");
    assert_eq!(code(desk.claim(3)), Code::LedgerRolledBack);
    assert_eq!(desk.claim(1).unwrap().granted, Granted::TakenOver);
    let (sender, receiver) = channel();
    desk.ledger.acts(AuditFilter { since: None, limit: 10 }, move |acts| sender.send(acts).unwrap());
    let acts = receiver.recv().unwrap().unwrap();
    assert_eq!((acts.len(), acts[0].act.as_str()), (1, "ledger rollback"));
    // A restart begins the lease anew, and does not tell of it twice.
    desk.clock.0.store(600_000, Ordering::Relaxed);
    drop(desk);
    let mut desk = open(&killed, None).unwrap().with_pool(5);
    assert_eq!(found(&desk).unwrap(), text);
    assert_eq!(code(desk.claim(3)), Code::LedgerRolledBack);
    desk.clock.0.store(15 * 60 * 1000, Ordering::Relaxed);
    until(|| found(&desk).is_none());
    desk.connection = desk.connect();
    desk.claim(3).unwrap();
    drop(desk);
    assert_eq!(found(&open(&killed, None).unwrap()), None);
    assert_eq!(check::inspect(&killed.0).unwrap().problems, []);
}

#[test]
fn each_way_back_is_found_and_each_way_on_is_not() {
    let lost = |names: &[&str]| {
        let killed = earlier_and_killed().1;
        cut(&killed, names);
        open(&killed, None).map(|desk| (found(&desk), desk.used()))
    };
    assert_eq!(lost(&[]).unwrap(), (None, 2));
    assert!(lost(&["ledger.db-wal"]).unwrap().0.unwrap().contains("had 2"));
    assert!(lost(&["ledger.db", "ledger.db-wal"]).unwrap().0.unwrap().contains("is gone"));
    assert!(lost(&["ledger.mark"]).unwrap().0.unwrap().contains("no marks"));
    assert_eq!(lost(&["ledger.db"]).err().map(|error| error.code), Some(Code::StoreDamaged));
    assert_eq!(lost(&["ledger.mark", "ledger.db", "ledger.db-wal"]).unwrap(), (None, 0), "a fresh folder");

    // A journal that is cut is a store that went back.
    let killed = earlier_and_killed().1;
    let journal = killed.0.join("ledger.db-wal");
    let file = fs::OpenOptions::new().write(true).open(&journal).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    assert!(found(&open(&killed, None).unwrap()).unwrap().contains("has 1 commits"));
    // Another store in its place.
    let other = earlier_and_killed().1;
    fs::copy(killed.0.join(marks::FILE), other.0.join(marks::FILE)).unwrap();
    assert!(found(&open(&other, None).unwrap()).unwrap().contains("another store"));
    // What is no mark is unknown, and made anew.
    let killed = earlier_and_killed().1;
    fs::write(killed.0.join(marks::FILE), "{}").unwrap();
    assert_eq!(found(&open(&killed, None).unwrap()), None);
    assert_eq!(found(&open(&killed, None).unwrap()), None);
    assert_eq!(fs::metadata(killed.0.join(marks::FILE)).unwrap().len(), 512);
}

#[test]
fn who_was_displaced_comes_back_after_a_restart_too() {
    let (earlier, killed) = earlier_and_killed();
    for name in ["ledger.db", "ledger.db-wal"] {
        fs::copy(earlier.0.join(name), killed.0.join(name)).unwrap();
    }
    let desk = open(&killed, None).unwrap().with_pool(1);
    let former = desk.records()[0].clone();
    let receipt = Receipt {
        series: SERIES,
        session: SessionId([2; 16]),
        key_no: 7,
        seat: Seat::Session(SessionId([2; 16])),
        generation: 1,
        sequence: 2,
        secret_hash: [9; 32],
    };
    let (sender, receiver) = channel();
    let connection = desk.connection;
    let mut claim = desk.claim_of(2);
    (claim.receipt, claim.previous_secret, claim.connection) = (Some(Box::new(receipt)), Some([9; 32]), connection);
    desk.ledger.submit(move |book, now| book.claim(claim, now), move |grant| sender.send(grant).unwrap());
    assert_eq!(receiver.recv().unwrap().unwrap().session, SessionId([2; 16]));
    assert_eq!(desk.records().iter().map(|record| record.id).collect::<Vec<_>>(), [SessionId([2; 16])]);
    drop(desk);
    assert_eq!(check::inspect(&killed.0).unwrap().sessions, 1);
    let desk = open(&killed, None).unwrap().with_pool(2);
    assert_eq!(desk.used(), 1);
    assert_eq!(code(desk.claim(3)), Code::LedgerRolledBack);
    assert_eq!(desk.claim(1).unwrap().session, former.id);
    assert_eq!(desk.used(), 2);
    desk.clock.0.store(15 * 60 * 1000, Ordering::Relaxed);
    until(|| found(&desk).is_none());
    drop(desk);
    assert_eq!(open(&killed, None).unwrap().records().len(), 0, "their leases are over");
}
