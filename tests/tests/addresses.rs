//! How a server reaches the centre: several addresses of which some are of no use, and a proxy.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use e2e::cutter::{Cutter, Lost};
use e2e::daemon::free_port;
use e2e::{Outcome, Root, Server, Site};
use serde_json::json;

/// Whoever sits at an address: answers every request with the same, or, with nothing, hangs up.
fn stranger(answer: &'static str) -> Outcome<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            // Reads what comes first; a request that is longer is cut, as such strangers do.
            let _ = client.read(&mut [0; 64 * 1024]).and_then(|_| client.write_all(answer.as_bytes()));
        }
    });
    Ok(url)
}

fn page(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn addresses_that_are_of_no_use_are_passed_over() -> Outcome {
    let site = Site::new("addresses")?;
    let dead = format!("http://127.0.0.1:{}", free_port()?);
    let unknown = "http://centre.invalid".to_owned();
    let parked = stranger(page("200 OK", "<html>This domain is for sale</html>").leak())?;
    let portal = stranger(page("302 Found\r\nLocation: http://127.0.0.1/login", "").leak())?;
    let broken = stranger(page("503 Service Unavailable", "<html>later</html>").leak())?;
    let chatty = stranger("220 mail.example ESMTP\r\n")?;
    let silent = stranger("")?;
    let useless = [dead, unknown, parked, portal, broken, chatty, silent].join(",");
    let server = Server::ready(Root::new("addresses")?, Some(&format!("{useless},{}", site.center.url())))?;
    let code = site.vendor.code(3, &[])?;
    let key = server.activate(&code)?;
    assert_eq!((server.seats()?, &key["Workable"]), ((0, 3), &json!(true)));
    server.rest().post("/api/updates", &json!({}))?.expect(200)?;
    let path = format!("/api/licences/{}/reserve", key["KeyNo"]);
    let reserved = server.rest().post(&path, &json!({}))?.expect(200)?;

    // Without the last one nothing is reached, nothing is lost, and the way out is named.
    let lonely = Server::ready(Root::new("addresses-lonely")?, Some(&useless))?;
    let order = json!({ "ActivationCodeString": reserved["ReserveCode"] });
    let answer = lonely.rest().post("/api/licences", &order)?;
    assert_eq!(answer.refusal(502)?, 404, "{answer}");
    assert!(answer.to_string().contains("LicenceCenterUrl"), "{answer}");
    assert_eq!(lonely.run(&["update"], "")?.status.code(), Some(0), "without keys nobody is asked");
    assert_eq!(
        lonely.run(&["activate", "-"], reserved["ReserveCode"].as_str().unwrap_or_default())?.status.code(),
        Some(7)
    );
    server.rest().post("/api/licences", &order)?.expect(201)?;
    assert_eq!((server.seats()?, server.keys()?.len()), ((0, 3), 1));
    Ok(())
}

#[test]
fn two_addresses_of_one_centre_give_one_licence() -> Outcome {
    let site = Site::new("two-addresses")?;
    let (first, second) = (Cutter::new(site.center.address()?)?, Cutter::new(site.center.address()?)?);
    let server = Server::ready(Root::new("two-addresses")?, Some(&format!("{},{}", first.url(), second.url())))?;
    // The first centre answers twice and is never heard, the second one is.
    first.lose(&[Lost::Answer, Lost::Answer]);
    let key = server.activate(&site.vendor.code(3, &[])?)?;
    assert_eq!((server.seats()?, &key["KeyNo"]), ((0, 3), &json!(1)));
    first.lose(&[Lost::Answer, Lost::Answer]);
    let reserved = server.rest().post("/api/licences/1/reserve", &json!({}))?.expect(200)?;
    let again = server.rest().post("/api/licences/1/reserve", &json!({}))?.expect(200)?;
    assert_eq!(reserved, again);
    assert_eq!(site.center.reports()?, []);
    Ok(())
}

/// A proxy that knows where one name leads, as nobody else does; what it was asked for.
struct Proxy {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn to(centre: SocketAddr) -> Outcome<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}", listener.local_addr()?);
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = asked.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let all = all.clone();
                thread::spawn(move || forward(client, centre, &all).ok());
            }
        });
        Ok(Proxy { url, asked })
    }
}

/// Opens a tunnel (RFC 9110, 9.3.6), or passes a request in absolute form on (RFC 9112, 3.2.2).
fn forward(mut client: TcpStream, centre: SocketAddr, asked: &Mutex<Vec<String>>) -> Outcome {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte)? > 0 {
        head.extend_from_slice(&byte);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(text.lines().next().unwrap_or_default().to_owned());
    let mut server = TcpStream::connect(centre)?;
    if text.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    } else {
        server.write_all(text.replacen("http://centre.invalid", "", 1).as_bytes())?;
    }
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || std::io::copy(&mut from, &mut to).ok());
    std::io::copy(&mut server, &mut client)?;
    Ok(())
}

#[test]
fn the_centre_is_reached_through_the_proxy_of_the_environment_unless_it_must_not() -> Outcome {
    let site = Site::new("proxy")?;
    let proxy = Proxy::to(site.center.address()?)?;
    let settings = "LicenceCenterUrl=http://centre.invalid\n";
    let mut server = Server::with_centre(Root::new("proxy")?, settings)?;
    server.restart_with(|command| _ = command.env("HTTP_PROXY", &proxy.url).env("ALL_PROXY", &proxy.url))?;
    server.activate(&site.vendor.code(3, &[])?)?;
    assert_eq!(server.seats()?, (0, 3));
    let asked = || proxy.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Without TLS there is nothing to tunnel, and most proxies open no tunnel to such a port.
    let whole = |line: &String| line == "POST http://centre.invalid/api/requests HTTP/1.1";
    assert!(asked().iter().all(whole) && !asked().is_empty(), "{:?}", asked());

    let before = asked().len();
    let mut direct = Server::with_centre(Root::new("proxy-not")?, &format!("{settings}LicenceCenterUseProxy=0\n"))?;
    direct.restart_with(|command| _ = command.env("HTTP_PROXY", &proxy.url).env("ALL_PROXY", &proxy.url))?;
    let order = json!({ "ActivationCodeString": site.vendor.code(1, &[])? });
    assert_eq!(direct.rest().post("/api/licences", &order)?.refusal(502)?, 404);
    assert_eq!(asked().len(), before, "the proxy was not asked");
    Ok(())
}
