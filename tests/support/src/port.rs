//! TCP ports that no other test uses, even one that runs at the same time in another process.

use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

/// Below the range from which the kernel gives ports to outgoing connections, so that none of those takes a port
/// between its choice here and its use by a server.
const FIRST: u16 = 20_000;
const LAST: u16 = 29_999;

/// The locks of the ports given to this process; held until it ends.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Returns a free port of 127.0.0.1, reserved while this process lives.
///
/// # Panics
///
/// When there is none, or the lock directory can't be written.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// Returns the first of `count` consecutive free ports; see [`free_port`].
///
/// # Panics
///
/// When there is no such row, or the lock directory can't be written.
pub fn free_ports(count: u16) -> u16 {
    let mut held = HELD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let size = LAST - FIRST + 1 - count;
    // Different processes start the search at different ports.
    let start = (std::process::id().wrapping_mul(97) + held.len() as u32) % u32::from(size);
    for step in 0..u32::from(size) {
        let first = FIRST + ((start + step) % u32::from(size)) as u16;
        let locks: Option<Vec<File>> = (first..first + count).map(try_take).collect();
        if let Some(locks) = locks {
            held.extend(locks);
            return first;
        }
    }
    panic!("no {count} free ports in a row between {FIRST} and {LAST}");
}

fn try_take(port: u16) -> Option<File> {
    let directory = std::env::temp_dir().join("peerl-test-ports");
    let open = || {
        std::fs::create_dir_all(&directory)?;
        File::options().create(true).append(true).open(directory.join(port.to_string()))
    };
    let lock = open().unwrap_or_else(|error| panic!("no lock file in {}: {error}", directory.display()));
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return None,
        Err(TryLockError::Error(error)) => panic!("no lock on port {port}: {error}"),
    }
    // A process other than a test may listen there.
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok().map(|_| lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let mut ports: Vec<u16> = (0..20).map(|_| free_port()).collect();
        let row = free_ports(5);
        ports.extend(row..row + 5);
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 25);
    }
}
