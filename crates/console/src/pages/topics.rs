//! Topics: all of them, and one with its queues, its brokers and who uses it.

use crate::address::link;
use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::chart::{Line, chart};
use crate::cluster::{Told, Topics};
use crate::grid::{Cell, Column, Grid, Leads, column};
use crate::lang::{Lang, Text};
use crate::page::{Page, Place, facts, token};
use admin::ask::{self, Failure, Net, TopicStats, apart};
use maud::{Markup, html};
use message::name::{is_dlq_topic, is_retry_topic, is_system_topic};
use protocol::body::namesrv::{ClusterInfo, TopicRouteData};
use std::collections::{BTreeMap, BTreeSet};

/// What a topic is for.
fn kind(lang: Lang, topic: &str, info: &ClusterInfo) -> &'static str {
    let is_own =
        |name: &str| info.broker_addr_table.contains_key(name) || info.cluster_addr_table.contains_key(name);
    match topic {
        topic if is_retry_topic(topic) => lang.t("retry", "重试"),
        topic if is_dlq_topic(topic) => lang.t("dead letters", "死信"),
        topic if is_system_topic(topic) || is_own(topic) || topic.ends_with("_REPLY_TOPIC") => {
            lang.t("system", "系统")
        }
        _ => lang.t("ordinary", "普通"),
    }
}

const TOPICS: &[Column] = &[
    column("topic", "Topic", "主题"),
    column("kind", "Kind", "类型"),
    column("messageType", "Messages", "消息类型"),
    column("brokers", "Brokers", "Broker 数"),
    column("readQueues", "Read queues", "读队列"),
    column("writeQueues", "Write queues", "写队列"),
    column("perm", "May be", "权限"),
    column("inTps", "In /s", "写入 /s"),
    column("groups", "Groups", "消费组数"),
    column("lag", "Lag", "堆积"),
];

fn permission(lang: Lang, perm: i32) -> &'static str {
    match perm & 6 {
        6 => lang.t("read, written", "读写"),
        4 => lang.t("read", "只读"),
        2 => lang.t("written", "只写"),
        _ => lang.t("neither", "禁止"),
    }
}

pub(crate) async fn list(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let info = app.cluster.info().await?;
    let topics = app.cluster.topics().await?;
    let mut page = Page::new(Place::Topics, lang.t("Topics", "主题"));
    page.again_s = Some(10);
    page.away(&topics.away);
    // A broker that keeps where its groups are to itself has topics all the same.
    let waiting = app.cluster.waiting().await;
    if let Err(why) = &waiting {
        page.away([why]);
    }
    let mut groups_of: BTreeMap<&str, (usize, i64)> = BTreeMap::new();
    let mut rates = None;
    if let Ok(waiting) = &waiting {
        page.away(&waiting.away);
        rates = Some(&waiting.all.rates);
        for (topic, progress) in waiting.all.groups.values().flatten() {
            let (groups, lag) = groups_of.entry(topic).or_default();
            *groups += 1;
            *lag += progress.lag;
        }
    }
    let wants_all = asked.query.get("all").is_some();
    let mut grid = Grid::new(
        "topics",
        Text("Topics", "主题"),
        TOPICS,
        "topic",
        Text(
            "There is no topic yet. Make one below, or by mqadmin updateTopic, or let a producer send to one where autoCreateTopicEnable is on.",
            "还没有主题。可在下方或用 mqadmin updateTopic 创建；开启 autoCreateTopicEnable 时发送消息会自动创建。",
        ),
    );
    let ordinary = lang.t("ordinary", "普通");
    for (topic, places) in &topics.all {
        let kind = kind(lang, topic, &info);
        if !wants_all && kind != ordinary {
            continue;
        }
        let sum = |of: fn(&protocol::body::TopicConfig) -> i32| {
            places
                .iter()
                .map(|(_, config)| i64::from(of(config)))
                .sum::<i64>()
        };
        let perm = places.iter().fold(0, |perm, (_, config)| perm | config.perm);
        let used = groups_of.get(topic.as_str());
        let message_type = places
            .iter()
            .find_map(|(_, config)| config.attributes.get("message.type"));
        grid.rows.push(vec![
            Cell::topic(topic),
            Cell::text(kind),
            message_type.map_or_else(Cell::missing, Cell::text),
            Cell::count(places.len()),
            Cell::int(sum(|config| config.read_queue_nums)),
            Cell::int(sum(|config| config.write_queue_nums)),
            Cell::text(permission(lang, perm)),
            Cell::real(rates.and_then(|rates| rates.get(topic)).copied()),
            Cell::count(used.map_or(0, |(groups, _)| *groups)),
            used.map_or_else(Cell::missing, |(_, lag)| Cell::int(*lag).from(1_000.0, 100_000.0)),
        ]);
    }
    let other = match wants_all {
        true => html! { a href="/topics" { (lang.t("Only those of applications", "只看业务主题")) } },
        false => {
            html! { a href="/topics?all=1" { (lang.t("Also those for retries, dead letters and the system", "显示重试、死信和系统主题")) } }
        }
    };
    page.html(html! { p { (other) } });
    page.grid(grid);
    if asked.session.is_some() {
        page.html(form(asked, &info, None));
    }
    Ok(page)
}

