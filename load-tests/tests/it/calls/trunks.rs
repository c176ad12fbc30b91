//! Trunks with real peers: Kamailio keeps us registered, SIPp is called over TCP, a second switch over TLS.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use load_tests::process::{Child, Scratch, free_port};
use serde_json::{Value, json};

use super::kamailio::CALLEE;
use super::public::caller;
use super::ua::Ua;
use super::{is_quiet, told_of};
use crate::phones::others::program;
use crate::phones::{Credential, Switch};
use crate::world::wait_until;

/// A registrar with one user, whom it calls by what it knows of it when somebody asks for 100.
const REGISTRAR: &str = r#"#!KAMAILIO
debug=2
log_stderror=yes
children=2
auto_aliases=no
enable_tls=no
listen=udp:PROXY
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("auth", "algorithm", "ALGORITHM")
modparam("auth", "qop", "auth")
modparam("auth", "nonce_expire", 2)
modparam("registrar", "min_expires", 20)
modparam("registrar", "max_expires", 20)
request_route {
    if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
    if (is_method("OPTIONS")) { sl_send_reply("404", "Nobody asks for me"); exit; }
    if (is_method("ACK")) { t_check_trans(); t_relay(); exit; }
    if (is_method("REGISTER|INVITE") && !has_totag()) {
        if (!pv_www_authenticate("127.0.0.1", "hunter2hunter2", "0")) {
            www_challenge("127.0.0.1", "1");
            exit;
        }
        consume_credentials();
    }
    if (is_method("REGISTER")) {
        xlog("L_ERR", "REGISTERED for $hdr(Expires) by $ct\n");
        save("location");
        exit;
    }
    if (!has_totag()) {
        $rU = "office";
        if (!lookup("location")) { sl_send_reply("480", "Not registered"); exit; }
    }
    t_relay();
}
"#;

struct Registrar {
    child: Child,
    scratch: Scratch,
    at: SocketAddr,
}

impl Registrar {
    fn start(program: &Path, algorithm: &str) -> Self {
        let at = SocketAddr::from(([127, 0, 0, 1], free_port().expect("a port")));
        Self::start_at(program, at, algorithm)
    }

