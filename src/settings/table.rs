//! The table of `licenceserver.conf`: every key with its meaning, its range, what reads and writes it, and when it takes
//! effect. The parser, the example file, the API and the console all read this one table.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::server::{ACCESS_CODES, Authorization, ServerSettings, USERS};
use super::{flag, has_comment};
use crate::error::Lang;

/// When a changed value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// As soon as the file is read again.
    AtOnce,
    /// When the server starts.
    AfterRestart,
}

/// What a setting can close that its default leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restricts {
    /// Nothing.
    Nothing,
    /// What is served.
    Use,
    /// Who gets in.
    Access,
}

/// One key.
pub struct Setting {
    /// Section.
    pub section: &'static str,
    /// Key.
    pub key: &'static str,
    /// What it means, in English, as the example file tells it: one line each.
    pub about: &'static [&'static str],
    /// Allowed values, in Russian and English.
    pub allowed: [&'static str; 2],
    /// When a change takes effect.
    pub effect: Effect,
    /// Whether the value must not be shown.
    pub secret: bool,
    /// Whether only who can edit the file may change it: it says whom the server trusts, or which files it opens.
    pub file_only: bool,
    /// What is in force in place of a wrong value where the default must not be: it would open what was to be closed, or keep
    /// licences from those who have bought them.
    pub closed: Option<&'static str>,
    /// What it can close.
    pub restricts: Restricts,
    /// A value for the example file, where the default is no value.
    sample: Option<&'static str>,
    set: fn(&mut ServerSettings, &str) -> Option<()>,
    value: fn(&ServerSettings) -> String,
}

impl Setting {
    /// Sets the value; `false`, and nothing changed, when it is not allowed.
    pub fn set(&self, settings: &mut ServerSettings, value: &str) -> bool {
        // A comment behind a value would become part of a name or a path; a password may hold its sign.
        let is_text = self.allowed == ANY || self.allowed == PATH;
        if is_text && !self.secret && has_comment(value) {
            return false;
        }
        (self.set)(settings, value).is_some()
    }

    /// The value as the file would have it; empty where there is none.
    pub fn value(&self, settings: &ServerSettings) -> String {
        (self.value)(settings)
    }

    /// Whether the value is the default.
    pub(super) fn is_default(&self, settings: &ServerSettings) -> bool {
        self.value(settings) == self.value(&ServerSettings::default())
    }

    /// Copies the value.
    pub(super) fn copy(&self, from: &ServerSettings, to: &mut ServerSettings) {
        // Every value in force can be written and read back.
        let _ = self.set(to, &self.value(from));
    }
}

/// All keys in the order of the example file. Sections `[Users]` and `[AccessCodes]` have names of their own choice as keys.
pub fn settings() -> &'static [Setting] {
    SETTINGS
}

/// The key of that name.
pub fn setting(section: &str, key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|one| one.section.eq_ignore_ascii_case(section) && one.key.eq_ignore_ascii_case(key))
}

const YES_NO: [&str; 2] = ["0 или 1", "0 or 1"];
const SECONDS: [&str; 2] = ["от 1 до 3600 секунд", "from 1 to 3600 seconds"];
const PATH: [&str; 2] = [
    "путь к файлу; относительный считается от папки этого файла",
    "path of a file; a relative one begins at the folder of this file",
];
const ANY: [&str; 2] = ["текст", "text"];

const fn plain(
    section: &'static str,
    key: &'static str,
    about: &'static [&'static str],
    allowed: [&'static str; 2],
    set: fn(&mut ServerSettings, &str) -> Option<()>,
    value: fn(&ServerSettings) -> String,
) -> Setting {
    Setting {
        section,
        key,
        about,
        allowed,
        effect: Effect::AtOnce,
        secret: false,
        file_only: false,
        closed: None,
        restricts: Restricts::Nothing,
        sample: None,
        set,
        value,
    }
}

impl Setting {
    const fn after_restart(self) -> Setting {
        Setting { effect: Effect::AfterRestart, ..self }
    }

    const fn sample(self, sample: &'static str) -> Setting {
        Setting { sample: Some(sample), ..self }
    }

    const fn closed(self, closed: &'static str) -> Setting {
        Setting { closed: Some(closed), restricts: Restricts::Access, ..self }
    }

    const fn lifted(self, open: &'static str) -> Setting {
        Setting { closed: Some(open), ..self }
    }

    const fn file_only(self) -> Setting {
        Setting { file_only: true, ..self }
    }

    const fn secret(self) -> Setting {
        Setting { secret: true, restricts: Restricts::Access, ..self }
    }

