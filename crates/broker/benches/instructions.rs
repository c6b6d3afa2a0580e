//! The regression guard: how many instructions a message costs on its way in and out.
//!
//! `cargo bench -p broker --bench instructions` counts and compares with `instructions.txt` beside this file; a figure more
//! than 10 % away from the committed one, above or below, fails. `-- --renew` writes the file anew, `-- --only TEXT` counts
//! some rows. It needs valgrind.
//!
//! A whole broker runs in this process, with the runtime's one worker on the main thread, and answers over loopback. Each
//! burst is one write of frames that were made before, so that the broker's connection reads, cuts, serves, appends,
//! dispatches and answers as it does under load. Each row is run twice with different numbers of messages; the difference
//! divided by the difference of the numbers is the cost of one, so that start and stop cancel out. The client's work is a
//! patch of each message's key and a look at each answer's length. What the kernel does is not counted.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a bench starts programs")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use broker::run::start;
use broker::settings::Settings;
use protocol::SerializeType;
use protocol::code::{request, response};
use protocol::encode::encode_request;
use protocol::header::Short;
use protocol::header::broker::{PullMessageRequestHeader, SendMessageRequestHeader};
use tokio::net::TcpStream;

const TOPIC: &str = "Instructions";
const BODY_BYTES: usize = 1024;
/// Queues of a topic that a send makes.
const QUEUES: usize = 8;
/// How far a figure may be from the committed one.
const TOLERANCE: f64 = 0.10;
/// Where a key's running number stands: `UNIQ_KEY` is 32 hex digits, as Java's clients write it.
const KEY: &str = "7F000001A1B218B4AAC2000000000000";

/// What a row does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Send,
    /// Sends of so many messages in one request.
    Batch(usize),
    Oneway,
    /// Pulls of 32.
    Pull,
}

struct Row {
    name: &'static str,
    what: What,
    headers: SerializeType,
    /// Requests in one write.
    burst: usize,
}

const ROWS: &[Row] = &[
    row("send, JSON, 32 in a read", What::Send, SerializeType::Json, 32),
    row(
        "send, ROCKETMQ, 32 in a read",
        What::Send,
        SerializeType::RocketMq,
        32,
    ),
    row("send, JSON, 1 in a read", What::Send, SerializeType::Json, 1),
    row(
        "send oneway, JSON, 32 in a read",
        What::Oneway,
        SerializeType::Json,
        32,
    ),
    row(
        "send batches of 32, JSON",
        What::Batch(32),
        SerializeType::Json,
        1,
    ),
    row(
        "pull of 32, JSON, 1 in a read",
        What::Pull,
        SerializeType::Json,
        1,
    ),
    row(
        "pull of 32, ROCKETMQ, 1 in a read",
        What::Pull,
        SerializeType::RocketMq,
        1,
    ),
];

const fn row(name: &'static str, what: What, headers: SerializeType, burst: usize) -> Row {
    Row {
        name,
        what,
        headers,
        burst,
    }
}

impl Row {
    /// Messages in a burst.
    fn messages(&self) -> usize {
        self.burst
            * match self.what {
                What::Send | What::Oneway => 1,
                What::Batch(of) => of,
                What::Pull => 32,
            }
    }

