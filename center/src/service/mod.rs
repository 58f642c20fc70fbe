//! The centre over HTTP: what servers ask, the REST API and the pages of the vendor's people. It never blocks a front: all that
//! touches the store or a key runs on a crew of its own.

mod api;
mod body;
mod guard;
mod metrics;
mod openapi;
mod pages;
mod proxies;
mod requests;
mod views;

pub use guard::{Attempts, Guard};

use std::net::IpAddr;
use std::sync::Arc;

use licence::Lang;
use licence::api::Refusal;
use licence::error::{Code, Error, Result};
use web::{Access, Completer, Crew, Found, Language, Method, Params, Reply, Request, Response, Router, Service};
use web::{assets, origin, status};

use crate::CRYPTO;
use crate::centre::Centre;
use crate::store::Token;
use requests::Decided;

/// Requests that may wait for a worker; more are refused as busy.
const QUEUE: usize = 512;
/// Answers that are settled together while more requests wait: they share a commit.
const TOGETHER: usize = 40;

/// Answers a call.
type Answers = fn(&Call<'_>) -> Result<Response>;

/// What serves a route.
#[derive(Clone, Copy)]
enum Handler {
    /// It answers.
    Answers(Answers),
    /// It decides, and what was decided is settled together with that of others.
    Decides(fn(&Call<'_>) -> Result<Decided>),
}

/// How a refusal is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// To a program, as JSON.
    Program,
    /// To a person, as a page.
    Person,
}

#[derive(Clone, Copy)]
struct Endpoint {
    manner: Manner,
    handler: Handler,
}

/// The service.
pub struct CentreService {
    shared: Arc<Shared>,
    router: Arc<Router<Endpoint>>,
    crew: Crew,
}

struct Shared {
    centre: Arc<Centre>,
    guard: Guard,
    metrics: metrics::Metrics,
}

/// What a handler has come to.
enum Served {
    Answered(Response),
    Decided(Box<Decided>),
}

/// One call: the request, who makes it, and what it is made to.
struct Call<'a> {
    shared: &'a Shared,
    request: &'a Request,
    params: Params,
    address: IpAddr,
    /// Who has signed in; `None` on public routes.
    token: Option<Token>,
}

impl Call<'_> {
    fn lang(&self) -> Lang {
        lang(self.request.language())
    }

    /// Which codes he sees in full.
    fn sight(&self) -> views::Sight {
        views::Sight::of(self.token.as_ref().map(|token| token.role))
    }

    /// Who does it, for the audit.
    fn actor(&self) -> &str {
        self.token.as_ref().map_or("-", |token| &token.name)
    }
}

fn lang(language: Language) -> Lang {
    match language {
        Language::Russian => Lang::Russian,
        Language::English => Lang::English,
    }
}

fn refusal(error: &Error, language: Language) -> Response {
    let error = &of_the_centre(error);
    // With the error itself in it, so that a server can tell it in its own language.
    let status = error.code.status();
    let body = Refusal::of(error, lang(language), status::text(status));
    Response::json(status, &body).with_retry_after(error.retry_after())
}

/// What others are told of an error: whose store it is that fails, while the log has the cause.
fn of_the_centre(error: &Error) -> Error {
    match error.code {
        Code::StoreFailed | Code::StoreDamaged => {
            log::error!("{error}");
            Code::CentreStoreFailed.into()
        }
        _ => error.clone(),
    }
}

impl CentreService {
    /// A service with as many workers as the store serves at once.
    pub fn new(centre: Arc<Centre>, guard: Guard) -> std::io::Result<CentreService> {
        let program = api::operations().into_iter().map(|operation| operation.route());
        let routes = program.chain(pages::routes()).collect();
        let crew = Crew::gathering("centre", centre.store().callers(), QUEUE, TOGETHER)?;
        Ok(CentreService {
            shared: Arc::new(Shared { centre, guard, metrics: metrics::Metrics::default() }),
            router: Arc::new(Router::new(routes)),
            crew,
        })
    }
}