    const fn restricts(self, restricts: Restricts) -> Setting {
        Setting { restricts, ..self }
    }
}

#[rustfmt::skip]
static SETTINGS: &[Setting] = &[
    plain("Common", "ServerAddr",
        &["Addresses to listen on, separated by commas: addresses of this computer, localhost for this computer only,",
          "* for all of them, IPv4 and IPv6."],
        ["адреса через запятую, localhost или *", "addresses separated by commas, localhost or *"],
        |s, text| put(&mut s.addresses, addresses(text)), |s| shown_addresses(&s.addresses)).after_restart().closed("localhost"),
    plain("Common", "ServerPort",
        &["Port of the console, the API and the components."],
        ["число от 0 до 65535; 0 берёт свободный порт", "a number from 0 to 65535; 0 takes a free port"],
        |s, text| put(&mut s.port, text.parse().ok()), |s| s.port.to_string()).after_restart(),
    plain("Common", "Lang",
        &["Language of messages where nobody has chosen one: ru or en."],
        ["ru или en", "ru or en"],
        |s, text| put(&mut s.lang, lang(text)), |s| s.lang.pick("ru", "en").into()),
    plain("Common", "LicenceCenterUrl",
        &["Address of the vendor's licensing centre; without it no code can be activated. There may be several, separated by commas:",
          "the next one is asked when one is out of reach."],
        ["адреса http:// или https:// через запятую", "addresses separated by commas, http:// or https://"],
        |s, text| put(&mut s.centres, items(text).map(url).collect()), |s| joined(&s.centres))
        .sample("https://centre.example.com").file_only(),
    plain("Common", "LicenceCenterUseProxy",
        &["Whether the centre is reached through the proxy of the environment (HTTPS_PROXY and the like)."],
        YES_NO, |s, text| put(&mut s.centre_proxy, flag(text)), |s| digit(s.centre_proxy)),
    plain("Common", "LogLevel",
        &["What is logged: error, warn, info or debug; debug has a line for each request."],
        ["error, warn, info или debug", "error, warn, info or debug"],
        |s, text| put(&mut s.log_level, level(text)), |s| s.log_level.as_str().to_lowercase()),
    plain("Common", "KeepPreviousLogs",
        &["Whether logs of earlier runs are kept."],
        YES_NO, |s, text| put(&mut s.keep_previous_logs, flag(text)), |s| digit(s.keep_previous_logs)).after_restart(),
    plain("Common", "KeepCurrentDateLogs",
        &["Whether logs of earlier runs of the same day are kept, when KeepPreviousLogs is 0."],
        YES_NO, |s, text| put(&mut s.keep_current_date_logs, flag(text)), |s| digit(s.keep_current_date_logs)).after_restart(),
    plain("Common", "CarrierGrace",
        &["For how many seconds a main key goes on after its USB carrier was pulled."],
        ["от 0 до 3600 секунд", "from 0 to 3600 seconds"],
        |s, text| put(&mut s.carrier_grace, number(text, 0, 3600).map(Duration::from_secs)), |s| seconds(s.carrier_grace)).after_restart(),

    plain("LicenceUpdate", "Enabled",
        &["Whether the centre is asked once a day for news about the keys: more licences, longer periods, revoked keys."],
        YES_NO, |s, text| put(&mut s.update_daily, flag(text)), |s| digit(s.update_daily)),

    plain("Console", "Authorization",
        &["Which operations ask for a name and a password (HTTP Basic):",
          "0 - settings and service operations only; the API always asks",
          "1 - everything",
          "2 - nothing; holds for requests of this computer only, not recommended"],
        ["0, 1 или 2", "0, 1 or 2"],
        |s, text| put(&mut s.authorization, authorization(text)), |s| match s.authorization {
            Authorization::ServiceOnly => "0".into(),
            Authorization::Always => "1".into(),
            Authorization::Off => "2".into(),
        }).closed("1"),
    plain("Console", "UserName",
        &["Name and password of an administrator. The default pair works on this computer only and opens nothing but a new",
          "password: run \"licenceserver passwd\", which writes a hash here. A password in plain text is accepted too, and",
          "replaced by its hash as soon as the server reads it."],
        ANY, |s, text| put(&mut s.user, Some(text.to_owned())), |s| s.user.clone()).restricts(Restricts::Access),
    plain("Console", "Password", &[],
        ANY, |s, text| put(&mut s.password, Some(text.to_owned())), |s| s.password.clone()).secret(),
    plain("Console", "LocalAccessOnly",
        &["Whether the console and the API are open to this computer only. Components on other computers connect all the same."],
        YES_NO, |s, text| put(&mut s.local_only, flag(text)), |s| digit(s.local_only)).closed("1"),
    plain("Console", "AllowedAddresses",
        &["Addresses and networks that may use the console and the API, separated by commas; empty: all."],
        ["адреса и сети через запятую: 10.0.0.0/8, 192.168.1.5", "addresses and networks separated by commas: 10.0.0.0/8, 192.168.1.5"],
        |s, text| put(&mut s.allowed, items(text).map(|item| item.parse().ok()).collect()), |s| joined(&s.allowed))
        .sample("10.0.0.0/8, 192.168.1.5").closed("127.0.0.0/8, ::1"),
    plain("Console", "CheckDNSRebinding",
        &["Whether a request must call this server by a name it knows: an address, localhost, the computer's name, or one of HostNames."],
        YES_NO, |s, text| put(&mut s.check_rebinding, flag(text)), |s| digit(s.check_rebinding)),
    plain("Console", "HostNames", &[],
        ["имена через запятую", "names separated by commas"],
        |s, text| put(&mut s.host_names, items(text).map(host_name).collect()), |s| joined(&s.host_names))
        .sample("licence.example.com"),
    plain("Console", "EnableAccessCodes",
        &["Whether the keys that section [AccessCodes] names are set aside for sessions that present a code."],
        YES_NO, |s, text| put(&mut s.enable_access_codes, flag(text)), |s| digit(s.enable_access_codes)).closed("1"),

    plain("API", "Enabled",
        &["Whether the external API (/api) answers."],
        YES_NO, |s, text| put(&mut s.api, flag(text)), |s| digit(s.api)).closed("0").restricts(Restricts::Use),

    plain("TLS", "Certificate",
        &["Certificate chain and private key, both PEM. With them the same port serves https:// beside http://; renewed files",
          "are taken up by themselves. Components need none of it: their traffic is always encrypted."],
        PATH, |s, text| put(&mut s.tls.certificate, Some(text.to_owned())), |s| s.tls.certificate.clone())
        .sample("server.crt").after_restart().file_only(),
    plain("TLS", "Key", &[],
        PATH, |s, text| put(&mut s.tls.key, Some(text.to_owned())), |s| s.tls.key.clone())
        .sample("server.key").after_restart().file_only(),
    plain("TLS", "Required",
        &["Whether other computers may use the console and the API by https:// only."],
        YES_NO, |s, text| put(&mut s.tls.required, flag(text)), |s| digit(s.tls.required)).closed("1"),

    plain("Limits", "Connections",
        &["Connections at once; those beyond are answered 503."],
        ["от 8 до 1000000", "from 8 to 1000000"],
        |s, text| put(&mut s.limits.connections, count(text, 8, 1_000_000)), |s| s.limits.connections.to_string()).after_restart(),
    plain("Limits", "ConnectionsPerAddress",
        &["The same for one IPv4 address, or one IPv6 network of 64 bits. A proxy is one address."],
        ["от 1 до 1000000", "from 1 to 1000000"],
        |s, text| put(&mut s.limits.connections_per_address, count(text, 1, 1_000_000)),
        |s| s.limits.connections_per_address.to_string()).after_restart(),
    plain("Limits", "HeaderSize",
        &["Largest request line with header fields, and largest body, in bytes."],
        ["от 8192 до 1048576 байт", "from 8192 to 1048576 bytes"],
        |s, text| put(&mut s.limits.header_bytes, count(text, 8192, 1 << 20)), |s| s.limits.header_bytes.to_string()).after_restart(),
    plain("Limits", "BodySize", &[],
        ["от 65536 до 16777216 байт", "from 65536 to 16777216 bytes"],
        |s, text| put(&mut s.limits.body_bytes, count(text, 1 << 16, 1 << 24)), |s| s.limits.body_bytes.to_string()).after_restart(),
    plain("Limits", "HeaderTimeout",
        &["Deadlines in seconds: for a header, for a body, between two requests, for a client that reads nothing of its answer,",
          "and for requests that a stop finds unanswered. Between two requests it must be longer than the heartbeat of components, 10."],
        SECONDS, |s, text| put(&mut s.limits.header, deadline(text)), |s| seconds(s.limits.header)).after_restart(),
    plain("Limits", "BodyTimeout", &[],
        SECONDS, |s, text| put(&mut s.limits.body, deadline(text)), |s| seconds(s.limits.body)).after_restart(),
    plain("Limits", "IdleTimeout", &[],
        SECONDS, |s, text| put(&mut s.limits.idle, deadline(text)), |s| seconds(s.limits.idle)).after_restart(),
    plain("Limits", "ReadTimeout", &[],
        SECONDS, |s, text| put(&mut s.limits.write, deadline(text)), |s| seconds(s.limits.write)).after_restart(),
    plain("Limits", "StopTimeout", &[],
        SECONDS, |s, text| put(&mut s.limits.stop, deadline(text)), |s| seconds(s.limits.stop)).after_restart(),
    plain("Limits", "SeatsPerAddress",
        &["Licences of one series that components at one IPv4 address, or in one IPv6 network of 64 bits, may hold at once, and",
          "those of one computer, which is their own word; 0: any number. Above it sessions are refused; who holds more keeps them."],
        ["от 0 до 1000000", "from 0 to 1000000"],
        |s, text| put(&mut s.seats.per_address, number(text, 0, 1_000_000)), |s| s.seats.per_address.to_string()),
    plain("Limits", "SeatsPerComputer", &[],
        ["от 0 до 1000000", "from 0 to 1000000"],
        |s, text| put(&mut s.seats.per_computer, number(text, 0, 1_000_000)), |s| s.seats.per_computer.to_string()),
    // A wrong value closes elsewhere; here it lifts the limits, for what was bought must not be kept from anybody by a slip.
    plain("Limits", "SeatsUnlimited",
        &["Addresses and networks that neither of both limits holds for, separated by commas: 1C servers, web servers, terminal servers."],
        ["адреса и сети через запятую: 10.0.0.5, 192.168.1.0/24", "addresses and networks separated by commas: 10.0.0.5, 192.168.1.0/24"],
        |s, text| put(&mut s.seats.unlimited, items(text).map(|item| item.parse().ok()).collect()), |s| joined(&s.seats.unlimited))
        .sample("10.0.0.5, 192.168.1.0/24").lifted("0.0.0.0/0, ::/0"),
];