    /// Bursts of the short and of the long run.
    fn bursts(&self) -> [usize; 2] {
        let many = 16_384 / self.messages();
        [many / 4, many]
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    if let (Some(row), Some(bursts)) = (after("--drive"), after("--bursts")) {
        drive(&ROWS[row.parse::<usize>().unwrap()], bursts.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let renew = arguments.iter().any(|a| a == "--renew");
    guard(after("--only").unwrap_or_default(), renew)
}

/// Counts every row and compares.
fn guard(only: &str, renew: bool) -> ExitCode {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind counts the instructions and is not installed here (apt-get install valgrind)");
        return ExitCode::FAILURE;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    let mut committed = read_figures(&file);
    let mut away = Vec::new();
    println!(
        "{:<36} {:>10} {:>10} {:>8} {:>16}",
        "instructions a message", "now", "committed", "", "main thread only"
    );
    for (number, row) in ROWS.iter().enumerate().filter(|(_, row)| row.name.contains(only)) {
        let [few, many] = row
            .bursts()
            .map(|bursts| (bursts * row.messages(), count(number, bursts)));
        let each =
            |of: fn(&Counted) -> u64| (of(&many.1) as f64 - of(&few.1) as f64) / (many.0 - few.0) as f64;
        let (now, main) = (each(|c| c.all), each(|c| c.main));
        let was = committed.insert(row.name.to_owned(), now.round());
        let change = was.map(|was| now / was - 1.0);
        println!(
            "{:<36} {now:>10.0} {:>10} {:>8} {main:>16.0}",
            row.name,
            was.map_or_else(|| "-".to_owned(), |was| format!("{was:.0}")),
            change.map_or_else(String::new, |change| format!("{:+.1} %", change * 100.0)),
        );
        if change.is_none_or(|change| change.abs() > TOLERANCE) {
            away.push(row.name);
        }
    }
    if renew {
        write_figures(&file, &committed);
        println!("written to {}", file.display());
        return ExitCode::SUCCESS;
    }
    if away.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "more than {:.0} % away from {}: {}.\nIf that is meant: cargo bench -p broker --bench instructions -- --renew",
        TOLERANCE * 100.0,
        file.display(),
        away.join("; ")
    );
    ExitCode::FAILURE
}

/// Lines of `figure name`; what begins with `#` is for people.
fn read_figures(file: &Path) -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let figures = lines.filter_map(|line| line.trim().split_once(' '));
    figures
        .map(|(figure, name)| (name.trim().to_owned(), figure.parse().expect("a number first")))
        .collect()
}

fn write_figures(file: &Path, figures: &BTreeMap<String, f64>) {
    let mut text =
        "# Instructions a message. Written by: cargo bench -p broker --bench instructions -- --renew\n"
            .to_owned();
    for row in ROWS {
        if let Some(figure) = figures.get(row.name) {
            text.push_str(
                &format!("{figure:>8} {}\n", row.name)
                    .trim_start()
                    .replace("  ", " "),
            );
        }
    }
    std::fs::write(file, text).unwrap();
}

/// Instructions of a run.
struct Counted {
    /// Of every thread.
    all: u64,
    /// Of the thread that the connection's task runs on.
    main: u64,
}

/// Runs a row under callgrind.
fn count(row: usize, bursts: usize) -> Counted {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes"])
        .arg(format!("--callgrind-out-file={}/out", dir.path().display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--drive", &row.to_string(), "--bursts", &bursts.to_string()])
        .output()
        .expect("valgrind was there a moment ago");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} failed:\n{said}", ROWS[row].name);
    let mut counted = Counted { all: 0, main: 0 };
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let sum = total(&path);
        counted.all += sum;
        // Threads are numbered from 1.
        if path.to_string_lossy().ends_with("-01") {
            counted.main += sum;
        }
    }
    assert!(
        counted.main > 0,
        "callgrind left no count of the main thread:\n{said}"
    );
    counted
}

/// The `totals:` of a file of callgrind's.
fn total(path: &PathBuf) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals:"));
    line.and_then(|sum| sum.trim().parse().ok()).unwrap_or(0)
}

/// Sends a row's bursts to a broker in this process.
fn drive(row: &Row, bursts: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let port = cluster::free_port();
        let broker = start(settings(dir.path(), port)).await.unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Client {
            stream,
            buffer: vec![0; 1 << 20],
            messages: 0,
        };
        // The topic is made, and what a pull reads is there.
        let mut sends = Burst::new(&row_of(What::Send, SerializeType::Json, 32));
        for _ in 0..32 {
            client.run(&mut sends).await;
        }
        let mut burst = Burst::new(row);
        for _ in 0..bursts {
            client.run(&mut burst).await;
        }
        drop(client);
        broker.stop().await;
    });
}

const fn row_of(what: What, headers: SerializeType, burst: usize) -> Row {
    row("", what, headers, burst)
}

fn settings(dir: &Path, port: u16) -> Settings {
    let mut settings = Settings::default();
    settings.broker.broker_ip1 = "127.0.0.1".to_owned();
    settings.broker.broker_ip2 = "127.0.0.1".to_owned();
    settings.broker.namesrv_addr = None;
    settings.broker.broker_config_path = Some(dir.join("broker.conf").display().to_string());
    settings.server.bind_address = "127.0.0.1".to_owned();
    settings.server.listen_port = i32::from(port);
    settings.store.store_path_root_dir = dir.join("store").display().to_string();
    // No new file is begun: what that costs is no message's.
    settings.store.mapped_file_size_commit_log = 64 << 20;
    settings
}

/// Frames that are written at once.
struct Burst {
    bytes: Vec<u8>,
    /// Where a message's running number goes.
    keys: Vec<usize>,
    answers: usize,
    /// What each answer must be.
    pulls: bool,
}

impl Burst {
    fn new(row: &Row) -> Burst {
        let mut bytes = Vec::new();
        for i in 0..row.burst {
            match row.what {
                What::Pull => pull_frame(&mut bytes, row.headers, i),
                _ => send_frame(&mut bytes, row, i),
            }
        }
        let keys: Vec<usize> = find_all(&bytes, KEY.as_bytes())
            .map(|at| at + KEY.len() - 6)
            .collect();
        let expected = if row.what == What::Pull { 0 } else { row.messages() };
        assert_eq!(keys.len(), expected);
        Burst {
            bytes,
            keys,
            answers: if row.what == What::Oneway { 0 } else { row.burst },
            pulls: row.what == What::Pull,
        }
    }
}

