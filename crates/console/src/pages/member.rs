//! A member of a group: what it tells of itself, and on demand what its threads do.

use crate::address::link;
use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::grid::{Cell, Column, Grid, Mark, column};
use crate::lang::Text;
use crate::page::{Page, Place, facts};
use admin::ask;
use maud::html;

const QUEUES: &[Column] = &[
    column("topic", "Topic", "主题"),
    column("broker", "Broker", "Broker"),
    column("queue", "Queue", "队列"),
    column("at", "Is at", "消费位点"),
    column("cached", "Holds", "缓存消息"),
    column("mib", "MiB", "MiB"),
    column("pulled", "Last pull", "最近拉取"),
    column("consumed", "Last consumed", "最近消费"),
    column("locked", "Locked", "锁定"),
    column("dropped", "Given up", "已放弃"),
];

const RATES: &[Column] = &[
    column("topic", "Topic", "主题"),
    column("pull", "Pulls /s", "拉取 /s"),
    column("pullMs", "A pull takes, ms", "拉取耗时 ms"),
    column("ok", "Consumes /s", "消费 /s"),
    column("okMs", "Consuming takes, ms", "消费耗时 ms"),
    column("failed", "Fails /s", "失败 /s"),
    column("failedHour", "Failed in an hour", "一小时失败数"),
];

const PROPERTIES: &[Column] = &[column("key", "Property", "属性"), column("value", "Value", "值")];

pub(crate) async fn one(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let (group, client) = (asked.wanted("group")?, asked.wanted("client")?);
    let stacks = asked.query.get("stacks").is_some();
    let info = ask::running_info(&app.cluster.net, group, client, stacks).await?;
    let mut page = Page::new(Place::Groups, client);
    let with_stacks = link(
        "/group/member",
        &[("group", group), ("client", client), ("stacks", "1")],
    );
    page.html(facts(&[
        (lang.t("Group", "消费组"), html! { a href=(link("/group", &[("name", group)])) { (group) } }),
        (lang.t("Threads", "线程"), html! { a href=(with_stacks) { (lang.t("what they do (the member is asked)", "查看线程栈（将询问该成员）")) } }),
    ]));
    if let Some(text) = &info.jstack {
        page.html(html! { section { h2 { (lang.t("Threads", "线程")) } pre.body { (text) } } });
    }
    let mut queues = Grid::new(
        "queues",
        Text("Its queues", "队列"),
        QUEUES,
        "topic",
        Text(
            "It has no queue: there are more members than queues, or it has just come.",
            "没有分配到队列：成员多于队列，或刚刚加入。",
        ),
    );
    let said = |is: bool| {
        Cell::text(if is {
            lang.t("yes", "是")
        } else {
            lang.t("no", "否")
        })
    };
    for (queue, has) in &info.mq_table {
        let dropped = said(has.droped);
        queues.rows.push(vec![
            Cell::topic(&queue.topic),
            Cell::text(&queue.broker_name),
            Cell::int(queue.queue_id),
            Cell::int(has.commit_offset),
            Cell::int(has.cached_msg_count),
            Cell::int(has.cached_msg_size_in_mi_b),
            Cell::time(has.last_pull_timestamp),
            Cell::time(has.last_consume_timestamp),
            said(has.locked),
            if has.droped {
                dropped.marked(Mark::Warn)
            } else {
                dropped
            },
        ]);
    }
    page.grid(queues);
    let mut rates = Grid::new(
        "rates",
        Text("How fast it is", "速率"),
        RATES,
        "topic",
        Text("It tells no rates.", "没有速率信息。"),
    );
    for (topic, rate) in &info.status_table {
        rates.rows.push(vec![
            Cell::topic(topic),
            Cell::real(Some(rate.pull_tps)),
            Cell::real(Some(rate.pull_rt)),
            Cell::real(Some(rate.consume_ok_tps)),
            Cell::real(Some(rate.consume_rt)),
            Cell::real(Some(rate.consume_failed_tps)).from(0.01, 1.0),
            Cell::int(rate.consume_failed_msgs).from(1.0, 100.0),
        ]);
    }
    page.grid(rates);
    let mut properties = Grid::new(
        "properties",
        Text("Properties", "属性"),
        PROPERTIES,
        "key",
        Text("It tells none.", "没有属性。"),
    );
    for (key, value) in &info.properties {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        properties.rows.push(vec![Cell::code(key), Cell::text(text)]);
    }
    page.grid(properties);
    Ok(page)
}
