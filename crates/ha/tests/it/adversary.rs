//! Whatever a peer sends, a master believes nothing that it has not given to the kernel for that peer.

use ha::wire::{HEADER_LEN, report};
use ha::{Extent, Master, MasterClose, MasterSettings, NewSlave, Next, Replicas};
use proptest::prelude::*;

const FILE_LEN: i64 = 512;
const BATCH_LEN: usize = 100;
const OUTBOX_LEN: usize = 400;

/// What a peer that knows everything might report.
#[derive(Clone, Copy, Debug)]
enum Guess {
    Zero,
    Start(i64),
    Handed(i64),
    Queued(i64),
    LogEnd(i64),
    Last(i64),
    Any(i64),
}

#[derive(Clone, Debug)]
enum Step {
    Report(Guess),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// The next report comes in two pieces.
    Split(usize),
    Next,
    Handed(usize),
    Appended(i64),
    Deleted,
    Pass(i64),
}

fn guesses() -> impl Strategy<Value = Guess> {
    let near = -2_i64..3;
    prop_oneof![
        2 => Just(Guess::Zero),
        2 => near.clone().prop_map(Guess::Start),
        4 => near.clone().prop_map(Guess::Handed),
        2 => near.clone().prop_map(Guess::Queued),
        1 => near.clone().prop_map(Guess::LogEnd),
        2 => near.prop_map(Guess::Last),
        1 => any::<i64>().prop_map(Guess::Any),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => guesses().prop_map(Step::Report),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Step::Bytes),
        1 => (0_usize..8).prop_map(Step::Split),
        6 => Just(Step::Next),
        6 => (0_usize..300).prop_map(Step::Handed),
        3 => (0_i64..300).prop_map(Step::Appended),
        1 => Just(Step::Deleted),
        2 => (0_i64..6000).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..60)
}

/// A master with what it should know, calculated from the bytes on the wire alone.
struct Model {
    master: Master,
    log: Extent,
    now_ms: i64,
    /// Headers, and zeros for bodies.
    stream: Vec<u8>,
    handed_len: usize,
    reports: Vec<i64>,
    pending: Vec<u8>,
    split: Option<usize>,
    acknowledged: Option<i64>,
}

impl Model {
    fn new(new_slave: NewSlave) -> Model {
        let settings = MasterSettings {
            file_len: FILE_LEN,
            batch_len: BATCH_LEN,
            outbox_len: OUTBOX_LEN,
            new_slave,
            ..MasterSettings::default()
        };
        Model {
            master: Master::new(settings, 0),
            log: Extent { min: 512, end: 2000 },
            now_ms: 0,
            stream: Vec::new(),
            handed_len: 0,
            reports: Vec::new(),
            pending: Vec::new(),
            split: None,
            acknowledged: None,
        }
    }

    /// Where the stream begins, and up to where the peer can know it, by the first `len` bytes.
    fn known(&self, len: usize) -> Option<(i64, i64)> {
        let mut rest = &self.stream[..len];
        let mut known = None;
        while let Some((head, body)) = rest.split_first_chunk::<HEADER_LEN>() {
            let offset = i64::from_be_bytes(head[..8].try_into().expect("8 bytes"));
            let size = u32::from_be_bytes(head[8..].try_into().expect("4 bytes")) as usize;
            let (start, _) = *known.get_or_insert((offset, offset));
            let have = size.min(body.len());
            known = Some((start, offset + have as i64));
            rest = &body[have..];
        }
        known
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), MasterClose> {
        self.pending.extend_from_slice(bytes);
        while let Some((unit, rest)) = self.pending.split_first_chunk::<8>() {
            self.reports.push(i64::from_be_bytes(*unit));
            self.pending = rest.to_vec();
        }
        self.master.receive(bytes, self.log, self.now_ms)
    }

    fn guess(&self, guess: Guess) -> i64 {
        let all = self.known(self.stream.len());
        let handed = self.known(self.handed_len);
        match guess {
            Guess::Zero => 0,
            Guess::Start(by) => all.map_or(self.log.min, |all| all.0) + by,
            Guess::Handed(by) => handed.map_or(self.log.end, |handed| handed.1) + by,
            Guess::Queued(by) => all.map_or(self.log.end, |all| all.1) + by,
            Guess::LogEnd(by) => self.log.end + by,
            Guess::Last(by) => self.reports.last().copied().unwrap_or(self.log.end) + by,
            Guess::Any(any) => any,
        }
    }

