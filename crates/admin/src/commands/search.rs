//! Messages as people look for them: searchMsg, tail.

use super::follow::{AT_ONCE, Follow};
use super::message::{self, READER, Wanted, find_keyed};
use super::message_text::{charset, hex, with_whole_body};
use super::topic::readable;
use crate::failure::Failure;
use crate::job::Job;
use crate::net::{Net, apart};
use crate::output::{Out, visible};
use crate::parse::{Given, bad_value};
use crate::table::{Command, Opt, Run, required, value};
use crate::time;
use client::{PullConsumer, PullStatus, Received};
use encoding_rs::{Encoding, UTF_8};
use message_id::OffsetMessageId;
use protocol::body::MessageQueue;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use ::message::id as message_id;

const TAGS: Opt = value('s', "subExpression", "only with one of these tags: TagA || TagB");
const CONTAINS: Opt = value(
    'w',
    "contains",
    "only with this text in the body; letter case counts",
);
const FORMAT: Opt = value('f', "format", "text, json or hex [default: text]");
const CHARSET: Opt = value(
    'c',
    "charsetName",
    "how bodies are read: UTF-8, GBK, … [default: UTF-8]",
);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "searchMsg",
        alias: None,
        about: "finds messages by id, key, time, tag and text, the oldest first",
        options: &[
            required('t', "topic", "the topic"),
            value('i', "msgId", "the id that the producer or the broker gave"),
            value('k', "msgKey", "one of the message's keys"),
            value(
                'b',
                "beginTimestamp",
                "stored not before, ms since 1970, 2026-11-29#17:08:20:123, or how long ago: 30s, 10m, 2h, 3d",
            ),
            value('e', "endTimestamp", "stored not after"),
            TAGS,
            CONTAINS,
            value('m', "maxNum", "how many [default: 32]"),
            FORMAT,
            CHARSET,
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(search(job, out))),
    },
    Command {
        name: "tail",
        alias: None,
        about: "prints the messages of a topic as they come, until it is stopped",
        options: &[
            required('t', "topic", "the topic"),
            TAGS,
            CONTAINS,
            value(
                'l',
                "last",
                "so many of each queue first that are there [default: 0]",
            ),
            value('m', "maxNum", "ends after so many"),
            FORMAT,
            CHARSET,
        ],
        asks: None,
        run: Run::Online(|job, out| Box::pin(tail(job, out))),
    },
];

/// Which messages are wanted.
#[derive(Debug, Clone)]
pub struct Filter {
    /// None: any.
    pub tags: Vec<String>,
    /// As it is in a body.
    pub text: Option<Vec<u8>>,
    /// Stored not before, ms since 1970.
    pub begin: i64,
    /// Stored not after.
    pub end: i64,
}

impl Filter {
    fn of(given: &Given, charset: &'static Encoding) -> Result<Filter, Failure> {
        let tags = given.text("subExpression").unwrap_or("*").split("||");
        let tags = tags.map(|tag| tag.trim().to_owned());
        let text = match given.text("contains") {
            Some("") => return Err(bad_value("contains", "", "some text")),
            text => text.map(|text| charset.encode(text).0.into_owned()),
        };
        Ok(Filter {
            tags: tags.filter(|tag| !tag.is_empty() && tag != "*").collect(),
            text,
            begin: given.time("beginTimestamp")?.unwrap_or(0),
            end: given.time("endTimestamp")?.unwrap_or(i64::MAX),
        })
    }

    /// What a broker is asked for. It compares hashes: others may come with those that are wanted.
    fn expression(&self) -> String {
        match self.tags.is_empty() {
            true => "*".to_owned(),
            false => self.tags.join(" || "),
        }
    }

    /// Whether it is one of them.
    pub fn wants(&self, message: &Received) -> bool {
        let tag = message.tags().unwrap_or_default();
        let has_text = |text: &Vec<u8>| message.body.windows(text.len()).any(|part| part == text);
        (self.tags.is_empty() || self.tags.iter().any(|wanted| wanted == tag))
            && (self.begin..=self.end).contains(&message.store_timestamp)
            && self.text.as_ref().is_none_or(has_text)
    }
}

/// How a message is printed.
#[derive(Clone, Copy)]
struct Style {
    form: Form,
    charset: &'static Encoding,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Text,
    Json,
    Hex,
}

