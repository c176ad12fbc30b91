//! What people say about being written to: one transaction over three surfaces.
//!
//! Whatever the way (a keyword, the API, a form), a statement is kept for good in the records, is
//! the channel's preference from now on, and puts an entry on the suppression list or takes away
//! what the same way had put there. What the organization itself put there stays.
//! Tables: consent_records, channel_preferences, suppression_list.

use std::collections::HashMap;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::consent::{Origin, Preference, Scope};
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::message::Status;

use super::compliance::NewSuppression;
use super::{EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::json::quoted;

/// One statement of one person about one channel.
#[derive(Clone, Debug)]
pub struct NewConsent {
    pub id: PublicId,
    pub address: String,
    pub channel: Scope,
    pub opt_in: bool,
    pub origin: Origin,
    /// Where it was said, in the organization's words.
    pub source: String,
    pub consent_type: String,
    pub lawful_basis: Option<String>,
    pub purpose: Option<String>,
    pub text_version: Option<String>,
    pub proof_url: Option<String>,
    /// JSON object as text.
    pub metadata: Option<String>,
    /// The word by which it was said, and the message that it was.
    pub keyword: Option<String>,
    pub message: Option<(MessageKey, PublicId)>,
}

impl NewConsent {
    /// STOP ends everything; any other way is about its channel.
    fn scope(&self) -> Scope {
        if self.origin == Origin::Keyword { Scope::All } else { self.channel }
    }
}

impl Lane {
    /// Keeps statements, in their order, and tells of them.
    pub(super) async fn consent(
        &mut self,
        organization: OrgId,
        said: &[NewConsent],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        self.insert_records(organization, said, now).await?;
        self.set_preferences(organization, said, now).await?;
        for one in said {
            self.list_as_said(organization, one, now).await?;
            // A person who is still on the list for another reason is not back.
            let back = one.opt_in && !self.is_suppressed(organization, one).await?;
            if back || !one.opt_in {
                gathered.events.push(told(organization, one, now));
            }
        }
        Ok(())
    }

    async fn insert_records(
        &mut self,
        organization: OrgId,
        said: &[NewConsent],
        now: At,
    ) -> Result<(), StoreError> {
        let columns = [
            Column::Int(said.iter().map(|_| self.number()).collect()),
            Column::Int(vec![organization.0; said.len()]),
            Column::Blob(said.iter().map(|c| c.id.as_bytes().as_slice()).collect()),
            Column::Text(said.iter().map(|c| c.address.as_str()).collect()),
            Column::Int(said.iter().map(|c| c.channel.code()).collect()),
            Column::Int(said.iter().map(|c| i64::from(c.opt_in)).collect()),
            Column::Text(said.iter().map(|c| c.source.as_str()).collect()),
            Column::Text(said.iter().map(|c| c.consent_type.as_str()).collect()),
            Column::MaybeText(said.iter().map(|c| c.lawful_basis.as_deref()).collect()),
            Column::MaybeText(said.iter().map(|c| c.purpose.as_deref()).collect()),
            Column::MaybeText(said.iter().map(|c| c.text_version.as_deref()).collect()),
            Column::MaybeText(said.iter().map(|c| c.proof_url.as_deref()).collect()),
            Column::MaybeText(said.iter().map(|c| c.metadata.as_deref()).collect()),
            Column::MaybeText(said.iter().map(|c| c.keyword.as_deref()).collect()),
            Column::MaybeInt(said.iter().map(|c| c.message.map(|(key, _)| key.0)).collect()),
            Column::Int(vec![now.micros(); said.len()]),
        ];
        self.conn.run(&INSERT_RECORDS, &columns).await?;
        Ok(())
    }

    async fn set_preferences(
        &mut self,
        organization: OrgId,
        said: &[NewConsent],
        now: At,
    ) -> Result<(), StoreError> {
        // One row may be written once by one statement: of several the last counts.
        let mut last: HashMap<(&str, i64), &NewConsent> = HashMap::new();
        for one in said {
            last.insert((&one.address, one.channel.code()), one);
        }
        let last: Vec<&NewConsent> = last.into_values().collect();
        let columns = [
            Column::Int(vec![organization.0; last.len()]),
            Column::Text(last.iter().map(|c| c.address.as_str()).collect()),
            Column::Int(last.iter().map(|c| c.channel.code()).collect()),
            Column::Int(last.iter().map(|c| Preference::of(c.opt_in).code()).collect()),
            Column::Text(last.iter().map(|c| c.source.as_str()).collect()),
            Column::Int(vec![now.micros(); last.len()]),
        ];
        self.conn.run(&SET_PREFERENCES, &columns).await?;
        Ok(())
    }

    /// Puts on the suppression list, or takes off it, what this statement says.
    async fn list_as_said(
        &mut self,
        organization: OrgId,
        one: &NewConsent,
        now: At,
    ) -> Result<(), StoreError> {
        let scope = one.scope();
        if one.opt_in {
            let columns = [
                Column::Int(vec![organization.0]),
                Column::Text(vec![&one.address]),
                Column::Int(vec![scope.code()]),
                Column::Int(vec![one.origin.code()]),
            ];
            self.conn.run(&TAKE_BACK, &columns).await?;
            return Ok(());
        }
        let reason = if one.origin == Origin::Keyword { "keyword" } else { "consent" };
        let entry = NewSuppression {
            id: PublicId::new(now),
            address: one.address.clone(),
            scope,
            reason: String::from(reason),
            source: one.source.clone(),
        };
        self.suppress(organization, one.origin, &[entry], now).await?;
        Ok(())
    }

    async fn is_suppressed(
        &mut self,
        organization: OrgId,
        one: &NewConsent,
    ) -> Result<bool, StoreError> {
        let columns = [
            Column::Int(vec![organization.0]),
            Column::Text(vec![&one.address]),
            Column::Int(vec![one.channel.code()]),
        ];
        Ok(!self.conn.fetch(&STILL_SUPPRESSED, &columns).await?.is_empty())
    }

    /// True while the person's word about this channel is that it wants nothing.
    pub(super) async fn has_opted_out(
        &mut self,
        organization: OrgId,
        address: &str,
        channel: Scope,
    ) -> Result<bool, StoreError> {
        let columns = [
            Column::Int(vec![organization.0]),
            Column::Text(vec![address]),
            Column::Int(vec![channel.code()]),
        ];
        let lines = self.conn.fetch(&PREFERENCE, &columns).await?;
        let state = lines.first().map(|line| line.int(0)).transpose()?;
        Ok(state == Some(Preference::OptedOut.code()))
    }
}

fn told(organization: OrgId, one: &NewConsent, now: At) -> EventRow {
    let keyword = one.keyword.as_deref().map_or(String::from("null"), quoted);
    let message = one.message.map(|(_, id)| id.show(Kind::Message));
    let detail = format!(
        "{{\"contact_id\":null,\"channel\":\"{}\",\"address\":{},\"keyword\":{keyword},\
         \"source\":{},\"message_id\":{},\"at\":\"{}\"}}",
        one.channel.as_str(),
        quoted(&one.address),
        quoted(&one.source),
        message.map_or(String::from("null"), |id| quoted(&id)),
        now.iso(),
    );
    let kind = if one.opt_in { EventKind::OptedIn } else { EventKind::OptedOut };
    of_organization(organization, kind, detail)
}

/// A line of the log that is of no message.
pub(super) fn of_organization(organization: OrgId, kind: EventKind, detail: String) -> EventRow {
    EventRow {
        organization,
        message: MessageKey(0),
        kind,
        status: Status::Received,
        detail: Some(detail),
    }
}

static INSERT_RECORDS: Bulk = Bulk {
    sqlite: "insert into consent_records (seq, organization_id, id, address, channel, opt_in,
            source, consent_type, lawful_basis, purpose, text_version, proof_url, metadata,
            keyword, message_key, at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    postgres: "insert into consent_records (seq, organization_id, id, address, channel, opt_in,
            source, consent_type, lawful_basis, purpose, text_version, proof_url, metadata,
            keyword, message_key, at)
         select * from unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::bigint[],
            $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
            $12::text[], $13::text[], $14::text[], $15::bigint[], $16::bigint[])",
};

