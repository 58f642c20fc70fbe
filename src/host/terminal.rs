//! Whether this process runs for a terminal client: remote desktop, xrdp, ssh.

use std::env;

/// The client of a terminal session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalClient {
    /// Name or address of the client; empty when the session does not tell.
    pub client: String,
    /// User of the session: tells clients without a name apart.
    pub user: String,
}

/// The terminal client of this process, if it has one.
///
/// On Linux ssh says its client's address, xrdp only that it is there. On Windows `CLIENTNAME` is set in remote sessions;
/// it goes stale on reconnect, so the session's own query replaces it where the system is asked.
pub fn client() -> Option<TerminalClient> {
    client_of(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}

fn client_of(variable: impl Fn(&str) -> Option<String>) -> Option<TerminalClient> {
    let user = variable("USER").or_else(|| variable("USERNAME")).unwrap_or_default();
    let remote = |session: String| (!session.eq_ignore_ascii_case("console")).then_some(session);
    if cfg!(windows) {
        variable("SESSIONNAME").and_then(remote)?;
        return Some(TerminalClient { client: variable("CLIENTNAME").unwrap_or_default(), user });
    }
    let ssh = variable("SSH_CLIENT").or_else(|| variable("SSH_CONNECTION"));
    let client = ssh.and_then(|line| line.split_whitespace().next().map(str::to_owned));
    let xrdp = variable("XRDP_SESSION").map(|_| String::new());
    client.or(xrdp).map(|client| TerminalClient { client, user })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Option<TerminalClient> {
        client_of(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn ssh_tells_its_client_and_xrdp_only_that_it_is_there() {
        assert_eq!(of(&[("USER", "anna")]), None);
        let ssh = of(&[("USER", "anna"), ("SSH_CLIENT", "10.0.0.5 51000 22")]).unwrap();
        assert_eq!((ssh.client.as_str(), ssh.user.as_str()), ("10.0.0.5", "anna"));
        let xrdp = of(&[("USER", "anna"), ("XRDP_SESSION", "1")]).unwrap();
        assert_eq!((xrdp.client.as_str(), xrdp.user.as_str()), ("", "anna"));
    }
}
