//! A datafile `672B.datafile`: protected objects, each sealed under a key that only the right licences can derive, behind an
//! index that the root signs. Layout: the three lines of a signed document, then the sealed objects. `docs/formats.md`.

use std::ops::{Deref, Range};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{Crypto, Signer};
use crate::document::{self, Kind};
use crate::error::{Code, Error, Result};
use crate::id::{Bytes32, KeyId, KeyNo, SeriesId};
use crate::revocation::Revocations;
use crate::series::RootKey;
use crate::subkeys::{ObjectRef, Policy, SeriesSecret, Subkey};
use crate::time::{Deadline, Time};

/// A datafile: `SLK-DATAFILE 1`.
pub const DATAFILE: Kind = Kind { name: "DATAFILE", version: 1, digest: false };
const TAG: u64 = 16;
/// What is read of a datafile at first: most indexes are shorter.
const FIRST_READ: u64 = 64 * 1024;
/// Longest index that is looked for; [`document::read`] refuses a longer payload anyway.
const MAX_HEAD: u64 = 17 * 1024 * 1024;

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
    /// Keys that the vendor has revoked, all of them; empty: this datafile says nothing of it. See [`Revocations`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<KeyNo>,
    /// The objects, in order of their bytes.
    pub objects: Vec<Object>,
}

/// Where the bytes of a datafile lie: in memory, on a disk, beside a server. Objects are read one at a time, so that a large
/// file need not be held.
pub trait Place: Send + Sync {
    /// Names it in errors.
    fn name(&self) -> String;
    /// Number of its bytes, as it was found.
    fn size(&self) -> u64;
    /// Exactly `length` bytes from `at` on, in order, where they lie in memory or as they come there. What has to be waited for
    /// is waited for until the deadline; `None`: as long as the place finds right.
    fn read(&self, at: u64, length: usize, deadline: Option<&Deadline>) -> Result<Vec<Piece>>;

    /// What was read turned out damaged: nothing that is kept of it may be given again.
    fn forget(&self) {}

    /// All bytes; what is in memory already is moved, not copied.
    fn into_bytes(self: Box<Self>) -> Result<Vec<u8>> {
        self.read(0, usize::try_from(self.size()).unwrap_or(usize::MAX), None).map(joined)
    }
}

/// Bytes of a datafile where they lie in memory: shared, not copied.
#[derive(Clone)]
pub struct Piece {
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Piece {
    /// The bytes of `range`; `None` if there are fewer.
    pub fn of(bytes: &Arc<Vec<u8>>, range: Range<usize>) -> Option<Piece> {
        bytes.get(range.clone())?;
        Some(Piece { bytes: Arc::clone(bytes), range })
    }
}

impl From<Vec<u8>> for Piece {
    fn from(bytes: Vec<u8>) -> Piece {
        Piece { range: 0..bytes.len(), bytes: Arc::new(bytes) }
    }
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // `of` has looked: the range is inside.
        self.bytes.get(self.range.clone()).unwrap_or_default()
    }
}

/// The bytes of pieces, one after the other; those of a single piece that nobody shares are moved.
pub fn joined(pieces: Vec<Piece>) -> Vec<u8> {
    match <[Piece; 1]>::try_from(pieces) {
        Ok([Piece { bytes, range }]) if range == (0..bytes.len()) => Arc::unwrap_or_clone(bytes),
        Ok([piece]) => piece.to_vec(),
        Err(pieces) => pieces.iter().map(Deref::deref).collect::<Vec<_>>().concat(),
    }
}

/// Bytes in memory, as 1C code passes them.
struct Passed {
    name: String,
    bytes: Arc<Vec<u8>>,
}

impl Place for Passed {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, at: u64, length: usize, _: Option<&Deadline>) -> Result<Vec<Piece>> {
        let start = usize::try_from(at).ok();
        let end = start.and_then(|start| start.checked_add(length));
        let piece = start.zip(end).and_then(|(start, end)| Piece::of(&self.bytes, start..end));
        piece.map(|piece| vec![piece]).ok_or_else(|| damaged(&self.name, "length"))
    }

    fn into_bytes(self: Box<Self>) -> Result<Vec<u8>> {
        Ok(Arc::unwrap_or_clone(self.bytes))
    }
}

/// Which of the two files of a series lies beside a server or on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// `672B.datafile`.
    Main,
    /// `672B.Extension.datafile`: objects that 1C code names `Extension.<name>`.
    Extension,
}

impl Part {
    /// Name of the file.
    pub fn file_name(self, key_id: KeyId) -> String {
        match self {
            Part::Main => format!("{key_id}.datafile"),
            Part::Extension => format!("{key_id}.Extension.datafile"),
        }
    }
}

