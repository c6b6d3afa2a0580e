//! The port of replication, and how it gives way.
//!
//! It is listenPort + 1 unless `haListenPort` is given. Guides put several brokers on one host with ports like 10911 and 10912, where
//! Java's second one does not start. Here a port that nobody gave gives way: if it is taken, replication listens on any other; and if a
//! broker that is started wants it for its clients, it asks. Slaves hear from the name servers where to connect.
//!
//! The question is eight bytes, sent from the host itself: `ff 47 49 56 45 57 41 59` (`GIVEWAY`). To any master it is a report of a
//! position below 0, which says nothing. The same bytes are the answer, when the port is free. Only a process of the same user is heard:
//! another one could take the port and play the master. If whoever asked has not taken the port soon, replication comes back to it,
//! where slaves may look for it that no name server tells another.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use remoting::tls::ServerTls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// What asks for the port, and says that it is free.
const GIVE_WAY: [u8; 8] = *b"\xffGIVEWAY";
/// How long whoever asks waits for the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long a connection from this host may take to ask.
const ASKED_WITHIN: Duration = Duration::from_millis(50);
/// How long whoever was given the port may take to listen there.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);
/// Connections that wait to be taken.
const BACKLOG: u32 = 128;

/// The listener of replication.
pub struct ReplicationPort {
    /// Where slaves connect.
    pub listener: TcpListener,
    /// What slaves that speak TLS are answered with.
    pub(super) tls: Option<Arc<ServerTls>>,
    /// Nobody gave its number.
    gives_way: bool,
    /// What was given up, and when it is looked whether somebody has it.
    given_up: Option<(SocketAddr, Instant)>,
}

