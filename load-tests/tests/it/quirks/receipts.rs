//! Receipts in every form, in every order, by every way.

use load_tests::peer::smsc::SmscOptions;
use serde_json::{Value, json};

use super::{Case, Ward, case};

const LONG: &str = "A text of more than one hundred and sixty characters is sent in parts, and some \
     carriers tell of one part alone what became of it, be it the first of them or the last one.";

#[tokio::test]
async fn however_a_receipt_is_written_its_message_is_delivered() {
    let mut cases: Vec<Case> = [
        "receipt-first",
        "no-counts",
        "state-word=ACKED",
        "state-word=BUFFRED",
        "state-word=BUFFERD",
        "error-form=two",
        "error-form=four",
        "error-form=letters",
        "error-form=missing",
        "receipt-dates=seconds",
        "receipt-dates=long-year",
        "receipt-dates=zeros",
        "receipt-dates=local",
        "ucs2-receipt",
        "tlv-only=state",
        "payload-receipt",
        "data-sm-receipt",
        "comma-receipt",
        "receipt-class=0x44",
        "receipt-class=0x00",
        "receipt-class=0x08",
        "receipt-class=0x24",
        "receipt-course=steps",
        "receipt-course=twice",
        "addresses-kept",
        "network-error=disagrees",
        "network-error=empty",
        "network-error=one",
        "network-error=two",
        "network-error=five",
        "data-sm-receipt ucs2-receipt addresses-kept",
        "receipt-first hex-then-decimal comma-receipt",
    ]
    .map(case)
    .into();
    let options = SmscOptions::default();
    cases.push(Case { quirks: "receipt-elsewhere", more: "connections = 2", options });
    let patients = cases.len();
    let mut ward = Ward::start("quirk-receipts", cases, &[]).await;
    ward.all_deliver(2).await;
    ward.all_binds_live().await;
    ward.paid(patients * 2).await;
    assert_eq!(ward.orphans().await, Vec::<Value>::new());
    let none = ward.http.count("direction=inbound").await;
    assert_eq!(none, 0, "a receipt was taken for a message");
    // Steps are history, and an end that comes twice is one end.
    for (quirks, delivered, others) in
        [("receipt-course=steps", 1, 2), ("receipt-course=twice", 1, 1), ("state-word=ACKED", 1, 1)]
    {
        let id = ward.send(quirks, 1, "and now").await.remove(0);
        ward.becomes(quirks, &id, "delivered").await;
        ward.all_binds_live().await;
        assert_eq!(ward.told(&id, "message.delivered").await, delivered, "{quirks}");
        assert_eq!(ward.told(&id, "message.receipt").await, others, "{quirks}");
    }
}

#[tokio::test]
async fn an_end_is_the_first_one_told_and_a_state_that_is_missing_is_none() {
    let quirks = [
        "state-word=FAILED",
        "receipt-course=changed",
        "receipt-course=back",
        "tlv-only=no-state",
        "error-form=four state-word=UNDELIV",
        "network-error=disagrees state-word=UNDELIV",
    ];
    let mut ward = Ward::start("quirk-ends", quirks.map(case).into(), &[]).await;
    for (quirks, status) in [
        ("state-word=FAILED", "undelivered"),
        ("receipt-course=changed", "delivered"),
        ("receipt-course=back", "undelivered"),
        ("tlv-only=no-state", "sent"),
        ("error-form=four state-word=UNDELIV", "undelivered"),
        ("network-error=disagrees state-word=UNDELIV", "undelivered"),
    ] {
        let id = ward.send(quirks, 1, "How does it end?").await.remove(0);
        let message = ward.becomes(quirks, &id, status).await;
        ward.all_binds_live().await;
        let after = ward.http.message(&id).await;
        assert_eq!(after["status"], message["status"], "{quirks}: {after}");
        let ends =
            ward.told(&id, "message.delivered").await + ward.told(&id, "message.failed").await;
        assert_eq!(ends, usize::from(status != "sent"), "{quirks}");
        let error = match quirks {
            "error-form=four state-word=UNDELIV" => json!("0000"),
            "network-error=disagrees state-word=UNDELIV" => json!("001"),
            _ => continue,
        };
        assert_eq!(after["carrier_error"], error, "{quirks}: {after}");
    }
    ward.paid(quirks.len()).await;
}

#[tokio::test]
async fn a_receipt_for_one_part_alone_is_waited_for_and_then_believed() {
    let quirks = ["part-receipt=first", "part-receipt=last", "id-zeros"];
    let set = [("smpp.part_receipts_wait_s", "1")];
    let mut ward = Ward::start("quirk-parts", quirks.map(case).into(), &set).await;
    for (quirk, reason) in quirks.into_iter().zip([true, true, false]) {
        let id = ward.send(quirk, 1, LONG).await.remove(0);
        let message = ward.becomes(quirk, &id, "delivered").await;
        assert_eq!(message["segments"], 2, "{message}");
        let reason = if reason { json!("part_receipts_missing") } else { Value::Null };
        assert_eq!(message["status_reason"], reason, "{quirk}: {message}");
        assert_eq!(ward.told(&id, "message.delivered").await, 1, "{quirk}");
    }
    ward.all_binds_live().await;
    ward.paid(quirks.len() * 2).await;
}
