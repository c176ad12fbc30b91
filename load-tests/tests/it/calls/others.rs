//! SIPp and baresip call each other through the switch.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use load_tests::process::{Child, Scratch, free_port};

use super::ua::Ua;
use super::{is_quiet, told};
use crate::phones::others::program;
use crate::phones::{Credential, Switch};
use crate::world::wait_until;

/// baresip with a folder of its own, that speaks in a tone and writes down what it hears.
pub(super) struct Baresip {
    _child: Child,
    scratch: Scratch,
}

impl Baresip {
    /// A telephone of `who`, which has `by` between itself and all others.
    pub(super) fn start(
        program: &Path,
        by: SocketAddr,
        who: &Credential,
        (tone_hz, more): (u32, &str),
        dials: &[&str],
    ) -> Self {
        let scratch = Scratch::new("baresip", false).expect("a folder");
        let folder = scratch.path().display().to_string();
        // It offers what it has loaded.
        let named = ["g722", "opus"].into_iter().filter(|name| more.to_lowercase().contains(name));
        let others: String = named.map(|name| format!("module {name}.so\n")).collect();
        let config = format!(
            "module_path /usr/lib/baresip/modules\nmodule g711.so\n{others}module ausine.so\n\
             module sndfile.so\nmodule_app account.so\nmodule_app menu.so\n\
             sip_listen 127.0.0.1:0\naudio_source ausine,{tone_hz}\nsnd_path {folder}\n\
             ausrc_srate 48000\nauplay_srate 48000\nausrc_channels 2\nauplay_channels 1\n"
        );
        fs::write(scratch.file("config"), config).expect("it is written");
        let Credential { user, password, realm } = who;
        let account = format!(
            "<sip:{user}@{realm}>;auth_pass={password};outbound=\"sip:{by}\";regint=600{more}\n"
        );
        fs::write(scratch.file("accounts"), account).expect("it is written");
        fs::write(scratch.file("contacts"), "").expect("it is written");
        let mut words = vec!["-f", folder.as_str(), "-v"];
        for dial in dials {
            words.extend(["-e", dial]);
        }
        let child = Child::start(program, &words, &scratch.file("log")).expect("it starts");
        Self { _child: child, scratch }
    }

    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.scratch.file("log")).unwrap_or_default())
            .into_owned()
    }

    /// What it heard, as samples.
    pub(super) fn heard(&self) -> Vec<i16> {
        let file = self.file();
        let pairs = file.get(44..).unwrap_or_default().chunks_exact(2);
        pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    /// The file that it wrote.
    fn file(&self) -> Vec<u8> {
        let files = fs::read_dir(self.scratch.path()).expect("a folder");
        let names = files.filter_map(|file| Some(file.ok()?.path()));
        let mut heard = names.filter(|path| path.to_string_lossy().ends_with("-dec.wav"));
        heard.next().and_then(|path| fs::read(path).ok()).unwrap_or_default()
    }

    /// How often the last half second of what it heard went up through nought, per second.
    pub(super) fn hears_hz(&self) -> usize {
        let file = self.file();
        let Some([_, channels, low, high, ..]) =
            file.get(20..28).map(|head| head.as_chunks::<2>().0)
        else {
            return 0;
        };
        let (channels, rate) = (u16::from_le_bytes(*channels), [low[0], low[1], high[0], high[1]]);
        let samples: Vec<i16> =
            self.heard().into_iter().step_by(usize::from(channels.max(1))).collect();
        let half = u32::from_le_bytes(rate) as usize / 2;
        let last = &samples[samples.len().saturating_sub(half)..];
        2 * last.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count()
    }
}

