// Writes and reads the files under config/ with the broker's own classes, to compare ours with.
//
//   java -cp LIB ConfigTool.java write STORE   fills the tables and writes STORE/config/*
//   java -cp LIB ConfigTool.java read STORE    loads what is there and prints FILE, a tab, the table as JSON
//
// Works with 4.9 and 5.x: what a version does not have is left out. The tables are filled by the classes' own decode from
// the texts below (a field that a version does not know is dropped by it), the filters by register.

import java.io.File;
import java.lang.reflect.Constructor;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.broker.filter.ConsumerFilterManager;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.ConfigManager;
import org.apache.rocketmq.store.config.MessageStoreConfig;

public class ConfigTool {
    static final String VERSION = "\"dataVersion\":{\"counter\":7,\"stateVersion\":3,\"timestamp\":1700000000123}";

    static final String TOPICS = "{" + VERSION + ",\"topicConfigTable\":{"
        + "\"Orders\":{\"attributes\":{\"message.type\":\"FIFO\",\"cleanup.policy\":\"DELETE\"},\"order\":true,\"perm\":6,"
        + "\"readQueueNums\":5,\"topicFilterType\":\"MULTI_TAG\",\"topicName\":\"Orders\",\"topicSysFlag\":2,\"writeQueueNums\":3},"
        + "\"%RETRY%group\":{\"order\":false,\"perm\":6,\"readQueueNums\":1,\"topicName\":\"%RETRY%group\",\"writeQueueNums\":1},"
        + "\"Mapped\":{\"perm\":4,\"readQueueNums\":4,\"topicName\":\"Mapped\",\"writeQueueNums\":4}}}";

    static final String GROUPS = "{" + VERSION + ",\"forbiddenTable\":{\"group\":{\"Orders\":5}},\"subscriptionGroupTable\":{"
        + "\"group\":{\"attributes\":{\"lite.bind.topic\":\"x\"},\"brokerId\":1,\"consumeBroadcastEnable\":false,\"consumeEnable\":true,"
        + "\"consumeFromMinEnable\":false,\"consumeMessageOrderly\":true,\"consumeTimeoutMinute\":20,\"groupName\":\"group\","
        + "\"groupRetryPolicy\":{\"type\":\"EXPONENTIAL\",\"exponentialRetryPolicy\":{\"initial\":7000,\"max\":8000,\"multiplier\":3}},"
        + "\"groupSysFlag\":4,\"notifyConsumerIdsChangedEnable\":false,\"retryMaxTimes\":3,\"retryQueueNums\":2,"
        + "\"subscriptionDataSet\":[{\"topic\":\"Orders\",\"expressionType\":\"TAG\"}],\"whichBrokerWhenConsumeSlowly\":2},"
        + "\"plain\":{\"groupName\":\"plain\",\"consumeEnable\":false}}}";

    static final String OFFSETS = "{" + VERSION + ",\"offsetTable\":{\"Orders@group\":{0:12,1:7,2:9223372036854775807},"
        + "\"%RETRY%group@group\":{0:1}}}";

    static final String LMQ_OFFSETS = "{" + VERSION + ",\"lmqOffsetTable\":{\"%LMQ%q@%LMQ%group\":42},"
        + "\"offsetTable\":{\"Orders@group\":{0:12}}}";

    static final String DELAYS = "{" + VERSION + ",\"offsetTable\":{1:10,2:5,18:99}}";

    // The time far ahead keeps Java from taking the entry out as too old.
    static final String ORDER_INFO = "{\"table\":{\"Orders@group\":{1:{\"a\":\"attempt\",\"cm\":5,\"i\":60000,"
        + "\"l\":4102444800000,\"o\":[100,1,2],\"oc\":{100:2,101:1},\"ot\":{101:1700000001000},\"popTime\":1700000000000}}}}";

    static final String MAPPING = "{" + VERSION + ",\"topicQueueMappingInfoMap\":{\"Mapped\":{\"bname\":\"broker-a\",\"currIdMap\":{0:1},"
        + "\"dirty\":false,\"epoch\":1700000000000,\"hostedQueues\":{0:[{\"bname\":\"broker-a\",\"endOffset\":-1,\"gen\":2,"
        + "\"logicOffset\":1000,\"queueId\":1,\"startOffset\":3,\"timeOfEnd\":-1,\"timeOfStart\":-1}]},\"scope\":\"__global__\","
        + "\"topic\":\"Mapped\",\"totalQueues\":8}}}";

    static final String MODES = "{\"messageRequestModeMap\":{\"Orders\":{\"group\":{\"consumerGroup\":\"group\",\"mode\":\"POP\","
        + "\"popShareQueueNum\":3,\"topic\":\"Orders\"}}}}";

    static final String TIMER_METRICS = "{" + VERSION + ",\"timingCount\":{\"Orders\":{\"count\":11,\"timeStamp\":1700000000000}}}";

    static final String TRANSACTION_METRICS =
        "{" + VERSION + ",\"transactionCount\":{\"Orders\":{\"count\":-2,\"timeStamp\":1700000000000}}}";

    static BrokerController controller;
    static Path config;

