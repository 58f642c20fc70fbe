//! Settings: the table of everything that `licenceserver.conf` and `licenceaddin.conf` may say, and the order in which the
//! component's sources of parameters win. Text in, values out; files are read elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::accounting::AccessCodes;
use crate::error::{Code, Error, Lang, Result};
use crate::id::{KeyId, KeyNo};

/// The standard port of a server.
pub const DEFAULT_PORT: u16 = 9099;
const CARRIER_GRACE: Duration = Duration::from_secs(60);
/// Largest settings file that is read, in bytes.
pub const MAX_FILE: u64 = 1024 * 1024;

/// An ini file as read: sections and their keys, found without regard to case.
#[derive(Debug, Clone, Default)]
pub struct Ini {
    place: String,
    ini: ini::Ini,
    text: String,
}

impl Ini {
    /// Parses an ini text in UTF-8 (a byte-order mark is skipped). `place` names the file in errors.
    pub fn parse(place: &str, text: &str) -> Result<Ini> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // Windows paths hold backslashes, so they are no escapes here.
        let options = ini::ParseOption { enabled_escape: false, ..ini::ParseOption::default() };
        let ini = ini::Ini::load_from_str_opt(text, options)
            .map_err(|e| Error::new(Code::SettingsWrong).with(place).with(e.line + 1).with(e.msg))?;
        Ok(Ini { place: place.to_owned(), ini, text: text.to_owned() })
    }

    /// The value of a key, trimmed; an empty one counts as absent.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        let same = |name: Option<&str>| name.is_some_and(|name| name.trim().eq_ignore_ascii_case(section));
        self.ini
            .iter()
            .filter(|(name, _)| same(*name))
            .flat_map(|(_, properties)| properties.iter())
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case(key))
            .map(|(_, value)| value.trim())
            .rfind(|value| !value.is_empty())
    }

    /// All names and values of a section, trimmed, in the order of the file.
    fn entries(&self, section: &str) -> impl Iterator<Item = (&str, &str)> {
        let same = move |name: Option<&str>| name.is_some_and(|name| name.trim().eq_ignore_ascii_case(section));
        let sections = self.ini.iter().filter(move |(name, _)| same(*name));
        sections.flat_map(|(_, properties)| properties.iter()).map(|(name, value)| (name.trim(), value.trim()))
    }

    /// Whether the section is there.
    pub fn has_section(&self, section: &str) -> bool {
        self.ini.sections().flatten().any(|name| name.trim().eq_ignore_ascii_case(section))
    }

    fn read<T>(&self, section: &str, key: &str, default: T, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let Some(value) = self.get(section, key) else { return Ok(default) };
        parse(value).ok_or_else(|| {
            let line = line_of(&self.text, key);
            Error::new(Code::SettingsWrong).with(&self.place).with(line).with(format!("[{section}] {key}={value}"))
        })
    }
}

fn line_of(text: &str, key: &str) -> usize {
    let sets = |line: &str| {
        line.split_once('=')
            .is_some_and(|(name, value)| name.trim().eq_ignore_ascii_case(key) && !value.trim().is_empty())
    };
    text.lines().enumerate().filter(|(_, line)| sets(line)).last().map_or(0, |(at, _)| at + 1)
}

/// The text of an ini file with one key set, everything else left as it is: comments, order, other sections.
pub fn with_value(text: &str, section: &str, key: &str, value: &str) -> String {
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let header = |line: &str| {
        line.trim().strip_prefix('[').and_then(|rest| rest.split(']').next()).map(|name| name.trim().to_owned())
    };
    let start = lines.iter().position(|line| header(line).is_some_and(|name| name.eq_ignore_ascii_case(section)));
    let Some(start) = start else {
        if lines.last().is_some_and(|line| !line.trim().is_empty()) {
            lines.push(String::new());
        }
        lines.push(format!("[{section}]"));
        lines.push(format!("{key}={value}"));
        return lines.join(newline) + newline;
    };
    let end =
        lines[start + 1..].iter().position(|line| header(line).is_some()).map_or(lines.len(), |at| start + 1 + at);
    let is_key = |line: &String| line.split_once('=').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case(key));
    match lines[start + 1..end].iter().rposition(is_key) {
        Some(at) => lines[start + 1 + at] = format!("{key}={value}"),
        None => lines.insert(start + 1, format!("{key}={value}")),
    }
    lines.join(newline) + newline
}

