//! What `Message` reads and refuses, line by line.

use super::*;
use crate::Limits;
use crate::header::Via;

const INVITE: &str = "INVITE sip:bob@biloxi.example SIP/2.0\r\n\
    Via: SIP/2.0/UDP pc33.atlanta.example;branch=z9hG4bK776asdhds\r\n\
    Max-Forwards: 70\r\n\
    To: Bob <sip:bob@biloxi.example>\r\n\
    From: Alice <sip:alice@atlanta.example>;tag=1928301774\r\n\
    Call-ID: a84b4c76e66710@pc33.atlanta.example\r\n\
    CSeq: 314159 INVITE\r\n\
    Contact: <sip:alice@pc33.atlanta.example>\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 5\r\n\
    \r\n\
    Hello";

fn parse(text: impl Into<Vec<u8>>) -> Result<Message, Box<Refused>> {
    Message::parse(Bytes::from(text.into()), &Limits::default())
}

fn defect(text: impl Into<Vec<u8>>) -> Defect {
    parse(text).unwrap_err().defect
}

/// The INVITE with one text in the place of another.
fn with(old: &str, new: &str) -> String {
    assert!(INVITE.contains(old), "{old}");
    INVITE.replace(old, new)
}

#[test]
fn a_request_is_read() {
    let message = parse(INVITE).unwrap();
    assert_eq!(message.check(), Ok(()));
    assert_eq!(message.method(), Some(&Method::Invite));
    assert_eq!(message.uri().unwrap().as_bytes(), b"sip:bob@biloxi.example");
    assert_eq!(message.headers().count(), 9);
    assert_eq!(message.via().unwrap().unique_branch(), Some(&b"z9hG4bK776asdhds"[..]));
    assert_eq!(message.from().unwrap().tag(), Some(&b"1928301774"[..]));
    assert_eq!(message.to().unwrap().tag(), None);
    assert_eq!(message.call_id(), "a84b4c76e66710@pc33.atlanta.example");
    assert_eq!(message.cseq().unwrap().number, 314_159);
    assert_eq!(message.max_forwards(), Ok(Some(70)));
    assert_eq!((message.body(), message.raw().len()), (&b"Hello"[..], INVITE.len()));
    assert_eq!(message.first("content-TYPE").map(Header::raw), Some(&b"text/plain"[..]));
}

#[test]
fn a_response_is_read_with_any_words() {
    for (line, code, reason) in [
        ("SIP/2.0 200 OK", 200, "OK"),
        ("sip/2.0 100 ", 100, ""),
        ("SIP/2.0 100", 100, ""),
        ("SIP/2.0 486 = 2**3 \u{43d}\u{435}", 486, "= 2**3 \u{43d}\u{435}"),
    ] {
        let message = parse(with("INVITE sip:bob@biloxi.example SIP/2.0", line)).unwrap();
        assert_eq!(message.check(), Ok(()));
        assert_eq!(message.status().map(StatusCode::get), Some(code));
        let reason = Bytes::copy_from_slice(reason.as_bytes());
        assert!(matches!(message.start(), Start::Response { reason: own, .. } if *own == reason));
    }
    for bad in ["SIP/2.0 4294967301 x", "SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0 200x", "SIP/2.0"]
    {
        let refused = parse(with("INVITE sip:bob@biloxi.example SIP/2.0", bad)).unwrap_err();
        assert!(refused.answer().is_none(), "{bad}: nobody answers a response");
    }
}

#[test]
fn folds_are_spaces_and_empty_lines_of_them_nothing() {
    let message = parse(with("To: Bob <", "To :\r\n Bob\t\r\n  \r\n\t<")).unwrap();
    assert_eq!(message.to().unwrap().display(), &b"Bob"[..]);
    let header = message.first(Name::To).unwrap();
    assert_eq!((header.name_text(), header.raw().len()), (&b"To"[..], 35));
    assert!(!header.text().contains(&b'\n'));
    assert_eq!(defect(with("Via: SIP", " Via: SIP")), Defect::Line(2));
}

