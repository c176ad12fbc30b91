//! Phones and calls: `[sip] [emergency]`.

use model::emergency::{self, EXTRA_DIGITS};
use model::sip;
use serde::{Deserialize, Serialize};

use super::Faults;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sip {
    pub domain: String,
    pub credentials_per_organization_max: u32,
}

impl Sip {
    pub(super) fn check(&self, faults: &mut Faults) {
        let expected = "a domain in lower case, as sip.example.com";
        faults.unless(sip::is_domain(&self.domain), "sip", "domain", expected);
        let most = u64::from(self.credentials_per_organization_max);
        faults.range(most, 0..=1_000_000, "sip", "credentials_per_organization_max");
    }
}

/// Numbers that are never called.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    pub extra_codes: Vec<String>,
}

impl Emergency {
    #[must_use]
    pub fn matcher(&self) -> emergency::Emergency {
        emergency::Emergency::new(&self.extra_codes)
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        let fits = self.extra_codes.iter().all(|code| emergency::is_code(code));
        let (least, most) = (EXTRA_DIGITS.start(), EXTRA_DIGITS.end());
        let expected = format!("a list of codes of {least} to {most} digits");
        faults.unless(fits, "emergency", "extra_codes", &expected);
    }
}
