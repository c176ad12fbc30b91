//! What carriers and customers really send. Each test is a fact that broke some gateway once.

mod parsing;
mod receipts;
mod session;

use proto_smpp::receipt::{Receipt, is_receipt};
use proto_smpp::{CommandId, CommandStatus, Output, tlv};

use crate::tools::{Rig, deliver_body, pdu};

pub(crate) const SUBMIT_RESP: CommandId = CommandId(0x8000_0004);

/// Submits, answers with this status and body, and gives what comes out of it.
pub(crate) fn answer(status: CommandStatus, body: &[u8]) -> (CommandStatus, Vec<u8>) {
    let mut rig = Rig::bound();
    let sequence = rig.submit(1);
    let mut out = rig.bytes(&pdu(SUBMIT_RESP, status, sequence, body));
    assert!(rig.is_in_step());
    match (out.pop(), out.len()) {
        (Some(Output::Answered { tag: 1, status, message_id }), 0) => (status, message_id),
        (other, _) => panic!("{other:?}"),
    }
}

/// Delivers a receipt's text with TLVs through a session and reads it.
pub(crate) fn receipt(esm_class: u8, text: &str, tlvs: &[(u16, &[u8])]) -> Receipt {
    let mut rest = Vec::new();
    for (tag, value) in tlvs {
        tlv::write(&mut rest, *tag, value);
    }
    let message = Rig::bound().deliver(&deliver_body(esm_class, 0, text.as_bytes(), &rest));
    assert!(is_receipt(&message.view()));
    Receipt::parse(&message.view())
}
