//! Starts one actor per webhook endpoint, and brings it back when it fails.
//!
//! root
//! └─ customers           this file
//!    └─ endpoint         one per webhook endpoint; 20 restarts in ten minutes, then it rests
//!
//! Loads what is to run when it starts, and hears of changes through its handle. It also asks the
//! writer now and then to drop deliveries that are past their time. An endpoint whose budget is
//! spent is bad for one customer and no reason to fail all others.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actors::customer::webhook::Tools;
use actors::customer::webhook::endpoint::{
    DELETED, WebhookEndpoint, WebhookEndpointArgs, WebhookEndpointMsg,
};
use actors::writer::Then;
use metrics::{Gauge, counter, gauge};
use model::clock::At;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use store::StoreError;
use store::lane::{Admin, AdminDone, WebhookChange, WebhookDone, Work};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::restart::{Log, Policy};

/// The rest of an endpoint whose budget is spent.
const LONG_REST: Duration = Duration::from_secs(600);
/// Endpoints loaded at once.
const PAGE: usize = 500;
/// Before the next try when the store does not answer.
const LOAD_REST: Duration = Duration::from_secs(1);
const SWEEP_PERIOD: Duration = Duration::from_secs(60);
/// As many rows dropped at once mean that there are more.
const SWEEP_FULL: u64 = 2_000;

#[derive(Debug)]
pub enum CustomersMsg {
    /// An endpoint was made or changed, or has events to send again.
    Refresh(i64),
    /// (self) Endpoints that are to run.
    Loaded(Result<Vec<i64>, StoreError>),
    /// (self) Goes on loading above this number.
    Load(i64),
    /// (self) A rest is over.
    Start(i64),
    /// (self) Drops old deliveries.
    Sweep,
    /// (self) So many rows are gone.
    Swept(u64),
}

/// How the API reaches the supervisor, whichever life it is in. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct CustomersHandle {
    current: Arc<RwLock<Option<ActorRef<CustomersMsg>>>>,
}

impl CustomersHandle {
    /// An endpoint was made or changed. A supervisor that starts later reads that itself.
    pub fn refresh(&self, webhook: i64) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(customers) = current.as_ref() {
            let _ = customers.send_message(CustomersMsg::Refresh(webhook));
        }
    }
}

/// The behaviour.
pub struct CustomersSupervisor;

/// How it is started.
#[derive(Clone)]
pub struct CustomersArgs {
    pub tools: Tools,
    pub handle: CustomersHandle,
    /// Deliveries are kept this long.
    pub keep: Duration,
    pub policy: Policy,
}

pub struct CustomersState {
    args: CustomersArgs,
    endpoints: HashMap<i64, Branch>,
    numbers: HashMap<ActorId, i64>,
    task: Option<AbortHandle>,
    running: Gauge,
}

#[derive(Default)]
struct Branch {
    endpoint: Option<ActorRef<WebhookEndpointMsg>>,
    log: Log,
}

