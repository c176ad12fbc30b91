//! Administration: organizations, keys, money paid in, carriers. Rare, so one statement a row.
//!
//! Tables: organizations, api_keys, wallets, ledger (gathered), carriers.

use model::api_key::Mode;
use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;
use model::money::Micros;
use model::protection::Overrides;
use model::sip;

use super::compliance::{Compliance, Complied};
use super::{
    CancelFate, CapChange, CapDone, CarrierChange, CarrierDone, Edit, EventRow, Gathered,
    InterceptorChange, Lane, NumberChange, NumberDone, PolicyChange, PolicyDone, PoolChange,
    PoolDone, ProxyChange, ProxyDone, RecordingChange, RecordingDone, SipChange, SipDone,
    SmppChange, TemplateChange, TemplateDone, Transfer, TrunkChange, TrunkDone, WebhookChange,
    WebhookDone,
};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::ledger::TransferKind;

/// A change of accounts or carriers.
#[derive(Clone, Debug)]
pub enum Admin {
    CreateOrganization {
        id: PublicId,
        name: String,
        credit: Micros,
        sandbox: bool,
        key: NewKey,
    },
    CreateKey {
        organization: OrgId,
        key: NewKey,
    },
    RevokeKey {
        id: PublicId,
    },
    TopUp {
        organization: OrgId,
        amount: Micros,
        note: String,
    },
    /// Makes the account known by name.
    NameCarrier {
        name: String,
    },
    /// The same, and starts a new epoch of its owner.
    OwnCarrier {
        name: String,
    },
    PauseCarrier {
        carrier: CarrierId,
        paused: bool,
    },
    Smpp(Box<SmppChange>),
    Sip(Box<SipChange>),
    Trunk(Box<TrunkChange>),
    Number(Box<NumberChange>),
    Proxy(Box<ProxyChange>),
    Recording(Box<RecordingChange>),
    Interceptor(Box<InterceptorChange>),
    Carrier(Box<CarrierChange>),
    Cap(CapChange),
    Pool(Box<PoolChange>),
    /// What an organization sets for itself in place of the operator's settings.
    Protect {
        organization: OrgId,
        own: Overrides,
    },
    /// Its rules of routing, as JSON, in place of those it had.
    Route {
        organization: OrgId,
        rules: String,
    },
    /// An event of an organization, with its data as JSON: at most one of its kind an hour.
    Alert {
        organization: OrgId,
        kind: EventKind,
        detail: String,
    },
    /// An event of an organization, with its data as JSON; who tells it bounds how many.
    Tell {
        organization: OrgId,
        kind: EventKind,
        detail: String,
    },
    /// Of an organization's policy, lists and senders.
    Policy(PolicyChange),
    Comply(Compliance),
    Template {
        organization: OrgId,
        change: TemplateChange,
    },
    /// Stops those of these messages that have not begun to leave.
    Cancel {
        organization: OrgId,
        messages: Vec<MessageKey>,
    },
    /// Changes a scheduled message.
    Edit(Box<Edit>),
    Webhook(Box<WebhookChange>),
}

/// A key to store: its hash, never its text.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub id: PublicId,
    pub hash: [u8; 32],
    pub mode: Mode,
    pub scopes: String,
    pub name: String,
    pub last4: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminDone {
    Organization(OrgId),
    Key(i64),
    Revoked(bool),
    ToppedUp,
    Carrier {
        id: CarrierId,
        epoch: i64,
        paused: bool,
    },
    Paused,
    CarrierChanged(CarrierDone),
    /// False: there was nothing to change, or it is not any more what was seen.
    Smpp(bool),
    Sip(SipDone),
    Trunk(TrunkDone),
    Number(NumberDone),
    Proxy(ProxyDone),
    Recording(RecordingDone),
    /// False: there are too many, or there is no such rule.
    Interceptor(bool),
    Cap(CapDone),
    Pool(PoolDone),
    Protected,
    Routed,
    Alerted,
    Policy(PolicyDone),
    Complied(Complied),
    Template(TemplateDone),
    /// In the order of the messages named.
    Cancelled(Vec<CancelFate>),
    /// False: it is not scheduled any more, or was edited meanwhile.
    Edited(bool),
    Webhook(WebhookDone),
    /// The database takes this change in no way; it is in quarantine.
    Failed,
}

