//! Telephones: what registers, what is refused, what lasts; by hand, by SIPp and by baresip.
//!
//! The telephone here is a few lines over a socket, with the digest of `proto-sip`; SIPp and baresip are
//! Debian's. Tests that have none of those are skipped, and say so.

pub(crate) mod others;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use load_tests::process::{Scratch, free_port};

use crate::world::{Kept, Org, World, spawn, wait_until};
use wire::{Line, Phone, Said};

/// A switch that telephones reach, its organization, and a credential.
pub(crate) struct Switch {
    pub(crate) world: World,
    pub(crate) org: Org,
    pub(crate) sip: SocketAddr,
}

/// What a telephone is given.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) realm: String,
}

impl Switch {
    pub(crate) async fn start(name: &str, set: &[(&str, &str)]) -> Self {
        let mut world = World::new(name);
        let sip = SocketAddr::from(([127, 0, 0, 1], free_port().expect("a port")));
        world.set("sip.bind", &format!("\"{sip}\""));
        world.set("media.bind", "\"127.0.0.1\"");
        world.set("media.networks", "[\"127.0.0.0/8\"]");
        set.iter().for_each(|(key, value)| world.set(key, value));
        let org = world.org("Acme", "1").await;
        world.serve().await;
        Self { world, org, sip }
    }

    pub(crate) async fn credential(&self, name: &str) -> Credential {
        let mut words =
            vec!["sip", "add", "--organization", &self.org.id, "--username", name, "--json"];
        if name == "desk" {
            words.extend(["--extension", "100"]);
        }
        let made = self.world.orbit(&words).await.json();
        let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
        Credential {
            user: text("sip_username"),
            password: text("sip_password"),
            realm: text("sip_server"),
        }
    }

    async fn bindings(&self) -> f64 {
        self.world.metric("orbit_sip_bindings", "").await
    }

    pub(crate) async fn has_bindings(&self, count: f64) -> bool {
        wait_until(async || self.bindings().await == count).await
    }
}

#[tokio::test]
async fn a_phone_registers_refreshes_and_unregisters_over_udp_and_tcp() {
    let switch = Switch::start("phones", &[]).await;
    let credential = switch.credential("desk").await;
    for line in [Line::udp(switch.sip).await, Line::tcp(switch.sip).await] {
        let mut phone = Phone::new(line, &credential);
        let said = phone.register("<sip:100@192.0.2.7:5060>;expires=3000", "").await;
        assert_eq!(said.status, 200, "{}", said.text);
        assert_eq!(said.contacts(), ["<sip:100@192.0.2.7:5060>;expires=3000"]);
        assert!(switch.has_bindings(1.0).await);
        let brief = phone.register("<sip:100@192.0.2.7:5060>;expires=59", "").await;
        assert_eq!((brief.status, brief.header("Min-Expires")), (423, Some("60")));
        let asked = phone.register("", "").await;
        assert_eq!(asked.contacts().len(), 1, "a question changes nothing");
        let gone = phone.register("*", "Expires: 0\r\n").await;
        assert_eq!((gone.status, gone.contacts().len()), (200, 0));
        assert!(switch.has_bindings(0.0).await);
    }
}

/// A switch of the first minute, and what it prints for a telephone.
pub(crate) struct Dev {
    _scratch: Scratch,
    _child: Kept,
    pub(crate) sip: SocketAddr,
    pub(crate) credential: Credential,
}

impl Dev {
    pub(crate) async fn start() -> Self {
        let scratch = Scratch::new("phones-dev", false).expect("a folder");
        let free = "127.0.0.1:0";
        let words = ["dev", "--bind", free, "--smpp-bind", free, "--sip-bind", free];
        let child = spawn(scratch.path(), &words, "dev");
        let said = || std::fs::read_to_string(scratch.file("dev.out")).unwrap_or_default();
        assert!(wait_until(async || said().contains("Messages show here")).await, "{}", said());
        let said = said();
        let line = said.lines().find_map(|line| line.trim().strip_prefix("SIP ")).expect("a line");
        let mut parts = line.trim().split(", ");
        let sip: SocketAddr = parts.next().and_then(|at| at.parse().ok()).expect("an address");
        let mut part = |name: &str| {
            let part = parts.next().and_then(|part| part.strip_prefix(name));
            part.unwrap_or_else(|| panic!("{name} in {line}")).trim().to_owned()
        };
        let (user, password, realm) = (part("user "), part("password "), part("domain "));
        let credential = Credential { user, password, realm };
        Self { _scratch: scratch, _child: child, sip, credential }
    }
}

