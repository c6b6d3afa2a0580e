//! One slave, as its master serves it, without the socket: reports go in, headers and slices of the log come out.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use disk::{Disk, MappedSlice};
use ha::{ConnectionId, Master, MasterClose, Next};
use store::PhysicalOffset;
use tokio_util::sync::CancellationToken;

use super::master::{SlaveServer, SlaveTraffic, rate};

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum SessionError {
    #[error("{0}")]
    Protocol(#[from] MasterClose),
    #[error("the log can not be read: {0}")]
    Log(#[from] disk::Error),
    #[error("{0}")]
    History(#[from] crate::tables::SaveError),
}

/// One connection of a slave. The acknowledgements know of it while it lives.
pub struct SlaveSession<D: Disk + Clone> {
    pub(super) id: ConnectionId,
    pub(super) ip: IpAddr,
    pub(super) server: Arc<SlaveServer<D>>,
    pub(super) master: Master,
    pub(super) outbox: Outbox,
    pub(super) traffic: Arc<SlaveTraffic>,
    /// As many slaves as name servers knew at its address when it connected.
    pub(super) registered: usize,
    /// Its address is in the history of roles, since that has changed so often.
    pub(super) noted: Option<u64>,
    /// The slave has connected again, and this is to be closed.
    pub(super) closes: CancellationToken,
}

/// How long there is nothing to send.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// When to look again, ms since 1970.
    pub until_ms: i64,
    /// The log's end, if all up to it is sent: more of it ends the pause.
    pub seen: Option<i64>,
}

/// What waits for the kernel: headers and slices of the log.
#[derive(Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that are gone.
    gone: usize,
}

enum Piece {
    Header([u8; ha::wire::HEADER_LEN]),
    Log(MappedSlice),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Header(bytes) => bytes,
            Piece::Log(slice) => slice,
        }
    }
}

impl<D: Disk + Clone> SlaveSession<D> {
    /// Bytes came from the slave.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let server = &self.server;
        let now = server.now_ms();
        self.master.receive(bytes, server.extent(), now)?;
        let standing = self.master.standing();
        let changes = server.history_changes();
        if standing.claim.is_some() && self.noted != Some(changes) {
            server.note_slave(self.id, self.ip, self.registered, now)?;
            let connections = server.speaking_but(self.ip, Some(self.id)) + 1;
            let waits = server.settings().waits_for_slaves();
            server.copies().connected(self.ip, connections, waits);
            self.noted = Some(changes);
        }
        server.reported(self.id, standing);
        Ok(())
    }

    /// Takes what is to be sent into the outbox.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn fill(&mut self) -> Result<Pause, SessionError> {
        let server = &self.server;
        self.master
            .set_bytes_per_second(rate(&server.settings()), server.now_ms());
        loop {
            let log = server.extent();
            let transfer = match self.master.next(log, server.now_ms())? {
                Next::Send(transfer) => transfer,
                Next::Wait { until_ms } => {
                    let next = self.master.next_offset();
                    self.traffic.next.store(next.unwrap_or(-1), Ordering::Relaxed);
                    let has_all = next == Some(log.end);
                    return Ok(Pause {
                        until_ms,
                        seen: has_all.then_some(log.end),
                    });
                }
            };
            self.outbox.pieces.push_back(Piece::Header(transfer.header));
            let (mut at, mut left) = (transfer.from, transfer.len);
            while left > 0 {
                let slice = server.store().raw(PhysicalOffset(at), left)?;
                // Retention came in between.
                let min = server.store().min_physical().0;
                let slice = slice.ok_or(MasterClose::Overtaken { next: at, min })?;
                at += slice.len() as i64;
                left -= slice.len();
                self.outbox.pieces.push_back(Piece::Log(slice));
            }
        }
    }

    /// Is there something to write?
    pub fn has_more(&self) -> bool {
        !self.outbox.pieces.is_empty()
    }

    /// What is to be written next, as far as there is room for it; how many slices that are.
    pub fn next<'s>(&'s self, slices: &mut [IoSlice<'s>]) -> usize {
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(&self.outbox.pieces) {
            let gone = if count == 0 { self.outbox.gone } else { 0 };
            *slot = IoSlice::new(piece.bytes().get(gone..).unwrap_or_default());
            count += 1;
        }
        count
    }

    /// The kernel has taken so many bytes of it.
    pub fn wrote(&mut self, bytes: usize) {
        let mut left = bytes;
        let outbox = &mut self.outbox;
        while let Some(first) = outbox.pieces.front() {
            let rest = first.bytes().len() - outbox.gone;
            if left < rest {
                outbox.gone += left;
                break;
            }
            left -= rest;
            outbox.gone = 0;
            outbox.pieces.pop_front();
        }
        self.traffic.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.master.hand_over(bytes);
    }
}

impl<D: Disk + Clone> Drop for SlaveSession<D> {
    fn drop(&mut self) {
        self.server.left(self.id);
    }
}
