//! What an ESME asks about its earlier messages: where they stand, to stop them, to change them.
//!
//! Answered away from the mailbox, one after the other in a task of each read, which ends with the
//! connection; the answers come back as a message. An account reaches its own messages alone.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use model::carrier::MessageKey;
use model::clock::At;
use model::esme::Submitted;
use model::message::Status;
use proto_smpp::pdu::manage::{Ask, Cancel, Replace};
use proto_smpp::{Address, CommandId, CommandStatus, Time};
use ractor::ActorRef;
use store::lane::{Admin, AdminDone, CancelFate, Edit};
use store::{AskedRow, ChangeRow, Store, StoreError, SubmittedRow};

use super::super::accounts::Account;
use super::super::receipts::state_of;
use super::super::{status, submit};
use super::EsmeMsg;
use super::answers::Answer;
use crate::traffic::admission::Admission;
use crate::writer::WriterHandle;

/// Messages that are looked through, scheduled and waiting each, for those between two addresses.
const LOOKED_MAX: i64 = 200_000;
/// Messages found at once of them.
const FOUND_MAX: usize = 10_000;
/// Messages stopped at once.
const STOPPED_MAX: usize = 1_000;
/// How long a search waits for those of other accounts.
const TURN_PATIENCE: Duration = Duration::from_secs(30);
/// message_state of SMPP 5.0 §4.7.15: it waits for its time.
const SCHEDULED: u8 = 0;

/// What answering takes.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) writer: WriterHandle,
    pub(super) store: Store,
    pub(super) admission: Admission,
    pub(super) account: Arc<Account>,
    /// The bind knows what SMPP 5.0 adds.
    pub(super) speaks_50: bool,
}

/// Answers what is asked about earlier messages.
pub(super) async fn look_up(me: ActorRef<EsmeMsg>, desk: Desk, asked: Vec<(u32, Box<Ask>)>) {
    counter!("orbit_esme_questions_total").increment(asked.len() as u64);
    let mut answers = Vec::with_capacity(asked.len());
    for (sequence, ask) in asked {
        let plain = |command, status| Answer::Asked { command, sequence, status };
        answers.push(match *ask {
            Ask::Query(query) => match desk.find(&query.message_id, &query.source).await {
                Ok(row) => desk.state(sequence, query.message_id, &row),
                Err(status) => plain(CommandId::QUERY_SM, status),
            },
            Ask::Cancel(cancel) => {
                let done = if cancel.message_id.is_empty() {
                    desk.stop_between(&cancel, FOUND_MAX).await
                } else {
                    desk.stop(&cancel).await
                };
                plain(CommandId::CANCEL_SM, done.err().unwrap_or(CommandStatus::OK))
            }
            Ask::Replace(replace) => {
                let done = desk.replace(&replace).await;
                plain(CommandId::REPLACE_SM, done.err().unwrap_or(CommandStatus::OK))
            }
        });
    }
    let _ = me.send_message(EsmeMsg::Answers(answers));
}

impl Desk {
    /// Stops one message that has not begun to leave (SMPP 3.4 §4.9).
    async fn stop(&self, cancel: &Cancel) -> Result<(), CommandStatus> {
        let row = self.find(&cancel.message_id, &cancel.source).await?;
        let given = cancel.destination.text();
        if !given.is_empty() && !same(&row.to_addr, &given) {
            return Err(CommandStatus::INVDSTADR);
        }
        match self.cancel(vec![MessageKey(row.key)]).await?[..] {
            [CancelFate::Cancelled { .. }] => Ok(()),
            _ => Err(CommandStatus::CANCELFAIL),
        }
    }

    /// Stops all from one address to another that have not begun to leave, of one service type if
    /// it is named. A message that begins to leave meanwhile is left alone. An account has one such
    /// search at a time: it may look at much.
    async fn stop_between(&self, cancel: &Cancel, page: usize) -> Result<(), CommandStatus> {
        let from = submit::sender(&self.account, &cancel.source)?;
        let from = from.ok_or(CommandStatus::INVSRCADR)?;
        let to = submit::recipient(&cancel.destination)?;
        let _own = self.account.searching().ok_or(CommandStatus::THROTTLED)?;
        let of_service = |row: &SubmittedRow| {
            let submitted = Submitted::stored(Some(self.account.id), row.submitted.as_deref());
            cancel.service_type.is_empty()
                || submitted.is_some_and(|own| own.service_type == cancel.service_type)
        };
        let (mut after, mut stopped) = (0, 0);
        // What is looked through bounds the rounds, unless more and more is submitted meanwhile.
        for _ in 0..=2 * LOOKED_MAX as usize / page {
            let found = self.between(&from, &to, after, page).await?;
            let keys = found.iter().filter(|row| of_service(row)).map(|row| MessageKey(row.key));
            let keys: Vec<MessageKey> = keys.collect();
            for some in keys.chunks(STOPPED_MAX) {
                let fates = self.cancel(some.to_vec()).await?;
                let gone = |fate: &&CancelFate| matches!(fate, CancelFate::Cancelled { .. });
                stopped += fates.iter().filter(gone).count();
            }
            match found.last() {
                Some(last) if found.len() >= page => after = last.key,
                _ if stopped > 0 => return Ok(()),
                _ => break,
            }
        }
        Err(CommandStatus::CANCELFAIL)
    }

