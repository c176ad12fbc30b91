//! rusmpp, a strict codec by others, as a second opinion: what we write it reads as the same, and
//! what it writes we read as the same.

use proto_smpp::pdu::{bind, response};
use proto_smpp::split::{Concat, Encoding, parts};
use proto_smpp::{Bind, BindKind, CommandId, CommandStatus, Message, tlv};
use rand::RngExt;
use rusmpp::decode::DecodeWithLength;
use rusmpp::encode::{Encode, Length};
use rusmpp::types::{COctetString, OctetString};
use rusmpp::values::{DataCoding, EsmClass, Npi, Ton};
use rusmpp::{Command, Pdu};

use crate::tools::{encoded, octets, rng, well_formed};

/// Reads one PDU, of which it must use every octet.
fn theirs(wire: &[u8]) -> Command {
    let mut rest = wire[4..].into();
    let (command, size) = Command::decode(&mut rest, wire.len() - 4).unwrap();
    assert_eq!(size, wire.len() - 4);
    command
}

fn written_by_them(command: &Command) -> Vec<u8> {
    let length = command.length();
    let mut wire = vec![0; length + 4];
    wire[..4].copy_from_slice(&(length as u32 + 4).to_be_bytes());
    assert_eq!(Encode::encode(command, &mut wire[4..]), length);
    wire
}

/// The fields that submit_sm and deliver_sm share, compared one by one.
macro_rules! assert_same {
    ($ours:expr, $theirs:expr) => {{
        let (ours, theirs) = (&$ours, &$theirs);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(u8::from(theirs.source_addr_ton), ours.source.ton);
        assert_eq!(u8::from(theirs.source_addr_npi), ours.source.npi);
        assert_eq!(theirs.source_addr.as_str(), text(&ours.source.digits));
        assert_eq!(u8::from(theirs.dest_addr_ton), ours.destination.ton);
        assert_eq!(u8::from(theirs.dest_addr_npi), ours.destination.npi);
        assert_eq!(theirs.destination_addr.as_str(), text(&ours.destination.digits));
        assert_eq!(u8::from(theirs.esm_class), ours.esm_class);
        assert_eq!(theirs.protocol_id, ours.protocol_id);
        assert_eq!(u8::from(theirs.priority_flag), ours.priority);
        assert_eq!(theirs.schedule_delivery_time.as_str(), text(&ours.schedule));
        assert_eq!(theirs.validity_period.as_str(), text(&ours.validity));
        assert_eq!(u8::from(theirs.registered_delivery), ours.registered_delivery);
        assert_eq!(u8::from(theirs.replace_if_present_flag), ours.replace);
        assert_eq!(u8::from(theirs.data_coding), ours.data_coding);
        assert_eq!(theirs.sm_default_msg_id, ours.default_message_id);
        assert_eq!(theirs.short_message().clone().into_vec(), ours.short_message);
        assert_eq!(theirs.tlvs().len(), tlv::Tlvs::new(&ours.tlvs).count());
    }};
}

#[test]
fn they_read_our_messages_as_we_meant_them_and_we_read_theirs() {
    let mut rng = rng(21);
    let mut seen = [0; 3];
    for _ in 0..1500 {
        let ours = well_formed(&mut rng);
        let wire = encoded(&ours, 7);
        let command = theirs(&wire);
        assert_eq!(command.sequence_number(), 7);
        match command.pdu() {
            Some(Pdu::SubmitSm(theirs)) => {
                assert_same!(ours, theirs);
                seen[0] += 1;
            }
            Some(Pdu::DeliverSm(theirs)) => {
                assert_same!(ours, theirs);
                seen[1] += 1;
            }
            Some(Pdu::DataSm(theirs)) => {
                assert_eq!(u8::from(theirs.data_coding), ours.data_coding);
                assert_eq!(u8::from(theirs.esm_class), ours.esm_class);
                assert_eq!(theirs.tlvs().len(), tlv::Tlvs::new(&ours.tlvs).count());
                seen[2] += 1;
            }
            other => panic!("{other:?}"),
        }
        let back = written_by_them(&command);
        assert_eq!(back, wire, "they write what we wrote");
        assert_eq!(Message::decode(ours.command, &back[16..]), Ok(ours));
    }
    assert!(seen.iter().all(|&n| n > 300), "{seen:?}");
}

