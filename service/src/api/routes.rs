//! The route table of the API: every address, who may call it, what serves it. Nothing else declares an address.

use std::sync::LazyLock;

use serde_json::{Value, json};
use web::{Access, Method, Route, Router};

use super::operation::Operation;
use super::{external, licences, life, memory, metrics, records, server, sessions, settings, summary};

/// Address of the keys.
pub const LICENCES: &str = "/api/licences";
/// Address of the figures for Prometheus.
pub const METRICS: &str = "/metrics";
/// Address that tells whether requests should be sent here.
pub const READY: &str = "/readyz";
/// Address of the account's name and password.
pub const PASSWORD: &str = "/api/password";

/// Address of the settings.
pub const SETTINGS: &str = "/api/settings";

const KEY: &str = "/api/licences/{KeyNo}";
const SESSIONS: &str = "/api/sessions";
/// Address of one session.
pub const SESSION: &str = "/api/sessions/{ID}";
const CONNECTION: &str = "/api/connections/{ID}";

const SINCE: (&str, &str) = ("since", "Not before this moment, ISO 8601.");
const UNTIL: (&str, &str) = ("until", "Before this moment, ISO 8601.");
const GRAIN: (&str, &str) = ("grain", "Length of the intervals: 5m, 1h (the default), 1d.");

/// The table.
pub fn table() -> &'static Router<Operation> {
    static TABLE: LazyLock<Router<Operation>> = LazyLock::new(|| Router::new(routes()));
    &TABLE
}

