//! The identity of a server: X25519 for the channel and for sealed subkeys, Ed25519 for its requests to the centre.
//! Made at first start; the file is readable by its owner only. A licence names both public keys.

use serde::{Deserialize, Serialize};
use snow::params::DHChoice;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::crypto::{Crypto, Mac, Signer};
use crate::error::{Code, Error, Result};
use crate::id::Bytes32;
use crate::subkeys::Subkey;

/// Noise pattern of a sealed box: one message to a known static key.
const SEAL_PATTERN: &str = "Noise_N_25519_ChaChaPoly_SHA256";
/// Most that one sealed box can hold.
const SEAL_LIMIT: usize = 65_535;
const VERSION: u32 = 1;

/// The public half of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PublicIdentity {
    /// X25519 public key: the static key of the channel.
    pub noise: Bytes32,
    /// Ed25519 public key: signs requests to the centre.
    pub sign: Bytes32,
}

/// An identity with its private keys and the salt of its fingerprint.
pub struct Identity {
    noise: Subkey,
    sign: Subkey,
    public: PublicIdentity,
    salt: Bytes32,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Stored {
    #[serde(rename = "Type")]
    kind: String,
    version: u32,
    noise: String,
    sign: String,
    salt: String,
}

impl Identity {
    /// A fresh identity.
    pub fn generate(crypto: &dyn Crypto) -> Result<Identity> {
        Identity::of(
            crypto,
            Subkey::new(crypto.random_array()?),
            Subkey::new(crypto.random_array()?),
            crypto.random_array()?,
        )
    }

    fn of(crypto: &dyn Crypto, noise: Subkey, sign: Subkey, salt: [u8; 32]) -> Result<Identity> {
        let dh = crypto.noise().resolve_dh(&DHChoice::Curve25519);
        let mut dh = dh.ok_or_else(|| Error::new(Code::CryptoFailed).with("X25519"))?;
        dh.set(noise.bytes());
        let wrong = |_| Error::new(Code::CryptoFailed).with("public key");
        let public = PublicIdentity {
            noise: Bytes32(dh.pubkey().try_into().map_err(wrong)?),
            sign: Bytes32(crypto.ed25519_signer(sign.bytes())?.public_key().try_into().map_err(wrong)?),
        };
        Ok(Identity { noise, sign, public, salt: Bytes32(salt) })
    }

    /// Reads the text of an identity file.
    pub fn read(crypto: &dyn Crypto, place: &str, text: &str) -> Result<Identity> {
        let damaged = |cause: String| Error::new(Code::DocumentDamaged).with(place).with(cause);
        // The parser's own message is not passed on: it may quote the secret.
        let stored: Stored = serde_json::from_str(text).map_err(|e| damaged(format!("line {}", e.line())))?;
        if stored.kind != "SLK-IDENTITY" {
            return Err(damaged("Type".into()));
        }
        if stored.version != VERSION {
            return Err(Error::new(Code::DocumentVersion).with(place).with(stored.version));
        }
        let key = |name: &str, text: &str| crate::id::unhex::<32>(text).ok_or_else(|| damaged(name.into()));
        Identity::of(
            crypto,
            Subkey::new(key("Noise", &stored.noise)?),
            Subkey::new(key("Sign", &stored.sign)?),
            key("Salt", &stored.salt)?,
        )
    }

    /// The text of the identity file.
    pub fn write(&self) -> Result<Zeroizing<String>> {
        let stored = Stored {
            kind: "SLK-IDENTITY".into(),
            version: VERSION,
            noise: self.noise.clone().into(),
            sign: self.sign.clone().into(),
            salt: self.salt.to_string(),
        };
        serde_json::to_string_pretty(&stored).map(Zeroizing::new).map_err(|e| Error::new(Code::Internal).with(e))
    }

    /// The public half.
    pub fn public(&self) -> PublicIdentity {
        self.public
    }

    /// Salt of the fingerprint's hashes.
    pub fn salt(&self) -> Bytes32 {
        self.salt
    }

    /// The X25519 private key, for the channel.
    pub fn noise_private(&self) -> &[u8; 32] {
        self.noise.bytes()
    }

    /// The key that signs requests to the centre.
    pub fn signer(&self, crypto: &dyn Crypto) -> Result<Box<dyn Signer>> {
        crypto.ed25519_signer(self.sign.bytes())
    }

    /// A name for the machine-wide lock. Nobody else can guess it; it tells nothing of the keys, for others may read it while
    /// the lock is held.
    pub fn lock_name(&self, crypto: &dyn Crypto) -> String {
        crate::id::hex(&crypto.sha256(&[b"SLK lock 1", self.noise.bytes(), self.sign.bytes()])[..16])
    }

