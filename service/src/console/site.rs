//! The console's addresses: who may see which page, and where its data come from.

use std::cmp::Reverse;
use std::sync::Arc;

use licence::error::{Code, Error, Lang};
use licence::settings::Authorization;
use licence::time::Time;
use web::{Access, Completer, Found, Method, Params, Reply, Request, Response, Route, Router, assets};

use super::overview::{Notices, Overview, overview};
use super::{ACTIVATION, activation, language, refusal};
use crate::access::{Visitor, is_default};
use crate::{Core, Scope, api};

/// Rows of one table that are shown; the API gives them all.
const ROWS: usize = 500;

/// What a route shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Overview,
    Activation,
    Asset,
    /// The address of a form's result, asked for without the form.
    Home,
}

fn routes(scope: Scope) -> Vec<Route<Page>> {
    let mut routes = vec![
        Route::new(Method::Get, "/", Access::Viewer, Page::Overview),
        Route::new(Method::Get, "/assets/{name}", Access::Public, Page::Asset),
    ];
    if scope == Scope::Full {
        routes.push(Route::new(Method::Post, ACTIVATION, Access::Administrator, Page::Activation));
        routes.push(Route::new(Method::Get, ACTIVATION, Access::Public, Page::Home));
    }
    routes
}

/// The console.
pub struct Console {
    core: Arc<Core>,
    router: Router<Page>,
}

/// A request for a page on its way to its answer.
struct Call {
    core: Arc<Core>,
    request: Request,
    lang: Lang,
    completer: Completer,
}

impl Console {
    /// The console over the service.
    pub(crate) fn new(core: Arc<Core>) -> Console {
        let router = Router::new(routes(core.scope));
        Console { core, router }
    }

    /// Answers a request.
    pub fn call(&self, request: Request) -> Reply {
        let lang = language(&request, self.core.settings.get().lang);
        if let Err(error) = self.core.guard.check_network(&request) {
            return refusal(&request, lang, &error).into();
        }
        let (route, params) = match self.router.find(request.method, &request.path) {
            Found::Route { route, params } => (route, params),
            Found::NotFound => return refusal(&request, lang, &Error::new(Code::NotFound).with(&request.path)).into(),
            Found::MethodNotAllowed { allow } => {
                let error = Error::new(Code::MethodNotAllowed).with(request.method.name()).with(&allow);
                return refusal(&request, lang, &error).with_header("Allow", &allow).into();
            }
        };
        match route.handler {
            Page::Asset => asset(&request, lang, &params).into(),
            Page::Home => Response::redirect("/").into(),
            page => self.admit(page, route.access, request, lang),
        }
    }

    /// In mode 0 everybody may look; whatever else there is asks who it is.
    fn admit(&self, page: Page, access: Access, request: Request, lang: Lang) -> Reply {
        let is_open = self.core.settings.get().authorization == Authorization::ServiceOnly;
        if page == Page::Overview && (is_open || self.core.scope == Scope::Embedded) {
            return show(&self.core, &request, lang, None).into();
        }
        let (completer, reply) = Reply::later();
        let changes = request.method.is_write();
        let asked = request.clone();
        let call = Call { core: self.core.clone(), request, lang, completer };
        self.core.guard.admit(&asked, move |visitor| {
            let visitor = visitor.and_then(|visitor| visitor.may(access, changes).map(|()| visitor));
            match (visitor, page) {
                (Err(error), _) => call.refuse(&error),
                (Ok(visitor), Page::Activation) => call.activate(visitor),
                (Ok(visitor), _) => call.show(&visitor),
            }
        });
        reply
    }
}

impl Call {
    fn refuse(self, error: &Error) {
        self.completer.complete(refusal(&self.request, self.lang, error));
    }

    fn show(self, visitor: &Visitor) {
        let page = show(&self.core, &self.request, self.lang, Some(&visitor.user));
        self.completer.complete(page);
    }

    fn activate(self, visitor: Visitor) {
        if let Err(error) = self.core.guard.check_origin(&self.request) {
            return self.refuse(&error);
        }
        let Call { core, request, lang, completer } = self;
        log::info!("{ACTIVATION} by {:?} from {}", visitor.user, request.peer.ip());
        let order = match activation::order_of(&request) {
            Ok(order) => order,
            Err(error) => {
                return completer.complete(activation::result(&request, lang, Some(&visitor.user), &Err(error)));
            }
        };
        let job_core = core.clone();
        let user = visitor.user.clone();
        let queued = core.activations.run((completer, request), move |(completer, request)| {
            if !completer.is_abandoned() {
                let outcome = crate::activation::activate(&job_core, order, lang);
                completer.complete(activation::result(&request, lang, Some(&user), &outcome));
            }
        });
        if let Err((error, (completer, request))) = queued {
            completer.complete(activation::result(&request, lang, Some(&visitor.user), &Err(error)));
        }
    }
}

fn asset(request: &Request, lang: Lang, params: &Params) -> Response {
    let missing = || refusal(request, lang, &Error::new(Code::NotFound).with(&request.path));
    assets::respond(request, params.get("name")).unwrap_or_else(missing)
}

fn show(core: &Core, request: &Request, lang: Lang, user: Option<&str>) -> Response {
    overview(request, lang, user, &collect(core, request, lang))
}

/// What should be done soon: the clock, keys that still work but not for long.
fn advice(core: &Core, now: Time) -> Vec<Error> {
    let keys = core.keys.snapshot().warnings(now).into_iter().map(|warning| warning.notice);
    core.timekeeper.shown().notices().into_iter().chain(keys).collect()
}

/// What the overview shows now. Long lists are cut to the latest [`ROWS`].
fn collect(core: &Core, request: &Request, lang: Lang) -> Overview {
    let settings = core.settings.get();
    let now = core.timekeeper.now();
    let snapshot = core.keys.snapshot();
    let data = core.ledger.read(|book, now| {
        let mut sessions: Vec<_> =
            book.sessions(now).map(|view| (Reverse(view.record.granted), view.record.id)).collect();
        let mut connections: Vec<_> = book.connections(now).map(|view| (Reverse(view.created), view.id)).collect();
        let totals = (sessions.len(), connections.len());
        sessions.sort_unstable();
        connections.sort_unstable();
        let sessions: Vec<_> =
            sessions.iter().take(ROWS).filter_map(|(_, id)| book.session(*id, now)).map(api::session_info).collect();
        let connections: Vec<_> = connections
            .iter()
            .take(ROWS)
            .filter_map(|(_, id)| book.connection(*id, now))
            .map(api::connection_info)
            .collect();
        let usage: Vec<_> = book.series().filter_map(|series| Some((series.key_id, book.usage(series)?))).collect();
        (sessions, connections, totals, usage)
    });
    let (sessions, connections, (total_sessions, total_connections), usage) = data;
    let is_full = core.scope == Scope::Full;
    Overview {
        info: api::server_info(core, lang),
        licences: snapshot.views().map(|view| view.info(now, lang)).collect(),
        usage,
        connections,
        total_connections,
        sessions,
        total_sessions,
        notices: Notices {
            default_password: is_full && is_default(&settings),
            plain_http: is_full
                && !request.tls
                && !settings.local_only
                && !settings.addresses.iter().all(std::net::IpAddr::is_loopback),
            centre_unset: is_full && settings.centres.is_empty(),
        },
        failures: core.ledger.failing().into_iter().collect(),
        advice: advice(core, now),
        read_only: !is_full,
    }
}
