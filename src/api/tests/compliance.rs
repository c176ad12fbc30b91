//! Who may be sent what: the suppression list, files of it, consent, keywords.

use model::message::Encoding;
use store::lane::{Inbound, Work};

use super::*;

const SMS: &str = "/api/v1/messages/sms";
const LIST: &str = "/api/v1/compliance/suppression-list";
const IMPORT: &str = "/api/v1/compliance/suppression-list/import";
const CONSENT: &str = "/api/v1/compliance/consent";
const KEYWORDS: &str = "/api/v1/compliance/keywords";
const PERSON: &str = "+14155550123";

impl World {
    async fn delete(&self, path: &str) -> u16 {
        self.ask("DELETE", path, None).await.status
    }

    async fn hears(&self, body: &str) {
        let item = Inbound {
            carrier: CarrierId(1),
            carrier_organization: Some(self.organization),
            from: String::from(PERSON),
            to: String::from("+14155550100"),
            body: body.to_owned(),
            encoding: Encoding::Gsm7,
            from_ton: 1,
            raw: Vec::new(),
            said: model::esme::Submitted::default(),
            fingerprint: rand::random(),
            session: 0,
            part: None,
        };
        let work = Work { inbound: vec![item], ..Work::default() };
        self.handle.perform(work).await.unwrap();
    }

    async fn imports(&self, query: &str, kind: &str, file: impl Into<Body>) -> Answer {
        self.post_with(&format!("{IMPORT}{query}"), file, &[("content-type", kind)]).await
    }

    /// The import of this answer, once it is over.
    async fn done(&self, answer: &Answer) -> Value {
        assert_eq!(answer.status, 202, "{}", answer.body);
        let id = answer.data()["id"].as_str().unwrap();
        let path = format!("/api/v1/compliance/suppression-list/imports/{id}");
        let started = tokio::time::Instant::now();
        loop {
            let data = self.get(&path).await.data().clone();
            if data["status"] != "running" {
                return data;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "{data}");
            tokio::time::sleep(Duration::from_millis(5)).await; // a fact is polled
        }
    }
}

#[tokio::test]
async fn an_address_goes_on_the_list_holds_and_comes_off_again() {
    let world = World::new().await;
    let entry = json!({"address": "+1 415 555 0123", "reason": "asked"});
    let first = world.post(LIST, &entry).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let data = first.data();
    assert_eq!((&data["address"], &data["scope"]), (&json!(PERSON), &json!("all")));
    assert_eq!((&data["reason"], &data["origin"]), (&json!("asked"), &json!("api")));
    let again = world.post(LIST, &entry).await;
    assert_eq!((again.status, &again.data()["id"]), (200, &data["id"]));

    let refused = world.post(SMS, &sms()).await;
    assert_eq!((refused.status, refused.code()), (422, "RECIPIENT_OPTED_OUT"));
    assert_eq!(refused.body["error"]["details"]["field"], "to");
    let batch = json!({"body": "x", "recipients": [{"to": PERSON}, {"to": "+14155550124"}]});
    let batch = world.post("/api/v1/messages/batch", &batch).await;
    assert_eq!(batch.data()["results"][0]["error"]["code"], "RECIPIENT_OPTED_OUT");
    assert_eq!(world.balance().await.1, 7_900, "the other one");

    let path = format!("{LIST}/{}", data["id"].as_str().unwrap());
    assert_eq!(world.delete(&path).await, 204);
    assert_eq!(world.delete(&path).await, 404);
    assert_eq!(world.post(SMS, &sms()).await.status, 202);
}

