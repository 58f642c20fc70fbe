//! The life of a key: installing, updating and giving up, by the network and by files, and the memory of a key. What a password
//! protects, and passwords themselves, are in no log and no text of an error.

use licence::api::LicenceInfo;
use licence::error::Error;
use licence::id::KeyNo;
use licence::protocol::keys::{Deactivate, Hidden, Install, KeyCall, KeyOutcome, Wish};
use serde::Serialize;

use super::LicenceExtension;
use super::arguments::{
    Member, argument, hidden_at, optional_number_at, optional_text_at, text_or_nothing_at, wrong_kind,
};
use super::server::json;
use super::slot::Slot;
use crate::client::series::unexpected;
use crate::native::{Failure, Value};

/// News about keys.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct News {
    updated: Vec<KeyNo>,
    retired: Vec<KeyNo>,
    revoked: Vec<KeyNo>,
}

/// What a response file has brought: one of the members, the others are null.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Brought {
    licence: Option<Box<LicenceInfo>>,
    reserve: Option<Reserve>,
    update: Option<News>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reserve {
    key_no: KeyNo,
    reserve_code: String,
}

impl LicenceExtension {
    /// Exchanges a code for a licence of the series at its server, or asks for a demo licence without one; JSON of the licence.
    pub(super) fn install_licence(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("InstallLicence", "УстановитьЛицензию");
        let call = KeyCall::Install(install(arguments, names)?);
        self.about_keys(arguments, names, Value::Undefined, |_| Ok(call), licence)
    }

    /// Asks the centre for news about the keys of the series; JSON. The server says itself who asks: ИНН and КПП are accepted for
    /// the sake of older code.
    pub(super) fn update_licences(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("UpdateLicences", "ОбновитьЛицензии");
        tax_numbers(arguments, names)?;
        self.about_keys(arguments, names, Value::Undefined, |_| Ok(KeyCall::Update), |outcome| json(&news(outcome)?))
    }

    /// Gives a key up in the name of an administrator of the server; the reserve code.
    pub(super) fn deactivate_licence(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("DeactivateLicence", "ДеактивироватьЛицензию");
        let call = KeyCall::Deactivate(deactivate(arguments, names)?);
        let code = |outcome| match outcome {
            KeyOutcome::Reserved { mut code, .. } => Ok(shown(&mut code)),
            _ => Err(unexpected()),
        };
        self.about_keys(arguments, names, Value::Undefined, |_| Ok(call), code)
    }

    /// A request file for a licence, as text; for a demo licence without a code.
    pub(super) fn create_request_file(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("CreateRequestFile", "СоздатьФайловыйЗапрос");
        let wish = Wish::Install(install(arguments, names)?);
        self.request_file(arguments, names, wish)
    }

    /// A request file for news about the keys of the series, as text.
    pub(super) fn create_update_request_file(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("CreateUpdateRequestFile", "СоздатьФайловыйЗапросОбновления");
        tax_numbers(arguments, names)?;
        self.request_file(arguments, names, Wish::Update)
    }

    /// A request file for a reserve code, as text, in the name of an administrator of the server.
    pub(super) fn create_deactivation_request_file(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("CreateDeactivationRequestFile", "СоздатьФайловыйЗапросДеактивации");
        let wish = Wish::Deactivate(deactivate(arguments, names)?);
        self.request_file(arguments, names, wish)
    }

    /// Installs the centre's answer to a request file, given as text or as bytes; JSON of what it has brought.
    pub(super) fn install_response_file(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("InstallResponseFile", "УстановитьФайловыйОтвет");
        let text = match arguments.get_mut(1).map(Value::take) {
            Some(Value::Text(text)) => Ok(text),
            Some(Value::Blob(bytes)) => String::from_utf8(bytes).map_err(|_| {
                argument(names.0, names.1).with_text("файл ответа - текст в UTF-8", "a response file is text in UTF-8")
            }),
            _ => return Err(wrong_kind(names, "Строка или ДвоичныеДанные", "a string or BinaryData")),
        };
        let brought = |outcome| {
            json(&match outcome {
                KeyOutcome::Installed { licence } => Brought { licence: Some(licence), ..Brought::default() },
                KeyOutcome::Reserved { key_no, mut code } => {
                    let reserve_code = std::mem::take(&mut code.0);
                    Brought { reserve: Some(Reserve { key_no, reserve_code }), ..Brought::default() }
                }
                other => Brought { update: Some(news(other)?), ..Brought::default() },
            })
        };
        self.about_keys(arguments, names, Value::Undefined, |_| Ok(KeyCall::Respond { text: text? }), brought)
    }

    /// What a code would give, without spending it; JSON.
    pub(super) fn code_parameters(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("GetCodeParameters", "ПолучитьПараметрыКодаАктивации");
        let code = hidden_at(arguments, 1, names)?;
        let parameters = |outcome| match outcome {
            KeyOutcome::CodeParameters { parameters } => json(&parameters),
            _ => Err(unexpected()),
        };
        self.about_keys(arguments, names, Value::Undefined, |_| Ok(KeyCall::CodeParameters { code }), parameters)
    }

    /// What is in the memory of a key.
    pub(super) fn read_memory(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("ReadMemory", "ПрочитатьПамять");
        let (key, password) = (optional_text_at(arguments, 1, names)?, hidden_at(arguments, 2, names)?);
        let call = |slot: &Slot| Ok(KeyCall::ReadMemory { key_no: key_named(slot, key, names)?, password });
        let data = |outcome| match outcome {
            KeyOutcome::Memory { mut data } => Ok(shown(&mut data)),
            _ => Err(unexpected()),
        };
        self.about_keys(arguments, names, Value::Undefined, call, data)
    }