    /// The key that authenticates the receipts of this server for itself ([`crate::accounting::receipt`]).
    pub fn receipt_key(&self, crypto: &dyn Crypto) -> Result<Box<dyn Mac>> {
        let key = Zeroizing::new(crypto.hkdf(b"SLK receipt 1", self.noise.bytes(), &[&self.public.noise.0])?);
        Ok(crypto.mac(&key))
    }

    /// Opens a box that [`seal`] made for this identity under the same context.
    pub fn unseal(&self, crypto: &dyn Crypto, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let mut plain = Zeroizing::new(vec![0; sealed.len()]);
        let mut state = builder(crypto, context)
            .and_then(|b| b.local_private_key(self.noise.bytes()))
            .and_then(|b| b.build_responder())
            .map_err(failed)?;
        let length = state.read_message(sealed, &mut plain).map_err(failed)?;
        plain.truncate(length);
        Ok(plain)
    }
}

/// Seals `plain` (at most 65 487 bytes) so that only the identity with this X25519 key opens it, under the same context only.
pub fn seal(crypto: &dyn Crypto, to: &Bytes32, context: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let mut sealed = vec![0; (plain.len() + 64).min(SEAL_LIMIT)];
    let mut state = builder(crypto, context)
        .and_then(|b| b.remote_public_key(&to.0))
        .and_then(|b| b.build_initiator())
        .map_err(failed)?;
    let length = state.write_message(plain, &mut sealed).map_err(failed)?;
    sealed.truncate(length);
    Ok(sealed)
}

fn builder<'a>(crypto: &dyn Crypto, context: &'a [u8]) -> Result<snow::Builder<'a>, snow::Error> {
    snow::Builder::with_resolver(SEAL_PATTERN.parse()?, crypto.noise()).prologue(context)
}

fn failed(cause: snow::Error) -> Error {
    Error::new(Code::CryptoFailed).with(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::ring::PROVIDER;

    #[test]
    fn a_box_opens_for_its_identity_and_context_only() {
        let (ours, other) = (Identity::generate(&PROVIDER).unwrap(), Identity::generate(&PROVIDER).unwrap());
        let sealed = seal(&PROVIDER, &ours.public().noise, b"672B 1", b"secret").unwrap();
        assert_eq!(*ours.unseal(&PROVIDER, b"672B 1", &sealed).unwrap(), b"secret");
        assert!(ours.unseal(&PROVIDER, b"672B 2", &sealed).is_err());
        assert!(other.unseal(&PROVIDER, b"672B 1", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut broken = sealed.clone();
            broken[at] ^= 1;
            assert!(ours.unseal(&PROVIDER, b"672B 1", &broken).is_err());
        }
        assert!(ours.unseal(&PROVIDER, b"", b"").is_err());
    }

    #[test]
    fn whichever_provider_seals_a_box_and_whichever_opens_it_is_the_same() {
        let file = Identity::generate(&PROVIDER).unwrap().write().unwrap();
        let providers: [&dyn Crypto; 2] = [&PROVIDER, &crate::crypto::aws_lc::PROVIDER];
        let [ours, theirs] = providers.map(|provider| Identity::read(provider, "identity", &file).unwrap());
        assert_eq!(ours.public(), theirs.public());
        for (sealer, opener) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let sealed = seal(providers[sealer], &ours.public().noise, b"672B 1", b"secret").unwrap();
            assert_eq!(*ours.unseal(providers[opener], b"672B 1", &sealed).unwrap(), b"secret", "{sealer} {opener}");
            assert!(ours.unseal(providers[opener], b"672B 2", &sealed).is_err());
        }
    }

    #[test]
    fn an_identity_file_gives_the_same_identity() {
        let identity = Identity::generate(&PROVIDER).unwrap();
        let again = Identity::read(&PROVIDER, "identity", &identity.write().unwrap()).unwrap();
        assert_eq!(again.public(), identity.public());
        assert_eq!(again.lock_name(&PROVIDER), identity.lock_name(&PROVIDER));
    }

    #[test]
    fn a_damaged_identity_file_is_named_without_its_secrets() {
        let text = Identity::generate(&PROVIDER).unwrap().write().unwrap();
        let noise = text.split("\"Noise\": \"").nth(1).unwrap()[..64].to_owned();
        let broken = text.replace("\"Sign\": \"", "\"Sign\": 1, \"x\": \"");
        let error = Identity::read(&PROVIDER, "identity.json", &broken).err().unwrap();
        assert!(error.to_string().contains("identity.json") && !error.to_string().contains(&noise));
    }
}
