//! Requests that could be read in two ways, and clients that cost more than they should.

use crate::site::{LARGE, PATIENCE, Site, status};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;
use web::network::Limits;

const SHORT: Duration = Duration::from_millis(100);

/// The refusal has a body in the guide's shape and closes the connection.
fn refused(answer: &str, expected: u16) {
    assert_eq!(status(answer), expected, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    assert!(answer.contains(&format!("{{\"Code\":{expected},\"Text\":")), "{answer}");
}

#[test]
fn a_body_with_two_lengths_is_refused() {
    let site = Site::start(Limits::default());
    let smuggled = "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n";
    for framing in ["Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, chunked"] {
        let answer = site.last_words(format!("POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n{smuggled}"));
        refused(&answer, 501);
    }
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\ncontent-LENGTH:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999999",
        "Content-Length:",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding : chunked",
        "Content-Length : 5",
        "X: 1\r\n folded",
        " Content-Length: 5",
    ] {
        let answer = site.last_words(format!("POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n{smuggled}"));
        refused(&answer, 400);
    }
}

#[test]
fn a_length_is_found_beside_chunks_whatever_came_before_on_the_connection() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    let chunked = "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for _ in 0..3 {
        client.send("POST /l HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345");
        assert_eq!(client.response(), (200, "POST /l 5".into()));
        client.send(chunked);
        assert_eq!(client.response(), (200, "POST /c 3".into()));
    }
    client.send(chunked.replace("Transfer", "Content-Length: 3\r\nTransfer"));
    refused(&client.rest(), 400);
}

#[test]
fn a_body_in_chunks_keeps_to_the_limits() {
    let limits = Limits { body_bytes: 10_000, body: SHORT, ..Limits::default() };
    let site = Site::start(limits);
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n";
    let chunk = format!("3e8;a=b\r\n{}\r\n", "x".repeat(1000));
    let chunks = |count: usize| format!("{head}{}0\r\nX-Trailer: y\r\n\r\n", chunk.repeat(count));
    let mut client = site.connect();
    client.send(chunks(10));
    assert_eq!(client.response(), (200, "POST / 10000".into()));
    refused(&site.last_words(chunks(11)), 413);
    refused(&site.last_words(format!("{head}3\r\nab")), 408);
    for broken in ["x\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "3\r\nabcd\r\n0\r\n\r\n"] {
        refused(&site.last_words(format!("{head}{broken}")), 400);
    }
}

#[test]
fn two_equal_lengths_are_one() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n12345");
    assert_eq!(client.response(), (200, "POST / 5".into()));
    assert_eq!(client.get("/on").0, 200);
}

#[test]
fn bodies_that_are_being_received_take_bounded_memory_and_small_ones_pass() {
    let site = Site::start(Limits { bodies_bytes: 100_000, ..Limits::default() });
    let post =
        |length: usize| format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    let whole = |length: usize| status(&site.last_words(post(length) + &"x".repeat(length)));
    assert_eq!((whole(90_000), whole(90_000)), (200, 200), "what was received holds no room");
    let mut slow = site.connect();
    slow.send(post(200_000) + &"x".repeat(90_000));
    let until = |expected: u16| {
        let deadline = std::time::Instant::now() + PATIENCE;
        while whole(90_000) != expected {
            assert!(std::time::Instant::now() < deadline, "never {expected}");
        }
    };
    until(503);
    assert_eq!(whole(10_000), 200, "a small one");
    drop(slow);
    until(200);
}

#[test]
fn a_malformed_request_is_refused() {
    let site = Site::start(Limits::default());
    for (bytes, expected) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rSet-Cookie: c\r\n\r\n", 400),
        (b"GET /\xd0\xba HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /%2e%2e/etc HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /a%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"nonsense\r\n\r\n", 400),
    ] {
        refused(&site.last_words(bytes), expected);
    }
}

#[test]
fn a_refusal_can_carry_the_id_of_the_question() {
    let site = Site::start(Limits::default());
    let answer =
        site.last_words("POST / HTTP/1.1\r\nHost: x\r\nLicence-QueryID: q7\r\nContent-Length: 9999999\r\n\r\n");
    refused(&answer, 413);
    assert!(answer.to_lowercase().contains("licence-queryid: q7"), "{answer}");
}

#[test]
fn a_bad_request_behind_a_good_one_is_refused_after_its_answer() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    client.send("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/9.9\r\n\r\n");
    assert_eq!(client.response(), (404, String::new()));
    refused(&client.rest(), 400);
}

