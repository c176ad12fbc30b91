//! The little JSON that rows carry as text.

use model::refusal::{Detail, Refusal};
use serde_json::{Map, Value};

/// A JSON string literal.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A refusal as an item of an answer shows it.
pub(crate) fn refusal_json(refusal: &Refusal) -> Value {
    let mut item = Map::new();
    let mut put = |name: &str, value: Value| item.insert(name.to_owned(), value);
    put("code", refusal.code.as_str().into());
    put("message", refusal.message.as_ref().into());
    if let Some(field) = &refusal.field {
        put("field", field.as_ref().into());
    }
    if let Some(expected) = &refusal.expected {
        put("expected", expected.as_ref().into());
    }
    for (name, detail) in &refusal.details {
        put(
            name,
            match detail {
                Detail::Text(text) => text.as_str().into(),
                Detail::Number(number) => (*number).into(),
            },
        );
    }
    Value::Object(item)
}

#[cfg(test)]
mod tests {
    use model::refusal::Code;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_keeps_its_facts() {
        let refusal = Refusal::new(Code::NoRoute, "no way")
            .field("to")
            .expected("another")
            .detail("limit", Detail::Number(3))
            .detail("rule_id", Detail::Text(String::from("fcr_1")));
        let expected = json!({"code": "NO_ROUTE", "message": "no way", "field": "to",
            "expected": "another", "limit": 3, "rule_id": "fcr_1"});
        assert_eq!(refusal_json(&refusal), expected);
    }
}
