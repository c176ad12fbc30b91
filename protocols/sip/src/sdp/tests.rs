//! Descriptions: kept line by line, answered as RFC 3264 wants it, relayed without loss.

use proptest::prelude::*;

use super::answer::{Order, agreed, answer, offer};
use super::relay::Anchor;
use super::*;

fn sdp(text: &str) -> Sdp {
    try_sdp(text).unwrap()
}

fn try_sdp(text: &str) -> Result<Sdp, SdpError> {
    Sdp::parse(&Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
}

fn text(sdp: &Sdp) -> String {
    String::from_utf8(sdp.to_bytes().to_vec()).unwrap()
}

/// An offer with the usual session lines and these of its streams.
fn offered(streams: &str) -> Sdp {
    let session =
        "v=0\r\no=alice 2890844526 1 IN IP4 192.0.2.1\r\ns=\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
    sdp(&format!("{session}{}", streams.replace('\n', "\r\n")))
}

fn ours() -> Offering {
    Offering {
        codecs: vec![
            Codec::new(8, "PCMA", 8_000),
            Codec::new(0, "PCMU", 8_000),
            Codec::events(101, 8_000),
        ],
        direction: Direction::SendRecv,
        ptime_ms: 20,
        ip: "198.51.100.1".parse().unwrap(),
        port: 30_000,
        rtcp_mux: false,
        keying: Keying::Plain,
        one_codec: false,
        order: Order::Theirs,
        session: 5,
        version: 1,
    }
}

fn answered(streams: &str) -> (String, Stream) {
    let (sdp, stream) = answer(&offered(streams), &ours()).unwrap();
    let all = text(&sdp);
    (all[all.find("m=").unwrap()..].replace("\r\n", "\n"), stream)
}

fn names(codecs: &[Codec]) -> Vec<(&str, u8)> {
    codecs.iter().map(|codec| (codec.name.as_str(), codec.payload_type)).collect()
}

#[test]
fn every_line_is_kept_in_its_place() {
    let odd = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=\u{e9}t\u{e9}\r\nx=what is this\r\nt=0 0\r\n\
               m=audio 4000 RTP/AVP 0\r\na=x-vendor: yes ; no\r\na=\r\nb=AS:64\r\ni=late\r\n\
               m=video 0 RTP/AVP 31\r\n";
    assert_eq!(text(&sdp(odd)), odd);
    let bare = odd.replace("\r\n", "\n");
    assert_eq!(text(&sdp(&format!("{bare}\n\n"))), odd, "LF alone, empty lines at the end");
    let latin = Bytes::from_static(b"v=0\r\ns=\xe9\r\n");
    let read = Sdp::parse(&latin, &Limits::default()).unwrap();
    assert_eq!(read.to_bytes(), latin);
}

#[test]
fn what_is_no_description_is_refused() {
    for (text, error) in [
        ("", SdpError::Version),
        ("\r\n\r\n", SdpError::Version),
        ("o=x\r\n", SdpError::Version),
        ("v=1\r\n", SdpError::Version),
        ("v=0\r\nnonsense\r\n", SdpError::Line(2)),
        ("v=0\r\n\r\ns=-\r\n", SdpError::Line(2)),
        ("v=0\r\ns=a\rb\r\n", SdpError::Line(2)),
        ("v=0\r\ns=a\0b\r\n", SdpError::Line(2)),
        ("v=0\r\nM=audio 1 RTP/AVP 0\r\n", SdpError::Line(2)),
        ("v=0\r\nm=audio\r\n", SdpError::Media(2)),
    ] {
        assert_eq!(try_sdp(text), Err(error), "{text:?}");
    }
}

#[test]
fn a_thousand_streams_lines_or_formats_are_refused() {
    let streams = format!("v=0\r\n{}", "m=audio 1 RTP/AVP 0\r\n".repeat(1_000));
    let lines = format!("v=0\r\n{}", "a=x\r\n".repeat(1_000));
    let formats = format!("v=0\r\nm=audio 1 RTP/AVP{}\r\n", " 0".repeat(1_000));
    let octets = format!("v=0\r\ns={}\r\n", "x".repeat(20_000));
    for text in [streams, lines, formats, octets] {
        assert_eq!(try_sdp(&text), Err(SdpError::TooLarge));
    }
}

#[test]
fn where_packets_go_is_read_from_stream_and_session() {
    let sdp = offered(
        "m=audio 4000 RTP/AVP 0\nm=audio 4001 RTP/AVP 0\nc=IN IP6 2001:db8::5\na=rtcp:9000\n\
         m=audio 4002 RTP/AVP 0\na=rtcp-mux\nm=audio 4003 RTP/AVP 0\na=rtcp:9 IN IP4 192.0.2.9\n\
         m=audio 0 RTP/AVP 0\nm=audio 4004 RTP/AVP 0\nc=IN IP4 0.0.0.0\n",
    );
    let all: Vec<Transport> = sdp.media.iter().map(|media| sdp.transport(media)).collect();
    let address = |text: &str| Some(text.parse().unwrap());
    assert_eq!((all[0].rtp, all[0].rtcp), (address("192.0.2.1:4000"), address("192.0.2.1:4001")));
    assert_eq!(all[1].rtp, address("[2001:db8::5]:4001"), "an odd port");
    assert_eq!(all[1].rtcp, address("[2001:db8::5]:9000"));
    assert_eq!((all[2].rtp, all[2].rtcp, all[2].mux), (all[2].rtcp, all[2].rtp, true));
    assert_eq!(all[3].rtcp, address("192.0.2.9:9"));
    assert_eq!((all[4].rtp, all[4].rtcp), (None, None));
    assert_eq!((all[5].rtp, all[5].rtcp), (None, None), "an address of zeros is nowhere");
}

#[test]
fn the_codecs_both_know_are_answered_in_their_order_under_their_types() {
    let (answer, stream) = answered(
        "m=audio 4000 RTP/AVP 18 0 96 8 97\na=rtpmap:96 opus/48000/2\na=rtpmap:97 telephone-event/8000\n\
         a=fmtp:97 0-16\na=ptime:30\n",
    );
    let expected = "m=audio 30000 RTP/AVP 0 8 97\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\n\
                    a=rtpmap:97 telephone-event/8000\na=fmtp:97 0-15\na=ptime:20\na=sendrecv\n";
    assert_eq!(answer, expected);
    assert_eq!(names(&stream.send), [("PCMU", 0), ("PCMA", 8), ("telephone-event", 97)]);
    assert_eq!(
        (stream.sound().unwrap().payload_type, stream.events().unwrap().payload_type),
        (0, 97)
    );
    assert_eq!((stream.ptime_ms, stream.direction), (30, Direction::SendRecv));
}

#[test]
fn our_order_and_a_single_codec_can_be_asked_for() {
    let offer = offered("m=audio 4000 RTP/AVP 0 8\n");
    let (_, stream) = answer(&offer, &Offering { order: Order::Ours, ..ours() }).unwrap();
    assert_eq!(names(&stream.send), [("PCMA", 8), ("PCMU", 0)]);
    let (_, stream) = answer(&offer, &Offering { one_codec: true, ..ours() }).unwrap();
    assert_eq!(names(&stream.send), [("PCMU", 0)]);
}

#[test]
fn a_hold_is_answered_as_a_hold() {
    for (said, answer, direction) in [
        ("a=sendonly\n", "a=recvonly", Direction::RecvOnly),
        ("a=inactive\n", "a=inactive", Direction::Inactive),
        ("a=recvonly\n", "a=sendonly", Direction::SendOnly),
        ("c=IN IP4 0.0.0.0\n", "a=recvonly", Direction::RecvOnly),
        ("c=IN IP4 0.0.0.0\na=inactive\n", "a=inactive", Direction::Inactive),
        ("c=IN IP6 ::\na=sendonly\n", "a=recvonly", Direction::RecvOnly),
        ("c=IN IP4 0.0.0.0\na=recvonly\n", "a=inactive", Direction::Inactive),
        ("a=sendrecv\n", "a=sendrecv", Direction::SendRecv),
        ("", "a=sendrecv", Direction::SendRecv),
    ] {
        let streams = format!("m=audio 4000 RTP/AVP 0\n{said}");
        let (sdp, stream) = answered(&streams);
        assert!(sdp.ends_with(&format!("{answer}\n")), "{said} {sdp}");
        assert_eq!(stream.direction, direction, "{said}");
        let offer = offered(&streams);
        assert_eq!(offer.holds(&offer.media[0]), !direction.sends());
    }
}

#[test]
fn a_direction_of_the_session_holds_for_its_streams() {
    let mut offer = offered("m=audio 4000 RTP/AVP 0\n");
    offer.session.add_attribute("sendonly".into());
    assert!(offer.holds(&offer.media[0]));
    let own = offered("m=audio 4000 RTP/AVP 0\na=sendrecv\n");
    let mixed = Sdp { session: offer.session, media: own.media };
    assert!(!mixed.holds(&mixed.media[0]));
}

#[test]
fn streams_that_are_not_taken_are_refused_and_kept_in_their_place() {
    let (answer, stream) = answered(
        "m=video 5000 RTP/AVP 31\na=rtpmap:31 H261/90000\nm=audio 0 RTP/AVP 8\n\
         m=audio 4000 RTP/AVP 0\nm=audio 4002 RTP/AVP 0\nm=image 6000 udptl t38\n",
    );
    assert_eq!(stream.index, 2);
    let lines: Vec<&str> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        lines,
        [
            "m=video 0 RTP/AVP 31",
            "m=audio 0 RTP/AVP 8",
            "m=audio 30000 RTP/AVP 0",
            "m=audio 0 RTP/AVP 0",
            "m=image 0 udptl t38",
        ]
    );
    assert!(!answer.contains("H261"));
}