    fn start_at(program: &Path, at: SocketAddr, algorithm: &str) -> Self {
        let scratch = Scratch::new("registrar", false).expect("a folder");
        let config = REGISTRAR.replace("PROXY", &at.to_string()).replace("ALGORITHM", algorithm);
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

impl Drop for Registrar {
    fn drop(&mut self) {
        self.child.stop(std::time::Duration::from_secs(5));
    }
}

/// The organization's only trunk.
async fn shown(switch: &Switch) -> Value {
    let got = switch.world.http(&switch.org.key).get("/api/v1/voice/sip-trunks").await;
    got.json["data"][0].clone()
}

async fn registers_with_kamailio(algorithm: &str) {
    let Some(kamailio) = program("kamailio") else { return };
    let registrar = Registrar::start(&kamailio, algorithm);
    let inside = [("sip.trunk_networks", "[\"127.0.0.0/8\"]"), ("sip.trunk_retry_min_s", "1")];
    let mut switch = Switch::start("trunks-registered", &inside).await;
    let mut desk = Ua::registered(switch.sip, &switch.credential("desk").await).await;
    let mut http = switch.world.http(&switch.org.key);
    let body = json!({
        "name": "Office", "outbound_uri": format!("sip:{}", registrar.at), "username": "office",
        "password": "hunter2hunter2", "register": true, "options_ping_seconds": 5,
    });
    let made = http.post("/api/v1/voice/sip-trunks", &body).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let id = made.json["data"]["id"].as_str().expect("an id").to_owned();
    let stands = async || {
        let trunk = shown(&switch).await;
        trunk["registration"]["status"] == "registered" && trunk["health"] == "up"
    };
    let log = || format!("{} {}", registrar.log(), switch.world.last_words());
    assert!(wait_until(stands).await, "{} {}", shown(&switch).await, log());
    // It keeps us for twenty seconds of the 600 asked for, and its nonces are over after two.
    let renewed = async || registrar.log().matches("REGISTERED for 600").count() >= 2;
    assert!(wait_until(renewed).await, "{}", log());
    let listed = switch.world.orbit(&["trunk", "list", "--organization", &switch.org.id]).await;
    let listed = format!("{listed:?}");
    assert!(listed.contains("registered") && !listed.contains("hunter2"), "{listed}");

    let office = Credential {
        user: "office".into(),
        password: "hunter2hunter2".into(),
        realm: "127.0.0.1".into(),
    };
    let mut outside = Ua::new(registrar.at, &office).await;
    let sdp = outside.sdp(1, "sendrecv");
    let mut dialog = outside.invite("100", &sdp).await;
    let invite = desk.incoming("INVITE").await;
    desk.answer(&invite, 200, &desk.sdp(1, "sendrecv")).await;
    let ok = outside.response(200).await;
    outside.confirm(&mut dialog, &ok, "").await;
    desk.incoming("ACK").await;
    assert!(outside.speaks_to(ok.sound_at(), &desk, 0x33).await, "{}", log());
    let mut own = desk.dialog_of(&invite);
    desk.bye(&mut own).await;
    let bye = outside.incoming("BYE").await;
    outside.answer(&bye, 200, "").await;
    assert!(is_quiet(&switch).await);

    if algorithm == "SHA-256" {
        return;
    }
    // Who is gone is down after three pings in vain, which takes twenty seconds; who is back is up.
    let at = registrar.at;
    drop(registrar);
    let mut is_down = async || shown(&switch).await["health"] == "down";
    let down = wait_until(&mut is_down).await || wait_until(&mut is_down).await;
    assert!(down, "{}", shown(&switch).await);
    let mut http = switch.world.http(&switch.org.key);
    told_of(&mut http, "trunk.down", 1).await;
    let registrar = Registrar::start_at(&kamailio, at, algorithm);
    let back = wait_until(async || shown(&switch).await["health"] == "up").await;
    assert!(back, "{} {}", shown(&switch).await, registrar.log());

    let words = ["trunk", "remove", "--organization", &switch.org.id, &id, "--json"];
    assert_eq!(switch.world.orbit(&words).await.json()["removed"], true);
    let ended = wait_until(async || registrar.log().contains("REGISTERED for 0")).await;
    assert!(ended, "{}", registrar.log());
    assert!(!switch.world.log().contains("hunter2"), "nobody reads the password");

    // The process ends, and says so to who knows it.
    let mut http = switch.world.http(&switch.org.key);
    let made = http.post("/api/v1/voice/sip-trunks", &body).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let times = registrar.log().matches("REGISTERED for 600").count();
    let knows = async || registrar.log().matches("REGISTERED for 600").count() > times;
    assert!(wait_until(knows).await, "{}", registrar.log());
    switch.world.terminate().await;
    assert_eq!(registrar.log().matches("REGISTERED for 0").count(), 2, "{}", registrar.log());
}

#[tokio::test]
async fn kamailio_keeps_us_and_calls_us_by_what_it_knows() {
    registers_with_kamailio("MD5").await;
}

#[tokio::test]
async fn kamailio_that_asks_for_sha_256_gets_it() {
    registers_with_kamailio("SHA-256").await;
}

/// Whether somebody listens at a port, by the kernel's word: a connection would be one more.
fn listens(port: u16) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let state = format!(":{port:04X} 00000000:0000 0A");
    table.lines().any(|line| line.contains(&state))
}

/// The operator's only trunk.
async fn operators(switch: &Switch) -> Value {
    switch.world.orbit(&["trunk", "list", "--json"]).await.json()[0].clone()
}

#[tokio::test]
async fn sipp_is_called_by_one_connection_and_by_another_when_it_comes_back() {
    let Some(sipp) = program("sipp") else { return };
    let at = free_port().expect("a port");
    let trunk = format!(
        "[{{name=\"carrier\", host=\"127.0.0.1\", port={at}, transport=\"tcp\", options_ping_s=0}}]"
    );
    let set = [("egress.trunks", trunk.as_str()), ("voice.trust_caller_ids", "true")];
    let switch = Switch::start("trunks-tcp", &set).await;
    let scratch = Scratch::new("sipp-tcp", false).expect("a folder");
    let callee = CALLEE.replace("[local_port]>", "[local_port];transport=tcp>");
    fs::write(scratch.file("callee.xml"), callee).expect("it is written");
    let file = scratch.file("callee.xml").display().to_string();
    let port = at.to_string();
    let mut alice = caller(&switch).await;
    let mut http = switch.world.http(&switch.org.key);
    for calls in [2, 1] {
        let count = calls.to_string();
        let words =
            ["-sf", &file, "-i", "127.0.0.1", "-p", &port, "-t", "t1", "-m", &count, "-nostdin"];
        let mut sipp = Child::start(&sipp, &words, &scratch.file("log")).expect("it starts");
        assert!(wait_until(async || listens(at)).await, "sipp listens");
        for _ in 0..calls {
            let mut dialog = alice.invite("+14155559999", &alice.sdp(1, "sendrecv")).await;
            let ok = alice.heard(|said| said.status() >= 200).await;
            let log = fs::read_to_string(scratch.file("log")).unwrap_or_default();
            assert_eq!(ok.status(), 200, "{} {log} {}", ok.text, switch.world.last_words());
            alice.confirm(&mut dialog, &ok, "").await;
            assert_eq!(switch.world.metric("orbit_sip_connections", "").await, 1.0);
            alice.bye(&mut dialog).await;
            assert!(is_quiet(&switch).await);
        }
        let over = wait_until(async || !sipp.is_running()).await;
        assert!(over, "{}", fs::read_to_string(scratch.file("log")).unwrap_or_default());
        // It closes its connections when it ends, between two calls.
        let closed = async || switch.world.metric("orbit_sip_connections", "").await == 0.0;
        assert!(wait_until(closed).await);
    }
    told_of(&mut http, "call.completed", 3).await;
}

/// Certificate and key of this address, as their own authority.
fn certificate(scratch: &Scratch) -> [String; 2] {
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| scratch.file(name).display().to_string());
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &key, "-out", &cert])
        .output();
    assert!(made.is_ok_and(|made| made.status.success()), "openssl makes a certificate");
    [cert, key]
}

