//! Many connections at once: what they cost who was there before.

use std::fs;

use tokio::net::TcpStream;

use crate::world::World;

/// Descriptors that the kernel has made room for (proc(5)); to make more stops the thread that needs
/// one, for as long as all processors take.
fn room(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let mut sizes = status.lines().filter_map(|line| line.strip_prefix("FDSize:"));
    sizes.next().and_then(|size| size.trim().parse().ok()).expect("a number")
}

#[tokio::test]
async fn a_crowd_of_connections_waits_for_no_room_for_descriptors() {
    const CROWD: usize = 600;
    let mut world = World::new("crowd");
    world.set("smpp.bind", "\"127.0.0.1:0\"");
    world.set("smpp.unbound_per_address_max", "1000");
    world.set("smpp.bind_timeout_s", "60");
    world.serve().await;
    let before = room(world.pid());
    let mut crowd = Vec::with_capacity(CROWD);
    for _ in 0..CROWD {
        crowd.push(TcpStream::connect(world.door()).await.expect("it listens"));
    }
    let pid = world.pid();
    let open = || fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count();
    assert!(crate::world::wait_until(async || open() > CROWD).await, "{}", open());
    assert_eq!(room(pid), before, "it was there from the start");
}