/// A datafile whose index was verified under the root that it carries.
pub struct Datafile {
    /// The index.
    pub index: Index,
    /// KeyID and root hash: compare with the trust anchor before use.
    pub series: SeriesId,
    /// SHA-256 of the index with its signature: tells one datafile from another wherever it lies.
    pub stamp: Bytes32,
    place: Box<dyn Place>,
    body: u64,
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
            return Err(Error::new(Code::BadRequest).with(format!("object name \"{name}\"")));
        }
        if objects.iter().any(|object| same_name(&object.name, &name)) {
            return Err(Error::new(Code::BadRequest).with(format!("object name \"{name}\" stands twice")));
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
    /// Reads a datafile in memory; see [`Datafile::at`]. `place` names it in errors.
    pub fn read(crypto: &dyn Crypto, place: &str, bytes: Vec<u8>) -> Result<Datafile> {
        Datafile::at(crypto, Box::new(Passed { name: place.to_owned(), bytes: Arc::new(bytes) }), None)
    }

    /// Reads the index of a datafile and verifies it under the root inside it. Objects are read when they are opened.
    /// The deadline is that of [`Place::read`].
    pub fn at(crypto: &dyn Crypto, place: Box<dyn Place>, deadline: Option<&Deadline>) -> Result<Datafile> {
        let name = place.name();
        let damaged = |cause: &str| damaged(&name, cause);
        let head = head(&*place, deadline)?;
        let text = std::str::from_utf8(&head).map_err(|e| damaged(&format!("byte {}: not UTF-8", e.valid_up_to())))?;
        let (unverified, _) = document::read(DATAFILE, &name, text)?;
        let index: Index = unverified
            .verify_by_named_key(crypto, |claimed: &Index| claimed.root.verifier().map_err(|_| damaged("root key")))?;
        let mut expected = 0;
        for object in &index.objects {
            if object.offset != expected {
                return Err(damaged(&format!("object {}: offset", object.name)));
            }
            expected =
                expected.checked_add(object.size).and_then(|e| e.checked_add(TAG)).ok_or_else(|| damaged("size"))?;
        }
        let body = head.len() as u64;
        let have = place.size().saturating_sub(body);
        if expected != have {
            return Err(damaged(&format!("{have} bytes of objects instead of {expected}")));
        }
        let series = SeriesId { key_id: index.key_id, root: index.root.hash(crypto) };
        let stamp = Bytes32(crypto.sha256(&[&head]));
        Ok(Datafile { index, series, stamp, place, body })
    }

    /// Where it lies.
    pub fn place(&self) -> &dyn Place {
        &*self.place
    }

    /// The whole file.
    pub fn into_bytes(self) -> Result<Vec<u8>> {
        self.place.into_bytes()
    }

    /// The vendor's list of revoked keys, if he has put one in.
    pub fn revocations(&self) -> Option<Revocations> {
        Revocations::signed(self.series, self.index.created, &self.index.revoked)
    }

    /// The object of this name, without regard to case.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.index.objects.iter().find(|object| same_name(&object.name, name))
    }

    /// Decrypts an object with the key that a licence gave for it. The plaintext is wiped when it is dropped.
    pub fn open(&self, crypto: &dyn Crypto, object: &Object, key: &Subkey) -> Result<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(joined(self.sealed(object, None)?));
        let length = self.open_in_place(crypto, object, key, &mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Decrypts an object where a copy of its sealed bytes lies; the plaintext is at the beginning, as long as the result says.
    /// If that fails `bytes` are wiped.
    pub fn open_in_place(&self, crypto: &dyn Crypto, object: &Object, key: &Subkey, bytes: &mut [u8]) -> Result<usize> {
        crypto.open_in_place(key.bytes(), object.name.as_bytes(), bytes).or_else(|_| {
            bytes.zeroize();
            let cause = if self.is_intact(crypto, object)? {
                "key"
            } else {
                self.place.forget();
                "SHA-256"
            };
            Err(Error::new(Code::ObjectDamaged).with(&object.name).with(cause))
        })
    }

    /// Whether the sealed bytes of an object are those that the index was signed over.
    pub fn is_intact(&self, crypto: &dyn Crypto, object: &Object) -> Result<bool> {
        let sealed = self.sealed(object, None)?;
        let parts: Vec<&[u8]> = sealed.iter().map(Deref::deref).collect();
        Ok(crypto.sha256(&parts) == object.sha256.0)
    }

    /// The sealed bytes of an object: after this nothing has to be read or asked to open it. The deadline is that of [`Place::read`].
    pub fn sealed(&self, object: &Object, deadline: Option<&Deadline>) -> Result<Vec<Piece>> {
        let failed = || Error::new(Code::ObjectDamaged).with(&object.name).with("length");
        let start = self.body.checked_add(object.offset).ok_or_else(failed)?;
        let length = object.size.checked_add(TAG).and_then(|length| usize::try_from(length).ok()).ok_or_else(failed)?;
        self.place.read(start, length, deadline)
    }
}

/// The three lines at the head of a datafile, or as much as there is when there are no three lines.
fn head(place: &dyn Place, deadline: Option<&Deadline>) -> Result<Vec<u8>> {
    let mut length = FIRST_READ;
    loop {
        let have = place.size().min(length);
        let mut bytes = joined(place.read(0, usize::try_from(have).unwrap_or(usize::MAX), deadline)?);
        document::refuse_foreign(&place.name(), &bytes)?;
        if let Some(end) = end_of_line(&bytes, 3) {
            bytes.truncate(end);
            return Ok(bytes);
        }
        if have < length || length > MAX_HEAD {
            return Ok(bytes);
        }
        length *= 4;
    }
}

fn damaged(place: &str, cause: &str) -> Error {
    Error::new(Code::DocumentDamaged).with(place).with(cause)
}

fn end_of_line(bytes: &[u8], count: usize) -> Option<usize> {
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(count - 1).map(|(at, _)| at + 1)
}

/// Whether two names of objects or of data are the same to 1C, which knows no case.
pub fn same_name(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_shared_and_a_whole_one_that_nobody_shares_is_moved() {
        let bytes = Arc::new(vec![1, 2, 3, 4]);
        let of = |range| Piece::of(&bytes, range);
        assert!(of(0..5).is_none() && of(5..5).is_none() && of(4..4).is_some());
        assert_eq!(joined(vec![of(0..1).unwrap(), of(1..4).unwrap()]), [1, 2, 3, 4]);
        assert_eq!(joined(vec![of(1..3).unwrap()]), [2, 3]);
        assert!(joined(Vec::new()).is_empty());
        let own: Vec<u8> = vec![5; 100];
        let place = own.as_ptr();
        let moved = joined(vec![own.into()]);
        assert_eq!(moved.as_ptr(), place);
    }
}
