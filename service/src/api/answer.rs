//! The answer to one API request: its headers, its signature, the shape of a refusal.

use std::sync::Arc;

use licence::api::Refusal;
use licence::error::{Code, Error, Lang, Result};
use licence::version::SERVER_VERSION;
use serde::Serialize;
use web::{Completer, Reply, Request, Response};

use crate::Core;
use crate::ledger::AuditEntry;
use crate::signature::QueryId;

/// Where the answer to one request goes. Dropped unused it refuses with [`Code::Busy`].
pub struct Answer {
    core: Arc<Core>,
    completer: Completer,
    query: QueryId,
    lang: Lang,
    /// Whether it goes to somebody who has signed in.
    known: bool,
    /// The act that it answers, for the audit trail.
    act: Option<AuditEntry>,
    /// Whether it is signed by the thread that gives it, which belongs to a bounded crew.
    here: bool,
}

impl Answer {
    /// The place for an answer, and the reply that waits for it.
    pub fn to(core: Arc<Core>, query: QueryId, lang: Lang) -> (Answer, Reply) {
        let (completer, reply) = Reply::later();
        // As when nobody is free to sign: a refusal that costs nothing.
        let asked = query.clone();
        let completer = completer.or_else(move || asked.echo(refusal(&Code::Busy.into(), lang)));
        (Answer { core, completer, query, lang, known: false, act: None, here: false }, reply)
    }

    /// The same place, of somebody who has signed in.
    pub fn known(self) -> Answer {
        Answer { known: true, ..self }
    }

    /// The same place, of an administrative act: it goes into the audit trail with how it ended.
    pub fn audited(self, act: AuditEntry) -> Answer {
        Answer { act: Some(act), ..self }
    }

    /// The same place, given by a thread of a bounded crew, so that it signs by itself and large answers don't queue up.
    pub fn here(self) -> Answer {
        Answer { here: true, ..self }
    }

    /// Whether nobody waits for it any more.
    pub fn is_abandoned(&self) -> bool {
        self.completer.is_abandoned()
    }

    /// Gives the answer: signed, on the threads that sign.
    pub fn give(self, response: Response) {
        let response = self.query.echo(response).with_header("Licence-ServerVersion", SERVER_VERSION);
        let Answer { core, completer, query, lang, known, act, here } = self;
        if let Some(act) = act {
            core.ledger.audit(AuditEntry { status: response.status, ..act });
        }
        let Some(signing) = &core.signing else { return completer.complete(response) };
        if here {
            return completer.complete(signing.sign_here(&query, response));
        }
        let signed =
            signing.sign(known, query, response, completer, |completer, response| completer.complete(response));
        if let Err((error, completer)) = signed {
            completer.complete(refusal(&error, lang));
        }
    }

    /// Gives a JSON body.
    pub fn json(self, status: u16, body: &impl Serialize) {
        self.give(Response::json(status, body));
    }

    /// Gives a refusal.
    pub fn refuse(mut self, error: &Error) {
        if let Some(act) = &mut self.act {
            act.error = Some(error.clone());
        }
        if error.code == Code::Internal || error.code == Code::FileFailed {
            log::error!("{error}");
        }
        let response = refusal(error, self.lang);
        self.give(response);
    }

    /// Gives a JSON body, or a refusal.
    pub fn result(self, status: u16, outcome: Result<impl Serialize>) {
        match outcome {
            Ok(body) => self.json(status, &body),
            Err(error) => self.refuse(&error),
        }
    }
}

/// The refusal of an API request, unsigned.
pub fn refusal(error: &Error, lang: Lang) -> Response {
    let status = error.code.status();
    let response = Response::json(status, &Refusal::of(error, lang, web::status::text(status)));
    let response = response.with_header("Licence-ServerVersion", SERVER_VERSION).with_retry_after(error.retry_after());
    match error.code {
        Code::Unauthorized => {
            response.with_header("WWW-Authenticate", "Basic realm=\"licenceserver\", charset=\"UTF-8\"")
        }
        _ => response,
    }
}

/// The JSON body of a request. Every body of the API is an object; a list would be read as the values of its fields.
pub fn body<T: serde::de::DeserializeOwned>(request: &Request) -> Result<T> {
    if request.text_bytes().trim_ascii_start().starts_with(b"[") {
        return Err(Error::new(Code::BadRequest).with_text("нужен объект JSON", "a JSON object is expected"));
    }
    request.json().map_err(|error| {
        let cause = error.message.trim_end_matches('.');
        let russian = if error.status == 415 {
            "нужен Content-Type: application/json"
        } else {
            "тело – не такой JSON, какой нужен"
        };
        match error.status {
            415 => Error::new(Code::BadRequest).with_text(russian, cause),
            _ => Error::new(Code::BadRequest).with_text(format_args!("{russian} ({cause})"), cause),
        }
    })
}
