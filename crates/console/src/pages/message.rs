//! One message: what it says, where it is, who has consumed it, who did what to it.

use crate::address::link;
use crate::app::App;
use crate::asked::{Asked, Refusal};
use crate::grid::{Cell, Column, Grid, Mark, column};
use crate::lang::{Lang, Text};
use crate::page::{Page, Place, facts, token};
use crate::read;
use crate::reply::Reply;
use crate::when::shown_time;
use admin::ask::{self, Failure, Net, TRACE_TOPIC, Wanted};
use client::Received;
use maud::{Markup, html};
use message::name::DLQ_PREFIX;

/// Bytes of a body that a page shows.
const BODY_MAX: usize = 64 * 1024;
/// Bytes of a body that is no text, which takes four letters each.
const DIGITS_MAX: usize = 4 * 1024;

const TRACKS: &[Column] = &[
    column("group", "Group", "消费组"),
    column("state", "State", "状态"),
    column("why", "Why", "原因"),
];

const TRACE: &[Column] = &[
    column("time", "When", "时间"),
    column("what", "What", "动作"),
    column("group", "Group", "组"),
    column("host", "From", "来源"),
    column("took", "Took, ms", "耗时 ms"),
    column("success", "Done", "结果"),
];

const PROPERTIES: &[Column] = &[column("name", "Property", "属性"), column("value", "Value", "值")];

pub(crate) async fn one(app: &App, asked: &Asked) -> Result<Page, Refusal> {
    let lang = asked.lang;
    let (topic, id) = (asked.wanted("topic")?, asked.wanted("id")?);
    let net = &app.cluster.net;
    let message = read::one(net, topic, id).await?;
    let mut page = Page::new(Place::Messages, message.msg_id());
    page.html(about(lang, &message));
    page.html(body_shown(lang, &message, topic, id));
    let tracks = tracks(lang, net, &message, &mut page).await;
    page.grid(tracks);
    let trace = trace(lang, net, &message, &mut page).await;
    page.grid(trace);
    let mut properties = Grid::new(
        "properties",
        Text("Properties", "属性"),
        PROPERTIES,
        "name",
        Text("It has none.", "没有属性。"),
    );
    properties.rows = message
        .properties
        .iter()
        .map(|(name, value)| vec![Cell::code(name), Cell::text(value)])
        .collect();
    page.grid(properties);
    if asked.session.is_some() {
        page.html(resend_form(asked, &message));
    }
    Ok(page)
}

fn about(lang: Lang, message: &Received) -> Markup {
    let topic = &message.queue.topic;
    facts(&[
        (
            lang.t("Topic", "主题"),
            html! { a href=(link("/topic", &[("name", topic)])) { (topic) } },
        ),
        (lang.t("Tag", "标签"), html! { (message.tags().unwrap_or("–")) }),
        (lang.t("Keys", "Key"), html! { (message.keys().unwrap_or("–")) }),
        (
            lang.t("Id of the producer", "生产者消息 ID"),
            html! { code { (message.msg_id()) } },
        ),
        (
            lang.t("Id of the broker", "Broker 消息 ID"),
            html! { code { (message.offset_msg_id()) } },
        ),
        (
            lang.t("Born", "产生"),
            html! { (shown_time(message.born_timestamp)) " " code { (message.born_host) } },
        ),
        (
            lang.t("Stored", "存储"),
            html! { (shown_time(message.store_timestamp)) " " code { (message.store_host) } },
        ),
        (
            lang.t("Queue, offset", "队列与位点"),
            html! { (message.queue.queue_id) ", " (message.queue_offset) },
        ),
        (
            lang.t("Place in the commitlog", "CommitLog 位置"),
            html! { (message.physical_offset) },
        ),
        (
            lang.t("Deliveries that failed", "重试次数"),
            html! { (message.reconsume_times) },
        ),
    ])
}

fn body_shown(lang: Lang, message: &Received, topic: &str, id: &str) -> Markup {
    let body = &message.body;
    let file = link("/message/body", &[("topic", topic), ("id", id)]);
    let (text, is_cut) = readable(body);
    html! {
        section {
            div.bar {
                h2 { (lang.t("Body", "消息体")) " " span.count { (body.len()) " " (lang.t("bytes", "字节")) } }
                a href=(file) download { (lang.t("as a file", "下载")) }
            }
            pre.body tabindex="0" { (text) }
            @if is_cut { p { (lang.t("The file has all of it.", "仅显示开头部分，完整内容请下载。")) } }
        }
    }
}

