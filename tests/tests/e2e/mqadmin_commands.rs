//! Our own mqadmin against our servers: each command once, by what it does, and names that are not there.

use crate::replication::eventually;
use cluster::{Broker, Cluster, Flavour, NameServer, Process, our_program};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// mqadmin, and which of its commands have been run.
pub(crate) struct Tools {
    namesrv: String,
    home: PathBuf,
    ran: RefCell<BTreeSet<String>>,
}

impl Tools {
    pub(crate) fn new(namesrv: &str, home: &Path) -> Tools {
        Tools {
            namesrv: namesrv.to_owned(),
            home: home.to_owned(),
            ran: RefCell::default(),
        }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(our_program("mqadmin"));
        command
            .args(words)
            .current_dir(&self.home)
            .env("NAMESRV_ADDR", &self.namesrv)
            .env("ROCKETMQ_HOME", &self.home)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn output(&self, line: &str) -> Output {
        let words: Vec<&str> = line.split(' ').collect();
        self.command(&words).output().unwrap()
    }

    /// What a command that succeeds prints.
    pub(crate) fn ok(&self, line: &str) -> String {
        let output = self.output(line);
        let said = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && complaint.is_empty(),
            "{line}: {said}{complaint}"
        );
        let name = line.split(' ').next().unwrap();
        self.ran.borrow_mut().insert(name.to_owned());
        said
    }

    /// The same; it has every part of `expected`.
    pub(crate) fn has(&self, line: &str, expected: &[&str]) {
        let said = self.ok(line);
        for part in expected {
            assert!(said.contains(part), "{line} lacks {part:?}:\n{said}");
        }
    }

