//! `orbit tail`: the log of messages, line by line, as it grows.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::Common;
use super::desk::answer;
use crate::admin::Request;
use crate::dev;

/// Between two looks at the log.
const PERIOD: Duration = Duration::from_millis(300);

#[derive(Args)]
pub(crate) struct TailArgs {
    /// Only this message, `msg_…`.
    #[arg(long, value_name = "ID")]
    message: Option<String>,
    /// Ends after so many lines.
    #[arg(long, value_name = "N")]
    lines: Option<usize>,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn tail(args: TailArgs) -> Result<()> {
    let settings = args.common.settings()?;
    let mut after = None;
    let mut left = args.lines.unwrap_or(usize::MAX);
    while left > 0 {
        let answer = answer(&settings, &Request::Tail { after }).await?;
        after = answer["after"].as_i64();
        let lines = answer["lines"].as_array().cloned().unwrap_or_default();
        let wanted = |line: &&Value| {
            args.message.as_deref().is_none_or(|id| line["message_id"].as_str() == Some(id))
        };
        for line in lines.iter().filter(wanted).take(left) {
            if args.common.json {
                println!("{line}");
            } else {
                println!("{}", dev::in_words(line));
            }
            left -= 1;
        }
        if lines.is_empty() {
            tokio::time::sleep(PERIOD).await;
        }
    }
    Ok(())
}
