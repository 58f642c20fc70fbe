//! Parsers (CVE-2017-11496, CVE-2023-3935, CVE-2021-20093): noise where structure is expected. `fuzz/` goes deeper, format by
//! format; here the running server gets it by every way that is open to strangers.

use std::fs;

use e2e::link::{agent, post};
use e2e::random::Random;
use e2e::{Outcome, Site};
use licence::KeyId;
use licence::protocol::{CALL_PATH, CONNECT_PATH, ClientHandshake};

use crate::stage::{administrator, ask, throw, unharmed};

const SEED: u64 = 0x672B;
const ROUNDS: usize = 200;

/// Bytes of no meaning, or an honest text with some of its bytes changed.
fn noise(random: &mut Random, honest: &[u8]) -> Vec<u8> {
    let bytes = |random: &mut Random, count: u64| (0..count).map(|_| random.bits() as u8).collect();
    if random.below(3) == 0 {
        let count = random.below(600);
        return bytes(random, count);
    }
    let mut text = honest.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(text.len() as u64 + 1) as usize;
        match random.below(4) {
            0 => text.truncate(at),
            1 => text.extend_from_within(..at),
            2 => text.insert(at, random.bits() as u8),
            _ => text.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.bits() as u8),
        }
    }
    text.truncate(100_000);
    text
}

#[test]
fn noise_is_refused_and_harms_nobody() -> Outcome {
    let site = Site::new("noise-in")?;
    let mut server = site.server_with("noise-in", 1, &[])?;
    // Noise may ask to keep its connection.
    server.after(|root| {
        let conf = root.settings().join("licenceserver.conf");
        let text = fs::read_to_string(&conf)?;
        Ok(fs::write(conf, format!("{text}\n[Limits]\nHeaderTimeout=1\nBodyTimeout=1\nIdleTimeout=1\n"))?)
    })?;
    let mut random = Random(SEED);
    let (_, offer) = ClientHandshake::start(e2e::SERIES.parse::<KeyId>()?, None)?;
    let agent = agent();
    for round in 0..ROUNDS {
        let text = noise(&mut random, &offer);
        let (status, answer) = post(&agent, server.url(), CONNECT_PATH, &text)?;
        assert!(status == 200 || (400..500).contains(&status), "{SEED:x} {round}: {status} {answer:?}");
        let (status, _) = post(&agent, server.url(), CALL_PATH, &noise(&mut random, &[0; 200]))?;
        assert!((400..500).contains(&status), "{SEED:x} {round}: {status}");
    }
    let fields = format!("Content-Type: application/json\r\n{}", administrator());
    let honest =
        br#"{"ActivationCodeString":"1234-5678-9012-3456-7890","KeyID":"672B","ClientSessionID":"1","ITN":1234567890}"#;
    for round in 0..ROUNDS / 10 {
        for line in ["POST /api/licences", "POST /api/sessions"] {
            let text = noise(&mut random, honest);
            let request = [
                format!(
                    "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}Content-Length: {}\r\n\r\n",
                    text.len()
                )
                .as_bytes(),
                &text,
            ]
            .concat();
            let status = throw(&server, request)?.status();
            assert!(status == 200 || status == 201 || (400..500).contains(&status), "{SEED:x} {round}: {status}");
        }
        // Whole requests of noise.
        let heard =
            throw(&server, [&noise(&mut random, b"GET /api HTTP/1.1\r\nHost: x\r\n")[..], b"\r\n\r\n"].concat())?;
        assert!(heard.status() < 500 || heard.status() == 501 || heard.status() == 505, "{SEED:x} {round}: {heard:?}");
    }
    let genuine = server.keys()?[0]["FileName"].as_str().unwrap_or_default().to_owned();
    let licence = fs::read(&genuine)?;
    for number in 0..40 {
        fs::write(server.root().data().join(format!("noise{number}.licence")), noise(&mut random, &licence))?;
    }
    // The server looks by itself; a list that has them all is one that has read them all.
    let deadline = std::time::Instant::now() + crate::stage::PATIENCE;
    while server.keys()?.len() < 41 {
        assert!(std::time::Instant::now() < deadline, "it does not look any more");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(server.seats()?.1, 1, "the genuine one counts, whatever is beside it");
    let deep = "[".repeat(100_000);
    assert_eq!(ask(&server, "POST /api/sessions", &fields, &deep)?.status(), 400);
    unharmed(&server)
}
