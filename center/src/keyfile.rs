//! Key files: `672B.cryptkey` holds a root, `672B.issuer` an issuing key; both with the secret of their series. Public parts
//! stand in clear, private ones are sealed under the passphrase if there is one. `docs/formats.md`.

use argon2::{Algorithm, Argon2, Params, Version};
use licence::crypto::{Crypto, Signer};
use licence::document::base64_bytes;
use licence::error::{Code, Error, Result};
use licence::id::Bytes32;
use licence::series::{Issuer, RootKey};
use licence::subkeys::SeriesSecret;
use licence::{KeyId, SeriesId, Time};
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core::{TryCryptoRng, TryRng};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const VERSION: u32 = 1;
const CRYPTKEY: &str = "SLK-CRYPTKEY";
const ISSUER: &str = "SLK-ISSUER";
/// Longest key file that is read, in bytes.
pub const LIMIT: u64 = 1024 * 1024;

/// What argon2id costs for new files: 64 MiB, 3 passes, about a third of a second at a desk.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// A file that demands more than this was not written by us; opening it must not exhaust the computer.
const MEMORY_LIMIT_KIB: u32 = 1024 * 1024;
const PASSES_LIMIT: u32 = 64;

/// The private half of a key file: an RSA key and the secret of the series.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Secrets {
    /// PKCS#8 DER.
    #[serde(with = "base64_bytes")]
    key: Vec<u8>,
    /// 64 hex digits.
    secret: String,
}

impl Secrets {
    /// A fresh RSA key of `bits` (2048 to 4096) beside the secret of its series.
    pub fn generate(crypto: &dyn Crypto, bits: usize, secret: &SeriesSecret) -> Result<Secrets> {
        let failed = |cause: String| Error::new(Code::CryptoFailed).with(cause);
        if !(2048..=4096).contains(&bits) || !bits.is_multiple_of(8) {
            return Err(failed(format!("RSA {bits}: 2048–4096, a multiple of 8")));
        }
        let private = rsa::PrivateKey::new(&mut Generator(crypto), bits).map_err(|e| failed(e.to_string()))?;
        let der = private.to_pkcs8_der().map_err(|e| failed(e.to_string()))?;
        Ok(Secrets::of(der.as_bytes(), secret))
    }

    /// Secrets of a key that is there already, PKCS#8 DER.
    pub fn of(pkcs8: &[u8], secret: &SeriesSecret) -> Secrets {
        Secrets { key: pkcs8.to_vec(), secret: Bytes32(*secret.bytes()).to_string() }
    }

    /// The key, ready to sign.
    pub fn signer(&self, crypto: &dyn Crypto) -> Result<Box<dyn Signer>> {
        crypto.rsa_signer(&self.key)
    }
}

/// The crate `rsa` draws from the same generator as everything else.
struct Generator<'a>(&'a dyn Crypto);

impl TryRng for Generator<'_> {
    type Error = Error;

    fn try_next_u32(&mut self) -> Result<u32> {
        let mut bytes = [0; 4];
        self.0.random(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        self.0.random(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.0.random(bytes)
    }
}

impl TryCryptoRng for Generator<'_> {}

/// How the private half stands in the file.
#[derive(Serialize, Deserialize)]
enum Vault {
    /// Readable by whoever can read the file.
    Open(Secrets),
    /// AES-256-GCM over the JSON text of the secrets; the key is argon2id of the passphrase.
    #[serde(rename_all = "PascalCase")]
    Sealed {
        #[serde(rename = "MemoryKiB")]
        memory_kib: u32,
        passes: u32,
        salt: Bytes32,
        #[serde(with = "base64_bytes")]
        data: Vec<u8>,
    },
}

impl Vault {
    fn lock(crypto: &dyn Crypto, context: &str, secrets: Secrets, passphrase: Option<&str>) -> Result<Vault> {
        let Some(passphrase) = passphrase else { return Ok(Vault::Open(secrets)) };
        // The salt is fresh for each file, so the key seals this one message only.
        let salt = Bytes32(crypto.random_array()?);
        let key = stretch(passphrase, &salt, MEMORY_KIB, PASSES)
            .ok_or_else(|| Error::new(Code::CryptoFailed).with("argon2"))?;
        let plain = serde_json::to_vec(&secrets).map_err(|e| Error::new(Code::Internal).with(e))?;
        let data = crypto.seal(&key, context.as_bytes(), plain)?;
        Ok(Vault::Sealed { memory_kib: MEMORY_KIB, passes: PASSES, salt, data })
    }

    fn unlock(&self, crypto: &dyn Crypto, place: &str, context: &str, passphrase: Option<&str>) -> Result<Secrets> {
        let damaged = || Error::new(Code::DocumentDamaged).with(place).with("Private");
        let wrong = || Error::new(Code::WrongPassphrase).with(place);
        match self {
            Vault::Open(secrets) => Ok(Secrets { key: secrets.key.clone(), secret: secrets.secret.clone() }),
            Vault::Sealed { memory_kib, passes, salt, data } => {
                if *memory_kib > MEMORY_LIMIT_KIB || *passes > PASSES_LIMIT {
                    return Err(damaged());
                }
                let key = stretch(passphrase.ok_or_else(wrong)?, salt, *memory_kib, *passes).ok_or_else(damaged)?;
                let plain =
                    crypto.open(&key, context.as_bytes(), data.clone()).map(Zeroizing::new).map_err(|_| wrong())?;
                serde_json::from_slice(&plain).map_err(|_| damaged())
            }
        }
    }
}

fn stretch(passphrase: &str, salt: &Bytes32, memory_kib: u32, passes: u32) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(memory_kib, passes, 1, Some(32)).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(passphrase.as_bytes(), &salt.0, key.as_mut()).ok()?;
    Some(key)
}

