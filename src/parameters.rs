//! A file of parameters `672B.params`: what a named parameter of a series is worth where no licence says otherwise. The root signs
//! it, so only the vendor can change a default. The envelope of a signed document; `docs/formats.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::crypto::{Crypto, Signer};
use crate::document::{self, Kind};
use crate::error::{Code, Error, Result};
use crate::id::{KeyId, SeriesId};
use crate::series::RootKey;
use crate::time::Time;

/// A file of parameters: `SLK-PARAMETERS 1`.
pub const PARAMETERS: Kind = Kind { name: "PARAMETERS", version: 1, digest: false };
/// Largest file that is read, in bytes.
pub const LIMIT: u64 = 1024 * 1024;
/// Longest name, in characters.
pub const MAX_NAME: usize = 64;

/// Name of a series' file.
pub fn file_name(key_id: KeyId) -> String {
    format!("{key_id}.params")
}

/// Whether a parameter can be called so: 1 to [`MAX_NAME`] characters, none of them a control character, no blanks at the ends.
pub fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=MAX_NAME).contains(&length) && name.trim() == name && !name.chars().any(char::is_control)
}

/// Payload of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Parameters {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// The root public key; trust comes from the licences of a series.
    pub root: RootKey,
    /// When it was signed.
    pub created: Time,
    /// The values by name.
    pub parameters: BTreeMap<String, String>,
}

impl Parameters {
    /// Signs the file with the root.
    pub fn sign(&self, root: &dyn Signer) -> Result<String> {
        document::sign(PARAMETERS, self, root)
    }

    /// Reads a file and verifies it under the root inside it; gives the series that this makes it of.
    pub fn read(crypto: &dyn Crypto, place: &str, text: &str) -> Result<(SeriesId, Parameters)> {
        let damaged = |cause: &str| Error::new(Code::DocumentDamaged).with(place).with(cause);
        let (unverified, rest) = document::read(PARAMETERS, place, text)?;
        let parameters: Parameters = unverified.verify_by_named_key(crypto, |claimed: &Parameters| {
            claimed.root.verifier().map_err(|_| damaged("root key"))
        })?;
        if !rest.trim().is_empty() {
            return Err(damaged("line 4: something follows"));
        }
        if let Some(name) = parameters.parameters.keys().find(|name| !is_name(name)) {
            return Err(damaged(&format!("\"{name}\": 1–{MAX_NAME} characters")));
        }
        let series = SeriesId { key_id: parameters.key_id, root: parameters.root.hash(crypto) };
        Ok((series, parameters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::ring::PROVIDER;

    const ROOT: &[u8] = include_bytes!("../golden/test-root.pk8");
    const ISSUING: &[u8] = include_bytes!("../golden/test-issuing.pk8");

    fn file(name: &str, signed_by: &[u8]) -> String {
        let root = PROVIDER.rsa_signer(ROOT).unwrap();
        let parameters = Parameters {
            key_id: KeyId(0x672B),
            root: RootKey::new(root.public_key().to_vec()).unwrap(),
            created: Time(0),
            parameters: [(name.to_owned(), "5".to_owned())].into(),
        };
        parameters.sign(&*PROVIDER.rsa_signer(signed_by).unwrap()).unwrap()
    }

    fn code(text: &str) -> Code {
        Parameters::read(&PROVIDER, "672B.params", text).unwrap_err().code
    }

    #[test]
    fn only_the_root_can_set_a_default() {
        let text = file("Тариф", ROOT);
        let (series, read) = Parameters::read(&PROVIDER, "672B.params", &text).unwrap();
        assert_eq!((series.key_id, read.parameters["Тариф"].as_str()), (KeyId(0x672B), "5"));
        assert_eq!(series.root, read.root.hash(&PROVIDER));
        assert_eq!(code(&file("Тариф", ISSUING)), Code::SignatureWrong);
        assert_eq!(code(&text.replace("\"5\"", "\"6\"")), Code::SignatureWrong);
    }

    #[test]
    fn what_is_no_such_file_is_told_apart() {
        assert_eq!(code("LSPF\n"), Code::ForeignFile);
        assert_eq!(code("SLK-DATAFILE 1\n{}\nAA==\n"), Code::DocumentDamaged);
        assert_eq!(code(&file("Тариф", ROOT).replacen("S 1", "S 2", 1)), Code::DocumentVersion);
        assert_eq!(code(&(file("Тариф", ROOT) + "more\n")), Code::DocumentDamaged);
        for name in ["", " Тариф", "a\nb", &"x".repeat(65)] {
            assert_eq!(code(&file(name, ROOT)), Code::DocumentDamaged, "{name:?}");
        }
    }
}
