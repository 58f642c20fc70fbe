//! The connection string of an infobase: which kind of base it names, and when two strings name the same base.
//! Users' names and passwords that a string may carry are dropped at once and never kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{Malformed, text_serde};

/// Longest connection string that is accepted, in bytes.
pub const MAX_CONNECTION_STRING: usize = 2048;

/// Kind of an infobase, told by the first parameter of its connection string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// `File=`: the process that works with the base opens its file itself.
    File,
    /// `Srvr=`: the 1C server opens the base.
    Server,
    /// `ws=`: a web server opens the base.
    Web,
}

/// An infobase by its connection string, reduced to the parameters that name the base.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum InfoBase {
    /// A file base by its folder.
    File(String),
    /// A base of a 1C server.
    Server {
        /// Address of the cluster.
        server: String,
        /// Name of the base in the cluster.
        name: String,
    },
    /// A base behind a web server by its URL.
    Web(String),
}

impl InfoBase {
    /// Kind of the base.
    pub fn base(&self) -> Base {
        match self {
            InfoBase::File(_) => Base::File,
            InfoBase::Server { .. } => Base::Server,
            InfoBase::Web(_) => Base::Web,
        }
    }

    /// Text that is equal for two strings of the same base: letters' case, slashes and a trailing separator don't count,
    /// except in paths that begin with `/`, where case matters.
    pub fn key(&self) -> String {
        match self {
            InfoBase::File(path) if path.starts_with('/') => format!("file {}", path.trim_end_matches('/')),
            InfoBase::File(path) => {
                format!("file {}", path.to_lowercase().replace('/', "\\").trim_end_matches('\\'))
            }
            InfoBase::Server { server, name } => {
                format!("server {} {}", server.trim().to_lowercase(), name.trim().to_lowercase())
            }
            InfoBase::Web(url) => format!("web {}", url.to_lowercase().trim_end_matches('/')),
        }
    }
}

/// The `name=value` pairs of a connection string; a value in quotes has its quotes doubled.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while let Some((name, tail)) = rest.split_once('=') {
        let tail = tail.trim_start();
        let mut value = String::new();
        let mut after = "";
        if let Some(quoted) = tail.strip_prefix('"') {
            let mut chars = quoted.char_indices().peekable();
            while let Some((at, c)) = chars.next() {
                if c != '"' {
                    value.push(c);
                } else if chars.next_if(|(_, next)| *next == '"').is_some() {
                    value.push('"');
                } else {
                    after = &quoted[at + 1..];
                    break;
                }
            }
            after = after.split_once(';').map_or("", |(_, next)| next);
        } else {
            let (plain, next) = tail.split_once(';').unwrap_or((tail, ""));
            value.push_str(plain.trim());
            after = next;
        }
        pairs.push((name.trim().to_ascii_lowercase(), value));
        rest = after.trim_start();
    }
    pairs
}

impl FromStr for InfoBase {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<InfoBase, Malformed> {
        let wrong = Malformed("an infobase connection string: File=, Srvr= or ws= is expected");
        if text.len() > MAX_CONNECTION_STRING || text.chars().any(char::is_control) {
            return Err(wrong);
        }
        let mut pairs = parameters(text);
        let mut take = |name: &str| {
            let at = pairs.iter().position(|(key, value)| key == name && !value.trim().is_empty())?;
            Some(pairs.swap_remove(at).1)
        };
        if let Some(path) = take("file") {
            return Ok(InfoBase::File(path));
        }
        if let Some(server) = take("srvr") {
            return take("ref").map(|name| InfoBase::Server { server, name }).ok_or(wrong);
        }
        take("ws").map(InfoBase::Web).ok_or(wrong)
    }
}

impl fmt::Display for InfoBase {
    /// As 1C writes it: `File="D:\Bases\Trade";`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |value: &str| value.replace('"', "\"\"");
        match self {
            InfoBase::File(path) => write!(f, "File=\"{}\";", quoted(path)),
            InfoBase::Server { server, name } => write!(f, "Srvr=\"{}\";Ref=\"{}\";", quoted(server), quoted(name)),
            InfoBase::Web(url) => write!(f, "ws=\"{}\";", quoted(url)),
        }
    }
}

text_serde!(InfoBase);

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> InfoBase {
        text.parse().unwrap()
    }

    #[test]
    fn the_kind_of_a_base_is_told_by_its_connection_string() {
        assert_eq!(base(r#"File="D:\Bases\Trade";"#).base(), Base::File);
        assert_eq!(base("file=/srv/bases/trade").base(), Base::File);
        assert_eq!(base(r#"Srvr="alpha:1541";Ref="trade";"#).base(), Base::Server);
        assert_eq!(base(r#"ws="http://alpha/trade";"#).base(), Base::Web);
        for text in ["", ";", "Srvr=alpha;", "File=;", "Ref=trade", "D:\\Bases", "=", "File=\"a\u{1}\""] {
            assert!(text.parse::<InfoBase>().is_err(), "{text}");
        }
        assert!(format!("File={}", "x".repeat(MAX_CONNECTION_STRING)).parse::<InfoBase>().is_err());
    }

    #[test]
    fn two_spellings_name_the_same_base() {
        assert_eq!(base(r#"File="D:\Bases\Trade";"#).key(), base(r"file=d:/bases/trade/").key());
        assert_eq!(base(r#"Srvr="Alpha";Ref="Trade";"#).key(), base("ref=trade;srvr=alpha").key());
        assert_ne!(base("File=/srv/Trade").key(), base("File=/srv/trade").key());
        assert_ne!(base("File=/srv/trade").key(), base("ws=/srv/trade").key());
    }

    #[test]
    fn a_password_in_the_string_is_dropped() {
        let shown = base(r#"Srvr="alpha";Ref="trade";Usr="Ann";Pwd="se;""cret";"#).to_string();
        assert_eq!(shown, r#"Srvr="alpha";Ref="trade";"#);
    }

    #[test]
    fn a_shown_string_reads_back_as_the_same_base() {
        for text in [r#"File="D:\a;b""c";"#, r#"Srvr="a";Ref="b;c";"#, r#"ws="http://alpha/trade";"#] {
            assert_eq!(base(&base(text).to_string()), base(text));
            assert_eq!(base(text).to_string(), text);
        }
    }
}
