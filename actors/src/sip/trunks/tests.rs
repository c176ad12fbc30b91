//! Who is chosen for a number, who calls from an address, and what goes on over changes.

use super::*;

const OURS: OrgId = OrgId(1);

fn trunk(number: u8, organization: Option<OrgId>) -> Trunk {
    Trunk {
        id: PublicId::from_bytes([number; 16]),
        organization,
        name: Arc::from(format!("trunk {number}")),
        target: Target::parse(&format!("sip:192.0.2.{number}")),
        sources: Vec::new(),
        username: None,
        password: None,
        codecs: Vec::new(),
        encryption: Encryption::None,
        register: false,
        ping: None,
        max_channels: 2,
        max_cps: 0,
        prefixes: Vec::new(),
        priority: 0,
        weight: 1,
        enabled: true,
    }
}

fn trunks(tenants_egress: bool, list: Vec<Trunk>) -> Trunks {
    let networks = Networks::parse(&["10.1.0.0/16"]).unwrap();
    let trunks = Trunks::new(networks, tenants_egress);
    let (filed, own): (Vec<_>, Vec<_>) =
        list.into_iter().partition(|trunk| trunk.organization.is_none());
    trunks.replace([(None, filed), (Some(OURS), own)]);
    trunks
}

fn numbers(found: &[Arc<Running>]) -> Vec<u8> {
    found.iter().map(|running| running.trunk.id.as_bytes()[0]).collect()
}

/// Those to the public network, the first to try first.
fn ways(trunks: &Trunks, number: &str) -> Vec<u8> {
    numbers(&trunks.egress(OURS, number).concat())
}

#[test]
fn the_closest_prefix_goes_first_and_then_the_higher_priority() {
    let with = |number, prefixes: &[&str], priority| Trunk {
        prefixes: prefixes.iter().map(|text| (*text).to_owned()).collect(),
        priority,
        ..trunk(number, None)
    };
    let list = vec![
        with(1, &[], 9),
        with(2, &["1", "4420"], 0),
        with(3, &["44"], 5),
        with(4, &["4420"], 1),
        Trunk { enabled: false, ..with(5, &["4420"], 9) },
        Trunk { target: None, ..with(6, &["4420"], 9) },
        trunk(7, Some(OURS)),
    ];
    let ours = trunks(false, list.clone());
    assert_eq!(ways(&ours, "+442079460000"), [4, 2, 3, 1]);
    assert_eq!(ways(&ours, "+4930123456"), [1]);
    assert_eq!(ways(&trunks(true, list), "+4930123456"), [1, 7]);
}

#[test]
fn who_does_not_answer_three_times_is_down_until_it_answers() {
    let distant = Trunk { prefixes: vec!["1".into()], priority: 9, ..trunk(1, None) };
    let ours = trunks(false, vec![distant, trunk(2, None)]);
    let [one, two] = [1, 2].map(|number| ours.find(PublicId::from_bytes([number; 16])).unwrap());
    assert_eq!(one.live.health(), Health::Unknown);
    for times in 1..=3 {
        assert_eq!(ways(&ours, "+1"), [1, 2], "{times}");
        one.live.missed("timed out");
    }
    assert_eq!((one.live.health(), &*one.live.last_error()), (Health::Down, "timed out"));
    assert_eq!(ways(&ours, "+1"), [2, 1], "whatever its prefix and its priority, it is the last");
    for _ in 0..3 {
        two.live.missed("timed out");
    }
    assert_eq!(ways(&ours, "+1"), [1, 2], "when all are down they are tried all the same");
    two.live.unasked();
    assert_eq!((two.live.health(), ways(&ours, "+1")), (Health::Unknown, vec![2, 1]));
    one.live.answered();
    assert_eq!((one.live.health(), ways(&ours, "+1")), (Health::Up, vec![1, 2]));
}

#[test]
fn who_calls_our_contact_has_to_be_where_it_was_told_to() {
    let with = |number| Trunk {
        register: true,
        username: Some("office".into()),
        sources: vec![Source::parse("198.51.100.0/24").unwrap()],
        ..trunk(number, Some(OURS))
    };
    let ours = trunks(false, vec![with(1), Trunk { register: false, ..with(2) }]);
    let [one, two] = [1, 2].map(|number| ours.find(PublicId::from_bytes([number; 16])).unwrap());
    let calls = |live: &Live, address: &str| {
        let flow = Flow::udp(0, std::net::SocketAddr::new(address.parse().unwrap(), 5_060));
        ours.registered(live.contact(), flow).map(|running| numbers(&[running]))
    };
    assert_ne!(one.live.contact(), two.live.contact());
    assert_eq!(calls(&one.live, "192.0.2.1"), None, "we are registered nowhere yet");
    let registrar = Some("192.0.2.1".parse().unwrap());
    one.live.stands(Standing { registrar, ..Standing::default() });
    assert_eq!(calls(&one.live, "192.0.2.1"), Some(vec![1]));
    assert_eq!(calls(&one.live, "198.51.100.9"), Some(vec![1]), "a source of the trunk");
    assert_eq!(calls(&one.live, "192.0.2.2"), None, "who has heard of it is nobody yet");
    two.live.stands(one.live.standing());
    assert_eq!(calls(&two.live, "192.0.2.1"), None, "it does not register");
    assert!(!format!("{one:?}").contains(one.live.contact()));
}

