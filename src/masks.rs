//! Masking sessions as they change: in the store first, then in memory, where calls look them up.
//!
//! For the API; no actor. The rows are the truth. A call that is there when its session is closed goes on.

use actors::sip::masks::Masks;
use actors::writer::WriterHandle;
use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::refusal::{Code, Refusal};
use store::lane::{Admin, AdminDone, NewProxySession, ProxyChange, ProxyDone};
use store::{ProxySessionRow, Store, StoreError};

/// Rows read at once, at the start.
const PAGE: i64 = 1_000;

/// The sessions; a clone is the same ones.
#[derive(Clone)]
pub(crate) struct MaskBook {
    store: Store,
    writer: WriterHandle,
    masks: Masks,
}

impl MaskBook {
    pub(crate) fn new(store: Store, writer: WriterHandle) -> Self {
        Self { store, writer, masks: Masks::default() }
    }

    /// The sessions as calls see them.
    pub(crate) fn masks(&self) -> &Masks {
        &self.masks
    }

    /// Reads every open session into memory.
    pub(crate) async fn load(&self) -> Result<(), StoreError> {
        let (now, mut after) = (At::now(), 0);
        loop {
            let rows = self.store.open_proxy_sessions(now.0, after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            self.masks.fill(&rows);
        }
    }

    /// Opens a session; the row as it was stored, or why there is none.
    pub(crate) async fn open(
        &self,
        new: NewProxySession,
    ) -> Result<Result<ProxySessionRow, ProxyDone>, Refusal> {
        let of = (new.organization, new.id);
        self.change(ProxyChange::Open(new), of).await
    }

    pub(crate) async fn close(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Result<ProxySessionRow, ProxyDone>, Refusal> {
        self.change(ProxyChange::Close { organization, id }, (organization, id)).await
    }

    /// Stores a change and takes it up; also when the caller leaves.
    async fn change(
        &self,
        change: ProxyChange,
        (organization, id): (OrgId, PublicId),
    ) -> Result<Result<ProxySessionRow, ProxyDone>, Refusal> {
        let book = self.clone();
        let closes = matches!(change, ProxyChange::Close { .. });
        let change = async move {
            let broken = || Refusal::new(Code::InternalError, "the change could not be stored");
            match book.writer.administer(Admin::Proxy(Box::new(change))).await? {
                AdminDone::Proxy(ProxyDone::Stored) => {}
                AdminDone::Proxy(done) => return Ok(Err(done)),
                _ => return Err(broken()),
            }
            let row = book.store.proxy_session(organization, id).await.map_err(|error| {
                tracing::error!(%error, "a masking session cannot be read");
                Refusal::unavailable("the store does not answer")
            })?;
            let row = row.ok_or_else(broken)?;
            let now = At::now();
            if closes {
                book.masks.close(&row, now)
            } else {
                book.masks.open(&row, now)
            }
            Ok(Ok(row))
        };
        let broken = |_| Err(Refusal::new(Code::InternalError, "the change broke off"));
        tokio::spawn(change).await.unwrap_or_else(broken)
    }
}