/// What an opened key file gives.
pub struct Opened {
    /// The private key.
    pub signer: Box<dyn Signer>,
    /// The secret of the series.
    pub secret: SeriesSecret,
}

fn open(crypto: &dyn Crypto, place: &str, secrets: &Secrets, public: &[u8]) -> Result<Opened> {
    let damaged = |cause: &str| Error::new(Code::DocumentDamaged).with(place).with(cause);
    let signer = secrets.signer(crypto).map_err(|_| damaged("private key"))?;
    // The public half stands unsealed: what was put in its place must not be signed for.
    if signer.public_key() != public {
        return Err(damaged("public and private key are no pair"));
    }
    let secret = secrets.secret.parse::<Bytes32>().map_err(|_| damaged("secret of the series"))?;
    Ok(Opened { signer, secret: SeriesSecret::new(secret.0) })
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Stored<P> {
    #[serde(rename = "Type")]
    kind: String,
    version: u32,
    #[serde(rename = "KeyID")]
    key_id: KeyId,
    name: String,
    created: Time,
    public: P,
    private: Vault,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Head {
    #[serde(rename = "Type")]
    kind: String,
    version: u32,
}

fn context(kind: &str, key_id: KeyId) -> String {
    format!("SLK key file 1\n{kind}\n{key_id}")
}

fn read<P: DeserializeOwned>(kind: &str, place: &str, text: &str) -> Result<Stored<P>> {
    // The parser's own message is not passed on: it may quote a secret.
    let damaged =
        |e: serde_json::Error| Error::new(Code::DocumentDamaged).with(place).with(format!("line {}", e.line()));
    let head: Head = serde_json::from_str(text).map_err(damaged)?;
    if head.kind != kind {
        return Err(Error::new(Code::DocumentDamaged).with(place).with(format!("Type: {kind} is expected")));
    }
    if head.version != VERSION {
        return Err(Error::new(Code::DocumentVersion).with(place).with(head.version));
    }
    serde_json::from_str(text).map_err(damaged)
}

impl<P: Serialize> Stored<P> {
    fn write(&self) -> Result<Zeroizing<String>> {
        let mut text =
            serde_json::to_string_pretty(self).map(Zeroizing::new).map_err(|e| Error::new(Code::Internal).with(e))?;
        text.push('\n');
        Ok(text)
    }
}

/// A root key file, `672B.cryptkey`.
pub struct Cryptkey {
    stored: Stored<RootKey>,
    place: String,
}

impl Cryptkey {
    /// A new key file; sealed if there is a passphrase. `name`: the product, shown on licences.
    pub fn new(
        crypto: &dyn Crypto,
        (key_id, name): (KeyId, &str),
        created: Time,
        secrets: Secrets,
        passphrase: Option<&str>,
    ) -> Result<Cryptkey> {
        let public = RootKey::new(secrets.signer(crypto)?.public_key().to_vec())?;
        let private = Vault::lock(crypto, &context(CRYPTKEY, key_id), secrets, passphrase)?;
        let stored =
            Stored { kind: CRYPTKEY.into(), version: VERSION, key_id, name: name.into(), created, public, private };
        Ok(Cryptkey { stored, place: format!("{key_id}.cryptkey") })
    }

    /// Reads the text of a key file. `place` names it in errors.
    pub fn read(place: &str, text: &str) -> Result<Cryptkey> {
        Ok(Cryptkey { stored: read(CRYPTKEY, place, text)?, place: place.into() })
    }

    /// The text of the file.
    pub fn write(&self) -> Result<Zeroizing<String>> {
        self.stored.write()
    }

    /// Whether a passphrase is needed.
    pub fn is_sealed(&self) -> bool {
        matches!(self.stored.private, Vault::Sealed { .. })
    }

    /// The private half.
    pub fn open(&self, crypto: &dyn Crypto, passphrase: Option<&str>) -> Result<Opened> {
        let context = context(CRYPTKEY, self.stored.key_id);
        let secrets = self.stored.private.unlock(crypto, &self.place, &context, passphrase)?;
        open(crypto, &self.place, &secrets, self.stored.public.spki())
    }

    /// The series' number.
    pub fn key_id(&self) -> KeyId {
        self.stored.key_id
    }

    /// Name of the product.
    pub fn name(&self) -> &str {
        &self.stored.name
    }

    /// The root public key.
    pub fn root(&self) -> &RootKey {
        &self.stored.public
    }
}

/// An issuing key file, `672B.issuer`: what the centre needs of a series.
pub struct IssuerFile {
    stored: Stored<String>,
    issuer: Issuer,
    place: String,
}

impl IssuerFile {
    /// A new key file around a certificate; sealed if there is a passphrase.
    pub fn new(
        crypto: &dyn Crypto,
        (name, certificate): (&str, &str),
        created: Time,
        secrets: Secrets,
        passphrase: Option<&str>,
    ) -> Result<IssuerFile> {
        let issuer = Issuer::read(crypto, "certificate", certificate)?;
        let key_id = issuer.certificate.key_id;
        let private = Vault::lock(crypto, &context(ISSUER, key_id), secrets, passphrase)?;
        let public = certificate.to_owned();
        let stored =
            Stored { kind: ISSUER.into(), version: VERSION, key_id, name: name.into(), created, public, private };
        Ok(IssuerFile { stored, issuer, place: format!("{key_id}.issuer") })
    }

    /// Reads the text of a key file and checks its certificate. `place` names it in errors.
    pub fn read(crypto: &dyn Crypto, place: &str, text: &str) -> Result<IssuerFile> {
        let stored: Stored<String> = read(ISSUER, place, text)?;
        let issuer = Issuer::read(crypto, place, &stored.public)?;
        if issuer.certificate.key_id != stored.key_id {
            return Err(Error::new(Code::DocumentDamaged).with(place).with("KeyID"));
        }
        Ok(IssuerFile { stored, issuer, place: place.into() })
    }

    /// The text of the file.
    pub fn write(&self) -> Result<Zeroizing<String>> {
        self.stored.write()
    }

    /// Whether a passphrase is needed.
    pub fn is_sealed(&self) -> bool {
        matches!(self.stored.private, Vault::Sealed { .. })
    }

    /// The private half.
    pub fn open(&self, crypto: &dyn Crypto, passphrase: Option<&str>) -> Result<Opened> {
        let context = context(ISSUER, self.stored.key_id);
        let secrets = self.stored.private.unlock(crypto, &self.place, &context, passphrase)?;
        open(crypto, &self.place, &secrets, &self.issuer.certificate.key)
    }

    /// The certificate.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// KeyID and root.
    pub fn series(&self) -> SeriesId {
        self.issuer.series
    }

    /// Name of the product.
    pub fn name(&self) -> &str {
        &self.stored.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CRYPTO;

    const ROOT: &[u8] = include_bytes!("../../golden/test-root.pk8");

    fn file(passphrase: Option<&str>) -> Cryptkey {
        let secrets = Secrets::of(ROOT, &SeriesSecret::new([7; 32]));
        Cryptkey::new(CRYPTO, (KeyId(0x672B), "Товар"), Time(0), secrets, passphrase).unwrap()
    }

    #[test]
    fn a_sealed_key_file_opens_with_its_passphrase_only() {
        let text = file(Some("слон")).write().unwrap();
        let read = Cryptkey::read("672B.cryptkey", &text).unwrap();
        assert!(read.is_sealed());
        let opened = read.open(CRYPTO, Some("слон")).unwrap();
        assert_eq!(opened.secret.bytes(), &[7; 32]);
        assert_eq!(opened.signer.public_key(), read.root().spki());
        for wrong in [Some("Слон"), Some(""), None] {
            assert_eq!(read.open(CRYPTO, wrong).err().unwrap().code, Code::WrongPassphrase);
        }
        assert!(!text.contains(&licence::id::hex(&[7; 32])));
    }

    #[test]
    fn a_key_file_without_passphrase_opens_without_one() {
        let text = file(None).write().unwrap();
        let read = Cryptkey::read("672B.cryptkey", &text).unwrap();
        assert!(!read.is_sealed() && read.name() == "Товар" && read.key_id() == KeyId(0x672B));
        assert_eq!(read.open(CRYPTO, None).unwrap().secret.bytes(), &[7; 32]);
    }

    #[test]
    fn a_foreign_public_key_in_a_key_file_is_found() {
        let other = CRYPTO.rsa_signer(include_bytes!("../../golden/test-issuing.pk8")).unwrap();
        let mut file = file(None);
        file.stored.public = RootKey::new(other.public_key().to_vec()).unwrap();
        assert_eq!(file.open(CRYPTO, None).err().unwrap().code, Code::DocumentDamaged);
    }

    #[test]
    fn a_newer_or_damaged_key_file_is_refused_without_quoting_it() {
        let text = file(None).write().unwrap();
        let newer = text.replace("\"Version\": 1", "\"Version\": 2");
        assert_eq!(Cryptkey::read("x", &newer).err().unwrap().code, Code::DocumentVersion);
        let secret = licence::id::hex(&[7; 32]);
        let broken = text.replace(&format!("\"Secret\": \"{secret}\""), &format!("\"Secrets\": \"{secret}\""));
        let error = Cryptkey::read("x", &broken).err().unwrap();
        assert_eq!(error.code, Code::DocumentDamaged);
        assert!(!error.to_string().contains(&secret));
        assert_eq!(
            Cryptkey::read("x", &text.replace("SLK-CRYPTKEY", "SLK-ISSUER")).err().unwrap().code,
            Code::DocumentDamaged
        );
    }

    #[test]
    fn a_key_file_that_demands_all_memory_is_refused() {
        let mut file = file(Some("a"));
        if let Vault::Sealed { memory_kib, .. } = &mut file.stored.private {
            *memory_kib = u32::MAX;
        }
        assert_eq!(file.open(CRYPTO, Some("a")).err().unwrap().code, Code::DocumentDamaged);
    }

    #[test]
    fn a_fresh_root_is_a_key_that_we_accept() {
        let secret = SeriesSecret::random(CRYPTO).unwrap();
        let secrets = Secrets::generate(CRYPTO, 2048, &secret).unwrap();
        let file = Cryptkey::new(CRYPTO, (KeyId(1), "x"), Time(0), secrets, None).unwrap();
        assert!(file.open(CRYPTO, None).is_ok());
        assert!(Secrets::generate(CRYPTO, 1024, &secret).is_err() && Secrets::generate(CRYPTO, 8192, &secret).is_err());
    }

    #[test]
    fn golden_key_files_still_open() {
        let cryptkey = Cryptkey::read("672B.cryptkey", include_str!("../../golden/672B.cryptkey")).unwrap();
        assert_eq!((cryptkey.key_id(), cryptkey.name()), (KeyId(0x672B), "Учёт"));
        assert_eq!(cryptkey.open(CRYPTO, Some("golden")).unwrap().secret.bytes(), &[7; 32]);
        assert_eq!(cryptkey.open(CRYPTO, Some("Golden")).err().unwrap().code, Code::WrongPassphrase);
        let issuer = IssuerFile::read(CRYPTO, "672B.issuer", include_str!("../../golden/672B.issuer")).unwrap();
        assert_eq!(issuer.issuer().text, include_str!("../../golden/672B.certificate"));
        assert_eq!(issuer.series().root, cryptkey.root().hash(CRYPTO));
        let opened = issuer.open(CRYPTO, None).unwrap();
        assert_eq!(opened.signer.public_key(), issuer.issuer().certificate.key);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_of_key_files_panic(at: proptest::sample::Index, byte: u8, text in ".{0,200}") {
            let golden = [include_str!("../../golden/672B.cryptkey"), include_str!("../../golden/672B.issuer")];
            for file in golden {
                let mut bytes = file.as_bytes().to_vec();
                let at = at.index(bytes.len());
                bytes[at] = byte;
                for text in [&String::from_utf8_lossy(&bytes), text.as_str()] {
                    let _ = Cryptkey::read("x", text);
                    let _ = IssuerFile::read(CRYPTO, "x", text);
                }
            }
        }
    }
}