impl Style {
    fn of(given: &Given) -> Result<Style, Failure> {
        let form = match given.text("format") {
            None | Some("text") => Form::Text,
            Some("json") => Form::Json,
            Some("hex") => Form::Hex,
            Some(other) => return Err(bad_value("format", other, "text, json or hex")),
        };
        Ok(Style {
            form,
            charset: charset(given, "charsetName")?.unwrap_or(UTF_8),
        })
    }

    fn print(self, out: &mut Out, message: &Received) {
        let value = with_whole_body(message);
        out.json(&value);
        if out.is_json() {
            return;
        }
        match self.form {
            Form::Json => out.line(&value.to_string()),
            Form::Text => out.text(&format!("{}\n{}", head(message), self.body(message))),
            Form::Hex => out.text(&format!("{}\n{}", head(message), dump(&message.body))),
        }
    }

    /// The lines of a body, moved to the right. What would move a terminal's cursor is shown as a number.
    fn body(self, message: &Received) -> String {
        let (text, had_errors) = self.charset.decode_without_bom_handling(&message.body);
        if had_errors {
            let length = message.body.len();
            return format!("    ({length} bytes that are no text; -f hex shows them)\n");
        }
        text.lines()
            .map(|line| format!("    {}\n", visible(line)))
            .collect()
    }
}

/// When, where, tag, keys and id of a message.
fn head(message: &Received) -> String {
    let mut head = format!(
        "{}  {}/{}/{}  {}",
        time::millis(message.store_timestamp),
        message.queue.broker_name,
        message.queue.queue_id,
        message.queue_offset,
        visible(&message.msg_id())
    );
    for (name, value) in [("tag", message.tags()), ("keys", message.keys())] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = write!(head, "  {name}={}", visible(value));
        }
    }
    head
}

/// Sixteen bytes a line: the place of the first, digits, and what of them is text.
fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (line, part) in bytes.chunks(16).enumerate() {
        let digits: Vec<String> = part.iter().map(|byte| hex(&[*byte])).collect();
        let text = part.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        let (digits, text) = (digits.join(" "), text.collect::<String>());
        let _ = writeln!(out, "    {:08x}  {digits:<47}  |{text}|", line * 16);
    }
    out
}

async fn search(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let style = Style::of(given)?;
    let filter = Filter::of(given, style.charset)?;
    if filter.begin > filter.end {
        return Err(Failure::wrong("--beginTimestamp is later than --endTimestamp"));
    }
    let most: usize = given.number("maxNum")?.unwrap_or(32);
    if most == 0 {
        return Err(bad_value("maxNum", "0", "more than 0"));
    }
    let mut found = match (given.text("msgId"), given.text("msgKey")) {
        (Some(_), Some(_)) => return Err(Failure::wrong("-i/--msgId and -k/--msgKey do not go together")),
        (Some(id), None) => by_id(job, out, given.required("topic"), id).await?,
        (None, Some(key)) => by_key(job, out, key, &filter, most).await?,
        (None, None) => {
            let scanned = scan(&job.net, given.required("topic"), &filter, most, None).await?;
            for why in scanned.away {
                out.away(&why);
            }
            scanned.found
        }
    };
    found.retain(|message| filter.wants(message));
    found.sort_by_key(|message| (message.store_timestamp, message.physical_offset));
    found.truncate(most);
    if found.is_empty() {
        let topic = given.required("topic");
        return Err(Failure::wrong(format!("no message of {topic} is as wanted")));
    }
    for message in &found {
        style.print(out, message);
    }
    Ok(())
}

/// The message with an id of a producer, or of a broker of this topic.
pub(super) async fn by_id(job: &Job, out: &mut Out, topic: &str, id: &str) -> Result<Vec<Received>, Failure> {
    let wanted = Wanted {
        topic,
        key: id,
        most: 32,
        begin: 0,
        end: i64::MAX,
        unique: true,
    };
    let found = find_keyed(job, out, &wanted).await?;
    match found.is_empty() {
        true => by_place(&job.net, topic, id).await.map(Vec::from_iter),
        false => Ok(found),
    }
}

