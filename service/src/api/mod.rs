//! The REST API under `/api`, and what monitoring asks for beside it: what every request goes through. Names, types and codes
//! are those of the administrator's guide, appendix "Внешнее API"; `docs/api.md` tells what it leaves open.

mod answer;
mod csv;
mod external;
mod licences;
mod life;
mod memory;
mod metrics;
mod openapi;
mod operation;
mod query;
mod records;
mod routes;
mod server;
mod sessions;
mod settings;
mod summary;

use std::sync::Arc;
use std::time::{Duration, Instant};

use licence::error::{Code, Error, Lang, Result};
use web::{Access, Found, Lane, Method, Params, Reply, Request, Route, Workers};

use crate::Core;
use crate::access::Visitor;
use crate::ledger::AuditEntry;
use crate::signature::QueryId;
use answer::Answer;
use external::Codes;
use operation::Operation;
use sessions::Named;

pub use answer::refusal;
pub use licences::named_key;
pub use memory::{MemoryInfo, memory_info};
pub use records::asked;
pub use routes::{LICENCES, METRICS, READY};
pub use server::server_info;
pub use sessions::{connection_info, end_session, session_info};

/// Threads for lists and changes of files, and how many may wait; addresses take turns.
const THREADS: [&[usize]; 2] = [&[0]; 2];
const WAITING: Lane = Lane { waiting: 64, waiting_per_client: 48, patience: Duration::from_secs(300) };

/// What the calls share beside the service.
struct Shared {
    /// What takes long runs here.
    workers: Workers,
    codes: Codes,
}

/// A request whose sender may make it.
struct Call {
    core: Arc<Core>,
    shared: Arc<Shared>,
    request: Request,
    params: Params,
    lang: Lang,
    /// Whoever has signed in for it; nobody where the route is public.
    visitor: Option<Visitor>,
}

impl Call {
    /// Whether it may still be carried out, when its turn has come.
    fn still_admitted(&self) -> Result<()> {
        self.visitor.as_ref().map_or(Ok(()), |visitor| self.core.guard.still_admits(visitor))
    }
}

/// Whether a path is served here.
pub fn serves(path: &str) -> bool {
    is_api(path) || path == METRICS || path == READY
}

fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// The API.
pub struct Api {
    core: Arc<Core>,
    shared: Arc<Shared>,
}

impl Api {
    /// The API over the service.
    pub fn new(core: Arc<Core>) -> Result<Api> {
        let started = Instant::now();
        let workers = Workers::start("api", &[WAITING], &THREADS, move || started.elapsed());
        let workers = workers.map_err(|e| Error::new(Code::Internal).with(e))?;
        Ok(Api { core, shared: Arc::new(Shared { workers, codes: Codes::default() }) })
    }

    /// The addresses.
    pub fn routes(&self) -> Vec<(Method, &'static str, Access)> {
        routes::table().routes().iter().map(|route| (route.method, route.pattern, route.access)).collect()
    }

    /// Answers a request.
    pub fn call(&self, request: Request) -> Reply {
        let core = self.core.clone();
        let lang = core.lang(&request);
        let query = match QueryId::of(&request) {
            Ok(query) => query,
            // Not signed: what is in the request must not reach the signature.
            Err(error) => return Reply::Now(refusal(&error, lang)),
        };
        let (answer, reply) = Answer::to(core.clone(), query, lang);
        // Balancers ask for it as they ask for `/healthz`: from anywhere, under any name.
        if request.path == READY || core.guard.is_own_command(&request) {
            self.admit(request, lang, answer);
        } else if let Err(error) = core.guard.check_network(&request) {
            answer.refuse(&error);
        } else if is_api(&request.path) && !core.settings.get().api {
            answer.refuse(&Code::ApiDisabled.into());
        } else {
            self.admit(request, lang, answer);
        }
        reply
    }

    /// Who asks is found out before what he asks for is even looked up, unless that is public.
    fn admit(&self, request: Request, lang: Lang, answer: Answer) {
        let (core, shared) = (self.core.clone(), self.shared.clone());
        if let Found::Route { route, params } = routes::table().find(request.method, &request.path)
            && route.access == Access::Public
        {
            return route.handler.serve(Call { core, shared, request, params, lang, visitor: None }, answer);
        }
        let asked = request.clone();
        self.core.guard.admit(&asked, move |visitor| match visitor {
            Ok(visitor) => dispatch(core, shared, request, visitor, lang, answer.known()),
            Err(error) => answer.refuse(&error),
        });
    }
}

fn dispatch(core: Arc<Core>, shared: Arc<Shared>, request: Request, visitor: Visitor, lang: Lang, answer: Answer) {
    let (route, params) = match routes::table().find(request.method, &request.path) {
        Found::Route { route, params } => (route, params),
        Found::NotFound => return answer.refuse(&Error::new(Code::NotFound).with(&request.path)),
        Found::MethodNotAllowed { allow } => {
            let error = Error::new(Code::MethodNotAllowed).with(request.method.name()).with(&allow);
            return answer.give(answer::refusal(&error, lang).with_header("Allow", &allow));
        }
    };
    // An application that gives a session back by its own name does what `POST /api/bulk/release` does.
    let released = route.pattern == routes::SESSION && Named::is_by_application(params.get("ID"));
    let answer = match request.method.is_write() && !route.handler.everyday && !released {
        true => answer.audited(act(&core, route, &request, &visitor)),
        false => answer,
    };
    // The one change that the default password is good for; settings it does not even show.
    let changes = request.method.is_write() && route.pattern != routes::PASSWORD || route.pattern == routes::SETTINGS;
    let allowed = visitor.may(route.access, changes).and_then(|()| core.guard.check_origin(&request));
    if let Err(error) = allowed {
        return answer.refuse(&error);
    }
    if request.method.is_write() {
        log::info!("{} {} by {:?} from {}", request.method.name(), request.path, visitor.user, request.peer.ip());
    }
    route.handler.serve(Call { core, shared, request, params, lang, visitor: Some(visitor) }, answer);
}

/// What is written into the audit trail of a request that changes something.
fn act(core: &Core, route: &Route<Operation>, request: &Request, visitor: &Visitor) -> AuditEntry {
    AuditEntry {
        at: core.timekeeper.now(),
        user: visitor.user.clone(),
        address: Some(request.peer.ip()),
        act: format!("{} {}", request.method.name(), route.pattern),
        object: request.path.clone(),
        status: 0,
        error: None,
    }
}
