//! Signed documents, what is in them, and trailers of libraries: any bytes are an error or a value, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use licence::activation::{Answer, ApiCertificate, Request, Retired, Revoked};
use licence::crypto::ring::PROVIDER;
use licence::datafile::Datafile;
use licence::identity::Identity;
use licence::key::Key;
use licence::series::Issuer;
use licence::trailer::Trailer;

fuzz_target!(|bytes: &[u8]| {
    let _ = Datafile::read(&PROVIDER, "fuzz", bytes.to_vec());
    let _ = Trailer::read(&PROVIDER, "fuzz", bytes);
    let _ = Trailer::strip(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Key::read(&PROVIDER, "fuzz", text);
    let _ = Issuer::read(&PROVIDER, "fuzz", text);
    let _ = Request::read(&PROVIDER, "fuzz", text);
    let _ = Answer::read(&PROVIDER, "fuzz", text);
    let _ = Retired::read(&PROVIDER, "fuzz", text);
    let _ = Revoked::read(&PROVIDER, "fuzz", text);
    let _ = ApiCertificate::read(&PROVIDER, "fuzz", text);
    let _ = Identity::read(&PROVIDER, "fuzz", text);
});
