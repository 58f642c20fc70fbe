//! The REST API under `/api`: the route table, and what every request goes through. Names, types and codes are those of the
//! administrator's guide, appendix "Внешнее API".

mod answer;
mod licences;
mod life;
mod server;
mod sessions;

use std::sync::Arc;

use licence::error::{Code, Error, Lang};
use web::{Access, Found, Method, Params, Reply, Request, Route, Router};

use crate::Core;
use crate::access::Visitor;
use crate::ledger::AuditEntry;
use crate::signature::QueryId;
use answer::Answer;

pub use server::server_info;
pub use sessions::{connection_info, session_info};

/// Address of the keys.
pub const LICENCES: &str = "/api/licences";
const PASSWORD: &str = "/api/password";

/// A request whose sender may make it.
struct Call {
    core: Arc<Core>,
    request: Request,
    params: Params,
    lang: Lang,
}

/// What serves a route: it answers now or hands the answer on, and must not block.
type Handler = fn(Call, Answer);

/// Every address of the API.
fn routes() -> Vec<Route<Handler>> {
    use Access::{Administrator, Operator, Public, Viewer};
    use Method::{Get, Post, Put};
    let route = |method, pattern, access, handler: Handler| Route::new(method, pattern, access, handler);
    vec![
        route(Get, "/api", Viewer, server::about),
        route(Get, "/api/serverinfo", Viewer, server::info),
        route(Get, LICENCES, Viewer, licences::list),
        route(Get, "/api/licences/{KeyNo}", Viewer, licences::one),
        route(Post, LICENCES, Administrator, life::activate),
        route(Put, LICENCES, Administrator, life::activate),
        route(Post, "/api/licences/{KeyNo}/reserve", Administrator, life::reserve),
        route(Post, "/api/updates", Administrator, life::update),
        route(Post, "/api/requests", Administrator, life::request),
        route(Post, "/api/responses", Administrator, life::respond),
        route(Post, "/api/codes", Administrator, life::code),
        route(Get, "/api/fingerprint", Viewer, life::fingerprint),
        route(Get, "/api/connections", Viewer, sessions::connections),
        route(Get, "/api/connections/{ID}", Viewer, sessions::connection),
        route(Get, "/api/sessions", Viewer, sessions::sessions),
        route(Get, "/api/sessions/{ID}", Viewer, sessions::session),
        route(Post, "/api/sessions", Operator, sessions::take),
        route(Put, "/api/sessions", Operator, sessions::take),
        route(Get, "/api/publickey", Public, server::public_key),
        route(Get, "/api/certificate", Viewer, server::certificate),
        route(Put, PASSWORD, Administrator, server::set_password),
    ]
}

/// Whether a path is the API's.
pub fn serves(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// The API.
pub struct Api {
    core: Arc<Core>,
    router: Arc<Router<Handler>>,
}

impl Api {
    /// The API over the service.
    pub fn new(core: Arc<Core>) -> Api {
        Api { core, router: Arc::new(Router::new(routes())) }
    }

    /// The addresses.
    pub fn routes(&self) -> Vec<(Method, &'static str, Access)> {
        self.router.routes().iter().map(|route| (route.method, route.pattern, route.access)).collect()
    }

    /// Answers a request.
    pub fn call(&self, request: Request) -> Reply {
        let core = self.core.clone();
        let lang = core.lang(&request);
        let query = match QueryId::of(&request) {
            Ok(query) => query,
            // Not signed: what is in the request must not reach the signature.
            Err(error) => return Reply::Now(answer::refusal(&error, lang)),
        };
        let (answer, reply) = Answer::to(core.clone(), query, lang);
        if let Err(error) = core.guard.check_network(&request) {
            answer.refuse(&error);
        } else if !core.settings.get().api {
            answer.refuse(&Code::ApiDisabled.into());
        } else {
            self.admit(request, lang, answer);
        }
        reply
    }

    /// Who asks is found out before what he asks for is even looked up, unless that is public.
    fn admit(&self, request: Request, lang: Lang, answer: Answer) {
        let core = self.core.clone();
        if let Found::Route { route, params } = self.router.find(request.method, &request.path)
            && route.access == Access::Public
        {
            return (route.handler)(Call { core, request, params, lang }, answer);
        }
        let router = self.router.clone();
        let asked = request.clone();
        self.core.guard.admit(&asked, move |visitor| match visitor {
            Ok(visitor) => dispatch(&router, core, request, &visitor, lang, answer.known()),
            Err(error) => answer.refuse(&error),
        });
    }
}

fn dispatch(
    router: &Router<Handler>,
    core: Arc<Core>,
    request: Request,
    visitor: &Visitor,
    lang: Lang,
    answer: Answer,
) {
    let (route, params) = match router.find(request.method, &request.path) {
        Found::Route { route, params } => (route, params),
        Found::NotFound => return answer.refuse(&Error::new(Code::NotFound).with(&request.path)),
        Found::MethodNotAllowed { allow } => {
            let error = Error::new(Code::MethodNotAllowed).with(request.method.name()).with(&allow);
            return answer.give(answer::refusal(&error, lang).with_header("Allow", &allow));
        }
    };
    let answer = match route.access == Access::Administrator && request.method.is_write() {
        true => answer.audited(AuditEntry {
            at: core.timekeeper.now(),
            user: visitor.user.clone(),
            address: Some(request.peer.ip()),
            act: format!("{} {}", request.method.name(), route.pattern),
            object: request.path.clone(),
            status: 0,
            error: None,
        }),
        false => answer,
    };
    // The one change that the default password is good for.
    let changes = request.method.is_write() && route.pattern != PASSWORD;
    let allowed = visitor.may(route.access, changes).and_then(|()| core.guard.check_origin(&request));
    if let Err(error) = allowed {
        return answer.refuse(&error);
    }
    if request.method.is_write() {
        log::info!("{} {} by {:?} from {}", request.method.name(), request.path, visitor.user, request.peer.ip());
    }
    (route.handler)(Call { core, request, params, lang }, answer);
}
