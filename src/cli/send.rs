//! `orbit send`: one message by the REST API, as any client would.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::Common;
use crate::settings::Settings;

const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_MAX: usize = 1024 * 1024;

#[derive(Args)]
pub(crate) struct SendArgs {
    /// The recipient, `+` and digits.
    #[arg(long)]
    to: String,
    /// The sender; without it the default one.
    #[arg(long)]
    from: Option<String>,
    /// The text.
    #[arg(long)]
    body: String,
    /// transactional, otp, service, marketing.
    #[arg(long)]
    category: Option<String>,
    /// API key; better in ORBIT_API_KEY, where no process list shows it. In a development folder
    /// the key of `orbit dev` is taken.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Address of the switch, as in `127.0.0.1:8080`; without it that of the settings.
    #[arg(long, value_name = "ADDRESS")]
    server: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn send(args: SendArgs) -> Result<()> {
    let settings = args.common.settings()?;
    if args.server.is_none() && settings.http.tls_cert.is_some() {
        bail!("this server speaks HTTPS; send with curl, or name a plain address with --server");
    }
    let server = args.server.clone().unwrap_or_else(|| settings.http.bind.to_string());
    let server = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
    if server.starts_with("https://") {
        bail!("--server takes plain HTTP; send over HTTPS with curl");
    }
    let key = key(&settings, args.key.clone())?;
    let mut message = json!({ "to": args.to, "body": args.body });
    for (name, value) in [("from", &args.from), ("category", &args.category)] {
        if let Some(value) = value {
            message[name] = Value::from(value.as_str());
        }
    }
    let posting = post(&server, &key, message.to_string());
    let (status, answer) = tokio::time::timeout(PATIENCE, posting)
        .await
        .with_context(|| format!("{server} does not answer"))?
        .with_context(|| format!("sending to {server}"))?;
    if status != 202 {
        let text = |name| answer["error"][name].as_str().unwrap_or("no reason given");
        bail!("{}: {}", text("code"), text("message"));
    }
    if args.common.json {
        println!("{}", answer["data"]);
    } else {
        let text = |name: &str| answer["data"][name].as_str().unwrap_or_default().to_owned();
        println!("{} {}", text("id"), text("status"));
    }
    Ok(())
}

/// The key given, else that of the environment, else that of `orbit dev`.
pub(super) fn key(settings: &Settings, given: Option<String>) -> Result<String> {
    if let Some(key) = given.or_else(crate::settings::api_key) {
        return Ok(key);
    }
    let known = crate::home::Home::open(&settings.data.dir)?.read("dev-key")?;
    known.context("no API key: set ORBIT_API_KEY, or give --key")
}

async fn post(server: &str, key: &str, body: String) -> Result<(u16, Value)> {
    let stream = TcpStream::connect(server).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::post("/api/v1/messages/sms")
        .header(HOST, server)
        .header(CONTENT_TYPE, "application/json")
        .header("X-API-Key", key)
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
    connection.abort();
    Ok((status, serde_json::from_slice(&body).context("the answer is not ours")?))
}
