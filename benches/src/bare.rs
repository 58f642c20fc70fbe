//! What bounds the server: a hyper handler that does nothing but JSON, and SQLite commits of one row each.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::Outcome;
use crate::install::folder;
use crate::load::{self, Job, Measured};
use crate::process::Process;
use crate::wire::{Wire, request};

/// As many threads as the server has on a machine of two processors.
const WORKERS: usize = 2;
/// Of about the size of a heartbeat's frame.
const ASKED: &str =
    r#"{"id":123456,"text":"as long as the frame of a heartbeat, which is about as many bytes as this is"}"#;

#[derive(Serialize, Deserialize)]
struct Small {
    id: u64,
    text: String,
}

/// Serves the bare handler on a free port of loopback until the process is killed.
pub fn serve() -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("listening on http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    })
}

async fn answer(request: hyper::Request<Incoming>) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text = match serde_json::from_slice::<Small>(&body) {
        Ok(small) => serde_json::to_vec(&Small { id: small.id + 1, ..small }).unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    Ok(hyper::Response::new(Full::new(Bytes::from(text))))
}

/// The bare handler in a process of its own.
pub struct Bare(Process);

impl Bare {
    /// Starts it.
    pub fn start() -> Outcome<Bare> {
        Ok(Bare(Process::start(&std::env::current_exe()?, &["--serve-bare"], &folder()?)?))
    }

    /// Processor time that it has used.
    pub fn busy(&self) -> Option<Duration> {
        self.0.busy()
    }

    /// Its exchanges over so many connections.
    pub async fn measure(&self, connections: usize, span: Duration) -> Outcome<Measured> {
        let request = request("POST", "/", "Content-Type: application/json\r\n", ASKED.as_bytes());
        let mut jobs = Vec::new();
        // More than there is time for.
        let each = (span.as_secs_f64() * 200_000.0) as usize / connections;
        for _ in 0..connections {
            let wire = Wire::open(self.0.address, None).await?;
            jobs.push(Job { wire, requests: vec![request.clone(); each] });
        }
        let (measured, done) = load::run(jobs, span).await?;
        match done.iter().flat_map(|done| &done.answers).find(|answer| answer.status != 200 || answer.body.is_empty()) {
            Some(answer) => Err(format!("the bare handler answered {answer:?}").into()),
            None => Ok(measured),
        }
    }
}

/// Commits of one row each, as durable as the server's, one after the other on the same disk.
pub fn commits(span: Duration) -> Outcome<Measured> {
    let path = folder()?.join(format!("bench-{}.db", std::process::id()));
    let measured = commits_to(&path, span);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
    measured
}

fn commits_to(path: &std::path::Path, span: Duration) -> Outcome<Measured> {
    let connection = rusqlite::Connection::open(path)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE session (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT")?;
    let mut insert = connection.prepare("INSERT INTO session (text) VALUES (?1)")?;
    let mut times = Vec::new();
    let start = Instant::now();
    let mut sent = start;
    while sent - start < span {
        insert.execute([ASKED])?;
        let now = Instant::now();
        times.push(now - sent);
        sent = now;
    }
    Ok(Measured::new(sent - start, times))
}