#[test]
fn without_audio_or_a_codec_in_common_there_is_no_answer() {
    let none = |streams: &str| answer(&offered(streams), &ours()).unwrap_err();
    assert_eq!(none("m=image 6000 udptl t38\n"), NoAnswer::Audio);
    assert_eq!(none("m=audio 0 RTP/AVP 0\n"), NoAnswer::Audio);
    assert_eq!(none("m=audio 4000 RTP/AVP 18 4\n"), NoAnswer::Codec);
    let only_events = "m=audio 4000 RTP/AVP 101\na=rtpmap:101 telephone-event/8000\n";
    assert_eq!(none(only_events), NoAnswer::Codec);
    assert_eq!(none(""), NoAnswer::Audio);
}

#[test]
fn events_follow_the_clock_of_the_sound() {
    let mut wide = ours();
    wide.codecs = vec![
        Codec { channels: 2, ..Codec::new(111, "opus", 48_000) },
        Codec::new(0, "PCMU", 8_000),
        Codec::events(101, 8_000),
        Codec::events(110, 48_000),
    ];
    let offer = offered(
        "m=audio 4000 RTP/AVP 96 0 97 98\na=rtpmap:96 opus/48000/2\na=fmtp:96 useinbandfec=1\n\
         a=rtpmap:97 telephone-event/8000\na=rtpmap:98 telephone-event/48000\n",
    );
    let (_, stream) = answer(&offer, &wide).unwrap();
    assert_eq!(names(&stream.send), [("opus", 96), ("PCMU", 0), ("telephone-event", 98)]);
    assert_eq!(stream.send[0].fmtp.as_deref(), Some("useinbandfec=1"));
}

