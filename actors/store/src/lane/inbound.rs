//! Inbound messages: stored once, under the organization they belong to, before the carrier is told.
//!
//! The owner is who has the number, else the organization that last wrote from it to that person (30
//! days), else the carrier's; with none of them it goes to quarantine. Long messages are joined first (`joining.rs`),
//! and keywords are heeded in the same transaction (`keywords.rs`).
//! Tables: inbound_seen, messages, quarantine.

use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::esme::Submitted;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::message::{Category, Direction, Encoding, Status};

use super::keywords::Heard;
use super::work::Quarantined;
use super::{EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::json::quoted;

/// A carrier that lost our acknowledgement with its connection sends again within this time.
const REPEAT_WINDOW_US: i64 = 10 * 60 * 1_000_000;
/// More octets than this are told by the message alone, not by its event.
const OCTETS_TOLD: usize = 4_096;
/// How long a message from a person counts as a reply to who wrote to it.
pub(crate) const REPLY_WINDOW_US: i64 = 30 * 24 * 3_600 * 1_000_000;

/// A message from a handset, or a part of one, as a carrier delivered it.
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
    /// What the PDU said beside its text; the octets too, where they are no text.
    pub said: Submitted,
    /// Equal for a repeat of the same delivery.
    pub fingerprint: [u8; 32],
    /// When the connection it came by was opened. Only what was stored before that can have lost
    /// its acknowledgement: later equal words are another message.
    pub session: i64,
    /// Its place among its siblings; `None`: it stands alone.
    pub part: Option<InboundPart>,
}

/// Which part of a long message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundPart {
    pub reference: u16,
    pub total: u8,
    /// From 1 to `total`.
    pub number: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboundFate {
    Stored(OrgId),
    Repeated,
    /// A part that waits for its siblings.
    Kept,
    /// Nobody's: kept in quarantine.
    Ownerless,
}

/// A message to deliver, with so many of its segments there.
pub(super) struct Whole<'a> {
    pub(super) item: &'a Inbound,
    pub(super) segments: i64,
    pub(super) of: i64,
}

/// Whose a message is, and which of the owner's messages it answers.
struct Owner {
    organization: OrgId,
    answers: Option<PublicId>,
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
            if !self.is_new(item, now).await? {
                fates.push(InboundFate::Repeated);
                continue;
            }
            fates.push(match item.part {
                Some(part) => self.join(item, part, now, gathered).await?,
                None => self.deliver(&Whole { item, segments: 1, of: 1 }, now, gathered).await?,
            });
        }
        Ok(fates)
    }

    async fn is_new(&mut self, item: &Inbound, now: At) -> Result<bool, StoreError> {
        let seen = [
            Column::Int(vec![item.carrier.0]),
            Column::Blob(vec![item.fingerprint.as_slice()]),
            Column::Int(vec![item.session]),
            Column::Int(vec![now.micros()]),
            Column::Int(vec![now.micros() - REPEAT_WINDOW_US]),
        ];
        // Equal words may be said twice, but an equal part has an equal reference: it is a repeat.
        let statement = if item.part.is_some() { &INSERT_SEEN_PART } else { &INSERT_SEEN };
        Ok(self.conn.run(statement, &seen).await? > 0)
    }

    /// Stores a whole message under its owner, and heeds it when it is a keyword.
    pub(super) async fn deliver(
        &mut self,
        whole: &Whole<'_>,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<InboundFate, StoreError> {
        let item = whole.item;
        let numbered = self.numbered(item, now).await?;
        let holder = numbered.as_ref().map(|numbered| numbered.organization);
        let Some(owner) = self.owner(item, holder, now).await? else {
            self.set_aside(item, now).await?;
            return Ok(InboundFate::Ownerless);
        };
        let (key, id) = (MessageKey(self.number()), PublicId::new(now));
        self.store_inbound(whole, owner.organization, key, id, now).await?;
        gathered.made(owner.organization, key);
        let event = |kind, detail| EventRow {
            organization: owner.organization,
            message: key,
            kind,
            status: Status::Received,
            detail,
        };
        gathered.events.push(event(EventKind::Received, detail(whole)));
        if let Some(answered) = owner.answers {
            let detail = format!("{{\"in_reply_to\":\"{}\"}}", answered.show(Kind::Message));
            gathered.events.push(event(EventKind::Replied, Some(detail)));
        }
        let heard = Heard { owner: owner.organization, key, id, item };
        let is_keyword = self.heed(&heard, now, gathered).await?;
        if let Some(means) = numbered.and_then(|numbered| numbered.means).filter(|_| !is_keyword) {
            self.send_on(&heard, &means, now, gathered).await?;
        }
        Ok(InboundFate::Stored(owner.organization))
    }

    /// Who has the number, or wrote from it last. An organization's own carrier says nothing to another one: its
    /// other end may be the organization's, which may write any number as the sender.
    async fn owner(
        &mut self,
        item: &Inbound,
        holder: Option<OrgId>,
        now: At,
    ) -> Result<Option<Owner>, StoreError> {
        let known = holder.or(item.carrier_organization);
        let columns = [
            Column::Text(vec![&item.from]),
            Column::Text(vec![&item.to]),
            Column::Int(vec![now.micros() - REPLY_WINDOW_US]),
            Column::MaybeInt(vec![known.map(|owner| owner.0)]),
        ];
        let lines = self.conn.fetch(&LAST_WRITER, &columns).await?;
        let Some(line) = lines.first() else {
            return Ok(known.map(|organization| Owner { organization, answers: None }));
        };
        let answers = <[u8; 16]>::try_from(line.blob(1)?).ok().map(PublicId::from_bytes);
        Ok(Some(Owner { organization: OrgId(line.int(0)?), answers }))
    }

    async fn set_aside(&mut self, item: &Inbound, now: At) -> Result<(), StoreError> {
        let text = format!(
            "{{\"from\":{},\"to\":{},\"body\":{}}}",
            quoted(&item.from),
            quoted(&item.to),
            quoted(&item.body)
        );
        let reason = String::from("inbound_without_owner");
        let set_aside =
            Quarantined { carrier: Some(item.carrier), message: None, reason, item: text };
        self.quarantine(&[set_aside], now).await
    }

    async fn store_inbound(
        &mut self,
        whole: &Whole<'_>,
        owner: OrgId,
        key: MessageKey,
        id: PublicId,
        now: At,
    ) -> Result<(), StoreError> {
        let item = whole.item;
        let said = item.said.to_octets();
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
            Column::Int(vec![whole.segments]),
            Column::Blob(vec![&said]),
        ];
        self.conn.run(&INSERT_INBOUND, &columns).await?;
        Ok(())
    }
}

