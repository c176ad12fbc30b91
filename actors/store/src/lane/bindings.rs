//! Where phones are registered: what the registrar stores of it, many changes in a batch.
//!
//! Of several changes of one binding only the last is written. Nothing is written for a credential that
//! is not active any more: a registration that was under way does not outlive it. Tables: sip_bindings;
//! sip_credentials, as a condition.

use std::collections::HashMap;

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};

use super::{EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// Whose binding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registrant {
    /// The stored number of the credential.
    pub credential: i64,
    pub public_id: PublicId,
    pub organization: OrgId,
}

/// A contact of a credential, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub of: Registrant,
    /// What a later registration of the same phone has too: its instance and flow, or its contact.
    pub key: String,
    /// The address of record.
    pub aor: String,
    pub contact: String,
    /// `+sip.instance` and `reg-id` (RFC 5626).
    pub instance: Option<String>,
    pub reg_id: Option<i64>,
    /// Nearest first (RFC 3327).
    pub path: Vec<String>,
    pub call_id: String,
    pub cseq: i64,
    pub user_agent: Option<String>,
    /// `udp`, `tcp`, `tls`, `ws`, `wss`.
    pub transport: String,
    /// Address and port that the request came from.
    pub received_from: String,
    /// What the node that holds it calls the connection or socket.
    pub flow: String,
    pub node: String,
    /// Preference, in thousandths.
    pub q: i64,
    pub registered_at: At,
    pub expires_at: At,
}

/// Why a binding is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// The phone said so.
    Asked,
    Expired,
    /// Its connection is gone, or it does not answer.
    Lost,
    /// Newer ones took its place.
    Replaced,
    /// The credential was changed, or its bindings dropped, by the API.
    Dropped,
}

impl Unbound {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "unregistered",
            Self::Expired => "expired",
            Self::Lost => "connection_lost",
            Self::Replaced => "replaced",
            Self::Dropped => "dropped",
        }
    }
}

/// A change of bindings.
#[derive(Clone, Debug)]
pub enum BindingChange {
    /// In place of the one with its key, if there is one; a new one is told in the log.
    Put { binding: Box<Binding>, is_new: bool },
    /// Told in the log, with its contact.
    Remove { of: Registrant, key: String, contact: String, why: Unbound },
}

/// The last word on each binding.
type Last<'a> = HashMap<(i64, &'a str), Option<&'a Binding>>;

impl Lane {
    pub(super) async fn bind(
        &mut self,
        changes: &[BindingChange],
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut last = Last::with_capacity(changes.len());
        for change in changes {
            match change {
                BindingChange::Put { binding, is_new } => {
                    last.insert((binding.of.credential, &binding.key), Some(binding));
                    if *is_new {
                        tell(binding.of, EventKind::SipRegistered, registered(binding), gathered);
                    }
                }
                BindingChange::Remove { of, key, contact, why } => {
                    last.insert((of.credential, key), None);
                    let detail = unregistered(*of, contact, *why);
                    tell(*of, EventKind::SipUnregistered, detail, gathered);
                }
            }
        }
        let gone = || last.iter().filter(|(_, binding)| binding.is_none()).map(|(key, _)| key);
        let columns = [
            Column::Int(gone().map(|(credential, _)| *credential).collect()),
            Column::Text(gone().map(|(_, key)| *key).collect()),
        ];
        self.conn.run(&REMOVE, &columns).await?;
        let mut puts: Vec<&Binding> = last.into_values().flatten().collect();
        // Neighbours in the table are written one after the other.
        puts.sort_unstable_by(|a, b| (a.of.credential, &a.key).cmp(&(b.of.credential, &b.key)));
        self.put_bindings(&puts).await
    }

    async fn put_bindings(&mut self, puts: &[&Binding]) -> Result<(), StoreError> {
        let text = |of: fn(&Binding) -> &str| Column::Text(puts.iter().map(|b| of(b)).collect());
        let int = |of: fn(&Binding) -> i64| Column::Int(puts.iter().map(|b| of(b)).collect());
        let paths: Vec<String> =
            puts.iter().map(|b| serde_json::json!(b.path).to_string()).collect();
        let columns = [
            int(|b| b.of.credential),
            text(|b| &b.key),
            int(|b| b.of.organization.0),
            text(|b| &b.aor),
            text(|b| &b.contact),
            Column::MaybeText(puts.iter().map(|b| b.instance.as_deref()).collect()),
            Column::MaybeInt(puts.iter().map(|b| b.reg_id).collect()),
            Column::Text(paths.iter().map(String::as_str).collect()),
            text(|b| &b.call_id),
            int(|b| b.cseq),
            Column::MaybeText(puts.iter().map(|b| b.user_agent.as_deref()).collect()),
            text(|b| &b.transport),
            text(|b| &b.received_from),
            text(|b| &b.flow),
            text(|b| &b.node),
            int(|b| b.q),
            int(|b| b.registered_at.micros()),
            int(|b| b.expires_at.micros()),
        ];
        self.conn.run(&PUT, &columns).await?;
        Ok(())
    }

