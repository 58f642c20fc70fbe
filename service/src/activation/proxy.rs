//! A centre without TLS behind an HTTP proxy: it is asked for in absolute form (RFC 9112, 3.2.2). Proxies open a tunnel (`CONNECT`) to
//! ports of TLS only, so a tunnel, which is all that the HTTP client knows, is refused by most of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport};
use ureq::{Agent, Error, Proxy, ProxyProtocol};

/// What every request begins with here.
const METHOD: &[u8] = b"POST ";

/// The proxy that takes requests to `address` in absolute form.
pub fn of(proxy: Option<&Proxy>, address: &str) -> Option<Proxy> {
    let uri: Uri = address.parse().ok()?;
    let plain = uri.scheme_str() == Some("http");
    proxy.filter(|proxy| plain && proxy.protocol() == ProxyProtocol::Http && !proxy.is_no_proxy(&uri)).cloned()
}

/// Value of the header `Proxy-Authorization`, for a proxy that has a name or a password in its address.
pub fn authorization(proxy: &Proxy) -> Option<String> {
    if proxy.username().is_none() && proxy.password().is_none() {
        return None;
    }
    let pair = format!("{}:{}", proxy.username().unwrap_or_default(), proxy.password().unwrap_or_default());
    Some(format!("Basic {}", STANDARD.encode(pair)))
}

/// An agent that connects to the proxy and asks it for what is at `address`. `config` names no proxy.
pub fn agent(config: Config, proxy: &Proxy, address: &str) -> Agent {
    let origin = address.trim_end_matches('/').to_owned();
    let connector = ().chain(TcpConnector::default()).chain(AbsoluteForm(origin));
    Agent::with_parts(config, connector, ProxyResolver(proxy.uri().clone()))
}

/// Resolves the proxy, whatever is asked for: the centre's name may be known to the proxy only.
#[derive(Debug)]
struct ProxyResolver(Uri);

impl Resolver for ProxyResolver {
    fn resolve(&self, _: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        DefaultResolver::default().resolve(&self.0, config, timeout)
    }
}

/// Puts an origin before the path of the first request on a connection; there is no second one.
#[derive(Debug)]
struct AbsoluteForm(String);

impl<In: Transport> Connector<In> for AbsoluteForm {
    type Out = Absolute<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Absolute<In>>, Error> {
        Ok(chained.map(|inner| Absolute { inner, origin: Some(self.0.clone()) }))
    }
}

#[derive(Debug)]
struct Absolute<T> {
    inner: T,
    /// Until it was written.
    origin: Option<String>,
}

impl<T: Transport> Absolute<T> {
    fn send(&mut self, bytes: &[u8], timeout: NextTimeout) -> Result<(), Error> {
        let room = self.inner.buffers().output().len().max(1);
        for piece in bytes.chunks(room) {
            if let Some(output) = self.inner.buffers().output().get_mut(..piece.len()) {
                output.copy_from_slice(piece);
            }
            self.inner.transmit_output(piece.len(), timeout)?;
        }
        Ok(())
    }
}

impl<T: Transport> Transport for Absolute<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let written = self.inner.buffers().output().get(..amount).unwrap_or_default();
        let Some((path, origin)) = written.strip_prefix(METHOD).zip(self.origin.take()) else {
            return self.inner.transmit_output(amount, timeout);
        };
        let whole = [METHOD, origin.as_bytes(), path].concat();
        self.send(&whole, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        // It is not used again: the next request would need its origin.
        false
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    const CENTRE: &str = "http://centre.invalid";

    #[test]
    fn a_centre_without_tls_is_asked_for_in_absolute_form() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://user:secret@{}", listener.local_addr().unwrap());
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut text, mut buffer) = (String::new(), [0; 1024]);
            while !text.ends_with("question") {
                let length = stream.read(&mut buffer).unwrap();
                text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer").unwrap();
            text
        });
        let proxy = of(Some(&Proxy::new(&address).unwrap()), CENTRE).unwrap();
        let agent = agent(Agent::config_builder().proxy(None).build(), &proxy, CENTRE);
        let request = agent.post(format!("{CENTRE}/api/requests"));
        let request = request.header("Proxy-Authorization", authorization(&proxy).unwrap());
        assert_eq!(request.send("question").unwrap().body_mut().read_to_string().unwrap(), "answer");
        let heard = heard.join().unwrap();
        assert!(heard.starts_with("POST http://centre.invalid/api/requests HTTP/1.1\r\n"), "{heard}");
        let heard = heard.to_lowercase();
        assert!(heard.contains("host: centre.invalid\r\n"), "{heard}");
        assert!(heard.contains(&format!("basic {}", STANDARD.encode("user:secret")).to_lowercase()), "{heard}");
    }

    #[test]
    fn a_tunnel_is_left_to_centres_with_tls() {
        let proxy = Proxy::new("http://127.0.0.1:3128").unwrap();
        assert!(of(Some(&proxy), CENTRE).is_some() && authorization(&proxy).is_none());
        assert!(of(Some(&proxy), "https://centre.invalid").is_none() && of(None, CENTRE).is_none());
    }
}
