//! What a licence has earned, as keys: the series secret gives one subkey per entitlement, and an object's key is derived
//! from the subkeys that its policy names. Who lacks a subkey can't derive the key, online or offline. `docs/formats.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::crypto::Crypto;
use crate::error::{Code, Error, Result};
use crate::flags::{self, Flags};

/// Highest product version that the version chain reaches.
pub const PRODUCT_VERSION_MAX: u16 = 9999;
/// Steps of the version chain between two keys that a series secret remembers.
const RUNG: u16 = 100;

/// A derived key, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subkey([u8; 32]);

impl Subkey {
    /// A subkey or object key of these bytes.
    pub fn new(bytes: [u8; 32]) -> Subkey {
        Subkey(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Subkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subkey")
    }
}

impl TryFrom<String> for Subkey {
    type Error = crate::id::Malformed;

    fn try_from(text: String) -> Result<Subkey, crate::id::Malformed> {
        let text = Zeroizing::new(text);
        crate::id::unhex(&text).map(Subkey).ok_or(crate::id::Malformed("a subkey"))
    }
}

impl From<Subkey> for String {
    fn from(key: Subkey) -> String {
        crate::id::hex(&key.0)
    }
}

/// What an object demands of the licence that opens it. All that it names must be met together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Policy {
    /// Flags that must be set, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<u8>,
    /// Service type that the licence must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<u8>,
    /// Demo keys don't open it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_demo: bool,
    /// Lowest `ProductVersion` of the licence; 0 demands nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub product_version: u16,
    /// Only a session that holds a seat may open it. False: the object protects its code only.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub seat: bool,
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

fn yes() -> bool {
    true
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { flags: Vec::new(), service_type: None, not_demo: false, product_version: 0, seat: true }
    }
}

impl Policy {
    /// The policy with its flags in order and once each; an error names what is out of range.
    pub fn checked(mut self) -> Result<Policy> {
        self.flags.sort_unstable();
        self.flags.dedup();
        let wrong = |what: String| Err(Error::new(Code::BadRequest).with(what));
        if let Some(flag) = self.flags.iter().find(|flag| !(1..=flags::COUNT).contains(*flag)) {
            return wrong(format!("policy: flag {flag}: 1–{}", flags::COUNT));
        }
        if self.product_version > PRODUCT_VERSION_MAX {
            return wrong(format!("policy: product version {}: 0–{PRODUCT_VERSION_MAX}", self.product_version));
        }
        Ok(self)
    }

    /// One line that differs for any two different policies; it enters the derivation of the object's key, so that nobody
    /// can ask for a key under a policy milder than the vendor's.
    fn canonical(&self) -> String {
        let flags: Vec<String> = self.flags.iter().map(u8::to_string).collect();
        let service = self.service_type.map_or("-".to_owned(), |service| service.to_string());
        format!(
            "flags={};service={service};not_demo={};version={};seat={}",
            flags.join(","),
            self.not_demo,
            self.product_version,
            self.seat
        )
    }
}

/// What a licence entitles to, as far as objects are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entitlement {
    /// Flags of the licence.
    pub flags: Flags,
    /// Its service type.
    pub service_type: u8,
    /// Whether it is a demo key.
    pub demo: bool,
    /// Its product version, at most [`PRODUCT_VERSION_MAX`].
    pub product_version: u16,
}

/// The secret of a series: only the vendor and his centre have it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SeriesSecret {
    bytes: [u8; 32],
    /// Keys of the versions 0, [`RUNG`], 2 × [`RUNG`] …, once a version's key was asked for: a centre issues licence after
    /// licence, and the whole chain for each would cost more than the licence's signature. They wipe themselves.
    #[zeroize(skip)]
    rungs: OnceLock<Vec<Subkey>>,
}

impl fmt::Debug for SeriesSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeriesSecret")
    }
}

/// The subkeys that a licence carries, sealed to its server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subkeys {
    base: Subkey,
    flags: BTreeMap<u8, Subkey>,
    service: (u8, Subkey),
    full: Option<Subkey>,
    version: (u16, Subkey),
}

impl SeriesSecret {
    /// A fresh secret.
    pub fn random(crypto: &dyn Crypto) -> Result<SeriesSecret> {
        crypto.random_array().map(SeriesSecret::new)
    }

