//! One operation of the API: what serves it, and what is told of it. Both come from the same types, so the description at
//! `/api/openapi.json` can't say anything else than what is served. It must never run what takes long on a front's thread.

use std::marker::PhantomData;

use licence::error::{Code, Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use web::Response;

use super::Call;
use super::answer::{Answer, body};
use super::query::{Table, object_of};
use crate::activation::Caller;
use crate::queue::hand_over;

/// Largest list that is answered at once, in bytes.
pub const MAX_LIST: usize = 32 * 1024 * 1024;
const JSON: &str = "application/json; charset=utf-8";
const CSV: &str = "text/csv; charset=utf-8; header=present";

/// Gives the description of a type.
pub type Describe = fn(&mut SchemaGenerator) -> Schema;

type Serve = Box<dyn Fn(Call, Answer) + Send + Sync>;

/// One operation.
pub struct Operation {
    serve: Serve,
    /// What it does, one line.
    pub summary: &'static str,
    /// What its query string may say, in the order of the document.
    pub parameters: Vec<Parameter>,
    /// Its body.
    pub body: Option<Describe>,
    /// Statuses of success.
    pub statuses: &'static [u16],
    /// What it answers then.
    pub content: Content,
    /// Statuses of refusals that are its own; those of every operation are known.
    pub refusals: &'static [u16],
    /// Whether it is an application's everyday use of licences, of which the lists and the usage tell, not the audit trail:
    /// else whoever may take licences could fill the trail until it forgets what administrators did.
    pub everyday: bool,
}

/// What an answer has in it.
pub enum Content {
    /// JSON of this type.
    Json(Describe),
    /// Rows of this type under this name, as JSON or CSV.
    List(&'static str, Describe),
    /// Something else, of this media type.
    Other(&'static str),
}

/// A parameter of the query string.
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it means.
    pub about: String,
    /// What its value may be.
    pub schema: Value,
}

impl Parameter {
    /// A parameter of that JSON type.
    pub fn new(name: &str, about: &str, schema: Value) -> Parameter {
        Parameter { name: name.to_owned(), about: about.to_owned(), schema }
    }
}

/// The place for an answer of type `T`, or a refusal.
pub struct Given<T> {
    answer: Answer,
    of: PhantomData<fn(T)>,
}

impl<T: Serialize> Given<T> {
    /// Gives the answer with one header more.
    pub fn give_with(self, status: u16, body: &T, name: &str, value: &str) {
        self.answer.give(Response::json(status, body).with_header(name, value));
    }

    /// Gives the answer or a refusal.
    pub fn result(self, status: u16, outcome: Result<T>) {
        self.answer.result(status, outcome);
    }

    /// Refuses.
    pub fn refuse(self, error: &Error) {
        self.answer.refuse(error);
    }
}

impl Operation {
    fn new(summary: &'static str, statuses: &'static [u16], content: Content, serve: Serve) -> Operation {
        Operation {
            serve,
            summary,
            parameters: Vec::new(),
            body: None,
            statuses,
            content,
            refusals: &[],
            everyday: false,
        }
    }

    /// Reads something that is at hand.
    pub fn read<T: Serialize + JsonSchema + 'static>(summary: &'static str, get: fn(&Call) -> Result<T>) -> Operation {
        let serve = move |call: Call, answer: Answer| answer.result(200, get(&call));
        Operation::new(summary, &[200], Content::Json(described::<T>), Box::new(serve))
    }

    /// Reads or does something that takes long, on the API's own threads.
    pub fn work<T: Serialize + JsonSchema + 'static>(
        summary: &'static str,
        statuses: &'static [u16],
        act: fn(&Call) -> Result<T>,
    ) -> Operation {
        let status = statuses.first().copied().unwrap_or(200);
        let serve = move |call: Call, answer: Answer| {
            later(call, answer, move |call, answer| answer.result(status, act(&call)));
        };
        Operation::new(summary, statuses, Content::Json(described::<T>), Box::new(serve))
    }

    /// The same with a body.
    pub fn work_with<B: DeserializeOwned + JsonSchema + Send + 'static, T: Serialize + JsonSchema + 'static>(
        summary: &'static str,
        statuses: &'static [u16],
        act: fn(&Call, B) -> Result<T>,
    ) -> Operation {
        let status = statuses.first().copied().unwrap_or(200);
        let serve = move |call: Call, answer: Answer| match body::<B>(&call.request) {
            Ok(body) => later(call, answer, move |call, answer| answer.result(status, act(&call, body))),
            Err(error) => answer.refuse(&error),
        };
        let operation = Operation::new(summary, statuses, Content::Json(described::<T>), Box::new(serve));
        Operation { body: Some(described::<B>), ..operation }
    }

    /// Asks the centre, or does what waits for it, on the threads for calls.
    pub fn centre<B: DeserializeOwned + JsonSchema + Send + 'static, T: Serialize + JsonSchema + 'static>(
        summary: &'static str,
        statuses: &'static [u16],
        act: fn(&Call, B) -> Result<T>,
    ) -> Operation {
        let status = statuses.first().copied().unwrap_or(200);
        let serve = move |call: Call, answer: Answer| {
            let asked = match body::<B>(&call.request) {
                Ok(body) => body,
                Err(error) => return answer.refuse(&error),
            };
            let (core, address) = (call.core.clone(), call.request.peer.ip());
            let queued = core.activations.run(Caller::Person, address, answer, move |answer, turn| {
                // Who has gone away may come back and ask again: then he gets the same.
                if !answer.is_abandoned() {
                    let admitted = turn.and_then(|()| call.still_admitted());
                    answer.here().result(status, admitted.and_then(|()| act(&call, asked)));
                }
            });
            if let Err((error, answer)) = queued {
                answer.refuse(&error);
            }
        };
        let operation = Operation::new(summary, statuses, Content::Json(described::<T>), Box::new(serve));
        Operation { body: Some(described::<B>), refusals: &[404, 409, 502], ..operation }
    }

    /// Does something that answers by itself, without blocking.
    pub fn act<T: Serialize + JsonSchema + 'static>(
        summary: &'static str,
        statuses: &'static [u16],
        act: fn(Call, Given<T>),
    ) -> Operation {
        let serve = move |call: Call, answer: Answer| act(call, Given { answer, of: PhantomData });
        Operation::new(summary, statuses, Content::Json(described::<T>), Box::new(serve))
    }

    /// The same with a body.
    pub fn act_with<B: DeserializeOwned + JsonSchema + 'static, T: Serialize + JsonSchema + 'static>(
        summary: &'static str,
        statuses: &'static [u16],
        act: fn(Call, B, Given<T>),
    ) -> Operation {
        let serve = move |call: Call, answer: Answer| match body::<B>(&call.request) {
            Ok(body) => act(call, body, Given { answer, of: PhantomData }),
            Err(error) => answer.refuse(&error),
        };
        let operation = Operation::new(summary, statuses, Content::Json(described::<T>), Box::new(serve));
        Operation { body: Some(described::<B>), ..operation }
    }

    /// Gives a copy of the ledger.
    pub fn ledger_copy(summary: &'static str) -> Operation {
        const MEDIA: &str = "application/vnd.sqlite3";
        let serve = move |call: Call, answer: Answer| {
            super::life::backup(&call, move |copy| match copy {
                Ok(bytes) => answer.give(Response::new(200, MEDIA, bytes)),
                Err(error) => answer.refuse(&error),
            });
        };
        Operation::new(summary, &[200], Content::Other(MEDIA), Box::new(serve))
    }

    /// Reads a text of some media type.
    pub fn text(summary: &'static str, media: &'static str, get: fn(&Call) -> Result<String>) -> Operation {
        let serve = move |call: Call, answer: Answer| match get(&call) {
            Ok(text) => answer.give(Response::new(200, media, text)),
            Err(error) => answer.refuse(&error),
        };
        Operation::new(summary, &[200], Content::Other(media), Box::new(serve))
    }

    /// The same where it takes long.
    pub fn work_text(summary: &'static str, media: &'static str, get: fn(&Call) -> Result<String>) -> Operation {
        let serve = move |call: Call, answer: Answer| {
            later(call, answer, move |call, answer| match get(&call) {
                Ok(text) => answer.give(Response::new(200, media, text)),
                Err(error) => answer.refuse(&error),
            });
        };
        Operation::new(summary, &[200], Content::Other(media), Box::new(serve))
    }

    /// Lists rows of type `T` under `name`, in the grammar of all lists. `own` are parameters that `rows` understands.
    pub fn list<T: Serialize + JsonSchema + 'static>(
        summary: &'static str,
        name: &'static str,
        own: Vec<(&'static str, &'static str)>,
        rows: fn(&Call) -> Result<Vec<T>>,
    ) -> Operation {
        let names: Vec<&'static str> = own.iter().map(|(name, _)| *name).collect();
        let table = Table::of::<T>(name, names);
        let parameters = list_parameters(&table, &own);
        let serve = {
            let table = std::sync::Arc::new(table);
            move |call: Call, answer: Answer| {
                // A wrong question is refused before anything is read.
                if let Err(error) = table.shape(&call.request.query) {
                    return answer.refuse(&error);
                }
                let table = table.clone();
                later(call, answer, move |call, answer| {
                    let listed = rows(&call).and_then(|rows| listed(&table, &call, &rows));
                    match listed {
                        Ok(response) => answer.give(response),
                        Err(error) => answer.refuse(&error),
                    }
                });
            }
        };
        let operation = Operation::new(summary, &[200, 304], Content::List(name, partial::<T>), Box::new(serve));
        Operation { parameters, refusals: &[413], ..operation }
    }

    /// The same with statuses of refusals that are its own.
    pub fn refuses(mut self, statuses: &'static [u16]) -> Operation {
        self.refusals = statuses;
        self
    }

    /// The same as an application's everyday use of licences.
    pub fn everyday(mut self) -> Operation {
        self.everyday = true;
        self
    }

    /// The same with a parameter of the query string.
    pub fn asks(mut self, name: &str, about: &str, schema: Value) -> Operation {
        self.parameters.push(Parameter::new(name, about, schema));
        self
    }

    /// Serves a call.
    pub fn serve(&self, call: Call, answer: Answer) {
        (self.serve)(call, answer);
    }
}

