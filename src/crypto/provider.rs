// Included once per library: `library` is `aws_lc_rs` or `ring`, `NOISE` makes what Noise works with.

use library::rand::SecureRandom;
use library::signature::KeyPair;
use library::{aead, digest, hkdf, hmac, rand, signature};
use snow::resolvers::BoxedCryptoResolver;

use crate::crypto::{Crypto, Hasher, Mac, Signer, accepted_rsa_key, failed, modulus_len};
use crate::error::{Code, Error, Result};

/// The provider itself; it has no state.
pub struct Library;

/// The provider as programs pass it around.
pub static PROVIDER: Library = Library;

struct Length;

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

fn aes_key(key: &[u8; 32]) -> Result<aead::LessSafeKey> {
    Ok(aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, key).map_err(|_| failed("AEAD key"))?))
}

fn zero_nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

struct Pieces(digest::Context);

impl Hasher for Pieces {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self: Box<Self>) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}

impl Crypto for Library {
    fn random(&self, bytes: &mut [u8]) -> Result<()> {
        rand::SystemRandom::new().fill(bytes).map_err(|_| failed("random generator"))
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        sha256(parts)
    }

    fn hasher(&self) -> Box<dyn Hasher> {
        Box::new(Pieces(digest::Context::new(&digest::SHA256)))
    }

    fn hkdf(&self, salt: &[u8], key: &[u8], info: &[&[u8]]) -> Result<[u8; 32]> {
        let mut output = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(key)
            .expand(info, Length)
            .and_then(|okm| okm.fill(&mut output))
            .map_err(|_| failed("HKDF"))?;
        Ok(output)
    }

    fn mac(&self, key: &[u8; 32]) -> Box<dyn Mac> {
        Box::new(Hmac(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    fn seal(&self, key: &[u8; 32], aad: &[u8], mut plain: Vec<u8>) -> Result<Vec<u8>> {
        aes_key(key)?
            .seal_in_place_append_tag(zero_nonce(), aead::Aad::from(aad), &mut plain)
            .map_err(|_| failed("AEAD"))?;
        Ok(plain)
    }

    fn open_in_place(&self, key: &[u8; 32], aad: &[u8], sealed: &mut [u8]) -> Result<usize> {
        let plain = aes_key(key)?.open_in_place(zero_nonce(), aead::Aad::from(aad), sealed);
        plain.map(|plain| plain.len()).map_err(|_| failed("AEAD tag"))
    }

    fn rsa_verify(&self, spki: &[u8], message: &[u8], bytes: &[u8]) -> bool {
        accepted_rsa_key(spki).is_some_and(|pkcs1| {
            signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, pkcs1)
                .verify(message, bytes)
                .is_ok()
        })
    }

    fn rsa_signer(&self, pkcs8: &[u8]) -> Result<Box<dyn Signer>> {
        use spki::der::{Encode, asn1::BitStringRef};
        let pair = signature::RsaKeyPair::from_pkcs8(pkcs8).map_err(|e| failed(format!("RSA key: {e}")))?;
        let algorithm = spki::AlgorithmIdentifierRef {
            oid: spki::ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
            parameters: Some(spki::der::asn1::AnyRef::NULL),
        };
        let subject_public_key = BitStringRef::from_bytes(pair.public_key().as_ref()).map_err(failed)?;
        let public = spki::SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der().map_err(failed)?;
        let modulus_len = accepted_rsa_key(&public).and_then(modulus_len).ok_or_else(|| failed("RSA key size"))?;
        Ok(Box::new(Rsa { pair, public, modulus_len }))
    }

    fn ed25519_verify(&self, public: &[u8; 32], message: &[u8], bytes: &[u8]) -> bool {
        signature::UnparsedPublicKey::new(&signature::ED25519, public).verify(message, bytes).is_ok()
    }

    fn ed25519_signer(&self, seed: &[u8; 32]) -> Result<Box<dyn Signer>> {
        let pair = signature::Ed25519KeyPair::from_seed_unchecked(seed).map_err(|e| failed(format!("Ed25519 key: {e}")))?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(Box::new(Ed25519 { pair, public }))
    }

    fn noise(&self) -> BoxedCryptoResolver {
        NOISE()
    }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

struct Hmac(hmac::Key);

impl Mac for Hmac {
    fn tag(&self, message: &[u8]) -> [u8; 32] {
        let mut tag = [0; 32];
        tag.copy_from_slice(hmac::sign(&self.0, message).as_ref());
        tag
    }

    fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, message, tag).is_ok()
    }
}

struct Rsa {
    pair: signature::RsaKeyPair,
    public: Vec<u8>,
    modulus_len: usize,
}

impl Signer for Rsa {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.modulus_len];
        self.pair
            .sign(&signature::RSA_PKCS1_SHA256, &rand::SystemRandom::new(), message, &mut bytes)
            .map_err(|_| Error::new(Code::CryptoFailed).with("RSA"))?;
        Ok(bytes)
    }

    fn sha256(&self, message: &[u8]) -> [u8; 32] {
        sha256(&[message])
    }

    fn public_key(&self) -> &[u8] {
        &self.public
    }
}

struct Ed25519 {
    pair: signature::Ed25519KeyPair,
    public: Vec<u8>,
}

impl Signer for Ed25519 {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok(self.pair.sign(message).as_ref().to_vec())
    }

    fn sha256(&self, message: &[u8]) -> [u8; 32] {
        sha256(&[message])
    }

    fn public_key(&self) -> &[u8] {
        &self.public
    }
}
