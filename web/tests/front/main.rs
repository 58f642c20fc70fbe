//! The hyper front under clients that keep the rules, and under clients that don't.

mod hostile;
mod site;
mod tls;

use site::{PATIENCE, SPELLED, Site};
use std::time::Duration;
use web::network::Limits;
use web::{Event, Response};

#[test]
fn a_connection_serves_many_requests() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    for number in 0..50 {
        assert_eq!(client.get(&format!("/{number}")), (200, format!("GET /{number} 0")));
    }
    client.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345");
    assert_eq!(client.response(), (200, "POST /a 5".into()));
    assert_eq!(client.get("/nothing"), (404, String::new()));
    assert_eq!(client.get("/after"), (200, "GET /after 0".into()));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    let one = |path| format!("POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{path}");
    client.send((0..9).map(one).collect::<String>());
    for path in 0..9 {
        assert_eq!(client.response(), (200, format!("POST /{path} 1")));
    }
}

#[test]
fn head_has_the_length_and_no_body() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    client.send("HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.head().to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("content-length: 10"), "{head}");
    assert!(head.contains("date: ") && !head.contains("server: "), "{head}");
    assert_eq!(client.get("/abc"), (200, "GET /abc 0".into()));
}

#[test]
fn a_body_after_expect_continue_is_asked_for() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 100"));
    client.send("abc");
    assert_eq!(client.response(), (200, "POST / 3".into()));
}

#[test]
fn a_reply_given_later_arrives_and_a_dropped_one_is_503() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    client.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    site.later.recv_timeout(PATIENCE).unwrap().complete(Response::text(201, "done"));
    assert_eq!(client.response(), (201, "done".into()));
    let (status, body) = client.get("/dropped");
    assert!(status == 503 && body.contains("\"Exception\":\"EHTTPServiceUnavailable\""), "{body}");
    assert_eq!(client.get("/on").0, 200);
}

#[test]
fn an_answer_that_never_comes_is_503() {
    let site = Site::start(Limits { answer: Duration::from_millis(50), ..Limits::default() });
    let mut client = site.connect();
    assert_eq!(client.get("/later").0, 503);
    assert!(site.later.recv_timeout(PATIENCE).unwrap().is_abandoned());
    assert_eq!(client.get("/on").0, 200);
}

#[test]
fn a_client_that_goes_away_abandons_its_reply() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    client.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    let completer = site.later.recv_timeout(PATIENCE).unwrap();
    assert!(!completer.is_abandoned());
    drop(client);
    while !completer.is_abandoned() {
        std::thread::yield_now();
    }
    completer.complete(Response::empty(200));
    assert_eq!(site.connect().get("/on").0, 200);
}

#[test]
fn a_panic_of_the_service_costs_one_answer() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    assert_eq!(client.get("/panic").0, 500);
    assert_eq!(client.get("/on").0, 200);
}

#[test]
fn many_connections_stay_alive_at_once() {
    let site = Site::start(Limits::default());
    let mut clients = (0..256).map(|_| site.connect()).collect::<Vec<_>>();
    for round in 0..3 {
        for client in &mut clients {
            client.send(format!("GET /{round} HTTP/1.1\r\nHost: x\r\n\r\n"));
        }
        for client in &mut clients {
            assert_eq!(client.response(), (200, format!("GET /{round} 0")));
        }
    }
}

#[test]
fn an_idle_connection_lives_longer_than_a_header_may_take() {
    let header = Duration::from_millis(100);
    let site = Site::start(Limits { header, idle: Duration::from_secs(60), ..Limits::default() });
    let mut client = site.connect();
    assert_eq!(client.get("/1").0, 200);
    // A connection that never asks is closed at the header deadline, so both have waited at least that long.
    assert_eq!(site::status(&site.connect().rest()), 408);
    assert_eq!(client.get("/2").0, 200);
}

#[test]
fn an_idle_connection_is_closed_at_its_limit_without_a_word() {
    let site = Site::start(Limits { idle: Duration::from_millis(50), ..Limits::default() });
    let mut client = site.connect();
    assert_eq!(client.get("/1").0, 200);
    assert_eq!(client.rest(), "");
}

#[test]
fn events_are_streamed_with_signs_of_life_until_their_feed_ends() {
    let site = Site::start(Limits { stream_pulse: Duration::from_millis(20), ..Limits::default() });
    let mut client = site.connect();
    client.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    let feed = site.feeds.recv_timeout(PATIENCE).unwrap();
    assert!(client.head().contains("text/event-stream"));
    client.until(b":\n\n");
    assert!(feed.send(&Event { id: Some(1), name: "seat".into(), data: "taken".into() }));
    assert!(client.until(b"data: taken\n\n").ends_with("id: 1\nevent: seat\ndata: taken\n\n"));
    drop(feed);
    client.until(b"0\r\n\r\n");
    assert_eq!(client.get("/on").0, 200);
}

#[test]
fn a_feed_learns_that_its_reader_went_away() {
    let site = Site::start(Limits { stream_pulse: Duration::from_millis(20), ..Limits::default() });
    let mut client = site.connect();
    client.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    let feed = site.feeds.recv_timeout(PATIENCE).unwrap();
    client.head();
    drop(client);
    while !feed.is_ended() {
        std::thread::yield_now();
    }
}

#[test]
fn a_stop_lets_requests_end_and_closes_the_rest() {
    let mut site = Site::start(Limits::default());
    let mut idle = site.connect();
    assert_eq!(idle.get("/1").0, 200);
    let mut stream = site.connect();
    stream.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    let _feed = site.feeds.recv_timeout(PATIENCE).unwrap();
    let mut busy = site.connect();
    busy.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    let completer = site.later.recv_timeout(PATIENCE).unwrap();
    site.begin_stop();
    assert_eq!(idle.rest(), "");
    assert!(stream.rest().ends_with("0\r\n\r\n"));
    completer.complete(Response::text(200, "done"));
    assert!(busy.rest().ends_with("done"));
    site.stop();
    assert!(std::net::TcpStream::connect(site.address).is_err());
}

#[test]
fn a_stop_cuts_what_does_not_end() {
    let mut site = Site::start(Limits { grace: Duration::from_millis(50), ..Limits::default() });
    let mut busy = site.connect();
    busy.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    let completer = site.later.recv_timeout(PATIENCE).unwrap();
    site.stop();
    assert!(completer.is_abandoned());
    assert_eq!(busy.rest(), "");
}

#[test]
fn names_of_fields_are_spelled_as_the_service_spells_them() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    client.send("GET /spelled HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.head();
    let others = ["Content-Type", "Content-Length", "Date", "X-Content-Type-Options", "X-Request-Id"];
    for name in SPELLED.iter().chain(&others) {
        assert_eq!(head.matches(&format!("\r\n{name}: ")).count(), 1, "{name}: {head}");
    }
    let refusal = site.last_words("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    for name in ["Content-Length", "Connection", "Licence-QueryID"] {
        assert!(refusal.contains(&format!("\r\n{name}: ")), "{name}: {refusal}");
    }
}

#[test]
fn every_answer_has_a_number_of_its_own() {
    let site = Site::start(Limits::default());
    let number = |path: &str| {
        let mut client = site.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let head = client.head().to_lowercase();
        head.lines().find_map(|line| line.strip_prefix("x-request-id: ").map(str::to_owned)).unwrap()
    };
    let (first, second) = (number("/1"), number("/panic"));
    assert_ne!(first, second);
    assert_eq!(first.split('-').next(), second.split('-').next(), "one run");
}