/// Yes or no as administrators write it.
pub fn flag(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "да" | "истина" => Some(true),
        "0" | "false" | "no" | "off" | "нет" | "ложь" => Some(false),
        _ => None,
    }
}

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

/// Settings of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// `[Common] ServerAddr`: address to listen on; all addresses by default.
    pub address: IpAddr,
    /// `[Common] ServerPort`.
    pub port: u16,
    /// `[Common] Lang`.
    pub lang: Lang,
    /// `[Common] LicenceCenterUrl`.
    pub centre: Option<String>,
    /// `[Common] LicenceCenterUseProxy`: whether the proxy of the environment is used.
    pub centre_proxy: bool,
    /// `[Common] KeepPreviousLogs`.
    pub keep_previous_logs: bool,
    /// `[API] Enabled`.
    pub api: bool,
    /// `[Console] Authorization`.
    pub authorization: Authorization,
    /// `[Console] UserName`.
    pub user: String,
    /// `[Console] Password`: plain, or an argon2 hash that the server wrote.
    pub password: String,
    /// `[Console] LocalAccessOnly`.
    pub local_only: bool,
    /// `[Console] AllowedAddresses`: addresses or networks (`10.0.0.0/8`); empty allows all.
    pub allowed: Vec<Network>,
    /// `[Console] HostNames`: names that a request may call this server by, besides addresses, `localhost` and the computer's name.
    pub host_names: Vec<String>,
    /// `[Console] CheckDNSRebinding`.
    pub check_rebinding: bool,
    /// `[AccessCodes]`, in force with `[Console] EnableAccessCodes`.
    pub access_codes: AccessCodes,
    /// `[Common] CarrierGrace`, in seconds: how long a main key goes on after its USB carrier was pulled; 1 hour at most.
    pub carrier_grace: Duration,
}

impl ServerSettings {
    /// Reads the settings; what is absent has its default, what is wrong is an error that names the line.
    pub fn read(ini: &Ini) -> Result<ServerSettings> {
        let list = |section, key| {
            let items = ini.get(section, key).unwrap_or_default();
            items
                .split([',', ';'])
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let any: IpAddr = std::net::Ipv4Addr::UNSPECIFIED.into();
        Ok(ServerSettings {
            address: ini.read("Common", "ServerAddr", any, |text| match text {
                "localhost" => Some(std::net::Ipv4Addr::LOCALHOST.into()),
                "*" => Some(any),
                _ => text.parse().ok(),
            })?,
            port: ini.read("Common", "ServerPort", DEFAULT_PORT, |text| text.parse().ok())?,
            lang: ini.read("Common", "Lang", Lang::Russian, |text| Some(Lang::of_locale(text)))?,
            centre: ini.read("Common", "LicenceCenterUrl", None, |text| is_http(text).then(|| Some(trim_url(text))))?,
            centre_proxy: ini.read("Common", "LicenceCenterUseProxy", true, flag)?,
            keep_previous_logs: ini.read("Common", "KeepPreviousLogs", false, flag)?,
            api: ini.read("API", "Enabled", true, flag)?,
            authorization: ini.read("Console", "Authorization", Authorization::ServiceOnly, |text| match text {
                "0" => Some(Authorization::ServiceOnly),
                "1" => Some(Authorization::Always),
                "2" => Some(Authorization::Off),
                _ => None,
            })?,
            user: ini.get("Console", "UserName").unwrap_or("admin").to_owned(),
            password: ini.get("Console", "Password").unwrap_or("admin").to_owned(),
            local_only: ini.read("Console", "LocalAccessOnly", false, flag)?,
            allowed: ini.read("Console", "AllowedAddresses", Vec::new(), |text| {
                text.split([',', ';'])
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| item.parse().ok())
                    .collect()
            })?,
            host_names: list("Console", "HostNames"),
            check_rebinding: ini.read("Console", "CheckDNSRebinding", true, flag)?,
            access_codes: match ini.read("Console", "EnableAccessCodes", false, flag)? {
                true => access_codes(ini)?,
                false => AccessCodes::default(),
            },
            carrier_grace: ini.read("Common", "CarrierGrace", CARRIER_GRACE, |text| {
                text.parse().ok().filter(|seconds| *seconds <= 3600).map(Duration::from_secs)
            })?,
        })
    }
}