#[tokio::test]
async fn the_list_is_searched_and_read_in_pages() {
    let world = World::new().await;
    for (address, scope) in
        [(PERSON, "sms"), (PERSON, "voice"), ("a@b.co", "email"), ("u1", "telegram")]
    {
        let entry = json!({"address": address, "scope": scope});
        assert_eq!(world.post(LIST, &entry).await.status, 201, "{address}");
    }
    let count = |answer: &Answer| answer.data().as_array().unwrap().len();
    let of_person = world.get(&format!("{LIST}?address=%2B14155550123")).await;
    assert_eq!(count(&of_person), 2);
    assert_eq!(count(&world.get(&format!("{LIST}?scope=email")).await), 1);
    let page = world.get(&format!("{LIST}?limit=3")).await;
    assert_eq!((count(&page), &page.data()[0]["address"]), (3, &json!("u1")));
    let cursor = page.body["meta"]["pagination"]["cursor"].as_str().unwrap();
    let rest = world.get(&format!("{LIST}?limit=3&cursor={cursor}")).await;
    assert_eq!((count(&rest), &rest.data()[0]["scope"]), (1, &json!("sms")));
    assert_eq!(world.get(&format!("{LIST}?scope=x")).await.status, 400);

    let one = format!("{LIST}?address=%2B14155550123&scope=voice");
    assert_eq!((world.delete(&one).await, world.delete(&one).await), (204, 404));
    assert_eq!(world.delete(&format!("{LIST}?address=%2B14155550123")).await, 204);
    assert_eq!(world.delete(LIST).await, 400);
    let stranger = world.stranger(false).await;
    assert_eq!(count(&world.get_as(&stranger, LIST).await), 0);
}

#[tokio::test]
async fn what_is_no_address_of_its_scope_is_refused() {
    let world = World::new().await;
    for (entry, code) in [
        (json!({"address": "4155550123"}), "INVALID_PHONE_NUMBER"),
        (json!({"address": "a@b.co", "scope": "sms"}), "VALIDATION_ERROR"),
        (json!({"address": PERSON, "scope": "pigeon"}), "VALIDATION_ERROR"),
        (json!({"address": PERSON, "reason": "a\0"}), "VALIDATION_ERROR"),
        (json!({"scope": "sms"}), "MISSING_REQUIRED_FIELD"),
    ] {
        let answer = world.post(LIST, &entry).await;
        assert_eq!((answer.status, answer.code()), (422, code), "{}", answer.body);
    }
    let reader = world.key(Mode::Live, "compliance:read").await;
    let headers = [("x-api-key", reader.as_str())];
    let body = json!({"address": PERSON}).to_string();
    assert_eq!(world.post_with(LIST, body, &headers).await.code(), "INSUFFICIENT_PERMISSIONS");
}

/// A thousand rows, of which every hundredth is bad and one comes twice.
fn file() -> String {
    let mut file = String::from("phone,reason\n");
    for n in 0..999 {
        match n % 100 {
            50 => file.push_str("555,short\n"),
            _ => file.push_str(&format!("(415) 555-{n:04},\n")),
        }
    }
    file + "+14155550001,twice\n"
}

#[tokio::test]
async fn a_file_of_a_thousand_rows_is_imported_but_for_its_bad_ones() {
    let world = World::new().await;
    let query = "?default_country=US&default_reason=moved";
    let dry = world.imports(&format!("{query}&dry_run=true"), "text/csv", file()).await;
    let dry = world.done(&dry).await;
    assert_eq!((&dry["rejected"], &dry["dry_run"]), (&json!(10), &json!(true)));
    assert_eq!(world.get(LIST).await.data().as_array().unwrap().len(), 0);

    let answer = world.imports(query, "text/csv; charset=utf-8", file()).await;
    let done = world.done(&answer).await;
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!((&done["total_rows"], &done["processed_rows"]), (&json!(1_000), &json!(1_000)));
    assert_eq!((&done["added"], &done["already_listed"]), (&json!(989), &json!(1)));
    let errors = done["errors"].as_array().unwrap();
    assert_eq!((errors.len(), &errors[0]["row"]), (10, &json!(52)));
    assert_eq!(errors[0]["code"], "INVALID_PHONE_NUMBER");
    assert!(done["completed_at"].is_string());
    let entry = world.get(&format!("{LIST}?address=%2B14155550002")).await;
    assert_eq!(entry.data()[0]["reason"], "moved");
    assert_eq!(entry.data()[0]["origin"], "import");
    let body = json!({"to": "+14155550002", "body": "x"});
    assert_eq!(world.post(SMS, &body).await.code(), "RECIPIENT_OPTED_OUT");
    let stranger = world.stranger(false).await;
    let path = format!("{LIST}/imports/{}", done["id"].as_str().unwrap());
    assert_eq!(world.get_as(&stranger, &path).await.status, 404);
}

