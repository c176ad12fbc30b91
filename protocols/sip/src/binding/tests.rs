//! REGISTER after REGISTER against what is bound.

use super::*;
use crate::{Limits, Message};

const POLICY: Policy = Policy {
    expires_min_s: 60,
    expires_max_s: 3_600,
    expires_default_s: 3_600,
    contacts_max: 3,
    path_max: 200,
};

const NOW: u64 = 1_000_000;

/// A REGISTER of one Call-ID and CSeq with these lines in it.
fn from(call_id: &str, cseq: u32, lines: &[&str]) -> Message {
    let mut text = format!(
        "REGISTER sip:acme.example SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
         From: <sip:bob@acme.example>;tag=1\r\nTo: <sip:bob@acme.example>\r\n\
         Call-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\n"
    );
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    Message::accept(Bytes::from(text), &Limits::default()).unwrap()
}

/// Telephones register one after the other; every step is at `NOW`.
#[derive(Default)]
struct Aor {
    bound: Vec<Binding>,
}

impl Aor {
    fn ask(&mut self, call_id: &str, cseq: u32, lines: &[&str]) -> Result<Outcome, Refused> {
        let outcome = register(&from(call_id, cseq, lines), &self.bound, &POLICY, NOW)?;
        self.bound.clone_from(&outcome.bindings);
        Ok(outcome)
    }

    /// Each binding as the answer shows it.
    fn shown(&self) -> Vec<String> {
        let value = |binding: &Binding| String::from_utf8(binding.contact_value(NOW)).unwrap();
        self.bound.iter().map(value).collect()
    }
}

#[test]
fn the_parameter_goes_before_the_header_and_both_before_the_usual() {
    for (lines, granted) in [
        (&["Contact: <sip:b@h>;expires=120", "Expires: 600"][..], 120),
        (&["Contact: <sip:b@h>", "Expires: 600"], 600),
        (&["Contact: <sip:b@h>"], 3_600),
        (&["Contact: <sip:b@h>;expires=soon"], 3_600),
        (&["Contact: <sip:b@h>", "Expires: never"], 3_600),
        (&["Contact: <sip:b@h>;expires=99999999999"], 3_600),
        (&["m: <sip:b@h>", "Expires: 60"], 60),
    ] {
        let mut aor = Aor::default();
        let outcome = aor.ask("a", 1, lines).unwrap();
        assert_eq!((outcome.added.len(), outcome.outbound), (1, false), "{lines:?}");
        assert_eq!(aor.shown(), [format!("<sip:b@h>;expires={granted}")], "{lines:?}");
    }
}

#[test]
fn too_brief_is_refused_with_the_least_and_changes_nothing() {
    let mut aor = Aor::default();
    let lines = ["Contact: <sip:a@h>, <sip:b@h>;expires=59"];
    let refused = aor.ask("a", 1, &lines).unwrap_err();
    assert_eq!(refused, Refused::TooBrief { min_s: 60 });
    assert_eq!(refused.status().get(), 423);
    assert!(aor.bound.is_empty());
}

#[test]
fn a_request_without_contact_asks_what_is_bound() {
    let mut aor = Aor::default();
    aor.ask("a", 1, &["Contact: <sip:a@h>;q=0.5"]).unwrap();
    let outcome = aor.ask("b", 1, &[]).unwrap();
    assert!(!outcome.changes());
    assert_eq!(aor.shown(), ["<sip:a@h>;q=0.500;expires=3600"]);
}

#[test]
fn a_star_ends_all_and_stands_alone_with_zero() {
    let mut aor = Aor::default();
    aor.ask("a", 1, &["Contact: <sip:a@h>, <sip:b@h>"]).unwrap();
    for lines in [&["Contact: *"][..], &["Contact: *", "Expires: 60"]] {
        assert!(matches!(aor.ask("b", 1, lines), Err(Refused::Bad(_))), "{lines:?}");
    }
    let star = ["Contact: *", "Expires: 0"];
    assert_eq!(aor.ask("a", 1, &star), Err(Refused::OutOfOrder), "of the same Call-ID");
    assert_eq!(aor.bound.len(), 2);
    let outcome = aor.ask("a", 2, &star).unwrap();
    assert_eq!((outcome.removed.len(), aor.bound.len()), (2, 0));
}

