//! SIPp and baresip register, over UDP, TCP and TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use load_tests::process::{Child, Scratch, free_port};

use super::wire::{Line, Phone};
use super::{Credential, Switch};
use crate::world::wait_until;

pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let found = ["/usr/bin", "/usr/sbin"].map(|folder| Path::new(folder).join(name));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: there is no {name}");
    }
    found
}

const SCENARIO: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="register">
<send retrans="500"><![CDATA[
REGISTER sip:REALM SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:USER@REALM>;tag=[pid]SIPp[call_number]
To: <sip:USER@REALM>
Call-ID: [call_id]
CSeq: 1 REGISTER
Contact: <sip:USER@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
Expires: 600
Content-Length: 0

]]></send>
<recv response="401" auth="true"/>
<send retrans="500"><![CDATA[
REGISTER sip:REALM SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:USER@REALM>;tag=[pid]SIPp[call_number]
To: <sip:USER@REALM>
Call-ID: [call_id]
CSeq: 2 REGISTER
Contact: <sip:USER@[local_ip]:[local_port];transport=[transport]>
[authentication username=USER password=PASSWORD]
Max-Forwards: 70
Expires: 600
Content-Length: 0

]]></send>
<recv response="200"/>
</scenario>
"#;

#[tokio::test]
async fn sipp_registers_over_udp_and_tcp() {
    let Some(sipp) = program("sipp") else { return };
    let switch = Switch::start("phones-sipp", &[]).await;
    let credential = switch.credential("sipp").await;
    let scratch = Scratch::new("sipp", false).expect("a folder");
    let file = scratch.file("register.xml");
    let scenario = SCENARIO.replace("USER", &credential.user).replace("REALM", &credential.realm);
    fs::write(&file, scenario.replace("PASSWORD", &credential.password)).expect("it is written");
    for transport in ["u1", "t1"] {
        let mut sipp = Command::new(&sipp);
        sipp.args(["-sf", &file.display().to_string(), "-t", transport, "-m", "20", "-r", "100"]);
        sipp.args(["-i", "127.0.0.1", "-timeout", "20s", "-nostdin", &switch.sip.to_string()]);
        sipp.current_dir(scratch.path());
        let done = tokio::task::spawn_blocking(move || sipp.output()).await.expect("it runs");
        let done = done.expect("it starts");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let errors = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(0), "{transport}: {said}{errors}");
    }
    let granted = switch.world.metric("orbit_sip_registers_total", "granted").await;
    assert_eq!(granted, 40.0, "{}", switch.world.last_words());
}

/// baresip with a folder of its own and no devices; it ends with this.
struct Baresip {
    _child: Child,
    scratch: Scratch,
}

impl Baresip {
    fn start(program: &Path, credential: &Credential, at: &str, more: &str) -> Self {
        let scratch = Scratch::new("baresip", false).expect("a folder");
        let modules = "module_path /usr/lib/baresip/modules\nmodule g711.so\nmodule_app account.so\n\
                       module_app menu.so\nsip_listen 127.0.0.1:0\n";
        fs::write(scratch.file("config"), format!("{modules}{more}")).expect("it is written");
        let Credential { user, password, realm, .. } = credential;
        let account =
            format!("<sip:{user}@{realm}>;auth_pass={password};outbound=\"sip:{at}\";regint=600\n");
        fs::write(scratch.file("accounts"), account).expect("it is written");
        fs::write(scratch.file("contacts"), "").expect("it is written");
        let folder = scratch.path().display().to_string();
        let log = scratch.file("log");
        let child = Child::start(program, &["-f", &folder, "-v"], &log).expect("it starts");
        Self { _child: child, scratch }
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.scratch.file("log")).unwrap_or_default())
            .into_owned()
    }
}

#[tokio::test]
async fn baresip_registers_over_udp_tcp_and_tls() {
    let Some(baresip) = program("baresip") else { return };
    let certificates = Scratch::new("baresip-tls", false).expect("a folder");
    let [cert, key] =
        ["cert.pem", "key.pem"].map(|name| certificates.file(name).display().to_string());
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
        ])
        .args([
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-keyout",
            &key,
            "-out",
            &cert,
        ])
        .output();
    assert!(made.is_ok_and(|made| made.status.success()), "openssl makes a certificate");
    let tls = format!("127.0.0.1:{}", free_port().expect("a port"));
    let set = [
        ("sip.tls_bind", format!("{tls:?}")),
        ("sip.tls_cert", format!("{cert:?}")),
        ("sip.tls_key", format!("{key:?}")),
    ];
    let set: Vec<(&str, &str)> = set.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let switch = Switch::start("phones-baresip", &set).await;
    let credential = switch.credential("baresip").await;
    let trusts = format!("sip_cafile {cert}\n");
    for (at, more) in [
        (format!("{};transport=udp", switch.sip), ""),
        (format!("{};transport=tcp", switch.sip), ""),
        (format!("{tls};transport=tls"), trusts.as_str()),
    ] {
        let baresip = Baresip::start(&baresip, &credential, &at, more);
        let granted = wait_until(async || switch.bindings().await == 1.0).await;
        assert!(granted, "{at}: {}{}", baresip.log(), switch.world.last_words());
        let said = wait_until(async || baresip.log().contains("200 OK")).await;
        assert!(said, "{at}: {}", baresip.log());
        drop(baresip);
        let mut phone = Phone::new(Line::udp(switch.sip).await, &credential);
        assert_eq!(phone.register("*", "Expires: 0\r\n").await.status, 200);
        assert!(switch.has_bindings(0.0).await);
    }
}