/// The message with an id of a broker of this topic.
///
/// # Errors
/// That broker does not have it.
pub async fn by_place(net: &Net, topic: &str, id: &str) -> Result<Option<Received>, Failure> {
    let Ok(place) = id.parse::<OffsetMessageId>() else {
        return Ok(None);
    };
    // An id of a producer is read as a place, too: a host that no broker has is not asked.
    let route = net.route(topic).await?;
    let addresses = route
        .broker_datas
        .iter()
        .flat_map(|group| group.broker_addrs.values());
    let store_host = place.store_host.to_string();
    match addresses.into_iter().any(|address| *address == store_host) {
        true => message::view(net, id).await.map(Some),
        false => Ok(None),
    }
}

async fn by_key(
    job: &Job,
    out: &mut Out,
    key: &str,
    filter: &Filter,
    most: usize,
) -> Result<Vec<Received>, Failure> {
    let wanted = Wanted {
        topic: job.given.required("topic"),
        key,
        most: i32::try_from(most).unwrap_or(i32::MAX),
        begin: filter.begin,
        end: filter.end,
        unique: false,
    };
    find_keyed(job, out, &wanted).await
}

/// How far a search through queues is.
#[derive(Default)]
struct Pace {
    all: AtomicI64,
    read: AtomicI64,
    found: AtomicI64,
    until: Option<Instant>,
    /// Whether the time was too short.
    is_cut: AtomicBool,
}

/// What a search through queues brings.
pub struct Scanned {
    /// The messages, queue by queue.
    pub found: Vec<Received>,
    /// Queues that could not be read.
    pub away: Vec<Failure>,
    /// Whether all were read to their end, or to as many as were wanted: the time was long enough.
    pub is_whole: bool,
}

/// Goes through every queue, side by side, for so many messages of each, until a moment.
///
/// # Errors
/// No queue can be read.
pub async fn scan(
    net: &Net,
    topic: &str,
    filter: &Filter,
    most: usize,
    until: Option<Instant>,
) -> Result<Scanned, Failure> {
    let route = net.route(topic).await?;
    let reader = Arc::new(net.reader(READER)?);
    let pace = Arc::new(Pace {
        until,
        ..Pace::default()
    });
    let queues = readable(&route, topic);
    let names: Vec<String> = (0..queues.len()).map(|number| number.to_string()).collect();
    let work = |_: Net, number: String| {
        let queue = number.parse().ok().and_then(|number: usize| queues.get(number));
        let queue = queue.cloned().unwrap_or_default();
        let (reader, filter, pace) = (Arc::clone(&reader), filter.clone(), Arc::clone(&pace));
        async move { scan_queue(&reader, &queue, &filter, most, &pace).await }
    };
    let mut progress = net.progress();
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let told = {
        let scanning = net.each(names, work);
        tokio::pin!(scanning);
        loop {
            tokio::select! {
                told = &mut scanning => break told,
                _ = ticks.tick() => progress.tell(|| {
                    let of = |number: &AtomicI64| number.load(Ordering::Relaxed);
                    format!("{} of {} messages read, {} found", of(&pace.read), of(&pace.all), of(&pace.found))
                }),
            }
        }
    };
    drop(progress);
    if let Some(reader) = Arc::into_inner(reader) {
        reader.shutdown().await;
    }
    let (found, away) = apart(told)?;
    Ok(Scanned {
        found: found.into_iter().flat_map(|(_, found)| found).collect(),
        away,
        is_whole: !pace.is_cut.load(Ordering::Relaxed),
    })
}

async fn scan_queue(
    reader: &PullConsumer,
    queue: &MessageQueue,
    filter: &Filter,
    most: usize,
    pace: &Pace,
) -> Result<Vec<Received>, Failure> {
    let (mut offset, end) = (reader.min_offset(queue).await?, reader.max_offset(queue).await?);
    if filter.begin > 0 {
        offset = offset.max(reader.offset_at(queue, filter.begin).await?);
    }
    pace.all.fetch_add((end - offset).max(0), Ordering::Relaxed);
    let mut found = Vec::new();
    while offset < end {
        if pace.until.is_some_and(|until| Instant::now() >= until) {
            pace.is_cut.store(true, Ordering::Relaxed);
            break;
        }
        let result = reader
            .pull(queue, &filter.expression(), offset, AT_ONCE, false)
            .await?;
        pace.read
            .fetch_add(result.next_offset - offset, Ordering::Relaxed);
        offset = result.next_offset;
        if matches!(result.status, PullStatus::NoNew | PullStatus::OffsetIllegal) {
            break;
        }
        let is_over = result
            .messages
            .last()
            .is_some_and(|last| last.store_timestamp > filter.end);
        let before = found.len();
        found.extend(
            result
                .messages
                .into_iter()
                .filter(|message| filter.wants(message)),
        );
        pace.found
            .fetch_add((found.len() - before) as i64, Ordering::Relaxed);
        if is_over || found.len() >= most {
            break;
        }
    }
    Ok(found)
}