/// Section `[AccessCodes]`: `code = serial numbers of the keys that are set aside for it, separated by commas`. A code is compared
/// letter by letter and never shown in an error.
fn access_codes(ini: &Ini) -> Result<AccessCodes> {
    const SECTION: &str = "AccessCodes";
    let mut codes: BTreeMap<String, BTreeSet<KeyNo>> = BTreeMap::new();
    for (code, value) in ini.entries(SECTION) {
        let numbers = value.split([',', ';']).map(str::trim).filter(|number| !number.is_empty());
        let keys: Option<Vec<KeyNo>> = numbers.map(|number| number.parse().ok().filter(|number| *number > 0)).collect();
        let keys = keys.filter(|_| !code.is_empty()).ok_or_else(|| {
            let line = line_of(&ini.text, code);
            Error::new(Code::SettingsWrong).with(&ini.place).with(line).with(format_args!("[{SECTION}] …={value}"))
        })?;
        codes.entry(code.to_owned()).or_default().extend(keys);
    }
    Ok(AccessCodes::new(codes))
}

fn is_http(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme))
}

fn trim_url(text: &str) -> String {
    text.trim_end_matches('/').to_owned()
}

/// A network: an address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `address` is in the network. An IPv4 address inside IPv6 counts as itself.
    pub fn contains(&self, address: IpAddr) -> bool {
        let shared = |a: u128, b: u128, width: u8| {
            let shift = u32::from(width - self.prefix);
            a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0)
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => shared(u32::from(a).into(), u32::from(b).into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => shared(a.into(), b.into(), 128),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = crate::id::Malformed;

    fn from_str(text: &str) -> Result<Network, crate::id::Malformed> {
        let wrong = crate::id::Malformed("a network: 10.0.0.0/8 or an address is expected");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.trim().parse().map_err(|_| wrong.clone())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(width), |prefix| prefix.trim().parse()).map_err(|_| wrong.clone())?;
        if prefix > width { Err(wrong) } else { Ok(Network { address, prefix }) }
    }
}

/// A server's address and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Endpoint {
    /// Reads `host`, `host:port`, `[v6]:port`; without a port the given one.
    pub fn parse(text: &str, default_port: u16) -> Option<Endpoint> {
        let text = text.trim();
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (host, rest.strip_prefix(':'))
            }
            None if text.matches(':').count() == 1 => text.split_once(':').map(|(host, port)| (host, Some(port)))?,
            None => (text, None),
        };
        let known = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() || !host.chars().all(known) {
            return None;
        }
        let port = port.map_or(Some(default_port), |port| port.trim().parse().ok().filter(|port| *port != 0))?;
        Some(Endpoint { host: host.to_owned(), port })
    }
}

/// Where a component finds its servers: what one source of parameters says; `None` where it is silent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connect {
    /// `ServerAddr` or `host`.
    pub host: Option<String>,
    /// `ServerPort` or `port`.
    pub port: Option<u16>,
    /// `ReservedServers`.
    pub reserved: Option<String>,
}

impl Connect {
    /// Reads a connection string as 1C code gives it: `ServerAddr=…;ServerPort=…;ReservedServers=…`, also `host=…;port=…`.
    /// Unknown names are left alone, a wrong port is an error.
    pub fn parse(text: &str) -> Result<Connect> {
        let mut connect = Connect::default();
        for item in text.split(';').filter(|item| !item.trim().is_empty()) {
            let (name, value) = item.split_once('=').ok_or_else(|| {
                Error::new(Code::BadArgument).with("ConnectionParameters").with(format!("{:?}", item.trim()))
            })?;
            let value = value.trim().trim_matches('"').to_owned();
            match name.trim().to_ascii_lowercase().as_str() {
                "serveraddr" | "host" => connect.host = Some(value),
                "serverport" | "port" if value.is_empty() => {}
                "serverport" | "port" => {
                    let port = value.parse().ok().filter(|port| *port != 0);
                    connect.port =
                        Some(port.ok_or_else(|| {
                            Error::new(Code::BadArgument).with("ConnectionParameters").with(item.trim())
                        })?);
                }
                "reservedservers" => connect.reserved = Some(value),
                _ => {}
            }
        }
        Ok(connect)
    }

