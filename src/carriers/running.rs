//! The list as it runs: read from rows, and given to supervisors, routing and the sweeper at once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use actors::customer::webhook::guard::Networks;
use actors::traffic::admission::{Admission, Routes};
use actors::traffic::router::CarrierRoute;
use actors::traffic::sweeper::Watch;
use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::id::PublicId;
use store::lane::{Admin, CarrierChange};
use store::{RunnableRow, StoreError};
use supervisors::carrier::CarrierArgs;

use super::form;
use super::{Book, Running};
use crate::boot::carriers as made;
use crate::settings::Carrier;

/// Rows read at once.
const PAGE: i64 = 500;
/// A change that nobody was told of is found after this long.
const LOOK: Duration = Duration::from_secs(30);

/// The list while it is made.
#[derive(Default)]
struct Draft {
    accounts: Vec<CarrierArgs>,
    routes: Vec<CarrierRoute>,
    watched: HashMap<CarrierId, Watch>,
    /// Accounts of which nothing is said any more, and that have not ended.
    unsaid: Vec<CarrierId>,
    faults: HashMap<String, String>,
    names: HashSet<String>,
    /// What runs now, by account.
    known: HashMap<Arc<str>, CarrierArgs>,
}

impl Book {
    /// Brings what runs to what is stored. Whoever changed a row asks for this; so does a timer.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        self.look().await.map(drop)
    }

    /// The same; names accounts of which nothing is said any more.
    async fn look(&self) -> Result<Vec<CarrierId>, StoreError> {
        let Some(running) = &self.0.running else { return Ok(Vec::new()) };
        let _busy = running.busy.lock().await;
        let draft = self.draft(running).await?;
        let Draft { accounts, routes, watched, faults, unsaid, .. } = draft;
        let watched = watched.into_values().collect();
        *running.watched.write().unwrap_or_else(PoisonError::into_inner) = watched;
        *running.faults.write().unwrap_or_else(PoisonError::into_inner) = faults;
        running.plan.set(accounts);
        running.admission.replace(Routes { carriers: routes, ..running.routes.clone() });
        if let Some(told) = running.told.get() {
            told();
        }
        Ok(unsaid)
    }

    /// After a change: what is stored is stored, and a look that fails is made up for.
    pub(crate) async fn changed(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "carriers could not be read; the next look finds the change");
        }
    }

    /// Looks again and again.
    pub(crate) async fn watch(self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.look().await {
                Ok(unsaid) => self.end(unsaid).await,
                Err(error) => tracing::warn!(%error, "carriers could not be read"),
            }
        }
    }

    /// Puts down that these accounts have ended; the next look names them again if it fails.
    async fn end(&self, accounts: Vec<CarrierId>) {
        if accounts.is_empty() {
            return;
        }
        let change = Admin::Carrier(Box::new(CarrierChange::End(accounts)));
        if let Err(refusal) = self.0.writer.administer(change).await {
            tracing::warn!(why = %refusal.message, "the end of accounts is not put down yet");
        }
    }

    /// Checks for one carrier alone, whatever it is otherwise chosen for.
    pub(crate) fn through(
        &self,
        id: CarrierId,
        carrier: &Carrier,
        organization: Option<OrgId>,
    ) -> Option<Admission> {
        let running = self.0.running.as_ref()?;
        let everything = made::for_all(carrier);
        let routes = Routes {
            carriers: vec![made::route(&everything, id, organization)],
            sandbox: None,
            sandbox_live: None,
            ..running.routes.clone()
        };
        let admission = Admission::new(routes).guarded(running.admission.guard().clone());
        Some(admission.intercepted(running.admission.interceptors().clone()))
    }

    async fn draft(&self, running: &Running) -> Result<Draft, StoreError> {
        let known = running.plan.accounts().into_iter();
        let known = known.map(|args| (args.profile.name.clone(), args)).collect();
        let mut draft = Draft { known, ..Draft::default() };
        for filed in &self.0.filed {
            let carrier = &filed.carrier;
            let args = match carrier.enabled {
                true => self.account(running, &draft, carrier, filed.organization, None),
                false => Ok(self.parked(running, &carrier.name)),
            };
            self.enter(running, &mut draft, filed.id, args, &carrier.name);
            draft.routes.push(made::route(carrier, filed.id, filed.organization));
        }
        let mut after = 0;
        loop {
            let rows = self.0.store.runnable_carriers(after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            for row in &rows {
                self.run(running, &mut draft, row);
            }
        }
        for args in &running.sandboxes {
            draft.names.insert(args.profile.name.to_string());
            draft.accounts.push(args.clone());
        }
        self.left_over(running, &mut draft).await?;
        Ok(draft)
    }

    /// One carrier of the API.
    fn run(&self, running: &Running, draft: &mut Draft, row: &RunnableRow) {
        let id = CarrierId(row.carrier_id);
        let organization = row.organization_id.map(OrgId);
        let credential = row.credential.as_slice().try_into().map(PublicId::from_bytes);
        let opened = credential.ok().and_then(|id| self.0.vault.open(id, &row.password));
        let fields = (form::stored(&row.credential_settings), form::stored(&row.settings));
        let password = opened.as_deref().unwrap_or_default();
        let settings = &self.0.settings;
        let read = form::read(&fields.0, &fields.1, &row.account, password);
        let Ok(carrier) = read else {
            let why = String::from("its settings do not fit this version");
            return self.enter(running, draft, id, Err(why), &row.account);
        };
        let networks = settings.smpp.networks();
        let only = organization.is_some().then_some(&networks);
        let args = if row.disabled_at.is_some() {
            Ok(self.parked(running, &row.account))
        } else if opened.is_none() {
            Err(String::from("the password does not open: the key is another one, set it anew"))
        } else {
            self.account(running, draft, &carrier, organization, only)
        };
        let carrier = Carrier { enabled: row.disabled_at.is_none() && args.is_ok(), ..carrier };
        draft.routes.push(made::route(&carrier, id, organization));
        self.enter(running, draft, id, args, &row.account);
        let timeout = carrier.dlr_timeout_h.map(|hours| Duration::from_secs(hours * 3_600));
        draft.watch(id, timeout.unwrap_or(self.usual_timeout()));
    }

    /// An account as it runs, or as it would: what reads files is not made anew for nothing.
    fn account(
        &self,
        running: &Running,
        draft: &Draft,
        carrier: &Carrier,
        organization: Option<OrgId>,
        only: Option<&Networks>,
    ) -> Result<CarrierArgs, String> {
        if let Some(args) = draft.known.get(carrier.name.as_str())
            && args.profile.made_of == made::made_of(carrier, organization)
        {
            return Ok(args.clone());
        }
        let profile = made::profile(carrier, organization, &self.0.settings, only)?;
        Ok(made::account(profile, &running.parts))
    }

    fn parked(&self, running: &Running, account: &str) -> CarrierArgs {
        made::account(made::parked(account, &self.0.settings), &running.parts)
    }

    fn enter(
        &self,
        running: &Running,
        draft: &mut Draft,
        id: CarrierId,
        args: Result<CarrierArgs, String>,
        account: &str,
    ) {
        let args = args.unwrap_or_else(|why| {
            tracing::error!(carrier = account, why, "a carrier cannot be run");
            draft.faults.insert(account.to_owned(), why);
            self.parked(running, account)
        });
        draft.watch(id, args.profile.receipt_timeout);
        if draft.names.insert(account.to_owned()) {
            draft.accounts.push(args);
        }
    }

    /// Accounts of which nothing is said any more. Their receipts are given up in time; and where
    /// messages wait, an owner without binds lets them expire, and can give them to others. Each of
    /// the three is one question, however many accounts there were.
    async fn left_over(&self, running: &Running, draft: &mut Draft) -> Result<(), StoreError> {
        let store = &self.0.store;
        for account in
            store.accounts_apart().await?.into_iter().chain(store.accounts_ended().await?)
        {
            let id = CarrierId(account.id);
            let own = running.sandboxes.iter().find(|a| *a.profile.name == account.name);
            let timeout = own.map_or(self.usual_timeout(), |args| args.profile.receipt_timeout);
            let ended = account.ended_at.map(At);
            draft.watched.entry(id).or_insert(Watch {
                carrier: id,
                receipt_timeout: timeout,
                ended,
            });
            if ended.is_none() && !draft.names.contains(&account.name) {
                draft.unsaid.push(id);
            }
        }
        for account in store.accounts_waiting().await? {
            if !draft.names.contains(&account.name) {
                draft.accounts.push(self.parked(running, &account.name));
            }
        }
        Ok(())
    }

    fn usual_timeout(&self) -> Duration {
        Duration::from_secs(self.0.settings.smpp.receipt_timeout_h * 3_600)
    }
}

impl Draft {
    /// An account of the list: its receipts are waited for so long.
    fn watch(&mut self, carrier: CarrierId, receipt_timeout: Duration) {
        self.watched.insert(carrier, Watch { carrier, receipt_timeout, ended: None });
    }
}
