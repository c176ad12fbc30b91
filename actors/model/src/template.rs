//! The language of templates: a text with `{{name}}`, or `{{name|what to say without it}}`.
//!
//! A name is a letter or `_`, then letters, digits, `_` and `.`, 64 at most; spaces around it are
//! forgiven. Braces that hold no such thing stay text. Values are put in as they are: nothing in
//! them is read again. Reading takes time in proportion to the text, and a rendered text never
//! grows past its limit.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::message::coded;

/// Characters of the longest text that is rendered, and of the longest value.
pub const RENDERED_CHARS_MAX: usize = 1600;
/// Characters of the longest template.
pub const BODY_CHARS_MAX: usize = 1600;
/// Different variables of one template.
pub const VARIABLES_MAX: usize = 50;

const NAME_LENGTH_MAX: usize = 64;

coded! {
    /// Where a template stands with its channel. That of an SMS needs nobody's approval.
    TemplateStatus {
        Draft = 1 "draft",
        Pending = 2 "pending",
        Approved = 3 "approved",
        Rejected = 4 "rejected",
        /// Its owner does not want it used.
        Disabled = 5 "disabled",
    }
}

/// A text taken apart. The parts, put side by side, are the text again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template<'a> {
    parts: Vec<Part<'a>>,
}

/// One piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    Text(&'a str),
    Variable {
        /// As it stands in the text, braces and all.
        source: &'a str,
        name: &'a str,
        /// What is said when there is no value.
        default: Option<&'a str>,
    },
}

/// Why a template gives no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderError {
    /// These variables have neither value nor default; in their order, each once.
    Missing(Vec<String>),
    /// The text would be longer than any that can be sent.
    TooLong,
}

impl<'a> Template<'a> {
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let mut parts = Vec::new();
        let (mut from, mut at) = (0, 0);
        while let Some(found) = text[at..].find("{{") {
            let start = at + found;
            let Some((variable, length)) = variable(&text[start..]) else {
                at = start + 1;
                continue;
            };
            if start > from {
                parts.push(Part::Text(&text[from..start]));
            }
            parts.push(variable);
            from = start + length;
            at = from;
        }
        if from < text.len() {
            parts.push(Part::Text(&text[from..]));
        }
        Self { parts }
    }

    #[must_use]
    pub fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }

    /// The names of the variables, in their order, each once.
    #[must_use]
    pub fn variables(&self) -> Vec<&'a str> {
        self.names(|_, _| true)
    }

    /// The variables without a value by `value` and without a default.
    #[must_use]
    pub fn missing<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Vec<&'a str> {
        self.names(|name, default| default.is_none() && value(name).is_none())
    }

    fn names(&self, wanted: impl Fn(&str, Option<&str>) -> bool) -> Vec<&'a str> {
        let mut seen = BTreeSet::new();
        let name = |part: &Part<'a>| match part {
            Part::Variable { name, default, .. } if wanted(name, *default) => Some(*name),
            _ => None,
        };
        self.parts.iter().filter_map(name).filter(|name| seen.insert(*name)).collect()
    }

    /// The text with all values in it.
    pub fn render<'v>(
        &self,
        value: impl Fn(&str) -> Option<&'v str>,
    ) -> Result<String, RenderError> {
        let missing = self.missing(&value);
        if !missing.is_empty() {
            return Err(RenderError::Missing(missing.into_iter().map(str::to_owned).collect()));
        }
        self.fill(value).ok_or(RenderError::TooLong)
    }

    /// The text with the values there are; variables without one stay as they stand. `None`: it
    /// would be too long.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Option<String> {
        let (mut out, mut count) = (String::new(), 0);
        for part in &self.parts {
            let piece = match part {
                Part::Text(text) => text,
                Part::Variable { source, name, default } => {
                    value(name).or(*default).unwrap_or(source)
                }
            };
            count += piece.chars().count();
            if count > RENDERED_CHARS_MAX {
                return None;
            }
            out.push_str(piece);
        }
        Some(out)
    }
}

/// Reads one variable at the start of a text that begins with `{{`; its length too.
fn variable(text: &str) -> Option<(Part<'_>, usize)> {
    let inner = text[2..].trim_start_matches(' ');
    let name_length = inner.find(|c: char| !is_name_char(c))?;
    let (name, rest) = inner.split_at(name_length);
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins_well || name.len() > NAME_LENGTH_MAX {
        return None;
    }
    let rest = rest.trim_start_matches(' ');
    let (default, rest) = match rest.strip_prefix('|') {
        None => (None, rest),
        Some(rest) => {
            let end = rest.find(['{', '}'])?;
            (Some(rest[..end].trim_matches(' ')), &rest[end..])
        }
    };
    let rest = rest.strip_prefix("}}")?;
    let length = text.len() - rest.len();
    Some((Part::Variable { source: &text[..length], name, default }, length))
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.')
}

