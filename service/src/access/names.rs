//! The names of this computer, looked up again now and then: at its start the network may not have told them yet.

use std::sync::Arc;
use std::time::Duration;

use licence::host::own_names::own_names;
use licence::time::Tick;
use parking_lot::Mutex;
use web::origin;

/// How often an unknown name makes it look again.
const EVERY: Duration = Duration::from_secs(30);

/// The names, and when they were looked up.
#[derive(Default)]
pub struct Names(Mutex<Option<(Tick, Arc<Vec<String>>)>>);

impl Names {
    /// Whether a header `Host` calls this computer by a name of its own, or by one of `others`.
    pub fn allow(&self, host: Option<&str>, others: &[String], now: Tick) -> bool {
        let fits = |own: &[String]| origin::host_allowed(host, own.iter().chain(others).map(String::as_str));
        // An address needs no names.
        if fits(&[]) {
            return true;
        }
        let known = self.0.lock().clone();
        if let Some((looked, own)) = known
            && (fits(&own) || now.since(looked) < EVERY)
        {
            return fits(&own);
        }
        let own = Arc::new(own_names());
        *self.0.lock() = Some((now, own.clone()));
        fits(&own)
    }
}