/// The settings of a topic, for a form.
struct Given {
    name: String,
    cluster: String,
    read: i32,
    write: i32,
    perm: i32,
    is_ordered: bool,
}

/// Makes a topic, or changes one.
fn form(asked: &Asked, info: &ClusterInfo, given: Option<&Given>) -> Markup {
    let lang = asked.lang;
    let fresh = Given {
        name: String::new(),
        cluster: String::new(),
        read: 8,
        write: 8,
        perm: 6,
        is_ordered: false,
    };
    let is_new = given.is_none();
    let given = given.unwrap_or(&fresh);
    html! {
        section.change {
            h2 { @if is_new { (lang.t("Make a topic", "创建主题")) } @else { (lang.t("Change it on all masters of a cluster", "修改（集群内所有主 Broker）")) } }
            form method="post" action="/topic/save" {
                (token(asked))
                label { (lang.t("Topic", "主题")) input name="name" value=(given.name) required maxlength="127" readonly[!is_new]; }
                label { (lang.t("Cluster", "集群")) select name="cluster" required {
                    @for cluster in info.cluster_addr_table.keys() { option value=(cluster) selected[*cluster == given.cluster] { (cluster) } }
                } }
                label { (lang.t("Read queues", "读队列")) input name="read" type="number" min="1" max="65536" value=(given.read) required; }
                label { (lang.t("Write queues", "写队列")) input name="write" type="number" min="1" max="65536" value=(given.write) required; }
                label { (lang.t("May be", "权限")) select name="perm" {
                    @for perm in [6, 4, 2] { option value=(perm) selected[perm == given.perm & 6] { (permission(lang, perm)) } }
                } }
                label { (lang.t("Ordered", "顺序主题")) select name="order" {
                    option value="false" { (lang.t("no", "否")) }
                    option value="true" selected[given.is_ordered] { (lang.t("yes", "是")) }
                } }
                label { (lang.t("Attributes (5.x)", "属性（5.x）")) input name="attributes" placeholder="+message.type=FIFO" maxlength="500"; }
                button type="submit" { @if is_new { (lang.t("Make", "创建")) } @else { (lang.t("Change", "修改")) } }
            }
        }
    }
}

fn delete_form(asked: &Asked, topic: &str, clusters: &BTreeSet<&str>) -> Markup {
    let lang = asked.lang;
    html! {
        section.change {
            h2 { (lang.t("Delete it, with its messages", "删除主题及其消息")) }
            form method="post" action="/topic/delete" {
                (token(asked))
                input type="hidden" name="name" value=(topic);
                label { (lang.t("Cluster", "集群")) select name="cluster" required {
                    @for cluster in clusters { option value=(cluster) { (cluster) } }
                } }
                label { (lang.t("The topic's name once more", "再次输入主题名以确认")) input name="again" required autocomplete="off"; }
                button.danger type="submit" { (lang.t("Delete", "删除")) }
            }
        }
    }
}

const QUEUES: &[Column] = &[
    column("broker", "Broker", "Broker"),
    column("queue", "Queue", "队列"),
    column("min", "First offset", "最小位点"),
    column("max", "End", "最大位点"),
    column("messages", "Messages", "消息数"),
    column("updated", "Last message", "最近更新"),
];

