//! Consumer groups: all of them, one with its queues and members, and what a reset would do.

use crate::address::link;
use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::chart::{Line, chart};
use crate::cluster::{Groups, Progress};
use crate::grid::{Cell, Column, Grid, column, grouped};
use crate::lang::{Lang, Text};
use crate::page::{Page, Place, facts, token};
use crate::when::{read_time, shown_time};
use admin::ask::{self, Failure, Net, RunningInfo, WantedMove};
use maud::{Markup, html};
use message::name::{is_dlq_topic, is_retry_topic, is_system_group};
use protocol::body::MessageQueue;
use protocol::body::broker::ConsumerConnection;
use protocol::body::operator::ConsumeStats;
use std::collections::{BTreeMap, BTreeSet};

/// Members that are asked what they do; of more the rest is only listed.
const MEMBERS_ASKED: usize = 100;

const GROUPS: &[Column] = &[
    column("group", "Group", "消费组"),
    column("lag", "Lag", "堆积"),
    column("tps", "Takes /s", "消费 /s"),
    column("topics", "Topics", "主题数"),
    column("last", "Consumed up to", "已消费至"),
    column("retries", "Deliveries at most", "最大重试次数"),
    column("enabled", "May consume", "允许消费"),
    column("dead", "Dead letters", "死信"),
];

pub(crate) async fn list(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let groups = app.cluster.groups().await?;
    let mut page = Page::new(Place::Groups, lang.t("Consumer groups", "消费组"));
    page.again_s = Some(10);
    page.away(&groups.away);
    let waiting = app.cluster.waiting().await;
    match &waiting {
        Ok(waiting) => page.away(&waiting.away),
        Err(why) => page.away([why]),
    }
    let wants_all = asked.query.get("all").is_some();
    let none = BTreeMap::new();
    let progress = waiting.as_ref().map_or(&none, |waiting| &waiting.all.groups);
    let names: BTreeSet<&String> = groups.all.keys().chain(progress.keys()).collect();
    let mut grid = Grid::new(
        "groups",
        Text("Groups", "消费组"),
        GROUPS,
        "-lag",
        Text(
            "There is no consumer group yet. Start a consumer, or make one by mqadmin updateSubGroup.",
            "还没有消费组。请启动消费者，或用 mqadmin updateSubGroup 创建。",
        ),
    );
    for name in names {
        if wants_all || !is_own(name) {
            grid.rows.push(row(lang, name, &groups.all, progress.get(name)));
        }
    }
    let other = match wants_all {
        true => html! { a href="/groups" { (lang.t("Only those of applications", "只看业务消费组")) } },
        false => html! { a href="/groups?all=1" { (lang.t("Also those of the system", "显示系统消费组")) } },
    };
    page.html(html! { p { (other) } });
    page.grid(grid);
    Ok(page)
}

/// Groups that brokers make for themselves and for tools.
fn is_own(name: &str) -> bool {
    const TOOLS: [&str; 5] = [
        "TOOLS_CONSUMER",
        "FILTERSRV_CONSUMER",
        "SELF_TEST_C_GROUP",
        "__MONITOR_CONSUMER",
        "CLIENT_INNER_PRODUCER",
    ];
    is_system_group(name) || name.starts_with("CID_ONS") || TOOLS.contains(&name)
}

fn row(lang: Lang, name: &str, groups: &Groups, progress: Option<&BTreeMap<String, Progress>>) -> Vec<Cell> {
    let places = groups.get(name).map(Vec::as_slice).unwrap_or_default();
    let first = places.first().map(|(_, config)| config);
    let topics = || progress.into_iter().flatten();
    let lag: i64 = topics().map(|(_, progress)| progress.lag).sum();
    let tps: f64 = topics().map(|(_, progress)| progress.tps).sum();
    let last = topics().map(|(_, progress)| progress.last).max().unwrap_or(0);
    let of_people = topics().filter(|(topic, _)| !is_retry_topic(topic)).count();
    let enabled = places.iter().all(|(_, config)| config.consume_enable);
    vec![
        Cell::group(name),
        progress.map_or_else(Cell::missing, |_| Cell::int(lag).from(1_000.0, 100_000.0)),
        Cell::real(progress.map(|_| tps)),
        Cell::count(of_people),
        Cell::time(last),
        first.map_or_else(Cell::missing, |config| Cell::int(config.retry_max_times)),
        Cell::text(match (first, enabled) {
            (None, _) => lang.t("not kept by a broker", "Broker 未保存"),
            (_, true) => lang.t("yes", "是"),
            (_, false) => lang.t("no", "否"),
        }),
        Cell::text(lang.t("look", "查看"))
            .leading(crate::grid::Leads::To(link("/dead-letters", &[("group", name)]))),
    ]
}

