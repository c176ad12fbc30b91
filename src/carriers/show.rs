//! Credentials and carriers as callers see them: JSON objects, without a password ever.

use actors::smpp::owner::CarrierView;
use model::clock::At;
use model::id::{Kind, PublicId};
use proto_smpp::BindKind;
use serde_json::{Map, Value, json};
use store::{SmppCarrierRow, SmppCredentialRow};

use super::change::public;
use super::form::{self, Fields, Part};
use super::{Book, Filed};
use crate::settings::Carrier;

impl Book {
    pub(crate) fn show_credential(&self, row: &SmppCredentialRow) -> Value {
        let fields = form::stored(&row.settings);
        let read = form::read(&fields, &Fields::new(), "account", "");
        let shown = read.map_or(fields, |carrier| form::shown(&carrier, Part::Credential));
        let (status, last_error) = self.standing(row.account.as_deref());
        let carrier = row.carrier.as_deref().map(|id| public(id).show(Kind::Carrier));
        with(
            shown,
            json!({
                "id": public(&row.public_id).show(Kind::SmppCredential),
                "name": row.name,
                "source": "api",
                "status": status,
                "last_error": last_error,
                "carrier_id": carrier,
                "revealed_at": row.revealed_at.map(|at| At(at).iso()),
                "created_at": At(row.created_at).iso(),
                "updated_at": At(row.updated_at).iso(),
            }),
        )
    }

    pub(crate) fn show_carrier(&self, row: &SmppCarrierRow) -> Value {
        let fields = form::stored(&row.settings);
        let read = form::read(&Fields::new(), &fields, &row.account, "");
        let shown = read.map_or(fields, |carrier| form::shown(&carrier, Part::Carrier));
        let (status, last_error) = self.standing(Some(&row.account));
        let platform = row.organization_id.is_none();
        with(
            shown,
            json!({
                "id": public(&row.public_id).show(Kind::Carrier),
                "name": row.name,
                "source": "api",
                "scope": if platform { "platform" } else { "org" },
                "credential_id": public(&row.credential).show(Kind::SmppCredential),
                "enabled": row.disabled_at.is_none(),
                "status": status,
                "last_error": last_error,
                "created_at": At(row.created_at).iso(),
                "updated_at": At(row.updated_at).iso(),
            }),
        )
    }

    pub(crate) fn show_filed_credential(&self, filed: &Filed) -> Value {
        let carrier = &filed.carrier;
        let (status, last_error) = self.standing(Some(&carrier.name));
        let shown = form::shown(carrier, Part::Credential);
        with(
            shown,
            json!({
                "id": filed.credential_id().show(Kind::SmppCredential),
                "name": carrier.name,
                "source": "settings",
                "status": status,
                "last_error": last_error,
                "carrier_id": filed.carrier_id().show(Kind::Carrier),
                "revealed_at": null,
                "created_at": null,
                "updated_at": null,
            }),
        )
    }

    pub(crate) fn show_filed_carrier(&self, filed: &Filed) -> Value {
        let carrier = &filed.carrier;
        let (status, last_error) = self.standing(Some(&carrier.name));
        let scope = if filed.organization.is_none() { "platform" } else { "org" };
        with(
            form::shown(carrier, Part::Carrier),
            json!({
                "id": filed.carrier_id().show(Kind::Carrier),
                "name": carrier.name,
                "source": "settings",
                "scope": scope,
                "credential_id": filed.credential_id().show(Kind::SmppCredential),
                "enabled": carrier.enabled,
                "status": status,
                "last_error": last_error,
                "created_at": null,
                "updated_at": null,
            }),
        )
    }

    /// How an account stands, bind by bind.
    pub(crate) fn show_status(&self, account: Option<&str>, carrier: Option<PublicId>) -> Value {
        let (status, last_error) = self.standing(account);
        let view = account.and_then(|account| self.view(account));
        let count = |read: fn(&CarrierView) -> i64| view.as_deref().map_or(0, read);
        let binds: Vec<Value> = view
            .iter()
            .flat_map(|view| view.binds.iter())
            .map(|bind| {
                json!({
                    "type": match bind.kind {
                        BindKind::Transmitter => "transmitter",
                        BindKind::Receiver => "receiver",
                        BindKind::Transceiver => "transceiver",
                    },
                    "status": bind.standing().as_str(),
                    "since": bind.since().iso(),
                    "window_in_use": bind.in_flight(),
                    "last_enquire_link_at": bind.enquired().map(At::iso),
                    "last_error": Some(bind.last_error()).filter(|text| !text.is_empty()),
                })
            })
            .collect();
        json!({
            "status": status,
            "last_error": last_error,
            "carrier_id": carrier.map(|id| id.show(Kind::Carrier)),
            "waiting": count(|view| view.waiting().max(0)),
            "in_flight": count(|view| i64::try_from(view.in_flight()).unwrap_or(0)),
            "in_doubt": count(|view| i64::try_from(view.in_doubt()).unwrap_or(0)),
            "binds": binds,
        })
    }

    fn standing(&self, account: Option<&str>) -> (&'static str, Option<String>) {
        let Some(account) = account else { return ("disabled", None) };
        if let Some(why) = self.fault(account) {
            return ("failed", Some(why));
        }
        match self.view(account) {
            Some(view) => (view.status(), Some(view.last_error()).filter(|text| !text.is_empty())),
            None if self.is_planned(account) => ("connecting", None),
            None => ("disabled", None),
        }
    }
}

/// A carrier of the API as one of the settings.
pub(crate) fn whole(row: &SmppCarrierRow) -> Option<Carrier> {
    form::read(&Fields::new(), &form::stored(&row.settings), &row.account, "").ok()
}

/// The fixed fields first.
fn with(fields: Fields, fixed: Value) -> Value {
    let mut all = match fixed {
        Value::Object(fixed) => fixed,
        _ => Map::new(),
    };
    all.extend(fields);
    Value::Object(all)
}