    /// Drops all bindings of a credential, and tells each.
    pub(super) async fn unbind(
        &mut self,
        organization: OrgId,
        (credential, public_id): (i64, PublicId),
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let of = Registrant { credential, public_id, organization };
        for line in self.conn.fetch(&REMOVE_ALL, &[Column::Int(vec![credential])]).await? {
            let detail = unregistered(of, &line.text(0)?, Unbound::Dropped);
            tell(of, EventKind::SipUnregistered, detail, gathered);
        }
        Ok(())
    }
}

fn tell(of: Registrant, kind: EventKind, detail: serde_json::Value, gathered: &mut Gathered) {
    let detail = detail.to_string();
    gathered.events.push(EventRow::of_organization(of.organization, kind, detail));
}

fn registered(binding: &Binding) -> serde_json::Value {
    serde_json::json!({
        "credential_id": binding.of.public_id.show(Kind::SipCredential),
        "aor": binding.aor,
        "contact": binding.contact,
        "transport": binding.transport,
        "user_agent": binding.user_agent,
        "expires_at": binding.expires_at.iso(),
    })
}

fn unregistered(of: Registrant, contact: &str, why: Unbound) -> serde_json::Value {
    serde_json::json!({
        "credential_id": of.public_id.show(Kind::SipCredential),
        "contact": contact,
        "reason": why.as_str(),
    })
}

static PUT: Bulk = Bulk {
    sqlite: "insert into sip_bindings (credential_id, binding, organization_id, aor, contact,
            instance, reg_id, path, call_id, cseq, user_agent, transport, received_from, flow,
            node, q, registered_at, expires_at)
         select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18
         from sip_credentials c where c.id = ?1 and c.status = 1
         on conflict (credential_id, binding) do update set aor = excluded.aor,
            contact = excluded.contact, instance = excluded.instance, reg_id = excluded.reg_id,
            path = excluded.path, call_id = excluded.call_id, cseq = excluded.cseq,
            user_agent = excluded.user_agent, transport = excluded.transport,
            received_from = excluded.received_from, flow = excluded.flow, node = excluded.node,
            q = excluded.q, registered_at = excluded.registered_at,
            expires_at = excluded.expires_at",
    postgres: "insert into sip_bindings (credential_id, binding, organization_id, aor, contact,
            instance, reg_id, path, call_id, cseq, user_agent, transport, received_from, flow,
            node, q, registered_at, expires_at)
         select v.* from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[],
            $6::text[], $7::bigint[], $8::text[], $9::text[], $10::bigint[], $11::text[],
            $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::bigint[],
            $18::bigint[]) v (c)
         join sip_credentials k on k.id = v.c and k.status = 1
         on conflict (credential_id, binding) do update set aor = excluded.aor,
            contact = excluded.contact, instance = excluded.instance, reg_id = excluded.reg_id,
            path = excluded.path, call_id = excluded.call_id, cseq = excluded.cseq,
            user_agent = excluded.user_agent, transport = excluded.transport,
            received_from = excluded.received_from, flow = excluded.flow, node = excluded.node,
            q = excluded.q, registered_at = excluded.registered_at,
            expires_at = excluded.expires_at",
};

static REMOVE: Bulk = Bulk {
    sqlite: "delete from sip_bindings where credential_id = ?1 and binding = ?2",
    postgres: "delete from sip_bindings b using unnest($1::bigint[], $2::text[]) v (c, k)
         where b.credential_id = v.c and b.binding = v.k",
};

static REMOVE_ALL: Bulk = Bulk {
    sqlite: "delete from sip_bindings where credential_id = ?1 returning contact",
    postgres: "delete from sip_bindings where credential_id = any ($1::bigint[])
         returning contact",
};
