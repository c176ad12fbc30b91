//! Orders of places, and a resolver that asks a name server of the test's own.

use std::collections::HashMap;
use std::net::UdpSocket;

use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::*;

fn record(priority: u16, weight: u16, target: &str) -> Record {
    Record { priority, weight, port: 5_080, target: target.to_owned() }
}

fn spots(records: &[(u16, u16)]) -> Vec<Spot> {
    let spot = |(place, (priority, weight)): (usize, &(u16, u16))| {
        let place = u8::try_from(place).unwrap();
        let ip = IpAddr::from([192, 0, 2, place]);
        Spot::of(ip, &record(*priority, *weight, "x"), place)
    };
    records.iter().enumerate().map(spot).collect()
}

fn order(spots: &[Spot], chance: impl FnMut(u32) -> u32) -> Vec<u8> {
    in_order(spots, chance).iter().map(|spot| spot.record).collect()
}

#[test]
fn the_lowest_priority_comes_first_and_weights_share_among_equals() {
    let all = spots(&[(20, 9), (10, 30), (10, 0), (10, 10)]);
    assert_eq!(order(&all, |_| 0), [2, 1, 3, 0], "no weight is a small chance, not none");
    assert_eq!(order(&all, |all| all), [3, 1, 2, 0]);
    let mut counts = HashMap::new();
    for picked in 0..=40 {
        let mut first = Some(picked);
        *counts.entry(order(&all, |all| first.take().unwrap_or(all))[0]).or_insert(0) += 1;
    }
    assert_eq!((counts[&2], counts[&1], counts[&3]), (1, 30, 10));
}

#[test]
fn addresses_of_one_record_stay_together_and_plain_ones_in_their_order() {
    let one = record(10, 5, "x");
    let at = |last: u8, place| Spot::of(IpAddr::from([192, 0, 2, last]), &one, place);
    let two = [at(1, 0), at(2, 0), at(3, 1)];
    let both = in_order(&two, |all| all);
    assert_eq!(both, [at(3, 1), at(1, 0), at(2, 0)]);
    let plain: Vec<Spot> = (1..4).map(|last| Spot::at(IpAddr::from([192, 0, 2, last]))).collect();
    assert_eq!(in_order(&plain, |all| all), plain);
    assert_eq!(plain[0].place(5_060).to_string(), "192.0.2.1:5060");
    assert_eq!(two[0].place(5_060).to_string(), "192.0.2.1:5080");
}

#[test]
fn a_service_is_asked_for_where_no_port_is_said() {
    assert_eq!(wanted("a.example", Kind::Udp, None), "_sip._udp/a.example");
    assert_eq!(wanted("a.example.", Kind::Tls, None), "_sips._tcp/a.example");
    assert_eq!(wanted("a.example", Kind::Udp, Some(5_060)), "a.example");
    let target = Target::parse("sip:pbx.example;transport=tcp").unwrap();
    let wanted = wanted_of(&target);
    assert_eq!(parts(&wanted), (Some("_sip._tcp"), "pbx.example"));
    assert_eq!(parts("a.example"), (None, "a.example"));
    let mut many: Vec<Record> = (0..20).map(|n| record(n, 0, "x")).collect();
    many.reverse();
    many.push(record(0, 5, ""));
    let few = first(many);
    assert_eq!((few.len(), few[0].priority, few[7].priority), (RECORDS_MAX, 0, 7));
}

/// A name server that knows two records, of one name.
fn answer(question: &[u8]) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|octet| *octet == 0).unwrap() + 5;
    let asks_for = |name: &[u8]| question[12..].starts_with(name);
    let known = asks_for(b"\x04_sip\x04_udp\x03pbx\x07example\x00\x00\x21");
    let mut out = question[..end].to_vec();
    // A response with its question; NXDOMAIN of what is not known.
    (out[2], out[3]) = (0x84, if known { 0x80 } else { 0x83 });
    out[6..12].copy_from_slice(&[0, if known { 2 } else { 0 }, 0, 0, 0, 0]);
    let records = [(10_u8, b"\x01a\x03pbx\x07example\x00"), (20, b"\x01b\x03pbx\x07example\x00")];
    for (priority, target) in records.iter().filter(|_| known) {
        out.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60]);
        out.extend(u16::try_from(6 + target.len()).unwrap().to_be_bytes());
        out.extend([0, *priority, 0, 7, 0x13, 0xd8]);
        out.extend(*target);
    }
    out
}

#[tokio::test]
async fn a_name_server_is_asked_for_records() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = server.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 1_500];
        while let Ok((length, from)) = server.recv_from(&mut question) {
            if length < 17 {
                return;
            }
            server.send_to(&answer(&question[..length]), from).unwrap();
        }
    });
    let mut one = NameServerConfig::udp(at.ip());
    one.connections.iter_mut().for_each(|connection| connection.port = at.port());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![one]);
    let resolver =
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build();
    let services = services(resolver.unwrap());
    let found = services(String::from("_sip._udp.pbx.example")).await.unwrap();
    let expected = |priority, target: &str| Record {
        priority,
        weight: 7,
        port: 5_080,
        target: target.to_owned(),
    };
    assert_eq!(found, [expected(10, "a.pbx.example"), expected(20, "b.pbx.example")]);
    assert_eq!(services(String::from("_sip._tcp.pbx.example")).await.unwrap(), []);
    // It ends.
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[0], at).unwrap();
}
