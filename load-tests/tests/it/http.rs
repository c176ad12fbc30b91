//! What a client sees: requests by hand, answers with their headers.

use std::net::SocketAddr;
use std::time::Duration;

use load_tests::client::{Client, find};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::wait_until;

const PATIENCE: Duration = Duration::from_secs(15);

/// A client with a key and one connection.
pub(crate) struct Http {
    client: Client,
    address: SocketAddr,
    key: String,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
    /// Null when the body is no JSON.
    pub(crate) json: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    pub(crate) fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn data(&self) -> &Value {
        &self.json["data"]
    }

    pub(crate) fn id(&self) -> String {
        self.json["data"]["id"].as_str().unwrap_or_default().to_owned()
    }
}

impl Http {
    pub(crate) fn new(address: SocketAddr, key: &str) -> Self {
        Self { client: Client::new(address), address, key: key.to_owned() }
    }

    /// Sends octets as they are. `Err`: the connection ended without an answer.
    pub(crate) async fn raw(&mut self, request: &[u8]) -> Result<Reply, String> {
        let sending = tokio::time::timeout(PATIENCE, self.client.send(request)).await;
        let response = match sending {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => {
                self.client.reset();
                return Err(String::from("no answer in time"));
            }
        };
        Ok(Reply {
            status: response.status,
            head: String::from_utf8_lossy(response.head).into_owned(),
            text: String::from_utf8_lossy(response.body).into_owned(),
            json: serde_json::from_slice(response.body).unwrap_or(Value::Null),
        })
    }

    /// The octets of a request with this client's key.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        let named = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if !named("x-api-key") && !self.key.is_empty() {
            head.push_str(&format!("X-API-Key: {}\r\n", self.key));
        }
        if !body.is_empty() && !named("content-type") {
            head.push_str("Content-Type: application/json\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        [head.as_bytes(), body].concat()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        let request = self.request("GET", path, &[], b"");
        self.raw(&request).await.unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// An endless answer with its head, as far as it says `until`.
    pub(crate) async fn streamed(&self, path: &str, until: &str) -> String {
        let request = self.request("GET", path, &[], b"");
        let mut told = Vec::new();
        let reading = async {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(&request).await?;
            while find(&told, until.as_bytes()).is_none() {
                if stream.read_buf(&mut told).await? == 0 {
                    return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
                }
            }
            Ok(())
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(matches!(read, Ok(Ok(()))), "GET {path} does not say {until}: {read:?} {told}");
        told
    }

    pub(crate) async fn put(&mut self, path: &str, body: &Value) -> Reply {
        let request = self.request("PUT", path, &[], body.to_string().as_bytes());
        self.raw(&request).await.unwrap_or_else(|error| panic!("PUT {path}: {error}"))
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Reply {
        let request = self.request("DELETE", path, &[], b"");
        self.raw(&request).await.unwrap_or_else(|error| panic!("DELETE {path}: {error}"))
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Reply {
        self.post_with(path, &[], body.to_string().as_bytes()).await
    }

    pub(crate) async fn post_with(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let request = self.request("POST", path, headers, body);
        self.raw(&request).await.unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// Sends a message that must be taken; its id.
    pub(crate) async fn send(&mut self, message: &Value) -> String {
        let reply = self.post("/api/v1/messages/sms", message).await;
        assert_eq!(reply.status, 202, "{message}: {}", reply.text);
        reply.id()
    }

    /// Sends a short text.
    pub(crate) async fn text(&mut self, to: &str, body: &str) -> String {
        self.send(&json!({ "to": to, "from": "Orbit", "body": body })).await
    }

    pub(crate) async fn message(&mut self, id: &str) -> Value {
        let reply = self.get(&format!("/api/v1/messages/{id}")).await;
        assert_eq!(reply.status, 200, "{id}: {}", reply.text);
        reply.data().clone()
    }

    /// The message, once it has this status.
    pub(crate) async fn becomes(&mut self, id: &str, status: &str) -> Value {
        let mut last = Value::Null;
        let found = wait_until(async || {
            last = self.message(id).await;
            last["status"] == status
        });
        assert!(found.await, "{id} does not become {status}: {last}");
        last
    }

    /// What happened to a message: `(type, status)`, oldest first.
    pub(crate) async fn story(&mut self, id: &str) -> Vec<(String, String)> {
        let reply = self.get(&format!("/api/v1/messages/{id}/events")).await;
        let events = reply.data().as_array().cloned().unwrap_or_default();
        let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
        events.iter().map(|event| (text(event, "type"), text(event, "status"))).collect()
    }

    /// How many messages of this kind the list has; only up to a page of 200.
    pub(crate) async fn count(&mut self, query: &str) -> usize {
        let reply = self.get(&format!("/api/v1/messages?limit=200&{query}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.data().as_array().map_or(0, Vec::len)
    }

    /// Available and held, in micros.
    pub(crate) async fn balance(&mut self) -> (i64, i64) {
        let reply = self.get("/api/v1/billing/balance").await;
        let field = |name: &str| reply.data()[name].as_i64().unwrap_or(i64::MIN);
        (field("balance_micros"), field("held_micros"))
    }

    /// All pages of a list.
    pub(crate) async fn all(&mut self, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let reply = self.get(&format!("{path}?limit=200{cursor}")).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            all.extend(reply.data().as_array().cloned().unwrap_or_default());
            match reply.json["meta"]["pagination"]["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }
}