async fn tail(job: &Job, out: &mut Out) -> Result<(), Failure> {
    let given = &job.given;
    let style = Style::of(given)?;
    let filter = Filter::of(given, style.charset)?;
    let last: i64 = given.number("last")?.unwrap_or(0);
    if last < 0 {
        return Err(bad_value("last", &last.to_string(), "0 or more"));
    }
    let mut left: Option<usize> = given.number("maxNum")?;
    let topic = given.required("topic");
    let mut follow = Follow::start(&job.net, READER, topic, &filter.expression(), last).await?;
    while !out.is_closed() && left != Some(0) {
        let messages = match follow.next().await {
            Ok(messages) => messages,
            Err(why) => {
                out.away(&why);
                continue;
            }
        };
        let wanted = messages.iter().filter(|message| filter.wants(message));
        for message in wanted.take(left.unwrap_or(usize::MAX)) {
            style.print(out, message);
            left = left.map(|left| left - 1);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::message_text::sample;
    use super::*;
    use crate::parse::parse;
    use crate::table::find;

    fn given(line: &str) -> Given {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        parse(find(&words[0]).unwrap(), &words[1..]).unwrap()
    }

    #[test]
    fn what_is_wanted() {
        let wants = |options: &str| {
            let given = given(&format!("searchMsg -t Stock {options}"));
            let mut message = sample();
            message.body = bytes::Bytes::from_static("größer".as_bytes());
            Filter::of(&given, UTF_8).unwrap().wants(&message)
        };
        for (options, expected) in [
            ("-m 1", true),
            ("-s Paid", true),
            ("-s Open||Paid", true),
            ("-s Pai", false),
            ("-b 2", true),
            ("-b 3", false),
            ("-e 2", true),
            ("-e 1", false),
            ("-w rö", true),
            ("-w RÖ", false),
            ("-w größere", false),
        ] {
            assert_eq!(wants(options), expected, "{options}");
        }
    }

    fn printed(options: &str, body: &'static [u8]) -> String {
        let style = Style::of(&given(&format!("searchMsg -t Stock {options}"))).unwrap();
        let mut message = sample();
        message.body = bytes::Bytes::from_static(body);
        message.store_timestamp = 0;
        let mut out = Out::kept(false);
        style.print(&mut out, &message);
        let said = out.into_text();
        // The time is that of this host's zone.
        match said.split_once("broker-a") {
            Some((_, rest)) if style.form != Form::Json => rest.to_owned(),
            _ => said,
        }
    }

    #[test]
    fn a_message_as_text_json_and_digits() {
        assert_eq!(
            printed("-m 1", b"one\ntwo \x1b[31m"),
            "/1/6  AB  tag=Paid  keys=order26\n    one\n    two \\u{1b}[31m\n"
        );
        assert!(
            printed("-m 1", b"\xff\xfe").ends_with("    (2 bytes that are no text; -f hex shows them)\n")
        );
        assert!(printed("-c GBK", b"\xc4\xe3").ends_with("    你\n"));
        assert_eq!(
            printed("-f hex", b"0123456789abcdef\x00"),
            "/1/6  AB  tag=Paid  keys=order26\n    \
             00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  |0123456789abcdef|\n    \
             00000010  00                                               |.|\n"
        );
        let value: serde_json::Value = serde_json::from_str(&printed("-f json", b"\xff")).unwrap();
        assert_eq!(
            (&value["bodyHex"], &value["body"]),
            (&"ff".into(), &serde_json::Value::Null)
        );
    }
}
