//! A telephone in a browser (JsSIP in Debian's Chromium), over WS and WSS: it registers, asks for OPTIONS,
//! calls and is called, and is there again after the connection broke. Its sound wants keys by DTLS, which
//! the switch does not speak, so that a call comes to a 488 that says so.

use std::process::Command;

use load_tests::process::{Scratch, free_port};
use serde_json::{Value, json};

use super::ua::Ua;
use crate::phones::others::program;
use crate::phones::{Credential, Switch};
use crate::tools::Judges;
use crate::world::World;

/// Calls to the browser: one it cannot answer, one it declines, and one after the connection broke.
const CALLS: usize = 3;

/// Over TLS nothing here reads the switch's own pages, so it only waits until it says that it is ready.
async fn sealed(name: &str, certificates: &Scratch) -> Switch {
    let [cert, key] = ["cert.pem", "key.pem"].map(|file| certificates.file(file));
    let words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1";
    let made = Command::new("openssl")
        .args(words.split(' '))
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output();
    assert!(made.is_ok_and(|made| made.status.success()), "openssl makes a certificate");
    let mut world = World::new(name);
    let sip = std::net::SocketAddr::from(([127, 0, 0, 1], free_port().expect("a port")));
    for (name, value) in [
        ("sip.bind", sip.to_string()),
        ("media.bind", "127.0.0.1".to_owned()),
        ("http.tls_cert", cert.display().to_string()),
        ("http.tls_key", key.display().to_string()),
    ] {
        world.set(name, &format!("{value:?}"));
    }
    let org = world.org("Acme", "1").await;
    world.start().await;
    Switch { world, org, sip }
}

/// Calls until it rings in the browser, and what becomes of that.
async fn rings(alice: &mut Ua, user: &str) -> u16 {
    for _ in 0..100 {
        let dialog = alice.invite(user, &alice.sdp(1, "sendrecv")).await;
        let mut rang = false;
        loop {
            let said = alice.heard(|said| said.status() >= 180).await;
            if said.status() < 200 {
                rang = true;
                continue;
            }
            alice.acknowledge_refusal(&dialog, &said).await;
            if rang {
                return said.status();
            }
            assert_eq!(said.status(), 480, "{}", said.text);
            break;
        }
        // It is not there yet.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await; // between two calls, not for a result
    }
    panic!("nobody rings")
}

async fn softphone(mut switch: Switch, scheme: &str) {
    let Some(chromium) = program("chromium") else { return };
    let Some(judges) = Judges::node().await else { return };
    let (browser, desk) = (switch.credential("browser").await, switch.credential("desk").await);
    let alice = switch.credential("alice").await;
    let _desk = Ua::registered(switch.sip, &desk).await;
    let mut alice = Ua::registered(switch.sip, &alice).await;
    let at = switch.world.address.expect("it was started");
    let Credential { user, password, realm } = &browser;
    let folder = Scratch::new("softphone", false).expect("a folder");
    let asked = json!({
        "chromium": chromium,
        "profile": folder.file("profile"),
        "page": format!("{scheme}://{at}/readyz"),
        "ws": format!("{}://{at}/ws", scheme.replace("http", "ws")),
        "uri": format!("sip:{user}@{realm}"),
        "password": password,
        "callee": format!("sip:100@{realm}"),
        "calls": CALLS,
    });
    let calls = async {
        assert_eq!(rings(&mut alice, user).await, 488, "it answers, and cannot speak");
        assert_eq!(rings(&mut alice, user).await, 486, "it declines");
        switch.world.kill();
        switch.world.start().await;
        assert_eq!(rings(&mut alice, user).await, 486, "it is there again");
    };
    let (told, ()) = tokio::join!(judges.ask(&folder, "softphone", &asked), calls);
    let of = |event: &str| -> Vec<&Value> {
        told.iter().filter(|told| told["event"] == event).collect()
    };
    assert!(of("registered").len() >= 2 && !of("disconnected").is_empty(), "{told:?}");
    assert!(of("registrationFailed").is_empty(), "{told:?}");
    assert_eq!(of("options")[0]["status"], 200, "{told:?}");
    assert!(of("call accepted").is_empty(), "{told:?}");
    let failed = of("call failed");
    assert_eq!((failed.len(), &failed[0]["status"]), (1, &json!(488)), "{told:?}");
    assert_eq!(failed[0]["cause"], "Incompatible SDP", "{told:?}");
    let reason = failed[0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("MEDIA_NOT_SUPPORTED"), "{told:?}");
    assert_eq!(of("rung").len(), CALLS, "{told:?}");
    assert_eq!(of("not answered")[0]["cause"], "WebRTC Error", "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_softphone_in_a_browser_registers_and_rings_over_ws() {
    softphone(Switch::start("softphone-ws", &[]).await, "http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_softphone_in_a_browser_registers_and_rings_over_wss() {
    let certificates = Scratch::new("softphone-tls", false).expect("a folder");
    softphone(sealed("softphone-wss", &certificates).await, "https").await;
}
