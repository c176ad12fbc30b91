//! The interfaces of other gateways, for those who move in: `[compatibility]`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Faults, some_address};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Compatibility {
    pub kannel: bool,
    /// A port of its own; none: on the HTTP port.
    #[serde(deserialize_with = "some_address")]
    pub kannel_bind: Option<SocketAddr>,
    pub jasmin: bool,
    #[serde(deserialize_with = "some_address")]
    pub jasmin_bind: Option<SocketAddr>,
}

impl Compatibility {
    pub(super) fn check(&self, faults: &mut Faults) {
        let doors = [
            (self.kannel, self.kannel_bind, "kannel_bind"),
            (self.jasmin, self.jasmin_bind, "jasmin_bind"),
        ];
        for (on, bind, key) in doors {
            let expected = "empty while its interface is off";
            faults.unless(on || bind.is_none(), "compatibility", key, expected);
        }
    }
}
