//! `licenceserver.conf`: what each key means, its range and its default.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use super::{DEFAULT_PORT, Ini, flag, line_of};
use crate::accounting::AccessCodes;
use crate::error::{Code, Error, Lang, Result};
use crate::id::KeyNo;

const CARRIER_GRACE: Duration = Duration::from_secs(60);

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

#[cfg(test)]
mod tests {
    use super::super::tests::ini;
    use super::*;

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
    fn a_network_holds_its_addresses() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.2.3".parse().unwrap()) && network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()) && !network.contains("::1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("1.2.3.4".parse().unwrap()));
        assert!("::/0".parse::<Network>().unwrap().contains("fe80::1".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
    }
}
