//! `licenceserver status`: whether the server of this computer runs, asked of the server itself.

use std::net::SocketAddr;
use std::time::Duration;

use licence::error::{Lang, Result};
use licence::host::os;
use licence::printable;
use licence::settings::{Remark, ServerSettings};
use service::Health;

use crate::Outcome;
use crate::arguments::Status;

/// Longer than any answer of a server that lives.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Asks, and tells what it heard.
pub fn run(options: &Status, (settings, remarks): (&ServerSettings, &[Remark]), lang: Lang) -> Result<Outcome> {
    let nearest = settings.nearest();
    let address = SocketAddr::new(nearest.ip(), options.port.unwrap_or(nearest.port()));
    let url = format!("http://{address}");
    Ok(match ask(address) {
        Some(health) => {
            let heard = serde_json::json!({ "Running": true, "Address": url, "Health": &health });
            crate::say(&options.shown, &heard, || running(&health, address, lang));
            if health.failing.is_none() { Outcome::Done } else { Outcome::Unhealthy }
        }
        None => {
            crate::complain_of(remarks, lang);
            let heard = serde_json::json!({ "Running": false, "Address": url });
            crate::say(&options.shown, &heard, || not_running(address, lang));
            Outcome::NotRunning
        }
    })
}

/// What the server says of itself; `None` when nobody, or somebody else, answers.
pub fn ask(address: SocketAddr) -> Option<Health> {
    // A proxy knows nothing of this computer's own ports.
    let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).proxy(None);
    let agent = ureq::Agent::new_with_config(config.build());
    let mut response =
        agent.get(format!("http://{address}/healthz")).header("Accept", "application/json").call().ok()?;
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().ok()?;
    serde_json::from_slice(&body).ok()
}

fn running(health: &Health, address: SocketAddr, lang: Lang) -> String {
    let mut lines = vec![
        format!(
            "{} {} (PID {})",
            lang.pick("Сервер СЛК работает:", "The licence server runs:"),
            health.version,
            health.pid
        ),
        format!("{} http://{address}", lang.pick("Адрес:", "Address:")),
        format!(
            "{} {}, {} {}",
            lang.pick("Ключей:", "Keys:"),
            health.keys,
            lang.pick("из них работают:", "of them usable:"),
            health.usable_keys
        ),
        format!(
            "{} {}, {} {}",
            lang.pick("Лицензий:", "Licences:"),
            health.licences,
            lang.pick("занято:", "used:"),
            health.used
        ),
    ];
    for error in health.failing.iter().chain(&health.rollback).chain(&health.settings).chain(&health.data) {
        lines.push(format!("{} {}", error.cause(lang), error.remedy(lang)));
    }
    printable::lines(&lines)
}

fn not_running(address: SocketAddr, lang: Lang) -> String {
    let owner = os::port_owner(address.port());
    let text = lang.pick("Сервер СЛК не отвечает по адресу", "The licence server does not answer at");
    let taken = lang.pick("порт занят другой программой", "another program has the port");
    if owner.is_empty() { format!("{text} {address}.") } else { format!("{text} {address}: {taken}{owner}.") }
}
