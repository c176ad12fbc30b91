//! What becomes of a message to the sandbox: a table from the recipient's last digit.
//!
//! Pure: chance comes in as an argument. Statuses over 0x3FF are the sandbox's own, and its
//! carrier profile says what a message refused with one ends as.

use std::time::Duration;

use proto_smpp::CommandStatus;
use proto_smpp::receipt::State;

/// Ends a message as `failed`.
pub const STATUS_FAILED: CommandStatus = CommandStatus(0x400);
/// Ends a message as `blocked`.
pub const STATUS_BLOCKED: CommandStatus = CommandStatus(0x401);
/// Ends a message as `rejected`.
pub const STATUS_REJECTED: CommandStatus = CommandStatus(0x402);

/// GSM's "absent subscriber", as `err:` of an undelivered message.
const ERROR_ABSENT: u16 = 27;

/// What the SMSC does with one submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes it at once; a receipt may follow.
    Accept(Option<Report>),
    Refuse {
        after: Duration,
        status: CommandStatus,
    },
}

/// A receipt to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub after: Duration,
    pub state: State,
    pub error: u16,
    /// How often it is sent.
    pub copies: u8,
    /// The sender that the handset saw, when it is another than the message had.
    pub sender: Option<&'static str>,
}

/// The fate of a message by its recipient's last digit; anything over 9 counts as 2.
#[must_use]
pub fn behaviour(digit: u8, chance: u32) -> Behaviour {
    let report = |millis, state| Report {
        after: Duration::from_millis(millis),
        state,
        error: 0,
        copies: 1,
        sender: None,
    };
    let refuse =
        |millis, status| Behaviour::Refuse { after: Duration::from_millis(millis), status };
    let accept = |report| Behaviour::Accept(Some(report));
    match digit {
        0 => accept(Report { copies: 2, ..report(15_000, State::Delivered) }),
        1 => Behaviour::Accept(None),
        3 => accept(Report {
            error: ERROR_ABSENT,
            ..report(between(800, 1500, chance), State::Undeliverable)
        }),
        4 => refuse(between(50, 150, chance), STATUS_FAILED),
        5 => accept(report(3_000, State::Expired)),
        6 => accept(report(5_000, State::Unknown)),
        7 => refuse(200, STATUS_REJECTED),
        8 => refuse(0, STATUS_BLOCKED),
        9 => accept(Report { sender: Some("Carrier"), ..report(100, State::Delivered) }),
        _ => accept(report(between(0, 100, chance), State::Delivered)),
    }
}

/// The fate of every live message: delivered soon.
#[must_use]
pub fn deliver() -> Behaviour {
    Behaviour::Accept(Some(Report {
        after: Duration::from_millis(50),
        state: State::Delivered,
        error: 0,
        copies: 1,
        sender: None,
    }))
}

/// The last digit of an address; one that ends otherwise counts as 2.
#[must_use]
pub fn last_digit(address: &[u8]) -> u8 {
    match address.last() {
        Some(octet @ b'0'..=b'9') => octet - b'0',
        _ => 2,
    }
}

fn between(least: u64, most: u64, chance: u32) -> u64 {
    least + u64::from(chance) % (most - least + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Earliest and latest delay in milliseconds, and what then comes.
    fn seen(digit: u8) -> (u128, u128, &'static str) {
        let one = |chance| match behaviour(digit, chance) {
            Behaviour::Accept(None) => (0, "silence"),
            Behaviour::Accept(Some(report)) => (report.after.as_millis(), report.state.word()),
            Behaviour::Refuse { after, status } => {
                let name = match status.0 {
                    0x400 => "failed",
                    0x401 => "blocked",
                    0x402 => "rejected",
                    _ => "another status",
                };
                (after.as_millis(), name)
            }
        };
        let all: Vec<_> = (0..2_000).map(one).collect();
        let delays = || all.iter().map(|(delay, _)| *delay);
        assert!(all.iter().all(|(_, what)| *what == all[0].1));
        (delays().min().unwrap(), delays().max().unwrap(), all[0].1)
    }

    #[test]
    fn each_digit_does_what_the_table_says() {
        for (digit, expected) in [
            (0, (15_000, 15_000, "DELIVRD")),
            (1, (0, 0, "silence")),
            (2, (0, 100, "DELIVRD")),
            (3, (800, 1_500, "UNDELIV")),
            (4, (50, 150, "failed")),
            (5, (3_000, 3_000, "EXPIRED")),
            (6, (5_000, 5_000, "UNKNOWN")),
            (7, (200, 200, "rejected")),
            (8, (0, 0, "blocked")),
            (9, (100, 100, "DELIVRD")),
        ] {
            assert_eq!(seen(digit), expected, "digit {digit}");
        }
        assert_eq!(seen(200), seen(2));
    }

    #[test]
    fn zero_reports_twice_and_nine_under_another_name() {
        let Behaviour::Accept(Some(zero)) = behaviour(0, 0) else { panic!("0 is delivered") };
        let Behaviour::Accept(Some(nine)) = behaviour(9, 0) else { panic!("9 is delivered") };
        assert_eq!((zero.copies, zero.sender), (2, None));
        assert_eq!((nine.copies, nine.sender), (1, Some("Carrier")));
    }

    #[test]
    fn an_address_without_a_last_digit_counts_as_two() {
        assert_eq!(last_digit(b"15005550007"), 7);
        assert_eq!(last_digit(b"+15005550000"), 0);
        assert_eq!(last_digit(b"Orbit"), 2);
        assert_eq!(last_digit(b""), 2);
    }
}
