//! The time by which periods of keys are judged: a wall clock that is set back gives no free time, and one that is set ahead by
//! mistake kills no key for ever. It owns what is remembered over restarts; it never touches leases, which run on ticks.
//!
//! *Certain* time is what was remembered, plus the time that the process has run since. Keys are judged by the later one of wall
//! clock and certain time. The wall clock becomes certain at once while it is at most a day ahead; beyond that only when it
//! has been ahead for 24 hours of running, counted over restarts, or when the vendor's centre has signed a later time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};
use crate::time::{DAY_MS, Moment, Time};

/// How far the wall clock may be ahead of certain time to be believed at once.
const BELIEVED_MS: i64 = DAY_MS;
/// How long a wall clock that is further ahead must have been so, in time that the process runs.
const PROBATION: Duration = Duration::from_hours(24);
/// A difference between the two clocks' progress that counts as a jump; what is smaller is a clock being adjusted.
const JUMP_MS: i64 = 60_000;

/// What is remembered over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Remembered {
    /// Time that has certainly passed.
    pub certain: Time,
    /// A wall clock that is ahead and not believed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Ahead>,
}

/// A wall clock that is more than a day ahead of certain time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ahead {
    /// Time that the process ran with it, in milliseconds.
    pub ran_ms: u64,
    /// The least that it was ahead in that time, in milliseconds.
    pub least_ms: i64,
    /// The most that it was ahead in that time, in milliseconds.
    pub most_ms: i64,
    /// Whether it came while the process ran, so that sessions were live.
    #[serde(default)]
    pub live: bool,
}

/// A moment at which the wall clock didn't go with the tick clock: it was set, or the machine slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Jump {
    /// The wall clock after it.
    pub at: Time,
    /// How far it went, in seconds; negative: back.
    pub seconds: i64,
}

/// What the API and the console show of the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ClockState {
    /// The wall clock.
    pub wall_time: Time,
    /// The time by which keys are judged.
    pub judged_time: Time,
    /// How far the wall clock is behind it, in seconds; 0 when it isn't.
    pub behind_seconds: u64,
    /// How far the wall clock is ahead of certain time while that isn't believed; 0 otherwise.
    pub ahead_seconds: u64,
    /// Time to run until it is believed, in seconds; 0 when there is nothing to believe.
    pub believed_in_seconds: u64,
    /// Jumps since the start.
    pub jumps: u64,
    /// The last of them.
    pub last_jump: Option<Jump>,
}

/// What one look at the clocks has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The time by which keys are judged.
    pub judged: Time,
    /// A jump since the last look.
    pub jump: Option<Jump>,
    /// What is to be remembered has changed by more than the time that passes anyway: it should be written down now.
    pub urgent: bool,
}

/// The rule with its state.
#[derive(Debug, Clone)]
pub struct Timekeeper {
    certain: Time,
    ahead: Option<Ahead>,
    last: Moment,
    jumps: u64,
    last_jump: Option<Jump>,
}

impl Timekeeper {
    /// At the start of a process, with what the last one has remembered. Without that the wall clock is believed.
    pub fn start(remembered: Option<Remembered>, now: Moment) -> (Timekeeper, Look) {
        let known = remembered.unwrap_or(Remembered { certain: now.wall, ahead: None });
        let Remembered { certain, ahead } = known;
        let mut keeper = Timekeeper { certain, ahead, last: now, jumps: 0, last_jump: None };
        // Time while nothing ran shows as a jump only when it is negative: forward it is time switched off.
        let back = now.wall.0.saturating_sub(certain.0);
        let jump = (back < -JUMP_MS).then(|| keeper.jumped(now.wall, back));
        let look = keeper.advance(now, false);
        (keeper, Look { jump, urgent: true, ..look })
    }

    /// Looks at the clocks. To be called every few seconds; each call counts the time since the last one.
    pub fn look(&mut self, now: Moment) -> Look {
        self.advance(now, true)
    }

