//! `licenceserver.conf`: its values. The keys, their meaning and their ranges are in the table beside.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::remark::{self, Remark};
use super::table::{Effect, Restricts, Setting, settings};
use super::{COMMENT, DEFAULT_PORT, Ini, Network, has_comment};
use crate::accounting::{AccessCodes, SeatLimits};
use crate::error::{Code, Error, Lang};
use crate::id::KeyNo;

/// Section of the accounts besides `[Console] UserName`.
pub const USERS: &str = "Users";
/// Section of the access codes.
pub(super) const ACCESS_CODES: &str = "AccessCodes";

/// Which operations of the console ask for a password (`[Console] Authorization`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorization {
    /// 0: settings and service operations only.
    ServiceOnly,
    /// 1: everything.
    Always,
    /// 2: nothing; holds on loopback only.
    Off,
}

/// What an account may do; each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Monitoring: sees.
    Viewer,
    /// Takes and drops sessions.
    Operator,
    /// Everything.
    Administrator,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Administrator];

    /// Its name in settings and commands.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Administrator => "administrator",
        }
    }

    /// The role of that name, in any case.
    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One account of section `[Users]`.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// What it may do.
    pub role: Role,
    /// Plain, or an argon2 hash that the server wrote.
    pub password: String,
}

/// Encryption of the console and the API (`[TLS]`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// `Certificate`: a PEM file with the chain, the server's own first; empty: no TLS.
    pub certificate: String,
    /// `Key`: a PEM file with its private key.
    pub key: String,
    /// `Required`: other computers reach console and API by TLS only.
    pub required: bool,
}

/// What clients may cost (`[Limits]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `Connections`: at once.
    pub connections: usize,
    /// `ConnectionsPerAddress`: at once, of one IPv4 address or one IPv6 network of 64 bits.
    pub connections_per_address: usize,
    /// `HeaderSize`, in bytes.
    pub header_bytes: usize,
    /// `BodySize`, in bytes.
    pub body_bytes: usize,
    /// `HeaderTimeout`: to the end of a header.
    pub header: Duration,
    /// `BodyTimeout`: to the end of a body.
    pub body: Duration,
    /// `IdleTimeout`: between two requests.
    pub idle: Duration,
    /// `ReadTimeout`: how long a client may take nothing of its answer.
    pub write: Duration,
    /// `StopTimeout`: how long a stop waits for requests that are being answered.
    pub stop: Duration,
}

/// Settings of a server.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// `[Common] ServerAddr`: addresses to listen on.
    pub addresses: Vec<IpAddr>,
    /// `[Common] ServerPort`.
    pub port: u16,
    /// `[Common] Lang`.
    pub lang: Lang,
    /// `[Common] LicenceCenterUrl`: addresses in the order in which they are tried.
    pub centres: Vec<String>,
    /// `[Common] LicenceCenterUseProxy`: whether the proxy of the environment is used.
    pub centre_proxy: bool,
    /// `[LicenceUpdate] Enabled`: whether the centre is asked for news about the keys once a day.
    pub update_daily: bool,
    /// `[Common] KeepPreviousLogs`.
    pub keep_previous_logs: bool,
    /// `[Common] KeepCurrentDateLogs`.
    pub keep_current_date_logs: bool,
    /// `[Common] LogLevel`.
    pub log_level: log::LevelFilter,
    /// `[API] Enabled`.
    pub api: bool,
    /// `[Console] Authorization`.
    pub authorization: Authorization,
    /// `[Console] UserName`: an administrator.
    pub user: String,
    /// `[Console] Password`: plain, or an argon2 hash that the server wrote.
    pub password: String,
    /// `[Users]`: further accounts by their names.
    pub users: BTreeMap<String, User>,
    /// `[Console] LocalAccessOnly`.
    pub local_only: bool,
    /// `[Console] AllowedAddresses`: addresses or networks (`10.0.0.0/8`); empty allows all.
    pub allowed: Vec<Network>,
    /// `[Console] HostNames`: names that a request may call this server by, besides addresses, `localhost` and the computer's name.
    pub host_names: Vec<String>,
    /// `[Console] CheckDNSRebinding`.
    pub check_rebinding: bool,
    /// `[Console] EnableAccessCodes`.
    pub enable_access_codes: bool,
    /// `[AccessCodes]`, empty unless they are enabled.
    pub access_codes: AccessCodes,
    /// `[Common] CarrierGrace`, in seconds: how long a main key goes on after its USB carrier was pulled; 1 hour at most.
    pub carrier_grace: Duration,
    /// `[TLS]`.
    pub tls: Tls,
    /// `[Limits]`.
    pub limits: Limits,
    /// `[Limits] SeatsPerAddress`, `SeatsPerComputer`, `SeatsUnlimited`: how many seats one client may hold.
    pub seats: SeatLimits,
}

