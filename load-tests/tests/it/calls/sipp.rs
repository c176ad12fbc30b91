//! SIPp on one side of a call or on both, where it does what telephones seldom do: it acknowledges late or
//! never, wants its provisional answers acknowledged, sends elsewhere, asks anew within the call.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use load_tests::process::{Scratch, free_port};
use tokio::task::JoinHandle;

use super::public::{CREDIT, MINUTE, caller, carrier, with_carriers};
use super::ua::Ua;
use super::{is_quiet, rung, told, two};
use crate::phones::others::program;
use crate::phones::{Credential, Switch};

const SDP: &str = "v=0\no=- 1 1 IN IP4 [local_ip]\ns=-\nc=IN IP4 [media_ip]\nt=0 0\n\
    m=audio [media_port] RTP/AVP 0\n";

/// A request of a caller; the digest stands in it where it is asked for.
fn request(method: &str, number: u32, more: &str, body: &str) -> String {
    let dialog = !(method == "INVITE" && number <= 2);
    let (uri, tag) = if dialog { ("[next_url]", "[peer_tag_param]") } else { ("sip:TO@REALM", "") };
    let cseq = method.split(' ').next().unwrap_or_default();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    let retrans = if method == "ACK" { "" } else { " retrans=\"500\"" };
    format!(
        "<send{retrans}><![CDATA[\n{method} {uri} SIP/2.0\n\
         Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport\n\
         From: <sip:USER@REALM>;tag=[pid]SIPp[call_number]\nTo: <sip:TO@REALM>{tag}\n\
         Call-ID: [call_id]\nCSeq: {number} {cseq}\n\
         Contact: <sip:USER@[local_ip]:[local_port]>\n{more}Max-Forwards: 70\n{kind}\
         Content-Length: [len]\n\n{body}]]></send>\n"
    )
}

/// The INVITE and its challenge, then the INVITE with a digest.
fn begins(more: &str) -> String {
    let ack = request("ACK", 1, "", "").replace("[next_url]", "sip:TO@REALM");
    let by = format!("[authentication username=USER password=PASSWORD]\n{more}");
    [
        &request("INVITE", 1, more, SDP),
        "<recv response=\"100\" optional=\"true\"/>\n<recv response=\"401\" auth=\"true\"/>\n",
        &ack,
        &request("INVITE", 2, &by, SDP),
        "<recv response=\"100\" optional=\"true\"/>\n",
    ]
    .concat()
}

/// An answer of a callee.
fn answer(status: &str, more: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    let tag = if more.contains("no-tag") { "" } else { ";tag=[pid]c[call_number]" };
    let more = more.replace("no-tag", "");
    let retrans = if status.starts_with('2') && !body.is_empty() { " retrans=\"500\"" } else { "" };
    format!(
        "<send{retrans}><![CDATA[\nSIP/2.0 {status}\n[last_Via:]\n[last_From:]\n[last_To:]{tag}\n\
         [last_Call-ID:]\n[last_CSeq:]\nContact: <sip:callee@[local_ip]:[local_port]>\n{more}{kind}\
         Content-Length: [len]\n\n{body}]]></send>\n"
    )
}

fn receives(response: u16) -> String {
    format!("<recv response=\"{response}\" rrs=\"true\"/>\n")
}

fn is_asked(method: &str) -> String {
    format!("<recv request=\"{method}\"/>\n")
}

/// Headers that name a request, and where they are kept.
const NAMED: [(&str, &str); 4] = [("Via", "via"), ("From", "from"), ("To", "to"), ("CSeq", "cseq")];

/// A request that is answered after another one.
fn is_asked_and_kept(method: &str) -> String {
    let keeps = NAMED.map(|(name, to)| {
        format!("<ereg regexp=\".*\" search_in=\"hdr\" header=\"{name}:\" assign_to=\"{to}\"/>")
    });
    format!("<recv request=\"{method}\"><action>{}</action></recv>\n", keeps.concat())
}

/// The answer to what was kept.
fn to_kept(answer: &str) -> String {
    NAMED.into_iter().fold(answer.to_owned(), |answer, (name, to)| {
        answer.replace(&format!("[last_{name}:]"), &format!("{name}:[${to}]"))
    })
}

/// The rest of a callee's call that is hung up by the other side.
fn is_hung_up() -> String {
    [is_asked("BYE"), answer("200 OK", "no-tag", "")].concat()
}

/// SIPp with a folder of its own.
struct Sipp {
    program: PathBuf,
    scratch: Scratch,
}

impl Sipp {
    fn new() -> Option<Self> {
        let program = program("sipp")?;
        Some(Self { program, scratch: Scratch::new("sipp", false).expect("a folder") })
    }

