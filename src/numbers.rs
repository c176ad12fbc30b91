//! Phone numbers as they change: in the store first, then in memory, where the switch looks them up.
//!
//! Shared by the API and the operator's desk; no actor. The rows are the truth: the operator's stock,
//! and what organizations have bought of it. A purchase and its first month are one transaction.

use std::time::Duration;

use actors::sip::numbers::Numbers;
use actors::writer::WriterHandle;
use model::carrier::OrgId;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::number::Routing;
use model::refusal::{Code, Detail, Refusal};
use model::renewal::Patience;
use store::lane::{
    Admin, AdminDone, NewNumber, NumberChange, NumberDone, NumberSettings, RenewNumbers,
};
use store::{NumberRow, Store, StoreError};

use crate::settings::Settings;
use crate::vault::Vault;

/// Rows read at once, at the start.
const PAGE: i64 = 1_000;

/// The numbers; a clone is the same ones.
#[derive(Clone)]
pub(crate) struct NumberBook {
    store: Store,
    writer: WriterHandle,
    vault: Vault,
    numbers: Numbers,
    /// Of what was given back.
    grace: Duration,
    patience: Patience,
    /// Between two sweeps for months that are over.
    period: Duration,
}

/// A routing as it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct AskedRouting {
    /// None: calls are not taken.
    pub(crate) routing: Option<Routing>,
    /// Of `sip_forward`.
    pub(crate) password: Option<String>,
    /// Calls are recorded.
    pub(crate) record: bool,
}

/// What is bought.
#[derive(Clone, Debug)]
pub(crate) struct Purchase {
    pub(crate) e164: String,
    pub(crate) label: String,
    pub(crate) compliance_profile_id: Option<String>,
}

impl NumberBook {
    pub(crate) fn new(
        settings: &Settings,
        store: Store,
        writer: WriterHandle,
        vault: Vault,
    ) -> Self {
        let opener = vault.clone();
        let numbers = Numbers::new(Box::new(move |id, sealed| opener.open(id, sealed)));
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let asked = &settings.numbers;
        let patience =
            Patience { grace: days(asked.grace_days), suspended: days(asked.suspended_days) };
        let (grace, period) = (days(asked.parked_days), Duration::from_secs(asked.renew_sweep_s));
        Self { store, writer, vault, numbers, grace, patience, period }
    }

