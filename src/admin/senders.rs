//! The operator's word on registered senders.

use actors::writer::WriterHandle;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::policy::{Approval, is_country};
use model::refusal::{Code, Refusal};
use serde_json::{Value, json};
use store::Store;
use store::lane::{Admin, AdminDone, PolicyChange, PolicyDone};

use super::desk::{PAGE, away, id_text, invalid};

const REASON_MAX: usize = 500;

/// What waits for approval, of all organizations, oldest first.
pub(super) async fn pending(store: &Store) -> Result<Value, Refusal> {
    let rows = store.pending_senders(PAGE).await.map_err(away)?;
    let shown = rows.into_iter().map(|row| {
        let documents = serde_json::from_str::<Value>(&row.document_refs).ok();
        json!({
            "id": id_text(&row.id, Kind::SenderRegistration),
            "sender_id": row.sender_id,
            "country": row.country,
            "organization_id": id_text(&row.organization, Kind::Organization),
            "organization": row.organization_name,
            "use_case": row.use_case,
            "document_refs": documents,
            "notes": row.notes,
            "created_at": At(row.created_at).iso(),
        })
    });
    Ok(shown.collect())
}

pub(super) async fn decide(
    writer: &WriterHandle,
    id_text: &str,
    country: String,
    approved: bool,
    reason: Option<String>,
) -> Result<Value, Refusal> {
    let id = PublicId::parse(Kind::SenderRegistration, id_text)
        .ok_or_else(|| invalid("id", "sir_ and 32 hexadecimal digits"))?;
    if !is_country(&country) {
        return Err(invalid("country", "two capital letters, as in GB"));
    }
    let long = |text: &String| text.chars().count() > REASON_MAX || text.contains('\0');
    if reason.as_ref().is_some_and(long) {
        return Err(invalid("reason", "at most 500 characters"));
    }
    let approval = if approved { Approval::Approved } else { Approval::Rejected };
    let shown = json!({ "id": id_text, "country": country, "status": approval.as_str() });
    let change = PolicyChange::DecideSender { id, country, approval, reason };
    match writer.administer(Admin::Policy(change)).await? {
        AdminDone::Policy(PolicyDone::Rows(_)) => Ok(shown),
        _ => Err(Refusal::new(Code::NotFound, "no such registration for that country")),
    }
}
