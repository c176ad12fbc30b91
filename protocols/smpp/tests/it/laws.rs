//! Laws of the codec, on made-up PDUs: what is written reads back the same, what is cut or garbled
//! never panics, and what reads at all writes to something that reads the same.

use proptest::collection::vec;
use proptest::prelude::*;
use proto_smpp::pdu::bind::{self, BindResponse};
use proto_smpp::pdu::manage::{Ask, Cancel, Query, QueryResponse, Replace};
use proto_smpp::pdu::multi::{self, DESTINATIONS_MAX, Destination, Multi, Unsuccessful};
use proto_smpp::pdu::notify::{Alert, Outbind};
use proto_smpp::pdu::response::{self, Response};
use proto_smpp::{Address, Bind, BindKind, CommandId, CommandStatus, Message};

/// A C-octet string's content: anything but NUL.
fn text(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(1..=255_u8, 0..=longest)
}

fn address() -> impl Strategy<Value = Address> {
    (any::<u8>(), any::<u8>(), text(20)).prop_map(|(ton, npi, digits)| Address { ton, npi, digits })
}

/// Whole TLVs, none of them message_payload.
fn tlvs() -> impl Strategy<Value = Vec<u8>> {
    let one = (0x1400..0x3fff_u16, vec(any::<u8>(), 0..20));
    vec(one, 0..4).prop_map(|all| {
        let mut out = Vec::new();
        for (tag, value) in all {
            out.extend_from_slice(&tag.to_be_bytes());
            out.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            out.extend_from_slice(&value);
        }
        out
    })
}

prop_compose! {
    fn message(commands: &'static [CommandId])(
        command in proptest::sample::select(commands),
        (service_type, schedule, validity) in (text(5), text(16), text(16)),
        (source, destination) in (address(), address()),
        octets in any::<[u8; 7]>(),
        short_message in vec(any::<u8>(), 0..=255),
        tlvs in tlvs(),
    ) -> Message {
        let [esm_class, protocol_id, priority, registered_delivery, replace, data_coding, id] =
            octets;
        let whole = Message {
            command, service_type, source, destination, esm_class, protocol_id, priority,
            schedule, validity, registered_delivery, replace, data_coding,
            default_message_id: id, short_message, tlvs,
        };
        if command != CommandId::DATA_SM {
            return whole;
        }
        // data_sm has no such fields; its text would come back as a TLV.
        Message {
            protocol_id: 0, priority: 0, replace: 0, default_message_id: 0,
            schedule: Vec::new(), validity: Vec::new(), short_message: Vec::new(), ..whole
        }
    }
}

fn ask() -> impl Strategy<Value = Ask> {
    let query = (text(65), address())
        .prop_map(|(message_id, source)| Ask::Query(Query { message_id, source }));
    let cancel = (text(5), text(65), address(), address()).prop_map(
        |(service_type, message_id, source, destination)| {
            Ask::Cancel(Cancel { service_type, message_id, source, destination })
        },
    );
    let times = (text(16), text(16));
    let replace = (text(65), address(), times, any::<[u8; 2]>(), vec(any::<u8>(), 0..=255), tlvs())
        .prop_map(|(message_id, source, (schedule, validity), octets, short_message, tlvs)| {
            Ask::Replace(Replace {
                message_id,
                source,
                schedule,
                validity,
                registered_delivery: octets[0],
                default_message_id: octets[1],
                short_message,
                tlvs,
            })
        });
    prop_oneof![query, cancel, replace]
}

