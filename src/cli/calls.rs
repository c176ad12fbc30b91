//! `orbit calls` and `orbit cdrs`: an organization's calls and what became of their legs, by the REST
//! API, as any client would read and steer them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};

use super::Common;

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Subcommand)]
pub(crate) enum CallsCommand {
    /// The newest calls.
    List(ListArgs),
    /// One call with its legs, and what happened to it.
    Show(OneArgs),
    /// The SIP messages of a call.
    Ladder(LadderArgs),
    /// Ends a call, or gives it up while it rings.
    Hangup(OneArgs),
    /// Refuses a call to a number while it rings, as busy.
    Decline(OneArgs),
    /// Sends who is in a call to somebody else.
    Transfer(TransferArgs),
}

#[derive(Args)]
pub(crate) struct ListArgs {
    /// initiating, ringing, in_progress, completed, failed.
    #[arg(long)]
    status: Option<String>,
    /// outbound, inbound.
    #[arg(long)]
    direction: Option<String>,
    #[arg(long)]
    from: Option<String>,
    #[arg(long)]
    to: Option<String>,
    /// At most so many, up to 200.
    #[arg(long, default_value_t = 25)]
    limit: u32,
    #[command(flatten)]
    access: Access,
}

#[derive(Args)]
pub(crate) struct OneArgs {
    /// `call_…`
    id: String,
    #[command(flatten)]
    access: Access,
}

#[derive(Args)]
pub(crate) struct TransferArgs {
    /// `call_…`
    id: String,
    /// What a telephone would dial: an extension, a name, a number.
    #[arg(long, required_unless_present = "call", conflicts_with = "call")]
    to: Option<String>,
    /// Another call, `call_…`: who is left of it talks to who is left of this one.
    #[arg(long)]
    call: Option<String>,
    /// Who is sent: a who called, b who was called; the side that is not yours.
    #[arg(long)]
    leg: Option<String>,
    #[command(flatten)]
    access: Access,
}

#[derive(Args)]
pub(crate) struct LadderArgs {
    /// `call_…`
    id: String,
    /// As a picture, for a file: `orbit calls ladder ID --svg > call.svg`.
    #[arg(long)]
    svg: bool,
    #[command(flatten)]
    access: Access,
}

#[derive(Args)]
pub(crate) struct CdrArgs {
    /// Of this call, `call_…`.
    #[arg(long)]
    call: Option<String>,
    /// outbound, inbound.
    #[arg(long)]
    direction: Option<String>,
    /// At most so many, up to 200.
    #[arg(long, default_value_t = 25)]
    limit: u32,
    #[command(flatten)]
    access: Access,
}

/// Which switch, and as whom.
#[derive(Args)]
pub(crate) struct Access {
    /// API key; better in ORBIT_API_KEY, where no process list shows it. In a development folder
    /// the key of `orbit dev` is taken.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The switch, as in `http://127.0.0.1:8080`; without it that of the settings.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn run(command: CallsCommand) -> Result<()> {
    match command {
        CallsCommand::List(args) => {
            let limit = args.limit.to_string();
            let query = [
                ("status", args.status),
                ("direction", args.direction),
                ("from", args.from),
                ("to", args.to),
                ("limit", Some(limit)),
            ];
            args.access.table("/voice/calls", &query, call_line).await
        }
        CallsCommand::Show(args) => {
            let path = format!("/voice/calls/{}", args.id);
            let call = args.access.read(&path, &[]).await?;
            let events = args.access.read(&format!("{path}/events"), &[]).await?;
            let mut call = call["data"].clone();
            call["events"] = events["data"].clone();
            if args.access.common.json {
                println!("{call}");
            } else {
                println!("{}", serde_json::to_string_pretty(&call)?);
            }
            Ok(())
        }
        CallsCommand::Ladder(args) => {
            let path = format!("/voice/calls/{}/ladder", args.id);
            let form = match (args.svg, args.access.common.json) {
                (true, _) => "svg",
                (false, true) => "json",
                (false, false) => "text",
            };
            let query = [("format", Some(form.to_owned()))];
            print!("{}", args.access.get(&path, &query).await?);
            Ok(())
        }
        CallsCommand::Hangup(args) => {
            let path = format!("/voice/calls/{}/hangup", args.id);
            args.access.steer(&path, None).await
        }
        CallsCommand::Decline(args) => {
            let path = format!("/voice/calls/{}/decline", args.id);
            args.access.steer(&path, None).await
        }
        CallsCommand::Transfer(args) => {
            let path = format!("/voice/calls/{}/transfer", args.id);
            let kind = if args.call.is_some() { "attended" } else { "blind" };
            let mut body = json!({"type": kind});
            for (name, value) in [("to", args.to), ("call_id", args.call), ("leg", args.leg)] {
                if let Some(value) = value {
                    body[name] = json!(value);
                }
            }
            args.access.steer(&path, Some(&body)).await
        }
    }
}

