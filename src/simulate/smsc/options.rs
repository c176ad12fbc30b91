//! The switches of the SMSC, shared by the command line and the scenarios.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use super::ids::IdFormat;
use crate::simulate::quirk::Chosen;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Receipts {
    On,
    Off,
    /// Before the `submit_sm_resp`.
    Early,
    /// After `--receipt-delay-ms`.
    Late,
    /// Each receipt two times.
    Twice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReceiptStyle {
    Text,
    Tlv,
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReceiptBind {
    Same,
    /// On another bind of the account, when there is one.
    Other,
}

#[derive(Debug, Clone, Args)]
pub struct SmscOptions {
    /// Empty: everyone is let in.
    #[arg(long, default_value = "u")]
    pub system_id: String,
    #[arg(long, default_value = "p")]
    pub password: String,
    /// A switch of `orbit simulate list`; may be given many times.
    #[arg(long = "quirk", value_name = "NAME[=VALUE]")]
    pub quirks: Vec<Chosen>,
    /// Submits a second, over all binds; what is over it is answered 0x58. 0 is no limit.
    #[arg(long, default_value_t = 0)]
    pub pace: u32,
    /// Share of submits that get a receipt.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub receipts_percent: u32,
    /// Inbound messages in all; 0 is no limit.
    #[arg(long, default_value_t = 0)]
    pub mo_count: u64,
    /// Wait before each `submit_sm_resp`.
    #[arg(long, default_value_t = 0)]
    pub answer_delay_ms: u64,
    #[arg(long, value_enum, default_value = "on")]
    pub receipts: Receipts,
    /// Wait of `--receipts late`.
    #[arg(long, default_value_t = 1000)]
    pub receipt_delay_ms: u64,
    /// Receipts also for submits that asked for none.
    #[arg(long)]
    pub receipts_unasked: bool,
    /// Share of receipts that are followed by one with an unknown id.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub foreign_ids_percent: u32,
    #[arg(long, value_enum, default_value = "dec")]
    pub id_format: IdFormat,
    #[arg(long, value_enum, default_value = "both")]
    pub receipt_style: ReceiptStyle,
    #[arg(long, value_enum, default_value = "same")]
    pub receipt_bind: ReceiptBind,
    /// Share of submits that are refused with `--error-status`.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub error_percent: u32,
    #[arg(long, default_value = "0x58", value_parser = parse_status)]
    pub error_status: u32,
    /// Close the connection in the middle of an answer after this many submits.
    #[arg(long, default_value_t = 0)]
    pub drop_every: u64,
    /// Close all connections each so many seconds.
    #[arg(long, default_value_t = 0)]
    pub flap_s: u64,
    /// How long `--flap-s` refuses connections.
    #[arg(long, default_value_t = 1)]
    pub down_s: u64,
    /// Never answer a `submit_sm`, nor send a receipt for it.
    #[arg(long)]
    pub never_answer: bool,
    /// Inbound messages per second.
    #[arg(long, default_value_t = 0)]
    pub mo_rate: u64,
    #[arg(long, default_value = "14155550100")]
    pub mo_to: String,
    /// How many `deliver_sm` of one bind may be unanswered.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub unacked_window: u32,
    /// Append a line per `submit_sm` and per `deliver_sm_resp`.
    #[arg(long)]
    pub log: Option<PathBuf>,
    /// For the choices left to chance.
    #[arg(long, default_value_t = 1)]
    pub smsc_seed: u64,
}

#[derive(Parser)]
struct Alone {
    #[command(flatten)]
    options: SmscOptions,
}

impl Default for SmscOptions {
    fn default() -> Self {
        Alone::parse_from(["smsc"]).options
    }
}

impl SmscOptions {
    pub fn answer_delay(&self) -> Duration {
        Duration::from_millis(self.answer_delay_ms)
    }

    /// From the submit to its receipt.
    pub fn receipt_delay(&self) -> Duration {
        match self.receipts {
            Receipts::Late => self.answer_delay() + Duration::from_millis(self.receipt_delay_ms),
            Receipts::Early => Duration::ZERO,
            Receipts::On | Receipts::Off | Receipts::Twice => self.answer_delay(),
        }
    }
}

/// A status in decimal, or in hexadecimal after `0x`.
pub fn parse_status(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_command_line() {
        let options = SmscOptions::default();
        assert_eq!(options.error_status, 0x58);
        assert_eq!(options.unacked_window, 500);
        assert_eq!(options.receipt_delay(), Duration::ZERO);
    }

    #[test]
    fn a_late_receipt_waits_behind_a_late_answer() {
        let options =
            SmscOptions { receipts: Receipts::Late, answer_delay_ms: 5, ..SmscOptions::default() };
        assert_eq!(options.receipt_delay(), Duration::from_millis(1005));
    }
}
