//! The store: what the switch has promised, on SQLite or PostgreSQL.
//!
//! Two ways in. [`Lane`] is the one writer: batches of work, one transaction each, spoken to each
//! database in its own best way. [`Store`] reads: one SQL text for both databases, tenants through
//! [`Store::tenant`]. No column leaves this crate, and no other crate names sqlx.

mod accounts;
mod batches;
mod bulk;
mod calls;
mod caps;
mod carriers;
mod compliance;
mod copier;
mod disk;
mod error;
mod interceptors;
mod json;
pub mod lane;
mod ledger;
mod log;
mod messages;
mod numbers;
mod open;
mod outbox;
mod policies;
mod pools;
mod protection;
mod proxy;
mod reading;
mod recordings;
mod retention;
mod routing;
mod schedules;
mod schema;
mod sip;
mod smpp;
mod sweeps;
mod templates;
#[cfg(feature = "testing")]
pub mod testing;
mod trunks;
mod webhooks;

pub use accounts::{KeyRow, OrganizationRow};
pub use batches::{BatchCount, BatchMoney, BatchRow};
pub use calls::{CallFilter, CallRow, CdrRange, CdrRow, LadderRow};
pub use caps::{CapRow, CapStanding};
pub use carriers::{AccountRow, RunnableRow, SmppCarrierRow, SmppCredentialRow};
pub use compliance::{ConsentRow, DueReplyRow, ImportRow, PreferenceRow, SuppressionRow};
pub use disk::{Disk, Flush};
pub use error::StoreError;
pub use interceptors::InterceptorRow;
pub use lane::Lane;
pub use ledger::{Account, Imbalance, TransferKind, TransferRow, Wallet};
pub use log::{LogFilter, LoggedRow};
pub use messages::{DroppedRow, EventRow, Filter, MessageRow, OrphanRow, QuarantineRow, TailRow};
pub use numbers::{NumberFilter, NumberRouteRow, NumberRow, StockCountRow, StockFilter, StockRow};
pub use open::{Options, Store, Tenant};
pub use outbox::{BacklogRow, WaitingRow};
pub use policies::{DncRow, ListedRow, PendingSenderRow, PolicyRow, SenderCountryRow, SenderRow};
pub use pools::{PoolRow, PoolUseRow};
pub use proxy::ProxySessionRow;
pub use recordings::{RecordingFileRow, RecordingRow, RecordingSettingsRow};
pub use retention::{AgedCall, AgedLine, AgedMessage, AgedRow, SpentRun};
pub use routing::RoutingRow;
pub use schedules::{ChangeRow, DueRow, KeyedRow, Mark};
pub use sip::{SipBindingRow, SipCredentialRow, SipListedRow};
pub use smpp::{AskedRow, OwedRow, SmppAccountRow, SubmittedRow};
pub use sweeps::SweepRow;
pub use templates::{TemplateFilter, TemplateRow};
pub use trunks::{TrunkListedRow, TrunkRow};
pub use webhooks::{AttemptRow, DeliveryRow, LogRange, LoggedEvent, PendingRow, WebhookRow};

/// Declares a row struct read by column name, from either database.
macro_rules! row {
    ($(#[$doc:meta])* $vis:vis struct $name:ident { $($(#[$fdoc:meta])* $fvis:vis $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        $vis struct $name { $($(#[$fdoc])* $fvis $field: $type,)+ }

        impl sqlx::FromRow<'_, sqlx::any::AnyRow> for $name {
            fn from_row(row: &sqlx::any::AnyRow) -> Result<Self, sqlx::Error> {
                use sqlx::Row as _;
                Ok(Self { $($field: row.try_get(stringify!($field))?,)+ })
            }
        }
    };
}
pub(crate) use row;
