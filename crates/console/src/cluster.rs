//! What servers tell, asked once a moment for all viewers: one request of a kind to each broker.

use crate::held::{Answer, Held, HeldBy, Unanswered};
use crate::history::{Growth, Lines};
use admin::ask::{self, Failure, MASTER, Net, apart};
use message::name::is_retry_topic;
use protocol::body::TopicConfig;
use protocol::body::broker::{SubscriptionGroupConfig, SubscriptionGroupTable};
use protocol::body::namesrv::{ClusterInfo, TopicConfigTable};
use protocol::body::operator::{ConsumeStatsList, ProducerInfo, ProducerTable};
use protocol::code::request;
use protocol::header::NoHeader;
use protocol::header::broker::GetConsumeStatsInBrokerHeader;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one request may take.
pub(crate) const WITHIN: Duration = Duration::from_secs(4);
/// How long what changes by itself is held.
const MOMENT: Duration = Duration::from_secs(1);
/// How long it is held where a broker has to go through all its groups for it.
const WHILE: Duration = Duration::from_secs(3);
/// How long what operators change is held; a change by this console is seen at once.
const LONG: Duration = Duration::from_secs(5);
/// Brokers that are asked; a name server that knows more is not believed.
const BROKERS_MAX: usize = 1_000;
/// How often rates are noted for the charts, and lags with each third.
const NOTED_EVERY: Duration = Duration::from_secs(10);
/// Lines of what is gone stay so long, ms.
const GONE_AFTER_MS: i64 = 3_600_000;

/// A broker as the name servers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) cluster: String,
    pub(crate) name: String,
    pub(crate) id: i64,
    pub(crate) address: String,
}

impl Seat {
    pub(crate) fn is_master(&self) -> bool {
        self.id == MASTER
    }
}

/// Something, and what could not be asked for it.
pub(crate) struct Told<T> {
    pub(crate) all: T,
    pub(crate) away: Vec<String>,
}

/// What a broker tells of itself.
pub(crate) type Status = BTreeMap<String, String>;
/// Topics, with their settings on each broker that has them.
pub(crate) type Topics = BTreeMap<String, Vec<(String, TopicConfig)>>;
/// Groups, with their settings on each broker that has them.
pub(crate) type Groups = BTreeMap<String, Vec<(String, SubscriptionGroupConfig)>>;

/// Where a group is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Messages that wait.
    pub(crate) lag: i64,
    /// Messages that it takes a second.
    pub(crate) tps: f64,
    /// When the last message was stored that it has consumed, ms since 1970; 0: never.
    pub(crate) last: i64,
}

/// Where all groups are, by group and topic; and what came into the topics that they consume.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) groups: BTreeMap<String, BTreeMap<String, Progress>>,
    /// Messages a second that came in since the answer before.
    pub(crate) rates: BTreeMap<String, f64>,
}

/// A producer, and the broker it is connected to.
pub(crate) struct Sender {
    pub(crate) broker: String,
    pub(crate) group: String,
    pub(crate) client: ProducerInfo,
}

/// The servers, and what was heard of them a moment ago.
pub(crate) struct Cluster {
    pub(crate) net: Net,
    info: Held<ClusterInfo>,
    status: Held<Vec<(Seat, Result<Status, String>)>>,
    topics: Held<Told<Topics>>,
    groups: Held<Told<Groups>>,
    waiting: Held<Told<Waiting>>,
    senders: Held<Told<Vec<Sender>>>,
    settings: HeldBy<Vec<(String, String)>>,
    growth: Growth,
    /// Messages a second into and out of each broker, by its address.
    pub(crate) ins: Lines,
    pub(crate) outs: Lines,
    /// Messages that wait for each group.
    pub(crate) lags: Lines,
    /// Messages a second into each topic that is consumed.
    pub(crate) topic_ins: Lines,
}

/// The number at the beginning of a rate as brokers tell it: of the last ten seconds.
fn first_number(text: &str) -> Option<f64> {
    text.split(' ').next()?.parse().ok()
}

/// Messages a second into and out of a broker.
pub(crate) fn rates_of(status: &Status) -> (Option<f64>, Option<f64>) {
    let rate = |key: &str| status.get(key).and_then(|text| first_number(text));
    // 5.x has mended the key.
    (
        rate("putTps"),
        rate("getTransferredTps").or_else(|| rate("getTransferedTps")),
    )
}

