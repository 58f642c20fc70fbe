//! Who may drive this service through a browser: checks of `Origin`, `Sec-Fetch-Site`, `Referer` and `Host`.
//! Pure rules; they must never take the place of authentication.

use crate::Request;
use std::net::IpAddr;

/// Whether a request may change something: it is no write, or nothing says that a page of another site sent it.
/// Clients that are no browsers send none of these headers and pass.
pub fn write_allowed(request: &Request) -> bool {
    if !request.method.is_write() {
        return true;
    }
    // Set by browsers, never by page scripts. "none" is a person typing an address.
    if let Some(site) = request.headers.get("sec-fetch-site")
        && !matches!(site, "same-origin" | "none")
    {
        return false;
    }
    let Some(host) = request.headers.get("host") else {
        return !request.headers.contains("origin") && !request.headers.contains("referer");
    };
    let same = |url: &str| names_host(url, host);
    match (request.headers.get("origin"), request.headers.get("referer")) {
        (Some(origin), _) => same(origin),
        (None, Some(referer)) => same(referer),
        (None, None) => true,
    }
}

/// Whether `host`, a `Host` header, names this server: an address, `localhost`, or a name of `names` (without port,
/// any case). A foreign name that resolves here is DNS rebinding. A missing header passes: HTTP/1.1 fronts refuse it,
/// and no browser omits it.
pub fn host_allowed<'a>(host: Option<&str>, names: impl IntoIterator<Item = &'a str>) -> bool {
    let Some(host) = host else { return true };
    let Some((name, _)) = split_host(host, 80) else { return false };
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let allowed = |known: &str| name == known.trim().trim_end_matches('.').to_ascii_lowercase();
    is_address || name == "localhost" || names.into_iter().any(allowed)
}

/// Name in lower case without last dot, and port.
fn split_host(host: &str, default_port: u16) -> Option<(String, u16)> {
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, port) = host.split_at(end);
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
        None if port.is_empty() => default_port,
        None => return None,
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    (!name.is_empty() && name.bytes().all(plain)).then_some((name, port))
}

/// Whether a URL names the host and port of `host`, a `Host` header. One without a port means the default port of the URL's
/// scheme, and the scheme is not compared with ours: behind a proxy that ends TLS we see plain HTTP.
fn names_host(url: &str, host: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let named = rest.split(['/', '?', '#']).next().and_then(|named| split_host(named, default_port));
    named.is_some() && named == split_host(host, default_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headers;

    fn write(fields: &[(&str, &str)]) -> bool {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.set(name, value).unwrap();
        }
        write_allowed(&Request::build("POST", "/", headers, "127.0.0.1:1".parse().unwrap(), false).unwrap())
    }

    #[test]
    fn a_page_of_another_site_may_not_write() {
        let host = ("Host", "server:9099");
        for fields in [
            [host, ("Origin", "http://evil.example")],
            [host, ("Origin", "http://server:9098")],
            [host, ("Origin", "http://server")],
            [host, ("Origin", "null")],
            [host, ("Origin", "http://server:9099.evil.example")],
            [host, ("Origin", "http://server:9099@evil.example")],
            [host, ("Referer", "http://evil.example/http://server:9099/")],
            [host, ("Sec-Fetch-Site", "cross-site")],
            [host, ("Sec-Fetch-Site", "same-site")],
        ] {
            assert!(!write(&fields), "{fields:?}");
        }
        assert!(!write(&[("Origin", "http://server")]));
    }

    #[test]
    fn own_pages_and_programs_may_write() {
        assert!(write(&[]));
        assert!(write(&[("Host", "server:9099")]));
        assert!(write(&[("Host", "Server:9099"), ("Origin", "http://server:9099"), ("Sec-Fetch-Site", "same-origin")]));
        assert!(write(&[("Host", "server"), ("Origin", "http://server:80")]));
        assert!(write(&[("Host", "[::1]:9099"), ("Referer", "http://[::1]:9099/licences?x")]));
    }

    #[test]
    fn behind_a_proxy_that_ends_tls_the_default_port_is_that_of_https() {
        assert!(write(&[("Host", "lic.example.com"), ("Origin", "https://lic.example.com")]));
        assert!(write(&[("Host", "lic.example.com:443"), ("Origin", "https://lic.example.com")]));
        assert!(write(&[("Host", "lic.example.com"), ("Referer", "https://lic.example.com/licences")]));
        assert!(!write(&[("Host", "lic.example.com:80"), ("Origin", "https://lic.example.com")]));
        assert!(!write(&[("Host", "lic.example.com"), ("Origin", "https://lic.example.com:9099")]));
    }

    #[test]
    fn reading_needs_no_origin() {
        let mut headers = Headers::new();
        headers.set("Origin", "http://evil.example").unwrap();
        assert!(write_allowed(&Request::build("GET", "/", headers, "127.0.0.1:1".parse().unwrap(), false).unwrap()));
    }

    #[test]
    fn a_foreign_name_that_resolves_here_is_refused() {
        let names = ["lic.example.com", "SERVER"];
        for host in ["127.0.0.1:9099", "[::1]:9099", "localhost", "LIC.example.com.:9099", "server", "10.1.2.3"] {
            assert!(host_allowed(Some(host), names), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "server.evil", "", ":9099", "server:x", "[::1", "a b"] {
            assert!(!host_allowed(Some(host), names), "{host}");
        }
        assert!(host_allowed(None, names));
    }
}
