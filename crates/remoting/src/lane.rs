//! Lanes: where requests are served that may wait for the disk, or whose work grows with a table.
//!
//! A connection's task serves what takes short locks and nothing else. Everything else runs in a lane: some threads of its
//! own and a line before them, bounded in bytes. A handler that may wait says so in its type: it takes [`MayWait`], which
//! only a lane hands out.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use protocol::code::response;

use crate::Responder;
use crate::budget::{Budget, Share};

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);
/// Bytes of a request in a line beside its frame.
const JOB_BYTES: usize = 512;

/// Leave to wait for the disk and to take time.
#[derive(Clone, Copy, Debug)]
pub struct MayWait(());

/// Leave for tests, which may.
#[cfg(any(test, feature = "memory-peer"))]
pub fn may_wait() -> MayWait {
    MayWait(())
}

/// Where a lane's work runs.
#[derive(Clone, Debug)]
pub enum Workers {
    /// On threads of the lane's own, inside this runtime.
    Threads(tokio::runtime::Handle),
    /// On the caller's thread, at once: for simulations, where nothing waits.
    Caller,
}

/// How a lane is called, and how large it is.
#[derive(Clone, Copy, Debug)]
pub struct LaneSettings {
    /// Name of its limit.
    pub name: &'static str,
    /// Its threads are called so, with a number: `lane-admin-1`. Linux shows 15 characters.
    pub threads: &'static str,
    /// Most threads at once.
    pub width: usize,
    /// Bytes that its line may hold.
    pub max_bytes: usize,
}

type Work = Box<dyn FnOnce(Responder, MayWait) + Send>;

struct Job {
    since: Instant,
    responder: Responder,
    work: Work,
    /// What the line gives back when this is begun.
    _share: Share,
}

/// What the thread of one number does.
#[derive(Clone, Copy)]
enum Slot {
    /// There is no such thread.
    Free,
    /// It waits for work.
    Idle,
    /// It works on a request that has been here since then.
    Working(Instant),
}

struct State {
    line: VecDeque<Job>,
    slots: Vec<Slot>,
    stopping: bool,
}

impl State {
    fn count(&self, wanted: fn(&Slot) -> bool) -> usize {
        self.slots.iter().filter(|slot| wanted(slot)).count()
    }

    fn threads(&self) -> usize {
        self.count(|slot| !matches!(slot, Slot::Free))
    }

    /// The number of a thread to start, if one is wanted: there is work for which no thread waits, and room.
    fn number_to_start(&self) -> Option<usize> {
        let idle = self.count(|slot| matches!(slot, Slot::Idle));
        let free = self.slots.iter().position(|slot| matches!(slot, Slot::Free));
        free.filter(|_| self.line.len() > idle)
    }
}

/// One lane.
pub struct Lane {
    settings: LaneSettings,
    workers: Workers,
    budget: Arc<Budget>,
    state: Mutex<State>,
    /// Work came, or the lane is to end.
    come: Condvar,
    /// A thread has ended.
    ended: Condvar,
    panics: AtomicU64,
}

