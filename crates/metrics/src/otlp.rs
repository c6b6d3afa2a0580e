//! Families as OTLP has them: names without their unit, buckets by themselves, counters since the start or since the last push.

use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};

use crate::exposition::{FamilyData, Kind, Point, PointValue};

/// Bytes of the series of one push: a collector takes four MiB. One series may be more than what is left of that.
const PUSH_MAX_BYTES: usize = 3 << 20;
/// Bytes of a series beside its labels; of a label beside its texts; of a bucket with its bound.
const POINT_BYTES: usize = 64;
const LABEL_BYTES: usize = 12;
const BUCKET_BYTES: usize = 16;
/// The label that names the scope in Prometheus's text; here the scope has a field of its own.
const SCOPE: &str = "otel_scope_name";
/// Units that stand at the end of a name in Prometheus's text, and as OTLP has them.
const UNITS: [(&str, &str); 3] = [
    ("_milliseconds", "milliseconds"),
    ("_seconds", "seconds"),
    ("_bytes", "bytes"),
];
/// The only name of 5.x that gets `_bytes` from its unit; the others have it themselves.
const SIZE: &str = "rocketmq_storage_size_bytes";

/// What a counter or a histogram had counted at the last push.
#[derive(Debug, Clone, PartialEq)]
enum Counted {
    Number(f64),
    Histogram(Vec<u64>, f64),
}

