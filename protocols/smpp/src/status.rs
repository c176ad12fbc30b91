//! Command statuses, SMPP 3.4 §5.1.3.
//!
//! A newtype over the wire's number, so that a vendor's status (0x400–0x4FF and others) passes
//! through unchanged. Names are the specification's, without `ESME_R`.

use std::fmt;

/// How a request went: the third word of a response's header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct CommandStatus(pub u32);

macro_rules! statuses {
    ($($name:ident = $value:literal, $about:literal;)*) => {
        impl CommandStatus {
            $(#[doc = $about] pub const $name: Self = Self($value);)*

            /// The name in the specification without its prefix, or `unknown`.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($value => stringify!($name),)*
                    _ => "unknown",
                }
            }

            /// What it means, in words; empty when unknown.
            pub const fn about(self) -> &'static str {
                match self.0 {
                    $($value => $about,)*
                    _ => "",
                }
            }
        }
    };
}

statuses! {
    OK = 0x00, "no error";
    INVMSGLEN = 0x01, "message length is invalid";
    INVCMDLEN = 0x02, "command length is invalid";
    INVCMDID = 0x03, "invalid command id";
    INVBNDSTS = 0x04, "incorrect bind status for the command";
    ALYBND = 0x05, "already in bound state";
    INVPRTFLG = 0x06, "invalid priority flag";
    INVREGDLVFLG = 0x07, "invalid registered delivery flag";
    SYSERR = 0x08, "system error";
    INVSRCADR = 0x0A, "invalid source address";
    INVDSTADR = 0x0B, "invalid destination address";
    INVMSGID = 0x0C, "message id is invalid";
    BINDFAIL = 0x0D, "bind failed";
    INVPASWD = 0x0E, "invalid password";
    INVSYSID = 0x0F, "invalid system id";
    CANCELFAIL = 0x11, "cancel_sm failed";
    REPLACEFAIL = 0x13, "replace_sm failed";
    MSGQFUL = 0x14, "message queue full";
    INVSERTYP = 0x15, "invalid service type";
    INVNUMDESTS = 0x33, "invalid number of destinations";
    INVDLNAME = 0x34, "invalid distribution list name";
    INVDESTFLAG = 0x40, "destination flag is invalid";
    INVSUBREP = 0x42, "submit with replace is not supported or not allowed";
    INVESMCLASS = 0x43, "invalid esm_class";
    CNTSUBDL = 0x44, "cannot submit to the distribution list";
    SUBMITFAIL = 0x45, "submit_sm or submit_multi failed";
    INVSRCTON = 0x48, "invalid source address ton";
    INVSRCNPI = 0x49, "invalid source address npi";
    INVDSTTON = 0x50, "invalid destination address ton";
    INVDSTNPI = 0x51, "invalid destination address npi";
    INVSYSTYP = 0x53, "invalid system type";
    INVREPFLAG = 0x54, "invalid replace_if_present flag";
    INVNUMMSGS = 0x55, "invalid number of messages";
    THROTTLED = 0x58, "throttled: the allowed message limit is exceeded";
    INVSCHED = 0x61, "invalid scheduled delivery time";
    INVEXPIRY = 0x62, "invalid validity period";
    INVDFTMSGID = 0x63, "predefined message id is invalid or not found";
    X_T_APPN = 0x64, "receiver temporary application error";
    X_P_APPN = 0x65, "receiver permanent application error";
    X_R_APPN = 0x66, "receiver rejects the message";
    QUERYFAIL = 0x67, "query_sm failed";
    INVOPTPARSTREAM = 0xC0, "error in the optional part of the pdu";
    OPTPARNOTALLWD = 0xC1, "optional parameter not allowed";
    INVPARLEN = 0xC2, "invalid parameter length";
    MISSINGOPTPARAM = 0xC3, "expected optional parameter is missing";
    INVOPTPARAMVAL = 0xC4, "invalid optional parameter value";
    DELIVERYFAILURE = 0xFE, "delivery failure";
    UNKNOWNERR = 0xFF, "unknown error";
}

impl CommandStatus {
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "unknown" => write!(f, "status 0x{:08x}", self.0),
            name => f.write_str(name),
        }
    }
}

impl fmt::Display for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_status_keeps_its_number() {
        assert_eq!(CommandStatus(0x410).to_string(), "status 0x00000410");
        assert_eq!(CommandStatus(0x58), CommandStatus::THROTTLED);
        assert_eq!(CommandStatus::X_T_APPN.0, 0x64);
        assert_eq!(CommandStatus::ALYBND.name(), "ALYBND");
    }
}
