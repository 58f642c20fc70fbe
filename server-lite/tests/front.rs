//! The front over tiny_http, with a small service behind it and raw bytes before it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use server_lite::{Front, Limits};
use web::{Completer, Rejection, Reply, Request, Response, Service};

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Echo {
    later: Mutex<mpsc::Sender<Completer>>,
}

impl Service for Echo {
    fn call(&self, request: Request) -> Reply {
        match request.path.as_str() {
            "/later" => {
                let (completer, reply) = Reply::later();
                self.later.lock().unwrap().send(completer).unwrap();
                reply
            }
            "/never" => {
                let (completer, reply) = Reply::later();
                std::mem::forget(completer);
                reply
            }
            "/panic" => panic!("on purpose"),
            "/large" => Response::text(200, vec![b'x'; 64 * 1024 * 1024]).into(),
            "/events" => Reply::Stream(web::events::events(1).1),
            path => Response::text(200, format!("{} {path} {}", request.method.name(), request.body.len())).into(),
        }
    }

    fn reject(&self, rejection: Rejection) -> Response {
        let id = rejection.headers.get("licence-queryid").unwrap_or("none").to_owned();
        rejection.response().with_header("Licence-QueryID", &id)
    }
}

struct Site {
    front: Front,
    later: mpsc::Receiver<Completer>,
}

fn site(limits: Limits) -> Site {
    let (sender, later) = mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let front = Front::start(listener, Arc::new(Echo { later: Mutex::new(sender) }), limits).unwrap();
    Site { front, later }
}

impl Site {
    fn send(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = TcpStream::connect(self.front.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes.as_ref()).unwrap();
        stream
    }

    fn get(&self, path: &str) -> String {
        answer(&mut self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")))
    }

    /// Clients that come now get their answers. In a burst of connections tiny_http may give one to no thread until the next
    /// one comes, so a client that hears nothing tries again, as the component does.
    fn serves_others(&self) {
        for _ in 0..20 {
            let answered = (0..5).any(|_| {
                let mut stream = self.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
                stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                let mut status = [0; 15];
                stream.read_exact(&mut status).is_ok() && &status == b"HTTP/1.1 200 OK"
            });
            assert!(answered);
        }
    }
}

/// Head and body of one answer.
fn answer(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    let mut byte = [0; 1];
    while !got.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed after {:?}", String::from_utf8_lossy(&got));
        got.push(byte[0]);
    }
    let head = String::from_utf8(got).unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nLicence-QueryID: q1\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn an_address_beyond_loopback_is_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let service = Arc::new(Echo { later: Mutex::new(mpsc::channel().0) });
    assert!(Front::start(listener, service, Limits::default()).is_err());
}

#[test]
fn every_answer_asks_to_close_the_connection() {
    let site = site(Limits::default());
    for (path, status) in [("/a", "200 OK"), ("/panic", "500 "), ("/events", "501 "), ("/../x", "400 ")] {
        let answer = site.get(path);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        // What is refused before the service is called is written by tiny_http, which can't say it.
        assert!(status == "400 " || answer.contains("Connection: close\r\n"), "{path}: {answer}");
    }
    assert!(site.get("/a%20b").ends_with("GET /a b 0"));
}