const PLACES: &[Column] = &[
    column("cluster", "Cluster", "集群"),
    column("broker", "Broker", "Broker"),
    column("id", "Id", "编号"),
    column("address", "Address", "地址"),
    column("readQueues", "Read queues", "读队列"),
    column("writeQueues", "Write queues", "写队列"),
    column("perm", "May be", "权限"),
];

const USERS: &[Column] = &[
    column("group", "Group", "消费组"),
    column("lag", "Lag", "堆积"),
    column("tps", "Takes /s", "消费 /s"),
    column("last", "Consumed up to", "已消费至"),
];

const SENDERS: &[Column] = &[
    column("group", "Group", "生产组"),
    column("client", "Client", "客户端"),
    column("address", "Address", "地址"),
    column("broker", "Broker", "Broker"),
    column("language", "Language", "语言"),
    column("version", "Version", "版本"),
];

/// What is asked about one topic.
pub(crate) struct OfTopic {
    route: TopicRouteData,
    queues: Vec<(String, TopicStats)>,
    groups: Vec<String>,
    away: Vec<String>,
}

async fn of_topic(net: &Net, topic: &str) -> Result<OfTopic, Failure> {
    let route = net.route(topic).await?;
    let work = |net: Net, address: String| {
        let topic = topic.to_owned();
        async move { ask::topic_stats(&net, &address, &topic).await }
    };
    let (queues, mut away) = apart(net.each(ask::addresses(&route), work).await)?;
    let groups = ask::consumers_of(net, &route, topic).await.unwrap_or_else(|why| {
        away.push(why);
        Vec::new()
    });
    Ok(OfTopic {
        route,
        queues,
        groups,
        away: away.iter().map(Failure::to_string).collect(),
    })
}

pub(crate) async fn one(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let topic = asked.wanted("name")?;
    let told = app.of_topic.get(topic, of_topic(&app.cluster.net, topic)).await?;
    let info = app.cluster.info().await?;
    let mut page = Page::new(Place::Topics, topic);
    page.again_s = Some(5);
    page.away(&told.away);
    let first = told.route.queue_datas.first();
    let put_tps: f64 = told.queues.iter().map(|(_, stats)| stats.topic_put_tps).sum();
    page.html(facts(&[
        (lang.t("Kind", "类型"), html! { (kind(lang, topic, &info)) }),
        (lang.t("May be", "权限"), html! { @if let Some(first) = first { (permission(lang, first.perm)) } }),
        (lang.t("Its messages", "消息"), html! { a href=(link("/messages", &[("topic", topic)])) { (lang.t("the newest, or look for some", "最新消息与查询")) } }),
        (lang.t("In /s (told by 5.x)", "写入 /s（5.x 提供）"), html! { @if put_tps > 0.0 { (format!("{put_tps:.1}")) } @else { "–" } }),
    ]));
    let points = app.cluster.topic_ins.of(topic);
    if !points.is_empty() {
        let name = lang.t("in", "写入").to_owned();
        let line = Line {
            class: "in",
            name,
            points,
        };
        page.html(html! { div.charts { (chart(lang, lang.t("Messages a second", "每秒消息数"), &[line])) } });
    }
    page.grid(queues(&told));
    page.grid(places(lang, &told.route));
    let users = users(app, &told, topic, &mut page).await;
    page.grid(users);
    let senders = senders(app, &told, &mut page).await;
    page.grid(senders);
    if asked.session.is_some() {
        let clusters: BTreeSet<&str> = told
            .route
            .broker_datas
            .iter()
            .map(|group| group.cluster.as_str())
            .collect();
        let topics = app.cluster.topics().await;
        let config = topics
            .as_ref()
            .ok()
            .and_then(|topics: &std::sync::Arc<Told<Topics>>| {
                Some(topics.all.get(topic)?.first()?.1.clone())
            });
        let given = Given {
            name: topic.to_owned(),
            cluster: clusters
                .first()
                .map(|cluster| (*cluster).to_owned())
                .unwrap_or_default(),
            read: first.map_or(8, |first| first.read_queue_nums),
            write: first.map_or(8, |first| first.write_queue_nums),
            perm: first.map_or(6, |first| first.perm),
            is_ordered: config.is_some_and(|config| config.order),
        };
        page.html(form(asked, &info, Some(&given)));
        page.html(delete_form(asked, topic, &clusters));
    }
    Ok(page)
}

