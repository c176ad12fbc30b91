//! What an ESME is answered, and how its submits are gathered for one commit.

use model::esme::IdFormat;
use model::submission::Submission;
use proto_smpp::pdu::manage::{Ask, QueryResponse};
use proto_smpp::pdu::multi::{Multi, Unsuccessful};
use proto_smpp::{Address, CommandId, CommandStatus, Input, Message};
use ractor::ActorRef;
use store::Store;
use store::lane::AcceptAnswer;

use super::super::courier::Ticket;
use super::{EsmeMsg, Told, told};
use crate::writer::WriterHandle;

/// An answer to one request of the ESME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Submit {
        command: CommandId,
        sequence: u32,
        status: CommandStatus,
        message_id: String,
    },
    Multi {
        sequence: u32,
        status: CommandStatus,
        message_id: String,
        unsuccessful: Vec<Unsuccessful>,
    },
    Query {
        sequence: u32,
        message_id: Vec<u8>,
        final_date: String,
        state: u8,
    },
    Asked {
        command: CommandId,
        sequence: u32,
        status: CommandStatus,
    },
}

/// Messages that go to the writer in one piece: few enough that a commit need not take more than
/// carriers have room for.
const PIECE: usize = 64;

/// What one read of the socket asked for.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) messages: Vec<(CommandId, u32, Message)>,
    pub(super) multis: Vec<(u32, Box<Multi>)>,
    pub(super) asked: Vec<(u32, Box<Ask>)>,
}

/// Submits on their way to one commit, and what is refused before it.
pub(super) struct Batch {
    ids: IdFormat,
    refused: Vec<Answer>,
    submissions: Vec<Submission>,
    waiting: Vec<Waiting>,
}

/// Whose answer the next submissions are.
enum Waiting {
    One { command: CommandId, sequence: u32 },
    Many { sequence: u32, addresses: Vec<Address>, unsuccessful: Vec<Unsuccessful> },
}

impl Answer {
    pub(super) fn status(&self) -> CommandStatus {
        match self {
            Self::Submit { status, .. } | Self::Multi { status, .. } => *status,
            Self::Asked { status, .. } => *status,
            Self::Query { .. } => CommandStatus::OK,
        }
    }

    pub(super) fn is_of_submit(&self) -> bool {
        matches!(self, Self::Submit { .. } | Self::Multi { .. })
    }

    pub(super) fn input(&self) -> Input<'_, Ticket> {
        match self {
            Self::Submit { command, sequence, status, message_id } => Input::Answer {
                command: *command,
                sequence: *sequence,
                status: *status,
                message_id: message_id.as_bytes(),
            },
            Self::Multi { sequence, status, message_id, unsuccessful } => Input::AnswerMulti {
                sequence: *sequence,
                status: *status,
                message_id: message_id.as_bytes(),
                unsuccessful,
            },
            Self::Query { sequence, message_id, final_date, state } => Input::AnswerQuery {
                sequence: *sequence,
                response: QueryResponse {
                    message_id,
                    final_date: final_date.as_bytes(),
                    message_state: *state,
                    error_code: 0,
                },
            },
            Self::Asked { command, sequence, status } => {
                Input::AnswerAsked { command: *command, sequence: *sequence, status: *status }
            }
        }
    }
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.multis.is_empty() && self.asked.is_empty()
    }

    /// Messages in all, one for each destination.
    pub(super) fn wanted(&self) -> usize {
        let many = self.multis.iter().map(|(_, multi)| multi.destinations.len());
        self.messages.len() + many.sum::<usize>()
    }
}

impl Batch {
    pub(super) fn new(ids: IdFormat) -> Self {
        Self { ids, refused: Vec::new(), submissions: Vec::new(), waiting: Vec::new() }
    }

    pub(super) fn refuse(&mut self, command: CommandId, sequence: u32, status: CommandStatus) {
        self.refused.push(refusal(command, sequence, status));
    }

    pub(super) fn submit(&mut self, command: CommandId, sequence: u32, submission: Submission) {
        self.waiting.push(Waiting::One { command, sequence });
        self.submissions.push(submission);
    }

    pub(super) fn submit_multi(
        &mut self,
        sequence: u32,
        taken: Vec<(Address, Submission)>,
        unsuccessful: Vec<Unsuccessful>,
    ) {
        let (addresses, submissions): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
        self.submissions.extend(submissions);
        self.waiting.push(Waiting::Many { sequence, addresses, unsuccessful });
    }

