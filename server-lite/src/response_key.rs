//! The key that signs API answers of this installation, made at its first start.

use licence::crypto::Provider;
use licence::crypto::ring::PROVIDER;
use licence::error::{Code, Error, Result};
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core::{TryCryptoRng, TryRng};

const BITS: usize = 2048;

/// A new RSA-2048 key, PKCS#8 DER. The crate `rsa` makes it, where nobody can time it; ring can't make one.
pub fn make() -> Result<Vec<u8>> {
    let failed = |cause: &dyn std::fmt::Display| Error::new(Code::CryptoFailed).with(cause);
    let key = rsa::PrivateKey::new(&mut Generator(&PROVIDER), BITS).map_err(|e| failed(&e))?;
    Ok(key.to_pkcs8_der().map_err(|e| failed(&e))?.as_bytes().to_vec())
}

/// The generator of the provider, as the crate `rsa` wants it.
struct Generator(Provider);

impl TryRng for Generator {
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

impl TryCryptoRng for Generator {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_signs_for_the_provider() {
        let provider: Provider = &PROVIDER;
        let signer = provider.rsa_signer(&make().unwrap()).unwrap();
        assert_eq!(signer.sign(b"x").unwrap().len(), 256);
    }
}
