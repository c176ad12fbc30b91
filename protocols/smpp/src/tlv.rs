//! Optional parameters (TLVs), SMPP 3.4 §5.3: raw tag, length, value, kept in order.
//!
//! No tag is refused and no length is thought wrong, for vendors send what they like on any PDU.
//! The walk stops at a tail that is cut short; what stood before it still counts.

pub const DEST_ADDR_SUBUNIT: u16 = 0x0005;
pub const SOURCE_ADDR_SUBUNIT: u16 = 0x000D;
pub const PAYLOAD_TYPE: u16 = 0x0019;
pub const ADDITIONAL_STATUS_INFO_TEXT: u16 = 0x001D;
pub const RECEIPTED_MESSAGE_ID: u16 = 0x001E;
pub const PRIVACY_INDICATOR: u16 = 0x0201;
pub const SOURCE_SUBADDRESS: u16 = 0x0202;
pub const DEST_SUBADDRESS: u16 = 0x0203;
pub const USER_MESSAGE_REFERENCE: u16 = 0x0204;
pub const USER_RESPONSE_CODE: u16 = 0x0205;
pub const SOURCE_PORT: u16 = 0x020A;
pub const DESTINATION_PORT: u16 = 0x020B;
pub const SAR_MSG_REF_NUM: u16 = 0x020C;
pub const LANGUAGE_INDICATOR: u16 = 0x020D;
pub const SAR_TOTAL_SEGMENTS: u16 = 0x020E;
pub const SAR_SEGMENT_SEQNUM: u16 = 0x020F;
pub const SC_INTERFACE_VERSION: u16 = 0x0210;
pub const CALLBACK_NUM: u16 = 0x0381;
pub const DPF_RESULT: u16 = 0x0420;
pub const MS_AVAILABILITY_STATUS: u16 = 0x0422;
pub const NETWORK_ERROR_CODE: u16 = 0x0423;
pub const MESSAGE_PAYLOAD: u16 = 0x0424;
pub const DELIVERY_FAILURE_REASON: u16 = 0x0425;
pub const MORE_MESSAGES_TO_SEND: u16 = 0x0426;
pub const MESSAGE_STATE: u16 = 0x0427;
/// SMPP 5.0 section 4.8.4.18.
pub const CONGESTION_STATE: u16 = 0x0428;
pub const USSD_SERVICE_OP: u16 = 0x0501;
pub const DISPLAY_TIME: u16 = 0x1201;
pub const SMS_SIGNAL: u16 = 0x1203;
pub const ALERT_ON_MESSAGE_DELIVERY: u16 = 0x130C;
pub const ITS_REPLY_TYPE: u16 = 0x1380;
pub const ITS_SESSION_INFO: u16 = 0x1383;

/// One optional parameter, as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    pub tag: u16,
    pub value: &'a [u8],
}

/// A walk over the optional part of a PDU.
#[derive(Clone, Debug)]
pub struct Tlvs<'a> {
    rest: &'a [u8],
}

impl<'a> Tlvs<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is not walked yet; after the last `next`, the tail that is no TLV.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let (head, rest) = self.rest.split_at_checked(4)?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (value, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Tlv { tag: u16::from_be_bytes([head[0], head[1]]), value })
    }
}

/// The value of the first TLV with this tag.
pub fn find(bytes: &[u8], tag: u16) -> Option<&[u8]> {
    Tlvs::new(bytes).find(|tlv| tlv.tag == tag).map(|tlv| tlv.value)
}

/// How many octets from the start are whole TLVs.
pub fn whole(bytes: &[u8]) -> usize {
    let mut tlvs = Tlvs::new(bytes);
    while tlvs.next().is_some() {}
    bytes.len() - tlvs.rest.len()
}

/// Appends one TLV; a value over 65 535 octets is cut there.
pub fn write(out: &mut Vec<u8>, tag: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&tag.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&value[..usize::from(length)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_in_order() {
        let mut bytes = Vec::new();
        write(&mut bytes, MESSAGE_STATE, &[2]);
        write(&mut bytes, 0x1401, b"");
        write(&mut bytes, MESSAGE_STATE, &[5]);
        let tags: Vec<_> = Tlvs::new(&bytes).map(|t| t.tag).collect();
        assert_eq!(tags, [MESSAGE_STATE, 0x1401, MESSAGE_STATE]);
        assert_eq!(find(&bytes, MESSAGE_STATE), Some(&[2][..]));
        assert_eq!(find(&bytes, 0x1401), Some(&[][..]));
        assert_eq!(whole(&bytes), bytes.len());
    }

    #[test]
    fn a_tlv_past_the_end_stops_the_walk_and_keeps_the_rest() {
        let mut bytes = Vec::new();
        write(&mut bytes, RECEIPTED_MESSAGE_ID, b"abc\0");
        let good = bytes.len();
        bytes.extend_from_slice(&[0x04, 0x27, 0x00, 0x09, 1]);
        assert_eq!(Tlvs::new(&bytes).count(), 1);
        assert_eq!(whole(&bytes), good);
        assert_eq!(whole(&bytes[..3]), 0);
    }

    #[test]
    fn a_value_longer_than_a_length_word_is_cut() {
        let mut bytes = Vec::new();
        write(&mut bytes, MESSAGE_PAYLOAD, &vec![1; 70_000]);
        assert_eq!(find(&bytes, MESSAGE_PAYLOAD).map(<[u8]>::len), Some(65_535));
    }
}
