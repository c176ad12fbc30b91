//! What a message says: a text as given, or one made from a template by its variables.
//!
//! Found once per request, written once per recipient. Whatever comes out is checked as any text
//! is.

use actors::traffic::text;
use model::carrier::OrgId;
use model::id::{Kind, PublicId};
use model::message::Encoding;
use model::refusal::Code;
use model::template::{RenderError, Template, TemplateStatus, listed};
use serde_json::json;

use super::super::App;
use super::super::body::{missing, wrong};
use super::super::error::{ApiError, Fault};
use super::values::Values;

/// Where a text comes from.
pub(crate) struct Wording {
    body: String,
    template: Option<PublicId>,
}

impl Wording {
    /// A body, or the template of that id: one of both.
    pub(crate) async fn find(
        app: &App,
        organization: OrgId,
        body: Option<String>,
        template_id: Option<&str>,
    ) -> Result<Self, ApiError> {
        let id = match (body, template_id) {
            (Some(body), None) => return Ok(Self { body, template: None }),
            (None, Some(id)) => id,
            (None, None) => return Err(missing("body").into()),
            (Some(_), Some(id)) => {
                let fault = wrong("template_id", json!(id));
                return Err(fault.expected("either `body` or `template_id`").into());
            }
        };
        let unusable = |message| {
            let fault = Fault::new(Code::InvalidTemplate, message);
            fault.field("template_id").value(json!(id))
        };
        let unknown = || unusable("there is no such template");
        let id = PublicId::parse(Kind::Template, id).ok_or_else(unknown)?;
        let row = app.store.template(organization, id).await?.ok_or_else(unknown)?;
        if row.channel != "sms" {
            return Err(unusable("the template is of another channel").into());
        }
        if TemplateStatus::from_code(row.status) != Some(TemplateStatus::Approved) {
            return Err(unusable("the template is disabled").into());
        }
        Ok(Self { body: row.body, template: Some(id) })
    }

    pub(crate) fn template(&self) -> Option<PublicId> {
        self.template
    }

    /// The text for these values; the first that has a value for a name gives it. A body without
    /// any values is no template, and stays as it is.
    pub(crate) fn write<'v>(
        &self,
        values: impl IntoIterator<Item = &'v Values>,
        smart: bool,
        encoding: Option<Encoding>,
    ) -> Result<String, Fault> {
        let values: Vec<&Values> = values.into_iter().collect();
        let written = if self.template.is_none() && values.is_empty() {
            self.body.clone()
        } else {
            self.fill(&values)?
        };
        Ok(if smart { text::smart(written, encoding) } else { written })
    }

    fn fill(&self, values: &[&Values]) -> Result<String, Fault> {
        let value = |name: &str| values.iter().find_map(|values| values.get(name));
        Template::parse(&self.body).render(value).map_err(|error| match error {
            RenderError::Missing(names) => {
                let message = format!("the text has variables without a value: {}", listed(&names));
                let fault = Fault::new(Code::InvalidTemplate, message).field("variables");
                fault.fact("missing", json!(names))
            }
            RenderError::TooLong => too_long(),
        })
    }
}

/// What a text is answered that grew past what can be sent.
pub(super) fn too_long() -> Fault {
    let message = "with its variables the text has more than 1600 characters";
    let fault = Fault::new(Code::MessageTooLong, message).field("body");
    fault.expected("at most 1600 characters and 10 segments")
}
