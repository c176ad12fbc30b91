//! The pure checks before a message is accepted: recipient, destination, text, sender, route, price.
//!
//! Built by root from the settings and shared by all that accept (API, binds); no actor. It never
//! asks a database, a clock or a wallet, and never waits: each send calls it once, and the answer
//! is a message ready for the writer or a refusal. It keeps nothing that could be lost with it. The
//! routes are replaced whole, and a check that runs meanwhile ends on those it began with.

mod estimate;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use model::address::{Recipient, SenderKind};
use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::esme::Submitted;
use model::id::PublicId;
use model::message::{Category, Encoding};
use model::money::Micros;
use model::rates::Rates;
use model::refusal::{Code, Refusal};
use model::submission::{NewMessage, SendOptions};
use proto_smpp::split::{self, Concat};

use super::guard::Guard;

pub use estimate::Estimate;

/// Characters of the longest text taken.
const BODY_CHARS_MAX: usize = 1600;
/// Segments of the longest text taken.
const SEGMENTS_MAX: usize = 10;
/// The sender of a message to the sandbox that names none.
const SANDBOX_SENDER: &str = "Orbit";

/// One message as asked for.
#[derive(Clone, Debug)]
pub struct SendRequest {
    pub to: String,
    pub from: Option<String>,
    pub body: String,
    /// `None`: GSM-7 when it holds the text.
    pub encoding: Option<Encoding>,
    pub category: Category,
    /// JSON object as text.
    pub metadata: Option<String>,
    /// Sent with a test key: goes to the sandbox and costs nothing.
    pub test: bool,
    /// What it said beside its text, if it came by SMPP.
    pub submitted: Option<Arc<Submitted>>,
}

impl SendRequest {
    /// It goes on as it came, as one part.
    fn is_one_part(&self) -> bool {
        self.submitted.as_ref().is_some_and(|submitted| !submitted.user_data.is_empty())
    }
}

/// One carrier as routing sees it.
#[derive(Clone, Debug)]
pub struct CarrierRoute {
    pub id: CarrierId,
    pub name: Arc<str>,
    /// The higher goes first among equally long prefixes.
    pub priority: i64,
    /// Digits without `+`; none at all means every destination.
    pub prefixes: Vec<String>,
    /// The only organization that may use it; `None` is a carrier of the platform.
    pub organization: Option<OrgId>,
    pub default_sender: Option<String>,
    pub concat: Concat,
}

/// All that a check looks at.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    pub carriers: Vec<CarrierRoute>,
    /// Takes test messages, and only these.
    pub sandbox: Option<CarrierId>,
    /// Takes live messages that fit no carrier.
    pub sandbox_live: Option<CarrierId>,
    pub rates: Rates,
    pub default_sender: Option<String>,
}

/// The shared checks; a clone is the same one.
#[derive(Clone)]
pub struct Admission {
    table: Arc<RwLock<Arc<Table>>>,
    guard: Guard,
}

/// Routes with their prefixes in the order in which they are tried.
struct Table {
    routes: Routes,
    own: HashMap<OrgId, Vec<Entry>>,
    platform: Vec<Entry>,
}

struct Entry {
    prefix: String,
    /// Index in `Routes::carriers`.
    carrier: usize,
}

/// Where a message goes.
#[derive(Clone, Copy)]
struct Choice<'a> {
    id: CarrierId,
    /// A sandbox need not be listed among the carriers.
    carrier: Option<&'a CarrierRoute>,
    sandbox: bool,
    reason: &'static str,
}

impl Admission {
    #[must_use]
    pub fn new(routes: Routes) -> Self {
        let table = Arc::new(RwLock::new(Arc::new(Table::new(routes))));
        Self { table, guard: Guard::default() }
    }

