//! Cryptography behind one small trait; the primitives are those of `aws-lc-rs` (server, centre) or `ring` (component,
//! server-lite), which share one API and so one implementation here. No primitive of our own.

use snow::resolvers::BoxedCryptoResolver;

use crate::error::{Code, Error, Result};

#[cfg(any(feature = "aws-lc", test))]
mod x25519;

#[cfg(any(feature = "aws-lc", feature = "ring", test))]
macro_rules! provider {
    ($(#[$doc:meta])* $name:ident, $library:ident, $noise:expr) => {
        $(#[$doc])*
        pub mod $name {
            use ::$library as library;

            const NOISE: fn() -> BoxedCryptoResolver = $noise;

            include!("provider.rs");
        }
    };
}

#[cfg(any(feature = "aws-lc", test))]
provider!(
    /// The provider over `aws-lc-rs`.
    aws_lc,
    aws_lc_rs,
    super::x25519::resolver
);

#[cfg(any(feature = "ring", test))]
provider!(
    /// The provider over `ring`. It can't use a stored X25519 key, so Noise takes that of `snow`.
    ring,
    ring,
    || Box::new(snow::resolvers::DefaultResolver)
);

/// A private key that signs. The key's bytes never leave it.
pub trait Signer: Send + Sync {
    /// Signature of `message`: RSA PKCS#1 v1.5 with SHA-256, or Ed25519.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>>;

    /// SHA-256 of `message`, for what is signed by its digest.
    fn sha256(&self, message: &[u8]) -> [u8; 32];

    /// The public key: SPKI DER for RSA, 32 bytes for Ed25519.
    fn public_key(&self) -> &[u8];
}

/// A key that authenticates messages for whoever holds the same key. Its bytes never leave it.
pub trait Mac: Send + Sync {
    /// HMAC-SHA256 (RFC 2104) of `message`.
    fn tag(&self, message: &[u8]) -> [u8; 32];

    /// Whether `tag` is that of `message`; takes the same time wherever they differ.
    fn verify(&self, message: &[u8], tag: &[u8]) -> bool;
}

/// SHA-256 of what comes in pieces.
pub trait Hasher: Send {
    /// Takes the next piece.
    fn update(&mut self, bytes: &[u8]);

    /// The hash of all of them.
    fn finish(self: Box<Self>) -> [u8; 32];
}

/// What the rules need of a cryptographic library.
pub trait Crypto: Send + Sync {
    /// Fills `bytes` from the system's generator.
    fn random(&self, bytes: &mut [u8]) -> Result<()>;

    /// SHA-256 of the parts, one after the other.
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32];

    /// SHA-256 of what is too long to be in memory at once.
    fn hasher(&self) -> Box<dyn Hasher>;

    /// HKDF-SHA256 (RFC 5869): 32 bytes.
    fn hkdf(&self, salt: &[u8], key: &[u8], info: &[&[u8]]) -> Result<[u8; 32]>;

    /// HMAC-SHA256 under `key`.
    fn mac(&self, key: &[u8; 32]) -> Box<dyn Mac>;

    /// AES-256-GCM with the tag at the end. A key seals one message only, so the nonce is all zeros.
    fn seal(&self, key: &[u8; 32], aad: &[u8], plain: Vec<u8>) -> Result<Vec<u8>>;

    /// Opens what [`Crypto::seal`] made; [`Code::CryptoFailed`] when it was altered or the key is another.
    fn open(&self, key: &[u8; 32], aad: &[u8], mut sealed: Vec<u8>) -> Result<Vec<u8>> {
        let length = self.open_in_place(key, aad, &mut sealed)?;
        sealed.truncate(length);
        Ok(sealed)
    }

    /// The same where the bytes lie: the plaintext is at the beginning of `sealed`, as long as the result says. After a refusal
    /// `sealed` is worthless, and may hold what was decrypted.
    fn open_in_place(&self, key: &[u8; 32], aad: &[u8], sealed: &mut [u8]) -> Result<usize>;

    /// Whether `signature` is the RSA PKCS#1 v1.5 SHA-256 signature of `message` under `spki` (SPKI DER, 2048–4096 bits, e = 65537).
    fn rsa_verify(&self, spki: &[u8], message: &[u8], signature: &[u8]) -> bool;

    /// An RSA private key from its PKCS#8 DER.
    fn rsa_signer(&self, pkcs8: &[u8]) -> Result<Box<dyn Signer>>;

    /// Whether `signature` is the Ed25519 signature of `message` under `public`.
    fn ed25519_verify(&self, public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool;

    /// An Ed25519 private key from its 32-byte seed.
    fn ed25519_signer(&self, seed: &[u8; 32]) -> Result<Box<dyn Signer>>;

    /// What Noise works with: X25519 of this library if it can use stored keys, all else of `snow`.
    fn noise(&self) -> BoxedCryptoResolver;

    /// Random bytes of a fixed length.
    fn random_array(&self) -> Result<[u8; 32]> {
        let mut bytes = [0; 32];
        self.random(&mut bytes)?;
        Ok(bytes)
    }

    /// 128 random bits, for identifiers and session secrets.
    fn random_id(&self) -> Result<[u8; 16]> {
        let mut bytes = [0; 16];
        self.random(&mut bytes)?;
        Ok(bytes)
    }
}

/// The provider that a program links, passed around by reference.
pub type Provider = &'static dyn Crypto;

/// The bytes of an RSA public key in PKCS#1 form inside its SPKI form, if it is one that we accept:
/// RSA, 2048 to 4096 bits, exponent 65537.
pub fn accepted_rsa_key(spki: &[u8]) -> Option<&[u8]> {
    let pkcs1 = rsa_key(spki)?;
    let accepted = pkcs1.ends_with(&[2, 3, 1, 0, 1]) && (2048 / 8..=4096 / 8).contains(&modulus_len(pkcs1)?);
    accepted.then_some(pkcs1)
}

fn rsa_key(spki: &[u8]) -> Option<&[u8]> {
    const RSA: spki::ObjectIdentifier = spki::ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    let info = spki::SubjectPublicKeyInfoRef::try_from(spki).ok()?;
    (info.algorithm.oid == RSA).then(|| info.subject_public_key.as_bytes())?
}

/// Length of the modulus in bytes: the key less the SEQUENCE header of 4 bytes, the INTEGER header of 4 with its leading zero,
/// and the exponent 02 03 01 00 01.
fn modulus_len(pkcs1: &[u8]) -> Option<usize> {
    pkcs1.len().checked_sub(4 + 4 + 1 + 5)
}

/// Writes a public key (SPKI DER) as PEM.
pub fn public_key_pem(spki: &[u8]) -> Result<String> {
    use spki::der::{Decode, EncodePem, pem::LineEnding};
    let owned = spki::SubjectPublicKeyInfoOwned::from_der(spki).map_err(failed)?;
    owned.to_pem(LineEnding::LF).map_err(failed)
}

/// Reads a public key in PEM into SPKI DER.
pub fn public_key_from_pem(pem: &str) -> Result<Vec<u8>> {
    use spki::der::{DecodePem, Encode};
    spki::SubjectPublicKeyInfoOwned::from_pem(pem.trim()).and_then(|key| key.to_der()).map_err(failed)
}

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::new(Code::CryptoFailed).with(cause)
}

#[cfg(test)]
mod tests;
