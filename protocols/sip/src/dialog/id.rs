//! The name of a dialog: a Call-ID and the tags of both ends, RFC 3261 §12.

use bytes::Bytes;

use crate::Message;
use crate::grammar::ValueError;
use crate::header::Replaces;

/// The name of a dialog as this end sees it. A tag that a peer of RFC 2543 has not is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DialogId {
    pub call_id: Bytes,
    pub local_tag: Bytes,
    pub remote_tag: Bytes,
}

impl DialogId {
    /// The dialog that a request was sent in; its local tag is empty if it was sent in none.
    pub fn of_request(request: &Message) -> Result<Self, ValueError> {
        Self::new(request, request.to()?.params.slice("tag"), request.from()?.params.slice("tag"))
    }

    /// The dialog that a response belongs to.
    pub fn of_response(response: &Message) -> Result<Self, ValueError> {
        let (from, to) = (response.from()?, response.to()?);
        Self::new(response, from.params.slice("tag"), to.params.slice("tag"))
    }

    fn new(
        message: &Message,
        local_tag: Option<Bytes>,
        remote_tag: Option<Bytes>,
    ) -> Result<Self, ValueError> {
        Ok(Self {
            call_id: message.call_id(),
            local_tag: local_tag.unwrap_or_default(),
            remote_tag: remote_tag.unwrap_or_default(),
        })
    }

    /// Whether a Replaces names this dialog: its to-tag is ours, RFC 3891 §3. A tag of zero stands
    /// for one that an old peer has not.
    pub fn is_named_by(&self, replaces: &Replaces) -> bool {
        let zero = |tag: &Bytes| tag.is_empty() || &tag[..] == b"0";
        let same = |own: &Bytes, named: &Bytes| own == named || (zero(own) && zero(named));
        self.call_id == replaces.call_id
            && same(&self.local_tag, &replaces.to_tag)
            && same(&self.remote_tag, &replaces.from_tag)
    }
}
