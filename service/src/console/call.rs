//! One request for a page on its way to its answer: where it is worked on, and what the audit trail says of it.

use std::sync::Arc;

use licence::error::{Code, Error, Result};
use web::{Completer, Params, Response, Workers};

use super::fields::Fields;
use super::site::Page;
use super::{Reader, activation, life, refusal};
use crate::Core;
use crate::access::Visitor;
use crate::activation::Caller;
use crate::ledger::AuditEntry;
use crate::queue::hand_over;

/// A request whose sender may make it. Dropped unanswered it answers 503.
pub struct Call {
    /// The service.
    pub core: Arc<Core>,
    /// Threads for what waits for a disk.
    pub workers: Arc<Workers>,
    /// What is asked for.
    pub page: Page,
    /// By whom.
    pub reader: Reader,
    /// Whoever has signed in for it.
    pub visitor: Option<Visitor>,
    /// Of what.
    pub params: Params,
    /// With which fields.
    pub fields: Fields,
    /// Where the answer goes.
    pub completer: Completer,
    /// What the audit trail will say, of a request that changes something.
    pub act: Option<AuditEntry>,
}

impl Call {
    /// Refuses before anything was tried.
    pub fn refuse(self, error: &Error) {
        let page = refusal(&self.reader, error);
        self.answer(page, Some(error));
    }

    /// Answers with what `make` gives, here and now.
    pub fn now(self, make: fn(&Call) -> Result<Response>) {
        let outcome = make(&self);
        self.finish(outcome);
    }

    /// The same on the console's own threads: it waits for a disk.
    pub fn work(self, make: fn(&Call) -> Result<Response>) {
        let (workers, place) = (self.workers.clone(), (self.lane(), self.reader.request.peer.ip()));
        if let Err((error, call)) = hand_over(&workers, place, self, move |call, turn| call.in_turn(turn, make)) {
            call.finish(Err(error));
        }
    }

    /// The same on the threads for calls: the centre is asked.
    pub fn centre(self, make: fn(&Call) -> Result<Response>) {
        let (core, address) = (self.core.clone(), self.reader.request.peer.ip());
        let queued = core.activations.run(Caller::Person, address, self, move |call, turn| call.in_turn(turn, make));
        if let Err((error, call)) = queued {
            call.finish(Err(error));
        }
    }

    /// Who has signed in waits apart from those who need not.
    fn lane(&self) -> usize {
        usize::from(self.visitor.is_none())
    }

    /// Who has gone away may come back and ask again: then he gets the same.
    fn in_turn(self, turn: Result<()>, make: fn(&Call) -> Result<Response>) {
        let guard = &self.core.guard;
        let admitted = turn.and_then(|()| self.visitor.as_ref().map_or(Ok(()), |visitor| guard.still_admits(visitor)));
        match admitted {
            Ok(()) if self.completer.is_abandoned() => {}
            Ok(()) => self.now(make),
            Err(error) => self.finish(Err(error)),
        }
    }

    /// Answers with a page, or with that of an error: the form again where there was one.
    pub fn finish(self, outcome: Result<Response>) {
        match outcome {
            Ok(page) => self.answer(page, None),
            Err(error) => {
                if error.code == Code::Internal || error.code == Code::FileFailed {
                    log::error!("{error}");
                }
                let page = match self.page {
                    Page::Activation => {
                        let title = ("Лицензия не установлена", "The licence was not installed");
                        activation::failed(&self.reader, title, &self.fields, &error)
                    }
                    Page::Code => {
                        let title = ("О коде ничего не известно", "Nothing is known of the code");
                        activation::failed(&self.reader, title, &self.fields, &error)
                    }
                    Page::Responses => life::response_failed(&self.reader, &self.fields, &error),
                    Page::Reserve => life::reserve_failed(&self, &error),
                    _ => refusal(&self.reader, &error),
                };
                self.answer(page, Some(&error));
            }
        }
    }

    fn answer(self, page: Response, error: Option<&Error>) {
        if let Some(act) = self.act {
            self.core.ledger.audit(AuditEntry { status: page.status, error: error.cloned(), ..act });
        }
        self.completer.complete(page);
    }
}
