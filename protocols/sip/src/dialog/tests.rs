//! Dialogs seen from both ends: what they begin with, what goes on in them, and what belongs to none.

use super::*;
use crate::header::Replaces;
use crate::{Limits, Method};

fn message(text: &str) -> Message {
    Message::parse(
        Bytes::copy_from_slice(text.replace('\n', "\r\n").as_bytes()),
        &Limits::default(),
    )
    .unwrap()
}

fn invite(extra: &str) -> Message {
    message(&format!(
        "INVITE sip:b@us.example SIP/2.0\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\n\
         From: \"A, \\\"x\\\" <sip:tag=;>\" <sip:a@a.example>;tag=at\nTo: <sip:b@us.example>\n\
         Call-ID: c1\nCSeq: 7 INVITE\n{extra}Content-Length: 0\n\n"
    ))
}

fn ok(extra: &str) -> Message {
    message(&format!(
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\nFrom: <sip:a@a.example>;tag=at\n\
         To: <sip:b@us.example>;tag=bt\nCall-ID: c1\nCSeq: 7 INVITE\n{extra}Content-Length: 0\n\n"
    ))
}

fn written(dialog: &mut Dialog, method: Method) -> String {
    let (_, builder) = dialog.request(&method);
    String::from_utf8(builder.finish().unwrap().to_vec()).unwrap().replace("\r\n", "\n")
}

fn caller(extra: &str) -> Dialog {
    let uri = Bytes::from_static(b"sip:b@us.example");
    Dialog::of_response(&ok(extra), b"<sip:a@a.example>;tag=at", &uri).unwrap()
}

const ROUTES: &str = "Record-Route: <sip:p2;lr>, <sip:p1;lr;x=1>\nContact: <sip:end@192.0.2.9>\n";

#[test]
fn the_asked_end_goes_back_the_way_the_request_came() {
    let mut dialog = Dialog::of_request(&invite(ROUTES), "bt", 100).unwrap();
    assert_eq!(dialog.next_hop(), "sip:p2;lr");
    assert_eq!(
        written(&mut dialog, Method::Bye),
        "BYE sip:end@192.0.2.9 SIP/2.0\nMax-Forwards: 70\nRoute: <sip:p2;lr>\n\
         Route: <sip:p1;lr;x=1>\nFrom: <sip:b@us.example>;tag=bt\n\
         To: \"A, \\\"x\\\" <sip:tag=;>\" <sip:a@a.example>;tag=at\nCall-ID: c1\nCSeq: 101 BYE\n\
         Content-Length: 0\n\n"
    );
    let id = dialog.id();
    assert_eq!((&id.local_tag[..], &id.remote_tag[..]), (&b"bt"[..], &b"at"[..]));
}

#[test]
fn the_asking_end_goes_it_the_other_way_round() {
    let mut dialog = caller(ROUTES);
    assert_eq!(dialog.next_hop(), "sip:p1;lr;x=1");
    let bye = written(&mut dialog, Method::Bye);
    assert!(bye.starts_with("BYE sip:end@192.0.2.9 SIP/2.0\n"), "{bye}");
    assert!(bye.contains("Route: <sip:p1;lr;x=1>\nRoute: <sip:p2;lr>\nFrom:"), "{bye}");
    assert!(bye.contains("To: <sip:b@us.example>;tag=bt\n") && bye.contains("CSeq: 8 BYE"));
}

#[test]
fn quirk_20_a_proxy_that_records_itself_twice_is_passed_twice() {
    let twice = "Record-Route: <sips:edge:5061;lr>\nRecord-Route: <sip:edge;transport=udp;lr>\n\
                 Contact: <sip:end@192.0.2.9>\n";
    let mut dialog = caller(twice);
    let bye = written(&mut dialog, Method::Bye);
    let routes = "Route: <sip:edge;transport=udp;lr>\nRoute: <sips:edge:5061;lr>\nFrom:";
    assert!(bye.contains(routes), "{bye}");
    assert_eq!(dialog.next_hop(), "sip:edge;transport=udp;lr");
}

#[test]
fn quirk_20_a_strict_router_stands_in_the_request_uri() {
    let strict = "Record-Route: <sip:p1;lr>, <sip:strict.example>\nContact: <sip:end@192.0.2.9>\n";
    let mut dialog = caller(strict);
    assert_eq!(dialog.next_hop(), "sip:strict.example");
    let bye = written(&mut dialog, Method::Bye);
    assert!(bye.starts_with("BYE sip:strict.example SIP/2.0\n"), "{bye}");
    assert!(bye.contains("Route: <sip:p1;lr>\nRoute: <sip:end@192.0.2.9>\nFrom:"), "{bye}");
    assert_eq!(dialog.call_id(), b"c1");
    assert_eq!((dialog.local_tag(), dialog.remote_tag()), (&b"at"[..], &b"bt"[..]));
    let alone = "Record-Route: <sip:strict.example>\nContact: <sip:end@192.0.2.9>\n";
    let bye = written(&mut caller(alone), Method::Bye);
    assert!(bye.contains("Max-Forwards: 70\nRoute: <sip:end@192.0.2.9>\nFrom:"), "{bye}");
}

