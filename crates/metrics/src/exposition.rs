//! What sources write into: the text that Prometheus reads, or data that is pushed.
//!
//! The text is of version 0.0.4: as RocketMQ 5.x writes it, but for the lines TYPE and HELP, which have the name that
//! the samples have. (5.x leaves the unit out there, so that Prometheus takes such families for untyped.)

use std::fmt::Write;

use crate::HistogramView;

/// Families that are being written, with a limit of series for each.
pub struct Exposition<'a> {
    out: Out<'a>,
    series_max: usize,
    dropped: u64,
}

/// Where they go.
enum Out<'a> {
    Text(Text<'a>),
    Data(Vec<FamilyData>),
}

/// A text, with the labels that every series has.
struct Text<'a> {
    text: String,
    /// `name="value"` of every series, separated by commas.
    common: &'a str,
}

/// A family as data, without the labels that every series has.
pub(crate) struct FamilyData {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    pub(crate) points: Vec<Point>,
}

/// One series of it.
pub(crate) struct Point {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: PointValue,
}

/// What it says.
pub(crate) enum PointValue {
    Number(f64),
    /// Each bucket by itself, the last one without a bound.
    Histogram {
        bounds: Vec<f64>,
        counts: Vec<u64>,
        sum: f64,
    },
}

/// What a family's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    Counter,
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        }
    }
}

/// One name with its series. Its head is written with its first series: what nobody counted is absent.
pub struct Family<'e, 'a> {
    to: &'e mut Exposition<'a>,
    name: &'static str,
    kind: Kind,
    help: &'static str,
    series: usize,
}

impl<'a> Exposition<'a> {
    /// A text; each series has the labels `common`.
    pub(crate) fn text(common: &'a str, series_max: usize) -> Self {
        let text = Text {
            text: String::new(),
            common,
        };
        Self::to(Out::Text(text), series_max)
    }

    /// Data.
    pub(crate) fn data(series_max: usize) -> Self {
        Self::to(Out::Data(Vec::new()), series_max)
    }

    fn to(out: Out<'a>, series_max: usize) -> Self {
        Self {
            out,
            series_max,
            dropped: 0,
        }
    }

    /// The text that was written; of data none.
    pub(crate) fn into_text(self) -> String {
        match self.out {
            Out::Text(text) => text.text,
            Out::Data(_) => String::new(),
        }
    }

    /// The data that was written; of a text none.
    pub(crate) fn into_data(self) -> Vec<FamilyData> {
        match self.out {
            Out::Text(_) => Vec::new(),
            Out::Data(data) => data,
        }
    }

    /// How many series were left out so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A family of values that go up and down.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_, 'a> {
        self.family(name, Kind::Gauge, help)
    }

    /// A family of counts that only grow; `name` ends with `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_, 'a> {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.family(name, Kind::Counter, help)
    }

    /// A family of histograms.
    pub fn histogram(&mut self, name: &'static str, help: &'static str) -> Family<'_, 'a> {
        self.family(name, Kind::Histogram, help)
    }

    fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_, 'a> {
        Family {
            to: self,
            name,
            kind,
            help,
            series: 0,
        }
    }
}

impl Family<'_, '_> {
    /// A series, by the labels that it has beside the common ones; left out beyond the limit.
    pub fn value(&mut self, labels: &[(&str, &str)], value: f64) {
        if !self.begin() {
            return;
        }
        match &mut self.to.out {
            Out::Text(text) => text.sample(self.name, "", labels, None, value),
            Out::Data(data) => put(data, labels, PointValue::Number(value)),
        }
    }

    /// The same, of a histogram whose values are divided by `unit`: 1000 makes milliseconds of microseconds.
    pub fn view<const N: usize>(&mut self, labels: &[(&str, &str)], view: &HistogramView<N>, unit: f64) {
        if !self.begin() {
            return;
        }
        let bounds = view.bounds.iter().map(|bound| *bound as f64 / unit);
        let sum = view.sum as f64 / unit;
        match &mut self.to.out {
            Out::Text(text) => {
                let mut below = 0;
                for (bound, count) in bounds.zip(view.counts) {
                    below += count;
                    text.sample(self.name, "_bucket", labels, Some(Bound::At(bound)), below as f64);
                }
                let all = (below + view.beyond) as f64;
                text.sample(self.name, "_bucket", labels, Some(Bound::Infinite), all);
                text.sample(self.name, "_sum", labels, None, sum);
                text.sample(self.name, "_count", labels, None, all);
            }
            Out::Data(data) => {
                let value = PointValue::Histogram {
                    bounds: bounds.collect(),
                    counts: view.counts.into_iter().chain([view.beyond]).collect(),
                    sum,
                };
                put(data, labels, value);
            }
        }
    }