    /// Writes the memory of a key.
    pub(super) fn write_memory(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("WriteMemory", "ЗаписатьПамять");
        let key = optional_text_at(arguments, 1, names)?;
        let (password, data) = (hidden_at(arguments, 2, names)?, hidden_at(arguments, 3, names)?);
        let call = |slot: &Slot| Ok(KeyCall::WriteMemory { key_no: key_named(slot, key, names)?, password, data });
        self.about_keys(arguments, names, Value::Bool(false), call, done)
    }

    /// Empties the memory of a key; with its password for writing, if it has one.
    pub(super) fn clear_memory(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("ClearMemory", "ОбнулитьПамять");
        let (key, password) = (optional_text_at(arguments, 1, names)?, hidden_at(arguments, 2, names)?);
        let call = |slot: &Slot| Ok(KeyCall::ClearMemory { key_no: key_named(slot, key, names)?, password });
        self.about_keys(arguments, names, Value::Bool(false), call, done)
    }

    /// Sets both passwords of a key's memory; empty: none.
    pub(super) fn set_passwords(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("SetPasswords", "УстановитьПароли");
        let key = optional_text_at(arguments, 1, names)?;
        let old = [hidden_at(arguments, 2, names)?, hidden_at(arguments, 3, names)?];
        let new = [hidden_at(arguments, 4, names)?, hidden_at(arguments, 5, names)?];
        let call = |slot: &Slot| Ok(KeyCall::SetPasswords { key_no: key_named(slot, key, names)?, old, new });
        self.about_keys(arguments, names, Value::Bool(false), call, done)
    }

    fn request_file(&mut self, arguments: &[Value], names: Member, wish: Wish) -> Result<Value, Failure> {
        let text = |outcome| match outcome {
            KeyOutcome::Request { text, .. } => Ok(text.into()),
            _ => Err(unexpected()),
        };
        self.about_keys(arguments, names, Value::Undefined, |_| Ok(KeyCall::Request { wish }), text)
    }

    fn about_keys(
        &mut self,
        arguments: &[Value],
        names: Member,
        refused: Value,
        call: impl FnOnce(&Slot) -> licence::Result<KeyCall>,
        value: impl FnOnce(KeyOutcome) -> licence::Result<Value>,
    ) -> Result<Value, Failure> {
        self.on_series(arguments, names, refused, |slot, _| {
            let call = call(slot)?;
            value(slot.started.about_keys(slot.session(), call)?)
        })
    }
}

/// The key that 1C code means: by its number; the name of the series stands for its main key, and without a name it is the
/// session's own, if there is one. `None` is the main key.
pub(super) fn key_named(slot: &Slot, key: Option<String>, names: Member) -> licence::Result<Option<KeyNo>> {
    match key {
        Some(text) if text.parse() == Ok(slot.started.wanted.key_id) => Ok(None),
        // Not repeated in the error: in a call with its arguments in a wrong order it may be a password.
        Some(text) => text.parse().map(Some).map_err(|_| {
            let wanted = ("ожидается серийный номер ключа или серия", "the number of a key or the series is expected");
            argument(names.0, names.1).with_text(wanted.0, wanted.1)
        }),
        None => Ok(slot.key_no().ok()),
    }
}

fn install(arguments: &mut [Value], names: Member) -> Result<Install, Failure> {
    let (itn, iec) = tax_numbers_from(arguments, 2, names)?;
    let blank_key_no = optional_number_at(arguments, 4, names)?;
    Ok(Install { code: hidden_at(arguments, 1, names)?, itn, iec, blank_key_no })
}

fn deactivate(arguments: &mut [Value], names: Member) -> Result<Deactivate, Failure> {
    let key_no = optional_number_at(arguments, 1, names)?;
    let key_no = key_no.ok_or_else(|| wrong_kind(names, "серийный номер ключа", "the number of a key"))?;
    Ok(Deactivate {
        key_no,
        reason: text_or_nothing_at(arguments, 2, names)?,
        comment: text_or_nothing_at(arguments, 3, names)?,
        login: text_or_nothing_at(arguments, 4, names)?,
        password: hidden_at(arguments, 5, names)?,
    })
}

/// Checks ИНН and КПП where nothing follows from them.
fn tax_numbers(arguments: &[Value], names: Member) -> Result<(), Failure> {
    tax_numbers_from(arguments, 1, names).map(drop)
}

fn tax_numbers_from(arguments: &[Value], at: usize, names: Member) -> Result<(String, String), Failure> {
    Ok((text_or_nothing_at(arguments, at, names)?, text_or_nothing_at(arguments, at + 1, names)?))
}

fn licence(outcome: KeyOutcome) -> licence::Result<Value> {
    match outcome {
        KeyOutcome::Installed { licence } => json(&licence),
        _ => Err(unexpected()),
    }
}

fn news(outcome: KeyOutcome) -> Result<News, Error> {
    match outcome {
        KeyOutcome::Updated { updated, retired, revoked } => Ok(News { updated, retired, revoked }),
        KeyOutcome::Done => Ok(News::default()),
        _ => Err(unexpected()),
    }
}

fn done(outcome: KeyOutcome) -> licence::Result<Value> {
    match outcome {
        KeyOutcome::Done => Ok(Value::Bool(true)),
        _ => Err(unexpected()),
    }
}

fn shown(text: &mut Hidden) -> Value {
    Value::Text(std::mem::take(&mut text.0))
}
