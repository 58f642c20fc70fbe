//! Path traversal and arbitrary writes (CVE-2021-37500, CVE-2018-15573): names of files are made by the server only.

use std::fs;

use e2e::Outcome;

use crate::stage::{administrator, ask, server, throw, unharmed};

#[test]
fn no_path_leads_out_of_what_is_served() -> Outcome {
    const CANARY: &str = "nobody may read this";
    let server = server("traversal", "")?;
    fs::write(server.root().path().join("canary"), CANARY)?;
    fs::write(server.root().data().join("canary"), CANARY)?;
    let names = [
        "../canary",
        "..%2fcanary",
        "%2e%2e/canary",
        "%2e%2e%2fcanary",
        "..\\canary",
        "..%5ccanary",
        "%252e%252e%252fcanary",
        "....//canary",
        "/canary",
        "%2fcanary",
        "//host/share/canary",
        "\\\\host\\share\\canary",
        "%5c%5chost%5ccanary",
        "c:%5ccanary",
        "file:///canary",
        "canary%00.css",
        "canary%00",
        "console.css/../../canary",
        "./canary",
        "%c0%ae%c0%ae/canary",
        "..;/canary",
        "server.identity",
        "../data/server.identity",
        "..%2f..%2fdata%2fcanary",
    ];
    for prefix in ["/", "/assets/", "/api/", "/api/licences/", "/api/sessions/", "/api/certificate?KeyID="] {
        for name in names {
            let line = format!(
                "GET {prefix}{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n",
                administrator()
            );
            let heard = throw(&server, line)?;
            assert!((400..500).contains(&heard.status()), "{prefix}{name}: {heard:?}");
            assert!(!heard.0.contains(CANARY) && !heard.0.contains("SLK-IDENTITY"), "{prefix}{name}: {heard:?}");
        }
    }
    unharmed(&server)
}

#[test]
fn nothing_is_written_where_a_client_says() -> Outcome {
    let server = server("writes", "")?;
    let before = files(&server)?;
    let fields = format!("Content-Type: application/json\r\n{}", administrator());
    for name in ["../../evil", "/tmp/evil", "\\\\host\\share\\evil", "evil\0.licence", "..%2fevil"] {
        let text = serde_json::json!({
            "ActivationCodeString": name, "FileName": name, "KeyID": name, "KeyNo": name, "ClientSessionID": name, "Path": name,
        });
        for line in ["POST /api/licences", "PUT /api/licences", "POST /api/sessions"] {
            let heard = ask(&server, line, &fields, &text.to_string())?;
            assert!((400..500).contains(&heard.status()), "{line} {name:?}: {heard:?}");
        }
    }
    assert_eq!(files(&server)?, before);
    unharmed(&server)
}

/// Names of all files of an installation, but the store's own.
fn files(server: &e2e::Server) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![server.root().path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.to_string_lossy().contains("ledger.db") {
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    Ok(found)
}
