//! A ladder as a picture: pure, from messages to SVG.
//!
//! Each leg is a line down the page under a box with its name, and so are we; a message is an arrow between
//! two of them, coloured by what it is, with the seconds since the first on its left. Long silences are
//! bands. Everything that a peer said is escaped.

use std::fmt::Write as _;

use model::voice::LadderMessage;

use super::scene::{Heading, Kind, Scene, Step, seconds, spoken};

/// The column of times, and from line to line.
const LEFT: usize = 76;
const LANE: usize = 264;
const BOX_WIDTH: usize = 176;
const BOX_HEIGHT: usize = 42;
/// Where the boxes begin, and the first arrow lies.
const BOXES: usize = 68;
const TOP: usize = BOXES + BOX_HEIGHT + 34;
const ROW: usize = 34;
const PAUSE: usize = 30;
/// From so many arrows on the boxes stand at the foot too.
const LONG: usize = 16;

const STYLE: &str = "text{fill:#1f2328}.g{fill:#59636e}.l{stroke:#d1d9e0;stroke-width:1.5}\
    .b{fill:#f6f8fa;stroke:#d1d9e0}.u{fill:#ddf4ff;stroke:#54aeff}.s{fill:#f6f8fa}\
    .h{stroke:#fff;stroke-width:4;paint-order:stroke;stroke-linejoin:round}\
    .w{stroke-width:1.6;fill:none}.t{font-family:ui-monospace,'DejaVu Sans Mono',monospace;\
    font-size:11px}.n{font-weight:600}.c{font-size:11px}.d{font-size:16px;font-weight:600}";

impl Kind {
    fn colour(self) -> &'static str {
        match self {
            Self::Request => "#0969da",
            Self::Provisional => "#818b98",
            Self::Success => "#1a7f37",
            Self::Redirect => "#8250df",
            Self::Challenge => "#9a6700",
            Self::Failure => "#cf222e",
        }
    }
}

/// The middle of a line.
fn x(lane: usize) -> usize {
    LEFT + BOX_WIDTH / 2 + 12 + lane * LANE
}

/// The picture.
pub(super) fn svg(heading: &Heading, messages: &[LadderMessage]) -> String {
    let scene = Scene::of(messages);
    let pauses = scene.steps.iter().filter(|step| step.pause.is_some()).count();
    let end = TOP + scene.steps.len() * ROW + pauses * PAUSE;
    let is_long = scene.steps.len() >= LONG;
    let height = if is_long { end + BOX_HEIGHT + 16 } else { end + 8 };
    let width = (x(scene.lanes.len() - 1) + BOX_WIDTH / 2 + 24).max(620);
    let (title, about) = (escaped(&heading.title), escaped(&heading.about));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\" \
         font-family=\"system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif\" font-size=\"13\">\n\
         <style>{STYLE}</style>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"24\" y=\"30\" class=\"d\">{title}</text>\
         <text x=\"24\" y=\"50\" class=\"g c\">{about}</text>\n"
    );
    lines(&mut svg, &scene, end);
    boxes(&mut svg, &scene, BOXES);
    if is_long {
        boxes(&mut svg, &scene, end);
    }
    let mut y = TOP;
    for step in &scene.steps {
        if let Some(pause) = step.pause {
            band(&mut svg, pause, (y - ROW / 2, width));
            y += PAUSE;
        }
        arrow(&mut svg, step, (scene.us, y));
        y += ROW;
    }
    if scene.steps.is_empty() {
        let _ =
            writeln!(svg, "<text x=\"24\" y=\"{TOP}\" class=\"g\">No messages are kept.</text>");
    }
    svg.push_str("</svg>\n");
    svg
}

fn lines(svg: &mut String, scene: &Scene, end: usize) {
    for lane in 0..scene.lanes.len() {
        let (x, top) = (x(lane), BOXES + BOX_HEIGHT);
        let _ = writeln!(svg, "<path class=\"l\" d=\"M{x} {top}V{end}\"/>");
    }
}

