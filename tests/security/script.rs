//! Stored and reflected script (CVE-2017-13754, CVE-2022-28363, CVE-2018-15574): names of hosts and users are hostile.

use e2e::{Outcome, Site};
use serde_json::json;

use crate::stage::{Heard, ask};

const SCRIPT: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg/onload=alert(1)>{{7*7}}";

fn harmless(heard: &Heard) {
    assert!(
        !heard.body().contains("<script") && !heard.body().contains("<img src=x") && !heard.body().contains("<svg/"),
        "{heard:?}"
    );
    assert!(!heard.body().contains(" onclick=") && !heard.body().contains("javascript:"), "{heard:?}");
    let head = heard.head();
    if head.contains("text/html") {
        let policy = head.lines().find(|line| line.starts_with("content-security-policy:")).unwrap_or_default();
        assert!(policy.contains("default-src 'none'") || policy.contains("default-src 'self'"), "{head}");
        assert!(!policy.contains("unsafe-inline") && !policy.contains("unsafe-eval"), "{policy}");
    }
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
}

#[test]
fn names_that_clients_gave_are_text_on_every_page() -> Outcome {
    let site = Site::new("script")?;
    let server = site.server_with("script", 3, &[])?;
    let body = json!({
        "KeyID": e2e::SERIES, "ClientSessionID": "1", "AppName": SCRIPT, "UserName": SCRIPT, "ComputerName": SCRIPT,
    });
    server.rest().post("/api/sessions", &body)?.expect(201)?;
    let page = ask(&server, "GET /", "", "")?;
    assert!(
        page.status() == 200 && page.body().contains("&#60;script") || page.body().contains("&lt;script"),
        "it is shown"
    );
    harmless(&page);
    let encoded = "%3Cscript%3Ealert(1)%3C/script%3E";
    for line in [
        format!("GET /{encoded}"),
        format!("GET /?lang={encoded}&menu={encoded}"),
        format!("GET /assets/{encoded}"),
        format!("POST /activation?x={encoded}"),
    ] {
        harmless(&ask(&server, &line, "", "")?);
    }
    let form = format!(
        "Content-Type: application/x-www-form-urlencoded\r\nReferer: http://127.0.0.1/\r\n{}",
        crate::stage::administrator()
    );
    harmless(&ask(
        &server,
        "POST /activation",
        &form,
        &format!("code={encoded}&ActivationCode={encoded}&user={encoded}"),
    )?);
    // JSON is never taken for a page.
    let json = ask(&server, "GET /api/sessions", &crate::stage::administrator(), "")?;
    assert!(json.head().contains("content-type: application/json") && json.head().contains("nosniff"), "{json:?}");
    Ok(())
}