static SET_PREFERENCES: Bulk = Bulk {
    sqlite: "insert into channel_preferences
            (organization_id, address, channel, state, source, updated_at)
         values (?1, ?2, ?3, ?4, ?5, ?6)
         on conflict (organization_id, address, channel) do update
         set state = excluded.state, source = excluded.source, updated_at = excluded.updated_at",
    postgres: "insert into channel_preferences
            (organization_id, address, channel, state, source, updated_at)
         select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[],
            $6::bigint[])
         on conflict (organization_id, address, channel) do update
         set state = excluded.state, source = excluded.source, updated_at = excluded.updated_at",
};

static TAKE_BACK: Bulk = Bulk {
    sqlite: "delete from suppression_list where organization_id = ?1 and address = ?2
         and scope = ?3 and origin = ?4",
    postgres: "delete from suppression_list s
         using unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) v (o, a, c, r)
         where s.organization_id = v.o and s.address = v.a and s.scope = v.c and s.origin = v.r",
};

static STILL_SUPPRESSED: Bulk = Bulk {
    sqlite: "select seq from suppression_list where organization_id = ?1 and address = ?2
         and scope in (0, ?3) limit 1",
    postgres: "select s.seq from unnest($1::bigint[], $2::text[], $3::bigint[]) v (o, a, c)
         join suppression_list s on s.organization_id = v.o and s.address = v.a
         and s.scope in (0, v.c) limit 1",
};

static PREFERENCE: Bulk = Bulk {
    sqlite: "select state from channel_preferences where organization_id = ?1 and address = ?2
         and channel = ?3",
    postgres: "select p.state from unnest($1::bigint[], $2::text[], $3::bigint[]) v (o, a, c)
         join channel_preferences p on p.organization_id = v.o and p.address = v.a
         and p.channel = v.c",
};
