//! A datafile `672B.datafile`: protected objects, each sealed under a key that only the right licences can derive, behind an
//! index that the root signs. Layout: the three lines of a signed document, then the sealed objects. `docs/formats.md`.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::crypto::{Crypto, Signer};
use crate::document::{self, Kind};
use crate::error::{Code, Error, Result};
use crate::id::{Bytes32, KeyId, KeyNo, SeriesId};
use crate::series::RootKey;
use crate::subkeys::{ObjectRef, Policy, SeriesSecret, Subkey};
use crate::time::Time;

/// A datafile: `SLK-DATAFILE 1`.
pub const DATAFILE: Kind = Kind { name: "DATAFILE", version: 1 };
const TAG: u64 = 16;

/// One object in the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Object {
    /// Name, unique without regard to case.
    pub name: String,
    /// Length of the plaintext in bytes.
    pub size: u64,
    /// Where the sealed bytes begin, counted from the end of the third line.
    pub offset: u64,
    /// SHA-256 of the sealed bytes: tells damage from a wrong key.
    pub sha256: Bytes32,
    /// What a licence needs to open it.
    pub policy: Policy,
}

/// Payload of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Index {
    /// Series.
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    /// The root public key; trust comes from the anchor.
    pub root: RootKey,
    /// When it was packed.
    pub created: Time,
    /// Random; enters the derivation of every object's key.
    pub salt: Bytes32,
    /// Keys that the vendor has revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<KeyNo>,
    /// The objects, in order of their bytes.
    pub objects: Vec<Object>,
}

/// A datafile whose index was verified under the root that it carries.
#[derive(Clone)]
pub struct Datafile {
    /// The index.
    pub index: Index,
    /// KeyID and root hash: compare with the trust anchor before use.
    pub series: SeriesId,
    bytes: std::sync::Arc<[u8]>,
    body: usize,
}

/// An object to be packed.
pub struct Plain {
    /// Name.
    pub name: String,
    /// Policy, already [`Policy::checked`].
    pub policy: Policy,
    /// The bytes to protect.
    pub bytes: Vec<u8>,
}

/// What is packed into one datafile.
pub struct Contents {
    /// Series.
    pub key_id: KeyId,
    /// The moment of packing.
    pub created: Time,
    /// 32 random bytes, never used before.
    pub salt: Bytes32,
    /// Revoked keys.
    pub revoked: Vec<KeyNo>,
    /// The objects.
    pub objects: Vec<Plain>,
}

/// Packs objects into the bytes of a datafile.
pub fn pack(crypto: &dyn Crypto, root: &dyn Signer, secret: &SeriesSecret, contents: Contents) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    let mut objects: Vec<Object> = Vec::new();
    for Plain { name, policy, bytes } in contents.objects {
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Error::new(Code::BadRequest).with(format!("object name {name:?}")));
        }
        if objects.iter().any(|object| same_name(&object.name, &name)) {
            return Err(Error::new(Code::BadRequest).with(format!("object name {name:?} stands twice")));
        }
        let policy = policy.checked()?;
        let key = secret.object_key(crypto, &ObjectRef { name: &name, policy: &policy, salt: &contents.salt.0 })?;
        let (size, offset) = (bytes.len() as u64, body.len() as u64);
        let sealed = crypto.seal(key.bytes(), name.as_bytes(), bytes)?;
        let sha256 = Bytes32(crypto.sha256(&[&sealed]));
        body.extend_from_slice(&sealed);
        objects.push(Object { name, size, offset, sha256, policy });
    }
    let index = Index {
        key_id: contents.key_id,
        root: RootKey::new(root.public_key().to_vec())?,
        created: contents.created,
        salt: contents.salt,
        revoked: contents.revoked,
        objects,
    };
    let mut bytes = document::sign(DATAFILE, &index, root)?.into_bytes();
    bytes.append(&mut body);
    Ok(bytes)
}

impl Datafile {
    /// Reads a datafile and verifies its index under the root inside it. `place` names it in errors.
    pub fn read(crypto: &dyn Crypto, place: &str, bytes: Vec<u8>) -> Result<Datafile> {
        let damaged = |cause: String| Error::new(Code::DocumentDamaged).with(place).with(cause);
        let body = end_of_line(&bytes, 3).unwrap_or(bytes.len());
        let text = match std::str::from_utf8(&bytes[..body]) {
            Ok(text) => text,
            Err(_) if bytes.starts_with(b"LSDF") || bytes.starts_with(b"LSPF") => {
                return Err(Error::new(Code::ForeignFile).with(place));
            }
            Err(e) => return Err(damaged(format!("byte {}: not UTF-8", e.valid_up_to()))),
        };
        let (unverified, _) = document::read(DATAFILE, place, text)?;
        let claimed: Index = unverified.peek()?;
        let root = RootKey::new(claimed.root.spki().to_vec()).map_err(|_| damaged("root key".into()))?;
        let index: Index = unverified.verify(crypto, root.spki())?;
        let mut expected = 0;
        for object in &index.objects {
            if object.offset != expected {
                return Err(damaged(format!("object {}: offset", object.name)));
            }
            expected = expected
                .checked_add(object.size)
                .and_then(|e| e.checked_add(TAG))
                .ok_or_else(|| damaged("size".into()))?;
        }
        let have = (bytes.len() - body) as u64;
        if expected != have {
            return Err(damaged(format!("{have} bytes of objects instead of {expected}")));
        }
        let series = SeriesId { key_id: index.key_id, root: root.hash(crypto) };
        Ok(Datafile { index, series, bytes: bytes.into(), body })
    }

    /// The object of this name, without regard to case.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.index.objects.iter().find(|object| same_name(&object.name, name))
    }

    /// Decrypts an object with the key that a licence gave for it.
    pub fn open(&self, crypto: &dyn Crypto, object: &Object, key: &Subkey) -> Result<Vec<u8>> {
        let failed = |cause: &str| Error::new(Code::ObjectDamaged).with(&object.name).with(cause);
        let sealed = self.range(object).and_then(|range| self.bytes.get(range)).ok_or_else(|| failed("length"))?;
        let opened = crypto.open(key.bytes(), object.name.as_bytes(), sealed.to_vec());
        opened.map_err(|_| failed(if self.is_intact(crypto, object) { "key" } else { "SHA-256" }))
    }

    /// Whether the sealed bytes of an object are those that the index was signed over.
    pub fn is_intact(&self, crypto: &dyn Crypto, object: &Object) -> bool {
        let sealed = self.range(object).and_then(|range| self.bytes.get(range));
        sealed.is_some_and(|sealed| crypto.sha256(&[sealed]) == object.sha256.0)
    }

    fn range(&self, object: &Object) -> Option<Range<usize>> {
        let start = self.body.checked_add(usize::try_from(object.offset).ok()?)?;
        let end = start.checked_add(usize::try_from(object.size.checked_add(TAG)?).ok()?)?;
        Some(start..end)
    }
}

fn end_of_line(bytes: &[u8], count: usize) -> Option<usize> {
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(count - 1).map(|(at, _)| at + 1)
}

fn same_name(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}
