//! Who sends and who receives (RFC 3264 §5.1, §6.1), always from one side's view.

use super::Section;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    const ALL: [Self; 4] = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];

    pub fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The first direction that the lines name.
    pub(super) fn of_section(section: &Section) -> Option<Self> {
        let values = section.lines().iter().filter(|line| line.kind == b'a');
        values.map(|line| &line.value[..]).find_map(|value| {
            Self::ALL
                .into_iter()
                .find(|direction| direction.name().as_bytes() == value.trim_ascii())
        })
    }

    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same from the other side.
    pub fn reversed(self) -> Self {
        Self::of(self.receives(), self.sends())
    }

    /// What both allow, from the same side.
    pub fn both(self, other: Self) -> Self {
        Self::of(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// Puts the direction into the lines, in the place of what they said.
    pub(super) fn write(self, section: &mut Section) {
        section.remove_attributes(|name, _| Self::ALL.iter().any(|one| one.name() == name));
        section.add_attribute(self.name().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    use super::*;

    #[test]
    fn an_offer_is_answered_as_the_standard_says() {
        for (offered, wanted, answer) in [
            (SendRecv, SendRecv, SendRecv),
            (SendOnly, SendRecv, RecvOnly),
            (RecvOnly, SendRecv, SendOnly),
            (Inactive, SendRecv, Inactive),
            (SendRecv, SendOnly, SendOnly),
            (SendOnly, SendOnly, Inactive),
            (RecvOnly, RecvOnly, Inactive),
        ] {
            assert_eq!(offered.reversed().both(wanted), answer, "{offered:?} {wanted:?}");
        }
    }

    #[test]
    fn reversing_twice_changes_nothing() {
        for direction in Direction::ALL {
            assert_eq!(direction.reversed().reversed(), direction);
            assert_eq!(Direction::of(direction.sends(), direction.receives()), direction);
        }
    }
}
