//! The checked-in schemas of the reports (`docs/schema`), and reports held against them.

use std::{collections::HashMap, fs, sync::Mutex};

use jsonschema::Validator;
use serde_json::Value;

use crate::fixtures;

/// What is wrong with a document by the schema of its kind, one line each; nothing for a right one.
/// A field that the schema does not name is wrong here, too: whoever reads the schema would not know it.
pub fn violations(document: &Value) -> Vec<String> {
    let kind = document["kind"].as_str().unwrap_or("a document without kind");
    violations_of(kind, document)
}

/// The same by a named schema, for documents that have no kind.
pub fn violations_of(name: &str, document: &Value) -> Vec<String> {
    static COMPILED: Mutex<Option<HashMap<String, Validator>>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let compiled = compiled.get_or_insert_default();
    let validator = compiled.entry(name.to_owned()).or_insert_with(|| {
        let mut schema = schema(name);
        close(&mut schema);
        jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("docs/schema/{name}.json: {error}"))
    });
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// A schema as it is checked in.
pub fn schema(name: &str) -> Value {
    let file = fixtures().join("../../docs/schema").join(format!("{name}.json"));
    let text = fs::read(&file).unwrap_or_else(|error| panic!("{name} has no schema in docs/schema: {error}"));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Refuses, in every object, fields that are not named.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(|named| named.as_object().is_some_and(|named| !named.is_empty())) {
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
