//! Calls whose sides have no codec in common: baresip and SIPp speak one each, and hear each other.

use std::fs;

use load_tests::process::{Child, Scratch};

use super::others::Baresip;
use super::ua::Ua;
use crate::phones::Switch;
use crate::phones::others::program;
use crate::world::wait_until;

/// It speaks from the address of this machine, whatever that is.
const ANYWHERE: (&str, &str) = ("media.networks", "[\"0.0.0.0/0\"]");

fn near(hz: usize, tone: usize) -> bool {
    hz.abs_diff(tone) <= tone / 20
}

/// Two baresips, each with codecs of its own; both hear the other's tone.
async fn hear_each_other(name: &str, more: &[(&str, &str)], caller: &str, callee: &str) {
    let Some(baresip) = program("baresip") else { return };
    let settings = [&[ANYWHERE], more].concat();
    let switch = Switch::start(name, &settings).await;
    let (alice, bob) = (switch.credential("alice").await, switch.credential("desk").await);
    let answers = format!(";answermode=auto;audio_codecs={callee}");
    let bob = Baresip::start(&baresip, switch.sip, &bob, (880, &answers), &[]);
    assert!(switch.has_bindings(1.0).await, "{}", bob.log());
    let dial = format!("/dial sip:100@{}", alice.realm);
    let codecs = format!(";audio_codecs={caller}");
    let alice = Baresip::start(&baresip, switch.sip, &alice, (440, &codecs), &[&dial]);
    let both = async || near(bob.hears_hz(), 440) && near(alice.hears_hz(), 880);
    let heard = wait_until(both).await;
    assert!(heard, "{} {} {} {}", bob.hears_hz(), alice.hears_hz(), alice.log(), bob.log());
}

#[tokio::test]
async fn one_law_is_heard_by_who_speaks_the_other_alone() {
    hear_each_other("calls-laws", &[], "PCMU/8000/1", "PCMA/8000/1").await;
    hear_each_other("calls-laws-back", &[], "PCMA/8000/1", "PCMU/8000/1").await;
}

#[cfg(feature = "g722")]
#[tokio::test]
async fn g722_is_heard_by_who_speaks_g711_alone() {
    let all = [("media.transcode", "[\"PCMU\", \"PCMA\", \"G722\"]")];
    hear_each_other("calls-g722", &all, "G722/16000/1", "PCMA/8000/1").await;
    hear_each_other("calls-g722-back", &all, "PCMU/8000/1", "G722/16000/1").await;
}

#[cfg(feature = "opus")]
#[tokio::test]
async fn opus_is_heard_by_who_speaks_g711_alone() {
    let all = [("media.transcode", "[\"PCMU\", \"PCMA\", \"opus\"]")];
    hear_each_other("calls-opus", &all, "opus/48000/2", "PCMA/8000/1").await;
    hear_each_other("calls-opus-back", &all, "PCMU/8000/1", "opus/48000/2").await;
}

/// SIPp as a callee of A-law alone, which sends back what it hears.
const CALLEE: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="callee">
<recv request="INVITE"/>
<send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_From:]
[last_To:];tag=[pid]c[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:callee@[local_ip]:[local_port]>
Content-Length: 0

]]></send>
<send retrans="500"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]c[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:callee@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8
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

#[tokio::test]
async fn a_tone_of_one_law_comes_back_from_a_callee_of_the_other() {
    let (Some(baresip), Some(sipp)) = (program("baresip"), program("sipp")) else { return };
    let switch = Switch::start("calls-echo", &[ANYWHERE]).await;
    let (alice, bob) = (switch.credential("alice").await, switch.credential("desk").await);
    // Where bob registers from, SIPp answers.
    let phone = Ua::registered(switch.sip, &bob).await;
    let port = phone.local().port().to_string();
    drop(phone);
    let scratch = Scratch::new("sipp", false).expect("a folder");
    fs::write(scratch.file("callee.xml"), CALLEE).expect("it is written");
    let file = scratch.file("callee.xml").display().to_string();
    let words = ["-sf", &file, "-i", "127.0.0.1", "-p", &port, "-rtp_echo", "-nostdin", "-m", "1"];
    let _callee = Child::start(&sipp, &words, &scratch.file("callee.log")).expect("it starts");
    let dial = format!("/dial sip:100@{}", alice.realm);
    let codecs = ";audio_codecs=PCMU/8000/1";
    let alice = Baresip::start(&baresip, switch.sip, &alice, (440, codecs), &[&dial]);
    let heard = wait_until(async || near(alice.hears_hz(), 440)).await;
    assert!(heard, "{} {}", alice.hears_hz(), alice.log());
}