impl Lane {
    pub(super) async fn administer(
        &mut self,
        changes: &[Admin],
        now: At,
        gathered: &mut Gathered,
    ) -> Result<Vec<AdminDone>, StoreError> {
        let mut done = Vec::with_capacity(changes.len());
        let mut records = Vec::new();
        for change in changes {
            done.push(match change {
                Admin::CreateOrganization { id, name, credit, sandbox, key } => {
                    let organization = self.organization(*id, name, *sandbox, now).await?;
                    self.key(organization, key, now).await?;
                    gathered.transfer(top_up(organization, *credit, "opening credit"));
                    AdminDone::Organization(organization)
                }
                Admin::CreateKey { organization, key } => {
                    AdminDone::Key(self.key(*organization, key, now).await?)
                }
                Admin::RevokeKey { id } => {
                    let columns =
                        [Column::Blob(vec![id.as_bytes()]), Column::Int(vec![now.micros()])];
                    AdminDone::Revoked(self.conn.run(&REVOKE_KEY, &columns).await? > 0)
                }
                Admin::TopUp { organization, amount, note } => {
                    gathered.transfer(top_up(*organization, *amount, note));
                    self.topped_up(*organization).await?;
                    self.renew_soon(*organization).await?;
                    AdminDone::ToppedUp
                }
                Admin::NameCarrier { name } => self.name_account(name, None).await?,
                Admin::OwnCarrier { name } => {
                    let owned = self.own_account(name, now).await?;
                    if let AdminDone::Carrier { id, epoch, .. } = owned {
                        gathered.epochs.insert(id, epoch);
                    }
                    owned
                }
                Admin::PauseCarrier { carrier, paused } => {
                    let at = paused.then_some(now.micros());
                    let columns = [Column::Int(vec![carrier.0]), Column::MaybeInt(vec![at])];
                    self.conn.run(&PAUSE_CARRIER, &columns).await?;
                    AdminDone::Paused
                }
                Admin::Interceptor(change) => {
                    AdminDone::Interceptor(self.change_interceptor(change, now).await?)
                }
                Admin::Smpp(change) => {
                    AdminDone::Smpp(self.change_smpp(change, now, gathered).await?)
                }
                Admin::Sip(change) => AdminDone::Sip(self.change_sip(change, now, gathered).await?),
                Admin::Trunk(change) => AdminDone::Trunk(self.change_trunk(change, now).await?),
                Admin::Number(change) => {
                    AdminDone::Number(self.change_number(change, now, gathered).await?)
                }
                Admin::Proxy(change) => {
                    AdminDone::Proxy(self.change_proxy(change, now, gathered).await?)
                }
                Admin::Recording(change) => {
                    AdminDone::Recording(self.change_recording(change, now, gathered).await?)
                }
                Admin::Carrier(change) => self.change_carrier(change, now, gathered).await?,
                Admin::Pool(change) => AdminDone::Pool(self.pool(change, now, gathered).await?),
                Admin::Protect { organization, own } => {
                    self.protect(*organization, own, now, gathered).await?;
                    AdminDone::Protected
                }
                Admin::Route { organization, rules } => {
                    self.route(*organization, rules, now).await?;
                    AdminDone::Routed
                }
                Admin::Alert { organization, kind, detail } => {
                    self.alert(*organization, *kind, detail.clone(), now, gathered);
                    AdminDone::Alerted
                }
                Admin::Tell { organization, kind, detail } => {
                    let row = EventRow::of_organization(*organization, *kind, detail.clone());
                    gathered.events.push(row);
                    AdminDone::Alerted
                }
                Admin::Cap(change) => AdminDone::Cap(self.cap(change, now, gathered).await?),
                Admin::Policy(change) => {
                    AdminDone::Policy(self.change_policy(change, now, gathered).await?)
                }
                Admin::Comply(change) => {
                    AdminDone::Complied(self.comply(change, now, gathered).await?)
                }
                Admin::Template { organization, change } => {
                    AdminDone::Template(self.template(*organization, change, now).await?)
                }
                Admin::Cancel { organization, messages } => {
                    AdminDone::Cancelled(self.cancel(*organization, messages, now, gathered).await?)
                }
                Admin::Edit(edit) => AdminDone::Edited(self.edit(edit, gathered).await?),
                Admin::Webhook(change) => {
                    if let WebhookChange::Record(record) = &**change {
                        records.push(record);
                    }
                    AdminDone::Webhook(self.change_webhook(change, now, gathered).await?)
                }
            });
        }
        self.record(&records, now, gathered).await?;
        Ok(done)
    }

