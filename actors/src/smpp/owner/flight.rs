//! A message under way: which of its PDUs are where, and what their answers add up to.

use std::sync::Arc;
use std::time::Duration;

use model::clock::At;
use model::message::Status;
use model::refusal::MessageError;
use proto_smpp::CommandStatus;
use store::lane::{Outcome, PartId};

use super::divert::Way;
use crate::smpp::bind::Answer;
use crate::smpp::job::Job;
use crate::smpp::profile::{Profile, WhenInDoubt};
use crate::smpp::status::{self, Verdict};

/// A message with a stored intent.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) job: Arc<Job>,
    pub(super) since: At,
    /// PDUs in all.
    pub(super) total: usize,
    /// Not yet given to a bind, a bit each.
    pub(super) unsent: u32,
    /// Given to which bind.
    pub(super) slot: Option<usize>,
    /// With a bind, a bit each.
    pub(super) waiting: u32,
    pub(super) acked: Vec<PartId>,
    pub(super) external_id: Option<String>,
    unanswered: u32,
    refused: Option<CommandStatus>,
    impossible: bool,
    /// Its validity was over before any bind had it.
    expired: bool,
    /// It was claimed, or taken back, to go by another carrier.
    pub(super) leaves: Option<Way>,
    /// Set once its result is on its way to the store.
    pub(super) settling: bool,
}

/// A message in doubt, to be decided when its wait is over.
#[derive(Debug)]
pub(super) struct Doubtful {
    pub(super) job: Arc<Job>,
    /// The epoch of the intent: an earlier owner's after a restart.
    pub(super) epoch: i64,
    pub(super) since: At,
    /// Parts that may have left.
    pub(super) left: u8,
}

/// What a finished round of a message asks for.
#[derive(Debug)]
pub(super) struct Conclusion {
    pub(super) outcome: Outcome,
    pub(super) throttled: bool,
}

impl Conclusion {
    /// True for what cannot be written at all, so that a person should look at it.
    pub(super) fn quarantined(&self) -> bool {
        let Outcome::Ended { error, .. } = &self.outcome else { return false };
        *error == Some(MessageError::Quarantined)
    }
}

impl Flight {
    pub(super) fn new(job: Arc<Job>, total: usize, since: At) -> Self {
        Self {
            job,
            since,
            total,
            unsent: mask(total),
            slot: None,
            waiting: 0,
            acked: Vec::new(),
            external_id: None,
            unanswered: 0,
            refused: None,
            impossible: false,
            expired: false,
            leaves: None,
            settling: false,
        }
    }

    /// Notes an answer. False: this PDU was not waiting, and nothing changed.
    pub(super) fn note(&mut self, pdu: u8, answer: Answer) -> bool {
        let bit = 1_u32.checked_shl(u32::from(pdu)).unwrap_or(0);
        if self.waiting & bit == 0 {
            return false;
        }
        self.waiting &= !bit;
        match answer {
            Answer::Acked { id, raw } => {
                self.acked.push(PartId { part: pdu + 1, id });
                if pdu == 0 || self.external_id.is_none() {
                    self.external_id = Some(raw);
                }
            }
            Answer::Refused(status) => self.refused = Some(status),
            Answer::Unanswered => self.unanswered |= bit,
            Answer::NotSent => self.unsent |= bit,
            Answer::Impossible => self.impossible = true,
        }
        true
    }

    /// Parts that were given to a bind, answered or not.
    pub(super) fn left(&self) -> u8 {
        self.charged(self.total.saturating_sub(self.unsent.count_ones() as usize))
    }

    /// Everything that waits is lost with its bind.
    pub(super) fn lose(&mut self) -> usize {
        let lost = self.waiting.count_ones() as usize;
        self.unanswered |= std::mem::take(&mut self.waiting);
        lost
    }

    /// True while some PDU is with a bind or could still go to one.
    pub(super) fn is_open(&self) -> bool {
        let stopped = self.refused.is_some() || self.impossible || self.unanswered != 0;
        self.waiting != 0 || self.unsent != 0 && !stopped
    }

    /// True while no bind has or had any of it.
    pub(super) fn is_untouched(&self) -> bool {
        let unanswered = self.refused.is_some() || self.unanswered != 0 || self.impossible;
        self.waiting == 0 && self.acked.is_empty() && !unanswered && !self.settling
    }

