//! What is kept for people: refusals, usage over time, acts.

use licence::accounting::denial::{DAILY_SHARE, KEPT, SeatKind};
use licence::accounting::history::{Grain, Seen};
use licence::time::DAY_MS;
use std::net::IpAddr;

use super::*;

const ALL: DenialFilter = DenialFilter { series: None, since: None, limit: u32::MAX };

fn ask<T: Send + 'static>(query: impl FnOnce(Box<dyn FnOnce(Result<T, Error>) + Send + 'static>)) -> Result<T, Error> {
    let (sender, receiver) = channel();
    query(Box::new(move |found| sender.send(found).unwrap()));
    receiver.recv().unwrap()
}

impl Desk {
    fn denials(&self) -> Vec<Denial> {
        ask(|done| self.ledger.denials(ALL, done)).unwrap()
    }

    fn history(&self, grain: Grain) -> Vec<Interval> {
        let filter =
            HistoryFilter { series: None, grain, from: Time(i64::MIN), until: Time(i64::MAX), limit: u32::MAX };
        ask(|done| self.ledger.history(filter, done)).unwrap()
    }

    fn acts(&self) -> Vec<AuditEntry> {
        ask(|done| self.ledger.acts(AuditFilter { since: None, limit: u32::MAX }, done)).unwrap()
    }

    /// Moves the clock and waits until the timer has looked at it.
    fn advance(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
        let now = self.clock.now().tick;
        until(|| {
            let state = self.ledger.shared.state.lock();
            now.since(state.sampled) < history::SAMPLED_EVERY
        });
    }
}

fn act(object: &str) -> AuditEntry {
    AuditEntry {
        at: Time(5),
        user: "admin".into(),
        address: Some([192, 0, 2, 7].into()),
        act: "DELETE /api/sessions/{ID}".into(),
        object: object.into(),
        status: 404,
        error: Some(Error::new(Code::RecordNotFound).with(object)),
    }
}

