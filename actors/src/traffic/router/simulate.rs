//! Where a message would go, and what became of every carrier on the way: nothing is counted, kept or
//! probed.

use std::sync::Arc;

use model::carrier::CarrierId;
use model::country::country_of;
use model::route::{NetworkSource, Passed, RouteNote};

use super::choose::Plan;
use super::pulse::Standing;
use super::{Asked, Memory, Router, TRIED_MAX, Wish};

/// A way as it would be taken now.
#[derive(Clone, Debug)]
pub struct Simulation {
    pub country: Option<&'static str>,
    pub mccmnc: Option<String>,
    pub network: NetworkSource,
    /// The place of the organization's rule that decides.
    pub rule: Option<usize>,
    /// `None`: no carrier takes it.
    pub note: Option<RouteNote>,
    /// The chosen one, and those it would be tried at after it.
    pub ways: Vec<CarrierId>,
    /// The organization's own carriers and the platform's.
    pub candidates: Vec<Seen>,
}

/// One carrier, and what became of it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub id: CarrierId,
    pub name: Arc<str>,
    /// The organization's own.
    pub own: bool,
    pub verdict: Verdict,
    /// How it stands.
    pub standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Chosen,
    /// Tried when those before it do not take the message.
    Alternate,
    /// It could take it; others go before.
    Behind,
    /// The organization has carriers of its own for this destination.
    BehindOwn,
    /// The organization's rule does not name it.
    NotInRule,
    Passed(Passed),
}

impl Verdict {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Alternate => "alternate",
            Self::Behind => "behind",
            Self::BehindOwn => "behind_own_carriers",
            Self::NotInRule => "not_in_rule",
            Self::Passed(why) => why.as_str(),
        }
    }
}

impl Router {
    #[must_use]
    pub fn simulate(&self, asked: &Asked<'_>) -> Simulation {
        let (table, memory) = (self.table(), Memory::default());
        let mut tried: Vec<CarrierId> = asked.tried.to_vec();
        let (mccmnc, network) = self.network(&table, asked, true);
        let wish =
            Wish { only: table.only(asked), ..asked.wish((mccmnc.as_deref(), network), true) };
        let (mut note, mut ways) = (None, Vec::new());
        while ways.len() < TRIED_MAX
            && let Ok(choice) = table.way(&Wish { tried: &tried, ..wish }, &memory)
        {
            note = note.or(Some(choice.note));
            ways.push(choice.id);
            tried.push(choice.id);
        }
        let country = table.country(&wish);
        let ruled = table.rule(&wish, country);
        let plan = ruled.map_or(Plan::Usual, |(_, ruled)| Plan::Rule(ruled));
        let by_own = note.is_some_and(|note| note.reason.starts_with("organization_carrier"));
        let sandboxes = [table.routes.sandbox, table.routes.sandbox_live];
        let mut candidates = Vec::new();
        for (at, carrier) in table.routes.carriers.iter().enumerate() {
            let own = carrier.organization == Some(asked.organization);
            if !own && carrier.organization.is_some() || sandboxes.contains(&Some(carrier.id)) {
                continue;
            }
            let looked = table.look(at, plan, &wish, country, true);
            let verdict = match (ways.iter().position(|way| *way == carrier.id), &looked) {
                (Some(0), _) => Verdict::Chosen,
                (Some(_), _) => Verdict::Alternate,
                (None, _) if ruled.is_some_and(|(_, ruled)| !ruled.carriers.contains(&at)) => {
                    Verdict::NotInRule
                }
                (None, Err(why)) => Verdict::Passed(*why),
                (None, Ok(_)) if by_own && !own => Verdict::BehindOwn,
                (None, Ok(_)) => Verdict::Behind,
            };
            let standing = table.entries[at].pulse.standing(asked.now);
            let (id, name) = (carrier.id, Arc::clone(&carrier.name));
            candidates.push(Seen { id, name, own, verdict, standing });
        }
        Simulation {
            country: country_of(asked.digits()),
            mccmnc: wish.mccmnc.map(str::to_owned),
            network: wish.network,
            rule: ruled.map(|(at, _)| at),
            note,
            ways,
            candidates,
        }
    }
}
