//! The audit trail: what was done to this server by people, from where, and how it ended.

use core::net::IpAddr;

use licence::{Error, Time};

/// Longest text of an entry that is kept, in characters.
const MAX_TEXT: usize = 256;

/// One administrative act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it was asked for.
    pub at: Time,
    /// The account; empty when nobody signed in.
    pub user: String,
    /// Where it came from; `None` for the server's own computer's command line.
    pub address: Option<IpAddr>,
    /// What was done, a stable name: method and pattern of the route (`PUT /api/password`), or a command of the program.
    pub act: String,
    /// To what: the path that was asked for, a key, a session. Never a secret.
    pub object: String,
    /// HTTP status of its answer, 200 and above; 0 when there is none.
    pub status: u16,
    /// Why it was refused or failed, where that is known.
    pub error: Option<Error>,
}

/// The server itself has found at its start that its store went back.
pub(super) fn rollback(at: Time, notice: Error) -> AuditEntry {
    let (user, object) = (String::new(), super::FILE.to_owned());
    AuditEntry { at, user, address: None, act: "ledger rollback".into(), object, status: 0, error: Some(notice) }
}

impl AuditEntry {
    /// The same with texts cut to what is kept.
    pub(super) fn cut(mut self) -> AuditEntry {
        for text in [&mut self.user, &mut self.act, &mut self.object] {
            if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
                text.truncate(end);
            }
        }
        self
    }
}
