//! Between the product's messages and SMPP's: the only place where both are spoken of.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use model::carrier::{CarrierId, OrgId};
use model::esme::Submitted;
use model::message::{Encoding, Status};
use proto_smpp::receipt::{self, State};
use proto_smpp::segment::Segment;
use proto_smpp::split::{self, Concat, Part};
use proto_smpp::text::Alphabet;
use proto_smpp::{Address, CommandId, Message, MessageView, message_id, text, tlv};
use sha2::{Digest as _, Sha256};
use store::lane::{Inbound, InboundPart, Receipt};

use super::job::Job;

/// Ask for a receipt of the final outcome, delivered or not.
const REGISTERED_DELIVERY: u8 = 1;

/// How one carrier is written to and read. A carrier with habits of its own gets its own.
#[derive(Clone, Copy)]
pub struct Dialect {
    pub write: fn(&Job, Concat) -> Result<Vec<Message>, split::SplitError>,
    pub receipt: fn(CarrierId, &MessageView<'_>) -> Receipt,
    pub inbound: fn(CarrierId, Option<OrgId>, &MessageView<'_>) -> Inbound,
}

impl Dialect {
    pub const STANDARD: Self = Self { write: messages, receipt, inbound };
}

/// How many PDUs a job takes.
#[must_use]
pub fn pdus(job: &Job, concat: Concat) -> usize {
    if concat == Concat::MessagePayload { 1 } else { usize::from(job.segments.max(1)) }
}

/// The PDUs of a job, in order of their parts.
pub fn messages(job: &Job, concat: Concat) -> Result<Vec<Message>, split::SplitError> {
    if let Some(submitted) = job.submitted.as_deref()
        && !submitted.user_data.is_empty()
    {
        return Ok(vec![as_it_came(job, submitted)]);
    }
    let encoding = match job.encoding {
        Encoding::Gsm7 => split::Encoding::Gsm7,
        Encoding::Ucs2 => split::Encoding::Ucs2,
    };
    // Parts of one text share a reference, and texts to one person should not: keys count up.
    let reference = u16::try_from(job.key.0 & 0xffff).unwrap_or(0);
    let parts = split::parts(&job.body, encoding, concat, reference)?;
    Ok(parts.into_iter().map(|part| message(job, encoding, part)).collect())
}

/// One part that an ESME submitted: its octets, and what it said of them. The addresses are those
/// that were checked.
fn as_it_came(job: &Job, submitted: &Submitted) -> Message {
    let text = if submitted.data_coding & 0x0C == 0x08 {
        split::Encoding::Ucs2
    } else {
        split::Encoding::Gsm7
    };
    let part = Part { user_data: submitted.user_data.clone(), ..Part::default() };
    let mut message = message(job, text, part);
    message.service_type.clone_from(&submitted.service_type);
    message.esm_class = submitted.esm_class;
    message.protocol_id = submitted.protocol_id;
    message.data_coding = submitted.data_coding;
    message.tlvs.clone_from(&submitted.tlvs);
    message
}

fn message(job: &Job, encoding: split::Encoding, part: Part) -> Message {
    let npi = u8::from(job.from_ton == 1);
    let source = Address::new(job.from_ton, npi, job.from.trim_start_matches('+'));
    let destination = Address::new(1, 1, job.to.trim_start_matches('+'));
    let mut message = Message::new(CommandId::SUBMIT_SM, source, destination);
    message.registered_delivery = REGISTERED_DELIVERY;
    message.data_coding = encoding.data_coding();
    if part.esm_class_udhi {
        message.esm_class = proto_smpp::pdu::message::ESM_UDHI;
    }
    message.short_message = part.user_data;
    message.tlvs = part.tlvs;
    message
}

/// How long the carrier may try, as SMPP 3.4 §7.1.1 writes a span of time: `YYMMDDhhmmss000R`.
#[must_use]
pub fn validity(left: Duration) -> Vec<u8> {
    let seconds = left.as_secs().clamp(1, 99 * 24 * 3_600 - 1);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    format!("0000{days:02}{hours:02}{minutes:02}{seconds:02}000R").into_bytes()
}

/// An address as the API writes it: international numbers with `+`.
#[must_use]
pub fn address(view: proto_smpp::pdu::message::AddressView<'_>) -> String {
    // A name in the GSM alphabet writes its @ as 0x00.
    let text = view.text();
    let text = if view.ton == 5 {
        text.trim_end_matches('\0').replace('\0', "@")
    } else {
        text.replace('\0', "")
    };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits && (view.ton == 1 || view.ton == 0 && text.len() > 8) {
        format!("+{text}")
    } else {
        text
    }
}

/// A receipt as the store takes it. One without an id can match nothing and becomes an orphan.
#[must_use]
pub fn receipt(carrier: CarrierId, view: &MessageView<'_>) -> Receipt {
    let said = receipt::Receipt::parse(view);
    let raw = said.message_id.unwrap_or_default();
    let (status, reason) = outcome(said.state);
    Receipt {
        carrier,
        external_id: message_id::canonical(&raw),
        raw_id: text::latin1(&raw).replace('\0', ""),
        status,
        reason,
        error: said.error.map(|error| error.replace('\0', "")),
        source: address(view.source),
        destination: address(view.destination),
    }
}

/// What a receipt's state makes of a message: SMPP 3.4 §5.2.28.
fn outcome(state: Option<State>) -> (Option<Status>, Option<&'static str>) {
    match state {
        Some(State::Delivered) => (Some(Status::Delivered), None),
        Some(State::Expired) => (Some(Status::Expired), None),
        Some(State::Deleted) => (Some(Status::Failed), None),
        Some(State::Undeliverable) => (Some(Status::Undelivered), None),
        Some(State::Unknown) => (Some(Status::SubmittedNoReceipt), Some("unknown")),
        Some(State::Rejected) => (Some(Status::Rejected), None),
        Some(State::Enroute | State::Accepted) | None => (None, None),
    }
}

/// A message from a handset as the store takes it. The bind adds which connection it came by.
#[must_use]
pub fn inbound(
    carrier: CarrierId,
    carrier_organization: Option<OrgId>,
    view: &MessageView<'_>,
) -> Inbound {
    let (_, octets) = view.split_udh();
    let part = Segment::of(view).map(|segment| InboundPart {
        reference: segment.reference,
        total: segment.total,
        number: segment.number,
    });
    let said = said(view, part.is_some());
    let body = if said.user_data.is_empty() {
        text::decode(view.data_coding, octets)
    } else {
        String::new()
    };
    let encoding = if view.data_coding & 0x0c == 0x08 { Encoding::Ucs2 } else { Encoding::Gsm7 };
    let raw = view.user_data().to_vec();
    Inbound {
        carrier,
        carrier_organization,
        from: address(view.source),
        to: address(view.destination),
        // A database may refuse U+0000 in a text; the octets stay in `raw`.
        body: body.replace('\0', "\u{fffd}"),
        encoding,
        from_ton: view.source.ton,
        fingerprint: inbound_fingerprint(view, &raw),
        session: 0,
        part,
        said,
        raw,
    }
}

/// What a PDU says beside its text. Octets that are no text are in it as they came; those of a part
/// without the header that joins it, for they are joined.
fn said(view: &MessageView<'_>, is_part: bool) -> Submitted {
    let binary = text::alphabet(view.data_coding) == Alphabet::Binary;
    let udhi = proto_smpp::pdu::message::ESM_UDHI;
    let octets = if is_part { view.split_udh().1 } else { view.user_data() };
    let mut tlvs = Vec::new();
    let apart = |tag: u16| {
        let joins = [tlv::SAR_MSG_REF_NUM, tlv::SAR_TOTAL_SEGMENTS, tlv::SAR_SEGMENT_SEQNUM];
        tag == tlv::MESSAGE_PAYLOAD || joins.contains(&tag)
    };
    for one in tlv::Tlvs::new(view.tlvs).filter(|one| !apart(one.tag)) {
        tlv::write(&mut tlvs, one.tag, one.value);
    }
    Submitted {
        source: (view.source.ton, view.source.npi),
        destination: (view.destination.ton, view.destination.npi),
        esm_class: if is_part { view.esm_class & !udhi } else { view.esm_class },
        protocol_id: view.protocol_id,
        data_coding: view.data_coding,
        service_type: view.service_type.to_vec(),
        user_data: if binary { octets.to_vec() } else { Vec::new() },
        tlvs,
        ..Submitted::default()
    }
}

/// Equal for a redelivery: made of all that the carrier said.
fn inbound_fingerprint(view: &MessageView<'_>, raw: &[u8]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for field in [view.source.digits, view.destination.digits, raw, view.tlvs] {
        sha.update(field.len().to_be_bytes());
        sha.update(field);
    }
    sha.finalize().into()
}

/// What a PDU is called while it is in hand: its content without its sequence number.
#[must_use]
pub fn fingerprint(view: &MessageView<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (view.source.digits, view.destination.digits, view.esm_class).hash(&mut hasher);
    (view.short_message, view.tlvs).hash(&mut hasher);
    hasher.finish() | 1
}

/// Other readings of a canonical id, for the store: rule 1 is hex read to decimal, 2 the reverse.
#[must_use]
pub fn alternatives(canonical: &str) -> Vec<(i64, String)> {
    [(1, message_id::Rule::HexToDec), (2, message_id::Rule::DecToHex)]
        .into_iter()
        .filter_map(|(number, rule)| Some((number, rule.apply(canonical)?)))
        .filter(|(_, id)| id != canonical)
        .collect()
}

#[cfg(test)]
mod tests {
    use model::carrier::MessageKey;
    use model::clock::At;
    use model::message::Category;
    use model::money::Micros;