impl Actor for CustomersSupervisor {
    type Msg = CustomersMsg;
    type State = CustomersState;
    type Arguments = CustomersArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<CustomersMsg>,
        args: CustomersArgs,
    ) -> Result<CustomersState, ActorProcessingErr> {
        Ok(CustomersState {
            args,
            endpoints: HashMap::new(),
            numbers: HashMap::new(),
            task: None,
            running: gauge!("orbit_webhook_endpoints"),
        })
    }

    async fn post_start(
        &self,
        me: ActorRef<CustomersMsg>,
        state: &mut CustomersState,
    ) -> Result<(), ActorProcessingErr> {
        // Before loading, so that no change falls between the two.
        let current = &state.args.handle.current;
        *current.write().unwrap_or_else(PoisonError::into_inner) = Some(me.clone());
        state.load(&me, 0);
        me.send_interval(SWEEP_PERIOD, || CustomersMsg::Sweep);
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<CustomersMsg>,
        message: CustomersMsg,
        state: &mut CustomersState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CustomersMsg::Refresh(webhook) => state.refresh(&me, webhook).await,
            CustomersMsg::Load(after) => state.load(&me, after),
            CustomersMsg::Loaded(Ok(numbers)) => {
                for number in &numbers {
                    if !state.endpoints.contains_key(number) {
                        state.start(&me, *number).await;
                    }
                }
                if let Some(last) = numbers.last().filter(|_| numbers.len() == PAGE) {
                    state.load(&me, *last);
                }
            }
            CustomersMsg::Loaded(Err(error)) => {
                tracing::warn!(%error, "webhook endpoints cannot be read");
                me.send_after(LOAD_REST, || CustomersMsg::Load(0));
            }
            CustomersMsg::Start(webhook) => state.start(&me, webhook).await,
            CustomersMsg::Sweep => state.sweep(&me),
            CustomersMsg::Swept(rows) if rows >= SWEEP_FULL => state.sweep(&me),
            CustomersMsg::Swept(_) => {}
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<CustomersMsg>,
        event: SupervisionEvent,
        state: &mut CustomersState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, error) => {
                if let Some(webhook) = state.numbers.remove(&child.get_id()) {
                    state.again(&me, webhook, &error.to_string());
                }
            }
            SupervisionEvent::ActorTerminated(child, _, reason) => {
                let reason = reason.unwrap_or_else(|| String::from("stopped"));
                match state.numbers.remove(&child.get_id()) {
                    Some(webhook) if reason == DELETED => {
                        state.endpoints.remove(&webhook);
                        state.count();
                    }
                    Some(webhook) => state.again(&me, webhook, &reason),
                    None => {}
                }
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl CustomersState {
    /// Reads which endpoints are to run, in a task.
    fn load(&mut self, me: &ActorRef<CustomersMsg>, after: i64) {
        let (me, store) = (me.clone(), self.args.tools.store.clone());
        let task = tokio::spawn(async move {
            let numbers = store.running_webhooks(after, PAGE as i64).await;
            let _ = me.send_message(CustomersMsg::Loaded(numbers));
        });
        self.task = Some(task.abort_handle());
    }

    async fn refresh(&mut self, me: &ActorRef<CustomersMsg>, webhook: i64) {
        match self.endpoints.get(&webhook) {
            Some(Branch { endpoint: Some(endpoint), .. }) => {
                let _ = endpoint.send_message(WebhookEndpointMsg::Refresh);
            }
            // It rests, and reads everything when it starts.
            Some(_) => {}
            None => self.start(me, webhook).await,
        }
    }

    async fn start(&mut self, me: &ActorRef<CustomersMsg>, webhook: i64) {
        let branch = self.endpoints.entry(webhook).or_default();
        if branch.endpoint.is_some() {
            return;
        }
        let args = WebhookEndpointArgs { webhook, tools: self.args.tools.clone() };
        match Actor::spawn_linked(None, WebhookEndpoint, args, me.get_cell()).await {
            Ok((endpoint, _)) => {
                self.numbers.insert(endpoint.get_id(), webhook);
                branch.endpoint = Some(endpoint);
            }
            Err(error) => self.again(me, webhook, &error.to_string()),
        }
        self.count();
    }

    fn again(&mut self, me: &ActorRef<CustomersMsg>, webhook: i64, why: &str) {
        let Some(branch) = self.endpoints.get_mut(&webhook) else { return };
        branch.endpoint = None;
        counter!("orbit_restarts_total", "actor" => "endpoint", "carrier" => "").increment(1);
        let rest = branch.log.next(&self.args.policy, Instant::now()).unwrap_or(LONG_REST);
        tracing::error!(
            webhook,
            why,
            rest_ms = rest.as_millis(),
            "a webhook endpoint's actor died"
        );
        me.send_after(rest, move || CustomersMsg::Start(webhook));
        self.count();
    }

    #[expect(clippy::cast_precision_loss, reason = "endpoints are far fewer than 2^52")]
    fn count(&self) {
        self.running.set(self.numbers.len() as f64);
    }

    fn sweep(&self, me: &ActorRef<CustomersMsg>) {
        let before = At::now().minus(self.args.keep);
        let change = Admin::Webhook(Box::new(WebhookChange::Forget { before }));
        let me = me.clone();
        let then = Then::new(move |done| {
            if let Some(AdminDone::Webhook(WebhookDone::Forgot(rows))) = done.admin.first() {
                let _ = me.send_message(CustomersMsg::Swept(*rows));
            }
        });
        // Without a writer the next period asks again.
        let work = Work { admin: vec![change], ..Work::default() };
        let _ = self.args.tools.writer.ask(work, then);
    }
}

impl Drop for CustomersState {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
