//! Torture messages of our own, each after a section of RFC 4475 or RFC 5118: what is well formed
//! though it does not look so, what is not, and what is only odd.

use bytes::Bytes;
use proto_sip::frame::Event;
use proto_sip::header::{Contact, Date, RetryAfter, Seconds, Value, Via, Warning};
use proto_sip::uri::Scheme;
use proto_sip::{Datagram, Defect, Frames, Limits, Message, Method, Name};

use crate::invites::{Outcome, outcome, taken};
use Outcome::{Answered, Dropped, Taken};

/// A message by its start line, the headers that matter here, and its body. What it needs besides
/// is added.
fn message(start: &str, headers: &[&str], body: &str) -> String {
    let method = start.split(' ').next().unwrap();
    let method = if method.starts_with("SIP/") { "INVITE" } else { method };
    let cseq = format!("CSeq: 42 {method}");
    let length = format!("Content-Length: {}", body.len());
    let needed = [
        "Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKtorture",
        "From: <sip:caller@example.net>;tag=77",
        "To: <sip:callee@example.com>",
        "Call-ID: torture@192.0.2.77",
        &cseq,
        "Max-Forwards: 70",
        &length,
    ];
    let name = |line: &str| Name::of(line.split(':').next().unwrap().trim_end().as_bytes());
    let mut out = format!("{start}\r\n");
    for line in headers {
        out.push_str(&format!("{line}\r\n"));
    }
    for line in needed {
        if !headers.iter().any(|own| name(own) == name(line)) {
            out.push_str(&format!("{line}\r\n"));
        }
    }
    out + "\r\n" + body
}

const OPTIONS: &str = "OPTIONS sip:callee@example.com SIP/2.0";

fn options(headers: &[&str]) -> String {
    message(OPTIONS, headers, "")
}

fn fares(text: &str) -> Outcome {
    outcome(text.as_bytes())
}

/// RFC 4475 §3.1.1.1: white space and folds wherever they may be.
#[test]
fn a_request_full_of_white_space_is_read() {
    let text = message(
        "INVITE sip:callee@example.com;unknown SIP/2.0",
        &[
            "tO\t:\r\n sip:callee@example.com ;  tag\t= abc",
            "fRoM   : \"J \\\\ \\\"R\\\"\"    <sip:caller@example.net>\r\n  ;\r\n\ttag = 98",
            "MAX-forwards: 0070",
            "cseq: 0042\r\n   INVITE",
            "vIA  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2 : 5070 ;branch=390",
            "v: SIP / 2.0 / TCP   spindle.example ;\r\n branch  =  z9hG4bKa  ,\r\n SIP/2.0 / UDP 192.0.2.9",
            "s :",
            "Unknown: ;;,,;;,;",
            "m:\"Quoted \\\"\\\"\" <sip:caller@example.net> ; new =\r\n value ;\r\n second ; q = 0.33",
            "Route:\r\n <sip:services.example;lr;with=value;without>",
        ],
        "",
    );
    let message = taken(&text);
    assert_eq!(message.to().unwrap().tag(), Some(&b"abc"[..]));
    assert_eq!(&*message.from().unwrap().display(), b"J \\ \"R\"");
    assert_eq!((message.max_forwards(), message.cseq().unwrap().number), (Ok(Some(70)), 42));
    let vias: Vec<Via> = message.list(Name::Via).map(Result::unwrap).collect();
    assert_eq!((vias.len(), vias[0].port, vias[0].unique_branch()), (3, Some(5070), None));
    assert_eq!(vias[1].unique_branch(), Some(&b"z9hG4bKa"[..]));
    assert_eq!(message.first(Name::Subject).unwrap().raw(), b"");
    let Some(Ok(Contact::Address(contact))) = message.contacts().next() else {
        panic!("no contact");
    };
    assert_eq!((contact.q(), contact.params.has("second")), (330, true));
    assert!(message.routes().next().unwrap().unwrap().uri.is_loose());
}

