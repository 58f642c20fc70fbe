use super::*;
use crate::time::Tick;

const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * DAY_MS;
const START: Time = Time(20_000 * DAY_MS);

/// A machine with both clocks, and a server on it that looks at them every ten seconds.
struct Machine {
    wall: i64,
    tick: u64,
    keeper: Timekeeper,
    uptime: Option<Uptime>,
}

impl Machine {
    fn new() -> Machine {
        let now = Moment { wall: START, tick: Tick(0) };
        Machine { wall: START.0, tick: 0, keeper: Timekeeper::start(None, now, None).0, uptime: None }
    }

    fn now(&self) -> Moment {
        Moment { wall: Time(self.wall), tick: Tick(self.tick) }
    }

    /// Runs for so long; gives the judged time since the start, in hours.
    fn run(&mut self, hours: i64) -> i64 {
        for _ in 0..hours * 360 {
            self.wall += 10_000;
            self.tick += 10_000;
            let look = self.keeper.look(self.now());
            assert_eq!(look.judged, self.keeper.judged(self.now()));
        }
        self.judged()
    }

    fn judged(&self) -> i64 {
        (self.keeper.judged(self.now()).0 - START.0) / HOUR
    }

    /// Somebody sets the clock.
    fn set(&mut self, hours: i64) -> Look {
        self.wall += hours * HOUR;
        self.keeper.look(self.now())
    }

    /// The process ends, the machine is off for a while, a new process begins.
    fn restart(&mut self, off_hours: i64) -> Look {
        self.start_again(off_hours, true)
    }

    fn start_again(&mut self, off_hours: i64, ended: bool) -> Look {
        let json = serde_json::to_string(&self.keeper.remembered(self.uptime, ended)).unwrap();
        self.wall += off_hours * HOUR;
        self.tick = 5;
        let (keeper, look) = Timekeeper::start(serde_json::from_str(&json).ok(), self.now(), self.uptime);
        self.keeper = keeper;
        look
    }
}

fn codes(state: &ClockState) -> Vec<Code> {
    state.notices().into_iter().map(|notice| notice.code).collect()
}

#[test]
fn while_nobody_sets_the_clock_keys_are_judged_by_it() {
    let mut machine = Machine::new();
    assert_eq!(machine.run(100), 100);
    let state = machine.keeper.state(machine.now());
    assert_eq!((state.jumps, state.behind_seconds, state.ahead_seconds, state.notices()), (0, 0, 0, Vec::new()));
}

#[test]
fn a_clock_set_back_by_hours_or_years_gives_no_free_time() {
    for back in [5 * HOUR, 10 * YEAR] {
        let mut machine = Machine::new();
        machine.run(10);
        let look = machine.set(-back / HOUR);
        assert_eq!(look.jump.map(|jump| jump.seconds), Some(-back / 1000));
        assert_eq!((machine.judged(), machine.run(7)), (10, 17), "it goes on from where it was");
        let state = machine.keeper.state(machine.now());
        assert_eq!((state.behind_seconds, state.jumps), ((back / 1000) as u64, 1));
        assert_eq!(codes(&state), [Code::ClockBehind, Code::ClockJumped]);
        machine.restart(0);
        assert_eq!(machine.run(1), 18, "after a restart too");
        machine.set(back / HOUR);
        assert_eq!((machine.judged(), machine.keeper.state(machine.now()).behind_seconds), (18, 0));
    }
}

#[test]
fn a_clock_set_ahead_by_years_by_mistake_kills_no_key_for_ever() {
    let mut machine = Machine::new();
    machine.run(10);
    assert!(machine.set(2 * YEAR / HOUR).jump.is_some());
    assert_eq!(machine.judged(), 10 + 2 * YEAR / HOUR, "keys are judged by it at once");
    machine.run(23);
    let state = machine.keeper.state(machine.now());
    assert_eq!((state.believed_in_seconds, state.ahead_seconds), (3600, (2 * YEAR / 1000) as u64));
    assert_eq!(codes(&state), [Code::ClockAhead, Code::ClockJumped]);
    machine.set(-2 * YEAR / HOUR);
    assert_eq!(machine.judged(), 33, "corrected in time: nothing is left of it");
    assert_eq!(codes(&machine.keeper.state(machine.now())), [Code::ClockJumped]);
    machine.restart(0);
    assert_eq!(machine.judged(), 33);
}

