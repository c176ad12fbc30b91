//! The messages of a call as they came and went, for who has to find out why it failed.
//!
//! Each is packed as it is seen, without what is secret (`model::voice::pack_one`), so that no more is kept in
//! memory than is stored. Requests of ours are kept without the Via that the transaction adds; a CANCEL is
//! kept as it is made, without its answer; what is repeated by timers is not seen here.

use model::clock::At;
use model::voice::{LADDER_MESSAGES_MAX, pack_one};
use proto_sip::header::{Reason, Value as _};

use super::super::flow::Flow;

/// Octets of one call that are kept.
const OCTETS_MAX: usize = 48 * 1_024;

#[derive(Debug, Default)]
pub(super) struct Ladder {
    packed: Vec<u8>,
    count: usize,
    /// Where a message came from, or went, last on each side, and how that is written.
    flows: [Option<(Flow, Box<str>)>; 2],
}

impl Ladder {
    pub(super) fn came(&mut self, now: At, flow: Flow, octets: &[u8]) {
        self.add(now, true, flow, octets);
    }

    pub(super) fn went(&mut self, now: At, flow: Flow, octets: &[u8]) {
        self.add(now, false, flow, octets);
    }

    fn add(&mut self, at: At, inbound: bool, flow: Flow, octets: &[u8]) {
        if self.count >= LADDER_MESSAGES_MAX || self.packed.len() + octets.len() > OCTETS_MAX {
            return;
        }
        self.count += 1;
        let known =
            self.flows.iter().position(|known| matches!(known, Some((of, _)) if *of == flow));
        let place = known.unwrap_or_else(|| {
            let text = format!("{} {}", flow.kind().as_str(), flow.peer());
            self.flows.swap(0, 1);
            self.flows[0] = Some((flow, text.into()));
            0
        });
        let text = self.flows[place].as_ref().map_or("", |(_, text)| text);
        pack_one((at, inbound, text), octets, false, &mut self.packed);
    }

    /// What there is.
    pub(super) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// What is to be stored, if anything.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let packed = std::mem::take(&mut self.packed);
        (!packed.is_empty()).then_some(packed)
    }
}

/// The CANCEL of an INVITE of ours (RFC 3261 §9.1), as far as it is kept.
pub(super) fn cancel_of(invite: &[u8], reasons: &[Reason]) -> Vec<u8> {
    let mut cancel = Vec::new();
    for line in invite.split_inclusive(|octet| *octet == b'\n') {
        let name = line.split(|octet| *octet == b':').next().unwrap_or_default();
        if let Some(rest) = line.strip_prefix(b"INVITE ") {
            cancel.extend_from_slice(b"CANCEL ");
            cancel.extend_from_slice(rest);
        } else if name.eq_ignore_ascii_case(b"CSeq") {
            let text = String::from_utf8_lossy(line);
            cancel.extend_from_slice(text.replace("INVITE", "CANCEL").as_bytes());
        } else if [&b"From"[..], b"To", b"Call-ID", b"Max-Forwards"].contains(&name) {
            cancel.extend_from_slice(line);
        } else if line.trim_ascii().is_empty() {
            break;
        }
    }
    for reason in reasons {
        cancel.extend_from_slice(b"Reason: ");
        reason.write(&mut cancel);
        cancel.extend_from_slice(b"\r\n");
    }
    cancel.extend_from_slice(b"\r\n");
    cancel
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::voice::unpack;

    #[test]
    fn a_cancel_says_which_invite_and_why() {
        let invite =
            b"INVITE sip:b@h SIP/2.0\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: c\r\n\
            CSeq: 7 INVITE\r\nContact: <sip:o@h>\r\nContent-Length: 3\r\n\r\nv=0";
        let cancel = cancel_of(invite, &[Reason::new("SIP", 200, "elsewhere")]);
        let text = String::from_utf8(cancel).unwrap();
        assert!(text.starts_with("CANCEL sip:b@h SIP/2.0\r\nFrom: <sip:a@x>;tag=1\r\n"), "{text}");
        assert!(text.contains("CSeq: 7 CANCEL\r\nReason: SIP;cause=200"), "{text}");
        assert!(!text.contains("Contact") && !text.contains("v=0"), "{text}");
    }

    #[test]
    fn a_ladder_is_kept_in_order_and_has_an_end() {
        let mut ladder = Ladder::default();
        let flow = Flow::udp(0, ([192, 0, 2, 7], 5_060).into());
        ladder.came(
            At(1),
            flow,
            b"INVITE sip:a SIP/2.0\r\nAuthorization: Digest response=\"abc\"\r\n\r\n",
        );
        ladder.went(At(2), flow, b"SIP/2.0 180 Ringing\r\n\r\n");
        for _ in 0..1_000 {
            ladder.went(At(3), flow, &[b'x'; 1_000]);
        }
        let packed = ladder.take().unwrap();
        assert!(packed.len() <= OCTETS_MAX + 1_000);
        let kept = unpack(&packed);
        assert_eq!(kept[0].title(), "INVITE");
        assert!(kept[0].inbound && !kept[1].inbound && kept.len() < LADDER_MESSAGES_MAX);
        assert!(!String::from_utf8_lossy(&kept[0].octets).contains("abc"));
        assert_eq!(ladder.take(), None);
    }
}
