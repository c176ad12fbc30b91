//! What leaves this carrier for another: what it refused and certainly has not, and what waits while
//! it cannot send.
//!
//! Whoever may not be sent twice stays: a message of which any part was taken or may have been, now
//! or earlier; and so do the other parts of a text that its customer has cut. What waits moves
//! without an intent of ours: no bind ever has it, and a crash leaves it with the one or the other.
//! Here too: how the carrier stands, told to the router, and the breaker that its answers feed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};
use model::address::SenderKind;
use model::carrier::CarrierId;
use model::clock::At;
use proto_smpp::CommandStatus;
use proto_smpp::split::{self, Concat};
use ractor::ActorRef;
use store::lane::{Fate, HandoffResult, Outcome, Work};
use tokio::time::Instant;

use super::flight::{Conclusion, Flight};
use super::{OwnerArgs, OwnerMsg, OwnerState};
use crate::directory::Directory;
use crate::smpp::job::Job;
use crate::smpp::status::{self, Elsewhere};
use crate::smpp::tried::Tried;
use crate::traffic::router::breaker::Breaker;
use crate::traffic::router::pulse::Pulse;
use crate::traffic::router::{Asked, Detours, SANDBOX, SANDBOX_LIVE};
use crate::writer::Then;

/// Why a message leaves a carrier that had it.
const REFUSED: &str = "refused";
/// The other parts of its text went there.
const ITS_TEXT: &str = "text";
/// Between two looks at what waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Jobs of one organization and class looked at each time, and moved in one piece of work.
const LOOK_AT: usize = 500;
/// Carriers looked at for one message, those among them that would need other parts.
const ASK_MAX: usize = 8;

/// Where a message goes instead, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) to: CarrierId,
    pub(super) reason: &'static str,
}

/// What the owner keeps of it.
pub(super) struct Diverting {
    pulse: Arc<Pulse>,
    breaker: Breaker,
    /// Since when no bind is up.
    down_since: Option<Instant>,
    look_after: Instant,
    open: Gauge,
    diverted: Counter,
}

/// Messages that have just moved, for their new owners.
pub(super) struct Movers {
    directory: Directory,
    diverted: Counter,
    list: Vec<(usize, CarrierId, Job)>,
}

impl Diverting {
    pub(super) fn new(args: &OwnerArgs) -> Self {
        let pulse = args.detours.router.pulse(args.carrier);
        pulse.set_bound(0);
        pulse.set_paused(args.paused);
        pulse.set_open_until(None);
        let circuit = args.detours.router.circuit(args.carrier);
        let label = || args.profile.name.to_string();
        Self {
            pulse,
            breaker: Breaker::new(circuit),
            down_since: Some(Instant::now()),
            look_after: Instant::now(),
            open: gauge!("orbit_circuit_open", "carrier" => label()),
            diverted: counter!("orbit_diverted_total", "carrier" => label()),
        }
    }

    pub(super) fn set_bound(&mut self, bound: usize) {
        self.pulse.set_bound(bound);
        let since = self.down_since.unwrap_or_else(Instant::now);
        self.down_since = (bound == 0).then_some(since);
    }

    pub(super) fn set_paused(&self, paused: bool) {
        self.pulse.set_paused(paused);
    }

    /// What to store of a finished round: as concluded, or that the message goes elsewhere.
    pub(super) fn instead(
        &self,
        args: &OwnerArgs,
        flight: &Flight,
        conclusion: Conclusion,
        now: At,
    ) -> Conclusion {
        let tried = flight.job.tried;
        let (way, carrier_error) = match (flight.leaves, flight.refused_alone()) {
            (Some(way), _) => (Some(way), None),
            (None, Some(refused)) if tried.may_leave(true) => {
                let vendor = args.profile.vendor_statuses;
                let over = matches!(conclusion.outcome, Outcome::Ended { .. });
                let leaves = match status::elsewhere(refused, vendor) {
                    Elsewhere::Never => false,
                    Elsewhere::Once => tried.is_first(),
                    Elsewhere::WhenGivenUp => over,
                    Elsewhere::AtOnce => true,
                };
                // Waiting for another is better than the end, and no better than another try.
                let way = leaves.then(|| way(args, &flight.job, (REFUSED, !over), now)).flatten();
                (way, Some(status::text(refused)))
            }
            _ => (None, None),
        };
        let Some(way) = way else { return conclusion };
        Conclusion { outcome: diverts(args, &flight.job, way, carrier_error, false), ..conclusion }
    }