/// §3.1.1.2: every octet that a grammar allows.
#[test]
fn a_request_of_odd_characters_is_read() {
    let text = message(
        "!odd-Method0*_+`.%indeed'~ sip:1_u.~(be!)&i+$/c?,/;;*:&it=1,w!*p$w~d_.(d)@example.com SIP/2.0",
        &[
            "Via: SIP/2.0/UDP host.example;branch=z9hG4bK-.!%66*_+`'~",
            "To: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:1_u~(be!)&i+$/c?,/;;*@example.com>",
            "From: t1~` t2'+_ t3*%!.- <sip:m@example.com>;p''~+*_!.-%=\"\u{440}\u{430}\";tag=_t~1'+`*%!-.",
            "Call-ID: w%ZK-!.*_+'@w`~)(><:\\/\"][?}{",
            "extension-!.%*+_`'~:\u{feff}\u{5927}\u{505c}\u{96fb}",
        ],
        "",
    );
    let message = taken(&text);
    assert_eq!(message.from().unwrap().tag(), Some(&b"_t~1'+`*%!-."[..]));
    assert!(message.to().unwrap().display().contains(&0));
    assert!(matches!(message.method(), Some(Method::Other(_))));
}

/// §3.1.1.3 to §3.1.1.6, §3.1.1.9: escapes are not taken off where they mean something.
#[test]
fn escapes_stay_where_they_are() {
    let message = taken(&message(
        "RE%47ISTER sip:sips%3Auser%40example.com@example.net SIP/2.0",
        &[
            "To: \"%Z%45\" <sip:%75se%72@example.com>",
            "Contact: <sip:cal%6Cer@host.example;%6C%72;n%61me=v%61lue%25%34%31>",
            "C%6Fntact: <sip:other@host.example>",
            "m: <sip:%00@host.example>",
        ],
        "",
    ));
    assert!(matches!(message.method(), Some(Method::Other(_))), "%47 is no G in a method");
    assert_eq!(message.uri().unwrap().user_unescaped(), Some(b"sips:user@example.com".to_vec()));
    assert_eq!(&*message.to().unwrap().display(), b"%Z%45");
    let contacts: Vec<_> = message.contacts().map(Result::unwrap).collect();
    assert_eq!(contacts.len(), 2, "C%6Fntact is another header");
    let [Contact::Address(first), Contact::Address(second)] = &contacts[..] else {
        panic!("{contacts:?}");
    };
    assert!(!first.uri.is_loose(), "an escaped parameter is its own name here");
    assert_eq!(second.uri.user_unescaped(), Some(vec![0]));
}

/// §3.1.1.7: everything is long.
#[test]
fn long_values_are_read() {
    let long = "extreme".repeat(40);
    let via = |number| format!("v :SIP/2.0/TCP sip{number}.example.com");
    let vias: Vec<String> = (0..34).map(via).collect();
    let mut headers: Vec<String> = vec![
        format!("To: \"{long}\"<sip:user@example.com:6000;a{long}={long};b>"),
        format!("F: sip:{long}@example.net;tag=1;x{long}={long};y"),
        format!("Call-ID: {long}"),
        format!("Unknown-{long}: {long}, {long}"),
    ];
    headers.extend(vias);
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let message = taken(&message("INVITE sip:user@example.com SIP/2.0", &headers, ""));
    assert_eq!(message.list::<Via>(Name::Via).count(), 34);
    assert_eq!(message.from().unwrap().tag(), Some(&b"1"[..]));
}

/// §3.1.1.8: two requests in one datagram are one; on a stream they are two.
#[test]
fn octets_behind_a_datagrams_message_are_dropped() {
    let first = options(&[]);
    let both =
        format!("{first}\r\n{}", message("INVITE sip:x@example.com SIP/2.0", &[], "v=0\r\n"));
    assert_eq!(taken(&both).method(), Some(&Method::Options));
    let mut frames = Frames::new(Limits::default());
    let mut chunk = both.as_bytes();
    let mut count = 0;
    while let Some(Event::Message(_)) = frames.next(&mut chunk).unwrap() {
        count += 1;
    }
    assert_eq!(count, 2);
}

/// §3.1.1.10 to §3.1.1.13: parameters, names and words at their borders.
#[test]
fn well_formed_odds_and_ends_are_taken() {
    for text in [
        message("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0", &[], ""),
        options(&["From: caller<sip:caller@example.net>;tag=1"]),
        options(&[
            "Via: SIP/2.0/UDP a;branch=z9hG4bK1",
            "Via: SIP/2.0/SCTP b;branch=z9hG4bK2",
            "Via: SIP/2.0/UNKNOWN c;branch=z9hG4bK3",
        ]),
        options(&["Accept: application/sdp,\r\n\tmultipart/mixed", "L:0"]),
        message("SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e}", &[], ""),
        message("SIP/2.0 100 ", &[], ""),
        message("REGISTER sip:example.com SIP/2.0", &["Contact: sip:a@gw.example;unknown"], ""),
        message("REGISTER sip:example.com SIP/2.0", &["Contact: <sip:a@gw.example;unknown>"], ""),
        message("REGISTER sip:example.com SIP/2.0", &["m: <sip:a@b?Route=%3Csip:c%3E>"], ""),
    ] {
        assert_eq!(fares(&text), Taken, "{text}");
    }
}

