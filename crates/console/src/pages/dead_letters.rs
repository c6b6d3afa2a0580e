//! Messages that groups gave up: which groups have some, and those of one, to be looked at and sent once more.

use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::grid::{Cell, Column, Grid, Leads, Picks, column};
use crate::lang::Text;
use crate::page::{Page, Place, facts};
use crate::pages::messages::preview;
use crate::read;
use admin::ask::{self, Failure, Net, apart};
use client::Received;
use maud::html;
use message::name::{DLQ_PREFIX, dlq_topic, is_dlq_topic};

/// Messages of a page.
const MOST: usize = 100;
/// Topics that are counted.
const COUNTED_MAX: usize = 500;

const GROUPS: &[Column] = &[
    column("group", "Group", "消费组"),
    column("messages", "Dead letters", "死信数"),
    column("ever", "Ever", "累计"),
    column("last", "Last one", "最近一条"),
];

const LETTERS: &[Column] = &[
    column("stored", "Given up", "进入死信"),
    column("id", "Id", "消息 ID"),
    column("topic", "Came from", "原主题"),
    column("tag", "Tag", "标签"),
    column("keys", "Keys", "Key"),
    column("times", "Deliveries", "投递次数"),
    column("length", "Bytes", "字节"),
    column("body", "Begins with", "内容开头"),
];

/// The topic that a dead letter was sent to.
pub(crate) fn origin(message: &Received) -> Option<&str> {
    message
        .property("RETRY_TOPIC")
        .or_else(|| message.property("DLQ_ORIGIN_TOPIC"))
}

pub(crate) async fn list(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    match asked.query.get("group") {
        Some(group) => of_group(app, asked, group).await,
        None => of_all(app, asked).await,
    }
}

async fn of_all(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let topics = app.cluster.topics().await?;
    let mut page = Page::new(Place::DeadLetters, lang.t("Dead letters", "死信"));
    page.away(&topics.away);
    let all: Vec<String> = topics
        .all
        .keys()
        .filter(|topic| is_dlq_topic(topic))
        .cloned()
        .collect();
    if all.len() > COUNTED_MAX {
        page.away([format!(
            "{} groups have dead letters; {COUNTED_MAX} are counted",
            all.len()
        )]);
    }
    let mut grid = Grid::new(
        "groups",
        Text("Groups that gave messages up", "产生死信的消费组"),
        GROUPS,
        "-messages",
        Text(
            "No group has given a message up. A message comes here when it could not be consumed in as many deliveries as the group allows.",
            "没有死信。消息超过消费组最大重试次数仍未成功消费时会进入这里。",
        ),
    );
    let work = |net: Net, topic: String| async move { counted(&net, &topic).await };
    for (topic, told) in app
        .cluster
        .net
        .each(all.into_iter().take(COUNTED_MAX).collect(), work)
        .await
    {
        let group = topic.trim_start_matches(DLQ_PREFIX);
        match told {
            Ok([now, ever, last]) => grid.rows.push(vec![
                Cell::text(group).leading(Leads::DeadLetters),
                Cell::int(now).from(1.0, 1_000.0),
                Cell::int(ever),
                Cell::time(last),
            ]),
            Err(why) => page.away([format!("{group}: {why}")]),
        }
    }
    page.grid(grid);
    Ok(page)
}

/// How many there are, and were ever; and when the last one came.
async fn counted(net: &Net, topic: &str) -> Result<[i64; 3], Failure> {
    let route = net.route(topic).await?;
    let work = |net: Net, address: String| {
        let topic = topic.to_owned();
        async move { ask::topic_stats(&net, &address, &topic).await }
    };
    let (told, mut away) = apart(net.each(ask::addresses(&route), work).await)?;
    if let Some(why) = away.pop() {
        // A sum of some is no sum.
        return Err(why);
    }
    let mut sums = [0; 3];
    for offsets in told.iter().flat_map(|(_, stats)| stats.offset_table.values()) {
        sums[0] += offsets.max_offset - offsets.min_offset;
        sums[1] += offsets.max_offset;
        sums[2] = sums[2].max(offsets.last_update_timestamp);
    }
    Ok(sums)
}

async fn of_group(app: &App, asked: &Asked, group: &str) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let mut page = Page::new(
        Place::DeadLetters,
        format!("{}: {group}", lang.t("Dead letters", "死信")),
    );
    let group_page = crate::address::link("/group", &[("name", group)]);
    page.html(facts(&[(
        lang.t("Group", "消费组"),
        html! { a href=(group_page) { (group) } },
    )]));
    let mut grid = Grid::new(
        "letters",
        Text("The newest", "最新死信"),
        LETTERS,
        "-stored",
        Text("This group has given no message up.", "该消费组没有死信。"),
    );
    let found = match read::newest(&app.cluster.net, &dlq_topic(group), MOST).await {
        Ok(found) => found,
        // There is no topic before the first of them.
        Err(refusal) if refusal.status == 404 => {
            page.grid(grid);
            return Ok(page);
        }
        Err(refusal) => return Err(refusal),
    };
    page.away(found.away.iter().map(ToString::to_string));
    for message in &found.found {
        let address = crate::address::link(
            "/message",
            &[("topic", &message.queue.topic), ("id", &message.offset_msg_id())],
        );
        grid.rows.push(vec![
            Cell::time(message.store_timestamp),
            Cell::code(message.msg_id()).leading(Leads::To(address)),
            origin(message).map_or_else(Cell::missing, Cell::topic),
            message.tags().map_or_else(Cell::missing, Cell::text),
            message.keys().map_or_else(Cell::missing, Cell::text),
            Cell::int(message.reconsume_times),
            Cell::count(message.body.len()),
            Cell::code(preview(&message.body)),
        ]);
    }
    if let Some(session) = &asked.session {
        grid.picks = Some(Picks {
            action: "/dead-letters/resend",
            hidden: vec![("group", group.to_owned()), ("token", session.token.clone())],
            values: found.found.iter().map(Received::offset_msg_id).collect(),
            button: Text(
                "Send those that are picked to the group once more",
                "将选中的消息重新发送给该消费组",
            ),
        });
    }
    page.grid(grid);
    Ok(page)
}