impl ServerSettings {
    /// Address at which a program of the same computer reaches a server with these settings.
    pub fn nearest(&self) -> SocketAddr {
        let nearest = match self.addresses.first() {
            Some(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            Some(ip) if !ip.is_unspecified() => *ip,
            _ => Ipv4Addr::LOCALHOST.into(),
        };
        SocketAddr::new(nearest, self.port)
    }

    /// The same as an address of a web server. The port serves `http://` whether it has a certificate or not.
    pub fn nearest_url(&self) -> String {
        format!("http://{}", self.nearest())
    }
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        ServerSettings {
            addresses: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            port: DEFAULT_PORT,
            lang: Lang::Russian,
            centres: Vec::new(),
            centre_proxy: true,
            update_daily: false,
            keep_previous_logs: false,
            keep_current_date_logs: false,
            log_level: log::LevelFilter::Info,
            api: true,
            authorization: Authorization::ServiceOnly,
            user: "admin".into(),
            password: "admin".into(),
            users: BTreeMap::new(),
            local_only: false,
            allowed: Vec::new(),
            host_names: Vec::new(),
            check_rebinding: true,
            enable_access_codes: false,
            access_codes: AccessCodes::default(),
            carrier_grace: Duration::from_secs(60),
            tls: Tls::default(),
            limits: Limits::default(),
            seats: SeatLimits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 16_384,
            connections_per_address: 1024,
            header_bytes: 16 * 1024,
            body_bytes: 1024 * 1024,
            header: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            stop: Duration::from_secs(10),
        }
    }
}

/// Without secrets.
impl fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for setting in settings().iter().filter(|setting| !setting.secret) {
            map.entry(&format_args!("{}/{}", setting.section, setting.key), &setting.value(self));
        }
        map.entry(&USERS, &self.users.iter().map(|(name, user)| (name, user.role)).collect::<Vec<_>>()).finish()
    }
}

impl ServerSettings {
    /// Reads the settings of a server that starts. What is absent has its default; so has what is wrong, unless that would open
    /// what was to be closed ([`Setting::closed`]). The remarks name place, allowed values and what is in force, and settings that
    /// there are none of.
    pub fn read(ini: &Ini) -> (ServerSettings, Vec<Remark>) {
        ServerSettings::read_after(ini, None)
    }

    /// Reads the settings of a server that runs: what is wrong keeps its value of `former`, unless that restricts nothing where
    /// something was to be restricted.
    pub fn read_again(ini: &Ini, former: &ServerSettings) -> (ServerSettings, Vec<Remark>) {
        ServerSettings::read_after(ini, Some(former))
    }

    fn read_after(ini: &Ini, former: Option<&ServerSettings>) -> (ServerSettings, Vec<Remark>) {
        let mut read = ServerSettings::default();
        let mut wrong = Vec::new();
        for setting in settings() {
            let Some(value) = ini.get(setting.section, setting.key) else { continue };
            if setting.set(&mut read, value) {
                continue;
            }
            match (former, setting.closed) {
                // Nobody writes a restriction to have things go on without any.
                (Some(former), Some(closed))
                    if setting.restricts != Restricts::Nothing && setting.is_default(former) =>
                {
                    let _ = setting.set(&mut read, closed);
                }
                (Some(former), _) => setting.copy(former, &mut read),
                (None, Some(closed)) => drop(setting.set(&mut read, closed)),
                (None, None) => {}
            }
            wrong.push(remark(setting.section, setting.key, read.wrong(ini, setting, value)));
        }
        read.users = users(ini, &mut wrong);
        if read.enable_access_codes {
            read.access_codes = access_codes(ini, &mut wrong);
        }
        wrong.extend(remark::unknown(ini));
        (read, wrong)
    }

