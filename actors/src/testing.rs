//! What tests of several actors begin with: a folder of their own, a writer on a store, and somebody
//! who may send.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::api_key::{self, Mode};
use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::message::{Category, Encoding};
use model::money::Micros;
use model::route::RouteNote;
use model::submission::{Credential, NewMessage, SendOptions, Submission};
use ractor::{Actor, ActorRef};
use store::Store;
use store::lane::{
    Accepted, Admin, AdminDone, Claim, HandoffResult, NewKey, OutboxRef, Outcome, PartId, Work,
};

use crate::directory::Directory;
use crate::writer::{Shared, Writer, WriterArgs, WriterHandle, WriterMsg};

/// A folder that goes with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The address of a database in it.
    pub(crate) fn database(&self) -> String {
        format!("sqlite://{}", self.path().join("orbit.db").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn start_writer(store: &Store, shared: &Arc<Shared>) -> ActorRef<WriterMsg> {
    let args = WriterArgs {
        store: store.clone(),
        alternatives: |_| Vec::new(),
        exclusive: false,
        shared: shared.clone(),
        carriers: Directory::default(),
        batch_max: 100,
        batch_wait: Duration::ZERO,
    };
    Writer::spawn(None, Writer, args).await.unwrap().0
}

/// An organization with so much credit, and the number of a key of its own.
pub(crate) async fn tenant(writer: &WriterHandle, credit: Micros) -> (OrgId, i64) {
    let create = Admin::CreateOrganization {
        id: PublicId::new(At::now()),
        name: String::from("Test"),
        credit,
        sandbox: false,
        key: new_key(),
    };
    let AdminDone::Organization(organization) = writer.administer(create).await.unwrap() else {
        panic!("no organization")
    };
    let create = Admin::CreateKey { organization, key: new_key() };
    let AdminDone::Key(key) = writer.administer(create).await.unwrap() else { panic!("no key") };
    (organization, key)
}

/// A carrier account and the epoch of its owner.
pub(crate) async fn carrier(writer: &WriterHandle, name: &str) -> (CarrierId, i64) {
    let own = Admin::OwnCarrier { name: name.to_owned() };
    match writer.administer(own).await.unwrap() {
        AdminDone::Carrier { id, epoch, .. } => (id, epoch),
        other => panic!("{other:?}"),
    }
}

/// A short text that passed the checks.
pub(crate) fn message(carrier: CarrierId) -> NewMessage {
    NewMessage {
        id: PublicId::new(At::now()),
        to: String::from("+14155550123"),
        from: String::from("Orbit"),
        from_ton: 5,
        body: String::from("hello"),
        encoding: Encoding::Gsm7,
        segments: 1,
        category: Category::Transactional,
        unit_price: Micros(1_000),
        mccmnc: None,
        carrier,
        route: RouteNote::plain("test"),
        metadata: None,
        test: false,
        options: SendOptions::default(),
    }
}

/// Accepts one message; it waits.
pub(crate) async fn queued(
    writer: &WriterHandle,
    (organization, key): (OrgId, i64),
    carrier: CarrierId,
) -> MessageKey {
    let submission = Submission {
        organization,
        credential: Credential::ApiKey(key),
        idempotency: None,
        batch: None,
        messages: vec![message(carrier)],
    };
    match writer.submit(submission).await.unwrap() {
        Accepted::Fresh { first, .. } => first,
        other => panic!("{other:?}"),
    }
}

/// Accepts one message, and settles it as sent by the account with this epoch.
pub(crate) async fn sent(
    writer: &WriterHandle,
    tenant: (OrgId, i64),
    (carrier, epoch): (CarrierId, i64),
    external_id: &str,
) -> MessageKey {
    let key = queued(writer, tenant, carrier).await;
    let row = OutboxRef { carrier, class: 1, organization: tenant.0, key };
    let claims = vec![Claim { row, epoch }];
    writer.perform(Work { claims, ..Work::default() }).await.unwrap();
    let result = HandoffResult {
        row,
        epoch,
        category: Category::Transactional,
        segments: 1,
        unit_price: Micros(1_000),
        outcome: Outcome::Sent {
            parts: vec![PartId { part: 1, id: external_id.to_owned() }],
            external_id: external_id.to_owned(),
        },
    };
    writer.perform(Work { results: vec![result], ..Work::default() }).await.unwrap();
    key
}

fn new_key() -> NewKey {
    let text = api_key::mint(Mode::Live, rand::random());
    NewKey {
        id: PublicId::new(At::now()),
        hash: api_key::hash(&text),
        mode: Mode::Live,
        scopes: String::from("*"),
        name: String::from("test"),
        last4: api_key::last4(&text).to_owned(),
    }
}