#[test]
fn a_trunk_has_so_many_channels_and_gives_them_back() {
    let ours = trunks(false, vec![trunk(1, None)]);
    let id = PublicId::from_bytes([1; 16]);
    let one = ours.find(id).unwrap();
    let first = one.take_channel().unwrap();
    let _second = one.take_channel().unwrap();
    assert!(one.take_channel().is_none());
    ours.replace([(None, vec![Trunk { max_channels: 3, ..trunk(1, None) }])]);
    let changed = ours.find(id).unwrap();
    assert_eq!(changed.live.calls(), 2, "its calls go on over the change");
    let _third = changed.take_channel().unwrap();
    assert!(changed.take_channel().is_none());
    drop(first);
    assert_eq!(changed.live.calls(), 2);
    let elsewhere = Trunk { target: Target::parse("sip:192.0.2.99"), ..trunk(1, None) };
    ours.replace([(None, vec![elsewhere])]);
    assert_eq!(ours.find(id).unwrap().live.health(), Health::Unknown);
}

fn from(number: u8, organization: Option<OrgId>, sources: &[&str]) -> Trunk {
    Trunk {
        sources: sources.iter().map(|text| Source::parse(text).unwrap()).collect(),
        ..trunk(number, organization)
    }
}

#[test]
fn an_address_is_the_operators_then_whose_names_it_most_closely_and_else_nobodys() {
    let ours = trunks(
        false,
        vec![
            from(1, None, &["192.0.2.0/24"]),
            from(2, Some(OURS), &["198.51.100.7", "pbx.example.com", "203.0.113.0/24"]),
            from(3, Some(OURS), &["192.0.2.9", "203.0.113.9", "203.0.113.10"]),
            from(4, Some(OURS), &["203.0.113.10"]),
        ],
    );
    let caller = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        match ours.caller(address, |name| name == "pbx.example.com" && address.is_ipv6()) {
            Caller::One(running) => numbers(&[running]),
            Caller::Several => vec![0, 0],
            Caller::Nobody => vec![],
        }
    };
    assert_eq!(caller("192.0.2.1"), [1]);
    assert_eq!(caller("192.0.2.9"), [1], "the operator's, however closely another names it");
    assert_eq!(caller("198.51.100.7"), [2]);
    assert_eq!(caller("2001:db8::1"), [2], "by its name");
    assert_eq!(caller("203.0.113.9"), [3], "the longest network");
    assert_eq!(caller("203.0.113.8"), [2]);
    assert_eq!(caller("203.0.113.10"), [0, 0]);
    assert!(caller("100.64.0.1").is_empty());
    assert_eq!(ours.named_sources(), ["pbx.example.com"]);
}

#[test]
fn nobody_names_where_another_calls_from() {
    let mut list = vec![from(1, None, &["192.0.2.0/24"]), from(3, Some(OURS), &["203.0.113.9"])];
    list.push(Trunk { target: Target::parse("sip:198.51.100.1"), ..trunk(2, None) });
    let ours = trunks(false, list);
    let is = |who, source: &str| ours.is_of_another(OrgId(who), &Source::parse(source).unwrap());
    for source in ["192.0.2.7", "203.0.113.0/24", "198.51.100.1"] {
        assert!(is(2, source), "{source}");
    }
    assert!(!is(1, "203.0.113.0/24") && !is(2, "203.0.113.10"));
}

#[test]
fn a_customers_trunk_leads_to_no_network_inside() {
    let ours = trunks(false, Vec::new());
    let inside = "10.0.0.1".parse().unwrap();
    let (own, filed) = (trunk(1, Some(OURS)), trunk(2, None));
    assert!(!ours.may_reach(&own, inside) && ours.may_reach(&filed, inside));
    assert!(ours.may_reach(&own, "10.1.2.3".parse().unwrap()), "the operator allows it");
    assert!(ours.may_reach(&own, "8.8.8.8".parse().unwrap()));
}

#[test]
fn who_watches_hears_of_each_change() {
    let ours = trunks(false, Vec::new());
    let mut changes = ours.changes();
    changes.mark_unchanged();
    ours.replace([(Some(OURS), vec![trunk(1, Some(OURS))])]);
    assert!(changes.has_changed().unwrap());
    ours.replace([(Some(OURS), Vec::new())]);
    assert!(ours.all().is_empty() && ours.of(Some(OURS)).is_empty());
}

#[test]
fn where_carriers_are_and_call_from_is_known_also_by_their_names() {
    let named =
        Trunk { target: Target::parse("sip:sbc.example.com"), ..from(2, None, &["a.example"]) };
    let ours =
        trunks(false, vec![from(1, None, &["198.51.100.0/24"]), named, trunk(9, Some(OURS))]);
    let is = |address: &str| ours.is_carriers(address.parse().unwrap());
    assert!(is("192.0.2.1") && is("::ffff:192.0.2.1") && is("198.51.100.7"));
    assert!(!is("192.0.2.9"), "a customer's own");
    let now = tokio::time::Instant::now().into_std();
    let service = "_sip._udp/sbc.example.com";
    assert_eq!(ours.names_to_ask(now), [service, "a.example"]);
    ours.learned(service.into(), vec!["203.0.113.1".parse().unwrap()], now);
    ours.learned("a.example".into(), Vec::new(), now);
    assert!(is("203.0.113.1"));
    assert_eq!(ours.names_to_ask(now), ["a.example"], "it was asked for, and found nowhere");
    ours.learned("a.example".into(), vec!["203.0.113.2".parse().unwrap()], now);
    assert!(is("203.0.113.2") && ours.names_to_ask(now).is_empty());
    let later = now + Duration::from_secs(61);
    ours.learned(service.into(), Vec::new(), later);
    assert!(is("203.0.113.1"), "a resolver that is away opens nothing");
    assert_eq!(ours.names_to_ask(later), ["a.example"]);
}
