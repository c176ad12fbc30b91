//! The carriers that a message has left, as its outbox row keeps them.

use std::fmt;

use model::carrier::CarrierId;

use crate::traffic::router::TRIED_MAX;

/// How often a message may go on from a carrier that never had it.
const MOVES_MAX: u8 = 8;

/// At most all but the last that it may be tried at. Those where it only waited are counted, not
/// listed: it may come back to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    left: [i64; TRIED_MAX - 1],
    count: usize,
    /// How often it went on without having been with the carrier it left.
    moves: u8,
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
        let (list, moves) = list.split_once('~').unwrap_or((list, "0"));
        match moves.parse() {
            Ok(moves) => tried.moves = moves,
            Err(_) => tried.stays = true,
        }
        for number in list.split(',').filter(|number| !number.is_empty()) {
            match number.parse() {
                Ok(number) => tried.push(number),
                Err(_) => tried.stays = true,
            }
        }
        tried
    }

    /// Moved on from a carrier where it only waited.
    #[must_use]
    pub fn moving(mut self) -> Self {
        self.moves = self.moves.saturating_add(1);
        self
    }

    /// With one more that had it.
    #[must_use]
    pub fn leaving(mut self, carrier: CarrierId) -> Self {
        self.push(carrier.0);
        self
    }

    pub fn stay(&mut self) {
        self.stays = true;
    }

    /// Whether it may leave its carrier, which had it or where it only waited.
    #[must_use]
    pub fn may_leave(&self, had: bool) -> bool {
        let more = if had { self.count < self.left.len() } else { self.moves < MOVES_MAX };
        !self.stays && more
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
        if self.moves > 0 {
            write!(f, "~{}", self.moves)?;
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
        assert!(tried.may_leave(true) && tried.is_first());
        tried = tried.leaving(CarrierId(7));
        assert!(tried.may_leave(true) && !tried.is_first());
        tried = tried.leaving(CarrierId(12));
        assert!(!tried.may_leave(true), "the third is the last");
        assert_eq!(tried.to_string(), "7,12");
        assert_eq!(Tried::stored(Some("7,12")), tried);
        assert_eq!(tried.carriers().map(|id| id.0).collect::<Vec<_>>(), [7, 12]);
        assert_eq!(Tried::stored(None), Tried::default());
    }

    #[test]
    fn where_it_only_waited_is_counted_and_not_listed() {
        let mut tried = Tried::default().leaving(CarrierId(7)).moving();
        assert_eq!(tried.to_string(), "7~1");
        assert_eq!(Tried::stored(Some("7~1")), tried);
        assert_eq!(tried.carriers().collect::<Vec<_>>(), [CarrierId(7)]);
        tried = tried.leaving(CarrierId(8));
        assert!(!tried.may_leave(true) && tried.may_leave(false), "a third never had it");
        for _ in 1..MOVES_MAX {
            assert!(tried.may_leave(false));
            tried = tried.moving();
        }
        assert!(!tried.may_leave(false), "not for ever");
        assert_eq!(Tried::stored(Some(&tried.to_string())), tried);
    }

    #[test]
    fn what_was_in_doubt_stays() {
        let mut tried = Tried::default().leaving(CarrierId(7));
        tried.stay();
        assert_eq!(tried.to_string(), "7!");
        for text in ["7!", "!", "x", "1,2,3", "7~x", "~300", "7~1!"] {
            let tried = Tried::stored(Some(text));
            assert!(!tried.may_leave(true) && !tried.may_leave(false), "{text}");
        }
    }
}