/// A body for people: JSON with its lines apart, text as it is, other bytes as digits. And whether that is not all.
fn readable(body: &[u8]) -> (String, bool) {
    if let Ok(text) = std::str::from_utf8(body)
        && body.len() <= BODY_MAX
    {
        let is_json = text.trim_start().starts_with(['{', '[']);
        let is_json = is_json && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        let shown = if is_json { indented(text) } else { text.to_owned() };
        return (shown, false);
    }
    let head = body.get(..BODY_MAX).unwrap_or(body);
    match std::str::from_utf8(head) {
        Ok(text) => (text.to_owned(), head.len() < body.len()),
        Err(why) if why.error_len().is_none() && head.len() < body.len() => (
            String::from_utf8_lossy(head.get(..why.valid_up_to()).unwrap_or_default()).into_owned(),
            true,
        ),
        Err(_) => {
            let head = body.get(..DIGITS_MAX).unwrap_or(body);
            (digits(head), head.len() < body.len())
        }
    }
}

/// JSON with its lines apart. Only blanks between its words are others: numbers, order and repeated names stay.
fn indented(json: &str) -> String {
    let (mut out, mut depth, mut is_text, mut is_escaped) = (String::new(), 0_usize, false, false);
    let mut letters = json.chars().peekable();
    while let Some(letter) = letters.next() {
        if is_text {
            out.push(letter);
            is_text = is_escaped || letter != '"';
            is_escaped = !is_escaped && letter == '\\';
            continue;
        }
        let mut line = |depth: usize| {
            out.push('\n');
            // However deep it is: the text is not to grow without bound.
            out.push_str(&"  ".repeat(depth.min(32)));
        };
        match letter {
            letter if letter.is_whitespace() => continue,
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(depth);
            }
            _ => {}
        }
        out.push(letter);
        match letter {
            '"' => is_text = true,
            ':' => out.push(' '),
            ',' | '{' | '[' => {
                while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
                // Nothing between the brackets.
                if letter != ',' && letters.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    out.extend(letters.next());
                    continue;
                }
                depth += usize::from(letter != ',');
                out.push('\n');
                out.push_str(&"  ".repeat(depth.min(32)));
            }
            _ => {}
        }
    }
    out
}

/// Sixteen bytes a line.
fn digits(bytes: &[u8]) -> String {
    let line = |(number, part): (usize, &[u8])| {
        let digits: Vec<String> = part.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = part
            .iter()
            .map(|byte| {
                if (b' '..=b'~').contains(byte) {
                    char::from(*byte)
                } else {
                    '.'
                }
            })
            .collect();
        format!("{:08x}  {:<47}  {text}\n", number * 16, digits.join(" "))
    };
    bytes.chunks(16).enumerate().map(line).collect()
}

async fn tracks(lang: Lang, net: &Net, message: &Received, page: &mut Page) -> Grid {
    let mut grid = Grid::new(
        "groups",
        Text("Where it is with each group", "各消费组消费状态"),
        TRACKS,
        "group",
        Text("No group consumes the topic.", "没有消费组消费该主题。"),
    );
    let tracks = match ask::tracks(net, message).await {
        Ok(tracks) => tracks,
        Err(why) => {
            page.away([why.to_string()]);
            return grid;
        }
    };
    for track in tracks {
        let (text, mark) = match track.kind {
            "CONSUMED" => (lang.t("consumed", "已消费"), Mark::Good),
            "CONSUMED_BUT_FILTERED" => (
                lang.t("passed over: its tag is not wanted", "被过滤"),
                Mark::Plain,
            ),
            "NOT_CONSUME_YET" => (lang.t("waits", "未消费"), Mark::Warn),
            "NOT_ONLINE" => (lang.t("no member is connected", "消费者不在线"), Mark::Warn),
            "PULL" => (
                lang.t("a pull consumer: only it knows", "拉取消费，状态未知"),
                Mark::Plain,
            ),
            _ => (lang.t("not known", "未知"), Mark::Plain),
        };
        grid.rows.push(vec![
            Cell::group(track.group),
            Cell::text(text).marked(mark),
            track.why.map_or_else(Cell::missing, Cell::text),
        ]);
    }
    grid
}