/// Counts the commits of a store.
fn counting() -> (Arc<AtomicUsize>, Option<CommitHook>) {
    let commits = Arc::new(AtomicUsize::new(0));
    let seen = commits.clone();
    let hook: CommitHook = Arc::new(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    (commits, Some(hook))
}

#[test]
fn a_refusal_is_kept_with_who_asked_and_how_often_and_costs_no_commit_of_its_own() {
    let folder = Folder::new();
    let (commits, hook) = counting();
    let desk = open(&folder, hook).unwrap().with_pool(1);
    desk.claim(1).unwrap();
    for _ in 0..500 {
        assert_eq!(code(desk.claim(2)), Code::AllTaken);
    }
    let external = ExternalClaim {
        access_code: None,
        series: SERIES,
        identity: ExternalSession::new("phone", None, "Борис", "app", "").unwrap(),
        new_id: SessionId(desk.id()),
    };
    let peer = Some([192, 0, 2, 9].into());
    desk.ledger.submit(
        move |book, now| book.claim_external_from(external, peer, now),
        |outcome| assert_eq!(code(outcome), Code::AllTaken),
    );
    assert_eq!(commits.load(Ordering::SeqCst), 1, "the grant alone");
    let sequence = desk.ledger.sequence();
    let mut denials = desk.denials();
    assert_eq!(desk.ledger.sequence(), sequence, "clients see no other sequence");
    denials.sort_by_key(|denial| denial.count);
    let [phone, again] = &denials[..] else { panic!("{denials:?}") };
    assert_eq!((again.error.code, again.count, again.held, again.total), (Code::AllTaken, 500, 1, 1));
    let who = &again.applicant;
    assert_eq!((who.user.as_str(), who.application.as_str(), who.computer.as_str()), ("Анна", "1CV8C", "PC"));
    assert_eq!((who.kind, who.address), (SeatKind::Server, Some([10, 0, 0, 1].into())));
    assert_eq!((phone.applicant.kind, phone.applicant.address), (SeatKind::External, peer));
}

#[test]
fn refusals_of_a_day_are_counted_on_across_flushes_and_restarts() {
    let folder = Folder::new();
    for run in 1..=3 {
        let desk = open(&folder, None).unwrap().with_pool(0);
        desk.clock.0.store(run, Ordering::SeqCst);
        assert!(desk.claim(1).is_err());
        if run == 2 {
            assert_eq!(desk.denials()[0].count, 2);
        }
    }
    let desk = open(&folder, None).unwrap();
    let denials = desk.denials();
    let [one] = &denials[..] else { panic!("{denials:?}") };
    assert_eq!((one.count, one.first, one.last), (3, Time(1_000_001), Time(1_000_003)));
    let none = ask(|done| desk.ledger.denials(DenialFilter { series: Some(KeyId(1)), ..ALL }, done));
    assert_eq!(none.unwrap(), []);
    let none = ask(|done| desk.ledger.denials(DenialFilter { since: Some(Time(1_000_004)), ..ALL }, done));
    assert_eq!(none.unwrap(), []);
}

#[test]
fn refusals_are_written_after_some_seconds_without_a_grant() {
    let folder = Folder::new();
    let (commits, hook) = counting();
    let desk = open(&folder, hook).unwrap().with_pool(0);
    assert!(desk.claim(1).is_err());
    assert_eq!(commits.load(Ordering::SeqCst), 0);
    desk.clock.0.store(5_000, Ordering::SeqCst);
    until(|| commits.load(Ordering::SeqCst) == 1);
    until(|| !desk.ledger.shared.state.lock().writing && open(&folder.copy(), None).unwrap().denials().len() == 1);
}

#[test]
fn refusals_are_bounded_by_number_and_age_and_the_oldest_go_first() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(0);
    assert!(desk.claim(1).is_err());
    let mut sample = desk.denials().remove(0);
    // Of nobody's address, so that they are nobody's share.
    sample.applicant.address = None;
    for flush in 0..KEPT / 1000 + 2 {
        for number in 0..1000 {
            let last = 2_000_000 + i64::try_from(flush * 1000 + number).unwrap();
            sample.applicant.user = last.to_string();
            (sample.first, sample.last) = (Time(last), Time(last));
            desk.ledger.note_denial(sample.clone());
        }
        desk.denials();
    }
    let denials = desk.denials();
    assert_eq!(denials.len(), KEPT);
    assert_eq!(denials[0].last, sample.last);
    // The first one is of another client, who has no more than his share.
    assert_eq!(denials[KEPT - 2].last, Time(sample.last.0 - KEPT as i64 + 2));
    assert!(denials[KEPT - 1].applicant.address.is_some());
    drop(desk);
    // Time goes on in steps that a typo can't make.
    let store = Store::open(&folder.0, None, StoreId([1; 16]), Time(0)).unwrap();
    store
        .query(|connection| connection.execute("UPDATE counter SET value = ?1 WHERE name = 'trimmed'", [200 * DAY_MS]))
        .unwrap();
    drop(store);
    let desk = open(&folder, None).unwrap();
    desk.clock.0.store(201 * DAY_MS as u64, Ordering::SeqCst);
    desk.ledger.audit(act("x"));
    assert!(desk.denials().is_empty());
}

