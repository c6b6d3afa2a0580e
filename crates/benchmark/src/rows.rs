//! The rows of the comparison: what is loaded, what is looked at, and what the goal is.

use protocol::SerializeType;

use crate::load::{Kind, Outcome};

/// What a row compares.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    CpuPerMillion,
    OwnCpuPerMillion,
    Rate,
    P50,
    P99,
    P999,
    Max,
    /// MiB that the broker read from the disk: whether it was cold.
    DiskMib,
}

impl Figure {
    pub(crate) fn of(self, outcome: &Outcome) -> f64 {
        match self {
            Figure::CpuPerMillion => outcome.cpu_per_million(),
            Figure::OwnCpuPerMillion => outcome.own_cpu / outcome.messages * 1e6,
            Figure::Rate => outcome.rate(),
            Figure::P50 => outcome.latency_ms[0],
            Figure::P99 => outcome.latency_ms[1],
            Figure::P999 => outcome.latency_ms[2],
            Figure::Max => outcome.latency_ms[3],
            Figure::DiskMib => outcome.disk_mib,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Figure::CpuPerMillion => "broker CPU s per million",
            Figure::OwnCpuPerMillion => "generator CPU s per million",
            Figure::Rate => "messages/s",
            Figure::P50 => "p50 ms",
            Figure::P99 => "p99 ms",
            Figure::P999 => "p99.9 ms",
            Figure::Max => "max ms",
            Figure::DiskMib => "MiB read from the disk",
        }
    }
}

/// What a figure should reach.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// Ours / Java's at most this.
    RatioAtMost(f64),
    /// Ours / Java's at least this.
    RatioAtLeast(f64),
    /// Ours at most this.
    AtMost(f64),
    /// Ours at least this.
    AtLeast(f64),
    /// Ours at least this share of the bare device loop.
    OfDevice(f64),
}

impl Goal {
    pub(crate) fn text(self) -> String {
        match self {
            Goal::RatioAtMost(ratio) => format!("≤ {ratio:.3} ×"),
            Goal::RatioAtLeast(ratio) => format!("≥ {ratio} ×"),
            Goal::AtMost(value) => format!("≤ {value}"),
            Goal::AtLeast(value) => format!("≥ {value}"),
            Goal::OfDevice(share) => format!("≥ {:.0} % of the device", share * 100.0),
        }
    }

    /// Is it reached? A figure that could not be had reaches nothing.
    pub(crate) fn is_reached(self, ours: f64, ratio: f64, device: Option<f64>) -> bool {
        match self {
            Goal::RatioAtMost(goal) => ratio <= goal,
            Goal::RatioAtLeast(goal) => ratio >= goal,
            Goal::AtMost(goal) => ours <= goal,
            Goal::AtLeast(goal) => ours >= goal,
            Goal::OfDevice(share) => device.is_some_and(|device| ours >= share * device),
        }
    }
}

/// A load, and what of it goes into the table.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) sync_flush: bool,
    pub(crate) kind: Kind,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) batch: usize,
    pub(crate) serialize_type: SerializeType,
    /// Messages have the properties that expressions are about.
    pub(crate) has_parts: bool,
    pub(crate) rate: u64,
    /// The broker starts anew and the page cache is emptied before: everything comes from the disk.
    pub(crate) cold: bool,
    pub(crate) figures: &'static [(Figure, Option<Goal>)],
}

const fn send(
    name: &'static str,
    connections: usize,
    in_flight: usize,
    figures: &'static [(Figure, Option<Goal>)],
) -> Row {
    Row {
        name,
        sync_flush: false,
        kind: Kind::Send,
        connections,
        in_flight,
        batch: 1,
        serialize_type: SerializeType::Json,
        has_parts: false,
        rate: 0,
        cold: false,
        figures,
    }
}

const PLAIN: &[(Figure, Option<Goal>)] = &[
    (Figure::Rate, None),
    (Figure::CpuPerMillion, None),
    (Figure::OwnCpuPerMillion, None),
];

/// What warms a broker up; not in the table.
pub(crate) fn warm_up(sync_flush: bool) -> Row {
    Row {
        sync_flush,
        ..send("warm-up", 16, 16, PLAIN)
    }
}

/// Fills a topic that pulls read.
pub(crate) fn fill() -> Row {
    Row {
        batch: 32,
        ..send("fill", 4, 4, PLAIN)
    }
}

/// Every row that is a load; the goals are those of the issue that asked for the comparison.
pub(crate) fn all() -> Vec<Row> {
    let mut rows = sends();
    rows.extend(rates_and_pulls());
    rows.extend(sync_flush());
    rows
}