    /// The numbers as calls see them.
    pub(crate) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// Reads every number that somebody has into memory.
    pub(crate) async fn load(&self) -> Result<(), StoreError> {
        let (mut after, mut all) = (0, Vec::new());
        loop {
            let rows = self.store.number_routes(after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            all.extend(rows);
        }
        self.numbers.fill(&all);
        Ok(())
    }

    /// Puts numbers in stock; answers how many are new.
    pub(crate) async fn stock(&self, numbers: Vec<NewNumber>) -> Result<u64, Refusal> {
        match self.change(NumberChange::Stock(numbers), None).await? {
            NumberDone::Stocked(count) => Ok(count),
            other => Err(told(&other)),
        }
    }

    /// Takes a number that nobody has out of stock.
    pub(crate) async fn withdraw(&self, e164: &str) -> Result<(), Refusal> {
        self.stored(NumberChange::Withdraw { e164: e164.to_owned() }, None).await
    }

    pub(crate) async fn buy(
        &self,
        organization: OrgId,
        purchase: Purchase,
    ) -> Result<NumberRow, Refusal> {
        let Purchase { e164, label, compliance_profile_id } = purchase;
        let change = NumberChange::Buy {
            organization,
            e164: e164.clone(),
            label,
            compliance_profile_id,
            at: At::now(),
        };
        match self.change(change, Some(&e164)).await? {
            NumberDone::Bought(id) => self.find(organization, id).await,
            other => Err(told(&other)),
        }
    }

    pub(crate) async fn update(
        &self,
        row: &NumberRow,
        settings: NumberSettings,
    ) -> Result<NumberRow, Refusal> {
        let (organization, id) = key_of(row);
        let seen = At(row.updated_at);
        let change = NumberChange::Update { organization, id, seen, settings };
        self.stored(change, Some(&row.e164)).await?;
        self.find(organization, id).await
    }

    pub(crate) async fn route(
        &self,
        row: &NumberRow,
        asked: AskedRouting,
    ) -> Result<NumberRow, Refusal> {
        let (organization, id) = key_of(row);
        let trunk = asked.routing.as_ref().and_then(Routing::trunk);
        let trunk = match trunk.map(|text| PublicId::parse(Kind::Trunk, text)) {
            Some(None) => return Err(told(&NumberDone::NoTrunk)),
            Some(trunk) => trunk,
            None => None,
        };
        let sealed = asked.password.map(|password| self.vault.seal(id, &password)).transpose();
        let password = sealed.map_err(|error| {
            tracing::error!(%error, "a routing's password cannot be sealed");
            Refusal::new(Code::InternalError, "the password cannot be stored")
        })?;
        let routing = asked.routing.as_ref().map(Routing::text);
        let record = asked.record;
        let change = NumberChange::Route { organization, id, routing, trunk, password, record };
        self.stored(change, Some(&row.e164)).await?;
        self.find(organization, id).await
    }

    /// Gives a number back.
    pub(crate) async fn park(&self, row: &NumberRow) -> Result<(), Refusal> {
        let (organization, id) = key_of(row);
        let change = NumberChange::Park { organization, id, grace: self.grace };
        self.stored(change, Some(&row.e164)).await
    }

    /// Says whether another month is paid when one is over.
    pub(crate) async fn auto_renew(
        &self,
        row: &NumberRow,
        auto_renew: bool,
    ) -> Result<NumberRow, Refusal> {
        let (organization, id) = key_of(row);
        let change = NumberChange::AutoRenew { organization, id, auto_renew };
        self.stored(change, Some(&row.e164)).await?;
        self.find(organization, id).await
    }

    /// Charges months that are over, as long as the switch runs.
    pub(crate) async fn renewing(self) {
        let mut untold = Vec::new();
        loop {
            tokio::time::sleep(self.period).await;
            if !self.writer.is_draining()
                && let Err(refusal) = self.renew(At::now(), &mut untold).await
            {
                tracing::warn!(error = %refusal.message, "the renewal of numbers waits");
            }
        }
    }

    /// Charges what is due at a time. `untold` are numbers that changed, and that calls do not know of
    /// yet: they are read again whatever broke off before.
    pub(crate) async fn renew(&self, at: At, untold: &mut Vec<String>) -> Result<(), Refusal> {
        let asked = RenewNumbers { at, patience: self.patience, parked: self.grace };
        loop {
            let change = Admin::Number(Box::new(NumberChange::Renew(asked)));
            let done = self.writer.administer(change).await;
            let more = match &done {
                Ok(AdminDone::Number(NumberDone::Renewed(renewed))) => {
                    untold.extend(renewed.changed.iter().cloned());
                    renewed.more
                }
                _ => false,
            };
            while let Some(e164) = untold.last() {
                let row = self.store.number_route(e164).await.map_err(|error| away(&error))?;
                row.iter().for_each(|row| self.numbers.put(row));
                untold.pop();
            }
            done?;
            if !more {
                return Ok(());
            }
        }
    }

    async fn find(&self, organization: OrgId, id: PublicId) -> Result<NumberRow, Refusal> {
        let row = self.store.number(organization, id).await;
        row.map_err(|error| away(&error))?.ok_or_else(unknown)
    }

    async fn stored(&self, change: NumberChange, e164: Option<&str>) -> Result<(), Refusal> {
        match self.change(change, e164).await? {
            NumberDone::Stored => Ok(()),
            other => Err(told(&other)),
        }
    }

    /// Stores a change and takes up the number; also when the caller leaves.
    async fn change(
        &self,
        change: NumberChange,
        e164: Option<&str>,
    ) -> Result<NumberDone, Refusal> {
        let (book, e164) = (self.clone(), e164.map(str::to_owned));
        let change = async move {
            let done = book.writer.administer(Admin::Number(Box::new(change))).await?;
            if let Some(e164) = e164 {
                let row = book.store.number_route(&e164).await.map_err(|error| away(&error))?;
                row.iter().for_each(|row| book.numbers.put(row));
            }
            match done {
                AdminDone::Number(done) => Ok(done),
                _ => Err(Refusal::new(Code::InternalError, "the change could not be stored")),
            }
        };
        let broken = |_| Err(Refusal::new(Code::InternalError, "the change broke off"));
        tokio::spawn(change).await.unwrap_or_else(broken)
    }
}

fn key_of(row: &NumberRow) -> (OrgId, PublicId) {
    let id = PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default());
    (OrgId(row.organization_id), id)
}

fn told(done: &NumberDone) -> Refusal {
    match done {
        NumberDone::Unknown => unknown(),
        NumberDone::NotAvailable => {
            let message = "the number is not in stock, or somebody else was faster";
            Refusal::new(Code::NumberNotAvailable, message).field("phone_number")
        }
        NumberDone::TooPoor { price } => {
            let message = "the balance does not cover the first month; top up the wallet";
            let refusal = Refusal::new(Code::BalanceTooLow, message);
            refusal.detail("monthly_cost_micros", Detail::Number(price.0))
        }
        NumberDone::NoTrunk => Refusal::new(Code::ValidationError, "there is no such SIP trunk")
            .field("config.trunkId"),
        NumberDone::Changed => {
            let message =
                "the number was changed by somebody else meanwhile; read it and try again";
            Refusal::new(Code::Conflict, message)
        }
        NumberDone::Stored
        | NumberDone::Stocked(_)
        | NumberDone::Bought(_)
        | NumberDone::Renewed(_) => {
            Refusal::new(Code::InternalError, "the change could not be stored")
        }
    }
}

pub(crate) fn unknown() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such number")
}

fn away(error: &StoreError) -> Refusal {
    tracing::error!(%error, "numbers cannot be read");
    Refusal::unavailable("the store does not answer")
}
