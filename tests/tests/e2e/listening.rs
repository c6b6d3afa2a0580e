//! Where servers listen, as clients find them: on machines of their own, whose networks nobody else has.

use crate::first_hour::Machine;

/// Java's 0.0.0.0 is reached by IPv6, too: who is told `[::1]` comes through, and who comes by IPv4 is IPv4 to everybody.
#[test]
fn a_broker_that_announces_ipv6_is_reached_by_both() {
    let machine = Machine::new();
    let ran = machine.run(
        r#"
        # A host may say that who listens on IPv6 has IPv6 alone: the servers say otherwise.
        echo 1 >/proc/sys/net/ipv6/bindv6only
        cd /usr/local/rocketmq/bin
        ./mqnamesrv >/root/namesrv.out 2>&1 &
        wait_for "boot success" /root/namesrv.out
        printf 'brokerName=six\nbrokerIP1=[::1]\nnamesrvAddr=[::1]:9876\nmappedFileSizeCommitLog=16777216\n' >/root/six.conf
        ./mqbroker --check-config -c /root/six.conf
        ./mqbroker -c /root/six.conf >/root/six.out 2>&1 &
        wait_for "boot success" /root/six.out
        export NAMESRV_ADDR=127.0.0.1:9876
        ./tools.sh org.apache.rocketmq.example.quickstart.Producer
        ./mqadmin updateTopic -b 127.0.0.1:10911 -t ByFour
        ./mqadmin updateTopic -b '[::1]:10911' -t BySix
        ./mqshutdown broker
        ./mqshutdown namesrv
        echo "by four: $(grep -rh 'ByFour' /root/logs/rocketmqlogs | head -n 1)"
        echo "by six: $(grep -rh 'BySix' /root/logs/rocketmqlogs | head -n 1)"
        echo "mapped: $(cat /root/logs/rocketmqlogs/*.log | grep -c '::ffff')"
        "#,
    );
    ran.has(&[
        "six.conf:2: brokerIP1=::1, which clients are told, is an address of this host",
        "mapped: 0",
    ]);
    assert_eq!(ran.count("sendStatus=SEND_OK"), 1000, "{}", ran.text);
    // Who looks a message up by its id is sent to that address, and the port 10911.
    let id = "offsetMsgId=0000000000000000000000000000000100002A9F";
    assert_eq!(ran.count(id), 1000, "{}", ran.text);
    let line = |start: &str| {
        let mut lines = ran.text.lines();
        lines.find(|line| line.starts_with(start)).unwrap().to_owned()
    };
    assert!(line("by four: ").contains("127.0.0.1:"), "{}", ran.text);
    assert!(line("by six: ").contains("[::1]:"), "{}", ran.text);
}

/// A host that has IPv6 alone, as Java finds its address.
#[test]
fn a_host_without_ipv4_announces_its_ipv6_address() {
    let machine = Machine::new();
    let ran = machine.run(
        r#"
        ip address del 192.168.96.128/32 dev lo
        ip link add v0 type veth peer name v1
        ip link set v0 up
        ip link set v1 up
        cd /usr/local/rocketmq/bin
        echo "of one cable: $(./mqbroker -p | grep brokerIP1)"
        ip -6 address add 2001:db8:7::5/64 dev v0 nodad
        echo "without a route: $(./mqbroker -p | grep brokerIP1)"
        ip -6 address add 2001:db8:8::6/64 dev v1 nodad
        ip -6 route add default via 2001:db8:8::1 dev v1
        echo "by the route: $(./mqbroker -p | grep brokerIP1)"
        ip address add 203.0.113.1/24 dev v0
        echo "with IPv4: $(./mqbroker -p | grep brokerIP1)"
        "#,
    );
    ran.has(&[
        "of one cable: brokerIP1=127.0.0.1",
        "without a route: brokerIP1=2001:db8:7::5",
        "by the route: brokerIP1=2001:db8:8::6",
        "with IPv4: brokerIP1=203.0.113.1",
    ]);
}

/// A host without IPv6 is listened on as before.
#[test]
fn a_host_without_ipv6_is_listened_on_by_ipv4() {
    let machine = Machine::new();
    let ran = machine.run(
        r#"
        echo 1 >/proc/sys/net/ipv6/conf/lo/disable_ipv6
        cd /usr/local/rocketmq/bin
        printf 'brokerName=six\nbrokerIP1=[2001:db8::7]\nmappedFileSizeCommitLog=16777216\n' >/root/six.conf
        ./mqbroker -c /root/six.conf >/root/six.out 2>&1 &
        wait_for "boot success" /root/six.out
        ./mqadmin updateTopic -b 127.0.0.1:10911 -t ByFour
        ./mqshutdown broker
        "#,
    );
    ran.has(&["create topic to 127.0.0.1:10911 success", "has stopped."]);
}

/// A name in brokerIP1 is told to clients as it is; message ids have the address that it stands for.
#[test]
fn a_broker_that_announces_a_name_has_its_address_in_message_ids() {
    let machine = Machine::new();
    let ran = machine.run(
        r#"
        cd /usr/local/rocketmq/bin
        ./mqnamesrv >/root/namesrv.out 2>&1 &
        wait_for "boot success" /root/namesrv.out
        printf 'brokerName=named\nbrokerIP1=rocketmq-master1\nmappedFileSizeCommitLog=16777216\n' >/root/named.conf
        ./mqbroker -c /root/named.conf -n 127.0.0.1:9876 >/root/named.out 2>&1 &
        wait_for "boot success" /root/named.out
        export NAMESRV_ADDR=127.0.0.1:9876
        ./mqadmin topicRoute -t TBW102
        ./tools.sh org.apache.rocketmq.example.quickstart.Producer
        ./mqshutdown broker
        ./mqshutdown namesrv
        "#,
    );
    ran.has(&["rocketmq-master1:10911"]);
    // 192.168.96.128 and 10911.
    assert_eq!(ran.count("offsetMsgId=C0A8608000002A9F"), 1000, "{}", ran.text);
}
