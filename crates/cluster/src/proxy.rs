//! A wire between two processes that can be cut without either of them being told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

/// Passes bytes on between whoever connects and an address; while it is cut, it passes none, takes none and closes nothing, as a
/// network does that loses every packet.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    is_cut: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// Waits while the wire is cut.
    fn pass(&self) {
        let cut = self.is_cut.lock().unwrap_or_else(PoisonError::into_inner);
        let _whole = self
            .changed
            .wait_while(cut, |cut| *cut)
            .unwrap_or_else(PoisonError::into_inner);
    }

    fn set(&self, cut: bool) {
        *self.is_cut.lock().unwrap_or_else(PoisonError::into_inner) = cut;
        self.changed.notify_all();
    }
}

impl Proxy {
    /// Leads to an address.
    ///
    /// # Panics
    /// There is no free port.
    pub fn to(address: String) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let gate = Arc::new(Gate::default());
        let passes = Arc::clone(&gate);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                passes.pass();
                // Whoever is not there is seen as gone by the other side.
                if let Ok(other) = TcpStream::connect(&address) {
                    join(&stream, &other, &passes);
                }
            }
        });
        Proxy { port, gate }
    }

    /// Where to connect.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on nothing passes.
    pub fn cut(&self) {
        self.gate.set(true);
    }

    /// What waited passes, and what comes.
    pub fn mend(&self) {
        self.gate.set(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.mend();
    }
}

/// A thread for each direction.
fn join(one: &TcpStream, other: &TcpStream, gate: &Arc<Gate>) {
    for (from, to) in [(one, other), (other, one)] {
        let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else {
            return;
        };
        let gate = Arc::clone(gate);
        thread::spawn(move || {
            let mut bytes = [0; 1 << 16];
            loop {
                let len = from.read(&mut bytes).unwrap_or(0);
                gate.pass();
                let passed = to.write_all(&bytes[..len]);
                if len == 0 || passed.is_err() {
                    break;
                }
            }
            let _gone = to.shutdown(std::net::Shutdown::Both);
            let _gone = from.shutdown(std::net::Shutdown::Both);
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::time::Duration;

    #[test]
    fn a_cut_wire_passes_nothing_and_a_mended_one_all() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap().to_string());
        let mut near = TcpStream::connect(proxy.address()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.write_all(b"one").unwrap();
        let mut three = [0; 3];
        far.read_exact(&mut three).unwrap();
        proxy.cut();
        near.write_all(b"two").unwrap();
        far.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert_eq!(far.read(&mut three).unwrap_err().kind(), ErrorKind::WouldBlock);
        proxy.mend();
        far.set_read_timeout(None).unwrap();
        far.read_exact(&mut three).unwrap();
        assert_eq!(&three, b"two");
        drop(near);
        assert_eq!(far.read(&mut three).unwrap(), 0);
    }
}
