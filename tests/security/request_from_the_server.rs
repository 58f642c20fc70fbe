//! Request forgery from the server (CVE-2021-37498): the address of the centre comes from the file only.

use std::io::ErrorKind;
use std::net::TcpListener;

use e2e::Outcome;
use serde_json::json;

use crate::stage::{administrator, ask, server};

#[test]
fn nobody_can_make_the_server_call_an_address_of_his_choice() -> Outcome {
    let canary = TcpListener::bind("127.0.0.1:0")?;
    canary.set_nonblocking(true)?;
    let url = format!("http://{}", canary.local_addr()?);
    let server = server("forgery", "")?;
    let body = json!({
        "ActivationCodeString": "1234-5678-9012-3456-7890", "LicenceCenterUrl": url, "Url": url, "Centre": url, "Proxy": url,
    });
    let host = canary.local_addr()?;
    for fields in [
        String::new(),
        format!("X-Forwarded-Host: {host}\r\nForwarded: host={host}\r\nReferer: http://127.0.0.1/\r\n"),
        format!("X-Original-URL: {url}\r\nX-Rewrite-URL: {url}\r\n"),
    ] {
        let fields = format!("Content-Type: application/json\r\n{}{fields}", administrator());
        for line in [
            "POST /api/licences".to_owned(),
            format!("POST {url}/api/licences"),
            format!("POST /api/licences?url={url}"),
        ] {
            let heard = ask(&server, &line, &fields, &body.to_string())?;
            assert!((400..500).contains(&heard.status()), "{line}: {heard:?}");
        }
    }
    assert_eq!(canary.accept().map(|_| ()).unwrap_err().kind(), ErrorKind::WouldBlock, "nobody called");
    Ok(())
}
