//! The OpenAPI document, made of the table of operations: an operation without a line here does not exist.

use licence::error::Result;
use licence::version::VERSION;
use serde_json::{Map, Value, json};
use web::{Access, Method, Response};

use super::{Call, api};

/// `GET /api/openapi.json`.
pub(super) fn document(_: &Call<'_>) -> Result<Response> {
    Ok(Response::json(200, &describe()))
}

fn describe() -> Value {
    let mut paths = Map::new();
    for operation in api::operations() {
        let names = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let of_query = api::parameters(operation.method, operation.path).iter();
        let of_query = of_query.map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } }));
        let mut parameters: Vec<Value> = names
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .chain(of_query)
            .collect();
        if operation.method == Method::Post && operation.access != Access::Public {
            parameters.push(json!({
                "name": "Idempotency-Key", "in": "header", "schema": { "type": "string", "maxLength": 255 },
                "description": "repeated with the same key the request is answered as before, and nothing is done twice; kept for 30 days",
            }));
        }
        let mut described = json!({
            "summary": operation.summary,
            "parameters": parameters,
            "responses": {
                "200": { "description": "Done" },
                "default": { "description": "Refused", "content": content("application/json", "Refusal") },
            },
        });
        if let Some(schema) = operation.body {
            let kind = if schema == "SignedRequest" { "text/plain" } else { "application/json" };
            described["requestBody"] = json!({ "required": true, "content": content(kind, schema) });
        }
        if operation.access != Access::Public {
            described["security"] = json!([{ "token": [] }]);
            described["description"] = json!(format!("Role: {:?}", operation.access).to_lowercase());
        }
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.name().to_lowercase()] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "licencecenter", "version": VERSION },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn content(kind: &str, schema: &str) -> Value {
    json!({ kind: { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

/// The schemas, by name.
pub(super) fn schemas() -> Value {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let key_id = json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{4}$" });
    let root = json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{64}$" });
    let code = json!({ "type": "string", "description": "20 digits, in groups or not" });
    let terms = json!({ "$ref": "#/components/schemas/Terms" });
    let time = json!({ "type": "string", "format": "date-time" });
    let offer = json!({
        "KeyType": { "enum": [3, 4, 5] },
        "ServiceType": number,
        "LicenceCount": { "type": "integer", "minimum": 1 },
        "ProductVersion": number,
        "StartDate": time,
        "Period": { "type": "integer", "description": "days; 0: without end" },
        "Flags": { "type": "string", "pattern": "^[01]{51}$" },
        "Parameters": { "type": "object", "additionalProperties": { "type": "string" } },
        "ProductName": text,
        "Article": text,
        "ArticleName": text,
        "SupportDate": time,
        "SupportType": text,
        "IndustrySupportDate": time,
        "IndustrySupportPeriod": { "type": "integer", "description": "days" },
        "IndustrySupportType": text,
        "ProductVersionName": text,
        "IdentityFile": { "type": "boolean", "description": "a mounted identity file counts as a part of the machine" },
        "Until": time,
    });
    let mut of_terms = offer.clone();
    of_terms["ITN"] = text.clone();
    of_terms["IEC"] = text.clone();
    let nullable = |schema: &Value| json!({ "anyOf": [schema, { "type": "null" }] });
    let mut changed = of_terms.clone();
    changed.as_object_mut().into_iter().flatten().for_each(|(_, schema)| *schema = nullable(schema));
    let required = ["KeyType", "LicenceCount", "ProductName"];
    json!({
        "SignedRequest": { "type": "string", "description": "SLK-REQUEST 1, see docs/formats.md" },
        "Query": object(&["Query"], json!({ "Query": text })),
        "OfCode": object(&["Code"], json!({ "Code": code })),
        "OfKey": object(&["KeyID", "KeyNo"], json!({ "KeyID": key_id, "Root": root, "KeyNo": number })),
        "Offer": object(&required, offer),
        "Terms": object(&required, of_terms),
        "NewTerms": object(&["Code", "Terms"], json!({
            "Code": code, "Terms": { "$ref": "#/components/schemas/TermsChange" },
        })),
        "TermsChange": {
            "type": "object",
            "description": "what is named changes, null takes away, the rest stays",
            "properties": changed,
        },
        "NewCodes": object(&["KeyID"], json!({
            "KeyID": key_id, "Root": root, "Article": text, "Terms": terms, "ITN": text, "IEC": text, "Count": number,
        })),
        "Policy": object(&[], json!({
            "Transfers": number,
            "TransferDays": number,
            "Demo": { "$ref": "#/components/schemas/Offer" },
            "RenewDays": number,
        })),
        "Product": object(&["KeyID", "Root", "Name"], json!({ "KeyID": key_id, "Root": root, "Name": text, "Note": text })),
        "Article": object(&["KeyID", "Root", "Terms"], json!({ "KeyID": key_id, "Root": root, "Terms": terms })),
        "Customer": object(&["ITN"], json!({ "ITN": text, "IEC": text, "Name": text, "Note": text })),
        "Refusal": object(&["Code", "Message"], json!({
            "Code": number, "Text": text, "Message": text, "Exception": text, "ErrorCode": number, "Error": { "type": "object" },
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_that_is_referred_to_exists() {
        let document = describe();
        let text = document.to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
        }
        assert_eq!(document["paths"]["/api/codes"]["post"]["description"], "role: administrator");
    }
}
