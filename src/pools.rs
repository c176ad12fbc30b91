//! Sender pools as they change: in the store first, then in memory, one change after the other.
//!
//! Shared by the API and the operator's desk; no actor. The rows are the truth: the router has a copy
//! of all that a send is checked by, a start reads it anew, and the transaction that lets a message
//! in reads the rows again.

use std::sync::Arc;

use actors::traffic::router::Router;
use actors::writer::WriterHandle;
use model::carrier::OrgId;
use model::clock::At;
use model::pool::{POOLS_MAX, SENDERS_MAX};
use model::refusal::{Code, Detail, Refusal};
use store::lane::{Admin, AdminDone, PoolChange, PoolDone};
use store::{PoolRow, PoolUseRow, Store, StoreError};

/// Rows read at once, at the start.
const PAGE: i64 = 500;
const DAY_US: i64 = 24 * 3_600 * 1_000_000;

/// The pools; a clone is the same ones.
#[derive(Clone)]
pub(crate) struct PoolBook {
    store: Store,
    writer: WriterHandle,
    router: Router,
    /// Held while a change goes to the store and then to memory, so that both see one order.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl PoolBook {
    pub(crate) fn new(store: Store, writer: WriterHandle, router: Router) -> Self {
        Self { store, writer, router, turn: Arc::default() }
    }

    /// Stores a change and takes it up; also when the caller leaves.
    pub(crate) async fn change(&self, change: PoolChange) -> Result<(), Refusal> {
        let book = self.clone();
        let change = async move {
            let _turn = book.turn.lock().await;
            let organization = change.organization();
            let done = book.writer.administer(Admin::Pool(Box::new(change))).await?;
            let rows = book.rows(organization).await.map_err(|error| {
                tracing::error!(%error, "sender pools cannot be read again after a change");
                Refusal::unavailable("the pools cannot be read now")
            })?;
            let pools = rows.iter().map(|row| Arc::new(row.pool())).collect();
            book.router.set_pools([(organization, pools)]);
            told(&done)
        };
        let broken = |_| Err(Refusal::new(Code::InternalError, "the change broke off"));
        tokio::spawn(change).await.unwrap_or_else(broken)
    }

    /// An organization's pools, by name.
    pub(crate) async fn rows(&self, organization: OrgId) -> Result<Vec<PoolRow>, StoreError> {
        let most = i64::try_from(POOLS_MAX).unwrap_or(i64::MAX);
        self.store.sender_pools(organization, most).await
    }

    /// How often their senders were used today by live messages.
    pub(crate) async fn uses(
        &self,
        organization: OrgId,
        now: At,
    ) -> Result<Vec<PoolUseRow>, StoreError> {
        // Those taken out of a pool since the day began are counted still.
        let most = i64::try_from(POOLS_MAX * SENDERS_MAX * 4).unwrap_or(i64::MAX);
        self.store.sender_pool_uses(organization, now.0.div_euclid(DAY_US), most).await
    }

    /// Whether an organization may name a carrier.
    pub(crate) fn knows(&self, organization: OrgId, carrier: &str) -> bool {
        self.router.knows(organization, carrier)
    }
}

/// Reads the pools of every organization into memory.
pub(crate) async fn load(store: &Store, router: &Router) -> Result<(), StoreError> {
    let (mut after, mut all) = (0, Vec::new());
    loop {
        let rows = store.all_sender_pools(after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = last.id;
        all.extend(rows.iter().map(|row| Arc::new(row.pool())));
    }
    all.sort_by_key(|pool| (pool.organization.0, pool.id));
    let own = all.chunk_by(|a, b| a.organization == b.organization);
    router.set_pools(own.map(|own| (own[0].organization, own.to_vec())));
    Ok(())
}

fn told(done: &AdminDone) -> Result<(), Refusal> {
    match done {
        AdminDone::Pool(PoolDone::Stored) => Ok(()),
        AdminDone::Pool(PoolDone::Unknown) => Err(unknown()),
        AdminDone::Pool(PoolDone::TooMany) => {
            let refusal = Refusal::new(Code::Conflict, "there are as many sender pools as may be");
            let limit = i64::try_from(POOLS_MAX).unwrap_or(i64::MAX);
            Err(refusal.detail("limit", Detail::Number(limit)))
        }
        AdminDone::Pool(PoolDone::NameTaken) => {
            Err(Refusal::new(Code::Conflict, "another sender pool has this name").field("name"))
        }
        AdminDone::Pool(PoolDone::Changed) => {
            let message = "the pool was changed by somebody else meanwhile; read it and try again";
            Err(Refusal::new(Code::Conflict, message))
        }
        AdminDone::Pool(PoolDone::InUse) => {
            let message = "scheduled messages name this pool; cancel them, or change them first";
            Err(Refusal::new(Code::ResourceInUse, message))
        }
        _ => Err(Refusal::new(Code::InternalError, "the change could not be stored")),
    }
}

pub(crate) fn unknown() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such sender pool")
}
