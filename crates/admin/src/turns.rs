//! Loading one broker, or two in turns to compare them.

use crate::benchmark::{given, number};
use crate::output::{complain, print};
use clap::{Arg, ArgMatches};
use client::Error;

/// One of the brokers that are loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Side {
    /// Its name servers.
    pub(crate) namesrv: String,
    /// Its process, if that is to be looked at.
    pub(crate) observed: Option<u32>,
}

/// What one measurement found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figures {
    /// Messages a second.
    pub(crate) rate: f64,
    /// Millions of bytes of bodies a second.
    pub(crate) mb_per_second: f64,
    /// Latency: p50, p99, p99.9, ms.
    pub(crate) quantiles_ms: [f64; 3],
    /// The longest, ms.
    pub(crate) max_ms: f64,
    /// CPU seconds of the broker for a million messages.
    pub(crate) cpu_per_million: Option<f64>,
    /// Most memory the broker's process ever had, MiB.
    pub(crate) peak_mib: Option<f64>,
}

impl Figures {
    fn named(&self) -> [(&'static str, Option<f64>); 8] {
        let [p50, p99, p999] = self.quantiles_ms;
        [
            ("messages/s", Some(self.rate)),
            ("MB/s", Some(self.mb_per_second)),
            ("p50", Some(p50)),
            ("p99", Some(p99)),
            ("p99.9", Some(p999)),
            ("max", Some(self.max_ms)),
            ("broker CPU", self.cpu_per_million),
            ("peak memory", self.peak_mib),
        ]
    }
}

pub(crate) fn arguments() -> [Arg; 4] {
    let against = Arg::new("against").long("against").value_name("LIST");
    [
        number(
            "observe",
            None,
            "0",
            "Process id of the broker, for its CPU time and memory",
        ),
        against.help("Name servers of a second broker: both are loaded in turns and compared"),
        number("observeAgainst", None, "0", "Process id of the second broker"),
        number("rounds", None, "2", "Turns of each of the two"),
    ]
}

/// Measures the broker behind `namesrv`, or it and the one it is to be compared with, in turns. `run` gives no figures when
/// it ended before it was measured.
pub(crate) async fn in_turns(
    matches: &ArgMatches,
    namesrv: &str,
    run: impl AsyncFn(&Side) -> Result<Option<Figures>, Error>,
) -> Result<(), Error> {
    let side = |namesrv: &str, observe| Side {
        namesrv: namesrv.to_owned(),
        observed: u32::try_from(given(matches, observe)).ok().filter(|pid| *pid > 0),
    };
    let first = side(namesrv, "observe");
    let Some(against) = matches.get_one::<String>("against") else {
        run(&first).await?;
        return Ok(());
    };
    if given(matches, "seconds") == 0 {
        return Err(Error::BadMessage(
            "--against needs --seconds: each turn must end".to_owned(),
        ));
    }
    let second = side(against, "observeAgainst");
    let mut rounds = Vec::new();
    for round in 1..=given(matches, "rounds").max(1) {
        let mut found = Vec::new();
        for side in [&first, &second] {
            print(&format!("-- round {round}, {}", side.namesrv));
            match run(side).await? {
                Some(figures) => found.push(figures),
                None => {
                    complain("nothing is compared: this turn ended before it was measured");
                    return Ok(());
                }
            }
        }
        if let [one, other] = found[..] {
            rounds.push((one, other));
        }
    }
    print(&format!("{} / {against}: {}", first.namesrv, ratios(&rounds)));
    Ok(())
}

/// The median over the rounds of each figure's ratio.
fn ratios(rounds: &[(Figures, Figures)]) -> String {
    let both: Vec<_> = rounds
        .iter()
        .map(|(one, other)| (one.named(), other.named()))
        .collect();
    let Some((names, _)) = both.first() else {
        return String::new();
    };
    let told = names.iter().enumerate().filter_map(|(at, (name, _))| {
        let of_rounds = both
            .iter()
            .filter_map(|(one, other)| Some(one[at].1? / other[at].1.filter(|v| *v > 0.0)?));
        let mut ratios: Vec<f64> = of_rounds.collect();
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (ratios.len().checked_sub(1)? / 2, ratios.len() / 2);
        Some(format!("{name} {:.3}", f64::midpoint(ratios[low], ratios[high])))
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(rate: f64, cpu: Option<f64>) -> Figures {
        Figures {
            rate,
            mb_per_second: rate / 1000.0,
            quantiles_ms: [1.0, 2.0, 3.0],
            max_ms: 4.0,
            cpu_per_million: cpu,
            peak_mib: cpu.map(|_| 100.0),
        }
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds() {
        let one = |rate| figures(rate, Some(3.0));
        let rounds = [
            (one(300.0), one(100.0)),
            (one(100.0), one(100.0)),
            (one(500.0), one(100.0)),
        ];
        let text = "messages/s 3.000, MB/s 3.000, p50 1.000, p99 1.000, p99.9 1.000, max 1.000, broker CPU 1.000, \
                    peak memory 1.000";
        assert_eq!(ratios(&rounds), text);
        assert!(ratios(&rounds[..2]).starts_with("messages/s 2.000,"));
    }

    #[test]
    fn what_was_not_observed_of_both_has_no_ratio() {
        let rounds = [(figures(1.0, Some(3.0)), figures(2.0, None))];
        let text = "messages/s 0.500, MB/s 0.500, p50 1.000, p99 1.000, p99.9 1.000, max 1.000";
        assert_eq!(ratios(&rounds), text);
    }
}
