//! The gates of an organization's own policy: consent, do-not-contact, reassigned numbers, sender
//! approval, quiet hours, in this order.
//!
//! Off by default: an organization without an active policy costs one look into a map. For the
//! others, what is switched on is read for all candidates of the batch at once.
//! Tables: channel_preferences, dnc_entries, rnd_entries, sender_countries.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::address::SenderKind;
use model::carrier::OrgId;
use model::clock::At;
use model::message::Category;
use model::policy::{Approval, Policy, QuietHours};
use model::quiet;
use model::refusal::{Code, Detail, Refusal};

use super::super::Lane;
use super::Candidate;
use super::pools::Pools;
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// All messages are of this channel.
const CHANNEL: &str = "sms";
/// The channel and the state as consent stores them: SMS, opted in.
const CHANNEL_SMS: i64 = 1;
const OPTED_IN: i64 = 1;

/// An address within an organization.
type Place = (OrgId, String);

/// What the policies of one batch say, and the rows they ask for.
#[derive(Default)]
pub(super) struct PolicyGate {
    now: At,
    policies: HashMap<OrgId, Arc<Policy>>,
    /// Since when a person is known to consent.
    consented: HashMap<Place, At>,
    unwanted: HashSet<Place>,
    /// The day a number was given back.
    returned: HashMap<Place, String>,
    /// Sender and country.
    approved: HashSet<(OrgId, String, String)>,
}

