//! The settings of metrics and health, which both servers have. Java keeps them in BrokerConfig and ControllerConfig.

use settings::{BadValue, Report, Severity, settings};

use crate::{exporter, label_of};

settings! {
    /// Where metrics and health are, and what their series say besides (docs/metrics.md).
    pub struct MetricsSection, class "Metrics", important [];
    /// PROM or DISABLE: whether metrics and health are served. A broker to which PROM is given has them, as in 5.x, at brokerIP1 and port 5557.
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
}

fn known(text: &str) -> Result<(), BadValue> {
    match exporter(text) {
        Some(_) => Ok(()),
        None => Err(BadValue::new("DISABLE, OTLP_GRPC, PROM or LOG")),
    }
}

impl MetricsSection {
    /// Reports what is set and has no effect.
    pub fn check(&self, report: &mut Report) {
        if let Some(pushed @ ("OTLP_GRPC" | "LOG")) = exporter(&self.metrics_exporter_type) {
            let text =
                format!("metricsExporterType={pushed} pushes nothing here: metrics are pulled, as with PROM");
            report.about(Severity::Warning, "metricsExporterType", text);
        }
        for item in self.metrics_label.split(',').filter(|item| !item.is_empty()) {
            if label_of(item).is_none() {
                let text = format!("metricsLabel: `{item}` is left out: it is no name:value");
                report.about(Severity::Warning, "metricsLabel", text);
            }
        }
    }

    /// The labels that metricsLabel adds to every series.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metrics_label.split(',').filter_map(label_of)
    }
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
            "warning: metricsExporterType=OTLP_GRPC pushes nothing here: metrics are pulled, as with PROM\n\
             warning: metricsLabel: `9:x` is left out: it is no name:value\n\
             warning: metricsLabel: `rack:b:c` is left out: it is no name:value\n"
        );
        assert_eq!(
            section.labels().collect::<Vec<_>>(),
            [("zone", "a"), ("row", "d")]
        );
        section = MetricsSection::default();
        let mut report = Report::default();
        section.check(&mut report);
        assert_eq!(report.to_string(), "");
    }
}
