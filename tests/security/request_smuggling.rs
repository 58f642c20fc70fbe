//! Request smuggling (CVE-2026-66752): what could be read in two ways is refused, and the connection closed.

use e2e::Outcome;

use crate::stage::{server, throw, unharmed};

/// What every smuggler hopes to get answered as a request of its own.
const SECOND: &str = "GET /api/publickey HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn what_can_be_read_in_two_ways_is_refused_and_closed() -> Outcome {
    let server = server("smuggling", "")?;
    let post = |fields: &str, body: &str| format!("POST /client/call HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{body}");
    let huge = "x".repeat(100_000);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("CL and TE", post("Content-Length: 5\r\nTransfer-Encoding: chunked", &format!("0\r\n\r\n{SECOND}")).into()),
        ("TE and CL", post("Transfer-Encoding: chunked\r\nContent-Length: 5", &format!("0\r\n\r\n{SECOND}")).into()),
        ("two CL", post("Content-Length: 0\r\nContent-Length: 5", SECOND).into()),
        ("a list of CL", post("Content-Length: 0, 5", SECOND).into()),
        ("CL with a sign", post("Content-Length: +5", SECOND).into()),
        ("negative CL", post("Content-Length: -1", SECOND).into()),
        ("hexadecimal CL", post("Content-Length: 0x5", SECOND).into()),
        ("empty CL", post("Content-Length:", SECOND).into()),
        ("CL beyond 64 bits", post("Content-Length: 99999999999999999999999", SECOND).into()),
        ("TE identity", post("Transfer-Encoding: identity", SECOND).into()),
        ("TE chunked, identity", post("Transfer-Encoding: chunked, identity", SECOND).into()),
        ("TE hidden by a tab", post("Transfer-Encoding:\x0bchunked", SECOND).into()),
        ("TE by two fields", post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", SECOND).into()),
        ("chunk overflow", post("Transfer-Encoding: chunked", "FFFFFFFFFFFFFFFFF\r\nx\r\n0\r\n\r\n").into()),
        ("obs-fold", post("X: 1\r\n folded: 2\r\nContent-Length: 0", SECOND).into()),
        ("space before colon", post("Content-Length : 5", SECOND).into()),
        ("space before the first field", "GET / HTTP/1.1\r\n Host: x\r\n\r\n".into()),
        ("bare CR", post("X: a\rContent-Length: 5", SECOND).into()),
        ("NUL", post("X: a\0b", SECOND).into()),
        ("no Host", "GET / HTTP/1.1\r\n\r\n".into()),
        ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into()),
        ("huge request line", format!("GET /{huge} HTTP/1.1\r\nHost: x\r\n\r\n").into()),
        ("huge field", format!("GET / HTTP/1.1\r\nHost: x\r\nX: {huge}\r\n\r\n").into()),
        ("endless field", format!("GET / HTTP/1.1\r\nHost: x\r\nX: {huge}").into()),
        ("many fields", format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: 1\r\n".repeat(500)).into()),
        ("HTTP/2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n".into()),
        ("preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        ("HTTP/9.9", "GET / HTTP/9.9\r\nHost: x\r\n\r\n".into()),
        ("no version", "GET /\r\n\r\n".into()),
        ("path beyond ASCII", "GET /ключи HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        ("unknown method", "BREW / HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        ("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        ("TLS where there is none", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("no HTTP", b"\xff\xfe\xfd\r\n\r\n".to_vec()),
    ];
    for (name, bytes) in cases {
        let heard = throw(&server, bytes)?;
        assert!([400, 411, 413, 414, 431, 501, 505].contains(&heard.status()), "{name}: {heard:?}");
        assert!(heard.head().contains("connection: close"), "{name}: {heard:?}");
        assert_eq!(heard.0.matches("HTTP/1.1 ").count(), 1, "{name}: nothing behind it is answered: {heard:?}");
        let body: serde_json::Value = serde_json::from_str(heard.body())?;
        assert_eq!(body["Code"], heard.status(), "{name}");
        assert!(
            body["ErrorCode"].is_u64() && body["Exception"].is_string() && body["Message"].is_string(),
            "{name}: {body}"
        );
        assert!(!heard.head().contains("signature"), "{name}: nothing of it is signed");
    }
    unharmed(&server)
}
