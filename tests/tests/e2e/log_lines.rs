//! A broker's log while it runs: the form of its lines, levels of single modules, slow requests, and a flood of warnings.

use crate::operations::{get, metrics_address};
use crate::replication::eventually;
use cluster::{Cluster, Flavour, Wire, frame};

const UPDATE_BROKER_CONFIG: i32 = 25;
const GET_MAX_OFFSET: i32 = 30;
const FLOOD: usize = 1000;

/// Level and message of a line as RocketMQ's logback writes it: `%d{yyy-MM-dd HH:mm:ss,GMT+8} %p %t - %m%n`, the broker before the thread.
fn read_line(line: &str) -> Option<(&str, &str)> {
    let (date, rest) = line.split_at_checked(19)?;
    let form: String = date
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let (head, message) = rest.split_once(" - ")?;
    let (level, thread) = head.strip_prefix(' ')?.split_once(' ')?;
    let is_one = form == "0000-00-00 00:00:00" && thread.starts_with("broker-a/") && !thread.contains(' ');
    is_one.then_some((level, message))
}

fn update(wire: &mut Wire, text: &str) {
    let answer = wire.ask(UPDATE_BROKER_CONFIG, &[], text.as_bytes()).unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.remark());
}

/// The value of a series of the metrics' text.
fn counted(address: &str, series: &str) -> u64 {
    let (_, text) = get(address, "/metrics");
    let line = text
        .lines()
        .find(|line| {
            line.starts_with(&format!("{}{{", series.split('{').next().unwrap()))
                && line.contains(&label(series))
        })
        .unwrap_or_else(|| panic!("no {series}: {text}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// `level="warn"` of `name{level="warn"}`; nothing of a name alone.
fn label(series: &str) -> String {
    let inner = series.split_once('{').map_or("", |(_, labels)| labels);
    inner.trim_end_matches('}').to_owned()
}

#[test]
fn lines_levels_slow_requests_and_floods() {
    let _alone = cluster::alone();
    let cluster = Cluster::start(&[("slowRequestMillis", "600000")]);
    let process = &cluster.broker.process;
    let address = metrics_address(process);
    let with = |level: &str, part: &str| {
        let lines = process.lines();
        let found = lines.iter().filter_map(|line| read_line(line));
        found
            .filter(|(has, message)| *has == level && message.contains(part))
            .count()
    };
    let logged = process.lines();
    let others: Vec<&String> = logged.iter().filter(|line| read_line(line).is_none()).collect();
    // The second is on stderr, for whoever has started a broker where none was.
    let besides =
        |line: &&String| line.contains("boot success") || line.starts_with("a new store begins in ");
    assert!(
        logged.len() > 4 && others.iter().all(besides),
        "what stdout has besides is for guides and scripts: {others:#?}"
    );

    // One module tells more, all others less.
    let mut wire = Wire::connect(&cluster.broker.address()).unwrap();
    assert_eq!(with("DEBUG", ""), 0);
    update(&mut wire, "logLevels=warn,remoting=debug\n");
    let told = format!("request {GET_MAX_OFFSET} of 127.0.0.1");
    let ask = |wire: &mut Wire| {
        let fields = [("topic", "TBW102"), ("queueId", "0")];
        assert_eq!(wire.ask(GET_MAX_OFFSET, &fields, b"").unwrap().code(), 0);
    };
    ask(&mut wire);
    eventually("a module at debug", || with("DEBUG", &told) == 1);

    // Each update syncs a file; a disk may do that within a millisecond, and does not a hundred times.
    let slow = || counted(&address, "rocketmq_slow_requests_total");
    eventually("slow requests", || {
        update(&mut wire, "slowRequestMillis=1\n");
        slow() >= 20
    });
    let lines = with("WARN", "slow request: update_broker_config of 127.0.0.1");
    let doublings = slow().ilog2() as usize + 1;
    assert!(
        (1..=doublings).contains(&lines),
        "{lines} lines of {} slow requests",
        slow()
    );
    let (_, page) = get(&address, "/debug/slow");
    assert!(page.contains("update_broker_config of 127.0.0.1"), "{page}");
    update(&mut wire, "logLevels=info\nslowRequestMillis=600000\n");
    let of_broker = with("INFO", "UPDATE_BROKER_CONFIG: slowRequestMillis=1 ");
    assert_eq!(of_broker, 0, "the broker's own module was at warn");

    // A thousand warnings from one place, as fast as they come.
    let held_back = || counted(&address, "rocketmq_log_lines_held_back_total");
    assert_eq!(held_back(), 0);
    let one = frame(UPDATE_BROKER_CONFIG, 7, &[], b"noSuchKey=1");
    for _ in 0..FLOOD / 50 {
        wire.write(&one.repeat(50)).unwrap();
        for _ in 0..50 {
            assert_eq!(wire.read().unwrap().code(), 0);
        }
    }
    let all = || with("WARN", "unknown key \"noSuchKey\" ignored");
    eventually("each is said or counted", || {
        all() + held_back() as usize == FLOOD
    });
    assert!(held_back() > 0, "{} lines", all());
    let warnings = counted(&address, "rocketmq_log_lines_total{level=\"warn\"}");
    eventually("metrics count the log's lines", || {
        with("WARN", "") as u64 == warnings
    });
    eventually("the next line tells of them", || {
        update(&mut wire, "noSuchKey=1");
        with("WARN", " more from here before)") > 0
    });
}

/// It is known before the first send is answered so.
#[test]
fn a_sync_master_without_a_slave_says_so_at_the_start() {
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[("brokerRole", "SYNC_MASTER")]);
    let said = "this is a SYNC_MASTER, and sends are answered SLAVE_NOT_AVAILABLE";
    let is_it = |line: &str| line.contains(said).then_some(());
    let within = std::time::Duration::from_secs(60);
    cluster.broker.process.wait_for("a line about it", within, is_it);
}
