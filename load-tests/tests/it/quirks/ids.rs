//! Message ids that differ between response and receipt, come again, or are not there.

use load_tests::peer::smsc::SmscOptions;
use serde_json::Value;

use super::{Case, Ward, case};

#[tokio::test]
async fn however_ids_are_written_each_receipt_finds_its_message() {
    let quirks = [
        "hex-then-decimal",
        "decimal-then-hex",
        "id-past-i64",
        "id-zeros=dropped",
        "id-zeros=padded",
        "id-case=lowered",
        "id-case=raised",
        "id-form=uuid",
        "id-form=sar",
        "id-form=long",
        "no-id=empty",
        "no-id=no-body",
    ];
    let mut ward = Ward::start("quirk-ids", quirks.map(case).into(), &[]).await;
    ward.all_deliver(3).await;
    ward.all_binds_live().await;
    ward.paid(quirks.len() * 3).await;
    assert_eq!(ward.orphans().await, Vec::<Value>::new());
    for quirk in ["no-id=empty", "no-id=no-body"] {
        let id = ward.send(quirk, 1, "again").await.remove(0);
        let message = ward.becomes(quirk, &id, "delivered").await;
        assert_eq!(message["external_id"], Value::Null, "{message}");
    }
    // Each part of a long message has an id of its own, or none.
    let long = "0123456789".repeat(40);
    for quirk in ["id-form=sar", "id-form=uuid", "no-id=empty"] {
        let id = ward.send(quirk, 1, &long).await.remove(0);
        let message = ward.becomes(quirk, &id, "delivered").await;
        assert_eq!(message["segments"], 3, "{quirk}: {message}");
    }
}

#[tokio::test]
async fn ids_that_come_again_mean_the_message_to_their_recipient() {
    let two = "connections = 2";
    let options = SmscOptions::default();
    let per_bind = Case { quirks: "id-again=per-bind", more: two, options };
    let cases = vec![case("id-again=cycle"), case("id-again=cycle receipt-first"), per_bind];
    let mut ward = Ward::start("quirk-again", cases, &[]).await;
    ward.world.bound("c2", 2).await;
    // Five ids for twelve messages, one after the other, as over days.
    for quirks in ["id-again=cycle", "id-again=cycle receipt-first"] {
        for _ in 0..12 {
            let id = ward.send(quirks, 1, "Whose is it?").await.remove(0);
            ward.becomes(quirks, &id, "delivered").await;
            assert_eq!(ward.told(&id, "message.delivered").await, 1);
        }
    }
    // Both binds count from one at the same time.
    let ids = ward.send("id-again=per-bind", 20, "Whose is it?").await;
    for id in ids {
        ward.becomes("id-again=per-bind", &id, "delivered").await;
    }
    ward.all_binds_live().await;
    ward.paid(44).await;
    assert_eq!(ward.orphans().await, Vec::<Value>::new());
}
