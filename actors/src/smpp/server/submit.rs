//! A submitted PDU made a submission: the fields looked at, the text read, the octets kept.
//!
//! Pure but for the checks of `Admission`, which never wait. The octets of a message that fits one
//! part go on as they came; a longer one (message_payload) is read, and split again for its
//! carrier. What an ESME says beyond SMPP 3.4's lengths is refused here, so that nothing of it
//! reaches a carrier that others share.

use std::sync::Arc;
use std::time::Duration;

use model::clock::At;
use model::esme::Submitted;
use model::message::Encoding;
use model::refusal::Refusal;
use model::submission::{Idempotency, NewMessage, SendOptions};
use proto_smpp::pdu::EncodeError;
use proto_smpp::pdu::message::ESM_UDHI;
use proto_smpp::text::{Alphabet, alphabet};
use proto_smpp::{Address, CommandStatus, Message, Time, segment, text, tlv};
use sha2::{Digest as _, Sha256};

use super::accounts::Account;
use super::status;
use crate::traffic::admission::{Admission, SendRequest};

/// Octets that fit one short message (3GPP TS 23.040 §9.2.3.24).
const PART_OCTETS: usize = 140;
/// Characters of the default alphabet in one short message.
const PART_SEPTETS: usize = 160;
/// Octets of a whole text.
const TEXT_MAX: usize = 3_200;
const OPTIONAL_PART_MAX: usize = 1_024;

const VALIDITY_MIN_S: u64 = 60;
const VALIDITY_MAX_S: u64 = 172_800;
const SCHEDULE_MAX: Duration = Duration::from_secs(35 * 86_400);

/// What goes on to a carrier of the optional part; the rest concerns us alone, or nobody.
const PASSED_ON: &[u16] = &[
    tlv::PAYLOAD_TYPE,
    tlv::PRIVACY_INDICATOR,
    tlv::SOURCE_PORT,
    tlv::DESTINATION_PORT,
    tlv::SAR_MSG_REF_NUM,
    tlv::SAR_TOTAL_SEGMENTS,
    tlv::SAR_SEGMENT_SEQNUM,
    tlv::LANGUAGE_INDICATOR,
    tlv::CALLBACK_NUM,
    tlv::USER_RESPONSE_CODE,
    tlv::DISPLAY_TIME,
    tlv::SMS_SIGNAL,
    tlv::ALERT_ON_MESSAGE_DELIVERY,
];

/// A message that passed, with what makes its repeat the same message.
pub(super) struct Read {
    pub(super) message: NewMessage,
    pub(super) idempotency: Option<Idempotency>,
}

/// Reads one message for one destination.
pub(super) fn read(
    account: &Account,
    admission: &Admission,
    message: &Message,
    destination: &Address,
    now: At,
) -> Result<Read, CommandStatus> {
    read_noted(account, admission, message, destination, None, now)
}

/// The same with metadata, a JSON object as text.
pub(super) fn read_noted(
    account: &Account,
    admission: &Admission,
    message: &Message,
    destination: &Address,
    metadata: Option<String>,
    now: At,
) -> Result<Read, CommandStatus> {
    check(message, destination)?;
    let view = message.view();
    let data = view.user_data();
    let (header, body) = match message.esm_class & ESM_UDHI {
        0 => (&[][..], data),
        _ => segment::split_udh(data).ok_or(CommandStatus::INVESMCLASS)?,
    };
    let (scheduled_at, validity_s) = times(message, now)?;
    let submitted = Submitted {
        account: account.id,
        registered_delivery: message.registered_delivery,
        source: (message.source.ton, message.source.npi),
        destination: (destination.ton, destination.npi),
        esm_class: message.esm_class & ESM_UDHI,
        protocol_id: message.protocol_id,
        data_coding: message.data_coding,
        service_type: message.service_type.clone(),
        user_data: if fits_one_part(message.data_coding, header, body) {
            data.to_vec()
        } else if header.is_empty() && alphabet(message.data_coding) != Alphabet::Binary {
            Vec::new()
        } else {
            return Err(CommandStatus::INVMSGLEN);
        },
        tlvs: passed_on(&message.tlvs),
    };
    let request = SendRequest {
        to: recipient(destination)?,
        from: sender(account, &message.source)?,
        body: text::decode(message.data_coding, body).replace('\0', "\u{fffd}"),
        encoding: (!submitted.user_data.is_empty()).then(|| encoding(message.data_coding)),
        category: account.category,
        account: Some(Arc::clone(&account.name)),
        metadata,
        test: account.test,
        submitted: Some(Arc::new(submitted)),
    };
    let checked = admission.check(account.organization, request, now);
    let mut ready = checked.map_err(|refusal: Refusal| status::of(&refusal))?;
    ready.options = SendOptions { scheduled_at, validity_s, ..ready.options };
    let idempotency = reference(account, message, &ready.to);
    Ok(Read { message: ready, idempotency })
}

