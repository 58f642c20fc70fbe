//! Calls about the keys of a connection's series, beyond seats: installing, giving up, updating, files, the memory of a key. They
//! belong to nobody's session; what needs an administrator brings his name and password.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::activation::CodeParameters;
use crate::api::LicenceInfo;
use crate::id::KeyNo;

/// A text that stays out of logs and is wiped: a password, what a password protects.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// What may be asked about keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum KeyCall {
    /// Exchange a code for a licence of this series.
    Install(Install),
    /// Ask the centre for news about the keys of the series.
    Update,
    /// Give a key up for a reserve code.
    Deactivate(Deactivate),
    /// Make a request file.
    Request {
        /// What it asks for.
        wish: Wish,
    },
    /// Install the answer to a request file.
    Respond {
        /// Its text.
        text: String,
    },
    /// What a code would give, without spending it.
    CodeParameters {
        /// The code, as typed.
        code: Hidden,
    },
    /// Read the memory of a key.
    ReadMemory {
        /// The key; the main key of the series without it.
        key_no: Option<KeyNo>,
        /// Its password for reading; empty: none.
        password: Hidden,
    },
    /// Write the memory of a key.
    WriteMemory {
        /// The key; the main key of the series without it.
        key_no: Option<KeyNo>,
        /// Its password for writing; empty: none.
        password: Hidden,
        /// The text, at most [`crate::activation::Memory::LIMIT`] characters.
        data: Hidden,
    },
    /// Empty the memory of a key; its passwords stay.
    ClearMemory {
        /// The key; the main key of the series without it.
        key_no: Option<KeyNo>,
        /// Its password for writing; empty: none.
        password: Hidden,
    },
    /// Set both passwords of a key's memory, each for reading and for writing in this order; empty: none.
    SetPasswords {
        /// The key; the main key of the series without it.
        key_no: Option<KeyNo>,
        /// Those of now.
        old: [Hidden; 2],
        /// The new ones, 8 characters at most.
        new: [Hidden; 2],
    },
}

impl KeyCall {
    /// Whether it holds what only a server that has proved itself may learn: passwords, what is behind them, codes, whose they are.
    pub fn carries_secret(&self) -> bool {
        match self {
            KeyCall::Update | KeyCall::Request { wish: Wish::Update } => false,
            KeyCall::Install(install) | KeyCall::Request { wish: Wish::Install(install) } => {
                [&install.code.0, &install.itn, &install.iec].iter().any(|text| !text.is_empty())
            }
            KeyCall::ReadMemory { password, .. } | KeyCall::ClearMemory { password, .. } => !password.0.is_empty(),
            KeyCall::Deactivate(_)
            | KeyCall::Request { wish: Wish::Deactivate(_) }
            | KeyCall::Respond { .. }
            | KeyCall::CodeParameters { .. }
            | KeyCall::WriteMemory { .. }
            | KeyCall::SetPasswords { .. } => true,
        }
    }

    /// Whether it changes the memory of a key, which takes a session that holds a seat of the series.
    pub fn writes_memory(&self) -> bool {
        matches!(self, KeyCall::WriteMemory { .. } | KeyCall::ClearMemory { .. } | KeyCall::SetPasswords { .. })
    }

    /// Whether this is about bringing a key, so that it makes sense where there is none of the series yet.
    pub fn brings_key(&self) -> bool {
        matches!(
            self,
            KeyCall::Install(_)
                | KeyCall::Request { wish: Wish::Install(_) }
                | KeyCall::Respond { .. }
                | KeyCall::CodeParameters { .. }
        )
    }
}

/// A wish for a request file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Wish {
    /// A licence.
    Install(Install),
    /// News about the keys of the series.
    Update,
    /// A reserve code.
    Deactivate(Deactivate),
}

/// A wish for a licence.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Install {
    /// The code, as typed; empty: a demo licence of the series.
    pub code: Hidden,
    /// ИНН, digits; empty: none.
    pub itn: String,
    /// КПП, digits; empty: none.
    pub iec: String,
    /// The carrier to bind the key to.
    pub blank_key_no: Option<KeyNo>,
}

