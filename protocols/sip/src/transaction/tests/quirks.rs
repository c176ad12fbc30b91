//! What real networks send: copies, old peers, loops, lost connections, overload.

use super::*;
use crate::Defect;

fn limited(transactions_max: usize) -> Stage {
    Stage::with(Settings { transactions_max, ..Settings::default() })
}

#[test]
fn an_invite_that_comes_again_after_its_answer_is_no_second_call() {
    for (status, answered_again) in [(200, false), (486, true)] {
        let mut stage = Stage::new();
        stage.receive(UDP, &invite()).respond(status).until(100);
        stage.heard();
        stage.receive(UDP, &invite());
        let expected: &[_] = if answered_again { &["100 > 486"] } else { &[] };
        assert_eq!(stage.heard(), expected);
        assert_eq!((stage.ids.len(), stage.table.stats().requests), (1, 1));
    }
}

#[test]
fn the_same_request_by_another_way_is_482() {
    let mut stage = Stage::new();
    let copy = theirs("INVITE", ";branch=z9hG4bKb2");
    stage.receive(UDP, &invite()).receive(UDP, &copy);
    stage.receive(UDP, &theirs("ACK", ";branch=z9hG4bKb2").replace("<sip:us@u>", stage_to(&stage)));
    assert_eq!(stage.heard(), ["0 INVITE came", "0 > 482"], "its ACK is absorbed");
    stage.receive(UDP, &copy.replace("sip:us@198", "sip:them@198"));
    stage.receive(
        UDP,
        &copy.replace("z9hG4bKb2", "z9hG4bKb3").replace("<sip:us@u>", "<sip:us@u>;tag=x"),
    );
    assert_eq!(stage.heard(), ["0 INVITE came"; 2], "a fork to two numbers, a dialog");
    assert_eq!(stage.table.stats().merged, 1);
}

fn stage_to(stage: &Stage) -> &'static str {
    let answer = parse(stage.sent("SIP/2.0 482"));
    let to = String::from_utf8(answer.first(Name::To).unwrap().raw().to_vec()).unwrap();
    to.leak()
}

#[test]
fn a_refused_request_may_come_by_another_way() {
    let mut stage = Stage::new();
    stage.receive(UDP, &invite()).respond(404).receive(UDP, &theirs("INVITE", ";branch=z9hG4bKb2"));
    assert_eq!(stage.heard(), ["0 INVITE came", "0 > 404", "0 INVITE came"]);
    stage.respond(200).receive(UDP, &theirs("INVITE", ";branch=z9hG4bKb3"));
    assert_eq!(stage.heard(), ["0 > 200", "0 > 482"]);
}

#[test]
fn the_last_hop_is_483_but_for_options_and_dialogs() {
    let last = |method| theirs(method, ";branch=z9hG4bKb1").replace("Forwards: 70", "Forwards: 0");
    let mut stage = Stage::new();
    stage.receive(UDP, &last("INVITE")).receive(UDP, &last("OPTIONS"));
    stage.receive(UDP, &last("BYE").replace("<sip:us@u>", "<sip:us@u>;tag=x"));
    assert_eq!(stage.heard(), ["0 > 483", "0 OPTIONS came", "0 BYE came"]);
}

#[test]
fn a_peer_of_rfc_2543_is_told_by_all_that_it_says() {
    for branch in ["", ";branch=1", ";branch=z9hG4bK"] {
        let mut stage = Stage::new();
        let invite = theirs("INVITE", branch);
        stage.receive(UDP, &invite).receive(UDP, &invite).respond(180).receive(UDP, &invite);
        let said = ["0 INVITE came", "0 > 100", "0 > 180", "0 > 180"];
        assert_eq!(stage.heard(), said);
        stage.receive(UDP, &theirs("CANCEL", branch)).respond(487);
        stage.receive(UDP, &theirs("ACK", branch).replace("<sip:us@u>", "<sip:us@u>;tag=t"));
        assert_eq!(stage.heard(), ["0 > 200", "0 cancelled", "0 > 487"]);
        let next = invite.replace("CSeq: 1", "CSeq: 2");
        stage.receive(UDP, &next).respond(200).receive(UDP, &theirs("BYE", branch));
        assert_eq!(stage.heard(), ["0 INVITE came", "0 > 200", "0 BYE came"]);
        stage.receive(UDP, &theirs("ACK", branch).replace("CSeq: 1", "CSeq: 2"));
        assert_eq!(stage.heard(), ["0 ACK came"], "of a 2xx it is the dialog's");
        stage.until(60_000);
        assert!(stage.is_clean());
    }
}

