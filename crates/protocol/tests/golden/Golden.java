// Prints frames and bodies as the real classes encode them, one "name hex" a line: the files beside this one.
//
// Made with the jars of rocketmq-client (or -broker) of a version and their dependencies in LIB:
//   sed 's/PROTOCOL/org.apache.rocketmq.common.protocol/;s/ROOT/org.apache.rocketmq.common/'     Golden.java   (4.9.8)
//   sed 's/PROTOCOL/org.apache.rocketmq.remoting.protocol/;s/ROOT/org.apache.rocketmq.remoting.protocol/' Golden.java (5.3.3)
//   javac -cp 'LIB/*' Golden.java && java -cp 'LIB/*:.' Golden > VERSION.txt

import PROTOCOL.body.*;
import PROTOCOL.header.*;
import PROTOCOL.header.namesrv.*;
import PROTOCOL.heartbeat.*;
import PROTOCOL.route.*;
import ROOT.admin.*;
import ROOT.DataVersion;
import com.alibaba.fastjson.JSON;
import com.alibaba.fastjson.serializer.SerializerFeature;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.*;

public class Golden {
    static void print(String name, byte[] bytes) {
        StringBuilder hex = new StringBuilder();
        for (byte b : bytes) {
            hex.append(String.format("%02x", b));
        }
        System.out.println(name + " " + hex);
    }

    static void frame(String name, RemotingCommand command, int opaque) {
        for (SerializeType type : SerializeType.values()) {
            command.setOpaque(opaque);
            command.setVersion(409);
            command.setSerializeTypeCurrentRPC(type);
            ByteBuffer buffer = command.encode();
            byte[] bytes = new byte[buffer.remaining()];
            buffer.get(bytes);
            print(name + "." + type.name(), bytes);
        }
    }

    static TopicConfig topic(String name, int read, int write) {
        TopicConfig config = new TopicConfig(name);
        config.setReadQueueNums(read);
        config.setWriteQueueNums(write);
        config.setPerm(6);
        return config;
    }

    public static void main(String[] args) throws Exception {
        frames();
        registration();
        routes();
        clients();
    }

    static void frames() {
        PullMessageRequestHeader pull = new PullMessageRequestHeader();
        pull.setConsumerGroup("group \"1\"");
        pull.setTopic("TopicTest");
        pull.setQueueId(3);
        pull.setQueueOffset(1234567890123L);
        pull.setMaxMsgNums(32);
        pull.setSysFlag(6);
        pull.setCommitOffset(-1L);
        pull.setSuspendTimeoutMillis(15000L);
        pull.setSubscription("TagA || TagB");
        pull.setSubVersion(1700000000000L);
        pull.setExpressionType("TAG");
        frame("pull", RemotingCommand.createRequestCommand(11, pull), 7);

        SendMessageRequestHeader send = new SendMessageRequestHeader();
        send.setProducerGroup("pg");
        send.setTopic("TopicTest");
        send.setDefaultTopic("TBW102");
        send.setDefaultTopicQueueNums(4);
        send.setQueueId(1);
        send.setSysFlag(0);
        send.setBornTimestamp(1700000000001L);
        send.setFlag(0);
        send.setProperties("UNIQ_KEY\u0001ABC\u0002WAIT\u0001true\u0002TAGS\u0001\u4e2d\u6587");
        send.setReconsumeTimes(0);
        send.setUnitMode(false);
        send.setBatch(false);
        SendMessageRequestHeaderV2 v2 = SendMessageRequestHeaderV2.createSendMessageRequestHeaderV2(send);
        RemotingCommand command = RemotingCommand.createRequestCommand(310, v2);
        command.setBody("Hello".getBytes());
        command.markOnewayRPC();
        frame("send", command, 8);

        RemotingCommand reply = RemotingCommand.createResponseCommand(17, "topic[\u4e2d/\n] not exist\t\u0001");
        frame("reply", reply, 9);
        frame("bare", RemotingCommand.createRequestCommand(106, null), 10);
    }

    static void registration() {
        RegisterBrokerBody body = new RegisterBrokerBody();
        DataVersion version = new DataVersion();
        version.setTimestamp(1700000000000L);
        version.getCounter().set(5);
        TopicConfigSerializeWrapper wrapper = body.getTopicConfigSerializeWrapper();
        wrapper.setDataVersion(version);
        wrapper.getTopicConfigTable().put("TopicTest", topic("TopicTest", 8, 4));
        wrapper.getTopicConfigTable().put("%RETRY%group", topic("%RETRY%group", 1, 1));
        body.setFilterServerList(new ArrayList<String>(Arrays.asList("10.0.0.7:1")));
        print("register.plain", body.encode(false));
        print("register.packed", body.encode(true));
    }

    static void routes() throws Exception {
        TopicRouteData route = new TopicRouteData();
        HashMap<Long, String> addrs = new HashMap<Long, String>();
        addrs.put(0L, "10.0.0.1:10911");
        addrs.put(1L, "10.0.0.2:10911");
        BrokerData data = new BrokerData("Cluster/\u4e2d", "broker-a", addrs);
        QueueData queue = new QueueData();
        queue.setBrokerName("broker-a");
        queue.setReadQueueNums(8);
        queue.setWriteQueueNums(4);
        queue.setPerm(6);
        route.setBrokerDatas(new ArrayList<BrokerData>(Arrays.asList(data)));
        route.setQueueDatas(new ArrayList<QueueData>(Arrays.asList(queue)));
        route.setFilterServerTable(new HashMap<String, List<String>>());
        route.setOrderTopicConf("broker-a:8");
        print("route.plain", route.encode());
        print("route.strict", JSON.toJSONString(route, SerializerFeature.BrowserCompatible,
            SerializerFeature.QuoteFieldNames, SerializerFeature.SkipTransientField,
            SerializerFeature.MapSortField).getBytes("UTF-8"));

        ClusterInfo info = new ClusterInfo();
        HashMap<String, BrokerData> brokers = new HashMap<String, BrokerData>();
        brokers.put("broker-a", data);
        HashMap<String, Set<String>> clusters = new HashMap<String, Set<String>>();
        clusters.put("Cluster/\u4e2d", new HashSet<String>(Arrays.asList("broker-a")));
        info.setBrokerAddrTable(brokers);
        info.setClusterAddrTable(clusters);
        print("cluster", info.encode());
    }

    static void clients() {
        ConsumeStats stats = new ConsumeStats();
        OffsetWrapper offset = new OffsetWrapper();
        offset.setBrokerOffset(100);
        offset.setConsumerOffset(90);
        offset.setLastTimestamp(1700000000000L);
        stats.getOffsetTable().put(new MessageQueue("T", "broker-a", 3), offset);
        stats.setConsumeTps(12345678.9);
        print("consumeStats", stats.encode());

        ConsumerConnection connection = new ConsumerConnection();
        SubscriptionData subscription = new SubscriptionData("T", "TagA");
        subscription.getTagsSet().add("TagA");
        subscription.getCodeSet().add("TagA".hashCode());
        subscription.setSubVersion(1700000000000L);
        connection.getSubscriptionTable().put("T", subscription);
        // The same object twice: fastjson writes a reference.
        connection.getSubscriptionTable().put("U", subscription);
        connection.setConsumeType(ConsumeType.CONSUME_PASSIVELY);
        connection.setMessageModel(MessageModel.CLUSTERING);
        print("consumerConnection", connection.encode());
    }
}
