//! The little JSON that rows carry as text.

use model::refusal::{Detail, Refusal};
use serde_json::{Map, Value};

/// A JSON string literal.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A JSON object that is written field by field, in order.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self(String::from("{"))
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, name: &'static str, json: &str) -> &mut Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        self.0.push_str(&format!("{comma}\"{name}\":{json}"));
        self
    }

    pub(crate) fn text(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.raw(name, &quoted(text))
    }

    pub(crate) fn maybe_text(&mut self, name: &'static str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.raw(name, "null"),
        }
    }

    pub(crate) fn int(&mut self, name: &'static str, number: i64) -> &mut Self {
        self.raw(name, &number.to_string())
    }

    pub(crate) fn maybe_int(&mut self, name: &'static str, number: Option<i64>) -> &mut Self {
        match number {
            Some(number) => self.int(name, number),
            None => self.raw(name, "null"),
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str, set: bool) -> &mut Self {
        self.raw(name, if set { "true" } else { "false" })
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
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
    fn an_object_is_written_field_by_field() {
        let mut object = Object::new();
        object.text("a", "q\"").maybe_text("b", None).int("c", -1).flag("d", true);
        object.maybe_int("e", None).maybe_int("f", Some(2)).raw("g", "{}");
        let read: Option<Value> = serde_json::from_str(&object.end()).ok();
        let expected =
            json!({"a": "q\"", "b": null, "c": -1, "d": true, "e": null, "f": 2, "g": {}});
        assert_eq!(read, Some(expected));
        assert_eq!(Object::new().end(), "{}");
    }

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