/// §3.1.2: what is not well formed, and the status that says so.
#[test]
fn malformed_messages_are_refused() {
    let invite = "INVITE sip:user@example.com SIP/2.0";
    for (text, expected) in [
        (message(invite, &["Via: SIP/2.0/UDP 192.0.2.15;;,;,,"], ""), Answered(400)),
        (message(invite, &["Contact: \"Joe\" <sip:joe@example.org>;;;;"], ""), Answered(400)),
        (message(invite, &["Content-Length: 9999"], "v=0\r\n"), Answered(400)),
        (message(invite, &["Content-Length: -999"], "v=0\r\n"), Answered(400)),
        (options(&["CSeq: 36893488147419103232 OPTIONS"]), Answered(400)),
        (options(&["Max-Forwards: 300"]), Answered(400)),
        (message("SIP/2.0 503 x", &["CSeq: 9292394834772304023312 INVITE"], ""), Dropped),
        (options(&["To: \"Mr. J. User <sip:j.user@example.com>"]), Answered(400)),
        (message("OPTIONS <sip:user@example.com> SIP/2.0", &[], ""), Answered(400)),
        (message("OPTIONS sip:user@example.com; lr SIP/2.0", &[], ""), Answered(400)),
        (message("OPTIONS  sip:user@example.com  SIP/2.0", &[], ""), Taken),
        (message("OPTIONS sip:user@example.com SIP/2.0  ", &[], ""), Answered(400)),
        (message("OPTIONS sip:user@example.com?Route=%3Csip:x%3E SIP/2.0", &[], ""), Taken),
        (options(&["Contact: sip:a@b?Route=%3Csip:c%3E"]), Answered(400)),
        (options(&["To: \"Watson, T\" < sip:t@example.org >"]), Answered(400)),
        (options(&["From: Bell, Alexander <sip:a@example.com>;tag=43"]), Answered(400)),
        (message("OPTIONS sip:t@example.org SIP/7.0", &[], ""), Answered(505)),
        (options(&["CSeq: 42 INVITE"]), Answered(400)),
        (message("NEWMETHOD sip:t@example.org SIP/2.0", &["CSeq: 42 INVITE"], ""), Answered(400)),
        (message("SIP/2.0 4294967301 too much", &[], ""), Dropped),
    ] {
        assert_eq!(fares(&text), expected, "{text}");
    }
}

/// §3.1.2.13: a Date in another zone is no Date, and the message is fine without it.
#[test]
fn a_bad_date_spoils_itself_alone() {
    let message = taken(&options(&["Date: Fri, 01 Jan 2010 16:00:00 EST"]));
    assert!(message.value::<Date>(Name::Date).is_err());
}

/// §3.2 and §3.3: transactions and semantics, as far as the wire knows them.
#[test]
fn what_only_upper_layers_judge_is_taken() {
    let bare = message("INVITE sip:u@example.com SIP/2.0", &["Via: SIP/2.0/UDP a.example"], "");
    assert_eq!(taken(&bare).via().unwrap().unique_branch(), None);
    let cookie = taken(&options(&["Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"]));
    assert_eq!(cookie.via().unwrap().unique_branch(), None);
    let zero = taken(&options(&["Max-Forwards: 0"]));
    assert_eq!(zero.max_forwards(), Ok(Some(0)));
    let strange = taken(&options(&["Require: nothingSupportsThis, norThat"]));
    assert_eq!(strange.tokens(Name::Require).count(), 2);
    let unknown = taken(&message(
        "REGISTER sip:example.com SIP/2.0",
        &["To: isbn:2983792873", "From: <http://www.example.com>;tag=3", "Contact: <name:John>"],
        "",
    ));
    assert_eq!(unknown.to().unwrap().uri.scheme(), Scheme::Other);
    let auth = taken(&options(&["Authorization: NoOneKnowsThisScheme opaque-data=here"]));
    assert_eq!(auth.all(Name::Authorization).count(), 1);
    let old = "INVITE sip:B@example.com SIP/2.0\r\nVia: SIP/2.0/UDP gw.example.com\r\n\
        From: <sip:+13035550111@c.example;user=phone>\r\nTo: sip:+16505550122@s.example;user=phone\r\n\
        Call-ID: 1717@c.example\r\nCSeq: 56 INVITE\r\n\r\nv=0\r\n";
    assert_eq!((taken(old).body(), taken(old).from().unwrap().tag()), (&b"v=0\r\n"[..], None));
}

