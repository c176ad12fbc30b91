//! SIP trunks as they change: those of the API in the store first, then in memory, beside those of the
//! settings file, which do not change while the switch runs.
//!
//! Shared by the API and the operator's desk; no actor. The rows are the truth. A password is sealed
//! under the key that lies beside the database, and opened only for the list that the switch reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actors::customer::webhook::guard::Networks;
use actors::sip::trunks::{Password, Trunk, Trunks};
use actors::writer::WriterHandle;
use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::refusal::{Code, Detail, Refusal};
use model::trunk::{Encryption, Source, TRUNKS_MAX, Target, TrunkSettings};
use sha2::{Digest as _, Sha256};
use store::lane::{Admin, AdminDone, NewTrunk, TrunkChange, TrunkDone, TrunkPassword};
use store::{Store, StoreError, TrunkListedRow, TrunkRow};

use crate::carriers::form::may_lead_to;
use crate::settings::{Direction, EgressTrunk, Settings};
use crate::vault::Vault;

/// Rows read at once, at the start.
const PAGE: i64 = 500;

/// The trunks; a clone is the same ones.
#[derive(Clone)]
pub(crate) struct TrunkBook {
    store: Store,
    writer: WriterHandle,
    vault: Vault,
    trunks: Trunks,
    networks: Networks,
    /// Held while a change goes to the store and then to memory, so that both see one order.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A trunk as it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct AskedTrunk {
    pub(crate) name: String,
    pub(crate) fields: TrunkSettings,
    pub(crate) password: AskedPassword,
    pub(crate) disabled: bool,
}

/// What is said of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AskedPassword {
    /// Nothing.
    Unsaid,
    None,
    Is(Password),
}

impl TrunkBook {
    pub(crate) fn new(
        settings: &Settings,
        store: Store,
        writer: WriterHandle,
        vault: Vault,
    ) -> Self {
        let networks = settings.sip.networks();
        let trunks = Trunks::new(networks.clone(), settings.egress.allow_tenant_trunks);
        trunks.replace([(None, settings.egress.trunks.iter().map(filed).collect())]);
        Self { store, writer, vault, trunks, networks, turn: Arc::default() }
    }

    /// What the switch reads.
    pub(crate) fn trunks(&self) -> &Trunks {
        &self.trunks
    }

    /// Whether a customer's trunk may be at this place, as far as it can be told without a resolver.
    pub(crate) fn may_lead_to(&self, target: &Target) -> bool {
        let is_carriers = target.address().is_some_and(|at| self.trunks.is_carriers(at));
        !is_carriers && may_lead_to(&target.host, target.port.unwrap_or(5060), &self.networks)
    }