    /// Ends it when its validity is over and no bind has or had any of it. True: it ends now.
    pub(super) fn expire(&mut self, now: At) -> bool {
        let ends = self.job.expires_at <= now && self.is_untouched();
        self.expired |= ends;
        self.settling |= ends;
        ends
    }

    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered != 0
    }

    /// Nothing of it was taken, or can have been.
    pub(super) fn is_certainly_not_taken(&self) -> bool {
        self.acked.is_empty() && self.unanswered == 0 && self.waiting == 0
    }

    pub(super) fn refused(&self) -> Option<CommandStatus> {
        self.refused
    }

    /// The refusal of a message of which nothing was taken, or can have been.
    pub(super) fn refused_alone(&self) -> Option<CommandStatus> {
        let certain = self.is_certainly_not_taken();
        self.refused.filter(|_| certain && !self.expired && !self.impossible)
    }

    /// What to store, now that nothing waits any more.
    pub(super) fn conclude(&mut self, profile: &Profile, now: At) -> Conclusion {
        if self.expired {
            let (status, error) = (Status::Expired, Some(MessageError::Expired));
            let (reason, parts) = (Some("validity_over"), Vec::new());
            let submitted = 0;
            let carrier_error = None;
            let outcome = Outcome::Ended { status, reason, error, carrier_error, submitted, parts };
            return calm(outcome);
        }
        let all_acked = self.acked.len() == self.total;
        if all_acked {
            let parts = std::mem::take(&mut self.acked);
            let external_id = self.external_id.take().unwrap_or_default();
            return calm(Outcome::Sent { parts, external_id });
        }
        if self.unanswered != 0 {
            let due_at = now.plus(profile.doubt.wait(self.job.category));
            return calm(Outcome::InDoubt { due_at });
        }
        if self.impossible {
            return calm(self.over(Status::Failed, Some(MessageError::Quarantined), None));
        }
        match self.refused {
            Some(status) => self.refusal(status, profile, now),
            None => {
                let attempts = self.job.attempts;
                calm(self.again(now, attempts, None))
            }
        }
    }

    fn refusal(&self, status: CommandStatus, profile: &Profile, now: At) -> Conclusion {
        let said = Some(status::text(status));
        let attempts = self.job.attempts + 1;
        match status::verdict(status, profile.vendor_statuses) {
            Verdict::Over(status, error) => calm(self.over(status, error, said)),
            Verdict::Throttled => {
                // A busy carrier is no failed try, and a long wait in the queue is not its fault.
                let (since, times) = self.job.throttled.unwrap_or((now, 0));
                let outcome = if now.since(since) >= profile.retry.throttled_for {
                    self.over(Status::Failed, Some(MessageError::Throttled), said)
                } else {
                    let rest = doubled(Duration::from_secs(1), times + 1, Duration::from_secs(60));
                    let (due_at, attempts) = (now.plus(rest), self.job.attempts);
                    self.again(due_at, attempts, said)
                };
                Conclusion { outcome, throttled: true }
            }
            Verdict::TryAgain(error) => {
                if attempts >= profile.retry.attempts {
                    return calm(self.over(Status::Failed, Some(error), said));
                }
                let rest = doubled(profile.retry.base, attempts, Duration::from_secs(60));
                let due_at = now.plus(rest);
                calm(self.again(due_at, attempts, said))
            }
        }
    }

    fn again(&self, due_at: At, attempts: i64, carrier_error: Option<String>) -> Outcome {
        // The parts that were taken come a second time, but not from somebody else.
        Outcome::Retry { due_at, attempts, carrier_error, stays: !self.acked.is_empty() }
    }

    fn over(
        &self,
        status: Status,
        error: Option<MessageError>,
        carrier_error: Option<String>,
    ) -> Outcome {
        let submitted = self.charged(self.acked.len());
        let parts = self.acked.clone();
        Outcome::Ended { status, reason: None, error, carrier_error, submitted, parts }
    }

    /// Parts charged for so many PDUs sent: a payload in one PDU is all of its parts.
    fn charged(&self, pdus: usize) -> u8 {
        if pdus >= self.total { self.job.segments } else { u8::try_from(pdus).unwrap_or(u8::MAX) }
    }
}

impl Doubtful {
    /// The decision, for the store to check against parked receipts first.
    pub(super) fn resolve(&self, profile: &Profile, now: At) -> Outcome {
        let attempts = self.job.attempts + 1;
        let resend = profile.doubt.decide(self.job.category) == WhenInDoubt::Resend;
        Outcome::Resolve {
            to: self.job.to.clone(),
            from: self.job.from.clone(),
            since: self.since,
            // A carrier that never answers would get it for ever.
            resend: resend && attempts < profile.doubt.tries && now < self.job.expires_at,
            attempts,
            submitted: self.left,
        }
    }
}

fn calm(outcome: Outcome) -> Conclusion {
    Conclusion { outcome, throttled: false }
}

fn mask(total: usize) -> u32 {
    u32::try_from((1_u64 << total.min(32)) - 1).unwrap_or(u32::MAX)
}

/// The lowest `count` bits of a mask.
pub(super) fn lowest(mask: u32, count: usize) -> u32 {
    let mut left = mask;
    for _ in 0..count {
        left &= left.wrapping_sub(1);
    }
    mask & !left
}

/// `base` for the first try, twice as long for each further, to a limit.
fn doubled(base: Duration, attempts: i64, most: Duration) -> Duration {
    let times = u32::try_from(attempts.saturating_sub(1).clamp(0, 20)).unwrap_or(0);
    base.saturating_mul(1 << times).min(most)
}

#[cfg(test)]
mod tests;