/// A wish to give a key up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Deactivate {
    /// The key.
    pub key_no: KeyNo,
    /// Why.
    pub reason: String,
    /// More about it.
    pub comment: String,
    /// Name of an administrator of the server.
    pub login: String,
    /// His password.
    pub password: Hidden,
}

/// What came of a call about keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "brings", rename_all = "snake_case")]
pub enum KeyOutcome {
    /// Done, nothing to tell.
    Done,
    /// A licence was installed.
    Installed {
        /// Its fields, as the REST API gives them.
        #[serde(serialize_with = "crate::api::to_component")]
        licence: Box<LicenceInfo>,
    },
    /// News were taken up.
    Updated {
        /// Keys of which a newer licence came.
        updated: Vec<KeyNo>,
        /// Keys that were retired.
        retired: Vec<KeyNo>,
        /// Keys here that the vendor has revoked.
        revoked: Vec<KeyNo>,
    },
    /// A key was given up.
    Reserved {
        /// The key.
        key_no: KeyNo,
        /// The code to install elsewhere, or here again.
        code: Hidden,
    },
    /// A request file.
    Request {
        /// A name for it.
        file_name: String,
        /// Its text.
        text: String,
    },
    /// What a code would give.
    CodeParameters {
        /// It.
        parameters: Box<CodeParameters>,
    },
    /// What was in the memory.
    Memory {
        /// The text.
        data: Hidden,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_nothing_of_a_customer_is_for_a_server_that_has_not_proved_itself() {
        let secret = || Hidden("s".into());
        let install = |code: &str, itn: &str, iec: &str| {
            KeyCall::Install(Install {
                code: Hidden(code.into()),
                itn: itn.into(),
                iec: iec.into(),
                blank_key_no: Some(7),
            })
        };
        for call in [
            KeyCall::Update,
            KeyCall::Request { wish: Wish::Update },
            install("", "", ""),
            KeyCall::ReadMemory { key_no: None, password: Hidden::default() },
            KeyCall::ClearMemory { key_no: None, password: Hidden::default() },
        ] {
            assert!(!call.carries_secret(), "{call:?}");
        }
        for call in [
            install("1", "", ""),
            install("", "7", ""),
            install("", "", "7"),
            KeyCall::Request { wish: Wish::Install(Install { itn: "7".into(), ..Install::default() }) },
            KeyCall::Deactivate(Deactivate::default()),
            KeyCall::Request { wish: Wish::Deactivate(Deactivate::default()) },
            KeyCall::Respond { text: String::new() },
            KeyCall::CodeParameters { code: secret() },
            KeyCall::ReadMemory { key_no: None, password: secret() },
            KeyCall::ClearMemory { key_no: None, password: secret() },
            KeyCall::WriteMemory { key_no: None, password: Hidden::default(), data: Hidden::default() },
            KeyCall::SetPasswords { key_no: None, old: Default::default(), new: Default::default() },
        ] {
            assert!(call.carries_secret(), "{call:?}");
        }
    }

    #[test]
    fn calls_survive_json_and_show_no_secret() {
        let secret = || Hidden("s3cret".into());
        let calls = [
            KeyCall::Install(Install { code: secret(), ..Install::default() }),
            KeyCall::Update,
            KeyCall::Deactivate(Deactivate { key_no: 7, password: secret(), ..Deactivate::default() }),
            KeyCall::Request { wish: Wish::Install(Install { code: secret(), ..Install::default() }) },
            KeyCall::WriteMemory { key_no: None, password: secret(), data: secret() },
            KeyCall::SetPasswords { key_no: Some(7), old: [secret(), secret()], new: [secret(), secret()] },
        ];
        for call in calls {
            let json = serde_json::to_string(&call).unwrap();
            assert_eq!(serde_json::from_str::<KeyCall>(&json).unwrap(), call, "{json}");
            assert!(!format!("{call:?}").contains("s3cret"), "{call:?}");
        }
    }
}
