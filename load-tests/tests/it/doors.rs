//! The interfaces of Kannel and Jasmin, by their own words: what each answers, what it calls back.
//!
//! Where Kannel is installed its smsbox is asked the same as ours, and must say the same; and it
//! sends by ours as it does by another Kannel.

use load_tests::process::free_port;
use serde_json::{Value, json};

use crate::hook::{Heard, Hook};
use crate::http::{Http, Reply};
use crate::judges::{OURS, PERSON, Switch, joined};
use crate::kannel::{Kannel, account, is_bound, smsc};
use crate::world::wait_until;

const ACCOUNTS: &str = "/api/v1/smpp/accounts";
const SENDSMS: &str = "/cgi-bin/sendsms";
const STOPPED: &str = "14155550199";
/// Whoever sees it in a log has found a leak.
const PASSWORD: &str = "hush-hush-42";
const WHO: &str = "username=acme&password=hush-hush-42";

/// A switch with both interfaces, an account, and callbacks to this machine.
async fn open(name: &str, more: &[(&str, &str)]) -> Switch {
    let mut switch = Switch::new(name).await;
    let settings = [
        ("compatibility.kannel", "true"),
        ("compatibility.jasmin", "true"),
        ("webhooks.allowed_networks", "[\"127.0.0.0/8\"]"),
        ("webhooks.retry_delays_s", "[1, 1, 1]"),
        ("log.level", "\"debug,hyper=trace,hyper_util=trace,tower=trace,axum=trace\""),
    ];
    for (key, value) in settings.iter().chain(more) {
        switch.world.set(key, value);
    }
    switch.world.serve().await;
    switch.world.bound("main", 1).await;
    let mut http = switch.world.http(&switch.org.key);
    let fields = json!({"system_id": "acme", "password": PASSWORD, "id_format": "hex"});
    let made = http.post(ACCOUNTS, &fields).await;
    assert_eq!(made.status, 201, "{}", made.text);
    switch
}

fn form(text: &str) -> String {
    text.bytes()
        .map(|octet| match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(octet).to_string(),
            _ => format!("%{octet:02X}"),
        })
        .collect()
}

async fn ask(switch: &Switch, path: &str, query: &str) -> Reply {
    switch.world.http("").get(&format!("{path}?{query}")).await
}

async fn post(switch: &Switch, path: &str, kind: &str, body: &str) -> Reply {
    let mut http = switch.world.http("");
    let request = http.request("POST", path, &[("Content-Type", kind)], body.as_bytes());
    http.raw(&request).await.expect("an answer")
}

/// The facts of so many callbacks, in any order.
async fn told(hook: &mut Hook, count: usize, names: &[&str]) -> Vec<Vec<String>> {
    let mut facts = Vec::new();
    for _ in 0..count {
        let fields = hook.next().await.fields();
        facts.push(names.iter().map(|name| fields[*name].clone()).collect());
    }
    facts.sort();
    facts
}