pub(crate) async fn cdrs(args: CdrArgs) -> Result<()> {
    let query = [
        ("call_id", args.call),
        ("direction", args.direction),
        ("limit", Some(args.limit.to_string())),
    ];
    args.access.table("/voice/cdrs", &query, cdr_line).await
}

impl Access {
    /// A list, a line each.
    async fn table(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
        line: fn(&Value) -> String,
    ) -> Result<()> {
        let answer = self.read(path, query).await?;
        for row in answer["data"].as_array().into_iter().flatten() {
            if self.common.json {
                println!("{row}");
            } else {
                println!("{}", line(row));
            }
        }
        Ok(())
    }

    async fn read(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<Value> {
        Ok(serde_json::from_str(&self.get(path, query).await?)?)
    }

    async fn get(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<String> {
        self.ask(Method::GET, path, query, None).await
    }

    /// Has a call do something, and shows it.
    async fn steer(&self, path: &str, body: Option<&Value>) -> Result<()> {
        let answer = self.ask(Method::POST, path, &[], body).await?;
        let answer: Value = serde_json::from_str(&answer)?;
        let call = &answer["data"];
        println!("{}", if self.common.json { call.to_string() } else { call_line(call) });
        Ok(())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, Option<String>)],
        body: Option<&Value>,
    ) -> Result<String> {
        let settings = self.common.settings()?;
        let scheme = if settings.http.tls_cert.is_some() { "https" } else { "http" };
        let own = || format!("{scheme}://{}", settings.http.bind);
        let server = self.server.clone().unwrap_or_else(own);
        let server = if server.contains("://") { server } else { format!("http://{server}") };
        let address = format!("{}/api/v1{path}", server.trim_end_matches('/'));
        let mut url = Url::parse(&address).with_context(|| format!("--server {server}"))?;
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let key = super::send::key(&settings, self.key.clone())?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(PATIENCE).build()?;
        let mut request = client.request(method, url).header("x-api-key", key);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await;
        let response = response.with_context(|| format!("asking {server}"))?;
        let fine = response.status().is_success();
        let text = response.text().await?;
        if !fine {
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            let say = |name| answer["error"][name].as_str().unwrap_or("no reason given");
            bail!("{}: {}", say("code"), say("message"));
        }
        Ok(text)
    }
}

fn say<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or("-")
}

fn call_line(call: &Value) -> String {
    format!(
        "{}  {}  {:<8}  {:<11}  {} -> {}  {} s  {}  {}",
        say(call, "created_at"),
        say(call, "id"),
        say(call, "direction"),
        say(call, "status"),
        say(call, "from"),
        say(call, "to"),
        call["duration_seconds"],
        say(call, "cost"),
        say(call, "end_reason"),
    )
}

fn cdr_line(cdr: &Value) -> String {
    format!(
        "{}  {}  {:<4}  {:<8}  {} -> {}  {}/{} s  {}  {}",
        say(cdr, "end"),
        say(cdr, "call_id"),
        say(cdr, "kind"),
        say(cdr, "direction"),
        say(cdr, "from"),
        say(cdr, "to"),
        cdr["duration_seconds"],
        cdr["billable_seconds"],
        say(cdr, "cost"),
        say(cdr, "end_reason"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_a_call_and_a_record_came_to() {
        let call = json!({"created_at": "t", "id": "call_1", "direction": "outbound",
            "status": "failed", "from": null, "to": "+1", "duration_seconds": 0, "cost": "0.000000",
            "end_reason": "busy"});
        let line = call_line(&call);
        assert!(line.contains("call_1") && line.contains("- -> +1") && line.ends_with("busy"));
        let cdr = json!({"duration_seconds": 61, "billable_seconds": 120, "cost": "0.024000"});
        assert!(cdr_line(&cdr).contains("61/120 s  0.024000"));
    }
}