impl Lane {
    pub(super) async fn open_policies(
        &mut self,
        candidates: &[Candidate<'_>],
        pools: &Pools,
        now: At,
    ) -> Result<PolicyGate, StoreError> {
        let mut gate = PolicyGate { now, ..PolicyGate::default() };
        if self.policies.is_empty() {
            return Ok(gate);
        }
        let mut asking: Vec<(&Candidate<'_>, Arc<Policy>)> = Vec::new();
        for candidate in candidates.iter().filter(|c| c.scheduled_at.is_none()) {
            if let Some(policy) = self.policies.get(&candidate.organization) {
                gate.policies.insert(candidate.organization, policy.clone());
                asking.push((candidate, policy.clone()));
            }
        }
        let asking = asking.as_slice();
        self.read_consent(asking, &mut gate).await?;
        self.read_lists(asking, &mut gate).await?;
        self.read_senders(asking, pools, &mut gate).await?;
        Ok(gate)
    }

    /// Who consents to be written to, and since when.
    async fn read_consent(
        &mut self,
        asking: &[(&Candidate<'_>, Arc<Policy>)],
        gate: &mut PolicyGate,
    ) -> Result<(), StoreError> {
        let places = places(asking, |policy, c| asks_consent(policy, c) || policy.rnd);
        let [organizations, phones] = columns(&places);
        let columns = [
            organizations,
            phones,
            Column::Int(vec![CHANNEL_SMS; places.len()]),
            Column::Int(vec![OPTED_IN; places.len()]),
        ];
        for line in self.conn.fetch(&SELECT_CONSENT, &columns).await? {
            gate.consented.insert((OrgId(line.int(0)?), line.text(1)?), At(line.int(2)?));
        }
        Ok(())
    }

    /// Who is on the organization's list, and which numbers were given back.
    async fn read_lists(
        &mut self,
        asking: &[(&Candidate<'_>, Arc<Policy>)],
        gate: &mut PolicyGate,
    ) -> Result<(), StoreError> {
        let listed = places(asking, |policy, c| policy.dnc.covers(c.category));
        for line in self.conn.fetch(&SELECT_DNC, &columns(&listed)).await? {
            gate.unwanted.insert((OrgId(line.int(0)?), line.text(1)?));
        }
        let returned = places(asking, |policy, _| policy.rnd);
        for line in self.conn.fetch(&SELECT_RND, &columns(&returned)).await? {
            gate.returned.insert((OrgId(line.int(0)?), line.text(1)?), line.text(2)?);
        }
        Ok(())
    }

    /// Which senders are approved for the countries of their recipients.
    async fn read_senders(
        &mut self,
        asking: &[(&Candidate<'_>, Arc<Policy>)],
        pools: &Pools,
        gate: &mut PolicyGate,
    ) -> Result<(), StoreError> {
        let mut wanted: Vec<(i64, &str, &str)> = Vec::new();
        for (candidate, policy) in asking {
            let senders = pools.senders_for(candidate).chain([candidate.from]);
            for sender in senders.filter(|sender| asks_approval(policy, sender)) {
                if let Some(country) = quiet::country_of(candidate.to) {
                    wanted.push((candidate.organization.0, sender, country));
                }
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        let columns = [
            Column::Int(wanted.iter().map(|w| w.0).collect()),
            Column::Text(wanted.iter().map(|w| w.1).collect()),
            Column::Text(wanted.iter().map(|w| w.2).collect()),
            Column::Int(vec![Approval::Approved.code(); wanted.len()]),
        ];
        let found = self.conn.fetch(&SELECT_APPROVED, &columns).await?;
        for line in found {
            gate.approved.insert((OrgId(line.int(0)?), line.text(1)?, line.text(2)?));
        }
        Ok(())
    }
}

/// The addresses of those candidates for whom something is asked, each once.
fn places<'a>(
    asking: &[(&Candidate<'a>, Arc<Policy>)],
    asked: impl Fn(&Policy, &Candidate<'_>) -> bool,
) -> Vec<(OrgId, &'a str)> {
    let those = asking.iter().filter(|(candidate, policy)| asked(policy, candidate));
    let mut places: Vec<_> = those.map(|(c, _)| (c.organization, c.to)).collect();
    places.sort_unstable_by_key(|(organization, phone)| (organization.0, *phone));
    places.dedup();
    places
}

fn columns<'a>(places: &[(OrgId, &'a str)]) -> [Column<'a>; 2] {
    [
        Column::Int(places.iter().map(|(organization, _)| organization.0).collect()),
        Column::Text(places.iter().map(|(_, phone)| *phone).collect()),
    ]
}

/// A one-time code answers a request of this very moment.
fn asks_consent(policy: &Policy, candidate: &Candidate<'_>) -> bool {
    policy.needs_consent(CHANNEL) && candidate.category != Category::Otp
}

fn asks_approval(policy: &Policy, sender: &str) -> bool {
    policy.approved_senders && SenderKind::of(sender) == Some(SenderKind::Alphanumeric)
}

impl PolicyGate {
    /// A time: not before it, and before all gates again then.
    pub(super) fn pass(&self, candidate: &Candidate<'_>) -> Result<Option<At>, Refusal> {
        let Some(policy) = self.policies.get(&candidate.organization) else {
            return Ok(None);
        };
        let place = (candidate.organization, candidate.to.to_owned());
        if asks_consent(policy, candidate) && !self.consented.contains_key(&place) {
            let message = "no consent of this recipient is recorded, and your policy asks for it";
            let refusal = Refusal::new(Code::ConsentRequired, message).field("to");
            return Err(refusal.detail("channel", Detail::Text(CHANNEL.to_owned())));
        }
        if policy.dnc.covers(candidate.category) && self.unwanted.contains(&place) {
            let message = "the recipient is on your do-not-contact list";
            return Err(listed(message, "org_list"));
        }
        if policy.rnd && self.is_another_person(&place) {
            let message = "the number was given back; who holds it now is somebody else";
            return Err(listed(message, "rnd"));
        }
        self.approved(candidate, candidate.from)?;
        if policy.quiet_hours.enabled && !policy.quiet_hours.exempts(candidate.category) {
            return self.quiet(&policy.quiet_hours, candidate);
        }
        Ok(None)
    }

    /// True for a number given back after its last known holder consented.
    fn is_another_person(&self, place: &Place) -> bool {
        let Some(returned_on) = self.returned.get(place) else {
            return false;
        };
        let consented_on = self.consented.get(place).map(|at| at.iso());
        consented_on.is_none_or(|day| day.get(..10) <= Some(returned_on.as_str()))
    }

    /// Whether a sender may be used for a candidate, where the policy asks for approval.
    pub(super) fn approved(&self, candidate: &Candidate<'_>, sender: &str) -> Result<(), Refusal> {
        let policy = self.policies.get(&candidate.organization);
        if !policy.is_some_and(|policy| asks_approval(policy, sender)) {
            return Ok(());
        }
        let country = quiet::country_of(candidate.to).unwrap_or_default();
        let asked = (candidate.organization, sender.to_owned(), country.to_owned());
        if self.approved.contains(&asked) {
            return Ok(());
        }
        let named = if country.is_empty() { "a number of no country" } else { country };
        let message = format!("the sender is not approved for {named}");
        let refusal = Refusal::new(Code::SenderIdNotApproved, message).field("from");
        let refusal = refusal.expected(format!("a sender approved for {named}, or a number"));
        Err(refusal.detail("country", Detail::Text(country.to_owned())))
    }

    fn quiet(&self, hours: &QuietHours, candidate: &Candidate<'_>) -> Result<Option<At>, Refusal> {
        let country = quiet::country_of(candidate.to);
        let Some(window) = hours.window(CHANNEL, country) else {
            return Ok(None);
        };
        let reading = quiet::read(&quiet::zones_of(candidate.to), window, self.now);
        if reading.allowed {
            return Ok(None);
        }
        if hours.defer && reading.next_allowed.is_some() {
            return Ok(reading.next_allowed);
        }
        let local = format!("{:02}:{:02}", reading.hour, reading.minute);
        let message = format!(
            "it is {local} in {}; messages go from {} to {} there",
            reading.zone,
            window.start(),
            window.end()
        );
        let mut refusal = Refusal::new(Code::QuietHoursBlocked, message).field("to");
        if let Some(next) = reading.next_allowed {
            refusal = refusal.detail("next_allowed_at", Detail::Text(next.iso()));
        }
        let refusal = refusal.detail("local_timezone", Detail::Text(reading.zone));
        Err(refusal.detail("local_time", Detail::Text(local)))
    }
}

fn listed(message: &'static str, source: &str) -> Refusal {
    let refusal = Refusal::new(Code::RecipientOnDnc, message).field("to");
    refusal.detail("source", Detail::Text(source.to_owned()))
}

static SELECT_CONSENT: Bulk = Bulk {
    sqlite: "select organization_id, address, updated_at from channel_preferences
         where organization_id = ?1 and address = ?2 and channel = ?3 and state = ?4",
    postgres: "select p.organization_id, p.address, p.updated_at
         from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) v (o, a, c, s)
         join channel_preferences p on p.organization_id = v.o and p.address = v.a
            and p.channel = v.c and p.state = v.s",
};

static SELECT_DNC: Bulk = Bulk {
    sqlite: "select organization_id, phone from dnc_entries
         where organization_id = ?1 and phone = ?2",
    postgres: "select d.organization_id, d.phone from unnest($1::bigint[], $2::text[]) v (o, p)
         join dnc_entries d on d.organization_id = v.o and d.phone = v.p",
};

static SELECT_RND: Bulk = Bulk {
    sqlite: "select organization_id, phone, disconnected_on from rnd_entries
         where organization_id = ?1 and phone = ?2",
    postgres: "select r.organization_id, r.phone, r.disconnected_on
         from unnest($1::bigint[], $2::text[]) v (o, p)
         join rnd_entries r on r.organization_id = v.o and r.phone = v.p",
};

static SELECT_APPROVED: Bulk = Bulk {
    sqlite: "select organization_id, sender_id, country from sender_countries
         where organization_id = ?1 and sender_id = ?2 and country = ?3 and state = ?4",
    postgres: "select c.organization_id, c.sender_id, c.country
         from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) v (o, i, l, s)
         join sender_countries c on c.organization_id = v.o and c.sender_id = v.i
            and c.country = v.l and c.state = v.s",
};
