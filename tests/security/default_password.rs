//! The default password (RLM's admin/admin): it works from the computer itself only, until it is changed, and opens little.

use e2e::{Outcome, Root, Server};
use serde_json::json;

use crate::stage::{ask, basic};

#[test]
fn the_default_pair_opens_nothing_but_a_new_password() -> Outcome {
    let server = Server::start(Root::new("default")?, None)?;
    let fields = format!("Content-Type: application/json\r\nAuthorization: {}\r\n", basic("admin", "admin"));
    assert_eq!(ask(&server, "GET /api/licences", &fields, "")?.status(), 200);
    for line in ["POST /api/licences", "PUT /api/licences", "POST /api/sessions"] {
        let heard = ask(&server, line, &fields, "{}")?;
        assert!(heard.status() == 403 && heard.body().contains("password_change_required"), "{line}: {heard:?}");
    }
    for proxy in [
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=127.0.0.1",
        "Via: 1.1 proxy",
        "X-Real-IP: ::1",
        "x-forwarded-proto: https",
    ] {
        let heard = ask(&server, "GET /api/licences", &format!("{fields}{proxy}\r\n"), "")?;
        assert_eq!(heard.status(), 403, "through a proxy nobody is at the computer itself: {proxy}");
    }
    let body = json!({ "UserName": "admin", "Password": "admin" }).to_string();
    assert_eq!(ask(&server, "PUT /api/password", &fields, &body)?.status(), 400, "it can't be kept");
    server.set_password()?;
    assert_eq!(ask(&server, "GET /api/licences", &fields, "")?.status(), 401);
    Ok(())
}
