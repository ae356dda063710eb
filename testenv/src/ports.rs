//! Ports of a run: free when taken, and kept for the whole run, so that a component restarts where it was.
//!
//! Asking the kernel for port 0 and closing the socket again hands the same port to somebody else while a
//! component is down. Here each port is held by a file lock that a crash gives back, and they come from below
//! the kernel's ephemeral range, so that no outgoing connection takes one.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use crate::error::{Error, Result};

const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// Ports held until this is dropped or the process ends.
pub struct Ports {
    held: Vec<File>,
    next: u16,
    directory: PathBuf,
}

impl Ports {
    /// None yet.
    pub fn new() -> Result<Self> {
        let directory = std::env::temp_dir().join("sluice-testenv-ports");
        fs::create_dir_all(&directory)
            .map_err(Error::io(format!("create {}", directory.display())))?;
        Ok(Self {
            held: Vec::new(),
            next: fastrand::u16(FIRST..=LAST),
            directory,
        })
    }

    /// Takes a free port on 127.0.0.1.
    pub fn take(&mut self) -> Result<u16> {
        for _ in FIRST..=LAST {
            let port = self.next;
            self.next = if port == LAST { FIRST } else { port + 1 };
            if let Some(lock) = self.lock(port) {
                self.held.push(lock);
                return Ok(port);
            }
        }
        Err(Error::NoPort {
            first: FIRST,
            last: LAST,
        })
    }

    /// Takes a free port, as an address to listen at.
    pub fn take_address(&mut self) -> Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, self.take()?).into())
    }

    fn lock(&self, port: u16) -> Option<File> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.directory.join(port.to_string()))
            .ok()?;
        file.try_lock().ok()?;
        is_free(port).then_some(file)
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        // Closing is not enough: a child that another thread is about to start may still have a copy of the file.
        for lock in &self.held {
            let _ = lock.unlock();
        }
    }
}

/// Says whether a listener on this port of 127.0.0.1 could start now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_port_is_taken_once() {
        let mut first = Ports::new().unwrap();
        let mut second = Ports::new().unwrap();
        let port = first.take().unwrap();
        second.next = port;
        assert_ne!(second.take().unwrap(), port);
        drop(first);
        // A child that another test is about to start may have a copy of the socket that has looked, for a moment.
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            second.next = port;
            if second.take().unwrap() == port {
                break;
            }
            assert!(Instant::now() < deadline, "{port} is not given back");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }
}