fn many() -> impl Strategy<Value = Multi> {
    let destination = prop_oneof![
        4 => address().prop_map(Destination::Address),
        1 => text(20).prop_map(Destination::List),
    ];
    (vec(destination, 0..=DESTINATIONS_MAX), message(&[CommandId::SUBMIT_SM])).prop_map(
        |(destinations, message)| Multi {
            destinations,
            message: Message { destination: Address::default(), ..message },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_message_reads_back_as_it_was_written(
        sent in message(&[CommandId::SUBMIT_SM, CommandId::DELIVER_SM, CommandId::DATA_SM]),
    ) {
        let mut out = Vec::new();
        sent.encode(&mut out, 1).unwrap();
        prop_assert_eq!(Message::decode(sent.command, &out[16..]), Ok(sent));
    }

    #[test]
    fn a_question_reads_back_as_it_was_written(sent in ask()) {
        let mut out = Vec::new();
        sent.encode(&mut out, 1);
        prop_assert_eq!(Ask::decode(sent.command(), &out[16..]), Ok(sent));
    }

    #[test]
    fn one_text_to_many_reads_back_as_it_was_written(sent in many()) {
        let mut out = Vec::new();
        sent.encode(&mut out, 1);
        prop_assert_eq!(Multi::decode(&out[16..]), Ok(sent));
    }

    #[test]
    fn who_was_not_taken_reads_back(
        id in text(65),
        bad in vec((address(), any::<u32>()), 0..=DESTINATIONS_MAX),
    ) {
        let one = |(address, status)| Unsuccessful { address, status: CommandStatus(status) };
        let bad: Vec<_> = bad.into_iter().map(one).collect();
        let mut out = Vec::new();
        multi::encode_response(&mut out, CommandStatus::OK, 1, &id, &bad);
        prop_assert_eq!(multi::parse_response(&out[16..]), (id, bad));
    }

    #[test]
    fn a_bind_reads_back_as_it_was_written(
        (name, password, kind) in ("[ -~]{0,15}", "[ -~]{0,8}", "[ -~]{0,12}"),
        (range, version) in ("[ -~]{0,40}", any::<u8>()),
    ) {
        let sent = Bind {
            system_type: kind,
            address_range: range,
            interface_version: version,
            ..Bind::new(BindKind::Receiver, &name, &password)
        };
        let mut out = Vec::new();
        sent.encode(&mut out, 1);
        prop_assert_eq!(Bind::decode(CommandId::BIND_RECEIVER, &out[16..]), Ok(sent));
    }

    #[test]
    fn a_call_and_an_alert_read_back_as_they_were_written(
        (name, password) in ("[ -~]{0,15}", "[ -~]{0,8}"),
        (source, esme, tlvs) in (address(), address(), tlvs()),
    ) {
        let sent = Outbind { system_id: name, password };
        let mut out = Vec::new();
        sent.encode(&mut out, 1);
        prop_assert_eq!(Outbind::decode(&out[16..]), Ok(sent));
        let sent = Alert { source, esme, tlvs };
        out.clear();
        sent.encode(&mut out, 1);
        prop_assert_eq!(Alert::decode(&out[16..]), Ok(sent));
    }

    #[test]
    fn an_answer_reads_back_as_it_was_written(
        (id, tlvs, state, error) in (text(65), tlvs(), any::<u8>(), any::<u8>()),
        date in "([0-9]{15}\\+)?",
    ) {
        for command in [CommandId::SUBMIT_SM, CommandId::DATA_SM] {
            let mut out = Vec::new();
            response::encode_with(&mut out, command, CommandStatus::OK, 1, &id, &tlvs);
            let read = Response::parse(&out[16..]);
            prop_assert_eq!((read.message_id, read.tlvs), (&id[..], &tlvs[..]));
        }
        let sent = QueryResponse {
            message_id: &id,
            final_date: date.as_bytes(),
            message_state: state,
            error_code: error,
        };
        let mut out = Vec::new();
        sent.encode(&mut out, 1);
        prop_assert_eq!(QueryResponse::parse(&out[16..]), Ok(sent));
    }

    #[test]
    fn a_binds_answer_reads_back_as_it_was_written(name in "[ -~]{0,15}", version in any::<u8>()) {
        for kind in [BindKind::Transmitter, BindKind::Receiver, BindKind::Transceiver] {
            let mut out = Vec::new();
            let ok = CommandStatus::OK;
            bind::encode_response(&mut out, kind, ok, 1, &name, Some(version));
            let read = BindResponse::parse(&out[16..]);
            prop_assert_eq!(read.system_id, name.as_bytes());
            prop_assert_eq!(read.interface_version(), Some(version));
        }
    }

    #[test]
    fn whatever_comes_is_read_or_refused_and_what_is_read_stays_the_same(
        body in vec(any::<u8>(), 0..400),
    ) {
        for command in [CommandId::SUBMIT_SM, CommandId::DELIVER_SM, CommandId::DATA_SM] {
            let Ok(first) = Message::decode(command, &body) else { continue };
            let mut out = Vec::new();
            first.encode(&mut out, 1).unwrap();
            prop_assert_eq!(Message::decode(command, &out[16..]), Ok(first));
        }
        for command in [CommandId::QUERY_SM, CommandId::CANCEL_SM, CommandId::REPLACE_SM] {
            let Ok(first) = Ask::decode(command, &body) else { continue };
            let mut out = Vec::new();
            first.encode(&mut out, 1);
            prop_assert_eq!(Ask::decode(command, &out[16..]), Ok(first));
        }
        if let Ok(first) = Multi::decode(&body) {
            let mut out = Vec::new();
            first.encode(&mut out, 1);
            if first.destinations.len() <= DESTINATIONS_MAX {
                prop_assert_eq!(Multi::decode(&out[16..]), Ok(first));
            }
        }
        let _ = (QueryResponse::parse(&body), multi::parse_response(&body));
    }
}