/// §3.3.1, §3.3.8, §3.3.9: what is missing or there too often.
#[test]
fn headers_that_are_missing_or_doubled_are_refused() {
    let whole = options(&[]);
    for line in ["From: <sip:caller@example.net>;tag=77\r\n", "Call-ID: torture@192.0.2.77\r\n"] {
        assert_eq!(fares(&whole.replace(line, "")), Answered(400));
        assert_eq!(fares(&whole.replace(line, &line.repeat(2))), Answered(400));
    }
    let no_via = whole.replace("Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKtorture\r\n", "");
    assert_eq!(fares(&no_via), Dropped, "nobody waits for an answer");
    assert_eq!(fares(&options(&["Content-Length: 13", "l: 5"])), Answered(400));
    assert_eq!(fares(&options(&["Max-Forwards: 70", "Max-Forwards: 5"])), Answered(400));
}

/// §3.3.2 and §3.3.3: schemes that are no targets of ours.
#[test]
fn unknown_schemes_are_no_targets() {
    for uri in ["nobodyKnowsThisScheme:opaquecontent", "soap.beep://192.0.2.103:3002"] {
        assert_eq!(fares(&message(&format!("OPTIONS {uri} SIP/2.0"), &[], "")), Answered(416));
    }
}

/// §3.1.2.4, §3.1.2.5: numbers that fit nowhere are the largest that do, where that has a sense.
#[test]
fn numbers_too_large_are_large() {
    let text = Bytes::from(format!("1{}", "0".repeat(99)));
    assert_eq!(Seconds::parse(&text), Ok(Seconds(u32::MAX)));
    assert_eq!(RetryAfter::parse(&text).map(|after| after.seconds), Ok(u32::MAX));
    assert!(Warning::parse(&Bytes::from_static(b"1812 overture \"In Progress\"")).is_err());
}

/// RFC 5118 §4: addresses of IPv6 in brackets, and without them.
#[test]
fn addresses_of_ipv6_need_their_brackets() {
    for (uri, expected) in [
        ("sip:[2001:db8::10]", Taken),
        ("sip:2001:db8::10", Answered(400)),
        ("sip:[2001:db8::10]:5070", Taken),
        ("sip:[2001:db8::10:5070]", Taken),
        ("sip:user@[::ffff:192.0.2.10]:19823", Taken),
        ("sip:user@[2001:db8:::192.0.2.1]", Taken),
        ("sip:user@[2001:db8:::1]", Answered(400)),
        ("sip:user@[2001:db8::1", Answered(400)),
        ("sip:user@[fe80::1%25eth0]", Answered(400)),
    ] {
        assert_eq!(fares(&message(&format!("OPTIONS {uri} SIP/2.0"), &[], "")), expected, "{uri}");
    }
    for received in ["2001:db8::9:255", "[2001:db8::9:255]"] {
        let via = format!("Via: SIP/2.0/UDP [2001:db8::9:1];received={received};branch=z9hG4bKa");
        let message = taken(&options(&[&via]));
        assert_eq!(message.via().unwrap().received(), Some("2001:db8::9:255".parse().unwrap()));
    }
}

/// Requests of other protocols, and the noise of scanners, get no word from us.
#[test]
fn noise_is_dropped() {
    for noise in
        ["", "\r\n", "\0\0\0\0", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "x", "{}", "\u{1}\u{2}"]
    {
        assert_eq!(fares(noise), Dropped, "{noise:?}");
    }
    let ack = message("ACK sip:a@b SIP/2.0", &["Max-Forwards: 999"], "");
    assert_eq!(fares(&ack), Dropped);
    let Datagram::Message(_) = Datagram::of(&Bytes::from(ack)) else {
        panic!("an ACK is a message");
    };
}

/// A header may not be hidden from one reader and shown to another.
#[test]
fn smuggled_lines_are_refused() {
    for (subject, defect) in [
        ("a\nRoute: <sip:evil>", Defect::BareLineEnd(2)),
        ("a\rRoute: <sip:evil>", Defect::BareLineEnd(2)),
        ("a\0", Defect::Null(2)),
    ] {
        let text = options(&[&format!("Subject: {subject}")]);
        let refused = Message::parse(Bytes::from(text), &Limits::default()).unwrap_err();
        assert_eq!(refused.defect, defect);
    }
}
