//! What becomes of each recipient: checked alone, and refused alone.

use actors::traffic::admission::SendRequest;
use model::id::{Kind, PublicId};
use model::message::{Category, Encoding};
use model::refusal::{Code, Refusal};
use model::submission::{NewBatch, NewMessage};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::super::App;
use super::super::super::auth::Caller;
use super::super::super::body::{self, Field};
use super::super::super::error::{ApiError, Fault};
use super::super::super::templates::{Values, VariableIn, Wording};
use super::super::input::{check_metadata, metadata_text, text};
use super::super::send::check;
use super::super::when::When;
use super::output::ResultOut;

/// One of the many.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RecipientIn {
    /// E.164, with its `+`.
    #[schema(example = "+15005550002", pattern = r"^\+[1-9][0-9]{6,14}$")]
    to: String,
    /// Values for this recipient: texts of at most 1600 characters, numbers and booleans by name.
    #[schema(value_type = Option<HashMap<String, VariableIn>>)]
    variables: Option<Map<String, Value>>,
    /// Kept and shown again with this recipient's message.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

const FIELDS: &[Field] = &[
    Field::required("to", body::Kind::Text),
    Field::optional("variables", body::Kind::Object),
    Field::optional("metadata", body::Kind::Object),
];

/// What all recipients of a request share.
pub(crate) struct Common {
    pub(crate) from: Option<String>,
    pub(crate) pool: Option<PublicId>,
    pub(crate) wording: Wording,
    pub(crate) shared: Option<Values>,
    /// Some recipient has values: then a body is a template for all of them.
    pub(crate) some_have_values: bool,
    pub(crate) encoding: Option<Encoding>,
    pub(crate) smart: bool,
    pub(crate) category: Category,
    pub(crate) scheduled_at: Option<String>,
    pub(crate) timezone: Option<String>,
    pub(crate) validity_s: Option<u32>,
    pub(crate) webhook_url: Option<String>,
}

/// What became of each, in the order of the request.
pub(crate) struct Decisions(Vec<Result<NewMessage, Fault>>);

/// True when a recipient brings values of its own.
pub(crate) fn some_have_values(recipients: &[Value]) -> bool {
    recipients.iter().any(|recipient| recipient.get("variables").is_some_and(|v| !v.is_null()))
}

impl Common {
    fn when(&self) -> When<'_> {
        When { scheduled_at: self.scheduled_at.as_deref(), timezone: self.timezone.as_deref() }
    }

    /// One recipient's request, or the first thing wrong with it.
    pub(crate) fn request(&self, recipient: Value, test: bool) -> Result<SendRequest, Fault> {
        let recipient = read(recipient)?;
        let own = recipient.variables.map(Values::read).transpose()?;
        let own = if self.some_have_values { Some(own.unwrap_or_default()) } else { own };
        let values = own.iter().chain(&self.shared);
        Ok(SendRequest {
            to: recipient.to,
            from: self.from.clone(),
            pool: self.pool,
            body: self.wording.write(values, self.smart, self.encoding)?,
            encoding: self.encoding,
            category: self.category,
            account: None,
            metadata: metadata_text(recipient.metadata),
            test,
            submitted: None,
        })
    }
}

impl Decisions {
    pub(super) fn of<P>(
        app: &App,
        caller: &Caller<P>,
        common: &Common,
        recipients: Vec<Value>,
    ) -> Self {
        let decide = |recipient| {
            let request = common.request(recipient, caller.test)?;
            let mut message = check(app, caller, request)?;
            message.options.template = common.wording.template();
            message.options.validity_s = common.validity_s;
            message.options.webhook_url = common.webhook_url.clone();
            message.options.scheduled_at =
                common.when().moment(&message.to, &app.schedules, caller.call.at())?;
            Ok(message)
        };
        Self(recipients.into_iter().map(decide).collect())
    }

    /// Those that passed the checks.
    pub(super) fn messages(&self) -> Vec<NewMessage> {
        self.0.iter().filter_map(|decided| decided.as_ref().ok().cloned()).collect()
    }

    /// The batch they are, with what is wrong with the others.
    pub(super) fn batch(&self, id: PublicId, template: Option<PublicId>) -> NewBatch {
        let mut batch = NewBatch { id, places: Vec::new(), refused: Vec::new(), template };
        for (place, decided) in (0_u32..).zip(&self.0) {
            match decided {
                Ok(_) => batch.places.push(place),
                Err(fault) => batch.refused.push((place, fault.to_json().to_string())),
            }
        }
        batch
    }

    /// Tells the gates' refusals, which count the messages that had passed the checks.
    pub(super) fn refuse(&mut self, refused: Vec<(usize, Refusal)>) {
        let mut passed: Vec<_> = self.0.iter_mut().filter(|decided| decided.is_ok()).collect();
        for (at, refusal) in refused {
            if let Some(decided) = passed.get_mut(at) {
                **decided = Err(Fault::from(refusal));
            }
        }
    }

    pub(super) fn none_accepted(&self) -> ApiError {
        let errors = self.errors().map(|(index, fault)| {
            let mut error = fault.to_json();
            error["index"] = json!(index);
            error
        });
        let list = Value::Array(errors.collect());
        ApiError::new(Code::ValidationError, "no recipient was accepted").detail("errors", list)
    }

    pub(super) fn errors(&self) -> impl Iterator<Item = (usize, &Fault)> {
        let errors = self.0.iter().enumerate();
        errors.filter_map(|(index, decided)| Some((index, decided.as_ref().err()?)))
    }

    pub(super) fn results(self) -> Vec<ResultOut> {
        let result = |(index, decided): (usize, Result<NewMessage, Fault>)| match decided {
            Ok(message) => ResultOut::accepted(index, message.id.show(Kind::Message)),
            Err(fault) => ResultOut::refused(index, fault.to_json()),
        };
        self.0.into_iter().enumerate().map(result).collect()
    }
}

/// The first thing wrong with one recipient, before routes and prices.
fn read(value: Value) -> Result<RecipientIn, Fault> {
    let Value::Object(map) = &value else {
        let fault = Fault::new(Code::ValidationError, "the recipient is not an object");
        return Err(fault.value(value).expected("an object with `to`"));
    };
    let mut faults = body::faults(map, FIELDS);
    if faults.is_empty() {
        text("to", map["to"].as_str().unwrap_or_default(), &mut faults);
        if let Some(Value::Object(metadata)) = map.get("metadata") {
            check_metadata(metadata, &mut faults);
        }
    }
    match faults.into_iter().next() {
        Some(fault) => Err(fault),
        None => serde_json::from_value(value).map_err(|error| {
            Fault::new(Code::ValidationError, format!("the recipient is not valid: {error}"))
        }),
    }
}
