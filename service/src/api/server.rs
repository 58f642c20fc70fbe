//! What the server says of itself: addresses, facts, its public key and certificates; and its password.

use std::sync::Arc;

use licence::api::{ApiInfo, ServerInfo, WarningInfo};
use licence::error::{Code, Error, Lang, Result};
use licence::host::os;
use licence::version::{CPU, OS, VERSION};
use serde::{Deserialize, Serialize};
use web::{Method, Response};
use zeroize::Zeroizing;

use super::answer::{Answer, body};
use super::licences::{root_of, series_of};
use super::{Call, routes};
use crate::{Core, access};

/// `GET /api`.
pub fn about(_call: Call, answer: Answer) {
    let readable = routes().into_iter().filter(|route| route.method == Method::Get && route.pattern != "/api");
    let urns = readable.map(|route| route.pattern.to_owned()).filter(|pattern| !pattern.contains('{')).collect();
    answer.json(200, &ApiInfo { version: VERSION.into(), urns });
}

/// `GET /api/serverinfo`.
pub fn info(call: Call, answer: Answer) {
    answer.json(200, &server_info(&call.core, call.lang));
}

/// What the server is and where it runs.
pub fn server_info(core: &Core, lang: Lang) -> ServerInfo {
    let addresses: Vec<String> = os::local_ips().iter().map(ToString::to_string).collect();
    let warnings = core.keys.snapshot().warnings(core.timekeeper.now());
    ServerInfo {
        computer_name: os::computer_name(),
        local_ip: addresses.join(","),
        os_type: OS.into(),
        os_version: core.os_version.clone(),
        module_name: os::executable().display().to_string(),
        pid: std::process::id(),
        cpu: CPU.into(),
        version: VERSION.into(),
        started: core.started,
        computer_id: core.computer_id,
        clock: Some(core.timekeeper.shown()),
        warnings: warnings.iter().map(|warning| WarningInfo::of(warning, lang)).collect(),
    }
}

/// `GET /api/publickey`: the key that signs these answers, PEM.
pub fn public_key(call: Call, answer: Answer) {
    match &call.core.signing {
        Some(signing) => answer.give(Response::new(200, "application/x-pem-file", signing.pem())),
        None => answer.refuse(&Error::new(Code::NotImplemented).with(&call.request.path)),
    }
}

/// `GET /api/certificate?KeyID=`: the centre's certificate of that key, as it came at the activation.
pub fn certificate(call: Call, answer: Answer) {
    match find_certificate(&call) {
        Ok(text) => answer.give(Response::text(200, text)),
        Err(error) => answer.refuse(&error),
    }
}

fn find_certificate(call: &Call) -> Result<String> {
    let missing = || Error::new(Code::BadRequest).with("?KeyID=");
    let key_id = series_of(&call.request)?.ok_or_else(missing)?;
    let root = root_of(&call.request)?;
    let snapshot = call.core.keys.snapshot();
    let fits = |series: &licence::SeriesId| series.key_id == key_id && root.is_none_or(|root| series.root == root);
    let mut found = snapshot.certificates().iter().filter(|(series, _)| fits(series)).map(|(_, text)| text);
    match (found.next(), found.next()) {
        (Some(text), None) => Ok(text.clone()),
        (Some(_), Some(_)) => Err(Error::new(Code::AmbiguousSeries).with(key_id)),
        (None, _) => Err(Error::new(Code::RecordNotFound).with(key_id)),
    }
}

/// Body of `PUT /api/password`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Account {
    user_name: String,
    password: String,
}

/// Answer of `PUT /api/password`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountInfo {
    user_name: String,
}

/// `PUT /api/password`: a new name and password, in force at once.
pub fn set_password(call: Call, answer: Answer) {
    let (user_name, password) = match body::<Account>(&call.request) {
        Ok(account) => (account.user_name, Zeroizing::new(account.password)),
        Err(error) => return answer.refuse(&error),
    };
    if let Err(error) = access::acceptable(&user_name, &password) {
        return answer.refuse(&error);
    }
    let core = Arc::clone(&call.core);
    // Dropped unrun when too many passwords are waiting, which answers 503.
    call.core.guard.hash_later(move || {
        let set = access::set_password(&core.paths, core.crypto, &user_name, &password);
        answer.result(
            202,
            set.map(|hash| {
                core.settings.change(|settings| {
                    settings.user.clone_from(&user_name);
                    settings.password = hash;
                });
                AccountInfo { user_name }
            }),
        );
    });
}