    /// Gives all of it to the writer, in pieces; the answers come as messages, the refused ones at once.
    pub(super) fn send(self, me: &ActorRef<EsmeMsg>, writer: &WriterHandle, store: &Store) {
        let Self { ids, refused, submissions, waiting } = self;
        if !refused.is_empty() {
            let _ = me.send_message(EsmeMsg::Answers(refused));
        }
        let (mut submissions, mut waiting) = (submissions, waiting);
        while !waiting.is_empty() {
            let (requests, messages) = first_piece(&waiting);
            let rest = (waiting.split_off(requests), submissions.split_off(messages));
            submit(ids, submissions, waiting, me.clone(), writer, store.clone());
            (waiting, submissions) = rest;
        }
    }
}

/// How many requests make a piece, and how many messages they are.
fn first_piece(waiting: &[Waiting]) -> (usize, usize) {
    let mut messages = 0;
    for (at, one) in waiting.iter().enumerate() {
        messages += match one {
            Waiting::One { .. } => 1,
            Waiting::Many { addresses, .. } => addresses.len(),
        };
        if messages >= PIECE {
            return (at + 1, messages);
        }
    }
    (waiting.len(), messages)
}

fn submit(
    ids: IdFormat,
    submissions: Vec<Submission>,
    waiting: Vec<Waiting>,
    me: ActorRef<EsmeMsg>,
    writer: &WriterHandle,
    store: Store,
) {
    writer.submit_many(submissions, move |stored| {
        let mut numbers = Vec::with_capacity(stored.len());
        for one in &stored {
            numbers.push(match told(one) {
                Ok(Told::Number(number)) => Ok(number),
                Err(status) => Err(status),
                Ok(Told::Reference(_)) => {
                    tokio::spawn(async move {
                        let numbers = resolve(&store, &stored).await;
                        let _ = me.send_message(EsmeMsg::Answers(answers(ids, waiting, numbers)));
                    });
                    return;
                }
            });
        }
        let _ = me.send_message(EsmeMsg::Answers(answers(ids, waiting, numbers)));
    });
}

/// The numbers of messages; those of an earlier submit are read.
async fn resolve(store: &Store, stored: &[AcceptAnswer]) -> Vec<Result<i64, CommandStatus>> {
    let mut numbers = Vec::with_capacity(stored.len());
    for one in stored {
        numbers.push(match told(one) {
            Ok(Told::Number(number)) => Ok(number),
            Ok(Told::Reference(id)) => match store.message_number(id).await {
                Ok(Some(number)) => Ok(number),
                Ok(None) => Err(CommandStatus::INVMSGID),
                Err(_) => Err(CommandStatus::SYSERR),
            },
            Err(status) => Err(status),
        });
    }
    numbers
}

fn answers(
    ids: IdFormat,
    waiting: Vec<Waiting>,
    numbers: Vec<Result<i64, CommandStatus>>,
) -> Vec<Answer> {
    let mut numbers = numbers.into_iter();
    let mut next = || numbers.next().unwrap_or(Err(CommandStatus::SYSERR));
    let mut answers = Vec::with_capacity(waiting.len());
    for one in waiting {
        answers.push(match one {
            Waiting::One { command, sequence } => match next() {
                Ok(number) => Answer::Submit {
                    command,
                    sequence,
                    status: CommandStatus::OK,
                    message_id: ids.write(number),
                },
                Err(status) => refusal(command, sequence, status),
            },
            Waiting::Many { sequence, addresses, mut unsuccessful } => {
                let mut first = None;
                for address in addresses {
                    match next() {
                        Ok(number) => first = first.or(Some(number)),
                        Err(status) => unsuccessful.push(Unsuccessful { address, status }),
                    }
                }
                // With none taken the whole is refused, as its first destination was.
                let worst = unsuccessful.first();
                let worst = worst.map_or(CommandStatus::SUBMITFAIL, |one| one.status);
                Answer::Multi {
                    sequence,
                    status: if first.is_some() { CommandStatus::OK } else { worst },
                    message_id: first.map_or(String::new(), |number| ids.write(number)),
                    unsuccessful,
                }
            }
        });
    }
    answers
}

fn refusal(command: CommandId, sequence: u32, status: CommandStatus) -> Answer {
    if command == CommandId::SUBMIT_MULTI {
        let (message_id, unsuccessful) = (String::new(), Vec::new());
        return Answer::Multi { sequence, status, message_id, unsuccessful };
    }
    Answer::Submit { command, sequence, status, message_id: String::new() }
}
