//! The operator's desk: accounts, queues, orphans, the live log.
//!
//! One request, one answer, in JSON. A command that gets the data folder's lock does its work on
//! the store itself; while a switch runs, its socket `<data>/admin.sock` (mode 0600) takes the
//! same requests. On PostgreSQL accounts are written to the database either way.

mod carriers;
mod desk;
mod interceptors;
mod numbers;
mod pools;
mod route;
mod senders;
mod sip;
mod smpp;
mod socket;
mod trunks;

use model::api_key::Mode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use carriers::CarrierRequest;
pub use desk::Desk;
pub use interceptors::Trial;
pub use numbers::{NumberRequest, NumbersToAdd};
pub use pools::PoolRequest;
pub use sip::{SipDesk, SipRequest};
pub(crate) use socket::{ask, listen};
pub use trunks::TrunkRequest;

/// What an operator can ask.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    CreateOrganization {
        name: String,
        /// Dollars, as decimal text.
        credit_usd: String,
        sandbox: bool,
    },
    ListOrganizations,
    CreateKey {
        organization_id: String,
        mode: String,
        scopes: Vec<String>,
        name: String,
    },
    RevokeKey {
        key_id: String,
    },
    TopUp {
        organization_id: String,
        usd: String,
        note: String,
    },
    /// Makes an SMPP account with what is usual; its password is shown once.
    AddSmppAccount {
        organization_id: String,
        system_id: String,
        /// None: one is made.
        password: Option<String>,
        mode: String,
        /// As the API takes them; what is left out is as usual.
        #[serde(default)]
        fields: Map<String, Value>,
    },
    ListSmppAccounts,
    /// The operator's rules on messages, and those of an organization.
    Interceptors {
        organization_id: Option<String>,
    },
    /// What they would do.
    TestInterceptors {
        trial: Trial,
    },
    /// Of the platform's carriers.
    Carrier {
        request: CarrierRequest,
    },
    /// Of an organization's sender pools.
    Pool {
        organization_id: String,
        request: PoolRequest,
    },
    /// Of an organization's SIP credentials.
    Sip {
        organization_id: String,
        request: SipRequest,
    },
    /// Of an organization's SIP trunks; of those of the settings file without one.
    Trunk {
        organization_id: Option<String>,
        request: TrunkRequest,
    },
    /// Of the operator's stock of phone numbers.
    Number {
        request: NumberRequest,
    },
    ShowSmppAccount {
        system_id: String,
    },
    /// Changes what is given, as the API takes it.
    SetSmppAccount {
        system_id: String,
        fields: Map<String, Value>,
    },
    /// Another password, shown once.
    RotateSmppPassword {
        system_id: String,
    },
    RemoveSmppAccount {
        system_id: String,
    },
    /// The pace of an organization's SMPP accounts that have none of their own.
    LimitOrganization {
        organization_id: String,
        smpp_tps: i64,
    },
    Queues,
    Pause {
        carrier: String,
        paused: bool,
    },
    Drain {
        carrier: String,
    },
    /// The log above `after`; without it, where the log ends now.
    Tail {
        after: Option<i64>,
    },
    /// Receipts that have waited this long for their message.
    Orphans {
        older_s: u64,
        below: Option<i64>,
    },
    Quarantine {
        below: Option<i64>,
    },
    /// Where a live message would go, and why nowhere else.
    SimulateRoute {
        organization_id: String,
        to: String,
        from: Option<String>,
        category: Option<String>,
    },
    /// Who is shut out of SIP.
    SipBans,
    SipUnban {
        address: String,
    },
    /// Senders that wait for approval.
    Senders,
    /// Approves or rejects a sender for a country.
    DecideSender {
        id: String,
        country: String,
        approved: bool,
        reason: Option<String>,
    },
}

/// A key's text, once.
#[derive(Debug)]
pub(crate) struct Minted {
    pub(crate) text: String,
    pub(crate) key: store::lane::NewKey,
}

/// Makes a key from the system's randomness.
pub(crate) fn mint(mode: Mode, scopes: &str, name: &str) -> Minted {
    let text = model::api_key::mint(mode, rand::random());
    let key = store::lane::NewKey {
        id: model::id::PublicId::new(model::clock::At::now()),
        hash: model::api_key::hash(&text),
        mode,
        scopes: scopes.to_owned(),
        name: name.to_owned(),
        last4: model::api_key::last4(&text).to_owned(),
    };
    Minted { text, key }
}
