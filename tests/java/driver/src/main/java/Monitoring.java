import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageClientExt;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * What rocketmq-exporter and rocketmq-dashboard ask, and what they read of the answers: {@code Monitoring NAMESRV TOPIC GROUP PRODUCERS
 * KEY}. A line for each thing that is read, name and value parted by a tab. Values that differ from run to run (times, sizes, rates)
 * are told by their kind. A call that fails says why in place of its lines. Types whose package changed in 5.x are named nowhere.
 */
public final class Monitoring {
    private static final long SECOND = 1000;
    private static final String TRACES = "RMQ_SYS_TRACE_TOPIC";
    private static final String[] COUNTS = {
        "msgGetTotalTodayNow", "msgPutTotalTodayMorning", "msgGetTotalTodayMorning",
        "msgPutTotalYesterdayMorning", "msgGetTotalYesterdayMorning", "sendThreadPoolQueueSize", "queryThreadPoolQueueSize",
        "pullThreadPoolQueueSize", "sendThreadPoolQueueCapacity", "pullThreadPoolQueueCapacity", "queryThreadPoolQueueCapacity",
        "commitLogMinOffset", "dispatchMaxBuffer", "dispatchBehindBytes", "brokerVersion", "remainTransientStoreBufferNumbs",
    };
    private static final String[] INTEGERS = {
        // How many messages of traces there are is by chance.
        "msgPutTotalTodayNow",
        "sendThreadPoolQueueHeadWaitTimeMills", "queryThreadPoolQueueHeadWaitTimeMills", "pullThreadPoolQueueHeadWaitTimeMills",
        "bootTimestamp", "commitLogMaxOffset", "pageCacheLockTimeMills", "getMessageEntireTimeMax", "putMessageEntireTimeMax",
        "putMessageTimesTotal", "putMessageSizeTotal", "startAcceptSendRequestTimeStamp", "earliestMessageTimeStamp",
    };
    private static final String[] DECIMALS = {"consumeQueueDiskRatio", "commitLogDiskRatio", "putMessageAverageSize"};
    private static final String[] RATES = {"putTps", "getMissTps", "getTotalTps", "getFoundTps", "getTransferredTps"};

    private final String namesrv;
    private final String topic;
    private final String group;
    private final String producers;
    private final String key;
    private DefaultMQAdminExt admin;
    private String call = "";

    private Monitoring(String[] args) {
        namesrv = args[0];
        topic = args[1];
        group = args[2];
        producers = args[3];
        key = args[4];
    }

    public static void main(String[] args) throws Exception {
        Monitoring monitoring = new Monitoring(args);
        monitoring.admin = monitoring.tools("exporter", false);
        monitoring.exporter();
        monitoring.admin = monitoring.tools("dashboard", true);
        monitoring.dashboard();
        System.out.println("@@ end");
        // Threads of the client would keep the process.
        System.exit(0);
    }

    private DefaultMQAdminExt tools(String name, boolean vip) throws Exception {
        DefaultMQAdminExt tools = new DefaultMQAdminExt();
        tools.setNamesrvAddr(namesrv);
        tools.setInstanceName(name);
        tools.setVipChannelEnabled(vip);
        tools.start();
        return tools;
    }

    private interface Question {
        void ask() throws Exception;
    }

    private void ask(String name, Question question) {
        call = name;
        try {
            question.ask();
        } catch (MQBrokerException e) {
            say("refused", e.getResponseCode() + " " + e.getErrorMessage());
        } catch (MQClientException e) {
            say("refused", e.getResponseCode() + " " + e.getErrorMessage());
        } catch (Throwable e) {
            say("failed", e);
        }
    }

    /** Where ports and times stand in a text, differences would be in every run. */
    private void say(String part, Object value) {
        String text = String.valueOf(value).replace(broker(), "BROKER").replaceAll("127\\.0\\.0\\.1:\\d+", "CLIENT");
        System.out.println(call + " " + part + "\t" + text.replace('\n', ' '));
    }

    private String address = "";

    /** The broker's address; none until it is known. */
    private String broker() {
        return address.isEmpty() ? "no address yet" : address;
    }

    private static String integer(Object value) {
        Long.parseLong(String.valueOf(value));
        return "integer";
    }

    private static String decimal(Object value) {
        Double.parseDouble(String.valueOf(value));
        return "decimal";
    }

