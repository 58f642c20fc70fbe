//! A centre behind a reverse proxy: where it would take all clients for one address, it says so.

use e2e::failure::check;
use e2e::{Center, Outcome, Rest, Root, Vendor};

const NAMES_CLIENT: (&str, &str) = ("X-Forwarded-For", "203.0.113.7");

/// What the centre says of its health, asked through a proxy that sends these headers; and how often its log has warned.
fn health(center: &Center, headers: &[(&str, &str)]) -> Outcome<(String, usize)> {
    let answer = Rest::new(center.url()).raw("GET", "/healthz", headers, None)?;
    check(answer.status == 200, || answer.to_string())?;
    let warned = center.said().lines().filter(|line| line.contains("[WARN]") && line.contains("--proxy")).count();
    Ok((String::from_utf8(answer.body)?, warned))
}

/// Asks through a proxy for something that is not there.
fn ask(center: &Center, headers: &[(&str, &str)]) -> Outcome {
    let answer = Rest::new(center.url()).raw("POST", "/api/requests", headers, Some(b"nothing"))?;
    check(answer.status == 400, || answer.to_string())
}

#[test]
fn a_centre_behind_a_proxy_that_it_was_not_told_of_says_so() -> Outcome {
    let root = Root::new("reverse-proxy")?;
    let vendor = Vendor::shared(&root)?;
    for header in [NAMES_CLIENT, ("Forwarded", "for=203.0.113.7"), ("X-Real-IP", "203.0.113.7")] {
        let center = Center::start(&vendor.issuer_folder())?;
        ask(&center, &[])?;
        assert_eq!(health(&center, &[])?, ("ok\n".to_owned(), 0), "nobody forwards");
        ask(&center, &[header])?;
        ask(&center, &[header])?;
        let (said, _) = health(&center, &[])?;
        check(said.starts_with("ok\n") && said.contains("--proxy") && !said.contains("127.0.0.1"), || said.clone())?;
        // The log is written before the answer, once for all of them, but read by a thread of its own.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while health(&center, &[header])?.1 == 0 {
            check(std::time::Instant::now() < deadline, || center.said())?;
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(health(&center, &[header])?.1, 1, "{}", center.said());
    }
    Ok(())
}

#[test]
fn a_centre_that_knows_its_proxy_is_content_while_that_names_its_clients() -> Outcome {
    let root = Root::new("reverse-proxy-named")?;
    let vendor = Vendor::shared(&root)?;
    let center = Center::start_with(&vendor.issuer_folder(), |command| {
        command.args(["--proxy", "127.0.0.1"]);
    })?;
    ask(&center, &[NAMES_CLIENT])?;
    assert_eq!(health(&center, &[NAMES_CLIENT])?, ("ok\n".to_owned(), 0));
    assert_eq!(health(&center, &[])?, ("ok\n".to_owned(), 0), "the proxy itself asks for health");
    ask(&center, &[("Forwarded", "for=203.0.113.7")])?;
    let (said, _) = health(&center, &[])?;
    check(said.starts_with("ok\n") && said.contains("X-Forwarded-For"), || said.clone())
}
