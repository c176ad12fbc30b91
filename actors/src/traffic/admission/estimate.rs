//! What a send would take: the same checks, and the weight of its text at its carrier.

use model::carrier::OrgId;
use model::clock::At;
use model::refusal::Refusal;
use model::submission::NewMessage;
use proto_smpp::split::Concat;

use super::{Admission, SendRequest, Table};
use crate::traffic::text::{self, Weight};

/// A message as it would be sent.
#[derive(Clone, Debug)]
pub struct Estimate {
    pub message: NewMessage,
    pub weight: Weight,
}

impl Admission {
    /// The same answer as [`Admission::check`], with what the text takes. Counts nothing.
    pub fn estimate(
        &self,
        organization: OrgId,
        request: SendRequest,
        now: At,
    ) -> Result<Estimate, Refusal> {
        let message = self.check(organization, request, now)?;
        Ok(self.router.table().weigh(message))
    }
}

impl Table {
    fn weigh(&self, message: NewMessage) -> Estimate {
        let carrier = self.routes.carriers.iter().find(|carrier| carrier.id == message.carrier);
        let concat = carrier.map_or(Concat::default(), |carrier| carrier.concat);
        let weighed = text::weigh(&message.body, Some(message.encoding), concat);
        let weight = weighed.unwrap_or_else(|| text::weigh_plainly(&message.body));
        Estimate { message, weight }
    }
}
