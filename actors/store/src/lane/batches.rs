//! Batches, as they are accepted: what was said to each recipient that was refused, so that the
//! answer can be given again as it was. Table: batches.

use model::clock::At;
use model::refusal::Refusal;
use model::submission::{NewBatch, Submission};
use serde_json::{Value, json};

use super::{AcceptAnswer, Accepted, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::json::refusal_json;

/// One batch of which something was let in.
struct Kept<'a> {
    item: &'a Submission,
    batch: &'a NewBatch,
    /// What the gates refused, by place in the submission.
    refused: &'a [(usize, Refusal)],
}

impl Lane {
    /// Stores the batches among what was let in.
    pub(super) async fn keep_batches(
        &mut self,
        items: &[Submission],
        answers: &[Option<AcceptAnswer>],
        now: At,
    ) -> Result<(), StoreError> {
        let kept: Vec<Kept<'_>> = items
            .iter()
            .zip(answers)
            .filter_map(|(item, answer)| {
                let batch = item.batch.as_ref()?;
                let Some(Ok(Accepted::Fresh { refused, .. })) = answer else { return None };
                Some(Kept { item, batch, refused })
            })
            .collect();
        if kept.is_empty() {
            return Ok(());
        }
        let refused: Vec<String> = kept.iter().map(Kept::refused_text).collect();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let templates: Vec<Option<[u8; 16]>> =
            kept.iter().map(|kept| kept.batch.template.map(|id| *id.as_bytes())).collect();
        let columns = [
            Column::Blob(kept.iter().map(|kept| kept.batch.id.as_bytes().as_slice()).collect()),
            Column::Int(kept.iter().map(|kept| kept.item.organization.0).collect()),
            Column::Int(vec![now.micros(); kept.len()]),
            Column::Int(kept.iter().map(|kept| count(kept.accepted())).collect()),
            Column::Int(kept.iter().map(|kept| count(kept.rejected())).collect()),
            Column::Text(refused.iter().map(String::as_str).collect()),
            Column::MaybeBlob(
                templates.iter().map(|id| id.as_ref().map(<[u8; 16]>::as_slice)).collect(),
            ),
        ];
        self.conn.run(&INSERT_BATCHES, &columns).await?;
        Ok(())
    }
}

impl Kept<'_> {
    fn accepted(&self) -> usize {
        self.item.messages.len() - self.refused.len()
    }

    fn rejected(&self) -> usize {
        self.batch.refused.len() + self.refused.len()
    }

    /// Who was refused and why, in the order of the request.
    fn refused_text(&self) -> String {
        let before = self.batch.refused.iter().map(|(place, error)| {
            (*place, serde_json::from_str::<Value>(error).unwrap_or(Value::Null))
        });
        let by_gates = self.refused.iter().map(|(at, refusal)| {
            let place = self.batch.places.get(*at).copied().unwrap_or(u32::MAX);
            (place, refusal_json(refusal))
        });
        let mut all: Vec<(u32, Value)> = before.chain(by_gates).collect();
        all.sort_by_key(|(place, _)| *place);
        let list = all.into_iter().map(|(index, error)| json!({"index": index, "error": error}));
        Value::Array(list.collect()).to_string()
    }
}

static INSERT_BATCHES: Bulk = Bulk {
    sqlite: "insert into batches
            (id, organization_id, created_at, accepted, rejected, refused, template_id)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    postgres: "insert into batches
            (id, organization_id, created_at, accepted, rejected, refused, template_id)
         select * from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[],
            $5::bigint[], $6::text[], $7::bytea[])",
};
