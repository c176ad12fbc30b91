//! The carriers that a message has left, as its outbox row keeps them.

use std::fmt;

use model::carrier::CarrierId;

use crate::traffic::router::TRIED_MAX;

/// At most all but the last that it may be tried at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    left: [i64; TRIED_MAX - 1],
    count: usize,
    /// It was in doubt once: elsewhere it might be the second one.
    stays: bool,
}

impl Tried {
    /// From a row; what cannot be read counts as a message that stays.
    #[must_use]
    pub fn stored(text: Option<&str>) -> Self {
        let mut tried = Self::default();
        let Some(text) = text else { return tried };
        let (list, stays) = match text.strip_suffix('!') {
            Some(list) => (list, true),
            None => (text, false),
        };
        tried.stays = stays;
        for number in list.split(',').filter(|number| !number.is_empty()) {
            match number.parse() {
                Ok(number) => tried.push(number),
                Err(_) => tried.stays = true,
            }
        }
        tried
    }

    /// With one more that it leaves.
    #[must_use]
    pub fn leaving(mut self, carrier: CarrierId) -> Self {
        self.push(carrier.0);
        self
    }

    pub fn stay(&mut self) {
        self.stays = true;
    }

    /// Whether it may leave the carrier that has it.
    #[must_use]
    pub fn may_leave(&self) -> bool {
        !self.stays && self.count < self.left.len()
    }

    /// Whether that would be the first time.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.count == 0
    }

    pub fn carriers(&self) -> impl Iterator<Item = CarrierId> + '_ {
        self.left[..self.count].iter().map(|number| CarrierId(*number))
    }

    fn push(&mut self, number: i64) {
        match self.left.get_mut(self.count) {
            Some(place) => {
                *place = number;
                self.count += 1;
            }
            None => self.stays = true,
        }
    }
}

/// As it is stored.
impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, carrier) in self.carriers().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{}", carrier.0)?;
        }
        f.write_str(if self.stays { "!" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_again() {
        let mut tried = Tried::default();
        assert!(tried.may_leave() && tried.is_first());
        tried = tried.leaving(CarrierId(7));
        assert!(tried.may_leave() && !tried.is_first());
        tried = tried.leaving(CarrierId(12));
        assert!(!tried.may_leave(), "the third is the last");
        assert_eq!(tried.to_string(), "7,12");
        assert_eq!(Tried::stored(Some("7,12")), tried);
        assert_eq!(tried.carriers().map(|id| id.0).collect::<Vec<_>>(), [7, 12]);
        assert_eq!(Tried::stored(None), Tried::default());
    }

    #[test]
    fn what_was_in_doubt_stays() {
        let mut tried = Tried::default().leaving(CarrierId(7));
        tried.stay();
        assert_eq!(tried.to_string(), "7!");
        for text in ["7!", "!", "x", "1,2,3"] {
            assert!(!Tried::stored(Some(text)).may_leave(), "{text}");
        }
    }
}
