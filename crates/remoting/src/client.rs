//! Connections to servers: made when needed, one an address, shared.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use parking_lot::Mutex;
use protocol::code::response;
use protocol::{EncodeHeader, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::address::Holding;
use crate::connection::Connection;
use crate::responder::Body;
use crate::settings::{ClientSettings, Limits, Room};
use crate::task::Task;
use crate::{Request, Service};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// No connection could be made.
    #[error("can not connect to {address}: {cause}")]
    Connect {
        /// Where to.
        address: String,
        /// Why not.
        cause: std::io::Error,
    },
    /// The connection was closed before the answer came.
    #[error("the connection to {peer} was closed")]
    Closed {
        /// Where to.
        peer: SocketAddr,
    },
    /// The request is too large to be written.
    #[error("request {code} to {peer} can not be sent: {cause}")]
    TooLarge {
        /// Where to.
        peer: SocketAddr,
        /// The request's code.
        code: i32,
        /// How large it is.
        cause: protocol::encode::TooLarge,
    },
    /// No answer came in time.
    #[error("{peer} did not answer request {code} within {after:?}")]
    Timeout {
        /// Where to.
        peer: SocketAddr,
        /// The request's code.
        code: i32,
        /// The time it had.
        after: Duration,
    },
}

/// Answers the requests of servers that nobody serves.
struct NoService;

impl Service for NoService {
    fn serve(&self, _conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
        for request in requests.drain(..) {
            let remark = format!(" request type {} not supported", request.frame.code);
            request
                .responder
                .error(response::REQUEST_CODE_NOT_SUPPORTED, &remark);
        }
    }

    fn closed(&self, _conn: &Arc<Connection>) {}
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

/// Makes and keeps connections. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    settings: Arc<ClientSettings>,
    limits: Arc<Limits>,
    room: Arc<Room>,
    service: Arc<dyn Service>,
    slots: Arc<Mutex<HashMap<String, Slot>>>,
    seconds: Arc<AtomicU32>,
}

impl Client {
    /// A client that refuses requests of servers.
    pub fn new(settings: ClientSettings) -> Self {
        Self::with_service(settings, Arc::new(NoService))
    }

    /// A client whose servers may ask it something.
    pub fn with_service(settings: ClientSettings, service: Arc<dyn Service>) -> Self {
        Self {
            limits: Arc::new(settings.limits.clone()),
            room: Arc::default(),
            settings: Arc::new(settings),
            service,
            slots: Arc::default(),
            seconds: Arc::default(),
        }
    }

