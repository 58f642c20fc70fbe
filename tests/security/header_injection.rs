//! Header injection (CVE-2021-37499, CVE-2026-66753): control characters are refused, in `Licence-QueryID` first of all.

use e2e::Outcome;
use serde_json::json;

use crate::stage::{administrator, ask, server, throw, unharmed};

#[test]
fn what_a_client_sends_makes_no_header_of_an_answer() -> Outcome {
    let server = server("injection", "")?;
    for id in [
        "a\rSet-Cookie: evil=1",
        "a\nSet-Cookie: evil=1",
        "a\r\n\tSet-Cookie: evil=1",
        "a\0b",
        "a\"b",
        "a\\b",
        "é",
        "a\x7f",
        "{\"Code\":200}",
    ] {
        let text = format!(
            "GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}Licence-QueryID: {id}\r\n\r\n",
            administrator()
        );
        let heard = throw(&server, text)?;
        let head = heard.head();
        assert!(!head.contains("evil"), "{id:?}: {heard:?}");
        assert!(heard.status() == 200 || !head.contains("signature"), "{id:?}: {heard:?}");
        // A line feed alone ends a header line for lenient parsers: then it is a field of the request, and nobody's cookie.
        assert!(heard.status() == 400 || id.contains('\n') && heard.status() == 200, "{id:?}: {heard:?}");
    }
    for path in
        ["/%0d%0aSet-Cookie:evil=1", "/api/%0d%0aevil:1", "/?lang=%0d%0aSet-Cookie:evil=1", "/activation?x=%0aevil:1"]
    {
        let heard = ask(&server, &format!("GET {path}"), &administrator(), "")?;
        assert!(!heard.head().contains("evil"), "{path}: {heard:?}");
    }
    let body = json!({ "KeyID": "672B\r\nevil: 1", "ClientSessionID": "x\r\nevil: 1", "UserName": "\r\nevil: 1" });
    let fields = format!("Content-Type: application/json\r\n{}", administrator());
    let heard = ask(&server, "POST /api/sessions", &fields, &body.to_string())?;
    assert!((400..500).contains(&heard.status()) && !heard.head().contains("evil"), "{heard:?}");
    unharmed(&server)
}
