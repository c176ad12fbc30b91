//! Kamailio as a process: a proxy that keeps transactions and stays in the path, on one core.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::process::{self, Child, Scratch, free_port};

/// Not in every user's path.
const PLACES: [&str; 2] = ["/usr/sbin/kamailio", "/usr/local/sbin/kamailio"];
/// Its socket is there within this time.
const READY_TIME: Duration = Duration::from_secs(10);
const READY_STEP: Duration = Duration::from_millis(20);
const NAME: &str = "kamailio";

const CONFIG: &str = r#"#!KAMAILIO
debug=0
log_stderror=yes
children=CHILDREN
auto_aliases=no
enable_tls=no
listen=udp:PROXY
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (has_totag()) {
        if (loose_route()) { t_relay(); exit; }
        if (is_method("ACK") && t_check_trans()) { t_relay(); exit; }
        sl_send_reply("404", "Not here");
        exit;
    }
    t_check_trans();
    record_route();
    $du = "sip:CALLEE";
    t_relay();
}
"#;

pub(crate) struct Kamailio {
    child: Child,
    pub(crate) at: SocketAddr,
    _scratch: Scratch,
}

fn program() -> Option<PathBuf> {
    PLACES.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Whether it is installed, and its version.
pub(crate) fn version() -> Option<String> {
    let output = Command::new(program()?).arg("-v").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines().next().map(|line| line.trim().to_owned())
}

impl Kamailio {
    /// Starts it on a core; what it is sent goes on to the callee.
    pub(crate) fn start(core: usize, children: usize, callee: SocketAddr) -> Result<Self> {
        let program = program().unwrap_or_default();
        let at = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let scratch = Scratch::new("kamailio", false)?;
        let config = CONFIG.replace("CHILDREN", &children.to_string());
        let config = config.replace("PROXY", &at.to_string());
        fs::write(scratch.file("cfg"), config.replace("CALLEE", &callee.to_string()))?;
        let (core, program) = (core.to_string(), program.display().to_string());
        let (file, folder) = (scratch.file("cfg"), scratch.path().display().to_string());
        let file = file.display().to_string();
        let words = ["-c", &core, &program, "-f", &file, "-DD", "-E", "-Y", &folder, "-m", "256"];
        let mut child = Child::start(Path::new("taskset"), &words, &scratch.file("log"))?;
        let started = Instant::now();
        while !process::is_udp_bound(at.port()) {
            ensure!(child.is_running(), "Kamailio ended at start");
            ensure!(started.elapsed() < READY_TIME, "Kamailio has no socket");
            std::thread::sleep(READY_STEP);
        }
        Ok(Self { child, at, _scratch: scratch })
    }

    /// Of all its processes; no other Kamailio may run on the machine.
    pub(crate) fn cpu_micros() -> u64 {
        process::cpu_micros_of_all(NAME).0
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Its processes end with the first one, if that is asked to.
        self.child.stop(Duration::from_secs(5));
    }
}
