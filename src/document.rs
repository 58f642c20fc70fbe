//! Signed documents: the one envelope of licences, certificates and indexes of datafiles.
//!
//! A document is three lines of text: `SLK-<TYPE> <version>`, a JSON object, the signature in base64. The signature covers
//! the first two lines with their line feeds, or the first and a digest of the second, so it is verified over bytes; what the
//! JSON says is given out afterwards only.
//! `docs/formats.md`.

use std::borrow::Cow;
use std::io::Write;

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
/// Room for most documents, in bytes.
const USUAL: usize = 8 * 1024;

/// A kind of document: the type in its first line and the version that this program writes and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The word after `SLK-`.
    pub name: &'static str,
    /// The version of its layout.
    pub version: u32,
    /// Whether the signature covers the SHA-256 of the second line in place of the line itself: Ed25519 hashes twice what it signs,
    /// and slowly.
    pub digest: bool,
}

/// A document as read: nobody gets its payload before the signature was verified.
#[derive(Debug, Clone)]
pub struct Unverified<'a> {
    place: &'a str,
    payload: &'a str,
    kind: Kind,
    /// The first two lines as they were signed. The text itself, unless an editor has changed its line ends.
    lines: Cow<'a, str>,
    signature: Vec<u8>,
}

/// The public key of whoever signs a document.
#[derive(Debug, Clone, Copy)]
pub enum PublicKey<'a> {
    /// RSA: SPKI DER.
    Rsa(&'a [u8]),
    /// Ed25519.
    Ed25519(&'a [u8; 32]),
}

/// Writes a signed document: three lines.
pub fn sign(kind: Kind, payload: &impl Serialize, signer: &dyn Signer) -> Result<String> {
    let wrong = |cause: &dyn std::fmt::Display| Error::new(Code::Internal).with(cause);
    let mut bytes = Vec::with_capacity(USUAL);
    writeln!(bytes, "{MARK}{} {}", kind.name, kind.version).map_err(|e| wrong(&e))?;
    serde_json::to_writer(&mut bytes, payload).map_err(|e| wrong(&e))?;
    bytes.push(b'\n');
    let signature = signer.sign(&covered(kind, &bytes, |line| signer.sha256(line)))?;
    let mut text = String::from_utf8(bytes).map_err(|e| wrong(&e))?;
    STANDARD.encode_string(signature, &mut text);
    text.push('\n');
    Ok(text)
}

/// What the signature of a document with these two lines covers.
fn covered(kind: Kind, lines: &[u8], sha256: impl FnOnce(&[u8]) -> [u8; 32]) -> Cow<'_, [u8]> {
    match lines.iter().position(|byte| *byte == b'\n') {
        Some(end) if kind.digest => {
            let (first, second) = lines.split_at(end + 1);
            Cow::Owned([first, &sha256(second)].concat())
        }
        _ => Cow::Borrowed(lines),
    }
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
pub fn read<'a>(kind: Kind, place: &'a str, text: &'a str) -> Result<(Unverified<'a>, &'a str)> {
    let damaged = |cause: &str| Error::new(Code::DocumentDamaged).with(place).with(cause);
    refuse_foreign(place, text.as_bytes())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    refuse_strange(place, text.as_bytes())?;
    let (header, rest) = line(text).ok_or_else(|| damaged("line 1: no header"))?;
    let (payload, rest) = line(rest).ok_or_else(|| damaged("line 2: no payload"))?;
    let both = &text[..text.len() - rest.len()];
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
    let lines = match both.len() == header.len() + payload.len() + 2 {
        true => Cow::Borrowed(both),
        false => Cow::Owned(format!("{header}\n{payload}\n")),
    };
    Ok((Unverified { place, payload, kind, lines, signature }, rest))
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
    /// The payload, if the signature is that of `key`.
    pub fn verify<T: DeserializeOwned>(&self, crypto: &dyn Crypto, key: PublicKey<'_>) -> Result<T> {
        self.check(crypto, key)?;
        self.parse()
    }

    /// The payload, if the signature is that of the key that it names itself: `key` finds it there, or refuses it.
    pub fn verify_by_named_key<T: DeserializeOwned>(
        &self,
        crypto: &dyn Crypto,
        key: impl FnOnce(&T) -> Result<PublicKey<'_>>,
    ) -> Result<T> {
        let claimed = self.parse()?;
        self.check(crypto, key(&claimed)?)?;
        Ok(claimed)
    }

    fn check(&self, crypto: &dyn Crypto, key: PublicKey<'_>) -> Result<()> {
        let signed = covered(self.kind, self.lines.as_bytes(), |line| crypto.sha256(&[line]));
        let genuine = match key {
            PublicKey::Rsa(spki) => crypto.rsa_verify(spki, &signed, &self.signature),
            PublicKey::Ed25519(public) => crypto.ed25519_verify(public, &signed, &self.signature),
        };
        if genuine { Ok(()) } else { Err(Error::new(Code::SignatureWrong).with(self.place)) }
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(self.payload)
            .map_err(|e| Error::new(Code::DocumentDamaged).with(self.place).with(format!("line 2: {e}")))
    }
}

/// Bytes in a payload: base64 text.
pub mod base64_bytes {
    use super::{Engine, STANDARD};
    use serde::{Deserializer, Serializer};

    /// Writes bytes as base64.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    /// Reads bytes from base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        crate::id::from_text(deserializer, |text| STANDARD.decode(text))
    }
}
