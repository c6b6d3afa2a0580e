//! A broker without sockets, threads and time of its own: on a simulated disk, asked in memory, and nothing goes on by itself.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use broker::lane::Workers;
use broker::run::{Parts, Surroundings};
use broker::settings::Settings;
use broker::tables::save;
use bytes::Bytes;
use disk::Clock;
use disk::sim::{SimClock, SimDisk};
use protocol::code::{request, response};
use protocol::header::Short;
use protocol::header::broker::*;
use protocol::{EncodeHeader, Frame};
use remoting::MemoryPeer;

use crate::fixture::heartbeat;

/// When its time begins, ms since 1970.
const START_MS: i64 = 1_700_000_000_000;

/// The broker, its disk and its clock.
pub(crate) struct Still {
    pub(crate) parts: Parts<SimDisk>,
    pub(crate) disk: SimDisk,
    pub(crate) clock: SimClock,
    /// Who asks where it does not matter who does.
    pub(crate) peer: Arc<MemoryPeer>,
}

/// A client at an address that no other has.
pub(crate) fn client() -> Arc<MemoryPeer> {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    let port = NEXT.fetch_add(1, Ordering::Relaxed);
    MemoryPeer::new(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// The parts of a broker; name servers count as told of all topics.
pub(crate) fn assembled(settings: Settings, disk: &SimDisk, clock: &SimClock) -> Parts<SimDisk> {
    let surroundings = Surroundings {
        disk: disk.clone(),
        clock: Arc::new(clock.clone()),
        workers: Workers::Caller,
        traffic: Default::default(),
    };
    let helpers = store::Helpers {
        parallel: &store::Inline,
        progress: &|_| {},
    };
    let (parts, _) = Parts::assemble(settings, surroundings, &helpers).unwrap();
    parts.tables.topics.set_told(u64::MAX);
    parts.log.reput.all();
    parts
}

impl Still {
    pub(crate) fn new(change: impl FnOnce(&mut Settings)) -> Still {
        let (disk, clock) = (SimDisk::new(), SimClock::at(START_MS));
        disk.set_now(START_MS);
        let mut settings = Settings::default();
        settings.broker.broker_name = "broker-a".to_owned();
        settings.broker.broker_ip1 = "127.0.0.1".to_owned();
        settings.store.store_path_root_dir = "/store".to_owned();
        settings.store.mapped_file_size_commit_log = 1 << 20;
        settings.store.mapped_file_size_consume_queue = 2000;
        settings.store.max_hash_slot_num = 16;
        settings.store.max_index_num = 400;
        change(&mut settings);
        Still {
            parts: assembled(settings, &disk, &clock),
            disk,
            clock,
            peer: client(),
        }
    }

    /// What threads and tasks do: flush, write files, let who waits be answered.
    pub(crate) fn settle(&self) {
        let parts = &self.parts;
        parts.log.flusher.flush(0);
        parts.log.reput.all();
        parts.log.reput.wake();
        for (file, _) in &parts.files {
            if file.saver().is_behind() {
                save(file.as_ref(), &self.disk, self.clock.now_ms()).unwrap();
            }
        }
    }

    /// Hands over a request; its answer may come later.
    pub(crate) fn begin(
        &self,
        peer: &Arc<MemoryPeer>,
        code: i32,
        header: &dyn EncodeHeader,
        body: impl Into<Bytes>,
    ) -> i32 {
        let (request, opaque) = peer.request(code, header, body);
        let handlers = Arc::clone(&self.parts.handlers);
        handlers.serve(&mut VecDeque::from([request]), true, &|| false);
        self.settle();
        opaque
    }

    /// Asks as this client; what else it was sent stays for [`MemoryPeer::take`].
    pub(crate) fn ask_as(
        &self,
        peer: &Arc<MemoryPeer>,
        code: i32,
        header: &dyn EncodeHeader,
        body: impl Into<Bytes>,
    ) -> Frame {
        let opaque = self.begin(peer, code, header, body);
        let answer = peer.take_answer(opaque);
        answer.unwrap_or_else(|| panic!("request {code} has no answer"))
    }

    pub(crate) fn ask(&self, code: i32, header: &dyn EncodeHeader, body: impl Into<Bytes>) -> Frame {
        self.ask_as(&self.peer, code, header, body)
    }

    pub(crate) fn send(&self, header: &SendMessageRequestHeader<'_>, body: &[u8]) -> Frame {
        self.ask(request::SEND_MESSAGE_V2, &Short(header), body.to_vec())
    }

    pub(crate) fn pull(&self, header: &PullMessageRequestHeader<'_>) -> Frame {
        self.ask(request::PULL_MESSAGE, header, "")
    }

    /// A member of the group joins, or says that it is there.
    pub(crate) fn beat(&self, peer: &Arc<MemoryPeer>, client_id: &str, group: &str, topic: &str) {
        let answer = self.ask_as(peer, request::HEART_BEAT, &(), heartbeat(client_id, group, topic));
        assert_eq!(answer.code, response::SUCCESS, "{:?}", answer.remark);
    }
}