    /// Feeds the breaker.
    pub(super) fn note(&mut self, args: &OwnerArgs, said: Said, now: At) {
        let mut changed = self.breaker.note(said.good, said.bad, now);
        if let Some(refused) = said.bind_refused {
            changed |= self.breaker.open(now);
            let (carrier, status) = (&args.profile.name, status::text(refused));
            tracing::error!(%carrier, status, "the carrier refuses who we are");
        }
        if changed {
            let until = self.breaker.open_until();
            self.pulse.set_open_until(until);
            self.open.set(if until.is_some() { 1.0 } else { 0.0 });
            let (carrier, open) = (&args.profile.name, until.is_some());
            tracing::warn!(%carrier, open, "the carrier's circuit");
        }
    }

    /// Why what waits should leave; `None`: it waits here.
    fn cause(&self, args: &OwnerArgs, now: At) -> Option<&'static str> {
        let detours = &args.detours;
        let down = self.down_since.is_some_and(|since| since.elapsed() >= detours.down_after);
        if down {
            return Some("carrier_down");
        }
        if self.breaker.open_until().is_some_and(|until| now < until) {
            return Some("circuit_open");
        }
        detours.router.is_off(args.carrier).then_some("carrier_disabled")
    }
}

impl Drop for Diverting {
    fn drop(&mut self) {
        self.pulse.set_bound(0);
    }
}

/// What a carrier's answers say of the carrier itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    good: u32,
    bad: u32,
    bind_refused: Option<CommandStatus>,
}

impl Said {
    /// One more finished message.
    pub(super) fn add(&mut self, flight: &Flight) {
        match (flight.is_unanswered(), flight.refused()) {
            (true, _) => self.bad += 1,
            (false, Some(refused)) => match status::blames(refused) {
                status::Blame::Carrier => self.bad += 1,
                status::Blame::Credentials => self.bind_refused = Some(refused),
                status::Blame::Message => self.good += 1,
                status::Blame::Nobody => {}
            },
            (false, None) if !flight.acked.is_empty() => self.good += 1,
            (false, None) => {}
        }
    }
}

impl OwnerState {
    /// Sends elsewhere what waits here in vain.
    pub(super) fn divert_waiting(&mut self, me: &ActorRef<OwnerMsg>) {
        if !self.may_divert() || Instant::now() < self.diverting.look_after {
            return;
        }
        self.diverting.look_after = Instant::now() + LOOK_EVERY;
        self.diverting.breaker.set(self.args.detours.router.circuit(self.args.carrier));
        let now = At::now();
        let Some(reason) = self.diverting.cause(&self.args, now) else { return };
        let mut over = Vec::new();
        for key in self.ready.iter() {
            let Some(flight) = self.flights.get_mut(key).filter(|flight| flight.is_untouched())
            else {
                continue;
            };
            flight.leaves = way(&self.args, &flight.job, (reason, true), now);
            if flight.leaves.is_some() {
                flight.settling = true;
                over.push(*key);
            }
        }
        self.conclude(me, over);
        let (args, mut ways) = (&self.args, Vec::new());
        let jobs = self.backlog.take_if(LOOK_AT, |job| {
            let way = way(args, job, (reason, true), now);
            ways.extend(way);
            way.is_some()
        });
        let mut moves = jobs.into_iter().zip(ways);
        loop {
            let some: Vec<_> = moves.by_ref().take(LOOK_AT).collect();
            if some.is_empty() {
                return;
            }
            self.move_waiting(me, some);
        }
    }