#[tokio::test]
async fn a_form_brings_a_file_with_its_parameters() {
    let world = World::new().await;
    let form = "--x\r\ncontent-disposition: form-data; name=\"default_country\"\r\n\r\nGB\r\n\
        --x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\
        content-type: text/csv\r\n\r\n07911 123456\r\n\r\n--x--\r\n";
    let answer = world.imports("", "multipart/form-data; boundary=x", form).await;
    let done = world.done(&answer).await;
    assert_eq!((&done["added"], &done["rejected"]), (&json!(1), &json!(0)), "{done}");
    assert_eq!(world.get(LIST).await.data()[0]["address"], "+447911123456");
}

#[tokio::test]
async fn without_a_country_national_numbers_are_refused_row_by_row() {
    let world = World::new().await;
    let answer = world.imports("", "text/csv", "4155550123\n+14155550123\na@b.co\n").await;
    let done = world.done(&answer).await;
    assert_eq!((&done["added"], &done["rejected"]), (&json!(2), &json!(1)), "{done}");
    assert_eq!(done["errors"][0]["row"], 1);
}

#[tokio::test]
async fn what_is_no_file_or_no_parameter_is_refused() {
    let world = World::new().await;
    let of = async |query: &str, kind: &str, file: &str| {
        let answer = world.imports(query, kind, file.to_owned()).await;
        (answer.status, answer.code().to_owned())
    };
    let refused = |status, code: &str| (status, code.to_owned());
    assert_eq!(of("", "application/json", "{}").await, refused(415, "UNSUPPORTED_MEDIA"));
    assert_eq!(of("", "text/csv", "").await, refused(422, "VALIDATION_ERROR"));
    let country = of("?default_country=Narnia", "text/csv", "+14155550123").await;
    assert_eq!(country, refused(422, "VALIDATION_ERROR"));
    let dry = of("?dry_run=perhaps", "text/csv", "+14155550123").await;
    assert_eq!(dry, refused(422, "VALIDATION_ERROR"));
    let form = of("", "multipart/form-data; boundary=x", "--x--\r\n").await;
    assert_eq!(form, refused(422, "MISSING_REQUIRED_FIELD"));
    let many = "+14155550123\n".repeat(100_001);
    assert_eq!(of("", "text/csv", &many).await, refused(422, "VALIDATION_ERROR"));
}

#[tokio::test]
async fn consent_is_recorded_shown_and_in_force() {
    let world = World::new().await;
    let said = |opt_in: bool| {
        json!({"identifier": PERSON, "channels": ["sms", "whatsapp"], "opt_in": opt_in,
            "lawful_basis": "consent", "purpose": "Offers", "metadata": {"form": 7}})
    };
    let kept = world.post(CONSENT, &said(false)).await;
    assert_eq!(kept.status, 201, "{}", kept.body);
    let data = kept.data();
    assert_eq!((&data["contact_id"], &data["state"]), (&Value::Null, &json!("opted_out")));
    let ids = data["consent_record_ids"].as_array().unwrap();
    assert!(ids.len() == 2 && ids[0].as_str().unwrap().starts_with("cr_"));
    assert_eq!(world.post(SMS, &sms()).await.code(), "RECIPIENT_OPTED_OUT");

    let path = format!("{CONSENT}?identifier=%2B14155550123");
    let standing = |answer: &Answer, channel: &str| {
        let all = answer.data()["channels"].as_array().unwrap();
        all.iter().find(|one| one["channel"] == channel).unwrap().clone()
    };
    let shown = world.get(&path).await;
    assert_eq!(standing(&shown, "sms")["state"], "opted_out");
    assert_eq!(standing(&shown, "sms")["suppressed"], true);
    assert_eq!(standing(&shown, "voice")["state"], "unknown");
    assert_eq!(world.post(CONSENT, &said(true)).await.status, 201);
    assert_eq!(world.post(SMS, &sms()).await.status, 202);
    assert_eq!(standing(&world.get(&path).await, "sms")["suppressed"], false);

    let history = format!("{CONSENT}/history?identifier=%2B14155550123&channel=sms");
    let history = world.get(&history).await;
    let said: Vec<_> = history.data().as_array().unwrap().iter().map(|r| &r["opt_in"]).collect();
    assert_eq!(said, [true, false]);
    assert_eq!(history.data()[0]["metadata"], json!({"form": 7}));
    let stranger = world.stranger(false).await;
    let theirs = world.get_as(&stranger, &path).await;
    assert_eq!(standing(&theirs, "sms")["state"], "unknown");
    assert_eq!(world.get(CONSENT).await.status, 400);
}

