//! Clients, tables, permission.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{Exposition, Source};
use protocol::Language;
use protocol::body::broker::ConsumeType;
use protocol::version;
use settings::Live;

use super::flag;
use crate::clients::Clients;
use crate::settings::Settings;
use crate::stats::is_system_group;
use crate::tables::Tables;

/// Tells them.
pub struct ClientsTold {
    /// Settings that may change at run time.
    pub settings: Arc<Live<Settings>>,
    /// Topics and groups.
    pub tables: Tables,
    /// Who is connected.
    pub clients: Clients,
}

impl Source for ClientsTold {
    fn write(&self, to: &mut Exposition<'_>) {
        let permission = self.settings.load().broker.broker_permission;
        to.gauge("rocketmq_broker_permission", "Permission of the broker.")
            .value(&[], f64::from(permission));
        to.gauge("rocketmq_topic_number", "Topics, those of the system included.")
            .value(&[], self.tables.topics.len() as f64);
        to.gauge(
            "rocketmq_consumer_group_number",
            "Consumer groups, those of the system included.",
        )
        .value(&[], self.tables.groups.len() as f64);
        self.producers(to);
        self.consumers(to);
    }
}

impl ClientsTold {
    fn producers(&self, to: &mut Exposition<'_>) {
        let mut family = to.gauge("rocketmq_producer_connections", "Clients in all producer groups.");
        for ((language, version), count) in counted(self.clients.producers.clients()) {
            let labels = [
                ("language", language.as_str()),
                ("protocol_type", "remoting"),
                ("version", version.as_str()),
            ];
            family.value(&labels, count as f64);
        }
    }

    fn consumers(&self, to: &mut Exposition<'_>) {
        let mut family = to.gauge("rocketmq_consumer_connections", "Clients in a consumer group.");
        for group in self.clients.consumers.names() {
            let Some(glance) = self.clients.consumers.glance(&group) else {
                continue;
            };
            let mode = match glance.consume_type {
                ConsumeType::Actively => "pull",
                ConsumeType::Passively => "push",
                ConsumeType::Pop => "pop",
            };
            for ((language, version), count) in counted(glance.clients) {
                let labels = [
                    ("consume_mode", mode),
                    ("consumer_group", group.as_str()),
                    ("is_system", flag(is_system_group(&group))),
                    ("language", language.as_str()),
                    ("protocol_type", "remoting"),
                    ("version", version.as_str()),
                ];
                family.value(&labels, count as f64);
            }
        }
    }
}

/// How many there are of each language and version, as labels name them.
fn counted(clients: Vec<(Language, i32)>) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for (language, number) in clients {
        let version = version::name(number).unwrap_or_else(|| number.to_string());
        let key = (language.name().to_ascii_lowercase(), version.to_ascii_lowercase());
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_counted_by_language_and_version() {
        let counts = counted(vec![
            (Language::Java, 479),
            (Language::Java, 479),
            (Language::Go, 100),
        ]);
        let counts: Vec<_> = counts.into_iter().collect();
        let text = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(counts, [(text("go", "100"), 1), (text("java", "v5_3_3"), 2)]);
    }
}
