//! The first minute: `orbit dev` in an empty folder, and the line it prints.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use load_tests::process::{Scratch, free_port};
use serde_json::Value;

use crate::world::{Kept, run, signal, spawn, wait_until};

/// Switches that start at once take no port of each other.
const FREE: [&str; 4] = ["--smpp-bind", "127.0.0.1:0", "--sip-bind", "127.0.0.1:0"];

struct Dev {
    child: Kept,
    out: std::path::PathBuf,
    bind: String,
}

impl Dev {
    /// Starts `orbit dev` and waits for its welcome.
    async fn start(folder: &Path, name: &str) -> Self {
        let bind = format!("127.0.0.1:{}", free_port().expect("a port"));
        let child = spawn(folder, &[&["dev", "--bind", &bind][..], &FREE].concat(), name);
        let dev = Self { child, out: folder.join(format!("{name}.out")), bind };
        let welcomed = wait_until(async || dev.said().contains("Messages show here"));
        let errors = fs::read_to_string(folder.join(format!("{name}.err")));
        assert!(welcomed.await, "{} {errors:?}", dev.said());
        dev
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    fn key(&self) -> String {
        let said = self.said();
        let line = said.lines().find_map(|line| line.trim().strip_prefix("key "));
        line.expect("a key is printed").trim().to_owned()
    }

    /// The line to paste, as a shell takes it.
    fn curl(&self) -> String {
        let said = self.said();
        let start = said.find("curl ").expect("a curl line");
        let end = said[start..].find("\n\n").expect("its end");
        said[start..start + end].to_owned()
    }

    async fn end(mut self) {
        signal(self.child.0.id());
        let mut status = None;
        let ended = wait_until(async || {
            status = self.child.0.try_wait().expect("our child");
            status.is_some()
        });
        assert!(ended.await, "it does not end");
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn the_printed_line_sends_and_its_journey_shows() {
    let scratch = Scratch::new("dev", false).expect("a folder");
    let folder = scratch.path();
    let dev = Dev::start(folder, "first").await;
    let pasted = dev.curl().replacen("curl -s", "curl -s -w '\\n%{http_code}'", 1);
    let output = Command::new("sh").args(["-c", &pasted]).output().expect("a shell and curl");
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = answer.rsplit_once('\n').expect("a body and a status");
    assert_eq!(status, "202", "{answer}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let id = body["data"]["id"].as_str().expect("an id");
    let steps = || {
        let said = dev.said();
        let mine = said.lines().filter(|line| line.contains(id));
        mine.map(|line| line.split_whitespace().nth(2).unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let arrived = wait_until(async || steps().iter().any(|step| step == "delivered")).await;
    assert!(arrived, "{}", dev.said());
    assert_eq!(steps(), ["accepted", "sent", "delivered"]);
    assert_eq!(mode(&folder.join("orbit-data/admin.sock")), 0o600);
    assert_eq!(mode(&folder.join("orbit-data/dev-key")), 0o600);

    let key = dev.key();
    dev.end().await;
    let again = Dev::start(folder, "second").await;
    assert_eq!(again.key(), key, "a second start prints the same key");
    let mut http = crate::http::Http::new(again.bind.parse().expect("an address"), &key);
    assert_eq!(http.message(id).await["status"], "delivered", "data is kept");
}

#[tokio::test]
async fn a_second_process_on_the_folder_is_refused_by_name() {
    let scratch = Scratch::new("dev-twice", false).expect("a folder");
    let _first = Dev::start(scratch.path(), "first").await;
    let second = run(scratch.path(), &["dev", "--bind", "127.0.0.1:0"]).await;
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains("another orbit serves"), "{second:?}");
    assert!(second.err.contains("orbit-data"), "{second:?}");
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_way_out() {
    let scratch = Scratch::new("dev-port", false).expect("a folder");
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = holder.local_addr().expect("an address").to_string();
    let said = run(scratch.path(), &["dev", "--bind", &taken]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains(&taken) && said.err.contains("--bind"), "{said:?}");
    assert!(!said.err.contains("panicked"), "{said:?}");
}