#[test]
fn a_clock_is_in_doubt_whether_it_went_ahead_under_a_process_or_between_two() {
    let mut machine = Machine::new();
    machine.set(1000);
    assert!(machine.keeper.in_doubt());
    machine.restart(0);
    assert!(machine.keeper.in_doubt(), "over a restart too");
    machine.run(24);
    assert!(!machine.keeper.in_doubt());
    machine.restart(100);
    assert!(machine.keeper.in_doubt(), "set while nothing ran");
    machine.run(24);
    assert!(!machine.keeper.in_doubt());
}

#[test]
fn restarts_with_a_clock_ahead_prolong_neither_the_doubt_nor_what_is_certain() {
    for (ended, uptime) in [(true, false), (true, true), (false, true)] {
        let mut machine = Machine::new();
        let mut passed = 1000;
        machine.uptime = uptime.then_some(Uptime { boot: 7, passed_ms: passed });
        machine.start_again(0, true);
        machine.set(2 * YEAR / HOUR);
        let certain = machine.keeper.certain_at(machine.now()).0;
        // Each process lives for fifty seconds; one that is killed has written nothing of them.
        let lives = 24 * 3600 / 50;
        for _ in 0..=lives {
            let written = serde_json::to_string(&machine.keeper.remembered(machine.uptime, false)).unwrap();
            for _ in 0..5 {
                machine.wall += 10_000;
                machine.tick += 10_000;
                machine.keeper.look(machine.now());
            }
            passed += 50_000;
            let then = uptime.then_some(Uptime { boot: 7, passed_ms: passed });
            machine.uptime = then;
            let written = match ended {
                true => serde_json::to_string(&machine.keeper.remembered(then, true)).unwrap(),
                false => written,
            };
            machine.tick = 5;
            machine.keeper = Timekeeper::start(serde_json::from_str(&written).ok(), machine.now(), then).0;
        }
        assert!(!machine.keeper.in_doubt(), "a day of running: {ended} {uptime}");
        let gone = machine.keeper.certain_at(machine.now()).0 - certain;
        assert!(gone >= 2 * YEAR, "{ended} {uptime}: {gone}");
    }
}

#[test]
fn a_clock_that_stays_ahead_for_a_day_of_running_is_believed() {
    let mut machine = Machine::new();
    machine.set(1000);
    machine.run(23);
    assert!(machine.keeper.in_doubt());
    machine.run(1);
    assert!(!machine.keeper.in_doubt());
    machine.set(-1000);
    assert_eq!(machine.judged(), 1024, "what was believed stays passed");
}

#[test]
fn hours_ahead_are_believed_at_once() {
    let mut machine = Machine::new();
    let look = machine.set(5);
    assert!(look.urgent && look.jump.is_some() && !machine.keeper.in_doubt());
    machine.set(-5);
    assert_eq!((machine.judged(), machine.run(1)), (5, 6));
}

#[test]
fn the_day_of_running_is_counted_over_restarts() {
    let mut machine = Machine::new();
    machine.run(1);
    // Switched off over a long weekend, then on for 9 hours of each day.
    for day in 0..2 {
        machine.restart(if day == 0 { 63 } else { 15 });
        assert!(machine.keeper.in_doubt());
        machine.run(9);
    }
    machine.restart(15);
    machine.run(6);
    assert!(!machine.keeper.in_doubt());
    machine.set(-YEAR / HOUR);
    assert_eq!(machine.judged(), 1 + 63 + 9 + 15 + 9 + 15 + 6);
}

#[test]
fn of_a_mistake_that_was_corrected_in_part_only_the_lasting_part_is_believed() {
    let mut machine = Machine::new();
    machine.set(2 * YEAR / HOUR);
    machine.run(20);
    machine.set(-2 * YEAR / HOUR + 72);
    machine.run(4);
    assert!(!machine.keeper.in_doubt());
    machine.set(-72);
    assert_eq!(machine.judged(), 24 + 72);
}

#[test]
fn a_stopped_process_counts_the_time_it_was_stopped() {
    let mut machine = Machine::new();
    machine.run(1);
    machine.wall += 50 * HOUR;
    machine.tick += 50 * HOUR as u64;
    let look = machine.keeper.look(machine.now());
    assert_eq!((look.jump, machine.judged(), machine.keeper.in_doubt()), (None, 51, false));
    assert_eq!(look.standstill.map(|standstill| standstill.seconds), Some(50 * 3600));
    let state = machine.keeper.state(machine.now());
    assert_eq!(codes(&state), [Code::ProcessStopped]);
    machine.set(-40);
    assert_eq!(machine.judged(), 51);
}

