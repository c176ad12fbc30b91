//! One file per scenario; each is a subcommand that ends by itself and gives its results.

pub(crate) mod bare;
pub(crate) mod caps;
pub(crate) mod carrier;
pub(crate) mod crash;
mod flow;
pub(crate) mod http;
pub(crate) mod kannel;
pub(crate) mod schedules;
pub(crate) mod sms;
pub(crate) mod store;
pub(crate) mod stream;
pub(crate) mod webhooks;
