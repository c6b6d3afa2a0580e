//! Slaves that lose their connections and come back before the master knows: none counts twice.

use std::collections::BTreeMap;

use ha::{ConnectionId, Replicas, Standing};
use proptest::prelude::*;

/// Two on a host, one on another.
const HOSTS: [&str; 3] = ["10.0.0.2", "10.0.0.2", "10.0.0.3"];
const PLACES: [usize; 3] = [2, 2, 1];
/// How long a report may be on its way, ms.
const DELAY_MS: i64 = 9_000;

#[derive(Clone, Debug)]
enum Step {
    Connect(usize),
    /// The slave has so many bytes more, and reports.
    Report(usize, i64),
    /// It loses its connection, and the master does not know.
    Lose(usize),
    /// A report that was on its way on a connection that is lost arrives.
    Late(usize),
    /// The master learns of the connection that was lost first.
    Learn,
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let slave = 0..HOSTS.len();
    let step = prop_oneof![
        3 => slave.clone().prop_map(Step::Connect),
        8 => (slave.clone(), 0_i64..100).prop_map(|(slave, more)| Step::Report(slave, more)),
        2 => slave.prop_map(Step::Lose),
        2 => (0_usize..4).prop_map(Step::Late),
        1 => Just(Step::Learn),
        4 => (0_i64..5_000).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..120)
}

#[derive(Default)]
struct Slave {
    end: i64,
    connection: Option<ConnectionId>,
}

struct Lost {
    connection: ConnectionId,
    end: i64,
    at_ms: i64,
}

struct Group {
    replicas: Replicas,
    slaves: [Slave; 3],
    lost: Vec<Lost>,
    /// The end of the master's log when a connection reported first: what slaves have, all of them had from there.
    began_at: BTreeMap<ConnectionId, i64>,
    now_ms: i64,
}

impl Group {
    fn report(&mut self, connection: ConnectionId, end: i64) {
        let log_end = self.slaves.iter().map(|slave| slave.end).max().unwrap_or(0);
        let began_at = *self.began_at.entry(connection).or_insert(log_end);
        let standing = Standing {
            claim: Some(end),
            acknowledged: Some(end),
            newest_file_ms: None,
            began_at,
        };
        let progress = self.replicas.report(connection, standing, self.now_ms);
        if progress.replaced.is_some() {
            for slave in &mut self.slaves {
                slave.connection.take_if(|own| Some(*own) == progress.replaced);
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Connect(slave) => {
                if self.slaves[slave].connection.is_none()
                    && let Some(id) = self.replicas.connect(HOSTS[slave], PLACES[slave], self.now_ms)
                {
                    self.slaves[slave].connection = Some(id);
                    self.report(id, self.slaves[slave].end);
                }
            }
            Step::Report(slave, more) => {
                if let Some(id) = self.slaves[slave].connection {
                    self.slaves[slave].end += more;
                    self.report(id, self.slaves[slave].end);
                }
            }
            Step::Lose(slave) => {
                let slave = &mut self.slaves[slave];
                if let Some(connection) = slave.connection.take() {
                    self.lost.push(Lost {
                        connection,
                        end: slave.end,
                        at_ms: self.now_ms,
                    });
                }
            }
            Step::Late(index) => {
                if let Some(lost) = self.lost.get(index)
                    && self.now_ms - lost.at_ms <= DELAY_MS
                {
                    let (connection, end) = (lost.connection, lost.end);
                    self.report(connection, end);
                }
            }
            Step::Learn => {
                if !self.lost.is_empty() {
                    self.replicas.disconnect(self.lost.remove(0).connection);
                }
            }
            Step::Pass(ms) => self.now_ms += ms,
        }
    }

    fn check(&self) {
        let mut ends = self.slaves.each_ref().map(|slave| slave.end);
        ends.sort_unstable_by(|a, b| b.cmp(a));
        for (index, end) in ends.into_iter().enumerate() {
            let reached = self.replicas.reached(index + 1).unwrap_or(0);
            assert!(reached <= end, "{} slaves have {end}, not {reached}", index + 1);
        }
        assert_eq!(
            self.replicas.reached(HOSTS.len() + 1),
            None,
            "there are not so many"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_k_slaves_have_is_in_k_logs(steps in steps()) {
        let mut group = Group {
            replicas: Replicas::new(3_000),
            slaves: Default::default(),
            lost: Vec::new(),
            began_at: BTreeMap::new(),
            now_ms: 0,
        };
        for step in steps {
            group.step(step);
            group.check();
        }
        // When all are there for long enough, all count.
        for slave in 0..HOSTS.len() {
            group.step(Step::Connect(slave));
        }
        let end = group.slaves.iter().map(|slave| slave.end).max().unwrap_or(0) + 1;
        for _ in 0..20 {
            group.step(Step::Pass(3_000));
            for slave in 0..HOSTS.len() {
                group.step(Step::Connect(slave));
                group.step(Step::Report(slave, end - group.slaves[slave].end));
                group.check();
            }
            group.step(Step::Learn);
        }
        prop_assert_eq!(group.replicas.reached(HOSTS.len()), Some(end));
    }
}
