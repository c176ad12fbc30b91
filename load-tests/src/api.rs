//! Reads what the switch says of messages and money, as any customer would.
//!
//! All knowledge of the shapes of its answers is here.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::client::Client;

const PAGE: usize = 200;
/// A list that never ends is a fault, not a reason to go on.
const PAGES_MAX: usize = 50_000;

const IN_FLIGHT: [&str; 4] = ["scheduled", "queued", "sending", "sent"];
const FINAL: [&str; 8] = [
    "delivered",
    "submitted_no_receipt",
    "undelivered",
    "failed",
    "rejected",
    "expired",
    "blocked",
    "cancelled",
];

pub(crate) struct Api {
    client: Client,
    key: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) status: String,
    /// The first word of the text.
    pub(crate) token: String,
    /// From accepted to delivered.
    pub(crate) delivery_micros: Option<u64>,
    pub(crate) price_micros: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) available_micros: i64,
    pub(crate) held_micros: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) kind: String,
    pub(crate) message_id: Option<String>,
    pub(crate) amount_micros: i64,
}

impl Message {
    pub(crate) fn is_final(&self) -> bool {
        FINAL.contains(&self.status.as_str())
    }
}

impl Transaction {
    /// What it does to the money available and held; `None` for a kind that moves none.
    pub(crate) fn effect(&self) -> Option<Balance> {
        let amount = self.amount_micros.abs();
        let (available_micros, held_micros) = match self.kind.as_str() {
            "top_up" => (amount, 0),
            "hold" => (-amount, amount),
            "settle" => (0, -amount),
            "release" | "void" => (amount, -amount),
            _ => return None,
        };
        Some(Balance { available_micros, held_micros })
    }
}

impl std::iter::Sum for Balance {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            available_micros: sum.available_micros + one.available_micros,
            held_micros: sum.held_micros + one.held_micros,
        })
    }
}

impl Api {
    pub(crate) fn new(address: SocketAddr, key: &str) -> Self {
        Self { client: Client::new(address), key: key.to_owned() }
    }