fn described<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The description of a row: any field may be left out by `fields=`.
fn partial<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut object = object_of::<T>(generator);
    let mut properties = object.get("properties").cloned().unwrap_or_default();
    // Of a row that has no details all but a few fields are null.
    if T::json_schema(generator).get("anyOf").is_some() {
        for property in properties.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let known = std::mem::take(property);
            *property = serde_json::json!({ "anyOf": [known, { "type": "null" }] });
        }
    }
    if let Some(object) = object.as_object_mut() {
        object.remove("required");
        object.insert("properties".to_owned(), properties);
    }
    Schema::try_from(object).unwrap_or_default()
}

fn list_parameters(table: &Table, own: &[(&str, &str)]) -> Vec<Parameter> {
    let text = || serde_json::json!({ "type": "string" });
    let count =
        |least: usize| serde_json::json!({ "type": "integer", "minimum": least, "maximum": super::query::MAX_LIMIT });
    let columns = table.columns.iter().map(|column| {
        Parameter::new(
            &column.name,
            "Only rows with this value; given several times: with any of them.",
            column.kind.schema(),
        )
    });
    let own = own.iter().map(|(name, about)| Parameter::new(name, about, text()));
    let shaping = [
        ("fields", "Names of the fields that are wanted, separated by commas.", text()),
        ("sort", "Names of the fields to sort by; with a minus the greatest first.", text()),
        ("limit", "At most so many rows.", count(1)),
        ("offset", "Rows to skip.", count(0)),
        ("format", "Form of the answer.", serde_json::json!({ "enum": ["json", "csv"] })),
    ];
    columns.chain(own).chain(shaping.map(|(name, about, schema)| Parameter::new(name, about, schema))).collect()
}

