import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;

/**
 * The RocketMQ client as a program: {@code Driver COMMAND key=value ...}. Prints one JSON object a line to stdout:
 * {@code {"event":"ready"}}, {@code {"event":"sent",...}}, {@code {"event":"failed",...}}, {@code {"event":"received",...}} and at
 * the end {@code {"event":"done"}}. Commands that run until they are told stop when stdin is closed.
 */
public final class Driver {
    private static final PrintStream OUT = System.out;
    private final Map<String, String> options = new HashMap<>();

    public static void main(String[] args) throws Exception {
        Driver driver = new Driver();
        for (int i = 1; i < args.length; i++) {
            int at = args[i].indexOf('=');
            driver.options.put(args[i].substring(0, at), args[i].substring(at + 1));
        }
        int exit = 0;
        try {
            switch (args[0]) {
                case "send" -> driver.send();
                case "consume" -> driver.consume();
                case "pull" -> driver.pull();
                case "lite" -> driver.lite();
                case "transact" -> driver.transact();
                case "ask" -> driver.ask();
                case "reply" -> driver.reply();
                default -> throw new IllegalArgumentException(args[0]);
            }
            event("done");
        } catch (Exception e) {
            e.printStackTrace();
            exit = 1;
        }
        // Threads of the client would keep the process.
        System.exit(exit);
    }

    private String get(String key, String otherwise) {
        return options.getOrDefault(key, otherwise);
    }

    private int number(String key, int otherwise) {
        return Integer.parseInt(get(key, Integer.toString(otherwise)));
    }

    /** What signs requests, if an account is given. */
    private RPCHook hook() {
        String access = options.get("access");
        return access == null ? null : new AclClientRPCHook(new SessionCredentials(access, options.get("secret")));
    }

    private DefaultMQProducer producer() throws Exception {
        // What 5.x reads when a producer is made: ZLIB, LZ4, ZSTD.
        if (options.containsKey("compress")) {
            System.setProperty("rocketmq.message.compressType", options.get("compress"));
        }
        boolean trace = get("trace", "no").equals("yes");
        DefaultMQProducer producer = new DefaultMQProducer(get("group", "e2e_producer"), hook(), trace, null);
        producer.setUseTLS(Boolean.parseBoolean(get("tls", "false")));
        producer.setNamesrvAddr(options.get("ns"));
        producer.setInstanceName(get("instance", "producer"));
        producer.setSendMsgTimeout(number("timeout", 10_000));
        producer.setRetryTimesWhenSendFailed(number("retries", 0));
        producer.setRetryTimesWhenSendAsyncFailed(0);
        producer.setVipChannelEnabled(Boolean.parseBoolean(get("vip", "false")));
        producer.start();
        return producer;
    }

    private Message message(int number) {
        StringBuilder body = new StringBuilder(get("prefix", "m")).append('-').append(number);
        int size = number("size", 0);
        if (body.length() < size) {
            body.append('.');
            while (body.length() < size) {
                body.append((char) ('a' + body.length() % 26));
            }
        }
        Message message = new Message(options.get("topic"), body.toString().getBytes(StandardCharsets.UTF_8));
        String tags = get("tags", "");
        if (!tags.isEmpty()) {
            String[] all = tags.split(",");
            message.setTags(all[number % all.length]);
        }
        if (options.containsKey("keys")) {
            message.setKeys(options.get("keys") + number);
        }
        if (options.containsKey("delay")) {
            message.setDelayTimeLevel(number("delay", 0));
        }
        if (options.containsKey("light")) {
            // What users may not set themselves.
            MessageAccessor.putProperty(message, "INNER_MULTI_DISPATCH", options.get("light"));
        }
        if (options.containsKey("numbered")) {
            message.putUserProperty("number", Integer.toString(number));
            message.putUserProperty("name", "n" + number % 10);
        }
        return message;
    }

