//! Tells an organization when its carrier can take messages, and when it cannot any more.
//!
//! The first change is told at once, further ones at most so often: a carrier that flaps every
//! second fills no log. What is told is how it stands then.

use std::time::Duration;

use model::event::EventKind;
use serde_json::json;
use store::lane::{Admin, Work};
use tokio::time::Instant;

use super::OwnerState;
use crate::writer::Then;

/// Between two tellings.
const EVERY: Duration = Duration::from_secs(30);

/// What was told last.
pub(super) struct Told {
    up: bool,
    next: Instant,
}

impl Default for Told {
    fn default() -> Self {
        Self { up: false, next: Instant::now() }
    }
}

impl OwnerState {
    pub(super) fn tell_binds(&mut self) {
        let up = self.slots.iter().any(|slot| slot.up && slot.transmits);
        if up == self.told.up || Instant::now() < self.told.next || self.leaving {
            return;
        }
        let Some((organization, carrier_id)) = &self.args.profile.link.told else { return };
        let why = Some(self.view.last_error()).filter(|why| !up && !why.is_empty());
        let detail = json!({
            "carrier_id": carrier_id,
            "bound": self.slots.iter().filter(|slot| slot.up).count(),
            "binds": self.slots.len(),
            "last_error": why,
        });
        let kind = if up { EventKind::BindUp } else { EventKind::BindDown };
        let (organization, detail) = (*organization, detail.to_string());
        let admin = vec![Admin::Tell { organization, kind, detail }];
        if self.args.writer.ask(Work { admin, ..Work::default() }, Then::new(|_| {})).is_ok() {
            self.told = Told { up, next: Instant::now() + EVERY };
        }
    }
}
