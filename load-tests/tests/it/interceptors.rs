//! The operator's rules, whatever way a message comes in, and what the command line says of them.

use serde_json::json;

use crate::judges::{PERSON, Switch};
use crate::world::{World, wait_until};

const RULES: &str = "[\
    {name = \"no gambling\", text_contains = [\"casino\"], block = \"not carried\"}, \
    {name = \"as Acme\", accounts = [\"acme\"], sender = \"Acme\", tags = [\"acme\"]}, \
    {name = \"second way\", text_regex = \"^urgent\", route = \"second\"}, \
    {name = \"no way\", text_regex = \"^lost\", route = \"nowhere\"}, \
    {name = \"acme later\", accounts = [\"acme\"], text_contains = [\"later\"], route = \"second\"}]";
const WHO: &str = "username=acme&password=acmeacme";

#[tokio::test(flavor = "multi_thread")]
async fn rules_hold_by_rest_by_smpp_and_by_every_door() {
    let mut switch = Switch::new("interceptors").await;
    let second = Switch::new("interceptors-second").await;
    switch.world.carrier("second", second.carrier.address, "prefixes = [\"999\"]");
    switch.world.set("interceptors", RULES);
    switch.world.set("compatibility.kannel", "true");
    switch.world.set("compatibility.jasmin", "true");
    switch.world.serve().await;
    switch.world.bound("main", 1).await;
    switch.world.bound("second", 1).await;
    let mut http = switch.world.http(&switch.org.key);
    let account = json!({"system_id": "acme", "password": "acmeacme"});
    let made = http.post("/api/v1/smpp/accounts", &account).await;
    assert_eq!(made.status, 201, "{}", made.text);

    let message = |body: &str| json!({"to": format!("+{PERSON}"), "from": "Orbit", "body": body});
    let refused = http.post("/api/v1/messages/sms", &message("Casino!")).await;
    assert_eq!((refused.status, refused.code()), (422, "BLOCKED_BY_RULE"), "{}", refused.text);
    let lost = http.post("/api/v1/messages/sms", &message("lost")).await;
    assert_eq!((lost.status, lost.code()), (422, "NO_ROUTE"), "{}", lost.text);
    let id = http.send(&message("urgent: come")).await;
    http.becomes(&id, "delivered").await;
    assert_eq!(second.carrier.submits().len(), 1, "by the carrier that the rule names");
    assert!(switch.carrier.submits().is_empty());

    let send = format!("/cgi-bin/sendsms?{WHO}&to={PERSON}&from=Orbit&text=");
    let blocked = http.get(&format!("{send}casino")).await;
    assert_eq!((blocked.status, blocked.header("x-orbit-status")), (403, Some("0x408")));
    let sent = http.get(&format!("{send}hello")).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let arrived = wait_until(async || !switch.carrier.submits().is_empty());
    assert!(arrived.await);
    assert_eq!(switch.carrier.submits()[0].source, "Acme");
    let send = format!("/send?{WHO}&to={PERSON}&from=Orbit&content=");
    let blocked = http.get(&format!("{send}casino")).await;
    assert_eq!(blocked.status, 400, "{}", blocked.text);
    assert_eq!(blocked.text, "Error \"Message refused: a rule forbids it\"");
    // Its account's rules are asked when its time comes, too.
    let later = http.get(&format!("{send}later&sdt=000000000002000R")).await;
    assert_eq!(later.status, 200, "{}", later.text);
    let arrived = wait_until(async || second.carrier.submits().len() == 2).await;
    assert!(arrived, "{:?}", switch.carrier.submits());
    assert_eq!(second.carrier.submits()[1].text(), "later");
    let listed = http.get("/api/v1/messages?from=Acme").await;
    assert_eq!(listed.data()[0]["metadata"], json!({"tags": ["acme"]}), "{}", listed.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_rules_and_tries_them() {
    let mut world = World::new("interceptors-desk");
    let org = world.org("Ruled", "10").await;
    world.set("interceptors", RULES);
    let try_it =
        ["interceptor", "test", "--json", "--organization", &org.id, "--to", "+14155550123"];
    let more = ["--from", "Orbit", "--body", "to the casino", "--account", "acme"];
    let wanted = json!({"matched": ["no gambling"], "from": "Orbit", "route": null, "tags": [],
        "blocked": {"rule": "no gambling", "reason": "not carried"}});
    let said = world.orbit(&[&try_it[..], &more].concat()).await.json();
    assert_eq!(said, wanted, "with nobody serving");
    world.serve().await;
    let mut http = world.http(&org.key);
    let rule = json!({"name": "ours", "tags": ["ours"]});
    let made = http.post("/api/v1/messaging/interceptors", &rule).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let said = world.orbit(&[&try_it[..], &["--account", "acme"]].concat()).await.json();
    let wanted = json!({"matched": ["as Acme", "ours"], "blocked": null, "from": "Acme",
        "route": null, "tags": ["acme", "ours"]});
    assert_eq!(said, wanted, "by the switch that serves");
    let list = ["interceptor", "list", "--json", "--organization", &org.id];
    let said = world.orbit(&list).await.json();
    let names: Vec<_> = said.as_array().expect("a list").iter().map(|rule| &rule["name"]).collect();
    assert_eq!(
        names,
        ["no gambling", "as Acme", "second way", "no way", "acme later", "ours"],
        "{said}"
    );

    // What was made by API outlives the process; a rule that is none stops its start.
    assert_eq!(world.terminate().await, Some(0));
    let said = world.orbit(&[&try_it[..], &["--account", "acme"]].concat()).await.json();
    assert_eq!(said, wanted);
    world.set("interceptors", "[{name = \"bad\", text_regex = \"(\", block = \"x\"}]");
    let check = world.orbit(&["config", "check"]).await;
    assert_eq!(check.code, Some(64), "{check:?}");
    assert!(check.err.contains("interceptors[0].text_regex"), "{}", check.err);
}