fn queues(told: &OfTopic) -> Grid {
    let mut grid = Grid::new(
        "queues",
        Text("Queues", "队列"),
        QUEUES,
        "broker",
        Text(
            "No broker tells of queues of this topic.",
            "没有 Broker 返回该主题的队列。",
        ),
    );
    let mut all: Vec<_> = told
        .queues
        .iter()
        .flat_map(|(_, stats)| &stats.offset_table)
        .collect();
    all.sort_by_key(|(queue, _)| *queue);
    for (queue, offsets) in all {
        grid.rows.push(vec![
            Cell::text(&queue.broker_name),
            Cell::int(queue.queue_id),
            Cell::int(offsets.min_offset),
            Cell::int(offsets.max_offset),
            Cell::int(offsets.max_offset - offsets.min_offset),
            Cell::time(offsets.last_update_timestamp),
        ]);
    }
    grid
}

fn places(lang: Lang, route: &TopicRouteData) -> Grid {
    let mut grid = Grid::new(
        "route",
        Text("Route", "路由"),
        PLACES,
        "broker",
        Text("No broker has it.", "没有 Broker 拥有该主题。"),
    );
    for group in &route.broker_datas {
        let queues = route
            .queue_datas
            .iter()
            .find(|queues| queues.broker_name == group.broker_name);
        for (id, address) in &group.broker_addrs {
            let number = |of: fn(&protocol::body::namesrv::QueueData) -> i32| {
                queues.map_or_else(Cell::missing, |queues| Cell::int(of(queues)))
            };
            grid.rows.push(vec![
                Cell::text(&group.cluster),
                Cell::text(&group.broker_name),
                Cell::int(*id),
                Cell::code(address).leading(Leads::Broker),
                number(|queues| queues.read_queue_nums),
                number(|queues| queues.write_queue_nums),
                queues.map_or_else(Cell::missing, |queues| Cell::text(permission(lang, queues.perm))),
            ]);
        }
    }
    grid
}

async fn users(app: &App, told: &OfTopic, topic: &str, page: &mut Page) -> Grid {
    let mut grid = Grid::new(
        "consumers",
        Text("Groups that consume it", "消费该主题的消费组"),
        USERS,
        "-lag",
        Text(
            "No group has consumed it. Start a consumer that subscribes to it.",
            "还没有消费组消费过该主题。请启动订阅它的消费者。",
        ),
    );
    let waiting = app.cluster.waiting().await;
    match &waiting {
        Ok(waiting) => page.away(&waiting.away),
        Err(why) => page.away([why]),
    }
    for group in &told.groups {
        let progress = waiting
            .as_ref()
            .ok()
            .and_then(|waiting| waiting.all.groups.get(group)?.get(topic));
        grid.rows.push(vec![
            Cell::group(group),
            progress.map_or_else(Cell::missing, |progress| {
                Cell::int(progress.lag).from(1_000.0, 100_000.0)
            }),
            Cell::real(progress.map(|progress| progress.tps)),
            Cell::time(progress.map_or(0, |progress| progress.last)),
        ]);
    }
    grid
}

/// Producers name no topics: these are those that are connected to the topic's brokers.
async fn senders(app: &App, told: &OfTopic, page: &mut Page) -> Grid {
    let mut grid = Grid::new(
        "producers",
        Text(
            "Producers that are connected to its brokers",
            "连接到其 Broker 的生产者",
        ),
        SENDERS,
        "group",
        Text("No producer is connected.", "没有已连接的生产者。"),
    );
    let names: BTreeSet<&str> = told
        .route
        .broker_datas
        .iter()
        .map(|group| group.broker_name.as_str())
        .collect();
    match app.cluster.senders().await {
        Ok(senders) => {
            page.away(&senders.away);
            let own = senders
                .all
                .iter()
                .filter(|sender| names.contains(sender.broker.as_str()));
            grid.rows = own.map(super::producers::cells).map(|(cells, _)| cells).collect();
        }
        Err(why) => page.away([why]),
    }
    grid
}