    fn advance(&mut self, now: Moment, live: bool) -> Look {
        let ran = now.tick.since(self.last.tick);
        let moved = now.wall.0.saturating_sub(self.last.wall.plus(ran).0);
        let jump = (moved.unsigned_abs() > JUMP_MS.unsigned_abs()).then(|| self.jumped(now.wall, moved));
        self.last = Moment { wall: now.wall, tick: self.last.tick.max(now.tick) };
        let before = (self.ahead.is_some(), self.certain.plus(ran));
        self.certain = self.certain.plus(ran);
        self.believe(now.wall, ran, live);
        let leapt = self.certain.0.saturating_sub(before.1.0) > JUMP_MS;
        let urgent = jump.is_some() || leapt || before.0 != self.ahead.is_some();
        Look { judged: now.wall.max(self.certain), jump, urgent }
    }

    fn believe(&mut self, wall: Time, ran: Duration, live: bool) {
        let excess = wall.0.saturating_sub(self.certain.0);
        if excess <= BELIEVED_MS {
            self.certain = self.certain.max(wall);
            self.ahead = None;
            return;
        }
        let ahead = match self.ahead {
            Some(Ahead { ran_ms, least_ms, most_ms, live }) => {
                // A further step of a day at most is believed at once, as any: nights, with the machine switched off.
                let step = excess.saturating_sub(most_ms);
                let step = if (0..=BELIEVED_MS).contains(&step) { step } else { 0 };
                self.certain = Time(self.certain.0.saturating_add(step));
                let excess = excess.saturating_sub(step);
                let ran_ms = ran_ms.saturating_add(u64::try_from(ran.as_millis()).unwrap_or(u64::MAX));
                Ahead { ran_ms, least_ms: least_ms.clamp(0, excess), most_ms: most_ms.max(excess), live }
            }
            // The time before this look was not yet ahead.
            None => Ahead { ran_ms: 0, least_ms: excess, most_ms: excess, live },
        };
        self.ahead = Some(ahead);
        if Duration::from_millis(ahead.ran_ms) >= PROBATION {
            // What came on top of it meanwhile has a probation of its own.
            self.certain = Time(self.certain.0.saturating_add(ahead.least_ms));
            self.ahead = None;
            self.believe(wall, Duration::ZERO, ahead.live);
        }
    }

    fn jumped(&mut self, at: Time, ms: i64) -> Jump {
        let jump = Jump { at, seconds: ms / 1000 };
        self.jumps = self.jumps.saturating_add(1);
        self.last_jump = Some(jump);
        jump
    }

    /// The vendor's centre has signed that it is `time` now: that much has certainly passed.
    pub fn confirm(&mut self, time: Time) {
        self.certain = self.certain.max(time);
    }

    /// The time by which keys are judged at `now`. Changes nothing.
    pub fn judged(&self, now: Moment) -> Time {
        now.wall.max(self.certain_at(now))
    }

    /// The time that has certainly passed at `now`.
    pub fn certain_at(&self, now: Moment) -> Time {
        self.certain.plus(now.tick.since(self.last.tick))
    }

    /// Whether the wall clock is ahead and not believed.
    pub fn in_doubt(&self) -> bool {
        self.ahead.is_some()
    }

    /// Whether the wall clock is ahead since a moment at which sessions were live, and not believed: then it should end none.
    pub fn spares_sessions(&self) -> bool {
        self.ahead.is_some_and(|ahead| ahead.live)
    }

    /// What the next process should know.
    pub fn remembered(&self) -> Remembered {
        Remembered { certain: self.certain, ahead: self.ahead }
    }