    /// A secret of these bytes.
    pub fn new(bytes: [u8; 32]) -> SeriesSecret {
        SeriesSecret { bytes, rungs: OnceLock::new() }
    }

    /// The bytes, to be stored sealed.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    fn derive(&self, crypto: &dyn Crypto, label: &str) -> Result<Subkey> {
        crypto.hkdf(b"SLK subkey 1", &self.bytes, &[label.as_bytes()]).map(Subkey)
    }

    /// The key of a version, from the nearest one above that is remembered.
    fn version(&self, crypto: &dyn Crypto, version: u16) -> Result<Subkey> {
        let top = self.derive(crypto, "version")?;
        let rungs = self.rungs.get_or_init(|| {
            let last = PRODUCT_VERSION_MAX / RUNG;
            let highest = down_the_chain(crypto, &top, PRODUCT_VERSION_MAX - last * RUNG);
            let below = |key: &Subkey| Some(down_the_chain(crypto, key, RUNG));
            let mut rungs: Vec<_> = std::iter::successors(Some(highest), below).take(usize::from(last) + 1).collect();
            rungs.reverse();
            rungs
        });
        let above = version.div_ceil(RUNG);
        Ok(match rungs.get(usize::from(above)) {
            Some(rung) => down_the_chain(crypto, rung, above * RUNG - version),
            None => down_the_chain(crypto, &top, PRODUCT_VERSION_MAX - version),
        })
    }

    /// The subkeys that `entitlement` earns, and no other.
    pub fn earned(&self, crypto: &dyn Crypto, entitlement: &Entitlement) -> Result<Subkeys> {
        let service = entitlement.service_type;
        let version = entitlement.product_version.min(PRODUCT_VERSION_MAX);
        Ok(Subkeys {
            base: self.derive(crypto, "base")?,
            flags: entitlement
                .flags
                .numbers()
                .map(|flag| Ok((flag, self.derive(crypto, &format!("flag {flag}"))?)))
                .collect::<Result<_>>()?,
            service: (service, self.derive(crypto, &format!("service {service}"))?),
            full: if entitlement.demo { None } else { Some(self.derive(crypto, "full")?) },
            version: (version, self.version(crypto, version)?),
        })
    }

    /// The key of an object, for whoever has the series secret: the vendor who packs it.
    pub fn object_key(&self, crypto: &dyn Crypto, object: &ObjectRef<'_>) -> Result<Subkey> {
        let entitlement = Entitlement {
            flags: Flags::of(&object.policy.flags).unwrap_or_default(),
            service_type: object.policy.service_type.unwrap_or(0),
            demo: !object.policy.not_demo,
            product_version: object.policy.product_version,
        };
        self.earned(crypto, &entitlement)?.object_key(crypto, object)
    }
}

/// The version chain runs backwards: who owns version 5 gets 4 by hashing, and can't get 6.
fn down_the_chain(crypto: &dyn Crypto, from: &Subkey, steps: u16) -> Subkey {
    (0..steps).fold(from.clone(), |key, _| Subkey(crypto.sha256(&[b"SLK version 1", &key.0])))
}

/// An object of a datafile, as far as its key depends on it.
#[derive(Debug, Clone, Copy)]
pub struct ObjectRef<'a> {
    /// Name as the index has it.
    pub name: &'a str,
    /// Its policy.
    pub policy: &'a Policy,
    /// Salt of the datafile.
    pub salt: &'a [u8; 32],
}

