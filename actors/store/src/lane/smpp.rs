//! Customers' SMPP accounts, as they change. Tables: smpp_accounts; organizations, for their pace.
//!
//! Rare, so one statement a row, but for the cursors: each commit may move many of them.

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;

use super::{Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// All that can be set of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmppSettings {
    pub name: String,
    /// JSON list.
    pub allowed_ips: String,
    pub bind_types: i64,
    pub max_binds: i64,
    pub tps: i64,
    pub window_size: i64,
    pub test: bool,
    pub category: i64,
    pub default_sender: Option<String>,
    /// The pool that chooses one, in its place.
    pub default_sender_pool: Option<PublicId>,
    /// JSON list.
    pub allowed_senders: String,
    pub receipt_format: i64,
    pub id_format: i64,
    /// JSON list.
    pub inbound_numbers: String,
    pub once_by_reference: bool,
    pub congestion_state: bool,
    pub intermediate_receipts: bool,
    pub disabled: bool,
    /// JSON object: where it is called; and its password, sealed.
    pub outbind: Option<String>,
    pub outbind_password: Option<Vec<u8>>,
}

/// A change of one account.
#[derive(Clone, Debug)]
pub enum SmppChange {
    Create {
        id: PublicId,
        organization: OrgId,
        system_id: String,
        password_mac: [u8; 32],
        settings: SmppSettings,
    },
    /// As long as it is still the one that was read: `updated_at` says so.
    Update {
        id: PublicId,
        organization: OrgId,
        seen: At,
        settings: SmppSettings,
    },
    SetPassword {
        id: PublicId,
        organization: OrgId,
        password_mac: [u8; 32],
    },
    Delete {
        id: PublicId,
        organization: OrgId,
    },
    /// The pace of an organization's accounts that have none of their own; 0 is no limit.
    SetPace {
        organization: OrgId,
        tps: i64,
    },
}

/// How far the events of an account were delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmppCursor {
    pub account: i64,
    pub seq: i64,
}

impl Lane {
    /// The number of rows that changed: none when the name is taken, the account is not there, or
    /// it is not the one any more that was read.
    pub(super) async fn change_smpp(
        &mut self,
        change: &SmppChange,
        now: At,
        _gathered: &mut Gathered,
    ) -> Result<bool, StoreError> {
        let touched = match change {
            SmppChange::Create { id, organization, system_id, password_mac, settings } => {
                let number = self.number();
                let mut columns = vec![
                    Column::Int(vec![number]),
                    Column::Blob(vec![id.as_bytes()]),
                    Column::Int(vec![organization.0]),
                    Column::Text(vec![system_id]),
                    Column::Blob(vec![password_mac]),
                ];
                columns.extend(settings.columns(now));
                self.conn.run(&INSERT_ACCOUNT, &columns).await?
            }
            SmppChange::Update { id, organization, seen, settings } => {
                let mut columns = vec![
                    Column::Blob(vec![id.as_bytes()]),
                    Column::Int(vec![organization.0]),
                    Column::Int(vec![seen.micros()]),
                ];
                // A later moment than was seen, so that a second change of one moment is noticed.
                columns.extend(settings.columns(At(now.micros().max(seen.micros() + 1))));
                self.conn.run(&UPDATE_ACCOUNT, &columns).await?
            }
            SmppChange::SetPassword { id, organization, password_mac } => {
                let columns = [
                    Column::Blob(vec![id.as_bytes()]),
                    Column::Int(vec![organization.0]),
                    Column::Blob(vec![password_mac]),
                    Column::Int(vec![now.micros()]),
                ];
                self.conn.run(&SET_PASSWORD, &columns).await?
            }
            SmppChange::Delete { id, organization } => {
                let columns =
                    [Column::Blob(vec![id.as_bytes()]), Column::Int(vec![organization.0])];
                self.conn.run(&DELETE_ACCOUNT, &columns).await?
            }
            SmppChange::SetPace { organization, tps } => {
                let columns = [Column::Int(vec![organization.0]), Column::Int(vec![*tps])];
                self.conn.run(&SET_PACE, &columns).await?
            }
        };
        Ok(touched > 0)
    }

    pub(super) async fn move_cursors(&mut self, cursors: &[SmppCursor]) -> Result<(), StoreError> {
        let columns = [
            Column::Int(cursors.iter().map(|cursor| cursor.account).collect()),
            Column::Int(cursors.iter().map(|cursor| cursor.seq).collect()),
        ];
        self.conn.run(&MOVE_CURSORS, &columns).await?;
        Ok(())
    }
}

impl SmppSettings {
    fn columns(&self, now: At) -> Vec<Column<'_>> {
        vec![
            Column::Text(vec![&self.name]),
            Column::Text(vec![&self.allowed_ips]),
            Column::Int(vec![self.bind_types]),
            Column::Int(vec![self.max_binds]),
            Column::Int(vec![self.tps]),
            Column::Int(vec![self.window_size]),
            Column::Int(vec![i64::from(self.test)]),
            Column::Int(vec![self.category]),
            Column::MaybeText(vec![self.default_sender.as_deref()]),
            Column::Text(vec![&self.allowed_senders]),
            Column::Int(vec![self.receipt_format]),
            Column::Int(vec![self.id_format]),
            Column::Text(vec![&self.inbound_numbers]),
            Column::Int(vec![i64::from(self.once_by_reference)]),
            Column::Int(vec![i64::from(self.congestion_state)]),
            Column::Int(vec![i64::from(self.intermediate_receipts)]),
            Column::Int(vec![now.micros()]),
            Column::MaybeInt(vec![self.disabled.then_some(now.micros())]),
            Column::MaybeText(vec![self.outbind.as_deref()]),
            Column::MaybeBlob(vec![self.outbind_password.as_deref()]),
            Column::MaybeBlob(vec![self.default_sender_pool.as_ref().map(|id| &id.as_bytes()[..])]),
        ]
    }
}

