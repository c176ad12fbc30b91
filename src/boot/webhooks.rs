//! What delivers webhooks, made from the settings.

use std::sync::Arc;
use std::time::Duration;

use actors::customer::feed::Feed;
use actors::customer::webhook::guard::system_lookup;
use actors::customer::webhook::sender::Sender;
use actors::customer::webhook::{Plan, Tools};
use actors::writer::WriterHandle;
use anyhow::Result;
use store::Store;
use supervisors::customers::{CustomersArgs, CustomersHandle};
use supervisors::restart::Policy;

use crate::settings::Webhooks;

const HOUR: Duration = Duration::from_secs(3_600);

fn hours(count: u64) -> Duration {
    HOUR.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

pub(super) fn customers(
    webhooks: &Webhooks,
    store: &Store,
    writer: &WriterHandle,
    feed: &Feed,
    handle: &CustomersHandle,
) -> Result<CustomersArgs> {
    let timeout = Duration::from_secs(webhooks.timeout_s);
    let tools = Tools {
        store: store.clone(),
        writer: writer.clone(),
        feed: feed.clone(),
        sender: Sender::new(webhooks.networks(), system_lookup(), timeout)?,
        plan: Arc::new(plan(webhooks)),
    };
    let keep = hours(webhooks.log_days.saturating_mul(24));
    Ok(CustomersArgs { tools, handle: handle.clone(), keep, policy: Policy::BRANCH })
}

fn plan(webhooks: &Webhooks) -> Plan {
    Plan {
        delays: webhooks.retry_delays_s.iter().copied().map(Duration::from_secs).collect(),
        in_flight_max: webhooks.in_flight_max,
        expire_after: hours(webhooks.expire_h),
        disable_after: hours(webhooks.disable_after_h),
        ..Plan::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn the_settings_are_the_plan_and_the_defaults_are_the_documented_ones() {
        let load = |pairs: &[(&str, &str)]| {
            let owned = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Settings::load(None, owned.collect(), Vec::new()).map(|settings| settings.webhooks)
        };
        let defaults = plan(&load(&[]).unwrap());
        let documented = Plan::default();
        assert_eq!(defaults.delays, documented.delays);
        assert_eq!(defaults.in_flight_max, documented.in_flight_max);
        assert_eq!(defaults.expire_after, documented.expire_after);
        assert_eq!(defaults.disable_after, documented.disable_after);
        let other = load(&[
            ("ORBIT__WEBHOOKS__IN_FLIGHT_MAX", "3"),
            ("ORBIT__WEBHOOKS__EXPIRE_H", "5"),
            ("ORBIT__WEBHOOKS__DISABLE_AFTER_H", "7"),
        ]);
        let other = plan(&other.unwrap());
        assert_eq!((other.in_flight_max, other.expire_after), (3, hours(5)));
        assert_eq!(other.disable_after, hours(7));
        assert!(load(&[("ORBIT__WEBHOOKS__TIMEOUT_S", "0")]).is_err());
    }
}
