//! Who holds a lock, as far as it can be known.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// What the holder of a locked file has written into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Note {
    /// Number of its process.
    #[serde(rename = "PID")]
    pub pid: u32,
    /// Its program.
    pub program: String,
    /// The data folder that it serves.
    pub folder: String,
    /// When it was started.
    pub started: Time,
}

impl Note {
    /// What this process writes.
    pub fn of_this_process(data: &Path, started: Time) -> Note {
        let program = std::env::current_exe().unwrap_or_default();
        let folder = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Note { pid: std::process::id(), program: text(&program), folder: text(&folder), started }
    }
}

/// The process behind an abstract socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there are no such sockets"))]
pub struct Peer {
    /// Its number; `None` when it can't be known.
    pub pid: Option<u32>,
    /// Its user; `None` when it can't be known.
    pub user: Option<u32>,
}

#[cfg(target_os = "linux")]
impl Peer {
    /// Whether it may be a server of the folder `data`: root's, this account's or the folder's owner's. Servers can be asked who
    /// they are, so who can't be asked is none.
    pub fn may_be_of(&self, data: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let owner = std::fs::metadata(data).ok().map(|facts| facts.uid());
        let own = super::super::os::user_id();
        self.user.is_some_and(|user| user == 0 || user == own || Some(user) == owner)
    }
}

/// Who holds a lock.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there are no such sockets"))]
pub enum Holder {
    /// The holder of a locked file.
    Note(Note),
    /// The holder of a name.
    Peer(Peer),
    /// Nobody knows.
    Unknown,
}

impl Holder {
    /// In brackets, behind a sentence; empty when nothing is known.
    pub fn russian(&self) -> String {
        self.words("папка", "с", "пользователь")
    }

    /// The same in English.
    pub fn english(&self) -> String {
        self.words("folder", "since", "user")
    }

    fn words(&self, folder: &str, since: &str, user: &str) -> String {
        let words = match self {
            Holder::Note(note) => {
                vec![
                    format!("PID {}", note.pid),
                    plain(&note.program),
                    format!("{folder} {}", plain(&note.folder)),
                    format!("{since} {}", note.started),
                ]
            }
            Holder::Peer(peer) => {
                let pid = peer.pid.map(|pid| format!("PID {pid}"));
                let user = peer.user.map(|id| match name_of(id) {
                    Some(name) => format!("{user} {}, uid {id}", plain(&name)),
                    None => format!("uid {id}"),
                });
                pid.into_iter().chain(user).collect()
            }
            Holder::Unknown => Vec::new(),
        };
        if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
    }
}

/// A text of somebody else's, fit for a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// Name of a user, where the system's own table has it.
fn name_of(id: u32) -> Option<String> {
    let table = std::fs::read_to_string("/etc/passwd").ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}
