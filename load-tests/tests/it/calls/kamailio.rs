//! Kamailio between us and others: as the carrier's proxy behind us, and as the proxy before us.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use load_tests::process::{Child, Scratch, free_port, is_udp_bound};

use super::others::Baresip;
use super::public::{CREDIT, MINUTE, caller};
use super::ua::Ua;
use super::{is_quiet, told};
use crate::phones::Switch;
use crate::phones::others::program;

/// A proxy that stays in the path of what it passes on.
struct Kamailio {
    child: Child,
    scratch: Scratch,
    at: SocketAddr,
}

/// What all of it has; `REST` says where a call that begins goes.
const CONFIG: &str = r#"#!KAMAILIO
debug=2
log_stderror=yes
children=2
auto_aliases=no
enable_tls=no
listen=udp:PROXY
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "maxfwd.so"
loadmodule "path.so"
modparam("path", "use_received", 1)
request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
    if (has_totag()) {
        if (loose_route()) { t_relay(); exit; }
        if (is_method("ACK") && t_check_trans()) { t_relay(); exit; }
        sl_send_reply("404", "Not here");
        exit;
    }
    t_check_trans();
    if (is_method("REGISTER")) { add_path_received(); $du = "sip:SWITCH"; t_relay(); exit; }
    record_route();
    if (!loose_route()) { REST }
    t_relay();
}
"#;

impl Kamailio {
    fn start(program: &std::path::Path, switch: SocketAddr, rest: &str) -> Self {
        let at = SocketAddr::from(([127, 0, 0, 1], free_port().expect("a port")));
        Self::start_at(program, at, switch, rest)
    }

    fn start_at(program: &std::path::Path, at: SocketAddr, switch: SocketAddr, rest: &str) -> Self {
        let scratch = Scratch::new("kamailio", false).expect("a folder");
        let config = CONFIG.replace("PROXY", &at.to_string()).replace("REST", rest);
        let config = config.replace("SWITCH", &switch.to_string());
        let file = scratch.file("kamailio.cfg");
        fs::write(&file, config).expect("it is written");
        let (file, folder) = (file.display().to_string(), scratch.path().display().to_string());
        let words = ["-f", &file, "-DD", "-E", "-Y", &folder, "-m", "32", "-M", "4"];
        let child = Child::start(program, &words, &scratch.file("log")).expect("it starts");
        Self { child, scratch, at }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.scratch.file("log")).unwrap_or_default()
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Its processes end with the first one, if that is asked to.
        self.child.stop(Duration::from_secs(5));
    }
}

/// Answers one call, and waits to be hung up.
pub(super) const CALLEE: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="callee">
<recv request="INVITE" rrs="true"/>
<send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_From:]
[last_To:];tag=[pid]SIPp[call_number]
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:callee@[local_ip]:[local_port]>
Content-Length: 0

]]></send>
<send retrans="500"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]SIPp[call_number]
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:callee@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
]]></send>
<recv request="ACK"/>
<recv request="BYE"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
"#;

/// Whether sockets are there at these ports.
async fn listen(ports: &[u16]) -> bool {
    crate::world::wait_until(async || ports.iter().all(|port| is_udp_bound(*port))).await
}

#[tokio::test]
async fn a_carrier_behind_kamailio_is_called_by_way_of_it_to_the_end() {
    let (Some(kamailio), Some(sipp)) = (program("kamailio"), program("sipp")) else { return };
    let [proxy, callee] = [free_port(), free_port()].map(|port| port.expect("a port"));
    let proxy = SocketAddr::from(([127, 0, 0, 1], proxy));
    // The proxy would pass our pings on to the callee, who expects one call.
    let trunks = format!(
        "[{{name=\"carrier\", host=\"127.0.0.1\", port={}, options_ping_s=0}}]",
        proxy.port()
    );
    let set = [("egress.trunks", trunks.as_str()), ("voice.trust_caller_ids", "true")];
    let switch = Switch::start("calls-kamailio", &set).await;
    let rest = format!("$du = \"sip:127.0.0.1:{callee}\";");
    let kamailio = Kamailio::start_at(&kamailio, proxy, switch.sip, &rest);
    let scratch = Scratch::new("sipp-callee", false).expect("a folder");
    fs::write(scratch.file("callee.xml"), CALLEE).expect("it is written");
    let (file, port) = (scratch.file("callee.xml").display().to_string(), callee.to_string());
    let words = ["-sf", &file, "-i", "127.0.0.1", "-p", &port, "-m", "1", "-nostdin"];
    let mut sipp = Child::start(&sipp, &words, &scratch.file("log")).expect("it starts");

    assert!(listen(&[proxy.port(), callee]).await, "{}", kamailio.log());
    let mut http = switch.world.http(&switch.org.key);
    let mut alice = caller(&switch).await;
    let mut dialog = alice.invite("+14155559999", &alice.sdp(1, "sendrecv")).await;
    alice.response(180).await;
    let ok = alice.response(200).await;
    alice.confirm(&mut dialog, &ok, "").await;
    told(&mut http, "call.answered").await;
    alice.bye(&mut dialog).await;
    let ended = told(&mut http, "call.completed").await;
    assert_eq!((&ended["end_reason"], &ended["billable_seconds"]), (&"normal".into(), &60.into()));
    assert_eq!(http.balance().await, (CREDIT - MINUTE, 0), "{ended}");
    assert!(is_quiet(&switch).await, "{}", kamailio.log());
    // It has had its ACK and its BYE, else it would wait for them.
    let over = crate::world::wait_until(async || !sipp.is_running());
    assert!(over.await, "{}", fs::read_to_string(scratch.file("log")).unwrap_or_default());
}

#[tokio::test]
async fn a_telephone_behind_kamailio_registers_is_called_and_calls() {
    let (Some(kamailio), Some(baresip)) = (program("kamailio"), program("baresip")) else { return };
    let anywhere = [("media.networks", "[\"0.0.0.0/0\"]")];
    let switch = Switch::start("calls-proxied", &anywhere).await;
    let rest = format!("$du = \"sip:{}\";", switch.sip);
    let kamailio = Kamailio::start(&kamailio, switch.sip, &rest);
    let (alice, desk) = (switch.credential("alice").await, switch.credential("desk").await);
    let mut alice = Ua::registered(switch.sip, &alice).await;
    let way = (440, ";answermode=auto");
    let desk = Baresip::start(&baresip, kamailio.at, &desk, way, &[]);
    assert!(switch.has_bindings(2.0).await, "{} {}", desk.log(), kamailio.log());
    let mut dialog = alice.invite("100", &alice.sdp(1, "sendrecv")).await;
    let ok = alice.heard(|said| said.status() >= 200).await;
    assert_eq!(ok.status(), 200, "{} {} {}", ok.text, desk.log(), kamailio.log());
    alice.confirm(&mut dialog, &ok, "").await;
    assert!(alice.hears(ok.sound_at()).await, "{}", desk.log());
    alice.bye(&mut dialog).await;
    assert!(is_quiet(&switch).await, "{} {}", desk.log(), kamailio.log());
    drop(desk);
}
