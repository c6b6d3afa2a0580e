//! What serves requests, made of the other parts.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use disk::Disk;

use super::{Builder, Log, Replication};
use crate::access::Guard;
use crate::clients::Clients;
use crate::config::{ConfigStore, SettingsListener};
use crate::delay::Delivery;
use crate::dispatch::{Gate, Handlers};
use crate::handlers::admin::limits::Limits;
use crate::handlers::admin::{
    Admin, acl::AclRequests, cleanup::Cleanup, cold::Cold, explain::Explain, group::Group, ha::Ha,
    offset::Offset, queue::ConsumeQueue, relay::Relay, reset::Reset, runtime::Runtime,
    settings::SettingsRequests, stats::BrokerStats, topic::Topic, users::UserRequests,
};
use crate::handlers::client::Client as ClientHandler;
use crate::handlers::consumer_offset::ConsumerOffset;
use crate::handlers::lock::Lock;
use crate::handlers::pull::{Pull, PullListener};
use crate::handlers::query::Query;
use crate::handlers::send::Send;
use crate::handlers::send_back::SendBack;
use crate::handlers::transaction::Transaction;
use crate::lane::Lanes;
use crate::registration::Registration;
use crate::replication::HistoryListener;
use crate::transaction::Checks;

/// What handlers are made of, besides what there was at the start.
pub(super) struct Made<D: Disk> {
    pub(super) clients: Clients,
    pub(super) lanes: Lanes,
    pub(super) pull: Arc<Pull<D>>,
    pub(super) pulls: Arc<PullListener<D>>,
    pub(super) log: Log<D>,
    pub(super) checks: Arc<Checks<D>>,
    pub(super) delivery: Arc<Delivery<D>>,
    pub(super) registration: Arc<Registration>,
    pub(super) replication: Replication<D>,
    pub(super) limits: Limits,
    /// When the broker starts, ms.
    pub(super) now: i64,
}

impl<D: Disk + Clone> Builder<D> {
    pub(super) fn handlers(&self, made: &Made<D>) -> Handlers<D> {
        Handlers {
            gate: Gate {
                waiting_sends: Arc::clone(made.log.appender.acknowledgements.budget()),
                disk_is_late: made.log.appender.acknowledgements.disk_is_late(),
                access: self.guard(),
            },
            reput: Arc::clone(&made.log.reput),
            send: self.send(&made.clients, &made.log),
            send_back: self.send_back(&made.log),
            transaction: Transaction {
                settings: Arc::clone(&self.settings),
                appender: Arc::clone(&made.log.appender),
                access: self.guard(),
                ends: Arc::clone(&made.checks.ends),
                open_halves: Arc::clone(&self.loaded.open_halves),
                delay_levels: Arc::clone(&self.levels),
                clock: Arc::clone(&self.clock),
            },
            pull: Arc::clone(&made.pull),
            query: Query {
                settings: Arc::clone(&self.settings),
                access: self.guard(),
                slaves: Arc::clone(&made.replication.slaves),
                store: Arc::clone(&self.store),
            },
            client: self.client(&made.clients),
            offset: ConsumerOffset {
                offsets: Arc::clone(&self.loaded.tables.offsets),
                store: Arc::clone(&self.store),
            },
            lock: Lock {
                locks: Arc::clone(&made.clients.locks),
                clock: Arc::clone(&self.clock),
            },
            admin: self.admin(made),
            lanes: made.lanes.clone(),
        }
    }

    /// Access control, where it is on.
    pub(super) fn guard(&self) -> Option<Arc<Guard>> {
        self.access.guard.clone()
    }

    fn admin(&self, made: &Made<D>) -> Admin<D> {
        Admin {
            topic: self.topic(&made.clients, &made.pulls, &made.log),
            group: self.group(made),
            settings: self.settings_requests(&made.registration, &made.pulls, &made.log, &made.checks),
            runtime: self.runtime(made),
            ha: Ha {
                settings: Arc::clone(&self.settings),
                appender: Arc::clone(&made.log.appender),
                delays: Arc::clone(&self.loaded.delay_offsets),
                dormant: Arc::clone(&self.loaded.dormant),
                slaves: Arc::clone(&made.replication.slaves),
                link: Arc::clone(&made.replication.link),
            },
            relay: Relay {
                settings: Arc::clone(&self.settings),
                consumers: Arc::clone(&made.clients.consumers),
                access: self.guard(),
                store: Arc::clone(&self.store),
            },
            reset: self.reset(&made.clients, &made.pulls),
            offsets: Offset {
                settings: Arc::clone(&self.settings),
                tables: self.loaded.tables.clone(),
                consumers: Arc::clone(&made.clients.consumers),
                store: Arc::clone(&self.store),
                clock: Arc::clone(&self.clock),
            },
            queue: ConsumeQueue {
                store: Arc::clone(&self.store),
                consumers: Arc::clone(&made.clients.consumers),
                filters: Arc::clone(&self.loaded.filters),
            },
            stats: BrokerStats {
                stats: Arc::clone(&made.log.stats),
            },
            cold: Cold {
                settings: Arc::clone(&self.settings),
                cold: Arc::clone(&made.clients.cold),
                clock: Arc::clone(&self.clock),
            },
            cleanup: Cleanup {
                stats: Arc::clone(&made.log.stats),
                topics: Arc::clone(&self.loaded.tables.topics),
                store: Arc::clone(&self.store),
                clock: Arc::clone(&self.clock),
            },
            acl: AclRequests {
                files: self.access.files.clone(),
                settings: Arc::clone(&self.settings),
            },
            explain: Explain {
                guard: self.access.guard.clone(),
            },
            users: UserRequests {
                access: self.access.clone(),
                clock: Arc::clone(&self.clock),
            },
        }
    }

