//! A REGISTER read: which contacts it wants bound, until when, and how.

use bytes::Bytes;

use super::{Policy, Refused};
use crate::grammar;
use crate::header::{Contact, NameAddr, Via};
use crate::{Message, Name, Uri};

/// What a REGISTER asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub call_id: Bytes,
    pub cseq: u32,
    /// `*`: all bindings end.
    pub none: bool,
    pub contacts: Vec<Wanted>,
    pub path: Bytes,
    /// A flow of Outbound is wanted.
    pub outbound: bool,
}

/// One Contact.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub uri: Uri,
    pub q: u16,
    pub instance: Bytes,
    pub reg_id: u32,
    /// None: as the registrar likes. Zero: it ends.
    pub expires_s: Option<u32>,
}

impl Wish {
    /// Reads a REGISTER. `most`: contacts that it could have any use for.
    pub fn read(request: &Message, policy: &Policy, most: usize) -> Result<Self, Refused> {
        let cseq = request.cseq().map_err(|_| Refused::Bad("Bad CSeq"))?.number;
        let general = request.first(Name::Expires).and_then(|header| {
            let seconds = grammar::digits(grammar::trim(&header.text()))?;
            Some(u32::try_from(seconds).unwrap_or(u32::MAX))
        });
        let flows = request.has_token(Name::Supported, "outbound")
            || request.has_token(Name::Require, "outbound");
        let (mut contacts, mut none) = (Vec::new(), false);
        for contact in request.contacts() {
            match contact.map_err(|_| Refused::Bad("Bad Contact"))? {
                Contact::Any => none = true,
                Contact::Address(_) if contacts.len() == most => {
                    return Err(Refused::TooMany { most: policy.contacts_max });
                }
                Contact::Address(address) => contacts.push(wanted(&address, general, flows)?),
            }
        }
        if none && (!contacts.is_empty() || general != Some(0)) {
            return Err(Refused::Bad("Contact Star Needs Expires Zero And No Other"));
        }
        let outbound = contacts.iter().any(|wanted| wanted.reg_id > 0);
        let mut wish = Self {
            call_id: Bytes::copy_from_slice(&request.call_id()),
            cseq,
            none,
            contacts,
            path: Bytes::new(),
            outbound,
        };
        wish.read_path(request, policy)?;
        Ok(wish)
    }

    fn read_path(&mut self, request: &Message, policy: &Policy) -> Result<(), Refused> {
        let mut path = Vec::new();
        let mut keeps_flows = false;
        let values = request.list::<NameAddr>(Name::Path);
        for (at, value) in values.enumerate() {
            let value = value.map_err(|_| Refused::Bad("Bad Path"))?;
            keeps_flows = at == 0 && value.uri.param("ob").is_some() || at > 0 && keeps_flows;
            if at > 0 {
                path.extend_from_slice(b", ");
            }
            crate::header::Value::write(&value, &mut path);
            if path.len() > policy.path_max {
                return Err(Refused::Bad("Path Too Long"));
            }
        }
        let hops = request.list::<Via>(Name::Via).count();
        if self.outbound {
            let many = self.contacts.iter().filter(|one| one.expires_s != Some(0)).count() > 1;
            if many {
                return Err(Refused::Bad("One Contact For One Flow"));
            }
            if hops > 1 && !keeps_flows {
                return Err(Refused::NoOutbound);
            }
        }
        self.path = Bytes::from(path);
        Ok(())
    }
}

fn wanted(address: &NameAddr, general: Option<u32>, flows: bool) -> Result<Wanted, Refused> {
    if !address.uri.is_sip() {
        return Err(Refused::Scheme);
    }
    let instance = address.instance().unwrap_or_default();
    let reg_id = address.reg_id().filter(|_| flows && !instance.is_empty());
    // RFC 3261 §10.3: an expires that does not read counts as if it were not there.
    let expires_s = address.expires().or(general);
    Ok(Wanted {
        uri: address.uri.clone(),
        q: address.q(),
        instance: Bytes::copy_from_slice(&instance),
        reg_id: reg_id.unwrap_or_default(),
        expires_s,
    })
}