impl Service for CentreService {
    fn call(&self, request: Request) -> Reply {
        let language = request.language();
        let (access, Endpoint { manner, handler }, params) = match self.router.find(request.method, &request.path) {
            Found::Route { route, params } => (route.access, route.handler, params),
            // The path is not logged: what was typed there may be a code.
            Found::NotFound => return refusal(&Error::new(Code::NotFound).with(&request.path), language).into(),
            Found::MethodNotAllowed { allow } => {
                let error = Error::new(Code::MethodNotAllowed).with(request.method.name()).with(&allow);
                return refusal(&error, language).with_header("Allow", &allow).into();
            }
        };
        if let Some(name) = request.path.strip_prefix("/assets/") {
            let missing = || refusal(&Error::new(Code::NotFound).with(&request.path), language);
            return assets::respond(&request, name).unwrap_or_else(missing).into();
        }
        let (completer, reply) = Reply::later();
        let shared = self.shared.clone();
        let job = move || serve(shared, request, (access, manner, handler), params, completer);
        match self.crew.try_run_then(job) {
            Ok(()) => reply,
            Err(_) => {
                log::warn!("503, the queue is full");
                refusal(&Code::Busy.into(), language).into()
            }
        }
    }
}

/// Serves a request, and gives what is to be done when a few others have been served too: it is answered then.
fn serve(
    shared: Arc<Shared>,
    request: Request,
    (access, manner, handler): (Access, Manner, Handler),
    params: Params,
    completer: Completer,
) -> impl FnOnce() {
    // Nobody waits any more: what he asked for is not done either, and he may ask again.
    let served = (!completer.is_abandoned()).then(|| {
        let address = shared.guard.client(&request);
        let token = may_call(&shared, &request, access, address)?;
        let call = Call { shared: &shared, request: &request, params, address, token };
        match handler {
            Handler::Answers(answer) => answer(&call).map(Served::Answered),
            Handler::Decides(decide) => decide(&call).map(|decided| Served::Decided(Box::new(decided))),
        }
    });
    move || {
        let Some(served) = served else { return };
        let answered = served.and_then(|served| match served {
            Served::Answered(response) => Ok(response),
            Served::Decided(decided) => decided.answer(&shared),
        });
        completer.complete(answered.unwrap_or_else(|error| match manner {
            Manner::Program if error.code != Code::TokenWrong => refusal(&error, request.language()),
            Manner::Program => refusal(&error, request.language()).with_header("WWW-Authenticate", "Bearer"),
            Manner::Person => pages::refused(&request, &error),
        }));
    }
}

/// Whether the caller may do what the route does: his token, if one is needed.
fn may_call(shared: &Shared, request: &Request, access: Access, address: IpAddr) -> Result<Option<Token>> {
    if access == Access::Public {
        return Ok(None);
    }
    if !origin::write_allowed(request) {
        return Err(Error::new(Code::Forbidden).with_text("запрос чужой страницы", "a request of a foreign page"));
    }
    let Some(given) = token_of(request) else { return Err(Code::TokenWrong.into()) };
    shared.guard.enter(address)?;
    let hash = token_hash(&given);
    let found = shared.centre.store().work(|work| work.token(&hash));
    let found = found.and_then(|token| token.ok_or_else(|| Code::TokenWrong.into()));
    shared.guard.leave(address, None, &found);
    let token = found?;
    if token.role < access {
        let role = token.role_name();
        return Err(Error::new(Code::Forbidden)
            .with_text(format_args!("роли {role} недостаточно"), format_args!("role {role} is not enough")));
    }
    Ok(Some(token))
}

/// The token as programs send it (`Authorization: Bearer`), or as browsers do: the password of any user.
fn token_of(request: &Request) -> Option<String> {
    let bearer = request.headers.get("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    bearer.or_else(|| Some(request.basic_credentials()?.1))
}

/// A token's hash, under which the store knows it.
pub fn token_hash(token: &str) -> String {
    licence::id::hex(&CRYPTO.sha256(&[b"SLK token 1\n", token.as_bytes()]))
}

fn route(
    method: Method,
    pattern: &'static str,
    access: Access,
    manner: Manner,
    handler: Handler,
) -> web::Route<Endpoint> {
    web::Route::new(method, pattern, access, Endpoint { manner, handler })
}
