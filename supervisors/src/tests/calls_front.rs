//! Who may call whom, as the wire sees it: what no tenant gets by naming an address.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actors::sip::call::Door;
use actors::sip::credentials::Credentials;
use actors::sip::srv::Record;
use actors::sip::trunks::{Password, Trunk};
use model::id::Kind;
use model::number::{Routing, SipForward};
use model::trunk::{Encryption, Target};

use super::calling::{Calling, End, REALM, Setup, authorization, credential, number, reply, trunk};

/// A telephone of the organization behind an address that a trunk names.
fn shared(setup: &mut Setup) {
    setup.trunks.truncate(1);
    let named = trunk("pbx", None, &["127.0.0.1"]);
    setup.own_trunks = vec![Trunk { organization: Some(setup.organization), ..named }];
    setup.credentials = Credentials::default();
    setup.credentials.put(&credential(setup.organization, 1, "alice"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_telephone_proves_itself_also_where_a_trunk_calls_from() {
    let calling = Calling::with(shared).await;
    let sdp = calling.caller.sdp();
    let of = |number, from: &str, more: &str| {
        calling.request_of(("INVITE", number), from, ("100@h", ""), more, &sdp)
    };
    let alice = format!("alice@{REALM}");
    calling.caller.send(calling.at, &of(1, &alice, "")).await;
    let (asked, _) = calling.caller.next("SIP/2.0 401").await;
    // It names the switch instead of whom it calls.
    let by = authorization(&asked, ("INVITE", "sip:sip.test"), "alice");
    calling.caller.send(calling.at, &of(2, &alice, &by)).await;
    calling.caller.next("SIP/2.0 480").await;
    // Who says nothing of a telephone is the trunk.
    calling.caller.send(calling.at, &of(3, "200@pbx.example", "")).await;
    calling.caller.next("SIP/2.0 480").await;
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_is_let_in_from_elsewhere_by_its_password_and_sealed_if_it_has_to_be() {
    let calling = Calling::with(|setup| {
        shared(setup);
        let pbx = &mut setup.own_trunks[0];
        pbx.sources.clear();
        (pbx.username, pbx.password) = (Some("pbx".into()), Some(Password("secret".into())));
        let sealed = Trunk {
            username: None,
            encryption: Encryption::Tls,
            ..trunk("sealed", None, &["127.0.0.1"])
        };
        let sealed = Trunk { organization: Some(setup.organization), ..sealed };
        setup.own_trunks.push(sealed);
    })
    .await;
    let sdp = calling.caller.sdp();
    let of = |number, more: &str| {
        calling.request_of(("INVITE", number), "200@pbx.example", ("100@h", ""), more, &sdp)
    };
    calling.caller.send(calling.at, &of(1, "")).await;
    let (asked, _) = calling.caller.next("SIP/2.0 401").await;
    let by = authorization(&asked, ("INVITE", "sip:100@h"), "pbx");
    calling.caller.send(calling.at, &of(2, &by)).await;
    calling.caller.next("SIP/2.0 480").await;
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_challenged_before_it_has_a_place_or_an_actor() {
    let calling = Calling::with(|setup| {
        shared(setup);
        setup.own_trunks[0].sources.clear();
    })
    .await;
    let begun = Arc::new(AtomicUsize::new(0));
    let (context, count) = (Arc::clone(&calling.context), Arc::clone(&begun));
    calling.table.attach(Some(Door {
        ask: Box::new(move |flow, invite| {
            Some(context.front.ask((context.wire)()?.shield(), flow, invite))
        }),
        // Whoever would start it is busy, and its place with it.
        start: Box::new(move |begin| {
            std::mem::forget(begin);
            count.fetch_add(1, Ordering::SeqCst);
            true
        }),
    }));
    let sdp = calling.caller.sdp();
    let alice = format!("alice@{REALM}");
    let of = |number, more: &str| {
        calling.request_of(("INVITE", number), &alice, ("100@h", ""), more, &sdp)
    };
    let mut asked = String::new();
    for number in 1..=20 {
        calling.caller.send(calling.at, &of(number, "")).await;
        asked = calling.caller.next("SIP/2.0 401").await.0;
    }
    assert_eq!((begun.load(Ordering::SeqCst), calling.table.count()), (0, 0));
    let by = authorization(&asked, ("INVITE", "sip:100@h"), "alice");
    calling.caller.send(calling.at, &of(21, &by)).await;
    calling.caller.next("SIP/2.0 100").await;
    assert_eq!((begun.load(Ordering::SeqCst), calling.table.count()), (1, 1));
    calling.end().await;
}

/// A number that leads to a telephone system of its organization at this address.
fn leads_to(setup: &mut Setup, place: SocketAddr) {
    let own = trunk("pbx", Target::parse(&format!("sip:{place}")), &[]);
    let routing = Routing::SipForward(SipForward::Trunk {
        trunk_id: own.id.show(Kind::Trunk),
        headers: std::collections::BTreeMap::new(),
        timeout: 30,
        fallback: None,
    });
    setup.numbers = vec![number(setup.organization, 1, "+14155550100", Some(routing))];
    setup.own_trunks = vec![Trunk { organization: Some(setup.organization), ..own }];
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_customers_route_leads_to_a_carrier() {
    let calling = Calling::with(|setup| leads_to(setup, setup.callee)).await;
    let invite = calling.request("INVITE", "", &calling.caller.sdp());
    calling.caller.send(calling.at, &invite).await;
    calling.caller.next("SIP/2.0 480").await;
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_customers_route_leads_back_to_us() {
    let calling = Calling::with(|setup| {
        leads_to(setup, setup.at);
        setup.trunks.clear();
        setup.own_trunks[0].sources = trunk("", None, &["127.0.0.1"]).sources;
    })
    .await;
    let (sdp, to) = (calling.caller.sdp(), ("+14155550100@h", ""));
    let invite = calling.request_of(("INVITE", 1), "+14155550100@h", to, "", &sdp);
    calling.caller.send(calling.at, &invite).await;
    calling.caller.next("SIP/2.0 503").await;
    calling.end().await;
}

/// A customer's telephone system that calls from where we are, and one that is called.
fn of_a_customer(setup: &mut Setup) {
    leads_to(setup, setup.callee);
    setup.trunks.clear();
    setup.own_trunks[0].sources = trunk("", None, &["127.0.0.1"]).sources;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_customers_route_is_taken_before_it_is_known_where_carriers_are() {
    let calling = Calling::with(|setup| {
        of_a_customer(setup);
        setup.trunks = vec![trunk("out", Target::parse("sip:carrier.example"), &[])];
        setup.lookup = Arc::new(|_| Box::pin(async { Ok(Vec::new()) }));
    })
    .await;
    let Calling { caller, callee, context, .. } = &calling;
    let invite = |number| {
        let to = ("+14155550100@h", "");
        calling.request_of(("INVITE", number), "+14155550100@h", to, "", &caller.sdp())
    };
    // Twice: that it was asked for is not that it is known.
    for number in [1, 2] {
        caller.send(calling.at, &invite(number)).await;
        caller.next("SIP/2.0 503").await;
    }
    let learned = |at: &str| {
        let trunks = &context.front.trunks;
        let now = tokio::time::Instant::now().into_std();
        trunks.learned("_sip._udp/carrier.example".into(), vec![at.parse().unwrap()], now);
    };
    learned("127.0.0.1");
    caller.send(calling.at, &invite(3)).await;
    caller.next("SIP/2.0 503").await;
    assert!(!callee.has_more());
    learned("127.0.0.9");
    caller.send(calling.at, &invite(4)).await;
    callee.next("INVITE ").await;
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_without_a_port_is_where_the_records_of_its_service_say() {
    let calling = Calling::with(|setup| {
        of_a_customer(setup);
        setup.own_trunks[0].target = Target::parse("sip:pbx.example");
        setup.lookup = Arc::new(|name| {
            let is_known = name == "b.example";
            let found = is_known.then(|| IpAddr::from([127, 0, 0, 1]));
            Box::pin(async move { Ok(found.into_iter().collect()) })
        });
        let port = setup.callee.port();
        setup.services = Some(Arc::new(move |name| {
            assert_eq!(name, "_sip._udp.pbx.example");
            let record = |priority, target: &str| Record {
                priority,
                weight: 1,
                port,
                target: target.to_owned(),
            };
            let records = vec![record(2, "b.example"), record(1, "gone.example")];
            Box::pin(async move { Ok(records) })
        }));
    })
    .await;
    let to = ("+14155550100@h", "");
    let sdp = calling.caller.sdp();
    let invite = calling.request_of(("INVITE", 1), "+14155550100@h", to, "", &sdp);
    calling.caller.send(calling.at, &invite).await;
    let (invite, _) = calling.callee.next("INVITE ").await;
    assert!(invite.starts_with("INVITE sip:+14155550100@pbx.example SIP/2.0"), "{invite}");
    calling.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_customers_system_sends_us_on_to_us_or_to_a_carrier() {
    let other = End::new().await;
    let carriers = trunk("late", Target::parse(&format!("sip:{}", other.at())), &[]);
    for is_us in [true, false] {
        let calling = Calling::with(of_a_customer).await;
        let Calling { caller, callee, context, .. } = &calling;
        let (sdp, to) = (caller.sdp(), ("+14155550100@h", ""));
        let invite = calling.request_of(("INVITE", 1), "+14155550100@h", to, "", &sdp);
        caller.send(calling.at, &invite).await;
        let (invite, from) = callee.next("INVITE ").await;
        let elsewhere = if is_us { calling.at } else { other.at() };
        if !is_us {
            context.front.trunks.replace([(None, vec![carriers.clone()])]);
        }
        let ok = reply(&invite, elsewhere, 200, "", &callee.sdp());
        callee.send(from, &ok).await;
        calling.acknowledges().await;
        callee.next("ACK ").await;
        assert!(!other.has_more());
        calling.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calls_hops_come_to_an_end() {
    let calling = Calling::start().await;
    let (sdp, from, to) = (calling.caller.sdp(), "+12125550000@h", ("+14155550100@h", ""));
    let last = calling.request_of(("INVITE", 1), from, to, "Max-Forwards: 1\r\n", &sdp);
    calling.caller.send(calling.at, &last).await;
    let (invite, _) = calling.callee.next("INVITE ").await;
    assert!(invite.contains("Max-Forwards: 0\r\n"), "{invite}");
    let none = calling.request_of(("INVITE", 2), from, to, "Max-Forwards: 0\r\n", &sdp);
    let none = none.replace("Call-ID: one", "Call-ID: two");
    calling.caller.send(calling.at, &none).await;
    calling.caller.next("SIP/2.0 483").await;
    calling.end().await;
}
