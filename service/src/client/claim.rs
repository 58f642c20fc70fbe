//! What a component says of itself and of a session, as the book takes it: bounded, parsed once, never trusted further.

use std::net::IpAddr;

use licence::accounting::Receipt;
use licence::accounting::seat::MAX_NAME;
use licence::accounting::{Asker, Claim, ConnectionInfo, Demands, InfobaseSession, ParentSession, TerminalClient};
use licence::crypto::{Mac, Provider};
use licence::protocol::message::{Acquire, ClientInfo, Secret, SessionData};
use licence::{Code, Error, Result, SeriesId, SessionId};

use super::Connection;

/// Longest text about a process that is kept, in characters.
const MAX_TEXT: usize = 512;

/// The claim that a call makes, and the secret that its grant will carry.
pub fn claim(
    (crypto, receipts): (Provider, &dyn Mac),
    connection: &Connection,
    acquire: &Acquire,
) -> Result<(Claim, Secret)> {
    let is_server = connection.opened.lock().as_ref().is_some_and(|info| info.is_server);
    let secret = Secret::new(crypto.random_id()?);
    let claim = Claim {
        connection: connection.id,
        asker: asker(acquire, is_server)?,
        identity: identity(&acquire.session)?,
        parent: parent(&acquire.session)?,
        access_code: access_code(acquire)?,
        demands: demands(acquire)?,
        previous_secret: acquire.resume.as_ref().map(|resume| resume.secret.hash(crypto).0),
        receipt: receipt(receipts, acquire).map(Box::new),
        new_id: SessionId(crypto.random_id()?),
        secret_hash: secret.hash(crypto).0,
    };
    Ok((claim, secret))
}

/// The receipt for the session that a claim resumes. A wrong one is none: the claim is judged without it.
fn receipt(receipts: &dyn Mac, acquire: &Acquire) -> Option<Receipt> {
    let resume = acquire.resume.as_ref()?;
    Receipt::open(receipts, resume.receipt.as_deref()?).filter(|receipt| receipt.session == resume.session)
}

/// The access code that a session presents; an empty one is none.
fn access_code(acquire: &Acquire) -> Result<Option<String>> {
    let code = acquire.access_code.as_deref().map(str::trim).filter(|code| !code.is_empty());
    bounded("AccessCode", code)?;
    Ok(code.map(str::to_owned))
}

fn demands(acquire: &Acquire) -> Result<Demands> {
    let demands = acquire.control.demands.clone().tidied();
    bounded("ITN", demands.itn.as_deref())?;
    bounded("IEC", demands.iec.as_deref())?;
    Ok(demands)
}

fn bounded(name: &str, text: Option<&str>) -> Result<()> {
    match text {
        Some(text) if text.chars().count() > MAX_NAME || text.chars().any(char::is_control) => {
            Err(Error::new(Code::BadSession).with(name))
        }
        _ => Ok(()),
    }
}

/// What kind of process asks: 1C code knows best, else the process itself.
fn asker(acquire: &Acquire, process_is_server: bool) -> Result<Asker> {
    if acquire.session.is_server.unwrap_or(process_is_server) {
        return Ok(Asker::Server);
    }
    let missing =
        || Error::new(Code::BadSession).with_text("компьютер клиента неизвестен", "the client's computer is not known");
    let computer = acquire.computer.ok_or_else(missing)?;
    Ok(match &acquire.terminal {
        Some(terminal) => {
            let client = TerminalClient::new(&short(&terminal.client), &short(&terminal.user));
            Asker::Terminal { host: computer, client }
        }
        None => Asker::Desktop(computer),
    })
}

fn identity(session: &SessionData) -> Result<InfobaseSession> {
    let missing = || Error::new(Code::BadSession).with("SessionStarted");
    InfobaseSession::new(
        &session.info_base_connection_string,
        number("SessionNumber", &session.session_number)?,
        session.session_started.ok_or_else(missing)?,
        &session.user_name,
        &session.app_name,
        &session.computer_name,
    )
}

fn parent(session: &SessionData) -> Result<Option<ParentSession>> {
    let (text, started) = (&session.parent_session_number, session.parent_session_started);
    match started {
        Some(started) if !text.is_empty() => {
            Ok(Some(ParentSession { number: number("ParentSessionNumber", text)?, started }))
        }
        _ => Ok(None),
    }
}

/// A session's number: 1C code may format it with spaces between groups of digits.
fn number(field: &str, text: &str) -> Result<u32> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.parse().map_err(|_| Error::new(Code::BadSession).with(format_args!("{field}: \"{}\"", short(text))))
}

/// What `/api/connections` will show of a client.
pub fn connection_info(series: SeriesId, peer: IpAddr, info: &ClientInfo) -> ConnectionInfo {
    ConnectionInfo {
        series,
        peer,
        os_version: short(&info.os_version),
        computer_name: short(&info.computer_name),
        computer: info.computer,
        local_ip: short(&info.local_ip),
        process: short(&info.process),
        cpu: short(&info.cpu),
        pid: info.pid,
        is_server: info.is_server,
        platform_version: short(&info.platform_version),
        module_name: short(&info.module_name),
        version: short(&info.version),
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use licence::id::ComputerId;
    use licence::protocol::message::Terminal;

    use super::*;

    fn acquire(is_server: Option<bool>) -> Acquire {
        Acquire {
            session: SessionData { is_server, ..SessionData::default() },
            computer: Some(ComputerId([1; 20])),
            ..Acquire::default()
        }
    }

    #[test]
    fn code_of_1c_tells_a_server_session_and_else_the_process_does() {
        assert_eq!(asker(&acquire(Some(true)), false).unwrap(), Asker::Server);
        assert_eq!(asker(&acquire(None), true).unwrap(), Asker::Server);
        assert_eq!(asker(&acquire(Some(false)), true).unwrap(), Asker::Desktop(ComputerId([1; 20])));
    }

    #[test]
    fn a_terminal_client_without_a_name_is_told_by_its_user() {
        let terminal = Some(Terminal { client: " ".into(), user: "Anna".into() });
        let asked = asker(&Acquire { terminal, ..acquire(None) }, false).unwrap();
        let client = TerminalClient::User("anna".into());
        assert_eq!(asked, Asker::Terminal { host: ComputerId([1; 20]), client });
    }

    #[test]
    fn a_client_that_does_not_name_its_computer_gets_no_seat() {
        let error = asker(&Acquire { computer: None, ..acquire(None) }, false).unwrap_err();
        assert_eq!(error.code, Code::BadSession);
    }

    #[test]
    fn a_number_may_come_with_spaces_between_groups() {
        assert_eq!(number("SessionNumber", "1\u{a0}234").unwrap(), 1234);
        assert!(number("SessionNumber", "").is_err() && number("SessionNumber", "-1").is_err());
    }

    #[test]
    fn seats_and_connections_count_the_same_clients() {
        let addresses = ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "2001:db8:0:1::1", "::1", "127.0.0.1", "::2"];
        for address in addresses.map(|address| address.parse().unwrap()) {
            assert_eq!(licence::accounting::limit::counted_address(address), web::limits::client_of(address));
        }
    }

    #[test]
    fn hostile_texts_are_cut_and_stripped_of_controls() {
        assert_eq!(short("a\u{0}b\r\n"), "ab");
        assert_eq!(short(&"x".repeat(5000)).len(), MAX_TEXT);
    }
}