#[test]
fn numbers_go_up_and_late_ones_have_no_effect() {
    let mut dialog = Dialog::of_request(&invite(ROUTES), "bt", 1).unwrap();
    let seen: Vec<Order> = [7, 6, 8, 8, 20, 9].map(|number| dialog.take(number)).to_vec();
    use Order::{Late, Next};
    assert_eq!(seen, [Late, Late, Next, Late, Next, Late]);
    let mut dialog = caller("");
    assert_eq!((dialog.take(0), dialog.take(0)), (Next, Late));
}

#[test]
fn a_target_is_refreshed_and_a_route_is_not() {
    let mut dialog = caller(ROUTES);
    dialog.refresh(&ok("Record-Route: <sip:p9;lr>\nContact: <sip:new@192.0.2.8>\n"));
    dialog.refresh(&ok(""));
    assert_eq!(dialog.target(), "sip:new@192.0.2.8");
    assert_eq!(dialog.next_hop(), "sip:p1;lr;x=1");
    dialog.request(&Method::Info);
    dialog.confirm(&ok("Record-Route: <sip:p9;lr>\n"), b"<sip:a@a.example>;tag=at").unwrap();
    assert_eq!(dialog.next_hop(), "sip:p9;lr");
    assert_eq!((dialog.local_seq(), dialog.target()), (8, &Bytes::from("sip:new@192.0.2.8")));
}

#[test]
fn a_peer_of_rfc_2543_has_no_tag_and_no_contact() {
    let old = message(
        "INVITE sip:b@us.example SIP/2.0\nVia: SIP/2.0/UDP a\nFrom: sip:a@a.example\n\
         To: sip:b@us.example\nCall-ID: c1\nCSeq: 7 INVITE\n\n",
    );
    let mut dialog = Dialog::of_request(&old, "bt", 1).unwrap();
    assert_eq!(dialog.remote_tag(), b"");
    let bye = written(&mut dialog, Method::Bye);
    assert!(bye.starts_with("BYE sip:a@a.example SIP/2.0\n"), "{bye}");
    assert!(bye.contains("From: sip:b@us.example;tag=bt\nTo: sip:a@a.example\n"), "{bye}");
    let named = |text: &'static str| {
        let replaces =
            <Replaces as crate::header::Value>::parse(&Bytes::from_static(text.as_bytes()));
        dialog.id().is_named_by(&replaces.unwrap())
    };
    assert!(named("c1;to-tag=bt;from-tag=0"));
    assert!(!named("c1;to-tag=bt;from-tag=1") && !named("c2;to-tag=bt;from-tag=0"));
}

#[test]
fn too_many_routers_and_bad_contacts_make_no_dialog_of_a_request() {
    let many = format!("Record-Route: {}<sip:p;lr>\n", "<sip:p;lr>,".repeat(24));
    assert!(Dialog::of_request(&invite(&many), "t", 1).is_err());
    assert!(Dialog::of_request(&invite("Contact: <sip:@>\n"), "t", 1).is_err());
    // What answers has a call already, which wants its ACK: it is looked for where it was called.
    let dialog = caller(&format!("{many}Contact: <sip:@>\n"));
    assert_eq!(dialog.target(), "sip:b@us.example");
    assert_eq!(dialog.next_hop(), "sip:b@us.example");
}

#[test]
fn a_request_is_sent_again_with_other_headers() {
    let first =
        b"INVITE sip:b@us SIP/2.0\r\nTo: <sip:b>\r\nCSeq: 1 INVITE\r\nSession-Expires: 90\r\n\
                  Proxy-Authorization: old\r\nContent-Length: 9\r\n\r\nCSeq: 1 X";
    let set: &[(Name, &[u8])] =
        &[(Name::ProxyAuthorization, b"new"), (Name::SessionExpires, b"1800")];
    let expected =
        b"INVITE sip:b@us SIP/2.0\r\nTo: <sip:b>\r\nCSeq: 12 INVITE\r\nContent-Length: 9\r\n\
                     Proxy-Authorization: new\r\nSession-Expires: 1800\r\n\r\nCSeq: 1 X";
    assert_eq!(again(first, 12, set), &expected[..]);
}