    public static void main(String[] args) throws Exception {
        config = Path.of(args[1], "config");
        Files.createDirectories(config);
        controller = controller(args[1]);
        if (args[0].equals("write")) {
            write();
        } else {
            read();
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    static BrokerController controller(String root) throws Exception {
        BrokerConfig broker = new BrokerConfig();
        broker.setBrokerName("broker-a");
        MessageStoreConfig store = new MessageStoreConfig();
        store.setStorePathRootDir(root);
        Class<?> server = either("org.apache.rocketmq.remoting.netty.NettyServerConfig");
        Class<?> client = either("org.apache.rocketmq.remoting.netty.NettyClientConfig");
        return BrokerController.class.getConstructor(BrokerConfig.class, server, client, MessageStoreConfig.class).newInstance(
            broker, server.getConstructor().newInstance(), client.getConstructor().newInstance(), store);
    }

    /** The first of the classes that this version has, or null. */
    static Class<?> either(String... names) {
        for (String name : names) {
            try {
                return Class.forName(name);
            } catch (ClassNotFoundException e) {
                // Another version's.
            }
        }
        return null;
    }

    static Object get(Object from, String getter) throws Exception {
        try {
            return from.getClass().getMethod(getter).invoke(from);
        } catch (NoSuchMethodException e) {
            return null;
        }
    }

    static ConfigManager make(String name, Object... arguments) throws Exception {
        Class<?> type = either(name);
        if (type == null) {
            return null;
        }
        for (Constructor<?> constructor : type.getConstructors()) {
            if (constructor.getParameterCount() == arguments.length) {
                return (ConfigManager) constructor.newInstance(arguments);
            }
        }
        throw new NoSuchMethodException(name);
    }

    /** File name to table, of those that this version has. */
    static Map<String, ConfigManager> tables() throws Exception {
        Map<String, ConfigManager> all = new LinkedHashMap<>();
        all.put("topics.json", (ConfigManager) get(controller, "getTopicConfigManager"));
        all.put("subscriptionGroup.json", (ConfigManager) get(controller, "getSubscriptionGroupManager"));
        all.put("consumerOffset.json", (ConfigManager) get(controller, "getConsumerOffsetManager"));
        all.put("lmqConsumerOffset.json", make("org.apache.rocketmq.broker.offset.LmqConsumerOffsetManager", controller));
        ConfigManager delays = (ConfigManager) get(controller, "getScheduleMessageService");
        if (delays == null) {
            delays = make("org.apache.rocketmq.store.schedule.ScheduleMessageService", new Object[] {null});
        }
        all.put("delayOffset.json", delays);
        all.put("consumerFilter.json", (ConfigManager) get(controller, "getConsumerFilterManager"));
        // Without a broker it does not look for topics and groups that are gone.
        all.put("consumerOrderInfo.json", make("org.apache.rocketmq.broker.offset.ConsumerOrderInfoManager"));
        all.put("topicQueueMapping.json", (ConfigManager) get(controller, "getTopicQueueMappingManager"));
        all.put("messageRequestMode.json",
            make("org.apache.rocketmq.broker.loadbalance.MessageRequestModeManager", controller));
        all.put("timermetrics", make("org.apache.rocketmq.store.timer.TimerMetrics", config.resolve("timermetrics").toString()));
        all.put("transactionMetrics",
            make("org.apache.rocketmq.broker.transaction.TransactionMetrics", config.resolve("transactionMetrics").toString()));
        all.values().removeIf(table -> table == null);
        return all;
    }

    static void write() throws Exception {
        Map<String, String> texts = Map.of("topics.json", TOPICS, "subscriptionGroup.json", GROUPS, "consumerOffset.json", OFFSETS,
            "lmqConsumerOffset.json", LMQ_OFFSETS, "delayOffset.json", DELAYS, "consumerOrderInfo.json", ORDER_INFO,
            "topicQueueMapping.json", MAPPING, "messageRequestMode.json", MODES, "timermetrics", TIMER_METRICS,
            "transactionMetrics", TRANSACTION_METRICS);
        for (Map.Entry<String, ConfigManager> entry : tables().entrySet()) {
            ConfigManager table = entry.getValue();
            if (table instanceof ConsumerFilterManager filters) {
                filters.register("Orders", "group", "a > 1 AND b IS NOT NULL", "SQL92", 1700000000000L);
            } else {
                table.decode(texts.get(entry.getKey()));
            }
            Files.writeString(config.resolve(entry.getKey()), table.encode(true));
        }
        Class<?> timer = either("org.apache.rocketmq.store.timer.TimerCheckpoint");
        if (timer != null) {
            Object checkpoint = timer.getConstructor(String.class).newInstance(config.resolve("timercheck").toString());
            timer.getMethod("setLastReadTimeMs", long.class).invoke(checkpoint, 1700000000000L);
            timer.getMethod("setLastTimerLogFlushPos", long.class).invoke(checkpoint, 520L);
            timer.getMethod("setLastTimerQueueOffset", long.class).invoke(checkpoint, 10L);
            timer.getMethod("setMasterTimerQueueOffset", long.class).invoke(checkpoint, 11L);
            Object version = get(checkpoint, "getDataVersion");
            version.getClass().getMethod("setStateVersion", long.class).invoke(version, 3L);
            timer.getMethod("shutdown").invoke(checkpoint);
        }
    }

    static void read() throws Exception {
        for (Map.Entry<String, ConfigManager> entry : tables().entrySet()) {
            Path file = config.resolve(entry.getKey());
            ConfigManager table = entry.getValue();
            if (!Files.exists(file)) {
                continue;
            }
            if (entry.getKey().equals("delayOffset.json") || table.getClass().getSimpleName().equals("ConsumerOrderInfoManager")) {
                // Their load wants a store, or looks for the file elsewhere.
                table.decode(Files.readString(file));
            } else if (!table.load()) {
                throw new IllegalStateException(file + " does not load");
            }
            System.out.println(entry.getKey() + "\t" + table.encode(false));
        }
        Path timer = config.resolve("timercheck");
        if (Files.exists(timer)) {
            ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(timer));
            StringBuilder longs = new StringBuilder();
            while (bytes.position() < 56) {
                longs.append(bytes.position() == 0 ? "[" : ",").append(bytes.getLong());
            }
            System.out.println("timercheck\t" + longs + "]");
        }
    }
}