#[test]
fn a_huge_header_is_refused() {
    let site = Site::start(Limits::default());
    let line = "x".repeat(20_000);
    refused(&site.last_words(format!("GET / HTTP/1.1\r\nHost: x\r\nA: {line}\r\n\r\n")), 431);
    refused(&site.last_words(format!("GET / HTTP/1.1\r\nHost: x\r\nA: {line}")), 431);
    refused(&site.last_words(format!("GET /{line} HTTP/1.1\r\nHost: x\r\n\r\n")), 431);
    let fields = (0..150).map(|number| format!("A{number}: 1\r\n")).collect::<String>();
    refused(&site.last_words(format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n")), 431);
}

#[test]
fn a_slow_header_is_cut() {
    let site = Site::start(Limits { header: SHORT, ..Limits::default() });
    refused(&site.last_words("GET / HTTP/1.1\r\nHost: x\r\n"), 408);
    refused(&site.last_words(""), 408);
    let mut second = site.connect();
    assert_eq!(second.get("/1").0, 200);
    second.send("GET / HTT");
    refused(&second.rest(), 408);
}

#[test]
fn a_header_that_drips_is_cut_all_the_same() {
    let site = Site::start(Limits { header: SHORT, ..Limits::default() });
    let mut client = site.connect();
    let mut reader = client.stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut answer = Vec::new();
        let _ = reader.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    });
    client.send("GET / HTTP/1.1\r\n");
    while client.stream.write_all(b"A: 1\r\n").is_ok() && !reading.is_finished() {
        std::thread::sleep(Duration::from_millis(5));
    }
    refused(&reading.join().unwrap(), 408);
}

#[test]
fn a_slow_body_is_408() {
    let site = Site::start(Limits { body: SHORT, ..Limits::default() });
    refused(&site.last_words("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n123"), 408);
}

#[test]
fn a_huge_body_is_413_and_its_sender_can_go_on_sending() {
    let site = Site::start(Limits { body_bytes: 1000, ..Limits::default() });
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n");
    assert_eq!(client.response().0, 413);
    for _ in 0..100 {
        // A reset here would make systems that drop received data with it lose the answer.
        client.stream.write_all(&[b'x'; 3000]).unwrap();
    }
    assert_eq!(client.rest(), "");
    let mut client = site.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(1000)));
    assert_eq!(client.response(), (200, "POST / 1000".into()));
}

#[test]
fn a_body_that_ends_early_closes_the_connection() {
    let site = Site::start(Limits::default());
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n123");
    client.stream.shutdown(Shutdown::Write).unwrap();
    let answer = client.rest();
    assert!(answer.is_empty() || status(&answer) == 400, "{answer}");
}

#[test]
fn a_reader_that_takes_nothing_is_cut() {
    let site = Site::start(Limits { write: SHORT, idle: SHORT * 10, ..Limits::default() });
    let mut client = site.connect();
    client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    client.head();
    // This one is closed much later than the other may stall.
    let mut clock = site.connect();
    assert_eq!(clock.get("/on").0, 200);
    assert_eq!(clock.rest(), "");
    assert!(client.rest().len() < LARGE);
}

#[test]
fn connections_beyond_the_limit_are_told_so_and_others_live_on() {
    let site = Site::start(Limits { connections: 3, ..Limits::default() });
    let mut clients = (0..3).map(|_| site.connect()).collect::<Vec<_>>();
    for client in &mut clients {
        assert_eq!(client.get("/1").0, 200);
    }
    refused(&site.connect().rest(), 503);
    for client in &mut clients {
        assert_eq!(client.get("/2").0, 200);
    }
    drop(clients);
    // The places come back as soon as the server has seen the ends.
    loop {
        let mut client = site.connect();
        client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        if status(&client.rest()) == 200 {
            break;
        }
    }
}

#[test]
fn one_address_can_not_take_all_connections() {
    let site = Site::start(Limits { connections_per_address: 1, ..Limits::default() });
    let mut first = site.connect();
    assert_eq!(first.get("/1").0, 200);
    refused(&site.connect().rest(), 503);
    assert_eq!(first.get("/2").0, 200);
}

#[test]
fn slow_clients_do_not_hinder_others() {
    let site = Site::start(Limits::default());
    let slow_headers = (0..100).map(|_| {
        let mut client = site.connect();
        client.send("GET / HTTP/1.1\r\nHost: x\r\n");
        client
    });
    let slow_headers = slow_headers.collect::<Vec<_>>();
    let slow_bodies = (0..100).map(|_| {
        let mut client = site.connect();
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc");
        client
    });
    let slow_bodies = slow_bodies.collect::<Vec<_>>();
    let waiting = (0..100).map(|_| {
        let mut client = site.connect();
        client.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
        (client, site.later.recv_timeout(PATIENCE).unwrap())
    });
    let waiting = waiting.collect::<Vec<_>>();
    assert_eq!(site.connect().get("/on").0, 200);
    drop((slow_headers, slow_bodies, waiting));
}
