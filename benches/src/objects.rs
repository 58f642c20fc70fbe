//! What it costs to open a protected object, beside the bare cipher of the same library over the same bytes. The component's
//! own path: the sealed bytes are copied into memory of 1C and decrypted there. Both are measured in memory that the process has
//! used before, and in memory that the system has to give first; then the bare cipher needs a copy as well.

use std::time::Instant;

use licence::KeyId;
use licence::crypto::Crypto;
use licence::crypto::ring::PROVIDER;
use licence::datafile::{Contents, Datafile, Plain, pack};
use licence::id::Bytes32;
use licence::subkeys::{ObjectRef, Policy, SeriesSecret};
use licence::time::Time;
use ring::aead;

use crate::Outcome;

const ROOT: &[u8] = include_bytes!("../../golden/test-root.pk8");
const NAME: &str = "object";
/// Rounds of which the median is taken.
const ROUNDS: usize = 15;

/// Milliseconds of each round.
#[derive(Default)]
pub struct Times {
    /// The bare cipher, over bytes that lie where they are decrypted.
    pub cipher: Vec<f64>,
    /// Opening an object in memory that was used before.
    pub open: Vec<f64>,
    /// A copy of the bytes in new memory, and the bare cipher there.
    pub cipher_anew: Vec<f64>,
    /// Opening an object in new memory.
    pub open_anew: Vec<f64>,
}

/// Measures an object of `size` bytes, one way after the other in each round.
pub fn measure(size: usize) -> Outcome<Times> {
    let (secret, policy, salt) = (SeriesSecret::new([7; 32]), Policy::default(), [4; 32]);
    let plain = Plain { name: NAME.into(), policy: policy.clone(), bytes: vec![0xA5; size] };
    let contents = Contents {
        key_id: KeyId(0x672B),
        created: Time(0),
        salt: Bytes32(salt),
        revoked: Vec::new(),
        objects: vec![plain],
    };
    let root = PROVIDER.rsa_signer(ROOT)?;
    let packed = pack(&PROVIDER, root.as_ref(), &secret, contents)?;
    let sealed = packed.get(packed.len() - size - aead::AES_256_GCM.tag_len()..).ok_or("no object")?.to_vec();
    let datafile = Datafile::read(&PROVIDER, "bench", packed)?;
    let object = datafile.object(NAME).ok_or("no object")?;
    let key = secret.object_key(&PROVIDER, &ObjectRef { name: NAME, policy: &policy, salt: &salt })?;
    let unbound = aead::UnboundKey::new(&aead::AES_256_GCM, key.bytes()).map_err(|_| "key")?;
    let bare = aead::LessSafeKey::new(unbound);

    let decrypt = |buffer: &mut Vec<u8>| -> Outcome<usize> {
        let nonce = aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN]);
        let plain =
            bare.open_in_place(nonce, aead::Aad::from(NAME.as_bytes()), buffer).map_err(|_| "the bare cipher")?;
        Ok(plain.len())
    };
    // As `addin/src/native/memory.rs` does with what the memory manager of 1C gives.
    let open = |for_1c: &mut Vec<u8>| -> Outcome<usize> {
        let parts = datafile.sealed(object, None)?;
        for_1c.reserve(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| for_1c.extend_from_slice(part));
        Ok(datafile.open_in_place(&PROVIDER, object, &key, for_1c)?)
    };
    let timed = |times: &mut Vec<f64>, body: &mut dyn FnMut() -> Outcome<usize>| -> Outcome {
        let start = Instant::now();
        let length = body()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if length == size { Ok(()) } else { Err("an object of another length".into()) }
    };
    let mut times = Times::default();
    let (mut buffer, mut used) = (sealed.clone(), sealed.clone());
    for _ in 0..ROUNDS {
        buffer.copy_from_slice(&sealed);
        used.clear();
        timed(&mut times.cipher, &mut || decrypt(&mut buffer))?;
        timed(&mut times.open, &mut || open(&mut used))?;
    }
    // Kept to the end: what is freed would be given again.
    let mut kept = Vec::new();
    for _ in 0..ROUNDS {
        let (mut for_cipher, mut for_1c) = (Vec::new(), Vec::new());
        timed(&mut times.cipher_anew, &mut || {
            for_cipher.extend_from_slice(&sealed);
            decrypt(&mut for_cipher)
        })?;
        timed(&mut times.open_anew, &mut || open(&mut for_1c))?;
        kept.push([for_cipher, for_1c]);
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_open_the_same_object() {
        let times = measure(1000).unwrap();
        assert!([times.cipher, times.open, times.cipher_anew, times.open_anew].iter().all(|all| all.len() == ROUNDS));
    }
}
