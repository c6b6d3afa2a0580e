// Writes and reads store directories with RocketMQ's own store, to compare ours with.
//
//   java -cp LIB StoreTool.java write DIR COUNT [ext] [lmq] stop|kill   prints one line a message
//   java -cp LIB StoreTool.java read DIR [ext] [lmq] stop|kill          prints one line a message it can read, then what a
//                                                                       filter for each tag finds, then key hits
//
// A line: MSG, topic, queue id, queue offset, body, tags, keys, joined by spaces; "-" for nothing. TAG, tag, queue id,
// queue offset. With ext queues have extensions; with lmq some messages are in light message queues and in Other, too.

import java.lang.reflect.Constructor;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageExtBatch;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.apache.rocketmq.store.DefaultMessageFilter;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.GetMessageResult;
import org.apache.rocketmq.store.MessageArrivingListener;
import org.apache.rocketmq.store.PutMessageResult;
import org.apache.rocketmq.store.QueryMessageResult;
import org.apache.rocketmq.store.config.FlushDiskType;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.stats.BrokerStatsManager;

public class StoreTool {
    static Class<?> innerClass;
    static boolean ext;
    static boolean lmq;

    public static void main(String[] args) throws Exception {
        try {
            innerClass = Class.forName("org.apache.rocketmq.common.message.MessageExtBrokerInner");
        } catch (ClassNotFoundException e) {
            innerClass = Class.forName("org.apache.rocketmq.store.MessageExtBrokerInner");
        }
        ext = Arrays.asList(args).contains("ext");
        lmq = Arrays.asList(args).contains("lmq");
        DefaultMessageStore store = open(args[1]);
        if (args[0].equals("write")) {
            write(store, Integer.parseInt(args[2]));
            // Killed or not, queues and index are complete: they are compared byte by byte.
            while (store.dispatchBehindBytes() > 0) {
                Thread.onSpinWait();
            }
        } else {
            read(store);
        }
        if (args[args.length - 1].equals("stop")) {
            store.shutdown();
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    static DefaultMessageStore open(String dir) throws Exception {
        MessageStoreConfig config = new MessageStoreConfig();
        config.setStorePathRootDir(dir);
        config.setStorePathCommitLog(dir + "/commitlog");
        config.setMappedFileSizeCommitLog(65536);
        config.setMappedFileSizeConsumeQueue(2000);
        config.setMaxHashSlotNum(100);
        config.setMaxIndexNum(400);
        config.setMaxMessageSize(8192);
        config.setFlushDiskType(FlushDiskType.SYNC_FLUSH);
        config.setHaListenPort(0);
        config.setEnableConsumeQueueExt(ext);
        config.setMappedFileSizeConsumeQueueExt(500);
        config.setEnableLmq(lmq);
        config.setEnableMultiDispatch(lmq);
        config.getClass().getMethod("setDiskMaxUsedSpaceRatio", int.class).invoke(config, 95);
        BrokerConfig broker = new BrokerConfig();
        MessageArrivingListener nobody = (topic, queue, offset, tags, time, bitmap, properties) -> { };
        BrokerStatsManager stats = new BrokerStatsManager("golden", false);
        Constructor<?> constructor = DefaultMessageStore.class.getConstructors()[0];
        Object made = constructor.getParameterCount() == 4
            ? constructor.newInstance(config, stats, nobody, broker)
            : constructor.newInstance(config, stats, nobody, broker, new ConcurrentHashMap<>());
        DefaultMessageStore store = (DefaultMessageStore) made;
        if (!store.load()) {
            throw new IllegalStateException("the store cannot be loaded");
        }
        store.start();
        return store;
    }

    static void write(DefaultMessageStore store, int count) throws Exception {
        for (int i = 0; i < count; i++) {
            if (i % 50 == 49) {
                batch(store, i);
                continue;
            }
            MessageExt message = (MessageExt) innerClass.getConstructor().newInstance();
            String topic = new String[] {"Plain", "Keys", "Tags", "%RETRY%group"}[i % 4];
            message.setTopic(topic);
            message.setQueueId(i / 4 % 2);
            StringBuilder body = new StringBuilder("body-" + i);
            while (body.length() < i * 37 % 900) {
                body.append('x');
            }
            message.setBody(body.toString().getBytes(StandardCharsets.UTF_8));
            message.setFlag(i);
            message.setBornTimestamp(System.currentTimeMillis());
            boolean v6 = i % 7 == 3;
            InetAddress host = InetAddress.getByName(v6 ? "fe80:0:0:0:1:2:3:4" : "127.0.0.1");
            message.setBornHost(new InetSocketAddress(host, 4000 + i));
            message.setStoreHost(new InetSocketAddress(host, 10911));
            if (v6) {
                message.setBornHostV6Flag();
                message.setStoreHostAddressV6Flag();
            }
            if (i % 4 == 1) {
                message.setKeys("k" + i + " shared");
            }
            if (i % 4 == 2) {
                message.setTags("Tag" + i % 3);
            }
            if (i % 11 == 5) {
                message.setSysFlag(message.getSysFlag() | MessageSysFlag.COMPRESSED_FLAG);
            }
            if (i % 13 == 6) {
                message.setSysFlag(message.getSysFlag() | MessageSysFlag.TRANSACTION_PREPARED_TYPE);
            }
            if (i % 17 == 8) {
                message.setTopic("SCHEDULE_TOPIC_XXXX");
                message.setQueueId(2);
                message.setDelayTimeLevel(3);
                MessageAccessor.putProperty(message, "REAL_TOPIC", topic);
            }
            if (lmq && message.getTopic().equals("Plain") && message.getSysFlag() == 0) {
                String queues = new String[] {"%LMQ%a", "%LMQ%a,%LMQ%b", "Other,%LMQ%b"}[i % 3];
                MessageAccessor.putProperty(message, "INNER_MULTI_DISPATCH", queues);
            }
            inner(message);
            Object result = DefaultMessageStore.class.getMethod("putMessage", innerClass).invoke(store, message);
            put((PutMessageResult) result, message, 0);
        }
    }

    /** What the broker's send processor fills in besides. */
    static void inner(MessageExt message) throws Exception {
        String text = MessageDecoder.messageProperties2String(message.getProperties());
        innerClass.getMethod("setPropertiesString", String.class).invoke(message, text);
        if (message.getTags() != null) {
            long code = (long) message.getTags().hashCode();
            innerClass.getMethod("setTagsCode", long.class).invoke(message, code);
        }
    }

    static void batch(DefaultMessageStore store, int i) throws Exception {
        List<Message> messages = new ArrayList<>();
        for (int part = 0; part < 3; part++) {
            Message message = new Message("Plain", "Part" + part, "k" + i + "-" + part, ("batch-" + i + "-" + part).getBytes());
            messages.add(message);
        }
        MessageExtBatch batch = new MessageExtBatch();
        batch.setTopic("Plain");
        batch.setQueueId(0);
        batch.setBody(MessageDecoder.encodeMessages(messages));
        batch.setBornTimestamp(System.currentTimeMillis());
        batch.setBornHost(new InetSocketAddress("127.0.0.1", 4000));
        batch.setStoreHost(new InetSocketAddress("127.0.0.1", 10911));
        PutMessageResult result = store.putMessages(batch);
        for (int part = 0; part < 3; part++) {
            put(result, messages.get(part), part);
        }
    }

    static void put(PutMessageResult result, Message message, int part) {
        if (!result.isOk()) {
            throw new IllegalStateException("put: " + result);
        }
        int queue = message instanceof MessageExt ? ((MessageExt) message).getQueueId() : 0;
        boolean prepared = message instanceof MessageExt
            && (((MessageExt) message).getSysFlag() & MessageSysFlag.TRANSACTION_ROLLBACK_TYPE) != 0;
        if (!prepared) {
            line(message.getTopic(), message, queue, result.getAppendMessageResult().getLogicsOffset() + part);
        }
        String queues = message.getProperty("INNER_MULTI_DISPATCH");
        if (queues != null) {
            String[] names = queues.split(",");
            String[] offsets = message.getProperty("INNER_MULTI_QUEUE_OFFSET").split(",");
            for (int i = 0; i < names.length; i++) {
                line(names[i], message, names[i].startsWith("%LMQ%") ? 0 : queue, Long.parseLong(offsets[i]));
            }
        }
    }

    static void line(String topic, Message message, int queue, long offset) {
        String body = new String(message.getBody(), StandardCharsets.UTF_8);
        String keys = message.getKeys() == null ? "-" : message.getKeys().replace(' ', ',');
        System.out.println(String.join(" ", "MSG", topic, "" + queue, "" + offset, body,
            message.getTags() == null ? "-" : message.getTags(), keys));
    }

    static void read(DefaultMessageStore store) throws Exception {
        while (store.dispatchBehindBytes() > 0) {
            Thread.onSpinWait();
        }
        String[] topics = {"Plain", "Keys", "Tags", "%RETRY%group", "SCHEDULE_TOPIC_XXXX", "%LMQ%a", "%LMQ%b", "Other"};
        for (String topic : topics) {
            for (int queue = 0; queue < 3; queue++) {
                long offset = store.getMinOffsetInQueue(topic, queue);
                for (MessageExt message : drain(store, topic, queue, null)) {
                    line(topic, message, queue, offset++);
                }
            }
        }
        for (String tag : new String[] {"Tag0", "Tag1", "Tag2"}) {
            for (int queue = 0; queue < 3; queue++) {
                for (MessageExt message : drain(store, "Tags", queue, tag)) {
                    System.out.println("TAG " + tag + " " + queue + " " + message.getQueueOffset());
                }
            }
        }
        QueryMessageResult hits = store.queryMessage("Keys", "k1", 32, 0, Long.MAX_VALUE);
        System.out.println("HITS " + hits.getMessageBufferList().size());
    }

    static List<MessageExt> drain(DefaultMessageStore store, String topic, int queue, String tag) throws Exception {
        DefaultMessageFilter filter = null;
        if (tag != null) {
            // Its package is another one in each version.
            Constructor<?> filters = DefaultMessageFilter.class.getConstructors()[0];
            Class<?> kind = filters.getParameterTypes()[0];
            Object subscription = kind.getConstructor(String.class, String.class).newInstance(topic, tag);
            kind.getMethod("setTagsSet", Set.class).invoke(subscription, Set.of(tag));
            kind.getMethod("setCodeSet", Set.class).invoke(subscription, Set.of(tag.hashCode()));
            filter = (DefaultMessageFilter) filters.newInstance(subscription);
        }
        List<MessageExt> messages = new ArrayList<>();
        long offset = store.getMinOffsetInQueue(topic, queue);
        long max = store.getMaxOffsetInQueue(topic, queue);
        while (offset < max) {
            GetMessageResult found = store.getMessage("group", topic, queue, offset, 32, filter);
            for (ByteBuffer bytes : found.getMessageBufferList()) {
                // The body of a "compressed" message here is not: do not inflate it.
                messages.add(MessageDecoder.decode(bytes, true, false));
            }
            found.release();
            if (found.getNextBeginOffset() <= offset) {
                throw new IllegalStateException(topic + " " + queue + " stuck at " + offset + ": " + found.getStatus());
            }
            offset = found.getNextBeginOffset();
        }
        return messages;
    }
}
