//! `FIELD=VALUE` on the command line, as the JSON that the API takes.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

/// How the values of a thing's fields are read.
pub(super) struct Fields {
    /// Fields whose value is a list of texts.
    pub(super) lists: &'static [&'static str],
    /// Fields whose value is text, whatever it looks like.
    pub(super) texts: &'static [&'static str],
    pub(super) example: &'static str,
}

impl Fields {
    pub(super) fn read(&self, fields: &[String]) -> Result<Map<String, Value>> {
        let mut map = Map::new();
        for field in fields {
            let Some((name, value)) = field.split_once('=') else {
                bail!("{field} is not FIELD=VALUE, as {}", self.example);
            };
            let value = match value {
                "null" => Value::Null,
                list if self.lists.contains(&name) => list
                    .split(',')
                    .filter(|item| !item.is_empty())
                    .map(|item| json!(item))
                    .collect(),
                text if self.texts.contains(&name) => json!(text),
                object if object.starts_with(['{', '[']) => match serde_json::from_str(object) {
                    Ok(object) => object,
                    Err(error) => bail!("{name}: {error}"),
                },
                "true" | "false" => json!(value == "true"),
                number => {
                    number.parse::<i64>().map_or_else(|_| json!(number), |number| json!(number))
                }
            };
            map.insert(name.to_owned(), value);
        }
        Ok(map)
    }
}
