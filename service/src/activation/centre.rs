//! The wire to the vendor's centre: its addresses one after the other, a proxy, time-outs. A request may be sent as often as one
//! likes, so what got no answer is simply sent again; nothing here knows what is in it.

use std::fmt::Display;
use std::time::{Duration, Instant};

use licence::error::{Code, Error, Lang, Result};
use licence::settings::ServerSettings;
use licence::version::VERSION;

use super::proxy;

const CONNECT: Duration = Duration::from_secs(10);
/// How long one address may take; a centre needs a second.
const ADDRESS: Duration = Duration::from_secs(30);
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// Largest answer of a centre, in bytes.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;
/// Where a centre takes requests.
const REQUESTS: &str = "/api/requests";

/// How the centre is reached.
pub struct Centre {
    addresses: Vec<String>,
    use_proxy: bool,
    /// How long one address may take.
    patience: Duration,
}

/// Why one address gave no answer.
enum Failure {
    /// The centre has spoken: asking again or elsewhere gives the same.
    Refused(Error),
    /// No centre was reached: the next address may do better.
    Unreachable(Error),
    /// The connection was lost on the way: the same address may answer the same request now.
    Lost(Error),
}

impl Centre {
    /// The centre of the settings; [`Code::CentreNotSet`] without one.
    pub fn of(settings: &ServerSettings) -> Result<Centre> {
        if settings.centres.is_empty() {
            return Err(Code::CentreNotSet.into());
        }
        let (addresses, use_proxy) = (settings.centres.clone(), settings.centre_proxy);
        Ok(Centre { addresses, use_proxy, patience: ADDRESS })
    }

    /// Sends a signed request and gives what `read` makes of the answer, or the centre's refusal. What can't be read is not a
    /// centre's, but that of somebody who sits at its address or on the way. May take a minute and a half.
    pub fn ask<T>(&self, text: &str, read: impl Fn(&str) -> Result<T>) -> Result<T> {
        let end = Instant::now() + PATIENCE;
        let mut last = Error::new(Code::CentreUnreachable);
        for address in &self.addresses {
            // The second time only for what was lost on the way.
            for _ in 0..2 {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(last);
                }
                log::info!("asking {address}");
                let answer = self.post(address, text, left.min(self.patience));
                match answer.and_then(|answer| read(&answer).map_err(|e| Failure::Unreachable(named(address, &e)))) {
                    Ok(answer) => return Ok(answer),
                    Err(Failure::Refused(error)) => return Err(error),
                    Err(Failure::Lost(error)) => last = error,
                    Err(Failure::Unreachable(error)) => {
                        last = error;
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    /// The proxy of the environment, unless the settings say that it must not be used.
    fn proxy(&self) -> Option<ureq::Proxy> {
        if self.use_proxy { ureq::Proxy::try_from_env() } else { None }
    }

    fn post(&self, address: &str, text: &str, patience: Duration) -> Result<String, Failure> {
        let named = |cause: &dyn Display| named(address, cause);
        let mut config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(patience))
            // A redirect could lead the request, and with it the code, to anybody.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(format!("licenceserver/{VERSION}"));
        let environment = self.proxy();
        let absolute = proxy::of(environment.as_ref(), address);
        config = config.proxy(environment.filter(|_| absolute.is_none()));
        let agent = match &absolute {
            Some(proxy) => proxy::agent(config.build(), proxy, address),
            None => ureq::Agent::new_with_config(config.build()),
        };
        let mut request = agent
            .post(format!("{address}{REQUESTS}"))
            .header("Content-Type", "text/plain; charset=utf-8")
            .header("Accept-Language", "en");
        if let Some(authorization) = absolute.as_ref().and_then(proxy::authorization) {
            request = request.header("Proxy-Authorization", authorization);
        }
        let sent = request.send(text);
        let mut response = sent.map_err(|error| match &error {
            ureq::Error::Io(cause) if cause.kind() != std::io::ErrorKind::ConnectionRefused => {
                Failure::Lost(named(&error))
            }
            ureq::Error::Timeout(_) => Failure::Unreachable(silent(address, &error)),
            _ => Failure::Unreachable(named(&error)),
        })?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let body = body.map_err(|error| match &error {
            ureq::Error::Timeout(_) => Failure::Lost(silent(address, &error)),
            _ => Failure::Lost(named(&error)),
        })?;
        if status == 200 {
            return Ok(body);
        }
        let refusal: Option<Error> = serde_json::from_str::<serde_json::Value>(&body)
            .ok()
            .and_then(|mut refusal| serde_json::from_value(refusal.get_mut("Error")?.take()).ok());
        Err(match refusal {
            // An instance that is overloaded or broken speaks for itself only.
            Some(error) if status < 500 => Failure::Refused(error),
            Some(error) => Failure::Unreachable(failing(address, &error)),
            None => Failure::Unreachable(named(&format_args!("HTTP {status}"))),
        })
    }
}

fn named(address: &str, cause: &dyn Display) -> Error {
    Error::new(Code::CentreUnreachable).with(format_args!("{address}: {cause}"))
}

fn silent(address: &str, cause: &dyn Display) -> Error {
    Error::new(Code::CentreSilent).with(format_args!("{address}: {cause}"))
}

/// What a centre says that can't serve: its troubles with its store or its load are not this server's.
fn failing(address: &str, error: &Error) -> Error {
    let failing = Error::new(Code::CentreFailing).with(address);
    failing.with_text(error.cause(Lang::Russian), error.cause(Lang::English))
}

/// Whether a refusal says nothing about the request itself, so that the same one may be granted later.
pub fn is_passing(error: &Error) -> bool {
    matches!(
        error.code,
        Code::TooManyAttempts | Code::Busy | Code::CentreUnreachable | Code::CentreStoreFailed | Code::Timeout
    ) || error.code.status() >= 500
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use licence::api::Refusal;

    use super::*;

    /// A centre that answers each connection with the next of `answers`; an empty one cuts the connection.
    fn serve(answers: Vec<(u16, String)>) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for ((status, text), stream) in answers.into_iter().zip(listener.incoming().flatten()) {
                let mut reader = BufReader::new(&stream);
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                tell.send(String::from_utf8(body).unwrap()).unwrap();
                if status > 0 {
                    let head =
                        format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
                    (&stream).write_all((head + &text).as_bytes()).unwrap();
                }
            }
        });
        (address, told)
    }

