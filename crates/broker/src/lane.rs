//! Lanes: where requests are served that may wait for the disk, or whose work grows with a table.
//!
//! A connection's task serves what takes short locks and nothing else. Everything else runs in a lane: some threads of its
//! own and a line before them, bounded in bytes. A handler that may wait says so in its type: it takes [`MayWait`], which
//! only a lane hands out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use disk::Clock;
use parking_lot::Mutex;
use protocol::code::response;
use remoting::Responder;

use crate::budget::{Budget, Share};

/// Leave to wait for the disk and to take time.
#[derive(Clone, Copy)]
pub struct MayWait(());

/// Where a lane's work runs.
#[derive(Clone)]
pub enum Workers {
    /// On threads of this runtime that may wait.
    Threads(tokio::runtime::Handle),
    /// On the caller's thread, at once: for simulations, where nothing waits.
    Caller,
}

/// The lanes of requests that may wait.
#[derive(Clone)]
pub struct Lanes {
    /// Operators' requests: they write files, or grow with the tables.
    pub admin: Arc<Lane>,
    /// Requests that look for old records.
    pub search: Arc<Lane>,
    /// Pulls of what is not in memory.
    pub pull: Arc<Lane>,
}

type Work = Box<dyn FnOnce(MayWait) + Send>;

struct Job {
    since_ms: i64,
    work: Work,
    /// What the line gives back when this is begun.
    _share: Share,
}

#[derive(Default)]
struct State {
    line: VecDeque<Job>,
    running: usize,
    /// When those that run began, by number: the first is the oldest.
    begun: std::collections::BTreeMap<u64, i64>,
}

impl Lanes {
    /// What the lines may occupy.
    pub fn budgets(&self) -> [&Budget; 3] {
        [&self.admin.budget, &self.search.budget, &self.pull.budget]
    }
}

/// One lane.
pub struct Lane {
    width: usize,
    workers: Workers,
    budget: Arc<Budget>,
    state: Mutex<State>,
    next: AtomicU64,
    panics: AtomicU64,
    clock: Arc<dyn Clock>,
}

/// Bytes of a request in a line beside its frame.
const JOB_BYTES: usize = 512;

impl Lane {
    /// A lane of `width` threads, with a line of `max_bytes`.
    pub fn new(
        name: &'static str,
        width: usize,
        max_bytes: usize,
        workers: Workers,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            width,
            workers,
            budget: Budget::new(name, max_bytes),
            state: Mutex::default(),
            next: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            clock,
        })
    }

    /// Serves a request here, soon. Refused with SYSTEM_BUSY where the line is too long, or where its peer does not read
    /// what it has been answered already: more answers would only fill memory.
    pub fn serve(
        self: &Arc<Self>,
        responder: Responder,
        frame_bytes: usize,
        work: impl FnOnce(Responder, MayWait) + Send + 'static,
    ) {
        match self.budget.take(JOB_BYTES + frame_bytes) {
            Ok(share) => self.enter(share, Box::new(move |may| serve_reader(responder, may, work))),
            Err(exhausted) => responder.error(response::SYSTEM_BUSY, &exhausted.to_string()),
        }
    }

    fn enter(self: &Arc<Self>, share: Share, work: Work) {
        if let Workers::Caller = self.workers {
            drop(share);
            return work(MayWait(()));
        }
        let mut state = self.state.lock();
        state.line.push_back(Job {
            since_ms: self.clock.now_ms(),
            work,
            _share: share,
        });
        if state.running == self.width {
            return;
        }
        state.running += 1;
        drop(state);
        if let Workers::Threads(runtime) = &self.workers {
            let lane = Arc::clone(self);
            runtime.spawn_blocking(move || lane.run());
        }
    }

    /// Serves until the line is empty.
    fn run(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        loop {
            let mut state = self.state.lock();
            let Some(job) = state.line.pop_front() else {
                state.running -= 1;
                state.begun.remove(&number);
                return;
            };
            state.begun.insert(number, job.since_ms);
            drop(state);
            let Job { work, _share, .. } = job;
            drop(_share);
            // The responder, dropped without an answer, answers SYSTEM_ERROR.
            if catch_unwind(AssertUnwindSafe(|| work(MayWait(())))).is_err() {
                let count = self.panics.fetch_add(1, Ordering::Relaxed) + 1;
                let name = self.budget.name();
                tracing::error!("a request made its handler panic in lane {name} (panic number {count})");
            }
        }
    }

    /// How many requests are here, and how long the oldest has been, ms.
    pub fn look(&self, now_ms: i64) -> (usize, i64) {
        let state = self.state.lock();
        let oldest = state
            .begun
            .values()
            .chain(state.line.front().map(|job| &job.since_ms));
        let wait = oldest.min().map_or(0, |since| (now_ms - since).max(0));
        (state.line.len() + state.running, wait)
    }

    /// What the line occupies.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