    /// One call of a scenario, which has to come to its end.
    fn runs(&self, name: &str, steps: &[String], more: &[&str]) -> JoinHandle<()> {
        let file = self.scratch.file(&format!("{name}.xml"));
        let head = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n";
        let scenario = format!("{head}<scenario name=\"{name}\">\n{}</scenario>\n", steps.concat());
        fs::write(&file, scenario).expect("it is written");
        let mut command = Command::new(&self.program);
        command.arg("-sf").arg(&file).args(["-m", "1", "-i", "127.0.0.1", "-nostdin"]);
        command.args(["-timeout", "60s", "-timeout_error", "-trace_err"]).args(more);
        command.current_dir(self.scratch.path());
        let (folder, name) = (self.scratch.path().to_owned(), name.to_owned());
        tokio::task::spawn_blocking(move || {
            let done = command.output().expect("it starts");
            let errors = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(0), "{name}: {errors}{}", seen(&folder, &name));
        })
    }

    /// `who` calls `to`.
    fn calls(
        &self,
        (switch, who): (&Switch, &Credential),
        to: &str,
        steps: &[String],
    ) -> JoinHandle<()> {
        let Credential { user, password, realm } = who;
        let own = |step: &String| {
            let step = step.replace("USER", user).replace("REALM", realm);
            step.replace("TO@", &format!("{to}@")).replace("PASSWORD", password)
        };
        let steps: Vec<String> = steps.iter().map(own).collect();
        let port = free_port().expect("a port").to_string();
        let (uri, at) = (format!("{to}@{realm}"), switch.sip.to_string());
        self.runs("caller", &steps, &["-p", &port, "-auth_uri", &uri, &at])
    }

    fn is_called(&self, port: u16, steps: &[String]) -> JoinHandle<()> {
        self.runs("callee", steps, &["-p", &port.to_string()])
    }
}

/// What SIPp wrote of its errors.
fn seen(folder: &Path, name: &str) -> String {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let own = files.filter(|path| {
        path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&format!("{name}_")))
    });
    own.filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// A port that bob is registered at, and that nobody listens on yet.
async fn port_of_bob(switch: &Switch) -> u16 {
    let bob = switch.credential("desk").await;
    Ua::registered(switch.sip, &bob).await.local().port()
}

