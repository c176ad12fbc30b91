//! URIs of every kind, what is none, and which of them mean the same.

use super::*;

fn parse(text: &str) -> Result<Uri, ValueError> {
    Uri::parse(&Bytes::copy_from_slice(text.as_bytes()))
}

fn text(octets: Option<&[u8]>) -> Option<&str> {
    octets.map(|octets| std::str::from_utf8(octets).unwrap())
}

#[test]
fn a_sip_uri_in_its_parts() {
    let uri = parse(
        "sips:al%69ce:pw@Atlanta.example:5061;transport=TCP;lr;x=%41?subject=a%20b&priority=urgent",
    );
    let uri = uri.unwrap();
    assert_eq!((uri.scheme(), uri.port()), (Scheme::Sips, Some(5061)));
    assert_eq!((text(uri.user()), text(uri.password())), (Some("al%69ce"), Some("pw")));
    assert_eq!(uri.user_unescaped(), Some(b"alice".to_vec()));
    assert_eq!(uri.host().unwrap().to_string(), "Atlanta.example");
    assert_eq!(uri.transport(), Some(Transport::Tcp));
    assert!(uri.is_loose());
    assert_eq!(uri.param("X"), Some(Some(&b"%41"[..])));
    assert_eq!(uri.param("none"), None);
    let headers: Vec<_> = uri.headers().collect();
    assert_eq!(headers[0], (&b"subject"[..], Some(&b"a%20b"[..])));
    assert_eq!(headers.len(), 2);
}

#[test]
fn addresses_of_both_families() {
    let uri = parse("sip:b@[2001:db8::10]:5060").unwrap();
    assert_eq!(uri.host().unwrap().ip(), Some("2001:db8::10".parse().unwrap()));
    assert_eq!(uri.port(), Some(5060));
    let mapped = parse("sip:[::ffff:192.0.2.10]").unwrap();
    assert_eq!((mapped.user(), mapped.port()), (None, None));
    assert!(parse("sip:192.0.2.4").unwrap().host().unwrap().ip().is_some());
    // A name may begin with a digit, and a number that is no address is a name.
    assert!(parse("sip:192.0.2.400").unwrap().host().unwrap().ip().is_none());
    let three = parse("sip:user@[2001:db8:::192.0.2.1]").unwrap();
    let two = parse("sip:user@[2001:db8::192.0.2.1]").unwrap();
    assert!(three.is_equivalent(&two));
    assert_eq!(three.as_bytes(), b"sip:user@[2001:db8:::192.0.2.1]");
}

#[test]
fn users_hold_almost_anything() {
    for (uri, user) in [
        (
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
            "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
        ),
        ("sip:user;par=u%40example.net@example.com", "user;par=u%40example.net"),
        ("sip:sips%3Auser%40example.com@example.net", "sips%3Auser%40example.com"),
        ("sip:null-%00-null@example.com", "null-%00-null"),
        (
            "sip:+1-212-555-1212;phone-context=x@gw.example;user=phone",
            "+1-212-555-1212;phone-context=x",
        ),
        ("sip:*98#@pbx", "*98#"),
    ] {
        assert_eq!(text(parse(uri).unwrap().user()), Some(user), "{uri}");
    }
}

#[test]
fn other_schemes_are_kept() {
    let tel = parse("tel:+1-415-555-0123;phone-context=example.com").unwrap();
    assert_eq!((tel.scheme(), text(tel.user())), (Scheme::Tel, Some("+1-415-555-0123")));
    assert_eq!(tel.param("phone-context"), Some(Some(&b"example.com"[..])));
    let urn = parse("urn:service:sos").unwrap();
    assert_eq!((urn.scheme(), text(urn.user())), (Scheme::Urn, Some("service:sos")));
    for other in [
        "soap.beep://192.0.2.103:3002",
        "isbn:2983792873",
        "http://www.example.com",
        "name:John_Smith",
    ] {
        let uri = parse(other).unwrap();
        assert_eq!((uri.scheme(), uri.to_string().as_str()), (Scheme::Other, other));
        assert!(uri.host().is_none());
    }
}

#[test]
fn what_is_no_uri_is_refused() {
    for bad in [
        "",
        "sip",
        "sip:",
        "1sip:a@b",
        "alan@jasomi.com",
        "<sip:a@b>",
        "sip:a b@c",
        "sip:@b",
        "sip::pw@b",
        "sip:a@",
        "sip:a@b:",
        "sip:a@b:x",
        "sip:a@b:65536",
        "sip:a@b:0",
        "sip:2001:db8::10",
        "sip:[::1",
        "sip:[::g]",
        "sip:a@b;",
        "sip:a@b;;lr",
        "sip:a@b;=1",
        "sip:a@b;x=%4",
        "sip:a%4@b",
        "sip:a@b?",
        "sip:a@b?x",
        "sip:a@b?=1",
        "sip:a@b?x=%g1",
        "sip:a@b c",
        "sip:a@b,sip:c@d",
        "sip:a@-b",
        "sip:a@b\r\nVia:x",
        "sip:\u{e9}@b",
        "tel:",
        "tel:+",
        "tel:12x34y",
        "tel:1;",
        "tel:1?x=y",
        "sip:a@b@c",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn ours_are_escaped() {
    let host = Host::from("2001:db8::1".parse::<std::net::IpAddr>().unwrap());
    let uri = Uri::sip_of(Some("a@b c\r\n:é"), &host, Some(5070));
    assert_eq!(uri.to_string(), "sip:a%40b%20c%0D%0A%3A%C3%A9@[2001:db8::1]:5070");
    assert_eq!(uri.user_unescaped(), Some("a@b c\r\n:é".as_bytes().to_vec()));
    assert_eq!(Uri::sip_of(None, &host, None).to_string(), "sip:[2001:db8::1]");
}

#[test]
fn uris_that_mean_the_same() {
    for (one, two) in [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:DB8:0::1]", "sip:a@[2001:db8::1]"),
        ("sip:a@b.example.", "sip:a@B.example"),
        ("tel:+1(415)555-0123", "tel:+14155550123"),
        ("tel:123;phone-context=a;ext=1", "tel:1-23;EXT=1;phone-context=A"),
        ("URN:service:sos", "urn:service:SOS"),
        ("HTTP://a/B", "http://a/B"),
    ] {
        let (one, two) = (parse(one).unwrap(), parse(two).unwrap());
        assert!(one.is_equivalent(&two) && two.is_equivalent(&one), "{one} {two}");
    }
}

#[test]
fn uris_that_mean_something_else() {
    for (one, two) in [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@b", "sips:a@b"),
        ("sip:a@b", "sip:b"),
        ("sip:a:x@b", "sip:a@b"),
        ("sip:a@b;lr", "sip:a@b;lr=on"),
        ("tel:123", "tel:124"),
        ("tel:123", "tel:123;phone-context=a"),
        ("http://a/B", "http://a/b"),
    ] {
        let (one, two) = (parse(one).unwrap(), parse(two).unwrap());
        assert!(!one.is_equivalent(&two) && !two.is_equivalent(&one), "{one} {two}");
    }
}