#[test]
fn rtcp_is_multiplexed_when_both_want_it() {
    let offer = offered("m=audio 4000 RTP/AVP 0\na=rtcp-mux\n");
    let (sdp, stream) = answer(&offer, &Offering { rtcp_mux: true, ..ours() }).unwrap();
    assert!(stream.theirs.mux && text(&sdp).contains("a=rtcp-mux\r\n"));
    let (sdp, stream) = answer(&offer, &ours()).unwrap();
    assert!(!stream.theirs.mux && !text(&sdp).contains("rtcp-mux"));
    assert_eq!(stream.theirs.rtcp.unwrap().port(), 4_001);
}

#[test]
fn keys_are_agreed_by_tag_and_suite_or_not_at_all() {
    let lines = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:aaa\na=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:bbb\n";
    let secure = offered(&format!("m=audio 4000 RTP/SAVP 0\n{lines}"));
    assert_eq!(answer(&secure, &ours()).unwrap_err(), NoAnswer::Keying);
    let with = |line: &str| Offering { keying: Keying::Sdes(vec![line.into()]), ..ours() };
    let (sdp, stream) = answer(&secure, &with("2 AES_CM_128_HMAC_SHA1_32 inline:ccc")).unwrap();
    assert!(text(&sdp).contains("m=audio 30000 RTP/SAVP 0\r\n"));
    assert!(text(&sdp).contains("a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:ccc\r\n"));
    assert_eq!(stream.crypto.len(), 2);
    assert!(!format!("{stream:?}").contains("aaa"), "keys are not shown");
    for wrong in ["3 AES_CM_128_HMAC_SHA1_32 inline:ccc", "1 AES_CM_128_HMAC_SHA1_32 inline:ccc"] {
        assert_eq!(answer(&secure, &with(wrong)).unwrap_err(), NoAnswer::Keying);
    }
    let plain = offered("m=audio 4000 RTP/AVP 0\n");
    let keyed = with("1 AES_CM_128_HMAC_SHA1_80 inline:ccc");
    assert_eq!(answer(&plain, &keyed).unwrap_err(), NoAnswer::Keying);
    let may = offered(&format!("m=audio 4000 RTP/AVP 0\n{lines}"));
    assert!(answer(&may, &ours()).is_ok() && answer(&may, &keyed).is_ok());
}

