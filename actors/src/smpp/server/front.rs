//! Submits of an account that come by a front door which is no bind, as the compatible HTTP ones.
//!
//! A door words what it was asked as a submit_sm; from there on it goes the way of one that came by
//! SMPP: the account's pace, the same reading and checks, the same commit, and the answer after it.
//! Holds nothing.

use std::sync::Arc;

use model::clock::At;
use model::id::PublicId;
use model::submission::NewMessage;
use proto_smpp::{Address, CommandStatus, Message};
use store::lane::Accepted;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::accounts::Account;
use super::esme::submission;
use super::{status, submit};
use crate::traffic::admission::Admission;
use crate::writer::WriterHandle;

/// One recipient, and where and how the end of its message is told.
#[derive(Clone, Debug)]
pub struct Recipient {
    pub address: Address,
    /// As it is stored with the message.
    pub callback: Option<String>,
}

/// One text for some recipients.
#[derive(Clone, Debug)]
pub struct Offer {
    /// All but its destination.
    pub message: Message,
    pub recipients: Vec<Recipient>,
    /// JSON object as text.
    pub metadata: Option<String>,
}

/// A message that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub id: PublicId,
    /// It waits for a time.
    pub later: bool,
}

/// What submits go through.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    pub admission: &'a Admission,
    pub writer: &'a WriterHandle,
}

/// Submits to each recipient, in one commit, each decided alone. In the recipients' order.
pub async fn submit(
    way: Way<'_>,
    account: &Arc<Account>,
    offer: &Offer,
    now: At,
) -> Vec<Result<Taken, CommandStatus>> {
    let wanted = offer.recipients.len();
    let granted = account.pace(Instant::now().into_std(), wanted);
    let mut outcomes: Vec<Result<Taken, CommandStatus>> =
        vec![Err(CommandStatus::THROTTLED); wanted];
    let (mut places, mut submissions) = (Vec::new(), Vec::new());
    for (place, recipient) in offer.recipients.iter().enumerate().take(granted) {
        let read = submit::read_noted(
            account,
            way.admission,
            &offer.message,
            &recipient.address,
            offer.metadata.clone(),
            now,
        );
        match read {
            Ok(mut read) => {
                read.message.options.webhook_url.clone_from(&recipient.callback);
                outcomes[place] = Ok(Taken { id: read.message.id, later: false });
                places.push(place);
                submissions.push(submission(account, read));
            }
            Err(status) => outcomes[place] = Err(status),
        }
    }
    if submissions.is_empty() {
        return outcomes;
    }
    let (reply, answers) = oneshot::channel();
    way.writer.submit_many(submissions, move |stored| {
        let _ = reply.send(stored);
    });
    let stored = tokio::time::timeout(PATIENCE, answers).await;
    let mut stored = stored.ok().and_then(Result::ok).into_iter().flatten();
    for place in places {
        outcomes[place] = match (stored.next(), outcomes[place]) {
            (Some(Ok(Accepted::Fresh { later, .. })), Ok(taken)) => {
                Ok(Taken { later: !later.is_empty(), ..taken })
            }
            // It came before; its first answer counts, and its id.
            (Some(Ok(Accepted::Replayed { reference })), _) => {
                Ok(Taken { id: reference, later: false })
            }
            (Some(Err(refusal)), _) => Err(status::of(&refusal)),
            (Some(Ok(_)), _) => Err(CommandStatus::SUBMITFAIL),
            (None, _) => Err(CommandStatus::SYSERR),
        };
    }
    outcomes
}

/// What a message would be, without storing it: its parts and its price.
pub fn estimate(
    admission: &Admission,
    account: &Account,
    message: &Message,
    destination: &Address,
    now: At,
) -> Result<NewMessage, CommandStatus> {
    Ok(submit::read(account, admission, message, destination, now)?.message)
}

/// Longer than a commit takes; past it nobody knows whether the message is stored.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