/// Settings of the original server that mean nothing here, and why, in Russian and English.
pub(super) const UNUSED: &[(&str, &str, [&str; 2])] = &[
    (
        "Common",
        "SeriesFile",
        ["название серии несёт сама лицензия", "a licence tells the name of its series by itself"],
    ),
    (
        "UPKey",
        "Enabled",
        [
            "аппаратные ключи оригинальной СЛК этот сервер не обслуживает",
            "this server does not serve hardware keys of the original system",
        ],
    ),
    ("Console", "HideFullStorages", ["консоль показывает все ключи", "the console shows all keys"]),
    (
        "LicenceUpdate",
        "LastUpdate",
        [
            "когда обновляли в последний раз, сервер помнит в папке данных",
            "the server remembers its last update in the data folder",
        ],
    ),
];

/// Sections whose keys are names of the administrator's choice.
pub(super) const FREE_SECTIONS: &[(&str, &[&str], &str)] = &[
    (
        USERS,
        &[
            "Further accounts: name = role password. Roles: viewer sees, operator also takes and drops sessions, administrator may do",
            "everything. Run \"licenceserver passwd NAME --role ROLE\", which writes a hash here.",
        ],
        "anna=viewer her password",
    ),
    (
        ACCESS_CODES,
        &[
            "A line for each code: the code = serial numbers of the keys that are set aside for it, separated by commas.",
        ],
        "sales department=7121172, 7121173",
    ),
];

