//! A ladder as text and as a picture: pure, from messages to characters.
//!
//! Each peer is a line down the page, and so are we; a message is an arrow between two of them, with
//! its method or status over it and the milliseconds since the first on the left. Everything that a
//! peer said is escaped.

use std::fmt::Write as _;

use model::voice::LadderMessage;

/// Peers that have lines of their own; what more there are share the last.
const PEERS_MAX: usize = 8;
const TITLE_MAX: usize = 40;

const LEFT: usize = 90;
const LANE: usize = 210;
const TOP: usize = 56;
const ROW: usize = 34;

/// The messages one behind the other, each under a line that says when, which way and with whom.
pub(super) fn text(messages: &[LadderMessage]) -> String {
    let mut text = String::new();
    for message in messages {
        let way = if message.inbound { "<-" } else { "->" };
        let _ = writeln!(text, "=== {} {way} {}", message.at.iso(), message.flow);
        for line in String::from_utf8_lossy(&message.octets).lines() {
            text.push_str(line);
            text.push('\n');
        }
        if message.cut {
            text.push_str("... (cut)\n");
        }
        text.push('\n');
    }
    text
}

/// The same as a picture.
pub(super) fn svg(messages: &[LadderMessage]) -> String {
    let peers = peers(messages);
    // The first who spoke to us stands on the left of us.
    let lane = |peer: usize| if peer == 0 { 0 } else { peer + 1 };
    let x = |lane: usize| LEFT + LANE / 2 + lane * LANE;
    let lanes = peers.len().max(1) + 1;
    let (width, height) = (LEFT + lanes * LANE, TOP + (messages.len() + 1) * ROW);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"12\">\n\
         <style>text{{fill:#222}}line{{stroke:#888}}.a{{stroke:#06c;stroke-width:1.5}}\
         .f{{stroke:#c30;stroke-width:1.5}}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let mut head = |lane: usize, name: &str| {
        let (x, bottom) = (x(lane), height - ROW / 2);
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"24\" text-anchor=\"middle\">{}</text>\
             <line x1=\"{x}\" y1=\"34\" x2=\"{x}\" y2=\"{bottom}\" stroke-dasharray=\"3 3\"/>",
            escaped(name)
        );
    };
    head(1, "orbit");
    for (at, peer) in peers.iter().enumerate() {
        head(lane(at), peer);
    }
    let first = messages.first().map_or(0, |message| message.at.0);
    for (row, message) in messages.iter().enumerate() {
        let peer = peers.iter().position(|peer| *peer == message.flow);
        let theirs = x(lane(peer.unwrap_or(peers.len().saturating_sub(1))));
        let (from, to) = if message.inbound { (theirs, x(1)) } else { (x(1), theirs) };
        arrow(&mut svg, message, (from, to, TOP + row * ROW), first);
    }
    svg.push_str("</svg>\n");
    svg
}

fn arrow(
    svg: &mut String,
    message: &LadderMessage,
    (from, to, y): (usize, usize, usize),
    first: i64,
) {
    let title = message.title();
    let class = if title.starts_with(['4', '5', '6']) { "f" } else { "a" };
    let back = if to > from { to - 8 } else { to + 8 };
    let (over, under) = (y.saturating_sub(4), y + 4);
    let middle = from.min(to) + from.abs_diff(to) / 2;
    let since = (message.at.0 - first) / 1_000;
    let _ = writeln!(
        svg,
        "<g><title>{}</title><text x=\"{}\" y=\"{under}\" text-anchor=\"end\">{since} ms</text>\
         <line class=\"{class}\" x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\"/>\
         <line class=\"{class}\" x1=\"{back}\" y1=\"{over}\" x2=\"{to}\" y2=\"{y}\"/>\
         <line class=\"{class}\" x1=\"{back}\" y1=\"{under}\" x2=\"{to}\" y2=\"{y}\"/>\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text></g>",
        escaped(&message.first_line()),
        LEFT - 10,
        y - 7,
        escaped(&shortened(&title)),
    );
}

/// Who we spoke with, in the order in which they appear.
fn peers(messages: &[LadderMessage]) -> Vec<&str> {
    let mut peers: Vec<&str> = Vec::new();
    for message in messages {
        if peers.len() < PEERS_MAX && !peers.contains(&message.flow.as_str()) {
            peers.push(&message.flow);
        }
    }
    peers
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= TITLE_MAX {
        return text.to_owned();
    }
    text.chars().take(TITLE_MAX).chain(['…']).collect()
}

/// Characters that mean something in XML, and those that XML has no place for, are written otherwise.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            sign if sign.is_control() || matches!(sign, '\u{fffe}' | '\u{ffff}') => {
                safe.push('\u{fffd}');
            }
            sign => safe.push(sign),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use model::clock::At;

    use super::*;

    fn message(at: i64, inbound: bool, flow: &str, octets: &str) -> LadderMessage {
        let (flow, octets) = (flow.to_owned(), octets.as_bytes().to_vec());
        LadderMessage { at: At(at), inbound, flow, octets, cut: false }
    }

    fn call() -> Vec<LadderMessage> {
        let (a, b) = ("udp 192.0.2.1:5060", "tcp 192.0.2.2:5060");
        vec![
            message(1_000_000, true, a, "INVITE sip:1@orbit SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n"),
            message(1_004_000, false, b, "INVITE sip:1@carrier SIP/2.0\r\n\r\n"),
            message(1_090_000, true, b, "SIP/2.0 486 Busy <Here>\r\n\r\n"),
            message(1_091_000, false, a, "SIP/2.0 486 Busy\r\n\r\n"),
        ]
    }

    #[test]
    fn each_peer_has_a_line_and_each_message_an_arrow() {
        let svg = svg(&call());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        for part in ["orbit", "udp 192.0.2.1:5060", "tcp 192.0.2.2:5060", ">90 ms<", ">0 ms<"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert_eq!(svg.matches("stroke-dasharray").count(), 3);
        assert_eq!(svg.matches("<g>").count(), 4);
        assert_eq!(svg.matches("class=\"f\"").count(), 6);
        // From the first peer to us it goes to the right.
        assert!(svg.contains("x1=\"195\" y1=\"56\" x2=\"405\" y2=\"56\""), "{svg}");
    }

    #[test]
    fn what_peers_say_is_escaped() {
        let evil = "<script>alert('1')</script>\u{1}&\"";
        let svg = svg(&[message(0, true, evil, &format!("{evil} x"))]);
        assert!(!svg.contains("<script") && !svg.contains('\u{1}'));
        assert!(svg.contains("&lt;script&gt;"));
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }

    #[test]
    fn nothing_and_much_are_drawn_too() {
        assert!(svg(&[]).contains("orbit"));
        let many: Vec<_> =
            (0..50).map(|n| message(n, n % 2 == 0, &format!("peer {n}"), "X")).collect();
        let svg = svg(&many);
        assert_eq!(svg.matches("stroke-dasharray").count(), PEERS_MAX + 1);
        assert!(shortened(&"é".repeat(100)).chars().count() == TITLE_MAX + 1);
    }

    #[test]
    fn as_text_messages_stand_one_behind_the_other() {
        let mut call = call();
        call[3].cut = true;
        let text = text(&call);
        assert!(text.contains("=== 1970-01-01T00:00:01.000Z <- udp 192.0.2.1:5060\nINVITE sip:1@"));
        assert!(text.contains("-> udp 192.0.2.1:5060\nSIP/2.0 486 Busy\n"));
        assert!(text.ends_with("... (cut)\n\n") && !text.contains('\r'));
        assert_eq!(super::text(&[]), "");
    }
}
