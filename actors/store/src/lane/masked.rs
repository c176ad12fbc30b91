//! Texts to an organization's number: whose they are, and whom they are sent on to by a masking session.
//!
//! What is sent on is written down as due in the transaction that stores the message, beside the answers to
//! keywords, and sent by whoever sends those, once. Tables: numbers, proxy_parties, proxy_sessions,
//! keyword_replies.

use model::carrier::OrgId;
use model::clock::At;
use model::id::{Kind, PublicId};

use super::keywords::Heard;
use super::proxy::interaction;
use super::{Gathered, Inbound, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// The number that was written to.
pub(super) struct Numbered {
    pub(super) organization: OrgId,
    /// Whom the number means to who wrote.
    pub(super) means: Option<Means>,
}

pub(super) struct Means {
    session: i64,
    id: PublicId,
    other: String,
}

impl Lane {
    /// Whose number was written to. An organization's own carrier brings nothing to others' numbers.
    pub(super) async fn numbered(
        &mut self,
        item: &Inbound,
        now: At,
    ) -> Result<Option<Numbered>, StoreError> {
        let columns = [
            Column::Text(vec![&item.to]),
            Column::Text(vec![&item.from]),
            Column::Int(vec![now.micros()]),
            Column::MaybeInt(vec![item.carrier_organization.map(|owner| owner.0)]),
        ];
        let lines = self.conn.fetch(&NUMBERED, &columns).await?;
        let Some(line) = lines.first() else { return Ok(None) };
        let means = match line.maybe_int(1)? {
            None => None,
            Some(session) => {
                let id = line.blob(2)?.as_slice().try_into();
                let id = id.map_err(|_| StoreError::Impossible("a session without an id"))?;
                Some(Means { session, id: PublicId::from_bytes(id), other: line.text(3)? })
            }
        };
        Ok(Some(Numbered { organization: OrgId(line.int(0)?), means }))
    }

    /// Sends a text on to the other party, from the number it was written to. What is no text stays.
    pub(super) async fn send_on(
        &mut self,
        heard: &Heard<'_>,
        means: &Means,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let item = heard.item;
        if item.body.is_empty() || !item.said.user_data.is_empty() {
            return Ok(());
        }
        let columns = [
            Column::Int(vec![heard.key.0]),
            Column::Int(vec![heard.owner.0]),
            Column::Blob(vec![heard.id.as_bytes()]),
            Column::Text(vec![&means.other]),
            Column::Text(vec![&item.to]),
            Column::Text(vec![&item.body]),
            Column::Int(vec![now.micros()]),
            Column::Blob(vec![means.id.as_bytes()]),
        ];
        self.conn.run(&OWE_TEXT, &columns).await?;
        self.interacted(&[means.session]).await?;
        let message = heard.id.show(Kind::Message);
        let told = interaction(heard.owner, means.id, "sms", ("message_id", &message));
        gathered.events.push(told);
        gathered.replies_due = true;
        Ok(())
    }
}

static NUMBERED: Bulk = Bulk {
    sqlite: "select n.organization_id, s.id, s.public_id,
            case when s.party_a = ?2 then s.party_b else s.party_a end
         from numbers n
         left join proxy_parties p on p.number_id = n.id and p.party = ?2 and p.free_at is null
            and n.status = 2 and n.routing like '{\"type\":\"proxy\"%'
         left join proxy_sessions s on s.id = p.session_id and s.status = 1 and s.expires_at > ?3
            and s.channels in (2, 3) and s.organization_id = n.organization_id
         where n.e164 = ?1 and n.status in (2, 4)
            and n.organization_id = coalesce(?4, n.organization_id)",
    postgres: "select n.organization_id, s.id, s.public_id,
            case when s.party_a = v.f then s.party_b else s.party_a end
         from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) v (t, f, a, o)
         join numbers n on n.e164 = v.t
         left join proxy_parties p on p.number_id = n.id and p.party = v.f and p.free_at is null
            and n.status = 2 and n.routing like '{\"type\":\"proxy\"%'
         left join proxy_sessions s on s.id = p.session_id and s.status = 1 and s.expires_at > v.a
            and s.channels in (2, 3) and s.organization_id = n.organization_id
         where n.status in (2, 4) and n.organization_id = coalesce(v.o, n.organization_id)",
};

/// With an action that no keyword has.
static OWE_TEXT: Bulk = Bulk {
    sqlite: "insert into keyword_replies (message_key, organization_id, message_id, address,
            number, action, body, state, created_at, session)
         values (?1, ?2, ?3, ?4, ?5, 0, ?6, 1, ?7, ?8)",
    postgres: "insert into keyword_replies (message_key, organization_id, message_id, address,
            number, action, body, state, created_at, session)
         select v.k, v.o, v.i, v.a, v.n, 0, v.b, 1, v.t, v.s
         from unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::text[],
            $6::text[], $7::bigint[], $8::bytea[]) v (k, o, i, a, n, b, t, s)",
};