/// Nothing of a password in all that the switch ever wrote.
fn is_discreet(switch: &Switch) {
    let log = switch.world.log();
    assert!(log.contains("DEBUG") || log.contains("TRACE"), "{log}");
    let line = log.lines().find(|line| line.contains(PASSWORD));
    assert_eq!(line, None, "a password is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_programs_paths_are_not_there_unless_they_are_asked_for() {
    let mut switch = Switch::new("doors-off").await;
    switch.world.serve().await;
    for path in [SENDSMS, "/send", "/ping", "/balance", "/rate"] {
        assert_eq!(ask(&switch, path, WHO).await.status, 404, "{path}");
    }
}

/// A request, and what Kannel 1.4.5 answers it.
const SPOKEN: &[(&str, u16, &str)] = &[
    ("username=acme&password=wrong&to=1&text=x&from=y", 403, "Authorization failed for sendsms"),
    ("", 403, "Authorization failed for sendsms"),
    ("WHO&text=x&from=y", 400, "Missing receiver number, rejected"),
    ("WHO&to=&text=x&from=y", 400, "Empty receiver number not allowed, rejected"),
    (
        "WHO&to=abc&text=x&from=y",
        400,
        "Number(s) has/have been denied by white- and/or black-lists.",
    ),
    ("WHO&to=TO&text=x", 400, "Sender missing and no global set, rejected"),
    ("WHO&to=TO&from=y1y&text=x&coding=3", 400, "Coding field misformed, rejected"),
    ("WHO&to=TO&from=y1y&text=x&mclass=4", 400, "MClass field misformed, rejected"),
    ("WHO&to=TO&from=y1y&text=x&mwi=8", 400, "MWI field misformed, rejected"),
    ("WHO&to=TO&from=y1y&text=x&deferred=-5", 400, "Deferred field misformed, rejected"),
    ("WHO&to=TO&from=y1y&text=x&priority=9", 400, "Priority field misformed, rejected"),
    ("WHO&to=TO&from=y1y&text=x&dlr-mask=-4", 400, "DLR-Mask field misformed, rejected"),
    ("WHO&to=TO&from=y1y&text=x&udh=%06%05", 400, "UDH field misformed, rejected"),
    ("WHO&to=TO&from=y1y&text=x&charset=nonsense", 400, "Charset or body misformed, rejected"),
    ("WHO&to=TO&from=y1y&text=x&compress=5", 400, "Compress field misformed, rejected"),
    ("WHO&to=TO&from=y1y&text=x&pid=500", 400, "PID field misformed, rejected"),
    ("WHO&to=TO&from=y1y&text=x&alt-dcs=9", 400, "Alt-DCS field misformed, rejected"),
    ("WHO&to=TO&from=y1y&text=x&rpi=9", 400, "RPI field misformed, rejected"),
    ("user=acme&pass=hush-hush-42&to=TO&from=y1y&text=plain", 202, "0: Accepted for delivery"),
    ("WHO&to=TO+14155550124&from=y1y&text=both", 202, "0: Accepted for delivery"),
    ("WHO&to=TO&from=y1y&text=Gr%C3%BC%C3%9Fe", 202, "0: Accepted for delivery"),
    ("WHO&to=TO&from=y1y&text=%04%1F&coding=2", 202, "0: Accepted for delivery"),
    (
        "WHO&to=TO&from=y1y&udh=%05%00%03%07%02%01&text=a%00b&coding=1",
        202,
        "0: Accepted for delivery",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn sendsms_says_what_smsbox_says() {
    let switch = open("doors-spoken", &[]).await;
    let password = account(&switch).await;
    let group = smsc("orbit", switch.door(), &password, "");
    let users = [("acme", PASSWORD)];
    let kannel = Kannel::with_users("doors-spoken", &group, "http://127.0.0.1:1/", &users).await;
    if kannel.is_some() {
        is_bound(&switch.world).await;
    }
    for (query, status, text) in SPOKEN {
        let query = query.replace("WHO", WHO).replace("TO", PERSON);
        let ours = ask(&switch, SENDSMS, &query).await;
        assert_eq!((ours.status, ours.text.as_str()), (*status, *text), "{query}");
        assert_eq!(ours.header("content-type"), Some("text/html"), "{query}");
        if let Some(kannel) = &kannel {
            let theirs = kannel.asks(&query).await;
            assert_eq!((theirs.status, theirs.text.as_str()), (*status, *text), "{query}");
        }
    }
    // What is sent by either way is the same message at the carrier: each text came twice.
    let sends = if kannel.is_some() { 12 } else { 6 };
    let all = wait_until(async || switch.carrier.submits().len() >= sends).await;
    let submits = switch.carrier.submits();
    assert!(all, "{submits:?}");
    let mut kinds: Vec<_> =
        submits.iter().map(|s| (s.data_coding, s.esm_class & 0x40, s.octets.clone())).collect();
    kinds.sort();
    let each = if kannel.is_some() { 2 } else { 1 };
    let both = kinds.iter().filter(|(.., octets)| octets == b"both").count();
    assert_eq!(both, 2 * each, "{kinds:?}");
    kinds.dedup();
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    drop(kannel);
    is_discreet(&switch);
}

#[tokio::test(flavor = "multi_thread")]
async fn sendsms_takes_every_form_and_refuses_what_the_switch_refuses() {
    let switch = open("doors-kannel", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let stop = json!({"address": format!("+{STOPPED}"), "reason": "STOP"});
    let stop = http.post("/api/v1/compliance/suppression-list", &stop).await;
    assert_eq!(stop.status, 201, "{}", stop.text);

    let posted = format!("{WHO}&to={PERSON}&from={OURS}&text=posted&account=a1&binfo=b%262");
    let form_kind = "application/x-www-form-urlencoded";
    assert_eq!(post(&switch, SENDSMS, form_kind, &posted).await.status, 202);
    let headers = [
        ("Content-Type", "text/plain"),
        ("X-Kannel-Username", "acme"),
        ("X-Kannel-Password", PASSWORD),
        ("X-Kannel-To", PERSON),
        ("X-Kannel-From", "Orbit"),
        ("X-Kannel-MClass", "0"),
    ];
    let request = http.request("POST", SENDSMS, &headers, b"by headers");
    assert_eq!(http.raw(&request).await.expect("an answer").status, 202);
    let head = http.request("HEAD", &format!("{SENDSMS}?{WHO}&to={PERSON}&text=x"), &[], b"");
    let mut once = Http::new(switch.world.address.expect("an address"), "");
    // The answer to HEAD has a length and no body, which our client would wait for.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), once.raw(&head)).await;

    let mixed =
        ask(&switch, SENDSMS, &format!("{WHO}&to={PERSON}+{STOPPED}&from=Orbit&text=m")).await;
    assert_eq!(mixed.text, format!("0: Accepted for delivery Failed receivers are: {STOPPED}"));
    assert_eq!((mixed.status, mixed.header("x-orbit-status")), (202, Some("0x402")));
    let stopped = ask(&switch, SENDSMS, &format!("{WHO}&to={STOPPED}&from=Orbit&text=m")).await;
    assert_eq!((stopped.status, stopped.text.as_str()), (403, "Not routable. Do not try again."));
    assert_eq!(stopped.header("x-orbit-status"), Some("0x402"));
    let later =
        ask(&switch, SENDSMS, &format!("{WHO}&to={PERSON}&from=Orbit&text=l&deferred=5")).await;
    assert_eq!((later.status, later.text.as_str()), (202, "3: Queued for later delivery"));
    let inside = "dlr-mask=31&dlr-url=http%3A%2F%2F10.0.0.1%2F";
    let inside =
        ask(&switch, SENDSMS, &format!("{WHO}&to={PERSON}&from=Orbit&text=x&{inside}")).await;
    assert_eq!((inside.status, inside.text.as_str()), (400, "DLR-URL not allowed, rejected"));

    let long = "0123456789".repeat(30);
    let sent = ask(&switch, SENDSMS, &format!("{WHO}&to={PERSON}&from=Orbit&text={long}")).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let all = wait_until(async || switch.carrier.submits().len() >= 5);
    assert!(all.await, "{:?}", switch.carrier.submits());
    let (parts, whole): (Vec<_>, Vec<_>) =
        switch.carrier.submits().into_iter().partition(|submit| !submit.udh().is_empty());
    assert_eq!(joined(parts), long);
    let mut texts: Vec<_> =
        whole.iter().map(|s| (s.text(), s.source.clone(), s.data_coding)).collect();
    texts.sort();
    let orbit = || String::from("Orbit");
    let wanted = [
        (String::from("by headers"), orbit(), 0x10),
        (String::from("m"), orbit(), 0),
        (String::from("posted"), OURS.to_owned(), 0),
    ];
    assert_eq!(texts, wanted);
    let listed = http.get("/api/v1/messages?status=delivered").await;
    let accounts: Vec<&Value> =
        listed.data().as_array().expect("a list").iter().map(|m| &m["metadata"]).collect();
    assert!(accounts.contains(&&json!({"account": "a1", "binfo": "b&2"})), "{accounts:?}");
    is_discreet(&switch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dlr_url_is_called_with_its_escapes_filled_until_it_answers() {
    let switch = open("doors-dlr", &[]).await;
    // The first request is refused: it comes again.
    let mut hook = Hook::answering(|number| if number == 0 { (500, "") } else { (200, "") }).await;
    let url = form(&format!("{}?n=7&type=%d&to=%p&from=%P&id=%F&uuid=%I&what=%A", hook.url));
    let query = format!("{WHO}&to=%2B{PERSON}&from=Orbit&text=hello&dlr-mask=31&dlr-url={url}");
    let sent = ask(&switch, SENDSMS, &query).await;
    assert_eq!((sent.status, sent.text.as_str()), (202, "0: Accepted for delivery"));
    let refused = hook.next().await;
    assert_eq!((refused.method.as_str(), refused.fields()["type"].as_str()), ("GET", "8"));
    assert!(refused.body.is_empty() && !refused.headers.contains_key("x-devotel-signature"));
    let names = ["n", "type", "to", "from", "id", "what"];
    let mut facts = told(&mut hook, 2, &names).await;
    let text = facts[0].pop().expect("a receipt");
    assert!(text.starts_with("id:7000001 sub:001 dlvrd:001 submit date:"), "{text}");
    assert!(text.contains(" stat:DELIVRD err:000 text:hello"), "{text}");
    assert_eq!(facts[1].pop().as_deref(), Some("ACK/"));
    let to = format!("+{PERSON}");
    assert_eq!(facts, [["7", "1", &to, "Orbit", "7000001"], ["7", "8", &to, "Orbit", "7000001"]]);
    is_discreet(&switch);
}

#[tokio::test(flavor = "multi_thread")]
async fn kannel_sends_by_our_sendsms_and_has_its_reports() {
    let switch = open("doors-http", &[]).await;
    let port = free_port().expect("a free port");
    let at = switch.world.address.expect("an address");
    // As Kannel's manual has two Kannels in a row: what stands behind is ours.
    let group = format!(
        "group = smsc\nsmsc = http\nsystem-type = kannel\nsmsc-id = orbit\nport = {port}\n\
         smsc-username = \"acme\"\nsmsc-password = \"{PASSWORD}\"\n\
         send-url = \"http://{at}{SENDSMS}\"\ndlr-url = \"http://127.0.0.1:{port}/sms?username=acme&password={PASSWORD}\"\n\
         connect-allow-ip = 127.0.0.1\n\n"
    );
    let mut reports = Hook::start().await;
    let Some(kannel) = Kannel::start("doors-http", &group, "http://127.0.0.1:1/").await else {
        return;
    };
    let report = form(&format!("{}?name=relay&type=%d&to=%p", reports.url));
    let text = form("Grüße, Zoé");
    let fields = format!("from=Orbit&to=%2B{PERSON}&text={text}&dlr-mask=3&dlr-url={report}");
    kannel.sends(&fields).await;
    let to = format!("+{PERSON}");
    let facts = told(&mut reports, 1, &["type", "to"]).await;
    assert_eq!(facts, [["1", &to]], "{}", kannel.log());
    let submits = switch.carrier.submits();
    assert_eq!(submits.len(), 1, "{submits:?}");
    let mut http = switch.world.http(&switch.org.key);
    let listed = http.get("/api/v1/messages").await;
    assert_eq!(listed.data()[0]["body"], "Grüße, Zoé", "{}", listed.text);
    drop(kannel);
}

#[tokio::test(flavor = "multi_thread")]
async fn jasmins_api_answers_as_documented() {
    let switch = open("doors-jasmin", &[("protection.allowed_countries", "[\"US\"]")]).await;
    let ping = ask(&switch, "/ping", "").await;
    assert_eq!((ping.status, ping.text.as_str()), (200, "Jasmin/PONG"));
    let cases = [
        ("", 400, "Mandatory arguments not found, please refer to the HTTPAPI specifications."),
        ("WHO&to=1&content=x&colour=red", 400, "Argument [colour] is unknown."),
        ("WHO&content=x", 400, "Mandatory argument [to] is not found."),
        ("WHO&to=me&content=x", 400, "Argument [to] has an invalid value: [me]."),
        ("WHO&to=TO", 400, "content or hex-content not present."),
        (
            "WHO&to=TO&content=x&hex-content=78",
            400,
            "content and hex-content cannot be used both in same request.",
        ),
        ("WHO&to=TO&content=x&priority=7", 400, "Argument [priority] has an invalid value: [7]."),
        ("WHO&to=TO&hex-content=7", 400, "Argument [hex-content] has an invalid value: [7]."),
        ("WHO&to=TO&content=x&custom_tlvs=1", 400, "Argument [custom_tlvs] is not served here."),
        (
            "username=acme&password=no&to=TO&content=x",
            403,
            "Authentication failure for username:acme",
        ),
        (
            "WHO&to=4930901820&from=Orbit&content=x",
            400,
            "Message refused: the destination is not allowed",
        ),
        ("WHO&to=TO&from=%21&content=x", 400, "Argument [from] has an invalid value: [!]."),
        (
            "WHO&to=TO&from=Orbit&content=x&dlr-url=http%3A%2F%2F10.0.0.1%2F",
            400,
            "Argument [dlr-url] has an invalid value: [http://10.0.0.1/].",
        ),
    ];
    for (query, status, text) in cases {
        let query = query.replace("WHO", WHO).replace("TO", PERSON);
        let reply = ask(&switch, "/send", &query).await;
        let wanted = format!("Error \"{text}\"");
        assert_eq!((reply.status, reply.text), (status, wanted), "{query}");
    }
    let long = "x".repeat(65);
    let reply =
        ask(&switch, "/send", &format!("username=acme&password={long}&to=1&content=x")).await;
    assert_eq!(reply.text, "Error \"Argument [password] has an invalid value: [].\"");

    let rate = ask(&switch, "/rate", &format!("{WHO}&to={PERSON}&from=Orbit&content=x")).await;
    assert_eq!(rate.json["submit_sm_count"], 1, "{}", rate.text);
    let unit = rate.json["unit_rate"].as_f64().expect("a price");
    assert!(unit > 0.0 && unit < 1.0, "{}", rate.text);
    let balance = ask(&switch, "/balance", WHO).await;
    assert_eq!(
        (balance.status, &balance.json),
        (200, &json!({"balance": 10.0, "sms_count": "ND"}))
    );
    let wrong = ask(&switch, "/balance", "username=acme&password=no").await;
    let said = json!("Authentication failure for username:acme");
    assert_eq!((wrong.status, &wrong.json), (403, &said));

    let hex = "hex-content=041F04400438043204350442&coding=8";
    let sent =
        ask(&switch, "/send", &format!("{WHO}&to={PERSON}&from=Orbit&{hex}&tags=a,b-1")).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    let id = sent.text.strip_prefix("Success \"").and_then(|rest| rest.strip_suffix('"'));
    let id = format!("msg_{}", id.expect("an id").replace('-', ""));
    let mut http = switch.world.http(&switch.org.key);
    let message = http.becomes(&id, "delivered").await;
    assert_eq!(
        (&message["body"], &message["metadata"]),
        (&json!("Привет"), &json!({"tags": ["a", "b-1"]}))
    );
    let after = ask(&switch, "/balance", WHO).await.json["balance"].as_f64().expect("a sum");
    assert!((after - (10.0 - unit)).abs() < 1e-9, "{after} {unit}");
    is_discreet(&switch);
}

#[tokio::test(flavor = "multi_thread")]
async fn jasmins_reports_come_in_both_levels_until_they_are_acknowledged() {
    let switch = open("doors-jasmin-dlr", &[]).await;
    // A 200 alone is no acknowledgement.
    let mut hook = Hook::answering(|n| (200, if n == 0 { "OK" } else { "ACK/Jasmin" })).await;
    let fields = json!({
        "username": "acme", "password": PASSWORD, "to": PERSON, "from": "Orbit",
        "content": "hello", "dlr": "yes", "dlr-url": hook.url, "dlr-level": 3,
    });
    let sent = post(&switch, "/send", "application/json", &fields.to_string()).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    let id = sent.text.trim_start_matches("Success ").trim_matches('"').to_owned();
    let unheard = hook.next().await;
    assert_eq!((unheard.method.as_str(), unheard.target.as_str()), ("POST", "/hook"));
    let first = hook.next().await;
    assert_eq!(first.body, unheard.body, "the same again");
    let given = |heard: &Heard, name: &str| heard.fields()[name].clone();
    let facts = ["id", "message_status", "level"].map(|name| given(&first, name));
    assert_eq!(facts, [&id, "ESME_ROK", "1"]);
    let last = hook.next().await;
    let names = ["id", "message_status", "level", "id_smsc", "dlvrd", "err", "text"];
    let facts = names.map(|name| given(&last, name));
    assert_eq!(facts, [&id, "DELIVRD", "2", "7000001", "001", "000", "hello"]);
    assert_eq!((given(&last, "subdate").len(), given(&last, "donedate").len()), (10, 10));

    let url = form(&format!("{}?mine=1", hook.url));
    let query =
        format!("{WHO}&to={PERSON}&from=Orbit&content=x&dlr-url={url}&dlr-level=2&dlr-method=get");
    assert_eq!(ask(&switch, "/send", &query).await.status, 200);
    let heard = hook.next().await;
    assert_eq!(heard.method, "GET");
    assert_eq!(
        ["mine", "level", "message_status"].map(|name| given(&heard, name)),
        ["1", "2", "DELIVRD"]
    );
    is_discreet(&switch);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_shut_the_doors_and_ports_of_their_own_serve_alone() {
    let more = [
        ("smpp.lockout_tries", "3"),
        ("compatibility.kannel_bind", "\"127.0.0.1:0\""),
        ("compatibility.jasmin_bind", "\"127.0.0.1:0\""),
    ];
    let switch = open("doors-lockout", &more).await;
    assert_eq!(ask(&switch, SENDSMS, WHO).await.status, 404, "not on the HTTP port");
    assert_eq!(ask(&switch, "/ping", "").await.status, 404, "not on the HTTP port");
    let log = switch.world.log();
    let at = |name: &str| {
        let word = format!("{name}=127.0.0.1:");
        let line = log.lines().find(|line| line.contains(&word)).expect("it says where");
        let port = line.rsplit(':').next().and_then(|port| port.trim().parse::<u16>().ok());
        std::net::SocketAddr::from(([127, 0, 0, 1], port.expect("a port")))
    };
    let (mut kannel, mut jasmin) = (Http::new(at("kannel"), ""), Http::new(at("jasmin"), ""));
    let pong = jasmin.get("/ping").await;
    assert_eq!(pong.text, "Jasmin/PONG");
    assert_eq!(kannel.get("/ping").await.status, 404);
    assert_eq!(kannel.get("/api/v1/messages").await.status, 404);
    let send = format!("{SENDSMS}?{WHO}&to={PERSON}&from=Orbit&text=x");
    assert_eq!(kannel.get(&send).await.status, 202);
    for _ in 0..3 {
        let wrong = jasmin.get("/balance?username=acme&password=wrong").await;
        assert_eq!(wrong.status, 403, "{}", wrong.text);
    }
    assert_eq!(kannel.get(&send).await.status, 403, "one lock for all doors");
    let reply = jasmin.get(&format!("/balance?{WHO}")).await;
    assert_eq!(reply.status, 403, "{}", reply.text);
    is_discreet(&switch);
}
