//! Looking for messages of a topic.

use crate::address::link;
use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::grid::{Cell, Column, Grid, Leads, column};
use crate::lang::{Lang, Text};
use crate::page::{Page, Place};
use crate::read::{self, Messages};
use crate::when::read_time;
use admin::ask::{Filter, Wanted};
use client::Received;
use maud::{Markup, html};
use message::name::{is_dlq_topic, is_retry_topic};

/// Messages of a page.
const MOST: usize = 64;
/// Letters of a body in a table.
const PREVIEW: usize = 120;

const MESSAGES: &[Column] = &[
    column("stored", "Stored", "存储时间"),
    column("id", "Id", "消息 ID"),
    column("tag", "Tag", "标签"),
    column("keys", "Keys", "Key"),
    column("broker", "Broker", "Broker"),
    column("queue", "Queue", "队列"),
    column("offset", "Offset", "位点"),
    column("length", "Bytes", "字节"),
    column("body", "Begins with", "内容开头"),
];

/// A message's cells.
pub(crate) fn cells(message: &Received) -> Vec<Cell> {
    // Of several messages with one id of a producer the broker's tells them apart.
    let address = link(
        "/message",
        &[("topic", &message.queue.topic), ("id", &message.offset_msg_id())],
    );
    let broker = match message.queue.broker_name.as_str() {
        "" => message.store_host.to_string(),
        name => name.to_owned(),
    };
    vec![
        Cell::time(message.store_timestamp),
        Cell::code(message.msg_id()).leading(Leads::To(address)),
        message.tags().map_or_else(Cell::missing, Cell::text),
        message.keys().map_or_else(Cell::missing, Cell::text),
        Cell::text(broker),
        Cell::int(message.queue.queue_id),
        Cell::int(message.queue_offset),
        Cell::count(message.body.len()),
        Cell::code(preview(&message.body)),
    ]
}

/// How a body begins, on one line.
pub(crate) fn preview(body: &[u8]) -> String {
    // A letter has four bytes at most, and may be cut.
    let head = body.get(..4 * PREVIEW).unwrap_or(body);
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(why) if why.error_len().is_none() => {
            std::str::from_utf8(&head[..why.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return format!("({} bytes)", body.len()),
    };
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(PREVIEW)
        .collect()
}

pub(crate) async fn search(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let mut page = Page::new(Place::Messages, lang.t("Messages", "消息"));
    page.html(form(app, asked).await);
    let Some(topic) = asked.query.get("topic") else {
        page.html(html! { p.empty { (lang.t(
            "Name a topic: its newest messages are shown. Give an id, a key, a time, a tag or a text to look for others.",
            "请输入主题以查看最新消息；可按 ID、Key、时间、标签或内容查询。",
        )) } });
        return Ok(page);
    };
    let found = look(app, asked, topic).await?;
    page.away(found.away.iter().map(ToString::to_string));
    if !found.is_whole {
        page.html(html! { p.notice.warn { (lang.t(
            "There was not time for all of it: give a shorter time, or a later beginning.",
            "时间不够，未能查完：请缩短时间范围，或把开始时间提后。",
        )) } });
    }
    let mut grid = Grid::new(
        "messages",
        Text("Messages", "消息"),
        MESSAGES,
        "-stored",
        Text(
            "No message is as wanted. Retention may have deleted it; a key finds what the producer gave as KEYS.",
            "没有符合条件的消息。消息可能已过期删除；Key 查询匹配生产者设置的 KEYS。",
        ),
    );
    grid.rows = found.found.iter().map(cells).collect();
    page.grid(grid);
    Ok(page)
}

async fn look(app: &App, asked: &Asked, topic: &str) -> Result<Messages, Refusal> {
    let net = &app.cluster.net;
    let query = &asked.query;
    if let Some(id) = query.get("id") {
        return read::with_id(net, topic, id).await;
    }
    let time = |name: &str| query.get(name).map(|text| read_time(name, text)).transpose();
    let (begin, end) = (time("from")?, time("to")?);
    if begin.zip(end).is_some_and(|(begin, end)| begin > end) {
        return Err(Refusal::new(400, "`from` is later than `to`"));
    }
    if let Some(key) = query.get("key") {
        let wanted = Wanted {
            topic,
            key,
            most: MOST as i32,
            begin: begin.unwrap_or(0),
            end: end.unwrap_or(i64::MAX),
            unique: false,
        };
        return read::with_key(net, &wanted).await;
    }
    let tags = query.text("tag").split("||").map(|tag| tag.trim().to_owned());
    let filter = Filter {
        tags: tags.filter(|tag| !tag.is_empty() && tag != "*").collect(),
        text: query.get("text").map(|text| text.as_bytes().to_vec()),
        begin: begin.unwrap_or(0),
        end: end.unwrap_or(i64::MAX),
    };
    let is_open = begin.is_none() && end.is_none() && filter.tags.is_empty() && filter.text.is_none();
    match is_open {
        true => read::newest(net, topic, MOST).await,
        false => read::between(net, topic, &filter, MOST).await,
    }
}

/// Names of topics that a form offers.
const OFFERED: usize = 2_000;

async fn form(app: &App, asked: &Asked) -> Markup {
    let lang = asked.lang;
    let query = &asked.query;
    // Without a list of topics a name can be written all the same.
    let topics = app.cluster.topics().await;
    let names = topics.iter().flat_map(|topics| topics.all.keys());
    let names = names
        .filter(|topic| !is_retry_topic(topic) && !is_dlq_topic(topic))
        .take(OFFERED);
    html! {
        form.search method="get" action="/messages" {
            label { (lang.t("Topic", "主题"))
                input name="topic" list="topics" value=(query.text("topic")) required;
                datalist #topics { @for name in names { option value=(name) {} } }
            }
            (field(lang, query, "id", Text("Id", "消息 ID"), ""))
            (field(lang, query, "key", Text("Key", "Key"), ""))
            (field(lang, query, "from", Text("From", "开始时间"), lang.t("10m, 2026-11-29 17:08", "10m、2026-11-29 17:08")))
            (field(lang, query, "to", Text("To", "结束时间"), ""))
            (field(lang, query, "tag", Text("Tag", "标签"), "A || B"))
            (field(lang, query, "text", Text("Body has", "内容包含"), ""))
            button type="submit" { (lang.t("Look", "查询")) }
        }
    }
}

fn field(lang: Lang, query: &crate::address::Fields, name: &str, title: Text, hint: &str) -> Markup {
    html! { label { (lang.of(title)) input name=(name) value=(query.text(name)) placeholder=(hint) maxlength="500"; } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_body_begins() {
        for (body, expected) in [
            (&b"one\ntwo\x1b"[..], "one two "),
            ("中".repeat(500).as_bytes(), &"中".repeat(PREVIEW)),
            (b"\xff\xfe", "(2 bytes)"),
            (b"", ""),
        ] {
            assert_eq!(preview(body), expected);
        }
    }
}
