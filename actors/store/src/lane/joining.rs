//! Parts of long inbound messages: each a row before it is acknowledged, joined when all are there.
//!
//! Parts belong together by carrier, both addresses, reference and total. What stays incomplete is
//! delivered as it is after a time, and at once when its reference is used again for another
//! text. Table: inbound_parts.

use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::esme::Submitted;
use model::message::Encoding;

use super::inbound::{Inbound, InboundFate, InboundPart, Whole};
use super::{Gathered, Lane};
use crate::bulk::{Bulk, Column, Line};
use crate::error::StoreError;

/// What parts of one text have in common.
struct Family {
    carrier: i64,
    from: String,
    to: String,
    reference: i64,
    total: i64,
}

impl Family {
    fn of(item: &Inbound, part: InboundPart) -> Self {
        Self {
            carrier: item.carrier.0,
            from: item.from.clone(),
            to: item.to.clone(),
            reference: i64::from(part.reference),
            total: i64::from(part.total),
        }
    }

    fn columns(&self) -> Vec<Column<'_>> {
        vec![
            Column::Int(vec![self.carrier]),
            Column::Text(vec![&self.from]),
            Column::Text(vec![&self.to]),
            Column::Int(vec![self.reference]),
            Column::Int(vec![self.total]),
        ]
    }
}

impl Lane {
    /// Keeps one part; the last to come makes the message whole.
    pub(super) async fn join(
        &mut self,
        item: &Inbound,
        part: InboundPart,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<InboundFate, StoreError> {
        let family = Family::of(item, part);
        if self.keep_part(&family, item, part, now).await? == 0 {
            // This number is taken by other words: the reference was used again.
            self.deliver_family(&family, now, gathered).await?;
            self.keep_part(&family, item, part, now).await?;
        }
        let lines = self.conn.fetch(&FAMILY, &family.columns()).await?;
        if lines.len() < usize::from(part.total) {
            return Ok(InboundFate::Kept);
        }
        self.deliver_parts(&family, &lines, now, gathered).await
    }

    /// Delivers what has waited since before `before` as far as it came.
    pub(super) async fn give_up_joining(
        &mut self,
        before: At,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let columns = [Column::Int(vec![before.micros()])];
        for line in self.conn.fetch(&OVERDUE, &columns).await? {
            let family = Family {
                carrier: line.int(0)?,
                from: line.text(1)?,
                to: line.text(2)?,
                reference: line.int(3)?,
                total: line.int(4)?,
            };
            self.deliver_family(&family, now, gathered).await?;
        }
        Ok(())
    }

    async fn keep_part(
        &mut self,
        family: &Family,
        item: &Inbound,
        part: InboundPart,
        now: At,
    ) -> Result<u64, StoreError> {
        let mut columns = family.columns();
        let said = item.said.to_octets();
        columns.extend([
            Column::Int(vec![i64::from(part.number)]),
            Column::MaybeInt(vec![item.carrier_organization.map(|owner| owner.0)]),
            Column::Int(vec![item.encoding.code()]),
            Column::Int(vec![i64::from(item.from_ton)]),
            Column::Int(vec![now.micros()]),
            Column::Text(vec![&item.body]),
            Column::Blob(vec![&item.raw]),
            Column::Blob(vec![&said]),
        ]);
        self.conn.run(&KEEP_PART, &columns).await
    }

    async fn deliver_family(
        &mut self,
        family: &Family,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let lines = self.conn.fetch(&FAMILY, &family.columns()).await?;
        if !lines.is_empty() {
            self.deliver_parts(family, &lines, now, gathered).await?;
        }
        Ok(())
    }

    async fn deliver_parts(
        &mut self,
        family: &Family,
        lines: &[Line],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<InboundFate, StoreError> {
        self.conn.run(&FORGET_FAMILY, &family.columns()).await?;
        let mut item = Inbound {
            carrier: CarrierId(family.carrier),
            carrier_organization: None,
            from: family.from.clone(),
            to: family.to.clone(),
            body: String::new(),
            encoding: Encoding::Gsm7,
            from_ton: 0,
            raw: Vec::new(),
            said: Submitted::default(),
            fingerprint: [0; 32],
            session: 0,
            part: None,
        };
        for (at, line) in lines.iter().enumerate() {
            // Of what came beside the text the first part's counts; octets that are no text add up.
            let said = Submitted::from_octets(0, &line.blob(6)?).unwrap_or_default();
            if at == 0 {
                item.said = said;
            } else {
                item.said.user_data.extend_from_slice(&said.user_data);
            }
            item.carrier_organization = line.maybe_int(1)?.map(OrgId).or(item.carrier_organization);
            if line.int(2)? == Encoding::Ucs2.code() {
                item.encoding = Encoding::Ucs2;
            }
            item.from_ton = u8::try_from(line.int(3)?).unwrap_or(0);
            item.body.push_str(&line.text(4)?);
            item.raw.extend_from_slice(&line.blob(5)?);
        }
        let there = i64::try_from(lines.len()).unwrap_or(family.total);
        let whole = Whole { item: &item, segments: there, of: family.total };
        self.deliver(&whole, now, gathered).await
    }
}

static KEEP_PART: Bulk = Bulk {
    sqlite: "insert into inbound_parts (carrier_id, from_addr, to_addr, reference, total, part,
            carrier_organization, encoding, from_ton, at, body, raw, said)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) on conflict do nothing",
    postgres: "insert into inbound_parts (carrier_id, from_addr, to_addr, reference, total, part,
            carrier_organization, encoding, from_ton, at, body, raw, said)
         select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[],
            $12::bytea[], $13::bytea[]) on conflict do nothing",
};

static FAMILY: Bulk = Bulk {
    sqlite: "select part, carrier_organization, encoding, from_ton, body, raw,
            coalesce(said, x'') from inbound_parts
         where carrier_id = ?1 and from_addr = ?2 and to_addr = ?3 and reference = ?4
         and total = ?5 order by part",
    postgres: "select p.part, p.carrier_organization, p.encoding, p.from_ton, p.body, p.raw,
            coalesce(p.said, ''::bytea)
         from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
            v (c, f, t, r, n)
         join inbound_parts p on p.carrier_id = v.c and p.from_addr = v.f and p.to_addr = v.t
         and p.reference = v.r and p.total = v.n order by p.part",
};

static FORGET_FAMILY: Bulk = Bulk {
    sqlite: "delete from inbound_parts where carrier_id = ?1 and from_addr = ?2 and to_addr = ?3
         and reference = ?4 and total = ?5",
    postgres: "delete from inbound_parts p
         using unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
            v (c, f, t, r, n)
         where p.carrier_id = v.c and p.from_addr = v.f and p.to_addr = v.t
         and p.reference = v.r and p.total = v.n",
};

static OVERDUE: Bulk = Bulk {
    sqlite: "select distinct carrier_id, from_addr, to_addr, reference, total from inbound_parts
         where at < ?1 limit 200",
    postgres: "select distinct p.carrier_id, p.from_addr, p.to_addr, p.reference, p.total
         from unnest($1::bigint[]) v (b) join inbound_parts p on p.at < v.b limit 200",
};
