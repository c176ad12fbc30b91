//! Which codecs a side of a call is told of: the other side's, and those that the switch speaks itself.
//!
//! Pure. An offer goes on with what we can turn its codecs into behind them; an answer that chose one of
//! those comes back as one that was offered. Where both sides have a codec in common it is theirs, and
//! nothing is added to an answer, so nothing is transcoded (RFC 3264).

use proto_sip::sdp::{Codec, Sdp};

/// What one packet of ours lasts where sound is made anew.
const PTIME_MS: u32 = 20;
/// Payload types that stand for what a description says.
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;

#[derive(Debug, Default)]
pub(super) struct Codecs {
    /// That may be spoken; empty for any.
    pub(super) allowed: Vec<Codec>,
    /// Those that we can turn into each other; empty: none.
    pub(super) own: Vec<Codec>,
}

/// A codec that is relayed, by its name.
#[must_use]
pub fn codec(name: &str) -> Option<Codec> {
    let plain = |payload_type| Codec::new(payload_type, name, 8_000);
    match name {
        "PCMU" => Some(plain(0)),
        "PCMA" => Some(plain(8)),
        "G722" => Some(plain(9)),
        "opus" => Some(Codec { channels: 2, ..Codec::new(96, name, 48_000) }),
        _ => None,
    }
}

fn is_among(codec: &Codec, others: &[Codec]) -> bool {
    others.iter().any(|other| other.is_like(codec))
}

/// Whether a codec is one of the two laws, which cost nothing to turn into each other.
fn is_law(codec: &Codec) -> bool {
    ["PCMU", "PCMA"].iter().any(|name| codec.name.eq_ignore_ascii_case(name))
}

impl Codecs {
    /// There is no room for more than the two laws.
    pub(super) fn keep_laws(&mut self) {
        self.own.retain(is_law);
    }

    fn may_pass(&self, codec: &Codec) -> bool {
        self.allowed.is_empty() || is_among(codec, &self.allowed)
    }

    /// An offer on its way: what may pass of it, and what we speak behind that. False: nothing is left.
    pub(super) fn offer(&self, sdp: &mut Sdp, at: usize) -> bool {
        let (sound, beside): (Vec<Codec>, Vec<Codec>) =
            sdp.media[at].codecs().into_iter().partition(Codec::is_sound);
        let is_ours = sound.iter().any(|codec| is_among(codec, &self.own));
        let count = sound.len();
        let mut told: Vec<Codec> = sound.into_iter().filter(|codec| self.may_pass(codec)).collect();
        let all_pass = told.len() == count;
        let missing = self.own.iter().filter(|own| is_ours && self.may_pass(own));
        let mut added: Vec<Codec> = missing.filter(|own| !is_among(own, &told)).cloned().collect();
        if told.is_empty() && added.is_empty() {
            return false;
        }
        if all_pass && added.is_empty() {
            return true;
        }
        for own in &mut added {
            let taken =
                |number: &u8| told.iter().chain(&beside).any(|codec| codec.payload_type == *number);
            let free = || DYNAMIC.rev().find(|number| !taken(number));
            let number = Some(own.payload_type).filter(|number| !taken(number)).or_else(free);
            let Some(number) = number else { continue };
            told.push(Codec { payload_type: number, ..own.clone() });
        }
        told.extend(beside);
        sdp.set_codecs(at, &told);
        true
    }

    /// An answer on its way to who offered these: what they have in common, or else one of theirs that we
    /// turn what was chosen into. False: there is none.
    pub(super) fn answer(&self, sdp: &mut Sdp, at: usize, offered: &[Codec]) -> bool {
        let answered = sdp.media[at].codecs();
        let mut told: Vec<Codec> = answered
            .iter()
            .filter(|codec| !codec.is_sound() || self.may_pass(codec))
            .cloned()
            .collect();
        if !self.own.is_empty() {
            told.retain(|codec| is_among(codec, offered));
            if !told.iter().any(Codec::is_sound) {
                let Some(chosen) = self.instead(&answered, offered) else { return false };
                told.retain(|codec| codec.payload_type != chosen.payload_type);
                told.insert(0, chosen);
            }
        }
        if told.len() != answered.len() || told.iter().any(|codec| !is_among(codec, &answered)) {
            sdp.set_codecs(at, &told);
        }
        let is_new = |codec: &&Codec| codec.is_sound() && !is_among(codec, &answered);
        if told.iter().find(is_new).is_some_and(|new| !is_law(new) || !answered.iter().any(is_law))
        {
            sdp.set_ptime(at, PTIME_MS);
        }
        told.iter().any(Codec::is_sound)
    }

    /// Of what was offered, what we turn an answer's codec into: the other law where that is enough.
    fn instead(&self, answered: &[Codec], offered: &[Codec]) -> Option<Codec> {
        let ours = |codec: &&Codec| codec.is_sound() && is_among(codec, &self.own);
        let spoken = answered.iter().find(ours)?;
        let law = offered.iter().filter(ours).find(|codec| is_law(spoken) && is_law(codec));
        let chosen = law.or_else(|| offered.iter().find(ours))?;
        Some(Codec { fmtp: None, ..chosen.clone() })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto_sip::sdp::Limits;

    use super::*;

    fn codecs(allowed: &[&str], own: &[&str]) -> Codecs {
        let named = |names: &[&str]| names.iter().map(|name| codec(name).unwrap()).collect();
        Codecs { allowed: named(allowed), own: named(own) }
    }

    fn sdp(formats: &str, more: &str) -> Sdp {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
             m=audio 4000 RTP/AVP {formats}\r\n{more}"
        );
        Sdp::parse(&Bytes::from(text), &Limits::default()).unwrap()
    }

