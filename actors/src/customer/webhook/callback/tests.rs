//! What each program is told, step by step, and what counts as its answer.

use model::message::Direction;

use super::*;

fn row(kind: EventKind, status: Status, external_id: Option<&str>) -> LoggedRow {
    LoggedRow {
        seq: 7,
        organization_id: 1,
        message_key: 3,
        kind: kind.code(),
        status: status.code(),
        at: 1_700_000_060_000_000,
        detail: None,
        sequence: 2,
        id: Some(vec![0x11; 16]),
        direction: Some(Direction::Outbound.code()),
        to_addr: Some(String::from("+14155550123")),
        from_addr: Some(String::from("Orbit")),
        body: Some(String::from("hello from the other side")),
        segments: Some(1),
        created_at: Some(1_700_000_000_000_000),
        test_mode: Some(0),
        metadata: None,
        batch_id: None,
        external_id: external_id.map(str::to_owned),
        status_reason: None,
        error_code: None,
        carrier_error: None,
        webhook_url: None,
    }
}

fn delivered() -> LoggedRow {
    row(EventKind::Delivered, Status::Delivered, Some("c 9"))
}

fn kannel(url: &str, mask: u8) -> Callback {
    Callback::Kannel(Kannel {
        url: url.to_owned(),
        mask,
        from: String::from("Orbit & Co"),
        to: String::from("0014155550123"),
        service: String::from("acme"),
        account: String::from("é%41"),
        ..Kannel::default()
    })
}

fn jasmin(url: &str, level: Level, method: Method) -> Callback {
    Callback::Jasmin(Jasmin { url: url.to_owned(), level, method })
}

fn asked(callback: &Callback, row: &LoggedRow) -> Option<String> {
    let request = callback.request(row)?;
    assert!(request.form.is_none(), "{request:?}");
    Some(request.url)
}

#[test]
fn what_is_stored_is_read_again_and_a_url_is_no_callback() {
    for callback in [kannel("http://h/%d", 31), jasmin("http://h/", Level::Both, Method::Get)] {
        assert_eq!(Callback::parse(&callback.to_text()), Some(callback));
    }
    for plain in ["https://example.com/hook", "", "{", "{\"words\":\"morse\"}"] {
        assert_eq!(Callback::parse(plain), None, "{plain}");
    }
}

#[test]
fn the_mask_says_which_steps_kannel_tells() {
    let steps = [
        (row(EventKind::Created, Status::Queued, None), None),
        (row(EventKind::Sent, Status::Sent, Some("9")), Some(8)),
        (delivered(), Some(1)),
        (row(EventKind::Failed, Status::Undelivered, Some("9")), Some(2)),
        (row(EventKind::Failed, Status::Expired, Some("9")), Some(2)),
        (row(EventKind::Failed, Status::Rejected, None), Some(16)),
        (row(EventKind::Failed, Status::SubmittedNoReceipt, Some("9")), None),
        (row(EventKind::Failed, Status::SubmittedNoReceipt, None), None),
    ];
    for mask in 0..32 {
        for (row, kind) in &steps {
            let told = kind.filter(|kind| mask & kind != 0).map(|kind| format!("http://h/{kind}"));
            assert_eq!(asked(&kannel("http://h/%d", mask), row), told, "{mask} {row:?}");
        }
    }
}