impl Lane {
    /// A lane with an empty line and no thread yet.
    pub fn new(settings: LaneSettings, workers: Workers) -> Arc<Self> {
        Arc::new(Self {
            settings,
            workers,
            budget: Budget::new(settings.name, settings.max_bytes),
            state: Mutex::new(State {
                line: VecDeque::new(),
                slots: vec![Slot::Free; settings.width.max(1)],
                stopping: false,
            }),
            come: Condvar::new(),
            ended: Condvar::new(),
            panics: AtomicU64::new(0),
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
        let share = match self.budget.take(JOB_BYTES + frame_bytes) {
            Ok(share) => share,
            Err(exhausted) => return responder.error(response::SYSTEM_BUSY, &exhausted.to_string()),
        };
        let Workers::Threads(runtime) = &self.workers else {
            drop(share);
            return serve_reader(responder, MayWait(()), work);
        };
        let mut state = self.state.lock();
        state.line.push_back(Job {
            since: Instant::now(),
            responder,
            work: Box::new(work),
            _share: share,
        });
        let Some(number) = state.number_to_start() else {
            drop(state);
            self.come.notify_one();
            return;
        };
        if let Some(slot) = state.slots.get_mut(number) {
            *slot = Slot::Idle;
        }
        drop(state);
        if let Err(error) = self.start(number, runtime.clone()) {
            self.not_started(number, &error);
        }
    }

    fn start(self: &Arc<Self>, number: usize, runtime: tokio::runtime::Handle) -> io::Result<()> {
        let lane = Arc::clone(self);
        let name = format!("{}-{}", self.settings.threads, number + 1);
        // Nobody joins it: it leaves its slot as the last thing it does, and `stop` waits for that.
        let _detached = std::thread::Builder::new().name(name).spawn(move || {
            let _inside = runtime.enter();
            lane.run(number);
        })?;
        Ok(())
    }

    /// The system gives no thread. Those that are there go on with the line; where there is none, it is refused.
    fn not_started(&self, number: usize, error: &io::Error) {
        let mut state = self.state.lock();
        if let Some(slot) = state.slots.get_mut(number) {
            *slot = Slot::Free;
        }
        let line = match state.threads() {
            0 => std::mem::take(&mut state.line),
            _ => VecDeque::new(),
        };
        drop(state);
        tracing::error!(
            "no thread can be started for lane {}: {error}",
            self.settings.name
        );
        for job in line {
            let remark = format!("[{}] no thread can be started: {error}", self.settings.name);
            job.responder.error(response::SYSTEM_BUSY, &remark);
        }
    }

    /// The life of a thread: serves what is in the line, and ends when for some time nothing came.
    fn run(&self, number: usize) {
        while let Some(job) = self.next(number) {
            let Job {
                responder,
                work,
                _share,
                ..
            } = job;
            drop(_share);
            // The responder, dropped without an answer, answers SYSTEM_ERROR.
            let served = catch_unwind(AssertUnwindSafe(|| serve_reader(responder, MayWait(()), work)));
            if served.is_err() {
                let count = self.panics.fetch_add(1, Ordering::Relaxed) + 1;
                let name = self.settings.name;
                tracing::error!("a request made its handler panic in lane {name} (panic number {count})");
            }
        }
        self.ended.notify_all();
    }

    /// The next request for a thread, or nothing when it is to end; its slot is free then.
    fn next(&self, number: usize) -> Option<Job> {
        let mut state = self.state.lock();
        let deadline = Instant::now() + IDLE;
        loop {
            let job = state.line.pop_front();
            let slot = match &job {
                Some(job) => Slot::Working(job.since),
                None if state.stopping || Instant::now() >= deadline => Slot::Free,
                None => Slot::Idle,
            };
            if let Some(mine) = state.slots.get_mut(number) {
                *mine = slot;
            }
            match slot {
                Slot::Working(_) | Slot::Free => return job,
                Slot::Idle => drop(self.come.wait_until(&mut state, deadline)),
            }
        }
    }

    /// Lets the threads end when the line is empty and waits for that, at most `budget`; false if some have not ended.
    pub fn stop(&self, budget: Duration) -> bool {
        let deadline = Instant::now() + budget;
        let mut state = self.state.lock();
        state.stopping = true;
        self.come.notify_all();
        while state.threads() > 0 {
            if self.ended.wait_until(&mut state, deadline).timed_out() {
                return state.threads() == 0;
            }
        }
        true
    }

    /// How many requests are here, and how long the oldest has been.
    pub fn look(&self) -> (usize, Duration) {
        let state = self.state.lock();
        let working = state.slots.iter().filter_map(|slot| match slot {
            Slot::Working(since) => Some(*since),
            Slot::Free | Slot::Idle => None,
        });
        let begun = working.clone().count();
        let oldest = working.chain(state.line.front().map(|job| job.since)).min();
        let wait = oldest.map_or(Duration::ZERO, |since| since.elapsed());
        (state.line.len() + begun, wait)
    }

    /// What the line occupies.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

/// Lets the threads of all these lanes end as [`Lane::stop`] does, within one `budget` together; false if some have not ended.
pub fn stop_all<'a>(lanes: impl IntoIterator<Item = &'a Arc<Lane>>, budget: Duration) -> bool {
    let deadline = Instant::now() + budget;
    let left = || deadline.saturating_duration_since(Instant::now());
    // Each is told, also behind one that has not ended.
    let mut all = true;
    for lane in lanes {
        all &= lane.stop(left());
    }
    all
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

    use super::*;
    use crate::memory_peer::MemoryPeer;

    const WITHIN: Duration = Duration::from_secs(20);

    fn peer() -> Arc<MemoryPeer> {
        MemoryPeer::new(([127, 0, 0, 1], 1).into())
    }

    fn responder(peer: &Arc<MemoryPeer>) -> Responder {
        peer.request(1, &(), "").0.responder
    }

    fn lane(workers: Workers) -> Arc<Lane> {
        let settings = LaneSettings {
            name: "TEST",
            threads: "lane-test",
            width: 2,
            max_bytes: 10 * JOB_BYTES,
        };
        Lane::new(settings, workers)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn the_line_is_bounded_and_every_request_is_answered_once() {
        let runtime = runtime();
        let lane = lane(Workers::Threads(runtime.handle().clone()));
        let peer = peer();
        let (open, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let (begun, begins) = mpsc::channel::<String>();
        for _ in 0..20 {
            let (gate, begun) = (Arc::clone(&gate), begun.clone());
            lane.serve(responder(&peer), 0, move |responder, _| {
                begun
                    .send(std::thread::current().name().unwrap_or_default().to_owned())
                    .unwrap();
                gate.lock().recv().unwrap();
                responder.ok();
            });
        }
        let mut names = [begins.recv().unwrap(), begins.recv().unwrap()];
        names.sort_unstable();
        assert_eq!(names, ["lane-test-1", "lane-test-2"]);
        // Two run, ten wait at most; how many of the line were begun before it was full depends on the threads.
        let refused = peer.take();
        assert!((8..=10).contains(&refused.len()), "{}", refused.len());
        assert!(refused.iter().all(|answer| answer.code == response::SYSTEM_BUSY));
        assert!(refused[0].remark.as_deref().unwrap().contains("TEST"));
        let (here, wait) = lane.look();
        assert_eq!(here + refused.len(), 20);
        assert!(wait > Duration::ZERO);
        assert!(!lane.stop(Duration::ZERO), "it works");
        drop(begun);
        for _ in 0..here {
            open.send(()).unwrap();
        }
        while begins.recv().is_ok() {}
        assert!(lane.stop(WITHIN));
        assert_eq!(peer.finished(), 20);
        assert_eq!(lane.look(), (0, Duration::ZERO));
        assert_eq!(lane.budget().used(), 0);
    }

    #[test]
    fn a_thread_stays_for_the_next_request() {
        let runtime = runtime();
        let lane = lane(Workers::Threads(runtime.handle().clone()));
        let (peer, (sender, threads)) = (peer(), mpsc::channel());
        for _ in 0..50 {
            let sender = sender.clone();
            lane.serve(responder(&peer), 0, move |responder, _| {
                responder.ok();
                sender.send(std::thread::current().id()).unwrap();
            });
            // The thread may not have come back to wait: the second of the two serves then.
            assert!(threads.recv_timeout(WITHIN).is_ok());
        }
        assert!(lane.state.lock().threads() <= 2);
        assert_eq!(peer.finished(), 50);
        assert!(lane.stop(WITHIN));
        assert_eq!(lane.state.lock().threads(), 0);
    }

    #[test]
    fn a_panic_harms_one_request() {
        let runtime = runtime();
        let lane = lane(Workers::Threads(runtime.handle().clone()));
        let peer = peer();
        lane.serve(responder(&peer), 0, |_responder, _| panic!("on purpose"));
        lane.serve(responder(&peer), 0, |responder, _| responder.ok());
        assert!(lane.stop(WITHIN));
        let mut codes: Vec<i32> = peer.take().iter().map(|answer| answer.code).collect();
        codes.sort_unstable();
        assert_eq!(codes, [response::SUCCESS, response::SYSTEM_ERROR]);
        assert_eq!(lane.panics.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn lanes_stop_within_one_budget_and_each_is_told() {
        let runtime = runtime();
        let lanes = [0, 1].map(|_| lane(Workers::Threads(runtime.handle().clone())));
        let peer = peer();
        let (open, gate) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        lanes[0].serve(responder(&peer), 0, move |responder, _| {
            begun.send(()).unwrap();
            gate.recv().unwrap();
            responder.ok();
        });
        lanes[1].serve(responder(&peer), 0, |responder, _| responder.ok());
        begins.recv().unwrap();
        let (budget, started) = (Duration::from_secs(1), Instant::now());
        assert!(!stop_all(&lanes, budget), "the first works");
        assert!(started.elapsed() < 2 * budget);
        assert!(lanes[1].state.lock().stopping);
        open.send(()).unwrap();
        assert!(stop_all(&lanes, WITHIN));
        assert_eq!(peer.finished(), 2);
    }

    #[test]
    fn without_a_thread_the_line_is_refused() {
        let runtime = runtime();
        let lane = lane(Workers::Threads(runtime.handle().clone()));
        let peer = peer();
        let share = lane.budget.take(JOB_BYTES).unwrap();
        lane.state.lock().line.push_back(Job {
            since: Instant::now(),
            responder: responder(&peer),
            work: Box::new(|_, _| panic!("not to be called")),
            _share: share,
        });
        lane.not_started(0, &io::Error::from_raw_os_error(11));
        let refused = peer.take();
        assert_eq!((refused.len(), refused[0].code), (1, response::SYSTEM_BUSY));
        assert_eq!((lane.look().0, lane.budget().used()), (0, 0));
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
