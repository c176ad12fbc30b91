//! G.711: the A-law and the µ-law, to 16-bit samples and back, and from one law to the other.
//!
//! All are tables that the compiler fills from the recommendation's segments; a sample costs one
//! look-up, or a few shifts to encode. From law to law a value goes by way of its sample.

/// One of the two laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// PCMA, payload type 8.
    A,
    /// PCMU, payload type 0.
    Mu,
}

impl Law {
    pub fn of_payload_type(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Mu),
            8 => Some(Self::A),
            _ => None,
        }
    }

    pub fn payload_type(self) -> u8 {
        match self {
            Self::A => 8,
            Self::Mu => 0,
        }
    }

    /// The octet for silence.
    pub fn silence(self) -> u8 {
        self.encode(0)
    }

    pub fn decode(self, octet: u8) -> i16 {
        let table = match self {
            Self::A => &A_DECODED,
            Self::Mu => &MU_DECODED,
        };
        table[usize::from(octet)]
    }

    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::A => encode_a(sample),
            Self::Mu => encode_mu(sample),
        }
    }

    /// Appends the samples.
    pub fn decode_all(self, octets: &[u8], out: &mut Vec<i16>) {
        out.extend(octets.iter().map(|octet| self.decode(*octet)));
    }

    /// Appends the octets.
    pub fn encode_all(self, samples: &[i16], out: &mut Vec<u8>) {
        out.extend(samples.iter().map(|sample| self.encode(*sample)));
    }

    /// Turns octets of this law into octets of the other, in place.
    pub fn transcode(self, octets: &mut [u8]) {
        let table = match self {
            Self::A => &A_TO_MU,
            Self::Mu => &MU_TO_A,
        };
        for octet in octets {
            *octet = table[usize::from(*octet)];
        }
    }
}

static A_DECODED: [i16; 256] = decoded(Law::A);
static MU_DECODED: [i16; 256] = decoded(Law::Mu);
static A_TO_MU: [u8; 256] = transcoded(Law::A);
static MU_TO_A: [u8; 256] = transcoded(Law::Mu);

const fn decoded(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = match law {
            Law::A => decode_a(octet as u8),
            Law::Mu => decode_mu(octet as u8),
        };
        octet += 1;
    }
    table
}

const fn transcoded(from: Law) -> [u8; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = match from {
            Law::A => encode_mu(decode_a(octet as u8)),
            Law::Mu => encode_a(decode_mu(octet as u8)),
        };
        octet += 1;
    }
    table
}

/// Added to a magnitude of the µ-law, so that its segments begin at powers of two.
const BIAS: i16 = 33;

const fn decode_mu(octet: u8) -> i16 {
    let code = !octet;
    let segment = (code >> 4) & 7;
    let step = (code & 0x0F) as i16;
    let magnitude = ((((step << 1) + BIAS) << segment) - BIAS) << 2;
    if code & 0x80 != 0 { -magnitude } else { magnitude }
}

const fn encode_mu(sample: i16) -> u8 {
    // 14 bits; a negative value is complemented, not negated.
    let (sign, magnitude) = if sample < 0 { (0x80, !sample >> 2) } else { (0, sample >> 2) };
    let biased = if magnitude + BIAS > 0x1FFF { 0x1FFF } else { magnitude + BIAS };
    // The highest bit is the fifth at least.
    let segment = (15 - biased.leading_zeros() as u8) - 5;
    let step = ((biased >> (segment + 1)) & 0x0F) as u8;
    !(sign | (segment << 4) | step)
}

const fn decode_a(octet: u8) -> i16 {
    let code = octet ^ 0x55;
    let segment = (code >> 4) & 7;
    let step = (((code & 0x0F) as i16) << 4) + 8;
    let magnitude = if segment == 0 { step } else { (step + 0x100) << (segment - 1) };
    if code & 0x80 != 0 { magnitude } else { -magnitude }
}

const fn encode_a(sample: i16) -> u8 {
    // 12 bits of magnitude; a negative value is complemented, not negated.
    let (sign, magnitude) = if sample < 0 { (0, !sample >> 4) } else { (0x80, sample >> 4) };
    let code = if magnitude < 0x20 {
        magnitude as u8
    } else {
        let segment = (15 - magnitude.leading_zeros() as u8) - 3;
        (segment << 4) | ((magnitude >> (segment - 1)) & 0x0F) as u8
    };
    (sign | code) ^ 0x55
}

#[cfg(test)]
mod tests {
    use audio_codec_algorithms::{decode_alaw, decode_ulaw, encode_alaw, encode_ulaw};

    use super::*;

    #[test]
    fn every_octet_decodes_as_it_does_elsewhere() {
        for octet in 0..=255 {
            assert_eq!(Law::A.decode(octet), decode_alaw(octet), "{octet}");
            assert_eq!(Law::Mu.decode(octet), decode_ulaw(octet), "{octet}");
        }
    }

    #[test]
    fn every_sample_encodes_as_it_does_elsewhere() {
        for sample in i16::MIN..=i16::MAX {
            assert_eq!(Law::A.encode(sample), encode_alaw(sample), "{sample}");
            assert_eq!(Law::Mu.encode(sample), encode_ulaw(sample), "{sample}");
        }
    }

    #[test]
    fn an_octet_comes_back_but_for_the_negative_zero_of_the_mu_law() {
        for octet in 0..=255 {
            assert_eq!(Law::A.encode(Law::A.decode(octet)), octet);
            let expected = if octet == 0x7F { 0xFF } else { octet };
            assert_eq!(Law::Mu.encode(Law::Mu.decode(octet)), expected);
        }
    }

    #[test]
    fn transcoding_is_decoding_and_encoding() {
        for (law, other) in [(Law::A, Law::Mu), (Law::Mu, Law::A)] {
            let mut octets: Vec<u8> = (0..=255).collect();
            let mut samples = Vec::new();
            let mut expected = Vec::new();
            law.decode_all(&octets, &mut samples);
            other.encode_all(&samples, &mut expected);
            law.transcode(&mut octets);
            assert_eq!(octets, expected);
        }
        assert_eq!((Law::A.silence(), Law::Mu.silence()), (0xD5, 0xFF));
    }

    #[test]
    fn laws_are_known_by_their_payload_types() {
        for law in [Law::A, Law::Mu] {
            assert_eq!(Law::of_payload_type(law.payload_type()), Some(law));
        }
        assert_eq!(Law::of_payload_type(9), None);
    }
}
