//! `GET /messages/export`: the file, its filters, its limits and its end.

use http_body_util::BodyExt as _;

use super::*;

const EXPORT: &str = "/v1/messages/export";

/// A file's lines, by a strict reader.
fn lines(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|line| line.unwrap().iter().map(str::to_owned).collect()).collect()
}

impl World {
    async fn export(&self, query: &str) -> Vec<Vec<String>> {
        let answer = self.get(&format!("{EXPORT}{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.header("content-type").starts_with("text/csv; charset=utf-8"));
        let name = answer.header("content-disposition");
        assert!(name.starts_with("attachment; filename=\"messages-20"), "{name}");
        lines(answer.body.as_str().unwrap())
    }
}

#[tokio::test]
async fn every_text_comes_back_as_it_was_sent_but_no_formula() {
    let world = World::new().await;
    let texts =
        ["a,b;\"c\"", "two\nlines, \"quoted\"", "=HYPERLINK(\"http://x\")", "-1+2", "\"", "é €"];
    for text in texts {
        let body = json!({"to": "+14155550123", "body": text, "metadata": {"k": "v,w"}});
        assert_eq!(world.post("/v1/messages/sms", &body).await.status, 202);
    }
    let mut lines = world.export("").await;
    let header = lines.remove(0);
    let column = |name: &str| header.iter().position(|cell| cell == name).unwrap();
    lines.reverse();
    assert_eq!(lines.len(), texts.len());
    for (line, text) in lines.iter().zip(texts) {
        let formula = text.starts_with(['=', '-']);
        let expected = if formula { format!("'{text}") } else { text.to_owned() };
        assert_eq!(line[column("body")], expected);
        assert_eq!(line[column("to")], "+14155550123");
        assert_eq!(line[column("metadata")], "{\"k\":\"v,w\"}");
        assert_eq!(line[column("price")], "0.007900");
        assert_eq!((&*line[column("status")], &*line[column("sent_at")]), ("queued", ""));
    }
    let shown = world.get("/v1/messages?limit=1").await;
    assert_eq!(json!(lines[5][column("id")]), shown.data()[0]["id"]);
}

#[tokio::test]
async fn an_export_is_narrowed_and_is_the_callers_own() {
    let world = World::new().await;
    for n in 0..3 {
        let body = json!({"to": format!("+1415555000{n}"), "body": "x"});
        world.post("/v1/messages/sms", &body).await;
    }
    assert_eq!(world.export("?to=%2B14155550001&limit=1").await.len(), 2);
    assert_eq!(world.export("?direction=inbound").await.len(), 1);
    assert_eq!(world.export("?channel=whatsapp").await.len(), 1);
    assert_eq!(world.get(&format!("{EXPORT}?status=lost")).await.status, 400);
    let stranger = world.stranger(false).await;
    let theirs = world.get_as(&stranger, EXPORT).await;
    assert_eq!(lines(theirs.body.as_str().unwrap()).len(), 1);
    let other = world.key(Mode::Live, "billing:read").await;
    assert_eq!(world.get_as(&other, EXPORT).await.status, 403);
}

#[tokio::test]
async fn a_long_export_comes_page_by_page_and_one_too_many_is_refused() {
    let world = World::with_settings(Profile::Open, |s| s.http.exports_max = 1).await;
    let (organization, note) = (world.organization, String::from("more"));
    let more = Admin::TopUp { organization, amount: Micros(100_000_000), note };
    world.handle.administer(more).await.unwrap();
    let recipients = |batch: usize| -> Vec<Value> {
        (0..1_000).map(|n| json!({"to": format!("+1415{batch}{n:06}")})).collect()
    };
    for batch in 2..4 {
        let body = json!({"channel": "sms", "body": "x", "recipients": recipients(batch)});
        let answer = world.post("/v1/messages/batch", &body).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
    let request = Request::get(EXPORT).header("x-api-key", &world.key);
    let response = world.router.clone().oneshot(request.body(Body::empty()).unwrap()).await;
    let mut body = response.unwrap().into_body();
    // Two thousand rows are four pages; the first two chunks are the header and a page.
    for _ in 0..2 {
        assert!(body.frame().await.unwrap().is_ok());
    }
    let refused = world.get(EXPORT).await;
    assert_eq!((refused.status, refused.code()), (503, "SERVICE_UNAVAILABLE"));
    assert!(!refused.header("retry-after").is_empty());
    drop(body);
    // The reader is gone: the export ends, and its place is free.
    let again = async {
        loop {
            let answer = world.get(EXPORT).await;
            if answer.status == 200 {
                break lines(answer.body.as_str().unwrap());
            }
        }
    };
    let whole = tokio::time::timeout(Duration::from_secs(30), again).await.unwrap();
    assert_eq!(whole.len(), 2_001);
    let ids: std::collections::HashSet<_> = whole.iter().map(|line| &line[0]).collect();
    assert_eq!(ids.len(), 2_001);
}
