//! Command lines that make no sense, and servers that are not there: one sentence, and exit code 1.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests start programs and fail by panicking"
)]

use std::process::{Command, Output, Stdio};

const CASES: &str = include_str!("golden/cases.txt");

fn mqadmin(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mqadmin"))
        .args(words)
        .env_remove("NAMESRV_ADDR")
        .env_remove("ROCKETMQ_HOME")
        .env_remove("JAVA_OPT")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The sentence that it ended with.
fn refused(words: &[&str]) -> String {
    let output = mqadmin(words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
    said.trim_end().to_owned()
}

/// The names of all commands, from the list that help prints.
fn commands() -> Vec<String> {
    let output = mqadmin(&["help"]);
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let names = said.lines().filter_map(|line| line.strip_prefix("   "));
    // What programs do is further to the right.
    let names = names.filter_map(|line| line.split(' ').next().filter(|name| !name.is_empty()));
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 70, "{said}");
    names
}

#[test]
fn options_that_are_missing_or_unknown() {
    for name in commands() {
        let help = String::from_utf8(mqadmin(&["help", &name]).stdout).unwrap();
        let usage: String = help.lines().take_while(|line| !line.is_empty()).collect();
        let words: Vec<&str> = usage.split_whitespace().skip(3).collect();
        let optional = words
            .chunk_by(|_, next| *next == "<arg>" || *next == "<arg>]")
            .all(|option| option[0].starts_with('['));
        if !optional {
            let said = refused(&[&name]);
            assert!(said.starts_with(&format!("{name} needs -")), "{said}");
        }
        let said = refused(&[&name, "--nonsense", "x"]);
        assert!(
            said.starts_with(&format!("{name} has no option --nonsense")),
            "{said}"
        );
        let said = refused(&[&name, "--namesrvAddrs", "x"]);
        assert!(said.ends_with("did you mean --namesrvAddr?"), "{said}");
        assert_eq!(mqadmin(&[&name, "-h"]).stdout, help.as_bytes());
    }
}

/// Commands that ask no server.
const OFFLINE: &[&str] = &["completion", "manual", "checkStore", "explainAcl"];

/// Values that nobody means.
const ABSURD: &[&str] = &[
    "",
    "-1",
    "99999999999999999999",
    "no such thing",
    "a\nb",
    "\u{1b}[2J",
];

/// Whatever an option is given, a command ends with one sentence: about the value, or that no server is there. A sentence that repeats the
/// value does not let it move the terminal's cursor.
#[test]
fn every_option_with_absurd_values() {
    let mut asked = 0;
    for name in commands().iter().filter(|name| !OFFLINE.contains(&name.as_str())) {
        let help = String::from_utf8(mqadmin(&["help", name]).stdout).unwrap();
        let usage: Vec<&str> = help.lines().take_while(|line| !line.is_empty()).collect();
        let usage = usage.join(" ");
        let words: Vec<&str> = usage.split_whitespace().skip(3).collect();
        let options: Vec<&str> = words
            .windows(2)
            .filter(|pair| pair[1].starts_with("<arg>"))
            .map(|pair| pair[0].trim_start_matches('['))
            .filter(|option| *option != "-n")
            .collect();
        let optional = |option: &str| usage.contains(&format!("[{option} <arg>]"));
        for option in &options {
            for absurd in ABSURD {
                let mut words = vec![name.as_str(), option, absurd];
                // What else it needs: of one or the other, one.
                let mut has_place = ["-b", "-c"].contains(option);
                for other in options
                    .iter()
                    .filter(|other| *other != option && !optional(other))
                {
                    let is_place = ["-b", "-c"].contains(other)
                        && usage.contains("-b <arg>")
                        && usage.contains("-c <arg>");
                    if !(is_place && std::mem::replace(&mut has_place, true)) {
                        words.extend([*other, "1"]);
                    }
                }
                words.extend(["-n", "127.0.0.1:1"]);
                let output = mqadmin(&words);
                let said = String::from_utf8(output.stderr).unwrap();
                assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
                assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
                assert!(
                    !said.contains(['\u{1b}']) && !said.contains("panicked"),
                    "{words:?}: {said:?}"
                );
                asked += 1;
            }
        }
    }
    assert!(asked > 1_000, "{asked}");
}

#[test]
fn servers_that_are_not_there() {
    for line in CASES.lines() {
        let line = line.replace("PORT", "1");
        let mut words: Vec<&str> = line.split(' ').skip(1).collect();
        words.extend(["-n", "127.0.0.1:1"]);
        let said = refused(&words);
        let is_named = said.contains("127.0.0.1:1") || said.contains("127.0.0.2:1");
        assert!(is_named, "{words:?}: {said}");
    }
}

#[test]
fn no_name_server_is_known() {
    for words in [
        &["topicList"][..],
        &["getNamesrvConfig"],
        &["sendMessage", "-t", "T", "-p", "x"],
    ] {
        let said = refused(words);
        assert!(
            said.starts_with("no name server is known; give one with -n or NAMESRV_ADDR"),
            "{said}"
        );
    }
}

#[test]
fn values_that_make_no_sense() {
    for (line, expected) in [
        (
            "updateTopic -b 127.0.0.1:1 -t T -r many",
            "--readQueueNums is `many`, but it has to be a number that fits",
        ),
        (
            "updateTopic -b 127.0.0.1:1 -t T -o perhaps",
            "--order is `perhaps`, but it has to be true or false",
        ),
        (
            "updateOrderConf -t T -m take",
            "--method is `take`, but it has to be put, get or delete",
        ),
        ("updateOrderConf -t T -m put", "-m put needs -v/--orderConf"),
        (
            "resetOffsetByTime -g G -t T -s yesterday",
            "--timestamp is `yesterday`, but it has to be milliseconds since 1970, a time like 2026-11-29#17:08:20:123, or how long ago like 10m",
        ),
        (
            "printMsg -t T -c klingon",
            "--charsetName is `klingon`, but it has to be a character set like UTF-8 or GBK",
        ),
        (
            "consumeMessage -t T -c 0",
            "--MessageNumber is `0`, but it has to be more than 0",
        ),
        (
            "checkMsgSendRT -t T -s 99999999999",
            "--size is `99999999999`, but it has to be at most 67108864 bytes",
        ),
        ("consumeMessage -t T -i 1", "-i/--queueId needs -b/--brokerName"),
        (
            "consumeMessage -t T -b B -i 1 -s 2 -e 1",
            "--beginTimestamp is later than --endTimestamp",
        ),
        ("sendMessage -t T -p x -i 1", "-i/--qid needs -b/--broker"),
        (
            "exportMetadata -b 127.0.0.1:1",
            "exportMetadata -b needs -t/--topic or -g/--subscriptionGroup",
        ),
        (
            "updateUser -b 127.0.0.1:1 -u alice",
            "updateUser needs -p/--password, -t/--userType or -s/--userStatus",
        ),
        ("queryMsgById -i ABC", "`ABC` is no offset message id ("),
        (
            "checkStore -d /nowhere/store",
            "there is no directory /nowhere/store",
        ),
        (
            "completion -s csh",
            "--shell is `csh`, but it has to be bash, zsh, fish or elvish",
        ),
        ("getBrokerEpoch -b x", "getBrokerEpoch is not here yet"),
        (
            "topicRouts",
            "There is no command topicRouts. Hint: did you mean topicRoute?",
        ),
    ] {
        let words: Vec<&str> = line.split(' ').chain(["-n", "127.0.0.1:1"]).collect();
        let said = refused(&words);
        assert!(said.starts_with(expected), "{line}: {said}");
    }
}

/// A second setting behind a line break would be one that nobody looked at.
#[test]
fn a_setting_is_one_line() {
    let said = refused(&[
        "updateBrokerConfig",
        "-b",
        "127.0.0.1:1",
        "-k",
        "a",
        "-v",
        "b\nc=d",
    ]);
    assert_eq!(
        said,
        "neither key nor value may have a line break, nor the key a `=`"
    );
}

/// Options of Java's commands that are otherwise here, and why.
const OTHERWISE: &[(&str, &str, &str)] = &[
    (
        "resetOffsetByTime",
        "cluster",
        "-c is --cplus, as in 4.9; 5.x gives both the same letter",
    ),
    (
        "queryMsgById",
        "topic",
        "4.9's tool does not want it, and brokers do not need it",
    ),
];

/// Options without which Java's commands end in an error, though they do not say that they are required.
const REQUIRED_HERE: &[(&str, &str)] = &[
    ("getAcl", "subject"),
    ("getUser", "username"),
    // One of the three.
    ("updateUser", "password"),
    ("updateUser", "userStatus"),
    ("updateUser", "userType"),
];

/// What 4.9.7's tool takes, ours takes: the same names, with a value or without, and no more of them required. The same of those of
/// 5.3.3's commands that are here.
#[test]
fn options_of_javas_commands_are_here() {
    let of_4 = include_str!("golden/options.txt").lines();
    let of_5 = include_str!("golden/options-5.txt").lines();
    let here = commands();
    let mut missing = Vec::new();
    let name_of = |line: &str| line.split(' ').next().unwrap().to_owned();
    for line in of_4.clone() {
        assert!(here.contains(&name_of(line)), "{line}");
    }
    for line in of_4.chain(of_5.filter(|line| here.contains(&name_of(line)))) {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let help = String::from_utf8(mqadmin(&["help", name]).stdout).unwrap();
        for word in words {
            let is_required = word.ends_with('*');
            let word = word.trim_end_matches('*');
            let takes_value = word.ends_with('=');
            let (short, long) = word.trim_end_matches('=').split_once('/').unwrap();
            if OTHERWISE
                .iter()
                .any(|(otherwise, option, _)| (*otherwise, *option) == (name, long))
            {
                assert!(
                    help.contains(&format!("--{long} <arg>")),
                    "{name} {word}:\n{help}"
                );
                continue;
            }
            // Three of Java's names have a blank in them.
            let long = match long {
                "print_msg" => "printMsg",
                "print_log" => "printLog",
                "machine_room" => "machineRoom",
                long => long,
            };
            let value = if takes_value { " <arg>" } else { "  " };
            let row = format!(" {short},--{long}{value}");
            if !help.contains(&row) {
                missing.push(format!("{name} {word}"));
                continue;
            }
            let usage: String = help.lines().take_while(|line| !line.is_empty()).collect();
            let ours_is_required = !usage.contains(&format!("[{short}"));
            // What needs one of two brokers' options says so; Java's prints its usage and succeeds.
            let is_place = ["-b", "-c"].contains(&short);
            let is_alone = REQUIRED_HERE.contains(&(name, long));
            if ours_is_required != is_required && !is_place && !is_alone {
                missing.push(format!("{name} {word}: required by one alone"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Credentials that make no sense keep nobody from a command that asks no server; they are named to any other.
#[test]
fn credentials_are_read_where_servers_are_asked() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("conf")).unwrap();
    std::fs::write(home.path().join("conf/tools.yml"), "accessKey: [\n").unwrap();
    let run = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqadmin"));
        command
            .args([name, "-n", "127.0.0.1:1"])
            .env("ROCKETMQ_HOME", home.path());
        command.stdin(Stdio::null()).output().unwrap()
    };
    assert!(run("manual").status.success());
    let refused = run("topicList");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("conf/tools.yml:"));
}