fn boxes(svg: &mut String, scene: &Scene, y: usize) {
    for (at, lane) in scene.lanes.iter().enumerate() {
        let (x, class) = (x(at), if at == scene.us { "u" } else { "b" });
        let left = x - BOX_WIDTH / 2;
        let (name, address) = (escaped(&lane.name), escaped(&lane.address));
        let at = if address.is_empty() { 26 } else { 18 };
        let _ = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"6\" \
             class=\"{class}\"/><g text-anchor=\"middle\"><text x=\"{x}\" y=\"{}\" class=\"n\">{name}\
             </text><text x=\"{x}\" y=\"{}\" class=\"g t\">{address}</text></g>",
            y + at,
            y + 33,
        );
    }
}

/// A time in which nothing was said.
fn band(svg: &mut String, pause: i64, (y, width): (usize, usize)) {
    let _ = writeln!(
        svg,
        "<rect x=\"0\" y=\"{}\" width=\"{width}\" height=\"22\" class=\"s\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\" class=\"g c\">{}</text>",
        y + 4,
        LEFT - 8,
        y + 19,
        spoken(pause),
    );
}

fn arrow(svg: &mut String, step: &Step, (us, y): (usize, usize)) {
    let (theirs, ours) = (x(step.peer), x(us));
    let (from, to) = if step.inbound { (theirs, ours) } else { (ours, theirs) };
    let (back, colour) = (if to > from { to - 10 } else { to + 10 }, step.kind.colour());
    // Words stand next to the line of whom they are with: between two lines, never upon one.
    let middle = if theirs < ours { theirs + LANE / 2 } else { theirs - LANE / 2 };
    let _ = writeln!(
        svg,
        "<g><title>{}</title><text x=\"{}\" y=\"{}\" text-anchor=\"end\" class=\"g t\">{}</text>\
         <circle cx=\"{from}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>\
         <path d=\"M{from} {y}H{back}\" class=\"w\" stroke=\"{colour}\"/>\
         <path d=\"M{to} {y}L{back} {}V{}Z\" fill=\"{colour}\"/>\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" class=\"h\">\
         <tspan class=\"n\" style=\"fill:{colour}\">{}</tspan><tspan class=\"g c\" dx=\"6\">{}</tspan>\
         </text></g>",
        escaped(&step.line),
        LEFT - 8,
        y + 4,
        seconds(step.since),
        y - 5,
        y + 5,
        y - 7,
        escaped(&step.title),
        escaped(&step.note),
    );
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
    use super::super::scene::tests::{call, message};
    use super::super::scene::{Heading, PEERS_MAX};

    fn svg(messages: &[model::voice::LadderMessage]) -> String {
        let (title, about) = (String::from("a → b"), String::from("<failed>"));
        super::svg(&Heading { title, about }, messages)
    }

    #[test]
    fn each_leg_has_a_line_and_each_message_an_arrow() {
        let svg = svg(&call());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        for part in [">orbit<", ">alice<", ">bob<", "udp 192.0.2.1:5060", ">0.000<", ">3.091<"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(svg.contains("&lt;failed&gt;") && svg.contains(">3 s<"));
        let count = |part: &str| svg.matches(part).count();
        assert_eq!((count("class=\"l\""), count("<circle")), (3, 4));
        assert_eq!(count("style=\"fill:#cf222e\""), 2);
        // From the first peer to us it goes to the right.
        assert!(svg.contains("<path d=\"M176 144H430\""), "{svg}");
    }

    #[test]
    fn what_peers_say_is_escaped() {
        let evil = "<script>alert('1')</script>\u{1}&\"";
        let text = format!("{evil} x\nFrom: <sip:{evil}@x>\nCSeq: 1 {evil}\nCall-ID: {evil}\n\n");
        let svg = svg(&[message(0, true, evil, &text)]);
        assert!(!svg.contains("<script") && !svg.contains('\u{1}'));
        assert!(svg.contains("&lt;script&gt;"));
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }

    #[test]
    fn nothing_and_much_are_drawn_too() {
        assert!(svg(&[]).contains("No messages are kept."));
        let many: Vec<_> =
            (0..50).map(|n| message(n, n % 2 == 0, &format!("peer {n}"), "X")).collect();
        let svg = svg(&many);
        assert_eq!(svg.matches("class=\"l\"").count(), PEERS_MAX + 1);
        assert_eq!(svg.matches("class=\"u\"").count(), 2, "boxes stand at the foot of a long one");
    }
}
