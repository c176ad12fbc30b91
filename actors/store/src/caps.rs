//! Frequency caps as read: an organization's rules, and how one address stands with them.
//! Tables: cap_rules, cap_hits.

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// One rule.
    pub struct CapRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub name: String,
        pub channel: Option<String>,
        pub category: Option<i64>,
        pub max_count: i64,
        pub window_s: i64,
        pub created_at: i64,
        pub updated_at: i64,
        pub disabled_at: Option<i64>,
    }
}

/// How one address stands with one rule.
#[derive(Clone, Debug)]
pub struct CapStanding {
    pub rule: CapRow,
    /// Messages within the window.
    pub count: i64,
    /// When there is room again; `None`: there is room.
    pub free_at: Option<At>,
}

row! {
    struct Count {
        count: i64,
    }
}

row! {
    struct Moment {
        accepted_at: i64,
    }
}

impl Store {
    /// The rules of an organization below `before`, newest first.
    pub async fn cap_rules(
        &self,
        organization: OrgId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<CapRow>, StoreError> {
        let sql = "select id, public_id, name, channel, category, max_count, window_s, created_at,
                updated_at, disabled_at
            from cap_rules where organization_id = $1 and id < $2 and deleted_at is null
            order by id desc limit $3";
        let query = sqlx::query_as(sql).bind(organization.0).bind(before).bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn cap_rule(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<CapRow>, StoreError> {
        let sql = "select id, public_id, name, channel, category, max_count, window_s, created_at,
                updated_at, disabled_at
            from cap_rules where organization_id = $1 and public_id = $2 and deleted_at is null";
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// How an address stands with each rule in force, by live or by test messages.
    pub async fn cap_standings(
        &self,
        organization: OrgId,
        address: &str,
        test: bool,
        now: At,
    ) -> Result<Vec<CapStanding>, StoreError> {
        let rules = self.cap_rules(organization, i64::MAX, 1_000).await?;
        let mut standings = Vec::with_capacity(rules.len());
        for rule in rules.into_iter().filter(|rule| rule.disabled_at.is_none()) {
            let window = rule.window_s.saturating_mul(1_000_000);
            let (test, after) = (i64::from(test), now.0.saturating_sub(window));
            let sql = "select count(*) as count from cap_hits where organization_id = $1
                and rule_id = $2 and test_mode = $3 and address = $4 and accepted_at > $5";
            let query = sqlx::query_as(sql).bind(organization.0).bind(rule.id).bind(test);
            let query = query.bind(address.to_owned()).bind(after);
            let count = self.one_of(organization, query).await?.map_or(0, |row: Count| row.count);
            let mut free_at = None;
            if count >= rule.max_count {
                let sql = "select accepted_at from cap_hits where organization_id = $1
                    and rule_id = $2 and test_mode = $3 and address = $4 and accepted_at > $5
                    order by accepted_at desc limit 1 offset $6";
                let query = sqlx::query_as(sql).bind(organization.0).bind(rule.id).bind(test);
                let query = query.bind(address.to_owned()).bind(after).bind(rule.max_count - 1);
                let hit: Option<Moment> = self.one_of(organization, query).await?;
                free_at = hit.map(|hit| At(hit.accepted_at.saturating_add(window)));
            }
            standings.push(CapStanding { rule, count, free_at });
        }
        Ok(standings)
    }
}
