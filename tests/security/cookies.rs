//! Cookies (CVE-2019-8283): out of reach of scripts and other sites. The console signs nobody in by a cookie.

use e2e::Outcome;

use crate::stage::{administrator, ask, server};

#[test]
fn cookies_are_out_of_reach_and_open_nothing() -> Outcome {
    let server = server("cookies", "[Console]\nAuthorization=1\n")?;
    for line in ["GET /", "GET /?lang=en", "GET /api", "GET /nothing", "POST /activation", "GET /assets/console.css"] {
        for fields in [String::new(), administrator()] {
            let heard = ask(&server, line, &fields, "")?;
            for cookie in heard.head().lines().filter(|line| line.starts_with("set-cookie:")) {
                assert!(cookie.contains("httponly") && cookie.contains("samesite=strict"), "{line}: {cookie}");
                assert!(
                    !cookie
                        .contains(&crate::stage::basic(e2e::server::USER, e2e::server::PASSWORD).to_lowercase()[6..])
                );
            }
            // Whatever it was given, without the password it opens nothing.
            if !fields.is_empty() {
                let cookies = heard
                    .head()
                    .lines()
                    .filter_map(|line| line.strip_prefix("set-cookie: ").map(str::to_owned))
                    .collect::<String>();
                let again = ask(&server, "GET /api", &format!("Cookie: {cookies}; session=1; lang=en\r\n"), "")?;
                assert_eq!(again.status(), 401, "{line}");
            }
        }
    }
    Ok(())
}
