//! A ladder as text: drawn with plain characters, and under it the messages one behind the other.

use std::fmt::Write as _;

use model::voice::LadderMessage;

use super::scene::{Heading, Scene, Step, seconds, spoken};

/// Columns of the time, and between two lines.
const LEFT: usize = 24;
const LANE: usize = 40;

/// The drawing, then each message under a line that says when, which way and with whom.
pub(super) fn text(heading: &Heading, messages: &[LadderMessage]) -> String {
    let mut text = format!("{}\n{}\n\n", line_of(&heading.title), line_of(&heading.about));
    if messages.is_empty() {
        text.push_str("No messages are kept.\n");
        return text;
    }
    draw(&mut text, &Scene::of(messages));
    for message in messages {
        let way = if message.inbound { "<-" } else { "->" };
        let _ = writeln!(text, "\n=== {} {way} {}", message.at.iso(), line_of(&message.flow));
        for line in String::from_utf8_lossy(&message.octets).trim_end().lines() {
            text.push_str(&line_of(line));
            text.push('\n');
        }
        if message.cut {
            text.push_str("... (cut)\n");
        }
    }
    text
}

fn draw(text: &mut String, scene: &Scene) {
    let column = |lane: usize| LEFT + lane * LANE;
    let width = column(scene.lanes.len());
    let put = |row: &mut Vec<char>, at: usize, what: &str| {
        for (cell, sign) in row.iter_mut().skip(at).zip(what.chars()) {
            *cell = sign;
        }
    };
    let centred = |row: &mut Vec<char>, middle: usize, what: &str| {
        put(row, middle.saturating_sub(what.chars().count() / 2), what);
    };
    let mut push = |row: &[char]| {
        let line: String = row.iter().collect();
        text.push_str(line.trim_end());
        text.push('\n');
    };
    for name in [true, false] {
        let mut row = vec![' '; width];
        for (at, lane) in scene.lanes.iter().enumerate() {
            centred(&mut row, column(at), &line_of(if name { &lane.name } else { &lane.address }));
        }
        push(&row);
    }
    let lines = || {
        let mut row = vec![' '; width];
        (0..scene.lanes.len()).for_each(|lane| row[column(lane)] = '|');
        row
    };
    for step in &scene.steps {
        if let Some(pause) = step.pause {
            let mut row = vec![' '; width];
            (0..scene.lanes.len()).for_each(|lane| row[column(lane)] = ':');
            let said = spoken(pause);
            put(&mut row, 10_usize.saturating_sub(said.len()), &said);
            push(&row);
        }
        let mut row = lines();
        let since = seconds(step.since);
        put(&mut row, 10_usize.saturating_sub(since.len()), &since);
        arrow(&mut row, step, (column(step.peer), column(scene.us)));
        push(&row);
    }
}

/// An arrow between their line and ours; its words stand in the half that is next to theirs.
fn arrow(row: &mut [char], step: &Step, (theirs, ours): (usize, usize)) {
    let (from, to) = if step.inbound { (theirs, ours) } else { (ours, theirs) };
    let (low, high) = (from.min(to) + 1, from.max(to) - 1);
    for cell in &mut row[low..=high] {
        if *cell == ' ' {
            *cell = '-';
        }
    }
    if to > from {
        row[high] = '>';
    } else {
        row[low] = '<';
    }
    let mut label = format!(" {} ", line_of(&step.title));
    if !step.note.is_empty() {
        let _ = write!(label, "({}) ", line_of(&step.note).replace(" · ", ", "));
    }
    let label: Vec<char> = label.chars().take(LANE - 4).collect();
    let middle = if theirs < ours { theirs + LANE / 2 } else { theirs - LANE / 2 };
    let start = middle - label.len() / 2;
    row[start..start + label.len()].copy_from_slice(&label);
}

/// What a peer said steers no terminal.
fn line_of(text: &str) -> String {
    text.chars()
        .map(|sign| if sign.is_control() && sign != '\t' { '\u{fffd}' } else { sign })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::scene::tests::{call, message};
    use super::*;

    fn heading() -> Heading {
        Heading { title: String::from("a to b"), about: String::from("failed") }
    }

    #[test]
    fn the_drawing_stands_over_the_messages() {
        let mut call = call();
        call[3].cut = true;
        let text = text(&heading(), &call);
        assert!(text.starts_with("a to b\nfailed\n\n"), "{text}");
        let rows: Vec<&str> = text.lines().skip(3).take(7).collect();
        assert!(rows[0].contains("alice") && rows[0].contains("orbit") && rows[0].contains("bob"));
        assert!(rows[2].contains("0.000") && rows[2].contains("INVITE (SDP SRTP sendonly) "));
        assert!(
            rows[2].trim_end().ends_with(">|                                       |"),
            "{text}"
        );
        assert!(rows[3].contains("0.004") && rows[3].ends_with(">|"), "{text}");
        assert!(rows[4].contains("3 s") && rows[4].contains(':'), "{text}");
        assert!(rows[5].contains("|<-") && rows[5].contains("486 Busy <Here> (INVITE)"), "{text}");
        assert!(
            text.contains("\n=== 1970-01-01T00:00:01.000Z <- udp 192.0.2.1:5060\nINVITE sip:1@")
        );
        assert!(text.contains("-> udp 192.0.2.1:5060\nSIP/2.0 486 Busy\n"));
        assert!(text.ends_with("... (cut)\n") && !text.contains('\r'));
        assert!(super::text(&heading(), &[]).ends_with("No messages are kept.\n"));
    }

    #[test]
    fn what_a_peer_says_steers_no_terminal() {
        let evil =
            message(0, true, "udp \u{1b}[2J", "X \u{1b}]0;t\u{7}\nFrom: <sip:\u{1b}c@x>\n\n");
        assert!(!text(&heading(), &[evil]).contains('\u{1b}'));
    }
}
