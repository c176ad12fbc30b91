//! The most important promises on PostgreSQL, when `TEST_POSTGRES_URL` names one.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use load_tests::peer::smsc::SmscOptions;

use crate::carriers::smsc;
use crate::world::World;
use crate::{books, calls, crash};

/// A database of its own, dropped with this.
struct Database {
    server: String,
    name: String,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Database {
    /// Nothing where no server is named.
    fn create() -> Option<Self> {
        let server = std::env::var("TEST_POSTGRES_URL").ok()?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("orbit_e2e_{}_{number}", std::process::id());
        let database = Self { server, name };
        database.run(&format!("create database {}", database.name));
        Some(database)
    }

    fn url(&self) -> String {
        let (base, _) = self.server.rsplit_once('/').expect("a database in the address");
        format!("{base}/{}", self.name)
    }

    fn run(&self, statement: &str) {
        let said = Command::new("psql").args([&self.server, "-qc", statement]).output();
        let said = said.expect("psql comes with the server");
        assert!(said.status.success(), "{said:?}");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("drop database {} with (force)", self.name);
        let _ = Command::new("psql").args([&self.server, "-qc", &statement]).output();
    }
}

#[tokio::test]
async fn five_hundred_messages_are_delivered_paid_and_seen_once_on_postgresql() {
    let Some(database) = Database::create() else { return };
    let carrier = smsc(SmscOptions::default());
    let mut world = World::new("books-pg");
    world.set("database.url", &format!("{:?}", database.url()));
    world.carrier("main", carrier.address, "connections = 2\nwindow_size = 10");
    books::balance(world, carrier).await;
}

#[test]
fn kills_under_load_lose_nothing_on_postgresql() {
    let Some(database) = Database::create() else { return };
    crash::survives(&database.url());
}

#[test]
fn calls_that_are_up_at_a_kill_are_billed_on_postgresql() {
    let Some(database) = Database::create() else { return };
    calls::besieged::survive(&database.url());
}
