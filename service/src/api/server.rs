//! What the server says of itself: addresses, facts, its public key and certificates, readiness; and its password.

use std::sync::Arc;

use licence::api::{ApiInfo, OperationInfo, ServerInfo, WarningInfo};
use licence::error::{Code, Error, Lang, Result};
use licence::host::os;
use licence::version::{CPU, OS, VERSION};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use web::Method;
use zeroize::Zeroizing;

use super::licences::{root_of, series_key_needed, series_of};
use super::operation::Given;
use super::{Call, openapi, routes};
use crate::access::hashing::Purpose;
use crate::{Core, access};

/// The guide's addresses, in its order: programs that know no others expect them first.
const GUIDE: [&str; 4] = ["/api/serverinfo", "/api/licences", "/api/connections", "/api/sessions"];

/// `GET /api`.
pub fn about(_call: &Call) -> Result<ApiInfo> {
    let routes = routes::table().routes();
    let readable = routes.iter().filter(|route| route.method == Method::Get && route.pattern != "/api");
    let mut urns: Vec<&str> = readable.map(|route| route.pattern).filter(|pattern| !pattern.contains('{')).collect();
    urns.sort_by_key(|urn| GUIDE.iter().position(|known| known == urn).unwrap_or(GUIDE.len()));
    let urns = urns.into_iter().map(str::to_owned).collect();
    let operations = routes.iter().map(|route| OperationInfo {
        method: route.method.name().to_owned(),
        urn: route.pattern.to_owned(),
        access: format!("{:?}", route.access),
        summary: route.handler.summary.to_owned(),
    });
    Ok(ApiInfo { version: VERSION.into(), urns, operations: operations.collect() })
}

/// `GET /api/openapi.json`.
pub fn openapi(_call: &Call) -> Result<Value> {
    Ok(openapi::document(routes::table()))
}

/// `GET /api/serverinfo`.
pub fn info(call: &Call) -> Result<ServerInfo> {
    Ok(server_info(&call.core, call.lang))
}

/// `GET /readyz`: whether requests should be sent here: the store takes writes and the service goes on.
pub fn ready(call: &Call) -> Result<String> {
    match call.core.ledger.failing() {
        Some(error) => Err(error),
        None if call.core.is_stopping() => Err(Code::Busy.into()),
        None => Ok("ready\n".to_owned()),
    }
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
        rollback: core.ledger.rolled_back().map(|error| error.message(lang)),
        warnings: warnings.iter().map(|warning| WarningInfo::of(warning, lang)).collect(),
    }
}

/// `GET /api/publickey`: the key that signs these answers, PEM.
pub fn public_key(call: &Call) -> Result<String> {
    let signing = call.core.signing.as_ref();
    signing
        .map(|signing| signing.pem().to_owned())
        .ok_or_else(|| Error::new(Code::NotImplemented).with(&call.request.path))
}

/// `GET /api/certificate?KeyID=`: the centre's certificate of that key, as it came at the activation.
pub fn certificate(call: &Call) -> Result<String> {
    let missing = || Error::new(Code::BadRequest).with("?KeyID=");
    let key_id = series_of(&call.request)?.ok_or_else(missing)?;
    let root = root_of(&call.request)?;
    let snapshot = call.core.keys.snapshot();
    let fits = |series: &licence::SeriesId| series.key_id == key_id && root.is_none_or(|root| series.root == root);
    let found: Vec<_> = snapshot.certificates().iter().filter(|(series, _)| fits(series)).collect();
    match found.as_slice() {
        [(_, text)] => Ok(text.clone()),
        [] => Err(Error::new(Code::RecordNotFound).with(key_id)),
        several => Err(series_key_needed(key_id, several.iter().map(|(series, _)| *series))),
    }
}

/// Body of `PUT /api/password`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Account {
    user_name: String,
    password: String,
}

/// Answer of `PUT /api/password`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AccountInfo {
    user_name: String,
}

/// `PUT /api/password`: a new name and password, in force at once.
pub fn set_password(call: Call, account: Account, given: Given<AccountInfo>) {
    let (user_name, password) = (account.user_name, Zeroizing::new(account.password));
    if let Err(error) = access::acceptable(&user_name, &password) {
        return given.refuse(&error);
    }
    let (core, address) = (Arc::clone(&call.core), call.request.peer.ip());
    let guard = core.guard.clone();
    let set = move |given: Given<AccountInfo>, turn: Result<()>| {
        let admitted = turn.and_then(|()| call.still_admitted());
        let set = admitted.and_then(|()| access::set_password(&core.paths, core.crypto, &user_name, &password));
        given.result(
            202,
            set.map(|hash| {
                core.settings.change(|settings| {
                    settings.user.clone_from(&user_name);
                    settings.password = hash;
                });
                AccountInfo { user_name }
            }),
        );
    };
    if let Err((error, given)) = guard.hashing.run(Purpose::NewPassword, address, given, set) {
        given.refuse(&error);
    }
}
