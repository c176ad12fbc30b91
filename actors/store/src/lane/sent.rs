//! Messages that were handed over and say no more than that: written once for a transaction, together
//! with their receipts where those came in the same.
//!
//! Tables: messages.

use model::carrier::MessageKey;
use model::clock::At;

use super::{Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

impl Lane {
    /// Writes what was handed over and has not been written with its receipts.
    pub(super) async fn write_sent(
        &mut self,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let mut sent: Vec<(MessageKey, String)> = gathered.sent.drain().collect();
        sent.sort_unstable_by_key(|(key, _)| key.0);
        let columns = [
            Column::Int(sent.iter().map(|(key, _)| key.0).collect()),
            Column::Same(now.micros(), sent.len()),
            Column::Text(sent.iter().map(|(_, id)| id.as_str()).collect()),
        ];
        self.conn.run(&UPDATE_SENT, &columns).await?;
        Ok(())
    }
}

static UPDATE_SENT: Bulk = Bulk {
    sqlite: "update messages set status = 3, sent_at = ?2, done_at = null, external_id = ?3,
         status_reason = null, error_code = null, carrier_error = null, nameless = null
         where key = ?1",
    postgres:
        "update messages set status = 3, sent_at = $2::bigint, done_at = null, external_id = v.x,
         status_reason = null, error_code = null, carrier_error = null, nameless = null
         from (select unnest($1::bigint[]) as k, unnest($3::text[]) as x) v
         where key = v.k",
};
