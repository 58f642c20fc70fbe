//! What it costs to open a protected object, beside the bare cipher of the same library over the same bytes. The component's
//! own path: the sealed bytes are copied into new memory for 1C and decrypted there; 1C frees it. The bare cipher works in memory that is there.

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

/// Milliseconds of each round, for the bare cipher and for opening an object of `size` bytes.
pub fn measure(size: usize) -> Outcome<[Vec<f64>; 2]> {
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

    let mut times = [Vec::new(), Vec::new()];
    let mut buffer = sealed.clone();
    for _ in 0..ROUNDS {
        buffer.copy_from_slice(&sealed);
        let nonce = aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN]);
        let start = Instant::now();
        bare.open_in_place(nonce, aead::Aad::from(NAME.as_bytes()), &mut buffer).map_err(|_| "the bare cipher")?;
        times[0].push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        let parts = datafile.sealed(object, None)?;
        // What the memory manager of 1C does too: malloc and free.
        let mut for_1c = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| for_1c.extend_from_slice(part));
        let length = datafile.open_in_place(&PROVIDER, object, &key, &mut for_1c)?;
        times[1].push(start.elapsed().as_secs_f64() * 1e3);
        if length != size {
            return Err("an object of another length".into());
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_open_the_same_object() {
        assert!(measure(1000).unwrap().iter().all(|times| times.len() == ROUNDS));
    }
}