    async fn organization(
        &mut self,
        id: PublicId,
        name: &str,
        sandbox: bool,
        now: At,
    ) -> Result<OrgId, StoreError> {
        let organization = OrgId(self.number());
        let mut slug = sip::slug(name);
        if !self.conn.fetch(&SLUG_TAKEN, &[Column::Text(vec![&slug])]).await?.is_empty() {
            slug = sip::slug_of(name, id);
        }
        let columns = [
            Column::Int(vec![organization.0]),
            Column::Blob(vec![id.as_bytes()]),
            Column::Text(vec![name]),
            Column::Int(vec![i64::from(sandbox)]),
            Column::Int(vec![now.micros()]),
            Column::Text(vec![&slug]),
        ];
        self.conn.run(&INSERT_ORGANIZATION, &columns).await?;
        self.conn.run(&INSERT_WALLET, &[Column::Int(vec![organization.0])]).await?;
        Ok(organization)
    }

    async fn key(&mut self, organization: OrgId, key: &NewKey, now: At) -> Result<i64, StoreError> {
        let id = self.number();
        let columns = [
            Column::Int(vec![id]),
            Column::Blob(vec![key.id.as_bytes()]),
            Column::Int(vec![organization.0]),
            Column::Blob(vec![&key.hash]),
            Column::Text(vec![key.mode.as_str()]),
            Column::Text(vec![&key.scopes]),
            Column::Text(vec![&key.name]),
            Column::Text(vec![&key.last4]),
            Column::Int(vec![now.micros()]),
        ];
        self.conn.run(&INSERT_KEY, &columns).await?;
        Ok(id)
    }
}

fn top_up(organization: OrgId, amount: Micros, note: &str) -> Transfer {
    let note = Some(note.to_owned());
    Transfer { organization, message: None, kind: TransferKind::TopUp, amount, note }
}

static SLUG_TAKEN: Bulk = Bulk {
    sqlite: "select id from organizations where slug = ?1",
    postgres: "select id from organizations where slug = any ($1::text[])",
};

static INSERT_ORGANIZATION: Bulk = Bulk {
    sqlite: "insert into organizations (id, public_id, name, is_sandbox, created_at, slug)
         values (?1, ?2, ?3, ?4, ?5, ?6)",
    postgres: "insert into organizations (id, public_id, name, is_sandbox, created_at, slug)
         select * from unnest($1::bigint[], $2::bytea[], $3::text[], $4::bigint[], $5::bigint[],
            $6::text[])",
};

static INSERT_WALLET: Bulk = Bulk {
    sqlite: "insert into wallets (organization_id, available, held) values (?1, 0, 0)",
    postgres: "insert into wallets (organization_id, available, held)
         select v.o, 0, 0 from unnest($1::bigint[]) v (o)",
};

static INSERT_KEY: Bulk = Bulk {
    sqlite: "insert into api_keys
            (id, public_id, organization_id, hash, mode, scopes, name, last4, created_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    postgres: "insert into api_keys
            (id, public_id, organization_id, hash, mode, scopes, name, last4, created_at)
         select * from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bytea[], $5::text[],
            $6::text[], $7::text[], $8::text[], $9::bigint[])",
};

static REVOKE_KEY: Bulk = Bulk {
    sqlite: "update api_keys set revoked_at = ?2 where public_id = ?1 and revoked_at is null",
    postgres: "update api_keys set revoked_at = v.n
         from unnest($1::bytea[], $2::bigint[]) v (i, n)
         where public_id = v.i and revoked_at is null",
};

static PAUSE_CARRIER: Bulk = Bulk {
    sqlite: "update carriers set paused_at = ?2 where id = ?1",
    postgres: "update carriers set paused_at = v.p
         from unnest($1::bigint[], $2::bigint[]) v (c, p) where id = v.c",
};
