//! The pure checks before a message is accepted: recipient, destination, text, sender, route, price.
//!
//! Built by root from the settings and shared by all that accept (API, binds); no actor. It never
//! asks a database, a clock or a wallet, and never waits: each send calls it once, and the answer
//! is a message ready for the writer or a refusal. It keeps nothing that could be lost with it. The
//! routes are replaced whole, and a check that runs meanwhile ends on those it began with.

mod estimate;
mod pooled;

use std::sync::Arc;

use model::address::{Recipient, SenderKind};
use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::esme::Submitted;
use model::id::PublicId;
use model::message::{Category, Encoding};
use model::money::Micros;
use model::rates::Rates;
use model::refusal::{Code, Refusal};
use model::route::{NetworkSource, Passed, PassedOver};
use model::submission::{NewMessage, SendOptions};
use proto_smpp::split::{self, Concat};

use super::guard::Guard;
use super::interceptors::Interceptors;
use super::router::{Choice, Memory, Router, Table, Wish, text_of};
use crate::sip::numbers::Numbers;

pub use super::router::CarrierRoute;
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
    /// The pool that chooses a sender, where none is given or set by a rule.
    pub pool: Option<PublicId>,
    pub body: String,
    /// `None`: GSM-7 when it holds the text.
    pub encoding: Option<Encoding>,
    pub category: Category,
    /// The name of the SMPP account it comes by.
    pub account: Option<Arc<str>>,
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
    router: Router,
    guard: Guard,
    interceptors: Interceptors,
    owners: Owners,
}

/// Who may send from which numbers; nothing: whoever says so.
#[derive(Clone, Default)]
struct Owners(Option<Numbers>);

impl Owners {
    /// Whether a sender is the organization's; one with letters is nobody's number.
    fn let_pass(&self, organization: OrgId, sender: &str, kind: SenderKind) -> bool {
        let Some(numbers) = &self.0 else { return true };
        kind == SenderKind::Alphanumeric || numbers.may_send(organization, sender)
    }

    /// Whether they are asked of what goes this way.
    fn watch(&self, organization: OrgId, test: bool, choice: &Choice<'_>) -> bool {
        let is_own = choice.carrier.is_some_and(|c| c.organization == Some(organization));
        self.0.is_some() && !test && !choice.sandbox && !is_own
    }
}

impl Admission {
    #[must_use]
    pub fn new(routes: Routes) -> Self {
        Self::by(Router::new(routes))
    }

    /// Checks that ask this router.
    #[must_use]
    pub fn by(router: Router) -> Self {
        let (guard, interceptors) = (Guard::default(), Interceptors::default());
        Self { router, guard, interceptors, owners: Owners::default() }
    }

    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The same checks, and this guard's.
    #[must_use]
    pub fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }

    /// The same checks, and these rules.
    #[must_use]
    pub fn intercepted(self, interceptors: Interceptors) -> Self {
        Self { interceptors, ..self }
    }

    /// The same checks, and numbers are sent from by whoever has them.
    #[must_use]
    pub fn owned(self, numbers: Numbers) -> Self {
        Self { owners: Owners(Some(numbers)), ..self }
    }

    /// The rules on messages.
    #[must_use]
    pub fn interceptors(&self) -> &Interceptors {
        &self.interceptors
    }

    /// Where each organization may send.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Takes other routes and rates from the next check on.
    pub fn replace(&self, routes: Routes) {
        self.router.replace(routes);
    }

    /// One message, checked, routed and priced; or the first thing that is wrong with it.
    pub fn check(
        &self,
        organization: OrgId,
        request: SendRequest,
        now: At,
    ) -> Result<NewMessage, Refusal> {
        self.checked(organization, request, now, |_| ())
    }

    /// `settle` has the last word on what the rules made of it.
    fn checked(
        &self,
        organization: OrgId,
        request: SendRequest,
        now: At,
        settle: impl FnOnce(&mut SendRequest),
    ) -> Result<NewMessage, Refusal> {
        let to = Recipient::parse(&request.to).ok_or_else(bad_recipient)?;
        if !request.test {
            self.guard.check(organization, to.digits(), now)?;
        }
        let mut request = request;
        let route = self.interceptors.apply(organization, to.digits(), &mut request, now)?;
        settle(&mut request);
        let route = route.as_deref();
        let with = With { memory: self.router.memory(), route, owners: &self.owners };
        self.router.table().check(organization, to, request, now, with)
    }

    /// The same of a message that was accepted before: rules may refuse it now or send it another way,
    /// but its sender stays the one that was answered and stored.
    pub fn check_again(
        &self,
        organization: OrgId,
        request: SendRequest,
        now: At,
    ) -> Result<NewMessage, Refusal> {
        let from = request.from.clone();
        self.checked(organization, request, now, |request| request.from = from)
    }

    /// The carriers messages may go to, the sandboxes among them.
    #[must_use]
    pub fn carriers(&self) -> Vec<(CarrierId, Arc<str>)> {
        let table = self.router.table();
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
}

