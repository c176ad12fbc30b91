//! Kannel of Debian as a peer: bearerbox and smsbox with a folder and free ports of their own.
//!
//! Bound to us as an ESME it sends by its own `sendsms`, reports by its own callbacks, and hands on
//! what handsets write. It has no SMPP server that a carrier's bind of ours could reach, so as a
//! relay it stands between us and another SMSC: what it hears there it sends on by us.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use load_tests::process::{Child, Scratch, free_port};
use serde_json::json;
use tokio::net::TcpStream;

use crate::hook::{Heard, Hook};
use crate::http::{Http, Reply};
use crate::judges::{HEARD_LONG, HEARD_SHORT, OURS, PERSON, Switch, WIDE, joined};
use crate::scripted::{Polite, Scripted, inbound};
use crate::world::{World, wait_until};

const ACCOUNTS: &str = "/api/v1/smpp/accounts";
const FOLDER: &str = "/usr/sbin";

/// Both boxes; they end with it.
pub(crate) struct Kannel {
    _smsbox: Child,
    _bearerbox: Child,
    sends: SocketAddr,
    scratch: Scratch,
}

impl Kannel {
    /// Starts both with these `smsc` groups; what handsets write goes to `heard_url`. Nothing where
    /// there is no Kannel.
    pub(crate) async fn start(name: &str, smscs: &str, heard_url: &str) -> Option<Self> {
        Self::with_users(name, smscs, heard_url, &[("judge", "judge")]).await
    }

