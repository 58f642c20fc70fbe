//! One route without authentication (CVE-2021-44152, CVE-2018-15573, CVE-2022-28365). Every route of the table times every
//! role and method is walked beside the table (`service/tests/service/access.rs`); here what a stranger gets over the wire.

use e2e::Outcome;

use crate::stage::{ask, server};

#[test]
fn a_stranger_gets_nothing_but_what_is_public() -> Outcome {
    let server = server("strangers", "[Console]\nAuthorization=1\n")?;
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    for path in [
        "/api",
        "/api/",
        "/api/serverinfo",
        "/api/licences",
        "/api/licences/1",
        "/api/connections",
        "/api/connections/0",
        "/api/sessions",
        "/api/sessions/0",
        "/api/password",
        "/api/certificate",
        "/api/settings",
        "/api/summary",
        "/api/events",
        "/api/denials",
        "/api/usage",
        "/api/nothing",
        "/api/licences/1/2",
        "/API/licences",
        "/api/./licences",
        "//api/licences",
        "/api/%6cicences",
        "/api/licences;x",
        "/api/licences%2f1",
    ] {
        for method in methods {
            let heard = ask(&server, &format!("{method} {path}"), "Content-Type: application/json\r\n", "")?;
            let told = format!("{method} {path}: {heard:?}");
            assert!([400, 401, 404, 405].contains(&heard.status()), "{told}");
            let is_plain = path.starts_with("/api/") && !path.contains(['.', ';', '%']) || path == "/api";
            assert!(!is_plain || heard.status() == 401, "what exists is not told either: {told}");
            assert!(heard.status() != 401 || heard.head().contains("www-authenticate: basic"), "{told}");
        }
    }
    for (method, path) in [("GET", "/"), ("POST", "/activation")] {
        assert_eq!(ask(&server, &format!("{method} {path}"), "", "")?.status(), 401, "{method} {path}");
    }
    for path in ["/healthz", "/api/publickey", "/assets/console.css"] {
        assert_eq!(ask(&server, &format!("GET {path}"), "", "")?.status(), 200, "{path} is public");
    }
    Ok(())
}