/// What a check looks at beside the table.
#[derive(Clone, Copy)]
struct With<'a> {
    memory: &'a Memory,
    /// The carrier that a rule names.
    route: Option<&'a str>,
    owners: &'a Owners,
}

/// A way, or why those looked at were not taken.
type Way<'t> = Result<Choice<'t>, PassedOver>;

impl Table {
    fn check(
        &self,
        organization: OrgId,
        to: Recipient,
        request: SendRequest,
        now: At,
        with: With<'_>,
    ) -> Result<NewMessage, Refusal> {
        let memory = with.memory;
        check_text(&request)?;
        let given = request.from.as_deref().map(sender_kind);
        let rate = if request.test { None } else { self.routes.rates.find(to.digits(), now) };
        let sender = match (request.from.as_deref(), &given) {
            (Some(from), Some(Ok(kind))) => Some((from, *kind)),
            _ => None,
        };
        let planned = rate.and_then(|rate| rate.mccmnc.as_deref());
        let (mccmnc, network) = if request.test {
            (None, NetworkSource::Plan)
        } else {
            memory.network(to.digits(), planned, now, false)
        };
        let wish = Wish {
            organization,
            digits: to.digits(),
            sender,
            category: request.category,
            mccmnc: mccmnc.as_deref(),
            network,
            text: request.submitted.as_deref().and_then(|s| text_of(to.digits(), s)),
            only: None,
            tried: &[],
            dry: false,
            now,
        };
        let asked = pooled::Asked { request: &request, wish, with };
        let (choice, measured, pool) = match request.pool {
            Some(pool) if request.from.is_none() => self.pooled(&asked, pool)?,
            _ => {
                let (choice, measured) = self.one_way(&asked);
                (choice, measured?, None)
            }
        };
        let given = given.transpose()?;
        let choice = choice.map_err(|passed| no_route(request.test, passed))?;
        if let (Some(from), Some(kind)) = (request.from.as_deref(), given)
            && with.owners.watch(organization, request.test, &choice)
            && !with.owners.let_pass(organization, from, kind)
        {
            return Err(Refusal::sender_not_owned());
        }
        let (from, ton) = match (request.from, given) {
            (Some(from), Some(kind)) => (from, kind.ton_npi().0),
            // Its pool chooses one when it is let in.
            _ if pool.is_some() => (String::new(), 0),
            _ => self.default_sender(choice).map(|(from, kind)| (from, kind.ton_npi().0))?,
        };
        let unit_price = if request.test { Micros::ZERO } else { rate.ok_or_else(no_price)?.price };
        Ok(NewMessage {
            id: PublicId::new(now),
            to: to.into_string(),
            from,
            from_ton: ton,
            body: request.body,
            encoding: measured.0,
            segments: measured.1,
            category: request.category,
            unit_price,
            mccmnc,
            carrier: choice.id,
            route: choice.note,
            metadata: request.metadata,
            test: request.test,
            options: SendOptions { submitted: request.submitted, pool, ..SendOptions::default() },
        })
    }

    /// The way of a message from the sender that is wished for, and what its text takes there.
    fn one_way(&self, asked: &pooled::Asked<'_>) -> (Way<'_>, Result<(Encoding, u8), Refusal>) {
        let (request, wish) = (asked.request, &asked.wish);
        let With { memory, route, .. } = asked.with;
        let way = match route {
            Some(name) if !request.test => self.named(wish, name),
            _ => self.route(wish, request.test, memory),
        };
        if let (Some(text), Some(_), Ok(named)) = (wish.text, route, &way) {
            memory.follow(text, named.id, wish.now);
        }
        let carrier = way.as_ref().ok().and_then(|choice| choice.carrier);
        let measured = if request.is_one_part() {
            Ok((request.encoding.unwrap_or(Encoding::Gsm7), 1))
        } else {
            measure(request, carrier.map_or(Concat::default(), |c| c.concat))
        };
        (way, measured)
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

fn no_route(test: bool, passed: PassedOver) -> Refusal {
    if passed.holds(Passed::NotInPool) {
        let text = "none of the pool's carriers takes messages to this destination";
        return Refusal::new(Code::NoRoute, text).field("sender_pool_id");
    }
    if passed.holds(Passed::SenderType) {
        let text = "no carrier takes this kind of sender to this destination";
        return Refusal::new(Code::NoRoute, text).field("from");
    }
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