    use super::*;

    fn job(body: &str, encoding: Encoding, segments: u8) -> Job {
        Job {
            key: MessageKey(0x1_0007),
            organization: OrgId(1),
            category: Category::Transactional,
            encoding,
            segments,
            unit_price: Micros(1),
            from_ton: 5,
            test: false,
            pool: None,
            attempts: 0,
            throttled: None,
            tried: Default::default(),
            created_at: At(0),
            due_at: At(0),
            expires_at: At(i64::MAX),
            place: 1,
            to: String::from("+14155550123"),
            from: String::from("Orbit"),
            body: body.to_owned(),
            submitted: None,
        }
    }

    #[test]
    fn a_short_message_is_one_pdu_with_its_addresses_typed() {
        let pdus = messages(&job("hello", Encoding::Gsm7, 1), Concat::Udh8).unwrap();
        assert_eq!(pdus.len(), 1);
        let pdu = &pdus[0];
        assert_eq!((pdu.source.ton, pdu.source.npi, pdu.source.text()), (5, 0, "Orbit".into()));
        assert_eq!((pdu.destination.ton, pdu.destination.npi), (1, 1));
        assert_eq!(pdu.destination.text(), "14155550123");
        assert_eq!((pdu.registered_delivery, pdu.data_coding, pdu.esm_class), (1, 0, 0));
    }

