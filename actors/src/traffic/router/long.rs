//! Which long message an ESME's submit is a part of, by the header that joins its parts.

use model::esme::Submitted;

/// Names the long message of which an ESME's submit is one part, by the first octets of its header.
pub(in crate::traffic) fn long_message(submitted: &Submitted) -> Option<u64> {
    const UDHI: u8 = 0x40;
    if submitted.esm_class & UDHI == 0 {
        return None;
    }
    let (length, header) = submitted.user_data.split_first()?;
    let mut header = header.get(..usize::from(*length))?;
    while let [kind, length, rest @ ..] = header {
        let content = rest.get(..usize::from(*length))?;
        match (kind, content) {
            (0x00, [reference, total, _]) => {
                return Some(u64::from(*reference) << 8 | u64::from(*total));
            }
            (0x08, [high, low, total, _]) => {
                let reference = u64::from(*high) << 8 | u64::from(*low);
                return Some(1 << 32 | reference << 8 | u64::from(*total));
            }
            _ => header = &rest[content.len()..],
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_named_by_the_reference_of_its_header() {
        let of = |esm_class, user_data: &[u8]| {
            let submitted = Submitted {
                account: 1,
                registered_delivery: 0,
                source: (0, 0),
                destination: (0, 0),
                esm_class,
                protocol_id: 0,
                data_coding: 0,
                service_type: Vec::new(),
                user_data: user_data.to_vec(),
                tlvs: Vec::new(),
            };
            long_message(&submitted)
        };
        let first = of(0x40, &[5, 0, 3, 9, 2, 1, b'a']);
        assert!(first.is_some());
        assert_eq!(of(0x40, &[5, 0, 3, 9, 2, 2, b'b']), first);
        assert_ne!(of(0x40, &[5, 0, 3, 8, 2, 1, b'a']), first);
        let wide = of(0x40, &[9, 5, 1, 0, 8, 4, 0, 9, 2, 1, b'a']);
        assert!(wide.is_some() && wide != first);
        assert_eq!(of(0, &[5, 0, 3, 9, 2, 1, b'a']), None, "no header");
        for broken in [&[][..], &[9, 0, 3, 9, 2, 1], &[5, 0, 9, 9, 2, 1], &[2, 0, 0], &[1, 0]] {
            assert_eq!(of(0x40, broken), None);
        }
    }
}
