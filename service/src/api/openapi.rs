//! `GET /api/openapi.json`: the route table in words of OpenAPI 3.1. It owns no facts: they are those of the routes and the types.

use std::collections::BTreeMap;

use licence::api::Refusal;
use licence::version::VERSION;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};
use web::{Access, Method, Route, Router};

use super::operation::{Content, Operation, Parameter};
use super::query::schema_settings;
use super::routes::SESSION;

/// Statuses that any operation may refuse with.
const REFUSALS: [u16; 3] = [400, 500, 503];
/// Statuses that any operation may refuse with that isn't public.
const REFUSED_ENTRY: [u16; 3] = [401, 403, 429];
const SCHEME: &str = "basic";

/// The document.
pub fn document(router: &Router<Operation>) -> Value {
    // What is written and what is read differ: a field with a default must be there in answers only.
    let mut answers = schema_settings().for_serialize().into_generator();
    let mut bodies = schema_settings().for_deserialize().into_generator();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in router.routes() {
        let operation = operation(route, &mut answers, &mut bodies);
        paths.entry(route.pattern).or_default().insert(route.method.name().to_ascii_lowercase(), operation);
    }
    let mut schemas = bodies.take_definitions(true);
    schemas.extend(answers.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": { "title": "licenceserver", "version": VERSION },
        "servers": [{ "url": "/" }],
        "security": [{ SCHEME: [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { SCHEME: { "type": "http", "scheme": "basic" } },
            "headers": {
                "Signature": {
                    "description": "RSA PKCS#1 v1.5 with SHA-256 over Licence-QueryID and body, Base64.",
                    "schema": { "type": "string" }
                }
            }
        }
    })
}

fn operation(route: &Route<Operation>, answers: &mut SchemaGenerator, bodies: &mut SchemaGenerator) -> Value {
    let Operation { summary, parameters, body, statuses, content, refusals, .. } = &route.handler;
    let mut responses = Map::new();
    for status in *statuses {
        responses.insert(status.to_string(), success(*status, content, answers));
    }
    let refusal = answers.subschema_for::<Refusal>();
    let entry = REFUSED_ENTRY.iter().filter(|_| route.access != Access::Public);
    let lost = [404].iter().filter(|_| route.pattern.contains('{'));
    for status in REFUSALS.iter().chain(entry).chain(lost).chain(*refusals) {
        let content = json!({ "application/json": { "schema": refusal } });
        let answer = json!({ "description": web::status::text(*status), "content": content });
        responses.entry(status.to_string()).or_insert(answer);
    }
    let parameters =
        path_parameters(route.pattern).chain(parameters.iter().map(|parameter| told("query", false, parameter)));
    let mut operation = json!({
        "operationId": identifier(route.method, route.pattern),
        "summary": summary,
        "description": format!("Role: {:?}.", route.access),
        "parameters": parameters.collect::<Vec<_>>(),
        "responses": responses,
    });
    if let Some(describe) = body {
        let schema = describe(bodies);
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    if route.access == Access::Public {
        operation["security"] = json!([]);
    }
    operation
}

fn success(status: u16, content: &Content, generator: &mut SchemaGenerator) -> Value {
    let signed = json!({
        "Licence-Signature": { "$ref": "#/components/headers/Signature" },
        "Licence-QuerySignature": { "$ref": "#/components/headers/Signature" }
    });
    let described =
        |content: Value| json!({ "description": web::status::text(status), "headers": signed, "content": content });
    match content {
        _ if status == 304 => json!({ "description": web::status::text(status) }),
        Content::Json(describe) => described(json!({ "application/json": { "schema": describe(generator) } })),
        Content::Other(media) => described(json!({ media_type(media): { "schema": { "type": "string" } } })),
        Content::List(name, describe) => {
            let row = describe(generator);
            let rows = json!({ "type": "array", "items": row });
            let list = json!({ "type": "object", "required": [name], "properties": { *name: rows } });
            described(json!({
                "application/json": { "schema": list },
                "text/csv": { "schema": { "type": "string" } }
            }))
        }
    }
}

/// The media type without its parameters.
fn media_type(media: &str) -> &str {
    media.split(';').next().unwrap_or(media)
}

fn path_parameters(pattern: &'static str) -> impl Iterator<Item = Value> {
    let names = pattern.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    names.map(move |name| {
        let (about, schema) = match name {
            "KeyNo" => ("Serial number of the key.", json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX })),
            _ if pattern == SESSION => {
                ("Identifier, 32 hex digits; or ClientSessionID of an external session.", json!({ "type": "string" }))
            }
            _ => ("Identifier, 32 hex digits.", json!({ "type": "string" })),
        };
        told("path", true, &Parameter::new(name, about, schema))
    })
}

fn told(place: &str, required: bool, parameter: &Parameter) -> Value {
    let Parameter { name, about, schema } = parameter;
    json!({ "name": name, "in": place, "required": required, "description": about, "schema": schema })
}

/// `getApiLicencesKeyNo`.
fn identifier(method: Method, pattern: &str) -> String {
    let words = pattern.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let capital =
        |word: &str| word.get(..1).unwrap_or_default().to_ascii_uppercase() + word.get(1..).unwrap_or_default();
    words.fold(method.name().to_ascii_lowercase(), |name, word| name + &capital(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes;

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document = document(routes::table());
        for route in routes::table().routes() {
            let method = route.method.name().to_ascii_lowercase();
            let operation = &document["paths"][route.pattern][&method];
            assert!(operation["responses"].is_object(), "{method} {}", route.pattern);
            assert_eq!(operation["requestBody"].is_object(), route.handler.body.is_some());
        }
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn what_is_read_and_written_under_one_name_is_described_the_same() {
        let (mut answers, mut bodies) =
            (schema_settings().for_serialize().into_generator(), schema_settings().for_deserialize().into_generator());
        for route in routes::table().routes() {
            operation(route, &mut answers, &mut bodies);
        }
        let (answers, bodies) = (answers.take_definitions(true), bodies.take_definitions(true));
        for (name, body) in &bodies {
            assert!(answers.get(name).is_none_or(|answer| answer == body), "{name} means two things");
        }
    }
}