#[test]
fn no_flood_of_one_address_or_account_drives_out_the_records_of_others() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(0);
    assert!(desk.claim(1).is_err());
    let mut sample = desk.denials().remove(0);
    let mut note = |network: u16, number: usize, at: i64| {
        sample.applicant.address =
            Some(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, number as u16 % 7).into());
        sample.applicant.user = number.to_string();
        (sample.first, sample.last) = (Time(at), Time(at));
        desk.ledger.note_denial(sample.clone());
    };
    for number in 0..50 {
        note(1, number, 10 * DAY_MS);
    }
    for day in 11..11 + i64::try_from(KEPT / DAILY_SHARE).unwrap() + 3 {
        for number in 0..DAILY_SHARE + 10 {
            note(2, number, day * DAY_MS);
        }
        desk.denials();
    }
    let denials = desk.denials();
    let of = |network: u16| {
        let ours = |one: &&Denial| matches!(one.applicant.address, Some(IpAddr::V6(ip)) if ip.segments()[3] == network);
        denials.iter().filter(ours).collect::<Vec<_>>()
    };
    assert_eq!((denials.len(), of(1).len()), (KEPT, 50), "the first ones are all there");
    let several = of(2).into_iter().filter(|one| one.applicant.kind == SeatKind::Several);
    assert!(several.map(|one| one.count).sum::<u64>() >= 200, "and what was too much is counted");
    assert!(of(2).iter().all(|one| one.last.0 > 11 * DAY_MS), "the oldest of who had too many");

    for number in 0..3 {
        desk.ledger.audit(AuditEntry { user: "анна".into(), ..act(&number.to_string()) });
    }
    desk.denials();
    drop(desk);
    let store = Store::open(&folder.0, None, licence::id::StoreId([7; 16]), Time(0)).unwrap();
    let flood = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100050)
        INSERT INTO audit (at, user, address, act, object, status, error)
        SELECT 5, 'vera', '', 'x', '', 403, NULL FROM n";
    store.query(|connection| connection.execute(flood, [])).unwrap();
    store.query(|connection| connection.execute("DELETE FROM counter WHERE name = 'trimmed'", [])).unwrap();
    drop(store);
    let desk = open(&folder, None).unwrap();
    desk.ledger.audit(act("last"));
    let acts = ask(|done| desk.ledger.acts(AuditFilter { since: None, limit: u32::MAX }, done)).unwrap();
    assert_eq!(acts.iter().filter(|act| act.user == "анна").count(), 3);
    assert!((99_999..=100_001).contains(&acts.len()), "{}", acts.len());
}

#[test]
fn a_clock_set_years_ahead_keeps_what_was_kept() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(0);
    assert!(desk.claim(1).is_err());
    assert_eq!(desk.denials().len(), 1);
    desk.clock.0.store(10 * 365 * DAY_MS as u64, Ordering::SeqCst);
    desk.ledger.audit(act("x"));
    assert_eq!(desk.denials().len(), 1);
}

#[test]
fn usage_is_kept_as_mean_and_peak_of_three_grains_and_a_restart_counts_nothing_twice() {
    let folder = Folder::new();
    let hour = Grain::Hour.span() as u64;
    {
        let desk = open(&folder, None).unwrap().with_pool(4);
        // The clock of the test begins 1000 seconds after 1970; go to the beginning of an hour.
        desk.advance(hour - 1_000_000);
        desk.history(Grain::Day);
    }
    let base = open(&folder, None).unwrap().history(Grain::Day)[0].seen;
    assert_eq!(base.samples, 1);
    let desk = open(&folder, None).unwrap().with_pool(4);
    let mut desk = desk;
    desk.clock.0.store(hour - 1_000_000, Ordering::SeqCst);
    desk.connection = desk.connect();
    desk.claim(1).unwrap();
    desk.claim(2).unwrap();
    let gone = desk.claim(3).unwrap().session;
    desk.ledger.touch(|book, now| book.release(desk.connection, gone, now)).unwrap();
    desk.advance(10_000);
    desk.history(Grain::FiveMinutes);
    desk.advance(10_000);
    drop(desk);

    let desk = open(&folder, None).unwrap();
    let five = desk.history(Grain::FiveMinutes);
    let last = five.last().unwrap();
    assert_eq!((last.start, last.series), (Time(hour as i64), SERIES));
    assert_eq!(last.seen.mean_total(), 4.0);
    assert_eq!(last.seen.used_peak, 3, "the peak between two samples too");
    let sum = |grain| {
        desk.history(grain).iter().fold(Seen::default(), |mut sum, part| {
            sum.add(part.seen);
            sum
        })
    };
    assert_eq!(sum(Grain::FiveMinutes), sum(Grain::Hour));
    assert_eq!(sum(Grain::Hour), sum(Grain::Day));
    let seen = last.seen;
    assert!((2..=4).contains(&seen.samples), "{seen:?}");
}