impl Subkeys {
    /// The key of an object; [`Code::SubkeyMissing`] when the licence has not earned it.
    pub fn object_key(&self, crypto: &dyn Crypto, object: &ObjectRef<'_>) -> Result<Subkey> {
        let policy = object.policy;
        let missing = |what: String| Error::new(Code::SubkeyMissing).with(object.name).with(what);
        let mut material = Zeroizing::new(Vec::with_capacity(32 * (4 + policy.flags.len())));
        material.extend_from_slice(&self.base.0);
        for flag in &policy.flags {
            let key = self.flags.get(flag).ok_or_else(|| missing(format!("flag {flag}")))?;
            material.extend_from_slice(&key.0);
        }
        if let Some(service) = policy.service_type {
            if self.service.0 != service {
                return Err(missing(format!("service type {service}")));
            }
            material.extend_from_slice(&self.service.1.0);
        }
        if policy.not_demo {
            let full = self.full.as_ref().ok_or_else(|| missing("demo".to_owned()))?;
            material.extend_from_slice(&full.0);
        }
        if policy.product_version > 0 {
            let steps = self.version.0.checked_sub(policy.product_version);
            let steps = steps.ok_or_else(|| missing(format!("product version {}", policy.product_version)))?;
            material.extend_from_slice(&down_the_chain(crypto, &self.version.1, steps).0);
        }
        let canonical = policy.canonical();
        crypto
            .hkdf(object.salt, &material, &[b"SLK object 1\n", canonical.as_bytes(), b"\n", object.name.as_bytes()])
            .map(Subkey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::ring::PROVIDER;

    fn entitlement() -> Entitlement {
        Entitlement { flags: Flags::of(&[1, 7]).unwrap(), service_type: 3, demo: false, product_version: 5 }
    }

    fn key(subkeys: &Subkeys, policy: &Policy) -> Result<Subkey> {
        subkeys.object_key(&PROVIDER, &ObjectRef { name: "Обработка", policy, salt: &[9; 32] })
    }

    #[test]
    fn a_licence_opens_exactly_what_it_has_earned() {
        let secret = SeriesSecret::new([1; 32]);
        let earned = secret.earned(&PROVIDER, &entitlement()).unwrap();
        let ok = [
            Policy::default(),
            Policy { flags: vec![1, 7], ..Policy::default() },
            Policy { service_type: Some(3), not_demo: true, ..Policy::default() },
            Policy { product_version: 5, ..Policy::default() },
            Policy { product_version: 1, ..Policy::default() },
        ];
        for policy in ok {
            let vendor =
                secret.object_key(&PROVIDER, &ObjectRef { name: "Обработка", policy: &policy, salt: &[9; 32] });
            assert_eq!(key(&earned, &policy).unwrap(), vendor.unwrap(), "{policy:?}");
        }
        let refused = [
            Policy { flags: vec![2], ..Policy::default() },
            Policy { flags: vec![1, 2], ..Policy::default() },
            Policy { service_type: Some(0), ..Policy::default() },
            Policy { product_version: 6, ..Policy::default() },
        ];
        for policy in refused {
            assert_eq!(key(&earned, &policy).unwrap_err().code, Code::SubkeyMissing, "{policy:?}");
        }
        let demo = secret.earned(&PROVIDER, &Entitlement { demo: true, ..entitlement() }).unwrap();
        assert!(key(&demo, &Policy { not_demo: true, ..Policy::default() }).is_err());
    }

    #[test]
    fn every_version_has_the_key_that_the_whole_chain_leads_to() {
        let secret = SeriesSecret::new([1; 32]);
        let mut key = secret.derive(&PROVIDER, "version").unwrap();
        for version in (0..=PRODUCT_VERSION_MAX).rev() {
            assert_eq!(secret.version(&PROVIDER, version).unwrap(), key, "version {version}");
            key = down_the_chain(&PROVIDER, &key, 1);
        }
    }

    #[test]
    fn a_milder_policy_gives_another_key() {
        let earned = SeriesSecret::new([1; 32]).earned(&PROVIDER, &entitlement()).unwrap();
        let strict = key(&earned, &Policy::default()).unwrap();
        let mild = key(&earned, &Policy { seat: false, ..Policy::default() }).unwrap();
        assert_ne!(strict, mild);
    }

    #[test]
    fn name_and_salt_change_the_key() {
        let earned = SeriesSecret::new([1; 32]).earned(&PROVIDER, &entitlement()).unwrap();
        let policy = Policy::default();
        let get = |name, salt| earned.object_key(&PROVIDER, &ObjectRef { name, policy: &policy, salt }).unwrap();
        assert_ne!(get("а", &[1; 32]), get("б", &[1; 32]));
        assert_ne!(get("а", &[1; 32]), get("а", &[2; 32]));
    }

    #[test]
    fn subkeys_survive_their_own_text_and_do_not_show_themselves() {
        let earned = SeriesSecret::new([1; 32]).earned(&PROVIDER, &entitlement()).unwrap();
        let text = serde_json::to_string(&earned).unwrap();
        assert_eq!(serde_json::from_str::<Subkeys>(&text).unwrap(), earned);
        assert!(!format!("{earned:?}").contains(&crate::id::hex(earned.base.bytes())));
    }
}
