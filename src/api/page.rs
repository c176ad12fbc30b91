//! Pages: `limit`, and cursors that only we can make and only their owner can use.
//!
//! A cursor is base64url of (list, last key, time) and a MAC over these and the organization. A list
//! reads a row more than it shows: whether there is one tells of another page.

use axum::http::Uri;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use model::carrier::OrgId;
use model::clock::At;
use model::refusal::Code;
use serde::Serialize;
use sha2::Sha256;
use utoipa::ToSchema;

use super::App;
use super::auth::Caller;
use super::error::ApiError;

const LIMIT_DEFAULT: i64 = 25;
const LIMIT_MAX: i64 = 200;

const LIFE_S: i64 = 24 * 60 * 60;
const MAC_LENGTH: usize = 16;
const LENGTH: usize = 1 + 8 + 8 + MAC_LENGTH;

/// Which list a cursor continues; its number is part of the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Messages = 1,
    Transactions = 2,
    Events = 3,
    SmppAccounts = 14,
    SmppCredentials = 15,
    SmppCarriers = 16,
    SipCredentials = 17,
    Trunks = 18,
    Numbers = 19,
    ProxySessions = 22,
    Caps = 40,
    Dnc = 20,
    Senders = 21,
    /// The log of an organization.
    Log = 12,
    Suppressions = 42,
    ConsentRecords = 41,
    Templates = 9,
    Webhooks = 10,
    Deliveries = 11,
    DeadLetters = 13,
    Calls = 60,
    Cdrs = 61,
    CallEvents = 62,
    Recordings = 63,
}

/// Where the next page begins, and whether there is one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Pagination {
    /// Give it back as `cursor` for the next page; null on the last one. Good for 24 hours.
    pub(crate) cursor: Option<String>,
    pub(crate) has_more: bool,
    /// All items of the list, when that is cheap to know.
    pub(crate) total: Option<i64>,
}

/// Makes and opens cursors.
pub(crate) struct Cursors {
    key: [u8; 32],
}

impl Cursors {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    fn mac(&self, organization: OrgId, head: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(&organization.0.to_be_bytes());
        mac.update(head);
        Some(mac)
    }

    pub(crate) fn seal(&self, list: List, organization: OrgId, last: i64, now: At) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(list as u8);
        bytes.extend_from_slice(&last.to_be_bytes());
        bytes.extend_from_slice(&(now.micros() / 1_000_000).to_be_bytes());
        if let Some(mac) = self.mac(organization, &bytes) {
            bytes.extend_from_slice(&mac.finalize().into_bytes()[..MAC_LENGTH]);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn open(
        &self,
        list: List,
        organization: OrgId,
        text: &str,
        now: At,
    ) -> Result<i64, ApiError> {
        self.read(list, organization, text, now).ok_or_else(|| {
            let message = "the cursor is not one of this list, or older than 24 hours";
            ApiError::new(Code::InvalidCursor, message)
        })
    }

    fn read(&self, list: List, organization: OrgId, text: &str, now: At) -> Option<i64> {
        if text.len() > 2 * LENGTH {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        if bytes.len() != LENGTH || bytes[0] != list as u8 {
            return None;
        }
        let (head, tag) = bytes.split_at(LENGTH - MAC_LENGTH);
        let mac = self.mac(organization, head)?;
        mac.verify_truncated_left(tag).ok()?;
        let last = i64::from_be_bytes(head[1..9].try_into().ok()?);
        let made = i64::from_be_bytes(head[9..17].try_into().ok()?);
        let age = now.micros() / 1_000_000 - made;
        (-60..=LIFE_S).contains(&age).then_some(last)
    }
}

/// A page as it was asked for.
pub(crate) struct Page<'a> {
    cursors: &'a Cursors,
    list: List,
    organization: OrgId,
    now: At,
    limit: i64,
    /// The row that it begins behind.
    pub(crate) from: i64,
}

impl<'a> Page<'a> {
    /// Of a list with its newest rows first.
    pub(crate) fn newest_first<P>(
        app: &'a App,
        caller: &Caller<P>,
        list: List,
        query: &Query,
    ) -> Result<Self, ApiError> {
        Self::asked(app, caller, (list, query), (i64::MAX, LIMIT_DEFAULT))
    }

    /// Of a list with its oldest rows first, which is seldom long.
    pub(crate) fn oldest_first<P>(
        app: &'a App,
        caller: &Caller<P>,
        list: List,
        query: &Query,
    ) -> Result<Self, ApiError> {
        Self::asked(app, caller, (list, query), (0, LIMIT_MAX))
    }

