//! The REST API against its own OpenAPI document: requests made from the document, odd ones too,
//! are answered by what it describes, and never by a failure of ours.
//!
//! By schemathesis, from a folder in the cache that `load-tests/schemathesis/prepare` makes; where
//! that cannot be made the test says so and is skipped. The same requests each time; it stops at
//! the first finding, and after its time without one.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::http::Http;
use crate::tools::{ended, prepared};
use crate::world::{Kept, World};

const CHECK_TIME: Duration = Duration::from_secs(55);
/// Requests made up for each operation, beside the examples and the borders of each field.
const EXAMPLES: &str = "8";
/// Documents cannot say all that fields must be, nor that a batch refuses recipients one by one.
const LEFT_OUT: &str = "positive_data_acceptance,negative_data_rejection";

/// What is there to be found: a message, a template and a batch.
async fn furnish(http: &mut Http) -> String {
    let sms = json!({"to": "+15005550002", "body": "hello"});
    assert_eq!(http.post("/api/v1/messages/sms", &sms).await.status, 202);
    let template = json!({"name": "furnished", "body": "Hi {{name}}"});
    assert_eq!(http.post("/api/v1/messages/templates", &template).await.status, 201);
    let batch = json!({"body": "hello", "recipients": [{"to": "+15005550002"}, {"to": "x"}]});
    let batch = http.post("/api/v1/messages/batch", &batch).await;
    assert_eq!(batch.status, 202, "{}", batch.text);
    batch.data()["batch_id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_what_the_document_says() {
    let Some(tool) = prepared("schemathesis/prepare", &[]).await else { return };
    let mut world = World::new("schemathesis");
    let org = world.org("Documents", "10").await;
    let key = world.test_key(&org).await;
    world.serve().await;
    let address = world.address.expect("a started switch");
    let batch = furnish(&mut world.http(&key)).await;

    let settings = world.scratch.file("schemathesis.toml");
    let text = format!(
        "[[operations]]\ninclude-path = \"/api/v1/messages/batches/{{id}}\"\n\
         parameters = {{ \"path.id\" = \"{batch}\" }}\n"
    );
    std::fs::write(&settings, text).expect("settings are written");
    let out = world.scratch.file("schemathesis.out");
    let file = std::fs::File::create(&out).expect("a file");
    let child = Command::new(tool)
        .arg("--config-file")
        .arg(&settings)
        .args(["run", &format!("http://{address}/openapi.json")])
        .args(["--header", &format!("X-API-Key: {key}")])
        .args(["--generation-deterministic", "--max-examples", EXAMPLES, "--max-failures", "1"])
        .args(["--exclude-checks", LEFT_OUT, "--workers", "1", "--no-color"])
        .current_dir(world.scratch.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a file"))
        .stderr(file)
        .spawn();
    let mut child = Kept(child.expect("it starts"));
    match ended(&mut child, CHECK_TIME).await {
        Some(true) => {}
        Some(false) => {
            let said = std::fs::read(&out).unwrap_or_default();
            panic!("{}", String::from_utf8_lossy(&said));
        }
        None => println!("stopped after {} s, with nothing found", CHECK_TIME.as_secs()),
    }
}