    /// What a section of `licenceaddin.conf` says.
    fn section(ini: &Ini, section: &str) -> Result<Connect> {
        Ok(Connect {
            host: ini.get(section, "ServerAddr").map(str::to_owned),
            port: ini
                .read(section, "ServerPort", None, |text| text.parse().ok().filter(|port| *port != 0).map(Some))?,
            reserved: ini.get(section, "ReservedServers").map(str::to_owned),
        })
    }

    fn or(self, other: Connect) -> Connect {
        Connect {
            host: self.host.or(other.host),
            port: self.port.or(other.port),
            reserved: self.reserved.or(other.reserved),
        }
    }

    /// The servers to try, in order: the server, then the reserved ones, each once.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>> {
        let port = self.port.unwrap_or(DEFAULT_PORT);
        let wrong = |text: &str| Error::new(Code::BadArgument).with("ServerAddr").with(text);
        let host = self.host.as_deref().filter(|host| !host.trim().is_empty()).unwrap_or("localhost");
        let mut endpoints = vec![Endpoint::parse(host, port).ok_or_else(|| wrong(host))?];
        let reserved = self.reserved.as_deref().unwrap_or_default();
        for text in reserved.split([',', ';']).map(str::trim).filter(|text| !text.is_empty()) {
            let endpoint = Endpoint::parse(text, DEFAULT_PORT).ok_or_else(|| wrong(text))?;
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        Ok(endpoints)
    }
}