    #[test]
    fn what_is_left_of_its_validity_is_a_relative_time() {
        let text = |seconds| String::from_utf8(validity(Duration::from_secs(seconds))).unwrap();
        assert_eq!(text(172_800), "000002000000000R");
        assert_eq!(text(172_799), "000001235959000R");
        assert_eq!(text(61), "000000000101000R");
        assert_eq!(text(0), "000000000001000R");
    }

    #[test]
    fn a_long_message_is_as_many_pdus_as_segments() {
        let body = "a".repeat(161);
        for concat in [Concat::Udh8, Concat::Udh16, Concat::SarTlv, Concat::MessagePayload] {
            let job = job(&body, Encoding::Gsm7, 2);
            assert_eq!(messages(&job, concat).unwrap().len(), pdus(&job, concat));
        }
    }

    #[test]
    fn a_receipt_is_read_into_the_stores_words() {
        let written = receipt::Written {
            message_id: "0000ABC",
            state: State::Undeliverable,
            error: 7,
            submit_date: receipt::Stamp::parse("2601011200").unwrap(),
            done_date: receipt::Stamp::parse("2601011200").unwrap(),
            text: "hi",
            tlvs: true,
        };
        let pdu = receipt::write(
            &written,
            &Address::new(5, 0, "Orbit"),
            &Address::new(1, 1, "14155550123"),
        );
        let receipt = receipt(CarrierId(3), &pdu.view());
        assert_eq!((receipt.external_id.as_str(), receipt.raw_id.as_str()), ("abc", "0000ABC"));
        assert_eq!(receipt.status, Some(Status::Undelivered));
        assert_eq!(receipt.source, "+14155550123");
        assert_eq!(receipt.destination, "Orbit");
    }