fn routes() -> Vec<Route<Operation>> {
    use Access::{Administrator, Operator, Public, Viewer};
    use Method::{Delete, Get, Options, Post, Put};
    let route = |method, pattern, access, operation| Route::new(method, pattern, access, operation);
    let mut routes = vec![
        route(Get, "/api", Viewer, Operation::read("Version and addresses", server::about)),
        route(Get, "/api/openapi.json", Viewer, Operation::read("This description", server::openapi)),
        route(Get, "/api/serverinfo", Viewer, Operation::read("What the server is and where it runs", server::info)),
        route(
            Get,
            "/api/summary",
            Viewer,
            Operation::work("Everything for monitoring in one call", &[200], summary::summary),
        ),
        route(Get, LICENCES, Viewer, Operation::list("Licence files", "Licences", vec![], licences::list)),
        route(Get, KEY, Viewer, of_series(Operation::read("One key", licences::one))),
        route(
            Delete,
            KEY,
            Administrator,
            of_series(Operation::work("Removes a key; its file is kept aside", &[200], licences::remove)),
        ),
        route(
            Get,
            "/api/licences/{KeyNo}/memory",
            Viewer,
            of_series(Operation::work("What closes the memory of a key", &[200], memory::show)),
        ),
        route(
            Delete,
            "/api/licences/{KeyNo}/memory/passwords",
            Administrator,
            of_series(Operation::work("Takes the passwords of a key's memory away", &[200], memory::remove_passwords)),
        ),
        route(
            Get,
            "/api/connections",
            Viewer,
            Operation::list("Connections", "Connections", vec![], sessions::connections),
        ),
        route(Get, CONNECTION, Viewer, Operation::read("One connection", sessions::connection)),
        route(
            Delete,
            CONNECTION,
            Operator,
            Operation::act("Ends a connection and its sessions", &[200], sessions::drop_connection),
        ),
        route(Get, SESSIONS, Viewer, Operation::list("Sessions", "Sessions", vec![], sessions::sessions)),
        route(Get, SESSION, Viewer, of_series(Operation::read("One session", sessions::session))),
        route(
            Delete,
            SESSION,
            Operator,
            of_series(Operation::act("Ends a session and frees its licence", &[200], sessions::drop_session)),
        ),
        route(
            Post,
            "/api/bulk/take",
            Operator,
            Operation::act_with("External sessions take licences or renew their leases", &[200], external::take_many)
                .everyday(),
        ),
        route(
            Post,
            "/api/bulk/release",
            Operator,
            Operation::act_with("External sessions give their licences back", &[200], external::release_many)
                .everyday(),
        ),
        route(
            Get,
            "/api/denials",
            Viewer,
            Operation::list("Refusals, the latest first", "Denials", vec![SINCE, UNTIL], records::denials),
        ),
        route(
            Get,
            "/api/usage",
            Viewer,
            Operation::list("Usage over time, the earliest first", "Usage", vec![GRAIN, SINCE, UNTIL], records::usage),
        ),
        route(
            Get,
            "/api/events",
            Operator,
            Operation::list("The audit trail, the latest first", "Events", vec![SINCE, UNTIL], records::events),
        ),
        route(
            Get,
            "/api/publickey",
            Public,
            Operation::text("The key that signs answers", "application/x-pem-file", server::public_key).refuses(&[501]),
        ),
        route(
            Get,
            "/api/certificate",
            Viewer,
            Operation::text("The centre's certificate of that key", "text/plain; charset=utf-8", server::certificate)
                .asks("KeyID", "Series.", text())
                .asks("SeriesKey", "Hash of the vendor's root key.", text())
                .refuses(&[404]),
        ),
        route(
            Put,
            PASSWORD,
            Administrator,
            Operation::act_with("A new name and password", &[202], server::set_password),
        ),
        route(
            Post,
            "/api/licences/{KeyNo}/reserve",
            Administrator,
            of_series(Operation::centre("Gives a key up for a reserve code", &[200], life::reserve)),
        ),
        route(
            Post,
            "/api/updates",
            Administrator,
            Operation::centre("Asks the centre for news about the keys", &[200], life::update),
        ),
        route(Post, "/api/requests", Administrator, Operation::centre("Makes a request file", &[201], life::request)),
        route(
            Post,
            "/api/responses",
            Administrator,
            Operation::centre("Installs the centre's answer to a request file", &[200], life::respond),
        ),
        route(
            Post,
            "/api/codes",
            Administrator,
            Operation::centre("What an activation code would give", &[200], life::code),
        ),
        route(
            Get,
            "/api/fingerprint",
            Viewer,
            Operation::read("Parts of this machine, and which of them the keys know", life::fingerprint),
        ),
        route(Post, "/api/backup", Administrator, Operation::ledger_copy("A copy of the ledger, for a backup")),
        route(Get, SETTINGS, Administrator, Operation::list("Settings", "Settings", vec![], settings::list)),
        route(Put, SETTINGS, Administrator, Operation::work_with("Changes settings", &[202], settings::change)),
        route(Get, METRICS, Viewer, Operation::work_text("Figures for Prometheus", metrics::MEDIA, metrics::metrics)),
        route(
            Get,
            READY,
            Public,
            Operation::text("Whether requests should be sent here", "text/plain; charset=utf-8", server::ready),
        ),
    ];
    // HAProxy asks so unless it is told otherwise.
    let ready = Operation::text("Whether requests should be sent here", "text/plain; charset=utf-8", server::ready);
    routes.push(route(Options, READY, Public, ready));
    // The guide lets PUT do what POST does.
    for method in [Post, Put] {
        routes.extend([
            route(
                method,
                LICENCES,
                Administrator,
                Operation::centre("Exchanges an activation code for a licence", &[201], life::activate),
            ),
            route(
                method,
                KEY,
                Administrator,
                of_series(Operation::work_with("Lets a key be used or not", &[202], licences::switch)),
            ),
            route(
                method,
                SESSIONS,
                Operator,
                Operation::act_with(
                    "An external session takes a licence, or renews its lease",
                    &[201, 200],
                    external::take,
                )
                .refuses(&[404, 409])
                .everyday(),
            ),
            route(
                method,
                SESSION,
                Operator,
                of_series(Operation::act("Renews the lease of an external session", &[200], external::renew))
                    .refuses(&[409])
                    .everyday(),
            ),
        ]);
    }
    routes
}

fn text() -> Value {
    json!({ "type": "string" })
}

/// An operation upon a key, whose number several series may have.
fn of_series(operation: Operation) -> Operation {
    operation.asks("KeyID", "Series.", text()).asks("SeriesKey", "Hash of the vendor's root key.", text())
}