impl ReplicationPort {
    /// Listens at an address that was given.
    ///
    /// # Errors
    /// It can not be had.
    pub fn given(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            listener: listen(address)?,
            tls: None,
            gives_way: false,
            given_up: None,
        })
    }

    /// Listens at an address, or at any other port if that is taken.
    ///
    /// # Errors
    /// None can be had.
    pub fn usual(address: SocketAddr) -> io::Result<Self> {
        let listener = match listen(address) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                let listener = listen(SocketAddr::new(address.ip(), 0))?;
                tracing::warn!(
                    "port {} of replication, listenPort + 1, is taken: replication listens on {} now, where the name servers send \
                     the slaves; haListenPort sets a port for good",
                    address.port(),
                    listener.local_addr()?.port()
                );
                listener
            }
            listener => listener?,
        };
        Ok(Self {
            listener,
            tls: None,
            gives_way: true,
            given_up: None,
        })
    }

    /// Takes slaves that speak TLS, too.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Arc<ServerTls>>) -> Self {
        self.tls = tls;
        self
    }

    /// Its number.
    ///
    /// # Errors
    /// The system does not say.
    pub fn number(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Could this connection be a broker of this host that wants the port?
    pub(super) fn may_ask(&self, stream: &TcpStream) -> bool {
        let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else {
            return false;
        };
        self.gives_way && peer.ip() == local.ip()
    }

    /// Gives the port to whoever has asked, and goes on at another one.
    pub(super) async fn give_way(&mut self, mut asks: TcpStream) -> io::Result<()> {
        let was = self.listener.local_addr()?;
        self.listener = listen(SocketAddr::new(was.ip(), 0))?;
        tracing::warn!(
            "port {} of replication, listenPort + 1, is wanted by another broker of this host for its clients: replication listens \
             on {} now, where the name servers send the slaves; haListenPort sets a port for good",
            was.port(),
            self.number()?
        );
        // The first that was given up, should two ask.
        let first = self.given_up.map_or(was, |(first, _)| first);
        self.given_up = Some((first, Instant::now() + TAKEN_WITHIN));
        asks.write_all(&GIVE_WAY).await
    }

    /// Ends when whoever asked for the port must have taken it.
    pub(super) async fn is_due_back(&self) {
        match self.given_up {
            Some((_, due)) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Listens at the port that was given up, if nobody has it. Says whether it does.
    pub(super) fn come_back(&mut self) -> bool {
        let Some((was, _)) = self.given_up.take() else {
            return false;
        };
        let Ok(listener) = listen(was) else {
            return false;
        };
        self.listener = listener;
        tracing::warn!(
            "port {} of replication was given up and nobody has taken it: replication listens there again",
            was.port()
        );
        true
    }
}

/// What a connection that may ask for the port has sent first.
pub(super) struct First {
    bytes: [u8; GIVE_WAY.len()],
    len: usize,
}

impl First {
    /// Reads until that is clear, but not for long: a slave may be silent.
    pub(super) async fn read(stream: &mut TcpStream) -> io::Result<First> {
        let mut first = First {
            bytes: [0; GIVE_WAY.len()],
            len: 0,
        };
        let asked = async {
            let mut next = [0];
            // What is no question is left to whoever reads it: it may begin a handshake.
            if stream.peek(&mut next).await? == 0 || !GIVE_WAY.starts_with(&next) {
                return Ok(());
            }
            // A read that the time ends has taken nothing.
            while let Some(rest) = first.bytes.get_mut(first.len..).filter(|rest| !rest.is_empty()) {
                first.len += match stream.read(rest).await? {
                    0 => break,
                    len => len,
                };
                if !GIVE_WAY.starts_with(first.bytes()) {
                    break;
                }
            }
            Ok(())
        };
        match tokio::time::timeout(ASKED_WITHIN, asked).await {
            Ok(Err(e)) => Err(e),
            Ok(Ok(())) | Err(_) => Ok(first),
        }
    }

    /// Does this connection ask for the port, in the name of this process' user?
    pub(super) fn asks(&self, stream: &TcpStream) -> bool {
        let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else {
            return false;
        };
        self.bytes() == GIVE_WAY && process::is_of_same_user(peer, local)
    }

    /// What a slave has sent already.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Asks whoever listens at this address to give it up if it is a port of replication; true if it is free now. Waits for the answer.
pub fn ask_for(address: SocketAddr) -> bool {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
        _ => Ipv6Addr::LOCALHOST.into(),
    };
    let asked = || -> io::Result<bool> {
        let mut stream =
            std::net::TcpStream::connect_timeout(&SocketAddr::new(ip, address.port()), ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.write_all(&GIVE_WAY)?;
        let mut answer = [0; GIVE_WAY.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer == GIVE_WAY)
    };
    asked().unwrap_or(false)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = remoting::socket_for(address)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    #[tokio::test]
    async fn a_port_that_was_not_given_is_given_to_a_broker_that_asks() {
        let mut port = ReplicationPort::usual(any()).unwrap();
        let was = port.listener.local_addr().unwrap();
        let asking = std::thread::spawn(move || {
            let is_free = ask_for(was);
            (is_free, std::net::TcpListener::bind(was).is_ok())
        });
        let (mut stream, _) = port.listener.accept().await.unwrap();
        assert!(port.may_ask(&stream) && First::read(&mut stream).await.unwrap().asks(&stream));
        port.give_way(stream).await.unwrap();
        assert_eq!(asking.join().unwrap(), (true, true));
        assert_ne!(port.number().unwrap(), was.port());
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_whoever_asked_does_not_take_is_taken_back() {
        for is_taken in [false, true] {
            let mut port = ReplicationPort::usual(any()).unwrap();
            let was = port.listener.local_addr().unwrap();
            let mut asks = TcpStream::connect(was).await.unwrap();
            let (stream, _) = port.listener.accept().await.unwrap();
            port.give_way(stream).await.unwrap();
            let mut answer = [0; GIVE_WAY.len()];
            asks.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, GIVE_WAY);
            let taken = is_taken.then(|| std::net::TcpListener::bind(was).unwrap());
            port.is_due_back().await;
            assert_eq!(port.come_back(), !is_taken);
            assert_eq!(port.number().unwrap() == was.port(), !is_taken);
            drop(taken);
            // It is looked once.
            assert!(!port.come_back());
        }
    }

    /// Bytes that come one by one wake whoever reads them; in between nothing runs.
    #[tokio::test(start_paused = true)]
    async fn a_question_in_parts_is_waited_for_and_not_looked_for_without_rest() {
        let listener = TcpListener::bind(any()).await.unwrap();
        let mut asks = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        asks.write_all(&GIVE_WAY[..3]).await.unwrap();
        stream.readable().await.unwrap();
        let mut reading = std::pin::pin!(First::read(&mut stream));
        let mut polls = 0;
        let first = std::future::poll_fn(|context| {
            polls += 1;
            reading.as_mut().poll(context)
        });
        // The clock goes on only when nobody has anything to do.
        let first = first.await.unwrap();
        assert_eq!(first.bytes(), &GIVE_WAY[..3]);
        assert!(polls <= 3, "{polls}");
    }

    #[tokio::test]
    async fn slaves_do_not_ask_and_a_port_that_was_given_stays() {
        let port = ReplicationPort::given(any()).unwrap();
        let address = port.listener.local_addr().unwrap();
        for first in [&[0u8; 8][..], &[0xff; 8], b"\xffGI", b""] {
            let mut slave = TcpStream::connect(address).await.unwrap();
            let (mut stream, _) = port.listener.accept().await.unwrap();
            slave.write_all(first).await.unwrap();
            let read = First::read(&mut stream).await.unwrap();
            assert!(!port.may_ask(&stream) && !read.asks(&stream), "{first:?}");
            // Nothing of a report is lost.
            let mut rest = vec![0; first.len() - read.bytes().len()];
            stream.read_exact(&mut rest).await.unwrap();
            assert_eq!([read.bytes(), &rest].concat(), first);
        }
        assert!(ReplicationPort::given(address).is_err());
        let other = ReplicationPort::usual(address).unwrap();
        assert_ne!(other.number().unwrap(), address.port());
    }
}