/// What is asked about one group.
pub(crate) struct OfGroup {
    stats: Option<ConsumeStats>,
    members: Option<ConsumerConnection>,
    infos: BTreeMap<String, RunningInfo>,
    away: Vec<String>,
}

/// That a group has consumed nothing, or that no member of it is there, is an answer, too.
fn known<T>(told: Result<T, Failure>, away: &mut Vec<Failure>) -> Option<T> {
    match told {
        Ok(told) => Some(told),
        Err(Failure::Refused { .. } | Failure::Wrong(_) | Failure::Client(client::Error::NoRoute(_))) => None,
        Err(why) => {
            away.push(why);
            None
        }
    }
}

async fn of_group(net: &Net, group: &str) -> Result<OfGroup, Failure> {
    let mut away = Vec::new();
    let stats = known(ask::consume_stats(net, group, None).await, &mut away);
    let members = known(ask::members(net, group, None).await, &mut away);
    let clients = members.iter().flat_map(|members| &members.connection_set);
    let ids = clients.take(MEMBERS_ASKED).map(|client| client.client_id.clone());
    let work = |net: Net, id: String| {
        let group = group.to_owned();
        async move { ask::running_info(&net, &group, &id, false).await }
    };
    let mut away: Vec<String> = away.iter().map(Failure::to_string).collect();
    let mut infos = BTreeMap::new();
    for (id, told) in net.each(ids.collect(), work).await {
        match told {
            Ok(info) => {
                infos.insert(id, info);
            }
            Err(why) => away.push(format!("{id}: {why}")),
        }
    }
    Ok(OfGroup {
        stats,
        members,
        infos,
        away,
    })
}

const QUEUES: &[Column] = &[
    column("topic", "Topic", "主题"),
    column("broker", "Broker", "Broker"),
    column("queue", "Queue", "队列"),
    column("end", "End", "最大位点"),
    column("at", "Is at", "消费位点"),
    column("lag", "Lag", "堆积"),
    column("inflight", "Under way", "处理中"),
    column("last", "Consumed up to", "已消费至"),
    column("member", "Member", "成员"),
];

const MEMBERS: &[Column] = &[
    column("client", "Member", "成员"),
    column("address", "Address", "地址"),
    column("language", "Language", "语言"),
    column("version", "Version", "版本"),
    column("queues", "Queues", "队列数"),
    column("cached", "Holds", "缓存消息"),
    column("ok", "Consumes /s", "消费 /s"),
    column("failed", "Fails /s", "失败 /s"),
    column("wants", "Subscribes to", "订阅"),
];

const CONFIGS: &[Column] = &[
    column("broker", "Broker", "Broker"),
    column("enabled", "May consume", "允许消费"),
    column("fromMin", "From the beginning", "允许从头消费"),
    column("broadcast", "Broadcast", "允许广播"),
    column("retryQueues", "Retry queues", "重试队列"),
    column("retries", "Deliveries at most", "最大重试次数"),
    column("slowly", "When far behind reads from", "堆积时读取 Broker 编号"),
];

