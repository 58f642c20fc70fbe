//! A bad network between a server and its centre: passes HTTP exchanges on, and loses the messages that it is told to lose.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::failure::{Outcome, check};
use crate::rest::Answer;

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every way to lose one exchange with the centre or two in a row: a request that was lost on the way is sent once more by itself.
pub const LOSSES: [&[Lost]; 6] = [
    &[Lost::Request],
    &[Lost::Answer],
    &[Lost::Request, Lost::Request],
    &[Lost::Answer, Lost::Answer],
    &[Lost::Request, Lost::Answer],
    &[Lost::Answer, Lost::Request],
];

/// A message of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It never reaches the centre.
    Request,
    /// The centre has answered, and nobody hears it.
    Answer,
    /// The centre has answered, and its answer is on the way until [`Cutter::lose`] is called; then it is lost.
    Held,
}

/// What happens to the next exchanges.
#[derive(Default)]
struct Plan {
    /// The nearest last.
    losses: Mutex<Vec<Lost>>,
    /// How many answers are held.
    held: Mutex<usize>,
    changed: Condvar,
}

/// The network.
pub struct Cutter {
    address: SocketAddr,
    plan: Arc<Plan>,
}

impl Cutter {
    /// A network in front of a centre, on a free port of loopback. Its threads live until the process ends.
    pub fn new(centre: SocketAddr) -> Outcome<Cutter> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let plan: Arc<Plan> = Arc::default();
        let all = plan.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let plan = all.clone();
                // A side that is gone ends the exchange, which is what this network is for.
                thread::spawn(move || exchanges(client, centre, &plan).ok());
            }
        });
        Ok(Cutter { address, plan })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address, as that of a centre.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Loses these messages of the exchanges to come, one of each; nothing is lost after them.
    pub fn lose(&self, messages: &[Lost]) {
        *lock(&self.plan.losses) = messages.iter().rev().copied().collect();
        *lock(&self.plan.held) = 0;
        self.plan.changed.notify_all();
    }

    /// Waits until an answer is held.
    pub fn wait_for_answer(&self) -> Outcome {
        let held = lock(&self.plan.held);
        let waited = self.plan.changed.wait_timeout_while(held, PATIENCE, |held| *held == 0);
        let (held, _) = waited.unwrap_or_else(PoisonError::into_inner);
        check(*held > 0, || "no answer came".to_owned())
    }

    /// Has a server do something while these messages are lost, and once more, as whoever saw it fail would: what came of it each
    /// time it was done.
    pub fn through(&self, losses: &[Lost], mut act: impl FnMut() -> Outcome<Answer>) -> Outcome<Vec<Value>> {
        self.lose(losses);
        let first = act()?;
        let done = |answer: &Answer| (200..300).contains(&answer.status);
        check(done(&first) || losses.len() > 1, || format!("one loss is made good: {first}"))?;
        if !done(&first) {
            check(first.refusal(502)? == 404, || format!("the centre is out of reach: {first}"))?;
        }
        self.lose(&[]);
        let again = act()?;
        check(done(&again), || format!("the same is asked for again: {again}"))?;
        [first, again].iter().filter(|answer| done(answer)).map(Answer::json).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes on what comes over one connection until a message is lost.
fn exchanges(mut client: TcpStream, centre: SocketAddr, plan: &Plan) -> Outcome {
    loop {
        let request = message(&mut client)?;
        if request.is_empty() {
            return Ok(());
        }
        let lost = lock(&plan.losses).pop();
        if lost == Some(Lost::Request) {
            return Ok(());
        }
        let mut server = TcpStream::connect(centre)?;
        server.write_all(&request)?;
        let answer = message(&mut server)?;
        match lost {
            None | Some(Lost::Request) => client.write_all(&answer)?,
            Some(Lost::Answer) => return Ok(()),
            Some(Lost::Held) => {
                let mut held = lock(&plan.held);
                *held += 1;
                plan.changed.notify_all();
                drop(plan.changed.wait_while(held, |held| *held > 0).unwrap_or_else(PoisonError::into_inner));
                return Ok(());
            }
        }
    }
}

/// One message with a Content-Length, or without a body.
pub(crate) fn message(stream: &mut TcpStream) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if bytes.len() >= end + 4 + length.unwrap_or(0usize) {
                return Ok(bytes);
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(bytes),
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}
