//! The memory of a key: a short text that protected code keeps with it. It lives on the server and moves with the key, through
//! the centre, which never looks into it.

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};

/// The memory of one key, with its passwords. Nothing written and no password: the default.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Memory {
    /// What was written, at most [`Memory::LIMIT`] characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
    /// Hash of the password that reading asks for, in PHC text form; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub read_password: String,
    /// Hash of the password that writing asks for, in PHC text form; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub write_password: String,
}

impl Memory {
    /// Most characters that can be written.
    pub const LIMIT: usize = 400;
    /// Longest text of a password's hash.
    const HASH_LIMIT: usize = 256;

    /// Whether its sizes are those that a key may have.
    pub fn check(&self) -> Result<()> {
        let fits = self.data.chars().count() <= Memory::LIMIT
            && [&self.read_password, &self.write_password].iter().all(|hash| hash.len() <= Memory::HASH_LIMIT);
        if fits { Ok(()) } else { Err(Error::new(Code::BadRequest).with("Memory")) }
    }
}

/// The content stays out of logs: what is protected by a password is not shown without it.
impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({} characters)", self.data.chars().count())
    }
}