pub(crate) async fn one(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let group = asked.wanted("name")?;
    let told = app.of_group.get(group, of_group(&app.cluster.net, group)).await?;
    let mut page = Page::new(Place::Groups, group);
    page.again_s = Some(5);
    page.away(&told.away);
    let configs = kept(app, lang, group, &mut page).await;
    if told.stats.is_none() && told.members.is_none() && configs.rows.is_empty() && page.away.is_empty() {
        return Err(Refusal::new(404, format!("no broker knows a group {group}")));
    }
    let members = told.members.as_ref();
    let count = members.map_or(0, |members| members.connection_set.len());
    let lag = told.stats.as_ref().map(ConsumeStats::total_diff);
    page.html(facts(&[
        (lang.t("Lag", "堆积"), html! { b { @match lag { Some(lag) => (grouped(lag)), None => "–" } } }),
        (lang.t("Takes /s", "消费 /s"), html! { @match &told.stats { Some(stats) => (format!("{:.1}", stats.consume_tps)), None => "–" } }),
        (lang.t("Members", "成员"), html! { (count) }),
        (lang.t("Way", "消费方式"), html! { @if let Some(members) = members { (members.consume_type.name()) ", " (members.message_model.name()) } @else { "–" } }),
        (lang.t("Dead letters", "死信"), html! { a href=(link("/dead-letters", &[("group", group)])) { (lang.t("look", "查看")) } }),
    ]));
    if let Some(differ) = differing(lang, &told.infos) {
        page.html(differ);
    }
    let points = app.cluster.lags.of(group);
    if !points.is_empty() {
        let name = lang.t("lag", "堆积").to_owned();
        let line = Line {
            class: "lag",
            name,
            points,
        };
        page.html(
            html! { div.charts { (chart(lang, lang.t("Messages that wait", "堆积消息数"), &[line])) } },
        );
    }
    page.grid(queues(&told));
    page.grid(members_grid(&told, group));
    page.grid(configs);
    if asked.session.is_some() {
        page.html(reset_form(asked, group, &told, "", ""));
    }
    Ok(page)
}

/// What members want, where they want different things.
fn differing(lang: Lang, infos: &BTreeMap<String, RunningInfo>) -> Option<Markup> {
    let mut wants: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (id, info) in infos {
        wants.entry(wanted_by(info)).or_default().push(id);
    }
    (wants.len() > 1).then(|| {
        html! {
            div.notice.bad role="alert" {
                p { (lang.t(
                    "Members of this group subscribe to different things, and miss messages. Give all the same:",
                    "该消费组的成员订阅不一致，会丢失消息。请保持所有成员订阅一致：",
                )) }
                ul { @for (wanted, ids) in &wants { li { code { (wanted) } ": " (ids.join(", ")) } } }
            }
        }
    })
}

fn wanted_by(info: &RunningInfo) -> String {
    let wanted = info
        .subscription_set
        .iter()
        .filter(|wanted| !is_retry_topic(&wanted.topic));
    let mut wanted: Vec<String> = wanted
        .map(|wanted| format!("{}:{}", wanted.topic, wanted.sub_string))
        .collect();
    wanted.sort();
    wanted.join("; ")
}

fn queues(told: &OfGroup) -> Grid {
    let mut grid = Grid::new(
        "queues",
        Text("Queues", "队列"),
        QUEUES,
        "-lag",
        Text("It has consumed nothing yet.", "还没有消费过消息。"),
    );
    let mut owners: BTreeMap<&MessageQueue, &str> = BTreeMap::new();
    for (id, info) in &told.infos {
        owners.extend(info.mq_table.keys().map(|queue| (queue, id.as_str())));
    }
    for (queue, offsets) in told.stats.iter().flat_map(|stats| &stats.offset_table) {
        grid.rows.push(vec![
            Cell::topic(&queue.topic),
            Cell::text(&queue.broker_name),
            Cell::int(queue.queue_id),
            Cell::int(offsets.broker_offset),
            Cell::int(offsets.consumer_offset),
            Cell::int(offsets.broker_offset - offsets.consumer_offset).from(1_000.0, 100_000.0),
            Cell::int((offsets.pull_offset - offsets.consumer_offset).max(0)),
            Cell::time(offsets.last_timestamp),
            owners.get(queue).map_or_else(Cell::missing, |id| Cell::code(*id)),
        ]);
    }
    grid
}

