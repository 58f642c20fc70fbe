//! The time by which periods of keys are judged: a wall clock that is set back gives no free time, and one that is set ahead by
//! mistake kills no key for ever. It owns what is remembered over restarts; it never touches leases, which run on ticks.
//!
//! *Certain* time is what was remembered, plus the time that the process has run since. Keys are judged by the later one of wall
//! clock and certain time. The wall clock becomes certain at once while it is at most a day ahead; beyond that only when it
//! has been ahead for 24 hours of running, counted over restarts, or when the vendor's centre has signed a later time.
//!
//! What passed between two processes is known from the system's own count as long as the system wasn't restarted. After a restart
//! of the system a process that had not ended properly may have run up to [`REMEMBERED_EVERY`] longer than is written down:
//! that much counts as passed, so that ending it again and again makes no time.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};
use crate::time::{DAY_MS, Moment, Time, Uptime};

/// How far the wall clock may be ahead of certain time to be believed at once.
const BELIEVED_MS: i64 = DAY_MS;
/// How long a wall clock that is further ahead must have been so, in time that the process runs.
const PROBATION: Duration = Duration::from_hours(24);
/// A difference between the two clocks' progress that counts as a jump; what is smaller is a clock being adjusted.
const JUMP_MS: i64 = 60_000;
/// A time between two looks that shows that the process was stopped: looks come every few seconds.
const STILL: Duration = Duration::from_secs(15);
/// How long people are told of a jump or a standstill.
const TOLD: Duration = Duration::from_hours(24);
/// How often passing time is written down at least.
pub const REMEMBERED_EVERY: Duration = Duration::from_mins(1);

/// What is remembered over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Remembered {
    /// Time that has certainly passed.
    pub certain: Time,
    /// A wall clock that is ahead and not believed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Ahead>,
    /// The system's count when this was written down, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<Uptime>,
    /// Whether it was the last thing that its process has written: then nothing is missing in it.
    #[serde(default)]
    pub ended: bool,
}

impl Remembered {
    /// Certain time at the start of the next process.
    fn certain_at(&self, wall: Time, uptime: Option<Uptime>) -> Time {
        let known = self.uptime.zip(uptime).and_then(|(then, now)| now.since(then));
        let unknown = self.certain.plus(REMEMBERED_EVERY);
        match known {
            Some(passed) => self.certain.plus(passed),
            None if !self.ended && wall < unknown => unknown,
            None => self.certain,
        }
    }

    /// The doubt at the start of the next process. A process that had not ended properly ran longer than is written down: it
    /// counts as far as the system shows it, so that ending one again and again doesn't keep a doubt for ever.
    fn ahead_at(&self, uptime: Option<Uptime>) -> Option<Ahead> {
        let passed = self.uptime.zip(uptime).and_then(|(then, now)| now.since(then));
        let unwritten = passed.filter(|_| !self.ended).unwrap_or_default().min(REMEMBERED_EVERY);
        self.ahead.map(|ahead| Ahead { ran_ms: ahead.ran_ms.saturating_add(milliseconds(unwritten)), ..ahead })
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
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
}

/// A moment at which the wall clock didn't go with the tick clock: it was set, or the machine slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Jump {
    /// The wall clock after it.
    pub at: Time,
    /// How far it went, in seconds; negative: back.
    pub seconds: i64,
}

/// A time in which the process did nothing: it was stopped, or the machine had none for it. Leases are extended by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Standstill {
    /// The wall clock after it.
    pub at: Time,
    /// How long it was, in seconds.
    pub seconds: u64,
}

/// What the API and the console show of the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// How often the process stood still since the start.
    pub standstills: u64,
    /// The last time.
    pub last_standstill: Option<Standstill>,
}

/// What one look at the clocks has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The time by which keys are judged.
    pub judged: Time,
    /// A jump since the last look.
    pub jump: Option<Jump>,
    /// Whether the process stood still since then.
    pub standstill: Option<Standstill>,
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
    standstills: u64,
    last_standstill: Option<Standstill>,
}

impl Timekeeper {
    /// At the start of a process, with what the last one has remembered. Without that the wall clock is believed.
    pub fn start(remembered: Option<Remembered>, now: Moment, uptime: Option<Uptime>) -> (Timekeeper, Look) {
        let certain = remembered.as_ref().map_or(now.wall, |known| known.certain_at(now.wall, uptime));
        let ahead = remembered.and_then(|known| known.ahead_at(uptime));
        let mut keeper =
            Timekeeper { certain, ahead, last: now, jumps: 0, last_jump: None, standstills: 0, last_standstill: None };
        // Time while nothing ran shows as a jump only when it is negative: forward it is time switched off.
        let back = now.wall.0.saturating_sub(certain.0);
        let jump = (back < -JUMP_MS).then(|| keeper.jumped(now.wall, back));
        let look = keeper.look(now);
        (keeper, Look { jump, urgent: true, ..look })
    }