    fn nobody() -> String {
        format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
    }

    fn centre(addresses: &[&str]) -> Centre {
        let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
        Centre { addresses, use_proxy: false, patience: ADDRESS }
    }

    /// What a centre says in these tests is a single word.
    fn word(text: &str) -> Result<String> {
        if text.contains(' ') { Err(Code::CentreAnswerWrong.into()) } else { Ok(text.to_owned()) }
    }

    fn refusal(code: Code) -> (u16, String) {
        let body = Refusal::of(&Error::new(code), Lang::English, "x");
        (code.status(), serde_json::to_string(&body).unwrap())
    }

    #[test]
    fn the_next_address_is_asked_when_one_is_out_of_reach_and_never_after_a_refusal() {
        let (good, told) = serve(vec![(200, "yes".into())]);
        let (broken, _told) = serve(vec![refusal(Code::StoreFailed)]);
        assert_eq!(centre(&[&nobody(), &broken, &good]).ask("q", word).unwrap(), "yes");
        assert_eq!(told.recv().unwrap(), "q");

        let (refuses, _told) = serve(vec![refusal(Code::CodeUsed)]);
        let (other, told) = serve(vec![(200, "yes".into())]);
        assert_eq!(centre(&[&refuses, &other]).ask("q", word).unwrap_err().code, Code::CodeUsed);
        assert!(told.try_recv().is_err(), "the other address was not asked");
    }

    #[test]
    fn a_lost_answer_is_asked_for_again_with_the_same_request() {
        let (address, told) = serve(vec![(0, String::new()), (200, "yes".into())]);
        assert_eq!(centre(&[&address]).ask("the same", word).unwrap(), "yes");
        assert_eq!((told.recv().unwrap(), told.recv().unwrap()), ("the same".into(), "the same".into()));
    }

    #[test]
    fn an_address_that_hangs_or_talks_nonsense_is_passed_over() {
        // Connections wait in its queue for ever.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let hangs = format!("http://{}", silent.local_addr().unwrap());
        let (parked, _told) = serve(vec![(200, "<html>This domain is for sale".into())]);
        let (broken, _told) = serve(vec![(404, "<html>".into())]);
        let (good, _told) = serve(vec![(200, "yes".into())]);
        let mut centre = centre(&[&hangs, &parked, &broken, &good]);
        centre.patience = Duration::from_millis(300);
        assert_eq!(centre.ask("q", word).unwrap(), "yes");
        centre.addresses.truncate(1);
        let error = centre.ask("q", word).unwrap_err();
        assert_eq!((error.code, error.code.status()), (Code::CentreSilent, 504));
    }

    #[test]
    fn a_centre_that_can_not_serve_is_told_from_a_server_that_can_not() {
        for code in [Code::StoreFailed, Code::Busy, Code::Internal] {
            let (address, _told) = serve(vec![refusal(code)]);
            let error = centre(&[&address]).ask("q", word).unwrap_err();
            assert_eq!((error.code, error.code.status()), (Code::CentreFailing, 502), "{code:?}");
            assert!(is_passing(&error), "the same request may be granted later");
            let cause = error.cause(Lang::Russian);
            assert!(cause.contains(&address) && cause.contains(&Error::new(code).cause(Lang::Russian)), "{cause}");
        }
        assert_eq!(centre(&[&nobody()]).ask("q", word).unwrap_err().code.status(), 502);
    }

    #[test]
    fn an_address_out_of_reach_is_named() {
        let address = nobody();
        let error = centre(&[&address]).ask("q", word).unwrap_err();
        assert!(error.code == Code::CentreUnreachable && error.to_string().contains(&address), "{error}");
    }
}