#[test]
fn a_body_arrives_whole_whether_short_or_long() {
    let site = site(Limits::default());
    for length in [1, 1024, 1025, 300_000] {
        let mut stream = site.send(post("/x", length));
        stream.write_all(&vec![b'x'; length]).unwrap();
        assert!(answer(&mut stream).ends_with(&format!("POST /x {length}")));
    }
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let site = site(Limits { body_bytes: 2000, ..Limits::default() });
    // The last is longer than any memory: tiny_http would allocate it.
    for length in [2001, 5_000_000, 1_000_000_000_000_000] {
        let mut stream = site.send(post("/x", length));
        let answer = answer(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{length}: {answer}");
    }
    assert!(site.get("/a").ends_with("GET /a 0"));
}

#[test]
fn framing_that_can_be_read_in_two_ways_is_refused() {
    let site = site(Limits::default());
    for (fields, expected) in [
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\nConnection: Upgrade\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        ("Transfer-Encoding: identity\r\n\r\nx", 501),
        ("Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        ("Content-Length: +1\r\n\r\nx", 400),
        ("Content-Length: 99999999999999999999999\r\n\r\nx", 400),
        ("Host: y\r\n\r\n", 400),
    ] {
        let answer = answer(&mut site.send(format!("POST /x HTTP/1.1\r\nHost: x\r\n{fields}")));
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{fields}: {answer}");
    }
    assert!(answer(&mut site.send("GET / HTTP/1.1\r\n\r\n")).starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_body_in_chunks_is_read_within_the_limit() {
    let site = site(Limits { body_bytes: 2000, ..Limits::default() });
    let chunk = format!("3e8;a=b\r\n{}\r\n", "x".repeat(1000));
    let post = |count: usize| {
        let head = "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n";
        answer(&mut site.send(format!("{head}{}0\r\n\r\n", chunk.repeat(count))))
    };
    assert!(post(2).ends_with("POST /x 2000"));
    assert!(post(3).starts_with("HTTP/1.1 413 "));
    assert!(site.get("/a").ends_with("GET /a 0"));
}

#[test]
fn a_refusal_repeats_what_the_service_adds_to_it() {
    let site = site(Limits { body_bytes: 2000, ..Limits::default() });
    assert!(answer(&mut site.send(post("/x", 3000))).contains("Licence-QueryID: q1\r\n"));
}

#[test]
fn a_later_answer_is_waited_for_and_a_missing_one_is_503() {
    let site = site(Limits { answer: Duration::from_millis(50), ..Limits::default() });
    assert!(site.get("/never").starts_with("HTTP/1.1 503 "));
    let site = self::site(Limits::default());
    let mut stream = site.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    site.later.recv().unwrap().complete(Response::text(200, "at last"));
    assert!(answer(&mut stream).ends_with("at last"));
}

#[test]
fn clients_that_send_slowly_do_not_stop_the_others() {
    let site = site(Limits { workers: 2, lanes: 4, ..Limits::default() });
    // More than the workers, and more than the lanes: the rest waits, and what has no room is given up.
    let slow: Vec<TcpStream> = (0..50).map(|_| site.send(post("/slow", 5000))).collect();
    site.serves_others();
    // When they go away, their lanes are free again.
    drop(slow);
    site.serves_others();
    let mut stream = site.send(post("/x", 5000));
    stream.write_all(&[b'x'; 5000]).unwrap();
    assert!(answer(&mut stream).ends_with("POST /x 5000"));
}

#[test]
fn clients_that_read_slowly_do_not_stop_the_others() {
    let site = site(Limits { workers: 2, lanes: 2, ..Limits::default() });
    let slow: Vec<TcpStream> = (0..6).map(|_| site.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")).collect();
    site.serves_others();
    drop(slow);
}

#[test]
fn a_client_that_does_not_wait_for_its_answers_holds_no_worker() {
    let site = site(Limits { workers: 1, lanes: 2, ..Limits::default() });
    let mut eager = site.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    for _ in 0..10 {
        eager.write_all(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    site.serves_others();
}

#[test]
fn more_requests_than_workers_and_queue_hold_are_told_so() {
    let site = site(Limits { workers: 1, queue: 1, ..Limits::default() });
    let mut held = site.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    let completer = site.later.recv().unwrap();
    // One of them waits in the queue, the other has no room and is answered first.
    let (sender, answers) = mpsc::channel();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (mut stream, sender) = (site.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), sender.clone());
            std::thread::spawn(move || sender.send(answer(&mut stream)).unwrap())
        })
        .collect();
    let first = answers.recv().unwrap();
    assert!(first.starts_with("HTTP/1.1 503 "), "{first}");
    completer.complete(Response::text(200, "at last"));
    assert!(answer(&mut held).ends_with("at last"));
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

#[test]
fn a_stopped_front_frees_its_port() {
    let site = site(Limits::default());
    let address = site.front.address();
    assert!(site.get("/a").ends_with("GET /a 0"));
    site.front.stop();
    let deadline = std::time::Instant::now() + PATIENCE;
    while TcpListener::bind(address).is_err() {
        assert!(std::time::Instant::now() < deadline, "the port is still taken");
        std::thread::yield_now();
    }
}

#[test]
fn a_burst_of_200_connections_is_answered() {
    let site = site(Limits::default());
    let request = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let clients: Vec<TcpStream> = (0..200).map(|_| site.send(request)).collect();
    let mut answered = 0;
    for mut client in clients {
        client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut status = [0; 15];
        match client.read_exact(&mut status) {
            Ok(()) => answered += usize::from(&status == b"HTTP/1.1 200 OK" || &status == b"HTTP/1.1 503 Se"),
            // Given to no thread, it tries again as the component does.
            Err(_) => answered += usize::from(site.get("/a").ends_with("GET /a 0")),
        }
    }
    assert_eq!(answered, 200);
    site.serves_others();
}
