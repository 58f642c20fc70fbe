//! The console's addresses: who may see which page, and where it is made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use licence::error::{Code, Error, Result};
use licence::settings::Authorization;
use web::{Access, Found, Lane, Method, Params, Reply, Request, Response, Route, Router, Workers, assets};

use super::call::Call;
use super::fields::Fields;
use super::{ACTIVATION, CODES, DENIALS, EVENTS, RESPONSES, Reader, USAGE};
use super::{activation, key, language, life, memory, overview, records, refusal};
use crate::access::Visitor;
use crate::ledger::AuditEntry;
use crate::{Core, Scope};

/// Pages that wait for a disk: how many may wait, of those who have signed in and of those who need not, by [`Call::lane`].
const LANES: [Lane; 2] = [
    Lane { waiting: 32, waiting_per_client: 24, patience: Duration::from_secs(300) },
    Lane { waiting: 32, waiting_per_client: 8, patience: Duration::from_secs(20) },
];
/// One thread makes them, for both in turns.
const THREADS: [&[usize]; 1] = [&[0, 1]];

/// What a route shows or does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    Overview,
    Key,
    Asset,
    Activation,
    Code,
    Responses,
    Update,
    Switch,
    AskReserve,
    Reserve,
    Memory,
    RemovePasswords,
    EndSession,
    Denials,
    Usage,
    Events,
    /// The address of a form's result, asked for without the form.
    Home,
}

fn routes(scope: Scope) -> Vec<Route<Page>> {
    use Access::{Administrator, Operator, Public, Viewer};
    use Method::{Get, Post};
    let mut routes = vec![
        Route::new(Get, "/", Viewer, Page::Overview),
        Route::new(Get, "/licences/{KeyNo}", Viewer, Page::Key),
        Route::new(Get, "/assets/{name}", Public, Page::Asset),
    ];
    if scope == Scope::Full {
        let (update, enabled) = ("/licences/{KeyNo}/update", "/licences/{KeyNo}/enabled");
        let (reserve, end) = ("/licences/{KeyNo}/reserve", "/sessions/{ID}/end");
        let memory = "/licences/{KeyNo}/memory";
        routes.extend([
            Route::new(Post, ACTIVATION, Administrator, Page::Activation),
            Route::new(Post, CODES, Administrator, Page::Code),
            Route::new(Post, RESPONSES, Administrator, Page::Responses),
            Route::new(Post, update, Administrator, Page::Update),
            Route::new(Post, enabled, Administrator, Page::Switch),
            Route::new(Get, reserve, Administrator, Page::AskReserve),
            Route::new(Post, reserve, Administrator, Page::Reserve),
            Route::new(Get, memory, Administrator, Page::Memory),
            Route::new(Post, memory, Administrator, Page::RemovePasswords),
            Route::new(Post, end, Operator, Page::EndSession),
            Route::new(Get, DENIALS, Viewer, Page::Denials),
            Route::new(Get, USAGE, Viewer, Page::Usage),
            Route::new(Get, EVENTS, Operator, Page::Events),
        ]);
        let results = [ACTIVATION, CODES, RESPONSES, update, enabled, end];
        routes.extend(results.map(|pattern| Route::new(Get, pattern, Public, Page::Home)));
    }
    routes
}

/// The console.
pub struct Console {
    core: Arc<Core>,
    workers: Arc<Workers>,
    router: Router<Page>,
}

impl Console {
    /// The console over the service.
    pub(crate) fn new(core: Arc<Core>) -> Result<Console> {
        let router = Router::new(routes(core.scope));
        let started = Instant::now();
        let workers = Workers::start("console", &LANES, &THREADS, move || started.elapsed());
        let workers = workers.map_err(|e| Error::new(Code::Internal).with(e))?;
        Ok(Console { core, workers: Arc::new(workers), router })
    }

    /// The addresses.
    pub fn routes(&self) -> Vec<(Method, &'static str, Access)> {
        self.router.routes().iter().map(|route| (route.method, route.pattern, route.access)).collect()
    }

    /// Answers a request.
    pub fn call(&self, request: Request) -> Reply {
        let lang = language(&request, self.core.settings.get().lang);
        let may = match self.core.scope {
            Scope::Full => Access::Administrator,
            Scope::Embedded => Access::Public,
        };
        let reader = Reader { request, lang, user: None, may };
        let request = &reader.request;
        if let Err(error) = self.core.guard.check_network(request) {
            return refusal(&reader, &error).into();
        }
        let (route, params) = match self.router.find(request.method, &request.path) {
            Found::Route { route, params } => (route, params),
            Found::NotFound => return refusal(&reader, &Error::new(Code::NotFound).with(&request.path)).into(),
            Found::MethodNotAllowed { allow } => {
                let error = Error::new(Code::MethodNotAllowed).with(request.method.name()).with(&allow);
                return refusal(&reader, &error).with_header("Allow", &allow).into();
            }
        };
        match route.handler {
            Page::Asset => asset(&reader, &params).into(),
            Page::Home => home(request, &params).into(),
            _ => self.admit(route, params, reader),
        }
    }

