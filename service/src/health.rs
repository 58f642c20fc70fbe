//! `/healthz`: whether the service can do its work. Text for everybody; for programs on this computer the numbers as well.

use std::path::PathBuf;

use licence::error::{Error, Lang};
use licence::version::{SERVER_VERSION, VERSION};
use serde::{Deserialize, Serialize};
use web::{Rejection, Request, Response};

use crate::Core;

/// What `/healthz` tells a program on this computer that asks for JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// Version of the server.
    pub version: String,
    /// Its process.
    #[serde(rename = "PID")]
    pub pid: u32,
    /// Licence files.
    pub keys: usize,
    /// Those that can be used.
    pub usable_keys: usize,
    /// Seats of all series.
    pub licences: u64,
    /// Seats taken.
    pub used: u64,
    /// Why the store takes no writes, when it does not.
    pub failing: Option<Error>,
    /// That the record of sessions went back and no new licence is given for that.
    #[serde(default)]
    pub rollback: Option<Error>,
    /// What of the settings file is not in force as it stands there, when something is not.
    #[serde(default)]
    pub settings: Option<Error>,
    /// What stays in force though the data folder doesn't say so any more.
    #[serde(default)]
    pub data: Vec<Error>,
    /// The data folder that it was started over.
    #[serde(default)]
    pub folder: Option<PathBuf>,
}

impl Core {
    /// Answers `/healthz`.
    pub(crate) fn health(&self, request: &Request) -> Response {
        let failing = self.ledger.failing();
        let status = if failing.is_none() { 200 } else { 503 };
        let for_programs = request.headers.get("accept").is_some_and(|types| types.contains("application/json"));
        let response = match &failing {
            _ if for_programs && request.is_loopback() => Response::json(status, &self.facts(failing)),
            None => Response::text(200, "ok\n"),
            Some(error) => Rejection::new(503, error.cause(Lang::English)).response(),
        };
        response.with_header("Licence-ServerVersion", SERVER_VERSION)
    }

    fn facts(&self, failing: Option<Error>) -> Health {
        let snapshot = self.keys.snapshot();
        let (licences, used) = self.ledger.read(|book, _| {
            let usages = book.series().filter_map(|series| book.usage(series));
            usages.fold((0, 0), |(total, used), usage| (total + usage.total, used + usage.used))
        });
        Health {
            version: VERSION.into(),
            pid: std::process::id(),
            keys: snapshot.views().count(),
            usable_keys: snapshot.views().filter(|view| view.usable.is_ok()).count(),
            licences,
            used,
            failing,
            rollback: self.ledger.rolled_back(),
            settings: self.settings.not_in_force(),
            data: self.keys.remarks(),
            folder: Some(self.paths.data.clone()),
        }
    }
}
