//! Inbound messages: stored once, under the organization they belong to, before the carrier is told.
//!
//! The owner is the organization that last wrote from that number to that person (30 days), else
//! the carrier's; with neither it goes to quarantine. Tables: inbound_seen, messages, quarantine.

use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;
use model::message::{Category, Direction, Encoding, Status};

use super::work::Quarantined;
use super::{EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::json::quoted;

/// A carrier that lost our acknowledgement with its connection sends again within this time.
const REPEAT_WINDOW_US: i64 = 10 * 60 * 1_000_000;
const REPLY_WINDOW_US: i64 = 30 * 24 * 3_600 * 1_000_000;

/// A message from a handset, as a carrier delivered it.
#[derive(Clone, Debug)]
pub struct Inbound {
    pub carrier: CarrierId,
    /// The organization a carrier account is bound to, if any.
    pub carrier_organization: Option<OrgId>,
    pub from: String,
    pub to: String,
    pub body: String,
    pub encoding: Encoding,
    pub from_ton: u8,
    /// The PDU's user data as it came.
    pub raw: Vec<u8>,
    /// Equal for a repeat of the same delivery.
    pub fingerprint: [u8; 32],
    /// When the connection it came by was opened. Only what was stored before that can have lost
    /// its acknowledgement: later equal words are another message.
    pub session: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboundFate {
    Stored(OrgId),
    Repeated,
    /// Nobody's: kept in quarantine.
    Ownerless,
}

impl Lane {
    /// One by one: inbound traffic is a trickle beside outbound, and its owner must be looked for.
    pub(super) async fn inbound(
        &mut self,
        items: &[Inbound],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Vec<InboundFate>, StoreError> {
        let mut fates = Vec::with_capacity(items.len());
        for item in items {
            let seen = [
                Column::Int(vec![item.carrier.0]),
                Column::Blob(vec![item.fingerprint.as_slice()]),
                Column::Int(vec![item.session]),
                Column::Int(vec![now.micros()]),
                Column::Int(vec![now.micros() - REPEAT_WINDOW_US]),
            ];
            if self.conn.run(&INSERT_SEEN, &seen).await? == 0 {
                fates.push(InboundFate::Repeated);
                continue;
            }
            let fate = match self.owner(item, now).await? {
                Some(owner) => {
                    self.store_inbound(item, owner, now, gathered).await?;
                    InboundFate::Stored(owner)
                }
                None => {
                    let reason = String::from("inbound_without_owner");
                    let item_text = format!(
                        "{{\"from\":{},\"to\":{},\"body\":{}}}",
                        quoted(&item.from),
                        quoted(&item.to),
                        quoted(&item.body)
                    );
                    let carrier = Some(item.carrier);
                    let set_aside = Quarantined { carrier, message: None, reason, item: item_text };
                    self.quarantine(&[set_aside], now).await?;
                    InboundFate::Ownerless
                }
            };
            fates.push(fate);
        }
        Ok(fates)
    }

    async fn owner(&mut self, item: &Inbound, now: At) -> Result<Option<OrgId>, StoreError> {
        let columns = [
            Column::Text(vec![&item.from]),
            Column::Text(vec![&item.to]),
            Column::Int(vec![now.micros() - REPLY_WINDOW_US]),
        ];
        let lines = self.conn.fetch(&LAST_WRITER, &columns).await?;
        match lines.first() {
            Some(line) => Ok(Some(OrgId(line.int(0)?))),
            None => Ok(item.carrier_organization),
        }
    }

    async fn store_inbound(
        &mut self,
        item: &Inbound,
        owner: OrgId,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let key = model::carrier::MessageKey(self.number());
        let id = PublicId::new(now);
        let columns = [
            Column::Int(vec![key.0]),
            Column::Blob(vec![id.as_bytes()]),
            Column::Int(vec![owner.0]),
            Column::Int(vec![Direction::Inbound.code()]),
            Column::Int(vec![Status::Received.code()]),
            Column::Int(vec![Category::Transactional.code()]),
            Column::Int(vec![item.encoding.code()]),
            Column::Int(vec![item.carrier.0]),
            Column::Int(vec![i64::from(item.from_ton)]),
            Column::Int(vec![now.micros()]),
            Column::Text(vec![&item.to]),
            Column::Text(vec![&item.from]),
            Column::Text(vec![&item.body]),
            Column::Blob(vec![&item.raw]),
        ];
        self.conn.run(&INSERT_INBOUND, &columns).await?;
        gathered.events.push(EventRow {
            organization: owner,
            message: key,
            kind: EventKind::Received,
            status: Status::Received,
            detail: None,
        });
        Ok(())
    }
}

static INSERT_SEEN: Bulk = Bulk {
    sqlite: "insert into inbound_seen (carrier_id, fingerprint, session, at)
         values (?1, ?2, ?3, ?4)
         on conflict (carrier_id, fingerprint) do update
         set session = excluded.session, at = excluded.at
         where inbound_seen.session = excluded.session
            or inbound_seen.at >= excluded.session or inbound_seen.at < ?5",
    postgres: "insert into inbound_seen (carrier_id, fingerprint, session, at)
         select v.c, v.f, v.s, v.a
         from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[])
            v (c, f, s, a, b)
         on conflict (carrier_id, fingerprint) do update
         set session = excluded.session, at = excluded.at
         where inbound_seen.session = excluded.session
            or inbound_seen.at >= excluded.session
            or inbound_seen.at < excluded.at - 600000000",
};

static LAST_WRITER: Bulk = Bulk {
    sqlite: "select organization_id from messages where to_addr = ?1 and from_addr = ?2
         and direction = 1 and from_ton <> 5 and created_at > ?3 order by key desc limit 1",
    postgres:
        "select m.organization_id from unnest($1::text[], $2::text[], $3::bigint[]) v (t, f, a)
         join messages m on m.to_addr = v.t and m.from_addr = v.f
         where m.direction = 1 and m.from_ton <> 5 and m.created_at > v.a
         order by m.key desc limit 1",
};

static INSERT_INBOUND: Bulk = Bulk {
    sqlite: "insert into messages (key, id, organization_id, direction, status, category, encoding,
            segments, test_mode, carrier_id, unit_price, from_ton, created_at, to_addr, from_addr,
            body, raw)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, 0, ?8, 0, ?9, ?10, ?11, ?12, ?13, ?14)",
    postgres: "insert into messages (key, id, organization_id, direction, status, category,
            encoding, segments, test_mode, carrier_id, unit_price, from_ton, created_at, to_addr,
            from_addr, body, raw)
         select v.k, v.i, v.o, v.d, v.s, v.g, v.e, 1, 0, v.c, 0, v.n, v.a, v.t, v.f, v.b, v.r
         from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[],
            $12::text[], $13::text[], $14::bytea[])
            v (k, i, o, d, s, g, e, c, n, a, t, f, b, r)",
};