    /// In mode 0 everybody may look, as the guide has it; whatever changes something, and the audit trail, asks who it is.
    fn admit(&self, route: &Route<Page>, params: Params, reader: Reader) -> Reply {
        let (completer, reply) = Reply::later();
        let (core, workers, page, access) = (self.core.clone(), self.workers.clone(), route.handler, route.access);
        let asked = reader.request.clone();
        let mut call = Call {
            core,
            workers,
            page,
            reader,
            visitor: None,
            params,
            fields: Fields::default(),
            completer,
            act: None,
        };
        let is_open = self.core.settings.get().authorization == Authorization::ServiceOnly;
        if access == Access::Viewer && (is_open || self.core.scope == Scope::Embedded) {
            dispatch(call);
            return reply;
        }
        let pattern = route.pattern;
        self.core.guard.admit(&asked, move |visitor| match visitor {
            Ok(visitor) => {
                call.reader.user = Some(visitor.user.clone());
                call.reader.may = call.reader.may.min(visitor.role);
                match allowed(&mut call, &visitor, pattern, access) {
                    Ok(()) => dispatch(Call { visitor: Some(visitor), ..call }),
                    Err(error) => call.refuse(&error),
                }
            }
            Err(error) => call.refuse(&error),
        });
        reply
    }
}

/// Whether the visitor may do what the call asks for. What changes something is noted for the audit trail first.
fn allowed(call: &mut Call, visitor: &Visitor, pattern: &str, access: Access) -> Result<()> {
    let request = &call.reader.request;
    let writes = request.method.is_write();
    if writes {
        log::info!("{} {} by {:?} from {}", request.method.name(), request.path, visitor.user, request.peer.ip());
        call.act = Some(AuditEntry {
            at: call.core.timekeeper.now(),
            user: visitor.user.clone(),
            address: Some(request.peer.ip()),
            act: format!("{} {pattern}", request.method.name()),
            object: request.path.clone(),
            status: 0,
            error: None,
        });
    }
    // Whoever may not do it is told so before he fills a form in.
    visitor.may(access, access > Access::Viewer)?;
    call.core.guard.check_origin(request)
}

fn dispatch(mut call: Call) {
    if call.reader.request.method.is_write() {
        match Fields::of(&call.reader.request) {
            Ok(fields) => call.fields = fields,
            Err(error) => return call.finish(Err(error)),
        }
    }
    match (call.page, call.fields.by_file()) {
        (Page::Key, _) => call.now(key::show),
        (Page::AskReserve, _) => call.now(life::ask_reserve),
        (Page::Denials, _) => call.work(records::denials),
        (Page::Usage, _) => call.work(records::usage),
        (Page::Events, _) => call.work(records::events),
        (Page::Switch, _) => call.work(key::switch),
        (Page::Memory, _) => call.work(memory::show),
        (Page::RemovePasswords, _) => call.work(memory::remove_passwords),
        (Page::Responses, _) => call.work(life::respond),
        (Page::EndSession, _) => life::end_session(call),
        (Page::Activation, false) => call.centre(activation::activate),
        (Page::Activation, true) => call.work(activation::activate_by_file),
        (Page::Code, _) => call.centre(life::code),
        (Page::Update, false) => call.centre(life::update),
        (Page::Update, true) => call.work(life::update_by_file),
        (Page::Reserve, false) => call.centre(life::reserve),
        (Page::Reserve, true) => call.work(life::reserve_by_file),
        (Page::Overview | Page::Asset | Page::Home, _) => call.now(overview::show),
    }
}

fn asset(reader: &Reader, params: &Params) -> Response {
    let missing = || refusal(reader, &Error::new(Code::NotFound).with(&reader.request.path));
    assets::respond(&reader.request, params.get("name")).unwrap_or_else(missing)
}

/// What of a query string means something to every page.
const CARRIED: [&str; 5] = ["lang", "menu", "header", "KeyID", "SeriesKey"];

/// Where the form was: the page of its key, or the overview. Language, menu and the key's series go along.
fn home(request: &Request, params: &Params) -> Response {
    let page = match params.get("KeyNo") {
        "" => "/".to_owned(),
        number => format!("/licences/{}", web::percent_encode(number)),
    };
    let carried = CARRIED.iter().filter_map(|name| Some((name, request.query(name)?)));
    let query: Vec<String> = carried.map(|(name, value)| format!("{name}={}", web::percent_encode(value))).collect();
    Response::redirect(&if query.is_empty() { page } else { format!("{page}?{}", query.join("&")) })
}
