//! Commands that ask the operator's desk, wherever it is.

use std::sync::Arc;

use actors::directory::Directory;
use actors::sip::credentials::Credentials;
use actors::smpp::owner::Views;
use actors::smpp::translate;
use actors::writer::{Limits, Shared, Writer, WriterArgs, WriterHandle};
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use ractor::Actor;
use serde_json::Value;
use std::time::Duration;
use store::Store;

use super::Common;
use crate::admin::{Desk, Request, ask};
use crate::boot::esmes::accounts;
use crate::boot::{SMPP_KEY, carriers, interceptors, open_store};
use crate::carriers::Book;
use crate::home::Home;
use crate::numbers::NumberBook;
use crate::settings::Settings;
use crate::sip::SipBook;
use crate::trunks::TrunkBook;
use crate::vault::Vault;

#[derive(Subcommand)]
pub(crate) enum OrgCommand {
    /// Makes an organization with a wallet and its first key, which is shown once.
    Create {
        #[arg(long)]
        name: String,
        /// Opening credit, in dollars.
        #[arg(long, default_value = "0", value_name = "N")]
        credit_usd: String,
        /// A sandbox organization: test keys only, no charges.
        #[arg(long)]
        sandbox: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Lists organizations.
    List(Common),
    /// Sets what an organization may do at most.
    Limit {
        /// `org_…`
        #[arg(long)]
        organization: String,
        /// Messages in any second over all its SMPP accounts whose own `tps` is 0; 0: no limit.
        #[arg(long, value_name = "N")]
        smpp_tps: i64,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// Makes a key, which is shown once.
    Create {
        /// `org_…`
        #[arg(long)]
        organization: String,
        /// `live` or `test`.
        #[arg(long, default_value = "live")]
        mode: String,
        /// Once per scope, such as `messages:write`; `*` for all.
        #[arg(long = "scope", default_value = "*")]
        scopes: Vec<String>,
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Revokes a key at once and for good.
    Revoke {
        /// `key_…`
        key_id: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
pub(crate) struct TopUpArgs {
    /// `org_…`
    #[arg(long)]
    organization: String,
    /// Dollars, with at most six decimals.
    #[arg(long, value_name = "N")]
    usd: String,
    #[arg(long, default_value = "top-up")]
    note: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
pub(crate) struct OrphanArgs {
    /// Only those that have waited this long: a younger one is early, and may match yet.
    #[arg(long, default_value_t = 60, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(..=31_536_000))]
    older_s: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
pub(crate) enum QueueCommand {
    /// Shows what waits for each carrier.
    Show(Common),
    /// Begins no new hand-offs to a carrier; what is under way ends. Outlives a restart.
    Pause {
        carrier: String,
        #[command(flatten)]
        common: Common,
    },
    /// Ends a pause.
    Resume {
        carrier: String,
        #[command(flatten)]
        common: Common,
    },
    /// Finishes what is under way at a carrier and unbinds, until the next start.
    Drain {
        carrier: String,
        #[command(flatten)]
        common: Common,
    },
}

pub(crate) async fn org(command: OrgCommand) -> Result<()> {
    match command {
        OrgCommand::Create { name, credit_usd, sandbox, common } => {
            print(&common, Request::CreateOrganization { name, credit_usd, sandbox }).await
        }
        OrgCommand::List(common) => print(&common, Request::ListOrganizations).await,
        OrgCommand::Limit { organization: organization_id, smpp_tps, common } => {
            print(&common, Request::LimitOrganization { organization_id, smpp_tps }).await
        }
    }
}

pub(crate) async fn key(command: KeyCommand) -> Result<()> {
    match command {
        KeyCommand::Create { organization, mode, scopes, name, common } => {
            let organization_id = organization;
            print(&common, Request::CreateKey { organization_id, mode, scopes, name }).await
        }
        KeyCommand::Revoke { key_id, common } => {
            print(&common, Request::RevokeKey { key_id }).await
        }
    }
}

pub(crate) async fn top_up(args: TopUpArgs) -> Result<()> {
    let TopUpArgs { organization: organization_id, usd, note, common } = args;
    print(&common, Request::TopUp { organization_id, usd, note }).await
}

pub(crate) async fn queue(command: QueueCommand) -> Result<()> {
    let (common, request) = match command {
        QueueCommand::Show(common) => (common, Request::Queues),
        QueueCommand::Pause { carrier, common } => {
            (common, Request::Pause { carrier, paused: true })
        }
        QueueCommand::Resume { carrier, common } => {
            (common, Request::Pause { carrier, paused: false })
        }
        QueueCommand::Drain { carrier, common } => (common, Request::Drain { carrier }),
    };
    let settings = common.settings()?;
    let home = Home::open(&settings.data.dir)?;
    if home.try_lock()?.is_some() {
        bail!("no switch serves {}: start one with `orbit serve`", settings.data.dir.display());
    }
    show(&common, through_socket(&home, &request).await?);
    Ok(())
}

pub(crate) async fn orphans(args: OrphanArgs) -> Result<()> {
    print(&args.common, Request::Orphans { older_s: args.older_s, below: None }).await
}

pub(crate) async fn quarantine(common: &Common) -> Result<()> {
    print(common, Request::Quarantine { below: None }).await
}

pub(super) async fn print(common: &Common, request: Request) -> Result<()> {
    let answer = answer(&common.settings()?, &request).await?;
    show(common, answer);
    Ok(())
}

/// Asks the running switch, or does the work on the store when none runs.
pub(crate) async fn answer(settings: &Settings, request: &Request) -> Result<Value> {
    let home = Home::open(&settings.data.dir)?;
    let lock = home.try_lock()?;
    if lock.is_none() {
        return through_socket(&home, request).await;
    }
    let store = Box::pin(open_store(settings)).await?;
    let shared = Arc::new(Shared::new(Limits { accepts_max: 1, backlog_per_organization_max: 1 }));
    let args = WriterArgs {
        store: store.clone(),
        alternatives: translate::alternatives,
        exclusive: false,
        shared: shared.clone(),
        carriers: Directory::default(),
        batch_max: 1,
        batch_wait: Duration::ZERO,
    };
    let (writer, ended) = Actor::spawn(None, Writer, args).await?;
    let key = home.secret(SMPP_KEY)?;
    let vault = Vault::open_with(&settings.secrets, &home)?;
    let accounts = Box::pin(accounts(settings, key, vault.clone(), &store)).await?;
    let writer_handle = WriterHandle::new(shared);
    let trunks = TrunkBook::new(settings, store.clone(), writer_handle.clone(), vault.clone());
    let numbers = NumberBook::new(settings, store.clone(), writer_handle.clone(), vault);
    let desk = Desk::new(store.clone(), writer_handle.clone(), None, Views::default(), accounts);
    let phones =
        SipBook::new(settings, store.clone(), writer_handle.clone(), Credentials::default());
    let desk = desk.registering(phones).trunking(trunks).numbering(numbers);
    let mut desk = desk.intercepted(interceptors::load(settings, &store).await?);
    let seals = matches!(
        request,
        Request::Carrier { .. } | Request::AddSmppAccount { .. } | Request::SetSmppAccount { .. }
    );
    if seals {
        desk = desk.keeping(Box::pin(resting(settings, &home, &store, &writer_handle)).await?);
    }
    let answer = Box::pin(desk.answer(request.clone())).await;
    writer.stop(None);
    ended.await?;
    store.close().await;
    drop(lock);
    match answer {
        Ok(answer) => Ok(answer),
        Err(refusal) => bail!("{}: {}", refusal.code.as_str(), refusal.message),
    }
}

/// The carriers as they are stored: nothing of them runs here.
async fn resting(
    settings: &Settings,
    home: &Home,
    store: &Store,
    writer: &WriterHandle,
) -> Result<Book> {
    let ids = carriers::identify(store, &carriers::names(settings)).await?;
    let filed = carriers::filed(settings, &ids, store).await?;
    let vault = Vault::open_with(&settings.secrets, home)?;
    Ok(Book::new(settings.clone(), store.clone(), writer.clone(), vault, filed, None))
}

async fn through_socket(home: &Home, request: &Request) -> Result<Value> {
    match ask(&home.socket(), request).await? {
        Ok(answer) => Ok(answer),
        Err(refusal) => bail!("{refusal}"),
    }
}

/// JSON as it is, or names and values for people.
fn show(common: &Common, answer: Value) {
    if common.json {
        println!("{answer}");
        return;
    }
    match answer {
        Value::Array(rows) if rows.is_empty() => println!("none"),
        Value::Array(rows) => {
            for row in rows {
                println!("{}", in_words(&row, "  "));
            }
        }
        other => println!("{}", in_words(&other, "\n")),
    }
}

fn in_words(value: &Value, between: &str) -> String {
    let Value::Object(fields) = value else { return value.to_string() };
    let fields: Vec<String> = fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}: {text}"),
            other => format!("{name}: {other}"),
        })
        .collect();
    fields.join(between)
}