    private void send() throws Exception {
        DefaultMQProducer producer = producer();
        if (get("beat", "no").equals("yes")) {
            beat(producer);
        }
        event("ready");
        int from = number("from", 0);
        int count = number("count", 1);
        switch (get("mode", "sync")) {
            case "sync" -> {
                boolean[] stop = {false};
                if (get("until", "").equals("stdin")) {
                    count = Integer.MAX_VALUE - from;
                    Thread watcher = new Thread(() -> {
                        waitForStdin();
                        synchronized (stop) {
                            stop[0] = true;
                        }
                    });
                    watcher.setDaemon(true);
                    watcher.start();
                }
                for (int i = from; i < from + count; i++) {
                    synchronized (stop) {
                        if (stop[0]) {
                            break;
                        }
                    }
                    Message message = message(i);
                    try {
                        sent(message, producer.send(message));
                    } catch (Exception e) {
                        failed(message, e);
                    }
                    Thread.sleep(number("pause", 0));
                }
            }
            case "async" -> {
                Semaphore inFlight = new Semaphore(64);
                for (int i = from; i < from + count; i++) {
                    Message message = message(i);
                    inFlight.acquire();
                    producer.send(message, new SendCallback() {
                        @Override
                        public void onSuccess(SendResult result) {
                            sent(message, result);
                            inFlight.release();
                        }

                        @Override
                        public void onException(Throwable e) {
                            failed(message, e);
                            inFlight.release();
                        }
                    });
                }
                inFlight.acquire(64);
            }
            case "oneway" -> {
                // Java's broker drops sends that wait for 200 ms, and nobody learns of it when they are oneway: every 500th
                // waits for its answer.
                for (int i = from; i < from + count; i++) {
                    if (i % 500 == 499) {
                        Message message = message(i);
                        sent(message, producer.send(message));
                    } else {
                        producer.sendOneway(message(i));
                    }
                }
            }
            case "batch" -> {
                int size = number("batch", 32);
                for (int i = from; i < from + count; i += size) {
                    List<Message> batch = new ArrayList<>();
                    for (int j = i; j < Math.min(i + size, from + count); j++) {
                        batch.add(message(j));
                    }
                    try {
                        sentBatch(batch, producer.send(batch));
                    } catch (Exception e) {
                        failed(batch.get(0), e);
                    }
                }
            }
            default -> throw new IllegalArgumentException(get("mode", ""));
        }
        if (options.containsKey("linger")) {
            // What it does by the way is not lost with it.
            waitForStdin();
        }
        producer.shutdown();
    }

