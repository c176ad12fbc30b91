//! Long messages of which some parts are delivered, and no word of the others comes.
//!
//! Some carriers send a receipt for one part alone. After a while the message counts as delivered,
//! with the reason beside it. Table: messages.

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::message::Status;

use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::lane::{EventRow, Gathered, Lane};

/// As it is told: not every part has a receipt.
const REASON: &str = "part_receipts_missing";

impl Lane {
    /// Ends messages whose last receipt of a part came before that, a few at a time.
    pub(in crate::lane) async fn settle_partly(
        &mut self,
        before: At,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let lines = self.conn.fetch(&PARTLY, &[Column::Int(vec![before.micros()])]).await?;
        if lines.is_empty() {
            return Ok(());
        }
        let mut keys = Vec::with_capacity(lines.len());
        for line in lines {
            let key = MessageKey(line.int(0)?);
            keys.push(key.0);
            gathered.events.push(EventRow {
                organization: OrgId(line.int(1)?),
                message: key,
                kind: EventKind::Delivered,
                status: Status::Delivered,
                detail: Some(format!("{{\"reason\":\"{REASON}\"}}")),
            });
        }
        let done = Column::Int(vec![now.micros(); keys.len()]);
        self.conn.run(&SETTLE, &[Column::Int(keys), done]).await?;
        Ok(())
    }
}

static PARTLY: Bulk = Bulk {
    sqlite: "select key, organization_id from messages
         where status = 3 and partly_at < ?1 limit 500",
    postgres: "select m.key, m.organization_id from unnest($1::bigint[]) v (b)
         join messages m on m.partly_at < v.b where m.status = 3 limit 500",
};

static SETTLE: Bulk = Bulk {
    sqlite: "update messages set status = 4, status_reason = 'part_receipts_missing', done_at = ?2,
            partly_at = null where key = ?1",
    postgres: "update messages set status = 4, status_reason = 'part_receipts_missing',
         done_at = v.n, partly_at = null from unnest($1::bigint[], $2::bigint[]) v (k, n) where key = v.k",
};