    /// The same, with these users of its `sendsms`.
    pub(crate) async fn with_users(
        name: &str,
        smscs: &str,
        heard_url: &str,
        users: &[(&str, &str)],
    ) -> Option<Self> {
        let [bearer, sms] = ["bearerbox", "smsbox"].map(|name| Path::new(FOLDER).join(name));
        if !bearer.is_file() || !sms.is_file() {
            println!("skipped: there is no Kannel in {FOLDER}");
            return None;
        }
        let scratch = Scratch::new(name, false).expect("a temporary folder");
        let port = || free_port().expect("a free port");
        let (admin, boxes, sends) = (port(), port(), port());
        let users: String = users
            .iter()
            .map(|(name, password)| {
                format!(
                    "group = sendsms-user\nusername = \"{name}\"\npassword = \"{password}\"\n\
                     max-messages = 10\nconcatenation = true\n\n"
                )
            })
            .collect();
        let settings = format!(
            "group = core\nadmin-port = {admin}\nadmin-interface = \"127.0.0.1\"\n\
             admin-password = judge\nsmsbox-port = {boxes}\nsmsbox-interface = \"127.0.0.1\"\n\
             box-allow-ip = \"127.0.0.1\"\ndlr-storage = internal\n\n{smscs}\n\
             group = smsbox\nbearerbox-host = 127.0.0.1\nbearerbox-port = {boxes}\n\
             sendsms-port = {sends}\nsendsms-interface = \"127.0.0.1\"\n\n\
             {users}\
             group = sms-service\nkeyword = default\nmax-messages = 0\ncatch-all = true\n\
             get-url = \"{heard_url}?from=%p&to=%P&coding=%c&charset=%C&text=%b\"\n"
        );
        let file = scratch.file("kannel.conf");
        fs::write(&file, settings).expect("settings are written");
        let file = file.display().to_string();
        let log = scratch.file("kannel.log");
        let launch = |program: &Path| Child::start(program, &["-v", "1", &file], &log);
        let bearerbox = launch(&bearer).expect("bearerbox starts");
        let listens = wait_until(async || TcpStream::connect(("127.0.0.1", boxes)).await.is_ok());
        assert!(listens.await, "{}", fs::read_to_string(&log).unwrap_or_default());
        let smsbox = launch(&sms).expect("smsbox starts");
        let sends = SocketAddr::from(([127, 0, 0, 1], sends));
        let kannel = Self { _smsbox: smsbox, _bearerbox: bearerbox, sends, scratch };
        let listens = wait_until(async || TcpStream::connect(sends).await.is_ok());
        assert!(listens.await, "{}", kannel.log());
        Some(kannel)
    }

    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.scratch.file("kannel.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// What smsbox answers.
    pub(crate) async fn asks(&self, query: &str) -> Reply {
        Http::new(self.sends, "").get(&format!("/cgi-bin/sendsms?{query}")).await
    }

    /// Sends by smsbox, which must take it.
    pub(crate) async fn sends(&self, fields: &str) {
        let reply = self.asks(&format!("username=judge&password=judge&{fields}")).await;
        let said = (reply.status, reply.text.as_str());
        assert_eq!(said, (202, "0: Accepted for delivery"), "{fields}: {}", self.log());
    }
}

/// One bind to an SMSC, which must be up before messages go.
pub(crate) fn smsc(id: &str, at: SocketAddr, password: &str, more: &str) -> String {
    format!(
        "group = smsc\nsmsc = smpp\nsmsc-id = {id}\nhost = {}\nport = {}\n\
         transceiver-mode = true\nsmsc-username = \"kannel\"\nsmsc-password = \"{password}\"\n\
         system-type = \"\"\nsource-addr-autodetect = true\ndest-addr-ton = 1\n\
         dest-addr-npi = 1\n{more}\n\n",
        at.ip(),
        at.port(),
    )
}

/// Makes the account that Kannel binds as; its password.
pub(crate) async fn account(switch: &Switch) -> String {
    let mut http = switch.world.http(&switch.org.key);
    let made = http.post(ACCOUNTS, &json!({"system_id": "kannel"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.data()["password"].as_str().expect("a password").to_owned()
}

pub(crate) async fn is_bound(world: &World) {
    let bound = wait_until(async || world.metric("orbit_esme_binds", "kannel").await >= 1.0);
    assert!(bound.await, "Kannel does not bind: {}", world.last_words());
}

/// The next callbacks, in any order.
async fn next(hook: &mut Hook, count: usize) -> Vec<Heard> {
    let mut heard = Vec::new();
    for _ in 0..count {
        heard.push(hook.next().await);
    }
    heard
}

/// Who wrote to whom what, as smsbox tells it: in the charset that it names.
fn written(heard: &Heard) -> (String, String, String) {
    let mut raw = heard.raw();
    let mut field = |name: &str| raw.remove(name).expect("all fields are there");
    let (text, wide) = (field("text"), field("charset") == b"UTF-16BE");
    let text = if wide {
        let units = text.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        String::from_utf16(&units.collect::<Vec<_>>()).expect("UTF-16")
    } else {
        String::from_utf8(text).expect("UTF-8")
    };
    let mut address = |name: &str| String::from_utf8(field(name)).expect("a number");
    (text, address("from"), address("to"))
}

#[tokio::test(flavor = "multi_thread")]
async fn kannel_binds_sends_and_has_receipts_and_what_handsets_write() {
    let mut switch = Switch::new("kannel-esme").await;
    switch.world.serve().await;
    switch.world.bound("main", 1).await;
    let password = account(&switch).await;
    let (mut reports, mut heard) = (Hook::start().await, Hook::start().await);
    let group = smsc("orbit", switch.door(), &password, "");
    let Some(kannel) = Kannel::start("kannel-esme", &group, &heard.url).await else { return };
    is_bound(&switch.world).await;

    let long: String = (0..30).map(|number| format!("part {number}, ")).collect();
    let report = reports.url.replace(':', "%3A").replace('/', "%2F");
    let texts = [
        ("short", "Hello%20%5Byou%5D", "coding=0"),
        ("long", &long.replace(',', "%2C").replace(' ', "+"), "coding=0"),
        ("wide", "%D0%9F%D1%80%D0%B8%D0%B2%D0%B5%D1%82", "coding=2&charset=UTF-8"),
    ];
    for (name, text, coding) in texts {
        let dlr = format!("{report}%3Fname%3D{name}%26type%3D%25d%26to%3D%25p%26id%3D%25F");
        let fields = format!("from=Orbit&to=%2B{PERSON}&text={text}&{coding}");
        kannel.sends(&format!("{fields}&dlr-mask=31&dlr-url={dlr}")).await;
    }
    // Accepted by the SMSC, and delivered: of each one, and once for the parts of the long one.
    let told = next(&mut reports, 6).await;
    let facts: Vec<[String; 3]> = told
        .iter()
        .map(|one| ["name", "type", "to"].map(|name| one.fields()[name].clone()))
        .collect();
    for (name, ..) in texts {
        for kind in ["1", "8"] {
            let wanted = [name.to_owned(), kind.to_owned(), format!("+{PERSON}")];
            assert!(facts.contains(&wanted), "{wanted:?} in {facts:?}: {}", kannel.log());
        }
    }
    let (parts, whole): (Vec<_>, Vec<_>) =
        switch.carried(false).into_iter().partition(|submit| !submit.udh().is_empty());
    assert_eq!((joined(parts), whole.len()), (long, 1));
    assert_eq!(joined(switch.carried(true)), "Привет");
    assert!(whole.iter().all(|submit| submit.source == "Orbit" && submit.destination == PERSON));
    let mut http = switch.world.http(&switch.org.key);
    assert_eq!(http.count("status=delivered").await, 4, "short, wide, and two parts");

    switch.is_written_to().await;
    let mut texts: Vec<_> = next(&mut heard, 3).await.iter().map(written).collect();
    texts.sort();
    let wanted = [HEARD_LONG, HEARD_SHORT, WIDE];
    for ((text, from, to), wanted) in texts.iter().zip(wanted) {
        assert_eq!(text, wanted, "{}", kannel.log());
        assert!(from.ends_with(PERSON) && to.ends_with(OURS), "{from} {to}");
    }
    drop(kannel);
}

#[tokio::test(flavor = "multi_thread")]
async fn kannel_relays_by_us_what_it_hears_at_another_smsc() {
    let mut switch = Switch::new("kannel-relay").await;
    switch.world.serve().await;
    switch.world.bound("main", 1).await;
    let password = account(&switch).await;
    let mut polite = Polite::default();
    let elsewhere = Scripted::start(move |pdu, out| polite.does(pdu, out));
    let own = "allowed-smsc-id = elsewhere\nreroute-smsc-id = orbit";
    let groups = smsc("orbit", switch.door(), &password, "allowed-smsc-id = orbit")
        + &smsc("elsewhere", elsewhere.address, "any", own);
    let Some(kannel) = Kannel::start("kannel-relay", &groups, "http://127.0.0.1:1/").await else {
        return;
    };
    is_bound(&switch.world).await;
    elsewhere.sees(load_tests::peer::smsc::wire::BIND_TRANSCEIVER, 1).await;
    let mut out = Vec::new();
    for number in 0..20_u32 {
        let from = format!("4915112345{number:02}");
        inbound(&mut out, 100 + number, &from, PERSON, format!("relayed {number}").as_bytes());
    }
    elsewhere.inject(&out);
    let submits = wait_until(async || switch.carrier.submits().len() >= 20);
    assert!(submits.await, "{:?} {}", switch.carrier.submits(), kannel.log());
    let mut texts: Vec<(String, String)> = switch
        .carrier
        .submits()
        .iter()
        .map(|submit| (submit.source.clone(), submit.text()))
        .collect();
    texts.sort();
    let wanted: Vec<(String, String)> = (0..20)
        .map(|number| (format!("4915112345{number:02}"), format!("relayed {number}")))
        .collect();
    assert_eq!(texts, wanted, "each once");
    let mut http = switch.world.http(&switch.org.key);
    let all = wait_until(async || http.count("status=delivered").await == 20);
    assert!(all.await, "{}", switch.world.last_words());
    drop(kannel);
}
