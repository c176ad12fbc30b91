//! `variables`: what a template's names stand for, as texts.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::body::wrong;
use super::super::error::Fault;

const VALUE_CHARS_MAX: usize = 1600;

/// What a variable may stand for, for the documentation.
#[derive(ToSchema)]
#[schema(example = "Ada")]
#[serde(untagged)]
#[expect(dead_code, reason = "read as free values, so that each fault can be named")]
pub(crate) enum VariableIn {
    Text(String),
    Number(f64),
    Truth(bool),
}

/// Values by name.
#[derive(Debug, Default)]
pub(crate) struct Values(HashMap<String, String>);

impl Values {
    /// Texts, numbers and booleans; null is no value.
    pub(crate) fn read(variables: Map<String, Value>) -> Result<Self, Fault> {
        let mut values = HashMap::with_capacity(variables.len());
        for (name, value) in variables {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                Value::Array(_) | Value::Object(_) => return Err(bad(&name)),
            };
            if text.contains('\0') || text.chars().count() > VALUE_CHARS_MAX {
                return Err(bad(&name));
            }
            values.insert(name, text);
        }
        Ok(Self(values))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn bad(name: &str) -> Fault {
    let expected = "texts of at most 1600 characters without U+0000, numbers, true or false";
    wrong("variables", json!(name)).expected(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> Result<Values, Fault> {
        match value {
            Value::Object(map) => Values::read(map),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn values_are_texts_numbers_and_truths() {
        let values = read(json!({"a": "x", "b": 1.5, "c": true, "d": null})).unwrap();
        let get = |name| values.get(name);
        assert_eq!((get("a"), get("b"), get("c")), (Some("x"), Some("1.5"), Some("true")));
        assert_eq!((get("d"), get("e")), (None, None));
        for bad in [json!([]), json!({}), json!("\0"), json!("x".repeat(1601))] {
            let fault = read(json!({"name": bad})).unwrap_err();
            assert_eq!(
                (fault.field.as_deref(), fault.value),
                (Some("variables"), Some(json!("name")))
            );
        }
        assert!(read(json!({"a": "é".repeat(1600)})).is_ok());
    }
}