#[test]
fn responses_to_nothing_of_ours_are_dropped_and_counted() {
    let mut stage = Stage::new();
    stage.request(UDP, 1, &ours("INVITE")).heard();
    let good = answer(&parse(stage.sent("INVITE")), 180);
    let via = good.lines().nth(1).unwrap();
    let (head, branch) = via.split_once("z9hG4bK").unwrap();
    for (from, to) in [
        ("198.51.100.1:5060", "198.51.100.2:5060"),
        ("198.51.100.1:5060", "198.51.100.1"),
        ("CSeq: 7 INVITE", "CSeq: 7 CANCEL"),
        ("CSeq: 7 INVITE", "CSeq: 7 BYE"),
        (via, "Via: SIP/2.0/UDP 198.51.100.1:5060"),
        (via, "Via: nonsense"),
        (via, &format!("{via}\r\nVia: SIP/2.0/UDP us")),
        (via, &format!("{head}z9hG4bK{}", branch.replace(&branch[16..32], "0000000000000000"))),
        (via, &format!("{head}z9hG4bK1{branch}")),
    ] {
        assert!(good.contains(from));
        stage.receive(UDP, &good.replacen(from, to, 1));
        assert_eq!(stage.heard(), [""; 0], "{to}");
    }
    assert_eq!(stage.table.stats().stray, 9);
    stage.receive(
        UDP,
        &good.replace("z9hG4bK", "Z9HG4BK").replace("SIP/2.0/UDP", "SIP / 2.0 / udp"),
    );
    assert_eq!(stage.heard(), ["0 1: 180"]);
}

#[test]
fn forks_and_late_responses_are_told_where_they_matter() {
    let mut stage = Stage::new();
    stage.request(UDP, 1, &ours("INVITE")).answered(UDP, "INVITE", 200).heard();
    let fork = answer(&parse(stage.sent("INVITE")), 200).replace("their-tag", "fork");
    stage.receive(UDP, &fork).answered(UDP, "INVITE", 180).answered(UDP, "INVITE", 486);
    assert_eq!(stage.heard(), ["0 1: 200"]);
    let mut stage = Stage::new();
    stage.request(UDP, 1, &ours("INVITE")).answered(UDP, "INVITE", 486).heard();
    stage.answered(UDP, "INVITE", 486).answered(UDP, "INVITE", 200);
    assert_eq!(stage.heard(), ["0 > ACK", "0 1: 200"]);
    stage.until(31_999).answered(UDP, "INVITE", 503).until(32_000);
    assert_eq!(stage.heard(), ["31999 > ACK"]);
    assert!(stage.is_clean());
}

#[test]
fn an_answer_goes_the_way_its_request_came() {
    let natted = Link { peer: "203.0.113.5:40000".parse().unwrap(), kind: Kind::Udp };
    let moved = Link { peer: "192.0.2.7:40000".parse().unwrap(), kind: Kind::Udp };
    for (flow, via, port, noted) in [
        (
            natted,
            "10.0.0.1:5062;rport;branch=z9hG4bKb1",
            40_000,
            ";rport=40000;branch=z9hG4bKb1;received=203.0.113.5",
        ),
        (
            natted,
            "10.0.0.1:5062;branch=z9hG4bKb1",
            40_000,
            ";branch=z9hG4bKb1;received=203.0.113.5",
        ),
        (moved, "192.0.2.7:5062;branch=z9hG4bKb1", 5_062, ";branch=z9hG4bKb1"),
        (moved, "192.0.2.7;branch=z9hG4bKb1", 5_060, ";branch=z9hG4bKb1"),
        (moved, "pbx.example;branch=z9hG4bKb1", 5_060, ";branch=z9hG4bKb1;received=192.0.2.7"),
        (
            moved,
            "192.0.2.7:5062;rport;branch=z9hG4bKb1",
            40_000,
            ";rport=40000;branch=z9hG4bKb1;received=192.0.2.7",
        ),
    ] {
        let mut stage = Stage::new();
        let text = theirs("OPTIONS", "").replace("192.0.2.7", via);
        stage.receive(flow, &text).respond(200);
        let (host, _) = via.split_once(';').unwrap();
        let expected = format!("Via: SIP/2.0/UDP {host}{noted}\r\n");
        let octets = String::from_utf8(stage.sent("SIP/2.0 200").to_vec()).unwrap();
        assert!(octets.contains(&expected), "{octets}");
        let to = stage.out.iter().find_map(|out| match out {
            Output::Transmit { flow, .. } => Some(flow.peer),
            _ => None,
        });
        assert_eq!(to, Some(SocketAddr::new(flow.peer.ip(), port)), "{via}");
        let mut bad = Stage::new();
        bad.receive(flow, &text.replace("Forwards: 70", "Forwards: 256"));
        assert_eq!(bad.heard(), ["0 > 400"]);
        assert!(String::from_utf8_lossy(bad.sent("SIP/2.0 400")).contains(&expected));
    }
}

