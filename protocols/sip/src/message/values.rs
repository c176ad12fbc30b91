//! The values of a message that everybody asks for, each read when it is asked for.

use bytes::Bytes;

use super::{Header, Message};
use crate::grammar::{Cuts, Span, ValueError};
use crate::header::{CSeq, Contact, MediaType, NameAddr, Seconds, Token, Value, Via};
use crate::{Field, Method, Name};

impl Message {
    /// The value of a header that stands once, read.
    pub fn value<'a, V: Value>(
        &'a self,
        field: impl Into<Field<'a>>,
    ) -> Result<Option<V>, ValueError> {
        self.first(field).map(|header| V::parse(&header.value())).transpose()
    }

    /// All values of a header that is a list, over all its lines, read one by one.
    pub fn list<'a, V: Value>(
        &'a self,
        field: impl Into<Field<'a>>,
    ) -> impl Iterator<Item = Result<V, ValueError>> {
        self.texts(field).map(|text| V::parse(&text))
    }

    /// The first Via: who sent it to us, or for a response, whom we sent it as.
    pub fn via(&self) -> Result<Via, ValueError> {
        self.needed(Name::Via, "Via")
    }

    pub fn from(&self) -> Result<NameAddr, ValueError> {
        self.needed(Name::From, "From")
    }

    pub fn to(&self) -> Result<NameAddr, ValueError> {
        self.needed(Name::To, "To")
    }

    pub fn cseq(&self) -> Result<CSeq, ValueError> {
        self.needed(Name::CSeq, "CSeq")
    }

    /// The Call-ID; empty when there is none, which `parse` refuses.
    pub fn call_id(&self) -> Bytes {
        self.first(Name::CallId).map(Header::value).unwrap_or_default()
    }

    pub fn contacts(&self) -> impl Iterator<Item = Result<Contact, ValueError>> {
        self.list(Name::Contact)
    }

    /// Where the request is still to pass, the next first.
    pub fn routes(&self) -> impl Iterator<Item = Result<NameAddr, ValueError>> {
        self.list(Name::Route)
    }

    pub fn record_routes(&self) -> impl Iterator<Item = Result<NameAddr, ValueError>> {
        self.list(Name::RecordRoute)
    }

    /// The header Expires, in seconds.
    pub fn expires(&self) -> Result<Option<u32>, ValueError> {
        let seconds: Option<Seconds> = self.value(Name::Expires)?;
        Ok(seconds.map(|seconds| seconds.0))
    }

    pub fn content_type(&self) -> Result<Option<MediaType>, ValueError> {
        self.value(Name::ContentType)
    }

    /// The tokens of a list: Supported, Require, Allow and others. What is none is left out.
    pub fn tokens<'a>(&'a self, field: impl Into<Field<'a>>) -> impl Iterator<Item = Bytes> {
        self.list::<Token>(field).filter_map(|token| Some(token.ok()?.0))
    }

    /// Whether a list has a token, in any case.
    pub fn has_token<'a>(&'a self, field: impl Into<Field<'a>>, token: &str) -> bool {
        self.tokens(field).any(|own| own.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Whether Allow names the method. `None` when there is no Allow.
    pub fn allows(&self, method: &Method) -> Option<bool> {
        let named = || self.tokens(Name::Allow).any(|own| own == method.as_bytes());
        self.has(Name::Allow).then(named)
    }

    fn texts<'a>(&'a self, field: impl Into<Field<'a>>) -> impl Iterator<Item = Bytes> {
        self.all(field).map(Header::value).flat_map(|text| {
            let mut cuts = Cuts::default();
            std::iter::from_fn(move || Some(text.slice(cuts.next(&text)?.range())))
        })
    }

    /// The first value of a header that no message is without.
    fn needed<V: Value>(&self, name: Name, what: &'static str) -> Result<V, ValueError> {
        let header = self.first(name).ok_or(ValueError { what, why: "it is missing", at: 0 })?;
        let text = header.value();
        if name != Name::Via {
            return V::parse(&text);
        }
        let first: Span = Cuts::default().next(&text).unwrap_or_default();
        V::parse(&text.slice(first.range()))
    }
}
