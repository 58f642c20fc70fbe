//! A web page drives the local server (CVE-2020-14519): Host, Origin and the type of the body are checked.

use e2e::Outcome;

use crate::stage::{administrator, ask, server};

#[test]
fn a_page_of_another_site_can_neither_write_nor_rebind() -> Outcome {
    let server = server("page", "[Console]\nHostNames=lic.example\n")?;
    let json = "Content-Type: application/json\r\n";
    let post = |fields: &str| ask(&server, "POST /api/sessions", &format!("{}{fields}", administrator()), "{}");
    assert_eq!(post(json)?.status(), 400, "a program gets as far as its body");
    for foreign in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Referer: http://evil.example/127.0.0.1\r\n",
    ] {
        assert_eq!(post(&format!("{json}{foreign}"))?.status(), 403, "{foreign}");
    }
    // What a form, or a script without leave, can send: browsers say that a page did it.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let field = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
        let heard = post(&format!("{field}Sec-Fetch-Site: same-origin\r\n"))?;
        assert!(heard.status() == 400 || heard.status() == 415, "{kind}: {heard:?}");
        assert!(heard.body().contains("application/json"), "{kind}: {heard:?}");
    }
    for (host, allowed) in [
        ("evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("localhost.evil.example:9099", false),
        ("", false),
        ("lic.example:9099", true),
        ("localhost", true),
        ("127.0.0.1:1", true),
        ("[::1]:1", true),
    ] {
        for path in ["/api", "/", "/assets/console.css"] {
            let heard = ask(&server, &format!("GET {path}"), &format!("Host: {host}\r\n{}", administrator()), "")?;
            assert_eq!(heard.status() == 200, allowed, "{path} of {host:?}: {heard:?}");
        }
    }
    // No leave is given to other sites either.
    let asked = ask(
        &server,
        "OPTIONS /api/sessions",
        "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n",
        "",
    )?;
    assert!(!asked.head().contains("access-control-allow"), "{asked:?}");
    let page = ask(&server, "GET /", "", "")?;
    assert!(page.head().contains("content-security-policy"), "{page:?}");
    Ok(())
}
