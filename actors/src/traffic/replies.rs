//! Sends the answers to keywords, and what is sent on by masking sessions: each once, as an ordinary
//! message of the organization.
//!
//! Started by root. The lane writes an answer down as due in the transaction that stores the
//! inbound message; this actor is told, and looks at its start and every period too. A task that
//! it owns reads what is due, has it checked, routed and priced like any send, and submits it
//! under an idempotency key made of the inbound message, so that a repeat after a crash is the
//! same message. What cannot be sent for good is left out, with a note. When it dies nothing is
//! lost: what is due is a row.

use std::time::Duration;

use metrics::counter;
use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::id::{Kind, PublicId};
use model::message::Category;
use model::refusal::{Code, Refusal};
use model::submission::{Credential, Idempotency, Submission};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use sha2::{Digest as _, Sha256};
use store::lane::{Admin, Compliance};
use store::{DueReplyRow, Store};
use tokio::task::AbortHandle;

use super::admission::{Admission, SendRequest};
use crate::writer::WriterHandle;

/// Looked at this often without being told.
const PERIOD: Duration = Duration::from_secs(5);
/// Answers read at once.
const AT_ONCE: i64 = 100;
/// A later answer would only confuse; and its idempotency key must still be known.
const LATEST: Duration = Duration::from_secs(12 * 3_600);
const ROUTE: &str = "keyword reply";
const MASKED: &str = "masked text";

#[derive(Debug)]
pub enum RepliesMsg {
    /// (self) Something is due, or the period is over.
    Look,
    /// (self) The task ended; there may be more.
    Looked(Looked),
}

/// How a look ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Nothing is due that can be sent now.
    Done,
    /// As many as one look may take.
    More,
    /// The task panicked.
    Lost,
}

/// The behaviour.
pub struct Replies;

/// How it is started.
#[derive(Clone)]
pub struct RepliesArgs {
    pub store: Store,
    pub writer: WriterHandle,
    pub admission: Admission,
    pub period: Duration,
}

impl RepliesArgs {
    #[must_use]
    pub fn new(store: Store, writer: WriterHandle, admission: Admission) -> Self {
        Self { store, writer, admission, period: PERIOD }
    }
}

pub struct RepliesState {
    args: RepliesArgs,
    /// The look, or the wait for the next.
    task: Option<AbortHandle>,
}

/// Tells how a look ended, even when it ends by a panic.
struct News {
    me: ActorRef<RepliesMsg>,
    looked: Looked,
}

/// What became of one answer.
enum Fate {
    Sent,
    LeftOut(String),
    /// Not now: it stays due.
    Later,
}

impl Actor for Replies {
    type Msg = RepliesMsg;
    type State = RepliesState;
    type Arguments = RepliesArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<RepliesMsg>,
        args: RepliesArgs,
    ) -> Result<RepliesState, ActorProcessingErr> {
        Ok(RepliesState { args, task: None })
    }

    async fn post_start(
        &self,
        me: ActorRef<RepliesMsg>,
        state: &mut RepliesState,
    ) -> Result<(), ActorProcessingErr> {
        state.look(me);
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<RepliesMsg>,
        message: RepliesMsg,
        state: &mut RepliesState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RepliesMsg::Look | RepliesMsg::Looked(Looked::More) => state.look(me),
            RepliesMsg::Looked(Looked::Done) => state.wait(me),
            RepliesMsg::Looked(Looked::Lost) => return Err("an answer's task panicked".into()),
        }
        Ok(())
    }
}

impl RepliesState {
    fn wait(&mut self, me: ActorRef<RepliesMsg>) {
        let (writer, period) = (self.args.writer.clone(), self.args.period);
        let task = tokio::spawn(async move {
            // Being told early is a courtesy: the period finds what is due as well.
            let _ = tokio::time::timeout(period, writer.wait_for_due_replies()).await;
            let _ = me.send_message(RepliesMsg::Look);
        });
        self.task = Some(task.abort_handle());
    }