#[test]
fn a_lost_connection_is_opened_anew_for_an_answer_or_replaced_by_the_peer() {
    let lose = |stage: &mut Stage, flow| {
        stage.step(|table, now, out| table.flow_lost(now, flow, out));
    };
    let mut stage = Stage::new();
    let invite = invite().replace("UDP 192.0.2.7", "TCP 192.0.2.7:5070");
    let first = Link { peer: "192.0.2.7:40000".parse().unwrap(), kind: Kind::Tcp };
    stage.receive(first, &invite).respond(180);
    lose(&mut stage, first);
    stage.respond(183);
    let second = Link { peer: "192.0.2.7:40001".parse().unwrap(), kind: Kind::Tcp };
    stage.receive(second, &invite).respond(486);
    let said = ["0 INVITE came", "0 > 180", "0 > 183 anew to 192.0.2.7:5070", "0 > 183", "0 > 486"];
    assert_eq!(stage.heard(), said);
    let last = stage.out.last().unwrap();
    assert!(matches!(last, Output::Transmit { flow, .. } if *flow == second));
    stage.until(32_000);
    assert_eq!(stage.heard(), ["32000 no ACK"]);
    assert!(stage.is_clean());
    stage.receive(WS, &invite).heard();
    lose(&mut stage, WS);
    stage.respond(486);
    assert_eq!(stage.heard(), [""; 0], "nobody listens behind a WebSocket");
}

#[test]
fn a_stranger_does_not_turn_an_answer_to_himself() {
    let mut stage = Stage::new();
    let thief = Link { peer: "203.0.113.66:5060".parse().unwrap(), kind: Kind::Udp };
    stage.receive(UDP, &invite()).respond(180).receive(thief, &invite());
    let to = stage.out.iter().filter_map(|out| match out {
        Output::Transmit { flow, .. } => Some(*flow),
        _ => None,
    });
    assert_eq!(to.collect::<Vec<_>>(), [UDP, UDP]);
}

#[test]
fn bad_requests_are_answered_and_forgotten() {
    let mut stage = Stage::with(Settings {
        extensions: Some(vec!["timer".into(), "100rel".into()]),
        ..Settings::default()
    });
    for (from, to, status) in [
        ("sip:us@198.51.100.1", "soap.beep:us", 416),
        ("sip:us@198.51.100.1", "sip:us@[::", 400),
        ("From: <sip:bob@b>", "From: <sip:bob@b", 400),
        ("To: <sip:us@u>", "To: \"<sip:us@u>", 400),
        ("Max-Forwards: 70", "Max-Forwards: 70\r\nRequire: Timer, x, y", 420),
    ] {
        for method in ["INVITE", "FANCY"] {
            stage.receive(UDP, &theirs(method, ";branch=z9hG4bKb1").replace(from, to));
            assert_eq!(stage.heard(), [format!("0 > {status}")], "{to}");
        }
        let acked = theirs("ACK", ";branch=z9hG4bKb1").replace(from, to);
        stage.receive(UDP, &acked);
        assert!(stage.heard().iter().all(|said| said == "0 ACK came" && status == 420));
    }
    let unsupported = parse(stage.sent("SIP/2.0 420"));
    assert_eq!(unsupported.first(Name::Unsupported).unwrap().raw(), b"x, y");
    assert_eq!((stage.table.stats().refused, stage.table.len()), (10, 0));
    stage.receive(UDP, &theirs("FANCY", ";branch=z9hG4bKb1"));
    assert_eq!(stage.heard(), ["0 FANCY came"], "405 is the user's");
}

#[test]
fn what_cannot_be_read_is_answered_if_it_may_be() {
    let mut stage = Stage::new();
    for (text, said) in [
        (invite().replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"), &["0 > 505"][..]),
        (invite().replace("CSeq: 1 INVITE", "CSeq: 1 BYE"), &["0 > 400"]),
        (theirs("ACK", "").replace("CSeq: 1", "CSeq: x"), &[]),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), &[]),
    ] {
        let refused = Message::parse(Bytes::from(text), &Limits::default()).unwrap_err();
        stage.step(|table, _, out| table.refuse(UDP, &refused, out));
        assert_eq!(stage.heard(), said, "{}", refused.defect);
        assert_ne!(refused.defect, Defect::Unfinished);
    }
}