#[test]
fn a_cseq_that_goes_back_changes_nothing() {
    let mut aor = Aor::default();
    aor.ask("a", 5, &["Contact: <sip:a@h>"]).unwrap();
    for cseq in [4, 5] {
        let again = aor.ask("a", cseq, &["Contact: <sip:a@h>;expires=0"]);
        assert_eq!(again, Err(Refused::OutOfOrder), "{cseq}");
    }
    let other = aor.ask("after-a-restart", 1, &["Contact: <sip:a@h>;expires=60"]).unwrap();
    assert_eq!(other.refreshed, [0]);
    assert_eq!(aor.shown(), ["<sip:a@h>;expires=60"]);
}

#[test]
fn one_request_may_add_refresh_and_end() {
    let mut aor = Aor::default();
    aor.ask("a", 1, &["Contact: <sip:a@h>, <sip:b@h>"]).unwrap();
    let lines = ["Contact: <sip:b@h>;expires=0, <sip:c@h>;expires=60", "Contact: <sip:a@h>"];
    let outcome = aor.ask("a", 2, &lines).unwrap();
    assert_eq!(outcome.refreshed, [0]);
    assert_eq!(outcome.removed.len(), 1);
    assert_eq!(outcome.added.len(), 1);
    assert_ne!(outcome.added[0], 1, "a slot is not used again in the same step");
    assert_eq!(aor.shown(), ["<sip:a@h>;expires=3600", "<sip:c@h>;expires=60"]);
}

#[test]
fn uris_that_mean_the_same_are_one_binding() {
    let mut aor = Aor::default();
    aor.ask("a", 1, &["Contact: <sip:bob@Host.example:5060;transport=tcp;x=1>"]).unwrap();
    let same = ["Contact: <sip:b%6Fb@host.EXAMPLE:5060;transport=TCP>"];
    assert_eq!(aor.ask("a", 2, &same).unwrap().refreshed, [0]);
    let other = ["Contact: <sip:bob@host.example;transport=tcp>"];
    assert_eq!(aor.ask("a", 3, &other).unwrap().added.len(), 1, "no port is another port");
    let twice = ["Contact: <sip:z@h>;expires=60, <sip:z@h>;expires=120"];
    assert_eq!(aor.ask("b", 1, &twice).unwrap().added.len(), 1);
    assert_eq!(aor.shown()[2], "<sip:z@h>;expires=120");
}

#[test]
fn contacts_are_bounded_also_in_a_request_that_is_full_of_them() {
    let mut aor = Aor::default();
    for n in 0..3 {
        let line = format!("Contact: <sip:{n}@h>");
        aor.ask(&format!("call{n}"), 1, &[&line]).unwrap();
    }
    let refused = aor.ask("other", 1, &["Contact: <sip:x@h>"]).unwrap_err();
    assert_eq!(refused, Refused::TooMany { most: 3 });
    let many: Vec<String> = (0..200).map(|n| format!("<sip:{n}@flood>")).collect();
    let line = format!("Contact: {}", many.join(","));
    assert_eq!(aor.ask("other", 1, &[&line]), Err(Refused::TooMany { most: 3 }));
    assert_eq!(aor.bound.len(), 3);
}

#[test]
fn a_device_that_moved_takes_its_own_place() {
    let mut aor = Aor::default();
    aor.ask("desk", 1, &["Contact: <sip:desk@h>"]).unwrap();
    for port in 1..9 {
        let line = format!("Contact: <sip:soft@nat:{port}>");
        aor.ask("soft", port, &[&line]).unwrap();
    }
    let shown = aor.shown();
    assert_eq!(shown.len(), 3);
    assert_eq!(shown[0], "<sip:desk@h>;expires=3600", "others keep theirs");
    for port in 1..9 {
        let line = format!("Contact: <sip:mob@nat:{port}>;+sip.instance=\"<urn:uuid:1>\"");
        let outcome = aor.ask(&format!("mob{port}"), 1, &[&line, "Expires: 60"]);
        assert_eq!(outcome.is_ok(), aor.bound.iter().any(|b| b.instance == "urn:uuid:1"));
        if port == 1 {
            aor.ask("soft", 20, &["Contact: <sip:soft@nat:7>;expires=0"]).unwrap();
            aor.ask("mob", 1, &[&line]).unwrap();
        }
    }
    assert_eq!(aor.bound.len(), 3);
}

