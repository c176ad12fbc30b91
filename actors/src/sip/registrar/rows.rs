//! Bindings as rows, and back at a start.

use std::net::SocketAddr;

use bytes::Bytes;
use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use proto_sip::binding::Binding;
use store::SipBindingRow;
use store::lane::{Binding as Row, BindingChange, Registrant, Unbound};

use super::table::Reach;
use super::{RegistrarArgs, Unstored};
use crate::sip::flow::{Flow, Kind};

const SECOND: i64 = 1_000_000;

/// What a binding is called among those of its credential.
pub(super) fn key(slot: u16) -> String {
    slot.to_string()
}

pub(super) fn write(
    of: Registrant,
    aor: &str,
    binding: &Binding,
    (reach, came): (&Reach, Flow),
    node: &str,
) -> Row {
    let text = |octets: &Bytes| String::from_utf8_lossy(octets).into_owned();
    let some = |octets: &Bytes| (!octets.is_empty()).then(|| text(octets));
    let expires_at = i64::try_from(binding.expires_at_s).unwrap_or(i64::MAX / SECOND);
    Row {
        of,
        key: key(binding.slot),
        aor: aor.to_owned(),
        contact: text(&binding.contact),
        instance: some(&binding.instance),
        reg_id: (binding.reg_id > 0).then(|| i64::from(binding.reg_id)),
        // One text: the values of a list, as they go into Route.
        path: some(&binding.path).into_iter().collect(),
        call_id: text(&binding.call_id),
        cseq: i64::from(binding.cseq),
        user_agent: reach.agent.as_deref().map(str::to_owned),
        transport: came.kind().as_str().to_owned(),
        received_from: reach.flow.peer().to_string(),
        flow: reach.flow.link().to_string(),
        node: node.to_owned(),
        q: i64::from(binding.q),
        registered_at: reach.registered_at,
        expires_at: At(expires_at.saturating_mul(SECOND)),
    }
}

/// The binding that a change makes, if it makes one.
pub(super) fn made(change: &BindingChange) -> Option<Unstored> {
    let BindingChange::Put { binding, is_new } = change else { return None };
    Some(Unstored {
        credential: binding.of.credential,
        slot: binding.key.parse().ok()?,
        cseq: u32::try_from(binding.cseq).ok()?,
        is_new: *is_new,
    })
}

type Read = (Binding, Reach, Registrant);

/// A binding of an earlier life, or how it is to be forgotten: over, its connection lost, its credential not
/// good any more, or written by nobody we know.
pub(super) fn read(
    row: &SipBindingRow,
    args: &RegistrarArgs,
    now_s: u64,
) -> Result<Read, Option<BindingChange>> {
    let public_id = row.public_id.as_slice().try_into().map(PublicId::from_bytes);
    let Ok(public_id) = public_id else { return Err(None) };
    let organization = OrgId(row.organization_id);
    let of = Registrant { credential: row.credential_id, public_id, organization };
    let remove = |why| {
        let (key, contact) = (row.binding.clone(), row.contact.clone());
        Err(Some(BindingChange::Remove { of, key, contact, why }))
    };
    let Some((binding, reach)) = parse(row) else { return remove(Unbound::Lost) };
    let known = args.credentials.by_number(row.credential_id);
    if known.is_none_or(|known| !known.active) {
        return remove(Unbound::Dropped);
    }
    if binding.is_over(now_s) {
        return remove(Unbound::Expired);
    }
    // A connection's number means something in the life of the process that counted it.
    let ours = reach.flow.is_udp() || *row.node == *args.node;
    if !ours || !args.wire.is_open(reach.flow) {
        return remove(Unbound::Lost);
    }
    Ok((binding, reach, of))
}

fn parse(row: &SipBindingRow) -> Option<(Binding, Reach)> {
    let kind = Kind::parse(&row.transport)?;
    let peer: SocketAddr = row.received_from.parse().ok()?;
    let path: Vec<String> = serde_json::from_str(&row.path).ok()?;
    let path = Bytes::from(path.join(", "));
    let octets = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let binding = Binding {
        slot: row.binding.parse().ok()?,
        contact: octets(&row.contact),
        q: u16::try_from(row.q).ok()?,
        instance: octets(row.instance.as_deref().unwrap_or_default()),
        reg_id: u32::try_from(row.reg_id.unwrap_or_default()).ok()?,
        call_id: octets(&row.call_id),
        cseq: u32::try_from(row.cseq).ok()?,
        path,
        expires_at_s: u64::try_from(row.expires_at / SECOND).ok()?,
    };
    let reach = Reach {
        flow: Flow::new(kind, row.flow.parse().ok()?, peer),
        agent: row.user_agent.as_deref().map(Box::from),
        registered_at: At(row.registered_at),
    };
    Some((binding, reach))
}