    /** Asks until there is something, half a minute at most: indexes and traces come a moment later. */
    private static <T> T until(Callable<T> question) throws Exception {
        long end = System.currentTimeMillis() + 30 * SECOND;
        while (true) {
            T found = null;
            try {
                found = question.call();
            } catch (MQClientException e) {
                if (System.currentTimeMillis() > end) {
                    throw e;
                }
            }
            if (found != null || System.currentTimeMillis() > end) {
                return found;
            }
            Thread.sleep(SECOND / 5);
        }
    }

    // The exporter.

    private void exporter() {
        ask("106", () -> {
            var cluster = admin.examineBrokerClusterInfo();
            say("clusters", new TreeMap<>(cluster.getClusterAddrTable()));
            for (var broker : cluster.getBrokerAddrTable().entrySet()) {
                address = broker.getValue().getBrokerAddrs().get(0L);
                say("addresses of " + broker.getKey(), broker.getValue().getBrokerAddrs());
            }
        });
        topics("206");
        stats("202 " + topic);
        ask("328", () -> {
            var found = until(() -> {
                var all = admin.getAllProducerInfo(address).getData();
                return all.containsKey(producers) ? all : null;
            });
            say("producers", found.get(producers).size());
            say("groups", without(found.keySet(), "_INNER_"));
        });
        consumers();
        for (String item : List.of("TOPIC_PUT_NUMS", "TOPIC_PUT_SIZE")) {
            item(item, topic);
        }
        for (String item : List.of("GROUP_GET_NUMS", "GROUP_GET_SIZE", "SNDBCK_PUT_NUMS")) {
            item(item, topic + "@" + group);
        }
        item("BROKER_PUT_NUMS", "DefaultCluster");
        item("BROKER_GET_NUMS", "DefaultCluster");
        ask("28", this::runtime);
    }

    private void topics(String name) {
        ask(name, () -> say("topics", without(admin.fetchAllTopicList().getTopicList(), "%RETRY%TOOLS")));
    }

    private static Set<String> without(Set<String> names, String part) {
        Set<String> kept = new TreeSet<>(names);
        kept.removeIf(name -> name.contains(part));
        return kept;
    }

    private void stats(String name) {
        ask(name, () -> {
            long sum = 0;
            Set<String> brokers = new TreeSet<>();
            var table = admin.examineTopicStats(topic).getOffsetTable();
            for (var entry : table.entrySet()) {
                brokers.add(entry.getKey().getBrokerName());
                sum += entry.getValue().getMaxOffset() - entry.getValue().getMinOffset();
                integer(entry.getValue().getLastUpdateTimestamp());
            }
            say("queues", table.size());
            say("brokers", brokers);
            say("messages", sum);
        });
    }

    private void consumers() {
        for (String asked : List.of(topic, "%RETRY%" + group, "NoSuchTopic")) {
            ask("300 " + asked, () -> say("groups", new TreeSet<>(admin.queryTopicConsumeByWho(asked).getGroupList())));
        }
        ask("203", () -> {
            var found = admin.examineConsumerConnectionInfo(group);
            say("how", found.getConsumeType() + " " + found.getMessageModel() + " " + found.getConsumeFromWhere());
            say("subscriptions", new TreeSet<>(found.getSubscriptionTable().keySet()));
            for (var connection : found.getConnectionSet()) {
                say("client", connection.getLanguage() + " " + connection.getVersion() + " " + connection.getClientAddr());
                say("id has a name", !connection.getClientId().isEmpty());
            }
        });
        ask("203 NoSuchGroup", () -> say("clients", admin.examineConsumerConnectionInfo("NoSuchGroup").getConnectionSet().size()));
        ask("208", () -> consumed(admin.examineConsumeStats(group, topic)));
        ask("307", () -> {
            for (var connection : admin.examineConsumerConnectionInfo(group).getConnectionSet()) {
                var running = admin.getConsumerRunningInfo(group, connection.getClientId(), false);
                say("queues", running.getMqTable().size());
                for (var entry : new TreeMap<>(running.getStatusTable()).entrySet()) {
                    var status = entry.getValue();
                    decimal(status.getPullRT() + status.getPullTPS() + status.getConsumeRT());
                    decimal(status.getConsumeOKTPS() + status.getConsumeFailedTPS());
                    say("failed of " + entry.getKey(), status.getConsumeFailedMsgs());
                }
            }
        });
        ask("11", () -> pulls(64));
    }