#[test]
fn what_is_no_header_is_named_by_its_line_and_answered() {
    for bad in ["Max-Forwards 70", ": 70", "Max Forwards: 70", "Max-F\u{f6}rwards: 70"] {
        let refused = parse(with("Max-Forwards: 70", bad)).unwrap_err();
        assert_eq!(refused.defect, Defect::Line(3), "{bad}");
        let (request, status) = refused.answer().unwrap();
        assert_eq!((request.call_id().len(), status), (35, StatusCode::BAD_REQUEST));
    }
}

#[test]
fn line_ends_alone_and_nulls_are_refused() {
    assert_eq!(defect(with("70\r\n", "70\nRoute: <sip:evil>\r\n")), Defect::BareLineEnd(3));
    assert_eq!(defect(with("70\r\n", "70\rRoute: <sip:evil>\r\n")), Defect::BareLineEnd(3));
    assert_eq!(defect(with("70\r\n", "70\0\r\n")), Defect::Null(3));
    assert!(parse(with("Bob <", "\"NUL: \\\0\" <")).is_ok());
    let torn = parse(with("Bob <", "Bob\n <").replace("70\r\n", "70\0\r\n")).unwrap_err();
    let request = torn.request.unwrap();
    assert!(!request.has(Name::To) && !request.has(Name::MaxForwards), "no torn line is shown");
    // What continues a torn line, or one that is no header, belongs to no other header.
    for bad in ["X: a\nb\r\n c", "X: a\r\n b\nc\r\n d", "no header\r\n b"] {
        let text = with("Max-Forwards: 70", &format!("Max-Forwards: 70\r\n{bad}"));
        let request = parse(text).unwrap_err().request.unwrap();
        assert_eq!(request.first(Name::MaxForwards).unwrap().raw(), b"70", "{bad:?}");
        assert!(!request.has("X"));
    }
    assert_eq!(defect(INVITE.replace("\r\n", "\n")), Defect::BareLineEnd(1));
    assert_eq!(defect(INVITE.replace("\r\n", "")), Defect::Unfinished);
}

#[test]
fn the_body_is_what_content_length_says() {
    assert_eq!(parse(with("Length: 5", "Length: 3")).unwrap().body(), b"Hel");
    assert_eq!(parse(with("Content-Length: 5\r\n", "")).unwrap().body(), b"Hello");
    assert_eq!(parse(with("Content-Length: 5", "l:\r\n 0")).unwrap().body(), b"");
    assert_eq!(defect(with("Length: 5", "Length: 6")), Defect::BodyCut);
    for bad in ["-999", "+5", "5, 5", "", "0x5", "5 5"] {
        assert_eq!(defect(with("Length: 5", &format!("Length: {bad}"))), Defect::ContentLength);
    }
    let huge = format!("Length: 1{}", "0".repeat(20));
    assert_eq!(defect(with("Length: 5", &huge)), Defect::BodyTooLong);
    let twice = with("Max-Forwards: 70", "l: 5");
    assert_eq!(defect(twice), Defect::Repeated(Name::ContentLength));
}

#[test]
fn each_needed_header_is_there_once() {
    for (line, name) in [
        ("Via: SIP/2.0/UDP pc33.atlanta.example;branch=z9hG4bK776asdhds\r\n", Name::Via),
        ("To: Bob <sip:bob@biloxi.example>\r\n", Name::To),
        ("From: Alice <sip:alice@atlanta.example>;tag=1928301774\r\n", Name::From),
        ("Call-ID: a84b4c76e66710@pc33.atlanta.example\r\n", Name::CallId),
        ("CSeq: 314159 INVITE\r\n", Name::CSeq),
    ] {
        assert_eq!(defect(with(line, "")), Defect::Missing(name));
        if name != Name::Via {
            assert_eq!(defect(with(line, &line.repeat(2))), Defect::Repeated(name));
        }
    }
    assert_eq!(defect(with("314159 INVITE", "314159 OPTIONS")), Defect::MethodMismatch);
}

