//! What a commit makes of many organizations is found again by each, in order, and nobody else's.

use model::carrier::OrgId;
use model::event::EventKind;
use model::message::Status;
use model::submission::{Credential, Submission};
use store::lane::{AcceptAnswer, Accepted, Gone, OutboxRef, Retire, Work};
use store::{Filter, LogFilter};

use crate::world::{World, each, sent};

impl World {
    fn of(&self, (organization, key): (OrgId, i64), to: &[String]) -> Submission {
        let messages = to.iter().map(|to| self.message(to)).collect();
        let credential = Credential::ApiKey(key);
        let batch = (to.len() > 1).then(|| crate::world::batch_of(to.len()));
        Submission { organization, credential, batch, ..self.submission(messages) }
    }

    /// The recipients of all messages of an organization, newest first, read page by page.
    async fn listed(&self, organization: OrgId, page: i64) -> Vec<String> {
        let (mut before, mut all) = (i64::MAX, Vec::new());
        loop {
            let filter = Filter::default();
            let rows = self.store.messages(organization, &filter, before, page).await.unwrap();
            let Some(last) = rows.last() else { return all };
            before = last.key;
            all.extend(rows.into_iter().map(|row| row.to_addr));
        }
    }

    /// The recipients of all lines of an organization, oldest first, read page by page.
    async fn lines_told(&self, organization: OrgId, page: i64) -> Vec<(i64, String)> {
        let (mut after, mut all) = (0, Vec::new());
        loop {
            let rows = self.store.log_of(organization, after, page).await.unwrap();
            let Some(last) = rows.last() else { return all };
            after = last.seq;
            all.extend(rows.into_iter().map(|row| (row.seq, row.to_addr.unwrap_or_default())));
        }
    }
}

#[tokio::test]
async fn what_commits_mix_each_organization_reads_as_its_own_in_order() {
    each(async |mut world| {
        let mut owners = vec![(world.organization, world.key)];
        for _ in 0..2 {
            owners.push(world.organization_with(model::money::Micros(1_000_000)).await);
        }
        let mut expected: Vec<Vec<String>> = vec![Vec::new(); owners.len()];
        for commit in 0..4 {
            let mut accepts = Vec::new();
            // Owners take turns; the last has nothing in the second commit.
            for turn in 0..9 {
                let owner = turn % 3;
                if owner == 2 && commit == 1 {
                    continue;
                }
                let count = 1 + turn % 2;
                let to = |n| format!("+1415{commit}{turn}{n:05}");
                let to: Vec<String> = (0..count).map(to).collect();
                expected[owner].extend(to.iter().cloned());
                accepts.push(world.of(owners[owner], &to));
            }
            let done = world.commit(Work { accepts, ..Work::default() }).await;
            assert!(done.accepts.iter().all(|a| matches!(a, Ok(Accepted::Fresh { .. }))));
        }
        for ((organization, _), expected) in owners.iter().zip(&expected) {
            let organization = *organization;
            let newest_first: Vec<String> = expected.iter().rev().cloned().collect();
            for page in [1, 2, 5, 100] {
                assert_eq!(world.listed(organization, page).await, newest_first, "{page}");
                let mut lines = world.lines_told(organization, page).await;
                // Organizations that were made later have a line of their own first.
                lines.retain(|(_, to)| !to.is_empty());
                let told: Vec<&String> = lines.iter().map(|(_, to)| to).collect();
                assert_eq!(told, expected.iter().collect::<Vec<_>>(), "{page}");
            }
            let count = world.store.count_messages(organization, None, 100).await.unwrap();
            assert_eq!(count, i64::try_from(expected.len()).unwrap());
            assert_eq!(world.store.count_messages(organization, None, 3).await.unwrap(), 3);
            world.the_log_counts_and_pages(organization).await;
        }
    })
    .await;
}

