//! PDUs that no book allows, and what handsets write.

use load_tests::peer::smsc::SmscOptions;
use serde_json::{Value, json};

use super::{Case, OURS, Ward, case, inbound};

#[tokio::test]
async fn odd_pdus_cost_no_bind_and_no_message() {
    let quirks = [
        "error-body=absent",
        "error-body=present",
        "stray-nul",
        "strings=unterminated",
        "strings=nul-inside",
        "vendor-tlvs",
        "tlv-length=long",
        "tlv-length=empty",
        "tlv-length=past-end",
        "garbage-first=crlf",
        "segments=octets",
        "vendor-tlvs strings=unterminated hex-then-decimal",
    ];
    let mut ward = Ward::start("quirk-pdus", quirks.map(case).into(), &[]).await;
    ward.all_deliver(2).await;
    ward.all_binds_live().await;
    ward.paid(quirks.len() * 2).await;
    for quirk in &quirks[..2] {
        let id = ward.send(quirk, 1, "refused once").await.remove(0);
        ward.becomes(quirk, &id, "delivered").await;
        assert_eq!(ward.told(&id, "message.retried").await, 1, "{quirk}");
    }
}

#[tokio::test]
async fn a_stream_that_is_lost_is_bound_again_and_loses_no_message() {
    let quirks = [
        "garbage-first=http",
        "garbage-first=tls",
        "bad-length=0",
        "bad-length=15",
        "bad-length=2147483648",
    ];
    let mut ward = Ward::start("quirk-streams", quirks.map(case).into(), &[]).await;
    ward.all_deliver(3).await;
    for quirk in quirks {
        let stats = ward.stats(quirk);
        assert_eq!(stats.connections, 2, "{quirk}: {stats:?}");
    }
    ward.paid(quirks.len() * 3).await;
}

/// The one message that this carrier brings: its text, and what was said beside it.
async fn comes(ward: &mut Ward, quirks: &str) -> Value {
    ward.brought(quirks, 1).await.remove(0)
}

#[tokio::test]
async fn what_handsets_write_is_read_in_the_alphabet_of_its_carrier() {
    let alone = [
        ("stray-nul", "mo1 hello"),
        ("strings=nul-inside", "mo1 a\u{fffd}b"),
        ("vendor-tlvs", "mo1 hello"),
        ("tlv-length=long", "mo1 hello"),
        ("tlv-length=empty", "mo1 hello"),
        ("tlv-length=past-end", "mo1 hello"),
        ("inbound-alphabet=gsm", "mo1 @ ¡ é"),
        ("inbound-alphabet=0xF0", "mo1 @ ¡ é"),
        ("inbound-alphabet=0xF1", "mo1 @ ¡ é"),
        ("inbound-ucs2=surrogates", "mo1 😀!"),
        ("inbound-ucs2=odd", "mo1 né"),
        ("inbound-sender=latin1", "mo1 hello"),
        ("inbound-sender=gsm-at", "mo1 hello"),
    ];
    let mut cases: Vec<Case> = alone.iter().map(|(quirks, _)| inbound(quirks)).collect();
    cases.push(inbound("inbound-alphabet=binary"));
    let options = SmscOptions { mo_to: OURS.into(), ..SmscOptions::default() };
    cases.push(Case { quirks: "segments=together", more: "", options });
    let mut ward = Ward::start("quirk-alphabets", cases, &[]).await;
    for (quirks, body) in alone {
        let message = comes(&mut ward, quirks).await;
        assert_eq!(message["body"], body, "{quirks}: {message}");
        assert_eq!(message["to"], format!("+{OURS}"), "{quirks}: {message}");
    }
    assert_eq!(comes(&mut ward, "segments=together").await["body"], "mo1 hello");
    assert_eq!(comes(&mut ward, "inbound-sender=latin1").await["from"], "Café Züri");
    assert_eq!(comes(&mut ward, "inbound-sender=gsm-at").await["from"], "me@home");

    let binary = comes(&mut ward, "inbound-alphabet=binary").await;
    let shown = (&binary["body"], &binary["encoding"], &binary["pdu"]["octets"]);
    assert_eq!(shown, (&Value::Null, &json!("binary"), &json!("0001feff")), "{binary}");
    assert_eq!(binary["pdu"]["data_coding"], 4, "{binary}");

    let said = comes(&mut ward, "vendor-tlvs").await["pdu"]["tlvs"].clone();
    let tags: Vec<&str> =
        said.as_array().into_iter().flatten().filter_map(|tlv| tlv["tag"].as_str()).collect();
    assert_eq!((tags.len(), tags[0], tags[17], tags[18]), (20, "0x1401", "0x2001", "0x3177"));
    assert_eq!(said[0]["value"], "1401", "octet for octet: {said}");
    ward.all_binds_live().await;
}

#[tokio::test]
async fn long_messages_from_handsets_come_whole_or_say_what_is_missing() {
    let quirks = ["udh8", "udh16", "sar", "payload", "reversed", "repeated", "missing"];
    let names: Vec<&'static str> =
        quirks.iter().map(|way| &*format!("long-inbound={way}").leak()).collect();
    let cases = names.iter().map(|quirks| inbound(quirks)).collect();
    let mut ward = Ward::start("quirk-long", cases, &[("inbound.join_parts_s", "1")]).await;
    let whole: String = "mo1 hello".chars().cycle().take(300).collect();
    for quirks in &names[..6] {
        let message = comes(&mut ward, quirks).await;
        assert_eq!(message["body"], whole.as_str(), "{quirks}: {message}");
        let segments = if *quirks == "long-inbound=payload" { 1 } else { 3 };
        assert_eq!(message["segments"], segments, "{quirks}");
    }
    let part = comes(&mut ward, "long-inbound=missing").await;
    assert_eq!(part["body"], format!("{}{}", &whole[..100], &whole[200..]), "{part}");
    assert_eq!(part["segments"], 2, "{part}");
    ward.all_binds_live().await;
}