/// What its event says beside the text: what is missing of it, or the octets that are no text.
fn detail(whole: &Whole<'_>) -> Option<String> {
    let mut fields = Vec::new();
    if whole.segments < whole.of {
        let (there, all) = (whole.segments, whole.of);
        fields
            .push(format!("\"incomplete\":true,\"parts_received\":{there},\"parts_total\":{all}"));
    }
    let octets = &whole.item.said.user_data;
    if (1..=OCTETS_TOLD).contains(&octets.len()) {
        let coding = whole.item.said.data_coding;
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        fields.push(format!("\"data_coding\":{coding},\"octets\":\"{hex}\""));
    }
    (!fields.is_empty()).then(|| format!("{{{}}}", fields.join(",")))
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

static INSERT_SEEN_PART: Bulk = Bulk {
    sqlite: "insert into inbound_seen (carrier_id, fingerprint, session, at)
         values (?1, ?2, ?3, ?4)
         on conflict (carrier_id, fingerprint) do update
         set session = excluded.session, at = excluded.at where inbound_seen.at < ?5",
    postgres: "insert into inbound_seen (carrier_id, fingerprint, session, at)
         select v.c, v.f, v.s, v.a
         from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[])
            v (c, f, s, a, b)
         on conflict (carrier_id, fingerprint) do update
         set session = excluded.session, at = excluded.at
         where inbound_seen.at < excluded.at - 600000000",
};

static LAST_WRITER: Bulk = Bulk {
    sqlite: "select organization_id, id from messages where to_addr = ?1 and from_addr = ?2
         and direction = 1 and from_ton <> 5 and created_at > ?3
            and organization_id = coalesce(?4, organization_id) order by key desc limit 1",
    postgres: "select m.organization_id, m.id from unnest($1::text[], $2::text[], $3::bigint[],
            $4::bigint[]) v (t, f, a, o)
         join messages m on m.to_addr = v.t and m.from_addr = v.f
         where m.direction = 1 and m.from_ton <> 5 and m.created_at > v.a
            and m.organization_id = coalesce(v.o, m.organization_id)
         order by m.key desc limit 1",
};

static INSERT_INBOUND: Bulk = Bulk {
    sqlite: "insert into messages (key, id, organization_id, direction, status, category, encoding,
            segments, test_mode, carrier_id, unit_price, from_ton, created_at, to_addr, from_addr,
            body, raw, submitted)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?15, 0, ?8, 0, ?9, ?10, ?11, ?12, ?13, ?14, ?16)",
    postgres: "insert into messages (key, id, organization_id, direction, status, category,
            encoding, segments, test_mode, carrier_id, unit_price, from_ton, created_at, to_addr,
            from_addr, body, raw, submitted)
         select v.k, v.i, v.o, v.d, v.s, v.g, v.e, v.m, 0, v.c, 0, v.n, v.a, v.t, v.f, v.b, v.r,
            v.p
         from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[],
            $12::text[], $13::text[], $14::bytea[], $15::bigint[], $16::bytea[])
            v (k, i, o, d, s, g, e, c, n, a, t, f, b, r, m, p)",
};
