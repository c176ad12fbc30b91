//! `orbit number`: the operator's stock of phone numbers, and who has which.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Subcommand;

use super::Common;
use super::desk::print;
use crate::admin::{NumberRequest, NumbersToAdd, Request};

#[derive(Subcommand)]
pub(crate) enum NumberCommand {
    /// Puts numbers in stock, from where organizations buy them; known ones stay as they are.
    Add {
        /// E.164, as +14155550100; with `--file` none is needed.
        numbers: Vec<String>,
        /// A file with one number a line.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// ISO 3166; by the number when left out.
        #[arg(long)]
        country: Option<String>,
        /// `local`, `toll_free`, `mobile` or `short_code`.
        #[arg(long = "type", default_value = "local")]
        kind: String,
        /// Of sms, voice, mms, whatsapp, rcs.
        #[arg(long, value_delimiter = ',', default_value = "sms,voice")]
        capabilities: Vec<String>,
        /// Messages cannot be answered.
        #[arg(long)]
        sms_one_way: bool,
        /// Dollars a month.
        #[arg(long, value_name = "N")]
        monthly_usd: String,
        #[command(flatten)]
        common: Common,
    },
    /// Shows what is in stock: how many of each country, or which of one.
    Stock {
        /// ISO 3166.
        #[arg(long)]
        country: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Takes numbers that nobody has out of stock.
    Withdraw {
        #[arg(required = true)]
        numbers: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Lists an organization's numbers.
    List {
        /// `org_…`
        #[arg(long)]
        organization: String,
        #[command(flatten)]
        common: Common,
    },
}

pub(crate) async fn run(command: NumberCommand) -> Result<()> {
    let (common, request) = match command {
        NumberCommand::Add {
            mut numbers,
            file,
            country,
            kind,
            capabilities,
            sms_one_way,
            monthly_usd,
            common,
        } => {
            if let Some(file) = file {
                let text = std::fs::read_to_string(&file)
                    .with_context(|| format!("reading {}", file.display()))?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                numbers.extend(lines.map(str::to_owned));
            }
            let sms_two_way = !sms_one_way;
            let asked =
                NumbersToAdd { numbers, country, kind, capabilities, sms_two_way, monthly_usd };
            (common, NumberRequest::Add(asked))
        }
        NumberCommand::Stock { country, common } => (common, NumberRequest::Stock { country }),
        NumberCommand::Withdraw { numbers, common } => {
            (common, NumberRequest::Withdraw { numbers })
        }
        NumberCommand::List { organization, common } => {
            (common, NumberRequest::List { organization_id: organization })
        }
    };
    print(&common, Request::Number { request }).await
}
