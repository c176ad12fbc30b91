//! Accounts in memory: whose they are, what they share, and who is told of what.

use super::*;

fn accounts() -> Accounts {
    let day = Duration::from_secs(86_400);
    Accounts::new([7; 32], Rule { tries: 5, within: day, shut: day })
}

fn row(id: i64, system_id: &str) -> SmppAccountRow {
    let list = || String::from("[]");
    SmppAccountRow {
        id,
        public_id: vec![id as u8; 16],
        organization_id: 1,
        system_id: system_id.to_owned(),
        password_mac: vec![0; 32],
        name: String::new(),
        allowed_ips: list(),
        bind_types: 7,
        max_binds: 5,
        tps: 0,
        window_size: 10,
        test_mode: 0,
        category: 1,
        default_sender: None,
        default_sender_pool: None,
        allowed_senders: list(),
        receipt_format: 3,
        id_format: 1,
        inbound_numbers: list(),
        once_by_reference: 0,
        congestion_state: 0,
        intermediate_receipts: 0,
        outbind: None,
        outbind_password: None,
        cursor: 0,
        created_at: id,
        updated_at: id,
        disabled_at: None,
        suspended_at: None,
        is_sandbox: 0,
        organization_tps: 0,
    }
}

#[test]
fn a_deletion_that_comes_late_spares_another_account_of_the_same_name() {
    let accounts = accounts();
    accounts.put(&row(1, "acme"));
    let old = accounts.find("acme").unwrap();
    assert!(accounts.renewed(&old).is_some());
    // Deleted and made anew; the deletion is told last.
    accounts.put(&row(2, "acme"));
    accounts.remove(1);
    assert_eq!(accounts.find("acme").unwrap().id, 2);
    assert!(accounts.renewed(&old).is_none(), "it has the name, and is not the same");
    accounts.put(&row(1, "acme"));
    assert_eq!(accounts.find("acme").unwrap().id, 2, "what was deleted stays so");
}

#[test]
fn a_row_read_before_the_organizations_pace_was_set_does_not_set_it_back() {
    let (accounts, now) = (accounts(), tokio::time::Instant::now().into_std());
    accounts.put(&SmppAccountRow { organization_tps: 9, ..row(1, "one") });
    assert_eq!(accounts.find("one").unwrap().pace(now, 20), 9, "the first one says it");
    accounts.set_common_pace(OrgId(1), 3);
    accounts.put(&SmppAccountRow { organization_tps: 9, updated_at: 5, ..row(1, "one") });
    accounts.put(&SmppAccountRow { organization_tps: 9, ..row(2, "two") });
    let later = now + MINUTE;
    assert_eq!(accounts.find("two").unwrap().pace(later, 20), 3);
    assert_eq!(accounts.find("one").unwrap().pace(later, 20), 0);
}

#[tokio::test]
async fn an_account_searches_once_at_a_time_and_so_does_the_switch() {
    let accounts = accounts();
    accounts.put(&row(1, "one"));
    accounts.put(&row(2, "two"));
    let (one, two) = (accounts.find("one").unwrap(), accounts.find("two").unwrap());
    let own = one.searching();
    assert!(own.is_some() && one.searching().is_none() && two.searching().is_some());
    drop(own);
    assert!(one.searching().is_some());
    let turn = one.turn_to_search().await;
    let short = Duration::from_millis(20);
    assert!(tokio::time::timeout(short, two.turn_to_search()).await.is_err());
    drop(turn);
    assert!(two.turn_to_search().await.is_some());
}
