//! What a carrier account is like: where it is, how fast it may be fed, and its habits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::carrier::OrgId;
use model::message::{Category, Status};
use model::refusal::MessageError;
use proto_smpp::BindKind;
use proto_smpp::pdu::bind::VERSION_34;
use proto_smpp::split::Concat;
use tokio::io::DuplexStream;

use super::quirks::Quirks;
use super::tls::Tls;
use super::translate::Dialect;
use crate::customer::webhook::guard::Networks;

/// Opens an in-memory connection; `None` while its other side is not there.
pub type Pipe = Arc<dyn Fn() -> Option<DuplexStream> + Send + Sync>;

/// Where binds connect to.
#[derive(Clone)]
pub enum Endpoint {
    Tcp {
        host: String,
        port: u16,
        tls: Option<Tls>,
        /// Public addresses and these networks alone; `None`: wherever the name leads.
        only: Option<Networks>,
    },
    /// Our own SMSC in this process.
    Pipe(Pipe),
}

/// A status of this carrier's own and what it ends a message as.
pub type VendorStatus = (u32, Status, Option<MessageError>);

/// One carrier account.
#[derive(Clone)]
pub struct Profile {
    pub name: Arc<str>,
    pub endpoint: Endpoint,
    pub system_id: String,
    pub password: String,
    pub system_type: String,
    pub connections: usize,
    /// Unanswered submits per connection.
    pub window: usize,
    /// Over all connections, in any sliding second; 0 for no limit.
    pub tps: usize,
    pub concat: Concat,
    pub dialect: Dialect,
    /// Tell the carrier how long it may try.
    pub validity_period: bool,
    /// Who gets inbound messages that nobody else claims.
    pub organization: Option<OrgId>,
    pub vendor_statuses: &'static [VendorStatus],
    /// After this a message without a receipt is given up waiting for.
    pub receipt_timeout: Duration,
    pub timers: Timers,
    pub retry: Retry,
    pub doubt: Doubt,
    pub link: Link,
    pub quirks: Quirks,
    /// A digest of all that was said of it: of two profiles of one account the same if they are.
    pub made_of: [u8; 32],
}

/// How an account is bound, and whom that is told.
#[derive(Clone, Debug)]
pub struct Link {
    pub mode: BindMode,
    pub interface_version: u8,
    /// The organization whose log says when it is up and down, and what it calls the carrier.
    pub told: Option<(OrgId, String)>,
}

impl Default for Link {
    fn default() -> Self {
        Self { mode: BindMode::Transceiver, interface_version: VERSION_34, told: None }
    }
}

/// Which binds one connection of the settings stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindMode {
    Transceiver,
    /// A pair: submits go by the one, receipts and inbound messages come by the other.
    TransmitterReceiver,
    /// Nothing comes back but answers.
    Transmitter,
}

impl Profile {
    /// The binds of the account, in the order of their slots.
    #[must_use]
    pub fn binds(&self) -> Vec<BindKind> {
        let of_one: &[BindKind] = match self.link.mode {
            BindMode::Transceiver => &[BindKind::Transceiver],
            BindMode::TransmitterReceiver => &[BindKind::Transmitter, BindKind::Receiver],
            BindMode::Transmitter => &[BindKind::Transmitter],
        };
        (0..self.connections).flat_map(|_| of_one).copied().collect()
    }

    /// Whether an account that runs by `other` runs by this as well.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        self.made_of == other.made_of
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Timers {
    pub enquire_link: Duration,
    pub response: Duration,
    /// A carrier that takes nothing of what it is sent for so long is gone.
    pub write: Duration,
    pub bind: Duration,
    pub reconnect_min: Duration,
    pub reconnect_max: Duration,
    /// The least rest after our name or password was refused.
    pub locked_out: Duration,
    /// The least rest while the carrier still holds an earlier connection of ours.
    pub already_bound: Duration,
    /// The peer's requests that may wait for our answer.
    pub inbound_window: usize,
}

/// How often a refused submit is tried.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    pub attempts: i64,
    pub base: Duration,
    /// How long a throttling carrier is tried for.
    pub throttled_for: Duration,
}

/// What is done about a submit that was never answered.
#[derive(Clone, Copy, Debug)]
pub struct Doubt {
    pub wait: Duration,
    /// Sends in all, the first among them; past it the answer is waited for no more.
    pub tries: i64,
    pub otp: WhenInDoubt,
    pub transactional: WhenInDoubt,
    pub service: WhenInDoubt,
    pub marketing: WhenInDoubt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenInDoubt {
    /// Better twice than never.
    Resend,
    /// Better never than twice.
    GiveUp,
}

impl Doubt {
    #[must_use]
    pub fn decide(&self, category: Category) -> WhenInDoubt {
        match category {
            Category::Otp => self.otp,
            Category::Transactional => self.transactional,
            Category::Service => self.service,
            Category::Marketing => self.marketing,
        }
    }

    /// A one-time code is of no use after the wait, so it does not wait.
    #[must_use]
    pub fn wait(&self, category: Category) -> Duration {
        if category == Category::Otp { Duration::ZERO } else { self.wait }
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("name", &self.name)
            .field("system_id", &self.system_id)
            .field("connections", &self.connections)
            .field("window", &self.window)
            .field("tps", &self.tps)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Pipe(_) => f.write_str("in process"),
        }
    }
}
