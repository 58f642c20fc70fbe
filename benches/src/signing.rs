//! What bounds signed answers: signatures by `aws-lc-rs` alone, with the server's own key, on all processors.

use std::fs;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use licence::crypto::Crypto;
use licence::crypto::aws_lc::PROVIDER;

use crate::Outcome;
use crate::install::Installation;
use crate::load::Measured;

/// Bytes that are signed: about those of one key in the API.
const SIGNED: usize = 1024;

/// Signs as fast as it can for so long with the key of a server that has been started.
pub fn plain(installation: &Installation, span: Duration) -> Outcome<Measured> {
    let pem = fs::read_to_string(installation.response_key())?;
    let letters: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let signer = PROVIDER.rsa_signer(&STANDARD.decode(letters)?)?;
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
