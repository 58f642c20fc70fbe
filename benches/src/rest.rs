//! The REST API: sessions from outside 1C (`POST /api/sessions`) and a key that is read, over connections that are kept open, as an administrator who has signed in.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use licence::api::ExternalSession;
use serde_json::json;

use crate::Outcome;
use crate::install::{KEY_NO, PASSWORD, SERIES};
use crate::load::{self, Job, Measured};
use crate::wire::{Wire, request};

/// Connections to the API.
pub struct Callers {
    wires: Vec<Wire>,
    /// Sessions that each has asked for last.
    known: Vec<Vec<Vec<u8>>>,
}

impl Callers {
    /// Connects so many.
    pub async fn gather(to: SocketAddr, count: usize) -> Outcome<Callers> {
        let mut wires = Vec::with_capacity(count);
        for _ in 0..count {
            wires.push(Wire::open(to, None).await?);
        }
        Ok(Callers { wires, known: vec![Vec::new(); count] })
    }

    /// New sessions take a licence until `total` have or the time is over; all must get one.
    pub async fn claim(&mut self, total: usize, limit: Duration) -> Outcome<Measured> {
        let each = total.div_ceil(self.wires.len());
        self.known = (0..self.wires.len()).map(|_| (0..each).map(|_| new_session()).collect()).collect();
        let (measured, counts) = self.ask(self.known.clone(), limit, 201).await?;
        for (known, count) in self.known.iter_mut().zip(counts) {
            known.truncate(count);
        }
        Ok(measured)
    }

    /// The sessions that have a licence renew its lease, again and again.
    pub async fn renew(&mut self, total: usize, limit: Duration) -> Outcome<Measured> {
        let each = total.div_ceil(self.wires.len());
        let requests = self.known.iter().map(|known| known.iter().cycle().take(each).cloned().collect()).collect();
        Ok(self.ask(requests, limit, 200).await?.0)
    }

    /// New sessions ask a full pool; all must be refused.
    pub async fn be_refused(&mut self, total: usize, limit: Duration) -> Outcome<Measured> {
        let each = total.div_ceil(self.wires.len());
        let requests = (0..self.wires.len()).map(|_| (0..each).map(|_| new_session()).collect()).collect();
        Ok(self.ask(requests, limit, 409).await?.0)
    }

    /// The one key is read again and again; every answer is signed.
    pub async fn read(&mut self, total: usize, limit: Duration) -> Outcome<Measured> {
        let each = total.div_ceil(self.wires.len());
        let requests = (0..self.wires.len()).map(|_| vec![read(); each]).collect();
        Ok(self.ask(requests, limit, 200).await?.0)
    }

    async fn ask(
        &mut self,
        requests: Vec<Vec<Vec<u8>>>,
        limit: Duration,
        status: u16,
    ) -> Outcome<(Measured, Vec<usize>)> {
        let jobs = std::mem::take(&mut self.wires).into_iter().zip(requests);
        let jobs = jobs.map(|(wire, requests)| Job { wire, requests }).collect();
        let (measured, done) = load::run(jobs, limit).await?;
        if let Some(wrong) = done.iter().flat_map(|done| &done.answers).find(|answer| answer.status != status) {
            let text = String::from_utf8_lossy(&wrong.body);
            return Err(format!("{} in place of {status}: {text}", wrong.status).into());
        }
        let counts = done.iter().map(|done| done.answers.len()).collect();
        self.wires = done.into_iter().map(|done| done.wire).collect();
        Ok((measured, counts))
    }
}

/// A request for the one key.
pub fn read() -> Vec<u8> {
    let headers = format!("Authorization: {}\r\n", authorization());
    request("GET", &format!("/api/licences/{KEY_NO}"), &headers, b"")
}

fn authorization() -> String {
    format!("Basic {}", STANDARD.encode(format!("admin:{PASSWORD}")))
}

fn new_session() -> Vec<u8> {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let session = ExternalSession {
        key_id: SERIES,
        client_session_id: format!("bench {}", NUMBER.fetch_add(1, Ordering::Relaxed)),
        app_name: Some("Обмен".into()),
        user_name: Some("Иванов".into()),
        computer_name: Some("EXCHANGE".into()),
        session_started: None,
        access_code: None,
        series_key: None,
    };
    let headers = format!("Content-Type: application/json\r\nAuthorization: {}\r\n", authorization());
    request("POST", "/api/sessions", &headers, json!(session).to_string().as_bytes())
}
