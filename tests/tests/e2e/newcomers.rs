//! What somebody who is new to operations does and overlooks, on machines of their own: each is told, where it is looked for.

use crate::first_hour::Machine;

/// A disk that is mounted late, a path from the working directory, an address of another host: the terminal says it at the start.
#[test]
fn a_start_says_what_its_operator_may_not_know() {
    let machine = Machine::new();
    let ran = machine.run(
        r#"
        cd /root
        bin=/usr/local/rocketmq/bin
        printf 'storePathRootDir=/root/data\nmappedFileSizeCommitLog=1048576\ndiskSpaceWarningLevelRatio=95\n' >own.conf
        cat own.conf >other.conf
        echo 'brokerIP1=10.9.9.9' >>other.conf
        start() {
            $bin/mqbroker -c "$1" >"out.$2" 2>&1 &
            wait_for "boot success" "out.$2"
            sed "s/^/$2: /" "out.$2"
            $bin/mqshutdown broker
        }
        $bin/mqbroker --check-config -c own.conf | sed 's/^/check: /'
        start own.conf first
        start own.conf second
        start other.conf third
        mkdir mountpoint
        mount --bind mountpoint data
        start own.conf late
        umount data
        $bin/mqbroker --check-config -c own.conf | sed 's/^/again: /'
        printf 'storePathRootDir=data\nmappedFileSizeCommitLog=1048576\n' >relative.conf
        $bin/mqbroker --check-config -c relative.conf | sed 's/^/relative: /'
        start relative.conf fourth
        grep -h 'WARN' logs/rocketmqlogs/broker.log | sed 's/^/log: /'
        "#,
    );
    let told = |who: &str, part: &str| {
        let mut lines = ran.text.lines();
        lines.any(|line| line.starts_with(who) && line.contains(part))
    };
    let new = "a new store begins in /root/data: no broker has run on this folder yet";
    for (who, is_new) in [
        ("first: ", true),
        ("second: ", false),
        ("third: ", false),
        ("late: ", true),
        ("fourth: ", false),
    ] {
        assert_eq!(told(who, new), is_new, "{who}{}", ran.text);
        assert!(told(who, "boot success"), "{who}{}", ran.text);
    }
    let note = "no broker has run on storePathRootDir=/root/data yet: a start begins a new store there";
    assert!(told("check: ", note) && !told("again: ", note), "{}", ran.text);
    let level =
        "own.conf:3: diskSpaceWarningLevelRatio=95 counts as 90, the most that these servers and Java's take";
    assert!(told("check: ", level) && told("first: ", level), "{}", ran.text);
    let foreign = "other.conf:4: brokerIP1=10.9.9.9, which clients are told, is no address of this host";
    assert!(
        told("third: ", foreign) && !told("second: ", "no address"),
        "{}",
        ran.text
    );
    let relative = "relative.conf:1: storePathRootDir=data: it is taken from the folder that the broker is started in, which makes it /root/data; ";
    assert!(
        told("relative: ", relative) && told("fourth: ", relative),
        "{}",
        ran.text
    );
    assert!(!told("relative: ", "does not say"), "{}", ran.text);
    for line in [new, "brokerIP1=10.9.9.9", "storePathRootDir=data: "] {
        assert!(told("log: ", line), "{line}: {}", ran.text);
    }
}

/// What is there is left as it is, and what is gone is told of.
#[test]
fn files_that_are_there_and_files_that_are_gone() {
    let machine = Machine::new();
    let ran = machine.run(
        r#"
        cd /usr/local/rocketmq/bin
        printf 'brokerName=new\nmappedFileSizeCommitLog=1048576\n' >/root/new.conf
        ./mqnamesrv >/root/namesrv.out 2>&1 &
        wait_for "boot success" /root/namesrv.out
        start() {
            ./mqbroker -c /root/new.conf -n 127.0.0.1:9876 >"/root/$1.out" 2>&1 &
            wait_for "boot success" "/root/$1.out"
        }
        start first
        export NAMESRV_ADDR=127.0.0.1:9876
        ./tools.sh org.apache.rocketmq.example.quickstart.Producer >/dev/null
        ./mqadmin updateSubGroup -b 127.0.0.1:10911 -g readers
        # Whole lines of stdout and stderr, and the exit code.
        ./mqadmin brokerStatus -b 127.0.0.1 2>&1 || echo "without a port: $?"
        for round in first second; do
            ./mqbroker -c /root/new.conf --support-bundle /root/bundle.tar.gz 2>&1 || echo "$round bundle: $?"
        done
        rm /root/store/config/*
        ./mqshutdown broker
        ls /root/store/config | sed 's/^/there: /'
        mount --bind /root/store /root/store
        mount -o remount,bind,ro /root/store
        ./mqadmin checkStore -d /root/store | sed 's/^/store: /'
        umount /root/store
        rm -r /root/store/config
        start second
        ./mqshutdown broker
        grep -h ' ERROR ' /root/logs/rocketmqlogs/broker.log | sed 's/^/log: /'
        "#,
    );
    ran.has(&[
        "can not connect to 127.0.0.1: it has no port: HOST:PORT is meant",
        "without a port: 1",
        "/root/bundle.tar.gz has ",
        "/root/bundle.tar.gz is there already, and stays as it is: give another name to --support-bundle, or remove it",
        "second bundle: 1",
        "there: topics.json",
        "there: subscriptionGroup.json",
        "store: faults         0",
    ]);
    assert!(!ran.text.contains("first bundle: "), "{}", ran.text);
    let logged = |part: &str| {
        let mut lines = ran.text.lines();
        lines.any(|line| line.starts_with("log: ") && line.contains(part))
    };
    for part in [
        "topics.json is missing: 1 topics are made again",
        "/root/store/config/subscriptionGroup.json is missing, too: the settings of consumer groups are forgotten",
        "/root/store/config/consumerOffset.json is missing, too: how far groups have consumed is forgotten",
    ] {
        assert!(logged(part), "{part}: {}", ran.text);
    }
}

/// A name service that never answers: commands give up in time, and say what they waited for.
#[test]
fn a_mute_name_service_holds_no_command_up() {
    let machine = Machine::new();
    let ran = machine.run(
        r#"
        # Whatever is sent there is lost.
        ip link add mute type veth peer name other
        ip address add 192.0.2.1/24 dev mute
        ip link set mute up
        ip link set other up
        ip neigh add 192.0.2.53 lladdr 02:00:00:00:00:53 dev mute
        echo 'nameserver 192.0.2.53' >/root/resolv.conf
        mount --bind /root/resolv.conf /etc/resolv.conf
        cd /usr/local/rocketmq/bin
        for command in clusterList 'sendMessage -t T -p x'; do
            before=$(date +%s)
            ./mqadmin $command -n names.example:9876 2>&1 || echo "ended with $?"
            echo "took $(( $(date +%s) - before )) s"
        done
        "#,
    );
    assert_eq!(ran.count("ended with 1"), 2, "{}", ran.text);
    assert_eq!(
        ran.count("none of the name servers names.example:9876 answers"),
        2,
        "{}",
        ran.text
    );
    let took = ran
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("took ")?.strip_suffix(" s"));
    let took: Vec<u64> = took.map(|seconds| seconds.parse().unwrap()).collect();
    // A resolver gives up after ten seconds and more for each server and try.
    assert!(
        took.len() == 2 && took.iter().all(|seconds| *seconds < 8),
        "{took:?}"
    );
}
