//! User enumeration and guessing (CVE-2021-44155): the same answer for whatever is wrong, and a growing delay.

use e2e::Outcome;

use crate::stage::{administrator, ask, basic, server};

#[test]
fn an_unknown_name_gets_the_answer_of_a_wrong_password_and_guesses_must_wait() -> Outcome {
    let server = server("guessing", "[Users]\nvera=viewer passwort one\n")?;
    let guess = |user: &str, password: &str| {
        ask(&server, "GET /api", &format!("Authorization: {}\r\n", basic(user, password)), "")
    };
    let steady = |heard: &crate::stage::Heard| {
        let varies = |line: &&str| {
            !["date", "x-request-id", "licence-signature", "licence-querysignature"]
                .iter()
                .any(|name| line.starts_with(name))
        };
        (heard.head().lines().filter(varies).map(str::to_owned).collect::<Vec<_>>(), heard.body().to_owned())
    };
    let unknown = guess("nobody", "x")?;
    assert_eq!(unknown.status(), 401);
    for user in ["admin", "vera", ""] {
        assert_eq!(steady(&guess(user, "x")?), steady(&unknown), "{user}");
    }
    let mut waits = Vec::new();
    for number in 0.. {
        if !waits.is_empty() {
            break;
        }
        // The same one again would be no guess.
        let heard = guess("admin", &format!("guess {number}"))?;
        match heard.status() {
            401 => {}
            429 => waits.push(heard.head()),
            other => panic!("{other}: {heard:?}"),
        }
    }
    assert!(waits[0].contains("retry-after: "), "{waits:?}");
    assert!(!ask(&server, "GET /api", &administrator(), "")?.0.contains("\"Urns\""), "even the right one waits");
    Ok(())
}

#[test]
fn many_guesses_at_once_are_bounded() -> Outcome {
    let server = server("burst", "")?;
    let outcome = std::thread::scope(|scope| {
        let guesses = (0..60).map(|number| {
            let server = &server;
            scope.spawn(move || {
                let fields = format!("Authorization: {}\r\n", basic("admin", &format!("guess {number}")));
                ask(server, "GET /api", &fields, "").map(|heard| heard.status())
            })
        });
        let guesses: Vec<_> = guesses.collect();
        guesses.into_iter().map(|guess| guess.join().unwrap_or(Ok(0))).collect::<Outcome<Vec<u16>>>()
    })?;
    let count = |status: u16| outcome.iter().filter(|one| **one == status).count();
    assert_eq!(count(401) + count(429) + count(503), 60, "{outcome:?}");
    assert!(count(401) < 20, "most of them were not even tried: {outcome:?}");
    Ok(())
}
