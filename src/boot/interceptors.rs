//! Interceptors as the settings and the store have them.

use actors::traffic::interceptors::{Interceptors, Ready};
use anyhow::{Context as _, Result};
use model::carrier::OrgId;
use model::id::{Kind, PublicId};
use model::interceptor::Rule;
use store::Store;

use crate::settings::Settings;

/// The operator's rules, and every organization's own.
pub(crate) async fn load(settings: &Settings, store: &Store) -> Result<Interceptors> {
    let rules = Interceptors::default();
    let mut operators = Vec::with_capacity(settings.interceptors.len());
    for rule in &settings.interceptors {
        let organizations = organizations(rule, store).await?;
        let ready = Ready::new(rule.clone(), organizations);
        operators
            .push(ready.map_err(|bad| anyhow::anyhow!("interceptor \"{}\": {bad}", rule.name))?);
    }
    rules.set_operators(operators);
    crate::api::load_interceptors(store, &rules).await?;
    Ok(rules)
}

async fn organizations(rule: &Rule, store: &Store) -> Result<Vec<OrgId>> {
    let mut found = Vec::with_capacity(rule.organizations.len());
    for text in &rule.organizations {
        let about = || format!("interceptor \"{}\": there is no organization {text}", rule.name);
        let id = PublicId::parse(Kind::Organization, text).with_context(about)?;
        let row = store.organization(id).await?;
        found.push(OrgId(row.with_context(about)?.id));
    }
    Ok(found)
}