    /// Has rows moved that nobody has an intent on.
    fn move_waiting(&self, me: &ActorRef<OwnerMsg>, moves: Vec<(Arc<Job>, Way)>) {
        let results: Vec<_> = moves
            .iter()
            .map(|(job, way)| {
                let outcome = diverts(&self.args, job, *way, None, true);
                job.result(self.args.carrier, self.args.epoch, outcome)
            })
            .collect();
        let movers = self.movers(&results, |at| moves.get(at).map(|(job, _)| &**job));
        let me = me.clone();
        let then = Then::new(move |done| {
            let moved = done.results.iter().filter(|f| matches!(f, Fate::Diverted { .. })).count();
            if let Some(movers) = movers {
                movers.announce(&done.results);
            }
            let _ = me.send_message(OwnerMsg::Moved(moved));
        });
        let work = Work { results, ..Work::default() };
        if self.args.writer.ask(work, then).is_err() {
            let carrier = &self.args.profile.name;
            tracing::warn!(%carrier, "no writer to move messages; the next owner reads them again");
        }
    }

    /// So many of what waited are another carrier's now. Of the others we are told by who has them.
    pub(super) fn moved(&mut self, moved: usize) {
        self.view.add_waiting(-i64::try_from(moved).unwrap_or(0));
    }

    fn may_divert(&self) -> bool {
        // Who is switched off does not come back by going on.
        let held = self.paused && !self.args.detours.router.is_off(self.args.carrier);
        self.recovered && self.draining.is_none() && !held
    }

    /// How long until there may be something to send elsewhere.
    pub(super) fn diverts_in(&self) -> Duration {
        if !self.may_divert() || self.backlog.in_memory() == 0 && self.ready.is_empty() {
            return Duration::MAX;
        }
        let pause = self.diverting.look_after.saturating_duration_since(Instant::now());
        match self.diverting.down_since {
            Some(since) => pause.max(self.args.detours.down_after.saturating_sub(since.elapsed())),
            None if self.diverting.breaker.open_until().is_some() => pause,
            None => Duration::MAX,
        }
    }

    /// Of these results, the messages that move.
    pub(super) fn movers<'j>(
        &self,
        results: &[HandoffResult],
        job: impl Fn(usize) -> Option<&'j Job>,
    ) -> Option<Movers> {
        let mut list = Vec::new();
        for (at, result) in results.iter().enumerate() {
            let Outcome::Divert { to, tried, .. } = &result.outcome else { continue };
            let Some(mut job) = job(at).cloned() else { continue };
            job.tried = Tried::stored(Some(tried));
            (job.attempts, job.throttled, job.due_at) = (0, None, At::now());
            list.push((at, *to, job));
        }
        let (directory, diverted) = (self.args.directory.clone(), self.diverting.diverted.clone());
        (!list.is_empty()).then_some(Movers { directory, diverted, list })
    }

    /// These came from another carrier.
    pub(super) fn diverted(&mut self, jobs: Vec<Job>) {
        self.count_announced(&jobs);
        for job in jobs {
            self.backlog.arrive(job);
        }
    }
}

impl Movers {
    /// Tells the new owners, once it is stored. One that is not there reads its rows when it starts.
    pub(super) fn announce(self, fates: &[Fate]) {
        let mut by_owner: HashMap<CarrierId, Vec<Job>> = HashMap::new();
        for (at, to, mut job) in self.list {
            if let Some(Fate::Diverted { place }) = fates.get(at) {
                job.place = *place;
                self.diverted.increment(1);
                by_owner.entry(to).or_default().push(job);
            }
        }
        for (carrier, jobs) in by_owner {
            if let Some(owner) = self.directory.find(carrier) {
                let _ = owner.send_message(OwnerMsg::Diverted(jobs));
            }
        }
    }
}