impl Cluster {
    pub(crate) fn new(net: Net) -> Cluster {
        Cluster {
            net: net.quiet().within(WITHIN),
            info: Held::new(MOMENT),
            status: Held::new(MOMENT),
            topics: Held::new(LONG),
            groups: Held::new(LONG),
            waiting: Held::new(WHILE),
            senders: Held::new(WHILE),
            settings: HeldBy::new(MOMENT),
            growth: Growth::default(),
            ins: Lines::default(),
            outs: Lines::default(),
            lags: Lines::default(),
            topic_ins: Lines::default(),
        }
    }

    /// Who is in which cluster.
    pub(crate) async fn info(&self) -> Answer<ClusterInfo> {
        self.info.get(self.net.clusters()).await
    }

    /// Every broker, by cluster, name and id.
    pub(crate) async fn seats(&self) -> Result<Vec<Seat>, Unanswered> {
        let info = self.info().await?;
        let mut seats = Vec::new();
        for group in info.broker_addr_table.values() {
            seats.extend(group.broker_addrs.iter().map(|(id, address)| Seat {
                cluster: group.cluster.clone(),
                name: group.broker_name.clone(),
                id: *id,
                address: address.clone(),
            }));
        }
        seats.sort_by(|a, b| (&a.cluster, &a.name, a.id).cmp(&(&b.cluster, &b.name, b.id)));
        seats.truncate(BROKERS_MAX);
        Ok(seats)
    }

    /// One broker of each name: the master, or where that is gone a slave. Name and address.
    async fn ones(&self) -> Result<Vec<(String, String)>, Unanswered> {
        let mut seats = self.seats().await?;
        seats.dedup_by(|next, first| (&next.cluster, &next.name) == (&first.cluster, &first.name));
        Ok(seats.into_iter().map(|seat| (seat.name, seat.address)).collect())
    }

    /// What every broker tells of itself.
    pub(crate) async fn status(&self) -> Answer<Vec<(Seat, Result<Status, String>)>> {
        let make = async {
            let seats = self.seats().await?;
            let work = |net: Net, address: String| async move { net.runtime_info(&address).await };
            let addresses = seats.iter().map(|seat| seat.address.clone()).collect();
            let told = self.net.each(addresses, work).await;
            let now = ask::now_ms();
            let both = seats.into_iter().zip(told);
            let all: Vec<(Seat, Result<Status, String>)> = both
                .map(|(seat, (_, told))| (seat, told.map(|told| told.table).map_err(|why| why.to_string())))
                .collect();
            self.note_rates(&all, now);
            Ok::<_, Unanswered>(all)
        };
        self.status.get(make).await
    }

    fn note_rates(&self, all: &[(Seat, Result<Status, String>)], now: i64) {
        let (mut all_in, mut all_out) = (0.0, 0.0);
        for (seat, status) in all {
            let Ok(status) = status else {
                continue;
            };
            let (ins, outs) = rates_of(status);
            for (rate, lines, sum) in [(ins, &self.ins, &mut all_in), (outs, &self.outs, &mut all_out)] {
                if let Some(rate) = rate.filter(|rate| rate.is_finite()) {
                    lines.add(&seat.address, now, rate);
                    // What a slave writes its master was sent.
                    *sum += if seat.is_master() { rate } else { 0.0 };
                }
            }
        }
        self.ins.add("", now, all_in);
        self.outs.add("", now, all_out);
        for lines in [&self.ins, &self.outs, &self.lags, &self.topic_ins] {
            lines.forget_before(now - GONE_AFTER_MS);
        }
    }

    /// The same question to one broker of each name; what each says, by name.
    async fn ask_ones<T, F, W>(&self, work: W) -> Result<Told<Vec<(String, T)>>, Unanswered>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
        W: Fn(Net, String) -> F,
    {
        let ones = self.ones().await?;
        let addresses = ones.iter().map(|(_, address)| address.clone()).collect();
        let (told, away) = apart(self.net.each(addresses, work).await)?;
        let name_of = |address: &str| {
            let known = ones.iter().find(|(_, known)| known == address);
            known.map_or_else(|| address.to_owned(), |(name, _)| name.clone())
        };
        let all = told
            .into_iter()
            .map(|(address, told)| (name_of(&address), told))
            .collect();
        let away = away.iter().map(Failure::to_string).collect();
        Ok(Told { all, away })
    }

    /// Every topic.
    pub(crate) async fn topics(&self) -> Answer<Told<Topics>> {
        let make = async {
            let work = |net: Net, address: String| async move {
                let code = request::GET_ALL_TOPIC_CONFIG;
                net.read::<TopicConfigTable>(&address, code, &NoHeader).await
            };
            let Told { all: told, away } = self.ask_ones(work).await?;
            let mut all = Topics::new();
            for (broker, table) in told {
                for (topic, config) in table.topic_config_table {
                    all.entry(topic).or_default().push((broker.clone(), config));
                }
            }
            Ok::<_, Unanswered>(Told { all, away })
        };
        self.topics.get(make).await
    }

