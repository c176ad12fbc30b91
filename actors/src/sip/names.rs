//! What names stand for: the places of their services ([`srv`]) or addresses, asked for beside the actors and
//! remembered for a while.
//!
//! No actor waits for a resolver. What is remembered is there at once; for anything else a task asks, with
//! a time-out, and tells the actor. The machine's resolver says nothing of how long an answer holds, so all
//! hold equally long, and that a name leads nowhere holds briefly. While no answer comes, an old one counts
//! for an hour. A name is asked for once at a time, and so many names at once: a resolver that hangs costs
//! no more than that. An organization has its share of them, and all together leave room for the operator's
//! names: who names servers that never answer waits for them alone.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::carrier::OrgId;
use rand::RngExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::srv::{self, Record, Services, Spot};
use super::trunks::Trunks;
use crate::customer::webhook::guard::Lookup;
use crate::gate::{Gate, Permit, Urgency};

/// How long it holds that a name leads nowhere, or that no answer came.
const NOTHING: Duration = Duration::from_secs(10);
/// How long an old answer counts while there is no newer one.
const OLD: Duration = Duration::from_secs(3_600);

/// A place that did not answer is tried after the others of its name for so long.
const SILENT: Duration = Duration::from_secs(60);
/// So many are remembered.
const SILENT_MAX: usize = 1_000;

/// Places of a name, as they were found; empty: it leads nowhere.
pub type Found = Arc<[Spot]>;

/// How names are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Names that are remembered.
    pub names_max: usize,
    /// Questions that wait for the resolver at once.
    pub asks_max: usize,
    /// Those of one organization.
    pub asks_each_max: usize,
    /// How long an answer may take.
    pub patience: Duration,
    /// How long an answer holds.
    pub keep: Duration,
}

/// The names. A clone is the same.
#[derive(Clone)]
pub struct Names(Arc<Inner>);

struct Inner {
    lookup: Lookup,
    /// None: no name has services.
    services: Option<Services>,
    limits: Limits,
    asks: Gate,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<Box<str>, Known>,
    /// Questions under way, and where their answers come.
    asked: HashMap<Box<str>, watch::Receiver<Option<Found>>>,
    /// Since when places did not answer.
    silent: HashMap<SocketAddr, Instant>,
    /// How many of them each organization has asked.
    askers: HashMap<OrgId, usize>,
}

struct Known {
    found: Found,
    /// It need not be asked for before.
    until: Instant,
    /// It counts no longer, whatever the resolver does.
    old: Instant,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn key(name: &str) -> Box<str> {
    name.trim_end_matches('.').to_ascii_lowercase().into()
}

impl Names {
    #[must_use]
    pub fn new(lookup: Lookup, limits: Limits) -> Self {
        Self::serving(lookup, None, limits)
    }