#[tokio::test]
async fn a_channel_without_consent_is_refused_by_its_own_code() {
    let world = World::new().await;
    let body = json!({"identifier": PERSON, "channels": ["sms", "telegram"], "opt_in": true});
    let answer = world.post(CONSENT, &body).await;
    assert_eq!((answer.status, answer.code()), (422, "INVALID_CHANNEL"));
    let body = json!({"identifier": PERSON, "channels": ["sms"], "opt_in": "yes"});
    let answer = world.post(CONSENT, &body).await;
    assert_eq!(answer.body["error"]["details"]["expected"], "true or false");
    let body = json!({"contact_id": "cnt_1", "channels": ["sms"], "opt_in": true});
    assert_eq!(world.post(CONSENT, &body).await.status, 422);
}

#[tokio::test]
async fn many_statements_are_kept_but_for_the_bad_ones() {
    let world = World::new().await;
    let path = format!("{CONSENT}/bulk");
    let one = |to: &str| json!({"identifier": to, "channels": ["sms"], "opt_in": false});
    let mut items: Vec<Value> = (0..150).map(|n| one(&format!("+1415555{n:04}"))).collect();
    items[7] = one("nobody");
    items[9] = json!(5);
    let answer = world.post(&path, &json!({"items": items})).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let data = answer.data();
    assert_eq!((&data["accepted"], &data["rejected"]), (&json!(148), &json!(2)));
    assert_eq!(data["results"][7]["error"]["field"], "identifier");
    let to = json!({"to": "+14155550149", "body": "x"});
    assert_eq!(world.post(SMS, &to).await.code(), "RECIPIENT_OPTED_OUT");
    let none = world.post(&path, &json!({"items": [one("nobody")]})).await;
    assert_eq!(
        (none.status, &none.body["error"]["details"]["errors"][0]["index"]),
        (422, &json!(0))
    );
    let many: Vec<Value> = (0..1_001).map(|_| one(PERSON)).collect();
    assert_eq!(world.post(&path, &json!({"items": many})).await.status, 422);
}

#[tokio::test]
async fn words_are_set_shown_and_heeded() {
    let world = World::new().await;
    let before = world.get(KEYWORDS).await;
    assert_eq!(before.data()["default_language"], "en");
    assert!(
        before.data()["built_in"]["stop"]["words"].as_array().unwrap().contains(&json!("stop"))
    );
    world.hears("Stopp").await;
    assert_eq!(world.post(SMS, &sms()).await.status, 202, "not a word yet");

    let words = json!({"default_language": "de", "languages": {"de": {
        "stop": {"words": ["STOPP"], "reply": "Abgemeldet."}}}});
    let set = world.ask("PUT", KEYWORDS, &words).await;
    assert_eq!(set.status, 200, "{}", set.body);
    assert_eq!(world.get(KEYWORDS).await.data(), set.data());
    assert_eq!(set.data()["languages"]["de"]["stop"]["words"], json!(["stopp"]));
    world.hears("Stopp!").await;
    assert_eq!(world.post(SMS, &sms()).await.code(), "RECIPIENT_OPTED_OUT");
    let due = world.store.due_replies(9).await.unwrap();
    assert_eq!(due[0].body, "Abgemeldet.");
    let entry = world.get(LIST).await;
    assert_eq!(entry.data()[0]["origin"], "keyword");

    let twice = json!({"languages": {"de": {"help": {"words": ["stop"]}}}});
    let refused = world.ask("PUT", KEYWORDS, &twice).await;
    assert_eq!((refused.status, refused.code()), (422, "VALIDATION_ERROR"));
    let stranger = world.stranger(false).await;
    let theirs = world.get_as(&stranger, KEYWORDS).await;
    assert_eq!(theirs.data()["languages"], json!({}));
}
