//! What is found, what is not any more, and whose bindings are void.

use std::sync::Mutex;

use super::*;

fn row(number: i64, username: &str, extension: Option<&str>) -> SipCredentialRow {
    let realm = "acme.sip.test";
    let hashes = hashes(realm, username, "secret");
    SipCredentialRow {
        id: number,
        public_id: vec![u8::try_from(number).unwrap(); 16],
        organization_id: 1,
        realm: realm.to_owned(),
        username: username.to_owned(),
        ha1_md5: hashes.md5,
        ha1_sha256: hashes.sha256,
        extension: extension.map(String::from),
        allowed_outbound: 1,
        allowed_destinations: String::from("[\"+1\"]"),
        caller_id: None,
        max_contacts: 5,
        status: 1,
        updated_at: 10,
        suspended_at: None,
        is_sandbox: 0,
    }
}

/// Credentials with what their listener was told.
fn listened() -> (Credentials, Arc<Mutex<Vec<i64>>>) {
    let (credentials, told) = (Credentials::default(), Arc::new(Mutex::new(Vec::new())));
    let hears = Arc::clone(&told);
    credentials.listen(move |of| hears.lock().unwrap().push(of.credential));
    (credentials, told)
}

#[test]
fn a_credential_is_found_by_name_extension_and_number() {
    let (credentials, told) = listened();
    credentials.put(&row(1, "100-a", Some("100")));
    credentials.put(&row(2, "b", None));
    let found = credentials.find("ACME.sip.test", "100-a").unwrap();
    assert_eq!((found.of.credential, found.of.organization), (1, OrgId(1)));
    assert_eq!(found.ha1(Algorithm::Md5).to_hex(), row(1, "100-a", None).ha1_md5);
    assert!(found.may_call("+14155550123") && !found.may_call("+442079460000"));
    assert_eq!(credentials.by_extension("acme.sip.test", "100").unwrap().of.credential, 1);
    assert_eq!(credentials.by_number(2).unwrap().username.as_ref(), "b");
    assert!(credentials.find("other.sip.test", "b").is_none());
    assert!(credentials.find("acme.sip.test", "B").is_none());
    assert!(credentials.knows_realm("acme.sip.test") && !credentials.knows_realm("sip.test"));
    assert_eq!((credentials.count(), told.lock().unwrap().len()), (2, 0));
}

#[test]
fn a_change_holds_and_an_older_one_that_comes_late_does_not() {
    let (credentials, told) = listened();
    let first = row(1, "a", Some("100"));
    credentials.put(&first);
    let changed =
        SipCredentialRow { extension: Some(String::from("101")), updated_at: 11, ..first.clone() };
    credentials.put(&changed);
    credentials.put(&first);
    assert!(credentials.by_extension("acme.sip.test", "100").is_none());
    assert!(credentials.by_extension("acme.sip.test", "101").is_some());
    assert!(told.lock().unwrap().is_empty(), "its phones stay");
    let revoked = SipCredentialRow { status: 3, updated_at: 12, ..changed.clone() };
    credentials.put(&revoked);
    credentials.put(&changed);
    assert!(credentials.by_number(1).is_none() && !credentials.knows_realm("acme.sip.test"));
    assert_eq!(*told.lock().unwrap(), [1]);
}

#[test]
fn who_takes_a_name_over_keeps_it_when_the_former_holder_is_told_of() {
    let (credentials, _) = listened();
    let first = row(1, "a", Some("100"));
    credentials.put(&first);
    credentials.put(&row(2, "a", Some("100")));
    credentials.put(&SipCredentialRow { status: 3, updated_at: 12, ..first });
    assert_eq!(credentials.find("acme.sip.test", "a").unwrap().of.credential, 2);
    assert_eq!(credentials.by_extension("acme.sip.test", "100").unwrap().of.credential, 2);
}

#[test]
fn another_password_or_a_suspension_voids_bindings() {
    let (credentials, told) = listened();
    let first = row(1, "a", None);
    credentials.put(&first);
    let other = hashes("acme.sip.test", "a", "other");
    let rotated =
        SipCredentialRow { ha1_md5: other.md5, ha1_sha256: other.sha256, updated_at: 11, ..first };
    credentials.put(&rotated);
    let suspended = SipCredentialRow { status: 2, updated_at: 12, ..rotated.clone() };
    credentials.put(&suspended);
    assert!(!credentials.find("acme.sip.test", "a").unwrap().active);
    let of_suspended = SipCredentialRow { suspended_at: Some(1), updated_at: 13, ..rotated };
    credentials.put(&of_suspended);
    assert_eq!(*told.lock().unwrap(), [1, 1, 1]);
}

#[test]
fn a_row_that_cannot_be_read_changes_nothing() {
    let (credentials, _) = listened();
    credentials.put(&SipCredentialRow { ha1_md5: String::from("x"), ..row(1, "a", None) });
    assert_eq!(credentials.count(), 0);
}
