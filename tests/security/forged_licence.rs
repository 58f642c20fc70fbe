//! Forged licence (CVE-2020-14515): truncated, another key, unsigned fields, repeated JSON keys.

use std::fs;

use e2e::{Center, Outcome, Root, Server, Site, Vendor};

#[test]
fn a_licence_that_its_vendor_has_not_signed_gives_no_seat() -> Outcome {
    let site = Site::new("forged")?;
    let mut server = site.server_with("forged", 2, &[])?;
    let genuine = server.keys()?[0]["FileName"].as_str().unwrap_or_default().to_owned();
    let text = fs::read_to_string(&genuine)?;
    // The same product of somebody else, who has picked the same series.
    let root = Root::new("forger")?;
    let forger = Vendor::new(&root.path().join("vendor"))?;
    let center = Center::start(&forger.issuer_folder())?;
    let other = Server::ready(Root::new("forger-server")?, Some(center.url()))?;
    other.activate(&forger.code(200, &[])?)?;
    let foreign = fs::read_to_string(other.keys()?[0]["FileName"].as_str().unwrap_or_default())?;

    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (own, foreign) = (lines(&text), lines(&foreign));
    let mut forged = vec![
        ("empty".to_owned(), String::new()),
        ("more seats".to_owned(), text.replace("\"LicenceCount\":2", "\"LicenceCount\":200")),
        ("a key twice, first".to_owned(), text.replacen('{', "{\"LicenceCount\":200,", 1)),
        ("a key twice, last".to_owned(), text.replace("}\n", ",\"LicenceCount\":200}\n")),
        ("a field that nobody signed".to_owned(), text.replace("}\n", ",\"Unlimited\":true}\n")),
        ("something before".to_owned(), format!("\n{text}")),
        ("something behind".to_owned(), format!("{text}{{\"LicenceCount\":200}}\n")),
        ("a second licence behind".to_owned(), format!("{text}{text}")),
        ("another version".to_owned(), text.replacen(" 1\n", " 0\n", 1)),
        ("another type".to_owned(), text.replacen("SLK-", "SLK-X", 1)),
        ("no signature".to_owned(), own[..2].join("\n")),
        ("an empty signature".to_owned(), format!("{}\n{}\n\n", own[0], own[1])),
        ("a signature of zeros".to_owned(), format!("{}\n{}\n{}\n", own[0], own[1], "A".repeat(342) + "==")),
        ("another licence's signature".to_owned(), format!("{}\n{}\n{}\n", own[0], own[1], foreign[2])),
        ("another licence's body".to_owned(), format!("{}\n{}\n{}\n", own[0], foreign[1], own[2])),
        ("another server's licence".to_owned(), foreign.join("\n") + "\n"),
    ];
    forged.extend(
        (1..10).map(|tenth| {
            (format!("cut at {tenth}/10"), text.chars().take(text.chars().count() * tenth / 10).collect())
        }),
    );
    for (name, forged) in &forged {
        assert_ne!(forged, &text, "{name} changes nothing");
    }
    server.after(|root| {
        fs::remove_file(&genuine)?;
        for (number, (_, text)) in forged.iter().enumerate() {
            fs::write(root.data().join(format!("672B.{number}.licence")), text)?;
        }
        Ok(())
    })?;
    let keys = server.keys()?;
    assert_eq!(keys.len(), forged.len(), "each is shown");
    for key in &keys {
        assert!(key["Enabled"] == false && key["OpenError"].is_string(), "{key}");
    }
    assert_eq!(server.seats()?, (0, 0));
    server.after(|_| Ok(fs::write(&genuine, &text)?))?;
    assert_eq!(server.seats()?, (0, 2), "the genuine one is none the worse for it");
    Ok(())
}