#[test]
fn without_room_new_calls_are_503_and_dialogs_go_on() {
    let mut stage = limited(2);
    for number in 0..3 {
        stage.receive(
            UDP,
            &theirs("INVITE", &format!(";branch=z9hG4bK{number}"))
                .replace("c2", &number.to_string()),
        );
    }
    assert_eq!(stage.heard(), ["0 INVITE came", "0 INVITE came", "0 > 503"]);
    let full = parse(stage.sent("SIP/2.0 503"));
    let retry: crate::header::RetryAfter = full.value(Name::RetryAfter).unwrap().unwrap();
    assert!((5..=10).contains(&retry.seconds));
    let to = String::from_utf8(full.first(Name::To).unwrap().raw().to_vec()).unwrap();
    let ack = theirs("ACK", ";branch=z9hG4bK2").replace("c2", "2").replace("<sip:us@u>", &to);
    stage.receive(UDP, &ack);
    assert_eq!(stage.heard(), [""; 0], "the ACK of a 503 is nobody's");
    let bye = theirs("BYE", ";branch=z9hG4bKbye").replace("<sip:us@u>", "<sip:us@u>;tag=x");
    let again = bye.replace("bKbye", "bKbye2");
    let third = bye.replace("bKbye", "bKbye3");
    stage.receive(UDP, &bye).receive(UDP, &again).receive(UDP, &third);
    assert_eq!(stage.heard(), ["0 BYE came", "0 BYE came", "0 > 503"]);
    stage.request(UDP, 1, &ours("BYE")).request(UDP, 2, &ours("BYE"));
    stage.request(UDP, 3, &ours("BYE"));
    assert_eq!(stage.heard(), ["0 > BYE", "0 > BYE", "0 3: Full"], "ours find room behind theirs");
    assert_eq!(stage.table.stats().overload, 3);
}

#[test]
fn a_user_that_says_nothing_leaves_nothing() {
    let mut stage = Stage::new();
    stage.receive(UDP, &invite()).receive(UDP, &theirs("INFO", ";branch=z9hG4bKb2"));
    stage.until(32_000);
    assert_eq!(stage.heard()[2..], ["200 > 100", "32000 unanswered"]);
    stage.until(300_000);
    assert_eq!(stage.heard(), ["300000 unanswered", "300000 > 500"]);
    assert!(parse(stage.sent("SIP/2.0 500")).to().unwrap().tag().is_some());
    stage.respond(200).receive(UDP, &theirs("ACK", ";branch=z9hG4bKb1")).until(400_000);
    assert_eq!(stage.heard(), [""; 0]);
    assert!(stage.is_clean());
}

#[test]
fn a_100_may_go_at_once() {
    let mut stage = Stage::with(Settings { trying_after: Duration::ZERO, ..Settings::default() });
    let stamped = invite().replace("Max-", "Timestamp: 54\r\nMax-");
    stage.receive(UDP, &stamped);
    assert_eq!(stage.heard(), ["0 > 100", "0 INVITE came"]);
    let trying = parse(stage.sent("SIP/2.0 100"));
    assert_eq!((trying.to().unwrap().tag(), trying.has(Name::Timestamp)), (None, true));
}

#[test]
fn answers_that_nobody_waits_for_are_counted() {
    let mut stage = Stage::new();
    stage.receive(UDP, &invite()).respond(486).respond(200).respond(180);
    let id = stage.ids[0];
    for octets in [&b"SIP/2.0 99 no"[..], b"", b"INVITE sip:a SIP/2.0\r\n", b"SIP/2.0 2"] {
        stage.step(|table, now, out| table.respond(now, id, Bytes::from_static(octets), out));
    }
    assert_eq!(stage.heard(), ["0 INVITE came", "0 > 486"]);
    assert_eq!(stage.table.stats().unwanted, 6);
    stage.request(UDP, 3, "nonsense").step(|table, _, out| table.ack(UDP, &us(), b"", out));
    assert_eq!(stage.heard(), ["0 3: NotARequest"]);
}

#[test]
fn the_ack_of_a_2xx_has_a_branch_of_its_own() {
    let mut stage = Stage::new();
    for _ in 0..2 {
        stage.step(|table, _, out| table.ack(UDP, &us(), ours("ACK").as_bytes(), out));
    }
    assert_eq!(stage.heard(), ["0 > ACK", "0 > ACK"]);
    let branches = stage.out.iter().map(|out| match out {
        Output::Transmit { octets, .. } => parse(octets).via().unwrap().branch().unwrap().to_vec(),
        _ => vec![],
    });
    let branches: std::collections::BTreeSet<_> = branches.collect();
    assert_eq!(branches.len(), 2);
    assert!(stage.is_clean());
}

#[test]
fn who_is_refused_once_is_forgotten() {
    let mut stage = Stage::new();
    stage.receive(UDP, &invite());
    let octets = Bytes::from(answer(&parse(invite().as_bytes()), 401));
    for _ in 0..2 {
        let (id, octets) = (stage.ids[0], octets.clone());
        stage.step(|table, now, out| table.refuse_once(now, id, octets, out));
    }
    assert!(stage.is_clean());
    stage.until(60_000).receive(UDP, &invite());
    assert_eq!(stage.heard(), ["0 INVITE came", "0 > 401", "60000 INVITE came"]);
    assert_eq!(stage.table.stats().unwanted, 1);
}
