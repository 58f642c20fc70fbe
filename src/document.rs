//! Signed documents: the one envelope of licences, certificates and indexes of datafiles.
//!
//! A document is three lines of text: `SLK-<TYPE> <version>`, a JSON object, the signature in base64. The signature covers
//! the first two lines with their line feeds, so it is verified over bytes before the JSON is parsed. `docs/formats.md`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::crypto::{Crypto, Signer};
use crate::error::{Code, Error, Result};

/// What every document begins with.
const MARK: &str = "SLK-";
/// Longest payload that is read, in bytes: a licence is a few kilobytes.
const MAX_PAYLOAD: usize = 16 * 1024 * 1024;

/// A kind of document: the type in its first line and the version that this program writes and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The word after `SLK-`.
    pub name: &'static str,
    /// The version of its layout.
    pub version: u32,
}

/// A document as read: its bytes are not trusted until [`Unverified::verify`].
#[derive(Debug, Clone)]
pub struct Unverified<'a> {
    kind: Kind,
    place: &'a str,
    signed: String,
    signature: Vec<u8>,
}

/// Writes a signed document: three lines.
pub fn sign(kind: Kind, payload: &impl Serialize, signer: &dyn Signer) -> Result<String> {
    let json = serde_json::to_string(payload).map_err(|e| Error::new(Code::Internal).with(e))?;
    let mut text = format!("SLK-{} {}\n{json}\n", kind.name, kind.version);
    let signature = signer.sign(text.as_bytes())?;
    text.push_str(&STANDARD.encode(signature));
    text.push('\n');
    Ok(text)
}

/// What files of another tool begin with: datafiles and files of parameters.
const FOREIGN: [&[u8]; 2] = [b"LSDF", b"LSPF"];

/// [`Code::ForeignFile`] for a file that another tool has made.
pub fn refuse_foreign(place: &str, bytes: &[u8]) -> Result<()> {
    match FOREIGN.iter().any(|signature| bytes.starts_with(signature)) {
        true => Err(Error::new(Code::ForeignFile).with(place)),
        false => Ok(()),
    }
}

/// [`Code::ForeignDocument`] for a file that is no document at all. An empty one is a damaged one.
pub fn refuse_strange(place: &str, bytes: &[u8]) -> Result<()> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match bytes.is_empty() || bytes.starts_with(MARK.as_bytes()) {
        true => Ok(()),
        false => Err(Error::new(Code::ForeignDocument).with(place)),
    }
}

/// Reads the document at the head of `text` and gives the rest. Line ends of either kind are accepted, so that a file that
/// went through a text editor is still good. `place` names the file in errors.
pub fn read<'a, 't>(kind: Kind, place: &'a str, text: &'t str) -> Result<(Unverified<'a>, &'t str)> {
    let damaged = |cause: &str| Error::new(Code::DocumentDamaged).with(place).with(cause);
    refuse_foreign(place, text.as_bytes())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    refuse_strange(place, text.as_bytes())?;
    let (header, rest) = line(text).ok_or_else(|| damaged("line 1: no header"))?;
    let (payload, rest) = line(rest).ok_or_else(|| damaged("line 2: no payload"))?;
    let (signature, rest) = line(rest).ok_or_else(|| damaged("line 3: no signature"))?;
    let version = header
        .strip_prefix(MARK)
        .and_then(|h| h.strip_prefix(kind.name))
        .and_then(|h| h.strip_prefix(' '))
        .ok_or_else(|| damaged(&format!("line 1: SLK-{} is expected", kind.name)))?;
    if version != kind.version.to_string() {
        let shown: String = version.chars().take(20).collect();
        return Err(Error::new(Code::DocumentVersion).with(place).with(shown));
    }
    if payload.len() > MAX_PAYLOAD {
        return Err(damaged("line 2: too long"));
    }
    let signature = STANDARD.decode(signature).map_err(|_| damaged("line 3: the signature is not base64"))?;
    Ok((Unverified { kind, place, signed: format!("{header}\n{payload}\n"), signature }, rest))
}

/// [`Code::DocumentDamaged`] when something but empty lines stands behind the last document of `place`.
pub fn nothing_behind(place: &str, rest: &str) -> Result<()> {
    match rest.trim().is_empty() {
        true => Ok(()),
        false => Err(Error::new(Code::DocumentDamaged).with(place).with("something stands behind the last signature")),
    }
}

fn line(text: &str) -> Option<(&str, &str)> {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let line = line.strip_suffix('\r').unwrap_or(line);
    (!line.is_empty()).then_some((line, rest))
}

impl Unverified<'_> {
    /// The payload, if the signature is that of `spki`.
    pub fn verify<T: DeserializeOwned>(&self, crypto: &dyn Crypto, spki: &[u8]) -> Result<T> {
        if crypto.rsa_verify(spki, self.signed.as_bytes(), &self.signature) {
            self.parse()
        } else {
            Err(Error::new(Code::SignatureWrong).with(self.place))
        }
    }

    /// The payload, if the signature is the Ed25519 signature of `public`.
    pub fn verify_ed25519<T: DeserializeOwned>(&self, crypto: &dyn Crypto, public: &[u8; 32]) -> Result<T> {
        if crypto.ed25519_verify(public, self.signed.as_bytes(), &self.signature) {
            self.parse()
        } else {
            Err(Error::new(Code::SignatureWrong).with(self.place))
        }
    }

    /// The payload before its signature is checked: only to find out which key signs it.
    pub fn peek<T: DeserializeOwned>(&self) -> Result<T> {
        self.parse()
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let header = self.kind.name.len() + self.kind.version.to_string().len() + 6;
        let json = self.signed.get(header..).unwrap_or_default();
        serde_json::from_str(json)
            .map_err(|e| Error::new(Code::DocumentDamaged).with(self.place).with(format!("line 2: {e}")))
    }
}

/// Bytes in a payload: base64 text.
pub mod base64_bytes {
    use super::{Engine, STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes bytes as base64.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    /// Reads bytes from base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map_err(de::Error::custom)
    }
}