fn serve_reader(responder: Responder, may: MayWait, work: impl FnOnce(Responder, MayWait)) {
    let peer = responder.peer();
    if !peer.is_open() {
        // Nobody is there to be answered: what grows is not made for nobody.
        return drop(responder);
    }
    if peer.is_congested() {
        let remark = "[PEER_CONGESTED] read the answers to earlier requests first, then ask again";
        return responder.error(response::SYSTEM_BUSY, remark);
    }
    work(responder, may);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::sync::mpsc;

    use disk::SimClock;
    use remoting::MemoryPeer;

    use super::*;

    fn peer() -> Arc<MemoryPeer> {
        MemoryPeer::new(([127, 0, 0, 1], 1).into())
    }

    fn responder(peer: &Arc<MemoryPeer>) -> Responder {
        peer.request(1, &(), "").0.responder
    }

    fn lane(workers: Workers) -> Arc<Lane> {
        Lane::new("TEST", 2, 10 * JOB_BYTES, workers, Arc::new(SimClock::at(1000)))
    }

    #[test]
    fn the_line_is_bounded_and_every_request_is_answered_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let lane = lane(Workers::Threads(runtime.handle().clone()));
        let peer = peer();
        let (open, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let (begun, begins) = mpsc::channel::<()>();
        for _ in 0..20 {
            let (gate, begun) = (Arc::clone(&gate), begun.clone());
            lane.serve(responder(&peer), 0, move |responder, _| {
                begun.send(()).unwrap();
                gate.lock().recv().unwrap();
                responder.ok();
            });
        }
        begins.recv().unwrap();
        begins.recv().unwrap();
        // Two run, ten wait at most; how many of the line were begun before it was full depends on the threads.
        let refused = peer.take();
        assert!((8..=10).contains(&refused.len()), "{}", refused.len());
        assert!(refused.iter().all(|answer| answer.code == response::SYSTEM_BUSY));
        assert!(refused[0].remark.as_deref().unwrap().contains("TEST"));
        let (here, wait) = lane.look(1500);
        assert_eq!((here + refused.len(), wait), (20, 500));
        drop(begun);
        for _ in 0..here {
            open.send(()).unwrap();
        }
        while begins.recv().is_ok() {}
        drop(runtime);
        assert_eq!(peer.finished(), 20);
        assert_eq!(lane.look(2000), (0, 0));
        assert_eq!(lane.budget().used(), 0);
    }

    #[test]
    fn a_panic_harms_one_request() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let lane = lane(Workers::Threads(runtime.handle().clone()));
        let peer = peer();
        lane.serve(responder(&peer), 0, |_responder, _| panic!("on purpose"));
        lane.serve(responder(&peer), 0, |responder, _| responder.ok());
        drop(runtime);
        let mut codes: Vec<i32> = peer.take().iter().map(|answer| answer.code).collect();
        codes.sort_unstable();
        assert_eq!(codes, [response::SUCCESS, response::SYSTEM_ERROR]);
        assert_eq!(lane.panics.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn nothing_large_is_made_for_who_does_not_read() {
        let lane = lane(Workers::Caller);
        let peer = peer();
        peer.set_congested(true);
        lane.serve(responder(&peer), 0, |_, _| panic!("not to be called"));
        assert_eq!(peer.take()[0].code, response::SYSTEM_BUSY);
        peer.set_congested(false);
        lane.serve(responder(&peer), 0, |responder, _| responder.ok());
        assert_eq!(peer.take()[0].code, response::SUCCESS);
    }
}