    /// What is shown of it.
    pub fn state(&self, now: Moment) -> ClockState {
        let seconds = |ms: i64| u64::try_from(ms / 1000).unwrap_or(0);
        let excess = now.wall.0.saturating_sub(self.certain_at(now).0);
        let probation = self.ahead.map(|ahead| PROBATION.saturating_sub(Duration::from_millis(ahead.ran_ms)));
        ClockState {
            wall_time: now.wall,
            judged_time: self.judged(now),
            behind_seconds: if excess < -JUMP_MS { seconds(excess.saturating_neg()) } else { 0 },
            ahead_seconds: self.ahead.map_or(0, |_| seconds(excess)),
            believed_in_seconds: probation.map_or(0, |left| left.as_secs()),
            jumps: self.jumps,
            last_jump: self.last_jump,
        }
    }
}

impl ClockState {
    /// What an administrator should be told: [`Code::ClockBehind`] or [`Code::ClockAhead`].
    pub fn notice(&self) -> Option<Error> {
        if self.behind_seconds > 0 {
            return Some(Error::new(Code::ClockBehind).with(self.judged_time));
        }
        let hours = |seconds: u64| seconds.div_ceil(3600);
        (self.ahead_seconds > 0).then(|| {
            let error = Error::new(Code::ClockAhead).with(hours(self.ahead_seconds));
            error.with(hours(self.believed_in_seconds)).with(self.wall_time)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Tick;

    const HOUR: i64 = 3_600_000;
    const YEAR: i64 = 365 * DAY_MS;
    const START: Time = Time(20_000 * DAY_MS);

    /// A machine with both clocks, and a server on it that looks at them every minute.
    struct Machine {
        wall: i64,
        tick: u64,
        keeper: Timekeeper,
    }

    impl Machine {
        fn new() -> Machine {
            let now = Moment { wall: START, tick: Tick(0) };
            Machine { wall: START.0, tick: 0, keeper: Timekeeper::start(None, now).0 }
        }

        fn now(&self) -> Moment {
            Moment { wall: Time(self.wall), tick: Tick(self.tick) }
        }

        /// Runs for so long; gives the judged time since the start, in hours.
        fn run(&mut self, hours: i64) -> i64 {
            for _ in 0..hours * 60 {
                self.wall += 60_000;
                self.tick += 60_000;
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
            let json = serde_json::to_string(&self.keeper.remembered()).unwrap();
            self.wall += off_hours * HOUR;
            self.tick = 5;
            let (keeper, look) = Timekeeper::start(serde_json::from_str(&json).ok(), self.now());
            self.keeper = keeper;
            look
        }
    }

    #[test]
    fn while_nobody_sets_the_clock_keys_are_judged_by_it() {
        let mut machine = Machine::new();
        assert_eq!(machine.run(100), 100);
        let state = machine.keeper.state(machine.now());
        assert_eq!((state.jumps, state.behind_seconds, state.ahead_seconds, state.notice()), (0, 0, 0, None));
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
            assert_eq!(state.notice().map(|error| error.code), Some(Code::ClockBehind));
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
        assert_eq!(state.notice().map(|error| error.code), Some(Code::ClockAhead));
        machine.set(-2 * YEAR / HOUR);
        assert_eq!(machine.judged(), 33, "corrected in time: nothing is left of it");
        assert_eq!(machine.keeper.state(machine.now()).notice(), None);
        machine.restart(0);
        assert_eq!(machine.judged(), 33);
    }

    #[test]
    fn only_a_jump_that_live_sessions_have_seen_spares_them() {
        let mut machine = Machine::new();
        machine.set(1000);
        assert!(machine.keeper.spares_sessions());
        machine.restart(0);
        assert!(machine.keeper.spares_sessions(), "over a restart too");
        machine.run(24);
        assert!(!machine.keeper.spares_sessions());
        machine.restart(100);
        assert!(machine.keeper.in_doubt() && !machine.keeper.spares_sessions(), "nobody lives while the server is off");
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
            machine.keeper.state(machine.now()).notice();
        }
        let ahead = Some(Ahead { ran_ms: u64::MAX, least_ms: i64::MIN, most_ms: i64::MIN, live: true });
        Timekeeper::start(Some(Remembered { certain: Time(i64::MIN), ahead }), machine.now());
    }
}
