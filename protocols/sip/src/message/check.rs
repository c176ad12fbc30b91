//! The values that every element must understand before it serves a request, RFC 3261 §8.2 and
//! §16.3: Request-URI, Via, From, To, Call-ID, Max-Forwards and Contact.
//!
//! `parse` looks at the shape of a message alone; this reads the values once, at the door.

use bytes::Bytes;

use super::{Defect, Message, Refused};
use crate::grammar::{self, ValueError};
use crate::header::{Contact, Via};
use crate::uri::Scheme;
use crate::{Limits, Method, Name};

impl Message {
    /// Reads and checks one whole message: what `parse` and `check` say, in one answer.
    pub fn accept(raw: Bytes, limits: &Limits) -> Result<Self, Box<Refused>> {
        let message = Self::parse(raw, limits)?;
        match message.check() {
            Ok(()) => Ok(message),
            Err(defect) => {
                let request = message.is_request().then_some(message);
                Err(Box::new(Refused { defect, request }))
            }
        }
    }

    /// The first value that does not read, as the defect to answer with.
    pub fn check(&self) -> Result<(), Defect> {
        if self.is_request() {
            let uri = self.uri()?;
            if matches!(uri.scheme(), Scheme::Other) {
                return Err(Defect::Scheme);
            }
            self.max_forwards()?;
        }
        for via in self.list::<Via>(Name::Via) {
            via?;
        }
        self.from()?;
        self.to()?;
        if !grammar::is_call_id(&self.call_id()) {
            return Err(bad("Call-ID", "not an id").into());
        }
        self.contacts_read()
    }

    /// How many hops are left; `None` when the sender did not say.
    pub fn max_forwards(&self) -> Result<Option<u8>, ValueError> {
        let Some(header) = self.first(Name::MaxForwards) else {
            return Ok(None);
        };
        match grammar::number(&header.text()) {
            Some(hops) => Ok(Some(hops)),
            None => Err(bad("Max-Forwards", "not a number up to 255")),
        }
    }

    /// `*` stands alone, and in REGISTER alone.
    fn contacts_read(&self) -> Result<(), Defect> {
        let mut count = 0;
        let mut any = false;
        for contact in self.list::<Contact>(Name::Contact) {
            any |= contact? == Contact::Any;
            count += 1;
        }
        if any && (count > 1 || self.method().is_some_and(|method| *method != Method::Register)) {
            return Err(bad("Contact", "a star that is not alone in a REGISTER").into());
        }
        Ok(())
    }
}

fn bad(what: &'static str, why: &'static str) -> ValueError {
    ValueError { what, why, at: 0 }
}