fn members_grid(told: &OfGroup, group: &str) -> Grid {
    let mut grid = Grid::new(
        "members",
        Text("Members", "成员"),
        MEMBERS,
        "client",
        Text(
            "No member is connected. Start an application that consumes as this group.",
            "没有在线成员。请启动使用该消费组的应用。",
        ),
    );
    for client in told.members.iter().flat_map(|members| &members.connection_set) {
        let info = told.infos.get(&client.client_id);
        let cached = info.map(|info| {
            info.mq_table
                .values()
                .map(|queue| queue.cached_msg_count)
                .sum::<i64>()
        });
        let rate = |of: fn(&ask::Rates) -> f64| {
            Cell::real(info.map(|info| info.status_table.values().map(of).sum()))
        };
        let address = link(
            "/group/member",
            &[("group", group), ("client", &client.client_id)],
        );
        grid.rows.push(vec![
            Cell::code(&client.client_id).leading(crate::grid::Leads::To(address)),
            Cell::code(&client.client_addr),
            Cell::text(&client.language),
            Cell::text(ask::version_name(client.version)),
            info.map_or_else(Cell::missing, |info| Cell::count(info.mq_table.len())),
            cached.map_or_else(Cell::missing, Cell::int),
            rate(|rates| rates.consume_ok_tps),
            rate(|rates| rates.consume_failed_tps).from(0.01, 1.0),
            info.map_or_else(Cell::missing, |info| Cell::code(wanted_by(info))),
        ]);
    }
    grid
}

async fn kept(app: &App, lang: Lang, group: &str, page: &mut Page) -> Grid {
    let mut grid = Grid::new(
        "settings",
        Text("Its settings at each broker", "各 Broker 上的配置"),
        CONFIGS,
        "broker",
        Text("No broker keeps settings of it.", "没有 Broker 保存其配置。"),
    );
    let groups = match app.cluster.groups().await {
        Ok(groups) => groups,
        Err(why) => {
            page.away([why]);
            return grid;
        }
    };
    page.away(&groups.away);
    let said = |is: bool| {
        Cell::text(if is {
            lang.t("yes", "是")
        } else {
            lang.t("no", "否")
        })
    };
    for (broker, config) in groups.all.get(group).into_iter().flatten() {
        grid.rows.push(vec![
            Cell::text(broker),
            said(config.consume_enable),
            said(config.consume_from_min_enable),
            said(config.consume_broadcast_enable),
            Cell::int(config.retry_queue_nums),
            Cell::int(config.retry_max_times),
            Cell::int(config.which_broker_when_consume_slowly),
        ]);
    }
    grid
}

/// Asks what a reset would do.
fn reset_form(asked: &Asked, group: &str, told: &OfGroup, topic: &str, to: &str) -> Markup {
    let lang = asked.lang;
    let topics: BTreeSet<&str> = told
        .stats
        .iter()
        .flat_map(|stats| stats.offset_table.keys())
        .map(|queue| queue.topic.as_str())
        .collect();
    html! {
        section.change {
            h2 { (lang.t("Let it go on elsewhere", "重置消费位点")) }
            form method="get" action="/group/reset" {
                input type="hidden" name="group" value=(group);
                label { (lang.t("Topic", "主题"))
                    input name="topic" list="topics" value=(topic) required;
                    datalist #topics { @for topic in topics.iter().filter(|topic| !is_dlq_topic(topic)) { option value=(topic) {} } }
                }
                label { (lang.t("At", "时间"))
                    input name="to" value=(to) required placeholder=(lang.t("end, 10m, 2026-11-29 17:08:20", "end、10m、2026-11-29 17:08:20"));
                }
                button type="submit" { (lang.t("Preview", "预览")) }
            }
        }
    }
}

