//! The centre over HTTP: `POST /api/requests` and `GET /healthz`. It never blocks a front, and its log never has a code in
//! full.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use licence::api::Refusal;
use licence::code::ActivationCode;
use licence::error::{Code, Error};
use licence::{Lang, SeriesId};
use parking_lot::Mutex;
use web::limits::Buckets;
use web::{Access, Completer, Crew, Found, Language, Method, Reply, Request, Response, Route, Router, Service, status};

use crate::centre::{Centre, Refused};

/// Requests that may wait for a worker; more are refused as busy.
const QUEUE: usize = 512;
/// Addresses whose attempts are remembered.
const ADDRESSES: usize = 100_000;

#[derive(Debug, Clone, Copy)]
enum Endpoint {
    Activate,
    Health,
}

/// The service.
pub struct CentreService {
    shared: Arc<Shared>,
    router: Router<Endpoint>,
    attempts: Option<Mutex<Buckets>>,
    started: Instant,
    crew: Crew,
}

struct Shared {
    centre: Centre,
}

/// How many attempts one address may make.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    /// At once.
    pub burst: u32,
    /// One more each time that this has passed.
    pub interval: Duration,
}

fn refusal(error: &Error, language: Language) -> Response {
    let lang = match language {
        Language::Russian => Lang::Russian,
        Language::English => Lang::English,
    };
    // With the error itself in it, so that a server can tell it in its own language.
    let status = error.code.status();
    Response::json(status, &Refusal::of(error, lang, status::text(status)))
}

impl CentreService {
    /// A service with `threads` workers. Without `attempts` an address may try as often as it likes.
    pub fn new(centre: Centre, threads: usize, attempts: Option<Attempts>) -> std::io::Result<CentreService> {
        let routes = vec![
            Route::new(Method::Post, "/api/requests", Access::Public, Endpoint::Activate),
            Route::new(Method::Get, "/healthz", Access::Public, Endpoint::Health),
        ];
        Ok(CentreService {
            shared: Arc::new(Shared { centre }),
            router: Router::new(routes),
            attempts: attempts.map(|attempts| Mutex::new(Buckets::new(attempts.burst, attempts.interval, ADDRESSES))),
            started: Instant::now(),
            crew: Crew::new("centre", threads, QUEUE)?,
        })
    }

    /// Every attempt counts, right or wrong: a guesser who owns one code could else buy himself new tries with it.
    fn may_try(&self, address: IpAddr) -> Result<(), Error> {
        let Some(attempts) = &self.attempts else { return Ok(()) };
        let wait = attempts.lock().take(address, self.started.elapsed());
        wait.map_err(|wait| Error::new(Code::TooManyAttempts).with(wait.as_secs() + 1))
    }

    fn later(&self, what: &'static str, request: Request, job: fn(&Shared, Request, Completer)) -> Reply {
        let (completer, reply) = Reply::later();
        let shared = self.shared.clone();
        let (peer, language) = (request.peer, request.language());
        match self.crew.try_run(move || job(&shared, request, completer)) {
            Ok(()) => reply,
            Err(_) => {
                log::warn!("{} {what}: 503, the queue is full", peer.ip());
                refusal(&Code::Busy.into(), language).into()
            }
        }
    }
}

impl Service for CentreService {
    fn call(&self, request: Request) -> Reply {
        let (address, language) = (request.peer.ip(), request.language());
        let refuse = |what: &str, error: Error| {
            log::info!("{address} {what}: {} {}", error.code.status(), error.code.class());
            Reply::Now(refusal(&error, language))
        };
        let endpoint = match self.router.find(request.method, &request.path) {
            Found::Route { route, .. } => route.handler,
            // The path is not logged: what was typed there may be a code.
            Found::NotFound => return refuse("unknown path", Error::new(Code::NotFound).with(&request.path)),
            Found::MethodNotAllowed { allow } => {
                let error = Error::new(Code::MethodNotAllowed).with(request.method.name()).with(&allow);
                return Reply::Now(refusal(&error, language).with_header("Allow", &allow));
            }
        };
        match endpoint {
            Endpoint::Health => self.later("health", request, health),
            Endpoint::Activate => match self.may_try(address) {
                Ok(()) => self.later("activate", request, activate),
                Err(error) => refuse("activate", error),
            },
        }
    }
}

fn health(shared: &Shared, request: Request, completer: Completer) {
    completer.complete(match shared.centre.check() {
        Ok(()) => Response::text(200, "ok\n"),
        Err(error) => refusal(&error, request.language()),
    });
}

fn activate(shared: &Shared, request: Request, completer: Completer) {
    let (address, language) = (request.peer.ip(), request.language());
    if completer.is_abandoned() {
        log::info!("{address} activate: the client has gone");
        return;
    }
    let text = String::from_utf8(request.body);
    let issued = match &text {
        Ok(text) => shared.centre.activate(text),
        Err(_) => Err(Refused { error: Error::new(Code::BadRequest).with("UTF-8"), code: None }),
    };
    completer.complete(match issued {
        Ok(issued) => {
            let SeriesId { key_id, .. } = issued.series;
            let how = if issued.repeated { "repeated" } else { "issued" };
            log::info!("{address} activate: 200, code {:?}, {how} {key_id} KeyNo {}", issued.code, issued.key_no);
            Response::text(200, issued.answer).with_header("Cache-Control", "no-store")
        }
        Err(Refused { error, code }) => {
            // An error about a text that is no request may quote it, and what stands there may be a code.
            let said = if code.is_some() { error.to_string() } else { format!("{:?}", error.code) };
            let code = code.map_or("-".to_owned(), |code: ActivationCode| code.masked());
            log::info!("{address} activate: {}, code {code}, {said}", error.code.status());
            refusal(&error, language)
        }
    });
}
