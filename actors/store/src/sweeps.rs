//! The log as the sweeper reads it: which messages went out, in order. Tables: lanes, sweeps, events,
//! carriers.

use model::carrier::CarrierId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// One `sent` event, or the end of a stretch of others, with where its message stands now.
    pub struct SweepRow {
        pub seq: i64,
        pub at: i64,
        pub kind: i64,
        pub message_key: i64,
        pub organization_id: i64,
        pub status: i64,
        pub carrier_id: i64,
    }
}

row! {
    struct CursorRow {
        lane_id: i64,
        seq: i64,
    }
}

impl Store {
    /// Each writer's life whose log this carrier's sweep may still have to read: lane and cursor.
    pub async fn sweep_cursors(&self, carrier: CarrierId) -> Result<Vec<(i64, i64)>, StoreError> {
        let sql = "select l.id as lane_id,
                case when s.seq > c.swept_from then s.seq else c.swept_from end as seq
            from carriers c join lanes l on (l.id + 1) * 1099511627776 > c.swept_from
            left join sweeps s on s.lane_id = l.id and s.carrier_id = c.id
            where c.id = $1 and c.settled_at is null
                and coalesce(s.seq, 0) < 9223372036854775807
            order by l.id";
        let rows: Vec<CursorRow> =
            sqlx::query_as(sql).bind(carrier.0).fetch_all(self.engine()).await?;
        Ok(rows.into_iter().map(|row| (row.lane_id, row.seq)).collect())
    }

    /// The next stretch of a lane's log.
    pub async fn log_after(
        &self,
        lane: i64,
        seq: i64,
        limit: i64,
    ) -> Result<Vec<SweepRow>, StoreError> {
        let sql = "select e.seq, e.at, e.kind, e.message_key, e.organization_id, m.status,
                m.carrier_id
            from events e join messages m on m.key = e.message_key
            where e.seq > $1 and e.seq < $2 order by e.seq limit $3";
        Ok(sqlx::query_as(sql)
            .bind(seq.max(lane << 40))
            .bind((lane + 1) << 40)
            .bind(limit)
            .fetch_all(self.engine())
            .await?)
    }
}
