//! A low role does a high role's work (CVE-2023-43183).

use e2e::Outcome;

use crate::stage::{ask, basic, server};

#[test]
fn a_role_does_its_own_work_only() -> Outcome {
    let users = "[Users]\nvera=viewer passwort one\noleg=operator passwort two\nada=administrator passwort three\n";
    let server = server("roles", users)?;
    let accounts = [("vera", "passwort one"), ("oleg", "passwort two"), ("ada", "passwort three")];
    // Statuses of viewer, operator, administrator.
    for (line, body, expected) in [
        ("GET /api/sessions", "", [200, 200, 200]),
        ("GET /api/licences", "", [200, 200, 200]),
        ("POST /api/sessions", "{}", [403, 400, 400]),
        ("POST /api/licences", "{}", [403, 403, 400]),
        ("PUT /api/licences", "{}", [403, 403, 400]),
        ("PUT /api/password", "{}", [403, 403, 400]),
        ("POST /activation", "code=1", [403, 403, 400]),
    ] {
        let kind = if line.contains("/api") { "application/json" } else { "application/x-www-form-urlencoded" };
        for ((user, password), expected) in accounts.into_iter().zip(expected) {
            let fields = format!("Content-Type: {kind}\r\nAuthorization: {}\r\n", basic(user, password));
            let heard = ask(&server, line, &fields, body)?;
            assert_eq!(heard.status(), expected, "{line} by {user}: {heard:?}");
        }
    }
    Ok(())
}
