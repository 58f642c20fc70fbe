//! Where a component finds its servers: connection strings of 1C code, `licenceaddin.conf`, and which of them wins.

use std::fmt;

use super::{DEFAULT_PORT, Ini, flag};
use crate::error::{Code, Error, Result};
use crate::id::KeyId;

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
                Error::new(Code::BadArgument).with("ConnectionParameters").with(format!("\"{}\"", item.trim()))
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
    use super::super::tests::ini;
    use super::*;

    const SERIES: KeyId = KeyId(0x672B);

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
}