const MOVES: &[Column] = &[
    column("broker", "Broker", "Broker"),
    column("queue", "Queue", "队列"),
    column("end", "End", "最大位点"),
    column("at", "Is at", "当前位点"),
    column("to", "Goes to", "目标位点"),
    column("again", "Consumed once more", "将重复消费"),
    column("skipped", "Never consumed", "将跳过"),
];

/// What a reset is about, as an address or a form says it.
pub(crate) struct Reset {
    pub(crate) group: String,
    pub(crate) topic: String,
    /// ms since 1970; -1: the end.
    pub(crate) at: i64,
}

impl Reset {
    pub(crate) fn of(fields: &crate::address::Fields) -> Result<Reset, Refusal> {
        let wanted = |name: &str| {
            let value = fields.get(name).map(str::to_owned);
            value.ok_or_else(|| Refusal::new(400, format!("the request lacks `{name}`")))
        };
        let to = wanted("to")?;
        let at = match to.as_str() {
            "end" | "now" | "-1" => -1,
            text => read_time("to", text)?,
        };
        Ok(Reset {
            group: wanted("group")?,
            topic: wanted("topic")?,
            at,
        })
    }

    pub(crate) fn wanted(&self) -> WantedMove<'_> {
        WantedMove {
            group: &self.group,
            topic: &self.topic,
            timestamp: self.at,
            force: true,
            cplus: false,
        }
    }
}

pub(crate) async fn preview(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let reset = Reset::of(&asked.query)?;
    let net = &app.cluster.net;
    let route = net.route(&reset.topic).await?;
    let moves = ask::plan(net, &route.broker_datas, &reset.wanted()).await?;
    let mut page = Page::new(Place::Groups, lang.t("What a reset would do", "重置预览"));
    let (mut again, mut skipped) = (0, 0);
    let mut grid = Grid::new(
        "moves",
        Text("Queues", "队列"),
        MOVES,
        "broker",
        Text(
            "The topic has no queue that tells an offset.",
            "该主题没有可用的队列。",
        ),
    );
    for planned in &moves {
        let (back, ahead) = ((planned.at - planned.to).max(0), (planned.to - planned.at).max(0));
        (again, skipped) = (again + back, skipped + ahead);
        grid.rows.push(vec![
            Cell::text(&planned.queue.broker_name),
            Cell::int(planned.queue.queue_id),
            Cell::int(planned.end),
            Cell::int(planned.at),
            Cell::int(planned.to),
            Cell::int(back),
            Cell::int(ahead).from(1.0, f64::INFINITY),
        ]);
    }
    let to = if reset.at < 0 {
        lang.t("the end", "末尾").to_owned()
    } else {
        shown_time(reset.at)
    };
    page.html(facts(&[
        (
            lang.t("Group", "消费组"),
            html! { a href=(link("/group", &[("name", &reset.group)])) { (reset.group) } },
        ),
        (
            lang.t("Topic", "主题"),
            html! { a href=(link("/topic", &[("name", &reset.topic)])) { (reset.topic) } },
        ),
        (lang.t("Goes on at", "目标时间"), html! { (to) }),
        (
            lang.t("Consumed once more", "将重复消费"),
            html! { (grouped(again)) },
        ),
        (
            lang.t("Never consumed", "将跳过"),
            html! { b { (grouped(skipped)) } },
        ),
    ]));
    page.html(html! { p { (lang.t(
        "Nothing is changed yet. Where members are connected they are told, and go on within seconds; else the brokers are.",
        "尚未修改。若有在线成员，将通知成员并在数秒内生效；否则直接修改 Broker 上的位点。",
    )) } });
    page.grid(grid);
    match asked.session.is_some() {
        true => page.html(html! {
            form method="post" action="/group/reset" {
                (token(asked))
                input type="hidden" name="group" value=(reset.group);
                input type="hidden" name="topic" value=(reset.topic);
                // The moment that was shown, also of `10m`.
                input type="hidden" name="to" value=(reset.at);
                button.danger type="submit" { (lang.t("Reset", "执行重置")) }
            }
        }),
        false => page.html(html! { p.empty { (lang.t("Log in to do it.", "登录后可执行。")) } }),
    }
    Ok(page)
}
