//! The switch under test as a process: its settings file, its life, its organization.
//!
//! It lives in a folder of its own, listens on a free loopback port, and is killed when the
//! scenario ends. `serve` may be called again after `kill`: the folder stays.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::client::Client;
use crate::peer::smsc::{Smsc, SmscOptions};
use crate::process::{Child, free_port};

const READY_STEP: Duration = Duration::from_millis(5);
/// Binding carriers is part of being ready, so this is longer than one back-off.
const READY_TIME: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Args)]
pub(crate) struct SwitchArgs {
    /// The program; by default the one beside this.
    #[arg(long)]
    orbit: Option<PathBuf>,
    /// `sqlite`, for a file in the scenario's folder, or a `postgres://` address.
    #[arg(long, default_value = "sqlite")]
    pub(crate) store: String,
    #[arg(long, default_value_t = 1)]
    pub(crate) carrier_connections: u32,
    #[arg(long, default_value_t = 100)]
    pub(crate) window: u32,
    #[arg(long, default_value_t = 0)]
    pub(crate) tps: u32,
    #[arg(long, default_value = "100000")]
    credit_usd: String,
    /// A TOML file that is added to the settings.
    #[arg(long)]
    pub(crate) more_settings: Option<PathBuf>,
    /// Do not remove settings, data and logs.
    #[arg(long)]
    pub(crate) keep_files: bool,
}

pub(crate) struct Switch {
    program: PathBuf,
    settings: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    /// The one it runs on, where it is bound to one.
    pub(crate) core: Option<usize>,
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
}

impl SwitchArgs {
    pub(crate) fn uses_postgres(&self) -> bool {
        self.store.starts_with("postgres")
    }

    /// The same with a database of its own.
    pub(crate) fn beside(&self) -> Self {
        Self { store: "sqlite".to_owned(), ..self.clone() }
    }

    /// Without credentials.
    pub(crate) fn store_name(&self) -> String {
        let name = if self.uses_postgres() { "postgres" } else { "sqlite" };
        name.to_owned()
    }

    fn program(&self) -> Result<PathBuf> {
        let beside = std::env::current_exe()?.with_file_name("orbit");
        let program = self.orbit.clone().unwrap_or(beside);
        ensure!(program.is_file(), "{} is not there", program.display());
        Ok(program)
    }

    fn settings(
        &self,
        folder: &Path,
        http: SocketAddr,
        carrier: SocketAddr,
        smsc: &SmscOptions,
    ) -> Result<String> {
        let data = folder.join("data");
        fs::create_dir_all(&data)?;
        let url = match self.store.as_str() {
            "sqlite" => format!("sqlite://{}", data.join("orbit.db").display()),
            url if self.uses_postgres() => url.to_owned(),
            other => bail!("{other} is no store"),
        };
        let mut text = format!(
            "[http]\nbind = \"{http}\"\n\n[database]\nurl = \"{url}\"\n\n[data]\ndir = \"{}\"\n\n\
             [[carriers]]\nname = \"main\"\nhost = \"{}\"\nport = {}\nsystem_id = \"{}\"\n\
             password = \"{}\"\nconnections = {}\nwindow_size = {}\ntps = {}\n",
            data.display(),
            carrier.ip(),
            carrier.port(),
            smsc.system_id,
            smsc.password,
            self.carrier_connections,
            self.window,
            self.tps,
        );
        if let Some(path) = &self.more_settings {
            text.push('\n');
            text.push_str(&fs::read_to_string(path)?);
        }
        Ok(text)
    }
}

impl Switch {
    /// Writes the settings and creates an organization with credit.
    pub(crate) fn prepare(
        args: &SwitchArgs,
        folder: &Path,
        smsc: &Smsc,
        options: &SmscOptions,
    ) -> Result<Self> {
        let program = args.program()?;
        let settings = folder.join("orbit.toml");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        fs::write(&settings, args.settings(folder, address, smsc.address, options)?)?;
        let mut switch = Self {
            program,
            settings,
            log: folder.join("orbit.log"),
            child: None,
            core: None,
            address,
            key: String::new(),
        };
        switch.key = switch.organization("load", &args.credit_usd)?;
        Ok(switch)
    }

    /// Creates an organization with credit; its key.
    pub(crate) fn organization(&self, name: &str, credit_usd: &str) -> Result<String> {
        let output = Command::new(&self.program)
            .args(["org", "create", "--json", "--name", name])
            .args(["--credit-usd", credit_usd, "--config"])
            .arg(&self.settings)
            .output()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "org create failed: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        api_key(&said).with_context(|| format!("no api_key in {said}"))
    }

    /// Adds to the settings of the next start.
    pub(crate) fn add_settings(&self, text: &str) -> Result<()> {
        let settings = fs::read_to_string(&self.settings)?;
        Ok(fs::write(&self.settings, settings + text)?)
    }

    /// Starts it and waits for `/readyz`; the time that took.
    pub(crate) async fn serve(&mut self) -> Result<Duration> {
        let started = Instant::now();
        let settings = self.settings.to_string_lossy();
        let serve = ["serve", "--config", &settings];
        let child = match self.core {
            Some(core) => {
                let (core, program) = (core.to_string(), self.program.to_string_lossy());
                let pinned = [&["-c", &core, &program][..], &serve].concat();
                Child::start(Path::new("taskset"), &pinned, &self.log)?
            }
            None => Child::start(&self.program, &serve, &self.log)?,
        };
        let child = self.child.insert(child);
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        let mut client = Client::new(self.address);
        while started.elapsed() < READY_TIME {
            let answer = tokio::time::timeout(READY_TIME, client.send(request.as_bytes())).await;
            if answer.is_ok_and(|sent| sent.is_ok_and(|response| response.status == 200)) {
                return Ok(started.elapsed());
            }
            client.reset();
            if !child.is_running() {
                bail!("the switch ended at start: {}", self.last_words());
            }
            tokio::time::sleep(READY_STEP).await;
        }
        bail!("the switch is not ready: {}", self.last_words())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(Child::is_running)
    }

    pub(crate) fn kill(&mut self) {
        self.child = None;
    }

    /// Asks it to end, as an operator does.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.stop(Duration::from_secs(10));
        }
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// From the last line that is JSON: a log line may come before it.
fn api_key(said: &str) -> Option<String> {
    let parsed = said
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str::<Value>(line).ok().filter(Value::is_object));
    let value = parsed.or_else(|| serde_json::from_str(said).ok())?;
    value["api_key"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_in_one_line_or_in_many() {
        let one = "started\n{\"organization_id\":\"org_1\",\"api_key\":\"dv_live_sk_x\"}\n";
        assert_eq!(api_key(one).as_deref(), Some("dv_live_sk_x"));
        let many = "{\n  \"organization_id\": \"org_1\",\n  \"api_key\": \"k\"\n}\n";
        assert_eq!(api_key(many).as_deref(), Some("k"));
        assert_eq!(api_key("failed"), None);
    }
}