    /// The objects that it prints.
    pub(crate) fn json(&self, line: &str) -> Vec<Value> {
        let said = self.ok(&format!("{line} --json"));
        said.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The sentence of a command that ends with exit code 1.
    pub(crate) fn refused(&self, line: &str) -> String {
        let output = self.output(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert_eq!(said.lines().count(), 1, "{line}: {said}");
        said
    }

    /// Runs it again until it succeeds and prints something with `part` in it.
    pub(crate) fn until(&self, line: &str, part: &str) {
        eventually(line, || {
            let said = self.output(line).stdout;
            String::from_utf8_lossy(&said).contains(part)
        });
        self.has(line, &[part]);
    }
}

#[test]
fn every_command_does_what_it_says() {
    let tuning = [
        ("traceTopicEnable", "true"),
        ("enableLmq", "true"),
        ("enableMultiDispatch", "true"),
    ];
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &tuning);
    let tools = Tools::new(&cluster.namesrv.address(), cluster.path());
    let broker = cluster.broker.address();
    topics(&tools, &broker);
    messages(&tools);
    light_queues(&tools, &cluster);
    groups(&tools, &broker);
    consumers(&tools, &cluster);
    settings(&tools, &cluster);
    brokers(&tools, &broker);
    exports(&tools, &cluster);
    tools.has(
        "deleteTopic -t Made -c DefaultCluster",
        &["from NameServer success."],
    );
    assert!(
        tools
            .refused("topicRoute -t Made")
            .contains("no route info of this topic: Made")
    );
    let mut ran = tools.ran.into_inner();
    ran.extend(accounts());
    ran.extend(users());
    // In tests of their own.
    let elsewhere = [
        "checkStore",
        "explainAcl",
        "completion",
        "manual",
        "searchMsg",
        "tail",
        "doctor",
        "resumeCheckHalfMessage",
    ];
    ran.extend(elsewhere.map(str::to_owned));
    let help = Command::new(our_program("mqadmin")).arg("help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed = help
        .lines()
        .filter_map(|line| line.strip_prefix("   ")?.split(' ').next());
    let missing: Vec<&str> = listed
        .filter(|name| !name.is_empty() && !ran.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn topics(tools: &Tools, broker: &str) {
    tools.has(
        "updateTopic -c DefaultCluster -t Made -r 5 -w 3",
        &[
            &format!("create topic to {broker} success."),
            "readQueueNums=5, writeQueueNums=3",
        ],
    );
    tools.has(
        &format!("updateTopic -b {broker} -t Ordered -r 2 -w 2 -o true"),
        &["orderConf=[broker-a:2]"],
    );
    assert!(
        tools
            .refused("updateTopic -c Nowhere -t Made")
            .contains("there is no cluster Nowhere")
    );
    let sentence = tools.refused(&format!("updateTopic -b {broker} -t a/b"));
    assert!(sentence.contains(broker), "{sentence}");
    tools.until("topicRoute -t Made", "\"writeQueueNums\":3");
    tools.has(
        &format!("updateTopicPerm -b {broker} -t Made -p 4"),
        &["update topic perm from 6 to 4", "perm=R--"],
    );
    tools.until("topicRoute -t Made -l", " 4    ");
    tools.has("updateTopicPerm -c DefaultCluster -t Made -p 6", &["from 4 to 6"]);
    let sentence = tools.refused("updateTopicPerm -b 127.0.0.1:1 -t Made -p 4");
    assert!(
        sentence.contains("no master with the address 127.0.0.1:1"),
        "{sentence}"
    );
    tools.has("topicStatus -t Made", &["broker-a", "#Last Updated"]);
    assert!(tools.refused("topicStatus -t Unknown").contains("Unknown"));
    tools.has("topicClusterList -t Made", &["DefaultCluster\n"]);
    tools.has("topicList", &["Made\n", "TBW102\n"]);
    tools.has("topicList -c", &["DefaultCluster        Made "]);
    tools.has(
        "updateOrderConf -t Ordered -m put -v broker-a:7",
        &["orderConf=[broker-a:7]"],
    );
    tools.has("updateOrderConf -t Ordered -m get", &["orderConf=[broker-a:7]"]);
    tools.ok("updateOrderConf -t Ordered -m delete");
    assert!(
        tools
            .refused("updateOrderConf -t Ordered -m get")
            .contains("Ordered")
    );
    let shares = tools.json("allocateMQ -t Made -i 10.0.0.1,10.0.0.2");
    assert_eq!(
        shares[0]["result"]["10.0.0.1"].as_array().unwrap().len(),
        3,
        "{shares:?}"
    );
}

fn messages(tools: &Tools) {
    let sent = tools.json("sendMessage -t Made -p first -k order7 -c Paid -b broker-a -i 1 -m true");
    let id = sent[0]["msgId"].as_str().unwrap().to_owned();
    assert_eq!(
        (&sent[0]["queueId"], &sent[0]["sendStatus"]),
        (&1.into(), &"SEND_OK".into())
    );
    assert!(
        tools
            .refused("sendMessage -t Made -p x -b nowhere -i 0")
            .contains("nowhere")
    );
    tools.until("queryMsgByKey -t Made -k order7", &id);
    assert!(
        tools
            .refused("queryMsgByKey -t Made -k none")
            .contains("has the key none")
    );
    tools.until(&format!("queryMsgTraceById -i {id}"), "Pub ");
    let trace = tools.json(&format!("queryMsgTraceById -i {id}"));
    assert_eq!(trace[0]["type"], "Pub", "{trace:?}");
    assert!(
        tools
            .refused("queryMsgTraceById -i none")
            .contains("no trace of the message none")
    );
    tools.until(&format!("queryMsgByUniqueKey -t Made -i {id}"), "[order7]");
    assert!(
        tools
            .refused("queryMsgByUniqueKey -t Made -i none")
            .contains("has the id none")
    );
    let found = tools.json(&format!("queryMsgByUniqueKey -t Made -i {id}"));
    let offset_id = found[0]["offsetMsgId"].as_str().unwrap();
    tools.has(
        &format!("queryMsgById -i {offset_id}"),
        &[
            &format!("OffsetID:            {offset_id}\n"),
            "WARN: No Consumer",
        ],
    );
    let shown = tools.json(&format!("queryMsgById -i {offset_id}"));
    assert_eq!(shown[0]["offsetMsgId"], offset_id, "{shown:?}");
    let body = fs::read(format!("/tmp/rocketmq/msgbodys/{id}")).unwrap();
    assert_eq!(body, b"first");
    tools.has(
        &format!("queryMsgById -i {offset_id} -s true"),
        &[&format!("sendStatus=SEND_OK, msgId={id}")],
    );
    let nothing = format!("{}00000FFFFFFF", &offset_id[..offset_id.len() - 12]);
    tools.refused(&format!("queryMsgById -i {nothing}"));
    tools.has(
        "queryMsgByOffset -t Made -b broker-a -i 1 -o 0",
        &["Queue Offset:        0"],
    );
    let sentence = tools.refused("queryMsgByOffset -t Made -b broker-a -i 1 -o 99");
    assert!(sentence.contains("has no message at 99"), "{sentence}");
    tools.has("printMsg -t Made", &["BODY: first\n", "minOffset=0"]);
    tools.refused("printMsg -t Unknown");
    tools.has(
        "printMsgByQueue -t Made -a broker-a -i 1 -p true -d true -f true",
        &["BODY: first\n", "Tag: Paid                           Count: 1\n"],
    );
    assert!(
        tools
            .refused("printMsgByQueue -t Made -a nowhere -i 1")
            .contains("[nowhere]")
    );
    tools.has(
        "consumeMessage -t Made -b broker-a -i 1 -o 0 -c 1",
        &["Consume ok\n", "BODY: first\n"],
    );
    tools.refused("consumeMessage -t Unknown");
    tools.has("queryCq -t Made -q 1 -i 0", &["Queue data: \nmax: ", "idx: 0\n"]);
    assert!(tools.refused("queryCq -t Made -q 99 -i 0").contains("99"));
}

/// A light message queue has no route: it is where its parent topic is.
fn light_queues(tools: &Tools, cluster: &Cluster) {
    let mut wire = crate::asks::connect(&cluster.broker);
    let named = "INNER_MULTI_DISPATCH\u{1}%LMQ%light\u{2}";
    let sent = crate::asks::send(&mut wire, "Made", "0", named, b"in both");
    assert_eq!(sent.code(), 0, "{}", sent.remark());
    tools.until("printMsg -t %LMQ%light -l Made", "BODY: in both");
    assert!(tools.refused("printMsg -t %LMQ%light").contains("%LMQ%light"));
    tools.has("topicStatus -t %LMQ%light -c Made", &["broker-a"]);
}

fn groups(tools: &Tools, broker: &str) {
    tools.has(
        "updateSubGroup -c DefaultCluster -g made -r 3 -s false",
        &["consumeEnable=false", "retryMaxTimes=3"],
    );
    tools.refused("updateSubGroup -c Nowhere -g made");
    tools.has(
        "getConsumerConfig -g made",
        &["DefaultCluster:broker-a", "=  3\n"],
    );
    assert_eq!(tools.ok("getConsumerConfig -g unknown"), "");
    tools.has(
        &format!("deleteSubGroup -b {broker} -g made"),
        &["delete subscription group [made]"],
    );
    assert_eq!(tools.ok("getConsumerConfig -g made"), "");
    tools.refused("deleteSubGroup -c Nowhere -g made");
}

const GROUP: &str = "please_rename_unique_group_name_4";

fn consumers(tools: &Tools, cluster: &Cluster) {
    tools.ok("updateTopic -c DefaultCluster -t TopicTest -r 2 -w 2");
    cluster.broker.wait_for_topic("TopicTest");
    tools.ok("sendMessage -t TopicTest -p hello");
    let class = "org.apache.rocketmq.example.quickstart.Consumer";
    let program = tools.command(&["--class", class]);
    let consumer = Process::start("consumer", program, &cluster.path().join("consumer.out"));
    let within = Duration::from_secs(60);
    consumer.wait_for("a message", within, |line| {
        line.contains("Receive New Messages").then_some(())
    });
    let broker = cluster.broker.address();
    // The name server hears of its retry topic a moment later.
    tools.until(
        &format!("consumerConnection -g {GROUP}"),
        "TopicTest            *\n",
    );
    tools.refused("consumerConnection -g unknown");
    let members = tools.json(&format!("consumerConnection -g {GROUP}"));
    let client = members[0]["clientId"].as_str().unwrap();
    // This client tells nothing of itself, and the broker says so.
    let output = tools.output(&format!("consumerStatus -g {GROUP}"));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.starts_with(&format!("{client}: {broker} refuses with code")),
        "{said}"
    );
    tools.ran.borrow_mut().insert("consumerStatus".to_owned());
    monitored(tools, cluster);
    consumer.signal("TERM");
    consumer.wait_exit(within);
    tools.until(&format!("consumerProgress -g {GROUP}"), "Diff Total: 0\n");
    tools.refused("consumerProgress -g unknown");
    tools.has("consumerProgress", &[&format!("{GROUP} "), "OFFLINE"]);
    tools.has(
        &format!("brokerConsumeStats -b {broker}"),
        &[GROUP, "Diff Total: 0\n"],
    );
    tools.has("statsAll -t TopicTest", &["TopicTest ", GROUP]);
    tools.refused("statsAll -t Unknown");
    let back = format!("resetOffsetByTime -g {GROUP} -t TopicTest -s 0");
    tools.has(
        &back,
        &[
            "rollback consumer offset by specified consumerGroup[",
            "#rollbackOffset",
        ],
    );
    tools.has(&format!("consumerProgress -g {GROUP}"), &["Diff Total: 1\n"]);
    tools.refused("resetOffsetByTime -g unknown -t TopicTest -s 0");
    tools.has(
        &format!("skipAccumulatedMessage -g {GROUP} -t TopicTest"),
        &["#brokerName", "broker-a"],
    );
    tools.has(&format!("consumerProgress -g {GROUP}"), &["Diff Total: 0\n"]);
    tools.refused("skipAccumulatedMessage -g unknown -t TopicTest");
    offset_of_one_queue(tools, &broker);
    tools.has(
        &format!("cloneGroupOffset -s {GROUP} -d cloned -t TopicTest"),
        &["clone group offset success."],
    );
    tools.refused("cloneGroupOffset -s unknown -d cloned -t TopicTest");
    producers(tools, cluster);
}

fn monitored(tools: &Tools, cluster: &Cluster) {
    let program = tools.command(&["startMonitoring", "-i", "1", "--json"]);
    let monitor = Process::start("startMonitoring", program, &cluster.path().join("monitor.out"));
    let event = monitor.wait_for("the group", Duration::from_secs(60), |line| {
        let event: Value = serde_json::from_str(line).ok()?;
        (event["topic"] == "TopicTest").then_some(event)
    });
    assert_eq!(
        (&event["event"], &event["group"], &event["total"]),
        (&"undoneMsgs".into(), &GROUP.into(), &0.into()),
        "{event}"
    );
    monitor.signal("KILL");
    monitor.wait_exit(Duration::from_secs(60));
    tools.ran.borrow_mut().insert("startMonitoring".to_owned());
}

fn offset_of_one_queue(tools: &Tools, broker: &str) {
    let of = |options: &str| format!("resetOffsetByTime -g {GROUP} -t TopicTest {options}");
    tools.ok(&of("-s 0 --cluster broker-a -c"));
    tools.has(
        &format!("consumerProgress -g {GROUP} -c broker-a"),
        &["Diff Total: 1\n"],
    );
    tools.ok(&format!(
        "skipAccumulatedMessage -g {GROUP} -t TopicTest -c broker-a"
    ));
    // What is reset so counts at the broker until a member has read on: these come last.
    let queue = tools.json(&format!("consumerProgress -g {GROUP} -t TopicTest"));
    let queue = queue.iter().find(|queue| queue["consumerOffset"] == 1).unwrap();
    let queue = queue["queueId"].to_string();
    tools.has(
        &of(&format!("-s -1 -b {broker} -q {queue} -o 0")),
        &["reset consumer offset to 0\n"],
    );
    tools.has(&format!("consumerProgress -g {GROUP}"), &["Diff Total: 1\n"]);
    tools.has(
        &of(&format!("-s -1 -b {broker} -q {queue}")),
        &["reset consumer offset to 1\n"],
    );
    tools.has(&format!("consumerProgress -g {GROUP}"), &["Diff Total: 0\n"]);
    for (options, reason) in [
        (format!("-s -1 -b {broker}"), "belong together"),
        ("-s -1 -o 3".to_owned(), "belong together"),
        (format!("-s -1 -b {broker} -q -1"), "negative"),
        ("-s -1 -b 127.0.0.1:1 -q 0".to_owned(), "127.0.0.1:1"),
    ] {
        let sentence = tools.refused(&of(&options));
        assert!(sentence.contains(reason), "{options}: {sentence}");
    }
    tools.has(&format!("consumerProgress -g {GROUP}"), &["Diff Total: 0\n"]);
}

fn producers(tools: &Tools, cluster: &Cluster) {
    let broker = cluster.broker.address();
    let words = ["clusterRT", "-a", "2", "-s", "16", "-i", "60", "--json"];
    let program = tools.command(&words);
    let sender = Process::start("clusterRT", program, &cluster.path().join("cluster-rt.out"));
    let row = sender.wait_for("a round", Duration::from_secs(60), |line| {
        serde_json::from_str::<Value>(line).ok()
    });
    assert_eq!(
        (&row["successCount"], &row["failCount"]),
        (&2.into(), &0.into()),
        "{row}"
    );
    tools.ran.borrow_mut().insert("clusterRT".to_owned());
    tools.refused("clusterRT -c Nowhere");
    let told = tools.json(&format!("producer -b {broker}"));
    let group = told[0]["group"].as_str().unwrap();
    tools.has(
        &format!("producerConnection -g {group} -t broker-a"),
        &["0001  ", "127.0.0.1:"],
    );
    tools.refused("producerConnection -g unknown -t broker-a");
    sender.signal("KILL");
    sender.wait_exit(Duration::from_secs(60));
}

fn settings(tools: &Tools, cluster: &Cluster) {
    let broker = cluster.broker.address();
    tools.has("updateKvConfig -s E2E -k key -v value", &["success."]);
    tools.ok("deleteKvConfig -s E2E -k key");
    tools.has(
        "updateNamesrvConfig -k orderMessageEnable -v true",
        &["orderMessageEnable : true\n"],
    );
    let namesrv = tools.json("getNamesrvConfig");
    assert_eq!(namesrv[0]["config"]["orderMessageEnable"], "true");
    tools.has(
        &format!("updateBrokerConfig -b {broker} -k traceOn -v false"),
        &["update broker config success"],
    );
    let told = tools.json("getBrokerConfig -c DefaultCluster");
    assert_eq!(told[0]["config"]["traceOn"], "false");
    tools.refused("getBrokerConfig -c Nowhere");
    tools.refused("updateBrokerConfig -c Nowhere -k a -v b");
    tools.has("wipeWritePerm -b broker-a", &[" OK, "]);
    tools.has("topicRoute -t Made", &["\"perm\":4,"]);
    tools.has("addWritePerm -b broker-a", &[" OK, "]);
    tools.until("topicRoute -t Made", "\"perm\":6,");
}

fn brokers(tools: &Tools, broker: &str) {
    tools.has(
        "clusterList",
        &["DefaultCluster    broker-a                0     ", broker],
    );
    tools.has("clusterList -m", &["#InTotalToday"]);
    assert!(tools.refused("clusterList -c Nowhere").contains("Nowhere"));
    tools.has(
        &format!("brokerStatus -b {broker}"),
        &["brokerVersionDesc               : V4_9_8\n"],
    );
    tools.has(
        "brokerStatus -c DefaultCluster",
        &[&format!("{broker:<24} bootTimestamp")],
    );
    tools.refused("brokerStatus -c Nowhere");
    tools.has(&format!("haStatus -b {broker}"), &["#SlaveNum\t0\n"]);
    tools.refused("haStatus -c Nowhere");
    for command in ["cleanExpiredCQ", "cleanUnusedTopic", "deleteExpiredCommitLog"] {
        assert_eq!(tools.ok(&format!("{command} -b {broker}")), "success");
        assert_eq!(tools.ok(command), "success");
        tools.refused(&format!("{command} -c Nowhere"));
    }
    let rows = tools.json("sendMsgStatus -b broker-a -s 64 -c 2");
    assert_eq!(rows.len(), 2);
    cold_reads(tools, broker);
    tools.has("checkMsgSendRT -t Made -a 3 -s 64", &[" true ", "Avg RT: "]);
    let rows = tools.json("checkMsgSendRT -t Made -a 3 -s 64");
    assert_eq!(
        (&rows[0]["brokerName"], rows.len()),
        (&"broker-a".into(), 4),
        "{rows:?}"
    );
}

fn cold_reads(tools: &Tools, broker: &str) {
    tools.has(
        &format!("updateColdDataFlowCtrGroupConfig -b {broker} -g cold -v 4096"),
        &[&format!("success, {broker}")],
    );
    let told = tools.json("getColdDataFlowCtrInfo -c DefaultCluster");
    assert_eq!(told[0]["coldData"]["configTable"]["cold"], 4096, "{told:?}");
    tools.ok("removeColdDataFlowCtrGroupConfig -c DefaultCluster -g cold");
    let told = tools.json(&format!("getColdDataFlowCtrInfo -b {broker}"));
    assert!(told[0]["coldData"]["configTable"]["cold"].is_null(), "{told:?}");
    tools.refused(&format!(
        "updateColdDataFlowCtrGroupConfig -b {broker} -g cold -v much"
    ));
    tools.has(
        &format!("setCommitLogReadAheadMode -b {broker} -m 0"),
        &["set commitlog readahead mode success, mode: 0"],
    );
    let sentence = tools.refused(&format!("setCommitLogReadAheadMode -b {broker} -m 1"));
    assert!(sentence.contains("always read ahead"), "{sentence}");
    tools.refused(&format!("setCommitLogReadAheadMode -b {broker} -m 2"));
}

fn exports(tools: &Tools, cluster: &Cluster) {
    let (broker, folder) = (cluster.broker.address(), cluster.path().join("exported"));
    let folder = folder.display();
    let read = |name: &str| -> Value {
        let text = fs::read_to_string(format!("{folder}/{name}")).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    };
    tools.has(
        &format!("exportMetadata -b {broker} -t -f {folder}"),
        &["topic.json success"],
    );
    assert_eq!(
        read("topic.json")["topicConfigTable"]["Made"]["writeQueueNums"],
        3
    );
    tools.ok(&format!("exportMetadata -b {broker} -g -f {folder}"));
    assert!(read("subscriptionGroup.json")["subscriptionGroupTable"][GROUP].is_object());
    tools.has(
        &format!("exportMetadata -c DefaultCluster -f {folder}"),
        &["metadata.json success\n"],
    );
    assert_eq!(
        read("metadata.json")["topicConfigTable"]["Made"]["readQueueNums"],
        5
    );
    tools.ok(&format!("exportConfigs -c DefaultCluster -f {folder}"));
    let configs = read("configs.json");
    assert_eq!(configs["clusterScale"]["masterBrokerSize"], 1);
    assert_eq!(configs["brokerConfigs"]["broker-a"]["brokerRole"], "ASYNC_MASTER");
    tools.ok(&format!("exportMetrics -c DefaultCluster -f {folder}"));
    let quota = &read("metrics.json")["evaluateReport"]["broker-a"]["runtimeQuota"];
    assert!(
        quota["topicSize"].as_i64().is_some_and(|topics| topics >= 3),
        "{quota}"
    );
    tools.refused("exportMetrics -c Nowhere");
    lists(tools, &broker, &folder.to_string());
    let sentence = tools.refused(&format!("exportConfigs -c Nowhere -f {folder}"));
    assert!(sentence.contains("Nowhere"), "{sentence}");
    tools.refused("exportMetadata -b 127.0.0.1:1 -t -f /proc/nowhere");
}

fn lists(tools: &Tools, broker: &str, folder: &str) {
    let file = format!("{folder}/list.json");
    fs::write(
        &file,
        r#"[{"topicName":"One","writeQueueNums":2},{"topicName":"Two"}]"#,
    )
    .unwrap();
    tools.has(
        &format!("updateTopicList -b {broker} -f {file}"),
        &[&format!("submit batch of topic config to {broker} success")],
    );
    let told = tools.json(&format!("updateTopicList -b {broker} -f {file}"));
    assert_eq!((&told[0]["brokerAddr"], told.len()), (&broker.into(), 1));
    tools.until("topicRoute -t Two", "\"writeQueueNums\":16");
    tools.has("topicRoute -t One", &["\"writeQueueNums\":2"]);
    fs::write(&file, r#"[{"groupName":"listed","retryMaxTimes":7}]"#).unwrap();
    tools.ok(&format!("updateSubGroupList -c DefaultCluster -f {file}"));
    let told = tools.json(&format!("updateSubGroupList -c DefaultCluster -f {file}"));
    assert_eq!((&told[0]["brokerAddr"], told.len()), (&broker.into(), 1));
    tools.has("getConsumerConfig -g listed", &["=  7\n"]);
    assert!(
        tools
            .refused(&format!("updateTopicList -b {broker} -f {file}"))
            .contains("no topicName")
    );
    fs::write(&file, "[]").unwrap();
    assert!(
        tools
            .refused(&format!("updateSubGroupList -b {broker} -f {file}"))
            .contains(&file)
    );
}

/// A broker beside its name server, in a folder, with these settings.
fn guarded(dir: &Path, tuning: &[(&str, &str)], account: &str) -> (NameServer, Broker, Tools) {
    let namesrv = NameServer::start(Flavour::Ours, dir);
    let broker = Broker::start(Flavour::Ours, dir, "broker-a", &namesrv.address(), tuning);
    fs::create_dir_all(dir.join("conf")).unwrap();
    fs::write(dir.join("conf/tools.yml"), account).unwrap();
    let tools = Tools::new(&namesrv.address(), dir);
    (namesrv, broker, tools)
}

fn accounts() -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("broker-a/conf");
    fs::create_dir_all(&conf).unwrap();
    let admin = "accounts:\n- accessKey: operator\n  secretKey: 12345678\n  admin: true\n";
    fs::write(conf.join("plain_acl.yml"), admin).unwrap();
    let account = "accessKey: operator\nsecretKey: 12345678\n";
    let (_namesrv, broker, tools) = guarded(dir.path(), &[("aclEnable", "true")], account);
    let broker = broker.address();
    tools.has(
        &format!("updateAclConfig -b {broker} -a alice01 -s 12345678 -t T=PUB"),
        &[&format!(
            "create or update plain access config to {broker} success."
        )],
    );
    let file = conf.join("plain_acl.yml");
    assert!(fs::read_to_string(&file).unwrap().contains("alice01"));
    let told = tools.json(&format!(
        "updateAclConfig -b {broker} -a alice01 -s 12345678 -t T=PUB"
    ));
    assert_eq!(told[0]["accessKey"], "alice01", "{told:?}");
    tools.has(
        "clusterAclConfigVersion -c DefaultCluster",
        &[
            &file.display().to_string(),
            "get cluster's plain access config version success.",
        ],
    );
    tools.ok(&format!("updateGlobalWhiteAddr -b {broker} -g 10.0.0.*"));
    assert!(fs::read_to_string(&file).unwrap().contains("10.0.0.*"));
    tools.has(
        &format!("deleteAclConfig -b {broker} -a alice01"),
        &["account's accesskey is:alice01"],
    );
    assert!(!fs::read_to_string(&file).unwrap().contains("alice01"));
    let sentence = tools.refused(&format!("updateAclConfig -b {broker} -a x -s y"));
    assert!(sentence.contains(&broker), "{sentence}");
    // Who has no account is refused.
    fs::write(
        dir.path().join("conf/tools.yml"),
        "accessKey: nobody\nsecretKey: 12345678\n",
    )
    .unwrap();
    let sentence = tools.refused(&format!("brokerStatus -b {broker}"));
    assert!(sentence.contains("nobody"), "{sentence}");
    tools.ran.into_inner()
}

fn users() -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    let tuning = [
        ("authenticationEnabled", "true"),
        ("authorizationEnabled", "true"),
        (
            "initAuthenticationUser",
            r#"{"username":"root","password":"rootpw"}"#,
        ),
    ];
    let account = "accessKey: root\nsecretKey: rootpw\n";
    let (namesrv, one, tools) = guarded(dir.path(), &tuning, account);
    let other = Broker::start(Flavour::Ours, dir.path(), "broker-b", &namesrv.address(), &tuning);
    let (one, other) = (one.address(), other.address());
    tools.has(
        &format!("createUser -b {one} -u alice -p alicepw"),
        &["create user to"],
    );
    tools.refused(&format!("createUser -b {one} -u alice -p again"));
    tools.ok(&format!("updateUser -b {one} -u alice -s disable"));
    let user = tools.json(&format!("getUser -b {one} -u alice"));
    assert_eq!(
        (&user[0]["userStatus"], &user[0]["userType"]),
        (&"disable".into(), &"Normal".into())
    );
    tools.refused(&format!("getUser -b {one} -u nobody"));
    tools.has(&format!("listUser -b {one} -f ali"), &["alice "]);
    tools.ok(&format!(
        "createAcl -b {one} -s User:alice -r Topic:T,Group:* -a Pub,Sub -d Allow"
    ));
    tools.ok(&format!(
        "updateAcl -b {one} -s User:alice -r Topic:T -a Pub -d Deny -i 10.0.0.1"
    ));
    tools.has(
        &format!("getAcl -b {one} -s User:alice"),
        &["Topic:T", "[10.0.0.1]", "Deny"],
    );
    tools.has(&format!("listAcl -b {one}"), &["User:alice", "Group:*"]);
    let default = format!("-b {one} -s User:alice -r Topic:* -p default");
    tools.ok(&format!("createAcl {default} -a Get -d Allow"));
    let policies = tools.json(&format!("getAcl -b {one} -s User:alice"));
    let of_default = policies
        .iter()
        .find(|entry| entry["policyType"] == "Default")
        .unwrap();
    assert_eq!(
        (&of_default["resource"], policies.len()),
        (&"Topic:*".into(), 3),
        "{policies:?}"
    );
    tools.ok(&format!("deleteAcl {default}"));
    let left = tools.json(&format!("getAcl -b {one} -s User:alice"));
    assert!(
        left.iter().all(|entry| entry["policyType"] == "Custom"),
        "{left:?}"
    );
    let sentence = tools.refused(&format!(
        "createAcl -b {one} -s User:alice -r * -a Get -d Allow -p Other"
    ));
    assert!(sentence.contains("--policyType is `Other`"), "{sentence}");
    tools.has(
        &format!("copyUser -f {one} -t {other} -u alice"),
        &["copy user of alice from"],
    );
    tools.has(
        &format!("copyAcl -f {one} -t {other}"),
        &["copy acl of User:alice from"],
    );
    tools.has(
        &format!("getAcl -b {other} -s User:alice"),
        &["Topic:T", "[10.0.0.1]", "Deny"],
    );
    tools.refused(&format!("copyUser -f {one} -t {other} -u nobody"));
    tools.ok(&format!("deleteAcl -b {one} -s User:alice"));
    tools.refused(&format!("getAcl -b {one} -s User:alice"));
    tools.ok(&format!("deleteUser -b {one} -u alice"));
    tools.refused(&format!("getUser -b {one} -u alice"));
    tools.ran.into_inner()
}
