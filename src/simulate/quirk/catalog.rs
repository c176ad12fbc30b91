//! The quirks, by number. Message ids 1 to 8, receipts to 25, parsing to 37, sessions to 49,
//! alerts 50.

use super::{COUNT, Quirk};

const fn quirk(
    number: usize,
    name: &'static str,
    values: &'static [&'static str],
    what: &'static str,
    seen: &'static str,
) -> Quirk {
    Quirk { number, name, values, others: "", what, seen }
}

impl Quirk {
    const fn or(mut self, others: &'static str) -> Self {
        self.others = others;
        self
    }
}

pub const CATALOG: [Quirk; COUNT] = [
    quirk(
        1,
        "hex-then-decimal",
        &[],
        "ids are hexadecimal in the response and decimal in the receipt",
        "jasmin #1034, python-smpplib #21",
    ),
    quirk(
        2,
        "decimal-then-hex",
        &[],
        "ids are decimal in the response and hexadecimal in the receipt",
        "jasmin, Kannel msg-id-type",
    ),
    quirk(
        3,
        "id-past-i64",
        &[],
        "64-bit hexadecimal ids whose decimal form in the receipt exceeds a signed number",
        "jasmin #586",
    ),
    quirk(
        4,
        "id-zeros",
        &["dropped", "padded"],
        "the receipt drops an id's leading zeros, or adds some",
        "jasmin #643 #1129",
    ),
    quirk(
        5,
        "id-case",
        &["lowered", "raised"],
        "the receipt writes an id's letters in the other case",
        "jasmin #916",
    ),
    quirk(
        6,
        "id-form",
        &["uuid", "sar", "long"],
        "ids with dashes, ids per part as SAR-…, ids over 64 characters",
        "jasmin #535 #418",
    ),
    quirk(
        7,
        "no-id",
        &["empty", "no-body"],
        "an OK response names no message, though the receipt does",
        "Kannel ChangeLog 2013-10",
    ),
    quirk(
        8,
        "id-again",
        &["cycle", "per-bind"],
        "the same few ids again and again, or ids that are unique only on their bind",
        "carriers whose counters wrap",
    ),
    quirk(9, "receipt-first", &[], "the receipt comes before the response", "jasmin #20, Kannel"),
    quirk(
        10,
        "receipt-elsewhere",
        &[],
        "the receipt comes on another bind of the account",
        "ksmppd #123",
    ),
    quirk(
        11,
        "no-counts",
        &[],
        "receipts without the sub and dlvrd fields",
        "jsmpp #62, cloudhopper-smpp #105",
    ),
    quirk(
        12,
        "state-word",
        &["FAILED", "ACKED", "BUFFRED", "BUFFERD"],
        "words after stat: that the book lacks; a final receipt follows those that are none",
        "vumi #897, Kannel gw/smsc/smsc_smpp.c",
    )
    .or("a word"),
    quirk(
        13,
        "error-form",
        &["two", "four", "letters", "missing"],
        "err: with two or four digits, with letters, or not there",
        "cloudhopper-smpp #40, php-smpp #4 #70",
    ),
    quirk(
        14,
        "receipt-dates",
        &["seconds", "long-year", "zeros", "local"],
        "dates with seconds, a year of four digits, all zeros, or in local time",
        "jasmin #447 #753",
    ),
    quirk(15, "ucs2-receipt", &[], "the receipt's text is in UCS-2", "vumi #635"),
    quirk(
        16,
        "tlv-only",
        &["state", "no-state"],
        "an empty text: id and state in TLVs, or the id alone",
        "jasmin, smscgateway",
    ),
    quirk(17, "payload-receipt", &[], "the receipt's text is in message_payload", "SMPP 5.0 SMSCs"),
    quirk(18, "data-sm-receipt", &[], "the receipt comes by data_sm", "jasmin #139"),
    quirk(
        19,
        "comma-receipt",
        &[],
        "a private form: fields between commas, without keys",
        "Kannel devel list, msg02229",
    ),
    quirk(
        20,
        "receipt-class",
        &["0x44", "0x00", "0x08", "0x24"],
        "the receipt's esm_class has other bits, or none",
        "Kannel gw/smsc/smsc_smpp.c, node-smpp #140",
    )
    .or("an octet"),
    quirk(21, "unasked-receipt", &[], "receipts that nobody asked for", "several carriers"),
    quirk(
        22,
        "receipt-course",
        &["steps", "twice", "changed", "back"],
        "ACCEPTD and ENROUTE before the end; the end twice; delivered, then not; the reverse",
        "jasmin #1002, ksmppd",
    ),
    quirk(
        23,
        "part-receipt",
        &["first", "last"],
        "of a long message only the first or the last part has a receipt",
        "jasmin #663",
    ),
    quirk(
        24,
        "addresses-kept",
        &[],
        "the receipt goes from the message's sender to its recipient, not the other way round",
        "ksmppd #49, Sendium",
    ),
    quirk(
        25,
        "network-error",
        &["disagrees", "empty", "one", "two", "five"],
        "network_error_code tells another code than err:, or is not three octets",
        "cloudhopper-smpp, jasmin",
    ),
    quirk(
        26,
        "error-body",
        &["absent", "present"],
        "an error response is a header alone, or has a body; each submit is refused once",
        "smppex #6, jsmpp 3.0.1",
    ),
    quirk(27, "stray-nul", &[], "a NUL behind short_message", "praekelt/python-smpp #7"),
    quirk(
        28,
        "strings",
        &["unterminated", "nul-inside"],
        "ids and names without their NUL; a NUL inside a text",
        "jasmin #218",
    ),
    quirk(
        29,
        "vendor-tlvs",
        &[],
        "unknown TLVs (0x1401 to 0x1411, 0x2001, 0x3177), and known ones on the wrong PDU",
        "jasmin #399 #545, python-smpplib #2 #188 #190",
    ),
    quirk(
        30,
        "tlv-length",
        &["long", "empty", "past-end"],
        "TLVs longer than allowed, empty, or longer than their PDU",
        "ksmppd #49",
    ),
    quirk(
        31,
        "inbound-sender",
        &["latin1", "gsm-at"],
        "an inbound sender in Latin-1; an @ in one, written as 0x00",
        "Kannel alt-addr-charset",
    ),
    quirk(
        32,
        "inbound-alphabet",
        &["gsm", "latin1", "0xF0", "0xF1", "binary"],
        "data_coding 0 means GSM or Latin-1; message classes; octets that are no text",
        "every SMSC its own",
    ),
    quirk(
        33,
        "inbound-ucs2",
        &["surrogates", "odd"],
        "UCS-2 that holds UTF-16 pairs, or half a character",
        "jasmin #246, smppgui",
    ),
    quirk(
        34,
        "garbage-first",
        &["crlf", "http", "tls"],
        "a connection begins with a line's end (always), or with HTTP or TLS (the first only)",
        "python-smpplib #22, node-smpp #230",
    ),
    quirk(
        35,
        "bad-length",
        &["0", "15", "2147483648"],
        "once, a PDU with an impossible command_length",
        "smppex #30",
    )
    .or("a number"),
    quirk(
        36,
        "segments",
        &["together", "octets"],
        "bind response and traffic in one segment; every octet in a segment of its own",
        "smpp34 1.4.1",
    ),
    quirk(
        37,
        "long-inbound",
        &["udh8", "udh16", "sar", "payload", "reversed", "missing", "repeated"],
        "long inbound messages by 8-bit or 16-bit header, SAR or payload; parts in the wrong \
         order, one missing, or one twice",
        "jasmin #410 #789, vumi #438",
    ),
    quirk(
        38,
        "throttle",
        &["0x58", "0x14", "0x45", "0x08", "silence", "mixed"],
        "each submit is refused once for now, by one status, by silence, or by each in turn",
        "vumi #636, gosmpp #73",
    ),
    quirk(
        39,
        "vendor-status",
        &["0x400"],
        "every submit is refused with a status of the vendor's range",
        "smpp34 1.4.0",
    )
    .or("a status"),
    quirk(
        40,
        "bound-already",
        &["1"],
        "so many binds after each lost connection are refused with 0x05; loses one after ten \
         submits",
        "vumi #624, node-smpp #250, smppex #20",
    )
    .or("a count"),
    quirk(
        41,
        "nack",
        &["sequence-0", "to-bind", "to-submit"],
        "generic_nack without a number, or as the answer to the first bind or submit",
        "jasmin #1059",
    ),
    quirk(
        42,
        "enquire-link",
        &["unanswered", "own", "before-bind"],
        "enquire_link is never answered, is asked each second, or is asked before the bind",
        "jasmin #876, smppex",
    ),
    quirk(
        43,
        "goodbye",
        &["no-answer", "fin", "rst"],
        "unbind is not answered; the connection ends after ten submits, by FIN or by RST",
        "jasmin #508 #1079",
    ),
    quirk(
        44,
        "answers",
        &["unknown", "repeated"],
        "responses to requests that were never made, or each response twice",
        "jasmin #595",
    ),
    quirk(
        45,
        "sequence",
        &["wrapping", "zero"],
        "its own numbers pass 0x7FFFFFFF, or are all 0",
        "several SMSCs",
    ),
    quirk(
        46,
        "names",
        &["empty", "long", "no-body"],
        "the bind response's system_id is empty, over 15 characters, or left out",
        "node-smpp #36",
    ),
    quirk(
        47,
        "version",
        &["none", "0x00", "0x33", "0x50"],
        "the bind response tells no sc_interface_version, or another than 3.4",
        "several SMSCs",
    ),
    quirk(
        48,
        "session-limit",
        &["messages:20", "binds:1", "address"],
        "a session ends after so many messages; so many binds; one connection per address",
        "several carriers",
    )
    .or("messages:N or binds:N"),
    quirk(
        49,
        "slow-reader",
        &["3"],
        "once, after the first submit, reads nothing for so many seconds",
        "opensmpp #32",
    )
    .or("seconds"),
    quirk(
        50,
        "alerts",
        &["available", "denied", "unavailable", "bare", "cut"],
        "each submit is followed by alert_notification: its recipient can be reached, as its sender \
         wanted to know; with one of three statuses, with none, cut short, or so many times",
        "SMPP 3.4 §4.12",
    )
    .or("a count"),
];