    /// Whether a message has yet to reach its final state. The list gives no exact totals
    /// above 10,000, so this looks for one of each state.
    pub(crate) async fn in_flight(&mut self) -> Result<Option<&'static str>> {
        for status in IN_FLIGHT {
            let page = self.get(&format!("/api/v1/messages?status={status}&limit=1")).await?;
            let items = page["data"].as_array().context("a list")?;
            if !items.is_empty() {
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    pub(crate) async fn messages(&mut self) -> Result<Vec<Message>> {
        let mut all = Vec::new();
        self.pages("/api/v1/messages?direction=outbound", |item| all.push(message(item))).await?;
        all.into_iter().collect()
    }

    pub(crate) async fn balance(&mut self) -> Result<Balance> {
        let answer = self.get("/api/v1/billing/balance").await?;
        let data = &answer["data"];
        let field = |name: &str| data[name].as_i64().with_context(|| format!("{name} in {data}"));
        Ok(Balance {
            available_micros: field("balance_micros")?,
            held_micros: field("held_micros")?,
        })
    }

    pub(crate) async fn transactions(&mut self) -> Result<Vec<Transaction>> {
        let mut all = Vec::new();
        self.pages("/api/v1/billing/transactions?", |item| all.push(transaction(item))).await?;
        all.into_iter().collect()
    }

    /// All items of a list.
    pub(crate) async fn list(&mut self, path: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        self.pages(path, |item| all.push(item.clone())).await?;
        Ok(all)
    }

    /// When a message was queued, in microseconds, as its history says.
    pub(crate) async fn queued_at(&mut self, id: &str) -> Result<Vec<i64>> {
        let history = self.get(&format!("/api/v1/messages/{id}/events")).await?;
        let events = history["data"].as_array().context("a list")?;
        let queued =
            |event: &&Value| event["type"] == "message.created" && event["status"] == "queued";
        Ok(events.iter().filter(queued).filter_map(|event| time(event, "at")).collect())
    }

    /// Posts JSON; anything but 202 is an error.
    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Result<Value> {
        let (status, answer) = self.client.post(path, &self.key, body).await?;
        ensure!(status == 202, "{path}: {status} {answer}");
        Ok(answer)
    }

    /// Makes something; anything but 201 is an error.
    pub(crate) async fn create(&mut self, path: &str, body: &str) -> Result<Value> {
        let (status, answer) = self.client.post(path, &self.key, body).await?;
        ensure!(status == 201, "{path}: {status} {answer}");
        Ok(answer)
    }

    /// The price of the newest message.
    pub(crate) async fn price_of_one(&mut self) -> Result<i64> {
        let page = self.get("/api/v1/messages?direction=outbound&limit=1").await?;
        let first = page["data"].as_array().and_then(|items| items.first());
        Ok(micros(&first.context("no message")?["price"]))
    }

    async fn pages(&mut self, path: &str, mut each: impl FnMut(&Value)) -> Result<()> {
        let mut cursor = String::new();
        for _ in 0..PAGES_MAX {
            let page = self.get(&format!("{path}&limit={PAGE}{cursor}")).await?;
            let items = page["data"].as_array().context("a list")?;
            items.iter().for_each(&mut each);
            let place = &page["meta"]["pagination"];
            let next = place["cursor"].as_str();
            match (place["has_more"].as_bool(), next) {
                (Some(true), Some(next)) => cursor = format!("&cursor={}", encoded(next)),
                (Some(true), None) => bail!("more, but no cursor"),
                _ => return Ok(()),
            }
        }
        bail!("more than {PAGES_MAX} pages of {path}")
    }

    async fn get(&mut self, path: &str) -> Result<Value> {
        let (status, body) = self.client.get(path, &self.key).await?;
        ensure!(status == 200, "{path}: {status} {body}");
        Ok(body)
    }
}

fn message(item: &Value) -> Result<Message> {
    let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let id = text("id");
    ensure!(!id.is_empty(), "a message without id: {item}");
    let (created, delivered) = (time(item, "created_at"), time(item, "delivered_at"));
    let delivery = created.zip(delivered).map(|(from, to)| (to - from).max(0) as u64);
    let body = text("body");
    Ok(Message {
        id,
        status: text("status"),
        token: body.split(' ').next().unwrap_or_default().to_owned(),
        delivery_micros: delivery,
        price_micros: micros(&item["price"]),
    })
}

fn transaction(item: &Value) -> Result<Transaction> {
    let first = |names: &[&str]| {
        let mut found = names.iter().filter_map(|name| item[*name].as_str());
        found.next().map(str::to_owned)
    };
    Ok(Transaction {
        kind: first(&["type", "kind"]).with_context(|| format!("no type: {item}"))?,
        message_id: first(&["message_id", "reference_id", "resource_id"]),
        amount_micros: match item["amount_micros"].as_i64() {
            Some(micros) => micros,
            None => bail!("no amount_micros: {item}"),
        },
    })
}

/// A price is whole micros, or an amount in dollars as text or number.
fn micros(price: &Value) -> i64 {
    if let Some(micros) = price["amount_micros"].as_i64().or(price["micros"].as_i64()) {
        return micros;
    }
    let amount = &price["amount"];
    let dollars = match amount.as_str() {
        Some(text) => text.parse::<f64>().ok(),
        None => amount.as_f64(),
    };
    dollars.map_or(0, |dollars| (dollars * 1e6).round() as i64)
}

fn time(item: &Value, name: &str) -> Option<i64> {
    let stamp: jiff::Timestamp = item[name].as_str()?.parse().ok()?;
    Some(stamp.as_microsecond())
}

/// For a query: cursors may hold `+`, `/` and `=`.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(octet));
            }
            _ => out.push_str(&format!("%{octet:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_gives_token_price_and_latency() {
        let item = json!({
            "id": "msg_1", "status": "delivered", "body": "t1-2 hello",
            "price": {"amount": "0.0075", "currency": "USD"},
            "created_at": "2026-01-02T03:04:05.000006Z",
            "delivered_at": "2026-01-02T03:04:05.250Z",
        });
        let message = message(&item).expect("well formed");
        assert_eq!((message.token.as_str(), message.price_micros), ("t1-2", 7_500));
        assert_eq!(message.delivery_micros, Some(249_994));
    }

    #[test]
    fn a_transaction_needs_a_kind_and_an_amount() {
        let item = json!({"type": "hold", "message_id": "msg_1", "amount_micros": -7500});
        let hold = transaction(&item).expect("well formed");
        assert_eq!((hold.kind.as_str(), hold.amount_micros), ("hold", -7_500));
        let after: Balance = [hold.clone(), hold].iter().filter_map(Transaction::effect).sum();
        assert_eq!((after.available_micros, after.held_micros), (-15_000, 15_000));
        assert!(transaction(&json!({"type": "hold"})).is_err());
    }

    #[test]
    fn cursors_are_encoded_for_a_query() {
        assert_eq!(encoded("a+/=_"), "a%2B%2F%3D_");
    }
}