    /// Looks at the clocks. To be called every few seconds; each call counts the time since the last one.
    pub fn look(&mut self, now: Moment) -> Look {
        let ran = now.tick.since(self.last.tick);
        let moved = now.wall.0.saturating_sub(self.last.wall.plus(ran).0);
        let jump = (moved.unsigned_abs() > JUMP_MS.unsigned_abs()).then(|| self.jumped(now.wall, moved));
        let standstill = (ran >= STILL).then(|| self.stood_still(now.wall, ran));
        self.last = Moment { wall: now.wall, tick: self.last.tick.max(now.tick) };
        let before = (self.ahead.is_some(), self.certain.plus(ran));
        self.certain = self.certain.plus(ran);
        self.believe(now.wall, ran);
        let leapt = self.certain.0.saturating_sub(before.1.0) > JUMP_MS;
        let urgent = jump.is_some() || leapt || before.0 != self.ahead.is_some();
        Look { judged: now.wall.max(self.certain), jump, standstill, urgent }
    }

    fn believe(&mut self, wall: Time, ran: Duration) {
        let excess = wall.0.saturating_sub(self.certain.0);
        if excess <= BELIEVED_MS {
            self.certain = self.certain.max(wall);
            self.ahead = None;
            return;
        }
        let ahead = match self.ahead {
            Some(Ahead { ran_ms, least_ms, most_ms }) => {
                // A further step of a day at most is believed at once, as any: nights, with the machine switched off.
                let step = excess.saturating_sub(most_ms);
                let step = if (0..=BELIEVED_MS).contains(&step) { step } else { 0 };
                self.certain = Time(self.certain.0.saturating_add(step));
                let excess = excess.saturating_sub(step);
                let ran_ms = ran_ms.saturating_add(milliseconds(ran));
                Ahead { ran_ms, least_ms: least_ms.clamp(0, excess), most_ms: most_ms.max(excess) }
            }
            // The time before this look was not yet ahead.
            None => Ahead { ran_ms: 0, least_ms: excess, most_ms: excess },
        };
        self.ahead = Some(ahead);
        if Duration::from_millis(ahead.ran_ms) >= PROBATION {
            // What came on top of it meanwhile has a probation of its own.
            self.certain = Time(self.certain.0.saturating_add(ahead.least_ms));
            self.ahead = None;
            self.believe(wall, Duration::ZERO);
        }
    }

    fn jumped(&mut self, at: Time, ms: i64) -> Jump {
        let jump = Jump { at, seconds: ms / 1000 };
        self.jumps = self.jumps.saturating_add(1);
        self.last_jump = Some(jump);
        jump
    }

    fn stood_still(&mut self, at: Time, span: Duration) -> Standstill {
        let standstill = Standstill { at, seconds: span.as_secs() };
        self.standstills = self.standstills.saturating_add(1);
        self.last_standstill = Some(standstill);
        standstill
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

    /// Whether the wall clock is ahead and not believed: then it ends no session, neither one that lives nor one that the store
    /// brings back at a start. Nobody gains time by it, for certain time goes on as long as anything runs.
    pub fn in_doubt(&self) -> bool {
        self.ahead.is_some()
    }

    /// What the next process should know, by the last look; `ended` when this process writes nothing more.
    pub fn remembered(&self, uptime: Option<Uptime>, ended: bool) -> Remembered {
        Remembered { certain: self.certain, ahead: self.ahead, uptime, ended }
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
            standstills: self.standstills,
            last_standstill: self.last_standstill,
        }
    }
}

impl ClockState {
    /// What an administrator should be told: [`Code::ClockBehind`] or [`Code::ClockAhead`], and for a day
    /// [`Code::ClockJumped`] and [`Code::ProcessStopped`].
    pub fn notices(&self) -> Vec<Error> {
        let hours = |seconds: u64| seconds.div_ceil(3600);
        let mut notices = Vec::new();
        if self.behind_seconds > 0 {
            notices.push(Error::new(Code::ClockBehind).with(self.judged_time));
        } else if self.ahead_seconds > 0 {
            let error = Error::new(Code::ClockAhead).with(hours(self.ahead_seconds));
            notices.push(error.with(hours(self.believed_in_seconds)).with(self.wall_time));
        }
        let is_told = |at: Time| self.wall_time < at.plus(TOLD);
        if let Some(Jump { at, seconds }) = self.last_jump.filter(|jump| is_told(jump.at)) {
            notices.push(Error::new(Code::ClockJumped).with(seconds).with(at));
        }
        if let Some(Standstill { at, seconds }) = self.last_standstill.filter(|standstill| is_told(standstill.at)) {
            notices.push(Error::new(Code::ProcessStopped).with(seconds).with(at));
        }
        notices
    }
}

#[cfg(test)]
mod tests;
