//! A connection that bytes go through without frames, plain or by TLS: that of replication.
//!
//! Whoever has one reads and writes what goes at once, and sleeps until more can.

use std::io::{self, IoSlice, Read, Write};

use rustls::Connection;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{Accepted, ClientTls, ServerTls};

/// Bytes that wait in TLS for the socket at most.
const OUT_MAX: usize = 1 << 20;

/// The socket of a connection, and its TLS.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    tls: Option<Box<Connection>>,
}

/// What the socket takes and gives at once.
struct AtOnce<'a>(&'a TcpStream);

impl Read for AtOnce<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire {
    /// Bytes go as they are.
    pub fn plain(stream: TcpStream) -> Self {
        Self { stream, tls: None }
    }

    /// By TLS, to a server.
    ///
    /// # Errors
    /// The handshake failed.
    pub async fn connect(tls: &ClientTls, stream: TcpStream) -> io::Result<Self> {
        let (stream, connection) = tls.connect(stream).await?.into_inner();
        Ok(Self::over(stream, connection.into()))
    }

    /// By TLS if the peer's first byte begins a handshake, which is waited for.
    ///
    /// # Errors
    /// The peer is gone, or the handshake failed or took too long.
    pub async fn accept(tls: &ServerTls, stream: TcpStream) -> io::Result<Self> {
        if !tls.begins_handshake(&stream).await? {
            return Ok(Self::plain(stream));
        }
        match tls.shake(stream).await? {
            Accepted::Plain(stream) => Ok(Self::plain(stream)),
            Accepted::Tls(stream) => {
                let (stream, connection) = stream.into_inner();
                Ok(Self::over(stream, connection.into()))
            }
        }
    }

    fn over(stream: TcpStream, mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(OUT_MAX));
        Self {
            stream,
            tls: Some(Box::new(connection)),
        }
    }

    /// Is it TLS?
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The socket, for its addresses and options.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// The same in the runtime of whoever calls.
    ///
    /// # Errors
    /// The socket can not be taken over.
    pub fn move_here(self) -> io::Result<Self> {
        Ok(Self {
            stream: TcpStream::from_std(self.stream.into_std()?)?,
            tls: self.tls,
        })
    }

    /// Reads what has come; 0: the peer has closed the connection.
    ///
    /// # Errors
    /// `WouldBlock`: nothing has come. Any other ends the connection.
    pub fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.try_read(bytes);
        };
        loop {
            match tls.reader().read(bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // Without the farewell of TLS it may have been cut short, and is closed all the same.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            tls.read_tls(&mut AtOnce(&self.stream))?;
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Writes what goes at once of these; how many bytes that is. Some may still wait in TLS.
    ///
    /// # Errors
    /// `WouldBlock`: nothing goes. Any other ends the connection.
    pub fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.try_write_vectored(slices);
        };
        drain(tls, &self.stream)?;
        let taken = tls.writer().write_vectored(slices)?;
        match drain(tls, &self.stream) {
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(taken),
        }
    }

    /// Does something wait in TLS for the socket?
    pub fn is_behind(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Waits until something has come, or, where more is to be written, until the socket takes it; hands it what waits in TLS.
    ///
    /// # Errors
    /// The connection is at its end.
    pub async fn ready(&mut self, writes: bool) -> io::Result<()> {
        let interest = match writes || self.is_behind() {
            true => Interest::READABLE | Interest::WRITABLE,
            false => Interest::READABLE,
        };
        self.stream.ready(interest).await?;
        match &mut self.tls {
            Some(tls) => match drain(tls, &self.stream) {
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }
}

/// Hands the socket what waits in TLS.
fn drain(tls: &mut Connection, stream: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut AtOnce(stream))?;
    }
    Ok(())
}