async fn trace(lang: Lang, net: &Net, message: &Received, page: &mut Page) -> Grid {
    let mut grid = Grid::new(
        "trace",
        Text("Trace", "轨迹"),
        TRACE,
        "time",
        Text(
            "No trace is recorded. Clients record one where their message trace is on (enableMsgTrace), and a broker with traceTopicEnable keeps it.",
            "没有轨迹记录。需在客户端开启消息轨迹（enableMsgTrace），并在 Broker 上开启 traceTopicEnable。",
        ),
    );
    let id = message.msg_id();
    match traced(net, &id).await {
        Ok(events) => {
            for event in events {
                let what = if event.is_send {
                    lang.t("sent", "发送")
                } else {
                    lang.t("consumed", "消费")
                };
                let done = match event.success {
                    true => Cell::text(lang.t("yes", "成功")).marked(Mark::Good),
                    false => Cell::text(lang.t("no", "失败")).marked(Mark::Bad),
                };
                grid.rows.push(vec![
                    Cell::time(event.time),
                    Cell::text(what),
                    Cell::text(event.group),
                    Cell::code(event.host),
                    Cell::int(event.took_ms),
                    done,
                ]);
            }
        }
        // No broker keeps traces.
        Err(Failure::Client(client::Error::NoRoute(_))) => {}
        Err(why) => page.away([why.to_string()]),
    }
    grid
}

async fn traced(net: &Net, id: &str) -> Result<Vec<ask::Event>, Failure> {
    let route = net.route(TRACE_TOPIC).await?;
    let wanted = Wanted {
        topic: TRACE_TOPIC,
        key: id,
        most: 64,
        begin: 0,
        end: i64::MAX,
        unique: false,
    };
    let (found, _) = ask::find(net, &route, &wanted).await?;
    Ok(ask::events(&found, id))
}

fn resend_form(asked: &Asked, message: &Received) -> Markup {
    let lang = asked.lang;
    let is_dead = message.queue.topic.starts_with(DLQ_PREFIX);
    html! {
        section.change {
            h2 { (lang.t("Send it once more", "重新发送")) }
            p { @if is_dead {
                (lang.t("Its group gets it once more, no other: it is sent to the group's retry topic.", "仅发送给原消费组（写入其重试主题）。"))
            } @else {
                (lang.t("Every group that consumes the topic gets it once more, with the same id, keys and properties.", "所有消费该主题的消费组都会再次收到，ID、Key 和属性不变。"))
            } }
            form method="post" action="/message/resend" {
                (token(asked))
                input type="hidden" name="topic" value=(message.queue.topic);
                input type="hidden" name="id" value=(message.offset_msg_id());
                button type="submit" { (lang.t("Send", "发送")) }
            }
        }
    }
}

/// The body as it is.
pub(crate) async fn body(app: &App, asked: &Asked) -> Result<Reply, Refusal> {
    let (topic, id) = (asked.wanted("topic")?, asked.wanted("id")?);
    let message = read::one(&app.cluster.net, topic, id).await?;
    let name = format!("{}.body", message.msg_id());
    Ok(Reply::download("application/octet-stream", &name, message.body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_for_people() {
        assert_eq!(readable(b"{\"a\":1}"), ("{\n  \"a\": 1\n}".to_owned(), false));
        let odd = r#" {"b" :12345678901234567890123, "a":["x\"{", {}, [ ]],"b":1.0}"#;
        let shown = "{\n  \"b\": 12345678901234567890123,\n  \"a\": [\n    \"x\\\"{\",\n    {},\n    []\n  ],\n  \"b\": 1.0\n}";
        assert_eq!(readable(odd.as_bytes()), (shown.to_owned(), false));
        assert_eq!(readable(b"{no json"), ("{no json".to_owned(), false));
        assert_eq!(
            readable(b"\xffA"),
            (
                "00000000  ff 41                                            .A\n".to_owned(),
                false
            )
        );
        let long = "中".repeat(BODY_MAX);
        let (text, is_cut) = readable(long.as_bytes());
        assert!(is_cut && text.len() <= BODY_MAX && text.ends_with('中'));
        let (text, is_cut) = readable(&vec![0xff; BODY_MAX]);
        assert!(is_cut && text.lines().count() == DIGITS_MAX / 16);
    }
}