#[tokio::test]
async fn two_switches_speak_over_tls_with_sealed_sound() {
    let files = Scratch::new("trunks-tls", false).expect("a folder");
    let [cert, key] = certificate(&files).map(|file| format!("{file:?}"));
    let far_at = SocketAddr::from(([127, 0, 0, 1], free_port().expect("a port")));
    let mut carrier = super::public::carrier().await;
    let trunk = format!(
        "[{{name=\"end\", host=\"127.0.0.1\", port={}, options_ping_s=0}}]",
        carrier.local().port()
    );
    let far = [
        ("sip.tls_bind", format!("\"{far_at}\"")),
        ("sip.tls_cert", cert.clone()),
        ("sip.tls_key", key),
        ("egress.trunks", trunk),
        ("voice.trust_caller_ids", "true".into()),
    ];
    let far: Vec<(&str, &str)> = far.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let mut far = Switch::start("trunks-far", &far).await;
    // The near switch is a telephone of the far one.
    let made = far
        .world
        .http(&far.org.key)
        .post(
            "/api/v1/sip-credentials",
            &json!({"label": "near", "allowed_outbound": true, "caller_id": "+14155550100"}),
        )
        .await;
    let text = |name: &str| made.json["data"][name].as_str().unwrap_or_default().to_owned();
    let trunk = format!(
        "[{{name=\"far\", host=\"127.0.0.1\", port={}, transport=\"tls\", encryption=\"tls_srtp\", \
         username=\"{}@{}\", password=\"{}\", register=true, options_ping_s=1}}]",
        far_at.port(),
        text("sip_username"),
        text("sip_server"),
        text("sip_password"),
    );
    let near = [
        ("egress.trunks", trunk.as_str()),
        ("voice.trust_caller_ids", "true"),
        ("sip.trunk_ca_file", &cert),
        ("sip.trunk_retry_min_s", "1"),
    ];
    let near = Switch::start("trunks-near", &near).await;
    let stands = async || {
        let trunk = operators(&near).await;
        trunk["health"] == "up" && trunk["registration"]["status"] == "registered"
    };
    let stands = wait_until(stands).await;
    let words = format!("{} {}", near.world.last_words(), far.world.last_words());
    assert!(stands, "{} {words}", operators(&near).await);
    assert!(far.has_bindings(1.0).await);
    let mut alice = caller(&near).await;
    for count in 1..=3 {
        if count == 3 {
            // Whose connection is lost comes by another, and is registered again at once.
            far.world.kill();
            far.world.serve().await;
            assert!(far.has_bindings(1.0).await, "{}", near.world.last_words());
        }
        let words = || format!("{} {}", near.world.last_words(), far.world.last_words());
        let sdp = alice.sdp(1, "sendrecv");
        let mut dialog = alice.invite("+14155559999", &sdp).await;
        let invite = carrier.incoming("INVITE").await;
        carrier.answer(&invite, 200, &carrier.sdp(1, "sendrecv")).await;
        let ok = alice.response(200).await;
        alice.confirm(&mut dialog, &ok, "").await;
        carrier.incoming("ACK").await;
        assert!(alice.speaks_to(ok.sound_at(), &carrier, 0x44).await, "{}", words());
        assert!(carrier.speaks_to(invite.sound_at(), &alice, 0x55).await, "{}", words());
        let connections = near.world.metric("orbit_sip_connections", "").await;
        assert_eq!(connections, 1.0, "calls, pings and the registration share one");
        alice.bye(&mut dialog).await;
        let bye = carrier.incoming("BYE").await;
        carrier.answer(&bye, 200, "").await;
        assert!(is_quiet(&near).await && is_quiet(&far).await);
        let mut http = near.world.http(&near.org.key);
        let ended = told_of(&mut http, "call.completed", count).await;
        let id = ended["call_id"].as_str().unwrap_or_default().to_owned();
        let ladder = http.get(&format!("/api/v1/voice/calls/{id}/ladder?format=text")).await;
        assert!(ladder.text.contains("RTP/SAVP"), "{}", ladder.text);
        assert!(ladder.text.contains("SIP/2.0/TLS"), "{}", ladder.text);
        let keys = ladder.text.lines().filter(|line| line.trim().starts_with("a=crypto"));
        assert!(keys.clone().count() > 0, "{}", ladder.text);
        assert!(
            keys.clone().all(|line| line.contains("inline:*")),
            "no key is kept: {}",
            ladder.text
        );
    }
}
