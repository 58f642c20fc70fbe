//! Requests that were made and not answered yet: `requests.state` in the data folder. A request is written down before it is sent,
//! so that a lost answer is asked for with the same request, and an answer that comes as a file finds its question.
//!
//! Codes stand in it in full, so it is for its owner only. It must never hold anything without which a licence would be lost: every
//! request may be made anew.

use std::path::Path;
use std::sync::Arc;

use licence::activation::Request;
use licence::crypto::Provider;
use licence::error::{Code, Error, Result};
use licence::host::files;
use licence::id::Bytes32;
use licence::time::Time;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::folder::DataFolder;

/// Name of the file.
pub const FILE: &str = "requests.state";
const KIND: &str = "SLK-REQUESTS";
const VERSION: u32 = 1;
const LIMIT: u64 = 64 * 1024 * 1024;
/// Requests that are kept; the oldest go first.
const KEPT: usize = 64;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "Type")]
    kind: String,
    version: u32,
    /// Texts of the requests, the oldest first.
    requests: Vec<String>,
    /// When updates were asked for last, by themselves or by somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updated: Option<Time>,
}

/// The file.
pub struct Pending {
    folder: Arc<DataFolder>,
    document: Mutex<Document>,
}

impl Pending {
    /// The requests of the data folder. A damaged file is told of and left behind: each of its requests may be made anew.
    pub fn open(folder: Arc<DataFolder>) -> Pending {
        let document = read(&folder.path().join(FILE)).unwrap_or_else(|error| {
            log::error!("{error}");
            Document { kind: KIND.into(), version: VERSION, requests: Vec::new(), updated: None }
        });
        Pending { folder, document: Mutex::new(document) }
    }

    /// The latest request that fits, with its text.
    pub fn find(&self, crypto: Provider, fits: impl Fn(&Request) -> bool) -> Option<(Request, String)> {
        let document = self.document.lock();
        let mut requests = document.requests.iter().rev();
        requests.find_map(|text| {
            let request = Request::read(crypto, FILE, text).ok()?;
            fits(&request).then(|| (request, text.clone()))
        })
    }

    /// Keeps a request; it is on the disk when this returns.
    pub fn keep(&self, text: &str) -> Result<()> {
        self.change(|document| {
            document.requests.push(text.to_owned());
            let over = document.requests.len().saturating_sub(KEPT);
            document.requests.drain(..over);
        })
    }

    /// Forgets a request that was answered for good.
    pub fn forget(&self, crypto: Provider, nonce: &Bytes32) -> Result<()> {
        self.change(|document| {
            let is_it = |text: &String| Request::read(crypto, FILE, text).is_ok_and(|request| request.nonce == *nonce);
            document.requests.retain(|text| !is_it(text));
        })
    }

    /// When updates were asked for last.
    pub fn updated(&self) -> Option<Time> {
        self.document.lock().updated
    }

    /// Notes that updates were asked for.
    pub fn note_update(&self, at: Time) -> Result<()> {
        self.change(|document| document.updated = Some(at))
    }

    fn change(&self, edit: impl FnOnce(&mut Document)) -> Result<()> {
        let mut document = self.document.lock();
        edit(&mut document);
        let text = serde_json::to_string_pretty(&*document).map_err(|e| Error::new(Code::Internal).with(e))?;
        self.folder.write(FILE, text.as_bytes())
    }
}

fn read(path: &Path) -> Result<Document> {
    let Some(text) = files::read_text_if_there(path, LIMIT)? else {
        return Ok(Document { kind: KIND.into(), version: VERSION, requests: Vec::new(), updated: None });
    };
    // The parser's own message is not passed on: it may quote a code.
    let damaged = |e: serde_json::Error| {
        Error::new(Code::DocumentDamaged).with(path.display()).with(format_args!("line {}", e.line()))
    };
    let document: Document = serde_json::from_str(&text).map_err(damaged)?;
    if document.kind != KIND || document.version != VERSION {
        return Err(Error::new(Code::DocumentVersion).with(path.display()).with(document.version));
    }
    Ok(document)
}