const HEAD: &str = "\
; Settings of the licence server, UTF-8. Every line here shows a default or a sample: remove the semicolon to change it.
; The server reads the file again when it changes; what needs a restart says so.
";

/// The example file: every key with its meaning and its default.
pub fn example() -> String {
    let defaults = ServerSettings::default();
    let mut text = HEAD.to_owned();
    let mut section = "";
    for setting in settings() {
        if section != setting.section {
            section = setting.section;
            text.push_str(&format!("\n[{section}]\n"));
        }
        for line in setting.about {
            text.push_str(&format!("; {line}\n"));
        }
        if setting.effect == Effect::AfterRestart && !setting.about.is_empty() {
            text.push_str("; (after a restart)\n");
        }
        let value = setting.sample.map_or_else(|| setting.value(&defaults), str::to_owned);
        text.push_str(&format!(";{}={value}\n", setting.key));
    }
    for (section, about, sample) in FREE_SECTIONS {
        text.push_str(&format!("\n[{section}]\n"));
        about.iter().for_each(|line| text.push_str(&format!("; {line}\n")));
        text.push_str(&format!(";{sample}\n"));
    }
    text
}

fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';']).map(str::trim).filter(|item| !item.is_empty())
}

fn host_name(item: &str) -> Option<String> {
    (!item.contains(|c: char| c.is_whitespace() || c == '#')).then(|| item.to_owned())
}

