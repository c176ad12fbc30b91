//! A submitted PDU made a submission: the fields looked at, the text read, the octets kept.
//!
//! Pure but for the checks of `Admission`, which never wait. The octets of a message that fits one
//! part go on as they came; a longer one (message_payload) is read, and split again for its
//! carrier. What an ESME says beyond SMPP 3.4's lengths is refused here, so that nothing of it
//! reaches a carrier that others share.

use std::sync::Arc;

use model::clock::At;
use model::esme::Submitted;
use model::id::PublicId;
use model::message::{Category, Encoding};
use model::refusal::Refusal;
use model::submission::{Idempotency, NewMessage, SendOptions};
use proto_smpp::pdu::EncodeError;
use proto_smpp::pdu::manage::Replace;
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

/// A scheduled message as it stands, for its replacement.
pub(super) struct Kept<'a> {
    pub(super) to: &'a str,
    pub(super) from: &'a str,
    /// The pool that is to choose its sender, if it was given one since.
    pub(super) pool: Option<PublicId>,
    pub(super) body: &'a str,
    pub(super) encoding: i64,
    pub(super) category: i64,
    pub(super) scheduled_at: Option<At>,
    pub(super) validity_s: Option<i64>,
    pub(super) metadata: Option<&'a str>,
    pub(super) submitted: Submitted,
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
    let (user_data, body) = worded(message.esm_class, message.data_coding, view.user_data())?;
    let (scheduled_at, validity_s) = times(&message.schedule, &message.validity, account, now)?;
    let submitted = Submitted {
        account: account.id,
        registered_delivery: message.registered_delivery,
        source: kind_of(&message.source),
        destination: (destination.ton, destination.npi),
        esm_class: message.esm_class & ESM_UDHI,
        protocol_id: message.protocol_id,
        data_coding: message.data_coding,
        service_type: message.service_type.clone(),
        user_data,
        tlvs: passed_on(&message.tlvs),
    };
    let (from, pool) = writer(account, &message.source)?;
    let request = SendRequest {
        to: recipient(destination)?,
        from,
        pool,
        body,
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

/// A scheduled message with what replace_sm says laid over it (SMPP 3.4 §4.10): a time or a text
/// that is not given stays. The text comes as the first one did, in its data_coding, with a header
/// if that had one.
pub(super) fn replaced(
    account: &Account,
    admission: &Admission,
    replace: &Replace,
    kept: Kept<'_>,
    now: At,
) -> Result<NewMessage, CommandStatus> {
    if replace.default_message_id != 0 {
        return Err(CommandStatus::INVDFTMSGID);
    }
    let payload = tlv::find(&replace.tlvs, tlv::MESSAGE_PAYLOAD).unwrap_or_default();
    let given = if replace.short_message.is_empty() { payload } else { &replace.short_message };
    if given.len() > TEXT_MAX {
        return Err(CommandStatus::INVMSGLEN);
    }
    let registered_delivery = replace.registered_delivery;
    let mut submitted = Submitted { registered_delivery, ..kept.submitted };
    let mut body = kept.body.to_owned();
    if !given.is_empty() {
        (submitted.user_data, body) = worded(submitted.esm_class, submitted.data_coding, given)?;
    }
    let (scheduled_at, _) = times(&replace.schedule, &[], account, now)?;
    // A time that is past means now; without one it stays.
    let scheduled_at = match (scheduled_at, replace.schedule.is_empty()) {
        (Some(at), _) => at,
        (None, true) => kept.scheduled_at.unwrap_or(now),
        (None, false) => now,
    };
    let validity_s = if replace.validity.is_empty() {
        kept.validity_s.and_then(|seconds| u32::try_from(seconds).ok())
    } else {
        let until = later(&replace.validity, now).ok_or(CommandStatus::INVEXPIRY)?;
        Some(lasting(until, scheduled_at)?)
    };
    let as_octets = !submitted.user_data.is_empty();
    let coded = if as_octets { Some(encoding(submitted.data_coding)) } else { None };
    let request = SendRequest {
        to: kept.to.to_owned(),
        from: kept.pool.is_none().then(|| kept.from.to_owned()),
        pool: kept.pool,
        body,
        encoding: coded.or(if given.is_empty() {
            Encoding::from_code(kept.encoding)
        } else {
            None
        }),
        category: Category::from_code(kept.category).unwrap_or(account.category),
        account: Some(Arc::clone(&account.name)),
        metadata: kept.metadata.map(str::to_owned),
        test: account.test,
        submitted: Some(Arc::new(submitted)),
    };
    let checked = admission.check(account.organization, request, now);
    let mut ready = checked.map_err(|refusal: Refusal| status::of(&refusal))?;
    let scheduled_at = Some(scheduled_at);
    ready.options = SendOptions { scheduled_at, validity_s, ..ready.options };
    Ok(ready)
}

/// The octets that go on as they came, none if it is split again; and the text that they say.
fn worded(esm_class: u8, data_coding: u8, data: &[u8]) -> Result<(Vec<u8>, String), CommandStatus> {
    let (header, body) = match esm_class & ESM_UDHI {
        0 => (&[][..], data),
        _ => segment::split_udh(data).ok_or(CommandStatus::INVESMCLASS)?,
    };
    let octets = if fits_one_part(data_coding, header, body) {
        data.to_vec()
    } else if header.is_empty() && alphabet(data_coding) != Alphabet::Binary {
        Vec::new()
    } else {
        return Err(CommandStatus::INVMSGLEN);
    };
    Ok((octets, text::decode(data_coding, body).replace('\0', "\u{fffd}")))
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
    if alphabet(data_coding) == Alphabet::Gsm7 {
        return body.len() <= (rest * 8 / 7).min(PART_SEPTETS);
    }
    body.len() <= rest
}

/// Of the two alphabets that the product tells apart.
fn encoding(data_coding: u8) -> Encoding {
    if alphabet(data_coding) == Alphabet::Ucs2 { Encoding::Ucs2 } else { Encoding::Gsm7 }
}

/// International numbers, with `+`, `00` or nothing before them.
pub(super) fn recipient(address: &Address) -> Result<String, CommandStatus> {
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

/// Who writes: a sender, or the pool that chooses one where none is named.
fn writer(
    account: &Account,
    address: &Address,
) -> Result<(Option<String>, Option<PublicId>), CommandStatus> {
    match account.default_sender_pool.filter(|_| address.digits.is_empty()) {
        Some(pool) => Ok((None, Some(pool))),
        None => Ok((sender(account, address)?, None)),
    }
}

/// The TON and NPI that receipts have; of a sender that is yet to be chosen they are not known.
fn kind_of(source: &Address) -> (u8, u8) {
    if source.digits.is_empty() { Submitted::OF_ITS_KIND } else { (source.ton, source.npi) }
}

/// The sender as the product writes it; `None` asks for the default.
pub(super) fn sender(
    account: &Account,
    address: &Address,
) -> Result<Option<String>, CommandStatus> {
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
fn times(
    schedule: &[u8],
    validity: &[u8],
    account: &Account,
    now: At,
) -> Result<(Option<At>, Option<u32>), CommandStatus> {
    let scheduled = if schedule.is_empty() {
        None
    } else {
        let at = later(schedule, now).ok_or(CommandStatus::INVSCHED)?;
        if at > now.plus(account.ahead_max) {
            return Err(CommandStatus::INVSCHED);
        }
        Some(at).filter(|at| *at > now)
    };
    let validity = if validity.is_empty() {
        None
    } else {
        let until = later(validity, now).ok_or(CommandStatus::INVEXPIRY)?;
        Some(lasting(until, scheduled.unwrap_or(now))?)
    };
    Ok((scheduled, validity))
}

fn later(text: &[u8], now: At) -> Option<At> {
    match Time::parse(text)? {
        Time::At(seconds) => Some(At(seconds.saturating_mul(1_000_000))),
        Time::In(length) => Some(now.plus(length)),
    }
}

/// Seconds from one moment to its end.
fn lasting(until: At, from: At) -> Result<u32, CommandStatus> {
    if until <= from {
        return Err(CommandStatus::INVEXPIRY);
    }
    let seconds = until.since(from).as_secs().clamp(VALIDITY_MIN_S, VALIDITY_MAX_S);
    u32::try_from(seconds).map_err(|_| CommandStatus::INVEXPIRY)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_one_part_goes_by_the_alphabet_of_its_data_coding() {
        let table: [(u8, usize, Encoding); 9] = [
            (0x00, 160, Encoding::Gsm7),
            (0x11, 160, Encoding::Gsm7),
            (0xF1, 160, Encoding::Gsm7),
            (0xC8, 160, Encoding::Gsm7),
            (0x03, 140, Encoding::Gsm7),
            (0x04, 140, Encoding::Gsm7),
            (0x08, 140, Encoding::Ucs2),
            (0x19, 140, Encoding::Ucs2),
            (0xE0, 140, Encoding::Ucs2),
        ];
        for (data_coding, most, asked) in table {
            let fits = |length: usize| fits_one_part(data_coding, &[], &vec![b'a'; length]);
            assert!(fits(most) && !fits(most + 1), "{data_coding:#x}");
            assert_eq!(encoding(data_coding), asked, "{data_coding:#x}");
        }
        let header = [0, 3, 7, 2, 1];
        assert!(fits_one_part(0xF1, &header, &[b'a'; 153]));
        assert!(!fits_one_part(0xF1, &header, &[b'a'; 154]));
    }
}
