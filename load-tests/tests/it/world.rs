//! A switch as a process: its folder, its settings, its command line, its end.
//!
//! Every world has a folder and ports of its own. When it is dropped its process is killed, and
//! the log is looked through: a switch that panicked fails the test it served.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use load_tests::process::Scratch;
use serde_json::Value;
use tokio::time::Instant;

use crate::http::Http;

const PATIENCE: Duration = Duration::from_secs(15);
const ANY_PORT: &str = "127.0.0.1:0";
pub(crate) const PASSWORD: &str = "p4ssw0rd";

/// An organization and its first key.
#[derive(Clone, Debug)]
pub(crate) struct Org {
    pub(crate) id: String,
    pub(crate) key: String,
}

pub(crate) struct World {
    pub(crate) scratch: Scratch,
    settings: BTreeMap<String, String>,
    carriers: String,
    pub(crate) address: Option<SocketAddr>,
    child: Option<Child>,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Standard output as JSON, after a success.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        serde_json::from_str(self.out.trim()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks until it is so; false when the time is up.
pub(crate) async fn wait_until(mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if is_so().await {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // between two looks, not for a result
    }
}

/// The program under test.
pub(crate) fn program() -> PathBuf {
    let named = std::env::var_os("ORBIT_BIN").map(PathBuf::from);
    let beside = || {
        let test = std::env::current_exe().expect("a test has a file");
        let folder = test.parent().and_then(Path::parent).expect("deps/ is in a folder");
        folder.join("orbit")
    };
    let path = named.unwrap_or_else(beside);
    assert!(path.is_file(), "{}: run `cargo build --workspace --bins` first", path.display());
    path
}

impl World {
    /// Short timers, SQLite, no carrier.
    pub(crate) fn new(name: &str) -> Self {
        let scratch = Scratch::new(name, false).expect("a temporary folder");
        let data = scratch.file("data").display().to_string();
        let mut world = Self {
            scratch,
            settings: BTreeMap::new(),
            carriers: String::new(),
            address: None,
            child: None,
        };
        world.set("data.dir", &format!("{data:?}"));
        for (key, value) in [
            ("drain_grace_s", "10"),
            ("smpp.response_timeout_s", "1"),
            ("smpp.bind_timeout_s", "2"),
            ("smpp.reconnect_min_s", "1"),
            ("smpp.reconnect_max_s", "1"),
            ("smpp.retry_base_ms", "100"),
            ("in_doubt.wait_s", "1"),
            ("sandbox.receipt_timeout_s", "1"),
        ] {
            world.set(key, value);
        }
        world
    }

    /// Sets a dotted key of the settings to a TOML value.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.settings.insert(key.to_owned(), value.to_owned());
    }

    /// Adds a carrier; `more` is further lines of its block.
    pub(crate) fn carrier(&mut self, name: &str, at: SocketAddr, more: &str) {
        self.carrier_as(name, at, ("orbit", PASSWORD));
        self.carriers.push_str(&format!("{more}\n"));
    }

    /// Adds a carrier that is bound to by another name and password.
    pub(crate) fn carrier_as(&mut self, name: &str, at: SocketAddr, who: (&str, &str)) {
        self.carriers.push_str(&format!(
            "\n[[carriers]]\nname = \"{name}\"\nhost = \"{}\"\nport = {}\nsystem_id = \"{}\"\n\
             password = \"{}\"\n",
            at.ip(),
            at.port(),
            who.0,
            who.1
        ));
    }

    /// Changes the text of the carriers' blocks, for the next start.
    pub(crate) fn replace_in_carriers(&mut self, from: &str, to: &str) {
        self.carriers = self.carriers.replace(from, to);
    }

    /// The carriers' blocks of the settings.
    pub(crate) fn carriers(&self) -> &str {
        &self.carriers
    }

    fn write_settings(&self) -> PathBuf {
        let mut text = String::new();
        if let Some(address) = self.address {
            text.push_str(&format!("http.bind = \"{address}\"\n"));
        }
        for (key, value) in &self.settings {
            text.push_str(&format!("{key} = {value}\n"));
        }
        text.push_str(&self.carriers);
        let path = self.scratch.file("orbit.toml");
        fs::write(&path, text).expect("settings are written");
        path
    }

    /// Starts `serve` and waits until its socket answers; the time that took. A second start
    /// takes the port of the first.
    pub(crate) async fn start(&mut self) -> Duration {
        let begun = Instant::now();
        let settings = self.write_settings();
        let bind = self.address.map_or(String::from(ANY_PORT), |address| address.to_string());
        let known = self.log().len();
        let log = OpenOptions::new().create(true).append(true).open(self.log_path());
        let child = Command::new(program())
            .args(["serve", "--bind", &bind, "--config"])
            .arg(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log file"))
            .spawn();
        self.child = Some(child.expect("the program starts"));
        let mut address = None;
        let is_there = wait_until(async || {
            assert!(self.is_running(), "it ended at its start: {}", self.last_words());
            let log = self.log();
            let mut addresses = log[known..].lines().filter_map(ready_at);
            address = addresses.next();
            address.is_some()
        });
        assert!(is_there.await, "it is not ready: {}", self.last_words());
        self.address = address;
        self.write_settings();
        begun.elapsed()
    }

    /// Starts, and waits for `/readyz`.
    pub(crate) async fn serve(&mut self) -> Duration {
        let begun = Instant::now();
        self.start().await;
        let mut http = self.http("");
        let ready = wait_until(async || http.get("/readyz").await.status == 200);
        assert!(ready.await, "it is not ready: {}", self.last_words());
        begun.elapsed()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// SIGTERM; the exit code, or none when it did not end in time.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        signal(self.pid());
        self.ended().await
    }

    /// Waits for the process's end.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        let child = self.child.as_mut().expect("it runs");
        wait_until(async || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        })
        .await;
        status.and_then(|status| status.code())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(crate) fn http(&self, key: &str) -> Http {
        Http::new(self.address.expect("it was started"), key)
    }

    /// Runs a command with this world's settings.
    pub(crate) async fn orbit(&self, words: &[&str]) -> Said {
        let settings = self.write_settings();
        let settings = settings.display().to_string();
        let words = [words, &["--config", &settings]].concat();
        run(self.scratch.path(), &words).await
    }

    /// Makes an organization on the command line.
    pub(crate) async fn org(&self, name: &str, credit_usd: &str) -> Org {
        let words = ["org", "create", "--json", "--name", name, "--credit-usd", credit_usd];
        org_of(&self.orbit(&words).await.json())
    }

    /// Makes a test key of an organization.
    pub(crate) async fn test_key(&self, org: &Org) -> String {
        let words = ["key", "create", "--json", "--mode", "test", "--organization", &org.id];
        self.orbit(&words).await.json()["api_key"].as_str().expect("a key").to_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.scratch.file("orbit.log")
    }

    /// All it ever said on standard error.
    pub(crate) fn log(&self) -> String {
        let octets = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// Where customers bind, as the newest start says.
    pub(crate) fn door(&self) -> SocketAddr {
        let log = self.log();
        let line = log.lines().rfind(|line| line.contains("customers bind here"));
        let words = line.expect("it says so").split_whitespace();
        let mut addresses = words.filter_map(|word| word.strip_prefix("smpp=")?.parse().ok());
        addresses.next().expect("an address")
    }

    pub(crate) fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// The sum of a metric over its labels that hold `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.http("").get("/metrics").await.text;
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && line.contains(label)
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until this many binds of a carrier are up.
    pub(crate) async fn bound(&self, carrier: &str, binds: u32) {
        let label = format!("carrier=\"{carrier}\"");
        let wanted = f64::from(binds);
        let up = wait_until(async || self.metric("orbit_binds_bound", &label).await >= wanted);
        assert!(up.await, "{carrier} is not bound: {}", self.last_words());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the switch's last words:\n{}", self.last_words());
        } else {
            let log = self.log();
            assert!(!log.contains("panicked"), "{log}");
        }
    }
}

/// The address in the log's line that says so, in text or in JSON.
fn ready_at(line: &str) -> Option<SocketAddr> {
    if let Ok(fields) = serde_json::from_str::<Value>(line) {
        let ready = fields["message"] == "ready";
        return fields["http"].as_str().filter(|_| ready)?.parse().ok();
    }
    let (_, address) = line.split_once(" ready http=")?;
    address.trim().parse().ok()
}

pub(crate) fn org_of(said: &Value) -> Org {
    let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    Org { id: text("organization_id"), key: text("api_key") }
}

/// Asks a process to end.
pub(crate) fn signal(pid: u32) {
    let asked = Command::new("kill").arg(pid.to_string()).status();
    assert!(asked.is_ok_and(|status| status.success()), "no process {pid}");
}

/// A process that is killed when this is dropped.
pub(crate) struct Kept(pub(crate) Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program in a folder, with what it says in files there.
pub(crate) fn spawn(folder: &Path, words: &[&str], name: &str) -> Kept {
    let file = |kind: &str| File::create(folder.join(format!("{name}.{kind}"))).expect("a file");
    let child = Command::new(program())
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(file("out"))
        .stderr(file("err"))
        .spawn();
    Kept(child.expect("the program starts"))
}

/// Runs the program in a folder, within bounds.
pub(crate) async fn run(folder: &Path, words: &[&str]) -> Said {
    use std::sync::atomic::{AtomicU32, Ordering};
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let name = format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let mut child = spawn(folder, words, &name);
    let mut status = None;
    let ended = wait_until(async || {
        status = child.0.try_wait().expect("our child");
        status.is_some()
    });
    assert!(ended.await, "orbit {words:?} does not end");
    let read = |kind: &str| {
        let octets = fs::read(folder.join(format!("{name}.{kind}"))).expect("a file");
        String::from_utf8_lossy(&octets).into_owned()
    };
    Said { code: status.and_then(|status| status.code()), out: read("out"), err: read("err") }
}
