//! The log as streams read it: by organization, from a line on, and back from a line.

use store::lane::Work;

use crate::world::{World, each};

async fn lines(world: &World) -> Vec<(i64, i64)> {
    let rows = world.store.log_of(world.organization, 0, 100).await.unwrap();
    rows.into_iter().map(|row| (row.seq, row.at)).collect()
}

#[tokio::test]
async fn what_lies_behind_and_before_a_line_is_counted_by_organization() {
    each(async |mut world| {
        let (stranger, key) = world.organization_with(model::money::Micros(10_000)).await;
        for n in 0..6 {
            world.accepted(world.message(&format!("+1415555010{n}"))).await;
            let theirs = submission_of(&world, stranger, key);
            world.commit(Work { accepts: vec![theirs], ..Work::default() }).await;
        }
        let lines = lines(&world).await;
        assert_eq!(lines.len(), 6);
        let (organization, store) = (world.organization, &world.store);
        let count = async |after, most| store.log_count(organization, after, most).await.unwrap();
        assert_eq!((count(lines[1].0, 100).await, count(lines[1].0, 3).await), (4, 3));
        assert_eq!(count(lines[5].0, 100).await, 0);

        let overlap = async |since, most| {
            store.log_overlap(organization, lines[4].0, since, most).await.unwrap()
        };
        assert_eq!(overlap(lines[2].1, 100).await, lines[2].0 - 1);
        assert_eq!(overlap(0, 2).await, lines[3].0 - 1, "no more than so many");
        assert_eq!(overlap(i64::MAX, 100).await, lines[4].0 - 1, "the line itself at least");
        assert!(store.logged(organization, lines[0].0).await.unwrap().is_some());
        assert!(store.logged(stranger, lines[0].0).await.unwrap().is_none());
    })
    .await;
}

fn submission_of(
    world: &World,
    organization: model::carrier::OrgId,
    key: i64,
) -> model::submission::Submission {
    let submission = world.submission(vec![world.message("+14155550199")]);
    let credential = model::submission::Credential::ApiKey(key);
    model::submission::Submission { organization, credential, ..submission }
}
