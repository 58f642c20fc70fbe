//! What bounds whoever signs: signatures by `aws-lc-rs` alone, on all processors.

use std::fs;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use licence::crypto::aws_lc::PROVIDER;
use licence::crypto::{Crypto, Signer};

use crate::Outcome;
use crate::install::{ISSUING, Installation};
use crate::load::Measured;

/// Bytes that are signed: about those of one key in the API.
const SIGNED: usize = 1024;

/// The key of a server that has been started.
pub fn response_signer(installation: &Installation) -> Outcome<Box<dyn Signer>> {
    let pem = fs::read_to_string(installation.response_key())?;
    let letters: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    Ok(PROVIDER.rsa_signer(&STANDARD.decode(letters)?)?)
}

/// The published test issuing key: RSA of 2048 bits, as every issuing key is.
pub fn issuing_signer() -> Outcome<Box<dyn Signer>> {
    Ok(PROVIDER.rsa_signer(ISSUING)?)
}

/// Signs as fast as it can for so long.
pub fn plain(signer: &dyn Signer, span: Duration) -> Outcome<Measured> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (begun, message) = (Instant::now(), [7; SIGNED]);
    let sign = || {
        let mut times = Vec::new();
        while begun.elapsed() < span {
            let start = Instant::now();
            signer.sign(&message)?;
            times.push(start.elapsed());
        }
        Ok::<_, licence::Error>(times)
    };
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(sign)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a thread that signs has panicked"))
            .collect::<Vec<_>>()
    });
    let mut all = Vec::new();
    for one in times {
        all.extend(one??);
    }
    Ok(Measured::new(begun.elapsed(), all))
}
