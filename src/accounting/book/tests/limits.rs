use super::*;
use crate::accounting::limit::SeatLimits;

fn limits(per_address: u64, per_computer: u64) -> SeatLimits {
    SeatLimits { per_address, per_computer, unlimited: vec!["10.0.9.0/24".parse().unwrap()] }
}

#[test]
fn one_address_does_not_take_every_seat_that_is_free() {
    let mut desk = Desk::new(&[(1, 9)]);
    desk.book.set_limits(limits(2, 0));
    let (a, same, other, server) = (
        desk.connect_from("10.0.0.1"),
        desk.connect_from("::ffff:10.0.0.1"),
        desk.connect_from("10.0.0.2"),
        desk.connect_from("10.0.9.1"),
    );
    let first = desk.serve(a, 1).unwrap();
    desk.serve(same, 2).unwrap();
    let refused = desk.serve(a, 3).unwrap_err();
    assert_eq!(
        (refused.code, &refused.args[1..]),
        (Code::AddressAtLimit, &["10.0.0.1", "2", "2"].map(String::from)[..])
    );
    assert_eq!(desk.serve(a, 1).unwrap().granted, Granted::Again, "a seat that one has is nobody's to refuse");
    assert!(desk.serve(other, 4).is_ok());
    for number in 5..8 {
        assert!(desk.serve(server, number).is_ok(), "a network without limits");
    }
    let denials = desk.book.take_denials();
    assert_eq!((denials.len(), denials[0].error.code, desk.book.denied()), (1, Code::AddressAtLimit, 1));
    desk.book.release(a, first.session, desk.now()).unwrap();
    assert!(desk.serve(same, 3).is_ok());
}

#[test]
fn sessions_that_share_a_seat_count_once() {
    let mut desk = Desk::new(&[(1, 9)]);
    desk.book.set_limits(limits(1, 1));
    let a = desk.connect();
    for number in 1..5 {
        assert!(desk.claim(a, Asker::Desktop(PC), number).is_ok());
    }
    assert_eq!(desk.used(), 1);
    assert_eq!(code(desk.serve(a, 5)), Code::AddressAtLimit);
}

#[test]
fn a_computer_has_its_limit_whatever_its_address_and_a_full_pool_is_told_first() {
    let mut desk = Desk::new(&[(1, 2)]);
    desk.book.set_limits(limits(0, 1));
    let (a, b) = (desk.connect_from("10.0.0.1"), desk.connect_from("10.0.0.2"));
    desk.serve(a, 1).unwrap();
    assert_eq!(code(desk.serve(b, 2)), Code::ComputerAtLimit, "both connections name one computer");
    let other = Asker::Desktop(ComputerId([8; 20]));
    desk.claim(b, other.clone(), 2).unwrap();
    assert_eq!(code(desk.serve(a, 3)), Code::AllTaken);
}

#[test]
fn who_holds_more_than_a_lowered_limit_keeps_it_and_gets_no_more() {
    let mut desk = Desk::new(&[(1, 9)]);
    let a = desk.connect();
    let grants: Vec<Grant> = (1..5).map(|number| desk.serve(a, number).unwrap()).collect();
    desk.book.set_limits(limits(2, 0));
    desk.wait(60, &[a]);
    assert_eq!((desk.used(), code(desk.serve(a, 5))), (4, Code::AddressAtLimit), "counted while the limit was off");
    for grant in &grants[..3] {
        desk.book.release(a, grant.session, desk.now()).unwrap();
    }
    assert!(desk.serve(a, 5).is_ok());
}

#[test]
fn after_a_restart_a_seat_counts_for_nobody_until_its_holder_comes_back() {
    let mut desk = Desk::new(&[(1, 9)]);
    desk.book.set_limits(limits(2, 0));
    let a = desk.connect();
    (1..3).for_each(|number| drop(desk.serve(a, number).unwrap()));
    desk.book = Book::restore(leases(), desk.records(), desk.now());
    desk.book.set_limits(limits(2, 0));
    desk.book.set_pools(pools(&[(1, 9)]), desk.now());
    let (b, other) = (desk.connect(), desk.connect_from("10.0.0.2"));
    assert_eq!(desk.serve(b, 1).unwrap().granted, Granted::TakenOver);
    assert!(desk.serve(b, 3).is_ok(), "nobody knows whose the other one is");
    assert_eq!(desk.serve(b, 2).unwrap().granted, Granted::TakenOver, "his seat comes back above the limit");
    assert_eq!(code(desk.serve(b, 4)), Code::AddressAtLimit);
    // A session that goes on elsewhere takes its seat along.
    assert_eq!(desk.serve(other, 1).unwrap().granted, Granted::TakenOver);
    assert_eq!(desk.serve(other, 3).unwrap().granted, Granted::TakenOver);
    assert!(desk.serve(b, 4).is_ok());
    assert_eq!(code(desk.serve(other, 5)), Code::AddressAtLimit);
}

#[test]
fn a_failed_write_forgets_nobodys_seats() {
    let mut desk = Desk::new(&[(1, 9)]);
    desk.book.set_limits(limits(2, 0));
    let a = desk.connect();
    (1..3).for_each(|number| drop(desk.serve(a, number).unwrap()));
    desk.book.reload(desk.records(), desk.now());
    assert_eq!(code(desk.serve(a, 3)), Code::AddressAtLimit);
    desk.book.check_tables();
}

#[test]
fn external_sessions_are_under_no_limit() {
    let mut desk = Desk::new(&[(1, 9)]);
    desk.book.set_limits(limits(1, 1));
    for name in ["a", "b", "c"] {
        assert!(desk.external(name).is_ok(), "an account with a password asks for them");
    }
}