    /// Reads the trunks of every organization into memory.
    pub(crate) async fn load(&self) -> Result<(), StoreError> {
        let (mut after, mut all) = (0, BTreeMap::<i64, Vec<Trunk>>::new());
        loop {
            let rows = self.store.all_trunks(after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            for row in &rows {
                all.entry(row.organization_id).or_default().push(self.trunk(row));
            }
        }
        self.trunks.replace(all.into_iter().map(|(own, trunks)| (Some(OrgId(own)), trunks)));
        Ok(())
    }

    pub(crate) async fn create(
        &self,
        organization: OrgId,
        asked: AskedTrunk,
    ) -> Result<TrunkListedRow, Refusal> {
        let id = PublicId::new(At::now());
        let password = match &asked.password {
            AskedPassword::Is(password) => Some(self.seal(id, password)?),
            AskedPassword::Unsaid | AskedPassword::None => None,
        };
        let trunk = new_trunk(&asked)?;
        let create = TrunkChange::Create { organization, id, trunk, password, most: TRUNKS_MAX };
        self.change(organization, create, &asked.fields.inbound_uris).await?;
        self.find(organization, id).await
    }

    /// As long as it is still the one that was seen. A password that somebody else gave does not go to
    /// another place.
    pub(crate) async fn replace(
        &self,
        row: &TrunkListedRow,
        asked: AskedTrunk,
    ) -> Result<TrunkListedRow, Refusal> {
        let (organization, id) = key_of(row);
        let place = |fields: &TrunkSettings| {
            let target = Target::parse(fields.outbound_uri.as_deref()?)?;
            Some((target.host, target.port, fields.username.clone()))
        };
        let password = match &asked.password {
            AskedPassword::Is(password) => TrunkPassword::Is(Some(self.seal(id, password)?)),
            AskedPassword::Unsaid if place(&row.fields()) == place(&asked.fields) => {
                TrunkPassword::Stays
            }
            AskedPassword::Unsaid | AskedPassword::None => TrunkPassword::Is(None),
        };
        let (seen, trunk) = (At(row.updated_at), new_trunk(&asked)?);
        let replace = TrunkChange::Replace { organization, id, seen, trunk, password };
        self.change(organization, replace, &asked.fields.inbound_uris).await?;
        self.find(organization, id).await
    }

    pub(crate) async fn delete(&self, row: &TrunkListedRow) -> Result<(), Refusal> {
        let (organization, id) = key_of(row);
        self.change(organization, TrunkChange::Delete { organization, id }, &[]).await
    }

    async fn find(&self, organization: OrgId, id: PublicId) -> Result<TrunkListedRow, Refusal> {
        let row = self.store.own_trunk(organization, id).await;
        row.map_err(|error| away(&error))?.ok_or_else(unknown)
    }

    /// Stores a change and takes it up; also when the caller leaves. Where somebody else calls from
    /// already nobody else does: who is called by whom is decided by that address.
    async fn change(
        &self,
        organization: OrgId,
        change: TrunkChange,
        sources: &[String],
    ) -> Result<(), Refusal> {
        let book = self.clone();
        let sources: Vec<Source> = sources.iter().filter_map(|text| Source::parse(text)).collect();
        let change = async move {
            let _turn = book.turn.lock().await;
            if sources.iter().any(|source| book.trunks.is_of_another(organization, source)) {
                let message = "somebody else's calls come from one of these addresses already";
                return Err(Refusal::new(Code::Conflict, message).field("inbound_uris"));
            }
            let done = book.writer.administer(Admin::Trunk(Box::new(change))).await?;
            let rows = book.store.trunks_of(organization, TRUNKS_MAX).await;
            let rows = rows.map_err(|error| away(&error))?;
            let own = rows.iter().map(|row| book.trunk(row)).collect();
            book.trunks.replace([(Some(organization), own)]);
            told(&done)
        };
        let broken = |_| Err(Refusal::new(Code::InternalError, "the change broke off"));
        tokio::spawn(change).await.unwrap_or_else(broken)
    }

    fn seal(&self, id: PublicId, password: &Password) -> Result<Vec<u8>, Refusal> {
        self.vault.seal(id, &password.0).map_err(|error| {
            tracing::error!(%error, "a trunk's password cannot be sealed");
            Refusal::new(Code::InternalError, "the password cannot be stored")
        })
    }

    fn trunk(&self, row: &TrunkRow) -> Trunk {
        let fields = row.fields();
        let id = PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default());
        let sealed = row.password.as_deref();
        let password = sealed.and_then(|sealed| self.vault.open(id, sealed));
        let opens = password.is_some() == sealed.is_some();
        if !opens {
            let trunk = &row.name;
            tracing::error!(%trunk, "its password was sealed under another key");
        }
        let ping = u64::try_from(fields.options_ping_seconds).unwrap_or(0);
        Trunk {
            id,
            organization: Some(OrgId(row.organization_id)),
            name: Arc::from(row.name.as_str()),
            target: fields.outbound_uri.as_deref().and_then(Target::parse),
            sources: fields.inbound_uris.iter().filter_map(|text| Source::parse(text)).collect(),
            username: fields.username,
            password: password.map(Password),
            codecs: fields.codecs,
            encryption: Encryption::parse(&fields.encryption).unwrap_or(Encryption::TlsSrtp),
            register: fields.register,
            ping: Some(Duration::from_secs(ping)).filter(|ping| !ping.is_zero()),
            max_channels: usize::try_from(fields.max_channels).unwrap_or(1),
            max_cps: 0,
            prefixes: Vec::new(),
            priority: 0,
            weight: 1,
            enabled: row.disabled_at.is_none() && opens,
        }
    }
}