    /** The same parts of what two versions' types say. */
    private void consumed(Object stats) throws Exception {
        var table = (Map<?, ?>) stats.getClass().getMethod("getOffsetTable").invoke(stats);
        decimal(stats.getClass().getMethod("getConsumeTps").invoke(stats));
        long ends = 0;
        long behind = 0;
        for (Object offsets : table.values()) {
            long end = (Long) offsets.getClass().getMethod("getBrokerOffset").invoke(offsets);
            ends += end;
            behind += end - (Long) offsets.getClass().getMethod("getConsumerOffset").invoke(offsets);
            integer(offsets.getClass().getMethod("getLastTimestamp").invoke(offsets));
        }
        say("queues", table.size());
        say("messages", ends);
        say("behind", behind);
    }

    /** What the exporter looks at for a group's delay, and the dashboard for a topic's messages. */
    private void pulls(int count) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("TOOLS_CONSUMER");
        consumer.setNamesrvAddr(namesrv);
        consumer.start();
        Set<String> bodies = new TreeSet<>();
        Set<String> statuses = new TreeSet<>();
        try {
            for (MessageQueue queue : consumer.fetchSubscribeMessageQueues(topic)) {
                long first = consumer.searchOffset(queue, 0);
                long end = consumer.searchOffset(queue, System.currentTimeMillis() + SECOND);
                say("ends are right", first == consumer.minOffset(queue) && end >= first);
                var found = consumer.pull(queue, "*", first, count);
                for (MessageExt message : found.getMsgFoundList() == null ? List.<MessageExt>of() : found.getMsgFoundList()) {
                    bodies.add(new String(message.getBody()));
                    integer(message.getStoreTimestamp());
                }
                statuses.add(String.valueOf(consumer.pull(queue, "*", consumer.maxOffset(queue), 1).getPullStatus()));
            }
        } finally {
            consumer.shutdown();
        }
        say("messages", bodies.size());
        say("at the end", statuses);
    }

    private void item(String item, String of) {
        ask("315 " + item, () -> {
            var stats = admin.viewBrokerStatsData(address, item, of);
            for (var one : List.of(stats.getStatsMinute(), stats.getStatsHour(), stats.getStatsDay())) {
                decimal(one.getTps() + one.getAvgpt());
                integer(one.getSum());
            }
            say("minute, hour, day", "there");
        });
    }

    /** As rocketmq-exporter parses it: one that it can not read loses it all. */
    private void runtime() throws Exception {
        Map<String, String> table = new TreeMap<>(admin.fetchBrokerRuntimeStats(address).getTable());
        for (String name : COUNTS) {
            integer(table.get(name));
            say(name, table.get(name));
        }
        for (String name : INTEGERS) {
            part(name, () -> integer(table.get(name)));
        }
        for (String name : DECIMALS) {
            part(name, () -> decimal(table.get(name)));
        }
        for (String name : List.of("putLatency99", "putLatency999")) {
            part(name, () -> table.containsKey(name) ? decimal(table.get(name)) : "absent");
        }
        part("remainHowManyDataToFlush", () -> {
            String[] words = table.get("remainHowManyDataToFlush").split(" ");
            return decimal(words[0]) + " and a unit: " + (words.length == 2);
        });
        part("commitLogDirCapacity", () -> {
            String[] words = table.get("commitLogDirCapacity").split(" ");
            return decimal(words[2]) + " " + unit(words[3]) + " " + decimal(words[6]) + " " + unit(words[7]);
        });
        for (String name : RATES) {
            part(name, () -> rates(name, table));
        }
        for (String name : List.of("runtime", "brokerVersionDesc")) {
            part(name, () -> table.get(name).isEmpty() ? "empty" : "text");
        }
        say("brokerVersionDesc", table.get("brokerVersionDesc"));
        part("putMessageDistributeTime", () -> ranges(table.get("putMessageDistributeTime")));
        for (Map.Entry<String, String> entry : table.entrySet()) {
            if (entry.getKey().startsWith("scheduleMessageOffset")) {
                for (String number : entry.getValue().split(",")) {
                    integer(number);
                }
                say(entry.getKey(), entry.getValue());
            }
        }
    }

    private void part(String name, Callable<String> parse) {
        try {
            say(name, parse.call());
        } catch (Exception e) {
            say(name, e);
        }
    }

    private static String unit(String word) {
        String unit = word.substring(0, word.length() - 1);
        return unit.equals("B") || "KMGTPE".indexOf(unit.charAt(0)) >= 0 ? "unit" : "no unit: " + word;
    }

    /** Three numbers; the dashboard reads each of the pieces of getTotalTps. */
    private static String rates(String name, Map<String, String> table) {
        String text = table.getOrDefault(name, table.get(name.replace("ferred", "fered")));
        for (String number : text.split(" ")) {
            decimal(number);
        }
        return text.isEmpty() ? "empty" : text.isBlank() ? "blank" : "decimals";
    }

    private static String ranges(String text) {
        if (text == null || text.equals("null")) {
            return "none yet";
        }
        StringBuilder names = new StringBuilder();
        for (String item : text.trim().split(" ")) {
            String[] parts = item.split(":");
            integer(parts[1]);
            names.append(parts[0]);
        }
        return names.toString();
    }

    // The dashboard.

    private void dashboard() {
        ask("VIP 28", this::runtime);
        ask("VIP 26", () -> {
            var config = admin.getBrokerConfig(address);
            for (String name : List.of("brokerName", "brokerClusterName", "brokerId", "brokerRole", "flushDiskType", "deleteWhen")) {
                say(name, config.getProperty(name));
            }
        });
        ask("VIP 21", () -> {
            var table = admin.getAllTopicConfig(address, 5 * SECOND).getTopicConfigTable();
            say("topics", without(table.keySet(), "%RETRY%TOOLS"));
            say(topic, shown(table.get(topic)));
        });
        ask("VIP 304, 305", this::systemTopics);
        ask("VIP 201", () -> {
            var table = admin.getAllSubscriptionGroup(address, 5 * SECOND).getSubscriptionGroupTable();
            say("groups", new TreeSet<>(table.keySet()));
            var found = table.get(group);
            say(group, found.isConsumeEnable() + " " + found.isConsumeBroadcastEnable() + " " + found.getRetryQueueNums() + " "
                + found.getRetryMaxTimes() + " " + found.getBrokerId() + " " + found.getWhichBrokerWhenConsumeSlowly());
        });
        ask("VIP 204", () -> {
            for (var connection : admin.examineProducerConnectionInfo(producers, topic).getConnectionSet()) {
                say("client", connection.getLanguage() + " " + connection.getVersion() + " " + connection.getClientAddr());
            }
        });
        ask("VIP 204 NoSuchGroup", () -> say("clients", admin.examineProducerConnectionInfo("NoSuchGroup", topic)));
        ask("VIP 351", () -> say(topic, shown(admin.examineTopicConfig(address, topic))));
        messages();
        changes();
        offsets();
    }

    private static String shown(TopicConfig config) throws Exception {
        String text = config.getTopicName() + " " + config.getReadQueueNums() + " " + config.getWriteQueueNums() + " "
            + config.getPerm() + " " + config.isOrder() + " " + config.getTopicSysFlag() + " " + config.getTopicFilterType();
        for (var method : TopicConfig.class.getMethods()) {
            // Of 5.x alone.
            if (method.getName().equals("getAttributes")) {
                text += " " + method.invoke(config);
            }
        }
        return text;
    }

    private void systemTopics() throws Exception {
        Object impl = field(admin, "defaultMQAdminExtImpl");
        MQClientAPIImpl client = ((MQClientInstance) field(impl, "mqClientInstance")).getMQClientAPIImpl();
        var found = client.getSystemTopicList(5 * SECOND);
        say("of the name server", without(found.getTopicList(), "127."));
        say("address", found.getBrokerAddr());
        say("of the broker", without(client.getSystemTopicListFromBroker(address, 5 * SECOND).getTopicList(), "127."));
    }

    private static Object field(Object of, String name) throws Exception {
        var field = of.getClass().getDeclaredField(name);
        field.setAccessible(true);
        return field.get(of);
    }

    private void messages() {
        ask("VIP 12", () -> {
            MessageClientExt message = byKey();
            say("body", new String(message.getBody()));
            say("tags, keys", message.getTags() + ", " + message.getKeys());
            say("properties", new TreeSet<>(message.getProperties().keySet()));
            say("hosts", message.getStoreHost() + ", " + message.getBornHostString());
            integer(message.getStoreTimestamp() + message.getBornTimestamp());
            String body = new String(admin.viewMessage(topic, message.getMsgId()).getBody());
            say("by its unique key", body);
            say("by its offset id (33)", new String(admin.viewMessage(topic, message.getOffsetMsgId()).getBody()));
        });
        ask("VIP who consumed (300, 203, 208, 106)", () -> {
            for (var track : admin.messageTrackDetail(byKey())) {
                say(track.getConsumerGroup(), track.getTrackType() + " " + track.getExceptionDesc());
            }
        });
        ask("VIP trace", () -> {
            String id = byKey().getMsgId();
            var found = until(() -> admin.queryMessage(TRACES, id, 64, 0, System.currentTimeMillis()));
            say("messages", found.getMessageList().size());
        });
        ask("VIP 309", () -> {
            for (var connection : admin.examineConsumerConnectionInfo(group).getConnectionSet()) {
                var result = admin.consumeMessageDirectly(group, connection.getClientId(), topic, byKey().getMsgId());
                say("result", result.getConsumeResult() + " " + result.isOrder() + " " + result.isAutoCommit() + " " + result.getRemark());
                integer(result.getSpentTimeMills());
            }
        });
    }

    private MessageClientExt byKey() throws Exception {
        var found = until(() -> admin.queryMessage(topic, key, 64, 0, System.currentTimeMillis() + SECOND));
        return (MessageClientExt) found.getMessageList().get(0);
    }

    private void changes() {
        ask("VIP 17", () -> {
            TopicConfig made = new TopicConfig("Made", 3, 2, 6);
            admin.createAndUpdateTopicConfig(address, made);
            say("made", shown(admin.getAllTopicConfig(address, 5 * SECOND).getTopicConfigTable().get("Made")));
        });
        topics("VIP 206 with Made");
        ask("VIP 310", this::sendByV2);
        ask("VIP 215, 216", () -> {
            admin.deleteTopicInBroker(Set.of(address), "Made");
            admin.deleteTopicInNameServer(Set.of(namesrv), "DefaultCluster", "Made");
        });
        topics("VIP 206 without Made");
        ask("VIP 200", () -> {
            var config = admin.getAllSubscriptionGroup(address, 5 * SECOND).getSubscriptionGroupTable().get(group);
            config.setGroupName("MadeGroup");
            config.setRetryQueueNums(2);
            config.setConsumeBroadcastEnable(false);
            admin.createAndUpdateSubscriptionGroupConfig(address, config);
            var made = admin.examineSubscriptionGroupConfig(address, "MadeGroup");
            say("made", made.getRetryQueueNums() + " " + made.isConsumeBroadcastEnable());
        });
        ask("VIP 207", () -> {
            admin.deleteSubscriptionGroup(address, "MadeGroup", true);
            var left = admin.getAllSubscriptionGroup(address, 5 * SECOND).getSubscriptionGroupTable();
            say("gone", !left.containsKey("MadeGroup"));
        });
    }

    private void sendByV2() throws Exception {
        var producer = new org.apache.rocketmq.client.producer.DefaultMQProducer("SELF_TEST_P_GROUP");
        producer.setNamesrvAddr(namesrv);
        producer.setInstanceName("sender");
        producer.start();
        try {
            var result = producer.send(new org.apache.rocketmq.common.message.Message("Made", "*", "hello".getBytes()));
            say("status", result.getSendStatus() + " " + result.getMessageQueue().getTopic() + " " + result.getQueueOffset());
        } finally {
            producer.shutdown();
        }
    }

    private void offsets() {
        ask("VIP 222", () -> {
            long all = 0;
            var table = admin.resetOffsetByTimestamp(topic, group, 0, true);
            for (long offset : table.values()) {
                all += offset;
            }
            say("queues", table.size());
            say("sum of offsets", all);
        });
        ask("VIP 222 nobody online", () -> say("queues", admin.resetOffsetByTimestamp(topic, "Offline", 0, true).size()));
        ask("VIP 208, 202, 29, 15", () -> {
            int queues = 0;
            for (var rollback : admin.resetOffsetByTimestampOld("Offline", topic, 0, true)) {
                queues++;
                say("offset", rollback.getTimestampOffset() + " " + rollback.getRollbackOffset());
            }
            say("queues", queues);
        });
    }
}