fn joined(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn digit(value: bool) -> String {
    if value { "1" } else { "0" }.into()
}

fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

fn count(text: &str, least: u64, most: u64) -> Option<usize> {
    number(text, least, most)?.try_into().ok()
}

fn deadline(text: &str) -> Option<Duration> {
    number(text, 1, 3600).map(Duration::from_secs)
}

fn seconds(duration: Duration) -> String {
    duration.as_secs().to_string()
}

const ALL: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
const LOCAL: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

fn addresses(text: &str) -> Option<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for item in items(text) {
        let found = match item {
            "*" => ALL.to_vec(),
            _ if item.eq_ignore_ascii_case("localhost") => LOCAL.to_vec(),
            _ => vec![item.trim_matches(['[', ']']).parse().ok()?],
        };
        addresses.extend(found.into_iter().filter(|address| !addresses.contains(address)).collect::<Vec<_>>());
    }
    (!addresses.is_empty()).then_some(addresses)
}

fn shown_addresses(addresses: &[IpAddr]) -> String {
    match addresses {
        _ if addresses == ALL => "*".into(),
        _ if addresses == LOCAL => "localhost".into(),
        _ => joined(addresses),
    }
}

fn lang(text: &str) -> Option<Lang> {
    match text.split(['_', '-', '.']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "ru" | "rus" => Some(Lang::Russian),
        "en" | "eng" => Some(Lang::English),
        _ => None,
    }
}

fn level(text: &str) -> Option<log::LevelFilter> {
    text.parse().ok().filter(|level| (log::LevelFilter::Error..=log::LevelFilter::Debug).contains(level))
}

fn authorization(text: &str) -> Option<Authorization> {
    match text {
        "0" => Some(Authorization::ServiceOnly),
        "1" => Some(Authorization::Always),
        "2" => Some(Authorization::Off),
        _ => None,
    }
}

fn url(text: &str) -> Option<String> {
    let is_http = ["http://", "https://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    is_http.then(|| text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Ini;
    use super::*;

    #[test]
    fn the_example_file_is_the_one_of_this_table() {
        let shipped = include_str!("../../packaging/licenceserver.conf");
        assert_eq!(shipped, example(), "write it anew: licenceserver conf > packaging/licenceserver.conf");
    }

    #[test]
    fn the_example_shows_the_defaults_and_all_its_lines_are_allowed() {
        let read = |text: &str| ServerSettings::read(&Ini::parse("example", text).unwrap());
        let text = example();
        assert_eq!(read(&text), (ServerSettings::default(), Vec::new()));
        let is_setting = |line: &&str| line.starts_with(';') && !line.starts_with("; ");
        assert_eq!(text.lines().filter(is_setting).count(), settings().len() + FREE_SECTIONS.len());
        let (shown, wrong) = read(&text.replace("\n;", "\n").replace("\n ", "\n; "));
        assert!(wrong.is_empty(), "{wrong:?}");
        for setting in settings().iter().filter(|setting| setting.sample.is_none()) {
            assert_eq!(setting.value(&shown), setting.value(&ServerSettings::default()), "{}", setting.key);
        }
        assert!(shown.users.contains_key("anna"));
    }

    #[test]
    fn every_value_can_be_written_and_read_back() {
        for setting in settings() {
            let defaults = ServerSettings::default();
            let value = setting.sample.map_or_else(|| setting.value(&defaults), str::to_owned);
            let mut changed = defaults.clone();
            assert!(setting.set(&mut changed, &value), "{}={value}", setting.key);
            assert_eq!(setting.value(&changed), value);
            if let Some(closed) = setting.closed {
                assert!(setting.set(&mut changed, closed) && setting.value(&changed) == closed, "{}", setting.key);
            }
            let mut copy = changed.clone();
            setting.copy(&changed, &mut copy);
            assert_eq!(copy, changed);
        }
    }

    #[test]
    fn addresses_are_those_of_both_families() {
        assert_eq!(addresses("*").unwrap(), ALL);
        assert_eq!(addresses("0.0.0.0").unwrap().len(), 1);
        assert_eq!(addresses("localhost, 10.0.0.1, [::1]").unwrap().len(), 3);
        assert!(addresses("server").is_none() && addresses(",").is_none());
    }

    #[test]
    fn no_setting_names_a_program() {
        // A configuration that runs programs hands the server over to whoever can write it.
        for setting in settings() {
            let words = format!("{} {}", setting.key, setting.about.join(" ")).to_lowercase();
            assert!(!["command", "execute", "script", "program to"].iter().any(|word| words.contains(word)), "{words}");
        }
    }
}