fn sends() -> Vec<Row> {
    use Figure::{CpuPerMillion, OwnCpuPerMillion, P50, P99, Rate};
    use Goal::{RatioAtLeast, RatioAtMost};
    vec![
        send(
            "send 16 x 16",
            16,
            16,
            &[
                (Rate, Some(RatioAtLeast(4.0))),
                (CpuPerMillion, Some(RatioAtMost(1.0 / 6.0))),
                (OwnCpuPerMillion, None),
                (P50, None),
                (P99, None),
            ],
        ),
        send(
            "send 1 x 1",
            1,
            1,
            &[
                (Rate, Some(RatioAtLeast(2.0))),
                (CpuPerMillion, Some(RatioAtMost(0.28))),
                (OwnCpuPerMillion, None),
                (P50, None),
                (P99, None),
            ],
        ),
        send(
            "send 64 x 64",
            64,
            64,
            &[
                (Rate, None),
                (CpuPerMillion, Some(RatioAtMost(1.0 / 6.0))),
                (OwnCpuPerMillion, None),
            ],
        ),
        Row {
            batch: 32,
            ..send(
                "send batches of 32, 4 x 16",
                4,
                16,
                &[
                    (Rate, None),
                    (CpuPerMillion, Some(RatioAtMost(0.2))),
                    (OwnCpuPerMillion, None),
                ],
            )
        },
        Row {
            serialize_type: SerializeType::RocketMq,
            ..send("send 16 x 16, ROCKETMQ headers", 16, 16, PLAIN)
        },
        // Beside the same load under SYNC_FLUSH: what the processors take without the device.
        send("send 16 x 64", 16, 64, PLAIN),
        Row {
            kind: Kind::Oneway,
            // Java's broker closes the connections of those who send oneway as fast as they can.
            rate: 40_000,
            ..send("send oneway at 40,000/s", 16, 16, PLAIN)
        },
    ]
}

fn rates_and_pulls() -> Vec<Row> {
    use Figure::{CpuPerMillion, DiskMib, Max, OwnCpuPerMillion, P50, P99, P999, Rate};
    use Goal::{AtMost, RatioAtMost};
    vec![
        Row {
            rate: 30_000,
            ..send(
                "send at 30,000/s",
                16,
                16,
                &[
                    (Rate, None),
                    (P50, None),
                    (P99, None),
                    (P999, Some(RatioAtMost(0.1))),
                    (Max, None),
                ],
            )
        },
        Row {
            kind: Kind::EndToEnd,
            rate: 10_000,
            ..send(
                "send to receipt at 10,000/s",
                4,
                16,
                &[
                    (Rate, None),
                    (P50, Some(AtMost(0.3))),
                    (P99, Some(AtMost(2.0))),
                    (CpuPerMillion, None),
                ],
            )
        },
        Row {
            kind: Kind::Delayed,
            rate: 1_000,
            ..send(
                "lateness after delay level 1 at 1,000/s",
                4,
                16,
                &[
                    (Rate, None),
                    (P50, None),
                    (P99, None),
                    (Max, None),
                    (CpuPerMillion, None),
                ],
            )
        },
        Row {
            kind: Kind::Transaction,
            ..send(
                "transactions, half message and commit, 16 x 16",
                16,
                16,
                &[
                    (Rate, None),
                    (CpuPerMillion, None),
                    (OwnCpuPerMillion, None),
                    (P50, None),
                    (P99, None),
                ],
            )
        },
        Row {
            kind: Kind::Pull,
            ..send(
                "pull 32 at a time, 1 x 16, hot",
                1,
                16,
                &[
                    (Rate, None),
                    (CpuPerMillion, Some(RatioAtMost(0.5))),
                    (OwnCpuPerMillion, None),
                ],
            )
        },
        Row {
            kind: Kind::Filtered,
            ..send(
                "pull through a SQL filter that lets 1 % through, 1 x 16",
                1,
                16,
                &[
                    (Rate, None),
                    (CpuPerMillion, Some(RatioAtMost(0.2))),
                    (OwnCpuPerMillion, None),
                ],
            )
        },
        Row {
            kind: Kind::Pull,
            cold: true,
            ..send(
                "pull 32 at a time, 1 x 8, from the disk",
                1,
                8,
                &[(Rate, None), (CpuPerMillion, None), (DiskMib, None)],
            )
        },
    ]
}

fn sync_flush() -> Vec<Row> {
    use Figure::{CpuPerMillion, P50, P99, Rate};
    use Goal::{OfDevice, RatioAtLeast};
    let row = |row| Row {
        sync_flush: true,
        ..row
    };
    vec![
        row(send(
            "SYNC_FLUSH send 1 x 1",
            1,
            1,
            &[
                (Rate, Some(RatioAtLeast(2.5))),
                (CpuPerMillion, None),
                (P50, None),
                (P99, None),
            ],
        )),
        row(send(
            "SYNC_FLUSH send 1 x 64",
            1,
            64,
            &[(Rate, None), (CpuPerMillion, None)],
        )),
        row(send(
            "SYNC_FLUSH send 16 x 64",
            16,
            64,
            &[(Rate, Some(OfDevice(0.9))), (CpuPerMillion, None)],
        )),
    ]
}
