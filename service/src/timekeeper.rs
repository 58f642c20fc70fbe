//! The keeper of the time by which keys are judged: the rule of `accounting::clock` over this machine's clocks, and its small file
//! `clock.state`. A file that is missing or damaged hinders nobody: then the clock is believed.

use std::path::Path;
use std::sync::Arc;

use licence::accounting::clock::{Jump, Look, REMEMBERED_EVERY, Remembered, Standstill};
use licence::accounting::{ClockState, Timekeeper as Rule};
use licence::error::{Code, Error, Result};
use licence::host::files;
use licence::time::{Clock, Tick, Time};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::folder::DataFolder;

/// Name of the file in the data folder.
pub const FILE: &str = "clock.state";
const KIND: &str = "SLK-CLOCK";
const VERSION: u32 = 1;
const LIMIT: u64 = 64 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    #[serde(rename = "Type")]
    kind: String,
    version: u32,
    #[serde(flatten)]
    remembered: Remembered,
}

/// The keeper.
pub struct Timekeeper {
    clock: Arc<dyn Clock>,
    folder: Arc<DataFolder>,
    state: Mutex<State>,
}

struct State {
    rule: Rule,
    /// When the file was written last; `None` when it must be tried again.
    saved: Option<Tick>,
    /// Whether a failure to write it was told.
    told: bool,
    judged: Time,
}

/// What a round has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// The time by which keys are judged.
    pub now: Time,
    /// It went back since the last round: a mistake was corrected.
    pub went_back: bool,
    /// The time that has certainly passed, while a wall clock is further ahead and not believed: it ends no session.
    pub certain: Option<Time>,
}

impl Timekeeper {
    /// Begins with what the data folder remembers.
    pub fn start(folder: Arc<DataFolder>, clock: Arc<dyn Clock>) -> Timekeeper {
        let remembered = read(&folder.path().join(FILE)).unwrap_or_else(|error| {
            log::error!("{error} The clock is believed as it is.");
            None
        });
        let (rule, look) = Rule::start(remembered, clock.now(), clock.uptime());
        tell(&look);
        let state = Mutex::new(State { rule, saved: None, told: false, judged: look.judged });
        let keeper = Timekeeper { clock, folder, state };
        keeper.save(&mut keeper.state.lock(), false);
        keeper
    }

    /// The time by which the keys of a data folder are judged now, without writing anything down.
    pub fn judged(folder: &Path, clock: &dyn Clock) -> Time {
        let remembered = read(&folder.join(FILE)).unwrap_or_default();
        Rule::start(remembered, clock.now(), clock.uptime()).1.judged
    }

    /// Looks at the clocks and writes down what should be remembered. Called every few seconds.
    pub fn look(&self) -> Round {
        let mut state = self.state.lock();
        let now = self.clock.now();
        let look = state.rule.look(now);
        tell(&look);
        let due = state.saved.is_none_or(|saved| now.tick.since(saved) >= REMEMBERED_EVERY);
        if due || look.urgent {
            self.save(&mut state, false);
        }
        let went_back = look.judged < state.judged;
        state.judged = look.judged;
        Round { now: look.judged, went_back, certain: state.rule.in_doubt().then(|| state.rule.certain_at(now)) }
    }

    /// The time by which keys are judged.
    pub fn now(&self) -> Time {
        self.state.lock().rule.judged(self.clock.now())
    }

    /// The vendor's centre has signed that it is `time` now.
    pub fn confirm(&self, time: Time) {
        let mut state = self.state.lock();
        state.rule.confirm(time);
        self.save(&mut state, false);
    }

    /// What is shown of the clock.
    pub fn shown(&self) -> ClockState {
        self.state.lock().rule.state(self.clock.now())
    }

    /// Writes down what should be remembered, for the process ends. A later look takes that back.
    pub fn stop(&self) {
        self.look();
        self.save(&mut self.state.lock(), true);
    }

    fn save(&self, state: &mut State, ended: bool) {
        let remembered = state.rule.remembered(self.clock.uptime(), ended);
        let document = Document { kind: KIND.into(), version: VERSION, remembered };
        let written = serde_json::to_string_pretty(&document)
            .map_err(|e| Error::new(Code::Internal).with(e))
            .and_then(|text| self.folder.write(FILE, text.as_bytes()));
        match written {
            Ok(()) => (state.saved, state.told) = (Some(self.clock.now().tick), false),
            Err(error) => {
                if !std::mem::replace(&mut state.told, true) {
                    log::error!("the time can't be remembered: {error}");
                }
                state.saved = None;
            }
        }
    }
}

fn read(path: &Path) -> Result<Option<Remembered>> {
    let Some(text) = files::read_text_if_there(path, LIMIT)? else { return Ok(None) };
    let damaged = |e| Error::new(Code::DocumentDamaged).with(path.display()).with(e);
    let document: Document = serde_json::from_str(&text).map_err(damaged)?;
    if document.kind != KIND || document.version != VERSION {
        return Err(Error::new(Code::DocumentVersion).with(path.display()).with(document.version));
    }
    Ok(Some(document.remembered))
}

fn tell(look: &Look) {
    if let Some(Standstill { at, seconds }) = look.standstill {
        log::warn!("the process stood still for {seconds} s until {at}; leases are extended");
    }
    if let Some(Jump { at, seconds }) = look.jump {
        log::warn!("the clock jumped by {seconds} s to {at}; keys are judged by {}", look.judged);
    }
}