/// The lengths of the book, and what we do not do.
fn check(message: &Message, destination: &Address) -> Result<(), CommandStatus> {
    if let Err(EncodeError::FieldTooLong { field, .. }) = message.check() {
        return Err(match field {
            "service_type" => CommandStatus::INVSERTYP,
            "source_addr" => CommandStatus::INVSRCADR,
            "destination_addr" => CommandStatus::INVDSTADR,
            "schedule_delivery_time" => CommandStatus::INVSCHED,
            _ => CommandStatus::INVEXPIRY,
        });
    }
    if destination.digits.len() > 20 {
        return Err(CommandStatus::INVDSTADR);
    }
    if message.tlvs.len() > OPTIONAL_PART_MAX + message.view().user_data().len() {
        return Err(CommandStatus::INVOPTPARSTREAM);
    }
    if message.view().user_data().len() > TEXT_MAX {
        return Err(CommandStatus::INVMSGLEN);
    }
    if message.replace != 0 {
        return Err(CommandStatus::INVSUBREP);
    }
    if message.default_message_id != 0 {
        return Err(CommandStatus::INVDFTMSGID);
    }
    Ok(())
}

/// Whether a carrier can take it as one short message.
fn fits_one_part(data_coding: u8, header: &[u8], body: &[u8]) -> bool {
    let header = if header.is_empty() { 0 } else { header.len() + 1 };
    let rest = PART_OCTETS.saturating_sub(header);
    if encoding(data_coding) == Encoding::Gsm7 && data_coding & 0x0F == 0 {
        return body.len() <= (rest * 8 / 7).min(PART_SEPTETS);
    }
    body.len() <= rest
}

/// Of the two alphabets that the product tells apart.
fn encoding(data_coding: u8) -> Encoding {
    if data_coding & 0x0C == 0x08 { Encoding::Ucs2 } else { Encoding::Gsm7 }
}

/// International numbers, with `+`, `00` or nothing before them.
fn recipient(address: &Address) -> Result<String, CommandStatus> {
    let text = address.text();
    let digits = text.strip_prefix('+').unwrap_or(&text);
    let digits = match (address.ton, digits.strip_prefix("00")) {
        (0, Some(rest)) => rest,
        _ => digits,
    };
    let plausible = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match address.ton {
        0 | 1 if plausible => Ok(format!("+{digits}")),
        0 | 1 => Err(CommandStatus::INVDSTADR),
        _ => Err(CommandStatus::INVDSTTON),
    }
}

/// The sender as the product writes it; `None` asks for the default.
fn sender(account: &Account, address: &Address) -> Result<Option<String>, CommandStatus> {
    let text = address.text();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let sender = if text.is_empty() {
        account.default_sender.clone()
    } else if digits && (address.ton == 1 || address.ton == 0 && text.len() > 8) {
        Some(format!("+{text}"))
    } else {
        Some(text)
    };
    if account.may_send_from(sender.as_deref()) {
        Ok(sender)
    } else {
        Err(CommandStatus::INVSRCADR)
    }
}

/// When it may go, and how long it may be tried from then on.
fn times(message: &Message, now: At) -> Result<(Option<At>, Option<u32>), CommandStatus> {
    let later = |text: &[u8]| -> Option<At> {
        match Time::parse(text)? {
            Time::At(seconds) => Some(At(seconds.saturating_mul(1_000_000))),
            Time::In(length) => Some(now.plus(length)),
        }
    };
    let scheduled = if message.schedule.is_empty() {
        None
    } else {
        let at = later(&message.schedule).ok_or(CommandStatus::INVSCHED)?;
        if at > now.plus(SCHEDULE_MAX) {
            return Err(CommandStatus::INVSCHED);
        }
        Some(at).filter(|at| *at > now)
    };
    let validity = if message.validity.is_empty() {
        None
    } else {
        let until = later(&message.validity).ok_or(CommandStatus::INVEXPIRY)?;
        let from = scheduled.unwrap_or(now);
        if until <= from {
            return Err(CommandStatus::INVEXPIRY);
        }
        let seconds = until.since(from).as_secs().clamp(VALIDITY_MIN_S, VALIDITY_MAX_S);
        u32::try_from(seconds).ok()
    };
    Ok((scheduled, validity))
}

fn passed_on(tlvs: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for tag in PASSED_ON {
        if let Some(value) = tlv::find(tlvs, *tag) {
            tlv::write(&mut out, *tag, value);
        }
    }
    out
}

/// A repeated reference to the same number is the same message, if the account says so.
fn reference(account: &Account, message: &Message, to: &str) -> Option<Idempotency> {
    if !account.once_by_reference {
        return None;
    }
    let value = tlv::find(&message.tlvs, tlv::USER_MESSAGE_REFERENCE)?;
    let number = value.iter().fold(0_u64, |sum, octet| sum << 8 | u64::from(*octet));
    let mut sha = Sha256::new();
    for field in [&message.source.digits[..], message.view().user_data(), &[message.data_coding]] {
        sha.update(field.len().to_be_bytes());
        sha.update(field);
    }
    Some(Idempotency {
        route: "submit_sm",
        key: format!("{}-{number}-{to}", account.id),
        fingerprint: sha.finalize().into(),
    })
}
