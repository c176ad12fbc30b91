//! Templates: names that are one of a kind, and changes that leave the rest alone.

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::money::Micros;
use model::template::TemplateStatus;
use store::TemplateFilter;
use store::lane::{Admin, AdminDone, TemplateChange, TemplateDone, TemplatePatch, TemplateText};

use crate::world::{World, each};

fn text(name: &str) -> TemplateText {
    TemplateText {
        channel: String::from("sms"),
        name: name.to_owned(),
        language: String::from("en"),
        body: String::from("Hi {{name}}"),
        components: Some(String::from("[]")),
        status: TemplateStatus::Approved,
    }
}

async fn change(world: &mut World, organization: OrgId, change: TemplateChange) -> TemplateDone {
    match world.admin(Admin::Template { organization, change }).await {
        AdminDone::Template(done) => done,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_name_is_taken_once_per_organization_and_channel() {
    each(async |mut world| {
        let ours = world.organization;
        let (theirs, _) = world.organization_with(Micros(0)).await;
        let [a, b, c, d] = std::array::from_fn(|_| PublicId::new(At::now()));
        let create = |id, text| TemplateChange::Create { id, text };
        assert_eq!(change(&mut world, ours, create(a, text("x"))).await, TemplateDone::Stored);
        assert_eq!(change(&mut world, ours, create(b, text("x"))).await, TemplateDone::NameTaken);
        assert_eq!(change(&mut world, theirs, create(c, text("x"))).await, TemplateDone::Stored);
        let mail = TemplateText { channel: String::from("email"), ..text("x") };
        assert_eq!(change(&mut world, ours, create(d, mail)).await, TemplateDone::Stored);
        assert_eq!(change(&mut world, ours, create(b, text("y"))).await, TemplateDone::Stored);
        let rename = |id, name: &str| TemplateChange::Update {
            id,
            patch: TemplatePatch { name: Some(name.to_owned()), ..TemplatePatch::default() },
        };
        assert_eq!(change(&mut world, ours, rename(b, "x")).await, TemplateDone::NameTaken);
        assert_eq!(change(&mut world, ours, rename(a, "x")).await, TemplateDone::Stored);
        assert_eq!(change(&mut world, ours, rename(c, "z")).await, TemplateDone::Unknown);
        let delete = TemplateChange::Delete { id: a };
        assert_eq!(change(&mut world, theirs, delete.clone()).await, TemplateDone::Unknown);
        assert_eq!(change(&mut world, ours, delete).await, TemplateDone::Stored);
        assert_eq!(change(&mut world, ours, rename(b, "x")).await, TemplateDone::Stored);
        assert!(world.store.template(ours, c).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_change_leaves_the_rest_and_lists_are_newest_first() {
    each(async |mut world| {
        let ours = world.organization;
        let id = PublicId::new(At::now());
        let create = TemplateChange::Create { id, text: text("first") };
        change(&mut world, ours, create).await;
        let before = world.store.template(ours, id).await.unwrap().unwrap();
        let patch =
            TemplatePatch { status: Some(TemplateStatus::Disabled), ..TemplatePatch::default() };
        change(&mut world, ours, TemplateChange::Update { id, patch }).await;
        let after = world.store.template(ours, id).await.unwrap().unwrap();
        assert_eq!((&after.body, &after.components), (&before.body, &before.components));
        assert_eq!(after.status, TemplateStatus::Disabled.code());
        assert_eq!(after.created_at, before.created_at);
        let second = PublicId::new(At::now());
        let create = TemplateChange::Create { id: second, text: text("second") };
        change(&mut world, ours, create).await;
        let all = TemplateFilter::default();
        let rows = world.store.templates(ours, &all, i64::MAX, 10).await.unwrap();
        let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["second", "first"]);
        let rest = world.store.templates(ours, &all, rows[0].key, 10).await.unwrap();
        assert_eq!(rest.len(), 1);
        let disabled = TemplateFilter { status: Some(5), ..all };
        assert_eq!(world.store.templates(ours, &disabled, i64::MAX, 10).await.unwrap().len(), 1);
    })
    .await;
}
