//! One REGISTER: who asks, whether it may, and what is then bound. Nothing is changed here but which nonces
//! were used, and who has failed.

use std::sync::Arc;

use bytes::Bytes;
use proto_sip::binding::{self, Outcome, Policy, Refused};
use proto_sip::digest::Counts;
use proto_sip::header::Rport;
use proto_sip::{Builder, Message, Name, StatusCode, Uri};

use super::table::{Bound, Table};
use super::{RegistrarArgs, now_s};
use crate::sip::credentials::Credential;
use crate::sip::flow::Flow;
use crate::sip::proof::{Proof, Unproven};
use crate::sip::shard::answer;

/// Octets of a User-Agent that are kept.
const AGENT_MAX: usize = 64;

/// What becomes of a REGISTER.
pub(super) enum Decision {
    /// It changes nothing, and is answered at once.
    Answer { octets: Bytes, what: What },
    /// It is answered once that is stored.
    Bind { octets: Bytes, bound: Box<Bound> },
}

/// Which kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Challenged,
    Denied,
    Refused,
    /// What is bound, as it was asked.
    Told,
}

struct Asker<'a> {
    args: &'a RegistrarArgs,
    flow: Flow,
    message: &'a Message,
    realm: Arc<str>,
}

pub(super) fn decide(
    args: &RegistrarArgs,
    counts: &mut Counts,
    table: &Table,
    flow: Flow,
    message: &Message,
) -> Decision {
    let to = match message.to() {
        Ok(to) if to.uri.is_sip() => to.uri,
        _ => return simple(message, StatusCode::NOT_FOUND, None, What::Refused),
    };
    let asker = Asker { args, flow, message, realm: realm_of(args, &to) };
    let credential = match asker.authenticate(counts) {
        Ok(credential) => credential,
        Err(decision) => return decision,
    };
    let user = to.user_unescaped().unwrap_or_default();
    let extension = credential.extension.as_deref().unwrap_or_default();
    if user != credential.username.as_bytes()
        && (extension.is_empty() || user != extension.as_bytes())
    {
        return simple(message, StatusCode::FORBIDDEN, Some("Not Your Address"), What::Refused);
    }
    let policy = Policy { contacts_max: credential.max_contacts, ..args.policy };
    let bound = table.bound(credential.of.credential);
    match binding::register(message, bound, &policy, now_s()) {
        Ok(outcome) => asker.grant(&credential, outcome),
        Err(refused) => refuse(message, refused),
    }
}

/// The realm of an address: the host that it names if organizations have it, and otherwise the one there is,
/// so that a telephone may register with the switch's bare address while a single organization uses it.
fn realm_of(args: &RegistrarArgs, to: &Uri) -> Arc<str> {
    let host = to.host().map(ToString::to_string).unwrap_or_default().to_ascii_lowercase();
    let ours = host.strip_suffix(&*args.domain).is_some_and(|slug| slug.ends_with('.'));
    if ours || args.credentials.knows_realm(&host) {
        return Arc::from(host);
    }
    args.credentials.only_realm().unwrap_or_else(|| args.domain.clone())
}

impl Asker<'_> {
    fn authenticate(&self, counts: &mut Counts) -> Result<Arc<Credential>, Decision> {
        let args = self.args;
        let proof = Proof {
            nonces: &args.nonces,
            algorithms: &args.algorithms,
            shield: args.wire.shield(),
            method: "REGISTER",
            realm: &self.realm,
            flow: self.flow,
            message: self.message,
        };
        let known = |user: &str, algorithm| {
            let known = args.credentials.find(&self.realm, user).filter(|known| known.active)?;
            let ha1 = *known.ha1(algorithm);
            Some((known, ha1))
        };
        proof.prove(counts, known).map_err(|why| {
            let what = match why {
                Unproven::Unsaid | Unproven::Stale => What::Challenged,
                Unproven::Wrong | Unproven::Shut | Unproven::OtherUri => What::Denied,
            };
            Decision::Answer { octets: proof.refuse(why), what }
        })
    }

    fn grant(&self, credential: &Credential, outcome: Outcome) -> Decision {
        let message = self.message;
        let now_s = now_s();
        let octets = answer(message, StatusCode::OK, None, |builder| {
            for binding in &outcome.bindings {
                builder.header(Name::Contact, &*binding.contact_value(now_s));
            }
            builder.copy_all(message, Name::Path);
            builder.header(Name::Supported, "path, outbound");
            if outcome.outbound {
                builder.header(Name::Require, "outbound");
                if self.flow.is_udp() {
                    builder.header(Name::FlowTimer, &FLOW_TIMER_S);
                }
            }
        });
        let octets = octets.unwrap_or_default();
        if !outcome.changes() {
            return Decision::Answer { octets, what: What::Told };
        }
        let aor = format!("sip:{}@{}", credential.username, credential.realm);
        let bound = Bound {
            of: credential.of,
            aor: Arc::from(aor),
            reached_at: reached_at(message, self.flow, &outcome),
            outcome,
            agent: agent(message),
        };
        Decision::Bind { octets, bound: Box::new(bound) }
    }
}

/// How often a telephone over UDP should say that it lives, RFC 5626 §4.4.2.
const FLOW_TIMER_S: u64 = 25;

/// A telephone is called where it registered from, whatever its Contact says: nobody points us elsewhere.
/// One that sends from one port and listens on another of the same address says so by leaving rport out.
fn reached_at(message: &Message, flow: Flow, outcome: &Outcome) -> Flow {
    let asked = message.via().is_ok_and(|via| via.rport() != Rport::Absent);
    let slot = outcome.added.first().or(outcome.refreshed.first());
    let Some(slot) = slot.filter(|_| flow.is_udp() && !asked) else { return flow };
    let binding = outcome.bindings.iter().find(|binding| binding.slot == *slot);
    let contact = binding.and_then(|binding| Uri::parse(&binding.contact).ok());
    match contact {
        Some(contact) if contact.host().and_then(|host| host.ip()) == Some(flow.peer().ip()) => {
            flow.to_port(contact.port().unwrap_or(5060))
        }
        _ => flow,
    }
}

fn agent(message: &Message) -> Option<Box<str>> {
    let header = message.first(Name::UserAgent)?;
    let text = String::from_utf8_lossy(&header.text()).into_owned();
    Some(text.chars().filter(|sign| !sign.is_control()).take(AGENT_MAX).collect::<String>().into())
}

fn refuse(message: &Message, refused: Refused) -> Decision {
    let (status, reason) = (refused.status(), refused.reason());
    let octets = answer(message, status, reason, |builder| {
        if let Refused::TooBrief { min_s } = refused {
            builder.header(Name::MinExpires, &u64::from(min_s));
        }
    });
    Decision::Answer { octets: octets.unwrap_or_default(), what: What::Refused }
}

fn simple(message: &Message, status: StatusCode, reason: Option<&str>, what: What) -> Decision {
    let octets = answer(message, status, reason, |_: &mut Builder| {});
    Decision::Answer { octets: octets.unwrap_or_default(), what }
}