    /**
     * Sends transactional messages. {@code local} says how each one's transaction ends at once, {@code check} what is answered when
     * the broker asks, both in turn by the message's number: commit, rollback, unknown, throw. Runs until stdin is closed.
     */
    private void transact() throws Exception {
        String[] local = get("local", "commit").split(",");
        String[] check = get("check", "commit").split(",");
        TransactionMQProducer producer = new TransactionMQProducer(get("group", "e2e_transactions"));
        producer.setNamesrvAddr(options.get("ns"));
        producer.setInstanceName(get("instance", "transactions"));
        producer.setSendMsgTimeout(number("timeout", 10_000));
        producer.setRetryTimesWhenSendFailed(0);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return state(local, message);
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                line("checked", "body", text(message), "id", message.getTransactionId(), "keys",
                    String.valueOf(message.getKeys()), "tag", String.valueOf(message.getTags()), "queue",
                    message.getQueueId(), "offset", message.getQueueOffset());
                return state(check, message);
            }
        });
        producer.start();
        beat(producer);
        event("ready");
        int from = number("from", 0);
        for (int i = from; i < from + number("count", 1); i++) {
            Message message = message(i);
            if (options.containsKey("immune")) {
                message.putUserProperty("CHECK_IMMUNITY_TIME_IN_SECONDS", options.get("immune"));
            }
            try {
                sent(message, producer.sendMessageInTransaction(message, null));
            } catch (Exception e) {
                failed(message, e);
            }
        }
        event("all");
        waitForStdin();
        producer.shutdown();
    }

    /** A broker asks the producers that it knows from heartbeats. The client's own may come half a minute after the first route. */
    private static void beat(DefaultMQProducer producer) throws Exception {
        producer.fetchPublishMessageQueues("TBW102");
        Object inner = producer.getDefaultMQProducerImpl();
        for (var method : inner.getClass().getMethods()) {
            // Its name changed in 5.x.
            if (method.getName().equalsIgnoreCase("getMQClientFactory")) {
                Object factory = method.invoke(inner);
                factory.getClass().getMethod("sendHeartbeatToAllBrokerWithLock").invoke(factory);
            }
        }
    }

    /**
     * Asks by messages and waits for each reply, {@code within} ms: {@code received} has the reply. The client of 5.3.3 takes a question
     * that was sent for one that has its reply, but where a queue is chosen and a callback given: that is {@code mode=callback}.
     */
    private void ask() throws Exception {
        DefaultMQProducer producer = producer();
        event("ready");
        int from = number("from", 0);
        for (int i = from; i < from + number("count", 1); i++) {
            Message message = message(i);
            try {
                if (get("mode", "sync").equals("callback")) {
                    replied(requestByCallback(producer, message));
                } else {
                    replied(producer.request(message, number("within", 10_000)));
                }
            } catch (Exception e) {
                failed(message, e);
            }
        }
        producer.shutdown();
    }

    private Message requestByCallback(DefaultMQProducer producer, Message message) throws Exception {
        CompletableFuture<Message> reply = new CompletableFuture<>();
        producer.request(message, (queues, asked, number) -> queues.get(0), null, new RequestCallback() {
            @Override
            public void onSuccess(Message message) {
                reply.complete(message);
            }

            @Override
            public void onException(Throwable e) {
                reply.completeExceptionally(e);
            }
        }, number("within", 10_000));
        try {
            return reply.get();
        } catch (ExecutionException e) {
            throw (Exception) e.getCause();
        }
    }

    private static void replied(Message reply) {
        line("received", "body", text(reply), "keys", String.valueOf(reply.getKeys()), "tag", String.valueOf(reply.getTags()));
    }

    /** Replies to every message that asks, but to those whose number divided by 5 leaves {@code mute}; until stdin is closed. */
    private void reply() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("e2e_replies");
        producer.setNamesrvAddr(options.get("ns"));
        producer.setInstanceName(get("instance", "replies"));
        producer.setRetryTimesWhenSendFailed(0);
        // A reply waits for who asked.
        producer.setSendMsgTimeout(20_000);
        producer.start();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(get("group", "e2e_repliers"));
        consumer.setNamesrvAddr(options.get("ns"));
        consumer.setInstanceName(get("instance", "replies"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(options.get("topic"), "*");
        int mute = number("mute", -1);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                received(message);
                int number = Integer.parseInt(text(message).split("[-.]")[1]);
                if (number % 5 == mute || message.getProperty("REPLY_TO_CLIENT") == null) {
                    continue;
                }
                try {
                    Message reply = MessageUtil.createReplyMessage(message, ("re:" + text(message)).getBytes(StandardCharsets.UTF_8));
                    reply.setTags("Reply");
                    sent(reply, producer.send(reply));
                } catch (Exception e) {
                    // What the broker said.
                    failed(message, e.getCause() == null ? e : e.getCause());
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        event("ready");
        waitForStdin();
        consumer.shutdown();
        producer.shutdown();
    }

    private static LocalTransactionState state(String[] states, Message message) {
        int number = Integer.parseInt(text(message).split("[-.]")[1]);
        return switch (states[number % states.length]) {
            case "commit" -> LocalTransactionState.COMMIT_MESSAGE;
            case "rollback" -> LocalTransactionState.ROLLBACK_MESSAGE;
            case "unknown" -> LocalTransactionState.UNKNOW;
            default -> throw new IllegalStateException("as asked");
        };
    }

    private void consume() throws Exception {
        DefaultMQPushConsumer consumer =
            new DefaultMQPushConsumer(get("group", "e2e_consumer"), hook(), new AllocateMessageQueueAveragely(),
                get("trace", "no").equals("yes"), null);
        consumer.setUseTLS(Boolean.parseBoolean(get("tls", "false")));
        consumer.setNamesrvAddr(options.get("ns"));
        consumer.setInstanceName(get("instance", "consumer"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        if (get("model", "clustering").equals("broadcasting")) {
            // The enum moved to another package in 5.x.
            for (var method : DefaultMQPushConsumer.class.getMethods()) {
                if (method.getName().equals("setMessageModel")) {
                    for (Object model : method.getParameterTypes()[0].getEnumConstants()) {
                        if (model.toString().equals("BROADCASTING")) {
                            method.invoke(consumer, model);
                        }
                    }
                }
            }
        }
        if (options.containsKey("sql")) {
            consumer.subscribe(options.get("topic"), MessageSelector.bySql(options.get("sql")));
        } else {
            consumer.subscribe(options.get("topic"), get("sub", "*"));
        }
        // How often each message fails before it is consumed, and how often the consumer wants it again.
        int fails = number("fails", 0);
        consumer.setMaxReconsumeTimes(number("retries", -1));
        if (get("order", "no").equals("yes")) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                messages.forEach(Driver::received);
                context.setSuspendCurrentQueueTimeMillis(100);
                return messages.get(0).getReconsumeTimes() < fails
                    ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT
                    : ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(Driver::received);
                return messages.get(0).getReconsumeTimes() < fails
                    ? ConsumeConcurrentlyStatus.RECONSUME_LATER
                    : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        try {
            consumer.start();
        } catch (MQClientException e) {
            if (!options.containsKey("refused")) {
                throw e;
            }
            event("ready");
            line("failed", "body", "", "error", e.getMessage());
            return;
        }
        event("ready");
        waitForStdin();
        consumer.shutdown();
    }

    @SuppressWarnings("deprecation")
    private void pull() throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(get("group", "e2e_pull"));
        consumer.setNamesrvAddr(options.get("ns"));
        consumer.setInstanceName(get("instance", "pull"));
        consumer.start();
        event("ready");
        if (options.containsKey("sql")) {
            // A client that has not heard from a broker takes it for one without such filters, and its first heartbeat is late.
            MQClientInstance client = consumer.getDefaultMQPullConsumerImpl().getRebalanceImpl().getmQClientFactory();
            client.updateTopicRouteInfoFromNameServer(options.get("topic"));
            client.sendHeartbeatToAllBrokerWithLock();
        }
        Set<MessageQueue> queues = consumer.fetchSubscribeMessageQueues(options.get("topic"));
        for (MessageQueue queue : queues) {
            long offset = consumer.minOffset(queue);
            long end = consumer.maxOffset(queue);
            while (offset < end) {
                PullResult result = options.containsKey("sql")
                    ? consumer.pull(queue, MessageSelector.bySql(options.get("sql")), offset, number("batch", 32))
                    : consumer.pull(queue, get("sub", "*"), offset, number("batch", 32));
                if (result.getPullStatus() == PullStatus.FOUND) {
                    result.getMsgFoundList().forEach(Driver::received);
                }
                offset = result.getNextBeginOffset();
            }
            consumer.updateConsumeOffset(queue, offset);
        }
        consumer.shutdown();
    }

    private void lite() throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(get("group", "e2e_lite"));
        consumer.setNamesrvAddr(options.get("ns"));
        consumer.setInstanceName(get("instance", "lite"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        if (options.containsKey("sql")) {
            consumer.subscribe(options.get("topic"), MessageSelector.bySql(options.get("sql")));
        } else {
            consumer.subscribe(options.get("topic"), get("sub", "*"));
        }
        consumer.start();
        event("ready");
        int left = number("count", 1);
        while (left > 0) {
            List<MessageExt> messages = consumer.poll(1000);
            messages.forEach(Driver::received);
            left -= messages.size();
        }
        consumer.commitSync();
        consumer.shutdown();
    }

    private static void waitForStdin() {
        try {
            while (System.in.read() >= 0) {
                // Until it is closed.
            }
        } catch (IOException e) {
            // As good as closed.
        }
    }

    private static void sent(Message message, SendResult result) {
        MessageQueue queue = result.getMessageQueue();
        line("sent", "body", text(message), "status", result.getSendStatus().name(), "id", result.getMsgId(), "offsetId",
            result.getOffsetMsgId(), "broker", queue.getBrokerName(), "queue", queue.getQueueId(), "offset",
            result.getQueueOffset());
    }

    /** A batch is stored as a run of offsets in one queue; the answer has the first one. */
    private static void sentBatch(List<Message> batch, SendResult result) {
        MessageQueue queue = result.getMessageQueue();
        for (int i = 0; i < batch.size(); i++) {
            line("sent", "body", text(batch.get(i)), "status", result.getSendStatus().name(), "broker",
                queue.getBrokerName(), "queue", queue.getQueueId(), "offset", result.getQueueOffset() + i);
        }
    }

    private static void failed(Message message, Throwable e) {
        // What the broker said is the cause of what the client says.
        StringBuilder error = new StringBuilder();
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            error.append(error.isEmpty() ? "" : "; ").append(cause);
        }
        line("failed", "body", text(message), "error", error.toString());
    }

    private static void received(MessageExt message) {
        line("received", "body", text(message), "id", message.getMsgId(), "broker", String.valueOf(message.getBrokerName()),
            "queue", message.getQueueId(), "offset", message.getQueueOffset(), "tag", String.valueOf(message.getTags()),
            "keys", String.valueOf(message.getKeys()), "born", message.getBornTimestamp(), "reconsume",
            message.getReconsumeTimes());
    }

    private static String text(Message message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    private static void event(String name) {
        line(name);
    }

    private static void line(String event, Object... fields) {
        StringBuilder out = new StringBuilder("{\"event\":\"").append(event).append('"');
        for (int i = 0; i < fields.length; i += 2) {
            out.append(",\"").append(fields[i]).append("\":");
            if (fields[i + 1] instanceof Number) {
                out.append(fields[i + 1]);
            } else {
                quote(out, String.valueOf(fields[i + 1]));
            }
        }
        out.append('}');
        synchronized (OUT) {
            OUT.println(out);
            OUT.flush();
        }
    }

    private static void quote(StringBuilder out, String text) {
        out.append('"');
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < 0x20) {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
