//! One file per scenario; each is a subcommand that ends by itself and gives its results.

pub(crate) mod bare;
mod bench;
pub(crate) mod calls;
pub(crate) mod caps;
pub(crate) mod carrier;
pub(crate) mod crash;
pub(crate) mod fair;
mod flow;
pub(crate) mod http;
pub(crate) mod idle;
pub(crate) mod kannel;
pub(crate) mod neighbours;
pub(crate) mod pace;
pub(crate) mod register;
pub(crate) mod rtp;
pub(crate) mod schedules;
pub(crate) mod sms;
pub(crate) mod soak;
pub(crate) mod store;
pub(crate) mod storm;
pub(crate) mod stream;
pub(crate) mod transit;
pub(crate) mod voice;
pub(crate) mod webhooks;