#[tokio::test]
async fn an_answer_is_said_again_until_it_is_acknowledged() {
    let switch = Switch::start("calls-late-ack", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let (mut alice, mut bob) = two(&switch).await;
    let (mut dialog, invite) = rung(&mut alice, &mut bob).await;
    bob.answer(&invite, 200, &bob.sdp(1, "sendrecv")).await;
    let ok = alice.response(200).await;
    for _ in 0..2 {
        assert_eq!(alice.response(200).await.text, ok.text, "the same once more");
    }
    alice.confirm(&mut dialog, &ok, "").await;
    bob.incoming("ACK").await;
    assert!(alice.speaks_to(ok.sound_at(), &bob, 0x21).await);
    alice.bye(&mut dialog).await;
    let bye = bob.incoming("BYE").await;
    bob.answer(&bye, 200, "").await;
    assert_eq!(told(&mut http, "call.completed").await["end_reason"], "normal");
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
}

#[tokio::test]
async fn a_caller_that_never_acknowledges_is_hung_up_and_billed_no_further() {
    let mut carrier = carrier().await;
    let switch = with_carriers("calls-no-ack", &[&carrier], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut alice = caller(&switch).await;
    alice.invite("+14155559999", &alice.sdp(1, "sendrecv")).await;
    let invite = carrier.incoming("INVITE").await;
    carrier.answer(&invite, 200, &carrier.sdp(1, "sendrecv")).await;
    carrier.incoming("ACK").await;
    // 64 times T1, RFC 3261 §13.3.1.4: the 200 again and again, and then the BYE.
    let mut times = 0;
    let bye = loop {
        let said = alice.heard(|said| said.status() == 200 || said.method() == "BYE").await;
        if said.status() == 0 {
            break said;
        }
        times += 1;
    };
    assert!(times > 5, "{times}");
    alice.answer(&bye, 200, "").await;
    let bye = carrier.incoming("BYE").await;
    carrier.answer(&bye, 200, "").await;
    let ended = told(&mut http, "call.completed").await;
    assert_eq!(ended["end_reason"], "carrier_error", "{ended}");
    assert!(ended["duration_seconds"].as_i64().is_some_and(|s| (31..36).contains(&s)), "{ended}");
    assert_eq!(http.balance().await, (CREDIT - MINUTE, 0), "{ended}");
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
}

#[tokio::test(flavor = "multi_thread")]
async fn provisional_answers_are_acknowledged_on_both_sides() {
    let Some(sipp) = Sipp::new() else { return };
    let switch = Switch::start("sipp-prack", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let alice = switch.credential("sipp").await;
    let rings = answer("183 Session Progress", "Require: 100rel\nRSeq: 7\n", SDP);
    let callee = [
        is_asked_and_kept("INVITE"),
        rings,
        is_asked("PRACK"),
        answer("200 OK", "no-tag", ""),
        to_kept(&answer("200 OK", "", SDP)),
        is_asked("ACK"),
        is_hung_up(),
    ];
    let callee = sipp.is_called(port_of_bob(&switch).await, &callee);
    let number = "<ereg regexp=\"[0-9]+\" search_in=\"hdr\" header=\"RSeq:\" assign_to=\"rseq\"/>";
    let caller = [
        begins("Require: 100rel\n"),
        format!("<recv response=\"183\" rrs=\"true\"><action>{number}</action></recv>\n"),
        request("PRACK", 3, "RAck: [$rseq] 2 INVITE\n", ""),
        "<recv response=\"200\"/>\n".to_owned(),
        receives(200),
        request("ACK", 2, "", ""),
        request("BYE", 4, "", ""),
        "<recv response=\"200\"/>\n".to_owned(),
    ];
    let caller = sipp.calls((&switch, &alice), "100", &caller);
    let (called, calls) = tokio::join!(callee, caller);
    called.expect("the callee is content");
    calls.expect("the caller is content");
    assert_eq!(told(&mut http, "call.completed").await["end_reason"], "normal");
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_crosses_a_cancel_is_acknowledged_and_hung_up() {
    let Some(sipp) = Sipp::new() else { return };
    let switch = Switch::start("sipp-cancel", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let alice = switch.credential("sipp").await;
    let callee = [
        is_asked_and_kept("INVITE"),
        answer("180 Ringing", "", ""),
        is_asked("CANCEL"),
        answer("200 OK", "no-tag", ""),
        to_kept(&answer("200 OK", "", SDP)),
        is_asked("ACK"),
        is_hung_up(),
    ];
    let callee = sipp.is_called(port_of_bob(&switch).await, &callee);
    // Both are of the INVITE's transaction: three and six steps before them.
    let of_invite = |method: &str, back: u8| {
        let of_dialog = request(method, 2, "", "");
        let outside = of_dialog.replace("[next_url]", "sip:TO@REALM");
        let branch = format!("branch=[branch-{back}]");
        outside.replace("branch=[branch]", &branch)
    };
    let caller = [
        begins(""),
        receives(180),
        of_invite("CANCEL", 3).replace("[peer_tag_param]", ""),
        "<recv response=\"200\"/>\n".to_owned(),
        "<recv response=\"487\"/>\n".to_owned(),
        of_invite("ACK", 6),
    ];
    let caller = sipp.calls((&switch, &alice), "100", &caller);
    let (called, calls) = tokio::join!(callee, caller);
    called.expect("the callee is content");
    calls.expect("the caller is content");
    assert_eq!(told(&mut http, "call.failed").await["end_reason"], "canceled");
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_asked_anew_while_it_is_up() {
    let Some(sipp) = Sipp::new() else { return };
    let switch = Switch::start("sipp-reinvite", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let alice = switch.credential("sipp").await;
    let held = SDP.replace("o=- 1 1", "o=- 1 2") + "a=sendonly\n";
    let waits = SDP.replace("o=- 1 1", "o=- 1 2") + "a=recvonly\n";
    let callee = [
        is_asked("INVITE"),
        answer("200 OK", "", SDP),
        is_asked("ACK"),
        is_asked("INVITE"),
        answer("200 OK", "no-tag", &waits),
        is_asked("ACK"),
        is_hung_up(),
    ];
    let callee = sipp.is_called(port_of_bob(&switch).await, &callee);
    let caller = [
        begins(""),
        receives(200),
        request("ACK", 2, "", ""),
        request("INVITE", 3, "", &held),
        "<recv response=\"100\" optional=\"true\"/>\n".to_owned(),
        receives(200),
        request("ACK", 3, "", ""),
        request("BYE", 4, "", ""),
        "<recv response=\"200\"/>\n".to_owned(),
    ];
    let caller = sipp.calls((&switch, &alice), "100", &caller);
    let (called, calls) = tokio::join!(callee, caller);
    called.expect("the callee is content");
    calls.expect("the caller is content");
    assert_eq!(told(&mut http, "call.completed").await["end_reason"], "normal");
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_a_call_elsewhere_is_not_followed() {
    let Some(sipp) = Sipp::new() else { return };
    let (first, second) = (carrier().await, carrier().await);
    let switch = with_carriers("sipp-redirect", &[&first, &second], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut alice = caller(&switch).await;
    let moved = [is_asked("INVITE"), answer("302 Moved", "", ""), is_asked("ACK")];
    // A telephone that would lead to a number that costs, and a carrier that would lead to another.
    let port = first.local().port();
    drop(first);
    for (to, port) in [("100", port_of_bob(&switch).await), ("+14155559999", port)] {
        let callee = sipp.is_called(port, &moved);
        let dialog = alice.invite(to, &alice.sdp(1, "sendrecv")).await;
        let said = alice.response(480).await;
        alice.acknowledge_refusal(&dialog, &said).await;
        callee.await.expect("the callee is content");
    }
    assert!(is_quiet(&switch).await, "{}", switch.world.last_words());
    assert_eq!(http.balance().await, (CREDIT, 0));
    assert!(second.was_not_called(), "the next carrier is not asked");
}
