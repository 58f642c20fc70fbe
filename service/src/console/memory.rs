//! The page of a key's memory: what closes it, and the button that takes its passwords away. What is in it is never shown.

use askama::Template;
use licence::error::{Code, Error, Lang, Result};
use web::Response;

use super::call::Call;
use super::key;
use crate::api::{MemoryInfo, memory_info};

#[derive(Template)]
#[template(path = "console/memory.html")]
struct Page<'a> {
    lang: Lang,
    key: &'a licence::api::LicenceInfo,
    memory: &'a MemoryInfo,
    action: String,
    back: String,
}

/// `GET /licences/{KeyNo}/memory`.
pub fn show(call: &Call) -> Result<Response> {
    let (series, key_no) = key::named(call)?;
    let facts = key::Facts::of(call)?;
    let reader = &call.reader;
    let main = Page {
        lang: reader.lang,
        key: &facts.info,
        memory: &memory_info(&call.core, series, key_no)?,
        action: reader.key_address(&facts.info, "/memory"),
        back: reader.key_address(&facts.info, ""),
    };
    Ok(reader.framed(200, reader.lang.pick("Память ключа", "Memory of the key"), &main))
}

/// `POST /licences/{KeyNo}/memory`: takes the passwords away and shows the page again.
pub fn remove_passwords(call: &Call) -> Result<Response> {
    let (series, key_no) = key::named(call)?;
    if !call.fields.is_on("confirm") {
        return Err(Error::new(Code::BadRequest).with_text(
            "нет подтверждения, что память останется без паролей",
            "it was not confirmed that the memory shall be without passwords",
        ));
    }
    call.core.keys.memory().remove_passwords(&series, key_no)?;
    let facts = key::Facts::of(call)?;
    Ok(Response::redirect(&call.reader.key_address(&facts.info, "/memory")))
}
