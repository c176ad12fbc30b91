//! What a call is: its states, its end, its legs, what it costs, and what bounds it.
//!
//! The public status has five values; why a call ended is beside it, in words of ours that map to
//! SIP statuses and to the causes of Q.850. Money is by leg: a leg's tariff says how its seconds are
//! rounded up. All of it is pure; the lane decides by it, so that no actor can charge otherwise.

mod bounds;
mod end;
mod facts;
mod ladder;
mod leg;
mod rates;
mod recording;
mod status;
mod tariff;

pub use bounds::{Bounds, Pace, Turn};
pub use end::EndReason;
pub use facts::Facts;
pub use ladder::{
    LADDER_MESSAGES_MAX, LadderMessage, OCTETS_MAX, pack, pack_one, redacted, unpack,
};
pub use leg::{Charge, Leg, Quality, charge, read_legs, write_legs};
pub use rates::{Rated, VoiceRates};
pub use recording::{
    Announcement, ConsentMode, Demand, Jurisdictions, RecordingFault, RecordingSettings,
    RecordingStatus,
};
pub use status::{Attest, CallStatus, HangupBy, LegKind, Transport};
pub use tariff::{Tariff, whole_seconds};
