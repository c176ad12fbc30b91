//! Templates: kept, changed, tried out, and sent.

use super::*;

const TEMPLATES: &str = "/api/v1/messages/templates";
const SMS: &str = "/api/v1/messages/sms";

impl World {
    /// The id of a new template.
    async fn template(&self, name: &str, body: &str) -> String {
        let answer = self.post(TEMPLATES, &json!({"name": name, "body": body})).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.data()["id"].as_str().unwrap().to_owned()
    }
}

fn at(id: &str) -> String {
    format!("{TEMPLATES}/{id}")
}

#[tokio::test]
async fn a_template_is_kept_shown_changed_and_deleted() {
    let world = World::new().await;
    let body = json!({"name": "hello", "language": "pt-BR", "body": "Oi {{name}} {{n|1}}",
        "components": [{"type": "BODY"}]});
    let made = world.post(TEMPLATES, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let data = made.data().clone();
    assert_eq!((&data["status"], &data["channel"]), (&json!("approved"), &json!("sms")));
    assert_eq!(data["variables"], json!(["name", "n"]));
    assert_eq!((&data["components"], &data["language"]), (&body["components"], &json!("pt-BR")));
    let id = data["id"].as_str().unwrap();
    assert!(id.starts_with("tpl_"));
    assert_eq!(world.get(&at(id)).await.data(), &data);

    for (method, change) in [("PATCH", json!({"body": "Oi"})), ("PUT", json!({"name": "hi"}))] {
        let changed = world.ask(method, &at(id), &change).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
    }
    let now = world.get(&at(id)).await;
    assert_eq!((&now.data()["name"], &now.data()["body"]), (&json!("hi"), &json!("Oi")));
    assert_eq!(now.data()["language"], "pt-BR");
    assert_eq!(now.data()["created_at"], data["created_at"]);

    assert_eq!(world.ask("DELETE", &at(id), None).await.status, 204);
    for (method, body) in [("DELETE", json!({})), ("PATCH", json!({})), ("GET", json!({}))] {
        let answer = world.ask(method, &at(id), &body).await;
        assert_eq!((answer.status, answer.code()), (404, "TEMPLATE_NOT_FOUND"), "{method}");
    }
}

#[tokio::test]
async fn names_are_one_of_a_kind_in_an_organization() {
    let world = World::new().await;
    let first = world.template("one", "a").await;
    let second = world.template("two", "b").await;
    let taken = world.post(TEMPLATES, &json!({"name": "one", "body": "c"})).await;
    assert_eq!((taken.status, taken.code()), (409, "CONFLICT"));
    assert_eq!(taken.body["error"]["details"]["field"], "name");
    let renamed = world.ask("PATCH", &at(&second), &json!({"name": "one"})).await;
    assert_eq!((renamed.status, renamed.code()), (409, "CONFLICT"));
    let same = world.ask("PATCH", &at(&first), &json!({"name": "one"})).await;
    assert_eq!(same.status, 200);
    let stranger = world.stranger(false).await;
    let body = json!({"name": "one", "body": "c"}).to_string();
    let theirs = world.post_with(TEMPLATES, body, &[("x-api-key", &stranger)]).await;
    assert_eq!(theirs.status, 201);
    let foreign = world.get_as(&stranger, &at(&first)).await;
    assert_eq!((foreign.status, foreign.code()), (404, "TEMPLATE_NOT_FOUND"));
}

#[tokio::test]
async fn templates_are_listed_by_cursor_and_filter() {
    let world = World::new().await;
    for n in 0..5 {
        world.template(&format!("t{n}"), "x").await;
    }
    let named = world.get(&format!("{TEMPLATES}?name=t3")).await;
    let id = named.data()[0]["id"].as_str().unwrap();
    world.ask("PATCH", &at(id), &json!({"status": "disabled"})).await;
    let (mut names, mut path) = (Vec::new(), format!("{TEMPLATES}?limit=2"));
    loop {
        let page = world.get(&path).await;
        let data = page.data().as_array().unwrap();
        names.extend(data.iter().map(|t| t["name"].as_str().unwrap().to_owned()));
        match page.body["meta"]["pagination"]["cursor"].as_str() {
            Some(cursor) => path = format!("{TEMPLATES}?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(names, ["t4", "t3", "t2", "t1", "t0"]);
    let disabled = world.get(&format!("{TEMPLATES}?status=disabled&channel=sms")).await;
    assert_eq!(disabled.data().as_array().unwrap().len(), 1);
    assert_eq!(world.get(&format!("{TEMPLATES}?channel=email")).await.data(), &json!([]));
    assert_eq!(world.get(&format!("{TEMPLATES}?status=odd")).await.status, 400);
}

#[tokio::test]
async fn reading_and_changing_templates_are_scopes_of_their_own() {
    let world = World::new().await;
    let reader = world.key(Mode::Live, "templates:read").await;
    assert_eq!(world.get_as(&reader, TEMPLATES).await.status, 200);
    let body = json!({"name": "a", "body": "b"}).to_string();
    let refused = world.post_with(TEMPLATES, body.clone(), &[("x-api-key", &reader)]).await;
    assert_eq!((refused.status, refused.code()), (403, "INSUFFICIENT_PERMISSIONS"));
    let other = world.key(Mode::Live, "messages:write").await;
    assert_eq!(world.get_as(&other, TEMPLATES).await.status, 403);
}

#[tokio::test]
async fn a_preview_shows_the_text_and_what_is_missing() {
    let world = World::new().await;
    let id = world.template("p", "Hi {{name}}, {{what|it}} \u{2019}s {{state}}").await;
    let path = format!("{}/preview", at(&id));
    let part = world.post(&path, &json!({"variables": {"name": "{{x}}"}})).await;
    assert_eq!(part.status, 200, "{}", part.body);
    assert_eq!(part.data()["body"], "Hi {{x}}, it \u{2019}s {{state}}");
    assert_eq!(
        (&part.data()["missing"], &part.data()["encoding"]),
        (&json!(["state"]), &json!("ucs2"))
    );
    let whole = json!({"variables": {"name": 1, "state": true}, "smart_encoding": true});
    let whole = world.post(&path, &whole).await;
    assert_eq!(whole.data()["body"], "Hi 1, it 's true");
    assert_eq!((&whole.data()["encoding"], &whole.data()["segments"]), (&json!("gsm7"), &json!(1)));
    assert_eq!((&whole.data()["missing"], &whole.data()["characters"]), (&json!([]), &json!(16)));
    let bad = world.post(&path, &json!({"variables": {"name": []}})).await;
    assert_eq!((bad.status, bad.code()), (422, "VALIDATION_ERROR"));
    let long = json!({"variables": {"name": "x".repeat(1600)}});
    assert_eq!(world.post(&path, &long).await.code(), "MESSAGE_TOO_LONG");
}

#[tokio::test]
async fn a_send_by_template_is_the_rendered_text() {
    let world = World::new().await;
    let id = world.template("code", "Your code: {{code}}").await;
    let mut send = json!({"to": "+14155550123", "template_id": id, "variables": {"code": 123456}});
    let sent = world.post(SMS, &send).await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    let path = format!("/v1/messages/{}", sent.data()["id"].as_str().unwrap());
    let message = world.get(&path).await;
    assert_eq!(message.data()["body"], "Your code: 123456");
    assert_eq!(message.data()["template_id"], json!(id));

    send["variables"] = json!({"other": 1});
    let missing = world.post(SMS, &send).await;
    assert_eq!((missing.status, missing.code()), (422, "INVALID_TEMPLATE"));
    assert_eq!(missing.body["error"]["details"]["missing"], json!(["code"]));
    send["variables"] = json!({"code": "x".repeat(1600)});
    assert_eq!(world.post(SMS, &send).await.code(), "MESSAGE_TOO_LONG");
    send["body"] = json!("x");
    let both = world.post(SMS, &send).await;
    assert_eq!((both.status, both.code()), (422, "VALIDATION_ERROR"));
    assert_eq!(both.body["error"]["details"]["field"], "template_id");
}

#[tokio::test]
async fn a_template_that_is_not_there_or_disabled_sends_nothing() {
    let world = World::new().await;
    let id = world.template("off", "x").await;
    world.ask("PATCH", &at(&id), &json!({"status": "disabled"})).await;
    let unknown = PublicId::new(At::now()).show(model::id::Kind::Template);
    for id in [id.as_str(), unknown.as_str(), "tpl_x", ""] {
        let body = json!({"to": "+14155550123", "template_id": id});
        let answer = world.post(SMS, &body).await;
        assert_eq!((answer.status, answer.code()), (422, "INVALID_TEMPLATE"), "{id}");
        assert_eq!(answer.body["error"]["details"]["field"], "template_id");
    }
    assert_eq!(world.balance().await, (10_000_000, 0));
}

#[tokio::test]
async fn a_body_with_variables_is_a_template_and_without_it_is_not() {
    let world = World::new().await;
    let body = |send: &Answer| format!("/v1/messages/{}", send.data()["id"].as_str().unwrap());
    let mut send = json!({"to": "+14155550123", "body": "{{a}}"});
    let plain = world.post(SMS, &send).await;
    assert_eq!(world.get(&body(&plain)).await.data()["body"], "{{a}}");
    send["variables"] = json!({"a": "b"});
    let filled = world.post(SMS, &send).await;
    let message = world.get(&body(&filled)).await;
    assert_eq!(
        (&message.data()["body"], &message.data()["template_id"]),
        (&json!("b"), &Value::Null)
    );
}

#[tokio::test]
async fn smart_encoding_sends_plain_signs_only_when_asked() {
    let world = World::new().await;
    let mut send = json!({"to": "+14155550123", "body": "it\u{2019}s"});
    let path = |send: &Answer| format!("/v1/messages/{}", send.data()["id"].as_str().unwrap());
    let as_is = world.post(SMS, &send).await;
    assert_eq!(world.get(&path(&as_is)).await.data()["encoding"], "ucs2");
    send["smart_encoding"] = json!(true);
    let smart = world.post(SMS, &send).await;
    let message = world.get(&path(&smart)).await;
    assert_eq!(
        (&message.data()["encoding"], &message.data()["body"]),
        (&json!("gsm7"), &json!("it's"))
    );
}
