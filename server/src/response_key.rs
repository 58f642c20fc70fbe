//! The key that signs API answers of this installation, made at its first start.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use licence::error::{Code, Error, Result};

/// A new RSA-2048 key, PKCS#8 DER.
pub fn make() -> Result<Vec<u8>> {
    let failed = |_| Error::new(Code::CryptoFailed).with("RSA key generation");
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let der: Pkcs8V1Der = pair.as_der().map_err(failed)?;
    Ok(der.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_signs_for_the_provider() {
        let signer = crate::CRYPTO.rsa_signer(&make().unwrap()).unwrap();
        assert_eq!(signer.sign(b"x").unwrap().len(), 256);
    }
}