#[test]
fn a_machine_that_slept_is_judged_by_the_time_it_woke_up_at() {
    let mut machine = Machine::new();
    machine.run(1);
    // Ticks stand still in sleep.
    machine.wall += 8 * HOUR;
    let look = machine.keeper.look(machine.now());
    assert_eq!((look.jump.map(|jump| jump.seconds), machine.judged()), (Some(8 * 3600), 9));
    assert!(!machine.keeper.in_doubt());
    machine.wall += 100 * HOUR;
    machine.keeper.look(machine.now());
    assert_eq!((machine.judged(), machine.keeper.in_doubt()), (109, true));
    machine.run(24);
    assert_eq!((machine.judged(), machine.keeper.in_doubt()), (133, false));
}

#[test]
fn setting_the_clock_to_and_fro_makes_no_time_and_no_free_time() {
    let mut machine = Machine::new();
    for _ in 0..20 {
        machine.set(-100_000);
        machine.run(1);
        machine.set(100_000);
        machine.run(1);
    }
    assert_eq!((machine.judged(), machine.keeper.in_doubt()), (40, false));
}

#[test]
fn a_time_that_the_centre_signed_is_certain() {
    let mut machine = Machine::new();
    machine.set(1000);
    machine.keeper.confirm(Time(START.0 + 999 * HOUR));
    machine.keeper.look(machine.now());
    assert!(!machine.keeper.in_doubt());
    machine.set(-1000);
    assert_eq!(machine.judged(), 1000);
}

#[test]
fn extreme_times_do_not_panic() {
    let mut machine = Machine::new();
    for wall in [i64::MAX, i64::MIN, 0, i64::MAX] {
        machine.wall = wall;
        machine.keeper.look(machine.now());
        machine.keeper.state(machine.now()).notices();
    }
    let ahead = Some(Ahead { ran_ms: u64::MAX, least_ms: i64::MIN, most_ms: i64::MIN });
    for certain in [Time(i64::MIN), Time(i64::MAX)] {
        let uptime = Some(Uptime { boot: 1, passed_ms: u64::MAX });
        let remembered = Remembered { certain, ahead, uptime: Some(Uptime { boot: 1, passed_ms: 0 }), ended: false };
        Timekeeper::start(Some(remembered), machine.now(), uptime);
    }
}

#[test]
fn a_process_that_is_killed_again_and_again_with_the_clock_set_back_gains_no_time() {
    let mut machine = Machine::new();
    let before = machine.wall;
    for _ in 0..600 {
        // Nearly a minute passes unwritten, then the machine is switched off; somebody sets the clock to what it was.
        machine.wall = before;
        machine.start_again(0, false);
    }
    assert_eq!(machine.judged(), 10);
}

#[test]
fn a_crash_alone_moves_no_time() {
    let mut machine = Machine::new();
    machine.run(5);
    machine.wall += 120_000;
    machine.start_again(0, false);
    let state = machine.keeper.state(machine.now());
    assert_eq!((state.wall_time, state.behind_seconds), (state.judged_time, 0));
}

#[test]
fn time_between_two_processes_counts_by_the_system_as_long_as_it_runs() {
    let mut machine = Machine::new();
    machine.uptime = Some(Uptime { boot: 7, passed_ms: 1000 });
    machine.run(5);
    let passed = |hours: i64| Some(Uptime { boot: 7, passed_ms: 1000 + (hours * HOUR) as u64 });
    let json = serde_json::to_string(&machine.keeper.remembered(machine.uptime, false)).unwrap();
    machine.wall -= 3 * HOUR;
    let start =
        |uptime| Timekeeper::start(serde_json::from_str(&json).ok(), machine.now(), uptime).0.judged(machine.now());
    assert_eq!((start(passed(2)).0 - START.0) / HOUR, 7);
    let other = Some(Uptime { boot: 8, passed_ms: u64::MAX });
    assert_eq!(start(other).0 - START.0, 5 * HOUR + 60_000, "another boot");
    assert_eq!(start(Some(Uptime { boot: 7, passed_ms: 0 })).0 - START.0, 5 * HOUR + 60_000, "a snapshot went back");
}