    fn step(&mut self, step: Step) -> Result<(), MasterClose> {
        match step {
            Step::Report(guess) => {
                let bytes = report(self.guess(guess));
                let (first, second) = bytes.split_at(self.split.take().unwrap_or(0));
                self.receive(first)?;
                self.receive(second)?;
            }
            Step::Bytes(bytes) => self.receive(&bytes)?,
            Step::Split(at) => self.split = Some(at),
            Step::Next => {
                if let Next::Send(transfer) = self.master.next(self.log, self.now_ms)? {
                    self.stream.extend(transfer.header);
                    self.stream.extend(vec![0; transfer.len]);
                    assert!(transfer.from >= self.log.min);
                    assert!(transfer.from + transfer.len as i64 <= self.log.end);
                }
            }
            Step::Handed(bytes) => {
                let bytes = bytes.min(self.stream.len() - self.handed_len);
                self.handed_len += bytes;
                self.master.hand_over(bytes);
            }
            Step::Appended(bytes) => self.log.end += bytes,
            Step::Deleted => {
                let min = self.log.min + FILE_LEN;
                if min <= self.log.end {
                    self.log.min = min;
                }
            }
            Step::Pass(ms) => self.now_ms += ms,
        }
        Ok(())
    }

    fn check(&mut self) {
        let standing = self.master.standing();
        let handed = self.known(self.handed_len);
        if let Some(end) = standing.acknowledged {
            let (start, handed) = handed.expect("nothing is believed before the first header is through");
            assert!(
                (start..=handed).contains(&end),
                "{end} of what was handed, [{start}, {handed})"
            );
            assert!(self.reports.len() >= 2, "the first report is none");
            assert_eq!(Some(&end), self.reports.last(), "only what the slave said last");
            assert!(Some(end) >= self.acknowledged, "it does not go back");
        }
        assert!(standing.acknowledged.is_some() || self.acknowledged.is_none());
        self.acknowledged = standing.acknowledged;
        assert_eq!(self.master.waiting_len(), self.stream.len() - self.handed_len);
        assert!(self.master.waiting_len() <= OUTBOX_LEN + HEADER_LEN);
        let known = handed.map(|(min, end)| Extent { min, end });
        assert_eq!(self.master.sent(), known);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_believed_that_was_not_handed_over(steps in steps(), newest in any::<bool>()) {
        let new_slave = if newest { NewSlave::NewestFile } else { NewSlave::WholeLog };
        let mut model = Model::new(new_slave);
        for step in steps {
            let open = model.step(step);
            if open.is_err() {
                break;
            }
            model.check();
        }
    }

    #[test]
    fn eight_bytes_acknowledge_nothing(bytes in any::<[u8; 8]>(), claim in 0_i64..2000, guess in any::<bool>()) {
        let mut model = Model::new(NewSlave::WholeLog);
        let bytes = if guess { report(claim) } else { bytes };
        let mut open = model.receive(&bytes);
        for _ in 0..50 {
            let steps = [Step::Next, Step::Handed(300), Step::Appended(10), Step::Pass(500)];
            open = open.and_then(|()| steps.into_iter().try_for_each(|step| model.step(step)));
        }
        prop_assert_eq!(model.master.standing().acknowledged, None);
        let mut replicas = Replicas::new(3_000);
        let id = replicas.connect("10.0.0.2", 1, 0).expect("room");
        prop_assert!(!replicas.report(id, model.master.standing(), 0).grew);
        prop_assert_eq!(replicas.reached(1), None);
        prop_assert!(open.is_err(), "and after a silence it is closed");
    }

    /// A peer that never reads gets what fits into the buffers of two kernels; then nothing of what it says is believed.
    #[test]
    fn a_peer_that_does_not_read_is_believed_for_its_buffers(buffers in 0_usize..5000) {
        let mut model = Model::new(NewSlave::WholeLog);
        model.receive(&report(600)).expect("a first report");
        let mut left = buffers;
        for _ in 0..100 {
            model.step(Step::Next).expect("open");
            let taken = left.min(model.stream.len() - model.handed_len);
            left -= taken;
            model.step(Step::Handed(taken)).expect("open");
            model.step(Step::Appended(50)).expect("open");
        }
        let handed = model.known(model.handed_len).map_or(600, |known| known.1);
        prop_assert!(handed <= 600 + buffers as i64);
        let open = model.receive(&report(handed + 1));
        prop_assert!(open.is_err());
    }
}