    /// Every group that brokers keep.
    pub(crate) async fn groups(&self) -> Answer<Told<Groups>> {
        let make = async {
            let work = |net: Net, address: String| async move {
                let code = request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG;
                net.read::<SubscriptionGroupTable>(&address, code, &NoHeader)
                    .await
            };
            let Told { all: told, away } = self.ask_ones(work).await?;
            let mut all = Groups::new();
            for (broker, table) in told {
                for (group, config) in table.subscription_group_table {
                    all.entry(group).or_default().push((broker.clone(), config));
                }
            }
            Ok::<_, Unanswered>(Told { all, away })
        };
        self.groups.get(make).await
    }

    /// Where every group is.
    pub(crate) async fn waiting(&self) -> Answer<Told<Waiting>> {
        let make = async {
            let work = |net: Net, address: String| async move {
                let header = GetConsumeStatsInBrokerHeader {
                    is_order: Some(false),
                };
                let code = request::GET_BROKER_CONSUME_STATS;
                net.read::<ConsumeStatsList>(&address, code, &header).await
            };
            let Told { all: told, away } = self.ask_ones(work).await?;
            let now = ask::now_ms();
            let all = self.summed(told, now);
            Ok::<_, Unanswered>(Told { all, away })
        };
        self.waiting.get(make).await
    }

    fn summed(&self, told: Vec<(String, ConsumeStatsList)>, now: i64) -> Waiting {
        let mut waiting = Waiting::default();
        // The end of each queue, once for all groups.
        let mut ends = BTreeMap::new();
        for (group, stats) in told
            .into_iter()
            .flat_map(|(_, told)| told.consume_stats_list)
            .flatten()
        {
            let topics = waiting.groups.entry(group).or_default();
            for stats in stats {
                let mut topic_of = None;
                for (queue, offsets) in stats.offset_table {
                    let progress = topics.entry(queue.topic.clone()).or_default();
                    progress.lag += (offsets.broker_offset - offsets.consumer_offset).max(0);
                    progress.last = progress.last.max(offsets.last_timestamp);
                    topic_of.get_or_insert_with(|| queue.topic.clone());
                    ends.insert(queue, offsets.broker_offset);
                }
                // Each of these is about one topic.
                if let Some(progress) = topic_of.and_then(|topic| topics.get_mut(&topic)) {
                    progress.tps += stats.consume_tps;
                }
            }
        }
        let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
        for (queue, end) in &ends {
            *sums.entry(&queue.topic).or_default() += end;
        }
        waiting.rates = self.growth.rates(now, sums);
        for (topic, rate) in &waiting.rates {
            if !is_retry_topic(topic) {
                self.topic_ins.add(topic, now, *rate);
            }
        }
        for (group, topics) in &waiting.groups {
            let lag: i64 = topics.values().map(|progress| progress.lag).sum();
            self.lags.add(group, now, lag as f64);
        }
        waiting
    }

    /// Every producer that is connected.
    pub(crate) async fn senders(&self) -> Answer<Told<Vec<Sender>>> {
        let make = async {
            let work = |net: Net, address: String| async move {
                let code = request::GET_ALL_PRODUCER_INFO;
                net.read::<ProducerTable>(&address, code, &NoHeader).await
            };
            let Told { all: told, away } = self.ask_ones(work).await?;
            let mut all = Vec::new();
            for (broker, table) in told {
                for (group, clients) in table.data {
                    all.extend(clients.into_iter().map(|client| Sender {
                        broker: broker.clone(),
                        group: group.clone(),
                        client,
                    }));
                }
            }
            Ok::<_, Unanswered>(Told { all, away })
        };
        self.senders.get(make).await
    }

    /// The settings of a broker.
    pub(crate) async fn settings(&self, address: &str) -> Answer<Vec<(String, String)>> {
        self.settings
            .get(address, ask::settings_of(&self.net, address))
            .await
    }

    /// Something was changed: what is held of it is asked for again.
    pub(crate) async fn forget(&self) {
        self.topics.forget().await;
        self.groups.forget().await;
        self.waiting.forget().await;
    }

    /// Notes rates and lags, for as long as the program runs.
    pub(crate) async fn watch(&self) {
        let mut ticks = tokio::time::interval(NOTED_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for number in 0_u64.. {
            ticks.tick().await;
            // A server that is away is on the pages; here is nobody to tell.
            let _noted = self.status().await;
            if number.is_multiple_of(3) {
                let _noted = self.waiting().await;
            }
        }
    }
}
