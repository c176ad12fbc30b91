//! What the gates would say to a submission, without letting it in.
//!
//! Each preview is a transaction of its own that is always undone: it opens the gates as an accept
//! does, passes all messages and pays for them, and writes nothing. So it needs to know no gate.

use model::clock::At;
use model::money::Micros;
use model::refusal::Refusal;
use model::submission::Submission;

use super::Lane;
use super::gates::Candidate;
use crate::error::StoreError;

/// What would become of a submission now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreseen {
    /// The messages that gates refuse, by their place in the submission.
    pub refused: Vec<(usize, Refusal)>,
    /// Those that would wait for a time.
    pub later: Vec<(usize, At)>,
    /// Why the rest cannot be paid for.
    pub unpaid: Option<Refusal>,
}

pub type PreviewAnswer = Result<Foreseen, Refusal>;

impl Lane {
    pub(super) async fn previews(
        &mut self,
        items: &[Submission],
    ) -> Result<Vec<PreviewAnswer>, StoreError> {
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            self.conn.begin().await?;
            let foreseen = self.foresee(item, At::now()).await;
            self.conn.abandon().await;
            answers.push(Ok(foreseen?));
        }
        Ok(answers)
    }

    async fn foresee(&mut self, item: &Submission, now: At) -> Result<Foreseen, StoreError> {
        let mut candidates: Vec<Candidate<'_>> =
            item.messages.iter().map(|message| Candidate::of(item, message)).collect();
        let mut gates = self.open_gates(&candidates, now).await?;
        let mut foreseen = Foreseen::default();
        let mut cost = Micros::ZERO;
        for (at, candidate) in candidates.iter_mut().enumerate() {
            match gates.pass(candidate) {
                Ok(None) => cost += candidate.cost,
                Ok(Some(time)) => foreseen.later.push((at, time)),
                Err(refusal) => foreseen.refused.push((at, refusal)),
            }
        }
        foreseen.unpaid = gates.pay(item.organization, cost).err();
        Ok(foreseen)
    }
}