/// The way of a part to the carrier that has its text, if that is another one.
pub(super) fn to_its_text(args: &OwnerArgs, flight: &Flight, now: At) -> Option<Way> {
    let submitted = flight.job.submitted.as_deref().filter(|_| flight.slot.is_none())?;
    let (holder, has) = args.detours.router.holder(&flight.job.to, submitted, now)?;
    if holder == args.carrier {
        return None;
    }
    way(args, &flight.job, (ITS_TEXT, !has), now).filter(|way| way.to == holder)
}

/// A bind is about to be given a message for the first time.
pub(super) fn handed(args: &OwnerArgs, flight: &Flight, now: At) {
    if flight.slot.is_none()
        && let Some(submitted) = flight.job.submitted.as_deref()
    {
        args.detours.router.handed(args.carrier, &flight.job.to, submitted, now);
    }
}

/// What a bind was given, if nothing of it can have been taken: other parts of its text may leave.
pub(super) fn not_taken(args: &OwnerArgs, flight: &Flight, now: At) {
    if flight.slot.is_some()
        && flight.is_certainly_not_taken()
        && let Some(submitted) = flight.job.submitted.as_deref()
    {
        args.detours.router.refused(args.carrier, &flight.job.to, submitted, now);
    }
}

/// Whether the carrier that a message leaves had it: then it does not come back there.
fn had(job: &Job, reason: &str) -> bool {
    reason == REFUSED || job.attempts > 0 || job.throttled.is_some()
}

/// The result that moves a message.
fn diverts(
    args: &OwnerArgs,
    job: &Job,
    Way { to, reason }: Way,
    carrier_error: Option<String>,
    waiting: bool,
) -> Outcome {
    let tried = match had(job, reason) {
        true => job.tried.leaving(args.carrier),
        false => job.tried.moving(),
    };
    Outcome::Divert { to, tried: tried.to_string(), reason, carrier_error, waiting }
}

/// Another carrier for this message, in as many parts; one that can send at present, if asked for.
fn way(
    args: &OwnerArgs,
    job: &Job,
    (reason, at_present): (&'static str, bool),
    now: At,
) -> Option<Way> {
    let Detours { router, .. } = &args.detours;
    // A test message, and all that was given to a sandbox, never goes to people.
    let sandbox = job.test
        || router.is_sandbox(args.carrier)
        || [SANDBOX, SANDBOX_LIVE].contains(&&*args.profile.name);
    if sandbox || !job.tried.may_leave(had(job, reason)) || job.expires_at <= now {
        return None;
    }
    let mut tried: Vec<CarrierId> = job.tried.carriers().chain([args.carrier]).collect();
    for _ in 0..ASK_MAX {
        let asked = Asked {
            organization: job.organization,
            to: &job.to,
            from: &job.from,
            kind: SenderKind::of(&job.from),
            category: job.category,
            submitted: job.submitted.as_deref(),
            pool: job.pool,
            tried: &tried,
            now,
        };
        let found = router.elsewhere(&asked, at_present)?;
        if fits(job, args.profile.concat, found.concat) {
            return Some(Way { to: found.id, reason });
        }
        tried.push(found.id);
    }
    None
}

/// Whether a text takes as many parts there as were paid for.
fn fits(job: &Job, here: Concat, there: Concat) -> bool {
    let as_it_came = job.submitted.as_ref().is_some_and(|s| !s.user_data.is_empty());
    if here == there || as_it_came || job.segments <= 1 {
        return true;
    }
    let encoding = match job.encoding {
        model::message::Encoding::Gsm7 => split::Encoding::Gsm7,
        model::message::Encoding::Ucs2 => split::Encoding::Ucs2,
    };
    let measured = split::measure_as(&job.body, Some(encoding), there);
    measured.is_ok_and(|measured| measured.parts == usize::from(job.segments))
}
