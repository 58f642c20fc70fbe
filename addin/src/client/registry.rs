//! The series that this process has started. Objects of 1C come and go by the dozen; those that ask for the same series with
//! the same parameters share its connections and sessions. The last one to go ends it, with its thread.

use std::ops::Deref;
use std::sync::{Arc, Mutex, Weak};

use licence::error::Result;
use licence::settings::Endpoint;

use super::connection::Wanted;
use super::heartbeat::Heartbeat;
use super::series::Series;
use super::{Net, locked};

static STARTED: Mutex<Vec<Weak<Started>>> = Mutex::new(Vec::new());

/// A series in use by at least one object.
pub struct Started {
    series: Arc<Series>,
    heartbeat: Mutex<Option<Heartbeat>>,
}

/// What a series works with: for calls of 1C, and for the heartbeat.
pub struct Nets {
    /// For calls of 1C.
    pub calls: Net,
    /// For the heartbeat; its transport is its own.
    pub heartbeat: Net,
}

/// Starts a series, or joins one that is started with the same parameters. It may not be connected.
pub fn enter(wanted: Wanted, endpoints: Vec<Endpoint>, nets: impl FnOnce() -> Nets) -> Result<Arc<Started>> {
    let nets = nets();
    let started = entered(wanted, endpoints, nets.calls);
    let mut heartbeat = locked(&started.heartbeat);
    if heartbeat.is_none() {
        *heartbeat = Some(Heartbeat::start(Arc::clone(&started.series), nets.heartbeat)?);
    }
    drop(heartbeat);
    Ok(started)
}

fn entered(wanted: Wanted, endpoints: Vec<Endpoint>, net: Net) -> Arc<Started> {
    // Declared before the lock: one of these may turn out to be the last of its series, and its end takes the lock.
    let alive: Vec<Arc<Started>>;
    let mut started = locked(&STARTED);
    alive = started.iter().filter_map(Weak::upgrade).collect();
    if let Some(same) = alive.iter().find(|known| known.wanted == wanted && known.endpoints == endpoints) {
        return Arc::clone(same);
    }
    let series = Arc::new(Series::new(net, wanted, endpoints));
    let new = Arc::new(Started { series, heartbeat: Mutex::new(None) });
    started.push(Arc::downgrade(&new));
    new
}

impl Deref for Started {
    type Target = Series;

    fn deref(&self) -> &Series {
        &self.series
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        drop(locked(&self.heartbeat).take());
        self.series.close();
        let mut started = locked(&STARTED);
        started.retain(|series| series.strong_count() > 0);
        if started.is_empty() {
            // The memory too: nobody could free it after the library is unmapped.
            *started = Vec::new();
        }
    }
}
