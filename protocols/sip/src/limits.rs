//! How much of anything one message may have. All of it is checked before memory grows for it.

/// The caps of one message, in octets and in counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole message; more is 513.
    pub message: usize,
    /// The start line and all headers; more is 513.
    pub head: usize,
    /// The body alone; more is 413.
    pub body: usize,
    /// Lines of headers; more is 513.
    pub headers: usize,
    /// Values of Via, over all their lines; more is 483.
    pub vias: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: 65_535, head: 32_768, body: 65_535, headers: 128, vias: 70 }
    }
}