#[test]
fn flows_are_told_apart_by_device_and_number() {
    let flow = |n: u32, port: u32| {
        format!("Contact: <sip:b@h:{port}>;reg-id={n};+sip.instance=\"<urn:uuid:1>\"")
    };
    let mut aor = Aor::default();
    let ask = |aor: &mut Aor, cseq: u32, n: u32, port: u32| {
        aor.ask("a", cseq, &[&flow(n, port), "Supported: path, outbound"]).unwrap()
    };
    assert!(ask(&mut aor, 1, 1, 1000).outbound);
    assert_eq!(ask(&mut aor, 2, 2, 2000).added, [1]);
    assert_eq!(ask(&mut aor, 3, 1, 3000).refreshed, [0], "the flow was opened again");
    let expected = "<sip:b@h:3000>;+sip.instance=\"<urn:uuid:1>\";reg-id=1;expires=3600";
    assert_eq!(aor.shown()[0], expected);
    let without = aor.ask("a", 4, &[&flow(2, 2000)]).unwrap();
    assert_eq!(without.added.len(), 1, "who does not speak of Outbound has no flows");
    let two = format!("{}, <sip:other@h>", flow(1, 1));
    let asked = aor.ask("a", 5, &[&two, "Supported: outbound"]);
    assert!(matches!(asked, Err(Refused::Bad(_))));
}

#[test]
fn a_flow_through_a_proxy_needs_one_that_keeps_flows() {
    let contact = "Contact: <sip:b@h>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"";
    let (via, says) = ("Via: SIP/2.0/UDP proxy;branch=z9hG4bK2", "Supported: outbound, path");
    let mut aor = Aor::default();
    assert_eq!(aor.ask("a", 1, &[via, contact, says]), Err(Refused::NoOutbound));
    let path = "Path: <sip:flow@proxy;lr;ob>";
    assert!(aor.ask("a", 1, &[via, contact, says, path]).unwrap().outbound);
    assert_eq!(aor.bound[0].path, "<sip:flow@proxy;lr;ob>");
}

#[test]
fn a_path_is_kept_in_its_order_and_bounded() {
    let mut aor = Aor::default();
    let lines = ["Path: <sip:p1;lr>, <sip:p2;lr>", "Path: <sip:p3;lr>", "Contact: <sip:a@h>"];
    aor.ask("a", 1, &lines).unwrap();
    assert_eq!(aor.bound[0].path, "<sip:p1;lr>, <sip:p2;lr>, <sip:p3;lr>");
    let long = format!("Path: <sip:{}@p;lr>", "x".repeat(200));
    assert!(matches!(aor.ask("a", 2, &[&long, "Contact: <sip:a@h>"]), Err(Refused::Bad(_))));
}

#[test]
fn what_is_over_is_gone_and_what_is_no_sip_is_refused() {
    let mut aor = Aor::default();
    aor.ask("a", 1, &["Contact: <sip:a@h>;expires=60"]).unwrap();
    let later = register(&from("b", 1, &[]), &aor.bound, &POLICY, NOW + 60).unwrap();
    assert_eq!((later.bindings.len(), later.removed.len()), (0, 1));
    assert_eq!(aor.ask("a", 2, &["Contact: <tel:+15005550001>"]), Err(Refused::Scheme));
    assert_eq!(aor.ask("a", 2, &["Contact: <sip:x@h>;expires=0"]).unwrap().removed, []);
}

#[test]
fn a_binding_holds_nothing_of_its_message() {
    let message = from("call", 1, &["Contact: <sip:a@h>"]);
    let outcome = register(&message, &[], &POLICY, NOW).unwrap();
    let raw = message.raw().as_ptr_range();
    let binding = &outcome.bindings[0];
    for kept in [&binding.contact, &binding.call_id] {
        assert!(!raw.contains(&kept.as_ptr()));
    }
}
