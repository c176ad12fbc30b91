//! What the kernel says of a process or thread, and children that do not outlive us.
//!
//! CPU time comes from `/proc/<pid>/stat` (ten-millisecond ticks) for other processes and
//! from `schedstat` (nanoseconds) for our own threads; memory is the peak resident set.
//! A `Child` is killed when dropped, so a failed scenario leaves nothing running.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// `USER_HZ` is 100 on every Linux that Rust runs on.
const TICK_MICROS: u64 = 10_000;

/// Where free ports are looked for: below those of the system and of media.
const PORT_MIN: u16 = 10_000;
const PORTS: u32 = 6_000;

/// So that each folder of this process has a name of its own.
static SCRATCHES: AtomicU64 = AtomicU64::new(0);

/// A child process that dies with its owner.
pub struct Child {
    inner: std::process::Child,
}

/// A folder below the system's temporary one, removed when dropped.
pub struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Child {
    /// Starts a program with its output in `log`.
    pub fn start(program: &Path, args: &[&str], log: &Path) -> Result<Self> {
        let file = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let inner = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { inner })
    }

    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.inner.try_wait(), Ok(None))
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        // Both fail only when the process is gone already, which is what is wanted.
        let _ = self.inner.kill();
        let _ = self.inner.wait();
    }

    /// SIGTERM; SIGKILL when the process is still there after `patience`.
    pub fn stop(&mut self, patience: Duration) {
        let asked = Command::new("kill").arg(self.id().to_string()).status();
        let deadline = Instant::now() + patience;
        while asked.is_ok() && self.is_running() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Scratch {
    pub fn new(name: &str, keep: bool) -> Result<Self> {
        let number = SCRATCHES.fetch_add(1, Ordering::Relaxed);
        let name = format!("orbit-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path)?;
        Ok(Self { path, keep })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("files kept in {}", self.path.display());
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// User and system time of a process, with its reaped children, in microseconds.
pub fn cpu_micros(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ticks(&stat) * TICK_MICROS
}

/// The fields 14 to 17 of `stat`, counted behind the name, which may hold blanks.
fn ticks(stat: &str) -> u64 {
    let Some((_, fields)) = stat.rsplit_once(')') else {
        return 0;
    };
    let times = fields.split_whitespace().skip(11).take(4);
    times.filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Peak resident set in kilobytes.
pub fn peak_memory_kb(pid: u32) -> u64 {
    status_kb(pid, "VmHWM:")
}

/// The resident set in kilobytes.
pub fn memory_kb(pid: u32) -> u64 {
    status_kb(pid, "VmRSS:")
}

fn status_kb(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The calling thread, as the kernel names it: `<pid>/task/<tid>`.
pub fn this_thread() -> Option<PathBuf> {
    let link = fs::read_link("/proc/thread-self").ok()?;
    Some(Path::new("/proc").join(link))
}

/// Time on a processor of a thread of ours, in microseconds.
pub fn thread_cpu_micros(thread: &Path) -> u64 {
    let stat = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    let nanos = stat.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
    nanos.unwrap_or(0) / 1000
}

/// This process on one core: all threads it has, and those it will have.
pub(crate) fn pin(core: usize) -> Result<()> {
    let (core, own) = (core.to_string(), std::process::id().to_string());
    let output = Command::new("taskset").args(["-a", "-c", "-p", &core, &own]).output();
    let output = output.context("taskset is not there")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// CPU time of a process by the names of its threads, a number at a name's end left out.
pub fn cpu_micros_by_thread(pid: u32) -> BTreeMap<String, u64> {
    let mut by_name = BTreeMap::new();
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return by_name;
    };
    for entry in entries.flatten() {
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let name = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        *by_name.entry(name.to_owned()).or_default() += thread_cpu_micros(&entry.path());
    }
    by_name
}

/// CPU time of all processes with this name, and their number.
pub fn cpu_micros_of_all(name: &str) -> (u64, usize) {
    let mut total = 0;
    let mut found = 0;
    let Ok(entries) = fs::read_dir("/proc") else {
        return (0, 0);
    };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let Some(pid) = file_name.to_str().and_then(|text| text.parse::<u32>().ok()) else {
            continue;
        };
        let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if comm.trim() == name {
            total += cpu_micros(pid);
            found += 1;
        }
    }
    (total, found)
}

/// A loopback port that was free a moment ago, for TCP and UDP. It is none of those that the system gives
/// to whoever asks for any port, so nobody else has it by chance before it is used.
pub fn free_port() -> Result<u16> {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(16);
    for _ in 0..PORTS {
        let number = first.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = PORT_MIN + u16::try_from(number)?;
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}

/// Whether some socket for UDP is bound to a port.
pub fn is_udp_bound(port: u16) -> bool {
    let table = fs::read_to_string("/proc/net/udp").unwrap_or_default();
    table.contains(&format!(":{port:04X} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_behind_a_name_with_blanks() {
        let stat = "12 (a (odd) name) S 1 2 3 4 5 6 7 8 9 10 100 20 3 1 20 0 1 0";
        assert_eq!(ticks(stat), 124);
    }

    #[test]
    fn a_port_is_bound_while_its_socket_is_there() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let port = socket.local_addr().expect("an address").port();
        assert!(is_udp_bound(port));
    }

    #[test]
    fn our_own_thread_has_used_some_cpu_and_memory() {
        let thread = this_thread().expect("linux has /proc/thread-self");
        let mut sum = 0_u64;
        while thread_cpu_micros(&thread) == 0 {
            sum = sum.wrapping_add(1);
        }
        assert!(peak_memory_kb(std::process::id()) > 0);
    }
}
