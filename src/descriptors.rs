//! Room for file descriptors, made before there are threads.
//!
//! A process's table of descriptors doubles when it is full. In a process with threads the kernel
//! waits for all processors then, 7 to 19 ms as measured, and so does the thread that accepts or
//! opens: here one of those that carry everybody's work. So the table is made as large as it may
//! become, while there is nobody to wait: 8 octets for each descriptor.

use std::fs::File;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit};

/// More than this is left to grow, should anybody need it.
const MOST: u64 = 65_536;

/// Makes room for as many as the process may have. What cannot be made is made when it is needed.
pub(crate) fn make_room() {
    if let Ok(null) = File::open("/dev/null")
        && let Ok(last) = i32::try_from(wanted() - 1)
    {
        // The table grows to hold this one, and stays as it is when it is closed again.
        drop(fcntl_dupfd_cloexec(null, last));
    }
}

/// The soft limit of the process, as far as room is made for it.
fn wanted() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(MOST).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel has made room for (proc(5)).
    fn size() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let mut sizes = status.lines().filter_map(|line| line.strip_prefix("FDSize:"));
        sizes.next().unwrap().trim().parse().unwrap()
    }

    #[test]
    fn room_is_made_once_for_all_that_may_be_opened() {
        make_room();
        let made = size();
        assert!(made >= wanted(), "{made} of {}", wanted());
        let many: Vec<File> = (0..50).map_while(|_| File::open("/dev/null").ok()).collect();
        assert_eq!((many.len(), size()), (50, made));
    }
}
