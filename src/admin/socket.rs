//! The socket in the data folder, from both ends: a request as one line of JSON, an answer as one.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use model::refusal::{Code, Refusal};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Desk, Request};
use crate::home::Home;

const LINE_MAX: u64 = 64 * 1024;
const CALLERS_MAX: usize = 32;
const PATIENCE: Duration = Duration::from_secs(90);

/// Answers until aborted. Whoever holds the folder's lock may replace a socket left behind.
pub(crate) fn listen(home: &Home, desk: Desk) -> Result<JoinHandle<()>> {
    let path = home.socket();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| path.display().to_string());
        }
        _ => {}
    }
    let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let places = Arc::new(Semaphore::new(CALLERS_MAX));
    Ok(tokio::spawn(async move {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let desk = desk.clone();
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(PATIENCE, serve(stream, &desk)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "admin socket");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }))
}

async fn serve(stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(LINE_MAX)).read_line(&mut line).await?;
    let answer = match serde_json::from_str::<Request>(&line) {
        Ok(request) => desk.answer(request).await,
        Err(error) => Err(Refusal::new(Code::ValidationError, error.to_string())),
    };
    let answer = match answer {
        Ok(data) => json!({ "data": data }),
        Err(refusal) => {
            json!({ "error": { "code": refusal.code.as_str(), "message": refusal.message } })
        }
    };
    write.write_all(format!("{answer}\n").as_bytes()).await
}

/// Asks the switch that serves this folder.
pub(crate) async fn ask(path: &Path, request: &Request) -> Result<Result<Value, String>> {
    let asking = async {
        let stream = UnixStream::connect(path).await?;
        let (read, mut write) = stream.into_split();
        write.write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(read).read_line(&mut line).await?;
        anyhow::Ok(line)
    };
    let line = tokio::time::timeout(PATIENCE, asking)
        .await
        .context("the switch does not answer its admin socket")?
        .with_context(|| format!("asking the switch at {}", path.display()))?;
    let mut answer: Value = serde_json::from_str(&line).context("a strange answer")?;
    if let Some(error) = answer.get("error") {
        let text = |key| error.get(key).and_then(Value::as_str).unwrap_or_default();
        return Ok(Err(format!("{}: {}", text("code"), text("message"))));
    }
    Ok(Ok(answer["data"].take()))
}