type Series = (&'static str, Vec<(String, String)>);

/// Makes pushes of what there is now.
pub(crate) struct Pushes {
    scope: String,
    /// Labels of every series.
    common: Vec<KeyValue>,
    /// What they take.
    common_bytes: usize,
    /// When the counting began; with deltas the last push. ns since 1970.
    since: u64,
    /// What was counted by then; none where everything counts from the start.
    before: Option<HashMap<Series, Counted>>,
}

impl Pushes {
    /// The first one counts from `since`.
    pub(crate) fn new(labels: &[(String, String)], in_delta: bool, since: u64) -> Self {
        let scope = labels.iter().find(|(name, _)| name == SCOPE);
        let rest = labels.iter().filter(|(name, _)| name != SCOPE);
        let common_bytes = labels.iter().map(label_bytes).sum();
        let mut common: Vec<KeyValue> = rest.map(|(name, value)| attribute(name, value)).collect();
        if in_delta {
            common.push(attribute("aggregation", "delta"));
        }
        Self {
            scope: scope.map(|(_, value)| value.clone()).unwrap_or_default(),
            common,
            common_bytes,
            since,
            before: in_delta.then(HashMap::new),
        }
    }

    /// Pushes of these families, each of some MiB.
    pub(crate) fn next(&mut self, families: Vec<FamilyData>, now: u64) -> Vec<ResourceMetrics> {
        let mut counted = HashMap::new();
        let mut all: Vec<Vec<Metric>> = Vec::new();
        let common = self.common_bytes;
        let mut room = 0;
        for mut family in families {
            while !family.points.is_empty() {
                if room == 0 {
                    all.push(Vec::new());
                    room = PUSH_MAX_BYTES;
                }
                let mut fit = 0;
                for point in &family.points {
                    if room == 0 {
                        break;
                    }
                    room = room.saturating_sub(common + weight(point));
                    fit += 1;
                }
                let rest = family.points.split_off(fit);
                let points = std::mem::replace(&mut family.points, rest);
                let metric = self.metric(&family, points, now, &mut counted);
                all.last_mut().expect("it was pushed").push(metric);
            }
        }
        if let Some(before) = &mut self.before {
            *before = counted;
            self.since = now;
        }
        all.into_iter().map(|metrics| self.push(metrics)).collect()
    }

    fn push(&self, metrics: Vec<Metric>) -> ResourceMetrics {
        let scope = InstrumentationScope {
            name: self.scope.clone(),
            ..InstrumentationScope::default()
        };
        ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope),
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }
    }

    fn metric(
        &self,
        family: &FamilyData,
        points: Vec<Point>,
        now: u64,
        counted: &mut HashMap<Series, Counted>,
    ) -> Metric {
        let (name, unit) = name_and_unit(family.name);
        let temporality = match self.before {
            Some(_) => AggregationTemporality::Delta,
            None => AggregationTemporality::Cumulative,
        };
        let mut numbers = Vec::new();
        let mut histograms = Vec::new();
        for point in points {
            let value = match family.kind {
                Kind::Gauge => point.value,
                Kind::Counter | Kind::Histogram => {
                    self.since_before(family.name, &point.labels, point.value, counted)
                }
            };
            let labels = self.attributes(&point.labels);
            match value {
                PointValue::Number(value) => numbers.push(NumberDataPoint {
                    attributes: labels,
                    start_time_unix_nano: self.since,
                    time_unix_nano: now,
                    value: Some(number_data_point::Value::AsDouble(value)),
                    ..NumberDataPoint::default()
                }),
                PointValue::Histogram { bounds, counts, sum } => histograms.push(HistogramDataPoint {
                    attributes: labels,
                    start_time_unix_nano: self.since,
                    time_unix_nano: now,
                    count: counts.iter().sum(),
                    sum: Some(sum),
                    bucket_counts: counts,
                    explicit_bounds: bounds,
                    ..HistogramDataPoint::default()
                }),
            }
        }
        let data = match family.kind {
            Kind::Gauge => metric::Data::Gauge(Gauge { data_points: numbers }),
            Kind::Counter => metric::Data::Sum(Sum {
                data_points: numbers,
                aggregation_temporality: temporality.into(),
                is_monotonic: true,
            }),
            Kind::Histogram => metric::Data::Histogram(Histogram {
                data_points: histograms,
                aggregation_temporality: temporality.into(),
            }),
        };
        Metric {
            name: name.to_owned(),
            description: family.help.to_owned(),
            unit: unit.to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn attributes(&self, labels: &[(String, String)]) -> Vec<KeyValue> {
        let own = labels.iter().map(|(name, value)| attribute(name, value));
        self.common.iter().cloned().chain(own).collect()
    }

    /// What has been counted since the last push, where that is what is told. A count that went back has begun anew.
    fn since_before(
        &self,
        name: &'static str,
        labels: &[(String, String)],
        value: PointValue,
        counted: &mut HashMap<Series, Counted>,
    ) -> PointValue {
        let Some(before) = &self.before else { return value };
        let series = (name, labels.to_vec());
        let (now, told) = match (value, before.get(&series)) {
            (PointValue::Number(now), Some(Counted::Number(before))) if now >= *before => {
                (Counted::Number(now), PointValue::Number(now - before))
            }
            (PointValue::Number(now), _) => (Counted::Number(now), PointValue::Number(now)),
            (PointValue::Histogram { bounds, counts, sum }, before) => {
                let now = Counted::Histogram(counts.clone(), sum);
                let (counts, sum) = match before {
                    Some(Counted::Histogram(old, old_sum)) if !went_back(&counts, old) => (
                        counts.iter().zip(old).map(|(now, before)| now - before).collect(),
                        sum - old_sum,
                    ),
                    _ => (counts, sum),
                };
                (now, PointValue::Histogram { bounds, counts, sum })
            }
        };
        counted.insert(series, now);
        told
    }
}

fn label_bytes((name, value): &(String, String)) -> usize {
    LABEL_BYTES + name.len() + value.len()
}

/// Bytes of a series without the labels that all have.
fn weight(point: &Point) -> usize {
    let buckets = match &point.value {
        PointValue::Number(_) => 0,
        PointValue::Histogram { counts, .. } => counts.len(),
    };
    POINT_BYTES + BUCKET_BYTES * buckets + point.labels.iter().map(label_bytes).sum::<usize>()
}

fn went_back(now: &[u64], before: &[u64]) -> bool {
    now.len() != before.len() || now.iter().zip(before).any(|(now, before)| now < before)
}

/// A text; of names with `is_` a boolean, as in 5.x.
fn attribute(name: &str, value: &str) -> KeyValue {
    let value = match value.parse() {
        Ok(yes) if name.starts_with("is_") => any_value::Value::BoolValue(yes),
        _ => any_value::Value::StringValue(value.to_owned()),
    };
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// As 5.x names it: the unit stands in a field of its own, and also in the name where 5.x has it there.
fn name_and_unit(name: &'static str) -> (&'static str, &'static str) {
    let found = UNITS
        .iter()
        .find_map(|(ending, unit)| Some((name.strip_suffix(ending)?, *unit)));
    match found {
        Some((_, "bytes")) if name != SIZE => (name, "bytes"),
        Some(found) => found,
        None => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn family(name: &'static str, kind: Kind, values: Vec<PointValue>) -> FamilyData {
        let points = values.into_iter().enumerate().map(|(at, value)| Point {
            labels: labels(&[("at", at.to_string().as_str())]),
            value,
        });
        FamilyData {
            name,
            kind,
            help: "Help.",
            points: points.collect(),
        }
    }

    fn buckets(counts: [u64; 3], sum: f64) -> PointValue {
        PointValue::Histogram {
            bounds: vec![1.0, 5.0],
            counts: counts.to_vec(),
            sum,
        }
    }

    /// Values of the only series of all metrics of a push, a histogram's by bucket and sum; and whether they are deltas.
    fn told(push: &ResourceMetrics) -> Vec<(String, Vec<f64>, bool)> {
        let delta = i32::from(AggregationTemporality::Delta);
        let one = |metric: &Metric| {
            let (values, is_delta) = match metric.data.as_ref().expect("data") {
                metric::Data::Gauge(gauge) => (numbers(&gauge.data_points), false),
                metric::Data::Sum(sum) => (numbers(&sum.data_points), sum.aggregation_temporality == delta),
                metric::Data::Histogram(histogram) => {
                    let point = &histogram.data_points[0];
                    let counts = point.bucket_counts.iter().map(|count| *count as f64);
                    let values = counts.chain(point.sum).collect();
                    (values, histogram.aggregation_temporality == delta)
                }
                other => panic!("{other:?}"),
            };
            (metric.name.clone(), values, is_delta)
        };
        push.scope_metrics[0].metrics.iter().map(one).collect()
    }

    fn numbers(points: &[NumberDataPoint]) -> Vec<f64> {
        let value = |point: &NumberDataPoint| match point.value {
            Some(number_data_point::Value::AsDouble(value)) => value,
            other => panic!("{other:?}"),
        };
        points.iter().map(value).collect()
    }

    fn families(gauge: f64, counter: f64, counts: [u64; 3], sum: f64) -> Vec<FamilyData> {
        vec![
            family("g_bytes", Kind::Gauge, vec![PointValue::Number(gauge)]),
            family("c_total", Kind::Counter, vec![PointValue::Number(counter)]),
            family("h_milliseconds", Kind::Histogram, vec![buckets(counts, sum)]),
        ]
    }

    fn all(gauge: f64, counter: f64, histogram: [f64; 4], is_delta: bool) -> Vec<(String, Vec<f64>, bool)> {
        vec![
            ("g_bytes".to_owned(), vec![gauge], false),
            ("c_total".to_owned(), vec![counter], is_delta),
            ("h".to_owned(), histogram.to_vec(), is_delta),
        ]
    }

    #[test]
    fn everything_since_the_start_or_since_the_last_push() {
        let common = labels(&[("otel_scope_name", "meter"), ("node", "a")]);
        let mut pushes = Pushes::new(&common, false, 7);
        for now in [10, 20] {
            let push = &pushes.next(families(3.0, 5.0, [1, 2, 3], 60.0), now)[0];
            assert_eq!(told(push), all(3.0, 5.0, [1.0, 2.0, 3.0, 60.0], false));
        }
        let push = &pushes.next(families(3.0, 5.0, [1, 2, 3], 60.0), 30)[0];
        let scope = &push.scope_metrics[0];
        assert_eq!(
            scope.scope.as_ref().map(|scope| scope.name.as_str()),
            Some("meter")
        );
        let histogram = &scope.metrics[2];
        assert_eq!(
            (histogram.unit.as_str(), histogram.description.as_str()),
            ("milliseconds", "Help.")
        );
        let Some(metric::Data::Histogram(data)) = &histogram.data else {
            panic!("{histogram:?}")
        };
        let point = &data.data_points[0];
        assert_eq!(
            (point.start_time_unix_nano, point.time_unix_nano, point.count),
            (7, 30, 6)
        );
        let names: Vec<&str> = point.attributes.iter().map(|label| label.key.as_str()).collect();
        assert_eq!(names, ["node", "at"]);

        let mut pushes = Pushes::new(&common, true, 7);
        let steps = [
            (10, (3.0, 5.0, [1, 2, 3], 60.0), (3.0, 5.0, [1.0, 2.0, 3.0, 60.0])),
            (20, (1.0, 9.0, [1, 4, 3], 70.0), (1.0, 4.0, [0.0, 2.0, 0.0, 10.0])),
            // It has begun anew.
            (30, (1.0, 2.0, [1, 0, 0], 1.0), (1.0, 2.0, [1.0, 0.0, 0.0, 1.0])),
        ];
        let mut since = 7;
        for (now, (gauge, counter, counts, sum), expected) in steps {
            let push = &pushes.next(families(gauge, counter, counts, sum), now)[0];
            assert_eq!(told(push), all(expected.0, expected.1, expected.2, true));
            let Some(metric::Data::Sum(data)) = &push.scope_metrics[0].metrics[1].data else {
                panic!("{push:?}")
            };
            let point = &data.data_points[0];
            assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (since, now));
            assert!(point.attributes.iter().any(|label| label.key == "aggregation"));
            since = now;
        }
    }

    #[test]
    fn a_push_has_so_many_bytes_and_no_series_is_lost() {
        let long = "x".repeat(1000);
        let common = labels(&[("cluster", &long)]);
        let family = |first: usize, count: usize, is_histogram: bool, long: &str| {
            let point = |at: usize| Point {
                labels: labels(&[("at", long)]),
                value: match is_histogram {
                    true => buckets([0, 0, 0], at as f64),
                    false => PointValue::Number(at as f64),
                },
            };
            FamilyData {
                name: "f",
                kind: if is_histogram {
                    Kind::Histogram
                } else {
                    Kind::Gauge
                },
                help: "Help.",
                points: (first..first + count).map(point).collect(),
            }
        };
        let mut pushes = Pushes::new(&common, false, 0);
        let families = vec![
            family(0, 4000, false, &long),
            family(4000, 0, false, ""),
            family(4000, 6000, true, ""),
            family(10_000, 5000, false, ""),
        ];
        let made = pushes.next(families, 1);
        let mut values = Vec::new();
        for (index, push) in made.iter().enumerate() {
            let len = push.encoded_len();
            assert!(len < 4 << 20, "{len}");
            assert!(len > 2 << 20 || index + 1 == made.len(), "{len}");
            for metric in &push.scope_metrics[0].metrics {
                match metric.data.as_ref().expect("data") {
                    metric::Data::Histogram(all) => {
                        values.extend(all.data_points.iter().filter_map(|point| point.sum))
                    }
                    metric::Data::Gauge(all) => values.extend(numbers(&all.data_points)),
                    other => panic!("{other:?}"),
                }
            }
        }
        let all: Vec<f64> = (0..15_000).map(f64::from).collect();
        assert_eq!(values, all);
    }

    #[test]
    fn units_are_where_5_x_has_them() {
        for (name, expected) in [
            (
                "rocketmq_rpc_latency_milliseconds",
                ("rocketmq_rpc_latency", "milliseconds"),
            ),
            ("rocketmq_storage_size_bytes", ("rocketmq_storage_size", "bytes")),
            (
                "rocketmq_storage_flush_behind_bytes",
                ("rocketmq_storage_flush_behind_bytes", "bytes"),
            ),
            (
                "rocketmq_delay_message_latency_seconds",
                ("rocketmq_delay_message_latency", "seconds"),
            ),
            ("rocketmq_messages_in_total", ("rocketmq_messages_in_total", "")),
        ] {
            assert_eq!(name_and_unit(name), expected);
        }
    }
}