    /// A page of what waits from one address to another. The switch has one such read at a time,
    /// and it is over only when the store has answered, whoever still waits for that.
    async fn between(
        &self,
        from: &str,
        to: &str,
        after: i64,
        page: usize,
    ) -> Result<Vec<SubmittedRow>, CommandStatus> {
        let turn = tokio::time::timeout(TURN_PATIENCE, self.account.turn_to_search()).await;
        let turn = turn.map_err(|_| CommandStatus::THROTTLED)?;
        let (store, who) = (self.store.clone(), (self.account.id, self.account.organization));
        let (from, to) = (from.to_owned(), to.to_owned());
        let read = tokio::spawn(async move {
            let _turn = turn;
            store.waiting_between(who, (&from, &to), after, LOOKED_MAX, page as i64).await
        });
        read.await.map_err(|_| CommandStatus::QUERYFAIL)?.map_err(unanswered)
    }

    async fn cancel(&self, messages: Vec<MessageKey>) -> Result<Vec<CancelFate>, CommandStatus> {
        let organization = self.account.organization;
        match self.writer.administer(Admin::Cancel { organization, messages }).await {
            Ok(AdminDone::Cancelled(fates)) => Ok(fates),
            Ok(_) => Err(CommandStatus::SYSERR),
            Err(refusal) => Err(status::of(&refusal)),
        }
    }

    /// Gives a message that waits for its time other words, or another time (SMPP 3.4 §4.10).
    async fn replace(&self, replace: &Replace) -> Result<(), CommandStatus> {
        let number = self.number(&replace.message_id)?;
        let row = self.store.asked_to_change(self.account.id, number).await;
        let row = row.map_err(unanswered)?.ok_or(CommandStatus::INVMSGID)?;
        let given = replace.source.text();
        if !given.is_empty() && !same(&row.from_addr, &given) {
            return Err(CommandStatus::INVSRCADR);
        }
        if Status::from_code(row.status) != Some(Status::Scheduled) {
            return Err(CommandStatus::REPLACEFAIL);
        }
        let edit = self.edited(replace, &row, number)?;
        match self.writer.administer(Admin::Edit(Box::new(edit))).await {
            Ok(AdminDone::Edited(true)) => Ok(()),
            Ok(AdminDone::Edited(false)) => Err(CommandStatus::REPLACEFAIL),
            Ok(_) => Err(CommandStatus::SYSERR),
            Err(refusal) => Err(status::of(&refusal)),
        }
    }

    fn edited(
        &self,
        replace: &Replace,
        row: &ChangeRow,
        number: i64,
    ) -> Result<Edit, CommandStatus> {
        let kept = submit::Kept {
            to: &row.to_addr,
            from: &row.from_addr,
            pool: row.pool(),
            body: &row.body,
            encoding: row.encoding,
            category: row.category,
            scheduled_at: row.scheduled_at.map(At),
            validity_s: row.validity_s,
            metadata: row.metadata.as_deref(),
            submitted: Submitted::stored(row.smpp_account_id, row.submitted.as_deref())
                .ok_or(CommandStatus::REPLACEFAIL)?,
        };
        let message = submit::replaced(&self.account, &self.admission, replace, kept, At::now())?;
        Ok(Edit {
            key: MessageKey(number),
            organization: self.account.organization,
            edits: row.edits,
            created_at: At(row.created_at),
            message,
        })
    }

    fn number(&self, id: &[u8]) -> Result<i64, CommandStatus> {
        let text = std::str::from_utf8(id).map_err(|_| CommandStatus::INVMSGID)?;
        self.account.id_format.read(text).ok_or(CommandStatus::INVMSGID)
    }

    /// The account's own message of this id, from this sender (SMPP 3.4 §4.8.1: it must match).
    async fn find(&self, id: &[u8], source: &Address) -> Result<AskedRow, CommandStatus> {
        let number = self.number(id)?;
        let row = self.store.asked(self.account.id, number).await.map_err(unanswered)?;
        let row = row.ok_or(CommandStatus::INVMSGID)?;
        let given = source.text();
        let fits = given.is_empty() || same(&row.from_addr, &given);
        if fits { Ok(row) } else { Err(CommandStatus::INVSRCADR) }
    }

    fn state(&self, sequence: u32, message_id: Vec<u8>, row: &AskedRow) -> Answer {
        let status = Status::from_code(row.status);
        let Some(state) = status.and_then(state_of) else {
            let (command, status) = (CommandId::QUERY_SM, CommandStatus::QUERYFAIL);
            return Answer::Asked { command, sequence, status };
        };
        let waits = self.speaks_50 && status == Some(Status::Scheduled);
        let done = row.done_at.filter(|_| state.is_final());
        let final_date = done.map_or(String::new(), |at| Time::write(at / 1_000_000));
        let state = if waits { SCHEDULED } else { state.code() };
        Answer::Query { sequence, message_id, final_date, state }
    }
}

/// Addresses are kept with `+`, and given without.
fn same(kept: &str, given: &str) -> bool {
    kept.trim_start_matches('+') == given.trim_start_matches('+')
}

fn unanswered(error: StoreError) -> CommandStatus {
    tracing::warn!(%error, "a question of an ESME cannot be answered");
    CommandStatus::QUERYFAIL
}

#[cfg(test)]
mod tests;
