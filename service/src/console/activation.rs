//! The activation form of the console: a code or the wish for a demo licence, sent to the centre at once or saved as a request file,
//! and what came of it.

use askama::Template;
use licence::KeyId;
use licence::api::{Activate, Digits, LicenceInfo};
use licence::error::{Code, Error, Lang, Result};
use web::Response;

use super::call::Call;
use super::fields::Fields;
use super::{ACTIVATION, CODES, Reader, life, words};
use crate::activation::{self, Order};

/// The form with what was typed into it.
#[derive(Template, Default)]
#[template(path = "console/form.html")]
pub(super) struct Form {
    lang: Lang,
    action: String,
    /// Where it is told what the code would give.
    ask: String,
    /// Whether a demo licence of a series is asked for rather than that of a code.
    demo: bool,
    code: String,
    series: String,
    itn: String,
    iec: String,
    carrier: String,
    /// Whether the code was refused.
    invalid: bool,
}

#[derive(Template)]
#[template(path = "console/installed.html")]
struct Installed<'a> {
    lang: Lang,
    key: &'a LicenceInfo,
    kind: &'static str,
    state: &'static str,
    badge: &'static str,
    error: Option<&'a str>,
    expires: Option<String>,
    details: String,
    back: String,
}

#[derive(Template)]
#[template(path = "console/failed.html")]
struct Failed<F: Template> {
    lang: Lang,
    cause: String,
    remedy: String,
    form: F,
}

impl Form {
    /// A form for a code.
    pub(super) fn for_code(reader: &Reader) -> Form {
        let (action, ask) = (reader.address(ACTIVATION), reader.address(CODES));
        Form { lang: reader.lang, action, ask, ..Form::default() }
    }

    /// A form for a demo licence.
    pub(super) fn for_demo(reader: &Reader) -> Form {
        Form { demo: true, ..Form::for_code(reader) }
    }

    /// What tells the fields of two forms on one page apart.
    fn mark(&self) -> &'static str {
        if self.demo { "demo-" } else { "" }
    }
}

/// What a form asks for.
///
/// # Errors
/// [`Code::CodeMalformed`] when the code is missing, [`Code::BadRequest`] for a series or a carrier that can't be one.
pub fn order(fields: &Fields) -> Result<Activate> {
    let typed = |name: &str| Some(fields.get(name)).filter(|text| !text.is_empty());
    let wrong = |russian: &str, english: &str| Error::new(Code::BadRequest).with_text(russian, english);
    let series = typed("series").map(str::parse::<KeyId>).transpose();
    let order = Activate {
        activation_code_string: fields.get("code").to_owned(),
        itn: typed("itn").map(|text| Digits::Text(text.to_owned())),
        iec: typed("iec").map(|text| Digits::Text(text.to_owned())),
        blank_key_no: typed("carrier")
            .map(|text| {
                text.parse().map_err(|_| wrong("номер носителя: только цифры", "number of the carrier: digits only"))
            })
            .transpose()?,
        key_id: series.map_err(|_| wrong("серия: 4 шестнадцатеричных знака", "series: 4 hexadecimal digits"))?,
        root: None,
    };
    if order.activation_code_string.is_empty() && order.key_id.is_none() {
        return Err(match fields.is_on("demo") {
            true => wrong("серия не указана", "no series was typed"),
            false => Error::new(Code::CodeMalformed).with_text("код не введён", "no code was typed"),
        });
    }
    Ok(order)
}

/// `POST /activation`: the new key.
pub fn activate(call: &Call) -> Result<Response> {
    let key = activation::activate(&call.core, order(&call.fields)?, call.reader.lang)?;
    Ok(installed(&call.reader, &key))
}

/// The same as a request file.
pub fn activate_by_file(call: &Call) -> Result<Response> {
    life::request_file(call, Order::Activate(order(&call.fields)?))
}

/// The page of a key that was just installed.
pub fn installed(reader: &Reader, key: &LicenceInfo) -> Response {
    let lang = reader.lang;
    let (state, badge) = words::key_state(lang, key);
    let main = Installed {
        lang,
        key,
        kind: words::key_type(lang, key.key_type),
        state,
        badge,
        error: key.open_error.as_deref().map(words::without_class),
        expires: key.expire_date.map(|end| words::day(lang, end)),
        details: reader.key_address(key, ""),
        back: reader.address("/"),
    };
    reader.framed(201, lang.pick("Лицензия установлена", "The licence is installed"), &main)
}

/// The error with its remedy and the form to try again, under the title of what was not done.
pub fn failed(reader: &Reader, title: (&str, &str), fields: &Fields, error: &Error) -> Response {
    let typed = |name: &str| fields.get(name).to_owned();
    let form = Form {
        demo: fields.is_on("demo"),
        code: typed("code"),
        series: typed("series"),
        itn: typed("itn"),
        iec: typed("iec"),
        carrier: typed("carrier"),
        invalid: error.code.class() == Code::CodeMalformed.class(),
        ..Form::for_code(reader)
    };
    again(reader, reader.lang.pick(title.0, title.1), error, form)
}

/// The page of an error with a form to try again.
pub fn again(reader: &Reader, title: &str, error: &Error, form: impl Template) -> Response {
    let lang = reader.lang;
    let main = Failed { lang, cause: error.cause(lang), remedy: error.remedy(lang), form };
    reader.framed(error.code.status(), title, &main)
}
