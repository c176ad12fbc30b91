//! The settings of `[protection]` and frequency caps, by the real program and across its restart.

use serde_json::json;

use crate::carriers::smsc;
use crate::world::World;
use load_tests::peer::smsc::SmscOptions;

const PATH: &str = "/api/v1/messages/sms";

#[tokio::test]
async fn the_settings_guard_and_what_was_counted_outlives_a_kill() {
    let carrier = smsc(SmscOptions::default());
    let mut world = World::new("protection");
    world.carrier("main", carrier.address, "");
    world.set("protection.blocked_prefixes", "[\"1416\"]");
    world.set("protection.daily_spend_micros", "40000");
    world.set("protection.otp_velocity_per_minute", "0");
    let org = world.org("Guarded", "10").await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let shown = http.get("/api/v1/compliance/protection").await;
    assert_eq!(shown.data()["effective"]["daily_spend_micros"], 40_000, "{}", shown.text);
    let sms = |to: &str| json!({"to": to, "from": "Orbit", "body": "x", "category": "marketing"});
    let refused = http.post(PATH, &sms("+14165550123")).await;
    assert_eq!((refused.status, refused.code()), (422, "DESTINATION_NOT_ALLOWED"));
    // The list of the settings took the place of the default one.
    let satellite = http.post(PATH, &sms("+881612345678")).await;
    assert_ne!(satellite.code(), "DESTINATION_NOT_ALLOWED", "{}", satellite.text);

    let rule = json!({"name": "two", "limit": 2, "window_seconds": 3600});
    assert_eq!(http.post("/api/v1/frequency-caps", &rule).await.status, 201);
    for _ in 0..2 {
        http.send(&sms("+14155550123")).await;
    }
    let capped = http.post(PATH, &sms("+14155550123")).await;
    assert_eq!(capped.code(), "FREQUENCY_CAP_EXCEEDED", "{}", capped.text);
    world.kill();
    world.serve().await;
    let mut http = world.http(&org.key);
    let capped = http.post(PATH, &sms("+14155550123")).await;
    assert_eq!(capped.code(), "FREQUENCY_CAP_EXCEEDED", "{}", capped.text);
    for last in 0..3 {
        http.send(&sms(&format!("+1415555020{last}"))).await;
    }
    let spent = http.post(PATH, &sms("+14155550209")).await;
    assert_eq!((spent.status, spent.code()), (422, "SPEND_LIMIT_REACHED"), "{}", spent.text);
}