#[test]
fn start_lines_have_a_method_a_uri_and_a_version() {
    let line = "INVITE sip:bob@biloxi.example SIP/2.0";
    let spaced = parse(with(line, "INVITE  sip:bob@biloxi.example  SIP/2.0")).unwrap();
    assert_eq!(spaced.uri().unwrap().as_bytes(), b"sip:bob@biloxi.example");
    assert_eq!(defect(with(line, "INVITE sip:bob@biloxi.example SIP/7.0")), Defect::Version);
    for bad in [
        "INVITE sip:bob@biloxi.example",
        "INVITE sip:bob@biloxi.example SIP/2.0  ",
        "INVITE sip:bob@biloxi.example; lr SIP/2.0",
        "INVITE  SIP/2.0",
    ] {
        let refused = parse(with(line, bad)).unwrap_err();
        assert!(matches!(refused.defect, Defect::StartLine(_)), "{bad}: {}", refused.defect);
        assert_eq!(refused.answer().unwrap().1, StatusCode::BAD_REQUEST);
    }
    for noise in ["", "\0\0", "GET / HTTP/1.1\r\n\r\n", "{\"a\":1}", "\x16\x03\x01", "\r\n"] {
        let refused = parse(noise).unwrap_err();
        assert!(refused.request.is_none() && refused.defect == Defect::NotSip, "{noise:?}");
    }
}

#[test]
fn a_bad_ack_is_not_answered() {
    let ack = with("INVITE", "ACK").replace("Max-Forwards: 70", "none");
    assert!(parse(ack).unwrap_err().answer().is_none());
}

#[test]
fn every_count_has_its_limit() {
    let few = Limits { message: 2_000, head: 1_000, body: 100, headers: 12, vias: 3 };
    let defect = |text: String| Message::parse(Bytes::from(text), &few).unwrap_err().defect;
    let more = |line: &str, count: usize| {
        with("Max-Forwards: 70\r\n", &format!("Max-Forwards: 70\r\n{}", line.repeat(count)))
    };
    assert_eq!(defect(more("X: 1\r\n", 4)), Defect::TooManyHeaders);
    assert_eq!(
        defect(more("v: SIP/2.0/UDP a, SIP/2.0/UDP b, SIP/2.0/UDP c\r\n", 1)),
        Defect::TooManyVias
    );
    let folded = "v: SIP/2.0/UDP a,\r\n SIP/2.0/UDP b,\r\n SIP/2.0/UDP c\r\n";
    assert_eq!(defect(more(folded, 1)), Defect::TooManyVias, "a fold hides no Via");
    assert_eq!(defect(more(&format!("X: {}\r\n", "x".repeat(1_000)), 1)), Defect::HeadTooLong);
    assert_eq!(defect(with("Length: 5", "Length: 101")), Defect::BodyTooLong);
    assert_eq!(defect(format!("{INVITE}{}", "x".repeat(2_000))), Defect::TooLong);
    assert_eq!(Defect::TooManyVias.status().get(), 483);
}

#[test]
fn values_that_everybody_must_understand_are_checked() {
    for (old, new) in [
        ("Max-Forwards: 70", "Max-Forwards: 300"),
        ("To: Bob <", "To: \"Bob <"),
        ("sip:bob@biloxi.example SIP", "<sip:bob@biloxi.example> SIP"),
        ("sip:bob@biloxi.example SIP", "sip:bob@2001:db8::10 SIP"),
        ("Via: SIP", "Via: HTTP"),
        ("a84b4c76e66710@pc33", "a84b4c76e66710@a@pc33"),
        ("Contact: <sip", "Contact: *, <sip"),
        ("Contact: <sip:alice@pc33.atlanta.example>", "Contact: *"),
    ] {
        let defect = parse(with(old, new)).unwrap().check().unwrap_err();
        assert_eq!(defect.status(), StatusCode::BAD_REQUEST, "{new}");
    }
    let strange = parse(with("sip:bob@biloxi.example SIP", "soap.beep://192.0.2.1 SIP")).unwrap();
    assert_eq!(strange.check(), Err(Defect::Scheme));
}

#[test]
fn lists_go_over_lines_and_commas() {
    let message = parse(with("Max-", "v: SIP/2.0/TCP a, SIP/2.0/TLS b\r\nMax-")).unwrap();
    let hosts: Vec<_> = message.list::<Via>(Name::Via).map(|via| via.unwrap().host).collect();
    assert_eq!(format!("{hosts:?}"), "[pc33.atlanta.example, a, b]");
}
