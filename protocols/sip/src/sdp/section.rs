//! Lines in their order: the session's, or one stream's.
//!
//! A line is a letter and its value; a value that is not UTF-8 is kept and passed on, and looks to a
//! reader as if it were not there. A new line goes where the grammar of RFC 8866 §9 wants it.

use bytes::Bytes;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub kind: u8,
    pub value: Bytes,
}

impl Line {
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.value).ok()
    }

    /// The name of an attribute and its value, empty for a flag.
    fn attribute(&self) -> Option<(&str, &str)> {
        let text = self.text().filter(|_| self.kind == b'a')?;
        Some(text.split_once(':').unwrap_or((text, "")))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section(Vec<Line>);

/// The order of letters; `m` begins a stream and `v` the session.
const ORDER: &[u8] = b"vmosiuepcbtrzka";

fn rank(kind: u8) -> usize {
    ORDER.iter().position(|other| *other == kind).unwrap_or(ORDER.len())
}

impl Section {
    pub(super) fn push(&mut self, line: Line) {
        self.0.push(line);
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for line in &self.0 {
            out.extend([line.kind, b'=']);
            out.extend(&line.value);
            out.extend(b"\r\n");
        }
    }

    pub fn lines(&self) -> &[Line] {
        &self.0
    }

    /// The value of the first line of a kind.
    pub fn text(&self, kind: u8) -> Option<&str> {
        self.0.iter().find(|line| line.kind == kind).and_then(Line::text)
    }

    /// Values of an attribute, in order.
    pub fn attributes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let all = self.0.iter().filter_map(Line::attribute);
        all.filter(move |(other, _)| *other == name).map(|(_, value)| value.trim())
    }

    pub fn attribute<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.attributes(name).next()
    }

    /// Replaces the first line of a kind, or puts it where it belongs; further ones of `c` go.
    pub(super) fn set(&mut self, kind: u8, value: String) {
        let value = Bytes::from(value);
        match self.0.iter().position(|line| line.kind == kind) {
            Some(at) => {
                self.0[at].value = value;
                let mut seen = 0;
                self.0.retain(|line| {
                    seen += usize::from(line.kind == kind);
                    line.kind != kind || seen == 1
                });
            }
            None => {
                let after = self.0.iter().position(|line| rank(line.kind) > rank(kind));
                self.0.insert(after.unwrap_or(self.0.len()), Line { kind, value });
            }
        }
    }

    /// Adds an attribute at the end.
    pub(super) fn add_attribute(&mut self, value: String) {
        self.0.push(Line { kind: b'a', value: value.into() });
    }

    /// Removes all lines of these kinds.
    pub(super) fn remove(&mut self, kinds: &[u8]) {
        self.0.retain(|line| !kinds.contains(&line.kind));
    }

    /// Removes attributes that `gone` names, by name and value.
    pub(super) fn remove_attributes(&mut self, gone: impl Fn(&str, &str) -> bool) {
        self.0
            .retain(|line| !line.attribute().is_some_and(|(name, value)| gone(name, value.trim())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(lines: &[&'static str]) -> Section {
        let line = |line: &&'static str| Line {
            kind: line.as_bytes()[0],
            value: Bytes::from_static(&line.as_bytes()[2..]),
        };
        Section(lines.iter().map(line).collect())
    }

    fn written(section: &Section) -> String {
        let mut out = Vec::new();
        section.write(&mut out);
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn a_line_goes_where_the_grammar_wants_it() {
        let mut lines = section(&["m=audio 1 RTP/AVP 0", "i=x", "b=AS:64", "a=sendrecv"]);
        lines.set(b'c', "IN IP4 192.0.2.1".into());
        let expected = "m=audio 1 RTP/AVP 0 i=x c=IN IP4 192.0.2.1 b=AS:64 a=sendrecv ";
        assert_eq!(written(&lines), expected);
        let mut session = section(&["v=0", "s=-", "t=0 0"]);
        session.set(b'o', "- 1 1 IN IP4 192.0.2.1".into());
        session.set(b'c', "IN IP4 192.0.2.1".into());
        let expected = "v=0 o=- 1 1 IN IP4 192.0.2.1 s=- c=IN IP4 192.0.2.1 t=0 0 ";
        assert_eq!(written(&session), expected);
    }

    #[test]
    fn of_several_lines_one_is_left_when_it_is_set() {
        let mut lines = section(&["m=x", "c=IN IP4 1.1.1.1", "c=IN IP4 2.2.2.2", "a=x"]);
        lines.set(b'c', "IN IP4 3.3.3.3".into());
        assert_eq!(written(&lines), "m=x c=IN IP4 3.3.3.3 a=x ");
    }

    #[test]
    fn attributes_are_found_by_their_whole_name() {
        let mut lines = section(&["a=rtcp:9", "a=rtcp-mux", "a=rtpmap:0 PCMU/8000", "a=rtcp: 10"]);
        assert_eq!(lines.attributes("rtcp").collect::<Vec<_>>(), ["9", "10"]);
        assert_eq!(lines.attribute("rtcp-mux"), Some(""));
        assert_eq!(lines.attribute("fmtp"), None);
        lines.remove_attributes(|name, value| name == "rtcp" && value == "10");
        assert_eq!(written(&lines), "a=rtcp:9 a=rtcp-mux a=rtpmap:0 PCMU/8000 ");
    }
}