    /// The open connection to `host:port`, made if there is none. Several callers share one attempt.
    pub async fn connection(&self, address: &str) -> Result<Arc<Connection>, InvokeError> {
        let slot = self.slot(address);
        let mut current = slot.lock().await;
        if let Some(conn) = current.as_ref().filter(|c| c.is_open()) {
            return Ok(Arc::clone(conn));
        }
        let failed = |cause| InvokeError::Connect {
            address: address.to_owned(),
            cause,
        };
        let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            let text = "it has no port: HOST:PORT is meant";
            return Err(failed(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                text,
            )));
        }
        let connecting = tokio::time::timeout(self.settings.connect_timeout, TcpStream::connect(address));
        let stream = connecting
            .await
            .map_err(|_| failed(std::io::ErrorKind::TimedOut.into()))?
            .map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (peer, local) = (
            stream.peer_addr().map_err(failed)?,
            stream.local_addr().map_err(failed)?,
        );
        let conn = match &self.settings.tls {
            None => self.adopt(stream, peer, local),
            Some(tls) => {
                let shaken = tokio::time::timeout(self.settings.connect_timeout, tls.connect(stream)).await;
                let timed_out = |_| failed(std::io::ErrorKind::TimedOut.into());
                self.adopt(shaken.map_err(timed_out)?.map_err(failed)?, peer, local)
            }
        };
        *current = Some(Arc::clone(&conn));
        Ok(conn)
    }

    fn slot(&self, address: &str) -> Slot {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(address) {
            return Arc::clone(slot);
        }
        Arc::clone(slots.entry(address.to_owned()).or_default())
    }

    fn adopt<S>(&self, stream: S, peer: SocketAddr, local: SocketAddr) -> Arc<Connection>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let conn = Connection::signing(
            peer,
            local,
            Arc::clone(&self.limits),
            Arc::clone(&self.settings.metrics),
            Holding::of_all(Arc::clone(&self.room)),
            self.settings.sign.clone(),
        );
        let task = Task::new(
            stream,
            Arc::clone(&conn),
            Arc::clone(&self.service),
            Arc::clone(&self.seconds),
        );
        tokio::spawn(task.run());
        conn
    }

    /// Asks the server at `address` and waits for its answer, whatever its code.
    pub async fn invoke(
        &self,
        address: &str,
        code: i32,
        header: &(dyn EncodeHeader + Sync),
        body: Body,
        timeout: Duration,
    ) -> Result<Frame, InvokeError> {
        let conn = self.connection(address).await?;
        conn.invoke(code, header, body, timeout).await
    }

    /// Closes every connection.
    pub fn close(&self) {
        for slot in self.slots.lock().values() {
            if let Ok(current) = slot.try_lock()
                && let Some(conn) = current.as_ref()
            {
                conn.close("the client closes");
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::{Server, ServerSettings, Sign};

    /// Answers with the fields that came, in their order.
    struct Fields;

    impl Service for Fields {
        fn serve(&self, _conn: &Arc<Connection>, requests: &mut VecDeque<Request>) {
            for Request { frame, responder } in requests.drain(..) {
                let fields: Vec<_> = frame
                    .fields()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                responder.reply(0, None, &(), fields.join(" ").into_bytes().into());
            }
        }

        fn closed(&self, _conn: &Arc<Connection>) {}
    }

    #[tokio::test]
    async fn an_address_without_a_port_is_told_what_it_lacks() {
        let client = Client::new(ClientSettings::default());
        for address in ["127.0.0.1", "broker", "[::1]", "127.0.0.1:", "127.0.0.1:many"] {
            let refused = client.connection(address).await.unwrap_err().to_string();
            assert_eq!(
                refused,
                format!("can not connect to {address}: it has no port: HOST:PORT is meant")
            );
        }
    }

    #[tokio::test]
    async fn every_request_is_signed() {
        let server = Server::bind(ServerSettings::at(([127, 0, 0, 1], 0).into()))
            .unwrap()
            .serve(Arc::new(Fields));
        let sign = Sign::by(|fields, body| {
            let content = format!("{fields:?} {body:?}");
            vec![("Signature", content)]
        });
        let settings = ClientSettings {
            sign: Some(sign),
            ..ClientSettings::default()
        };
        let client = Client::new(settings);
        let address = server.local_addr().to_string();
        let chunks = Body::Chunks(vec![
            bytes::Bytes::from_static(b"a"),
            bytes::Bytes::from_static(b"b"),
        ]);
        let answer = client
            .invoke(
                &address,
                310,
                &Pairs(&[("b", "é\"1"), ("a", "2")]),
                chunks,
                Duration::from_secs(5),
            )
            .await
            .unwrap();
        assert_eq!(
            std::str::from_utf8(&answer.body).unwrap(),
            "b=é\"1 a=2 Signature=[(\"b\", \"é\\\"1\"), (\"a\", \"2\")] [[97], [98]]"
        );
        let answer = client
            .invoke(&address, 310, &(), Body::Empty, Duration::from_secs(5))
            .await
            .unwrap();
        assert_eq!(&answer.body[..], b"Signature=[] []");
        server.shutdown(Duration::from_secs(5)).await;
    }

    struct Pairs(&'static [(&'static str, &'static str)]);

    impl EncodeHeader for Pairs {
        fn encode(&self, writer: &mut protocol::encode::FieldWriter<'_>) {
            self.0.encode(writer);
        }
    }
}