#[test]
fn we_read_a_submit_that_they_built() {
    let mut rng = rng(22);
    for _ in 0..300 {
        let text = octets(&mut rng, 255);
        let built = rusmpp::pdus::SubmitSm::builder()
            .source_addr_ton(Ton::Alphanumeric)
            .source_addr_npi(Npi::Unknown)
            .source_addr(COctetString::from_string("Orbit".into()).unwrap())
            .dest_addr_ton(Ton::International)
            .dest_addr_npi(Npi::Isdn)
            .destination_addr(COctetString::from_string("447700900123".into()).unwrap())
            .esm_class(EsmClass::from(0x40))
            .data_coding(DataCoding::Ucs2)
            .short_message(OctetString::from_vec(text.clone()).unwrap())
            .build();
        let command = Command::new(rusmpp::CommandStatus::EsmeRok, rng.random(), built);
        let wire = written_by_them(&command);
        let ours = Message::decode(CommandId::SUBMIT_SM, &wire[16..]).unwrap();
        assert_eq!(
            (ours.source.ton, ours.source.npi, &ours.source.digits[..]),
            (5, 0, &b"Orbit"[..])
        );
        assert_eq!((ours.destination.ton, ours.destination.npi), (1, 1));
        assert_eq!(ours.destination.text(), "447700900123");
        assert_eq!((ours.esm_class, ours.data_coding, ours.short_message.clone()), (0x40, 8, text));
        assert_eq!(encoded(&ours, command.sequence_number()), wire);
    }
}

#[test]
fn they_read_every_kind_of_part() {
    let text = "€uro and more ".repeat(30);
    for concat in [Concat::Udh8, Concat::Udh16, Concat::SarTlv, Concat::MessagePayload] {
        for part in parts(&text, Encoding::Gsm7, concat, 0xABCD).unwrap() {
            let message = Message {
                esm_class: if part.esm_class_udhi { 0x40 } else { 0 },
                short_message: part.user_data,
                tlvs: part.tlvs,
                ..Message::default()
            };
            let wire = encoded(&message, 1);
            assert_eq!(written_by_them(&theirs(&wire)), wire, "{concat:?}");
        }
    }
}

#[test]
fn they_read_our_binds_and_our_answers() {
    for kind in [BindKind::Transmitter, BindKind::Receiver, BindKind::Transceiver] {
        let mut wire = Vec::new();
        let ours = Bind { addr_ton: 1, addr_npi: 1, ..Bind::new(kind, "orbit", "secret08") };
        ours.encode(&mut wire, 3);
        let command = theirs(&wire);
        let (system_id, password) = match command.pdu() {
            Some(Pdu::BindTransmitter(b)) => (b.system_id.as_str(), b.password.as_str()),
            Some(Pdu::BindReceiver(b)) => (b.system_id.as_str(), b.password.as_str()),
            Some(Pdu::BindTransceiver(b)) => (b.system_id.as_str(), b.password.as_str()),
            other => panic!("{other:?}"),
        };
        assert_eq!((system_id, password), ("orbit", "secret08"));
        let back = written_by_them(&command);
        assert_eq!(Bind::decode(kind.command(), &back[16..]), Ok(ours));

        let mut wire = Vec::new();
        bind::encode_response(&mut wire, kind, CommandStatus::OK, 3, "smsc", Some(0x34));
        assert_eq!(written_by_them(&theirs(&wire)), wire);
    }
    for command in [CommandId::SUBMIT_SM, CommandId::DELIVER_SM, CommandId::DATA_SM] {
        let mut wire = Vec::new();
        response::encode(&mut wire, command, CommandStatus::OK, 9, b"0a1b2c");
        let read = theirs(&wire);
        assert_eq!(u32::from(read.id()), command.response().0);
        assert_eq!(written_by_them(&read), wire);
    }
}

