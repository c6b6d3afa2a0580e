//! The settings of metrics and health, which both servers have. Java keeps them in BrokerConfig and ControllerConfig.

use settings::{BadValue, Report, Secret, Severity, settings};
use std::time::Duration;

use crate::{Collector, PushSettings, PushTarget, exporter, label_of};

settings! {
    /// Where metrics and health are, and what their series say besides (docs/metrics.md).
    pub struct MetricsSection, class "Metrics", important [];
    /// DISABLE: neither metrics nor health are served. PROM: a broker to which it is given has them, as in 5.x, at brokerIP1 and port 5557. OTLP_GRPC and LOG: metrics are pushed besides.
    metrics_exporter_type: String = "PROM".to_owned(),
        java "metricsExporterType", since "5.3", applies AtStart, check known;
    /// Address of metrics and health; not given, loopback.
    metrics_prom_exporter_host: String = String::new(),
        java "metricsPromExporterHost", since "5.3", applies AtStart;
    /// Their port; not given, the first free one of 5558 to 5587, of a name server 5528 to 5556.
    metrics_prom_exporter_port: i32 = 5557,
        java "metricsPromExporterPort", since "5.3", applies AtStart, range 0..=65_535;
    /// More labels of every series, `k:v,k:v`.
    metrics_label: String = String::new(), java "metricsLabel", since "5.3", applies AtStart;
    /// The collector of OTLP_GRPC, `http://host:4317`; without a scheme TLS is spoken, with the roots of the system.
    metrics_grpc_exporter_target: String = String::new(),
        java "metricsGrpcExporterTarget", since "5.3", applies AtStart;
    /// Headers for it, `name:value` separated by commas.
    metrics_grpc_exporter_header: Secret = Secret::default(),
        java "metricsGrpcExporterHeader", since "5.3", applies AtStart;
    /// Milliseconds that it has for an answer.
    metric_grpc_exporter_time_out_in_mills: i64 = 3000,
        java "metricGrpcExporterTimeOutInMills", since "5.3", applies AtStart, range 1..=i64::MAX;
    /// Milliseconds from one push to the next.
    metric_grpc_exporter_interval_in_mills: i64 = 60_000,
        java "metricGrpcExporterIntervalInMills", since "5.3", applies AtStart, range 1..=i64::MAX;
    /// The same of LOG.
    metric_logging_exporter_interval_in_mills: i64 = 10_000,
        java "metricLoggingExporterIntervalInMills", since "5.3", applies AtStart, range 1..=i64::MAX;
    /// What is pushed of counters and histograms is what came since the last push.
    metrics_in_delta: bool = false, java "metricsInDelta", since "5.3", applies AtStart;
}

fn known(text: &str) -> Result<(), BadValue> {
    match exporter(text) {
        Some(_) => Ok(()),
        None => Err(BadValue::new("DISABLE, OTLP_GRPC, PROM or LOG")),
    }
}

impl MetricsSection {
    /// Reports what can not be, or has no effect.
    pub fn check(&self, report: &mut Report) {
        if let Err(text) = self.target() {
            report.about(Severity::Error, "metricsGrpcExporterTarget", text);
        }
        let is_otlp = exporter(&self.metrics_exporter_type) == Some("OTLP_GRPC");
        if is_otlp && self.metrics_grpc_exporter_target.is_empty() {
            let text = "metricsExporterType=OTLP_GRPC: nothing is pushed without metricsGrpcExporterTarget";
            report.about(Severity::Warning, "metricsExporterType", text);
        }
        for item in self.metrics_label.split(',').filter(|item| !item.is_empty()) {
            if label_of(item).is_none() {
                let text = format!("metricsLabel: `{item}` is left out: it is no name:value");
                report.about(Severity::Warning, "metricsLabel", text);
            }
        }
    }

    /// Whether metrics are pushed, and how; what [`MetricsSection::check`] refuses pushes nothing.
    pub fn push(&self) -> Option<PushSettings> {
        let target = self.target().ok()??;
        let each_ms = match target {
            PushTarget::Collector(_) => self.metric_grpc_exporter_interval_in_mills,
            PushTarget::Log => self.metric_logging_exporter_interval_in_mills,
        };
        Some(PushSettings {
            target,
            each: millis(each_ms),
            in_delta: self.metrics_in_delta,
        })
    }

    fn target(&self) -> Result<Option<PushTarget>, String> {
        let target = &self.metrics_grpc_exporter_target;
        match exporter(&self.metrics_exporter_type) {
            Some("LOG") => Ok(Some(PushTarget::Log)),
            Some("OTLP_GRPC") if !target.is_empty() => {
                let headers = self.metrics_grpc_exporter_header.reveal().unwrap_or_default();
                let within = millis(self.metric_grpc_exporter_time_out_in_mills);
                let collector = Collector::new(target, headers, within);
                collector.map(|collector| Some(PushTarget::Collector(Box::new(collector))))
            }
            _ => Ok(None),
        }
    }

    /// The labels that metricsLabel adds to every series.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metrics_label.split(',').filter_map(label_of)
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_effect_is_reported() {
        let mut section = MetricsSection {
            metrics_exporter_type: "1".to_owned(),
            metrics_label: "zone:a,9:x,,rack:b:c,row:d".to_owned(),
            ..MetricsSection::default()
        };
        let mut report = Report::default();
        section.check(&mut report);
        assert_eq!(
            report.to_string(),
            "warning: metricsExporterType=OTLP_GRPC: nothing is pushed without metricsGrpcExporterTarget\n\
             warning: metricsLabel: `9:x` is left out: it is no name:value\n\
             warning: metricsLabel: `rack:b:c` is left out: it is no name:value\n"
        );
        assert_eq!(
            section.labels().collect::<Vec<_>>(),
            [("zone", "a"), ("row", "d")]
        );
        section.metrics_grpc_exporter_target = "a b".to_owned();
        let mut report = Report::default();
        section.check(&mut report);
        assert!(report.has_errors(), "{report}");
        section = MetricsSection::default();
        let mut report = Report::default();
        section.check(&mut report);
        assert_eq!(report.to_string(), "");
        assert!(section.push().is_none());
    }

    #[test]
    fn each_way_has_its_interval() {
        let mut section = MetricsSection {
            metrics_exporter_type: "OTLP_GRPC".to_owned(),
            metrics_grpc_exporter_target: "http://127.0.0.1:4317".to_owned(),
            ..MetricsSection::default()
        };
        let each = |section: &MetricsSection| section.push().map(|push| push.each.as_secs());
        assert_eq!(each(&section), Some(60));
        section.metrics_exporter_type = "3".to_owned();
        assert_eq!(each(&section), Some(10));
        section.metrics_exporter_type = "PROM".to_owned();
        assert_eq!(each(&section), None);
    }
}