    /// Takes over from `new` what can change while the server runs; names what can't and differs from `file`, the settings as
    /// the file last had them.
    pub fn change_to(&mut self, mut new: ServerSettings, file: &ServerSettings) -> Vec<&'static Setting> {
        let fixed = settings().iter().filter(|setting| setting.effect == Effect::AfterRestart);
        let differs = fixed.clone().filter(|setting| setting.value(&new) != setting.value(file)).collect();
        fixed.for_each(|setting| setting.copy(self, &mut new));
        *self = new;
        differs
    }

    /// Takes over from `file` what restricts access, accounts and passwords among it, and can change while the server runs.
    pub fn restrict_as(&mut self, file: &ServerSettings) {
        let fits = |setting: &&Setting| setting.restricts != Restricts::Nothing && setting.effect == Effect::AtOnce;
        settings().iter().filter(fits).for_each(|setting| setting.copy(file, self));
        self.users.clone_from(&file.users);
        self.access_codes.clone_from(&file.access_codes);
    }

    fn wrong(&self, ini: &Ini, setting: &Setting, value: &str) -> Error {
        let Setting { section, key, allowed, .. } = setting;
        let in_force = setting.value(self);
        let [russian, english] = if has_comment(value) { COMMENT } else { ["", ""] };
        Error::new(Code::SettingsWrong).with(&ini.place).with(ini.line_of(section, key)).with_text(
            format_args!("[{section}] {key}={value}; допустимо: {}{russian}; действует \"{in_force}\"", allowed[0]),
            format_args!("[{section}] {key}={value}; allowed: {}{english}; in force: \"{in_force}\"", allowed[1]),
        )
    }
}

fn remark(section: &str, key: &str, error: Error) -> Remark {
    Remark { section: section.to_owned(), key: key.to_owned(), error }
}

/// Section `[Users]`: `name = role password`. Nothing of a wrong line is shown but the name.
fn users(ini: &Ini, wrong: &mut Vec<Remark>) -> BTreeMap<String, User> {
    let mut users = BTreeMap::new();
    for (name, value) in ini.entries(USERS) {
        let (role, password) = value.split_once([' ', '\t']).unwrap_or((value, ""));
        match (Role::parse(role), password.trim()) {
            (Some(role), password) if !password.is_empty() && !name.is_empty() => {
                users.insert(name.to_owned(), User { role, password: password.to_owned() });
            }
            _ => wrong.push(remark(USERS, name, Error::new(Code::SettingsWrong).with(&ini.place).with(ini.line_of(USERS, name)).with_text(
                format_args!("[{USERS}] {name}=…; допустимо: viewer, operator или administrator и пароль через пробел; учётной записи нет"),
                format_args!("[{USERS}] {name}=…; allowed: viewer, operator or administrator, a space and the password; there is no such account"),
            ))),
        }
    }
    users
}

/// Section `[AccessCodes]`: `code = serial numbers of the keys that are set aside for it, separated by commas`. A code is compared
/// letter by letter and never shown in an error. Keys of a wrong line stay set aside for a code that nobody knows.
fn access_codes(ini: &Ini, wrong: &mut Vec<Remark>) -> AccessCodes {
    let mut codes: BTreeMap<String, BTreeSet<KeyNo>> = BTreeMap::new();
    for (code, value) in ini.entries(ACCESS_CODES) {
        let numbers = value.split([',', ';']).map(str::trim).filter(|number| !number.is_empty());
        let keys: Vec<Option<KeyNo>> = numbers.map(|number| number.parse().ok().filter(|number| *number > 0)).collect();
        if keys.contains(&None) || code.is_empty() {
            let error =
                Error::new(Code::SettingsWrong).with(&ini.place).with(ini.line_of(ACCESS_CODES, code)).with_text(
                    format_args!("[{ACCESS_CODES}] …={value}; допустимо: серийные номера ключей через запятую"),
                    format_args!("[{ACCESS_CODES}] …={value}; allowed: serial numbers of keys, separated by commas"),
                );
            wrong.push(remark(ACCESS_CODES, "", error));
        }
        // What a misspelt number was meant to set aside is set aside all the same.
        let meant = value
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .filter(|number| *number > 0);
        codes.entry(code.to_owned()).or_default().extend(keys.into_iter().flatten().chain(meant));
    }
    AccessCodes::new(codes)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