    /// Writes the head where this is the first series; false if this is one too many.
    fn begin(&mut self) -> bool {
        if self.series >= self.to.series_max {
            self.to.dropped += 1;
            return false;
        }
        if self.series == 0 {
            let Family { name, kind, help, .. } = *self;
            match &mut self.to.out {
                // Writing to a String cannot fail.
                Out::Text(text) => {
                    let _ = writeln!(text.text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
                }
                Out::Data(data) => data.push(FamilyData {
                    name,
                    kind,
                    help,
                    points: Vec::new(),
                }),
            }
        }
        self.series += 1;
        true
    }
}

/// A series of the family that began last.
fn put(data: &mut [FamilyData], labels: &[(&str, &str)], value: PointValue) {
    let labels = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    if let Some(family) = data.last_mut() {
        family.points.push(Point { labels, value });
    }
}

impl Text<'_> {
    fn sample(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &[(&str, &str)],
        bound: Option<Bound>,
        value: f64,
    ) {
        let text = &mut self.text;
        text.push_str(name);
        text.push_str(suffix);
        let mut before = '{';
        if !self.common.is_empty() {
            text.push(before);
            text.push_str(self.common);
            before = ',';
        }
        for (name, value) in labels {
            text.push(before);
            label(text, name, value);
            before = ',';
        }
        if let Some(bound) = bound {
            let _ = match bound {
                Bound::At(bound) => write!(text, "{before}le=\"{bound:?}\""),
                Bound::Infinite => write!(text, "{before}le=\"+Inf\""),
            };
            before = ',';
        }
        if before == ',' {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

/// The upper bound of a bucket.
enum Bound {
    At(f64),
    Infinite,
}

/// Writes `name="value"`. A value may have any characters.
pub(crate) fn label(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            _ => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Histogram;

    fn written(series_max: usize, write: impl FnOnce(&mut Exposition<'_>)) -> (String, u64) {
        let mut to = Exposition::text("a=\"1\"", series_max);
        write(&mut to);
        let dropped = to.dropped();
        (to.into_text(), dropped)
    }

    #[test]
    fn families_have_a_head_and_their_series() {
        let (text, _) = written(9, |to| {
            let mut family = to.gauge("g_bytes", "Bytes.");
            family.value(&[], 1.5);
            family.value(&[("t", "x\"\\\ny")], 1e12);
            to.counter("c_total", "Nobody counted.");
        });
        assert_eq!(
            text,
            "# HELP g_bytes Bytes.\n# TYPE g_bytes gauge\ng_bytes{a=\"1\"} 1.5\ng_bytes{a=\"1\",t=\"x\\\"\\\\\\ny\"} 1000000000000\n"
        );
    }

    #[test]
    fn buckets_are_sums_and_end_with_all() {
        static BOUNDS: [u64; 2] = [1000, 5000];
        let histogram = Histogram::new(&BOUNDS);
        for value in [500, 1000, 4000, 9000] {
            histogram.add(value);
        }
        let view = histogram.view().expect("something was counted");
        let (text, _) = written(9, |to| {
            to.histogram("h_milliseconds", "Times.")
                .view(&[("t", "x")], &view, 1000.0);
        });
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "h_milliseconds_bucket{a=\"1\",t=\"x\",le=\"1.0\"} 2",
                "h_milliseconds_bucket{a=\"1\",t=\"x\",le=\"5.0\"} 3",
                "h_milliseconds_bucket{a=\"1\",t=\"x\",le=\"+Inf\"} 4",
                "h_milliseconds_sum{a=\"1\",t=\"x\"} 14.5",
                "h_milliseconds_count{a=\"1\",t=\"x\"} 4",
            ]
        );
    }

    #[test]
    fn series_beyond_the_limit_of_a_family_are_counted_and_left_out() {
        let (text, dropped) = written(2, |to| {
            let mut first = to.gauge("first", "One.");
            for name in ["a", "b", "c", "d"] {
                first.value(&[("t", name)], 1.0);
            }
            to.gauge("second", "Two.").value(&[], 1.0);
        });
        assert_eq!(dropped, 2);
        assert_eq!(text.lines().filter(|line| line.starts_with("first{")).count(), 2);
        assert!(text.contains("second{a=\"1\"} 1\n"), "{text}");
    }

    #[test]
    fn a_series_may_have_no_label_at_all() {
        let mut to = Exposition::text("", 9);
        to.gauge("up", "Up.").value(&[], 1.0);
        assert!(to.into_text().ends_with("\nup 1\n"));
    }
}