    fn group(&self, made: &Made<D>) -> Group<D> {
        let pulls = Arc::clone(&made.pulls);
        Group {
            settings: Arc::clone(&self.settings),
            tables: self.loaded.tables.clone(),
            clients: made.clients.clone(),
            stats: Arc::clone(&made.log.stats),
            store: Arc::clone(&self.store),
            answer_waiting: Box::new(move |groups| pulls.groups_changed(groups)),
            clock: Arc::clone(&self.clock),
        }
    }

    fn runtime(&self, made: &Made<D>) -> Runtime<D> {
        Runtime {
            settings: Arc::clone(&self.settings),
            appender: Arc::clone(&made.log.appender),
            limits: made.limits.clone(),
            delivery: Arc::clone(&made.delivery),
            tables: self.loaded.tables.clone(),
            dormant: Arc::clone(&self.loaded.dormant),
            link: Arc::clone(&made.replication.link),
            slaves: Arc::clone(&made.replication.slaves),
            started: made.now,
            access: self.access.clone(),
            checks: Arc::clone(&made.checks),
            clock: Arc::clone(&self.clock),
        }
    }

    fn send(&self, clients: &Clients, log: &Log<D>) -> Send<D> {
        let region: Arc<str> = Arc::from(self.settings.load().broker.region_id.as_str());
        Send {
            settings: Arc::clone(&self.settings),
            topics: Arc::clone(&self.loaded.tables.topics),
            groups: Arc::clone(&self.loaded.tables.groups),
            producers: Arc::clone(&clients.producers),
            appender: Arc::clone(&log.appender),
            access: self.guard(),
            stats: Arc::clone(&log.stats),
            open_halves: Arc::clone(&self.loaded.open_halves),
            clock: Arc::clone(&self.clock),
            region,
            delay_levels: Arc::clone(&self.levels),
            next_queue: AtomicU32::new(0),
        }
    }

    fn send_back(&self, log: &Log<D>) -> SendBack<D> {
        SendBack {
            access: self.guard(),
            settings: Arc::clone(&self.settings),
            topics: Arc::clone(&self.loaded.tables.topics),
            groups: Arc::clone(&self.loaded.tables.groups),
            appender: Arc::clone(&log.appender),
            delay_levels: Arc::clone(&self.levels),
            clock: Arc::clone(&self.clock),
            next_queue: AtomicU32::new(0),
        }
    }

    fn client(&self, clients: &Clients) -> ClientHandler {
        ClientHandler {
            settings: Arc::clone(&self.settings),
            consumers: Arc::clone(&clients.consumers),
            producers: Arc::clone(&clients.producers),
            groups: Arc::clone(&self.loaded.tables.groups),
            filters: Arc::clone(&self.loaded.filters),
            topics: Arc::clone(&self.loaded.tables.topics),
            clock: Arc::clone(&self.clock),
        }
    }

    fn topic(&self, clients: &Clients, pulls: &Arc<PullListener<D>>, log: &Log<D>) -> Topic<D> {
        let pulls = Arc::clone(pulls);
        Topic {
            settings: Arc::clone(&self.settings),
            topics: Arc::clone(&self.loaded.tables.topics),
            store: Arc::clone(&self.store),
            consumers: Arc::clone(&clients.consumers),
            offsets: Arc::clone(&self.loaded.tables.offsets),
            answer_waiting: Box::new(move |topic| pulls.topic_changed(topic)),
            stats: Arc::clone(&log.stats),
            dormant: Arc::clone(&self.loaded.dormant),
            clock: Arc::clone(&self.clock),
        }
    }

    fn reset(&self, clients: &Clients, pulls: &Arc<PullListener<D>>) -> Reset<D> {
        let pulls = Arc::clone(pulls);
        Reset {
            settings: Arc::clone(&self.settings),
            tables: self.loaded.tables.clone(),
            consumers: Arc::clone(&clients.consumers),
            store: Arc::clone(&self.store),
            answer_waiting: Box::new(move |groups| pulls.groups_changed(groups)),
        }
    }

    fn settings_requests(
        &self,
        registration: &Arc<Registration>,
        pulls: &Arc<PullListener<D>>,
        log: &Log<D>,
        checks: &Checks<D>,
    ) -> SettingsRequests<D> {
        // The topics before the registration, which tells of them.
        let listeners: Vec<Arc<dyn SettingsListener>> = vec![
            Arc::clone(&self.loaded.tables.topics) as _,
            Arc::clone(registration) as _,
            Arc::clone(pulls) as _,
            Arc::clone(&log.appender.acknowledgements) as _,
            Arc::clone(&log.reput) as _,
            Arc::new(HistoryListener {
                history: Arc::clone(&self.history),
                store: Arc::clone(&self.store),
                disk: self.disk.clone(),
            }) as _,
            Arc::clone(&checks.listener) as _,
            Arc::new(self.traffic.clone()) as _,
        ];
        SettingsRequests {
            config: Arc::new(ConfigStore::new(
                Arc::clone(&self.settings),
                Arc::clone(&self.store),
                listeners,
                self.disk.clone(),
                Arc::clone(&self.clock),
            )),
        }
    }
}