#[test]
fn an_invite_without_a_description_gets_our_offer_and_its_ack_the_answer() {
    let offer = offer(&ours());
    let expected = "v=0\no=- 5 1 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\n\
                    m=audio 30000 RTP/AVP 8 0 101\na=rtpmap:8 PCMA/8000\na=rtpmap:0 PCMU/8000\n\
                    a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=ptime:20\na=sendrecv\n";
    assert_eq!(text(&offer).replace("\r\n", "\n"), expected);
    assert_eq!(sdp(&text(&offer)), offer);
    let answer = offered(
        "m=audio 4000 RTP/AVP 0 96\na=rtpmap:96 telephone-event/8000\na=sendonly\na=ptime:0\n",
    );
    let stream = agreed(&offer, &answer, &ours()).unwrap();
    assert_eq!(names(&stream.send), [("PCMU", 0), ("telephone-event", 96)]);
    assert_eq!(names(&stream.receive), [("PCMU", 0), ("telephone-event", 101)]);
    assert_eq!((stream.direction, stream.ptime_ms), (Direction::RecvOnly, 20));
}

#[test]
fn an_answer_that_does_not_fit_is_not_agreed_on() {
    let ours = ours();
    let offer = offer(&ours);
    let none = |streams: &str| agreed(&offer, &offered(streams), &ours).unwrap_err();
    assert_eq!(none("m=audio 0 RTP/AVP 0\n"), NoAnswer::Audio);
    assert_eq!(none(""), NoAnswer::Audio);
    assert_eq!(none("m=audio 4000 RTP/AVP 18\n"), NoAnswer::Codec);
    assert_eq!(none("m=audio 4000 RTP/SAVP 0\n"), NoAnswer::Mismatch);
    assert_eq!(none("m=video 4000 RTP/AVP 0\n"), NoAnswer::Mismatch);
    assert_eq!(none(&"m=audio 4000 RTP/AVP 0\n".repeat(2)), NoAnswer::Mismatch);
    let keyed = Offering {
        keying: Keying::Sdes(vec!["1 AES_CM_128_HMAC_SHA1_80 inline:x".into()]),
        ..ours.clone()
    };
    let secure = super::answer::offer(&keyed);
    let bare = offered("m=audio 4000 RTP/SAVP 0\n");
    assert_eq!(agreed(&secure, &bare, &keyed).unwrap_err(), NoAnswer::Keying);
    let good = offered("m=audio 4000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:y\n");
    assert_eq!(agreed(&secure, &good, &keyed).unwrap().crypto.len(), 1);
}

#[test]
fn a_relay_changes_addresses_and_leaves_the_rest() {
    let mut sdp = offered(
        "m=audio 4000 RTP/AVP 0 8\ni=caller\na=x-vendor:1\na=candidate:1 1 UDP 1 10.0.0.1 9 typ host\n\
         a=ice-ufrag:x\na=rtcp:4009\na=rtcp-mux\na=ptime:20\nm=video 0 RTP/AVP 31\nc=IN IP4 10.0.0.1\n",
    );
    sdp.session.add_attribute("group:BUNDLE 0 1".into());
    let ip = "203.0.113.7".parse().unwrap();
    assert!(sdp.anchor(0, &Anchor { ip, rtp: 20_000, rtcp: Some(20_001) }));
    assert!(!sdp.anchor(1, &Anchor { ip, rtp: 20_002, rtcp: None }), "it is refused");
    assert!(!sdp.anchor(7, &Anchor { ip, rtp: 20_002, rtcp: None }));
    sdp.set_origin(1, 2, ip);
    let expected = "v=0\no=- 1 2 IN IP4 203.0.113.7\ns=\nc=IN IP4 203.0.113.7\nt=0 0\n\
                    m=audio 20000 RTP/AVP 0 8\ni=caller\nc=IN IP4 203.0.113.7\na=x-vendor:1\na=ptime:20\n\
                    m=video 0 RTP/AVP 31\nc=IN IP4 10.0.0.1\n";
    assert_eq!(text(&sdp).replace("\r\n", "\n"), expected);
    let apart = sdp.anchor(0, &Anchor { ip, rtp: 20_000, rtcp: Some(30_000) });
    assert!(apart && text(&sdp).contains("a=rtcp:30000\r\n"));
}

