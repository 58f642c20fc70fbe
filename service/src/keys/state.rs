//! What the administrator and the vendor have decided about single keys: a small file beside them, `keys.state`.

use std::path::Path;

use licence::error::{Code, Error, Result};
use licence::host::files::{self, Access};
use licence::revocation::{RevocationLists, Revocations};
use licence::{KeyNo, SeriesId};
use serde::{Deserialize, Serialize};

/// Name of the file.
pub const FILE: &str = "keys.state";
const KIND: &str = "SLK-KEYS";
const VERSION: u32 = 1;
const LIMIT: u64 = 4 * 1024 * 1024;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct State {
    #[serde(rename = "Type")]
    kind: String,
    version: u32,
    /// Switched off by the administrator.
    #[serde(default)]
    disabled: Vec<Numbered>,
    /// Revoked by vendors: the newest lists that datafiles and updates have brought. They stay when those files go.
    #[serde(default)]
    revoked: RevocationLists,
    /// The highest issue of a licence that was seen here, where it is not the first: an older one put back counts no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    issues: Vec<Issued>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Issued {
    #[serde(flatten)]
    key: Numbered,
    issue: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Numbered {
    #[serde(flatten)]
    series: SeriesId,
    key_no: KeyNo,
}

impl Default for State {
    fn default() -> State {
        State {
            kind: KIND.into(),
            version: VERSION,
            disabled: Vec::new(),
            revoked: RevocationLists::default(),
            issues: Vec::new(),
        }
    }
}

impl State {
    /// Reads the file of the data folder; without one nothing is decided.
    pub fn read(folder: &Path) -> Result<State> {
        Ok(State::find(folder)?.unwrap_or_default())
    }

    /// Reads the file of the data folder; `None` when there is none.
    pub fn find(folder: &Path) -> Result<Option<State>> {
        let path = folder.join(FILE);
        files::read_text_if_there(&path, LIMIT)?.map(|text| State::parse(&path, &text)).transpose()
    }

    /// The same with what can't be undone of what `former` says.
    pub fn joined_with(&self, former: &State) -> State {
        let mut joined = self.clone();
        joined.absorb(former.clone());
        joined
    }

    /// Reads the text of the file `path`.
    pub fn parse(path: &Path, text: &str) -> Result<State> {
        let place = path.display();
        let state: State =
            serde_json::from_str(text).map_err(|e| Error::new(Code::DocumentDamaged).with(place).with(e))?;
        if state.kind != KIND || state.version != VERSION {
            return Err(Error::new(Code::DocumentVersion).with(path.display()).with(state.version));
        }
        Ok(state)
    }

    /// Writes it.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::new(Code::Internal).with(e))?;
        files::write_atomically(&folder.join(FILE), text.as_bytes(), Access::Private)
    }

    /// Whether the administrator lets the key be used.
    pub fn is_enabled(&self, series: SeriesId, key_no: KeyNo) -> bool {
        !self.disabled.contains(&Numbered { series, key_no })
    }

    /// Switches a key on or off.
    pub fn set_enabled(&mut self, series: SeriesId, key_no: KeyNo, enabled: bool) {
        let key = Numbered { series, key_no };
        self.disabled.retain(|known| *known != key);
        if !enabled {
            self.disabled.push(key);
        }
    }

    /// Whether the vendor has revoked the key.
    pub fn is_revoked(&self, series: SeriesId, key_no: KeyNo) -> bool {
        self.revoked.is_revoked(series, key_no)
    }

    /// Enters a vendor's list; whether it counts from now on.
    pub fn revoke(&mut self, list: Revocations) -> bool {
        self.revoked.enter(list)
    }

    /// Notes an issue of a key; whether it is higher than all before.
    pub fn see(&mut self, series: SeriesId, key_no: KeyNo, issue: u32) -> bool {
        if issue <= self.seen(series, key_no) {
            return false;
        }
        let key = Numbered { series, key_no };
        self.issues.retain(|known| known.key != key);
        self.issues.push(Issued { key, issue });
        true
    }

    /// The highest issue of a key that was seen here.
    pub fn seen(&self, series: SeriesId, key_no: KeyNo) -> u32 {
        let key = Numbered { series, key_no };
        self.issues.iter().find(|known| known.key == key).map_or(1, |known| known.issue)
    }

    /// Takes over what another file knows that can't be undone: revocations and issues.
    pub fn absorb(&mut self, other: State) {
        self.revoked.absorb(other.revoked);
        for Issued { key, issue } in other.issues {
            self.see(key.series, key.key_no, issue);
        }
    }
}