/// Several names, for a message.
#[must_use]
pub fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let mut text = String::new();
    for name in names {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{}", name.as_ref());
    }
    text
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn names(text: &str) -> Vec<&str> {
        Template::parse(text).variables()
    }

    fn render(text: &str, values: &[(&str, &str)]) -> Result<String, RenderError> {
        let find = |name: &str| values.iter().find(|(key, _)| *key == name).map(|(_, v)| *v);
        Template::parse(text).render(find)
    }

    #[test]
    fn what_is_a_variable_and_what_is_text() {
        let long = format!("{{{{{}}}}}", "a".repeat(64));
        let longer = format!("{{{{{}}}}}", "a".repeat(65));
        for (text, expected) in [
            ("", &[][..]),
            ("no braces", &[]),
            ("{{name}}", &["name"]),
            ("{{ name }}{{  _x.y_2 }}", &["name", "_x.y_2"]),
            ("{{a}}{{b}}{{a}}", &["a", "b"]),
            ("{{{name}}}", &["name"]),
            ("{{a{{b}}", &["b"]),
            ("{{a|friend}}{{b|}}{{ c | a b }}", &["a", "b", "c"]),
            ("{{}} {{ }} {{1a}} {{.a}} {{a b}} {{a-b}} {{ä}} {{a", &[]),
            ("{name} }} {{ {{", &[]),
            ("{{\nname}}", &[]),
            ("{{a|b{c}}", &[]),
            ("{{a|b", &[]),
            ("{{a|b}", &[]),
            (&long, &[&long[2..66]]),
            (&longer, &[]),
        ] {
            assert_eq!(names(text), expected, "{text}");
        }
    }

    #[test]
    fn values_are_put_in_and_never_read_again() {
        assert_eq!(render("Hi {{n}}!", &[("n", "{{x}}"), ("x", "no")]).unwrap(), "Hi {{x}}!");
        assert_eq!(render("{{{n}}}", &[("n", "a")]).unwrap(), "{a}");
        assert_eq!(render("{{a}}{{b}}", &[("a", "{{"), ("b", "a}}")]).unwrap(), "{{a}}");
        assert_eq!(render("{{ a }}-{{a}}", &[("a", "é😀")]).unwrap(), "é😀-é😀");
        assert_eq!(render("{{a}}", &[("a", "")]).unwrap(), "");
    }

    #[test]
    fn a_default_stands_in_and_a_value_goes_before_it() {
        assert_eq!(render("Hi {{ n | my friend }}!", &[]).unwrap(), "Hi my friend!");
        assert_eq!(render("Hi {{n|friend}}!", &[("n", "Ada")]).unwrap(), "Hi Ada!");
        assert_eq!(render("Hi{{n|}}", &[]).unwrap(), "Hi");
    }

    #[test]
    fn missing_variables_are_named_once_in_their_order() {
        let error = render("{{b}}{{a}}{{b}}{{c}}{{d|x}}", &[("a", "1")]).unwrap_err();
        assert_eq!(error, RenderError::Missing(vec![String::from("b"), String::from("c")]));
        assert_eq!(listed(&["b", "c"]), "b, c");
        let template = Template::parse("{{b}} {{ a }}");
        assert_eq!(template.fill(|n| (n == "b").then_some("1")).unwrap(), "1 {{ a }}");
    }

    #[test]
    fn a_rendered_text_stops_growing_at_its_limit() {
        let value = "é".repeat(800);
        let twice = render("{{a}}{{a}}", &[("a", &value)]).unwrap();
        assert_eq!(twice.chars().count(), RENDERED_CHARS_MAX);
        assert_eq!(render("{{a}}{{a}}.", &[("a", &value)]), Err(RenderError::TooLong));
        let many = "{{a}}".repeat(100_000);
        assert_eq!(render(&many, &[("a", &value)]), Err(RenderError::TooLong));
    }

    #[test]
    fn whatever_is_written_the_parts_are_the_text_again() {
        let pieces = ["{", "{{", "}", "}}", "|", " ", "a", "_b.1", "name", "é", "😀", "\n", "9"];
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..5_000 {
            let count = random.random_range(0..30);
            let text: String =
                (0..count).map(|_| pieces[random.random_range(0..pieces.len())]).collect();
            let template = Template::parse(&text);
            let source = |part: &Part<'_>| match part {
                Part::Text(text) => (*text).to_owned(),
                Part::Variable { source, .. } => (*source).to_owned(),
            };
            let again: String = template.parts().iter().map(source).collect();
            assert_eq!(again, text);
            // With a value that is no variable nothing is left to fill.
            let filled = template.render(|_| Some("v")).unwrap();
            assert!(!template.variables().is_empty() || filled == text, "{text}");
            let sum: usize = template
                .parts()
                .iter()
                .map(|part| match part {
                    Part::Text(text) => text.len(),
                    Part::Variable { .. } => 1,
                })
                .sum();
            assert_eq!(filled.len(), sum, "{text}");
        }
    }

    #[test]
    fn a_long_row_of_braces_is_read_in_one_pass() {
        let text = "{{a|".repeat(200_000);
        assert_eq!(names(&text), [""; 0]);
        let text = format!("{}a", "{{ ".repeat(200_000));
        assert_eq!(names(&text), [""; 0]);
    }
}