    fn asked<P>(
        app: &'a App,
        caller: &Caller<P>,
        (list, query): (List, &Query),
        (start, limit): (i64, i64),
    ) -> Result<Self, ApiError> {
        let limit = query.limit(limit)?;
        let (cursors, organization, now) = (&app.cursors, caller.organization, caller.call.at());
        let from = match query.get("cursor") {
            Some(text) => cursors.open(list, organization, text, now)?,
            None => start,
        };
        Ok(Self { cursors, list, organization, now, limit, from })
    }

    /// How many rows to read.
    pub(crate) fn reads(&self) -> i64 {
        self.limit + 1
    }

    /// Takes the row too many away, and says what it told. `number` is what the list goes by.
    pub(crate) fn cut<T>(&self, rows: &mut Vec<T>, number: impl Fn(&T) -> i64) -> Pagination {
        let limit = usize::try_from(self.limit).unwrap_or(0);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| has_more).map(number);
        let seal = |last| self.cursors.seal(self.list, self.organization, last, self.now);
        Pagination { cursor: last.map(seal), has_more, total: None }
    }
}

/// A query string, taken apart. Of a repeated name the last counts; unknown names are ignored.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn of(uri: &Uri) -> Result<Self, ApiError> {
        let pairs: Vec<(String, String)> = axum::extract::Query::try_from_uri(uri)
            .map(|axum::extract::Query(pairs)| pairs)
            .map_err(|_| ApiError::unreadable("the query cannot be read"))?;
        let bad = pairs.iter().find(|(_, value)| value.contains('\0'));
        if bad.is_some() {
            return Err(ApiError::unreadable("the query holds the character U+0000"));
        }
        Ok(Self(pairs))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A moment, in microseconds.
    pub(crate) fn moment(&self, name: &'static str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match At::parse(text) {
            Some(at) => Ok(Some(at.micros())),
            None => Err(ApiError::query(name, text, "a moment as in 2026-01-01T12:00:00Z")),
        }
    }

    pub(crate) fn limit(&self, default: i64) -> Result<i64, ApiError> {
        let Some(text) = self.get("limit") else {
            return Ok(default);
        };
        let limit = text.parse().ok();
        limit
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| ApiError::query("limit", text, "1 to 200"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: At = At(1_700_000_000_000_000);

    fn later(seconds: i64) -> At {
        At(NOW.0 + seconds * 1_000_000)
    }

    #[test]
    fn a_cursor_leads_back_to_its_key_for_a_day() {
        let cursors = Cursors::new([7; 32]);
        let text = cursors.seal(List::Messages, OrgId(1), 42, NOW);
        let open = |at| cursors.open(List::Messages, OrgId(1), &text, at);
        assert_eq!(open(NOW).unwrap(), 42);
        assert_eq!(open(later(LIFE_S)).unwrap(), 42);
        assert_eq!(open(later(LIFE_S + 1)).unwrap_err().code, Code::InvalidCursor);
    }

    #[test]
    fn a_cursor_of_another_list_owner_or_key_is_refused() {
        let cursors = Cursors::new([7; 32]);
        let text = cursors.seal(List::Messages, OrgId(1), 42, NOW);
        assert!(cursors.open(List::Transactions, OrgId(1), &text, NOW).is_err());
        assert!(cursors.open(List::Messages, OrgId(2), &text, NOW).is_err());
        let other = Cursors::new([8; 32]);
        assert!(other.open(List::Messages, OrgId(1), &text, NOW).is_err());
        for bad in ["", "x", "====", "AAAA", &text[1..], &format!("{text}A"), &"A".repeat(5000)] {
            assert!(cursors.open(List::Messages, OrgId(1), bad, NOW).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_changed_bit_of_a_cursor_is_seen() {
        let cursors = Cursors::new([7; 32]);
        let text = cursors.seal(List::Messages, OrgId(1), 42, NOW);
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert!(cursors.open(List::Messages, OrgId(1), &changed, NOW).is_err());
        }
    }

    #[test]
    fn limits_outside_one_to_two_hundred_are_refused() {
        let limit = |query: &str| {
            let uri: Uri = format!("/x?{query}").parse().unwrap();
            Query::of(&uri).and_then(|query| query.limit(LIMIT_DEFAULT))
        };
        assert_eq!(limit("").unwrap(), 25);
        assert_eq!(limit("limit=200").unwrap(), 200);
        for bad in ["limit=0", "limit=201", "limit=-1", "limit=x", "limit="] {
            let error = limit(bad).unwrap_err();
            assert_eq!(error.status.as_u16(), 400);
            assert_eq!(error.code, Code::ValidationError);
        }
        assert!(limit("limit=%00").is_err());
    }
}
