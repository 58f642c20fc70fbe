//! The activation form of the console: what was typed, and what came of it.

use askama::Template;
use licence::api::{Activate, Digits, LicenceInfo};
use licence::error::{Code, Error, Lang, Result};
use web::{Request, Response};

use super::overview::Form;
use super::{framed, words};

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
    back: &'static str,
}

#[derive(Template)]
#[template(path = "console/failed.html")]
struct Failed {
    lang: Lang,
    cause: String,
    remedy: String,
    form: Form,
}

/// What the form of `request` asks for.
///
/// # Errors
/// [`Code::BadRequest`] when it is no form, [`Code::CodeMalformed`] when the code is missing.
pub fn order_of(request: &Request) -> Result<Activate> {
    let fields =
        request.form().map_err(|error| Error::new(Code::BadRequest).with(error.message.trim_end_matches('.')))?;
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim().to_owned());
    let digits = |name: &str| field(name).filter(|text| !text.is_empty()).map(Digits::Text);
    let code = field("code")
        .filter(|code| !code.is_empty())
        .ok_or_else(|| Error::new(Code::CodeMalformed).with_text("код не введён", "no code was typed"))?;
    Ok(Activate { activation_code_string: code, itn: digits("itn"), iec: digits("iec"), ..Activate::default() })
}

/// The page after an activation: the new key, or the error with its remedy and the form to try again.
pub fn result(request: &Request, lang: Lang, user: Option<&str>, outcome: &Result<LicenceInfo>) -> Response {
    match outcome {
        Ok(key) => {
            let (state, badge) = words::key_state(lang, key);
            let main = Installed {
                lang,
                key,
                kind: words::key_type(lang, key.key_type),
                state,
                badge,
                error: key.open_error.as_deref().map(words::without_class),
                expires: key.expire_date.map(|end| words::day(lang, end)),
                back: if super::has_menu(request) { "/" } else { "/?menu=false" },
            };
            framed(request, lang, 201, lang.pick("Лицензия установлена", "The licence is installed"), user, &main)
        }
        Err(error) => {
            let fields = request.form().unwrap_or_default();
            let typed = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            let form = Form {
                code: typed("code").unwrap_or_default(),
                itn: typed("itn").unwrap_or_default(),
                iec: typed("iec").unwrap_or_default(),
                invalid: error.code.class() == Code::CodeMalformed.class(),
                ..Form::empty(lang, request)
            };
            let main = Failed { lang, cause: error.cause(lang), remedy: error.remedy(lang), form };
            let title = lang.pick("Лицензия не установлена", "The licence was not installed");
            framed(request, lang, error.code.status(), title, user, &main)
        }
    }
}