#[tokio::test]
async fn what_dev_prints_registers_also_by_the_bare_address() {
    let dev = Dev::start().await;
    let (sip, credential) = (dev.sip, dev.credential.clone());
    let mut phone = Phone::new(Line::udp(sip).await, &credential);
    assert_eq!(phone.register("<sip:dev@h>", "").await.status, 200);
    let mut bare = Phone::new(Line::udp(sip).await, &credential).at("127.0.0.1");
    assert_eq!(bare.register("<sip:dev@bare>", "").await.contacts().len(), 2);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_told_the_same_and_shut_out() {
    let switch = Switch::start("phones-wrong", &[("sip.lockout_tries", "4")]).await;
    let credential = switch.credential("desk").await;
    let mut answers: Vec<Said> = Vec::new();
    for user in [credential.user.as_str(), "nobody"] {
        let wrong =
            Credential { user: user.into(), password: "guess".into(), ..credential.clone() };
        for _ in 0..4 {
            let mut phone = Phone::new(Line::udp(switch.sip).await, &wrong);
            answers.push(phone.register("<sip:a@h>", "").await);
        }
        let mut phone = Phone::new(Line::udp(switch.sip).await, &wrong);
        let shut = phone.register("<sip:a@h>", "").await;
        assert_eq!((shut.status, shut.reason()), (403, "Too Many Failures"));
    }
    assert!(answers.iter().all(|said| said.status == 401), "{answers:?}");
    let names = |said: &Said| -> Vec<String> {
        said.text
            .lines()
            .map(|line| line.split(':').next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(names(&answers[0]), names(&answers[4]));
    let mut right = Phone::new(Line::udp(switch.sip).await, &credential);
    assert_eq!(
        right.register("<sip:a@h>", "").await.status,
        403,
        "the right password does not help now"
    );
    let other = switch.credential("neighbour").await;
    let mut other = Phone::new(Line::udp(switch.sip).await, &other);
    assert_eq!(other.register("<sip:b@h>", "").await.status, 200, "another user of the address");
    let bans = switch.world.orbit(&["sip", "bans", "--json"]).await.json();
    assert_eq!(bans.as_array().map(Vec::len), Some(2), "{bans}");
    let lifted = switch.world.orbit(&["sip", "unban", "127.0.0.1", "--json"]).await.json();
    assert_eq!(lifted["lifted"], 2);
    assert_eq!(right.register("<sip:a@h>", "").await.status, 200);
}

#[tokio::test]
async fn an_address_that_guesses_names_is_not_heard_but_who_is_registered_there() {
    let switch = Switch::start("phones-guess", &[("sip.lockout_tries", "3")]).await;
    let credential = switch.credential("desk").await;
    let mut honest = Phone::new(Line::udp(switch.sip).await, &credential);
    assert_eq!(honest.register("<sip:a@h>", "").await.status, 200);
    for n in 0..12 {
        let guess = Credential { user: format!("user{n}"), ..credential.clone() };
        let mut guesser = Phone::new(Line::udp(switch.sip).await, &guess);
        guesser.register("<sip:a@h>", "").await;
    }
    let mut stranger = Phone::new(Line::udp(switch.sip).await, &credential);
    assert!(stranger.is_silent("<sip:c@h>", Duration::from_millis(300)).await);
    assert_eq!(honest.register("<sip:a@h>", "").await.status, 200);
}

#[tokio::test]
async fn a_restart_keeps_what_is_registered_over_udp() {
    let mut switch = Switch::start("phones-restart", &[]).await;
    let credential = switch.credential("desk").await;
    let mut udp = Phone::new(Line::udp(switch.sip).await, &credential);
    assert_eq!(udp.register("<sip:udp@192.0.2.1>", "").await.status, 200);
    let mut tcp = Phone::new(Line::tcp(switch.sip).await, &credential);
    assert_eq!(tcp.register("<sip:tcp@192.0.2.1;transport=tcp>", "").await.contacts().len(), 2);
    switch.world.kill();
    switch.world.serve().await;
    assert!(switch.has_bindings(1.0).await);
    let asked = udp.register("", "").await;
    assert_eq!(asked.status, 200, "with the nonce of before: {}", asked.text);
    assert!(asked.contacts()[0].starts_with("<sip:udp@192.0.2.1>;expires="), "{}", asked.text);
    assert_eq!(asked.contacts().len(), 1);
}

#[tokio::test]
async fn a_connection_that_is_lost_ends_its_bindings_and_contacts_are_counted() {
    let switch = Switch::start("phones-lost", &[]).await;
    let credential = switch.credential("desk").await;
    let mut tcp = Phone::new(Line::tcp(switch.sip).await, &credential);
    assert_eq!(tcp.register("<sip:tcp@h>", "").await.status, 200);
    let mut udp = Phone::new(Line::udp(switch.sip).await, &credential);
    assert_eq!(udp.register("<sip:udp@h>", "").await.contacts().len(), 2);
    let four = "<sip:1@h>, <sip:2@h>, <sip:3@h>, <sip:4@h>";
    let mut third = Phone::new(Line::udp(switch.sip).await, &credential);
    let many = third.register(four, "").await;
    assert_eq!((many.status, many.reason()), (403, "Too Many Contacts"), "five are its most");
    drop(tcp);
    assert!(switch.has_bindings(1.0).await);
    assert_eq!(third.register(four, "").await.status, 200);
    assert!(switch.has_bindings(5.0).await);
}

#[tokio::test]
async fn what_nobody_asked_for_is_refused_by_name() {
    let switch = Switch::start("phones-refused", &[]).await;
    let credential = switch.credential("desk").await;
    let mut phone = Phone::new(Line::udp(switch.sip).await, &credential);
    for (method, status) in [
        ("OPTIONS", 200),
        ("INVITE", 401),
        ("MESSAGE", 405),
        ("SUBSCRIBE", 489),
        ("PUBLISH", 489),
        ("BREW", 405),
        ("BYE", 481),
        ("INFO", 481),
        ("REFER", 481),
    ] {
        let said = phone.ask(method).await;
        assert_eq!(said.status, status, "{method}: {}", said.text);
        let names = said.header("Allow").is_some_and(|allow| allow.contains("REGISTER"));
        assert_eq!(names, matches!(status, 200 | 405), "{method}: {}", said.text);
    }
    let elsewhere = phone.register_as("mallory", "<sip:a@h>").await;
    assert_eq!((elsewhere.status, elsewhere.reason()), (403, "Not Your Address"));
    let many: Vec<String> = (0..200).map(|n| format!("<sip:{n}@h>")).collect();
    assert_eq!(phone.register(&many.join(","), "").await.status, 403);
    assert_eq!(phone.register("<sip:a@h>", "Require: teleport\r\n").await.status, 420);
    assert_eq!(switch.bindings().await, 0.0);
}

#[tokio::test]
async fn a_telephone_in_a_browser_registers_from_this_page_and_from_no_other() {
    let switch = Switch::start("phones-web", &[]).await;
    let credential = switch.credential("browser").await;
    let http = switch.world.address.expect("it was started");
    let own = format!("http://{http}");
    for (origin, protocol, status) in
        [("http://evil.example", "sip", 403), (&own, "chat", 400), (&own, "sip", 101)]
    {
        assert_eq!(wire::upgrade(http, origin, protocol).await.1, status, "{origin} {protocol}");
    }
    let (line, _) = wire::upgrade(http, &own, "sip").await;
    let mut phone = Phone::new(line, &credential);
    let contact =
        "<sip:b@df7jal23ls0d.invalid;transport=ws>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"";
    let said = phone.register(contact, "Supported: path, outbound\r\n").await;
    assert_eq!((said.status, said.header("Require")), (200, Some("outbound")), "{}", said.text);
    assert!(switch.has_bindings(1.0).await);
    drop(phone);
    assert!(switch.has_bindings(0.0).await);
}