#[test]
fn kannels_escapes_are_filled_once_and_encoded() {
    let cases = [
        ("%p/%P", "0014155550123/Orbit+%26+Co"),
        ("%q/%Q", "%2B14155550123/Orbit+%26+Co"),
        ("%o", "%C3%A9%2541"),
        ("%n-%I", "acme-11111111-1111-1111-1111-111111111111"),
        ("%F", "c+9"),
        ("%T/%t", "1700000060/2023-11-14+22:14:20"),
        ("%k%%%z%20%", "id%3Ac%%z%20%"),
        ("%m%M%i%B%u", "-1-1"),
        ("%c/%C", "0/UTF-8"),
    ];
    for (escapes, filled) in cases {
        let url = asked(&kannel(&format!("http://h/?{escapes}"), 1), &delivered());
        assert_eq!(url.as_deref(), Some(&*format!("http://h/?{filled}")), "{escapes}");
    }
    let text = asked(&kannel("%A", 1), &delivered()).unwrap();
    let wanted = "id%3Ac+9+sub%3A001+dlvrd%3A001+submit+date%3A2311142213+done+date%3A2311142214\
                  +stat%3ADELIVRD+err%3A000+text%3Ahello+from+the+other";
    assert!(text.starts_with(wanted), "{text}");
    assert_eq!(asked(&kannel("%a", 1), &delivered()).unwrap(), text.trim_end_matches('+'));
    assert_eq!(
        asked(&kannel("%A", 8), &row(EventKind::Sent, Status::Sent, None)).unwrap(),
        "ACK%2F"
    );
    let mut refused = row(EventKind::Failed, Status::Rejected, None);
    refused.carrier_error = Some(String::from("0x0000000B ESME_RINVDSTADR"));
    let told = asked(&kannel("%A", 16), &refused).unwrap();
    assert_eq!(told, "NACK%2F0x0000000b%2Finvalid+destination+address");
}

#[test]
fn jasmin_tells_of_the_levels_that_were_asked_for() {
    let id = "id=11111111-1111-1111-1111-111111111111";
    let first = format!("http://h/?{id}&message_status=ESME_ROK&level=1");
    let refused = format!("http://h/?{id}&message_status=ESME_RINVDSTADR&level=1");
    let last = format!(
        "http://h/?{id}&message_status=DELIVRD&level=2&id_smsc=c+9&subdate=2311142213\
         &donedate=2311142214&sub=001&dlvrd=001&err=000&text=hello+from+the+other"
    );
    let mut rejected = row(EventKind::Failed, Status::Rejected, None);
    rejected.carrier_error = Some(String::from("0x0000000B ESME_RINVDSTADR"));
    let rows = [row(EventKind::Sent, Status::Sent, Some("c 9")), delivered(), rejected];
    let table = [
        (Level::Smsc, [Some(&first), None, Some(&refused)]),
        (Level::Terminal, [None, Some(&last), None]),
        (Level::Both, [Some(&first), Some(&last), Some(&refused)]),
    ];
    for (level, wanted) in table {
        let callback = jasmin("http://h/", level, Method::Get);
        for (row, wanted) in rows.iter().zip(wanted) {
            let told = asked(&callback, row);
            let told = told.as_deref().map(|url| url.trim_end_matches('+'));
            assert_eq!(told, wanted.map(String::as_str), "{level:?} {row:?}");
        }
    }
}

#[test]
fn jasmin_posts_a_form_and_keeps_a_query() {
    let posted = jasmin("http://h/?a=1", Level::Smsc, Method::Post);
    let request = posted.request(&row(EventKind::Sent, Status::Sent, None)).unwrap();
    assert_eq!(request.url, "http://h/?a=1");
    assert!(request.form.unwrap().ends_with("&message_status=ESME_ROK&level=1"));
    let got = jasmin("http://h/?a=1#x", Level::Smsc, Method::Get);
    let url = asked(&got, &row(EventKind::Sent, Status::Sent, None)).unwrap();
    assert!(url.starts_with("http://h/?a=1&id=11111111-"), "{url}");
}

#[test]
fn jasmin_is_acknowledged_by_its_word_alone() {
    let callback = jasmin("http://h/", Level::Both, Method::Post);
    assert!(callback.is_acknowledged("ACK/Jasmin") && callback.is_acknowledged("ACK/Jasmin\n"));
    assert!(!callback.is_acknowledged("") && !callback.is_acknowledged("OK ACK/Jasmin"));
    assert!(kannel("http://h/", 31).is_acknowledged(""));
}