    /// Names that are asked for their services too.
    #[must_use]
    pub fn serving(lookup: Lookup, services: Option<Services>, limits: Limits) -> Self {
        let asks = Gate::new(limits.asks_max);
        Self(Arc::new(Inner { lookup, services, limits, asks, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to try, in this order: by priority and weight, and what did not answer lately after all others.
    #[must_use]
    pub fn places(&self, found: &[Spot], port: u16) -> Vec<SocketAddr> {
        let ordered = srv::in_order(found, |all| rand::rng().random_range(0..=all));
        let mut places: Vec<SocketAddr> = ordered.iter().map(|spot| spot.place(port)).collect();
        if places.len() > 1 {
            let (moment, state) = (now(), self.state());
            let is_silent = |place: &SocketAddr| {
                state.silent.get(place).is_some_and(|since| *since + SILENT > moment)
            };
            places.sort_by_key(is_silent);
        }
        places
    }

    /// A place did not answer.
    pub fn failed(&self, place: SocketAddr) {
        let (moment, mut state) = (now(), self.state());
        if state.silent.len() >= SILENT_MAX {
            state.silent.retain(|_, since| *since + SILENT > moment);
        }
        if state.silent.len() < SILENT_MAX {
            state.silent.insert(place, moment);
        }
    }

    /// A place has answered.
    pub fn answered(&self, place: SocketAddr) {
        self.state().silent.remove(&place);
    }

    /// What is known of a name; `None`: it has to be asked for.
    #[must_use]
    pub fn known(&self, name: &str) -> Option<Found> {
        let state = self.state();
        let known = state.known.get(&key(name)).filter(|known| known.until > now())?;
        Some(Arc::clone(&known.found))
    }

    /// Asks for a name of an organization's, or of the operator's, no longer than a question may take.
    pub async fn find(&self, name: &str, asker: Option<OrgId>) -> Found {
        let key = key(name);
        if let Some(found) = self.known(&key) {
            return found;
        }
        let Some(mut answer) = self.ask(&key, asker) else { return self.old(&key) };
        let waiting = async {
            let found = answer.wait_for(Option::is_some).await.ok()?;
            found.clone()
        };
        match tokio::time::timeout(self.0.limits.patience, waiting).await {
            Ok(Some(found)) => found,
            _ => {
                // Who asks next does not wait as long for nothing.
                let found = self.old(&key);
                self.remember(key, &found, NOTHING);
                found
            }
        }
    }

    /// Asks where the operator's trunks are that are known by name, all at once.
    pub async fn learn(&self, trunks: &Trunks) {
        let mut asking = JoinSet::new();
        for name in trunks.names_to_ask(now()) {
            let names = self.clone();
            asking.spawn(async move { (names.find(&name, None).await, name) });
        }
        while let Some(asked) = asking.join_next().await {
            if let Ok((found, name)) = asked {
                let addresses = found.iter().map(|spot| spot.ip).collect();
                trunks.learned(name, addresses, now());
            }
        }
    }

    /// What was known before, as long as that counts.
    fn old(&self, key: &str) -> Found {
        let state = self.state();
        let old = state.known.get(key).filter(|known| known.old > now());
        old.map(|known| Arc::clone(&known.found)).unwrap_or_default()
    }

    /// Where the answer of a question comes, which others may have asked before; none: too many are
    /// under way.
    fn ask(&self, key: &str, asker: Option<OrgId>) -> Option<watch::Receiver<Option<Found>>> {
        let mut state = self.state();
        if let Some(answer) = state.asked.get(key) {
            return Some(answer.clone());
        }
        let count = asker.and_then(|asker| state.askers.get(&asker)).copied().unwrap_or_default();
        let urgency = if asker.is_some() { Urgency::Bulk } else { Urgency::Urgent };
        let permit = self.0.asks.enter(1, urgency).ok();
        let Some(permit) = permit.filter(|_| count < self.0.limits.asks_each_max.max(1)) else {
            metrics::counter!("orbit_sip_names_total", "outcome" => "full").increment(1);
            return None;
        };
        let (said, answer) = watch::channel(None);
        state.asked.insert(key.into(), answer.clone());
        if let Some(asker) = asker {
            state.askers.insert(asker, count + 1);
        }
        drop(state);
        let asking = Asking { names: self.clone(), key: key.into(), asker, _permit: permit };
        // It ends with its answer, not with who asked: a question cannot be taken back from the resolver.
        tokio::spawn(asking.ask(said));
        Some(answer)
    }

    /// Asks for a name, or for its service and where that is.
    async fn look_up(&self, key: &str) -> Found {
        let (service, name) = srv::parts(key);
        let lookup = &self.0.lookup;
        // A name of one word is the machine's own: no name server knows it.
        let service = service.filter(|_| name.contains('.'));
        let services = service.and_then(|service| Some((service, self.0.services.as_ref()?)));
        let Some((service, services)) = services else {
            return plain(lookup(name.to_owned()).await);
        };
        // Most names have no records: nobody waits for that first.
        let asked = services(format!("{service}.{name}"));
        // Who waits for the whole gets the addresses, if no server says whether there are records.
        let asked = tokio::time::timeout(self.0.limits.patience / 2, asked);
        let (records, addresses) = tokio::join!(asked, lookup(name.to_owned()));
        let records = records.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match records {
            Ok(records) if !records.is_empty() => self.served(srv::first(records)).await,
            // Who does not say whether there are records says nothing new.
            Err(_) if !self.old(key).is_empty() => Found::default(),
            Ok(_) | Err(_) => plain(addresses),
        }
    }

    /// The addresses of what records name.
    async fn served(&self, records: Vec<Record>) -> Found {
        let mut asking = JoinSet::new();
        for (place, record) in (0_u8..).zip(records) {
            let addresses = (self.0.lookup)(record.target.clone());
            asking.spawn(async move {
                let addresses = addresses.await.unwrap_or_default().into_iter();
                addresses.map(|ip| Spot::of(ip, &record, place)).collect::<Vec<_>>()
            });
        }
        let mut found = Vec::new();
        while let Some(some) = asking.join_next().await {
            found.extend(some.unwrap_or_default());
        }
        found.into()
    }

    fn remember(&self, key: Box<str>, found: &Found, keep: Duration) {
        let (moment, mut state) = (now(), self.state());
        let known = &mut state.known;
        if known.len() >= self.0.limits.names_max && !known.contains_key(&key) {
            known.retain(|_, known| known.until > moment);
            if known.len() >= self.0.limits.names_max
                && let Some(any) = known.keys().next().cloned()
            {
                known.remove(&any);
            }
        }
        let old = match known.get(&key) {
            Some(before) if keep == NOTHING => before.old,
            _ if keep == NOTHING => moment,
            _ => moment + OLD.max(keep),
        };
        known.insert(key, Known { found: Arc::clone(found), until: moment + keep, old });
    }
}

fn plain(addresses: io::Result<Vec<IpAddr>>) -> Found {
    addresses.unwrap_or_default().into_iter().map(Spot::at).collect()
}

/// A question under way; it is over when this is dropped, whatever becomes of its task.
struct Asking {
    names: Names,
    key: Box<str>,
    asker: Option<OrgId>,
    _permit: Permit,
}

impl Asking {
    async fn ask(self, said: watch::Sender<Option<Found>>) {
        let (names, key) = (&self.names, &self.key);
        let found = names.look_up(key).await;
        let outcome = if found.is_empty() { "nowhere" } else { "found" };
        metrics::counter!("orbit_sip_names_total", "outcome" => outcome).increment(1);
        let found = if found.is_empty() {
            let old = names.old(key);
            names.remember(key.clone(), &old, NOTHING);
            old
        } else {
            names.remember(key.clone(), &found, names.0.limits.keep);
            found
        };
        drop(self);
        let _ = said.send(Some(found));
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut state = self.names.state();
        state.asked.remove(&self.key);
        if let Some(asker) = self.asker
            && let Some(count) = state.askers.get_mut(&asker)
        {
            *count -= 1;
            if *count == 0 {
                state.askers.remove(&asker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const LIMITS: Limits = Limits {
        names_max: 3,
        asks_max: 2,
        asks_each_max: 2,
        patience: Duration::from_secs(2),
        keep: Duration::from_secs(60),
    };

    /// A resolver that gives these in turn; nothing: it never answers.
    fn resolver(answers: &[Option<&[&str]>]) -> (Lookup, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let answers: Vec<Option<Vec<IpAddr>>> = answers
            .iter()
            .map(|one| one.map(|all| all.iter().map(|text| text.parse().unwrap()).collect()))
            .collect();
        let lookup: Lookup = Arc::new(move |_| {
            let answer =
                answers[count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone();
            Box::pin(async move {
                match answer {
                    Some(found) => Ok(found),
                    None => std::future::pending().await,
                }
            })
        });
        (lookup, asked)
    }

    fn text(found: &Found) -> Vec<String> {
        found.iter().map(ToString::to_string).collect()
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_a_while_and_nothing_for_less() {
        let answers: [Option<&[&str]>; 3] = [Some(&["192.0.2.1"]), Some(&[]), Some(&["::1"])];
        let (lookup, asked) = resolver(&answers);
        let names = Names::new(lookup, LIMITS);
        assert!(names.known("a.example").is_none());
        assert_eq!(text(&names.find("A.example.", None).await), ["192.0.2.1"]);
        assert_eq!(text(&names.known("a.example").unwrap()), ["192.0.2.1"]);
        pass(59).await;
        assert_eq!(
            (names.find("a.example", None).await.len(), asked.load(Ordering::SeqCst)),
            (1, 1)
        );
        assert!(names.find("b.example", None).await.is_empty());
        assert!(names.find("b.example", None).await.is_empty());
        assert_eq!(asked.load(Ordering::SeqCst), 2, "that it leads nowhere is remembered");
        pass(11).await;
        assert_eq!(text(&names.find("b.example", None).await), ["::1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn while_nobody_answers_an_old_answer_counts_and_nobody_waits_twice() {
        let answers: [Option<&[&str]>; 2] = [Some(&["192.0.2.1"]), None];
        let (lookup, asked) = resolver(&answers);
        let names = Names::new(lookup, LIMITS);
        names.find("a.example", None).await;
        pass(61).await;
        let begun = now();
        let (one, other) =
            tokio::join!(names.find("a.example", None), names.find("a.example", None));
        assert_eq!(
            (text(&one), text(&other)),
            (vec!["192.0.2.1".into()], vec!["192.0.2.1".into()])
        );
        assert_eq!(now() - begun, LIMITS.patience);
        assert_eq!(asked.load(Ordering::SeqCst), 2, "both asked one question");
        let begun = now();
        assert_eq!(text(&names.find("a.example", None).await), ["192.0.2.1"]);
        assert_eq!(now(), begun);
        pass(3_600).await;
        assert!(names.find("a.example", None).await.is_empty(), "it is too old");
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_questions_wait_and_so_many_names_are_remembered() {
        let (lookup, asked) = resolver(&[None]);
        let names = Names::new(lookup, LIMITS);
        let begun = now();
        tokio::join!(names.find("a", None), names.find("b", None));
        assert_eq!(now() - begun, LIMITS.patience);
        pass(11).await;
        let begun = now();
        assert!(names.find("c", None).await.is_empty());
        assert_eq!((now(), asked.load(Ordering::SeqCst)), (begun, 2), "there is no room to ask");
        let (lookup, _) = resolver(&[Some(&["192.0.2.1"])]);
        let names = Names::new(lookup, LIMITS);
        for name in ["a", "b", "c", "d", "e"] {
            names.find(name, None).await;
            assert!(names.known(name).is_some() && names.state().known.len() <= 3, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_late_is_remembered() {
        let go = Arc::new(Notify::new());
        let waits = Arc::clone(&go);
        let names = Names::new(
            Arc::new(move |_| {
                let waits = Arc::clone(&waits);
                Box::pin(async move {
                    waits.notified().await;
                    Ok(vec!["192.0.2.1".parse().unwrap()])
                })
            }),
            LIMITS,
        );
        assert!(names.find("a", None).await.is_empty());
        go.notify_one();
        pass(1).await;
        tokio::task::yield_now().await;
        assert_eq!(text(&names.known("a").unwrap()), ["192.0.2.1"]);
        assert!(names.state().asked.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_names_what_never_answers_leaves_room_for_others_and_for_the_operator() {
        let (lookup, asked) = resolver(&[None]);
        let limits = Limits { asks_max: 10, asks_each_max: 3, ..LIMITS };
        let names = Names::new(lookup, limits);
        let asks = |owner: Option<i64>| {
            let before = asked.load(Ordering::SeqCst);
            let (names, asked) = (names.clone(), Arc::clone(&asked));
            async move {
                for at in 0..20 {
                    let (names, asker) = (names.clone(), owner.map(OrgId));
                    let name = format!("{at}.{owner:?}.example");
                    tokio::spawn(async move { names.find(&name, asker).await });
                }
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                asked.load(Ordering::SeqCst) - before
            }
        };
        let mut counts = Vec::new();
        for owner in [Some(1), Some(2), Some(3), Some(4), None] {
            counts.push(asks(owner).await);
        }
        assert_eq!(counts, [3, 3, 3, 0, 1], "a share each, and the last place is the operator's");
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_is_free_again_when_its_answers_are_there() {
        let (lookup, asked) = resolver(&[Some(&["192.0.2.1"])]);
        let names = Names::new(lookup, Limits { asks_each_max: 1, ..LIMITS });
        for name in ["a", "b"] {
            assert_eq!(names.find(name, Some(OrgId(1))).await.len(), 1);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert!(names.state().askers.is_empty());
    }

    /// A name server that has these records for each service, or is away.
    fn services(records: Option<&[(u16, u16, &str)]>) -> Services {
        let records = records.map(|records| {
            let record = |(priority, port, target): &(u16, u16, &str)| Record {
                priority: *priority,
                weight: 0,
                port: *port,
                target: (*target).to_owned(),
            };
            records.iter().map(record).collect::<Vec<_>>()
        });
        Arc::new(move |_| {
            let records = records.clone();
            Box::pin(async move { records.ok_or_else(|| io::Error::other("no server answers")) })
        })
    }

    /// Each name is at an address of its length.
    fn by_length() -> Lookup {
        Arc::new(|name| {
            let last = u8::try_from(name.len()).unwrap();
            Box::pin(async move { Ok(vec![IpAddr::from([192, 0, 2, last])]) })
        })
    }

    fn at(names: &Names, found: &Found) -> Vec<String> {
        names.places(found, 5_060).iter().map(ToString::to_string).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_is_where_its_records_say_and_else_where_its_name_is() {
        let both = [(20, 5_062, "bb"), (10, 5_061, "a")];
        let names = Names::serving(by_length(), Some(services(Some(&both))), LIMITS);
        let found = names.find("_sip._udp/x.example", None).await;
        assert_eq!(at(&names, &found), ["192.0.2.1:5061", "192.0.2.2:5062"]);
        let plain = names.find("x.example", None).await;
        assert_eq!(at(&names, &plain), ["192.0.2.9:5060"], "with a port there are no records");
        let gone = Names::serving(by_length(), Some(services(Some(&[(1, 1, "")]))), LIMITS);
        assert!(
            gone.find("_sip._udp/x.example", None).await.is_empty(),
            "there is no such service"
        );
        let silent: Services = Arc::new(|_| Box::pin(std::future::pending()));
        let silent = Names::serving(by_length(), Some(silent), LIMITS);
        let found = silent.find("_sip._udp/x.example", None).await;
        assert_eq!(at(&silent, &found), ["192.0.2.9:5060"], "no server answers");
        for none in [Some(&[][..]), None] {
            let names = Names::serving(by_length(), Some(services(none)), LIMITS);
            let found = names.find("_sip._udp/x.example", None).await;
            assert_eq!(at(&names, &found), ["192.0.2.9:5060"]);
        }
        let names = Names::new(by_length(), LIMITS);
        let found = names.find("_sips._tcp/x.example", None).await;
        assert_eq!(at(&names, &found), ["192.0.2.9:5060"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_does_not_answer_is_tried_after_the_others_for_a_while() {
        let both = [(10, 5_061, "a"), (20, 5_062, "bb")];
        let names = Names::serving(by_length(), Some(services(Some(&both))), LIMITS);
        let found = names.find("_sip._udp/x.example", None).await;
        let (first, second) = ("192.0.2.1:5061", "192.0.2.2:5062");
        names.failed(first.parse().unwrap());
        assert_eq!(at(&names, &found), [second, first]);
        names.failed(second.parse().unwrap());
        assert_eq!(at(&names, &found), [first, second], "all are tried");
        names.answered(second.parse().unwrap());
        assert_eq!(at(&names, &found), [second, first]);
        pass(61).await;
        assert_eq!(at(&names, &found), [first, second]);
    }
}
