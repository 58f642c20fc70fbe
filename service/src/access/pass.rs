//! The pass of this computer's own commands: a secret that is new at every start, in a file of the data folder that only its owner
//! can read. Whoever can read that folder owns the keys anyway, so he needs no password beside.

use std::path::Path;

use licence::crypto::Provider;
use licence::error::{Code, Error, Result};
use licence::host::files::{self, Access};
use licence::id::hex;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

const KIND: &str = "SLK-PASS";
const VERSION: u32 = 1;
const LIMIT: u64 = 4096;

/// The pass, and where it is good.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Pass {
    #[serde(rename = "Type")]
    kind: String,
    version: u32,
    /// Address of the server: `http://127.0.0.1:9099`.
    pub address: String,
    token: String,
}

impl Pass {
    /// Name of the file in the data folder.
    pub const FILE: &str = "server.pass";

    /// A fresh pass for a server that listens at `address`, written into its data folder.
    pub fn issue(folder: &Path, crypto: Provider, address: String) -> Result<Pass> {
        let token = hex(&crypto.random_array()?);
        let pass = Pass { kind: KIND.into(), version: VERSION, address, token };
        let text = serde_json::to_string_pretty(&pass).map_err(|e| Error::new(Code::Internal).with(e))?;
        files::write_atomically(&folder.join(Pass::FILE), text.as_bytes(), Access::Private)?;
        Ok(pass)
    }

    /// The pass of the server that serves a data folder.
    pub fn read(folder: &Path) -> Result<Pass> {
        let path = folder.join(Pass::FILE);
        let text = zeroize::Zeroizing::new(files::read_text(&path, LIMIT)?);
        // The parser's own message is not passed on: it may quote the secret.
        let damaged = |e: serde_json::Error| {
            Error::new(Code::DocumentDamaged).with(path.display()).with(format_args!("line {}", e.line()))
        };
        let pass: Pass = serde_json::from_str(&text).map_err(damaged)?;
        if pass.kind == KIND && pass.version == VERSION {
            Ok(pass)
        } else {
            Err(Error::new(Code::DocumentVersion).with(path.display()).with(pass.version))
        }
    }

    /// Value of the header `Authorization`.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// Whether a header `Authorization` holds this pass. Hashes are compared, so the time that it takes tells nothing.
    pub fn fits(&self, crypto: Provider, header: Option<&str>) -> bool {
        header.is_some_and(|given| {
            crypto.sha256(&[given.as_bytes()]) == crypto.sha256(&[self.authorization().as_bytes()])
        })
    }
}