#[test]
fn both_name_the_same_numbers() {
    use rusmpp::{CommandId as TheirId, CommandStatus as Theirs};
    for (theirs, ours) in [
        (Theirs::EsmeRinvmsglen, CommandStatus::INVMSGLEN),
        (Theirs::EsmeRinvcmdlen, CommandStatus::INVCMDLEN),
        (Theirs::EsmeRinvcmdid, CommandStatus::INVCMDID),
        (Theirs::EsmeRinvbndsts, CommandStatus::INVBNDSTS),
        (Theirs::EsmeRalybnd, CommandStatus::ALYBND),
        (Theirs::EsmeRsyserr, CommandStatus::SYSERR),
        (Theirs::EsmeRinvsrcadr, CommandStatus::INVSRCADR),
        (Theirs::EsmeRinvdstadr, CommandStatus::INVDSTADR),
        (Theirs::EsmeRbindfail, CommandStatus::BINDFAIL),
        (Theirs::EsmeRinvpaswd, CommandStatus::INVPASWD),
        (Theirs::EsmeRinvsysid, CommandStatus::INVSYSID),
        (Theirs::EsmeRmsgqful, CommandStatus::MSGQFUL),
        (Theirs::EsmeRsubmitfail, CommandStatus::SUBMITFAIL),
        (Theirs::EsmeRthrottled, CommandStatus::THROTTLED),
        (Theirs::EsmeRxTAppn, CommandStatus::X_T_APPN),
        (Theirs::EsmeRxPAppn, CommandStatus::X_P_APPN),
        (Theirs::EsmeRxRAppn, CommandStatus::X_R_APPN),
    ] {
        assert_eq!(u32::from(theirs), ours.0, "{ours}");
    }
    for (theirs, ours) in [
        (TheirId::BindTransceiver, CommandId::BIND_TRANSCEIVER),
        (TheirId::SubmitSm, CommandId::SUBMIT_SM),
        (TheirId::DeliverSm, CommandId::DELIVER_SM),
        (TheirId::DataSm, CommandId::DATA_SM),
        (TheirId::SubmitMulti, CommandId::SUBMIT_MULTI),
        (TheirId::Outbind, CommandId::OUTBIND),
        (TheirId::AlertNotification, CommandId::ALERT_NOTIFICATION),
        (TheirId::EnquireLink, CommandId::ENQUIRE_LINK),
        (TheirId::GenericNack, CommandId::GENERIC_NACK),
    ] {
        assert_eq!(u32::from(theirs), ours.0, "{ours}");
    }
}

#[test]
fn they_read_our_questions_our_calls_and_one_text_to_many() {
    use proto_smpp::Address;
    use proto_smpp::pdu::manage::{Ask, Cancel, Query, QueryResponse, Replace};
    use proto_smpp::pdu::multi::{Destination, Multi};
    use proto_smpp::pdu::notify::{Alert, Outbind};
    let (us, them) = (Address::new(5, 0, "Orbit"), Address::new(1, 1, "447700900123"));
    let id = || b"1000017".to_vec();
    let asks = [
        Ask::Query(Query { message_id: id(), source: us.clone() }),
        Ask::Cancel(Cancel {
            service_type: b"CMT".to_vec(),
            message_id: Vec::new(),
            source: us.clone(),
            destination: them.clone(),
        }),
        Ask::Replace(Replace {
            message_id: id(),
            source: us.clone(),
            validity: b"000002000000000R".to_vec(),
            registered_delivery: 1,
            short_message: b"other words".to_vec(),
            ..Replace::default()
        }),
    ];
    for ask in asks {
        let mut wire = Vec::new();
        ask.encode(&mut wire, 5);
        let back = written_by_them(&theirs(&wire));
        assert_eq!(back, wire, "{ask:?}");
    }
    let mut wires = vec![Vec::new(); 4];
    let outbind = Outbind { system_id: "smsc".into(), password: "secret08".into() };
    outbind.encode(&mut wires[0], 6);
    let mut alert = Alert { source: them.clone(), esme: us.clone(), tlvs: Vec::new() };
    tlv::write(&mut alert.tlvs, tlv::MS_AVAILABILITY_STATUS, &[0]);
    alert.encode(&mut wires[1], 7);
    let message = Message { source: us, short_message: b"hello".to_vec(), ..Message::default() };
    let destinations = vec![Destination::Address(them), Destination::List(b"friends".to_vec())];
    Multi { destinations, message }.encode(&mut wires[2], 8);
    let (message_id, final_date) = (&b"1000017"[..], &b"261128120000000+"[..]);
    let state = QueryResponse { message_id, final_date, message_state: 2, error_code: 0 };
    state.encode(&mut wires[3], 9);
    for wire in wires {
        assert_eq!(written_by_them(&theirs(&wire)), wire);
    }
}