    const EVENTS: &str = "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n";
    const OPUS: &str = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n";

    /// The formats that an offer goes on with.
    fn offered(codecs: &Codecs, mut sdp: Sdp) -> Option<String> {
        codecs.offer(&mut sdp, 0).then(|| sdp.media[0].formats().join(" "))
    }

    /// What an answer becomes for who offered that.
    fn answered(codecs: &Codecs, mut answer: Sdp, offer: &Sdp) -> Option<(String, String)> {
        let fits = codecs.answer(&mut answer, 0, &offer.media[0].codecs());
        let said = String::from_utf8(answer.to_bytes().to_vec()).unwrap();
        fits.then(|| (answer.media[0].formats().join(" "), said))
    }

    #[test]
    fn an_offer_of_one_law_goes_on_with_the_other_behind_it() {
        let laws = codecs(&[], &["PCMU", "PCMA"]);
        assert_eq!(offered(&laws, sdp("0 101", EVENTS)).unwrap(), "0 8 101");
        assert_eq!(offered(&laws, sdp("8 101", EVENTS)).unwrap(), "8 0 101");
        let both = sdp("8 0 101", EVENTS);
        let mut same = both.clone();
        assert!(laws.offer(&mut same, 0));
        assert_eq!(same, both, "nothing is missing");
        assert_eq!(offered(&codecs(&[], &[]), sdp("0", "")).unwrap(), "0");
    }

    #[test]
    fn what_we_cannot_turn_into_anything_goes_on_alone() {
        let laws = codecs(&[], &["PCMU", "PCMA"]);
        assert_eq!(offered(&laws, sdp("18", "")).unwrap(), "18");
        assert_eq!(offered(&laws, sdp("111", OPUS)).unwrap(), "111");
        let all = codecs(&[], &["PCMU", "PCMA", "opus"]);
        assert_eq!(offered(&all, sdp("111", OPUS)).unwrap(), "111 0 8");
    }

    #[test]
    fn who_speaks_other_codecs_alone_is_offered_those_that_we_speak() {
        let carrier = codecs(&["PCMA"], &["PCMU", "PCMA"]);
        assert_eq!(offered(&carrier, sdp("0 101", EVENTS)).unwrap(), "8 101");
        assert_eq!(offered(&carrier, sdp("0 8", "")).unwrap(), "8");
        assert_eq!(offered(&codecs(&["PCMA"], &[]), sdp("0", "")), None);
        assert_eq!(offered(&carrier, sdp("18", "")), None);
    }

    #[test]
    fn a_payload_type_that_is_taken_is_not_given_again() {
        let all = codecs(&[], &["PCMU", "PCMA", "opus"]);
        let odd = "a=rtpmap:8 iLBC/8000\r\na=rtpmap:96 telephone-event/8000\r\n";
        let mut sdp = sdp("0 8 96", odd);
        assert!(all.offer(&mut sdp, 0));
        let told = sdp.media[0].codecs();
        let told: Vec<_> = told.iter().map(|one| (one.name.as_str(), one.payload_type)).collect();
        let expected =
            [("PCMU", 0), ("iLBC", 8), ("PCMA", 127), ("opus", 126), ("telephone-event", 96)];
        assert_eq!(told, expected);
    }

    #[test]
    fn an_answer_with_a_codec_in_common_is_that() {
        let laws = codecs(&[], &["PCMU", "PCMA"]);
        let offer = sdp("0 101", EVENTS);
        assert_eq!(answered(&laws, sdp("8 0 101", EVENTS), &offer).unwrap().0, "0 101");
        let (formats, said) = answered(&laws, sdp("0 101", "a=ptime:30\r\n"), &offer).unwrap();
        assert_eq!(formats, "0 101");
        assert!(said.contains("a=ptime:30"));
    }

    #[test]
    fn an_answer_with_the_other_law_becomes_one_with_the_offered_law() {
        let laws = codecs(&[], &["PCMU", "PCMA"]);
        let answer = sdp("8 101", &format!("{EVENTS}a=ptime:30\r\n"));
        let (formats, said) = answered(&laws, answer.clone(), &sdp("0 101", EVENTS)).unwrap();
        assert_eq!(formats, "0 101");
        assert!(said.contains("a=rtpmap:0 PCMU/8000") && said.contains("a=ptime:30"), "{said}");
        let (formats, _) = answered(&laws, answer.clone(), &sdp("0", "")).unwrap();
        assert_eq!(formats, "0", "events that nobody offered are not answered");
        assert_eq!(answered(&laws, answer, &sdp("18", "")), None);
    }

    #[test]
    fn an_answer_that_is_made_anew_has_packets_of_20_ms_and_a_law_for_a_law() {
        let all = codecs(&[], &["PCMU", "PCMA", "opus"]);
        let answer = sdp("8", "a=ptime:30\r\na=maxptime:60\r\n");
        let (formats, said) = answered(&all, answer.clone(), &sdp("111", OPUS)).unwrap();
        assert_eq!(formats, "111");
        assert!(said.contains("a=ptime:20") && !said.contains("maxptime"), "{said}");
        assert!(said.contains("a=rtpmap:111 opus/48000/2") && !said.contains("fmtp"), "{said}");
        let (formats, said) = answered(&all, answer, &sdp("111 0", OPUS)).unwrap();
        assert_eq!(formats, "0");
        assert!(said.contains("a=ptime:30"), "{said}");
        let wide =
            answered(&all, sdp("96", "a=rtpmap:96 opus/48000/2\r\n"), &sdp("0", "")).unwrap();
        assert!(wide.1.contains("a=ptime:20"), "{}", wide.1);
    }
}
