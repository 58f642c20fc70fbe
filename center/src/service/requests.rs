//! `POST /api/requests`: what servers ask, and the same for people with a request file. The log never has a code in full.

use licence::activation::Request as Asked;
use licence::error::{Code, Error, Result};
use web::Response;

use super::{Call, Shared};
use crate::centre::Done;

/// Answers a request of a server.
pub(super) fn answer(call: &Call<'_>) -> Result<Response> {
    let text = std::str::from_utf8(&call.request.body).map_err(|_| Error::new(Code::BadRequest).with("UTF-8"));
    let done = answered(call, text)?;
    Ok(Response::text(200, done.answer).with_header("Cache-Control", "no-store"))
}

/// Answers the text of a request, within the limits of whoever has sent it.
pub(super) fn answered(call: &Call<'_>, text: Result<&str>) -> Result<Done> {
    let Shared { centre, guard, metrics, .. } = call.shared;
    let address = call.address;
    guard.enter(address)?;
    let asked: Result<Asked> = text.and_then(|text| centre.read(text));
    let code = asked.as_ref().ok().and_then(Asked::code);
    // A code that has no token left gives none back.
    let code_entered = code.map_or(Ok(()), |code| guard.enter_code(code));
    let limited = code_entered.is_err();
    let readable = asked.is_ok();
    let done = code_entered.and_then(|()| centre.answer(&asked?));
    guard.leave(address, code.filter(|_| !limited), &done);
    let masked = code.map_or("-".to_owned(), |code| code.masked());
    match &done {
        Ok(done) => {
            metrics.count(done.what);
            let key_no = done.key_no.map(|key_no| key_no.to_string()).unwrap_or_default();
            log::info!("{address} {}: 200, code {masked}, {} KeyNo {key_no}", done.what, done.series.key_id);
        }
        Err(error) => {
            metrics.count("refused");
            // An error about a text that is no request may quote it, and what stands there may be a code.
            let said = if readable { error.to_string() } else { format!("{:?}", error.code) };
            log::info!("{address} request: {}, code {masked}, {said}", error.code.status());
        }
    }
    done
}