/// Parameters of a component for one series, in the order of the guide: the series' section with `ForceUseConfig=1`, the
/// common section with `ForceUseConfig=1`, 1C code, the series' section, the common section, defaults.
pub fn component_parameters(conf: Option<&Ini>, key_id: KeyId, from_code: &Connect) -> Result<Connect> {
    let Some(ini) = conf else { return Ok(from_code.clone()) };
    let series = key_id.to_string();
    let forced = |section: &str| ini.read(section, "ForceUseConfig", false, flag);
    let (own, common) = (Connect::section(ini, &series)?, Connect::section(ini, "Common")?);
    let first = |condition: bool, source: &Connect| if condition { source.clone() } else { Connect::default() };
    Ok(first(forced(&series)?, &own).or(first(forced("Common")?, &common)).or(from_code.clone()).or(own).or(common))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERIES: KeyId = KeyId(0x672B);

    fn ini(text: &str) -> Ini {
        Ini::parse("test.conf", text).unwrap()
    }

    #[test]
    fn an_empty_file_gives_the_defaults_of_the_guide() {
        let settings = ServerSettings::read(&ini("")).unwrap();
        assert_eq!((settings.port, settings.authorization), (9099, Authorization::ServiceOnly));
        assert_eq!((settings.user.as_str(), settings.password.as_str()), ("admin", "admin"));
        assert!(settings.api && !settings.local_only && settings.centre.is_none());
    }

    #[test]
    fn names_are_found_in_any_case_and_comments_are_skipped() {
        let settings = ServerSettings::read(&ini(
            "\u{feff}; note\n[console]\n; x\nAUTHORIZATION=1\nallowedaddresses=10.0.0.0/8, ::1\n",
        ));
        let settings = settings.unwrap();
        assert_eq!(settings.authorization, Authorization::Always);
        assert_eq!(settings.allowed.len(), 2);
    }

    #[test]
    fn a_wrong_value_names_its_line() {
        let error = ServerSettings::read(&ini("[Common]\n\nServerPort=many\n")).unwrap_err();
        assert_eq!(error.args, ["test.conf", "3", "[Common] ServerPort=many"]);
        assert!(Ini::parse("test.conf", "[Common\nServerPort=1").is_err());
    }

    #[test]
    fn access_codes_are_in_force_when_they_are_switched_on() {
        let section = "[AccessCodes]\nТайна=7121172, 7121173\nother=7121172\n";
        let read = |text: &str| ServerSettings::read(&ini(text)).map(|settings| settings.access_codes);
        let on = read(&format!("[Console]\nEnableAccessCodes=1\n{section}")).unwrap();
        assert!(on.opens(Some("Тайна"), 7_121_173) && on.opens(Some("other"), 7_121_172));
        assert!(!on.opens(Some("тайна"), 7_121_172) && !on.is_set_aside(1));
        assert_eq!(read(section).unwrap(), AccessCodes::default());
        let error = read(&format!("[Console]\nEnableAccessCodes=1\n{section}secret=x\n")).unwrap_err();
        assert_eq!(error.args, ["test.conf", "6", "[AccessCodes] …=x"]);
    }

    #[test]
    fn a_backslash_in_a_value_is_itself() {
        assert_eq!(ini("[Common]\nSeriesFile=C:\\new\\table").get("Common", "SeriesFile"), Some("C:\\new\\table"));
    }

    #[test]
    fn one_value_is_set_and_the_rest_stays() {
        let text = "; head\r\n[Console]\r\n; the name\r\nUserName=admin\r\nPassword=admin\r\n[API]\r\nEnabled=1\r\n";
        let new = with_value(text, "console", "Password", "x=y");
        assert_eq!(new, text.replace("Password=admin", "Password=x=y"));
        assert_eq!(with_value("", "Console", "Password", "p"), "[Console]\nPassword=p\n");
        assert_eq!(with_value("[A]\nx=1\n[B]\n", "A", "y", "2"), "[A]\ny=2\nx=1\n[B]\n");
    }

    #[test]
    fn sources_of_parameters_win_in_the_order_of_the_guide() {
        let host = |conf: &str, code: &str| {
            let ini = ini(conf);
            let connect = component_parameters(Some(&ini), SERIES, &Connect::parse(code).unwrap()).unwrap();
            connect.endpoints().unwrap()[0].to_string()
        };
        let both = "[Common]\nServerAddr=common\n[672B]\nServerAddr=series\n";
        assert_eq!(host(both, "ServerAddr=code"), "code:9099");
        assert_eq!(host(both, ""), "series:9099");
        assert_eq!(host("[Common]\nServerAddr=common\n", ""), "common:9099");
        assert_eq!(host("", ""), "localhost:9099");
        assert_eq!(
            host("[Common]\nForceUseConfig=1\nServerAddr=common\n[672B]\nServerAddr=series\n", "host=code"),
            "common:9099"
        );
        let forced = "[Common]\nForceUseConfig=1\nServerAddr=common\n[672b]\nForceUseConfig=1\nServerAddr=series\nServerPort=1\n";
        assert_eq!(host(forced, "host=code;port=2"), "series:1");
        assert_eq!(host("[AAAA]\nForceUseConfig=1\nServerAddr=other\n", "host=code;port=2"), "code:2");
    }

    #[test]
    fn reserved_servers_follow_the_server_each_once() {
        let connect = Connect::parse("ServerAddr=a;ServerPort=1;ReservedServers=b, c:2,[::1]:3,a:1").unwrap();
        let servers: Vec<String> = connect.endpoints().unwrap().iter().map(Endpoint::to_string).collect();
        assert_eq!(servers, ["a:1", "b:9099", "c:2", "[::1]:3"]);
        assert!(Connect::parse("ServerPort=x").is_err() && Connect::parse("nonsense").is_err());
        assert!(Connect::parse("host=a b").unwrap().endpoints().is_err());
    }

    #[test]
    fn a_network_holds_its_addresses() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.2.3".parse().unwrap()) && network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()) && !network.contains("::1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("1.2.3.4".parse().unwrap()));
        assert!("::/0".parse::<Network>().unwrap().contains("fe80::1".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).{0,200}") {
            if let Ok(ini) = Ini::parse("x", &text) {
                let _ = ServerSettings::read(&ini);
                let _ = component_parameters(Some(&ini), SERIES, &Connect::default());
            }
            let _ = Connect::parse(&text).map(|connect| connect.endpoints());
            let _ = with_value(&text, "Console", "Password", "x");
        }
    }
}