/// A trunk of the settings file.
fn filed(trunk: &EgressTrunk) -> Trunk {
    let digest = Sha256::digest(format!("settings trunk {}", trunk.name));
    let mut octets = [0; 16];
    octets.copy_from_slice(&digest[..16]);
    let transport = model::trunk::Transport::parse(&trunk.transport);
    let target = trunk.host.clone().zip(transport);
    let target = target.map(|(host, transport)| Target { host, port: trunk.port, transport });
    let sources = trunk.inbound.iter().filter_map(|text| Source::parse(text));
    let password = trunk.password.reveal();
    Trunk {
        id: PublicId::from_bytes(octets),
        organization: None,
        name: Arc::from(trunk.name.as_str()),
        target: target.filter(|_| trunk.direction != Direction::Inbound),
        sources: sources.filter(|_| trunk.direction != Direction::Outbound).collect(),
        username: trunk.username.clone(),
        password: (!password.is_empty()).then(|| Password(password.to_owned())),
        codecs: trunk.codecs.clone(),
        encryption: Encryption::parse(&trunk.encryption).unwrap_or(Encryption::TlsSrtp),
        register: trunk.register,
        ping: Some(Duration::from_secs(trunk.options_ping_s)).filter(|ping| !ping.is_zero()),
        max_channels: trunk.max_channels as usize,
        max_cps: trunk.max_cps as usize,
        prefixes: trunk.prefixes.clone(),
        priority: trunk.priority,
        weight: trunk.weight,
        enabled: true,
    }
}

fn new_trunk(asked: &AskedTrunk) -> Result<NewTrunk, Refusal> {
    let settings = serde_json::to_string(&asked.fields);
    let broken = |_| Refusal::new(Code::InternalError, "the trunk cannot be written");
    let (name, disabled) = (asked.name.clone(), asked.disabled);
    Ok(NewTrunk { name, settings: settings.map_err(broken)?, disabled })
}

fn key_of(row: &TrunkListedRow) -> (OrgId, PublicId) {
    let id = PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default());
    (OrgId(row.organization_id), id)
}

fn told(done: &AdminDone) -> Result<(), Refusal> {
    match done {
        AdminDone::Trunk(TrunkDone::Stored) => Ok(()),
        AdminDone::Trunk(TrunkDone::Unknown) => Err(unknown()),
        AdminDone::Trunk(TrunkDone::TooMany) => {
            let refusal = Refusal::new(Code::Conflict, "there are as many SIP trunks as may be");
            Err(refusal.detail("limit", Detail::Number(TRUNKS_MAX)))
        }
        AdminDone::Trunk(TrunkDone::InUse) => {
            let message = "numbers are routed to this trunk; route them elsewhere first";
            Err(Refusal::new(Code::TrunkInUse, message))
        }
        AdminDone::Trunk(TrunkDone::Changed) => {
            let message = "the trunk was changed by somebody else meanwhile; read it and try again";
            Err(Refusal::new(Code::Conflict, message))
        }
        _ => Err(Refusal::new(Code::InternalError, "the change could not be stored")),
    }
}

pub(crate) fn unknown() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such SIP trunk")
}

fn away(error: &StoreError) -> Refusal {
    tracing::error!(%error, "SIP trunks cannot be read");
    Refusal::unavailable("the store does not answer")
}