#[test]
fn five_minutes_are_written_when_they_are_over() {
    let folder = Folder::new();
    let (commits, hook) = counting();
    let desk = open(&folder, hook).unwrap().with_pool(4);
    desk.advance(10_000);
    assert_eq!(commits.load(Ordering::SeqCst), 0);
    desk.advance(300_000);
    until(|| commits.load(Ordering::SeqCst) == 1);
}

#[test]
fn an_act_is_on_disk_at_once_and_reads_back_as_it_was() {
    let folder = Folder::new();
    let (commits, hook) = counting();
    let desk = open(&folder, hook).unwrap();
    let local = AuditEntry { address: None, error: None, status: 0, user: "й".repeat(1000), ..act("second") };
    desk.ledger.audit(act("first"));
    desk.ledger.audit(local.clone());
    until(|| commits.load(Ordering::SeqCst) > 0);
    let acts = desk.acts();
    assert_eq!(acts, [AuditEntry { user: "й".repeat(256), ..local }, act("first")]);
    assert_eq!(open(&folder.copy(), None).unwrap().acts(), acts);
}

#[test]
fn notes_that_could_not_be_written_are_written_once_when_the_store_takes_them() {
    let folder = Folder::new();
    let (broken, hook) = switch();
    let desk = open(&folder, hook).unwrap().with_pool(0);
    assert!(desk.claim(1).is_err());
    broken.store(true, Ordering::SeqCst);
    desk.ledger.audit(act("while it breaks"));
    until(|| desk.ledger.failing().is_some());
    desk.ledger.audit(act("while it fails"));
    assert_eq!(code(ask(|done| desk.ledger.denials(ALL, done))), Code::StoreFailed);
    broken.store(false, Ordering::SeqCst);
    until(|| desk.ledger.failing().is_none());
    desk.clock.0.fetch_add(60_000, Ordering::SeqCst);
    let objects: Vec<String> = desk.acts().into_iter().map(|act| act.object).collect();
    assert_eq!(objects, ["while it fails", "while it breaks"]);
    assert_eq!(desk.denials()[0].count, 1);
}

#[test]
fn a_grant_does_not_fail_again_and_again_with_notes_that_do_not_fit() {
    let folder = Folder::new();
    // A commit of notes alone fails, one with a change goes through.
    let hook: CommitHook = Arc::new(|changes| match changes {
        0 => Err(Error::new(Code::StoreFailed).with("no space")),
        _ => Ok(()),
    });
    let broken = Arc::new(AtomicBool::new(false));
    let armed = broken.clone();
    let once: CommitHook = Arc::new(move |changes| match armed.swap(false, Ordering::SeqCst) {
        true => hook(changes),
        false => Ok(()),
    });
    let desk = open(&folder, Some(once)).unwrap().with_pool(5);
    broken.store(true, Ordering::SeqCst);
    desk.ledger.audit(act("a"));
    until(|| !broken.load(Ordering::SeqCst) && desk.ledger.failing().is_none());
    until(|| desk.ledger.shared.state.lock().acts.len() == 1);
    for number in 0..5 {
        desk.claim(number).unwrap();
    }
    assert_eq!(desk.ledger.shared.state.lock().acts.len(), 1, "still waiting");
    drop(desk);
    assert_eq!(open(&folder, None).unwrap().acts().len(), 1, "written when the ledger closes");
}

#[test]
fn too_many_questions_at_once_are_refused() {
    let folder = Folder::new();
    let (go, arrivals, hook) = gate();
    let desk = open(&folder, hook).unwrap().with_pool(1);
    let grant = desk.ask(1);
    arrivals.recv().unwrap();
    let (sender, receiver) = channel();
    for _ in 0..=MAX_QUERIES {
        let sender = sender.clone();
        desk.ledger.denials(ALL, move |found| sender.send(found.map(|_| ())).unwrap());
    }
    assert_eq!(code(receiver.recv().unwrap()), Code::Busy);
    go.send(Ok(())).unwrap();
    grant.recv().unwrap().unwrap();
    assert!((0..MAX_QUERIES).all(|_| receiver.recv().unwrap().is_ok()));
}