static INSERT_ACCOUNT: Bulk = Bulk {
    sqlite: "insert into smpp_accounts (id, public_id, organization_id, system_id, password_mac,
            name, allowed_ips, bind_types, max_binds, tps, window_size, test_mode, category,
            default_sender, allowed_senders, receipt_format, id_format, inbound_numbers,
            once_by_reference, congestion_state, intermediate_receipts, cursor, created_at,
            updated_at, disabled_at, outbind, outbind_password, default_sender_pool)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
            ?19, ?20, ?21, (select coalesce(max(seq), 0) from events), ?22, ?22, ?23, ?24, ?25,
            ?26)
         on conflict (system_id) do nothing",
    postgres: "insert into smpp_accounts (id, public_id, organization_id, system_id, password_mac,
            name, allowed_ips, bind_types, max_binds, tps, window_size, test_mode, category,
            default_sender, allowed_senders, receipt_format, id_format, inbound_numbers,
            once_by_reference, congestion_state, intermediate_receipts, cursor, created_at,
            updated_at, disabled_at, outbind, outbind_password, default_sender_pool)
         select v.i, v.p, v.o, v.s, v.m, v.n, v.ip, v.bt, v.mb, v.tps, v.w, v.t, v.c, v.ds, v.as_,
            v.rf, v.f, v.inb, v.once, v.cs, v.ir,
            (select coalesce(max(seq), 0) from events), v.at, v.at, v.d, v.ob, v.obp, v.dp
         from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[], $5::bytea[], $6::text[],
            $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
            $13::bigint[], $14::text[], $15::text[], $16::bigint[], $17::bigint[], $18::text[],
            $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[],
            $24::text[], $25::bytea[], $26::bytea[])
            v (i, p, o, s, m, n, ip, bt, mb, tps, w, t, c, ds, as_, rf, f, inb, once, cs, ir, at,
               d, ob, obp, dp)
         on conflict (system_id) do nothing",
};

static UPDATE_ACCOUNT: Bulk = Bulk {
    sqlite: "update smpp_accounts set name = ?4, allowed_ips = ?5, bind_types = ?6,
            max_binds = ?7, tps = ?8, window_size = ?9, test_mode = ?10, category = ?11,
            default_sender = ?12, allowed_senders = ?13, receipt_format = ?14, id_format = ?15,
            inbound_numbers = ?16, once_by_reference = ?17, congestion_state = ?18,
            intermediate_receipts = ?19, updated_at = ?20, disabled_at = ?21, outbind = ?22,
            outbind_password = ?23, default_sender_pool = ?24
         where public_id = ?1 and organization_id = ?2 and updated_at = ?3",
    postgres: "update smpp_accounts a set name = v.n, allowed_ips = v.ip, bind_types = v.bt,
            max_binds = v.mb, tps = v.tps, window_size = v.w, test_mode = v.t, category = v.c,
            default_sender = v.ds, allowed_senders = v.as_, receipt_format = v.rf,
            id_format = v.f, inbound_numbers = v.inb, once_by_reference = v.once,
            congestion_state = v.cs, intermediate_receipts = v.ir,
            updated_at = v.at, disabled_at = v.d, outbind = v.ob, outbind_password = v.obp,
            default_sender_pool = v.dp
         from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[],
            $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[],
            $13::text[], $14::bigint[], $15::bigint[], $16::text[], $17::bigint[], $18::bigint[],
            $19::bigint[], $20::bigint[], $21::bigint[], $22::text[], $23::bytea[],
            $24::bytea[])
            v (p, o, seen, n, ip, bt, mb, tps, w, t, c, ds, as_, rf, f, inb, once, cs, ir, at, d,
               ob, obp, dp)
         where a.public_id = v.p and a.organization_id = v.o and a.updated_at = v.seen",
};

static SET_PASSWORD: Bulk = Bulk {
    sqlite: "update smpp_accounts set password_mac = ?3, updated_at = max(?4, updated_at + 1)
         where public_id = ?1 and organization_id = ?2",
    postgres: "update smpp_accounts a set password_mac = v.m,
            updated_at = greatest(v.at, a.updated_at + 1)
         from unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bigint[]) v (p, o, m, at)
         where a.public_id = v.p and a.organization_id = v.o",
};

static DELETE_ACCOUNT: Bulk = Bulk {
    sqlite: "delete from smpp_accounts where public_id = ?1 and organization_id = ?2",
    postgres: "delete from smpp_accounts where (public_id, organization_id) in
         (select * from unnest($1::bytea[], $2::bigint[]))",
};

static SET_PACE: Bulk = Bulk {
    sqlite: "update organizations set smpp_tps = ?2 where id = ?1",
    postgres: "update organizations o set smpp_tps = v.t
         from unnest($1::bigint[], $2::bigint[]) v (o, t) where o.id = v.o",
};

static MOVE_CURSORS: Bulk = Bulk {
    sqlite: "update smpp_accounts set cursor = ?2 where id = ?1 and cursor < ?2",
    postgres: "update smpp_accounts a set cursor = v.s
         from unnest($1::bigint[], $2::bigint[]) v (i, s) where a.id = v.i and a.cursor < v.s",
};
