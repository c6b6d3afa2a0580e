//! Raw frames, written independently of our own codec: `[i32 total][i32 type << 24 | header length][JSON header][body]`.

use serde_json::{Map, Value, json};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A connection on which a test writes what it likes.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
}

/// A frame that came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The JSON header.
    pub header: Map<String, Value>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The response code.
    pub fn code(&self) -> i64 {
        self.header.get("code").and_then(Value::as_i64).unwrap_or(-1)
    }

    /// The remark, empty if there is none.
    pub fn remark(&self) -> &str {
        self.header
            .get("remark")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Bit 0: it is an answer; bit 1: nobody waits for one.
    pub fn flag(&self) -> i64 {
        self.header.get("flag").and_then(Value::as_i64).unwrap_or(0)
    }

    /// Which request it answers.
    pub fn opaque(&self) -> i64 {
        self.header.get("opaque").and_then(Value::as_i64).unwrap_or(-1)
    }

    /// A field of the header.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.header.get("extFields")?.get(name)?.as_str()
    }
}

/// A request frame as a Java client of 4.9.8 writes it.
pub fn frame(code: i32, opaque: i32, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let fields: Map<String, Value> = fields
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    let header = json!({
        "code": code, "extFields": fields, "flag": 0, "language": "JAVA", "opaque": opaque,
        "serializeTypeCurrentRPC": "JSON", "version": 407,
    });
    let header = header.to_string().into_bytes();
    let mut out = Vec::with_capacity(8 + header.len() + body.len());
    out.extend(length(4 + header.len() + body.len()));
    out.extend(length(header.len()));
    out.extend(header);
    out.extend(body);
    out
}

fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("tests send no gigabytes").to_be_bytes()
}

impl Wire {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(address: &str) -> io::Result<Wire> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        Ok(Wire { stream })
    }

    /// The address of this end.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn local_address(&self) -> io::Result<String> {
        Ok(self.stream.local_addr()?.to_string())
    }

    /// Lets writes fail when the other side takes nothing for this long.
    pub fn give_up_writing_after(&mut self, within: Duration) {
        // Fails for zero only.
        let _ = self.stream.set_write_timeout(Some(within));
    }

    /// Lets reads fail when nothing has come for this long; 20 s unless it is said here.
    pub fn wait_for_answers(&mut self, within: Duration) {
        // Fails for zero only.
        let _ = self.stream.set_read_timeout(Some(within));
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one frame with a JSON header.
    ///
    /// # Errors
    /// The connection ends, nothing comes, or what comes is no frame.
    pub fn read(&mut self) -> io::Result<Answer> {
        let bad = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
        let mut word = [0u8; 4];
        self.stream.read_exact(&mut word)?;
        let total = u32::from_be_bytes(word) as usize;
        if !(4..=64 << 20).contains(&total) {
            return Err(bad("a frame length that cannot be"));
        }
        let mut bytes = vec![0; total];
        self.stream.read_exact(&mut bytes)?;
        let header_len = u32::from_be_bytes([0, bytes[1], bytes[2], bytes[3]]) as usize;
        let header = bytes
            .get(4..4 + header_len)
            .ok_or_else(|| bad("a header longer than its frame"))?;
        let header = serde_json::from_slice(header).map_err(|_| bad("a header that is not JSON"))?;
        Ok(Answer {
            header,
            body: bytes[4 + header_len..].to_vec(),
        })
    }

    /// Sends a request and reads its answer; what the server asks or tells meanwhile is skipped.
    ///
    /// # Errors
    /// As [`Wire::write`] and [`Wire::read`].
    pub fn ask(&mut self, code: i32, fields: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        self.write(&frame(code, 7, fields, body))?;
        loop {
            let answer = self.read()?;
            if answer.flag() & 1 == 1 {
                return Ok(answer);
            }
        }
    }

    /// Waits until the other side closes the connection; false if it sends something, or does nothing, instead.
    pub fn is_closed_within(&mut self, within: Duration) -> bool {
        let mut byte = [0];
        if self.stream.set_read_timeout(Some(within)).is_err() {
            return true;
        }
        match self.stream.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

/// Asks a name server for a topic (GET_ROUTEINFO_BY_TOPIC) until its answer names this broker. False: it takes no plain frames.
///
/// # Panics
/// It does not in time.
pub(crate) fn wait_for_route(namesrv: &str, topic: &str, broker: &str, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    loop {
        let mut wire =
            Wire::connect(namesrv).unwrap_or_else(|error| panic!("name server {namesrv}: {error}"));
        let answer = match wire.ask(105, &[("topic", topic)], &[]) {
            Ok(answer) => answer,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                return false;
            }
            Err(error) => panic!("name server {namesrv}: route of {topic}: {error}"),
        };
        if answer.code() == 0 && String::from_utf8_lossy(&answer.body).contains(broker) {
            return true;
        }
        assert!(
            Instant::now() < deadline,
            "{topic} of {broker} is not known to {namesrv}: {answer:?}"
        );
        // Nothing tells when a broker has registered. The name server has nothing to say on its own, so this paces the loop.
        wire.is_closed_within(Duration::from_millis(50));
    }
}