fn find_all<'a>(bytes: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let windows = bytes.windows(wanted.len()).enumerate();
    windows
        .filter(move |(_, window)| *window == wanted)
        .map(|(at, _)| at)
}

fn send_frame(bytes: &mut Vec<u8>, row: &Row, i: usize) {
    let properties = format!("UNIQ_KEY\u{1}{KEY}\u{2}WAIT\u{1}true\u{2}TAGS\u{1}TagA");
    let (code, body, properties) = match row.what {
        What::Batch(of) => {
            let mut body = Vec::new();
            for _ in 0..of {
                message::batch::push_entry(&mut body, 0, &[b'x'; BODY_BYTES], properties.as_bytes());
            }
            (request::SEND_BATCH_MESSAGE, body, String::new())
        }
        _ => (request::SEND_MESSAGE_V2, vec![b'x'; BODY_BYTES], properties),
    };
    let header = SendMessageRequestHeader {
        producer_group: Some("instructions_producer".into()),
        topic: TOPIC.into(),
        default_topic: Some("TBW102".into()),
        default_topic_queue_nums: Some(QUEUES as i32),
        queue_id: (i % QUEUES) as i32,
        sys_flag: Some(0),
        born_timestamp: 1_700_000_000_000,
        flag: Some(0),
        properties: Some(&properties),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        batch: Some(code == request::SEND_BATCH_MESSAGE),
        max_reconsume_times: None,
    };
    let oneway = row.what == What::Oneway;
    encode_request(
        bytes,
        row.headers,
        code,
        i as i32,
        oneway,
        &Short(&header),
        body.len(),
    );
    bytes.extend_from_slice(&body);
}

fn pull_frame(bytes: &mut Vec<u8>, headers: SerializeType, i: usize) {
    let header = PullMessageRequestHeader {
        consumer_group: "instructions_consumer".into(),
        topic: TOPIC.into(),
        queue_id: (i % QUEUES) as i32,
        queue_offset: 32,
        max_msg_nums: 32,
        // May wait, and the subscription is in the header, as pulls of Java's clients say.
        sys_flag: 2 | 4,
        commit_offset: Some(0),
        suspend_timeout_millis: Some(15_000),
        subscription: Some("*".into()),
        sub_version: Some(1_700_000_000_000),
        expression_type: Some("TAG".into()),
        max_msg_bytes: None,
    };
    encode_request(bytes, headers, request::PULL_MESSAGE, i as i32, false, &header, 0);
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    messages: usize,
}

impl Client {
    /// Writes a burst and takes its answers in.
    async fn run(&mut self, burst: &mut Burst) {
        for at in &burst.keys {
            self.messages += 1;
            for (digit, shift) in burst.bytes[*at..*at + 6].iter_mut().zip([20, 16, 12, 8, 4, 0]) {
                *digit = b"0123456789ABCDEF"[self.messages >> shift & 15];
            }
        }
        self.write(&burst.bytes).await;
        if burst.answers > 0 {
            self.read(burst).await;
        } else {
            // Nothing comes back: the broker's task is next.
            tokio::task::yield_now().await;
        }
    }

    async fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => self.stream.writable().await.unwrap(),
                Err(e) => panic!("the broker closed the connection: {e}"),
            }
        }
    }

    async fn read(&mut self, burst: &Burst) {
        let (mut filled, mut at, mut left) = (0, 0, burst.answers);
        while left > 0 {
            match self.stream.try_read(&mut self.buffer[filled..]) {
                Ok(0) => panic!("the broker closed the connection"),
                Ok(read) => filled += read,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    self.stream.readable().await.unwrap();
                    continue;
                }
                Err(e) => panic!("{e}"),
            }
            while let Some(head) = self.buffer[at..filled].first_chunk::<4>() {
                let end = at + 4 + u32::from_be_bytes(*head) as usize;
                if end > filled {
                    break;
                }
                check(&self.buffer[at + 4..end], burst.pulls);
                at = end;
                left -= 1;
            }
        }
    }
}

/// A refusal is cheap: it must not pass for a fast send.
fn check(frame: &[u8], pull: bool) {
    // The code stands where both header forms have it, behind the length of the header.
    let is_success = match frame {
        [0, _, _, _, rest @ ..] => rest.starts_with(b"{\"code\":0,"),
        [1, _, _, _, high, low, ..] => i16::from_be_bytes([*high, *low]) == response::SUCCESS as i16,
        _ => false,
    };
    assert!(
        is_success,
        "{}",
        String::from_utf8_lossy(&frame[..frame.len().min(400)])
    );
    assert!(
        !pull || frame.len() > 32 * BODY_BYTES,
        "32 messages are more than {} bytes",
        frame.len()
    );
}