/// Runs what takes long on the API's own threads; a full queue is refused.
fn later(call: Call, answer: Answer, job: impl FnOnce(Call, Answer) + Send + 'static) {
    let (shared, place) = (call.shared.clone(), (0, call.request.peer.ip()));
    let queued = hand_over(&shared.workers, place, answer, move |answer, turn| {
        match turn.and_then(|()| call.still_admitted()) {
            Ok(()) if answer.is_abandoned() => {}
            Ok(()) => job(call, answer.here()),
            Err(error) => answer.refuse(&error),
        }
    });
    if let Err((error, answer)) = queued {
        answer.refuse(&error);
    }
}

fn listed<T: Serialize>(table: &Table, call: &Call, rows: &[T]) -> Result<Response> {
    let shape = table.shape(&call.request.query)?;
    let cells = rows.iter().map(|row| match serde_json::to_value(row) {
        Ok(Value::Object(cells)) => cells,
        _ => Map::new(),
    });
    let page = table.page(&shape, cells);
    let (media, body) = match shape.csv {
        true => (CSV, page.csv().into_bytes()),
        false => (JSON, serde_json::to_vec(&page).map_err(|e| Error::new(Code::Internal).with(e))?),
    };
    if body.len() > MAX_LIST {
        return Err(Error::new(Code::ListTooLarge).with(MAX_LIST));
    }
    let hash = call.core.crypto.sha256(&[media.as_bytes(), &body]);
    let tag = format!("\"{}\"", licence::id::hex(&hash[..16]));
    let total = page.total.to_string();
    let response = match unchanged(call, &tag) {
        true => Response::empty(304),
        false => Response::new(200, media, body),
    };
    // Kept by nobody but the one who asks, and asked for again each time.
    Ok(response
        .with_header("ETag", &tag)
        .with_header("Cache-Control", "private, no-cache")
        .with_header("X-Total-Count", &total))
}

/// Whether the caller has this very list already (RFC 9110, 13.1.2).
fn unchanged(call: &Call, tag: &str) -> bool {
    let known = call.request.headers.get_all("if-none-match").flat_map(|line| line.split(','));
    known.map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}