#[test]
fn a_hold_by_zeros_stays_a_hold_behind_the_relay() {
    let ip = "203.0.113.7".parse().unwrap();
    for (said, expected) in [("", Direction::SendOnly), ("a=recvonly\n", Direction::Inactive)] {
        let mut sdp = offered(&format!("m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0\n{said}"));
        assert!(sdp.anchor(0, &Anchor { ip, rtp: 20_000, rtcp: None }));
        assert_eq!(sdp.direction(&sdp.media[0]), expected);
        assert_eq!(sdp.transport(&sdp.media[0]).rtp, Some("203.0.113.7:20000".parse().unwrap()));
    }
}

#[test]
fn a_stream_led_through_the_relay_leaves_the_others_where_they_were() {
    let text = "v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 0\r\nm=audio 4002 RTP/AVP 0\r\n";
    let mut sdp = sdp(text);
    assert!(sdp.anchor(0, &Anchor { ip: "203.0.113.7".parse().unwrap(), rtp: 20_000, rtcp: None }));
    assert!(sdp.holds(&sdp.media[0]) && sdp.holds(&sdp.media[1]));
    assert_eq!(sdp.transport(&sdp.media[1]).rtp, None);
}

#[test]
fn a_relay_says_which_codecs_pass() {
    let mut sdp = offered(
        "m=audio 4000 RTP/AVP 18 0 8 13 101\na=fmtp:18 annexb=no\na=rtpmap:101 telephone-event/8000\n",
    );
    let kept: Vec<Codec> = sdp.media[0]
        .codecs()
        .into_iter()
        .filter(|codec| ![0, 18].contains(&codec.payload_type))
        .collect();
    sdp.set_codecs(0, &kept);
    assert_eq!(sdp.media[0].formats(), ["8", "13", "101"]);
    assert!(!text(&sdp).contains("annexb"));
    let before = sdp.clone();
    sdp.set_codecs(5, &[]);
    sdp.set_ptime(5, 20);
    assert_eq!(sdp, before);
    sdp.set_ptime(0, 20);
    assert!(text(&sdp).ends_with("a=ptime:20\r\n"));
    sdp.refuse(0);
    assert!(text(&sdp).ends_with("m=audio 0 RTP/AVP 8 13 101\r\n"));
}

#[test]
fn keys_that_end_at_the_relay_are_stripped() {
    let mut sdp = offered("m=audio 4000 RTP/AVP 0\na=crypto:1 X inline:y\na=setup:actpass\n");
    sdp.session.add_attribute("fingerprint:sha-256 AA".into());
    sdp.strip(0, &["crypto", "fingerprint", "setup"]);
    assert!(!text(&sdp).contains("crypto") && !text(&sdp).contains("fingerprint"));
}

#[test]
fn the_same_again_is_no_change_and_the_same_version_is_not_enough() {
    let one = offered("m=audio 4000 RTP/AVP 0\n");
    let mut two = one.clone();
    assert!(two.repeats(&one));
    two.set_origin(9, 2, "192.0.2.1".parse().unwrap());
    assert!(!two.repeats(&one));
    assert!(!offered("m=audio 4002 RTP/AVP 0\n").repeats(&one));
}

proptest! {
    #[test]
    fn what_is_read_is_written_and_read_the_same(
        lines in proptest::collection::vec("[a-z]=[ -~]{0,30}", 0..12),
        streams in proptest::collection::vec("m=(audio|video) [0-9]{1,5} RTP/AVP( [0-9]{1,3}){1,4}", 0..4),
    ) {
        let all: Vec<String> = std::iter::once("v=0".to_owned()).chain(lines.iter().cloned()).chain(streams.iter().cloned()).chain(lines.iter().cloned()).collect();
        let body = all.join("\r\n") + "\r\n";
        if let Ok(read) = try_sdp(&body) {
            prop_assert_eq!(text(&read), body);
            if let Ok((answer, _)) = answer(&read, &ours()) {
                prop_assert_eq!(answer.media.len(), read.media.len());
                prop_assert!(super::answer::fits(&read, &answer));
                prop_assert_eq!(&try_sdp(&text(&answer)).unwrap(), &answer);
            }
        }
    }

    #[test]
    fn no_body_panics(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Sdp::parse(&Bytes::from(octets), &Limits::default());
    }
}