    fn look(&mut self, me: ActorRef<RepliesMsg>) {
        let args = self.args.clone();
        let mut news = News { me, looked: Looked::Lost };
        let task = tokio::spawn(async move {
            let news = &mut news;
            news.looked = args.look().await;
        });
        self.task = Some(task.abort_handle());
    }
}

impl Drop for RepliesState {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        // Whoever is gone needs no news.
        let _ = self.me.send_message(RepliesMsg::Looked(self.looked));
    }
}

impl RepliesArgs {
    async fn look(&self) -> Looked {
        let due = match self.store.due_replies(AT_ONCE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "answers to keywords wait");
                return Looked::Done;
            }
        };
        let many = i64::try_from(due.len()).unwrap_or(0) >= AT_ONCE;
        let mut settled = false;
        for row in due {
            settled |= self.answer(row).await;
        }
        // Where nothing of a full page could be settled, looking again at once would find the same.
        if many && settled { Looked::More } else { Looked::Done }
    }

    /// True: it is not due any more.
    async fn answer(&self, row: DueReplyRow) -> bool {
        let (message, masked) = (MessageKey(row.message_key), row.session.is_some());
        let (outcome, note) = match self.send(row).await {
            Fate::Sent => ("sent", None),
            Fate::LeftOut(note) => {
                tracing::info!(
                    note,
                    masked,
                    "an answer to a keyword, or a masked text, is left out"
                );
                ("left_out", Some(note))
            }
            Fate::Later => return false,
        };
        let change = Admin::Comply(Compliance::ReplySettled { message, note });
        if self.writer.administer(change).await.is_err() {
            return false;
        }
        let name = if masked { "orbit_masked_texts_total" } else { "orbit_keyword_replies_total" };
        counter!(name, "outcome" => outcome).increment(1);
        true
    }

    async fn send(&self, row: DueReplyRow) -> Fate {
        let now = At::now();
        if At(row.created_at) < now.minus(LATEST) {
            return Fate::LeftOut(String::from("too late"));
        }
        if row.suspended_at.is_some() {
            return Fate::LeftOut(Code::OrganizationSuspended.as_str().to_owned());
        }
        let organization = OrgId(row.organization_id);
        let Ok(id) = <[u8; 16]>::try_from(row.message_id.as_slice()) else {
            return Fate::LeftOut(String::from("the message has no id"));
        };
        let key = PublicId::from_bytes(id).show(Kind::Message);
        let session = row.session.as_deref().and_then(|id| <[u8; 16]>::try_from(id).ok());
        let metadata = match session.map(PublicId::from_bytes) {
            None => format!("{{\"in_reply_to\":\"{key}\"}}"),
            Some(session) => {
                let session = session.show(Kind::ProxySession);
                format!("{{\"proxy_session_id\":\"{session}\",\"proxied\":\"{key}\"}}")
            }
        };
        let request = SendRequest {
            to: row.address,
            from: Some(row.number),
            pool: None,
            body: row.body,
            encoding: None,
            category: Category::Transactional,
            account: None,
            metadata: Some(metadata),
            test: false,
            submitted: None,
        };
        let mut reply = match self.admission.check(organization, request, now) {
            Ok(reply) => reply,
            Err(refusal) => return refused(&refusal),
        };
        // A confirmation goes to who has just opted out; what another person writes does not.
        reply.options.bypass_opt_out = session.is_none();
        let submission = Submission {
            organization,
            credential: Credential::Switch,
            idempotency: Some(Idempotency {
                route: if session.is_some() { MASKED } else { ROUTE },
                fingerprint: Sha256::digest(key.as_bytes()).into(),
                key,
            }),
            batch: None,
            messages: vec![reply],
        };
        match self.writer.submit(submission).await {
            Ok(_) => Fate::Sent,
            Err(refusal) => refused(&refusal),
        }
    }
}

fn refused(refusal: &Refusal) -> Fate {
    match refusal.code {
        Code::ServiceUnavailable | Code::RateLimited | Code::IdempotencyInProgress => Fate::Later,
        code => Fate::LeftOut(code.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests;
