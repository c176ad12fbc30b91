//! SIP in the switch: who may register and call.
//!
//! The wire, transactions and digest are `proto-sip`'s; what is here knows rows and time.

pub mod credentials;
