//! `GET /compliance/consent` and `/compliance/consent/history`: where a person stands, and why.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::clock::At;
use model::consent::{Preference, Scope};
use model::id::Kind;
use model::identity::Identity;
use serde::Serialize;
use serde_json::Value;
use store::{ConsentRow, PreferenceRow, SuppressionRow};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ReadCompliance};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::messages::id_of;
use super::super::page::{List, Page, Query};
use super::super::suppressions::fits;

/// Where a person stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConsentStandingOut {
    contact_id: Option<String>,
    #[schema(example = "+14155550123")]
    identifier: String,
    /// The channels by which such an identifier can be reached.
    channels: Vec<ChannelOut>,
}

/// Where a person stands with one channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelOut {
    #[schema(example = "sms")]
    channel: &'static str,
    /// What the person said last: `opted_in`, `opted_out`, or `unknown`.
    #[schema(example = "opted_in")]
    state: &'static str,
    /// Messages are refused, whatever the state: the address is on the suppression list.
    suppressed: bool,
    source: Option<String>,
    updated_at: Option<String>,
}

/// One statement.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordOut {
    #[schema(example = "cr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    contact_id: Option<String>,
    identifier: String,
    #[schema(example = "sms")]
    channel: &'static str,
    opt_in: bool,
    source: String,
    consent_type: String,
    lawful_basis: Option<String>,
    purpose: Option<String>,
    consent_text_version: Option<String>,
    consent_proof_url: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// The word by which it was said, and the message that it was.
    keyword: Option<String>,
    message_id: Option<String>,
    created_at: String,
}

/// Shows where a person stands, channel by channel.
#[utoipa::path(
    get, path = "/compliance/consent", operation_id = "get_consent", tag = "compliance",
    params(("identifier" = String, Query, description = "E.164 with +, an email address, or an id",
        example = "+14155550123")),
    responses(
        (status = 200, description = "Where the person stands", body = Envelope<ConsentStandingOut>),
        (status = 400, description = "The query is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let identity = identity_of(&query)?;
    let address = identity.as_str();
    let said = app.store.preferences(caller.organization, address).await?;
    let listed = app.store.suppressions_of(caller.organization, address).await?;
    let reached = Scope::CHANNELS.iter().filter(|channel| fits(&identity, **channel));
    let channels = reached.map(|channel| ChannelOut::new(*channel, &said, &listed)).collect();
    let out = ConsentStandingOut { contact_id: None, identifier: address.to_owned(), channels };
    caller.call.answer(StatusCode::OK, out)
}

/// Lists what a person said, newest first.
#[utoipa::path(
    get, path = "/compliance/consent/history", operation_id = "list_consent_records",
    tag = "compliance",
    params(
        ("identifier" = String, Query, description = "E.164 with +, an email address, or an id",
            example = "+14155550123"),
        ("channel" = Option<String>, Query, description = "Of this channel only"),
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<RecordOut>>),
        (status = 400, description = "The query or its cursor is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn history(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let identity = identity_of(&query)?;
    let channel = query.get("channel").map(|text| {
        Scope::channel(text).ok_or_else(|| ApiError::query("channel", text, "a channel, as in sms"))
    });
    let channel = channel.transpose()?;
    let page = Page::newest_first(&app, &caller, List::ConsentRecords, &query)?;
    let organization = caller.organization;
    let found = app.store.consent_history(
        organization,
        identity.as_str(),
        channel,
        page.from,
        page.reads(),
    );
    let mut rows = found.await?;
    let pagination = page.cut(&mut rows, |row| row.seq);
    caller.call.page(rows.into_iter().map(RecordOut::from).collect(), pagination)
}

fn identity_of(query: &Query) -> Result<Identity, ApiError> {
    let text = query.get("identifier").unwrap_or_default();
    let expected = "E.164 with +, an email address, or a channel's own id";
    Identity::parse(text).ok_or_else(|| ApiError::query("identifier", text, expected))
}

impl ChannelOut {
    fn new(channel: Scope, said: &[PreferenceRow], listed: &[SuppressionRow]) -> Self {
        let own = said.iter().find(|row| row.channel == channel.code());
        let state = own.and_then(|row| Preference::from_code(row.state));
        let scopes = [Scope::All.code(), channel.code()];
        Self {
            channel: channel.as_str(),
            state: state.map_or("unknown", Preference::as_str),
            suppressed: listed.iter().any(|row| scopes.contains(&row.scope)),
            source: own.map(|row| row.source.clone()),
            updated_at: own.map(|row| At(row.updated_at).iso()),
        }
    }
}

impl From<ConsentRow> for RecordOut {
    fn from(row: ConsentRow) -> Self {
        Self {
            id: id_of(Kind::Consent, &row.id),
            contact_id: None,
            identifier: row.address,
            channel: Scope::from_code(row.channel).map_or("sms", Scope::as_str),
            opt_in: row.opt_in != 0,
            source: row.source,
            consent_type: row.consent_type,
            lawful_basis: row.lawful_basis,
            purpose: row.purpose,
            consent_text_version: row.text_version,
            consent_proof_url: row.proof_url,
            metadata: row.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            keyword: row.keyword,
            message_id: row.message_id.map(|id| id_of(Kind::Message, &id)),
            created_at: At(row.at).iso(),
        }
    }
}