#[tokio::test]
async fn two_baresips_hear_each_others_tone() {
    let Some(baresip) = program("baresip") else { return };
    // It speaks from the address of this machine, whatever that is.
    let anywhere = [("media.networks", "[\"0.0.0.0/0\"]")];
    let switch = Switch::start("calls-baresip", &anywhere).await;
    let (alice, bob) = (switch.credential("alice").await, switch.credential("desk").await);
    let bob = Baresip::start(&baresip, switch.sip, &bob, (880, ";answermode=auto"), &[]);
    assert!(switch.has_bindings(1.0).await, "{}", bob.log());
    let dial = format!("/dial sip:100@{}", alice.realm);
    let alice = Baresip::start(&baresip, switch.sip, &alice, (440, ""), &[&dial]);
    let near = |hz: usize, tone: usize| hz.abs_diff(tone) <= tone / 20;
    let both = async || near(bob.hears_hz(), 440) && near(alice.hears_hz(), 880);
    let heard = wait_until(both).await;
    assert!(heard, "{} {} {} {}", bob.hears_hz(), alice.hears_hz(), alice.log(), bob.log());
    drop(alice);
    drop(bob);
}

const CALLER: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="caller">
<send retrans="500"><![CDATA[
INVITE sip:100@REALM SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:USER@REALM>;tag=[pid]SIPp[call_number]
To: <sip:100@REALM>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:USER@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
]]></send>
<recv response="100" optional="true"/>
<recv response="401" auth="true"/>
<send><![CDATA[
ACK sip:100@REALM SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:USER@REALM>;tag=[pid]SIPp[call_number]
To: <sip:100@REALM>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
<send retrans="500"><![CDATA[
INVITE sip:100@REALM SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:USER@REALM>;tag=[pid]SIPp[call_number]
To: <sip:100@REALM>
Call-ID: [call_id]
CSeq: 2 INVITE
Contact: <sip:USER@[local_ip]:[local_port];transport=[transport]>
[authentication username=USER password=PASSWORD]
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="200" rrs="true"/>
<send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:USER@REALM>;tag=[pid]SIPp[call_number]
To: <sip:100@REALM>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
<pause milliseconds="200"/>
<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:USER@REALM>;tag=[pid]SIPp[call_number]
To: <sip:100@REALM>[peer_tag_param]
Call-ID: [call_id]
CSeq: 3 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200"/>
</scenario>
"#;

#[tokio::test]
async fn sipp_places_many_calls_to_sipp_and_each_has_its_record() {
    const CALLS: usize = 100;
    let Some(sipp) = program("sipp") else { return };
    let switch = Switch::start("calls-sipp", &[]).await;
    let (alice, bob) = (switch.credential("sipp").await, switch.credential("desk").await);
    // Where bob registers from, SIPp answers.
    let phone = Ua::registered(switch.sip, &bob).await;
    let port = phone.local().port().to_string();
    drop(phone);
    let scratch = Scratch::new("sipp", false).expect("a folder");
    let callee = ["-sn", "uas", "-i", "127.0.0.1", "-p", &port, "-nostdin"];
    let log = scratch.file("callee.log");
    let _callee = Child::start(&sipp, &callee, &log).expect("it starts");
    let file = scratch.file("caller.xml");
    let scenario = CALLER.replace("USER", &alice.user).replace("REALM", &alice.realm);
    fs::write(&file, scenario.replace("PASSWORD", &alice.password)).expect("it is written");
    let mut caller = Command::new(&sipp);
    let calls = CALLS.to_string();
    caller.args(["-sf", &file.display().to_string(), "-m", &calls, "-r", "50", "-nostdin"]);
    caller.args(["-i", "127.0.0.1", "-p", &free_port().expect("a port").to_string()]);
    caller.args(["-timeout", "30s", "-timeout_error"]);
    // It names the switch in its digest otherwise, and not whom it calls.
    caller.args(["-auth_uri", &format!("100@{}", alice.realm), &switch.sip.to_string()]);
    caller.current_dir(scratch.path());
    let done = tokio::task::spawn_blocking(move || caller.output()).await.expect("it runs");
    let done = done.expect("it starts");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(0), "{said}{errors}{}", switch.world.last_words());
    assert!(is_quiet(&switch).await);
    let mut http = switch.world.http(&switch.org.key);
    told(&mut http, "call.completed").await;
    let ended = async || switch.world.metric("orbit_calls_ended_total", "completed").await;
    assert!(wait_until(async || ended().await == CALLS as f64).await, "{}", ended().await);
}
