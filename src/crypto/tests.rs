use super::*;
use crate::crypto::ring::PROVIDER;

pub const TEST_ROOT: &[u8] = include_bytes!("../../golden/test-root.pk8");

#[test]
fn a_public_key_reads_back_from_its_pem() {
    let signer = PROVIDER.rsa_signer(TEST_ROOT).unwrap();
    let pem = public_key_pem(signer.public_key()).unwrap();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert_eq!(public_key_from_pem(&pem).unwrap(), signer.public_key());
}

#[test]
fn an_rsa_signature_holds_for_its_message_and_key_only() {
    let signer = PROVIDER.rsa_signer(TEST_ROOT).unwrap();
    let signature = signer.sign(b"message").unwrap();
    assert!(PROVIDER.rsa_verify(signer.public_key(), b"message", &signature));
    assert!(!PROVIDER.rsa_verify(signer.public_key(), b"massage", &signature));
    assert!(!PROVIDER.rsa_verify(signer.public_key(), b"message", &signature[1..]));
    assert!(!PROVIDER.rsa_verify(b"no key", b"message", &signature));
}

#[test]
fn a_sealed_text_opens_with_its_key_and_context_only() {
    let sealed = PROVIDER.seal(&[1; 32], b"name", b"text".to_vec()).unwrap();
    assert_eq!(PROVIDER.open(&[1; 32], b"name", sealed.clone()).unwrap(), b"text");
    assert!(PROVIDER.open(&[2; 32], b"name", sealed.clone()).is_err());
    assert!(PROVIDER.open(&[1; 32], b"other", sealed.clone()).is_err());
    assert!(PROVIDER.open(&[1; 32], b"name", sealed[1..].to_vec()).is_err());
}

#[test]
fn hkdf_gives_the_bytes_of_rfc_5869() {
    // Appendix A.1, first 32 bytes of the output.
    let info: Vec<u8> = (0xf0..=0xf9).collect();
    let salt: Vec<u8> = (0..=0x0c).collect();
    let okm = PROVIDER.hkdf(&salt, &[0x0b; 22], &[&info]).unwrap();
    assert_eq!(crate::id::hex(&okm), "3CB25F25FAACD57A90434F64D0362F2A2D2D0A90CF1A5A4C5DB02D56ECC4C5BF");
}

#[test]
fn hmac_gives_the_bytes_of_rfc_4231() {
    // Test case 1, its key filled up with zeros: HMAC does the same with a key that is shorter than a block.
    let mut key = [0; 32];
    key[..20].fill(0x0b);
    for mac in [PROVIDER.mac(&key), crate::crypto::aws_lc::PROVIDER.mac(&key)] {
        let tag = mac.tag(b"Hi There");
        assert_eq!(crate::id::hex(&tag), "B0344C61D8DB38535CA8AFCEAF0BF12B881DC200C9833DA726E9376C2E32CFF7");
        assert!(mac.verify(b"Hi There", &tag));
        assert!(!mac.verify(b"Hi there", &tag) && !mac.verify(b"Hi There", &tag[1..]));
    }
}

#[test]
fn an_ed25519_signature_holds_for_its_message_only() {
    let signer = PROVIDER.ed25519_signer(&[5; 32]).unwrap();
    let public: [u8; 32] = signer.public_key().try_into().unwrap();
    let signature = signer.sign(b"message").unwrap();
    assert!(PROVIDER.ed25519_verify(&public, b"message", &signature));
    assert!(!PROVIDER.ed25519_verify(&public, b"massage", &signature));
}