impl World {
    async fn the_log_counts_and_pages(&self, organization: OrgId) {
        let (store, lines) = (&self.store, self.lines_told(organization, 100).await);
        assert_eq!(store.newest_of(organization).await.unwrap(), lines[lines.len() - 1].0);
        let all = LogFilter::new(EventKind::ALL);
        for (at, (seq, _)) in lines.iter().enumerate() {
            let above = i64::try_from(lines.len() - at - 1).unwrap();
            assert_eq!(store.log_count(organization, *seq, 100).await.unwrap(), above);
            let below = store.log_page(organization, &all, *seq, 2).await.unwrap();
            let below: Vec<i64> = below.iter().map(|line| line.seq).collect();
            let wanted: Vec<i64> = lines[..at].iter().rev().take(2).map(|line| line.0).collect();
            assert_eq!(below, wanted);
            let overlap = store.log_overlap(organization, *seq, 0, 3).await.unwrap();
            assert_eq!(overlap, lines[at.saturating_sub(2)].0 - 1);
        }
    }
}

#[tokio::test]
async fn lines_of_one_message_are_found_by_it() {
    each(async |mut world| {
        let first = world.sent("+14155550123", "a1").await;
        let second = world.sent("+14155550124", "a2").await;
        let mut filter = LogFilter::new(&[EventKind::Sent]);
        filter.message = Some(second.key);
        let page = world.store.log_page(world.organization, &filter, i64::MAX, 9).await.unwrap();
        assert_eq!(page.len(), 1);
        assert_eq!((page[0].message_key, page[0].sequence), (second.key.0, 2));
        let (stranger, _) = world.organization_with(model::money::Micros(1)).await;
        filter.message = Some(first.key);
        assert!(world.store.log_page(stranger, &filter, i64::MAX, 9).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_run_goes_when_nothing_of_it_is_left_and_not_before() {
    each(async |mut world| {
        let organization = world.organization;
        let numbers = ["+14155550123", "+14155550124"];
        let accepts = numbers.map(|to| world.submission(vec![world.message(to)])).into();
        let done = world.commit(Work { accepts, ..Work::default() }).await;
        let (carrier, class) = (world.carrier, world.message("1").category.class());
        let row = |answer: &AcceptAnswer| {
            let Ok(Accepted::Fresh { first, .. }) = answer else { panic!("{answer:?}") };
            OutboxRef { carrier, class, organization, key: *first }
        };
        let rows: Vec<OutboxRef> = done.accepts.iter().map(row).collect();
        world.claim(&rows).await;
        for (row, id) in rows.iter().zip(["a1", "a2"]) {
            let result = world.result(*row, 1, sent(&[id]));
            let receipts = vec![world.receipt(id, Some(Status::Delivered))];
            world.commit(Work { results: vec![result], receipts, ..Work::default() }).await;
        }
        let spent = async |world: &World| world.store.spent_runs(organization, 100).await.unwrap();
        assert!(spent(&world).await.is_empty());
        let step = |row: &OutboxRef, id: &str| Retire::Messages {
            gone: vec![Gone {
                key: row.key,
                carrier: row.carrier,
                first_part: Some(id.to_owned()),
            }],
            sent_before: model::clock::At(0),
        };
        world.commit(Work { retire: vec![step(&rows[0], "a1")], ..Work::default() }).await;
        // Its result and receipt had a commit of their own; its acceptance is shared.
        assert_eq!(spent(&world).await.len(), 1);
        world.commit(Work { retire: vec![step(&rows[1], "a2")], ..Work::default() }).await;
        let left = spent(&world).await;
        assert_eq!(left.len(), 4, "{left:?}");
        let runs = left.iter().map(|run| (run.kind, run.high)).collect();
        let retire = vec![Retire::Runs { organization, runs }];
        world.commit(Work { retire, ..Work::default() }).await;
        assert!(spent(&world).await.is_empty());
        world.accepted(world.message("+14155550125")).await;
        assert_eq!(world.listed(organization, 9).await, ["+14155550125"]);
    })
    .await;
}
