//! `POST /api/requests`: what servers ask, and the same for people with a request file. The log never has a code in full.

use std::net::IpAddr;

use licence::activation::Request as Asked;
use licence::code::ActivationCode;
use licence::error::{Code, Error, Result};
use web::Response;

use super::{Call, Shared};
use crate::centre::Done;
use crate::store::Unsettled;

/// A request of a server that was decided, and that nobody has been told of.
pub(super) struct Decided {
    address: IpAddr,
    code: Option<ActivationCode>,
    /// Whether the code had a token left.
    within_limits: bool,
    /// Whether the text was a request at all.
    readable: bool,
    done: Result<Unsettled<Done>>,
}

/// Decides about a request of a server.
pub(super) fn decide(call: &Call<'_>) -> Result<Decided> {
    let text = std::str::from_utf8(&call.request.body).map_err(|_| Error::new(Code::BadRequest).with("UTF-8"));
    Decided::of(call, text)
}

impl Decided {
    /// Decides about the text of a request, within the limits of whoever has sent it.
    pub(super) fn of(call: &Call<'_>, text: Result<&str>) -> Result<Decided> {
        let Shared { centre, guard, .. } = call.shared;
        guard.enter(call.address)?;
        let asked: Result<Asked> = text.and_then(|text| centre.read(text));
        let code = asked.as_ref().ok().and_then(Asked::code);
        let code_entered = code.map_or(Ok(()), |code| guard.enter_code(code));
        let within_limits = code_entered.is_ok();
        let readable = asked.is_ok();
        let done = code_entered.and_then(|()| centre.answer(&asked?));
        Ok(Decided { address: call.address, code, within_limits, readable, done })
    }

    /// Settles it; what may be told now. It is logged and counted by what has become of it.
    pub(super) fn settle(self, shared: &Shared) -> Result<Done> {
        let Decided { address, code, within_limits, readable, done } = self;
        let done = done.and_then(Unsettled::settle);
        // A code that had no token left gives none back.
        shared.guard.leave(address, code.filter(|_| within_limits), &done);
        let masked = code.map_or("-".to_owned(), |code| code.masked());
        match &done {
            Ok(done) => {
                shared.metrics.count(done.what);
                let key_no = done.key_no.map(|key_no| key_no.to_string()).unwrap_or_default();
                log::info!("{address} {}: 200, code {masked}, {} KeyNo {key_no}", done.what, done.series.key_id);
            }
            Err(error) => {
                shared.metrics.count("refused");
                // An error about a text that is no request may quote it, and what stands there may be a code.
                let said = if readable { error.to_string() } else { format!("{:?}", error.code) };
                log::info!("{address} request: {}, code {masked}, {said}", error.code.status());
            }
        }
        done
    }

    /// Settles it; the answer to the server.
    pub(super) fn answer(self, shared: &Shared) -> Result<Response> {
        let done = self.settle(shared)?;
        Ok(Response::text(200, done.answer).with_header("Cache-Control", "no-store"))
    }
}