    /// The same checks, and this guard's.
    #[must_use]
    pub fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }

    /// Where each organization may send.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Takes other routes and rates from the next check on.
    pub fn replace(&self, routes: Routes) {
        let table = Arc::new(Table::new(routes));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// One message, checked, routed and priced; or the first thing that is wrong with it.
    pub fn check(
        &self,
        organization: OrgId,
        request: SendRequest,
        now: At,
    ) -> Result<NewMessage, Refusal> {
        let to = Recipient::parse(&request.to).ok_or_else(bad_recipient)?;
        if !request.test {
            self.guard.check(organization, to.digits(), now)?;
        }
        self.table().check(organization, to, request, now)
    }

    /// The carriers messages may go to, the sandboxes among them.
    #[must_use]
    pub fn carriers(&self) -> Vec<(CarrierId, Arc<str>)> {
        let table = self.table();
        let routes = &table.routes;
        let listed = routes.carriers.iter();
        let mut all: Vec<_> = listed.map(|c| (c.id, Arc::clone(&c.name))).collect();
        let sandboxes = [(routes.sandbox, "sandbox"), (routes.sandbox_live, "sandbox-live")];
        for (id, name) in sandboxes {
            if let Some(id) = id
                && all.iter().all(|(known, _)| *known != id)
            {
                all.push((id, Arc::from(name)));
            }
        }
        all
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Table {
    fn new(routes: Routes) -> Self {
        let mut own: HashMap<OrgId, Vec<Entry>> = HashMap::new();
        let mut platform = Vec::new();
        let sandboxes = [routes.sandbox, routes.sandbox_live];
        for (index, carrier) in routes.carriers.iter().enumerate() {
            if sandboxes.contains(&Some(carrier.id)) {
                continue;
            }
            let entries = match carrier.organization {
                Some(organization) => own.entry(organization).or_default(),
                None => &mut platform,
            };
            let every = [String::new()];
            let prefixes = if carrier.prefixes.is_empty() { &every[..] } else { &carrier.prefixes };
            entries.extend(
                prefixes.iter().map(|prefix| Entry { prefix: prefix.clone(), carrier: index }),
            );
        }
        for entries in own.values_mut().chain([&mut platform]) {
            entries.sort_by_key(|entry| {
                let carrier = &routes.carriers[entry.carrier];
                let name = Arc::clone(&carrier.name);
                (Reverse(entry.prefix.len()), Reverse(carrier.priority), name)
            });
        }
        Self { routes, own, platform }
    }

    fn check(
        &self,
        organization: OrgId,
        to: Recipient,
        request: SendRequest,
        now: At,
    ) -> Result<NewMessage, Refusal> {
        check_text(&request)?;
        let choice = self.choose(organization, to.digits(), request.test);
        let carrier = choice.and_then(|choice| choice.carrier);
        let measured = if request.is_one_part() {
            (request.encoding.unwrap_or(Encoding::Gsm7), 1)
        } else {
            measure(&request, carrier.map_or(Concat::default(), |c| c.concat))?
        };
        let given = request.from.as_deref().map(sender_kind).transpose()?;
        let choice = choice.ok_or_else(|| no_route(request.test))?;
        let (from, kind) = match (request.from, given) {
            (Some(from), Some(kind)) => (from, kind),
            _ => self.default_sender(choice)?,
        };
        let (unit_price, mccmnc) = if request.test {
            (Micros::ZERO, None)
        } else {
            let rate = self.routes.rates.find(to.digits(), now);
            let rate = rate.ok_or_else(no_price)?;
            (rate.price, rate.mccmnc.as_deref().map(Arc::from))
        };
        Ok(NewMessage {
            id: PublicId::new(now),
            to: to.into_string(),
            from,
            from_ton: kind.ton_npi().0,
            body: request.body,
            encoding: measured.0,
            segments: measured.1,
            category: request.category,
            unit_price,
            mccmnc,
            carrier: choice.id,
            route_reason: choice.reason,
            metadata: request.metadata,
            test: request.test,
            options: SendOptions { submitted: request.submitted, ..SendOptions::default() },
        })
    }

    /// The organization's own carriers first, then the platform's, then the sandbox.
    fn choose(&self, organization: OrgId, digits: &str, test: bool) -> Option<Choice<'_>> {
        if test {
            return Some(self.sandbox(self.routes.sandbox?, "sandbox_test"));
        }
        if let Some(entry) = self.own.get(&organization).and_then(|e| first(e, digits)) {
            let reasons = ["organization_carrier_prefix", "organization_carrier_default"];
            return Some(self.choice(entry, reasons));
        }
        if let Some(entry) = first(&self.platform, digits) {
            let reasons = ["platform_carrier_prefix", "platform_carrier_default"];
            return Some(self.choice(entry, reasons));
        }
        Some(self.sandbox(self.routes.sandbox_live?, "sandbox_default"))
    }

    fn choice(&self, entry: &Entry, [by_prefix, by_default]: [&'static str; 2]) -> Choice<'_> {
        let carrier = &self.routes.carriers[entry.carrier];
        Choice {
            id: carrier.id,
            carrier: Some(carrier),
            sandbox: false,
            reason: if entry.prefix.is_empty() { by_default } else { by_prefix },
        }
    }

    fn sandbox(&self, id: CarrierId, reason: &'static str) -> Choice<'_> {
        Choice {
            id,
            carrier: self.routes.carriers.iter().find(|c| c.id == id),
            sandbox: true,
            reason,
        }
    }

    fn default_sender(&self, choice: Choice<'_>) -> Result<(String, SenderKind), Refusal> {
        let of_carrier = choice.carrier.and_then(|c| c.default_sender.as_deref());
        let of_all = self.routes.default_sender.as_deref();
        let of_sandbox = choice.sandbox.then_some(SANDBOX_SENDER);
        let sender = of_carrier.or(of_all).or(of_sandbox).ok_or_else(|| {
            let text = "no sender was given, and neither the carrier nor the switch has a default";
            Refusal::new(Code::InvalidSender, text).field("from")
        })?;
        Ok((sender.to_owned(), sender_kind(sender)?))
    }
}

fn first<'e>(entries: &'e [Entry], digits: &str) -> Option<&'e Entry> {
    entries.iter().find(|e| digits.starts_with(&e.prefix))
}

fn check_text(request: &SendRequest) -> Result<(), Refusal> {
    if request.body.is_empty() && !request.is_one_part() {
        let text = "the message has no text";
        return Err(Refusal::new(Code::MissingRequiredField, text).field("body"));
    }
    let metadata = request.metadata.as_deref().unwrap_or_default();
    for (field, text) in [("body", request.body.as_str()), ("metadata", metadata)] {
        if text.contains('\0') {
            let text = "the character U+0000 cannot be sent";
            return Err(Refusal::new(Code::ValidationError, text).field(field));
        }
    }
    if request.body.chars().count() > BODY_CHARS_MAX {
        let text = "the text has more than 1600 characters";
        return Err(too_long(text));
    }
    Ok(())
}

/// How the text travels, and in how many segments.
fn measure(request: &SendRequest, concat: Concat) -> Result<(Encoding, u8), Refusal> {
    let asked = request.encoding.map(|encoding| match encoding {
        Encoding::Gsm7 => split::Encoding::Gsm7,
        Encoding::Ucs2 => split::Encoding::Ucs2,
    });
    let measured = split::measure_as(&request.body, asked, concat).map_err(|_| {
        let text = "the text has a character outside the GSM-7 alphabet";
        Refusal::new(Code::ValidationError, text).field("encoding").expected("auto or ucs2")
    })?;
    if measured.parts > SEGMENTS_MAX {
        return Err(too_long("the text needs more than 10 segments"));
    }
    let segments = u8::try_from(measured.parts).unwrap_or(u8::MAX);
    let encoding = match measured.encoding {
        split::Encoding::Gsm7 => Encoding::Gsm7,
        split::Encoding::Ucs2 => Encoding::Ucs2,
    };
    Ok((encoding, segments))
}

fn sender_kind(sender: &str) -> Result<SenderKind, Refusal> {
    SenderKind::of(sender).ok_or_else(|| {
        Refusal::new(Code::InvalidSender, "the sender is not one that can be used")
            .field("from")
            .expected("3 to 11 letters, digits, spaces, - or _; +E.164; or 3 to 8 digits")
    })
}

fn bad_recipient() -> Refusal {
    Refusal::new(Code::InvalidPhoneNumber, "the recipient is not a phone number")
        .field("to")
        .expected("E.164, as in +14155550123")
}

fn too_long(text: &'static str) -> Refusal {
    Refusal::new(Code::MessageTooLong, text)
        .field("body")
        .expected("at most 1600 characters and 10 segments")
}

fn no_route(test: bool) -> Refusal {
    let text = if test {
        "no sandbox takes test messages here"
    } else {
        "no carrier takes messages to this destination"
    };
    Refusal::new(Code::NoRoute, text).field("to")
}

fn no_price() -> Refusal {
    Refusal::new(Code::NoPrice, "the rates have no price for this destination").field("to")
}

#[cfg(test)]
mod tests;
