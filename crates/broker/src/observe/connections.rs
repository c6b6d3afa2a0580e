//! Connections, limits, registration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use disk::Disk;
use metrics::{Exposition, Source};

use crate::access::Access;
use crate::handlers::admin::limits::{Limits, Traffic};
use crate::registration::Registration;

/// Tells of the connections.
pub struct TrafficTold(pub Traffic);

impl Source for TrafficTold {
    fn write(&self, to: &mut Exposition<'_>) {
        let Traffic { room, metrics } = &self.0;
        remoting::traffic(metrics, room, to);
    }
}

/// Tells of the limits, and of requests that were refused.
pub struct LimitsTold<D: Disk> {
    /// The limits.
    pub limits: Limits,
    /// Access control.
    pub access: Access<D>,
}

impl<D: Disk> Source for LimitsTold<D> {
    fn write(&self, to: &mut Exposition<'_>) {
        let levels = self.limits.levels();
        let mut family = to.gauge("rocketmq_limit_used_bytes", "What is used of a limit.");
        for level in &levels {
            family.value(&[("limit", level.name)], level.used as f64);
        }
        let mut family = to.gauge("rocketmq_limit_max_bytes", "A limit.");
        for level in &levels {
            family.value(&[("limit", level.name)], level.max as f64);
        }
        let mut family = to.counter("rocketmq_refused_requests_total", "Requests refused, by reason.");
        for level in &levels {
            family.value(&[("reason", level.name)], level.refused as f64);
        }
        let count = |count: &AtomicU64| count.load(Relaxed) as f64;
        let stats = &self.limits.stats;
        family.value(&[("reason", "NOT_STORED")], count(&stats.put_failed));
        let guard = self.access.guard.as_ref();
        for (reason, count) in guard.iter().flat_map(|guard| guard.refused()) {
            family.value(&[("reason", reason)], count as f64);
        }
        to.gauge("rocketmq_held_pulls", "Pulls that wait for messages.")
            .value(&[], self.limits.hold.len() as f64);
    }
}

/// Tells which name servers know this broker.
pub struct RegistrationTold(pub Arc<Registration>);

impl Source for RegistrationTold {
    fn write(&self, to: &mut Exposition<'_>) {
        let mut family = to.gauge(
            "rocketmq_registration_known",
            "1: the name server knows this broker and its topics.",
        );
        for (address, knows) in self.0.standing() {
            family.value(&[("namesrv", address.as_str())], f64::from(u8::from(knows)));
        }
        let mut family = to.counter(
            "rocketmq_registrations_total",
            "Registrations at name servers, by result.",
        );
        let [succeeded, failed] = self.0.counts();
        family.value(&[("result", "success")], succeeded as f64);
        family.value(&[("result", "failed")], failed as f64);
        let [masters, slaves] = self.0.rivals();
        to.gauge(
            "rocketmq_registration_rival_masters",
            "Brokers that register as the master of this one's name beside it: 0, or somebody has to stop one.",
        )
        .value(&[], masters as f64);
        to.gauge(
            "rocketmq_registration_rival_slaves",
            "Brokers that register with this slave's name and brokerId beside it: 0, or one needs a brokerId of its own.",
        )
        .value(&[], slaves as f64);
    }
}
