//! Everything that is told, gathered when it is asked for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::Exposition;
use crate::exposition::{FamilyData, label};

/// Something that has families to tell. It is asked on the listener's own threads, and may take its time; it must hold no lock
/// long, for what it counts goes on meanwhile.
pub trait Source: Send + Sync + 'static {
    /// Writes what there is now. No two sources write families of one name.
    fn write(&self, to: &mut Exposition<'_>);
}

/// All sources of a server.
pub struct Registry {
    /// Labels of every series.
    pub(crate) labels: Vec<(String, String)>,
    /// The same as text.
    common: String,
    series_max: usize,
    sources: Vec<Box<dyn Source>>,
    /// Series left out by all texts so far.
    dropped: AtomicU64,
    /// Texts written so far.
    texts: AtomicU64,
    /// How long the last one took, ns.
    took_ns: AtomicU64,
    /// Pushes that arrived, and that did not.
    pub(crate) pushed: [AtomicU64; 2],
}

impl Registry {
    /// `common` are labels of every series; of each family at most `series_max` series are told.
    pub fn new(common: &[(&str, &str)], series_max: usize) -> Self {
        let mut text = String::new();
        for (name, value) in common {
            if !text.is_empty() {
                text.push(',');
            }
            label(&mut text, name, value);
        }
        Self {
            labels: common
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            common: text,
            series_max,
            sources: Vec::new(),
            dropped: AtomicU64::new(0),
            texts: AtomicU64::new(0),
            took_ns: AtomicU64::new(0),
            pushed: Default::default(),
        }
    }

    /// One more source.
    pub fn add(&mut self, source: impl Source) {
        self.sources.push(Box::new(source));
    }

    /// The text of all families.
    pub fn text(&self) -> String {
        let mut to = Exposition::text(&self.common, self.series_max);
        self.write(&mut to);
        to.into_text()
    }

    /// All families as data.
    pub(crate) fn data(&self) -> Vec<FamilyData> {
        let mut to = Exposition::data(self.series_max);
        self.write(&mut to);
        to.into_data()
    }

    fn write(&self, to: &mut Exposition<'_>) {
        let begun = Instant::now();
        for source in &self.sources {
            source.write(to);
        }
        let dropped = self.dropped.fetch_add(to.dropped(), Relaxed) + to.dropped();
        to.counter(
            "rocketmq_metrics_series_dropped_total",
            "Series left out of all scrapes because their family has more than metricsOtelCardinalityLimit.",
        )
        .value(&[], dropped as f64);
        to.counter("rocketmq_metrics_scrapes_total", "Scrapes so far.")
            .value(&[], self.texts.fetch_add(1, Relaxed) as f64);
        to.gauge(
            "rocketmq_metrics_scrape_seconds",
            "How long the last scrape took to be written.",
        )
        .value(&[], self.took_ns.load(Relaxed) as f64 / 1e9);
        let [arrived, lost] = [0, 1].map(|at| self.pushed[at].load(Relaxed));
        if arrived + lost > 0 {
            let mut family = to.counter("rocketmq_metrics_pushes_total", "Pushes of metrics so far.");
            family.value(&[("result", "success")], arrived as f64);
            family.value(&[("result", "failure")], lost as f64);
        }
        let took_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.took_ns.store(took_ns, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Topics(&'static [&'static str]);

    impl Source for Topics {
        fn write(&self, to: &mut Exposition<'_>) {
            let mut family = to.gauge("topics", "Topics.");
            for topic in self.0 {
                family.value(&[("topic", topic)], 1.0);
            }
        }
    }

    /// What a library makes of a text: names with labels and values.
    fn parsed(text: &str) -> prometheus_parse::Scrape {
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        prometheus_parse::Scrape::parse(lines).expect("Prometheus can read it")
    }

    #[test]
    fn a_text_is_what_prometheus_reads() {
        let mut registry = Registry::new(&[("cluster", "C\"1"), ("node_id", "broker-a")], 100);
        registry.add(Topics(&["a", "b\\c"]));
        let scrape = parsed(&registry.text());
        let topics: Vec<_> = scrape
            .samples
            .iter()
            .filter(|sample| sample.metric == "topics")
            .map(|sample| {
                assert!(
                    sample.labels.get("cluster").is_some()
                        && sample.labels.get("node_id") == Some("broker-a")
                );
                sample.labels.get("topic").expect("a label").to_owned()
            })
            .collect();
        assert_eq!(topics.len(), 2, "{scrape:?}");
        assert_eq!(scrape.docs.get("topics").map(String::as_str), Some("Topics."));
    }

    #[test]
    fn what_is_left_out_is_told_by_the_same_text() {
        let mut registry = Registry::new(&[], 2);
        registry.add(Topics(&["a", "b", "c"]));
        for (scrapes, dropped) in [(0, 1), (1, 2), (2, 3)] {
            let text = registry.text();
            for (name, value) in [
                ("rocketmq_metrics_series_dropped_total", dropped),
                ("rocketmq_metrics_scrapes_total", scrapes),
            ] {
                assert!(text.contains(&format!("\n{name} {value}\n")), "{text}");
            }
        }
    }
}
