//! rtpengine as a process, in user space, and the few words of its `ng` protocol that a call needs.
//!
//! It runs as its package installs it, without the kernel module, pinned to one core. Commands are
//! bencoded datagrams with a cookie; what is wanted of an answer is one line of an SDP.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{Child, free_port};

const PROGRAM: &str = "rtpengine";
const READY_TIME: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_millis(500);

pub(crate) struct Rtpengine {
    child: Child,
    control: UdpSocket,
    cookie: u64,
}

/// Whether it is installed, and its version.
pub(crate) fn version() -> Option<String> {
    let output = Command::new(PROGRAM).arg("--version").output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    said.lines().next().map(|line| line.trim().to_owned())
}

impl Rtpengine {
    /// Starts it on a core and waits until it answers.
    pub(crate) fn start(core: usize, threads: usize, log: &Path) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let listen = format!("--listen-ng={address}");
        let threads = format!("--num-threads={threads}");
        let core = core.to_string();
        let args = [
            "-c",
            &core,
            PROGRAM,
            "--config-file=none",
            "--foreground",
            "--log-stderr",
            "--log-level=3",
            "--table=-1",
            "--interface=127.0.0.1",
            "--port-min=34000",
            "--port-max=60000",
            &listen,
            &threads,
        ];
        let child = Child::start(Path::new("taskset"), &args, log)?;
        let control = UdpSocket::bind(("127.0.0.1", 0))?;
        control.connect(address)?;
        control.set_read_timeout(Some(PATIENCE))?;
        let mut engine = Self { child, control, cookie: 0 };
        let started = Instant::now();
        while engine.ask("d7:command4:pinge").is_err() {
            ensure!(engine.child.is_running(), "rtpengine ended at start");
            ensure!(started.elapsed() < READY_TIME, "rtpengine does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(engine)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sets up a call between two phones; where each is to send.
    pub(crate) fn call(
        &mut self,
        number: usize,
        phones: [SocketAddr; 2],
    ) -> Result<[SocketAddr; 2]> {
        let id = format!("call-{number}");
        let words = |command: &str, phone: SocketAddr, to_tag: &str| {
            let mut words = vec![
                ("call-id", id.clone()),
                ("command", command.to_owned()),
                ("from-tag", String::from("from")),
                ("sdp", sdp(phone)),
            ];
            if !to_tag.is_empty() {
                words.push(("to-tag", to_tag.to_owned()));
            }
            dictionary(&words)
        };
        let [a, b] = phones;
        let for_b = self.ask(&words("offer", a, ""))?;
        let for_a = self.ask(&words("answer", b, "to"))?;
        Ok([place(&for_a)?, place(&for_b)?])
    }

    /// Sends a command, and again when nothing comes; the answer.
    fn ask(&mut self, command: &str) -> Result<String> {
        self.cookie += 1;
        let cookie = format!("{} ", self.cookie);
        let mut octets = [0; 8_192];
        for _ in 0..3 {
            self.control.send(format!("{cookie}{command}").as_bytes())?;
            let Ok(length) = self.control.recv(&mut octets) else { continue };
            let answer = String::from_utf8_lossy(&octets[..length]).into_owned();
            let Some(answer) = answer.strip_prefix(&cookie) else { continue };
            ensure!(!answer.contains("6:result5:error"), "rtpengine refuses: {answer}");
            return Ok(answer.to_owned());
        }
        bail!("rtpengine does not answer")
    }
}

/// Bencoded; the words come in the order of their names.
fn dictionary(words: &[(&str, String)]) -> String {
    let text = |text: &str| format!("{}:{text}", text.len());
    let pairs: String = words.iter().map(|(key, value)| text(key) + &text(value)).collect();
    format!("d{pairs}e")
}

fn sdp(phone: SocketAddr) -> String {
    let (host, port) = (phone.ip(), phone.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
    )
}

/// Where an SDP wants audio; all of it is on one host.
fn place(answer: &str) -> Result<SocketAddr> {
    let port = answer.split("m=audio ").nth(1).and_then(|rest| rest.split(' ').next());
    let port = port.and_then(|port| port.parse::<u16>().ok());
    Ok(SocketAddr::from(([127, 0, 0, 1], port.with_context(|| format!("no port in {answer}"))?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_and_the_port_is_found() {
        let words = [("command", String::from("offer")), ("sdp", String::from("v=0"))];
        assert_eq!(dictionary(&words), "d7:command5:offer3:sdp3:v=0e");
        let answer =
            "d6:result2:ok3:sdp9:v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 34012 RTP/AVP 0\r\ne";
        assert_eq!(place(answer).expect("a port").port(), 34_012);
        assert!(place("d6:result2:oke").is_err());
    }
}