    #[test]
    fn a_nul_in_an_inbound_text_does_not_reach_the_store() {
        let mut pdu = Message::new(
            CommandId::DELIVER_SM,
            Address::new(1, 1, "14155550123"),
            Address::new(3, 0, "12345"),
        );
        pdu.data_coding = 3;
        pdu.short_message = b"a\0b".to_vec();
        let inbound = inbound(CarrierId(1), None, &pdu.view());
        assert_eq!(inbound.body, "a\u{fffd}b");
        assert_eq!(inbound.raw, b"a\0b");
        assert_eq!(inbound.to, "12345");
    }

    #[test]
    fn octets_that_are_no_text_are_kept_as_octets_and_tlvs_with_them() {
        let from = Address::new(1, 1, "14155550123");
        let mut pdu = Message::new(CommandId::DELIVER_SM, from, Address::new(3, 0, "12345"));
        (pdu.data_coding, pdu.protocol_id) = (4, 0x41);
        pdu.short_message = vec![0, 1, 0xFE];
        pdu.push_tlv(0x1401, b"x");
        let single = inbound(CarrierId(1), None, &pdu.view());
        assert_eq!((single.body.as_str(), &single.said.user_data[..]), ("", &[0, 1, 0xFE][..]));
        assert_eq!((single.said.data_coding, single.said.protocol_id), (4, 0x41));
        assert_eq!(tlv::find(&single.said.tlvs, 0x1401), Some(&b"x"[..]));
        pdu.esm_class = proto_smpp::pdu::message::ESM_UDHI;
        pdu.short_message = b"\x05\0\x03\x07\x03\x02\0\xff".to_vec();
        let part = inbound(CarrierId(1), None, &pdu.view());
        assert_eq!((part.said.esm_class, &part.said.user_data[..]), (0, &b"\0\xff"[..]));
        assert!(part.part.is_some() && part.raw.len() == 8);
    }

    #[test]
    fn a_part_of_a_long_message_is_known_by_its_header() {
        let mut pdu = Message::new(
            CommandId::DELIVER_SM,
            Address::new(1, 1, "14155550123"),
            Address::new(3, 0, "12345"),
        );
        pdu.esm_class = proto_smpp::pdu::message::ESM_UDHI;
        pdu.short_message = b"\x05\0\x03\x07\x03\x02middle".to_vec();
        let inbound = inbound(CarrierId(1), None, &pdu.view());
        let part = InboundPart { reference: 7, total: 3, number: 2 };
        assert_eq!((inbound.part, inbound.body.as_str()), (Some(part), "middle"));
    }

    #[test]
    fn ids_are_read_in_hex_and_in_decimal() {
        assert_eq!(alternatives("ff"), [(1, String::from("255"))]);
        assert_eq!(alternatives("10"), [(1, String::from("16")), (2, String::from("a"))]);
        assert!(alternatives("x-1").is_empty());
    }
}
