//! Bodies of the API's requests. A field that the OpenAPI document does not have is refused by name: dropped, it would be sold,
//! and nobody would know before the customer does.

use licence::error::{Code, Error, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::views::{NewCodes, NewTerms, OfCode, OfKey, Query};
use super::{Call, openapi};
use crate::store::{Article, Customer, Policy, Product};

/// What a body is read as.
pub(super) trait Body: DeserializeOwned {
    /// Its schema in the document.
    const SCHEMA: &'static str;
}

macro_rules! bodies {
    ($($name:ident)*) => { $(impl Body for $name { const SCHEMA: &'static str = stringify!($name); })* };
}

bodies! { Query OfCode OfKey NewCodes NewTerms Policy Product Article Customer }

/// The body of a request.
pub(super) fn read<T: Body>(call: &Call<'_>) -> Result<T> {
    let wrong = |error: &dyn std::fmt::Display| Error::new(Code::BadRequest).with(error);
    let value: Value = call.request.json().map_err(|e| wrong(&e))?;
    let schemas = openapi::schemas();
    check(&value, &schemas[T::SCHEMA], &schemas)?;
    // Read again as it was sent, which refuses what is named twice.
    call.request.json().map_err(|e| wrong(&e))
}

/// Refuses names that the schema does not have, at any depth.
fn check(value: &Value, schema: &Value, schemas: &Value) -> Result<()> {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return check(value, &schemas[name], schemas);
    }
    let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) else { return Ok(()) };
    for (name, value) in fields {
        let Some(schema) = known.get(name) else {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            return Err(Error::new(Code::UnknownName).with(name).with(names.join(", ")));
        };
        check(value, schema, schemas)?;
    }
    Ok(())
}
