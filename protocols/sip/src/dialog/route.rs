//! The route set of a dialog, RFC 3261 §12.1 and §12.2.1.1.
//!
//! The end that was asked goes back the way the request came; the end that asked goes it the other way
//! round. A proxy that records itself twice, once for each side of it, stands there twice and both are
//! passed. If the first router is a strict one, it stands in the Request-URI and the other end comes
//! last in Route.

use bytes::Bytes;

use super::Dialog;
use crate::Message;
use crate::grammar::{Span, ValueError};
use crate::header::{NameAddr, Value};

/// Routers that one dialog passes.
const ROUTERS_MAX: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    AsTheyStand,
    Reversed,
}

/// How requests begin their way. The spans are of the dialog's lines.
#[derive(Clone, Copy, Debug)]
pub(super) enum Routes {
    /// Straight to the target.
    None,
    /// To this URI first, which stands in Route.
    Loose(Span),
    /// To this URI, which is the Request-URI.
    Strict(Span),
}

impl Routes {
    /// Writes the lines of Route, and says where the way begins.
    pub(super) fn write(mut all: Vec<NameAddr>, direction: Direction, head: &mut Vec<u8>) -> Self {
        if direction == Direction::Reversed {
            all.reverse();
        }
        let Some((first, rest)) = all.split_first() else {
            return Self::None;
        };
        if first.uri.is_loose() {
            let at = write_route(first, head);
            write_routes(rest, head);
            return Self::Loose(at);
        }
        write_routes(rest, head);
        // Nothing of a Request-URI is in a line of its own: it is kept in front of all lines.
        let mut own = first.uri.as_bytes().to_vec();
        own.extend_from_slice(head);
        *head = own;
        Self::Strict(Span::new(0, first.uri.as_bytes().len()))
    }

    /// Where the lines begin.
    fn lines_at(self) -> usize {
        match self {
            Self::Strict(uri) => uri.end as usize,
            Self::None | Self::Loose(_) => 0,
        }
    }
}

/// The routers that a message passed and that want to be passed again.
pub(super) fn routers(message: &Message) -> Result<Vec<NameAddr>, ValueError> {
    let mut all = Vec::new();
    for router in message.record_routes() {
        if all.len() == ROUTERS_MAX {
            return Err(ValueError { what: "Record-Route", why: "too many routers", at: 0 });
        }
        all.push(router?);
    }
    Ok(all)
}

fn write_routes(routers: &[NameAddr], head: &mut Vec<u8>) {
    for router in routers {
        write_route(router, head);
    }
}

/// Writes one line; where its URI stands.
fn write_route(router: &NameAddr, head: &mut Vec<u8>) -> Span {
    head.extend_from_slice(b"Route: ");
    let start = head.len();
    router.write(head);
    head.extend_from_slice(b"\r\n");
    let display = memchr::memchr(b'<', &head[start..]).unwrap_or_default() + 1;
    Span::new(start + display, start + display + router.uri.as_bytes().len())
}

impl Dialog {
    /// Where a request of this dialog is sent first.
    pub fn next_hop(&self) -> Bytes {
        match self.routes {
            Routes::None => self.target.clone(),
            Routes::Loose(uri) | Routes::Strict(uri) => self.head.slice(uri.range()),
        }
    }

    /// The Request-URI of a request of this dialog.
    pub fn request_uri(&self) -> Bytes {
        match self.routes {
            Routes::Strict(uri) => self.head.slice(uri.range()),
            Routes::None | Routes::Loose(_) => self.target.clone(),
        }
    }

    /// The lines that are the same in all requests.
    pub(super) fn lines(&self) -> &[u8] {
        &self.head[self.routes.lines_at()..]
    }

    /// Whether the other end comes last in Route.
    pub(super) fn is_strict(&self) -> bool {
        matches!(self.routes, Routes::Strict(_))
    }
}
